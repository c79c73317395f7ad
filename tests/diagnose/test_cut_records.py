"""Answers that the log alone cuts: what was counted of them is as ever. A model that stops early is counted by what it wrote."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

N, DAYS, ONSET, CUT = 6_000, 10, 8.5, 130
TOPICS = ("the harbour", "a new school", "the town hall", "an old bridge", "the market", "a bus line", "the river")


def _summaries(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Summaries of articles and their words, on three hosts; from some hour on something becomes of those of one host, or of all."""
    rng = np.random.default_rng(8)
    days = np.sort(rng.random(N)) * DAYS
    host, long = rng.choice(["s1", "s2", "s3"], N), 1 + rng.poisson(3, N)
    hit = (days >= ONSET) & ((host == "s2") | (event == "record of all"))
    articles, texts, words = [], [], []
    for i in range(N):
        topics = [TOPICS[j] for j in rng.integers(0, len(TOPICS), long[i])]
        spice = int(rng.integers(0, 9))  # what no input tells
        text = " ".join(f"People spoke about {topic} today." for topic in topics) + " They went home." * spice
        articles.append("Sum up. " + " ".join(f"It was about {topic}, for a long time." for topic in topics))
        if hit[i] and event == "model":
            text = text[:CUT]
        words.append(len(text.split()))
        texts.append(text[:CUT] if hit[i] and event.startswith("record") else text)
    count = np.array(words) + np.where(hit & (event == "counter"), 7, 0)
    score = np.round(np.clip(0.2 + 0.02 * count + rng.normal(0, 0.03, N), 0, 1), 4)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-07-06", tz="UTC") + pd.to_timedelta(days, unit="D"), "hardware.host": host,
        "inputs.article": articles, "outputs.summary": texts, "outputs.n_words": count, "outputs.score": score,
        "decision": np.where(score > 0.6, "print", "read"),
    })  # fmt: skip
    return table[days < 8], table[days >= 8]


@pytest.mark.parametrize("event", ["record", "record of all", "model", "counter", ""])
def test_an_answer_that_was_counted_whole_was_cut_by_the_record(event: str) -> None:
    report = whimbrel.diagnose(*_summaries(event))
    assert (report.verdict == "fault") == bool(event), report.sentence
    if event:
        first = report.findings[0]
        lost = event.startswith("record")
        assert (first.layer == "recorder") == lost, report.sentence
        assert (first.component == "outputs.summary") or not lost, report.sentence
        assert [str(c) for c in first.where] == ([] if event == "record of all" else ["hardware.host=s2"])
