"""The names of changes: units, offsets, renames, renumbered codes, and the words for a difference."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from whimbrel.diagnose import naming
from whimbrel.diagnose.case import Variable
from whimbrel.diagnose.naming import _a_price, _of_a_season
from whimbrel.diagnose.scan import Channel, Hit
from whimbrel.diagnose.shapes import (
    Conversion,
    conversion_of,
    difference_words,
    factor_words,
    offset_of,
    permutation_of,
    renamed_to,
    undone,
)
from whimbrel.diagnose.suspects import Proof, Suspect
from whimbrel.model.fields import Field, Kind
from whimbrel.model.window import Condition


@pytest.fixture
def sample() -> np.ndarray:
    return np.random.default_rng(5).gamma(4, 6.0, 4_000)


@pytest.mark.parametrize(
    ("factor", "offset"), [(100, 0), (1 / 1.609344, 0), (1.8, 32), (-1, 0), (1 / 1000, 0), (7.3, 0)]
)
def test_unit_changes_are_recognised(sample: np.ndarray, factor: float, offset: float) -> None:
    """Another sample of the same quantity in another unit gives back factor and offset."""
    other = np.random.default_rng(6).gamma(4, 6.0, 1_500) * factor + offset
    found = conversion_of(sample, other)
    assert found is not None
    assert found.factor == pytest.approx(factor, rel=0.15)


@pytest.mark.parametrize("places", [None, 1])
@pytest.mark.parametrize(("factor", "offset"), [(1.609344, 0), (1 / 1.609344, 0), (1.8, 32), (0.01, 0), (3600, 0)])
def test_values_that_come_again_tell_their_unit_whatever_the_mix(
    factor: float, offset: float, places: int | None
) -> None:
    """A few routes' lengths, others much travelled than before: turned back they are golden's own, value by value."""
    rng = np.random.default_rng(11)
    own = rng.choice(4_900, 60, replace=False) + 100.0
    before = rng.choice(own, 4_000)
    after = rng.choice(own[:25], 500, p=rng.dirichlet(np.ones(25))) * factor + offset
    if places is not None and factor > 0.1:
        after = after.round(places)
    found = undone(before, after)
    assert found is not None
    assert (found.factor, found.offset) == pytest.approx((factor, offset))


def test_values_that_are_everywhere_tell_no_unit() -> None:
    """Counts and cents that fill their range meet golden's whatever they are divided by; other routes are no other unit."""
    rng = np.random.default_rng(12)
    counts = rng.integers(1, 500, 4_000).astype(float)
    assert undone(counts, rng.integers(300, 900, 800).astype(float)) is None
    assert undone(rng.gamma(4, 6.0, 4_000).round(2), rng.gamma(4, 9.0, 800).round(2)) is None
    assert undone(rng.normal(5, 1, 4_000), rng.normal(8, 1, 800)) is None
    routes = rng.choice(9_000, 120, replace=False) + 100.0
    assert undone(rng.choice(routes[:60], 4_000), rng.choice(routes[60:], 500)) is None


def test_what_is_counted_is_in_no_unit() -> None:
    """Fewer plays of a month look like miles of kilometres; of distances in whole kilometres they may be."""
    rng = np.random.default_rng(4)
    plays = rng.negative_binomial(2, 0.1, 4_000).astype(float)
    assert conversion_of(plays, np.round(rng.permutation(plays) / 1.609)) is None
    far = np.round(rng.gamma(4, 60, 4_000))
    found = conversion_of(far, np.round(rng.permutation(far) / 1.609))
    assert found is not None
    assert "miles" in found.words


def test_growth_is_no_unit(sample: np.ndarray) -> None:
    """Prices that rise by a tenth, and the same distribution again, are no conversions."""
    rng = np.random.default_rng(7)
    assert conversion_of(sample, rng.gamma(4, 6.0, 2_000)) is None
    assert conversion_of(sample, rng.gamma(4, 6.6, 2_000)) is None


def test_more_large_amounts_are_no_unit() -> None:
    """Among amounts whose logarithms are spread evenly a few large ones are nearly all of the spread; miles are so many kilometres at every size."""
    rng = np.random.default_rng(11)
    before = np.exp(rng.normal(3.2, 1.1, 20_000))
    more = np.exp(np.where(rng.random(4_000) < 0.25, rng.normal(4.8, 0.9, 4_000), rng.normal(3.2, 1.1, 4_000)))
    assert conversion_of(before, more) is None
    found = conversion_of(before, 1.609344 * np.exp(rng.normal(3.2, 1.1, 4_000)))
    assert found is not None
    assert found.factor == pytest.approx(1.609344)


@pytest.mark.parametrize(("kept", "season"), [(0.1, True), (0.0, False)])
def test_what_people_do_less_of_they_still_do(kept: float, season: bool) -> None:
    """Most wait half as long, and the longest waits are as long as ever: another season. A unit makes those shorter as well."""
    rng = np.random.default_rng(12)
    before, after = (np.round(np.exp(rng.normal(2.4, 0.9, n))).astype(np.float64) for n in (20_000, 5_000))
    after = np.where(rng.random(5_000) < kept, after + 40, after / 1.852)
    assert _of_a_season(before, after, Conversion(1 / 1.852, 0.0, "", known=True), sudden=True) is season


def test_an_offset_is_the_same_everywhere(sample: np.ndarray) -> None:
    """A constant added to all is found; a stretch is not an offset."""
    again = np.random.default_rng(8).gamma(4, 6.0, 3_000)
    assert offset_of(sample, again + 15) == pytest.approx(15, abs=1)
    assert offset_of(sample, again * 1.5) is None


def test_a_rename_keeps_its_mass() -> None:
    """A known value vanishes and an unknown one takes its share: a rename. A value beside the old ones: a launch."""
    rng = np.random.default_rng(9)
    before = rng.choice(3, 4_000, p=[0.5, 0.3, 0.2])
    after = rng.choice([0, 3, 2], 2_000, p=[0.5, 0.3, 0.2])
    assert renamed_to(before, after, 4) == {1: 3}
    launched = rng.choice(4, 2_000, p=[0.4, 0.24, 0.16, 0.2])
    assert renamed_to(before, launched, 4) == {}
    merged = rng.choice([0, 3], 2_000, p=[0.45, 0.55])
    assert renamed_to(before, merged, 4) == {1: 3, 2: 3}
    fewer = rng.choice(4, 2_000, p=[0.5, 0.03, 0.02, 0.45])
    assert renamed_to(before, fewer, 4) == {}  # some still come


def test_a_renumbered_code_book_is_a_permutation() -> None:
    """Codes whose company changed places are paired with their new numbers; mere sampling is not."""
    rng = np.random.default_rng(10)
    counts = (np.array([900, 700, 500, 300]), np.array([450, 350, 250, 150]))
    centre = rng.normal(0, 1, (4, 5))
    noisy = [centre + rng.normal(0, 1, (4, 5)) / np.sqrt(n)[:, None] for n in counts]
    assert permutation_of(noisy[0], noisy[1], counts) == {}
    order = np.array([1, 0, 2, 3])  # codes 0 and 1 have changed places
    assert permutation_of(noisy[0], noisy[1][order], (counts[0], counts[1][order])) == {0: 1, 1: 0}


@pytest.mark.parametrize(("after", "moved"), [
    ((40, 240, 120), {0: 1, 1: 2, 2: 0}), ((120, 240, 40), {0: 1, 1: 0}), ((240, 120, 40), {}), ((160, 130, 110), {}), ((80, 200, 120), {}),
])  # fmt: skip
def test_codes_that_took_each_other_s_shares_at_once_changed_places(
    after: tuple[int, ...], moved: dict[int, int]
) -> None:
    """Other fields do not tell them apart, and moved with the season for all of them: shares say it, where it came from one row to the next."""
    rng = np.random.default_rng(10)
    counts = (np.array([1_200, 600, 200]), np.array(after))
    before, now = (rng.normal(0, 1, (3, 8)) / np.sqrt(n)[:, None] for n in counts)
    now += 0.26
    assert permutation_of(before, now, counts) == {}
    assert permutation_of(before, now, counts, sudden=True) == moved


def test_differences_in_words(sample: np.ndarray) -> None:
    """Each way to be wrong has its own sentence."""
    assert "100 times smaller" in difference_words(sample / 100, sample)
    assert "shifted by +3" in difference_words(sample + 3, sample)
    assert "every value is 0" in difference_words(np.zeros_like(sample), sample)
    assert "whole numbers" in difference_words(np.round(sample), sample)
    codes = np.random.default_rng(1).integers(0, 5, 500).astype(float)
    assert "permuted" in difference_words((codes * 2 + 1) % 5, codes)
    assert factor_words(0.01) == "100 times smaller"


@pytest.mark.parametrize(
    ("values", "renamed", "price"),
    [([59.99, 29.99, np.nan], 1, True), ([59.99, 29.99, np.nan], 2, False), ([3.0, 4.0, np.nan], 1, False)],
)
def test_one_amount_that_became_another_is_a_price(values: list[float], renamed: int, price: bool) -> None:
    """All of a list at once are another unit or code book, and a whole number may be a code."""
    fee = Variable("inputs.fee", Field("inputs.fee", Kind.NUMBER), numbers=np.array(values))
    assert _a_price(fee, np.ones(3, dtype=bool), renamed) is price


@pytest.mark.parametrize("others", [0.0, 0.1])
def test_one_value_where_golden_had_several_is_constant_though_a_fitted_model_showed_it(others: float) -> None:
    """The grade of all German letters is the commonest one; of an onset found a little early the first rows are as before."""
    rng = np.random.default_rng(13)
    n = 2_000
    golden, early = np.arange(n) < 1_000, (np.arange(n) >= 1_000) & (np.arange(n) < 1_040)
    grade = rng.choice([1.0, 2.0, 3.0, 4.0], n, p=[0.3, 0.45, 0.2, 0.05])
    grade[~golden & ~early & (rng.random(n) >= others)] = 2.0
    variable = Variable("steps.parse.grade", Field("steps.parse.grade", Kind.NUMBER), numbers=grade)
    case = SimpleNamespace(
        variables={variable.path: variable}, golden=golden, window=~golden, ts=np.arange(n) * 60_000_000
    )
    channel = Channel(variable.path, "features", "residual", "residual", grade)
    where = (Condition("context.lang", "de"),)
    hit = Hit(channel, where, 20.0, 6.3, 0.8, 0.0, 0.8, 1_000, grade, np.ones(n, dtype=bool))
    every = np.ones(n, dtype=bool)
    found = Suspect(variable.path, "features", hit, (hit,), Proof.SOFT, where, every, ~golden, 0, True, 0.8, 0.0, 0.8)
    case.hour, case.sampled = case.ts / 3_600_000_000 % 24, (1.0, 1.0)
    named = naming.name_shape(cast("Any", case), found)
    assert (named.proof, named.hit.channel.signature) == (
        (Proof.SOFT, "residual") if others else (Proof.HARD, "constant")
    )
