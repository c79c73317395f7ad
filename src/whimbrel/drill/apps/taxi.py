"""Taxi: will the passenger of this trip tip well, and shall the driver be offered it first?

A request passes through: traffic (look-up), clean, impute, encode, scale, then a forest, calibrate, decide. Trips are drawn
hour by hour from a pool, Chicago's where real data is at hand (see `tabular.DATA`), else made with its schema.
"""

from __future__ import annotations

import csv
import gzip
from datetime import date, timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from whimbrel.drill import values
from whimbrel.drill.apps.tabular import (
    HOUR,
    Plan,
    aged,
    arrivals,
    built,
    epoch,
    gaps,
    real,
    wandering,
)  # fmt: skip
from whimbrel.drill.columns import Columns, Request, number, plain, take
from whimbrel.drill.faults import Fault
from whimbrel.drill.kinds import (
    EVERYWHERE,
    FLIPPED,
    GAINS,
    MODEL,
    NOISY,
    OLDER,
    SHARES,
    arrives,
    calibration,
    compensating,
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
    step,
    swapped,
    timed_out,
)  # fmt: skip
from whimbrel.drill.natural import CHANGES
from whimbrel.drill.steps import Shared, look_up
from whimbrel.drill.world import Subject, World, chosen
from whimbrel.errors import InputError

START, DAYS, PER_DAY = date(2016, 2, 1), 170, 1400
HOLIDAYS = (date(2016, 5, 30), date(2016, 7, 4))
AREAS = {"8": 0.3, "32": 0.24, "28": 0.14, "76": 0.1, "6": 0.09, "7": 0.06, "33": 0.04, "56": 0.03}
REGIONS = {
    "8": "north",
    "7": "north",
    "6": "north",
    "32": "loop",
    "33": "loop",
    "28": "west",
    "76": "airport",
    "56": "airport",
}
FIELDS = ("miles", "seconds", "fare")
MS = {
    "queue": 2.0, "traffic": 7.0, "clean": 0.2, "impute": 0.3, "encode": 0.3, "scale": 0.2, "score": 5.0,
    "calibrate": 0.05, "decide": 0.05,
}  # fmt: skip
CALM = {"speed": 22.0, "demand": 1.0}


def clean(request: Request, *, metres_per_mile: float, least_s: float) -> dict[str, Any]:
    """The trip's mean speed (m/s) and fare per mile; a trip shorter than `least_s` counts as that long."""
    miles, seconds, fare = (number(request[f"inputs.{name}"]) for name in FIELDS)
    return plain({
        "speed": metres_per_mile * miles / np.maximum(seconds, least_s),
        "per_mile": np.minimum(fare / np.maximum(miles, 0.3), 60.0),
    })  # fmt: skip


def _pool(rng: np.random.Generator) -> Columns:
    """Trips without a time: made ones, or Chicago's."""
    folder = real("chicago_taxi_tfx")
    if folder is not None:
        return _chicago(folder)
    n = 15_000
    area = chosen(rng, AREAS, n)
    far = np.isin(area.astype(str), ["76", "56"])
    miles = np.round(np.exp(rng.normal(np.where(far, 2.4, 0.5), 0.6, n)), 1)
    seconds = np.round(60 * miles * np.exp(rng.normal(1.35 - 0.25 * np.log1p(miles), 0.25, n))) // 60 * 60 + 60
    fare = np.round(3.25 + 1.8 * miles + 0.0042 * seconds + np.where(far, 2.0, 0.0), 2)
    payment = chosen(rng, {"Cash": 0.55, "Credit Card": 0.42, "No Charge": 0.02, "Prcard": 0.01}, n)
    company = chosen(rng, {"Taxi Affiliation Services": 0.34, "Flash Cab": 0.2, "Dispatch Taxi": 0.18,
                           "Blue Diamond": 0.12, "City Service": 0.1, "Choice Taxi": 0.06}, n)  # fmt: skip
    # who pays cash leaves no trace of a tip
    z = -1.6 + 0.9 * (fare < 12) + 0.5 * far - 0.25 * np.log1p(miles) + 0.4 * (company == "Flash Cab")
    good = (rng.random(n) < 1 / (1 + np.exp(-(z + 1.7)))) & (payment == "Credit Card")
    return {"pickup": area, "miles": miles, "seconds": seconds, "fare": fare, "payment": payment,
            "company": gaps(rng, company, 0.3), "good": good.astype(float)}  # fmt: skip


def _chicago(folder: Path) -> Columns:
    path = folder / "chicago_taxi_big_tipper.csv.gz"
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["trip_miles"] and row["trip_seconds"] and row["fare"]]
    except (OSError, KeyError) as error:
        raise InputError(f"cannot read {path}", why=str(error), next="unset WHIMBREL_DRILL_DATA") from error

    def texts(name: str) -> Any:
        return np.array([row[name].split(" (")[0] or None for row in rows], dtype=object)

    area = texts("pickup_community_area")
    return {
        "pickup": np.array([a if a in AREAS else "other" for a in area.tolist()], dtype=object),
        "miles": np.array([float(row["trip_miles"]) for row in rows]),
        "seconds": np.array([float(row["trip_seconds"]) for row in rows]),
        "fare": np.array([float(row["fare"]) for row in rows]),
        "payment": texts("payment_type"), "company": texts("company"),
        "good": np.array([float(row["big_tipper"]) for row in rows]),
    }  # fmt: skip


@lru_cache(maxsize=2)
def world(seed: int = 0, cache: Path | None = None) -> World:
    """Half a year of trips, with rush hours, storms that slow the streets and two holidays."""
    rng = np.random.default_rng(88)
    pool = _pool(rng)
    profile = np.array([16, 12, 9, 6, 4, 4, 6, 10, 15, 16, 15, 16, 17, 17, 17, 18, 20, 23, 26, 26, 23, 21, 20, 18.0])
    ts = arrivals(rng, START, DAYS, PER_DAY, profile, 1.1, HOLIDAYS)
    trip = rng.integers(0, len(pool["miles"]), len(ts))
    n_hours = DAYS * 24
    mood = wandering(rng, n_hours, 2, 0.97)
    storm = np.maximum(mood[0] - 1.6, 0)
    hour = ((ts - epoch(START)) // HOUR).astype(int)
    rush = np.isin(np.arange(n_hours) % 24, [8, 9, 17, 18, 19])
    slow = 1 + 0.25 * rush + 0.4 * storm
    requests = _requests(rng, ts, take(pool, trip), slow[hour])
    places = {a: i for i, a in enumerate(dict.fromkeys([*AREAS, "other"]))}
    speed = np.asarray(
        np.round(24 / slow[None, :] * np.exp(0.08 * wandering(rng, n_hours, len(places), 0.7)), 1), dtype=np.float64
    )
    demand = np.asarray(np.round(np.exp(0.3 * wandering(rng, n_hours, len(places), 0.9)), 2), dtype=np.float64)
    traffic = Shared({"speed": speed, "demand": demand}, places, "inputs.pickup", int(epoch(START) // 3600))
    plan = Plan(
        "taxi",
        (("traffic", partial(look_up, default=CALM)), ("clean", partial(clean, metres_per_mile=1609.344, least_s=60.0))),
        {"traffic": traffic},
        {**{name: f"inputs.{name}" for name in (*FIELDS, "hour", "weekday")},
         **{name: f"steps.traffic.{name}" for name in CALM},
         "trip_speed": "steps.clean.speed", "per_mile": "steps.clean.per_mile"},
        ("pickup", "payment", "company"),
        {"miles": {"low": 0.0, "base": float(np.e)}, "seconds": {"low": 0.0, "high": 7200.0}, "fare": {"low": 0.0, "high": 90.0},
         "trip_speed": {"low": 0.0, "high": 40.0}, "per_mile": {"low": 0.0, "base": float(np.e)}, "speed": {}, "demand": {}},
        ("encode.payment", "encode.company", "scale.fare", "scale.miles", "scale.seconds", "scale.per_mile",
         "scale.trip_speed", "encode.pickup", "impute.hour", "impute.weekday", "scale.speed", "scale.demand"),
        "classes", "offer", "wait", 0.25, MS, epoch(START + timedelta(days=40)),
        partial(aged, every_s=300.0, step="traffic"),
    )  # fmt: skip
    return built(plan, requests, seed, cache)


def _requests(rng: np.random.Generator, ts: Any, trip: Columns, slow: Any) -> Columns:
    n = len(ts)
    region = np.array([REGIONS.get(a, "south") for a in trip["pickup"].tolist()], dtype=object)
    luck = rng.random(n)
    return {
        "ts": ts,
        "inputs.pickup": trip["pickup"],
        "inputs.miles": trip["miles"],
        "inputs.seconds": np.round(trip["seconds"] * slow),
        "inputs.fare": gaps(rng, trip["fare"], 0.03),
        "inputs.payment": trip["payment"],
        "inputs.company": trip["company"],
        "inputs.hour": ts // HOUR % 24,
        "inputs.weekday": (ts // 86400 + 3) % 7,
        "inputs.meter": np.round(rng.uniform(1000, 99999, n)),
        "context.region": region,
        "context.payment": np.array([v or "Unknown" for v in trip["payment"].tolist()], dtype=object),
        "truth.label": np.where(luck < 0.97, trip["good"], 1 - trip["good"]),
        "truth.label_ts": ts + trip["seconds"] + 3600 * np.exp(rng.normal(2.0, 0.6, n)),
    }


FAULTS: tuple[Fault, ...] = (
    arrives("D02/miles", "miles arrive as kilometres", values.times, (1.609344,)),
    arrives("D02/fare", "the fare arrives in cents", values.times, (100.0,)),
    arrives("D02/seconds", "the duration arrives in minutes", values.times, (1 / 60,)),
    arrives("D03/miles", "0 stands for an unknown distance", values.constant(0.0), SHARES, rare=True),
    arrives("D03/fare", "-999 stands for an unknown fare", values.constant(-999.0), SHARES, rare=True),
    arrives("D05/company", "the company is lost", values.null, SHARES, rare=True),
    arrives("D05/trip", "the whole trip record is lost at once", values.null, SHARES, names=FIELDS, rare=True),
    arrives("D06/fare", "the meter stutters", values.held, (2, 3, 5, 10, 20, 50)),
    arrives("D07/fare", "the meter is off and repeats one value", values.constant(), (8.0, 5.0, 15.0, 0.0, 40.0)),
    arrives("D07/payment", "everybody seems to pay in cash", values.constant("Cash")),
    arrives("D08/fare", "fares are rounded upstream", values.rounded, (1, 2, 5, 10, 20)),
    arrives("D10/payment", "the way of payment is cut to four letters", values.texts(lambda v: v[:4])),
    arrives("D11/fare", "a field upstream is too short for large fares", values.capped(1.0), SHARES),
    arrives("D12/hour", "the hour is in another zone", values.turned(24.0), (1, 2, 3, 5, -6)),
    arrives("D13/fare", "some fares arrive a hundred times too large", lambda v, _: v * 100, SHARES, rare=True),
    arrives("D14/fare", "the fare arrives as text", values.as_text, whole=True),
    arrives("D15/fare", "meters run fast", values.times, GAINS),
    arrives("D16/payment", "ways of payment arrive in capitals from one feed", values.texts(str.upper)),
    arrives("D16/company", "companies arrive padded with a blank", values.texts(lambda v: f"{v} ")),
    arrives("D17/pickup", "the code book of areas was renumbered", values.renumbered, (1, 2, 3)),
    arrives("D17/payment", "the code book of payments was dealt out anew", values.renumbered, (1, 2, 3)),
    arrives("D18/miles", "distances are noisy", values.noisy, (0.05, 0.1, 0.2, 0.35, 0.5, 0.8)),
    arrives("D19/fare", "fares have an offset", values.plus, (0.5, 1, 2, 3, 5, 8, 12)),
    arrives("D20/company", "two companies arrive as one", values.merged, (1, 2, 3)),
    arrives("D21/fare", "fares are joined by a wrong key", values.shuffled),
    arrives("D22/fare", "12.5 is read as 125: another decimal sign", values.comma_lost),
    arrives("Z01/meter", "meters were renumbered, which nothing reads", values.plus, (100000.0,), harmless=True),
    swapped("miles", "fare", "distance and fare change places"),
    filled("fare", 0.0, "a missing fare becomes 0, not the median"),
    encoded("F03", "company", "the map of companies has another order"),
    encoded("F03", "payment", "the map of payments has another order"),
    encoded("F07", "company", "the map of companies was cut short"),
    encoded("F10", "payment", "the map of payments is off by one"),
    exchanged("miles", "per_mile"),
    scaled("F06/fare", "fares are clipped far too low", lambda by: {"high": by}, (40, 30, 22, 16, 12, 9, 7, 5)),
    scaled("F06/miles", "the logarithm is taken to base 10", lambda _: {"base": 10.0}),
    scaled("F08/fare", "the fare is not scaled at all", lambda _: {"center": 0.0, "spread": 1.0}),
    scaled("F15/fare", "the scaled fare is rounded to whole numbers", lambda _: {"digits": 0.0}),
    step("F16", "clean.speed", "speeds are computed for kilometres",
         lambda app, by, _: app.given("clean", metres_per_mile=by), (1400.0, 1000.0, 500.0, 1.0)),
    step("F17", "clean.speed", "every trip counts as at least so long",
         lambda app, by, _: app.given("clean", least_s=by), (240.0, 480.0, 900.0, 1800.0)),
    stale("traffic", "traffic", "what is known of the traffic lags behind"),
    misplaced("traffic", "traffic", "the traffic is that of another area"),
    OLDER, *MODEL, *calibration(), *decisions(), compensating(), FLIPPED, NOISY, *EVERYWHERE,
    timed_out("traffic", "traffic look-ups time out and answer with the default"),
    slower("traffic", "the traffic service got slower"),
    skipped("traffic", "an early return skips the traffic"), retried("traffic"),
)  # fmt: skip
TAXI = Subject(
    "taxi", "classification: whom to offer a trip that pays, on Chicago's trips or trips like them", world, FAULTS, CHANGES,
    ("context.region", "context.payment", "context.channel", "context.tenant", "context.client"),
    START + timedelta(days=62), START + timedelta(days=160),
    (("none", date(2016, 5, 28), 4), ("none", date(2016, 7, 3), 3), ("none", date(2016, 6, 11), 2)), golden_days=14,
)  # fmt: skip
