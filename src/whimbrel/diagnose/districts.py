"""Tables by how a code begins: a territory by the letters of a postcode, a duty by a tariff number's first digits, a bank by a card's.

In: a `Case` and a step's number. Out: its exact relation to how an input's codes begin, where golden has many of these and the table also holds for codes
that taught nothing of it; and whether such a table was merely renewed.
"""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from whimbrel.diagnose.case import LONG, MAX_VALUES, Case, Variable
from whimbrel.diagnose.forms import EXACT_SHARE, tabled
from whimbrel.diagnose.relations import Relation, Split
from whimbrel.diagnose.suspects import Suspect
from whimbrel.model.fields import Role

MARK = "#beginning"
_LETTERS, _WORD = re.compile(r"[^\W\d_]*"), re.compile(r"\w*")
_WAYS = (*(re.compile(f".{{,{length}}}", re.DOTALL) for length in range(1, 7)), _LETTERS, _WORD)
"""How a code may begin."""
_COARSER = 0.25
"""Beginnings to a code at most: more hardly say less than the code itself."""
_FEWEST, _STRANGERS = 4, 30
"""Beginnings from which on they are a table; rows held out whose own code taught nothing, and for which it holds."""
_IN_ORDER = 0.5
"""The rank correlation of a table's new entries with its old ones by which it is a renewed one."""


def by_beginning(case: Case, parts: Split, target: Variable) -> Relation | None:
    """The number as a table by the coarsest beginning of an input's codes that says it; None where there is none."""
    if target.numbers is None or target.derived:
        return None
    best: Relation | None = None
    fewest = np.inf
    for code in case.of(Role.INPUT):
        if code.codes is None or code.derived or code.distinct <= MAX_VALUES or not _is_code(code):
            continue
        seen = np.zeros(len(code.vocabulary) + 1, dtype=bool)
        seen[code.codes[parts.train]] = True
        fresh = parts.check[~seen[code.codes[parts.check]]]
        if fresh.size < _STRANGERS:
            continue
        for way in _WAYS:
            begins = _begun(code, way)
            if not _FEWEST <= len(begins.vocabulary) <= min(_COARSER * len(code.vocabulary), fewest - 1):
                continue
            found = tabled(parts, target, begins, EXACT_SHARE)
            if found is not None and _holds(found, fresh):
                best, fewest = replace(found, told=f"a table by how {code.path} begins"), len(begins.vocabulary)
    return best


def _is_code(variable: Variable) -> bool:
    sample = variable.vocabulary[:: max(1, len(variable.vocabulary) // 400)]
    return max(map(len, sample), default=LONG) < LONG


def _begun(code: Variable, way: re.Pattern[str]) -> Variable:
    """How each row's code begins, as a category."""
    assert code.codes is not None
    index: dict[str, int] = {}
    mapped = [
        index.setdefault(found.group() if (found := way.match(value)) else "", len(index)) for value in code.vocabulary
    ]
    return replace(
        code,
        name=f"{code.name}{MARK}",
        codes=np.array([*mapped, -1], dtype=np.int64)[code.codes],
        vocabulary=tuple(index),
    )


def _holds(found: Relation, rows: np.ndarray) -> bool:
    surprise = found.surprise[rows]
    known = surprise[np.isfinite(surprise)]
    return known.size >= _STRANGERS and float(known.mean()) <= 1 - EXACT_SHARE


def renewed(case: Case, suspect: Suspect) -> bool:
    """Whether such a table has one new entry for each old one, mostly in their old order: its owner rates anew.

    Rows of it that stand beside others' beginnings are in another order.
    """
    relation: Relation | None = suspect.hit.channel.detail.get("relation")
    if relation is None or not relation.parents[0].endswith(MARK):
        return False
    values = case.variables[relation.target].numbers
    assert values is not None
    rows = suspect.affected & np.isfinite(relation.surprise)
    entries, index = np.unique(relation.expected[rows], return_inverse=True)
    if entries.size < 3:
        return False
    now = np.bincount(index, weights=values[rows]) / np.bincount(index)
    ranks = [np.argsort(np.argsort(one)) for one in (entries, now)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1]) >= _IN_ORDER
