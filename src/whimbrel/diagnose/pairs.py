"""Two numbers that are read as one: a price by its estimate, what is left of a budget, a need and a lack that are added up.

In: a category and the fields that it may be read off. Out: ratios, differences and weighted sums of two of them, as variables of their own, which a
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
from whimbrel.model.rows import Floats, Ints

_OVER, _LESS, _WITH = " / ", " - ", " + "
"""Between the names of two numbers that are read as one."""
TIMES = " × "
"""Between the name of a field and what was counted by it."""
_MOST, _BEST = 30, 4
"""Numbers of which two are tried as one, the nearest to the category first; ratios and differences that are kept for each of its values."""
_ROWS, _MORE_ROWS = 2_000, 10_000
"""Rows on which they are tried, and on which weights are made exact."""
_ANGLES, _ROUNDS = 16, 6
"""Weights of a sum that are tried at first, and again between the neighbours of the best; how often."""
_SUMS = 3
"""Weighted sums that are kept, of different pairs."""


def paired(target: Variable, parents: Sequence[Variable], train: Ints) -> list[Variable]:
    """Ratios and differences of an output and another number that tell most of a value of the decision: what a rule may cut that reads both."""
    assert target.codes is not None
    rows = thin(train, _ROWS)
    values, which = np.unique(target.codes[rows], return_inverse=True)
    numbers = [v for v in parents if v.numbers is not None and v.recorded and v.distinct > MAX_VALUES][:_MOST]
    outputs = [v for v in numbers if v.field.role is Role.OUTPUT]
    others = [v for v in numbers if v not in outputs]
    pairs = [*combinations(outputs, 2), *product(outputs, others)]
    made = [one for a, b in pairs for one in _of_two(a, b)]
    if not made:
        return []
    told = np.stack([told_apart(which, values.size, bins_of(one.only(rows))) for one in made])
    best = np.argsort(-told, axis=0, kind="stable")[:_BEST]
    return [*(made[i] for i in np.unique(best)), *_summed(target, pairs, train)]


def _summed(target: Variable, pairs: Sequence[tuple[Variable, Variable]], train: Ints) -> list[Variable]:
    """The weighted sums of two numbers that one threshold divides best, with their weights (an oblique split: Murthy, Kasif and Salzberg 1994)."""
    assert target.codes is not None
    few, many = thin(train, _ROWS), thin(train, _MORE_ROWS)
    scaled = {v.name: _scaled(v, many) for pair in pairs for v in pair}
    wide = np.linspace(-np.pi / 2, np.pi / 2, _ANGLES, endpoint=False)[1:]  # the first is one number alone
    tried = []
    for a, b in pairs:
        found = _best_angle(target.codes[few], scaled[a.name][few], scaled[b.name][few], wide[wide != 0])
        if found is not None:
            tried.append((*found, a, b))
    tried.sort(key=lambda one: -one[0])
    out = []
    for _, angle, a, b in tried[:_SUMS]:
        x, y, best, step = scaled[a.name], scaled[b.name], angle, np.pi / _ANGLES
        for _ in range(_ROUNDS):
            closer = _best_angle(target.codes[many], x[many], y[many], best + np.linspace(-step, step, 9))
            best, step = (closer[1] if closer is not None else best), step / 4
        out.append(Variable(f"{a.name}{_WITH}{b.name}", a.field, numbers=x * np.cos(best) + y * np.sin(best)))
    return out


def _scaled(variable: Variable, rows: Ints) -> Floats:
    """Its numbers by their spread in these rows, shape (n,)."""
    assert variable.numbers is not None
    known = variable.numbers[rows][~variable.missing[rows]]
    return variable.numbers / max(float(known.std()) if known.size else 0.0, 1e-12)


def _best_angle(codes: Ints, x: Floats, y: Floats, angles: Floats) -> tuple[float, float] | None:
    """How well the best sum of two numbers, weighed by an angle's cosine and sine, divides the codes at one threshold, and the angle.

    None where hardly any row has both.
    """
    known = np.isfinite(x) & np.isfinite(y)
    if known.sum() < max(0.5 * known.size, 2):
        return None
    values, which = np.unique(codes[known], return_inverse=True)
    x, y, flags = x[known], y[known], np.eye(values.size)[which]
    gains = [_gain(x * np.cos(angle) + y * np.sin(angle), flags) for angle in angles]
    best = int(np.argmax(gains))
    return gains[best], float(angles[best])


def _gain(numbers: Floats, flags: Floats) -> float:
    """The most that one threshold takes off the values' Gini impurity; `flags` are of shape (n, values)."""
    order = np.argsort(numbers, kind="stable")
    below = np.cumsum(flags[order], axis=0)[:-1]
    above = flags.sum(axis=0) - below
    sizes = np.arange(1, numbers.size)
    kept = (below**2).sum(axis=1) / sizes + (above**2).sum(axis=1) / (numbers.size - sizes)
    apart = np.diff(numbers[order]) > 0
    return float(kept[apart].max(initial=0.0)) / numbers.size


def _of_two(a: Variable, b: Variable) -> list[Variable]:
    """The ratio and the difference of two numbers, NaN where there is none, as variables that are named for both."""
    assert a.numbers is not None
    assert b.numbers is not None
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = a.numbers / b.numbers
    made = {_OVER: np.where(np.isfinite(ratio), ratio, np.nan), _LESS: a.numbers - b.numbers}
    return [Variable(f"{a.name}{sign}{b.name}", a.field, numbers=values) for sign, values in made.items()]


def parts_of(name: str) -> tuple[str, ...]:
    """The names of the two numbers that a variable was made of, or of what it was counted by; its own where it was not."""
    return tuple(name.partition(TIMES)[0].replace(_LESS, _OVER).replace(_WITH, _OVER).split(_OVER))
