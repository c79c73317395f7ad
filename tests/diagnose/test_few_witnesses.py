"""Labels of animals that stand in a stable for some days: hour after hour they say the same of the same two neighbours."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

STALLS, BARNS, DAYS, WINDOW = 80, 4, 9, 2
START = pd.Timestamp("2026-03-02", tz="UTC")


def _stable(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """An hourly row of each animal, always in the same order; who is ill is so on most hours of the stay, and a few of them do not look it.

    In the window two neighbours in the south are judged wrongly, one as ill and the next as sound; or all labels of the north are one row off.
    """
    rng = np.random.default_rng(5)
    length = (DAYS + WINDOW) * 24
    stays: list[tuple[int, float, float]] = []
    for place in range(STALLS):
        at = -float(rng.uniform(0, 24))
        while at < length:
            stays.append((place, at, at + rng.uniform(10, 40)))
            at = stays[-1][2] + 1.0
    drawn = np.array(stays)
    stall, start, end = drawn[:, 0].astype(int), drawn[:, 1], drawn[:, 2]
    looks = rng.normal(-2.5, 2.0, stall.size)
    ill = rng.random(stall.size) < 1 / (1 + np.exp(-1.3 * looks))
    if event == "neighbours":
        for place, looked, was in ((40, 0.8, False), (44, -2.0, True)):
            one = (stall == place) & (start <= DAYS * 24 + 6) & (end > DAYS * 24 + 6)
            end[one], looks[one], ill[one] = length + 1, looked, was
        start = np.where(np.isin(stall, (40, 44)) & (start > DAYS * 24 + 6), length + 1, start)
    hours = [np.arange(np.ceil(max(a, 0)), np.ceil(min(b, length))) for a, b in zip(start, end, strict=True)]
    stay, hour = np.repeat(np.arange(stall.size), [len(one) for one in hours]), np.concatenate(hours)
    heat = (39 + 0.4 * looks[stay] + rng.normal(0, 0.08, hour.size)).round(2)
    table = pd.DataFrame({
        "ts": START + pd.to_timedelta(hour * 3600 + stall[stay] * 40 + rng.integers(0, 20, hour.size), unit="s"),
        "context.barn": np.array(["south", "north", "hill", "mill"])[stall[stay] % BARNS],
        "hardware.host": rng.choice(["edge-1", "edge-2"], hour.size), "inputs.stay": [f"v{one:04}" for one in stay],
        "inputs.heat": heat, "outputs.score": (1 / (1 + np.exp(-3.2 * (heat - 39)))).round(4),
        "decision": np.where(heat > 39.2, "call", "wait"), "label": np.where(rng.random(hour.size) < 0.1, ~ill[stay], ill[stay]).astype(float),
    }).sort_values("ts", kind="stable")  # fmt: skip
    late = (table["ts"] >= START + pd.Timedelta(hours=DAYS * 24)).to_numpy()
    golden, window = table[~late], table[late].copy()
    if event == "one off":
        hit = (window["context.barn"] == "north").to_numpy() & (
            window["ts"] >= START + pd.Timedelta(hours=DAYS * 24 + 9)
        )
        window.loc[hit, "label"] = np.roll(window.loc[hit, "label"].to_numpy(), 1)
    return golden, window


@pytest.mark.parametrize("event", ["", "neighbours", "one off"])
def test_two_neighbours_are_one_witness_however_often_they_are_asked(event: str) -> None:
    """The one's label goes by the other's score for two days; where all labels of a barn do, many pairs say it."""
    report = whimbrel.diagnose(*_stable(event))
    assert (report.verdict == "fault") == (event == "one off"), report.sentence
    if event == "one off":
        first = report.findings[0]
        assert (first.layer, [str(c) for c in first.where]) == ("labels", ["context.barn=north"]), report.sentence
        assert "1 row before their own" in first.what
