"""Distances, intervals, onsets and many tests at once: against known values, and against what chance alone does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whimbrel.stats.distance import divergence, divergence_of_two, freedom, noise, normalised, surprise
from whimbrel.stats.intervals import beta_cdf, clopper_pearson, wilson
from whimbrel.stats.many import benjamini_hochberg, high_quantile
from whimbrel.stats.onset import share_onset, value_onset

draw = np.random.default_rng(0)
STARTS = np.array([0, 3])


def test_shares_sum_to_one_within_each_block_and_an_empty_block_stays_empty() -> None:
    shares = normalised(np.array([[1.0, 1, 2, 0, 0], [0, 0, 4, 3, 1]]), STARTS)
    assert shares.tolist() == [[0.25, 0.25, 0.5, 0, 0], [0, 0, 1, 0.75, 0.25]]


def test_divergence_is_zero_of_equals_and_ln_2_of_strangers() -> None:
    before, after = np.array([0.5, 0.5, 0, 1, 0]), np.array([0.5, 0.5, 0, 0, 1])
    assert divergence(before, after, STARTS) == pytest.approx([0, np.log(2)])
    assert divergence_of_two(np.array([0.0, 0.2]), np.array([1.0, 0.2])) == pytest.approx([np.log(2), 0])
    assert freedom(before, after, STARTS).tolist() == [1, 1]


@given(st.lists(st.floats(0.01, 1), min_size=5, max_size=5), st.lists(st.floats(0.01, 1), min_size=5, max_size=5))
def test_divergence_is_symmetric_and_bounded(a: list[float], b: list[float]) -> None:
    one, other = normalised(np.array(a), STARTS), normalised(np.array(b), STARTS)
    found = divergence(one, other, STARTS)
    assert found == pytest.approx(divergence(other, one, STARTS))
    assert ((found >= 0) & (found <= np.log(2) + 1e-12)).all()


def test_two_samples_of_one_distribution_surprise_nobody() -> None:
    """Over many draws the surprise has mean 0 and spread 1, whatever the sizes and the number of bins."""
    for bins, n, m in ((2, 500, 5000), (10, 2000, 2000), (40, 20_000, 3000)):
        shares = draw.dirichlet(np.full(bins, 20.0))
        a, b = draw.multinomial(n, shares, 2000) / n, draw.multinomial(m, shares, 2000) / m
        starts = np.zeros(1, np.int64)
        found = surprise(divergence(a, b, starts), np.array(noise(n, m)), freedom(a, b, starts))
        assert abs(found.mean()) < 0.15
        assert 0.85 < found.std() < 1.15


def test_intervals_are_those_of_the_tables() -> None:
    assert clopper_pearson(0, 10) == pytest.approx((0, 0.3085), abs=1e-4)
    assert clopper_pearson(5, 10) == pytest.approx((0.1871, 0.8129), abs=1e-4)
    assert clopper_pearson(10, 10, level=0.9) == pytest.approx((0.7411, 1), abs=1e-4)
    assert clopper_pearson(459, 459)[0] == pytest.approx(0.992, abs=1e-3)
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(0, 100) == pytest.approx((0, 0.0370), abs=1e-4)
    assert wilson(0, 0) == (0, 1)
    assert clopper_pearson(0, 0) == (0, 1)


@given(st.integers(0, 300), st.integers(0, 300))
def test_an_interval_holds_its_share_and_the_exact_one_is_the_wider(hits: int, misses: int) -> None:
    n = hits + misses
    if n:
        low, high = clopper_pearson(hits, n)
        assert 0 <= low <= hits / n <= high <= 1
        inner_low, inner_high = wilson(hits, n)
        assert high - low >= inner_high - inner_low - 0.03


def test_the_beta_distribution_mirrors() -> None:
    for x in (0.01, 0.3, 0.77):
        assert beta_cdf(x, 3, 8) == pytest.approx(1 - beta_cdf(1 - x, 8, 3), abs=1e-12)
    assert beta_cdf(0.5, 4, 4) == pytest.approx(0.5)


def test_a_step_in_a_share_is_found_where_it_is() -> None:
    totals = np.full(48, 200)
    hits = draw.binomial(totals, np.where(np.arange(48) < 30, 0.02, 0.15))
    found = share_onset(hits, totals)
    assert found is not None
    assert abs(found.at - 30) <= 1
    assert found.low <= 30 <= found.high
    assert found.before == pytest.approx(0.02, abs=0.01)
    assert found.after == pytest.approx(0.15, abs=0.02)


def test_a_series_that_is_off_from_its_first_point_begins_there_by_what_was_known() -> None:
    totals = np.full(24, 200)
    found = share_onset(draw.binomial(totals, 0.2), totals, prior=(10, 1000))
    assert found is not None
    assert found.at == 0


def test_a_constant_series_has_no_onset() -> None:
    assert share_onset(np.zeros(10), np.full(10, 5)) is None
    assert share_onset(np.array([3]), np.array([9])) is None
    assert value_onset(np.zeros(10), np.zeros(90), np.arange(10)) is None


_noise = np.random.default_rng(8)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (_noise.normal(0, 1, 900), _noise.normal(1.5, 1, 600)),
        (_noise.standard_t(2, 900), 2 + _noise.standard_t(2, 600)),  # one value far out is no onset
        (_noise.random(900) < 0.02, _noise.random(600) < 0.4),
        (_noise.normal(0, 1, 900), _noise.normal(0, 1, 600) + 8 * (_noise.random(600) < 0.3)),
    ],
    ids=["mean", "long tails", "share", "some values"],
)
def test_values_drawn_anew_are_found_from_the_first(before: np.ndarray, after: np.ndarray) -> None:
    """Whatever they are drawn from, to a few values; where all are drawn anew, from the first one on."""
    before, after = before.astype(float), after.astype(float)
    found = value_onset(np.concatenate([before[600:], after]), before[:600], np.arange(900) / 50)
    assert found is not None
    assert abs(found.at - 300) <= 12
    assert found.low <= found.at <= found.high
    assert found.before == pytest.approx(before.mean(), abs=0.3)
    assert found.after == pytest.approx(after.mean(), abs=0.3)
    whole = value_onset(after, before, np.arange(600) / 50)
    assert whole is not None
    assert whole.at == 0


def test_where_points_are_nearly_as_likely_what_was_noted_down_decides_and_else_the_fullest_unit_of_time() -> None:
    """A third of the rows show it, and of the eleven before the first that does none says much."""
    known, values = np.zeros(900), np.zeros(300)
    values[100::3] = 1.0
    times = np.arange(300) / 50
    sharp = value_onset(values, known, times)
    assert sharp is not None
    assert sharp.at == 100
    marked = value_onset(values, known, times, np.array([97, 180]))
    assert marked is not None
    assert marked.at == 97
    too_early = value_onset(values, known, times, np.array([60]))
    assert too_early is not None
    assert too_early.at == 100


def test_a_few_rows_that_show_nothing_are_no_reason_to_say_that_it_was_not_there_from_the_first() -> None:
    """Six in ten are hit: any row may be the first one hit, and that all were hit before is as likely as all those together."""
    rng = np.random.default_rng(3)
    values = (rng.random(400) < 0.6).astype(float)
    values[:12] = [0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 1]
    found = value_onset(values, np.zeros(900), np.arange(400) / 4)
    assert found is not None
    assert found.at == 0


def test_benjamini_hochberg_as_in_its_paper() -> None:
    """The fifteen p-values of Benjamini and Hochberg (1995), table 1: four are rejected at 0.05."""
    p = np.array([0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719, 0.6528,
                  0.7590, 1.0])  # fmt: skip
    shuffled = draw.permutation(15)
    assert benjamini_hochberg(p[shuffled]).sum() == 4
    assert benjamini_hochberg(p).tolist() == [True] * 4 + [False] * 11
    assert benjamini_hochberg(np.zeros(0)).tolist() == []


def test_the_quantile_of_maxima_reaches_past_the_samples_but_not_into_the_sky() -> None:
    maxima = draw.gumbel(3, 1, 30)
    truth = 3 - np.log(-np.log(0.99))
    assert high_quantile(maxima, 0.99) == pytest.approx(truth, abs=2.5)
    assert high_quantile(maxima, 0.99) >= np.quantile(maxima, 0.9)
