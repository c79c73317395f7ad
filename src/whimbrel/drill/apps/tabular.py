"""What the apps with generated traffic share: arrivals, weather and holidays, a pool of rows, and a model fitted on the start.

In: a `Plan` and requests without luck. Out: a `World`. Where `WHIMBREL_DRILL_DATA` names a folder with the public data sets
bike_sharing, chicago_taxi_tfx and nannyml_car_loan, their rows are used instead of made ones.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.drill import fitting
from whimbrel.drill.app import App, Model, Step, Timing, by_threshold, expected, platt, prepare
from whimbrel.drill.columns import Columns, Request, take
from whimbrel.drill.forest import Forest, Linear, train, train_linear, train_regression
from whimbrel.drill.steps import fill_missing, rank_names, scale_numbers
from whimbrel.drill.world import World, dealt
from whimbrel.errors import InputError, UsageError

DATA = "WHIMBREL_DRILL_DATA"
HOUR, DAY = 3600.0, 86400.0
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How a tabular app is built. `reads` says which number lies where, `scalers` are without centre and spread."""

    name: str
    lookups: tuple[tuple[str, Step], ...]
    sources: Mapping[str, Any]
    reads: Mapping[str, str]
    texts: tuple[str, ...]
    scalers: fitting.Scalers
    features: tuple[str, ...]
    learns: str
    """classes (a forest), odds (a logistic regression), or counts (a forest for logarithms)."""
    above: str
    below: str
    acts_on: float
    """Share of golden traffic that gets the decision `above`."""
    ms: Mapping[str, float]
    trained_until: float
    """Epoch seconds."""
    extras: Callable[..., Columns] | None = None


def built(plan: Plan, requests: Columns, seed: int, cache: Path | None) -> World:
    """Fit the app on the first stretch and deal out luck; `requests` are in order of time, `truth.label` among them."""
    n = len(requests["ts"])
    rng = np.random.default_rng([len(plan.name), n, seed])
    requests = dealt(requests, rng, tuple(plan.ms), f"{plan.name}-{seed}")
    # who is trained on does not depend on the seed: all worlds share their models
    third = np.random.default_rng(7).integers(0, 3, n)
    first = (requests["ts"] < plan.trained_until) & ~np.isnan(requests["truth.label"])
    rows = take(requests, first & (third == 0))
    app, early = fitting.fitted(_blank(plan, rows), rows, rows["ts"] < np.quantile(rows["ts"], 0.3), plan.scalers)
    old = _model(plan, app, take(rows, rows["ts"] < np.quantile(rows["ts"], 0.5)), "6", cache)
    other = take(requests, first & (third == 1))
    app = replace(app, model=_model(plan, app, rows, "7", cache), canary=_model(plan, app, other, "8", cache))
    unseen = take(requests, first & (third == 2))
    margin = app.model(unseen | prepare(app, unseen))
    if plan.learns == "counts":
        factor = float((unseen["truth.label"] + 1).mean() / np.exp(margin).mean())
        app = replace(app, calibrate=partial(expected, slope=1.0, factor=round(factor, 6)))
    else:
        app = fitting.calibrated(app, margin, unseen["truth.label"] > 0)
    threshold = float(np.quantile(app.calibrate(margin), 1 - plan.acts_on))
    app = replace(app, decide=partial(by_threshold, threshold=round(threshold, 4), above=plan.above, below=plan.below))
    return World(requests, app, old, {"early": early})


def _blank(plan: Plan, rows: Columns) -> App:
    none = Model(Linear((), np.zeros(0), 0.0), "0")
    label = rows["truth.label"]
    books = {name: fitting.ranks(rows[f"inputs.{name}"], label) for name in plan.texts}
    steps = (
        *plan.lookups,
        ("impute", partial(fill_missing, fill=dict.fromkeys(plan.reads, 0.0), reads=dict(plan.reads))),
        ("encode", partial(rank_names, ranks=books)),
        ("scale", partial(scale_numbers, scalers={})),
    )
    return App(
        plan.name, steps, plan.sources, none, none, partial(platt, slope=1.0, intercept=0.0),
        partial(by_threshold, threshold=0.5, above=plan.above, below=plan.below), Timing(plan.ms), fallback=plan.below,
        extras=None if plan.extras is None else partial(plan.extras),
    )  # fmt: skip


def _model(plan: Plan, app: App, rows: Columns, version: str, cache: Path | None) -> Model:
    label = rows["truth.label"]
    scorer: Forest | Linear
    if plan.learns == "odds":
        steps = prepare(app, rows)
        names = {name: steps[f"steps.{name}"] for name in plan.features}
        scorer = train_linear(names, label > 0, seed=int(version))
    elif plan.learns == "counts":
        scorer = fitting.forest(app, rows, np.log1p(label), plan.features, version, cache, train_regression)
    else:
        scorer = fitting.forest(app, rows, label > 0, plan.features, version, cache, train)
    return Model(scorer, version, digest=scorer.digest)


def aged(app: App, request: Request, out: Columns, *, every_s: float, step: str) -> Columns:  # noqa: ARG001
    """How old the feature store's values were, and what a request cost."""
    return {f"age.{step}": request["ts"] % every_s + app.sources[step].stale_s}


# -- time --------------------------------------------------------------------------------------------------------------
def arrivals(rng: np.random.Generator, first: date, days: int, per_day: float, profile: Floats, weekend: float,
             quiet: tuple[date, ...] = ()) -> Floats:  # fmt: skip
    """Epoch seconds of requests, ascending: by the hour's share, less at weekends and on `quiet` days, each day as it falls."""
    start = epoch(first)
    hour = np.arange(days * 24)
    weekday = ((start + hour * HOUR) // DAY + 3) % 7
    still = np.isin((start + hour * HOUR) // DAY, [epoch(day) // DAY for day in quiet])
    rate = per_day * (profile / profile.sum())[hour % 24] * np.where((weekday >= 5) | still, weekend, 1.0)
    rate = rate * np.exp(rng.normal(0, 0.07, days))[hour // 24] * np.exp(rng.normal(0, 0.05, len(hour)))
    counts = rng.poisson(rate)
    ts: Floats = np.sort(np.round(np.repeat(start + hour * HOUR, counts) + rng.uniform(0, HOUR, counts.sum()), 3))
    return ts


def epoch(day: date) -> float:
    """Midnight UTC in seconds."""
    return float((day - date(1970, 1, 1)).days * 86400)


def wandering(rng: np.random.Generator, n: int, groups: int, rho: float) -> Floats:
    """Values (groups, n) that remember themselves from step to step: weather, prices, moods; standard deviation 1."""
    shocks: Floats = rng.standard_normal((groups, n)) * np.sqrt(1 - rho**2)
    shocks[:, 0] = rng.standard_normal(groups)
    for i in range(1, n):
        shocks[:, i] += rho * shocks[:, i - 1]
    return shocks


def gaps(rng: np.random.Generator, values: NDArray[Any], share: float) -> NDArray[Any]:
    """The column with some values missing, as in life."""
    missing = rng.random(len(values)) < share
    if values.dtype == object:
        out = values.copy()
        out[missing] = None
        return out
    return np.where(missing, np.nan, values)


# -- real rows ---------------------------------------------------------------------------------------------------------
def real(folder: str) -> Path | None:
    """The folder of a public data set, where the variable names one that holds it.

    Raises:
        UsageError: the variable names no folder.
    """
    named = os.environ.get(DATA)
    if not named:
        return None
    if not Path(named).is_dir():
        raise UsageError(
            f"there is no folder {named}", where=DATA, why="it shall hold bike_sharing/, chicago_taxi_tfx/, …",
            next=f"unset {DATA}: made rows are used then",
        )  # fmt: skip
    found = Path(named) / folder
    return found if found.is_dir() else None


def parquet(path: Path, names: tuple[str, ...]) -> Columns:
    """Columns of a Parquet file.

    Raises:
        UsageError: pyarrow is not installed.
        InputError: the file cannot be read.
    """
    try:
        from pyarrow import parquet as reader
    except ImportError as error:
        raise UsageError(
            "real rows are read with pyarrow, which is not installed", where=DATA,
            next=f"pip install pyarrow, or unset {DATA}: made rows are used then",
        ) from error  # fmt: skip
    try:
        table = reader.read_table(path, columns=list(names))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}", where=DATA, why=str(error), next=f"unset {DATA}") from error
    return {name: table.column(name).to_numpy(zero_copy_only=False) for name in names}
