"""A value that stays for a spell: no chance deals out the same one so often in a row, where golden's came as chance has it.

In: a `Case`. Out: a channel for each input of few values, 1 on rows of a spell that chance would not leave in all the window, in one slice or
another. A flag that is stuck for some minutes, and again later, is told by it, though both its values still come.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from whimbrel.diagnose.case import HOUR_US, Case, Variable, usual_by_hour
from whimbrel.diagnose.scan import Channel, invariant
from whimbrel.model.fields import Role
from whimbrel.model.rows import Bools, Ints

MOST_VALUES = 30
"""Different values of an input that is asked."""
LEAST_ROWS = 200
"""Rows of golden that tell how a slice's values follow each other."""
LEAST_SPELL = 30
"""Rows of the shortest spell that says anything."""
CHANCE = 1e-9
"""How likely a spell as long as that may be in all of a slice's window."""
AT_RANDOM = 2.5
"""Times as long as chance makes it that golden's longest spell may be: beyond, values come in spells by nature."""
LONGER = 2.0
"""Times golden's longest that a spell must last."""
CROWDED = 2.0
"""Times as many rows as are due at those hours that a spell may have: somebody's backlog is alike, and comes on top."""
APART = 0.1
"""How far a spell's rows may be from golden's by another category (total variation), beyond what chance makes of so few."""
HELD = 0.5
"""The share of what chance leaves open in which a row must say what the one before it of the same person, or place, said, to be held by it."""
_PAIRED = 8
"""Tags that are asked two at a time."""


def channels(case: Case) -> list[Channel]:
    """Rows of such spells; all rows must be at hand."""
    if max(case.sampled) > 1.05:
        return []
    asked = [v for v in case.of(Role.INPUT) if not v.derived and 1 < v.distinct <= MOST_VALUES]
    found = {v.name: np.zeros(len(case.ts), dtype=bool) for v in asked}
    new = _news(case, asked)
    for key in _keys(case) if asked else ():
        golden, window = (_ordered(case, key, rows) for rows in (case.golden, case.window))
        for variable in asked:
            told = new[variable.name]
            _mark(case, key, variable, golden[told[golden]], window[told[window]], found[variable.name])
    return [
        invariant(v, "spell", np.where(v.missing, np.nan, found[v.name]), floor=0.1)
        for v in asked
        if found[v.name].any()
    ]


def _news(case: Case, asked: Sequence[Variable]) -> dict[str, Bools]:
    """Rows that say something new of each input, shape (n,): not of whom it was said within the hour, where golden's said the same again.

    A user's network holds for a session, and the weather of a place for all who are there: they are one witness.
    """
    out = {v.name: np.ones(len(case.ts), dtype=bool) for v in asked}
    for path, codes in {**case.many, **case.categories}.items():
        order = np.lexsort((case.ts, codes))
        near = (np.diff(codes[order]) == 0) & (codes[order][1:] >= 0) & (np.diff(case.ts[order]) < HOUR_US)
        near &= case.golden[order][1:] == case.golden[order][:-1]
        later, earlier = order[1:][near], order[:-1][near]
        judged = case.golden[later]
        if judged.sum() < LEAST_ROWS:
            continue
        for variable in asked:
            if variable.path == path:
                continue
            kinds = variable.kinds
            shares = np.bincount(kinds[case.golden]) / max(int(case.golden.sum()), 1)
            chance = float((shares**2).sum())
            same = float((kinds[later] == kinds[earlier])[judged].mean())
            if same - chance > HELD * (1 - chance):
                out[variable.name][later] = False
    return out


def _keys(case: Case) -> Iterator[Ints]:
    """All traffic as one slice, each tag's values, and those of two tags: codes of shape (n,), negative where there is none."""
    tags = [d.codes for d in case.dimensions if len(d.values) > 1]
    yield np.zeros(len(case.ts), dtype=np.int64)
    yield from tags
    for a, b in combinations(tags[:_PAIRED], 2):
        yield np.where((a < 0) | (b < 0), -1, a * (int(b.max()) + 1) + b)


def _ordered(case: Case, key: Ints, rows: Bools) -> Ints:
    """These rows by slice, and in each by time."""
    chosen = np.flatnonzero(rows & (key >= 0))
    return chosen[np.lexsort((case.ts[chosen], key[chosen]))]


def _mark(case: Case, key: Ints, variable: Variable, golden: Ints, window: Ints, found: Bools) -> None:
    """Sets `found` on the window's rows of every spell of one input that chance does not leave in its slice."""
    golden, window = (rows[~variable.missing[rows]] for rows in (golden, window))
    starts, lengths = _spells(key, variable.kinds, window)
    long = lengths >= LEAST_SPELL
    if not long.any():
        return
    size = int(variable.kinds.max()) + 1
    cells = key[golden] * size + variable.kinds[golden]
    before, then = _spells(key, variable.kinds, golden)
    for start, length in zip(starts[long], lengths[long], strict=True):
        slice_, kind = int(key[window[start]]), int(variable.kinds[window[start]])
        count = int((key[golden] == slice_).sum())
        share = float((cells == slice_ * size + kind).sum()) / max(count, 1)
        if count < LEAST_ROWS or not 0 < share < 1:
            continue
        of_it = cells[before] == slice_ * size + kind
        usual = int(then[of_it].max(initial=1))
        goes_on = 1 - of_it.sum() / max(then[of_it].sum(), 1)  # how often golden's is followed by itself
        by_chance = np.log(max(count * (1 - share), 2.0)) / -np.log(share)
        share = max(share, min(goes_on + 2 * np.sqrt(goes_on * (1 - goes_on) / then[of_it].sum()), 1 - 1e-9))
        rows_there = int((key[window] == slice_).sum())
        least = max(LEAST_SPELL, np.log(CHANCE / rows_there) / np.log(share), LONGER * usual)
        if usual > AT_RANDOM * by_chance + 3 or length < least:
            continue
        rows = window[start : start + length]
        if case.visits is not None and np.unique(case.visits[rows]).size < least:
            continue  # what one patient is every row of the stay says
        due = _due(case, key == slice_, int(case.ts[rows[0]]), int(case.ts[rows[-1]]))
        if (1 + share) / 2 * due <= length <= CROWDED * due and not _others_came(
            case, variable, rows, golden[key[golden] == slice_]
        ):
            found[rows] = True


def _others_came(case: Case, variable: Variable, rows: Ints, base: Ints) -> bool:
    """Whether those of a spell are another kind of rows than golden's of the slice, by any other category: their values are their own."""
    for path, codes in case.categories.items():
        if path == variable.path:
            continue
        size = int(codes.max(initial=0)) + 2
        here, there = (np.bincount(codes[of] + 1, minlength=size) / of.size for of in (rows, base))
        by_chance = float(np.sqrt(2 * there * (1 - there) / (np.pi * rows.size)).sum()) / 2
        if here[there == 0].sum() > 0.5:
            continue  # a release, which all have
        if float(np.abs(here - there).sum()) / 2 > APART + 2.5 * by_chance:
            return True
    return False


def _spells(key: Ints, kinds: Ints, rows: Ints) -> tuple[Ints, Ints]:
    """Where each spell of one slice's equal values begins among ordered rows, and its length."""
    if rows.size == 0:
        return rows, rows
    changes = (np.diff(key[rows]) != 0) | (np.diff(kinds[rows]) != 0)
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
    return starts, np.diff(np.append(starts, rows.size))


def _due(case: Case, inside: Bools, first: int, last: int) -> float:
    """How many rows a slice has between two times (µs), as many as golden's days had at those hours."""
    hours = np.arange(first // HOUR_US, last // HOUR_US + 1)
    parts = (np.minimum(last, (hours + 1) * HOUR_US) - np.maximum(first, hours * HOUR_US)) / HOUR_US
    return float((usual_by_hour(case, inside)[hours % 24] * parts).sum())
