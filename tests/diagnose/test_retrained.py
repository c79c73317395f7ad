"""A model that was trained on a part of the world answers, and the day has a few newcomers besides: these do not explain what it says of all others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 9, 2, 1_200
AT = pd.Timestamp("2026-05-04", tz="UTC")


def _loans(release: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Loans by dealer; some dealers are new in the window, and from its sixth hour on another model answers."""
    rng = np.random.default_rng(31)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    dealer = rng.integers(0, 60, n)
    dealer = np.where((hour >= began) & (rng.random(n) < 0.04), 60 + rng.integers(0, 3, n), dealer)
    amount, income = rng.gamma(3, 4, n).round(2), rng.gamma(5, 8, n).round(1)
    age = rng.integers(19, 75, n)
    odds = 1.1 * np.tanh(amount / income * 2) + 0.4 * np.sin(age / 9) - 0.3 * np.sqrt(income) / 2 + 0.05 * amount
    new = (hour >= began + 6) & (release != "")
    # One that learned from small loans alone goes on beyond them as it did there; one that saw few of any hardly tells them apart.
    told = odds + new * (release == "small loans only") * 0.14 * np.maximum(amount - 9, 0)
    odds, told = 2 * (odds - odds.mean()), 2 * (told - odds.mean())
    told = np.where(new & (release == "few of any"), 0.3 * told + 0.7, told)
    score = 1 / (1 + np.exp(-(told + rng.normal(0, 0.6, n))))
    table = pd.DataFrame({
        "ts": AT + pd.to_timedelta(hour, unit="h"), "inputs.dealer": [f"d{d:03d}" for d in dealer], "inputs.amount": amount,
        "inputs.income": income, "inputs.age": age, "model.version": np.where(new, "v8", "v7"), "outputs.score": score.round(5),
        "decision": np.where(score > 0.6, "decline", "grant"),
        "label": (rng.random(n) < 1 / (1 + np.exp(-odds))).astype(float),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("release", ["", "sound", "small loans only", "few of any"])
def test_a_few_newcomers_do_not_explain_what_another_model_says_of_all(release: str) -> None:
    """Where it says what the one before said, newcomers and all, nothing is wrong."""
    events = pd.DataFrame(
        {"ts": [AT + pd.Timedelta(hours=(DAYS - WINDOW) * 24 + 6)], "kind": ["deploy"], "what": ["risk v8"]}
    )
    report = whimbrel.diagnose(*_loans(release), events=events)
    assert (report.verdict == "fault") == (release in ("small loans only", "few of any")), report.sentence
    if report.verdict == "fault":
        assert report.findings[0].component == "model.version", report.sentence
