"""A source of a name that no field has feeds what moved in the very slice in which it is old, and not a step that nothing recorded tells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 8, 2, 900
START = pd.Timestamp("2026-05-11", tz="UTC")


def _parcels(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Couriers' loads from a board that is minutes old; late in one depot it may stop, with loads of its fullest hour, or all of that depot's loads grow."""
    rng = np.random.default_rng(31)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    depot = rng.choice(["pine", "oak", "elm"], n)
    hit = (hour >= began + 7) & (depot == "oak")
    load, weight, mood = rng.poisson(12, n) + 0.0, rng.gamma(3, 2, n).round(1), rng.normal(0, 1, n).round(2)
    load += np.where(hit & (event != ""), rng.poisson(rng.gamma(1, 4, n)), 0)
    age = rng.exponential(300, n) + 5
    age += np.where(hit & (event == "frozen"), (hour - began - 7) * 3600 + 900, 0)
    effort = (load * weight * rng.lognormal(0, 0.15, n)).round(1)
    score = (1 / (1 + np.exp(-(effort - 70) / 25 - 0.2 * mood))).round(4)
    table = pd.DataFrame({
        "ts": START + pd.to_timedelta(hour, unit="h"), "context.depot": depot, "inputs.load": load, "inputs.weight": weight,
        "steps.shift.effort": effort, "steps.shift.mood": mood, "outputs.score": score, "decision": np.where(score > 0.5, "van", "bike"),
        "age.board": age.round(1),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "busy", "frozen"])
def test_what_moved_where_the_source_is_old_is_what_it_feeds(event: str) -> None:
    report = whimbrel.diagnose(*_parcels(event))
    assert (report.verdict == "fault") == (event == "frozen"), report.sentence
    if event == "frozen":
        first = report.findings[0]
        assert (first.layer, first.component) == ("data", "inputs.load"), report.sentence
        assert [str(c) for c in first.where] == ["context.depot=oak"], report.sentence
