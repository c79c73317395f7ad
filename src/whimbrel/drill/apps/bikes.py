"""Bikes: how many will be rented in this part of the city within the hour, and must bikes be brought there?

A regression on hourly counts. A request passes through: weather (look-up), history (feature store), impute, encode, scale,
then a forest for logarithms, calibrate, decide. The season, storms, holidays and growth are in the traffic. With real data
at hand (see `tabular.DATA`) weather, holidays and the city's counts are those of Washington in 2012.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from whimbrel.drill import values
from whimbrel.drill.apps.tabular import (
    DAY,
    HOUR,
    Floats,
    Plan,
    aged,
    built,
    epoch,
    gaps,
    parquet,
    real,
    wandering,
)  # fmt: skip
from whimbrel.drill.columns import Columns, take
from whimbrel.drill.faults import Fault
from whimbrel.drill.kinds import (
    DOUBLED,
    EVERYWHERE,
    GAINS,
    MODEL,
    NOISY,
    OLDER,
    SHARES,
    arrives,
    calibration,
    decisions,
    encoded,
    exchanged,
    filled,
    misplaced,
    retried,
    scaled,
    skipped,
    slower,
    stale,
    swapped,
    timed_out,
)  # fmt: skip
from whimbrel.drill.natural import CHANGES
from whimbrel.drill.steps import Shared, look_up
from whimbrel.drill.world import Subject, World, chosen

START, DAYS = date(2012, 3, 1), 200
ZONES = {f"Z{i:02d}": 0.4 + 1.6 * ((7 * i) % 20) / 20 for i in range(40)}
REGIONS = ("north", "centre", "south", "river")
HOLIDAYS = (
    date(2012, 4, 16), date(2012, 5, 28), date(2012, 7, 4), date(2012, 9, 3),
)  # fmt: skip
MILD = {"temp": 18.0, "wind": 3.0, "rain": 0.0}
MS = {
    "queue": 1.2, "weather": 12.0, "history": 4.0, "impute": 0.3, "encode": 0.2, "scale": 0.2, "score": 3.0,
    "calibrate": 0.05, "decide": 0.05,
}  # fmt: skip


def _hours() -> dict[str, Floats]:
    """The city hour by hour: temperature (°C), wind (m/s), rain (mm), humidity, holiday, and rentals expected in all."""
    folder, n = real("bike_sharing"), DAYS * 24
    if folder is not None:
        return _washington(folder, n)
    rng = np.random.default_rng(2012)
    hour = np.arange(n)
    day, weekday = hour // 24, ((epoch(START) + hour * HOUR) // DAY + 3) % 7
    walk = wandering(rng, n, 3, 0.985)
    temp = 11 + 13 * np.sin((day + 10) / 365 * 2 * np.pi) + 4 * np.cos((hour % 24 - 15) / 24 * 2 * np.pi) + 3 * walk[0]
    rain = np.maximum(walk[1] - 1.5, 0) * 4
    wind = np.maximum(3 + 1.4 * walk[2] + 1.2 * (rain > 0), 0)
    holiday = np.isin(day, [(d - START).days for d in HOLIDAYS]).astype(float)
    free = (weekday >= 5) | (holiday > 0)
    work = np.array([2, 1, 1, 1, 2, 8, 22, 45, 60, 30, 22, 25, 32, 30, 28, 32, 50, 72, 62, 42, 30, 22, 14, 7.0])
    rest = np.array([8, 6, 5, 3, 2, 2, 4, 8, 16, 26, 38, 46, 52, 54, 54, 52, 48, 42, 36, 28, 22, 17, 13, 10.0])
    shape = np.where(free, rest[hour % 24], work[hour % 24])
    count = 9 * shape * np.exp(-(((temp - 24) / 16) ** 2) - 0.25 * rain) * (1 + day / 900)
    count *= np.exp(0.12 * wandering(rng, n, 1, 0.9)[0])
    humid = np.clip(0.6 + 0.12 * walk[1] - 0.004 * (temp - 18), 0.1, 1)
    return {"temp": temp, "wind": wind, "rain": rain, "humid": humid, "holiday": holiday, "count": count}


def _washington(folder: Path, n: int) -> dict[str, Floats]:
    names = ("dteday", "hr", "holiday", "weathersit", "temp", "hum", "windspeed", "cnt")
    rows = parquet(folder / "hour.parquet", names)
    day = np.array([(date.fromisoformat(str(d)[:10]) - START).days for d in rows["dteday"]])
    at = day * 24 + rows["hr"]
    inside = (at >= 0) & (at < n)
    out = {}
    columns = {
        "temp": rows["temp"] * 47 - 8, "wind": rows["windspeed"] * 67 / 3.6, "rain": (rows["weathersit"] - 1) * 1.5,
        "humid": rows["hum"], "holiday": rows["holiday"], "count": rows["cnt"],
    }  # fmt: skip
    for name, column in columns.items():
        values_ = np.full(n, np.nan)
        values_[at[inside]] = np.asarray(column, dtype=float)[inside]
        known = ~np.isnan(values_)
        out[name] = np.interp(np.arange(n), np.flatnonzero(known), values_[known])  # some hours are missing
    return out


@lru_cache(maxsize=2)
def world(seed: int = 0, cache: Path | None = None) -> World:
    """A spring and a summer of hourly forecasts for every zone of the city."""
    rng, n = np.random.default_rng(77), DAYS * 24
    city = _hours()
    zones, weights = list(ZONES), np.array(list(ZONES.values()))
    local = np.exp(0.15 * wandering(rng, n, len(zones), 0.8))
    counts = rng.poisson(city["count"] * (weights / weights.sum())[:, None] * local * 5)
    before = np.concatenate([np.full((len(zones), 1), np.nan), counts[:, :-1]], axis=1)
    week = np.concatenate([np.full((len(zones), 168), np.nan), counts[:, :-168]], axis=1)
    weather = {"temp": np.round(city["temp"], 1), "wind": np.round(city["wind"], 1), "rain": np.round(city["rain"], 1)}
    requests = _requests(rng, city, counts, before)
    plan = Plan(
        "bikes",
        (("weather", partial(look_up, default=MILD)), ("history", partial(look_up, default={"week_ago": 30.0}))),
        {
            "weather": Shared({k: v[None, :].repeat(4, 0) for k, v in weather.items()},
                              {r: i for i, r in enumerate(REGIONS)}, "inputs.region", int(epoch(START) // 3600)),
            "history": Shared({"week_ago": week.astype(float)}, {z: i for i, z in enumerate(zones)}, "inputs.zone",
                              int(epoch(START) // 3600)),
        },
        {
            **{name: f"inputs.{name}" for name in ("hour", "weekday", "holiday", "last_hour", "docks", "humidity")},
            **{name: f"steps.weather.{name}" for name in MILD}, "week_ago": "steps.history.week_ago",
        },
        ("zone", "kind"),
        {"last_hour": {"low": 0.0, "base": float(np.e)}, "week_ago": {"low": 0.0, "base": float(np.e)}, "temp": {},
         "wind": {"low": 0.0, "high": 20.0}, "rain": {"low": 0.0, "high": 10.0}, "humidity": {"low": 0.0, "high": 1.0},
         "docks": {}},
        ("scale.last_hour", "scale.week_ago", "impute.hour", "scale.temp", "scale.rain", "scale.humidity", "scale.wind",
         "impute.weekday", "impute.holiday", "encode.zone", "encode.kind", "scale.docks"),
        "counts", "bring", "leave", 0.25, MS, epoch(START + timedelta(days=40)),
        partial(aged, every_s=3600.0, step="history"),
    )  # fmt: skip
    return built(plan, requests, seed, cache)


def _requests(rng: np.random.Generator, city: dict[str, Floats], counts: Any, before: Any) -> Columns:
    zones, n = len(ZONES), DAYS * 24
    zone, hour = np.repeat(np.arange(zones), n), np.tile(np.arange(n), zones)
    ts = epoch(START) + hour * HOUR + np.round(rng.uniform(0, 240, len(hour)), 3)
    names = np.array(list(ZONES), dtype=object)
    region = np.array(REGIONS, dtype=object)[zone % 4]
    kinds = np.array(["office", "housing", "park", "station", "campus"], dtype=object)
    out: Columns = {
        "ts": ts,
        "inputs.zone": names[zone],
        "inputs.region": region,
        "inputs.kind": kinds[zone % 5],
        "inputs.hour": (hour % 24).astype(float),
        "inputs.weekday": ((ts // DAY + 3) % 7),
        "inputs.holiday": city["holiday"][hour],
        "inputs.last_hour": gaps(rng, before.ravel().astype(float), 0.01),
        "inputs.docks": (18 + 3.0 * (zone % 9)),
        "inputs.humidity": gaps(rng, np.round(city["humid"][hour] + rng.normal(0, 0.02, len(hour)), 3), 0.02),
        "inputs.operator": chosen(rng, {"o1": 0.5, "o2": 0.3, "o3": 0.2}, len(hour)),
        "context.region": region,
        "context.kind": kinds[zone % 5],
        "truth.label": counts.ravel().astype(float),
        "truth.label_ts": epoch(START) + (hour + 1) * HOUR + 60 * np.exp(rng.normal(3.0, 0.4, len(hour))),
    }
    return take(out, np.argsort(ts, kind="stable"))


FAULTS: tuple[Fault, ...] = (
    arrives("D02/humidity", "humidity arrives in percent", values.times, (100.0,)),
    arrives("D02/last_hour", "the last hour's rentals arrive as of a minute", values.times, (1 / 60,)),
    arrives("D02/hour", "the hour arrives in minutes", values.times, (60.0,)),
    arrives("D03/last_hour", "-1 stands for unknown rentals", values.constant(-1.0), SHARES, rare=True),
    arrives("D05/last_hour", "the last hour's rentals are lost", values.null, SHARES, rare=True),
    arrives("D05/zone", "the zone is lost", values.null, SHARES, rare=True),
    arrives("D06/last_hour", "the counters stutter", values.held, (5, 10, 20, 50, 100, 200)),
    arrives("D07/last_hour", "the counters are off and repeat one value", values.constant(), (5, 10, 20, 40, 80, 0)),
    arrives("D07/hour", "the clock is stuck", values.constant(), (3.0, 8.0, 12.0)),
    arrives("D08/last_hour", "rentals are rounded upstream", values.rounded, (5, 10, 20, 40, 80)),
    arrives("D11/last_hour", "a field upstream is too short for large counts", values.capped(1.0), SHARES),
    arrives("D12/hour", "the hour is in another zone", values.turned(24.0), (1, 2, 3, 5, -5)),
    arrives("D13/last_hour", "some counts arrive a hundred times too large", lambda v, _: v * 100, SHARES, rare=True),
    arrives("D14/last_hour", "the last hour's rentals arrive as text", values.as_text, whole=True),
    arrives("D15/last_hour", "a counter counts too much", values.times, GAINS),
    arrives("D16/zone", "zones arrive in lower case from one feed", values.texts(str.lower)),
    arrives("D16/kind", "kinds arrive padded with a blank", values.texts(lambda v: f"{v} ")),
    arrives("D17/zone", "the code book of zones was renumbered", values.renumbered, (1, 3, 5)),
    arrives("D18/last_hour", "the counters are noisy", values.noisy, (0.05, 0.1, 0.2, 0.35, 0.5, 0.8, 1.2)),
    arrives("D19/last_hour", "the counters have an offset", values.plus, (1, 2, 4, 7, 12, 20, 35)),
    arrives("D20/zone", "two zones arrive as one", values.merged, (1, 2, 3)),
    arrives("D21/last_hour", "rentals are joined by a wrong key", values.shuffled),
    arrives("Z01/operator", "operators are spelled in capitals, which nothing reads", values.texts(str.upper),
            harmless=True),
    swapped("last_hour", "docks", "rentals and docks change places"),
    filled("last_hour", 0.0, "missing rentals become 0, not the median"),
    filled("humidity", 0.0, "a missing humidity becomes 0, not the median"),
    encoded("F03", "zone", "the map of zones has another order"),
    encoded("F07", "zone", "the map of zones was cut short"),
    encoded("F10", "zone", "the map of zones is off by one"),
    exchanged("last_hour", "week_ago"),
    scaled("F06/last_hour", "rentals are clipped far too low", lambda by: {"high": by}, (150, 100, 70, 50, 35, 20, 10, 5)),
    scaled("F06/week_ago", "the logarithm is taken to base 10", lambda _: {"base": 10.0}),
    scaled("F08/last_hour", "rentals are not scaled at all", lambda _: {"center": 0.0, "spread": 1.0}),
    scaled("F15/last_hour", "scaled rentals are rounded to whole numbers", lambda _: {"digits": 0.0}),
    stale("history", "history.week_ago", "the feature store stands still"),
    misplaced("history", "history.week_ago", "the history is that of another zone"),
    OLDER, *MODEL, *calibration(regression=True), *decisions(unit=60.0), DOUBLED, NOISY, *EVERYWHERE,
    timed_out("weather", "weather look-ups time out and answer with the default"),
    slower("weather", "the weather service got slower"), slower("history", "the feature store got slower"),
    skipped("weather", "an early return skips the weather"), retried("history"),
)  # fmt: skip

UNTOUCHED = (
    ("none", date(2012, 5, 26), 4),  # Memorial Day
    ("none", date(2012, 7, 3), 3),  # Independence Day
    ("none", date(2012, 6, 29), 3),  # the derecho
    ("none", date(2012, 9, 1), 4),  # Labor Day
    ("none", date(2012, 8, 11), 2),  # a weekend
)
BIKES = Subject(
    "bikes", "regression: where to bring bikes, on hourly counts", world, FAULTS, CHANGES,
    ("context.region", "context.kind", "context.channel", "context.tenant", "context.client"),
    START + timedelta(days=70), START + timedelta(days=192), UNTOUCHED, golden_days=21,
)  # fmt: skip
