"""What stays where it is averages out later than what is new each day."""

import numpy as np
import pytest

from whimbrel.diagnose.wobble import wobble

BLOCKS, WINDOW, MACHINES, ROWS = 12, 2, 80, 40


def walks(stays: float, seed: int) -> np.ndarray:
    """Block means of many machines, each of which forgets where it was at the same rate, shape (blocks, machines)."""
    rng = np.random.default_rng(seed)
    means = [rng.normal(size=MACHINES)]
    for _ in range(BLOCKS + WINDOW - 1):
        means.append(stays * means[-1] + np.sqrt(1 - stays**2) * rng.normal(size=MACHINES))
    return np.array(means)


def departures(stays: float) -> float:
    """The spread of how far windows are from golden in the errors that are said of it: 1 where these are right."""
    out = []
    for seed in range(20):
        means = walks(stays, seed)
        counts = np.full((BLOCKS, MACHINES + 1, 1), float(ROWS))
        golden = np.column_stack([means[:BLOCKS].mean(axis=1), means[:BLOCKS]])[:, :, None]
        family = np.repeat([0, 1], [1, MACHINES])
        found = wobble(golden * ROWS, golden**2 * ROWS, counts, family, float(WINDOW))
        error = np.sqrt(found.difference[1:, 0])
        out.append((means[BLOCKS:].mean(axis=0) - means[:BLOCKS].mean(axis=0)) / error)
    return float(np.std(out))


@pytest.mark.parametrize(("stays", "most"), [(0.0, 1.15), (0.5, 1.2), (0.8, 1.4)])
def test_errors_are_those_of_what_stays(stays: float, most: float) -> None:
    assert 0.6 < departures(stays) < most


def test_a_slice_that_was_quiet_borrows_from_its_like() -> None:
    """One of many machines that stood still in golden may move as the others do; a dimension of its own does not."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(BLOCKS, MACHINES))
    means[:, 0] = 0.0
    golden = np.column_stack([np.zeros(BLOCKS), means, np.zeros(BLOCKS)])[:, :, None]
    family = np.repeat([0, 1, 2], [1, MACHINES, 1])
    counts = np.full((BLOCKS, MACHINES + 2, 1), float(ROWS))
    between = wobble(golden * ROWS, golden**2 * ROWS, counts, family, 2.0).between[:, 0]
    assert 0.1 < between[1] < 0.5
    assert between[-1] < 1e-9


def test_the_few_rows_that_golden_ends_with_say_little() -> None:
    """Seven days that are alike and an hour of nine rows, of which none is hit where every eleventh is: no day is unlike another."""
    counts = np.array([1_000.0] * 7 + [9.0])[:, None, None]
    hit = np.array([90.0, 94.0, 88.0, 92.0, 91.0, 89.0, 93.0, 0.0])[:, None, None]
    found = wobble(hit, hit, counts, np.array([0]), 1.0)
    assert found.difference[0, 0] < 0.005**2
    counts[-1], hit[-1] = 1_000.0, 222.0
    assert wobble(hit, hit, counts, np.array([0]), 1.0).difference[0, 0] > 0.02**2
