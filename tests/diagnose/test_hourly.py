"""A table with a row an hour: the weather and the calendar change, and only what they cannot do is a fault."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

import whimbrel
from whimbrel.diagnose import absence, gather, naming, state, tables
from whimbrel.diagnose.case import HOUR_US, Dimension, Variable
from whimbrel.diagnose.suspects import Proof
from whimbrel.model.fields import Field, Kind, Role
from whimbrel.model.window import Condition

HOURS, GOLDEN = 1_920, 1_680


def _hourly(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Eighty days of one station; in the last ten, something happens on the fourth."""
    rng = np.random.default_rng(4)
    hour, late = np.arange(HOURS), np.arange(HOURS) >= GOLDEN + 80
    slow = np.convolve(rng.normal(size=HOURS + 200), np.ones(48) / 7, "same")[100:-100]
    warmth = 18 + 1.0 * slow + 4 * np.sin(hour * 2 * np.pi / 24)
    humidity = np.clip(0.6 + 0.08 * slow + 0.01 * rng.normal(size=HOURS), 0.1, 0.98)
    season = np.full(HOURS, "autumn")
    if event == "cold snap":
        warmth = warmth - 17 * np.clip((hour - GOLDEN - 80) / 30, 0, 1)
    if event == "season":
        season[late] = "winter"
    if event == "fog":
        humidity[late & (hour < GOLDEN + 86)] = 1.0
    if event == "fahrenheit":
        warmth = np.where(late, warmth * 1.8 + 32, warmth)
    table = pd.DataFrame({
        "id": hour.astype(str), "ts": pd.Timestamp("2025-09-01", tz="UTC") + pd.to_timedelta(hour, unit="h"),
        "context.weekday": (hour // 24 % 7).astype(str), "inputs.season": season, "inputs.warmth": np.round(warmth, 1),
        "inputs.humidity": np.round(humidity, 2),
    })  # fmt: skip
    return table[:GOLDEN], table[GOLDEN:]


@pytest.mark.parametrize(
    ("event", "blamed"), [("cold snap", None), ("season", None), ("fog", None), ("fahrenheit", "inputs.warmth")]
)
def test_weather_and_calendar_are_no_faults(event: str, blamed: str | None) -> None:
    """It grows colder than golden ever was, a season ends, fog fills the scale; but no weather turns into Fahrenheit within the hour."""
    golden, window = _hourly(event)
    report = whimbrel.diagnose(golden, window)
    assert (report.findings[0].component if report.findings else None) == blamed, report.sentence


def test_a_state_s_rows_in_one_slice_are_held_against_their_sisters() -> None:
    """Half of an hour's rows with another weather than the other half: it was handed on wrongly; all with another: it is the world's."""
    ts = np.repeat(np.arange(200), 20) * HOUR_US
    weather = np.sin(ts / HOUR_US / 9)
    case = SimpleNamespace(ts=ts, golden=ts < 150 * HOUR_US, window=ts >= 150 * HOUR_US)
    place, half = np.zeros(ts.size, dtype=np.int64), case.window & (np.arange(ts.size) % 2 == 0)
    assert not state.alone(cast("Any", case), place, weather, half)
    assert state.alone(cast("Any", case), place, weather + half, half)
    assert not state.alone(cast("Any", case), place, weather + case.window, case.window)


def test_a_place_of_its_own_that_jumps_is_no_weather() -> None:
    """Nobody else is there to tell; but what moves by a degree an hour does not go by thirty, and a price that stands is another thing."""
    ts = np.repeat(np.arange(300), 6) * HOUR_US
    hour = ts / HOUR_US
    case = SimpleNamespace(ts=ts, golden=hour < 240, window=hour >= 240)
    place, weather, price = np.zeros(ts.size, dtype=np.int64), 8 * np.sin(hour / 9), np.where(hour < 100, 4.0, 5.0)
    for values, jumps in ((weather, False), (weather - (hour >= 260), False), (price + 40 * (hour >= 260), False),
                          (np.where(hour >= 260, 1.8 * weather + 32, weather), True)):  # fmt: skip
        assert state.jumped(cast("Any", case), place, values, 260 * HOUR_US) is jumps
    hit = SimpleNamespace(channel=SimpleNamespace(signature="range"))
    for where, after, blamed in ((("town",), 0.95, True), ((), 0.95, False), (("town",), 0.6, False)):
        moved = SimpleNamespace(
            component="inputs.warmth", hit=hit, where=where, after=after, inside=hour >= 0, since_us=260 * HOUR_US
        )  # fmt: skip
        assert naming._jumped_out(cast("Any", case), cast("Any", moved), values, place) is blamed


@pytest.mark.parametrize(("hours", "proof"), [(30, Proof.SOFT), (0, Proof.FIRM)])
@pytest.mark.parametrize("own", [True, False])
def test_a_front_over_one_town_goes_on_as_weather_does(hours: int, proof: Proof, own: bool) -> None:
    """Golden's towns shared their weather; one that cools by itself does so by the hour, all its rows alike."""
    ts = np.repeat(np.arange(300), 24) * HOUR_US
    hour, rng = ts / HOUR_US, np.random.default_rng(2)
    town = np.arange(ts.size) % 3 == 0
    cold = np.clip((hour - 220) / hours, 0, 1) if hours else hour >= 220
    weather = 8 * np.sin(hour / 9) - 14 * cold * town
    if not own:
        weather[town & (hour >= 220)] = rng.permutation(weather[town & (hour >= 220)])
    golden = ts < 200 * HOUR_US
    warmth = Variable("inputs.warmth", Field("inputs.warmth", Kind.NUMBER), numbers=weather)
    towns = Dimension("context.town", town.astype(np.int64), ("others", "one"))
    case = SimpleNamespace(
        ts=ts, golden=golden, window=~golden, categories={}, variables={"inputs.warmth": warmth}, dimensions=(towns,)
    )
    affected = town & (hour >= 220)
    excess = np.where(affected, -2.0, 0.0)
    relation = SimpleNamespace(target="inputs.warmth", parents=("inputs.sun",), exact=False, strength=0.9)
    channel = SimpleNamespace(detail={"relation": relation}, signature="residual")
    moved = SimpleNamespace(
        hit=SimpleNamespace(channel=channel, excess=excess), shift=-2.0, before=0.0, clarity=3.0, where=(Condition("context.town", "one"),), inside=town,
        affected=affected, since_us=220 * HOUR_US,
    )  # fmt: skip
    assert tables.came_apart(cast("Any", case), cast("Any", moved)) is (proof if own else Proof.FIRM)


def test_no_label_is_lost_where_golden_never_had_one() -> None:
    """A flight that has not left will not land: its label is not due, as none of golden's was."""
    golden, left = np.arange(400) < 300, np.arange(400) % 5 > 0
    delay = Variable("inputs.delay", Field("inputs.delay", Kind.NUMBER), numbers=np.where(left, 3.0, np.nan))
    case = SimpleNamespace(
        ts=np.zeros(400), golden=golden, of=lambda *roles: [delay] if Role.INPUT in roles else [], variables={}
    )
    assert np.array_equal(absence._never_labelled(cast("Any", case), (~left).astype(float)), ~left)
    assert not absence._never_labelled(cast("Any", case), (np.arange(400) % 7 == 0).astype(float)).any()


def test_one_outlier_before_is_no_onset() -> None:
    """What golden hardly ever did began where it is seen again and again, not at the first row that happens to have it."""
    ts = np.arange(4_000) * 1_000_000
    golden, excess = np.arange(4_000) < 2_000, np.zeros(4_000)
    excess[2_100] = 1.0
    excess[3_000:] = 1.3
    case = SimpleNamespace(ts=ts, golden=golden, window=~golden, events=(), dimensions=())
    every = np.ones(4_000, dtype=bool)
    assert gather.onset(cast("Any", case), excess, every) == (int(ts[3_000]), False)
    excess[2_400:3_000:20] = 1.0
    assert gather.onset(cast("Any", case), excess, every) == (int(ts[2_400]), False)
