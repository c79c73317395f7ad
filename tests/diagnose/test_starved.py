"""A host that runs out of memory: it grows slow, and leaves requests without an answer; that is one fault, and the machine's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 11, 2, 800


def _hosts(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Three hosts; from the window's eighth hour on one of them may be short of memory."""
    rng = np.random.default_rng(18)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    host = rng.choice(["node-1", "node-2", "node-3"], n)
    short = (hour >= began + 8) & (host == "node-2") & (event == "starved")
    weight, height = rng.gamma(3, 2, n).round(2), rng.normal(30, 8, n).round(1)
    score = (1 / (1 + np.exp(-(0.3 * weight - 0.05 * height)))).round(5)
    model, read = (usual * np.exp(rng.normal(0, 0.2, n)) for usual in (20, 8))
    model, read = np.where(short, 2.5 * model, model), np.where(short, 2.2 * read, read)
    memory = 900 + rng.normal(0, 20, n) + 100 * short * (hour - began - 8)
    lost = (short | (event == "some fail")) & (rng.random(n) < np.where(short, 0.15, 0.004))
    score = np.where(lost, np.nan, score)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"), "hardware.host": host,
        "hardware.memory_mb": memory.round(), "inputs.weight": weight, "inputs.height": height, "outputs.score": score,
        "decision": pd.Series(np.where(score > 0.5, "van", "bike")).mask(lost, None),
        "error": pd.Series([None] * n, dtype=object).mask(lost, "OutOfMemory: worker killed"), "spans.read": read.round(3),
        "spans.model": model.round(3), "spans.total": (read + model).round(3),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "starved", "some fail"])
def test_requests_without_an_answer_where_memory_runs_out_are_the_machines(event: str) -> None:
    """A request that fails now and then, on any host, as in golden, is no fault."""
    report = whimbrel.diagnose(*_hosts(event))
    assert (report.verdict == "fault") == (event == "starved"), report.sentence
    if event == "starved":
        first = report.findings[0]
        assert first.layer == "hardware", report.sentence
        assert [str(c) for c in first.where] == ["hardware.host=node-2"], report.sentence
        assert not any(f.component == "outputs.score" for f in report.findings), report.sentence
