"""A step that copies what came in, or takes a default: how often it does the one and not the other is its own doing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 11, 2, 1_000


def _lab(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Patients whose last lactate counts, or the usual one where it is too old; from the window's eighth hour on `event`."""
    rng = np.random.default_rng(16)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    late = hour >= began + 8
    lactate = np.exp(rng.normal(0.5, 0.5, n)).round(2)
    lost = rng.random(n) < np.where(late & (event == "nulls"), 0.5, 0.05)
    old = rng.random(n) < np.where(late & (event == "deploy"), 0.6, 0.15)
    filled = np.where(lost | old, 1.6, lactate)
    age, pulse = rng.integers(20, 90, n).astype(float), rng.normal(85, 14, n).round()
    score = (1 / (1 + np.exp(-(0.9 * filled + 0.02 * age + 0.01 * pulse - 4)))).round(5)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"),
        "inputs.lactate": np.where(lost, np.nan, lactate), "inputs.age": age, "inputs.pulse": pulse, "steps.fill.lactate": filled,
        "code.fill": np.where(late & (event in ("deploy", "same")), "b2", "a1"), "outputs.score": score,
        "decision": np.where(score > 0.5, "alert", "watch"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize(("event", "found"), [
    ("", None), ("same", None), ("deploy", ("features", "steps.fill.lactate")), ("nulls", ("data", "inputs.lactate")),
])  # fmt: skip
def test_a_step_that_falls_back_on_its_default_is_at_fault_and_one_that_must_is_not(
    event: str, found: tuple[str, str] | None
) -> None:
    """No input tells when it falls back; new code alone changes nothing, and what came in without a value is the data's."""
    report = whimbrel.diagnose(*_lab(event))
    assert (report.verdict == "fault") == (found is not None), report.sentence
    if found:
        assert (report.findings[0].layer, report.findings[0].component) == found, report.sentence
        assert not report.findings[0].where
