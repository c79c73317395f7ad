"""Columns that changed places: an input that bears what golden had in another input alone, and that other one no longer does on these rows.

In: a `Case`. Out: a channel for each category that arrives with such values, 1 where a row has one, and what it proves. A new kind of a thing has a name of
its own; a finer one (sandals, where it said shoes) stands in the row's title as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from whimbrel.diagnose import keys
from whimbrel.diagnose.case import Case, Variable
from whimbrel.diagnose.scan import LAYER_OF, Channel
from whimbrel.diagnose.suspects import Proof, Suspect, abrupt
from whimbrel.model.fields import Role
from whimbrel.model.rows import Bools

SIGNATURE = "column"
SEVERAL = 4
"""Different values of another column that are no chance: one may be a name in both."""
COMES_AGAIN = 0.1
"""The different values a row up to which golden's come again, so that a new one says something."""
SHARED = 0.05
"""The part of golden's own values that the other column may have as well: beyond, both speak of the same things (from where, and where to)."""
ONE_OF_THEM, LEFT = 0.5, 0.5
"""The part of the rows that one of the values may have, and the part on which the other column must not have it any more."""
_PARTS = re.compile(r"[;|,\n]")
_NAMED = re.compile(r"^[^:=]{1,40}[:=]")
_LETTER = re.compile(r"[^\W\d_]")


def channels(case: Case) -> list[Channel]:
    """One channel for each category with several values that golden had in another column alone; the column that most of them come from."""
    inputs = [v for v in case.of(Role.INPUT) if v.codes is not None and not v.derived]
    had = {v.path: _had(case, v) for v in inputs}
    held = {v.path: {part for value in had[v.path] for part in parts(value)} for v in inputs}
    out = []
    for variable in inputs:
        again = len(had[variable.path]) <= COMES_AGAIN * (case.golden & ~variable.missing).sum()
        if not again or variable.name in case.growing:
            continue
        found = {other: _strange(case, variable, had, held[other]) for other in had if other != variable.path}
        other = max(found, key=lambda path: int(found[path].sum()), default="")
        if other and found[other].any():
            values = np.where(variable.missing, np.nan, found[other].astype(np.float64))
            detail = {"of": other}
            out.append(Channel(variable.path, LAYER_OF[Role.INPUT], SIGNATURE, "invariant", values, detail=detail))
    return out


def parts(text: str) -> set[str]:
    """A value itself and, of a list, what stands between its marks, without the names of what it is (`colour: red; size: 4`)."""
    pieces = [text, *_PARTS.split(text)]
    return {piece.strip() for whole in pieces for piece in (whole, _NAMED.sub("", whole.strip()))}


def proof(case: Case, suspect: Suspect) -> Proof:
    """What it proves: many who ask, at once or in a slice, do not all name a thing by what another column says, nor take it away from there."""
    variable, other = (case.variables[path] for path in (suspect.component, suspect.hit.channel.detail["of"]))
    assert variable.codes is not None
    assert other.codes is not None
    rows = np.flatnonzero(suspect.bad)
    counts = np.bincount(variable.codes[rows], minlength=1)
    if np.count_nonzero(counts) < SEVERAL or counts.max() > ONE_OF_THEM * rows.size:
        return Proof.SOFT
    texts = [*(text.casefold() for text in other.vocabulary), ""]
    left = [variable.vocabulary[variable.codes[row]].casefold() not in texts[other.codes[row]] for row in rows]
    told = bool(suspect.where) or abrupt(case, suspect)
    return Proof.HARD if told and np.mean(left) >= LEFT and not keys.of_few(case, suspect) else Proof.SOFT


def _had(case: Case, variable: Variable) -> set[str]:
    assert variable.codes is not None
    return {variable.vocabulary[code] for code in np.unique(variable.codes[case.golden & ~variable.missing])}


def _strange(case: Case, variable: Variable, had: Mapping[str, set[str]], theirs: set[str]) -> Bools:
    """The rows with a value that golden had in another column alone, shape (n,); none where they are few, or the two speak of the same things."""
    assert variable.codes is not None
    own = had[variable.path]
    new = [_LETTER.search(value) is not None and value not in own and value in theirs for value in variable.vocabulary]
    alike = len(own & theirs) > SHARED * len(own)
    out: Bools = np.array([*new, False])[variable.codes]
    several = np.unique(variable.codes[out & case.window]).size >= SEVERAL
    return out if several and not alike else np.zeros_like(case.golden)
