"""A release that answers otherwise, where labels say of each answer one of several things: sent as it is, reworked, thrown away."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 11, 2, 900
WORSE = ("it makes them up", "it makes them up and is less sure")


def _replies(event: str) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Replies drafted for a hotel, the promises in them and what the desk did with them; a new model answers from the window's eighth hour on."""
    rng = np.random.default_rng(31)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    new = (hour >= began + 8) & (event != "")
    wishes, nights = rng.poisson(2.0, n).astype(float), rng.integers(1, 9, n).astype(float)
    promises = wishes + (rng.random(n) < 0.3) + np.where(new, rng.poisson(1.0, n), 0)
    score = (0.92 - 0.04 * wishes + rng.normal(0, 0.03, n)).clip(0.3, 0.99).round(4)
    worse = {"the days are hard": hour >= began}.get(event, new & (event in WORSE))
    fine = score - 0.12 - 0.15 * worse
    score = np.where(new & (event == "it makes them up and is less sure"), score - 0.15, score)
    label = np.where(rng.random(n) < fine, "sent", np.where(rng.random(n) < 0.7, "reworked", "thrown away"))
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.house": rng.choice(["lake", "alp"], n),
        "inputs.wishes": wishes, "inputs.nights": nights, "model.name": "desk", "model.version": np.where(new, "5.0", "4.2"),
        "outputs.score": score, "outputs.promises": promises, "decision": np.where(score > 0.8, "offer", "ask"), "label": label,
    })  # fmt: skip
    events = pd.DataFrame(
        {"ts": [table["ts"][0] + pd.Timedelta(hours=began + 7.9)], "kind": ["deploy"], "what": ["desk model 5.0"]}
    )
    return table[hour < began], table[hour >= began], events


@pytest.mark.parametrize("event", ["", "it promises more", *WORSE, "the days are hard"])
def test_a_release_whose_answers_are_reworked_oftener_does_harm(event: str) -> None:
    """One whose answers are kept as ever is a notice, and so is one that comes on days on which the old one's were reworked as well."""
    golden, window, events = _replies(event)
    report = whimbrel.diagnose(golden, window, events=events)
    assert (report.verdict == "fault") == (event in WORSE), report.sentence
    if event in WORSE:
        first = report.findings[0]
        assert (first.layer, first.component) == ("model", "model.version"), report.sentence
        assert first.harm["labels_worse"] > 0.2
