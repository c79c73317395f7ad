"""The four laws of every value that merges: zero is neutral, order and grouping don't matter, parts make up the whole."""

from __future__ import annotations

from math import isclose
from typing import Any, TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whimbrel.errors import UsageError
from whimbrel.model.profile import (
    KEPT_HASHES,
    KEPT_PICKS,
    Binning,
    Bins,
    Cells,
    Distinct,
    Moments,
    Picks,
    Profile,
)

V = TypeVar("V", Cells, Distinct, Picks, Profile)

WIDTH = 4
numbers = st.lists(st.floats(-1e6, 1e6), max_size=40).map(lambda v: np.array(v, np.float64))
hashes = st.lists(st.integers(0, 2**64 - 1), max_size=2 * KEPT_HASHES).map(lambda v: np.array(v, np.uint64))
rows = st.lists(st.tuples(st.integers(0, 50), st.tuples(st.floats(0, 1), st.text(max_size=2))), max_size=30)


@st.composite
def cells(draw: Any) -> Cells:
    keys = sorted(draw(st.sets(st.integers(-5, 30), max_size=6)))
    if not keys:
        return Cells()
    counts = draw(
        st.lists(st.lists(st.integers(0, 9), min_size=WIDTH, max_size=WIDTH), min_size=len(keys), max_size=len(keys))
    )
    return Cells(np.array(keys), np.array(counts))


def laws(zero: V, a: V, b: V, c: V) -> None:
    assert zero + a == a
    assert a + zero == a
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)


@given(cells(), cells(), cells())
def test_tables_of_counts(a: Cells, b: Cells, c: Cells) -> None:
    laws(Cells(), a, b, c)
    total = (a + b + c).total(WIDTH)
    assert (total == a.total(WIDTH) + b.total(WIDTH) + c.total(WIDTH)).all()
    for key in a.keys.tolist():
        assert ((a + b).at(key, WIDTH) == a.at(key, WIDTH) + b.at(key, WIDTH)).all()


@given(hashes, hashes, hashes)
@settings(deadline=None)
def test_distinct_sketches(a: Any, b: Any, c: Any) -> None:
    laws(Distinct(), Distinct.of(a), Distinct.of(b), Distinct.of(c))
    assert Distinct.of(a) + Distinct.of(b) == Distinct.of(np.concatenate([a, b]))


@given(rows, rows, rows)
def test_picked_rows(a: Any, b: Any, c: Any) -> None:
    laws(Picks(), Picks.of(a), Picks.of(b), Picks.of(c))
    assert Picks.of(a) + Picks.of(b) == Picks.of(a + b)


def test_picks_keep_the_smallest_hashes_only() -> None:
    shuffled = np.random.default_rng(0).permutation(5 * KEPT_PICKS).tolist()
    whole = Picks.of([(key, (float(key),)) for key in shuffled])
    assert [key for key, _ in whole.rows] == list(range(KEPT_PICKS))
    parts = [Picks.of([(key, (float(key),)) for key in shuffled[i::7]]) for i in range(7)]
    assert sum(parts, Picks()) == whole


def alike(a: Moments, b: Moments) -> bool:
    scale = 1e-9 * (1 + abs(a.m2) + a.mean**2 * a.n)
    return (
        a.n == b.n and (a.low, a.high) == (b.low, b.high)
        and isclose(a.mean, b.mean, rel_tol=1e-9, abs_tol=1e-6) and abs(a.m2 - b.m2) <= scale
    )  # fmt: skip


@given(numbers, numbers, numbers)
def test_moments(a: Any, b: Any, c: Any) -> None:
    x, y, z = Moments.of(a), Moments.of(b), Moments.of(c)
    assert Moments() + x == x
    assert x + Moments() == x
    assert alike(x + y, y + x)
    assert alike((x + y) + z, x + (y + z))
    assert alike(x + y + z, Moments.of(np.concatenate([a, b, c])))


def test_moments_are_those_of_numpy_and_survive_the_largest_floats() -> None:
    values = np.random.default_rng(1).normal(1e9, 1, 10_000)
    found = Moments.of(values[:10]) + Moments.of(values[10:])
    assert isclose(found.mean, values.mean(), rel_tol=1e-12)
    assert isclose(found.variance, values.var(), rel_tol=1e-6)
    huge = Moments.of(np.array([1e308, -1e308, 1e308]))
    assert (huge.n, huge.low, huge.high) == (3, -1e308, 1e308)
    assert np.isnan(Moments().variance)


@given(numbers)
def test_moments_pass_over_what_is_not_there(values: Any) -> None:
    whole = np.concatenate([values, np.repeat(values[:1], 5)])
    there = np.arange(len(whole)) < len(values)
    assert alike(Moments.of(whole, there), Moments.of(values))


def test_the_distinct_estimate_is_exact_for_few_and_near_for_many() -> None:
    draw = np.random.default_rng(2)
    few = draw.integers(0, 2**64 - 1, 100, np.uint64)
    assert Distinct.of(np.repeat(few, 50)).count == 100
    many = draw.integers(0, 2**64 - 1, 50_000, np.uint64)
    assert abs(Distinct.of(np.repeat(many, 3)).count / 50_000 - 1) < 0.2


BINNING = Binning((Bins("inputs.x", "number", edges=(0.0, 1.0), groups=(0, 1, 1, 2, 1)),))
COUNTS, GROUPS = BINNING.starts[-1], BINNING.group_starts[-1]


@st.composite
def profiles(draw: Any) -> Profile:
    if not draw(st.booleans()):
        return Profile(BINNING)
    day, n = draw(st.integers(0, 3)), draw(st.integers(1, 5))
    return Profile(
        BINNING,
        days=Cells(np.array([day]), np.full((1, COUNTS), n)),
        hours=Cells(np.array([24 * day]), np.full((1, GROUPS), n)),
        slices=Cells(np.array([0]), np.full((1, COUNTS), n)),
        moments=(Moments(n, 0.5, 0.0, 0.5, 0.5),),
        distinct=(Distinct.of(np.array([n], np.uint64)),),
        picks=Picks.of([(draw(st.integers(0, 99)), (0.5,))]),
        first=day,
        last=day,
    )


@given(profiles(), profiles(), profiles())
def test_profiles(a: Profile, b: Profile, c: Profile) -> None:
    laws(Profile(BINNING), a, b, c)
    assert (a + b).rows == a.rows + b.rows


def test_profiles_on_different_bins_do_not_add_up() -> None:
    with pytest.raises(UsageError, match="different bins"):
        Profile(BINNING) + Profile(Binning())
