"""What a replay costs over running the pipeline itself: 500 rows of a scikit-learn pipeline of five steps.

`python -m benchmarks.replay` prints CPU milliseconds, medians of 31 taken in turns, and ratios: the pipeline's own
`predict_proba` on the same frame, and the whole replay of rows that were already read, which hands recorded values on, runs
forty rows twice and judges every field. Then what differs, what reading the rows costs, and a function row by row.
"""

from __future__ import annotations

import copy
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import PolynomialFeatures, QuantileTransformer, StandardScaler

import whimbrel
from whimbrel.doors.sklearn import RecordedEstimator
from whimbrel.engine import engine_named
from whimbrel.model.records import Records
from whimbrel.model.window import Window
from whimbrel.replay import replay

ROWS, COLUMNS, RUNS = 500, 10, 31


def main() -> None:
    """Measure and print."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({f"f{k}": rng.lognormal(1, 1, ROWS) for k in range(COLUMNS)})
    model = Pipeline(
        [("impute", SimpleImputer()), ("scale", StandardScaler()), ("spread", QuantileTransformer(n_quantiles=100)),
         ("cross", PolynomialFeatures(2, include_bias=False)), ("model", GradientBoostingClassifier())]
    ).fit(rows, rows["f0"] > rows["f1"])  # fmt: skip
    skewed = copy.deepcopy(model)
    skewed.named_steps["scale"].mean_ *= 1.01
    with tempfile.TemporaryDirectory() as home:
        RecordedEstimator(model, whimbrel.Recorder("costs", home=home)).predict_proba(rows)
        log = whimbrel.open(Path(home))
        log.ingest()
        source, engine, window = log.source("costs"), engine_named("duckdb"), Window("costs")
        ids = engine.rows(source, window, paths=()).ids

        def read() -> Records:
            return engine.records(source, window, ids=ids)

        recorded = read()
        noisy = dataclasses.replace(
            recorded, numbers=recorded.numbers * (1 + 2**-52)
        )  # inputs as well as what is made of them
        alone, equal, golden, noise, other, reading, function = _turns(
            lambda: model.predict_proba(rows),
            lambda: replay("costs", model, recorded, ()),
            lambda: replay("costs", model, recorded, recorded[:200]),
            lambda: replay("costs", model, noisy, ()),
            lambda: replay("costs", skewed, recorded, ()),
            read,
            lambda: replay("costs", _first, recorded, ()),
        )
    print(f"{len(recorded)} rows, {len(recorded.paths)} columns; the pipeline itself: {alone:.2f} ms")
    for what, took in (
        ("replayed and judged, all equal", equal), ("… with 200 rows of golden", golden),
        ("… every cell a rounding apart", noise),
        ("… a skewed scaler", other), ("reading the rows from the log", reading), ("a function, row by row", function),
    ):  # fmt: skip
        print(f"{what}: {took:.2f} ms, {took / alone:.2f} of the pipeline")


def _first(row: dict[str, Any]) -> float:
    """The least that a function can do with a prediction's inputs."""
    return float(row["f0"])


def _turns(*calls: Callable[[], object]) -> list[float]:
    """Median CPU milliseconds of each call."""
    took: list[list[float]] = [[] for _ in calls]
    for _ in range(RUNS):
        for call, times in zip(calls, took, strict=True):
            start = time.process_time()
            call()
            times.append(1e3 * (time.process_time() - start))
    return [statistics.median(times) for times in took]


if __name__ == "__main__":
    main()
