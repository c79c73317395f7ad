"""A release whose chances are surer than golden's labels bear out, where labels come of the doubtful ones alone and tell little of it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 7, 2, 1_500
START = pd.Timestamp("2026-02-02", tz="UTC")


def _claims(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Claims by how likely they are paid; labels come of those that a person looks at. A fifth may get a release that is as good, or surer than it knows.

    Or the one before was half as sure as it might be, and the release says what is so.
    """
    rng = np.random.default_rng(41)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    amount, years, docs = rng.lognormal(6, 0.7, n).round(), rng.gamma(2, 3, n).round(1), rng.integers(0, 6, n)
    truth = 1.2 - 0.9 * (np.log(amount) - 6) + 0.15 * (years - 6) + 0.5 * (docs - 2)
    new = (hour >= began + 8) & (rng.random(n) < 0.3)
    said = truth * (0.55 if event == "was unsure" else 1) + rng.normal(0, 0.03, n)
    other = truth * (1.8 if event == "oversure" else 1) + rng.normal(0, 0.25, n)
    score = (1 / (1 + np.exp(-np.where(new & (event != ""), other, said)))).clip(0.01, 0.99).round(4)
    ts = START + pd.to_timedelta(hour, unit="h")
    known = (score < 0.7) & (hour < DAYS * 24 - 3)
    paid = (rng.random(n) < 1 / (1 + np.exp(-truth))).astype(float)
    table = pd.DataFrame({
        "ts": ts, "context.office": rng.choice(["a", "b", "c"], n), "inputs.amount": amount, "inputs.years": years, "inputs.documents": docs,
        "model.version": np.where(new & (event != ""), "v9", "v8"), "outputs.score": score, "decision": np.where(score < 0.7, "look", "pay"),
        "label": np.where(known, paid, np.nan), "label_ts": (ts + pd.Timedelta("2h")).where(known),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "as good", "was unsure", "oversure"])
def test_surer_than_labels_bear_out(event: str) -> None:
    told = pd.DataFrame(
        {
            "ts": [START + pd.Timedelta(hours=(DAYS - WINDOW) * 24 + 8)],
            "kind": ["deploy"],
            "what": ["claims v9 canary 30%"],
        }
    )
    report = whimbrel.diagnose(*_claims(event), events=told)
    assert (report.verdict == "fault") == (event == "oversure"), report.sentence
    if event == "oversure":
        assert (report.findings[0].layer, report.findings[0].component) == ("model", "model.version"), report.sentence
