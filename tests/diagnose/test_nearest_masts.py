"""Positions that are a mast's and no caller's: near what others foretell, and the same again and again to the last digit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 11, 2, 700


def _calls(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Calls for a tow truck, each from its own place near the depot that answers; something happens to those by phone in the north."""
    rng = np.random.default_rng(6)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    area, way = rng.choice(["north", "south", "west"], n), rng.choice(["app", "phone"], n, p=[0.4, 0.6])
    middle = pd.Series({"north": 54.0, "south": 48.0, "west": 51.0})[area].to_numpy()
    depot = np.round(middle + rng.choice([-0.004, 0.0, 0.004], n), 5)
    place = np.round(depot + rng.normal(0, 0.03, n), 5)
    hit = (hour >= began + 8) & (area == "north") & (way == "phone")
    if event == "masts":
        masts = np.round(54.0 + np.linspace(-0.08, 0.08, 13) + rng.normal(0, 0.003, 13), 5)
        place = np.where(hit, masts[np.abs(place[:, None] - masts).argmin(axis=1)], place)
    if event == "fair":  # all of them stand in front of one gate, to some ten metres
        place = np.where(hit & (rng.random(n) < 0.8), np.round(54.01234 + rng.normal(0, 0.0002, n), 5), place)
    minutes = np.round(8 + 300 * np.abs(place - depot) + rng.normal(0, 1, n), 2)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"),
        "context.area": area, "context.way": way, "inputs.place": place, "inputs.depot": depot,
        "inputs.weight": np.round(rng.normal(1400, 250, n)),
        "outputs.minutes": minutes, "decision": np.where(minutes > 18, "other", "send"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "masts", "fair"])
def test_few_places_again_and_again_are_not_the_callers(event: str) -> None:
    """That others foretell about where a call comes from does not explain the same digits; that all stand in one place does."""
    report = whimbrel.diagnose(*_calls(event))
    assert (report.verdict == "fault") == (event == "masts"), report.sentence
    if event == "masts":
        first = report.findings[0]
        assert (first.layer, first.component) == ("data", "inputs.place"), report.sentence
        assert [str(c) for c in first.where] == ["context.area=north", "context.way=phone"]
        assert "says the same again" in first.what
