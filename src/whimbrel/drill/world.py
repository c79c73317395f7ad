"""The world in which the demo's app lives: the year's traffic with its callers, hosts and luck, and the trained app.

In: a seed and a cache folder. Out: a `World`: requests ready to be served, the app as it should be, an older
and a newer model of it. The seed decides who calls through which channel, which host answers and how long everything
takes; the flights are what they were. Only this room may call.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from whimbrel.drill.app import (
    FEATURES,
    NUMBERS,
    TEXTS,
    App,
    FeatureStore,
    Model,
    Observations,
    by_threshold,
    changed,
    fill_missing,
    look_up_history,
    look_up_weather,
    platt,
    prepare,
    rank_names,
    scale_numbers,
)
from whimbrel.drill.columns import Bools, Columns, take
from whimbrel.drill.data import Year, read, write_arrays
from whimbrel.drill.forest import Forest, train
from whimbrel.model.event import Event
from whimbrel.record.fingerprints import fingerprint

Scalers: TypeAlias = Mapping[str, Mapping[str, float]]

LATE_MIN = 30
"""A flight is late when it arrives more than this many minutes after its time."""
THRESHOLD = 0.22
CALM_DAY = {"temp": 55.0, "wind_speed": 9.0, "precip": 0.0, "visib": 10.0, "pressure": 1015.0}
"""What is assumed where the weather service does not answer."""
HOSTS = {"edge-1": 0.36, "edge-2": 0.28, "edge-3": 0.2, "edge-4": 0.16}
CHANNELS = {"web": 0.42, "app": 0.33, "desk": 0.15, "partner": 0.10}
TENANTS = {"atlas": 0.45, "borealis": 0.30, "corvus": 0.25}
SPRING = datetime(2013, 4, 1, tzinfo=UTC)
VERSIONS = {"6": (datetime(2013, 3, 1, tzinfo=UTC), 0), "7": (SPRING, 0), "8": (SPRING, 1)}
"""Versions of the model, until when they saw flights, which third: 6 is the old one, 7 serves, 8 is the canary."""
FIRST_RELEASE = datetime(2013, 1, 1, 15, tzinfo=UTC)
LUCK = (
    "queue",
    "weather",
    "history",
    "impute",
    "encode",
    "scale",
    "score",
    "calibrate",
    "decide",
    "clock",
    "watts",
    "flip",
)
DICE = ("timeout", "skip", "route", "fail", "coin")


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """A year of requests (columns, in order of time), and the apps that can serve them."""

    requests: Columns
    year: Year
    app: App
    old: Model
    early: Scalers
    """Scalers as they were fitted on January alone: what an older version of the step would do."""

    def between(self, since: datetime, until: datetime) -> Columns:
        """The requests with `since <= ts < until`."""
        low, high = np.searchsorted(self.requests["ts"], [since.timestamp(), until.timestamp()])
        return take(self.requests, np.arange(low, high))


@lru_cache(maxsize=2)
def world(seed: int = 0, cache: Path | None = None) -> World:
    """Read, join, train (or take from the cache folder) and deal out callers, hosts and luck."""
    year = read(cache)
    requests = _deal(year.requests, seed)
    app, old, early = _build(year, requests, cache)
    return World(requests, year, app, old, early)


def _deal(requests: Columns, seed: int) -> Columns:
    n = len(requests["ts"])
    fixed, rng = np.random.default_rng(2013), np.random.default_rng([2013, seed])
    out = dict(requests)
    # when a request comes and who it is trained on do not depend on the seed: all worlds share their models
    out["ts"] = requests["ts"] + np.round(fixed.uniform(-480, 480, n), 3)
    out = take(out, np.argsort(out["ts"], kind="stable"))
    out["luck.third"] = fixed.integers(0, 3, n).astype(float)
    hour = (out["ts"] // 3600).astype(np.int64)
    counts = np.bincount(hour - hour.min())
    out["luck.load"] = (counts / np.quantile(counts, 0.99))[hour - hour.min()]
    for name in LUCK:
        out[f"luck.{name}"] = rng.standard_normal(n)
    for name in DICE:
        out[f"luck.{name}"] = rng.random(n)
    out["context.channel"] = _choose(rng, CHANNELS, n)
    out["context.tenant"] = _choose(rng, TENANTS, n)
    out["context.release"] = _releases(out["ts"])
    host = rng.choice(len(HOSTS), n, p=list(HOSTS.values()))
    out["hardware.host"] = np.array(list(HOSTS), dtype=object)[host]
    # hosts differ a little, and each has better and worse hours: noise comes in clusters
    level = rng.normal(0, 0.02, len(HOSTS))[:, None] + rng.normal(0, 0.03, (len(HOSTS), hour.max() - hour.min() + 1))
    out["luck.host"] = np.exp(level)[host, hour - hour.min()]
    out["recorder.process"] = np.array([f"{name}/1" for name in HOSTS], dtype=object)[host]
    out["recorder.seq"] = np.empty(n)
    for i in range(len(HOSTS)):
        out["recorder.seq"][host == i] = np.arange(1, (host == i).sum() + 1)
    out["truth.label_ts"] = out["truth.arrived"] + 60 * np.exp(rng.normal(3.6, 0.5, n))
    out["id"] = np.array([f"{seed:02d}-{i:06d}" for i in range(n)], dtype=object)
    return {"id": out.pop("id"), **out}


def _choose(rng: np.random.Generator, shares: dict[str, float], n: int) -> NDArray[Any]:
    return rng.choice(np.array(list(shares), dtype=object), n, p=list(shares.values()))


def _releases(ts: NDArray[np.float64]) -> NDArray[Any]:
    number = ((ts - FIRST_RELEASE.timestamp()) // (14 * 86400)).astype(np.int64)
    names = np.array([f"2013.{i:02d}" for i in range(number.max() + 1)], dtype=object)
    return names[np.maximum(number, 0)]


def releases(since: datetime, until: datetime) -> tuple[Event, ...]:
    """The routine releases of that time: every other Tuesday at 15:00 UTC; they change nothing but their number."""
    first = int((since - FIRST_RELEASE) / timedelta(days=14)) + (since > FIRST_RELEASE)
    moments = ((i, FIRST_RELEASE + timedelta(days=14 * i)) for i in range(first, first + 30))
    return tuple(Event(ts, "deploy", f"release 2013.{i:02d}") for i, ts in moments if since <= ts < until)


def _build(year: Year, requests: Columns, cache: Path | None) -> tuple[App, Model, Scalers]:
    label = requests["truth.arr_delay"] > LATE_MIN
    # a third of the flights of the first months is enough to learn from, and the last third stays unseen
    known, third = ~np.isnan(requests["truth.arr_delay"]), requests["luck.third"]
    seen = {
        version: known & (requests["ts"] < until.timestamp()) & (third == part)
        for version, (until, part) in VERSIONS.items()
    }
    app, early = _fitted(year, take(requests, seen["7"]), label[seen["7"]])
    models = {}
    for version, rows in seen.items():
        forest = _forest(app, take(requests, rows), label[rows], version, cache)
        models[version] = Model(forest, version, digest=forest.digest)
    app = replace(app, model=models["7"], canary=models["8"])
    # calibrated on flights of the same months that no model has seen
    unseen = take(requests, known & (requests["ts"] < SPRING.timestamp()) & (third == 2))
    slope, intercept = _platt(app.model(unseen | prepare(app, unseen)), unseen["truth.arr_delay"] > LATE_MIN)
    return replace(app, calibrate=changed(app.calibrate, slope=slope, intercept=intercept)), models["6"], early


def _fitted(year: Year, rows: Columns, label: Bools) -> tuple[App, Scalers]:
    """The app with its steps fitted and no model yet, and the scalers as January alone would have made them."""
    blank = Model(Forest(np.zeros((1, 1), int), np.zeros((1, 1), np.float32), np.zeros((1, 2)), 0.0, FEATURES), "0")
    app = App(
        Observations(year),
        FeatureStore(year.departures),
        partial(look_up_weather, default=CALM_DAY),
        partial(look_up_history, hours=3.0),
        partial(fill_missing, fill={}),
        partial(rank_names, ranks={name: _ranks(rows[f"inputs.{name}"], label) for name in (*TEXTS, "maker")}),
        partial(scale_numbers, scalers={}),
        blank,
        blank,
        partial(platt, slope=1.0, intercept=0.0),
        partial(by_threshold, threshold=THRESHOLD),
    )
    raw = {f"inputs.{name}": rows[f"inputs.{name}"] for name in NUMBERS} | prepare(app, rows)
    numbers = (path for path in raw if not path.startswith("steps.encode."))
    fill = {path.rpartition(".")[2]: float(np.nanmedian(raw[path])) for path in numbers}
    app = replace(app, impute=changed(app.impute, fill=fill))
    filled = app.impute(raw)
    january = rows["ts"] < datetime(2013, 2, 1, tzinfo=UTC).timestamp()
    early = _scalers({name: value[january] for name, value in filled.items()})
    return replace(app, scale=changed(app.scale, scalers=_scalers(filled))), early


def _forest(app: App, rows: Columns, label: Bools, version: str, cache: Path | None) -> Forest:
    kept = None if cache is None else cache / f"model-{version}-{_recipe(app)}.npz"
    if kept is not None and kept.exists():
        with np.load(kept, allow_pickle=False) as arrays:
            return Forest.from_arrays(dict(arrays))
    steps = prepare(app, rows)
    # late flights count double in training; the calibration puts that right again
    forest = train(
        {name: steps[f"steps.{name}"] if f"steps.{name}" in steps else rows[name] for name in FEATURES},
        label,
        positive_weight=2.0,
    )
    if kept is not None:
        write_arrays(kept, forest.to_arrays())
    return forest


def _recipe(app: App) -> str:
    """What the models depend on: a cache that was made by other code is not looked at."""
    parts = [fingerprint(train), fingerprint(_deal), *app.fingerprints().values(), *FEATURES]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _ranks(values: NDArray[Any], label: Bools) -> dict[Any, float]:
    """Place in the order of the share of late flights, drawn a little towards the overall share."""
    share: dict[Any, float] = {}
    overall = float(label.mean())
    texts = np.array([str(v) for v in values.tolist()])
    names, index = np.unique(texts, return_inverse=True)
    counts, late = np.bincount(index), np.bincount(index, weights=label)
    first = dict(zip(texts.tolist(), values.tolist(), strict=True))
    for name, n, bad in zip(names, counts, late, strict=True):
        share[first[str(name)]] = (bad + 50 * overall) / (n + 50)
    ordered = sorted((v for v in share if v is not None and v == v), key=lambda v: (share[v], str(v)))
    return {value: float(rank) for rank, value in enumerate(ordered)}


def _scalers(filled: Columns) -> dict[str, dict[str, float]]:
    shapes: dict[str, dict[str, float]] = {
        "distance": {"low": 0.0, "base": float(np.e)},
        "plane_year": {},
        "seats": {"low": 0.0, "high": 500.0},
        "airport_delay": {"low": -20.0, "high": 90.0},
        "carrier_delay": {"low": -20.0, "high": 90.0},
        "temp": {},
        "wind_speed": {"low": 0.0, "high": 60.0},
        "pressure": {},
    }
    out = {}
    for name, shape in shapes.items():
        plain = {name: {**shape, "center": 0.0, "spread": 1.0}}
        values = scale_numbers({f"steps.impute.{name}": filled[name]}, scalers=plain)[name]
        out[name] = {**shape, "center": round(float(np.mean(values)), 6), "spread": round(float(np.std(values)), 6)}
    return out


def _platt(margin: NDArray[np.float64], label: Bools) -> tuple[float, float]:
    """Slope and intercept by Newton's method on the log-loss."""
    x = np.column_stack([margin, np.ones_like(margin)])
    beta = np.array([1.0, 0.0])
    for _ in range(25):
        p = platt(x @ beta, slope=1.0, intercept=0.0)
        beta = beta - np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x, x.T @ (p - label))
    return round(float(beta[0]), 6), round(float(beta[1]), 6)
