"""An app asked from several countries records the local hour: where it is another clock's, and where summer time begins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from whimbrel.diagnose import diagnose
from whimbrel.drill.table import to_arrow

START, HOUR = 1_790_000_000 // 86_400 * 86_400, 3_600
OFFSETS = {"pt": 0.0, "de": 1.0, "in": 5.5, "us": -5.0, "br": -3.0}


def _asked(n: int, seed: int, start_hour: float, hours: float, how: str = "") -> dict[str, Any]:
    """Requests and their local hour; after the first third a new client sends another, or one country puts its clocks on."""
    rng = np.random.default_rng(seed)
    ts = START + HOUR * (start_hour + np.sort(rng.random(n)) * hours)
    country, client = rng.choice(list(OFFSETS), n).astype(object), rng.choice(["web", "app", "tv"], n).astype(object)
    offset = np.array([OFFSETS[c] for c in country])
    late = np.arange(n) > n // 3
    if how == "utc":
        offset = np.where(late & (client == "web"), 0.0, offset)
    if how == "summer":
        offset = np.where(late & (country == "br"), offset + 1, offset)
    hour = np.floor((ts / HOUR + offset) % 24)
    length = np.round(rng.gamma(3, 10, n), 1)
    score = 1 / (1 + np.exp(-(length / 20 - 1.5 + np.where(hour >= 18, 1.2, 0.0))))
    return {
        "id": np.array([f"{seed}-{i}" for i in range(n)], dtype=object), "ts": ts, "context.country": country, "context.client": client,
        "inputs.local_hour": hour, "inputs.length": length, "outputs.score": score,
        "decision": np.where(score > 0.5, "show", "hide").astype(object),
    }  # fmt: skip


@pytest.mark.parametrize("how", ["", "summer", "utc"])
def test_an_hour_that_is_another_clock_s_is_told_from_summer_time(how: str) -> None:
    report = diagnose(to_arrow(_asked(9_000, 1, 0, 240)), to_arrow(_asked(3_000, 2, 240, 48, how)))
    if how != "utc":
        assert report.verdict != "fault", report.sentence
        return
    first = report.findings[0]
    assert (report.verdict, first.layer, first.component) == ("fault", "data", "inputs.local_hour"), report.sentence
    assert [str(c) for c in first.where] == ["context.client=web"], report.sentence
    assert "no longer the local hour by context.country" in report.sentence
