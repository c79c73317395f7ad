"""What a look-up says by a key, and renews from time to time, is what it said before: a store that went back to an older version, or forgot some keys.

In: a `Case` and golden's relations. Out: a channel for each number that a key tells for a while and hardly ever again: 1 where a row has a value that
its key had longer ago than golden's values come again, and another one in between. The distribution of such values does not move at all.
And one for each number with a value that golden gave to those who came for the first time: 1 where somebody has it who had another one before.
And one for each input that golden never changed for a key (when an article came out, where a shop is): 1 where it changes again and again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from whimbrel.diagnose.case import HOUR_US, Case, Variable
from whimbrel.diagnose.contracts import GRADED
from whimbrel.diagnose.keys import named
from whimbrel.diagnose.relations import Relation
from whimbrel.diagnose.scan import LAYER_OF, Channel
from whimbrel.diagnose.suspects import Proof, Suspect, abrupt
from whimbrel.model.fields import Role
from whimbrel.model.rows import Bools, Floats, Ints

SIGNATURES = ("bygone", "forgotten", "unsettled")
HOURS = (1, 3, 6, 12, 24, 48, 96)
"""How long ago a value may lie before it is an older one; the least after which golden's hardly come again."""
SHARED = 0.9
"""The share of golden's rows that must have the value of the row of their key in the hour before: the key tells it."""
RARE, OFTEN = 0.05, 0.3
"""The share of golden's rows that may have an older value, and of the rows that a store that went back must give one."""
TRIED = 0.3
"""The share of golden's rows whose key must be known for so long that it could have come again."""
ENOUGH = 200
"""Golden's rows that tell either."""
OTHERS_AS_WELL, _OTHERS = 0.2, (1, 2, 3, 5, 7)
"""The share of such values that another key may have had; which keys are looked at, in places farther on."""
LEAST_KEYS, MANY = 20, 8
"""Keys that there must be, and that must have gone back at once: a rate or two may happen to be what they were."""
FIRST, FORGOTTEN = 0.05, 0.002
"""The share of golden's keys that have a number's usual value when they first come, and of its rows that have it again after another."""

NEVER, UNSETTLED = 0.001, 3
"""The share of golden's rows with another value than their key had before that still is never; a key's changes that are more than a sale that came and went."""


def channels(case: Case, relations: Mapping[str, Relation]) -> list[Channel]:
    """One channel for each number that is not made of recorded fields and that a key tells; the key whose rows agree most."""
    keys = [ordered(case, key) for key in named(case) if key.distinct >= LEAST_KEYS]
    out = []
    for variable in case.of(Role.INPUT, Role.STEP):
        made = variable.name in relations and relations[variable.name].exact
        if variable.numbers is None or variable.derived or made or variable.distinct < GRADED:
            continue
        told = [(_agrees(case, variable, key), key) for key in keys]
        agrees, key = max(told, key=lambda one: one[0], default=(0.0, None))
        found = _older(case, variable, key) if key is not None and agrees >= SHARED else None
        if found is not None:
            layer, detail = LAYER_OF[variable.field.role], {"key": key.of.path if key is not None else ""}
            out.append(Channel(variable.path, layer, "bygone", "invariant", found, floor=0.1, detail=detail))
    return [*out, *(one for key in keys for one in _forgotten(case, relations, key)), *_unsettled(case, keys)]


def _unsettled(case: Case, keys: Sequence[Key]) -> list[Channel]:
    """Inputs that golden's keys keep and some of the window's do not; by the key of which most rows follow another."""
    out = []
    for variable in case.of(Role.INPUT):
        values = variable.codes if variable.codes is not None else variable.numbers
        if values is None or variable.derived or variable.distinct < GRADED:
            continue
        found = [one for key in keys if key.of is not variable and (one := _changes(case, variable, values, key))]
        if found:
            out.append(max(found, key=lambda one: one[0])[1])
    return out


def _changes(case: Case, variable: Variable, values: Ints | Floats, key: Key) -> tuple[tuple[int, int], Channel] | None:
    """Where a key that changes again and again has another value than just before, and how many of golden's rows say that they keep it.

    Among equals the key of the shorter names comes first. None where golden's do not keep it.
    """
    rows = key.rows[~variable.missing[key.rows]]
    assert key.of.codes is not None
    codes, golden = key.of.codes[rows], case.golden[rows]
    follows = np.append(False, np.diff(codes) == 0)[: rows.size]
    changed = follows & np.append(False, values[rows][1:] != values[rows][:-1])[: rows.size]
    usual = changed[follows & golden]
    if usual.size < ENOUGH or usual.mean() > NEVER or np.unique(codes[follows & golden]).size < LEAST_KEYS:
        return None
    again = np.bincount(codes, weights=changed & ~golden)[codes] >= UNSETTLED
    out = np.full(len(case.ts), np.nan)
    out[rows[follows]] = (changed & (again | golden))[follows]
    detail = {"key": key.of.path}
    return (usual.size, -len(key.of.vocabulary[0])), Channel(
        variable.path, "data", "unsettled", "invariant", out, floor=0.1, detail=detail
    )


def _forgotten(case: Case, relations: Mapping[str, Relation], key: Key) -> list[Channel]:
    """Numbers that begin with one value for whoever is new, and hardly ever come back to it."""
    out = []
    begins, golden = key.rows[~key.follows], case.golden
    if not key.follows[golden[key.rows]].sum() >= ENOUGH:
        return []
    for variable in case.of(Role.INPUT, Role.STEP):
        made = variable.name in relations and relations[variable.name].exact
        if variable.numbers is None or variable.derived or made or variable.distinct < GRADED:
            continue
        first = variable.numbers[begins[golden[begins]]]
        values, counts = np.unique(first[np.isfinite(first)], return_counts=True)
        if not counts.size or counts.max() < FIRST * first.size:
            continue
        new = float(values[counts.argmax()])
        had = np.append(np.nan, variable.numbers[key.rows][:-1])
        asked = key.follows & np.isfinite(had) & (had != new) & ~variable.missing[key.rows]
        again = np.where(asked, variable.numbers[key.rows] == new, np.nan)
        usual = again[asked & golden[key.rows]]
        if usual.size >= ENOUGH and usual.mean() <= FORGOTTEN:
            values_of = np.full(len(case.ts), np.nan)
            values_of[key.rows] = again
            detail = {"key": key.of.path, "value": new}
            layer = LAYER_OF[variable.field.role]
            out.append(Channel(variable.path, layer, "forgotten", "invariant", values_of, floor=0.02, detail=detail))
    return out


def proof(case: Case, suspect: Suspect) -> Proof:
    """What a suspect proves that such a channel leads: many keys do not go back by themselves, all at once or in one slice."""
    key = case.variables[suspect.hit.channel.detail["key"]]
    assert key.codes is not None
    rows = suspect.affected & (suspect.hit.channel.values == 1)
    several = np.unique(key.codes[rows]).size >= MANY
    if suspect.hit.channel.signature != "bygone":
        return Proof.HARD if several else Proof.SOFT
    sure = several and suspect.after >= OFTEN
    sure = sure and (bool(suspect.where) or abrupt(case, suspect)) and not _anyones(case, suspect.component, key, rows)
    return Proof.HARD if sure else Proof.SOFT


def _anyones(case: Case, component: str, key: Variable, rows: Bools) -> bool:
    """Whether values that keys had before are as well such as other keys had: degrees to a tenth come again by chance, and shops share their weather."""
    assert key.codes is not None
    kinds = case.variables[component].kinds
    width, golden = int(kinds.max()) + 1, case.golden & (key.codes >= 0)
    had, keys = np.unique(key.codes[golden] * width + kinds[golden]), np.unique(key.codes[golden])
    place = np.searchsorted(keys, key.codes[rows])
    shared = [np.isin(keys[(place + on) % keys.size] * width + kinds[rows], had).mean() for on in _OTHERS]
    return float(np.mean(shared)) > OTHERS_AS_WELL


@dataclass(frozen=True, eq=False)
class Key:
    """A field that says whose row it is, and the rows that know it, key by key, each in order of time."""

    of: Variable
    rows: Ints
    follows: Bools
    """Whether the row before in that order is of the same key, shape (rows,)."""


def ordered(case: Case, key: Variable) -> Key:
    """The key with its rows in order."""
    assert key.codes is not None
    rows = np.flatnonzero(key.codes >= 0)
    rows = rows[np.lexsort((case.ts[rows], key.codes[rows]))]
    return Key(key, rows, np.append(False, np.diff(key.codes[rows]) == 0)[: rows.size])


def _agrees(case: Case, variable: Variable, key: Key) -> float:
    """The share of golden's rows with the value of the row of their key in the hour before; 0 where there are few such rows."""
    soon = np.append(False, np.diff(case.ts[key.rows]) <= HOUR_US) & key.follows & case.golden[key.rows]
    soon &= ~variable.missing[key.rows]
    same = np.append(False, np.diff(variable.kinds[key.rows]) == 0)
    return float(same[soon].mean()) if soon.sum() >= ENOUGH else 0.0


def _older(case: Case, variable: Variable, key: Key) -> Floats | None:
    """1.0 where a value is an older one of its key and another was in between, 0.0 where it is not, NaN where none is known of that time.

    Shape (n,). None where golden's values come again by themselves. What was longer ago than golden can say that of comes again by the
    week, it may be.
    """
    rows = key.rows[~variable.missing[key.rows]]
    assert key.of.codes is not None
    codes, kinds, ts, golden = key.of.codes[rows], variable.kinds[rows], case.ts[rows], case.golden[rows]
    if golden.sum() < ENOUGH:
        return None
    another = np.append(True, np.diff(codes) != 0)
    turn = np.cumsum(another | np.append(True, np.diff(kinds) != 0)) - 1  # a stretch of time of one key and value
    _, first, of = np.unique(codes * (int(kinds.max()) + 1) + kinds, return_index=True, return_inverse=True)
    known_for = ts - ts[np.flatnonzero(another)[np.cumsum(another) - 1]]
    since_first, since_last = ts - ts[first[of]], ts - _left(turn, of, ts)[turn]
    asked_of = float(np.quantile(known_for[golden], 1 - TRIED))
    for hours in HOURS:
        asked, old = known_for > hours * HOUR_US, since_first > hours * HOUR_US
        if (asked & golden).sum() < ENOUGH:
            return None
        if old[asked & golden].mean() <= RARE:
            out = np.full(len(case.ts), np.nan)
            out[rows[asked]] = (old & (since_last <= asked_of))[asked]
            return out
    return None


def _left(turn: Ints, of: Ints, ts: Ints) -> Floats:
    """When each stretch's key had left the stretch's value last before, shape (stretches,); minus infinity where it never had it."""
    start = np.flatnonzero(np.append(True, np.diff(turn) != 0))
    end = np.append(start[1:], turn.size) - 1
    order = np.lexsort((start, of[start]))
    again = np.append(False, np.diff(of[start][order]) == 0)
    out = np.full(start.size, -np.inf)
    out[order[again]] = ts[end[order[np.flatnonzero(again) - 1]]]
    return out
