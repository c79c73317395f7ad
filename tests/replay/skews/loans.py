"""Will a loan default? A fitted scikit-learn pipeline of five steps; a skew is a copy of it with one part changed."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import KBinsDiscretizer, OneHotEncoder, OrdinalEncoder, StandardScaler

PURPOSES = ["Küche", "自動車", "Öko-Heizung", "vacances d’été", "Umzug", "école", "свадьба"]
BRANCHES = ["Basel", "Bern", "Chur", "Genève", "Luzern", "Zürich"]
NUMBERS = ["income", "debt", "age"]


class Squash(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Clips amounts at `most` and takes logarithms of the first two columns; `order` is that of all columns."""

    def __init__(self, most: float = 150_000.0, order: tuple[int, ...] = ()) -> None:
        self.most = most
        self.order = order

    def fit(self, X: Any, y: Any = None) -> Squash:  # noqa: N803
        """Nothing is learned."""
        self.fitted_ = True
        return self

    def transform(self, X: Any) -> Any:  # noqa: N803
        """The same rows, squashed."""
        out = np.array(X, dtype=float)
        out[:, :2] = np.log1p(np.clip(out[:, :2], 0, self.most))
        return out[:, list(self.order)] if self.order else out


class Cast(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Another transformer, whose answer is kept in another float type."""

    def __init__(self, inner: Any, kind: str) -> None:
        self.inner = inner
        self.kind = kind

    def fit(self, X: Any, y: Any = None) -> Cast:  # noqa: N803
        """Fit what is inside."""
        self.inner.fit(X, y)
        return self

    def transform(self, X: Any) -> Any:  # noqa: N803
        """What is inside, in the other type."""
        return np.asarray(self.inner.transform(X)).astype(self.kind)

    def get_feature_names_out(self, names: Any = None) -> Any:
        """The inner names."""
        return self.inner.get_feature_names_out(names)


class Reread(LogisticRegression):  # type: ignore[misc]
    """A model whose raw score goes through another calibration line, or whose classes are read the other way round."""

    slope, start, turned = 1.0, 0.0, False

    def predict_proba(self, X: Any) -> Any:  # noqa: N803
        """Probabilities of both classes."""
        p = 1 / (1 + np.exp(-(self.slope * self.decision_function(X) + self.start)))
        return np.column_stack([p, 1 - p] if self.turned else [1 - p, p])


def frame(n: int, seed: int) -> Any:
    """Applications, as messy as they come."""
    rng = np.random.default_rng(seed)
    income = np.round(rng.lognormal(10.6, 0.7, n), 2)
    debt = np.round(rng.lognormal(8.5, 1.2, n) * (rng.random(n) < 0.7), 2)
    age = np.round(np.clip(rng.normal(44, 15, n), 18, 95))
    income[rng.random(n) < 0.08] = np.nan
    debt[rng.random(n) < 0.12] = np.nan
    age[rng.random(n) < 0.01] = np.nan
    purpose = rng.choice(np.array(PURPOSES, dtype=object), n, p=[0.3, 0.25, 0.15, 0.12, 0.1, 0.07, 0.01])
    purpose[rng.random(n) < 0.04] = None
    branch = rng.choice(np.array(BRANCHES, dtype=object), n, p=[0.2, 0.2, 0.05, 0.15, 0.1, 0.3])
    late = rng.poisson(0.4, n).astype(float)
    return pd.DataFrame(
        {"income": income, "debt": debt, "age": age, "late": late, "purpose": purpose, "branch": branch}
    )


@functools.cache
def trained() -> Any:
    """The training-time pipeline."""
    rows = frame(3000, 0)
    purpose = Pipeline([
        ("fill", SimpleImputer(strategy="most_frequent", missing_values=np.nan)), ("order", OrdinalEncoder())
    ])  # fmt: skip
    prepare = ColumnTransformer([
        ("numbers", SimpleImputer(strategy="median"), NUMBERS), ("late", "passthrough", ["late"]),
        ("purpose", purpose, ["purpose"]), ("branch", OneHotEncoder(sparse_output=False), ["branch"]),
    ])  # fmt: skip
    bins = KBinsDiscretizer(8, encode="ordinal", strategy="quantile", quantile_method="averaged_inverted_cdf")
    bucket = ColumnTransformer([("age", bins, [2])], remainder="passthrough")
    model = Pipeline([
        ("prepare", prepare), ("squash", Squash()), ("bucket", bucket), ("scale", StandardScaler()), ("model", Reread())
    ])  # fmt: skip
    burden = np.log1p(rows["debt"].fillna(3000)) - np.log1p(rows["income"].fillna(40000)) + 0.8 * rows["late"]
    noise = np.random.default_rng(1).normal(0, 1.5, len(rows))
    return model.fit(rows, (burden + noise > -1).astype(int))
