"""The search finds what was planted in leaf tables, and only that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.slices.score import found
from tests.slices.worlds import f1, riskloc_s, squeeze_b, squeeze_d
from whimbrel.slices.cube import Records, cuboids, located, stacked, summed, tables, window_sums
from whimbrel.slices.measures import Means, leaf_noise
from whimbrel.slices.search import explain


@pytest.mark.parametrize("noise", [0.0, 0.03, 0.08])
@pytest.mark.parametrize("layer", [1, 2, 3])
def test_elements_of_one_cuboid_are_found_at_every_layer_and_noise(layer: int, noise: float) -> None:
    """Squeeze's B: one to three elements of one cuboid change by one ratio."""
    cases = [squeeze_b(100 * layer + n, layer=layer, elements=n, noise=noise) for n in (1, 2, 3)]
    assert np.mean([f1(found(case), case.truth) for case in cases]) >= 0.9


def test_causes_in_several_cuboids_are_told_apart() -> None:
    """RiskLoc's S: each cause has its own cuboid and its own ratio; the small one is not lost behind the large."""
    cases = [riskloc_s(seed, causes=n, noise=0.02) for seed in (1, 2) for n in (1, 2, 3)]
    assert np.mean([f1(found(case), case.truth) for case in cases]) >= 0.9


def test_a_derived_metric_is_searched_like_any_other() -> None:
    """Leaves that are quotients do not add up; their relative changes still agree."""
    cases = [squeeze_d(seed, layer=layer, elements=2, noise=0.02) for seed, layer in ((1, 1), (2, 2), (3, 3))]
    assert np.mean([f1(found(case), case.truth) for case in cases]) >= 0.9


def test_forecast_noise_alone_names_no_slice() -> None:
    """Sixteen quiet tables, not one slice."""
    quiet = [replace(squeeze_b(seed, layer=1, elements=1, noise=0.0)) for seed in range(4)]
    for seed, case in enumerate(quiet):
        for noise in (0.005, 0.02, 0.05, 0.08):
            rng = np.random.default_rng(seed)
            real = case.predict * np.maximum(1 + rng.normal(0, noise, len(case.predict)), 0)
            assert not found(replace(case, real=real))


def test_one_shift_of_all_leaves_is_everywhere() -> None:
    """Every leaf 20% lower, one slice 60%: all of it is told, and the slice as what differs."""
    case = squeeze_b(5, layer=1, elements=1, noise=0.02)
    assert found(replace(case, real=case.real * 0.8)) == case.truth


def test_sums_by_cell_are_those_of_counting_by_hand() -> None:
    """Blocks, strides and cuboids of three levels, against a loop over cells."""
    rng = np.random.default_rng(0)
    sizes, n = (3, 5, 2, 4), 200_000
    codes = tuple(rng.integers(0, size, n).astype(np.uint8) for size in sizes)
    weight = rng.normal(size=n)
    window = Records(codes, (None, weight))
    sums = window_sums(window, sizes, 3)
    assert set(sums) == {(), *cuboids(4, 1), *cuboids(4, 2), *cuboids(4, 3)}
    for cuboid, found_ in sums.items():
        ids = np.arange(found_.shape[1])
        for i, cell in enumerate(zip(*located(ids, cuboid, sizes), strict=True) if cuboid else [()]):
            held = window.inside(cuboid, cell)
            assert found_[0, i] == held.sum()
            assert found_[1, i] == pytest.approx(weight[held].sum(), abs=1e-6)


def _means(depth_summed: int) -> Means:
    rng = np.random.default_rng(3)
    sizes, n = (6, 5, 4, 5), 40_000
    windows = []
    for late in (False, True):
        codes = tuple(rng.integers(0, size, n).astype(np.uint8) for size in sizes)
        hit = (codes[0] == 2) & (codes[1] == 1) & (codes[3] == 4) & late
        values = rng.normal(size=n) + 1.5 * hit
        windows.append(Records(codes, (None, values, values**2) if late else (None, values)))
    sums = stacked([window_sums(window, sizes, depth_summed) for window in windows])
    spread = tuple(np.ones(size) for size in sizes)
    return Means(tuple(windows), sizes, 3, sums, spread, 1.0)


def test_pruning_finds_at_the_third_level_what_summing_all_of_it_finds() -> None:
    """Only promising pairs are looked into where there are many rows; the answer is the same."""
    pruned, full = explain(_means(2)), explain(_means(3))
    assert [(one.cuboid, one.cell) for one in pruned.slices] == [((0, 1, 3), (2, 1, 4))]
    assert [(one.cuboid, one.cell) for one in pruned.slices] == [(one.cuboid, one.cell) for one in full.slices]


def test_what_was_taken_out_is_gone_from_every_sum() -> None:
    """The evidence without some cells is that of the other rows alone."""
    evidence = _means(2)
    rest = evidence.without([((0,), (2,)), ((1, 3), (1, 4))])
    again = tables(rest.windows, rest.sizes, 2)
    assert sum(map(len, rest.windows)) < sum(map(len, evidence.windows))
    for cuboid, cells in rest.tables.items():
        np.testing.assert_allclose(cells.sums, again[cuboid].sums, atol=1e-6)


def test_noise_is_read_off_the_undisturbed_majority() -> None:
    """Forty per cent of the leaves halved: noise and middle are still those of the others."""
    rng = np.random.default_rng(0)
    size = np.exp(rng.normal(3, 2, 20_000))
    change = rng.normal(0, 0.05, 20_000)
    change[:8000] -= 0.67
    noise, middle = leaf_noise(change, size)
    assert np.median(noise) == pytest.approx(0.05, rel=0.25)
    assert abs(middle) < 0.05


def test_the_third_level_is_summed_whole_only_where_that_is_cheap() -> None:
    """Leaf tables are; a million rows of eight attributes are not."""
    assert summed(21_600, (6, 36, 10, 10), 3) == 3
    assert summed(2_000_000, (10,) * 8, 3) == 2
    assert summed(1_000, (10, 10, 10), 2) == 2
