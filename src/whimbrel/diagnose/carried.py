"""What somebody said in his request before stands in this one: a form that kept its last entry, a slot that was not emptied.

In: a `Case`. Out: a channel for each category of many values that one who asks says anew each time, 1 where it is what he said the time before; and what it
proves. The distribution of what is said does not move at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from whimbrel.diagnose import keys
from whimbrel.diagnose.case import Case, Variable
from whimbrel.diagnose.contracts import GRADED
from whimbrel.diagnose.feeds import ONE_OF_MANY
from whimbrel.diagnose.scan import Channel, invariant
from whimbrel.diagnose.suspects import Proof, Suspect, abrupt
from whimbrel.model.fields import Role
from whimbrel.model.rows import Bools, Floats, Ints

SIGNATURE = "carried"
ENOUGH = 200
"""Golden's rows that tell how often the same is said again."""
SELDOM, MOSTLY = 0.15, 0.5
"""The share of golden's rows that may say what was said before, and of the rows that must where it is carried over: people do not repeat themselves so."""
FURTHER = 0.05
"""The share of the window's rows that more must say the same than in golden before anything is made of it."""
_ALL_OF = 0.5
"""The part of what else was said that is the same as well where the whole request was sent again."""


def channels(case: Case) -> list[Channel]:
    """One channel for each such category, by whoever repeats himself more than golden's did; all rows must be at hand."""
    if max(case.sampled) > 1.05:
        return []
    said = [v for v in case.of(Role.INPUT) if v.codes is not None and not v.derived and v.distinct >= GRADED]
    found: list[tuple[float, Channel]] = []
    for path, codes in case.many.items() if said else ():
        for variable, again in _again(case, [v for v in said if v.path != path], codes):
            before, after = (again[side & np.isfinite(again)] for side in (case.golden, case.window))
            if before.size < ENOUGH or not after.size or before.mean() > SELDOM:
                continue
            gained = float(after.mean() - before.mean())
            if gained > FURTHER:
                found.append((gained, invariant(variable, SIGNATURE, again, floor=0.1, detail={"key": path})))
    key = max(found, key=lambda one: one[0])[1].detail["key"] if found else ""  # what is said names who says it as well
    return [channel for _, channel in found if channel.detail["key"] == key]


def proof(case: Case, suspect: Suspect) -> Proof:
    """What it proves: many who ask do not begin at once to say their own last words again, each of them another's."""
    said = case.variables[suspect.component].kinds[suspect.bad]
    many = said.size > 0 and int(np.bincount(said).max()) <= ONE_OF_MANY * said.size
    sure = many and suspect.after >= MOSTLY and abrupt(case, suspect) and not keys.of_few(case, suspect)
    return Proof.FIRM if sure else Proof.SOFT


def _again(case: Case, said: Sequence[Variable], codes: Ints) -> Iterator[tuple[Variable, Floats]]:
    """Each variable and whether a row says what the last row of its key said that said anything, shape (n,), NaN where either says nothing.

    A request that is sent again repeats all that it says, and tells nothing.
    """
    same = {v.path: _same(case, v, codes) for v in said}
    for variable in said:
        others = [values for path, values in same.items() if path != variable.path]
        known = np.sum([np.isfinite(values) for values in others], axis=0)
        whole: Bools = (known > 0) & (np.sum([values == 1 for values in others], axis=0) >= _ALL_OF * known)
        yield variable, np.where(whole | case.repeated, np.nan, same[variable.path])


def _same(case: Case, variable: Variable, codes: Ints) -> Floats:
    rows = np.flatnonzero((codes >= 0) & ~variable.missing)
    order = rows[np.lexsort((case.ts[rows], codes[rows]))]
    follows = np.diff(codes[order]) == 0
    out = np.full(len(case.ts), np.nan)
    later = order[1:][follows]
    out[later] = variable.kinds[later] == variable.kinds[order[:-1][follows]]
    return out
