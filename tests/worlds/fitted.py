"""Small real models, trained once a process on an app's history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge

from .world import Array


@dataclass(frozen=True)
class Fitted:
    """One trained model with its calibrator: score = sigmoid(a raw + b), or raw itself for a regression."""

    model: Any
    kind: str
    center: Array
    spread: Array
    a: float = 1.0
    b: float = 0.0

    def raw(self, x: Array) -> Array:
        """Margins (log odds) of a classifier, values of a regression."""
        z = (np.where(np.isnan(x), self.center, x) - self.center) / self.spread
        if self.kind in ("linear", "trees"):
            return np.asarray(self.model.decision_function(z))
        if self.kind == "forest":
            p = np.clip(self.model.predict_proba(z)[:, 1], 1e-3, 1 - 1e-3)
            return np.asarray(np.log(p / (1 - p)))
        return np.asarray(self.model.predict(z))


def fit(kind: str, x: Array, y: Array, seed: int) -> Fitted:
    """Train on four fifths of the rows, calibrate on all of them; columns that hold nothing are left out."""
    keep = np.random.default_rng(seed).random(len(y)) < 0.8
    x, y = x[keep], y[keep]
    with np.errstate(invalid="ignore"):
        seen = ~np.isnan(x).all(axis=0)
    center = np.where(seen, np.nan_to_num(np.nanmedian(np.where(seen, x, 0.0), axis=0)), 0.0)
    spread = np.where(seen, np.nan_to_num(np.nanstd(np.where(seen, x, 0.0), axis=0)), 1.0)
    spread = np.where(spread < 1e-9, 1.0, spread)
    z = (np.where(np.isnan(x), center, x) - center) / spread
    kinds: dict[str, Any] = {
        "linear": LogisticRegression(class_weight="balanced", max_iter=300),
        "trees": HistGradientBoostingClassifier(
            max_iter=50, max_leaf_nodes=12, class_weight="balanced", random_state=seed
        ),
        "forest": RandomForestClassifier(
            40, max_depth=7, min_samples_leaf=10, class_weight="balanced", random_state=seed
        ),
        "ridge": Ridge(alpha=1.0),
        "boost": HistGradientBoostingRegressor(max_iter=80, max_leaf_nodes=15, random_state=seed),
    }
    model = kinds[kind].fit(z, y)
    fitted = Fitted(model, kind, center, spread)
    if kind in ("ridge", "boost"):
        return fitted
    platt = LogisticRegression(C=1e4).fit(fitted.raw(x)[:, None], y)
    return Fitted(model, kind, center, spread, float(platt.coef_[0, 0]), float(platt.intercept_[0]))
