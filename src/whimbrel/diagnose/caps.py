"""Decisions that golden takes so often for each key and no oftener: two messages a reader and day, three codes an hour.

In: a `Case`. Out: for each decision that has such a cap a channel: of the rows whose key has had its fill 1 where it is given one more.
"""

from __future__ import annotations

import numpy as np

from whimbrel.diagnose.bygone import Key, ordered
from whimbrel.diagnose.case import HOUR_US, MAX_VALUES, SAMPLED, Case, Variable
from whimbrel.diagnose.keys import comes_again, named
from whimbrel.diagnose.scan import Channel, invariant
from whimbrel.diagnose.suspects import Proof, Suspect
from whimbrel.model.fields import Role
from whimbrel.model.rows import Bools, Ints

SIGNATURE = "capped"
_HOURS, _MOST = (1, 3, 6, 12, 24), 5
"""Hours back in which a key's decisions are counted; the highest cap that is looked for."""
_LEAST, _KEYS = 100, 20
"""Golden's rows that show a cap, and keys that there must be."""
_HARDLY, _AGAIN = 0.1, 0.5
"""The part of the usual rate at which a decision hardly is taken any more, and the part from which on there is no cap."""
_SEVERAL = 8
"""Keys that must be given one more than their fill."""


def channels(case: Case) -> list[Channel]:
    """One channel for each decision that has a cap, by the key and the hours in which most of golden's rows show it."""
    if max(case.sampled) > SAMPLED:
        return []  # of what is left out nobody knows whose it was
    out = []
    keys = [ordered(case, key) for key in named(case) if key.distinct >= _KEYS and comes_again(case, key)]
    for variable in case.of(Role.DECISION):
        if variable.codes is None or variable.derived or not 1 < variable.distinct <= MAX_VALUES:
            continue
        for code in np.unique(variable.codes[case.golden & ~variable.missing]):
            found = [one for key in keys for one in _capped(case, variable, int(code), key)]
            if found:
                out.append(max(found, key=lambda one: one[0])[1])
    return out


def _capped(case: Case, variable: Variable, code: int, key: Key) -> list[tuple[int, Channel]]:
    """For each number of hours in which golden's keys have a fill: how many of its rows have had it, and the channel."""
    rows = key.rows[~variable.missing[key.rows]]
    assert key.of.codes is not None
    assert variable.codes is not None
    of, ts, taken, golden = key.of.codes[rows], case.ts[rows], variable.codes[rows] == code, case.golden[rows]
    out = []
    for hours in _HOURS:
        had = _had(of, ts, taken, hours * HOUR_US)
        for cap in range(1, _MOST + 1):
            full = had >= cap
            asked, usual = full & golden, float(taken[golden & ~full].mean()) if (golden & ~full).any() else 0.0
            if asked.sum() < _LEAST or asked.sum() * usual < _LEAST / 4:
                break
            if taken[asked].mean() <= _HARDLY * usual:
                values = np.full(len(case.ts), np.nan)
                values[rows[full]] = taken[full]
                detail = {
                    "key": key.of.path,
                    "value": variable.vocabulary[code],
                    "cap": cap,
                    "hours": hours,
                    "usual": usual,
                }
                out.append(
                    (int(asked.sum()), invariant(variable, SIGNATURE, values, floor=_AGAIN * usual, detail=detail))
                )
                break
    return out


def _had(of: Ints, ts: Ints, taken: Bools, span: int) -> Ints:
    """How often each row's key had the decision in the time before it; rows are sorted by key and time, shape (rows,)."""
    at = of * (int(np.ptp(ts)) + 2 * span) + (ts - int(ts.min())) if ts.size else ts
    total = np.append(0, np.cumsum(taken))
    out: Ints = total[np.arange(at.size)] - total[np.searchsorted(at, at - span)]
    return out


def proof(case: Case, suspect: Suspect) -> Proof:
    """What it proves that keys are given more than their fill: nothing where they are a few."""
    key = case.variables[suspect.hit.channel.detail["key"]].kinds
    return Proof.HARD if np.unique(key[suspect.bad]).size >= _SEVERAL else Proof.SOFT
