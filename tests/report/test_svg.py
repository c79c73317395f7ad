"""Charts: sensible ticks, and something true for no point, one point, constants, gaps and absurd numbers."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whimbrel.model.report import Point, Shape
from whimbrel.report import svg
from whimbrel.report.axes import Scale, number_ticks, time_ticks
from whimbrel.report.words import share

from . import samples

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
floats = st.floats(allow_nan=True, allow_infinity=True)


def points(*values: float) -> list[Point]:
    return [Point(NOON + timedelta(hours=i), v, v, v, 10) for i, v in enumerate(values)]


def numbers(drawn: str) -> list[float]:
    """Every coordinate in the chart."""
    ET.fromstring(drawn)
    attributes = " ".join(re.findall(r' (?:points|d|x|y|cx|cy|width|height)="([^"]*)"', drawn))
    return [float(n) for n in re.findall(r"-?[\d.]+(?:e-?\d+)?|nan|inf", attributes)]


def test_line_names_itself_and_marks_onset_and_events() -> None:
    one = samples.finding()
    drawn = svg.line(one.series, title="rate over time", unit=share, onset=one.since, events=one.events)
    root = ET.fromstring(drawn)
    assert root.get("role") == "img"
    assert root.get("aria-label") == "rate over time"
    assert {"tint", "onset", "event", "band", "line"} <= {part.get("class") for part in root.iter()}
    assert "deploy 3f2c91, 8 min before" in drawn
    assert [t.text for t in root.iter("text") if t.text and t.text.endswith("%")] == ["0%", "1%", "2%", "3%", "4%"]


def test_line_is_not_drawn_across_a_gap() -> None:
    series = points(1.0, 2.0, 1.0, 2.0)
    later = [Point(p.ts + timedelta(days=1), p.value, p.low, p.high, p.n) for p in series]
    assert svg.line([*series, *later], title="x").count('class="line"') == 2
    assert svg.line([*series, later[0]], title="x").count('class="point"') == 1


def test_line_of_nothing_says_so() -> None:
    assert "no measurement" in svg.line([], title="x")
    assert "no measurement" in svg.line(points(math.nan, math.inf), title="x")


@pytest.mark.parametrize("values", [(0.5,), (0.0,), (3.0, 3.0, 3.0), (-2.0,), (0.0, 0.0), (1.0, math.nan, 2.0)])
def test_line_of_one_point_or_a_constant_stays_inside_the_picture(values: tuple[float, ...]) -> None:
    drawn = svg.line(points(*values), title="x", width=400, height=200)
    assert all(0 <= n <= 400 for n in numbers(drawn))
    assert ('class="point"' in drawn) == (len(values) == 1)


@given(st.lists(st.tuples(st.datetimes(), floats, floats, floats), max_size=8), st.datetimes())
def test_line_never_fails(rows: list[tuple[datetime, float, float, float]], onset: datetime) -> None:
    series = [Point(ts.replace(tzinfo=UTC), v, low, high, 1) for ts, v, low, high in rows]
    drawn = svg.line(series, title="x", onset=onset.replace(tzinfo=UTC))
    assert all(math.isfinite(n) for n in numbers(drawn))


@given(floats, floats, floats, floats)
def test_dumbbell_and_bar_never_fail(before: float, after: float, low: float, high: float) -> None:
    drawn = svg.dumbbell(before, after, low, high, ends=(-1.0, 1.0), title="x")
    assert all(0 <= n <= 220 for n in numbers(drawn))
    assert all(0 <= n <= 64 for n in numbers(svg.bar(before, title="x")))


@given(st.lists(st.tuples(st.text(), floats, floats), max_size=40))
def test_histogram_never_fails(bins: list[tuple[str, float, float]]) -> None:
    names, before, after = zip(*bins, strict=True) if bins else ((), (), ())
    drawn = svg.histogram(Shape("x", names, before, after), title="x")
    ET.fromstring(drawn)


def test_histogram_names_few_bins_and_only_the_ends_of_many() -> None:
    few = svg.histogram(Shape("x", ("a", "b"), (0.5, 0.5), (0.1, 0.9)), title="x")
    many = svg.histogram(Shape("x", tuple("abcdefghij"), (0.1,) * 10, (0.1,) * 10), title="x")
    assert re.findall(r">(\w)</text>", few) == ["a", "b"]
    assert re.findall(r">(\w)</text>", many) == ["a", "j"]


def test_thinning_keeps_the_weighted_mean_and_the_widest_band() -> None:
    series = [Point(NOON + timedelta(hours=i), float(i), i - 1.0, i + 1.0, n=i + 1) for i in range(10)]
    thin = svg.thinned(series, 5)
    assert len(thin) == 5
    assert sum(p.n for p in thin) == sum(p.n for p in series)
    assert sum(p.value * p.n for p in thin) == pytest.approx(sum(p.value * p.n for p in series))
    assert (thin[0].low, thin[0].high) == (-1.0, 2.0)


@given(st.floats(-1e12, 1e12), st.floats(1e-9, 1e12), st.integers(2, 10))
def test_number_ticks_are_few_ordered_and_inside(low: float, size: float, most: int) -> None:
    ticks = number_ticks(low, low + size, most)
    assert 1 <= len(ticks) <= most
    assert ticks == sorted(ticks)
    assert all(low - size * 1e-3 <= t <= low + size * 1.001 for t in ticks)


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)),
    st.timedeltas(timedelta(seconds=1), timedelta(days=90_000)),
)
def test_time_ticks_are_few_and_inside(since: datetime, length: timedelta) -> None:
    since = since.replace(tzinfo=UTC)
    ticks = time_ticks(since, since + length, 8)
    assert len(ticks) <= 10
    assert all(since <= tick <= since + length for tick, _ in ticks)


@pytest.mark.parametrize(
    ("length", "labels"),
    [
        (timedelta(hours=3), ["Mar 1 12:00", "12:30", "13:00", "13:30", "14:00", "14:30", "15:00"]),
        (timedelta(hours=40), ["12:00", "18:00", "Mar 2", "06:00", "12:00", "18:00", "Mar 3"]),
        (timedelta(days=400), [f"{month} 2026" for month in ("May", "Jul", "Sep", "Nov")] + ["Jan 2027", "Mar 2027"]),
        (timedelta(days=365 * 30), ["2030", "2035", "2040", "2045", "2050", "2055"]),
    ],
)
def test_time_ticks_fall_on_round_times(length: timedelta, labels: list[str]) -> None:
    ticks = [label for _, label in time_ticks(NOON, NOON + length, 8)]
    assert ticks == labels


def test_scale_holds_its_ends_even_for_the_largest_numbers() -> None:
    x = Scale(-1.7e308, 1.7e308, 0, 100)
    assert (x(-1.7e308), x(0), x(1.7e308), x(math.inf)) == (0, 50, 100, 100)
    assert Scale(5, 5, 0, 100)(5) == 50
