"""Leaflets that a step looks up: a new edition of all of them is nobody's fault, another country's leaflet or last year's is."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

import whimbrel
from whimbrel.diagnose import releases

N, SHARE = 5_000, 0.75
COUNTRIES, PLANS = ("dk", "nl", "pt"), ("home", "travel", "pet", "bike")


def _questions(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Insured people ask; the answer is scored by plan and age. In the window the leaflets are other ones than golden's."""
    rng = np.random.default_rng(4)
    hours = np.sort(rng.random(N)) * 8 * 24
    country, plan = rng.choice(COUNTRIES, N), rng.choice(PLANS, N)
    age, since = rng.integers(18, 80, N), hours >= (1 + SHARE * 7) * 24
    edition = np.full(N, 6)
    held = country.copy()
    if event in ("renewed", "misread"):
        edition[since] = 7
    if event == "older":
        edition[since] = 5
    if event == "foreign":
        held[since] = np.roll(country, 1)[since]
    worth = np.array([PLANS.index(one) for one in plan])
    if event == "misread":  # the new leaflets' sums are read in another currency
        worth = np.where(since, 3 - worth, worth)
    # Which of the leaflets it is matters: another country's has other sums.
    theirs = 0.5 * np.array([COUNTRIES.index(one) for one in held])
    score = 1 / (1 + np.exp(-(0.8 * worth + theirs - 0.03 * age + 0.2)))
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-05-04", tz="UTC") + pd.to_timedelta(hours, unit="h"),
        "inputs.country": country, "inputs.plan": plan, "inputs.age": age,
        "steps.find.leaflet": [f"{h}/{p}/ed{e}" for h, p, e in zip(held, plan, edition, strict=True)],
        "outputs.score": score.round(5), "decision": np.where(score > 0.6, "answer", "person"),
    })  # fmt: skip
    begins = hours >= 6 * 24
    return table[~begins], table[begins]


@pytest.mark.parametrize("event", ["renewed", "older", "foreign", "misread"])
def test_a_new_edition_of_what_is_looked_up_is_a_notice_where_nothing_comes_of_it(event: str) -> None:
    report = whimbrel.diagnose(*_questions(event))
    assert report.verdict == ("notice" if event == "renewed" else "fault"), report.sentence
    assert report.findings[0].component == "steps.find.leaflet", report.sentence


@pytest.mark.parametrize(
    ("old", "new", "later"),
    [
        ("dk/pet/ed6", "dk/pet/ed7", True),
        ("v1.9", "v1.10", True),
        ("2026-12", "2027-01", True),
        ("dk/pet/ed6", "nl/pet/ed7", False),
        ("ed7", "ed6", False),
        ("ed06", "ed6", False),
        ("pet", "pets", False),
    ],
)
def test_a_next_version_has_a_larger_number(old: str, new: str, later: bool) -> None:
    assert cast("Any", releases)._later(old, new) is later
