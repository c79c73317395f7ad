"""A step's table by how a code begins: entries beside others' beginnings are its fault, a renewed table is its owner's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 9, 2, 1_300
CHAPTERS = [f"{c}" for c in range(30, 60)]


def _parcels(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Parcels whose duty a table tells by the first two digits of their tariff number; from the window's seventh hour on it may be another table."""
    rng = np.random.default_rng(8)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    chapter = rng.integers(0, len(CHAPTERS), n)
    number = [
        f"{CHAPTERS[c]}{a:02d}.{b:02d}"
        for c, a, b in zip(chapter, rng.integers(1, 40, n), rng.integers(0, 99, n), strict=True)
    ]
    sector = np.where(chapter < 8, "food", np.where(chapter < 20, "textiles", "tools"))
    duty = np.round(rng.gamma(3, 3, len(CHAPTERS)), 1)
    late = hour >= began + 7
    other = duty.copy()
    if event == "rows off":
        other[:8] = np.roll(duty[:8], 1)
    if event == "renewed":
        other = np.round(1.15 * duty + rng.normal(0, 0.3, duty.size) + 1, 1)
    rate, weight = np.where(late, other[chapter], duty[chapter]), rng.gamma(3, 2, n).round(2)
    score = (1 / (1 + np.exp(-(0.12 * rate + 0.2 * weight - 2.5)))).round(4)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.sector": sector,
        "context.port": rng.choice(["north", "south"], n), "inputs.tariff": number, "inputs.weight": weight, "steps.duty.rate": rate,
        "outputs.score": score, "decision": np.where(score > 0.5, "open", "pass"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "renewed", "rows off"])
def test_another_rate_for_codes_that_begin_alike_is_the_tables(event: str) -> None:
    report = whimbrel.diagnose(*_parcels(event))
    assert (report.verdict == "fault") == (event == "rows off"), report.sentence
    if event == "rows off":
        first = report.findings[0]
        assert (first.layer, first.component) == ("features", "steps.duty.rate"), report.sentence
        assert [str(c) for c in first.where] == ["context.sector=food"], report.sentence
        assert "a table by how inputs.tariff begins" in first.what
