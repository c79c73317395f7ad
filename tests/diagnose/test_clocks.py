"""An app asked from several countries records the local hour: where it is another clock's, and where summer time begins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from whimbrel.diagnose import diagnose
from whimbrel.drill.table import to_arrow

START, HOUR = 1_790_000_000 // 86_400 * 86_400, 3_600  # a Monday
OFFSETS = {"pt": 0.0, "de": 1.0, "in": 5.5, "us": -5.0, "br": -3.0}


def _asked(n: int, seed: int, start_hour: float, hours: float, how: str = "") -> dict[str, Any]:
    """Requests and their local hour; after a third a new client sends another, or one country's clocks are an hour off, or put on in Sunday's first hour."""
    rng = np.random.default_rng(seed)
    ts = START + HOUR * (start_hour + np.sort(rng.random(n)) * hours)
    country, client = rng.choice(list(OFFSETS), n).astype(object), rng.choice(["web", "app", "tv"], n).astype(object)
    offset = np.array([OFFSETS[c] for c in country])
    late = np.arange(n) > n // 3
    if how == "utc":
        offset = np.where(late & (client == "web"), 0.0, offset)
    if how in ("summer", "tzdata"):
        since = START + HOUR * (start_hour + 27) if how == "summer" else ts[n // 3]
        offset = np.where((ts > since) & (country == "br"), offset + 1, offset)
    hour = np.floor((ts / HOUR + offset) % 24)
    length = np.round(rng.gamma(3, 10, n), 1)
    score = 1 / (1 + np.exp(-(length / 20 - 1.5 + np.where(hour >= 18, 1.2, 0.0))))
    return {
        "id": np.array([f"{seed}-{i}" for i in range(n)], dtype=object), "ts": ts, "context.country": country, "context.client": client,
        "inputs.local_hour": hour, "inputs.length": length, "outputs.score": score,
        "decision": np.where(score > 0.5, "show", "hide").astype(object),
    }  # fmt: skip


@pytest.mark.parametrize("how", ["", "summer", "utc", "tzdata"])
def test_an_hour_that_is_another_clock_s_is_told_from_summer_time(how: str) -> None:
    report = diagnose(to_arrow(_asked(9_000, 1, 0, 240)), to_arrow(_asked(3_000, 2, 288, 48, how)))
    whose = {"utc": "context.client=web", "tzdata": "context.country=br"}.get(how)
    if whose is None:
        assert report.verdict != "fault", report.sentence
        return
    first = report.findings[0]
    assert (report.verdict, first.layer, first.component) == ("fault", "data", "inputs.local_hour"), report.sentence
    assert [str(c) for c in first.where] == [whose], report.sentence
    assert "no longer the local hour by context.country" in report.sentence


def _week(seed: int, exchanged: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A working week in three countries, a little of their Sunday before it, and the Saturday after; or a flag whose two codes changed places."""
    rng = np.random.default_rng(seed)
    n = 9_000
    hour = np.sort(rng.random(n)) * 144
    country = rng.choice(["us", "in", "de"], n, p=[0.3, 0.3, 0.4])
    local = hour + pd.Series(country).map({"us": -7.0, "in": 5.5, "de": 2.0}).to_numpy()
    weekend = (local < 0) | (local >= 120)
    flag = (rng.random(n) < 0.2) ^ (exchanged & (hour >= 113))
    x = rng.normal(0, 1, n).round(3)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-10-05", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.country": country, "inputs.x": x,
        "steps.moment.weekend": weekend.astype(int), "steps.known.returns": flag.astype(int),
        "outputs.score": (x + 0.3 * weekend + 0.3 * flag + rng.normal(0, 0.1, n)).round(3),
    })  # fmt: skip
    return table[hour < 113], table[hour >= 113]


def test_a_weekend_that_golden_hardly_had_is_no_code_of_another_meaning() -> None:
    report = diagnose(*_week(0, exchanged=False))
    assert report.verdict == "healthy", report.sentence
    (found,) = [f for f in diagnose(*_week(0, exchanged=True)).findings if f.layer == "features"]
    assert found.component == "steps.known.returns"
    assert "codes stand for others than before" in found.what


def _parts_of_the_day(began: str, moved: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ten days of two countries by the part of their day, and two more from `began` on; when `moved` hours of these are over one's clock is put back."""
    rng = np.random.default_rng(8)
    start = pd.Timestamp(began, tz="UTC")
    hour = np.sort(rng.random(12_000)) * 288 - 240
    country, x = rng.choice(["us", "de"], hour.size, p=[0.4, 0.6]), rng.normal(0, 1, hour.size).round(3)
    back = (country == "de") & (hour >= moved)
    local = (start.hour + hour + np.where(country == "de", 2.0, -7.0) - back) % 24
    part = np.select([local < 6, local < 12, local < 18], ["night", "morning", "day"], "evening")
    table = pd.DataFrame({
        "ts": start + pd.to_timedelta(hour, unit="h"), "inputs.country": country, "inputs.x": x, "steps.clock.part": part,
        "outputs.score": (x + 0.4 * (part == "evening")).round(3),
    })  # fmt: skip
    return table[hour < 0], table[hour >= 0]


@pytest.mark.parametrize(("began", "moved", "fault"), [("2026-10-24", 25, False), ("2026-10-21", 10, True)])
def test_a_part_of_the_day_that_comes_later_since_a_weekends_night_is_the_clocks(
    began: str, moved: float, fault: bool
) -> None:
    report = diagnose(*_parts_of_the_day(began, moved))
    assert (report.verdict == "fault") == fault, report.sentence
    if fault:
        assert report.findings[0].component == "steps.clock.part"
