"""Scores that all leave golden's model at once, by no model's name: labels say whether the scores are wrong or something moved that nobody recorded."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 9, 2, 1_200


def _returns(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Parcels that may come back; what the scale of the warehouse says besides is not recorded. From the window's sixth hour on scores may be higher."""
    rng = np.random.default_rng(17)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    price, size, age = rng.gamma(3, 20, n).round(2), rng.integers(0, 9, n), rng.integers(18, 80, n)
    since = hour >= began + 6
    known = 1.2 * np.sin(price / 30) + 0.25 * (size - 4) * (age < 40) - 0.01 * age
    besides = rng.normal(0, 0.35, n) + 1.1 * (since & (event == "the world"))
    odds = known + besides
    score = 1 / (1 + np.exp(-odds - 1.1 * (since & (event == "raw scores"))))
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"), "inputs.price": price, "inputs.size": size,
        "inputs.age": age, "model.version": "r3", "outputs.score": score.round(5), "decision": np.where(score > 0.6, "ask", "send"),
        "label": (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(float),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "raw scores", "the world"])
def test_labels_disown_scores_that_left_all_that_is_known_of_them(event: str) -> None:
    """Where labels went along, something moved that nobody recorded, and the scores are right."""
    report = whimbrel.diagnose(*_returns(event))
    assert (report.verdict == "fault") == (event == "raw scores"), report.sentence
    if report.verdict == "fault":
        first = report.findings[0]
        assert (first.layer, first.component, first.where) == ("model", "outputs.score", ()), report.sentence
