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


def _asked(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Questions that a step rewrites to what is searched for, and how near two pages are; many may ask one thing in their own words, or the search gives up."""
    rng = np.random.default_rng(7)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    late, thing = hour >= began + 8, rng.integers(0, 2_000, n)
    if event == "news":
        thing = np.where(late & (rng.random(n) < 0.08), 1_234, thing)
    margin = np.random.default_rng(1).uniform(0, 1, 2_000).round(4)[thing]
    if event == "gives up":
        margin = np.where(late & (rng.random(n) < 0.08), 0.5012, margin)
    score = (0.2 + 0.6 * margin).round(4)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"),
        "inputs.question": [f"my {a}. question on form {x}" for a, x in enumerate(thing)], "steps.rewrite.query": [f"form {x}" for x in thing],
        "steps.rank.margin": margin, "outputs.score": score, "decision": np.where(score > 0.5, "send", "check"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "news", "gives up"])
def test_what_many_search_for_has_one_value(event: str) -> None:
    report = whimbrel.diagnose(*_asked(event))
    assert (report.verdict == "fault") == (event == "gives up"), report.sentence
