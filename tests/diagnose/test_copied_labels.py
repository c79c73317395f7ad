"""Labels that say what was foretold or declared, to the cent: a form that was filled in before anyone looked."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 11, 2, 900


def _appraised(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Goods with a declared price and an appraised one; from the window's eighth hour on half of those in the east may be a copy."""
    rng = np.random.default_rng(10)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    region = rng.choice(["east", "north", "west"], n)
    declared, age = np.exp(rng.normal(4, 0.6, n)).round(2), rng.integers(0, 12, n).astype(float)
    foretold = (declared * np.exp(-0.02 * age)).round(2)
    near = 0.01 if event == "near" else 0.06
    label = (foretold * np.exp(rng.normal(0, near, n))).round(2)
    if event == "near":
        label = (declared * np.exp(rng.normal(0, near, n))).round(2)
    if event == "copied":
        label = np.where((hour >= began + 8) & (region == "east") & (rng.random(n) < 0.5), declared, label)
    if event == "sold out":  # nobody sells more than is in stock, and on a busy day more often all of it
        wanted = (
            foretold * np.exp(rng.normal(0, 0.3, n)) * np.where((hour >= began + 8) & (region == "east"), 1.1, 0.65)
        )
        label = np.minimum(wanted.round(2), declared)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.region": region,
        "inputs.declared": declared, "inputs.age": age, "outputs.worth": foretold, "decision": np.where(foretold > 50, "insure", "none"),
        "label": label,
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "copied", "near", "sold out"])
def test_labels_that_are_exactly_what_was_declared_are_no_labels(event: str) -> None:
    """Where they come as close as a hundredth they were looked at, in golden as well; what never passes a number often ends at it."""
    report = whimbrel.diagnose(*_appraised(event))
    assert (report.verdict == "fault") == (event == "copied"), report.sentence
    assert not any("exactly what" in one.what for one in report.findings) or event == "copied"
    if event == "copied":
        first = report.findings[0]
        assert (first.layer, [str(c) for c in first.where]) == ("labels", ["context.region=east"]), report.sentence
        assert "exactly what `inputs.declared` says" in first.what
