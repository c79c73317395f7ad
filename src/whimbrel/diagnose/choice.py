"""Which fields relations are sought among, where there are too many to hold each against every other.

In: a `Case`. Out: the same case with fewer variables, and a note in it that counts what was left out. What is judged field by field
(contracts, where it stands in golden's distribution) sees all of them all the same. `boundaries` calls.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from whimbrel.diagnose.case import Case, Variable
from whimbrel.diagnose.support import thin
from whimbrel.model.fields import Role
from whimbrel.model.rows import Bools, Floats, Ints

MOST = 80
"""Variables among which relations are sought; each is tried on every other, so that the work grows with the square."""

_ROWS = 2_000
"""Rows of golden, and of the window, that the choice looks at."""

_OUTCOME = (Role.OUTPUT, Role.DECISION)
_RELATED = (Role.INPUT, Role.STEP, *_OUTCOME, Role.USAGE)


def chosen(case: Case, most: int = MOST) -> Case:
    """The case with at most `most` variables to relate: outcomes first, then what tells most of them or moved most."""
    asked = case.of(*_RELATED)
    if len(asked) <= most:
        return case
    outcome = [v for v in asked if v.field.role in _OUTCOME][: most // 2]
    kept = {v.name for v in outcome}
    others = [v for v in asked if v.name not in kept]
    scores = _scores(case, others, outcome)
    kept |= {others[i].name for i in np.argsort(-scores, kind="stable")[: most - len(kept)]}
    left = dict.fromkeys(v.path for v in asked if v.name not in kept)
    looked = {v.path for v in asked if v.name in kept}
    case.notes.append(
        f"relations between fields were sought among {len(looked)} of {len(looked | left.keys())}, those that tell most of the outcome"
        f" or moved most; {len(left.keys() - looked)} were judged each on its own: {', '.join([*left][:5])}, …"
    )
    variables = {n: v for n, v in case.variables.items() if n in kept or v.field.role not in _RELATED}
    return replace(case, variables=variables)


def _scores(case: Case, others: list[Variable], outcome: list[Variable]) -> Floats:
    """How far each variable stands out by chance's measure (standard deviations), shape (others,): it moved, or tells of an outcome."""
    before, after = (thin(np.flatnonzero(side), _ROWS) for side in (case.golden, case.window))
    rows = np.concatenate([before, after])
    golden = np.arange(rows.size) < before.size
    told = np.stack([_ranks(v, rows, golden) for v in outcome]) if outcome else np.zeros((1, rows.size))
    told = told[:, golden] - told[:, golden].mean(axis=1, keepdims=True)
    scores = np.empty(len(others))
    for i, variable in enumerate(others):
        ranks, missing = _ranks(variable, rows, golden), variable.missing[rows].astype(float)
        moved = max(_moved(some, golden) for some in (ranks, np.abs(ranks), missing))
        bent = np.abs(ranks) - np.abs(ranks).mean()  # tells of what is least or greatest in the middle
        tells = max(float(np.abs(told @ some[golden]).max()) for some in (ranks, 2 * bent)) / np.sqrt(before.size)
        scores[i] = max(moved, tells)
    return scores


def _ranks(variable: Variable, rows: Ints, golden: Bools) -> Floats:
    """Where each value stands among golden's, from -1.7 to 1.7, nulls in the middle; a category by how common it is there."""
    if variable.numbers is not None:
        values = variable.numbers[rows]
    else:
        assert variable.codes is not None
        codes = variable.codes[rows]
        counts = np.bincount(codes[golden & (codes >= 0)], minlength=len(variable.vocabulary) + 1)
        values = np.where(codes >= 0, np.argsort(np.argsort(-counts, kind="stable"))[codes], np.nan)
    known = np.sort(values[golden & ~np.isnan(values)])
    if not known.size:
        return np.zeros(rows.size)
    middle = np.searchsorted(known, values, "left") + np.searchsorted(known, values, "right")
    return np.where(np.isnan(values), 0.0, (middle / (2 * known.size) - 0.5) * np.sqrt(12.0))


def _moved(values: Floats, golden: Bools) -> float:
    """The difference of the two sides' means in standard errors."""
    before, after = values[golden], values[~golden]
    error = np.sqrt(before.var() / before.size + after.var() / max(after.size, 1))
    return float(abs(after.mean() - before.mean()) / max(error, 1e-9)) if after.size else 0.0
