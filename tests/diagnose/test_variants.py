"""Which variant of a model answers, where a rule says it for who asks: then that is the promise, and no share."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 8, 2, 800
VARIANT = {"ashby": "town", "brent": "town", "calder": "land", "dunmow": "land"}


def _trips(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Trips in four counties, whose towns have a model of their own."""
    rng = np.random.default_rng(31)
    n = (DAYS + WINDOW) * A_DAY
    hour = np.sort(rng.random(n)) * (DAYS + WINDOW) * 24
    late = hour >= DAYS * 24 + 6
    county = rng.choice(list(VARIANT), n, p=[0.4, 0.3, 0.2, 0.1])
    if event == "mix":
        county = np.where(late & (rng.random(n) < 0.3), "calder", county)
    variant = np.array([VARIANT[one] for one in county])
    if event == "new county":
        new = late & (rng.random(n) < 0.15)
        county, variant = np.where(new, "exmoor", county), np.where(new, "land", variant)
    if event == "rule lost":
        variant = np.where(late & (county == "calder"), "town", variant)
    km, slope = rng.gamma(3, 3, n).round(2), rng.normal(0, 1, n).round(2)
    score = np.where(variant == "town", 2.4, 1.6) * km + 0.5 * slope + rng.normal(0, 0.2, n)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-02-02", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.county": county, "inputs.km": km,
        "inputs.slope": slope, "model.name": "eta", "model.variant": variant, "outputs.score": score.round(3),
    })  # fmt: skip
    return table[hour < DAYS * 24], table[hour >= DAYS * 24]


@pytest.mark.parametrize("event", ["", "mix", "new county"])
def test_more_of_some_and_newcomers_break_no_rule(event: str) -> None:
    report = whimbrel.diagnose(*_trips(event))
    assert report.verdict != "fault", report.sentence


def test_a_rule_that_is_lost_is_the_model_s() -> None:
    report = whimbrel.diagnose(*_trips("rule lost"))
    assert report.verdict == "fault", report.sentence
    first = report.findings[0]
    assert (first.layer, first.component, [str(c) for c in first.where]) == (
        "model",
        "model.variant",
        ["context.county=calder"],
    )
