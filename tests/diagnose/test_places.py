"""Where things are: a place that many share is a hotspot, and one that a region's rows all get at once is its middle."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 11, 2, 1_000
REGIONS = ("alb", "bor", "cor", "dun", "elm", "far")


def _visits(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Visits in six regions, each at its own place; from the window's eighth hour on three quarters of those in two regions may be at the region's middle."""
    rng = np.random.default_rng(15)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    region, spot = rng.integers(0, 6, n), rng.integers(0, 30, n)
    north, east = 51 + 0.5 * region, 1 + 0.3 * region
    latitude, longitude = (middle + rng.normal(0, 0.08, n) for middle in (north, east))
    some = np.isin(region, (1, 4)) & (rng.random(n) < 0.75)
    if event == "middle":
        hit = some & (hour >= began + 8)
        latitude, longitude = np.where(hit, north, latitude), np.where(hit, east, longitude)
    if event == "hotspots":
        latitude, longitude = (
            np.where(some, at, own)
            for at, own in ((north + 0.01 * spot, latitude), (east + 0.01 * (spot % 7), longitude))
        )
    size = rng.gamma(3, 30, n).round()
    far = np.hypot(latitude - 52.2, longitude - 1.7)
    score = (1 / (1 + np.exp(-(0.02 * size - 1.2 * far - 1)))).round(5)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.region": np.array(REGIONS)[region],
        "inputs.latitude": latitude.round(5), "inputs.longitude": longitude.round(5), "inputs.size": size,
        "steps.locate.distance": np.hypot(latitude.round(5) - 52.2, longitude.round(5) - 1.7).round(5),
        "outputs.score": score, "decision": np.where(score > 0.5, "visit", "call"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "middle", "hotspots"])
def test_a_source_that_says_the_middle_of_a_region_for_all_its_places(event: str) -> None:
    """It does so in two regions of six, and both are named; golden has hotspots as well."""
    report = whimbrel.diagnose(*_visits(event))
    assert (report.verdict == "fault") == (event == "middle"), report.sentence
    if event == "middle":
        first = report.findings[0]
        assert first.layer == "data", report.sentence
        assert first.component in ("inputs.latitude", "inputs.longitude"), report.sentence
        where = " ".join(map(str, first.where))
        assert where.startswith("context.region"), report.sentence
        assert "bor" in where, report.sentence
        assert "elm" in where, report.sentence
