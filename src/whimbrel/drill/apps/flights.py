"""Flights: will this one arrive more than half an hour late, and should its passengers be rebooked?

Real departures out of New York in 2013. A request passes through: weather (look-up), history (feature store), impute,
encode, scale, then a forest, calibrate, decide. In: a seed, a cache folder. Out: the `World`, and `FLIGHTS`, the subject.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from whimbrel.drill import fitting
from whimbrel.drill.app import App, Model, Timing, by_threshold, platt, prepare
from whimbrel.drill.apps.flights_data import WEATHER, Departures, Year, read
from whimbrel.drill.apps.flights_faults import FAULTS
from whimbrel.drill.columns import Columns, Request, plain, take
from whimbrel.drill.forest import Forest
from whimbrel.drill.natural import CHANGES
from whimbrel.drill.steps import Shared, fill_missing, look_up, rank_names, scale_numbers
from whimbrel.drill.world import Subject, World, dealt

NUMBERS = ("sched_hour", "weekday", "distance", "plane_year", "seats", "airport_delay")
TEXTS = ("carrier", "origin", "dest")
FEATURES = (
    "impute.sched_hour", "impute.weekday", "impute.precip", "impute.visib",
    "encode.carrier", "encode.origin", "encode.dest", "encode.maker",
    "scale.distance", "scale.plane_year", "scale.seats", "scale.airport_delay", "scale.carrier_delay",
    "scale.temp", "scale.wind_speed", "scale.pressure",
)  # fmt: skip
"""What the model is given."""
LATE_MIN = 30
"""A flight is late when it arrives more than this many minutes after its time."""
THRESHOLD = 0.22
CALM_DAY = {"temp": 55.0, "wind_speed": 9.0, "precip": 0.0, "visib": 10.0, "pressure": 1015.0}
"""What is assumed where the weather service does not answer."""
SPRING = datetime(2013, 4, 1, tzinfo=UTC)
VERSIONS = {"6": (datetime(2013, 3, 1, tzinfo=UTC), 0), "7": (SPRING, 0), "8": (SPRING, 1)}
"""Versions of the model, until when they saw flights, which third: 6 is the old one, 7 serves, 8 is the canary."""
SCALERS: fitting.Scalers = {
    "distance": {"low": 0.0, "base": float(np.e)},
    "plane_year": {},
    "seats": {"low": 0.0, "high": 500.0},
    "airport_delay": {"low": -20.0, "high": 90.0},
    "carrier_delay": {"low": -20.0, "high": 90.0},
    "temp": {},
    "wind_speed": {"low": 0.0, "high": 60.0},
    "pressure": {},
}
MS = {
    "queue": 1.5, "weather": 9.0, "history": 3.0, "impute": 0.35, "encode": 0.25, "scale": 0.3,
    "score": 4.0, "calibrate": 0.06, "decide": 0.04,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class FeatureStore:
    """How late flights lately left, taken in every quarter of an hour; `stale_s` is how far it lags behind that."""

    departures: Departures
    every_s: float = 900.0
    stale_s: float = 0.0
    timeouts: float = 0.0

    def late(self, request: Request) -> Any:
        """Whether the look-up is given up."""
        return request["luck.timeout"] < self.timeouts

    def age(self, request: Request) -> Any:
        """Seconds since it last took anything in."""
        return request["ts"] % self.every_s + self.stale_s

    def carrier_delay(self, request: Request, hours: float) -> Any:
        """Mean delay (minutes) of the carrier's flights that left this airport in the past hours; missing for none."""
        at = request["ts"] - self.age(request)
        origin, carrier = request["inputs.origin"], request["inputs.carrier"]
        if not isinstance(at, np.ndarray):
            return self.departures.mean(f"{origin}/{carrier}", at, hours)
        keys = [f"{o}/{c}" for o, c in zip(origin.tolist(), carrier.tolist(), strict=True)]
        index = {key: i for i, key in enumerate(dict.fromkeys(keys))}
        number_of = np.array([index[key] for key in keys], dtype=np.int64)
        out = np.full(len(at), np.nan)
        for key, i in index.items():
            rows = number_of == i
            out[rows] = self.departures.mean(key, at[rows], hours)
        return out


def look_up_history(request: Request, source: FeatureStore, *, hours: float) -> dict[str, Any]:
    """The carrier's mean delay at this airport over the past hours."""
    return plain({"carrier_delay": source.carrier_delay(request, hours)})


def also(app: App, request: Columns, out: Columns) -> Columns:
    """The energy that a request took, and how old what it was given was."""
    return {
        "usage.energy_j": out["spans.total"] * (0.055 + 0.002 * request["luck.watts"]),
        "age.airport_delay": request["ts"] % 300,
        "age.weather": request["ts"] % 3600,
        "age.carrier_delay": app.sources["history"].age(request),
    }


@lru_cache(maxsize=2)
def world(seed: int = 0, cache: Path | None = None) -> World:
    """Read, join, train (or take from the cache folder) and deal out callers, hosts and luck."""
    year = read(cache)
    requests = _deal(year.requests, seed)
    app, old, early = _build(year, requests, cache)
    return World(requests, app, old, {"early": early})


def _deal(requests: Columns, seed: int) -> Columns:
    n = len(requests["ts"])
    fixed, rng = np.random.default_rng(2013), np.random.default_rng([2013, seed])
    out = dict(requests)
    # when a request comes and who it is trained on do not depend on the seed: all worlds share their models
    out["ts"] = requests["ts"] + np.round(fixed.uniform(-480, 480, n), 3)
    out = take(out, np.argsort(out["ts"], kind="stable"))
    out["luck.third"] = fixed.integers(0, 3, n).astype(float)
    out["truth.label_ts"] = out["truth.arrived"] + 60 * np.exp(rng.normal(3.6, 0.5, n))
    late = out["truth.arr_delay"]
    out["truth.label"] = np.where(np.isnan(late), np.nan, late > LATE_MIN)  # a cancelled flight has none
    return dealt(out, rng, tuple(MS), f"{seed:02d}")


def _build(year: Year, requests: Columns, cache: Path | None) -> tuple[App, Model, fitting.Scalers]:
    label = requests["truth.arr_delay"] > LATE_MIN
    # a third of the flights of the first months is enough to learn from, and the last third stays unseen
    known, third = ~np.isnan(requests["truth.arr_delay"]), requests["luck.third"]
    seen = {
        version: known & (requests["ts"] < until.timestamp()) & (third == part)
        for version, (until, part) in VERSIONS.items()
    }
    rows = take(requests, seen["7"])
    january = rows["ts"] < datetime(2013, 2, 1, tzinfo=UTC).timestamp()
    app, early = fitting.fitted(_blank(year, rows, label[seen["7"]]), rows, january, SCALERS)
    models = {}
    for version, mask in seen.items():
        # late flights count double in training; the calibration puts that right again
        forest = fitting.forest(app, take(requests, mask), label[mask], FEATURES, version, cache, positive_weight=2.0)
        models[version] = Model(forest, version, digest=forest.digest)
    app = replace(app, model=models["7"], canary=models["8"])
    # calibrated on flights of the same months that no model has seen
    unseen = take(requests, known & (requests["ts"] < SPRING.timestamp()) & (third == 2))
    margin = app.model(unseen | prepare(app, unseen))
    return fitting.calibrated(app, margin, unseen["truth.arr_delay"] > LATE_MIN), models["6"], early


def _blank(year: Year, rows: Columns, label: Any) -> App:
    """The app with its names ranked, nothing else fitted, and no model yet."""
    blank = Model(Forest(np.zeros((1, 1), int), np.zeros((1, 1), np.float32), np.zeros((1, 2)), 0.0, FEATURES), "0")
    reads = {name: f"inputs.{name}" for name in NUMBERS} | {"carrier_delay": "steps.history.carrier_delay"}
    reads |= {name: f"steps.weather.{name}" for name in WEATHER}
    books = {name: fitting.ranks(rows[f"inputs.{name}"], label) for name in (*TEXTS, "maker")}
    steps = (
        ("weather", partial(look_up, default=CALM_DAY)),
        ("history", partial(look_up_history, hours=3.0)),
        ("impute", partial(fill_missing, fill=dict.fromkeys(reads, 0.0), reads=reads)),
        ("encode", partial(rank_names, ranks=books)),
        ("scale", partial(scale_numbers, scalers={})),
    )
    return App(
        "delay", steps,
        {"weather": Shared(year.weather, year.origins, "inputs.origin", year.first_hour),
         "history": FeatureStore(year.departures)},
        blank, blank, partial(platt, slope=1.0, intercept=0.0),
        partial(by_threshold, threshold=THRESHOLD, above="rebook", below="keep"), Timing(MS), extras=partial(also),
    )  # fmt: skip


UNTOUCHED: tuple[tuple[str, date, int], ...] = (
    ("none", date(2013, 2, 8), 2),  # the blizzard
    ("none", date(2013, 3, 6), 3),  # the late snow
    ("none/deploy", date(2013, 3, 19), 4),
    ("none", date(2013, 4, 17), 3),  # spring storms
    ("none/mix", date(2013, 4, 29), 5),
    ("none", date(2013, 5, 24), 4),  # Memorial Day
    ("none/campaign", date(2013, 6, 4), 3),
    ("none", date(2013, 6, 24), 5),  # summer storms
    ("none", date(2013, 7, 4), 2),  # Independence Day
    ("none", date(2013, 7, 8), 4),  # more storms
    ("none/release", date(2013, 7, 29), 4),
    ("none", date(2013, 8, 7), 3),
    ("none/newcomer", date(2013, 8, 20), 3),
    ("none", date(2013, 8, 30), 4),  # Labor Day
    ("none", date(2013, 9, 11), 3),
    ("none/growth", date(2013, 9, 24), 4),
    ("none", date(2013, 10, 15), 7),  # an ordinary week
    ("none/retired", date(2013, 10, 29), 3),
    ("none", date(2013, 11, 5), 1),
    ("none/release", date(2013, 11, 12), 6),
    ("none", date(2013, 11, 27), 5),  # Thanksgiving
    ("none", date(2013, 12, 5), 5),  # ice
    ("none/deploy", date(2013, 12, 16), 2),
    ("none", date(2013, 12, 23), 4),  # Christmas
)

FLIGHTS = Subject(
    "flights", "classification: which passengers to rebook, on the real departures out of New York in 2013", world, FAULTS,
    CHANGES, ("context.origin", "context.region", "context.channel", "context.tenant", "context.client"),
    date(2013, 1, 29), date(2013, 12, 30), UNTOUCHED,
)  # fmt: skip
