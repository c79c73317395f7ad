"""Moments that come as times: how long ago they were is a number like others, and the step that reads a local clock for UTC is known exactly."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 8, 2, 900
START = pd.Timestamp("2026-06-01", tz="UTC")


def _borrowers(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Library loans by when somebody last came (null: never); late a branch may read it as local time, or the long gone be asked back."""
    rng = np.random.default_rng(11)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    late = hour >= began + 6
    ts = START + pd.to_timedelta(hour, unit="h")
    branch = rng.choice(["harbour", "hill", "mill", "market"], n)
    away = rng.exponential(rng.lognormal(3.0, 0.8, n)) + 0.5
    away = np.where(late & (event == "asked back") & (rng.random(n) < 0.5), 2.5 * away, away)
    came = pd.Series(ts - pd.to_timedelta(away, unit="h")).dt.floor("s").where(rng.random(n) > 0.05)
    since = ((pd.Series(ts) - came).dt.total_seconds() / 3600).fillna(48).to_numpy()
    since = since + np.where(late & (branch == "mill") & (event == "local time") & came.notna(), 5.0, 0.0)
    rest, loans = np.log1p(np.minimum(since, 500)).round(4), rng.poisson(3, n)
    score = (1 / (1 + np.exp(-0.8 * (rest - 3) + 0.2 * loans))).round(4)
    table = pd.DataFrame({
        "ts": ts, "context.branch": branch, "inputs.last_visit": came.to_numpy(), "inputs.loans": loans, "steps.habit.rest": rest,
        "outputs.score": score, "decision": np.where(score > 0.5, "remind", "none"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "asked back", "local time"])
def test_a_moment_read_by_another_clock_is_the_steps(event: str) -> None:
    report = whimbrel.diagnose(*_borrowers(event))
    assert (report.verdict == "fault") == (event == "local time"), report.sentence
    if report.findings:
        first = report.findings[0]
        assert (first.layer, first.component) == ("features", "steps.habit.rest"), report.sentence
        assert [str(c) for c in first.where] == ["context.branch=mill"], report.sentence
        assert first.confidence >= 0.9
