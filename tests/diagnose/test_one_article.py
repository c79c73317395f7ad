"""A vector that golden's never were like is one article's where that article alone has it; where each of many has one, the source makes others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY, ARTICLES = 9, 2, 1_000, 300


def _shown(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Articles with a vector each; in the window's second half one unlike all others may be sold again and again, or half of a shelf's are made anew."""
    rng = np.random.default_rng(5)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    shelf_of, vector_of = np.arange(ARTICLES) % 6, rng.normal(0, 0.4, (ARTICLES, 6))
    article = rng.integers(0, ARTICLES, n)
    since = (hour >= began + 20) & (shelf_of[article] == 2) & (rng.random(n) < 0.6)
    vector = vector_of[article]
    if event == "one article":
        article = np.where(since, ARTICLES, article)
        vector = np.where(since[:, None], 1.2, vector)
    if event == "all of them":
        vector = np.where(since[:, None], vector + 1.2, vector)
    shelf = np.append(shelf_of, 2)[article]
    score = 1 / (1 + np.exp(-vector @ np.array([1.0, -1.0, 0.5, 0.0, -0.5, 0.2]) + rng.normal(0, 0.5, n)))
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"), "inputs.article": [f"a{x:04d}" for x in article],
        "inputs.shelf": [f"shelf {x}" for x in shelf], "inputs.vector": list(vector.round(3)), "outputs.score": score.round(4),
        "decision": np.where(score > 0.6, "show", "hide"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "one article", "all of them"])
def test_one_articles_vector_is_its_own(event: str) -> None:
    report = whimbrel.diagnose(*_shown(event))
    assert (report.verdict == "fault") == (event == "all of them"), report.sentence
    if report.verdict == "fault":
        assert report.findings[0].component == "inputs.vector", report.sentence
