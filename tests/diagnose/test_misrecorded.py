"""A log line that moved up bears scores before they are calibrated; a model that lost its calibration decides by them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

import whimbrel
from whimbrel.diagnose.misrecorded import misrecorded


def _claims(seed: int, broken: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Claims are paid, looked at or refused by their score; in the window's sixth hour scores get steeper, in the record or in truth."""
    rng = np.random.default_rng(seed)
    n = 14_000
    hour = np.sort(rng.random(n)) * 168
    x = rng.normal(0, 1, (n, 3))
    office = rng.choice(["bern", "graz", "lyon"], n)
    odds = x @ [1.0, -0.7, 0.5] - 0.4 + 0.4 * np.sin(2 * x[:, 0]) + rng.normal(0, 0.2, n)
    late = hour >= 126
    right, steep = 1 / (1 + np.exp(-odds)), 1 / (1 + np.exp(-2.2 * odds - 0.5))
    recorded = np.where(late, steep, right)
    used = recorded if broken == "model" else right
    edge = np.where(office == "lyon", 0.72, 0.6) + np.where(late & (broken == "both"), 0.1, 0.0)
    if broken == "both":
        used = recorded
    decision = np.where(used > edge, "refuse", np.where(used > 0.35, "look", "pay"))
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-05-04", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.office": office,
        "inputs.size": x[:, 0].round(3), "inputs.age": x[:, 1].round(3), "inputs.past": x[:, 2].round(3),
        "outputs.score": recorded.round(4), "decision": decision,
    })  # fmt: skip
    return table[hour < 120], table[hour >= 120]


@pytest.mark.parametrize(("broken", "layer"), [("record", "recorder"), ("model", "model"), ("both", "model")])
def test_what_decisions_go_by_tells_a_wrong_record_from_a_wrong_score(broken: str, layer: str) -> None:
    report = whimbrel.diagnose(*_claims(3, broken))
    found = next(f for f in report.findings if f.component == "outputs.score")
    assert (report.verdict, found.layer) == ("fault", layer), report.sentence
    if broken == "record":
        assert found.victims == ("decision",)
        assert "the record alone bears it so" in found.what


def test_a_decision_that_is_missing_says_nothing_of_scores() -> None:
    """That none was taken goes by no rule."""
    missing = SimpleNamespace(component="decision", hit=SimpleNamespace(channel=SimpleNamespace(exact=True, detail={})))
    assert misrecorded(cast("Any", None), [cast("Any", missing)], {}) == []
