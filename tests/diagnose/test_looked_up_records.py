"""What is looked up for each customer and stands in another request's record, or was handed to another request: the answer says which."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 8, 2, 1_300


def _parcels(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Parcels by shop; how many come back is looked up by shop. Late one host may write, or use, what was looked up for the request before."""
    rng = np.random.default_rng(23)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    host, shop = rng.choice(["h-1", "h-2", "h-3"], n), rng.integers(0, 400, n)
    usual = rng.gamma(2, 6, 400)
    back, weight = (usual[shop] * rng.normal(1, 0.06, n)).round(1), rng.gamma(3, 2, n).round(2)
    line = np.flatnonzero((host == "h-2") & (hour >= began + 10))
    other = back.copy()
    other[line] = np.roll(back[line], 1)
    used = other if event == "used" else back
    score = 1 / (1 + np.exp(3 - 0.12 * used - 0.2 * weight + rng.normal(0, 0.08, n)))
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-06-01", tz="UTC") + pd.to_timedelta(hour, unit="h"), "hardware.host": host,
        "inputs.shop": [f"shop-{x}" for x in shop], "inputs.weight": weight, "steps.past.come_back": back if event == "" else other,
        "outputs.score": score.round(4), "decision": np.where(score > 0.6, "insure", "send"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize(("event", "layer"), [("", ""), ("written", "recorder"), ("used", "features")])
def test_what_was_looked_up_for_another_was_written_so_or_used_so(event: str, layer: str) -> None:
    report = whimbrel.diagnose(*_parcels(event))
    assert (report.verdict == "fault") == bool(event), report.sentence
    if event:
        first = report.findings[0]
        assert first.layer == layer, report.sentence
        assert [str(c) for c in first.where] == ["hardware.host=h-2"]
        assert "those of the request before it of the same host" in first.what
