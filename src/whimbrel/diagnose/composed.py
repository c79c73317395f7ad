"""Keys and names that a step puts together: `{document}@r{revision}`, `user:{id}:{country}`.

In: a `Case`, a step's or an output's field of many values and what came before it. Out: its exact relation to the parts, where golden's values are all put
together from them in one way. No table of golden's values knows tomorrow's documents; how their names are made does. Values that are made in another
way (no document at all, the next release's form of names) are not judged.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from whimbrel.diagnose.case import MAX_VALUES, Case, Variable
from whimbrel.diagnose.forms import EXACT_SHARE
from whimbrel.diagnose.relations import Relation, Split
from whimbrel.diagnose.support import thin
from whimbrel.model.fields import Role
from whimbrel.model.rows import Bools, Ints

_LEARNT = 400
"""Rows that a way is sought on."""
_LONGEST = 80
"""Characters, on average, up to which a value is a name and no text."""
_PARTS = 4
"""Fields that a name is put together from at most."""
_OFTEN = 0.2
"""The share of golden's rows whose values must be made in the one way."""
_LEAST = 100
"""Rows that must bear it out."""
_SLOT = 0xE000
"""The first of the characters that stand for a part: private ones, which no name has."""


def composed(case: Case, parts: Split, variable: Variable, parents: Sequence[Variable]) -> Relation | None:
    """The exact relation of a name to what it is put together from; None where it is not."""
    made = variable.field.role in (Role.STEP, Role.OUTPUT) and not variable.derived
    if variable.codes is None or not made or variable.distinct <= MAX_VALUES:
        return None
    rows = thin(parts.train[~variable.missing[parts.train]], _LEARNT)
    names = [variable.vocabulary[code] for code in variable.codes[rows].tolist()]
    if len(names) < _LEAST or sum(map(len, names)) > _LONGEST * len(names):
        return None
    found = _way(names, [p for p in parents if not p.derived and p.distinct > 1], rows)
    return None if found is None else _relation(case, parts, variable, *found)


def _way(names: list[str], parents: Sequence[Variable], rows: Ints) -> tuple[str, list[Variable]] | None:
    """How most names that can be taken apart are put together, each part a slot, and the parts; the longest part first."""
    said = {p.name: said_of(p, rows) for p in parents}
    rest, alive, chosen = list(names), list(range(len(names))), list[Variable]()
    while len(chosen) < _PARTS:
        best: tuple[int, Variable, dict[int, int]] | None = None
        for parent in parents:
            if parent in chosen:
                continue
            words = said[parent.name]
            at = {i: place for i in alive if (place := _place(words[i], rest[i])) >= 0}
            length = sum(len(words[i]) for i in at)
            if len(at) >= _OFTEN * len(names) and (best is None or length > best[0]):
                best = length, parent, at
        if best is None:
            return None
        _, parent, at = best
        alive = list(at)
        for i, place in at.items():
            rest[i] = rest[i][:place] + chr(_SLOT + len(chosen)) + rest[i][place + len(said[parent.name][i]) :]
        chosen.append(parent)
        left = {rest[i] for i in alive}
        if len(left) == 1:
            way = left.pop()
            return (way, chosen) if len(way) > 1 else None  # one part alone is a copy
    return None


def said_of(variable: Variable, rows: Ints) -> list[str]:
    """A field's values as a name has them; empty where there is none, or a number that is not whole."""
    if variable.codes is not None:
        words = [*variable.vocabulary, ""]
        return [words[code] for code in variable.codes[rows].tolist()]
    assert variable.numbers is not None
    return [str(int(x)) if np.isfinite(x) and x == int(x) else "" for x in variable.numbers[rows].tolist()]


def _place(word: str, name: str) -> int:
    """Where a word stands in a name, no part of a longer word or number; -1 where it does not."""
    at = name.find(word) if word else -1
    while at >= 0:
        if not (_go_on(name[at - 1 : at], word[0]) or _go_on(word[-1], name[at + len(word) : at + len(word) + 1])):
            return at
        at = name.find(word, at + 1)
    return -1


def _go_on(one: str, other: str) -> bool:
    return (one.isdigit() and other.isdigit()) or (one.isalpha() and other.isalpha())


def _relation(case: Case, parts: Split, variable: Variable, way: str, chosen: list[Variable]) -> Relation | None:
    """The relation that all rows are held against whose names look as the way makes them; None where golden does not keep it."""
    assert variable.codes is not None
    slots = re.compile(f"[{chr(_SLOT)}-{chr(_SLOT + _PARTS)}]")
    like = re.compile(".+".join(re.escape(piece) for piece in slots.split(way)))
    looks: Bools = np.array([*(like.fullmatch(name) is not None for name in variable.vocabulary), False])
    rows = np.flatnonzero(looks[variable.codes])
    place = {name: code for code, name in enumerate(variable.vocabulary)}
    expected, surprise = np.full(len(case.ts), np.nan), np.full(len(case.ts), np.nan)
    columns = [said_of(part, rows) for part in chosen]
    for row, *words in zip(rows.tolist(), *columns, strict=True):
        if all(words):
            name = way
            for i, word in enumerate(words):
                name = name.replace(chr(_SLOT + i), word)
            expected[row] = place.get(name, np.nan)
            surprise[row] = float(variable.vocabulary[variable.codes[row]] != name)
    check = parts.check[np.isfinite(surprise[parts.check])]
    right = 1 - float(surprise[check].mean()) if check.size else 0.0
    if check.size < max(_LEAST, _OFTEN * parts.check.size) or right < EXACT_SHARE:
        return None
    told = f"put together as {way}"
    for i, part in enumerate(chosen):
        told = told.replace(chr(_SLOT + i), "{" + part.name + "}")
    names = tuple(part.name for part in chosen)
    surprise[parts.train] = np.nan
    return Relation(variable.name, names, "function", True, right, expected, surprise, told=told)
