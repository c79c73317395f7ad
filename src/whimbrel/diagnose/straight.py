"""A plain weighted sum of what a fitted model sees: where that nearly tells a number, trees need only learn what is left.

In: a `Design`'s matrix, which columns are categories, and the number. Out: a `Straight`, which foretells it for any rows. Least squares with a ridge
(Hoerl and Kennard 1970) of numbers, of their logarithms, and of flags for null and for each category. And whether what an output departs
by is such a sum: then another model computes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whimbrel.diagnose.case import Case
from whimbrel.diagnose.relations import Relation
from whimbrel.diagnose.support import design_of
from whimbrel.diagnose.suspects import Suspect
from whimbrel.model.rows import Bools, Floats

_RIDGE, _REACH = 1.0, 6.0
TOLD, _FEWEST = 0.1, 200
"""The share of how far answers depart that inputs must tell beyond the answer itself to be another model's; the rows that show it."""
_STEADY, _ORDERLY = 0.5, 0.5
"""The same share that what the answer should be must tell alone; the square of the correlation of answers with it by which they keep their order."""
_FLAGS = 40
"""Categories of one column that have a flag of their own."""


@dataclass(frozen=True, eq=False)
class Straight:
    """The sum, and how columns become its terms."""

    categorical: Bools
    middle: Floats
    """Of each column, shape (p,)."""
    values: tuple[Floats, ...]
    """The categories that have flags, by column; none of a number."""
    centre: Floats
    spread: Floats
    weights: Floats
    level: float

    def of(self, x: Floats) -> Floats:
        """What the sum says of these rows, shape (rows,); terms beyond golden's count as its ends."""
        placed = (_terms(x, self.categorical, self.middle, self.values) - self.centre) / self.spread
        out: Floats = self.level + np.clip(placed, -_REACH, _REACH) @ self.weights
        return out


def straight(x: Floats, categorical: Bools, y: Floats) -> Straight:
    """The sum of least squares of `y`, shape (rows,), over the columns of `x`, shape (rows, p)."""
    middle = np.array([float(np.median(c[np.isfinite(c)])) if np.isfinite(c).any() else 0.0 for c in x.T])
    values = tuple(
        np.unique(c[np.isfinite(c)])[:_FLAGS] if one else np.zeros(0) for c, one in zip(x.T, categorical, strict=True)
    )
    terms = _terms(x, categorical, middle, values)
    centre, spread = terms.mean(axis=0), terms.std(axis=0)
    spread[spread == 0] = np.inf
    placed, level = np.clip((terms - centre) / spread, -_REACH, _REACH), float(y.mean())
    weights = np.linalg.solve(placed.T @ placed + _RIDGE * np.eye(placed.shape[1]), placed.T @ (y - level))
    return Straight(categorical, middle, values, centre, spread, weights, level)


def of_other_weights(case: Case, suspect: Suspect, relation: Relation | None) -> bool:
    """Whether an output departs by what its inputs are, not by chance nor by what the answer should be alone: another model computes it.

    Half of the rows teach a plain sum by how much they depart, the other half are foretold by it.
    """
    variable = case.variables.get(suspect.component)
    if relation is None or variable is None or variable.numbers is None:
        return False
    parents = [case.variables[name] for name in relation.parents if name in case.variables]
    gap = variable.numbers - relation.expected
    rows = np.flatnonzero(suspect.affected & np.isfinite(gap))
    design = design_of(case, parents, rows, rows) if rows.size >= _FEWEST else None
    if design is None:
        return False
    gap, expected = gap[rows], relation.expected[rows][:, None]
    columns = np.column_stack([design.x, expected])
    categorical = np.append(design.categorical, False)
    by_all, by_answer = (
        _foretold(x, kinds, gap) for x, kinds in ((columns, categorical), (expected, np.zeros(1, dtype=bool)))
    )
    return by_all - max(by_answer, 0.0) > TOLD


def of_fewer_parts(case: Case, suspect: Suspect, relation: Relation | None) -> bool:
    """Whether what the answer should be tells most of how an output departs, and its order is mostly kept: some of a model's parts are lost.

    All answers then lie nearer to the middle. A machine errs here and there.
    """
    variable = case.variables.get(suspect.component)
    if relation is None or variable is None or variable.numbers is None:
        return False
    rows = np.flatnonzero(suspect.affected & np.isfinite(variable.numbers - relation.expected))
    if rows.size < _FEWEST:
        return False
    made, expected = variable.numbers[rows], relation.expected[rows]
    by_answer = _foretold(expected[:, None], np.zeros(1, dtype=bool), made - expected)
    return by_answer >= _STEADY and float(np.corrcoef(made, expected)[0, 1]) ** 2 >= _ORDERLY


def _foretold(x: Floats, categorical: Bools, y: Floats) -> float:
    """The share of the variance of every second row that a sum learned from the others tells."""
    learned = straight(x[::2], categorical, y[::2])
    left = y[1::2] - learned.of(x[1::2])
    return 1 - float((left**2).sum() / max(float(((y[1::2] - y[1::2].mean()) ** 2).sum()), 1e-300))


def _terms(x: Floats, categorical: Bools, middle: Floats, values: tuple[Floats, ...]) -> Floats:
    """A flag for each category, or a number, its logarithm and whether it is null; shape (rows, terms)."""
    terms = []
    for column, one, usual, kinds in zip(x.T, categorical, middle, values, strict=True):
        if one:
            terms += [column == kind for kind in kinds]
            continue
        unknown = np.isnan(column)
        known = np.where(unknown, usual, column)
        terms += [known, np.sign(known) * np.log1p(np.abs(known)), unknown]
    return np.stack(terms, axis=1).astype(np.float64)
