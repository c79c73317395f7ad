"""A rule of one cut is the tree that scikit-learn would have grown."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from whimbrel.diagnose.cuts import cut

RNG = np.random.default_rng(5)
X = np.round(RNG.normal(size=(400, 4)), 2)
ELSEWHERE = np.vstack([RNG.normal(size=(300, 4)), np.full((1, 4), np.nan), X])


@pytest.mark.parametrize("column", [0, 2])
@pytest.mark.parametrize("at", [-1.0, 0.3, 1.5])
@pytest.mark.parametrize("up", [True, False])
def test_it_answers_as_a_tree_of_depth_one(column: int, at: float, up: bool) -> None:
    y = np.where((X[:, column] > at) == up, 7, 3)
    found, tree = cut(X, y), DecisionTreeClassifier(max_depth=1, min_samples_leaf=2, random_state=0).fit(X, y)
    assert found is not None
    assert found.threshold == tree.tree_.threshold[0]
    np.testing.assert_array_equal(found.predict(ELSEWHERE), tree.predict(ELSEWHERE))
    np.testing.assert_array_equal(found.apply(ELSEWHERE), tree.apply(ELSEWHERE))
    np.testing.assert_array_equal(found.feature_importances_, tree.feature_importances_)


def test_of_two_that_cut_alike_the_nearest_is_taken() -> None:
    both = np.column_stack([X[:, 0], np.exp(X[:, 1]), X[:, 1]])
    found = cut(both, (X[:, 1] > 0).astype(int))
    assert found is not None
    assert found.column == 1


def test_what_no_threshold_parts_is_no_cut() -> None:
    y = (X[:, 0] > 0).astype(int)
    assert cut(np.where(X > 2, np.nan, X), y) is None  # a tree has a place for null
    assert cut(X, np.where(np.arange(400) == 5, 1 - y, y)) is None
    assert cut(X, (np.abs(X[:, 0]) < 1).astype(int)) is None
    assert cut(X, np.digitize(X[:, 0], [-1, 1])) is None
    assert cut(X, np.zeros(400, dtype=int)) is None
    assert cut(X, (X[:, 0] >= X[:, 0].max()).astype(int)) is None  # a single row is no side
