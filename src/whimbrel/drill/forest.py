"""Models as they are deployed: a gradient-boosted forest or a linear model, as plain arrays.

In: scikit-learn's gradient boosting, through its public `tree_` arrays. Out: a value that scores many rows
or one, that has a digest of its own bytes, and that can be cached without pickle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from whimbrel.drill.columns import Columns, Request

CHUNK = 8192
"""Rows scored at a time, so that the work stays in the processor's cache."""


class Scorer(Protocol):
    """What turns features into a margin."""

    @property
    def names(self) -> tuple[str, ...]:
        """The features, as `<step>.<name>`."""
        ...

    @property
    def digest(self) -> str:
        """The identity of its bytes."""
        ...

    def margin(self, features: Request) -> Any:
        """One number for a request, or one for each of many."""
        ...

    def rounded(self, step: float) -> Scorer:
        """The same with its weights rounded to multiples of `step`, and clipped at eight of them."""
        ...

    def times(self, by: float) -> Scorer:
        """The same with every weight times `by`."""
        ...

    def only(self, share: float) -> Scorer:
        """The same with only the first of its weights or trees; the rest say nothing."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """A weight for each feature and one more: a logistic regression's inside."""

    names: tuple[str, ...]
    weights: NDArray[np.float64]
    base: float

    @property
    def digest(self) -> str:
        """The model's identity: a hash of its weights."""
        return hashlib.sha256(self.weights.tobytes() + np.array([self.base]).tobytes()).hexdigest()[:16]

    def margin(self, features: Request) -> Any:
        """Log-odds, for one request or for each of many; no feature may be missing."""
        total: Any = self.base
        for name, weight in zip(self.names, self.weights.tolist(), strict=True):
            total = total + weight * features[name]
        return total

    def rounded(self, step: float) -> Linear:
        """The same with rounded weights."""
        return replace(self, weights=np.clip(np.round(self.weights / step), -8, 8) * step)

    def times(self, by: float) -> Linear:
        """The same with other weights."""
        return replace(self, weights=self.weights * by)

    def only(self, share: float) -> Linear:
        """The same with the first weights alone."""
        return replace(
            self, weights=np.where(np.arange(len(self.weights)) < share * len(self.weights), self.weights, 0)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Forest:
    """Trees of one depth d, completed: `feature` and `threshold` (trees, 2^d - 1), `leaf` (trees, 2^d), all learnt.

    The children of node i are 2i + 1 (feature ≤ threshold) and 2i + 2; the margin is `base` plus one leaf per tree.
    """

    feature: NDArray[np.int64]
    threshold: NDArray[np.float32]
    leaf: NDArray[np.float64]
    base: float
    names: tuple[str, ...]

    @property
    def digest(self) -> str:
        """The model's identity: a hash of the arrays that it consists of."""
        parts = (self.feature, self.threshold, self.leaf, np.array([self.base]))
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()[:16]

    def margin(self, features: Request) -> Any:
        """Log-odds before calibration, for one request or for each of many; no feature may be missing."""
        table = np.column_stack([np.asarray(features[name], dtype=np.float32) for name in self.names])
        margins = np.concatenate(
            [self._walk(table[i : i + CHUNK]) for i in range(0, len(table), CHUNK)] or [np.empty(0)]
        )
        return margins if np.ndim(features[self.names[0]]) else float(margins[0])

    def _walk(self, table: NDArray[np.float32]) -> NDArray[np.float64]:
        trees, width = self.feature.shape
        row = np.arange(len(table))[:, None] * table.shape[1]
        tree = np.arange(trees)[None, :] * width
        node = np.zeros((len(table), trees), dtype=np.int64)
        flat, feature, threshold = table.ravel(), self.feature.ravel(), self.threshold.ravel()
        for _ in range((width + 1).bit_length() - 1):
            at = tree + node
            node = 2 * node + 1 + (flat.take(row + feature.take(at)) > threshold.take(at))
        leaves = self.leaf.ravel().take(np.arange(trees)[None, :] * (width + 1) + node - width)
        total: NDArray[np.float64] = self.base + leaves.sum(axis=1)
        return total

    def rounded(self, step: float) -> Forest:
        """The same with rounded leaves: a calibration set without the tails."""
        return replace(self, leaf=np.clip(np.round(self.leaf / step), -8, 8) * step)

    def times(self, by: float) -> Forest:
        """The same with other leaves."""
        return replace(self, leaf=self.leaf * by)

    def only(self, share: float) -> Forest:
        """The same with the first trees alone."""
        first = np.arange(len(self.leaf)) < share * len(self.leaf)
        return replace(self, leaf=np.where(first[:, None], self.leaf, 0.0))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """As arrays to save."""
        return {
            "feature": self.feature, "threshold": self.threshold, "leaf": self.leaf,
            "base": np.array([self.base]), "names": np.array(self.names),
        }  # fmt: skip

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Forest:
        """Back from `to_arrays`."""
        return Forest(
            arrays["feature"],
            arrays["threshold"],
            arrays["leaf"],
            float(arrays["base"][0]),
            tuple(arrays["names"].tolist()),
        )


DEPTH, RATE = 4, 0.15


def train(features: Columns, label: NDArray[np.bool_], *, positive_weight: float = 1.0, seed: int = 0) -> Forest:
    """Fit a forest of 50 trees of depth 4 on `features` (each (n,), none missing) and `label` (n,)."""
    from sklearn.ensemble import GradientBoostingClassifier  # a second to load, and only training needs it

    made = GradientBoostingClassifier(**_options(seed))
    made.fit(np.column_stack(list(features.values())), label, sample_weight=np.where(label, positive_weight, 1.0))
    prior = float(made.init_.class_prior_[1])
    return _complete(made, float(np.log(prior / (1 - prior))), tuple(features))


def train_regression(features: Columns, target: NDArray[np.float64], *, seed: int = 0) -> Forest:
    """The same for a number (n,) instead of a label."""
    from sklearn.ensemble import GradientBoostingRegressor

    made = GradientBoostingRegressor(**_options(seed))
    made.fit(np.column_stack(list(features.values())), target)
    return _complete(made, float(np.ravel(made.init_.constant_)[0]), tuple(features))


def train_linear(features: Columns, label: NDArray[np.bool_], *, seed: int = 0) -> Linear:
    """A logistic regression by Newton's method, with a little ridge; `seed` leaves out a tenth of the rows."""
    x = np.column_stack([*features.values(), np.ones(len(label))])
    rows = np.random.default_rng(seed).random(len(label)) > 0.1
    x, y, beta = x[rows], label[rows].astype(float), np.zeros(x.shape[1])
    ridge = np.eye(x.shape[1])
    for _ in range(20):
        p = 1 / (1 + np.exp(-(x @ beta)))
        beta = beta - np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + ridge, x.T @ (p - y) + ridge @ beta)
    beta = np.round(beta, 6)
    return Linear(tuple(features), beta[:-1], float(beta[-1]))


def _options(seed: int) -> dict[str, Any]:
    return {
        "n_estimators": 50, "max_depth": DEPTH, "learning_rate": RATE, "subsample": 0.5, "max_features": 0.5,
        "min_samples_leaf": 30, "random_state": seed,
    }  # fmt: skip


def _complete(made: Any, base: float, names: tuple[str, ...]) -> Forest:
    trees = [estimator.tree_ for estimator in made.estimators_[:, 0]]
    feature = np.zeros((len(trees), 2**DEPTH - 1), dtype=np.int64)
    threshold = np.full(feature.shape, np.inf, dtype=np.float32)
    leaf = np.zeros((len(trees), 2**DEPTH))
    for t, tree in enumerate(trees):
        # a leaf above the last level becomes nodes that always go left, down to a leaf of its value
        level = [0]
        for d in range(DEPTH):
            below = []
            for i, source in enumerate(level):
                if tree.children_left[source] < 0:
                    below += [source, source]
                    continue
                at = 2**d - 1 + i
                feature[t, at] = tree.feature[source]
                # scikit-learn compares float32 with float64: the largest float32 not above its threshold asks the same
                cut = np.float32(tree.threshold[source])
                threshold[t, at] = cut if cut <= tree.threshold[source] else np.nextafter(cut, np.float32(-np.inf))
                below += [tree.children_left[source], tree.children_right[source]]
            level = below
        leaf[t] = RATE * tree.value[level, 0, 0]
    return Forest(feature, threshold, leaf, base, names)
