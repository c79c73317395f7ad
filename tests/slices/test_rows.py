"""Two tables of rows: the slice that changed, the mix that changed, everything, or nothing."""

from __future__ import annotations

from functools import cache
from typing import Any

import pyarrow as pa
import pytest

import whimbrel
from tests.slices.worlds import rows
from whimbrel.slices import Slices


@cache
def _mixed(seed: int) -> Slices:
    return _asked(seed, 40_000, mix=True)


def _asked(seed: int, n: int = 20_000, metric: str = "value", **planted: Any) -> Slices:
    before, after = rows(seed, n, **planted)
    return whimbrel.slices(pa.table(before), pa.table(after), metric=metric)


def _where(answer: Slices) -> list[dict[str, str | None]]:
    return [dict(one.where) for one in answer.slices]


@pytest.mark.parametrize("seed", [0, 1])
def test_a_shift_in_one_value_two_or_three_is_named_exactly(seed: int) -> None:
    """The rest unchanged, the interval around the planted shift."""
    one = _asked(seed, hit={"country": 2}, effect=10)
    pair = _asked(seed, hit={"country": 2, "device": 1}, effect=15)
    triple = _asked(seed, 60_000, hit={"country": 2, "device": 1, "channel": 3}, effect=40)
    assert _where(one) == [{"country": "co2"}]
    assert _where(pair) == [{"country": "co2", "device": "de1"}]
    assert _where(triple) == [{"country": "co2", "device": "de1", "channel": "ch3"}]
    for answer, shift in ((one, 10), (pair, 15), (triple, 40)):
        assert answer.verdict == "slices"
        assert answer.slices[0].shift == pytest.approx(shift, rel=0.3)
        assert answer.rest.low < 0 < answer.rest.high


@pytest.mark.parametrize("seed", range(4))
def test_nothing_planted_is_nothing_found(seed: int) -> None:
    """Means, rates, counts and sums of two windows of the same world."""
    assert _asked(seed, 8_000).verdict == "nothing"
    assert _asked(seed, 8_000, binary=True).verdict == "nothing"
    assert _asked(seed, 8_000, metric="count").verdict == "nothing"
    assert _asked(seed, 8_000, metric="sum:value").verdict == "nothing"


@pytest.mark.parametrize("seed", range(3))
def test_a_change_of_mix_names_no_slice(seed: int) -> None:
    """Simpson's trap: countries and plans trade places, no value of any slice moves; the mix's share is told."""
    answer = _mixed(seed)
    assert answer.verdict in ("mix", "nothing")
    assert not answer.slices
    assert answer.mix is not None
    if answer.verdict == "mix":
        assert answer.mix.through in ("country", "plan")
        assert answer.mix.share == pytest.approx(1, abs=0.4)


def test_mix_is_a_verdict_where_it_moved_the_mean() -> None:
    """At least one of those worlds moves far enough to be told."""
    assert "mix" in {_mixed(seed).verdict for seed in range(3)}


def test_a_slice_is_found_under_a_change_of_mix_that_hides_it() -> None:
    """The mean hardly moves, since mix and slice cancel; both are told."""
    answer = _asked(0, hit={"country": 2, "device": 1}, effect=15, mix=True)
    assert _where(answer) == [{"country": "co2", "device": "de1"}]
    assert answer.mix is not None
    assert answer.mix.shift < 0


def test_an_even_change_is_everywhere_and_an_exception_is_named() -> None:
    """All rows 5 slower; one host 20."""
    even = _asked(0, everywhere=5)
    assert (even.verdict, even.slices) == ("everywhere", ())
    assert even.rest.low < 5 < even.rest.high
    but = _asked(1, everywhere=5, hit={"host": 3}, effect=15)
    assert but.verdict == "everywhere"
    assert _where(but) == [{"host": "ho3"}]
    assert but.slices[0].shift == pytest.approx(20, rel=0.3)


def test_rows_and_sums_that_went_missing_are_named() -> None:
    """A host that lost two fifths of its rows, by count and by sum."""
    for metric in ("count", "sum:value"):
        answer = _asked(0, hit={"host": 3}, keep=0.5, metric=metric)
        assert answer.relative
        assert _where(answer) == [{"host": "ho3"}]
        assert answer.slices[0].low < -0.35
        assert answer.slices[0].high < -0.3


def test_a_rate_is_a_boolean_column_or_one_value_of_any_column() -> None:
    """The same slice whichever way it is asked."""
    before, after = rows(1, 30_000, hit={"country": 2}, effect=0.2, binary=True)
    as_bool = [pa.table(t | {"value": [bool(v) for v in t["value"]]}) for t in (before, after)]
    as_text = [pa.table(t | {"value": ["yes" if v else "no" for v in t["value"]]}) for t in (before, after)]
    first = whimbrel.slices(*as_bool, metric="value")
    second = whimbrel.slices(*as_text, metric="rate:value=yes")
    assert _where(first) == _where(second) == [{"country": "co2"}]
    assert first.shift == pytest.approx(second.shift)


def test_the_answer_reads_aloud_and_is_plain_json() -> None:
    """Sentence, shares, and the columns that made no slices."""
    answer = _asked(1, hit={"country": 2}, effect=10)
    told = answer.to_dict()
    assert told["schema"] == "whimbrel.slices/1"
    assert told["sentence"].startswith("country=co2 holds 10")
    assert told["slices"][0]["where"] == {"country": "co2"}
    assert "like an id" in told["left_out"]["id"]
    assert "value" not in told["by"]
