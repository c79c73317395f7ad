"""What the world does to every row at once is no fault, however far it moves; what a new model does beside the old one is."""

from __future__ import annotations

import numpy as np
import pytest

from whimbrel.diagnose import diagnose_rows
from whimbrel.diagnose.gather import onset
from whimbrel.model.report import Report
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
    case = SimpleNamespace(ts=ts, golden=golden, window=~golden)
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
