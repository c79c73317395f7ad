"""What a replay costs over running the pipeline itself: 500 rows of a scikit-learn pipeline of five steps.

`python -m benchmarks.replay` prints CPU milliseconds of both, in turns, medians of 15, and their ratio.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import pandas as pd
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import PolynomialFeatures, QuantileTransformer, StandardScaler

from whimbrel.replay import pipeline_of

ROWS, COLUMNS, RUNS = 500, 10, 15


def main() -> None:
    """Measure and print."""
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({f"f{k}": rng.lognormal(1, 1, ROWS) for k in range(COLUMNS)})
    model = Pipeline(
        [("impute", SimpleImputer()), ("scale", StandardScaler()), ("spread", QuantileTransformer(n_quantiles=100)),
         ("cross", PolynomialFeatures(2, include_bias=False)), ("model", GradientBoostingClassifier())]
    ).fit(rows, rows["f0"] > rows["f1"])  # fmt: skip
    records = [{f"inputs.{name}": value for name, value in row.items()} for row in rows.to_dict("records")]
    pipeline = pipeline_of(model)
    for record, answer in zip(records, list(pipeline.play(records, free=True, heed=lambda _: None)), strict=True):
        record |= answer.out
    alone, replayed = [], []
    for _ in range(RUNS):
        start = time.process_time()
        model.predict_proba(rows)
        middle = time.process_time()
        list(pipeline.play(records, free=False, heed=lambda _: None))
        alone.append(middle - start)
        replayed.append(time.process_time() - middle)
    first, second = (1e3 * statistics.median(times) for times in (alone, replayed))
    print(f"pipeline {first:.1f} ms, replay {second:.1f} ms: {second / first:.2f} times")


if __name__ == "__main__":
    main()
