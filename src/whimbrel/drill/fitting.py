"""What the tabular apps learn before they serve: medians, ranks, scalers, a model, its calibration. Models are cached.

In: training rows as columns. Out: the app with its parameters in place, and the parts that only a fault uses.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from whimbrel.drill.app import App, changed, prepare
from whimbrel.drill.columns import Bools, Columns
from whimbrel.drill.forest import Forest, train
from whimbrel.drill.steps import scale_numbers
from whimbrel.record.fingerprints import fingerprint

Scalers: TypeAlias = Mapping[str, Mapping[str, float]]


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Save arrays as one file, so that a reader sees either nothing or all of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".npz")
    with os.fdopen(handle, "wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    Path(name).replace(path)


def fitted(app: App, rows: Columns, early: Bools, shapes: Scalers) -> tuple[App, Scalers]:
    """The app with its medians and scalers fitted on `rows`, and the scalers as `early` rows alone would make them.

    `shapes` are the scalers without centre and spread.
    """
    raw = rows | prepare(app, rows)
    reads = app.step("impute").keywords["reads"]
    fill = {name: round(float(np.nanmedian(raw[path])), 6) for name, path in reads.items()}
    app = app.given("impute", fill=fill)
    filled = app.step("impute")(raw)
    before = scalers(shapes, {name: value[early] for name, value in filled.items()})
    return app.given("scale", scalers=scalers(shapes, filled)), before


def scalers(shapes: Scalers, filled: Columns) -> dict[str, dict[str, float]]:
    """Centre and spread of each number after its clip and logarithm."""
    out = {}
    for name, shape in shapes.items():
        plain = {name: {**shape, "center": 0.0, "spread": 1.0}}
        values = scale_numbers({f"steps.impute.{name}": filled[name]}, scalers=plain)[name]
        out[name] = {**shape, "center": round(float(np.mean(values)), 6), "spread": round(float(np.std(values)), 6)}
    return out


def ranks(values: NDArray[Any], label: NDArray[Any]) -> dict[Any, float]:
    """Place in the order of the mean label, drawn a little towards the overall mean."""
    share: dict[Any, float] = {}
    overall = float(label.mean())
    texts = np.array([str(v) for v in values.tolist()])
    names, index = np.unique(texts, return_inverse=True)
    counts, sums = np.bincount(index), np.bincount(index, weights=label)
    first = dict(zip(texts.tolist(), values.tolist(), strict=True))
    for name, n, total in zip(names, counts, sums, strict=True):
        share[first[str(name)]] = (total + 50 * overall) / (n + 50)
    ordered = sorted((v for v in share if v is not None and v == v), key=lambda v: (share[v], str(v)))
    return {value: float(rank) for rank, value in enumerate(ordered)}


def forest(
    app: App, rows: Columns, label: NDArray[Any], names: tuple[str, ...], version: str, cache: Path | None,
    fit: Callable[..., Forest] = train, **options: Any,
) -> Forest:  # fmt: skip
    """A forest trained on the app's own steps, or taken from the cache folder."""
    kept = None if cache is None else cache / f"{app.name}-{version}-{_recipe(app, names, fit)}.npz"
    if kept is not None and kept.exists():
        with np.load(kept, allow_pickle=False) as arrays:
            return Forest.from_arrays(dict(arrays))
    steps = prepare(app, rows)
    made = fit({name: steps[f"steps.{name}"] for name in names}, label, **options)
    if kept is not None:
        write_arrays(kept, made.to_arrays())
    return made


def _recipe(app: App, names: tuple[str, ...], fit: Callable[..., Forest]) -> str:
    """What the models depend on: a cache that was made by other code is not looked at."""
    parts = [fingerprint(fit), *app.fingerprints().values(), *names]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def calibrated(app: App, margin: NDArray[np.float64], label: Bools) -> App:
    """The app with the slope and intercept that fit these labels best."""
    slope, intercept = platt_of(margin, label)
    return replace(app, calibrate=changed(app.calibrate, slope=slope, intercept=intercept))


def platt_of(margin: NDArray[np.float64], label: Bools) -> tuple[float, float]:
    """Slope and intercept by Newton's method on the log-loss."""
    x = np.column_stack([margin, np.ones_like(margin)])
    beta = np.array([1.0, 0.0])
    for _ in range(25):
        p = 1.0 / (1.0 + np.exp(-(x @ beta)))
        beta = beta - np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x, x.T @ (p - label))
    return round(float(beta[0]), 6), round(float(beta[1]), 6)
