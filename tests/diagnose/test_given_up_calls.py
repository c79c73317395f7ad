"""A host that waits for what it may not get is no slow machine: its slowest requests fail, its quickest and all else that it does are as ever."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 7, 2, 1_400
START = pd.Timestamp("2026-04-06", tz="UTC")


def _quotes(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Freight quotes on four hosts; from the window's fifth hour on one's lookups may fill up and be given up every two hours, or it may compute slowly."""
    rng = np.random.default_rng(23)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    host = rng.choice(["q1", "q2", "q3", "q4"], n)
    hit = (hour >= began + 5) & (host == "q3")
    weight, far = rng.lognormal(3, 0.6, n).round(1), rng.gamma(4, 100, n).round()
    lookup, price, encode = rng.lognormal(2.5, 0.3, n), rng.lognormal(1.5, 0.2, n), rng.lognormal(0.8, 0.2, n)
    full = (hour % 2) / 2
    leaks = hit & (event == "leak")
    lookup = lookup * np.where(leaks, 1 + 5 * full**2, np.where(hit & (event == "slow"), 2.3, 1))
    failed = (leaks & (full > 0.85) & (rng.random(n) < 0.2)) | (rng.random(n) < 0.002)
    failed |= hit & (event == "slow") & (rng.random(n) < 0.03)
    price_of = (20 + 0.4 * weight + 0.05 * far).round(2)
    table = pd.DataFrame({
        "ts": START + pd.to_timedelta(hour, unit="h"), "context.port": rng.choice(["gdn", "rtm"], n), "hardware.host": host,
        "hardware.load": (0.3 + 0.1 * rng.random(n)).round(3), "inputs.weight": weight, "inputs.distance": far,
        "outputs.score": price_of, "decision": np.where(price_of > 55, "ask", "offer"), "spans.lookup": lookup.round(2),
        "spans.price": price.round(2), "spans.encode": encode.round(2), "spans.total": (lookup + price + encode).round(2),
        "error": np.where(failed, "timed out", ""),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize(
    ("event", "layer", "component"),
    [("", "", ""), ("leak", "serving", "spans.lookup"), ("slow", "hardware", "hardware.host")],
)
def test_whose_lookups_are_given_up_waits(event: str, layer: str, component: str) -> None:
    report = whimbrel.diagnose(*_quotes(event))
    assert (report.verdict == "fault") == bool(layer), report.sentence
    if layer:
        first = report.findings[0]
        assert (first.layer, first.component) == (layer, component), report.sentence
        assert [str(c) for c in first.where] == ["hardware.host=q3"], report.sentence
