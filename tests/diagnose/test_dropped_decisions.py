"""A release that never again chooses what golden's model chose for its kinds of rows has unlearned it; one that chooses a little otherwise may be better."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 9, 2, 1_000
CARRIERS = ("bike", "van", "rail")


def _shipments(event: str) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Shipments that go by whatever arrives in time most surely; a release may have been trained without rail's late reports, or on a week more."""
    rng = np.random.default_rng(29)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    new = (hour >= began + 9) & (event != "")
    weight, km = rng.gamma(2, 20, n).round(1), rng.gamma(2, 90, n).round()
    odds = np.stack([2 - weight / 15 - km / 60, 1 - km / 250 + 0 * weight, km / 300 + weight / 120 - 1.7], axis=1)
    odds = odds + rng.normal(0, 0.1, odds.shape)
    if event == "retrained":
        odds = odds + np.where(new, 1.0, 0.0)[:, None] * (0.1 * np.sin(km / 40)[:, None] * np.array([1, -1, 1]))
    arrives = rng.random(odds.shape) < 1 / (1 + np.exp(-odds))
    if event == "without rail":
        odds[new, 2] -= 4
    sure = 1 / (1 + np.exp(-odds))
    chosen = sure.argmax(axis=1)
    began_at = pd.Timestamp("2026-04-13", tz="UTC")
    table = pd.DataFrame({
        "ts": began_at + pd.to_timedelta(hour, unit="h"), "context.depot": rng.choice(["nord", "mitte"], n), "inputs.weight": weight,
        "inputs.km": km, "model.version": np.where(new, "v8", "v7"),
        "outputs.score": sure.max(axis=1).round(4), "decision": np.array(CARRIERS)[chosen], "label": arrives[np.arange(n), chosen].astype(float),
    })  # fmt: skip
    table["label_ts"] = table["ts"] + pd.to_timedelta(rng.uniform(2, 9, n), unit="h")
    events = pd.DataFrame(
        {"ts": [began_at + pd.Timedelta(hours=began + 9)], "kind": ["deploy"], "what": ["carriers v8"]}
    )
    return table[hour < began], table[hour >= began], events


@pytest.mark.parametrize("event", ["", "retrained", "without rail"])
def test_a_release_that_never_again_takes_a_decision_does_harm(event: str) -> None:
    golden, window, events = _shipments(event)
    report = whimbrel.diagnose(golden, window, events=events)
    assert (report.verdict == "fault") == (event == "without rail"), report.sentence
    if event == "without rail":
        assert (report.findings[0].layer, report.findings[0].component) == ("model", "model.version"), report.sentence
