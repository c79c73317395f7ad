"""A step that a model makes (a plan, an intent): what departs under one model alone is the model's, and under new code the step's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, A_DAY = 11, 900
INTENTS = ("where", "refund", "change", "other")


def _letters(new: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Letters of four kinds, what is planned for each, on three hosts; on one of them an old model or new code plans otherwise since the morning."""
    rng = np.random.default_rng(8)
    n = DAYS * A_DAY
    hour = np.sort(rng.random(n)) * DAYS * 24
    host, kind = rng.choice(["h1", "h2", "h3"], n), rng.integers(0, 4, n)
    hit = (hour > (DAYS - 0.7) * 24) & (host == "h2")
    planned = np.where(hit & (new != "") & (rng.random(n) < 0.15), (kind + 1) % 4, kind)
    urgent = rng.random(n)
    score = 1 / (1 + np.exp(-(0.8 * (planned == 1) + 2 * urgent - 1.5)))
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"), "hardware.host": host,
        "inputs.kind": np.array(["a", "b", "c", "d"])[kind], "inputs.urgent": urgent.round(4),
        "steps.plan.intent": np.array(INTENTS)[planned], "code.plan": np.where(hit & (new == "code"), "bb", "aa"),
        "model.version": np.where(hit & (new == "model"), "clerk-2024", "clerk-2025"),
        "outputs.score": score.round(5), "decision": np.where(score > 0.5, "person", "bot"),
    })  # fmt: skip
    return table[hour < (DAYS - 1) * 24], table[hour >= (DAYS - 1) * 24]


@pytest.mark.parametrize(("new", "layer", "component"), [
    ("model", "model", "model.version"), ("code", "features", "steps.plan.intent"), ("", "", ""),
])  # fmt: skip
def test_what_departs_under_one_model_alone_is_what_it_makes(new: str, layer: str, component: str) -> None:
    report = whimbrel.diagnose(*_letters(new))
    found = [(f.layer, f.component) for f in report.findings]
    assert found[:1] == ([(layer, component)] if layer else []), report.sentence
