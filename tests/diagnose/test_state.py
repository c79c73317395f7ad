"""States of the world have few witnesses: what the weather did for five hours it may do for fifteen, and not for fifty."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from whimbrel.diagnose import diagnose_rows, state, walks
from whimbrel.diagnose.case import build
from whimbrel.diagnose.suspects import Proof
from whimbrel.model.fields import Kind, Schema
from whimbrel.model.report import Report
from whimbrel.model.rows import Categories, Column, Numbers, Rows

from .shop import HOUR_US, SCHEMA, Cells, cells, rows, serve

CLEAN = np.zeros(20_000, dtype=bool)


def _of(target: str) -> SimpleNamespace:
    """A hit of the relation of a field, as far as it is asked here."""
    return SimpleNamespace(channel=SimpleNamespace(detail={"relation": SimpleNamespace(target=target)}))


def _weather(c: Cells, first: int, missing: range) -> None:
    """A weight that all parcels of an hour share, missing in golden's fifth day for six hours, and whenever else is asked."""
    hour = (c["ts"] - first) // HOUR_US
    shared = np.round(12 + 3 * np.sin(hour / 5.0) + np.cos(hour / 31.0), 1)
    gone = ((hour >= 100) & (hour < 106)) | ((hour >= missing.start) & (hour < missing.stop))
    c["inputs.weight"] = np.where(gone, np.nan, shared)


def _asked(missing: range) -> Report:
    golden, window = cells(20_000, 5, hours=240, start_hour=0), cells(6_000, 6, hours=24, start_hour=240)
    first = int(golden["ts"][0]) // HOUR_US * HOUR_US
    for c in (golden, window):
        _weather(c, first, missing)
    return diagnose_rows(
        rows(serve(golden, CLEAN), "g"), rows(serve(window, CLEAN[:6_000]), "w"), SCHEMA, app="shop"
    )  # fmt: skip


@pytest.mark.parametrize(("missing", "blamed"), [(range(246, 256), False), (range(243, 264), True)])
def test_a_state_may_be_missing_as_long_as_golden_knows(missing: range, blamed: bool) -> None:
    """Golden lacked the weather for six hours on end: ten are the world's, twenty-one are not."""
    found = _asked(missing)
    assert ("inputs.weight" in {f.component for f in found.findings}) is blamed, found.sentence


def test_places_are_found_where_rows_of_an_hour_share_a_value() -> None:
    """A value by hour and country is a state whose place is the country; a value of each row is none."""
    golden, window = cells(20_000, 5, hours=240, start_hour=0), cells(6_000, 6, hours=24, start_hour=240)
    case = build(rows(serve(golden, CLEAN), "g"), rows(serve(window, CLEAN[:6_000]), "w"), SCHEMA)
    country = next(d for d in case.dimensions if d.path == "context.country")
    rng = np.random.default_rng(1)
    by_hour = rng.normal(size=(400, len(country.values) + 1))
    hour = (case.ts - case.ts.min()) // HOUR_US
    place = state.places(case, by_hour[hour, country.codes])
    assert place is not None
    assert np.array_equal(place, country.codes)
    assert state.places(case, rng.normal(size=len(case.ts))) is None


def test_the_longest_stretch_is_counted_in_hours_at_one_place() -> None:
    """Two places that take turns do not make one long stretch."""
    golden, window = cells(20_000, 5, hours=240, start_hour=0), cells(6_000, 6, hours=24, start_hour=240)
    case = build(rows(serve(golden, CLEAN), "g"), rows(serve(window, CLEAN[:6_000]), "w"), SCHEMA)
    place = np.arange(len(case.ts)) % 2
    hour = (case.ts - case.ts.min()) // HOUR_US
    here = (place == 0) & (hour >= 10) & (hour < 17)
    there = (place == 1) & (hour >= 17) & (hour < 22)
    assert state.longest(case, place, np.where(here | there, 0, -1), case.golden) == 7


@pytest.mark.parametrize(("value", "hours", "blamed"), [(7.5, 5, False), (7.5, 21, True), (-200.0, 9, True)])
def test_a_state_may_stand_still_where_golden_never_was(value: float, hours: int, blamed: bool) -> None:
    """It is colder than ever, for as long as it was the same before; a placeholder is far from all that was."""
    golden, window = cells(20_000, 5, hours=240, start_hour=0), cells(6_000, 6, hours=24, start_hour=240)
    first = int(golden["ts"][0]) // HOUR_US * HOUR_US
    for c in (golden, window):
        hour = (c["ts"] - first) // HOUR_US
        c["inputs.weight"] = np.round(12 + 3 * np.sin(hour // 2 / 2.0) + np.cos(hour // 2 / 9.0), 1)
        c["inputs.weight"] = np.where((hour >= 243) & (hour < 243 + hours), value, c["inputs.weight"])
    found = diagnose_rows(
        rows(serve(golden, CLEAN), "g"), rows(serve(window, CLEAN[:6_000]), "w"), SCHEMA, app="shop"
    )  # fmt: skip
    assert ("inputs.weight" in {f.component for f in found.findings}) is blamed, found.sentence


@pytest.mark.parametrize(("step", "drifted"), [(0.02, True), (0.5, False), (0.0, False)])
def test_a_rate_of_exchange_walks_on_after_golden(step: float, drifted: bool) -> None:
    """By as much a day as it did before; what goes farther from one day to the next is no walk, nor what stays where golden was."""
    day, country = np.arange(6_000) // 400, np.arange(6_000) % 3
    walk = np.cumsum(np.random.default_rng(4).uniform(-0.02, 0.02, (15, 3)), axis=0)
    walk[12:, 2] = walk[:12, 2].max() + step * np.arange(1, 4) if step else walk[:12, 2].mean()
    rate = np.array([1.0, 0.2, 25.0])[country] + walk[day, country]
    columns: dict[str, Column] = {
        "steps.fx.rate": Numbers(rate),
        "context.country": Categories(country, ("de", "pl", "cz")),
    }
    every = Rows(tuple(map(str, range(6_000))), np.arange(6_000) * (24 * HOUR_US // 400), columns, 6_000)
    schema = Schema.from_pairs([("steps.fx.rate", Kind.NUMBER), ("context.country", Kind.TEXT)])
    case = build(every.take(day < 12), every.take(day >= 12), schema)
    suspect = SimpleNamespace(
        component="steps.fx.rate",
        hit=_of("steps.fx.rate"),
        proof=Proof.FIRM,
        inside=country == 2,
        bad=(country == 2) & (day >= 12),
        since_us=int(case.ts[case.window].min()),
    )
    assert walks.drifted(case, cast("Any", suspect)) is drifted


@pytest.mark.parametrize(("leap", "drifted"), [(0.0, True), (0.3, False)])
def test_an_index_by_fuel_and_country_walks_inside_golden_s_range(leap: float, drifted: bool) -> None:
    """One value a day for each pair: whose it is two fields tell together, and where it went is the market's, unless it leapt."""
    day, place = np.arange(12_000) // 800, np.arange(12_000) % 6
    walk = np.cumsum(np.random.default_rng(6).uniform(-0.01, 0.01, (15, 6)), axis=0)
    walk[12:] = walk[11] - 0.01 * np.arange(1, 4)[:, None] - leap
    values = np.round(np.linspace(0.8, 1.4, 6)[place] + walk[day, place], 3)
    columns: dict[str, Column] = {
        "inputs.fuel": Categories(place % 2, ("petrol", "diesel")), "context.country": Categories(place // 2, ("de", "pl", "cz")),
        "steps.market.index": Numbers(values),
    }  # fmt: skip
    every = Rows(tuple(map(str, range(12_000))), np.arange(12_000) * (24 * HOUR_US // 800), columns, 12_000)
    schema = Schema.from_pairs(
        [("inputs.fuel", Kind.TEXT), ("context.country", Kind.TEXT), ("steps.market.index", Kind.NUMBER)]
    )
    case = build(every.take(day < 12), every.take(day >= 12), schema)
    suspect = SimpleNamespace(
        component="steps.market.index", hit=_of("steps.market.index"), proof=Proof.FIRM, inside=np.ones(12_000, dtype=bool), bad=day >= 12,
        since_us=int(case.ts[case.window].min()),
    )  # fmt: skip
    assert walks.drifted(case, cast("Any", suspect)) is drifted
    place_of = state.places(case, values, state.EXACTLY, pairs=True)
    assert place_of is not None
    assert not state.of_the_clock(case, place_of, values)
    hour = np.floor(case.hour + place) % 24
    place_of = state.places(case, hour, state.EXACTLY, pairs=True)
    assert place_of is not None
    assert state.of_the_clock(case, place_of, hour)


@pytest.mark.parametrize(("walks", "told"), [(0.0, True), (0.05, False)])
def test_what_the_clock_says_is_no_day_s_own(walks: float, told: bool) -> None:
    """An index that goes up and down with the hour and a little farther each day is the world's; a table by the hour is code's."""
    hours = np.repeat(np.arange(240), 20)
    ts = hours * HOUR_US + np.tile(np.arange(20), 240) * HOUR_US // 20
    values = np.sin(2 * np.pi * (hours % 24) / 24) + walks * (hours // 24) / 2
    case = cast(
        "Any", SimpleNamespace(ts=ts, golden=np.ones(ts.size, dtype=bool), hour=(hours % 24).astype(float), categories={}, many={})
    )  # fmt: skip
    place = state.places(case, values, state.EXACTLY)
    assert place is not None
    assert state.of_the_clock(case, place, values) is told
