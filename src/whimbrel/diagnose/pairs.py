"""Two numbers that are read as one: a price by its estimate, what is left of a budget.

In: a category and the fields that it may be read off. Out: ratios and differences of two of them, as variables of their own, which a
rule may cut where no cut of either alone decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product

import numpy as np

from whimbrel.diagnose.case import MAX_VALUES, Variable
from whimbrel.diagnose.hopes import bins_of, told_apart
from whimbrel.diagnose.support import thin
from whimbrel.model.fields import Role
from whimbrel.model.rows import Ints

_OVER, _LESS = " / ", " - "
"""Between the names of two numbers that are read as one."""
_MOST, _BEST = 30, 4
"""Numbers of which two are tried as one, the nearest to the category first; ratios and differences that are kept for each of its values."""
_ROWS = 2_000
"""Rows on which they are tried."""


def paired(target: Variable, parents: Sequence[Variable], train: Ints) -> list[Variable]:
    """Ratios and differences of an output and another number that tell most of a value of the decision: what a rule may cut that reads both."""
    assert target.codes is not None
    rows = thin(train, _ROWS)
    values, which = np.unique(target.codes[rows], return_inverse=True)
    numbers = [v for v in parents if v.numbers is not None and not v.derived and v.distinct > MAX_VALUES][:_MOST]
    outputs = [v for v in numbers if v.field.role is Role.OUTPUT]
    others = [v for v in numbers if v not in outputs]
    pairs = [*combinations(outputs, 2), *product(outputs, others)]
    made = [one for a, b in pairs for one in _of_two(a, b)]
    if not made:
        return []
    told = np.stack([told_apart(which, values.size, bins_of(one.only(rows))) for one in made])
    best = np.argsort(-told, axis=0, kind="stable")[:_BEST]
    return [made[i] for i in np.unique(best)]


def _of_two(a: Variable, b: Variable) -> list[Variable]:
    """The ratio and the difference of two numbers, NaN where there is none, as variables that are named for both."""
    assert a.numbers is not None
    assert b.numbers is not None
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = a.numbers / b.numbers
    made = {_OVER: np.where(np.isfinite(ratio), ratio, np.nan), _LESS: a.numbers - b.numbers}
    return [Variable(f"{a.name}{sign}{b.name}", a.field, numbers=values) for sign, values in made.items()]


def parts_of(name: str) -> tuple[str, ...]:
    """The names of the two numbers that a variable was made of; its own where it was not."""
    return tuple(name.replace(_LESS, _OVER).split(_OVER))
