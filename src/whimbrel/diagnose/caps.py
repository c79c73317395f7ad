"""Decisions that golden takes so often for each key and no oftener: two messages a reader and day, three codes an hour.

In: a `Case`. Out: for each decision that has such a cap a channel: of the rows whose key has had its fill 1 where it is given one more. And how often
its key had each decision of late, for the rule that reads it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whimbrel.diagnose.bygone import Key, ordered
from whimbrel.diagnose.case import HOUR_US, MAX_VALUES, SAMPLED, Case, Variable
from whimbrel.diagnose.clocks import is_hour
from whimbrel.diagnose.keys import comes_again, named
from whimbrel.diagnose.pairs import TIMES
from whimbrel.diagnose.scan import Channel, invariant
from whimbrel.diagnose.suspects import Proof, Suspect
from whimbrel.model.fields import Role
from whimbrel.model.rows import Bools, Floats, Ints

SIGNATURE = "capped"
_HOURS, _MOST = (1, 3, 6, 12, 24), 5
"""Hours back in which a key's decisions are counted, beside its day; the highest cap that is looked for."""
_LEAST, _KEYS = 100, 20
"""Golden's rows that show a cap, and keys that there must be."""
_HARDLY, _AGAIN = 0.1, 0.5
"""The part of the usual rate at which a decision hardly is taken any more, and the part from which on there is no cap."""
_NEVER = 0.002
"""The share of golden's rows that may have been given one more where a cap still is the very one."""
_SEVERAL = 8
"""Keys that must be given one more than their fill."""


def channels(case: Case) -> list[Channel]:
    """One channel for each decision that has a cap, by the key and the time in which most of golden's rows show it."""
    return [cap.channel for variable in case.of(Role.DECISION) for cap in _caps(case, variable)]


def fills(case: Case, variable: Variable) -> list[Variable]:
    """How often the key has had a decision in the time in which it is capped, where golden never gave it once more: what a rule may cut."""
    out = []
    for cap in _caps(case, variable):
        if cap.never:
            name = f"{cap.key.of.path}{TIMES}{cap.channel.detail['value']}"
            out.append(Variable(name, cap.key.of.field, numbers=cap.had))
    return out


@dataclass(frozen=True, eq=False)
class _Cap:
    """A cap of a decision, by a key and the time in which it is counted."""

    key: Key
    channel: Channel
    had: Floats
    """How often each row's key has had the decision, shape (n,), NaN where nobody knows."""
    asked: int
    """Golden's rows whose key has had its fill."""
    never: bool
    """Whether none of these was given one more."""


def _caps(case: Case, variable: Variable) -> list[_Cap]:
    """The cap of each of a decision's values that has one."""
    few = variable.codes is not None and not variable.derived and 1 < variable.distinct <= MAX_VALUES
    if not few or max(case.sampled) > SAMPLED:
        return []  # of what is left out nobody knows whose it was
    assert variable.codes is not None
    keys = [ordered(case, key) for key in named(case) if key.distinct >= _KEYS and comes_again(case, key)]
    out = []
    for code in np.unique(variable.codes[case.golden & ~variable.missing]):
        found = [cap for key in keys for cap in _capped(case, variable, int(code), key)]
        if found:
            out.append(max(found, key=lambda cap: (cap.never, cap.asked)))
    return out


def _spans(case: Case) -> dict[str, Ints]:
    """The time before each row in which decisions may be counted, by its name, µs, shape (n,): some hours, or since midnight by each clock there is."""
    golden = np.flatnonzero(case.golden)
    clocks = {v.name: v.numbers for v in case.of(Role.STEP, Role.INPUT) if v.numbers is not None and is_hour(v, golden)}
    begun = {"a day": case.hour} | {
        f"a day by {name}": np.floor(hours) + case.hour % 1 for name, hours in clocks.items()
    }
    fixed = {f"{hours} h": np.full(len(case.ts), hours * HOUR_US) for hours in _HOURS}
    return fixed | {name: np.nan_to_num(hours * HOUR_US).astype(np.int64) for name, hours in begun.items()}


def _capped(case: Case, variable: Variable, code: int, key: Key) -> list[_Cap]:
    """The cap that golden's keys show in each time in which they show one."""
    assert variable.codes is not None
    rows = key.rows[~variable.missing[key.rows]]
    of, ts, golden, taken = key.of.kinds[rows], case.ts[rows], case.golden[rows], variable.codes[rows] == code
    begun = np.where(golden, case.ts[case.golden].min(), case.ts[case.window].min(initial=int(case.ts.max())))
    begun -= begun % HOUR_US  # a log begins before its first row
    out = []
    for within, span in _spans(case).items():
        had = _had(2 * of + golden, ts, taken, span[rows])
        for most in range(1, _MOST + 1):
            full = had >= most
            asked, usual = full & golden, float(taken[golden & ~full].mean()) if (golden & ~full).any() else 0.0
            if asked.sum() < _LEAST or asked.sum() * usual < _LEAST / 4:
                break
            if taken[asked].mean() <= _HARDLY * usual:
                more, known = np.full((2, len(case.ts)), np.nan)
                more[rows[full]], known[rows] = taken[full], np.where(full | (ts - span[rows] >= begun), had, np.nan)
                said = {"key": key.of.path, "value": variable.vocabulary[code], "cap": most, "within": within}
                channel = invariant(variable, SIGNATURE, more, floor=_AGAIN * usual, detail=said)
                out.append(_Cap(key, channel, known, int(asked.sum()), bool(taken[asked].mean() <= _NEVER)))
                break
    return out


def _had(of: Ints, ts: Ints, taken: Bools, span: Ints) -> Ints:
    """How often each row's key had the decision in the time before it, shape (rows,); `of` numbers the keys, those of each window apart."""
    order = np.lexsort((ts, of))
    at = of * (int(np.ptp(ts)) + 2 * int(span.max(initial=0)) + 1) + (ts - int(ts.min(initial=0)))
    total = np.append(0, np.cumsum(taken[order]))
    out = np.zeros(at.size, dtype=np.int64)
    out[order] = total[np.arange(at.size)] - total[np.searchsorted(at[order], (at - span)[order])]
    return out


def proof(case: Case, suspect: Suspect) -> Proof:
    """What it proves that keys are given more than their fill: nothing where they are a few."""
    key = case.variables[suspect.hit.channel.detail["key"]].kinds
    return Proof.HARD if np.unique(key[suspect.bad]).size >= _SEVERAL else Proof.SOFT
