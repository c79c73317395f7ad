"""A lookup that times out oftener and oftener leaves its values empty from the first time on, long before its mean has risen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 9, 3, 1_100


def _repairs(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Repairs for which a step asks the maker's stock; for one maker it may answer in time ever more seldom, or answer at once that it has none."""
    rng = np.random.default_rng(47)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    maker = rng.choice(["arno", "bosk", "cilo", "dorn"], n, p=[0.4, 0.3, 0.25, 0.05])
    share = np.clip((hour - began - 4) / 90, 0, 0.9) * (maker == "dorn")
    empty = rng.random(n) < share * (event != "")
    age, hours = rng.gamma(3, 2, n).round(1), rng.gamma(2, 1.5, n).round(2)
    stock = np.where(empty, np.nan, rng.poisson(6, n)).astype(float)
    took = np.where(empty & (event == "times out"), 900.0, 40 * rng.lognormal(0, 0.9, n))
    score = 1 / (1 + np.exp(1 - 0.15 * np.nan_to_num(stock) - 0.2 * hours + rng.normal(0, 0.1, n)))
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-08-03", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.maker": maker, "inputs.age": age,
        "inputs.hours": hours, "steps.stock.left": stock, "outputs.score": score.round(4),
        "decision": np.where(score > 0.6, "order", "wait"), "spans.stock": took.round(2), "spans.total": (took + rng.gamma(4, 3, n)).round(2),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize(
    ("event", "layer", "component"),
    [("", "", ""), ("times out", "serving", "spans.stock"), ("none", "features", "steps.stock.left")],
)
def test_what_was_left_empty_is_the_slow_call_s(event: str, layer: str, component: str) -> None:
    report = whimbrel.diagnose(*_repairs(event))
    assert (report.verdict == "fault") == bool(layer), report.sentence
    if layer:
        first = report.findings[0]
        assert (first.layer, first.component) == (layer, component), report.sentence
        assert [str(c) for c in first.where] == ["context.maker=dorn"], report.sentence
