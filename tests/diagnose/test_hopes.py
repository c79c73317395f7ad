"""What no field tells anything of is not worth a fitted model; what many tell a little of is."""

from __future__ import annotations

import numpy as np
import pytest

from whimbrel.diagnose.boundaries import MOST_PARENTS
from whimbrel.diagnose.case import Case, Variable, build
from whimbrel.diagnose.hopes import FEW, LEAST_TOLD, Hopes
from whimbrel.diagnose.learning import LEAST_STRENGTH
from whimbrel.diagnose.relations import split
from whimbrel.model.fields import Field, Kind, Schema
from whimbrel.model.rows import Categories, Column, Numbers, Rows

N, PARENTS = 30_000, 12
RNG = np.random.default_rng(11)
X = RNG.normal(size=(N, PARENTS))
NOISE = RNG.normal(size=N)
CODES = RNG.integers(0, 5, N)
HOURS = np.arange(N) // 125


def case_of(y: np.ndarray, parents: int = PARENTS) -> Case:
    """Twelve days of golden and three of a window, a target beside numbers and a category that are none of each other's."""
    columns: dict[str, Column] = {f"inputs.x{j}": Numbers(X[:, j]) for j in range(parents)}
    columns |= {"inputs.y": Numbers(y), "inputs.code": Categories(CODES, tuple("abcde"))}
    schema = Schema.from_pairs((n, Kind.NUMBER if isinstance(c, Numbers) else Kind.TEXT) for n, c in columns.items())
    every = Rows(tuple(map(str, range(N))), HOURS * 3_600_000_000 + np.arange(N) % 125, columns, N)
    return build(every.take(np.arange(N) < 24_000), every.take(np.arange(N) >= 24_000), schema)


def hopeful(y: np.ndarray, parents: int = PARENTS) -> bool:
    case = case_of(y, parents)
    others = [v for name, v in case.variables.items() if name != "inputs.y"]
    return Hopes(case, split(case)).any(case.variables["inputs.y"], others)


@pytest.mark.parametrize(
    "y",
    [
        pytest.param(X.sum(axis=1) * np.sqrt(0.015) + NOISE * np.sqrt(1 - 0.015 * PARENTS), id="a little of each"),
        pytest.param(0.1 * X[:, 3] ** 2 + NOISE, id="no straight line"),
        pytest.param(0.25 * (CODES == 2) + NOISE, id="a category"),
        pytest.param(0.1 * np.sin(HOURS % 24 / 24 * 6.28) + NOISE, id="the clock"),
        pytest.param(np.exp(3 * NOISE + 0.3 * X[:, 0]), id="a long tail"),
        pytest.param(np.where(X[:, 1] > 1.5, np.nan, NOISE + 0.2 * X[:, 1]), id="often missing"),
        pytest.param((NOISE + 0.4 * X[:, 5] > 2).astype(float), id="seldom one"),
    ],
)
def test_what_a_field_or_the_clock_tells_something_of_is_worth_a_model(y: np.ndarray) -> None:
    assert hopeful(y)


@pytest.mark.parametrize("y", [NOISE, np.exp(3 * NOISE), np.full(N, 2.0), np.where(NOISE > 0, np.nan, NOISE)])
def test_noise_is_worth_none(y: np.ndarray) -> None:
    assert not hopeful(y)


FLAG = (NOISE > 0).astype(int)


def told(codes: np.ndarray, values: int, parents: int = PARENTS) -> bool:
    case = case_of(NOISE, parents)
    target = Variable("decision", Field("decision", Kind.TEXT), codes=codes, vocabulary=tuple("abcdefgh"[:values]))
    return Hopes(case, split(case)).any(target, [v for name, v in case.variables.items() if name != "inputs.y"])


@pytest.mark.parametrize(
    ("codes", "values"),
    [
        pytest.param((X[:, 2] > 0.7).astype(int), 2, id="by a threshold"),
        pytest.param(CODES // 2, 3, id="by another category"),
        pytest.param(np.where(X[:, 4] > 2.7, 2, FLAG), 3, id="one value that is seldom"),
        pytest.param(np.where(X[:, 0] > 0, np.where(X[:, 1] > 1, 0, 1), FLAG), 2, id="by two, here and there"),
        pytest.param(np.where(X[:, 6] > 1, -1, ((NOISE + 0.2 * X[:, 6]) > 0).astype(int)), 2, id="often missing"),
    ],
)
def test_a_category_of_which_a_field_tells_some_value_is_worth_a_model(codes: np.ndarray, values: int) -> None:
    assert told(codes, values)


@pytest.mark.parametrize(
    ("codes", "values"),
    [
        pytest.param(FLAG, 2, id="noise"),
        pytest.param(np.digitize(NOISE, [-1, 0, 1, 2]), 5, id="noise of five values"),
        pytest.param(np.zeros(N, dtype=int), 1, id="always the same"),
        pytest.param(np.full(N, -1), 1, id="never there"),
    ],
)
def test_a_category_of_which_nothing_tells_is_worth_none(codes: np.ndarray, values: int) -> None:
    assert not told(codes, values)


def test_among_few_fields_it_is_left_to_the_trees() -> None:
    together = np.sign(X[:, 0] * X[:, 1]) + NOISE  # neither tells anything alone
    assert hopeful(together, FEW - 1)


def test_all_fields_that_are_left_out_could_not_make_a_relation() -> None:
    assert LEAST_TOLD * MOST_PARENTS < LEAST_STRENGTH
