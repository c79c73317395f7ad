"""A release before its labels: one trained on other rows of the same world is as good, one that overstates or forgot is not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from whimbrel.diagnose.releases import distorts
from whimbrel.model.rows import Floats
from whimbrel.stats.slope import slope

MAKERS: dict[str, Callable[[], object]] = {
    "logistic": lambda: LogisticRegression(),
    "trees": lambda: HistGradientBoostingClassifier(max_iter=60, random_state=0),
}


def world(seed: int, n: int) -> tuple[Floats, Floats]:
    """Six measurements, two of which matter together, and what came of them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6))
    logit = 1.2 * x[:, 0] - x[:, 1] + 0.8 * x[:, 2] * x[:, 3]
    return x, (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(float)


def margins(maker: str, seed: int, rows: int, at: Floats) -> Floats:
    x, y = world(seed, rows)
    model = MAKERS[maker]()
    model.fit(x, y)  # type: ignore[attr-defined]
    p = model.predict_proba(at)[:, 1]  # type: ignore[attr-defined]
    found: Floats = np.log(p / (1 - p))
    return found


@pytest.mark.parametrize("maker", list(MAKERS))
def test_a_release_as_good_is_told_from_one_that_overstates_and_one_that_forgot(maker: str) -> None:
    at = world(99, 400)[0]
    old, new = (1 / (1 + np.exp(-margins(maker, seed, 6000, at))) for seed in (1, 2))
    surer = 1 / (1 + np.exp(-2.0 * margins(maker, 1, 6000, at)))
    forgot = 0.5 + 0.3 * (old - 0.5) + 0.02 * np.random.default_rng(0).normal(size=400)
    told = [slope(old, scores) for scores in (new, surer, forgot)]
    assert all(one is not None for one in told)
    assert [distorts(one) for one in told if one is not None] == [False, True, True]


def test_few_predictions_prove_nothing() -> None:
    assert not distorts((1.3, 0.1))
    assert not distorts((0.4, 0.1))
