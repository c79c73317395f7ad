"""Lists that end sooner than golden's did: whoever sends them lost their end, and only where they are sent so; who always sent as many as there are goes on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 7, 2, 600
START = pd.Timestamp("2026-03-02", tz="UTC")


def _tanks(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The last four levels of a tank, highest first; late a site may send three of them; or all always send as many as there are."""
    rng = np.random.default_rng(5)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    late, site = hour >= began + 8, rng.choice(["north", "quay", "works"], n)
    levels = -np.sort(-np.round(rng.normal(60, 12, n)[:, None] + rng.normal(0, 9, (n, 4))), axis=1)
    many = np.where(late & (event == "cut") & (site == "quay"), 3, 4)
    if event == "ragged":
        many = rng.choice([2, 3, 4], n)
    sent = [row[:k].tolist() for row, k in zip(levels, many, strict=True)]
    top, middle = np.array([max(row) for row in sent]), np.array([np.mean(row) for row in sent]).round(2)
    score = (1 / (1 + np.exp(-(top - 75) / 8 - (middle - 60) / 20))).round(4)
    table = pd.DataFrame({
        "ts": START + pd.to_timedelta(hour, unit="h"), "context.site": site, "inputs.levels": sent, "inputs.inflow": rng.gamma(2, 3, n).round(1),
        "steps.fill.top": top, "steps.fill.middle": middle, "outputs.score": score, "decision": np.where(score > 0.5, "drain", "wait"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "ragged", "cut"])
def test_a_list_that_lost_its_end_is_who_sent_it(event: str) -> None:
    report = whimbrel.diagnose(*_tanks(event))
    assert (report.verdict == "fault") == (event == "cut"), report.sentence
    if report.findings:
        first = report.findings[0]
        assert (first.layer, first.component) == ("data", "inputs.levels"), report.sentence
        assert [str(c) for c in first.where] == ["context.site=quay"], report.sentence
