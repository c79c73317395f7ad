"""What the world does to every row at once is no fault, however far it moves; what a new model does beside the old one is."""

from __future__ import annotations

import numpy as np
import pytest

from whimbrel.diagnose import diagnose_rows
from whimbrel.diagnose.boundaries import Boundaries
from whimbrel.diagnose.case import build
from whimbrel.diagnose.gather import onset
from whimbrel.diagnose.surroundings import channels
from whimbrel.model.fields import Kind, Schema
from whimbrel.model.report import Report
from whimbrel.model.rows import Numbers, Rows
from whimbrel.model.window import where_dict

from .shop import HOUR_US, SCHEMA, Cells, cells, report, rows, serve

CLEAN = np.zeros(20_000, dtype=bool)


def _heavy_lacks_colour(c: Cells) -> None:
    """Heavy parcels are often not looked at: golden and window alike."""
    c["inputs.colour"] = np.where((c["inputs.weight"] > 9) & (c["noise"][0] < 0.7), "", c["inputs.colour"])


def test_more_rows_of_a_kind_that_lacks_a_field_break_nothing() -> None:
    """A day of heavy parcels: three times the nulls, and each kind of parcel lacks its colour as often as ever."""
    golden, window = cells(20_000, 5, hours=240, start_hour=0), cells(6_000, 6, hours=24, start_hour=240)
    window["inputs.weight"] = np.round(window["inputs.weight"] * 1.6, 3)
    for c in (golden, window):
        _heavy_lacks_colour(c)
    window = serve(window, CLEAN[:6_000])
    found = diagnose_rows(rows(serve(golden, CLEAN), "g"), rows(window, "w"), SCHEMA, app="shop")
    assert not [f for f in found.findings if f.component == "inputs.colour"], found.sentence


def test_nulls_beyond_what_the_kind_of_row_explains_are_found() -> None:
    """The same day, and a feed that loses colours of light parcels as well."""
    golden, window = cells(20_000, 5, hours=240, start_hour=0), cells(6_000, 6, hours=24, start_hour=240)
    for c in (golden, window):
        _heavy_lacks_colour(c)
    window["inputs.colour"] = np.where(window["noise"][1] < 0.3, "", window["inputs.colour"])
    window = serve(window, CLEAN[:6_000])
    found = diagnose_rows(rows(serve(golden, CLEAN), "g"), rows(window, "w"), SCHEMA, app="shop")
    assert (found.verdict, found.findings[0].component) == ("fault", "inputs.colour"), found.sentence


@pytest.mark.parametrize("drop", [-4.0, 6.0])
def test_a_cold_day_is_no_offset(drop: float) -> None:
    """One temperature for all rows of an hour, and a front that moves it by more than golden's days did."""
    golden, window = cells(20_000, 7, hours=240, start_hour=0), cells(6_000, 8, hours=24, start_hour=240)
    rng = np.random.default_rng(9)
    hours = np.cumsum(rng.normal(0, 0.4, 400)) * 0.5
    for c, shift in ((golden, 0.0), (window, drop)):
        since = (c["ts"] - golden["ts"][0]) // HOUR_US
        c["inputs.weight"] = np.round(12 + hours[since] + np.sin(since / 24 * 6.28) + shift, 1)
    found = diagnose_rows(
        rows(serve(golden, CLEAN), "g"), rows(serve(window, CLEAN[:6_000]), "w"), SCHEMA, app="shop"
    )  # fmt: skip
    assert found.verdict == "healthy", found.sentence


@pytest.mark.parametrize("strike", [True, False])
def test_a_scale_that_moved_as_a_whole_has_no_sentinel(strike: bool) -> None:
    """Days of delay: in a strike all are later, some more than others; a default of 4 for a third leaves the rest alone."""
    golden, window = cells(20_000, 7, hours=240, start_hour=0), cells(6_000, 8, hours=24, start_hour=240)
    rng = np.random.default_rng(10)
    for c in (golden, window):
        c["inputs.weight"] = np.minimum(rng.geometric(0.3, len(c["ts"])), 24).astype(float)
    late = window["inputs.weight"] + rng.integers(1, 8, 6_000) * (rng.random(6_000) < 0.8)
    window["inputs.weight"] = late if strike else np.where(rng.random(6_000) < 0.33, 4.0, window["inputs.weight"])
    found = diagnose_rows(
        rows(serve(golden, CLEAN), "g"), rows(serve(window, CLEAN[:6_000]), "w"), SCHEMA, app="shop"
    )  # fmt: skip
    assert ("inputs.weight" in [f.component for f in found.findings]) is not strike, found.sentence


@pytest.mark.parametrize(("kept", "slow", "moved"), [(0.5, 1.0, 0.0), (1.0, 1.5, 0.4), (1.0, 1.0, 0.0)])
def test_as_slow_as_ever_with_half_the_traffic_is_not_slower(kept: float, slow: float, moved: float) -> None:
    """Servers are as busy as ever, though half of the predictions are another app's now; what takes longer at the usual load is slower."""
    rng = np.random.default_rng(14)
    per_hour = np.round(40 + 30 * np.sin(np.arange(24 * 11) / 24 * 6.28)).astype(int)
    hour = np.repeat(np.arange(per_hour.size), per_hour)
    window = hour >= 240
    stays = ~window | (rng.random(hour.size) < kept)
    ms = per_hour[hour] / 10 * np.exp(0.2 * rng.standard_normal(hour.size)) * np.where(window, slow, 1.0)
    ts = hour * HOUR_US + rng.integers(0, HOUR_US, hour.size)
    every = Rows(tuple(map(str, range(hour.size))), ts, {"spans.queue": Numbers(ms)}, hour.size)
    case = build(every.take(~window), every.take(window & stays), Schema.from_pairs([("spans.queue", Kind.NUMBER)]))
    slower = next(c for c in channels(case, Boundaries({}, ())) if c.signature == "slower")
    assert abs(float(slower.values[case.window].mean()) - moved) < 0.08


@pytest.mark.parametrize(("times", "slow", "moved"), [(2, 1.1, 0.0), (2, 1.5, 0.22), (1, 1.1, 0.1)])
def test_a_little_slower_is_what_growth_does(times: int, slow: float, moved: float) -> None:
    """Where twice as many come as ever did, a tenth more time is theirs; half as much again is not, nor a tenth on a day like others."""
    rng = np.random.default_rng(15)
    days = np.repeat(np.arange(11), np.where(np.arange(11) < 10, 1_200, 1_200 * times))
    window = days == 10
    ts = days * 24 * HOUR_US + rng.integers(0, 24 * HOUR_US, days.size)
    ms = 8 * np.exp(0.2 * rng.standard_normal(days.size)) * np.where(window, slow, 1.0)
    every = Rows(tuple(map(str, range(days.size))), ts, {"spans.queue": Numbers(ms)}, days.size)
    case = build(every.take(~window), every.take(window), Schema.from_pairs([("spans.queue", Kind.NUMBER)]))
    slower = next(c for c in channels(case, Boundaries({}, ())) if c.signature == "slower")
    assert abs(float(np.nanmean(slower.values[case.window])) - moved) < 0.04


def _weaker_model(c: Cells, hit: np.ndarray) -> None:
    c["outputs.score"] = np.where(hit, 0.04 + 0.92 * c["outputs.score"], c["outputs.score"])
    c["model.version"] = np.where(hit, "v0", c["model.version"])


def test_a_new_version_on_one_host_is_named_for_that_host() -> None:
    """Which version answers follows from the host; the slice says the host."""
    found: Report = report(after=_weaker_model, where=("hardware.host", "h2"))
    first = found.findings[0]
    assert (found.verdict, first.component) == ("fault", "model.version"), found.sentence
    assert where_dict(first.where) == {"hardware.host": "h2"}


def test_what_golden_never_did_began_where_it_is_first_seen() -> None:
    """Seldom at first, then often: the onset is the first time, not the time from which on it is often."""
    from types import SimpleNamespace

    rng = np.random.default_rng(0)
    n = 2_000
    ts = np.arange(n, dtype=np.int64) * 60_000_000
    golden = np.arange(n) < 1_000
    excess = np.zeros(n)
    excess[1_200:1_600] = rng.random(400) < 0.02
    excess[1_600:] = rng.random(400) < 0.7
    case = SimpleNamespace(ts=ts, golden=golden, window=~golden, events=(), dimensions=())
    since, from_start = onset(case, excess, np.ones(n, dtype=bool))  # type: ignore[arg-type]
    assert (since, from_start) == (int(ts[1_000 + int(np.flatnonzero(excess[1_000:] > 0.5)[0])]), False)


def test_a_loss_in_one_slice_is_seen_through_the_storms_of_all() -> None:
    """Every hour another share of all colours is lost; the phones lose a quarter more, and only they."""
    golden, window = cells(20_000, 11, hours=240, start_hour=0), cells(6_000, 12, hours=24, start_hour=240)
    storms = np.random.default_rng(13).random(400) ** 4 * 0.8
    for c in (golden, window):
        hour = (c["ts"] - golden["ts"][0]) // HOUR_US
        c["inputs.colour"] = np.where(c["noise"][0] < storms[hour], "", c["inputs.colour"])
    hit = (window["context.device"] == "phone") & (window["noise"][1] < 0.25)
    window["inputs.colour"] = np.where(hit, "", window["inputs.colour"])
    found = diagnose_rows(
        rows(serve(golden, CLEAN), "g"), rows(serve(window, CLEAN[:6_000]), "w"), SCHEMA, app="shop"
    )  # fmt: skip
    assert found.findings, found.sentence
    assert found.findings[0].component == "inputs.colour"
    assert where_dict(found.findings[0].where) == {"context.device": "phone"}
