"""Decisions that golden takes so often for each key and no oftener: two messages a reader and day, three codes an hour.

In: a `Case`. Out: for each decision that has such a cap a channel: of the rows whose key has had its fill 1 where it is given one more. And how often
its key had each decision of late, for the rule that reads it.
"""

from __future__ import annotations

import numpy as np

from whimbrel.diagnose.bygone import Key, ordered
from whimbrel.diagnose.case import HOUR_US, MAX_VALUES, SAMPLED, Case, Variable
from whimbrel.diagnose.keys import comes_again, named
from whimbrel.diagnose.pairs import TIMES
from whimbrel.diagnose.scan import Channel, invariant
from whimbrel.diagnose.suspects import Proof, Suspect
from whimbrel.model.fields import Role
from whimbrel.model.rows import Bools, Ints

SIGNATURE = "capped"
_HOURS, _MOST = (1, 3, 6, 12, 18, 24), 5
"""Hours back in which a key's decisions are counted; the highest cap that is looked for."""
_LEAST, _KEYS = 100, 20
"""Golden's rows that show a cap, and keys that there must be."""
_HARDLY, _AGAIN = 0.1, 0.5
"""The part of the usual rate at which a decision hardly is taken any more, and the part from which on there is no cap."""
_SEVERAL = 8
"""Keys that must be given one more than their fill."""


def channels(case: Case) -> list[Channel]:
    """One channel for each decision that has a cap, by the key and the hours in which most of golden's rows show it."""
    keys, out = _keys(case), []
    for variable in case.of(Role.DECISION):
        for code in _taken(case, variable):
            found = [one for key in keys for one in _capped(case, variable, code, key)]
            if found:
                out.append(max(found, key=lambda one: one[0])[1])
    return out


def fills(case: Case, variable: Variable) -> list[Variable]:
    """How often the key had a decision that is capped in the hours before it, for each number of hours: what a rule may cut.

    A cap of a day may begin anew at midnight, wherever that is: several numbers of hours, with the hour of the day, tell it.
    """
    out = []
    for key in _keys(case):
        for code in _taken(case, variable):
            if not _capped(case, variable, code, key):
                continue
            rows, taken = _of(key, variable, code)
            for hours in _HOURS:
                numbers = np.full(len(case.ts), np.nan)
                numbers[rows] = _had(key.of.kinds[rows], case.ts[rows], taken, hours * HOUR_US)
                name = f"{key.of.path}{TIMES}{variable.vocabulary[code]} {hours} h"
                out.append(Variable(name, key.of.field, numbers=numbers))
    return out


def _keys(case: Case) -> list[Key]:
    """What may be counted by: nothing where rows are left out, for nobody knows whose these were."""
    if max(case.sampled) > SAMPLED:
        return []
    return [ordered(case, key) for key in named(case) if key.distinct >= _KEYS and comes_again(case, key)]


def _taken(case: Case, variable: Variable) -> list[int]:
    """The codes of golden's decisions, where they are a few."""
    if variable.codes is None or variable.derived or not 1 < variable.distinct <= MAX_VALUES:
        return []
    return [int(code) for code in np.unique(variable.codes[case.golden & ~variable.missing])]


def _of(key: Key, variable: Variable, code: int) -> tuple[Ints, Bools]:
    """The rows of a key that say whether the decision was taken, by key and time, and whether it was, shape (rows,) each."""
    assert variable.codes is not None
    rows = key.rows[~variable.missing[key.rows]]
    return rows, variable.codes[rows] == code


def _capped(case: Case, variable: Variable, code: int, key: Key) -> list[tuple[int, Channel]]:
    """For each number of hours in which golden's keys have a fill: how many of its rows have had it, and the channel."""
    rows, taken = _of(key, variable, code)
    of, ts, golden = key.of.kinds[rows], case.ts[rows], case.golden[rows]
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
