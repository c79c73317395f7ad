"""A gradient-boosted forest as plain arrays: the delay model as it is deployed.

In: scikit-learn's `GradientBoostingClassifier`, through its public `tree_` arrays. Out: a value that scores many rows
or one, that has a digest of its own bytes, and that can be cached without pickle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.drill.columns import Columns, Request

CHUNK = 8192
"""Rows scored at a time, so that the work stays in the processor's cache."""


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


def train(features: Columns, label: NDArray[np.bool_], *, positive_weight: float = 1.0, seed: int = 0) -> Forest:
    """Fit a forest of 50 trees of depth 4 on `features` (each (n,), none missing) and `label` (n,)."""
    from sklearn.ensemble import GradientBoostingClassifier  # a second to load, and only training needs it

    fitted = GradientBoostingClassifier(
        n_estimators=50,
        max_depth=4,
        learning_rate=0.15,
        subsample=0.5,
        max_features=0.5,
        min_samples_leaf=30,
        random_state=seed,
    )
    fitted.fit(np.column_stack(list(features.values())), label, sample_weight=np.where(label, positive_weight, 1.0))
    trees = [estimator.tree_ for estimator in fitted.estimators_[:, 0]]
    depth = 4
    feature = np.zeros((len(trees), 2**depth - 1), dtype=np.int64)
    threshold = np.full(feature.shape, np.inf, dtype=np.float32)
    leaf = np.zeros((len(trees), 2**depth))
    for t, tree in enumerate(trees):
        # a leaf above the last level becomes nodes that always go left, down to a leaf of its value
        level = [0]
        for d in range(depth):
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
        leaf[t] = 0.15 * tree.value[level, 0, 0]
    prior = float(fitted.init_.class_prior_[1])
    return Forest(feature, threshold, leaf, float(np.log(prior / (1 - prior))), tuple(features))
