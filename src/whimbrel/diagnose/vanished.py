"""A decision that golden took on certain rows and that is never taken any more, though such rows still come.

In: a `Case`. Out: a channel for each decision that has vanished, from all traffic or from one slice of it, NaN on rows on which golden hardly
ever took it. A rare decision is a small share of all rows, and of a rule that tells the others a leaf that errs: neither misses it.
"""

from __future__ import annotations

import numpy as np

from whimbrel.diagnose.absence import chances
from whimbrel.diagnose.boundaries import DECIDED, MOST_PARENTS, upstream
from whimbrel.diagnose.case import MAX_VALUES, Case, Variable
from whimbrel.diagnose.contracts import LEAST_FIXED
from whimbrel.diagnose.scan import Channel, invariant
from whimbrel.model.fields import Role, role_of
from whimbrel.model.rows import Bools, Floats, Ints

DUE = 20.0
"""Times that a decision must have been due since it was last taken: a rate that is golden's leaves none in five hundred million."""
MOSTLY = 0.5
"""The chance, as golden's rows tell it, from which on a decision was the one to expect."""
GONE = 0.3
"""The share of the rows, beyond golden's, that must not be decided as expected."""


def channels(case: Case) -> list[Channel]:
    """Rows on which golden mostly took a decision that is taken no more: 1 where it was not taken."""
    out = []
    for variable in case.of(Role.DECISION):
        if variable.codes is None or variable.derived or not 1 < variable.distinct <= MAX_VALUES:
            continue
        counts = np.bincount(variable.codes[case.golden & ~variable.missing], minlength=len(variable.vocabulary))
        for code in np.flatnonzero((counts >= LEAST_FIXED) & (counts < counts.sum())):
            taken = variable.codes == code
            if not _taken_no_more(case, variable, taken):
                continue
            likely = chances(case, taken, upstream(case, variable.field)[:MOST_PARENTS])
            expected = ~variable.missing & (np.zeros(taken.size) if likely is None else likely >= MOSTLY)
            if (expected & case.golden).sum() >= LEAST_FIXED:
                detail = {"value": variable.vocabulary[code], "variable": variable.name}
                gone = np.where(expected, ~taken, np.nan)
                out.append(invariant(variable, "vanished", gone, floor=GONE, not_by=DECIDED, detail=detail))
    return out


def _taken_no_more(case: Case, variable: Variable, taken: Bools) -> bool:
    """Whether in all traffic, or a slice, it was due so often since it was last taken, by golden's rates there and at that hour."""
    known = case.golden & ~variable.missing
    window = np.flatnonzero(case.window & ~variable.missing)
    window = window[np.argsort(case.ts[window], kind="stable")]
    hours = case.hour.astype(np.int64)
    by_hour = _rates(hours, known, taken)[hours[window]] / taken[known].mean()
    places: list[Ints] = [
        np.zeros(taken.size, dtype=np.int64),
        *(d.codes for d in case.dimensions if role_of(d.path) not in DECIDED),
    ]
    for codes in places:
        rates, here = _rates(codes, known & (codes >= 0), taken), codes[window]
        last = np.full(rates.size, -1)
        at = np.flatnonzero(taken[window] & (here >= 0))
        np.maximum.at(last, here[at], at)
        since = (here >= 0) & (np.arange(here.size) > last[here])
        if np.any(np.bincount(here[since], weights=(rates[here] * by_hour)[since]) >= DUE):
            return True
    return False


def _rates(codes: Ints, rows: Bools, taken: Bools) -> Floats:
    """The share of these rows of each code that have the flag, shape (codes,)."""
    size = int(codes.max(initial=0)) + 1
    counts = np.bincount(codes[rows], minlength=size)
    out: Floats = np.bincount(codes[rows & taken], minlength=size) / np.maximum(counts, 1)
    return out
