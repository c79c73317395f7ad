"""Another model whose score is no forecast: how good the answer is thought to be, and how much of it an editor changes. And one that is worse in one slice."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 8, 2, 900
STYLES = ("legal", "press", "web")


def _letters(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Letters that a model drafts; an estimate of their quality, known at once, and the part that an editor changed, an hour or two later."""
    rng = np.random.default_rng(21)
    n = (DAYS + WINDOW) * A_DAY
    hour = np.sort(rng.random(n)) * (DAYS + WINDOW) * 24
    style, host = rng.choice(STYLES, n), rng.choice(["w1", "w2", "w3", "w4"], n)
    hard, words = rng.beta(2, 5, n), rng.integers(20, 120, n)
    began = DAYS * 24
    new = (hour >= began + 6) & (np.isin(host, ["w1", "w3"]) if event else np.zeros(n, dtype=bool))
    quality = np.clip(0.97 - 0.6 * hard + rng.normal(0, 0.02, n), 0, 1)
    edited = np.clip(0.05 + 0.9 * (0.97 - quality) + rng.normal(0, 0.04, n), 0, 1)
    length = words * 1.1 + rng.normal(0, 3, n)
    if event:
        length = length + 9 * new
    if event == "worse":
        edited = np.clip(edited + 0.12 * new, 0, 1)
    if event == "better":
        edited = np.clip(edited - 0.12 * new, 0, 1)
    start = pd.Timestamp("2026-02-02", tz="UTC")
    delay = rng.uniform(0.5, 2, n)
    known = hour + delay < (DAYS + WINDOW) * 24
    table = pd.DataFrame({
        "ts": start + pd.to_timedelta(hour, unit="h"), "context.style": style, "hardware.host": host,
        "inputs.words": words, "inputs.hard": hard.round(3), "model.version": "m1", "model.digest": np.where(new, "bb41", "aa07"),
        "outputs.quality": quality.round(4), "outputs.length": length.round(), "label": np.where(known, edited.round(4), np.nan),
        "label_ts": (start + pd.to_timedelta(hour + delay, unit="h")).where(known),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize(("event", "harms"), [("worse", True), ("better", False)])
def test_a_model_whose_letters_need_more_changes_than_their_quality_says_does_harm(event: str, harms: bool) -> None:
    """Edits fall where the estimate rises, so more edits than it says are worse."""
    report = whimbrel.diagnose(*_letters(event))
    found = next(one for one in report.findings if one.component.startswith("model."))
    assert found.harmful is harms, report.sentence


def _prices(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Flats and houses in three towns and what they were sold for; a release that was announced, and is wrong about the flats of one town."""
    rng = np.random.default_rng(22)
    n = (DAYS + WINDOW) * A_DAY
    hour = np.sort(rng.random(n)) * (DAYS + WINDOW) * 24
    town, kind = rng.choice(["arle", "bude", "cley"], n), rng.choice(["flat", "house"], n)
    area, rooms = rng.gamma(9, 10, n).round(), rng.integers(1, 7, n)
    worth = 900 * area * np.where(town == "arle", 1.6, np.where(town == "bude", 1.1, 0.9)) + 9_000 * rooms
    began = DAYS * 24
    new = hour >= began + 5
    score = worth * (1 + 0.01 * rng.standard_normal(n))
    if event == "wrong there":
        score = np.where(new & (town == "cley") & (kind == "flat"), 0.9 * score, score)
    else:
        score = np.where(new, worth * (1 + 0.008 * rng.standard_normal(n)), score)
    paid = worth * np.exp(0.09 * rng.standard_normal(n))
    start = pd.Timestamp("2026-02-02", tz="UTC")
    known = (hour + 3 < (DAYS + WINDOW) * 24) & (rng.random(n) < 0.6)
    table = pd.DataFrame({
        "ts": start + pd.to_timedelta(hour, unit="h"), "context.town": town, "context.kind": kind, "inputs.area": area, "inputs.rooms": rooms,
        "model.version": np.where(new, "2.1", "2.0"), "outputs.score": score.round(), "label": np.where(known, paid.round(), np.nan),
        "label_ts": (start + pd.to_timedelta(hour + 3, unit="h")).where(known),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize(("event", "harms"), [("wrong there", True), ("as good", False)])
def test_an_announced_release_is_judged_where_it_answers_otherwise(event: str, harms: bool) -> None:
    """Over all traffic the few flats of one town are lost in what everybody's prices err by."""
    golden, window = _prices(event)
    events = pd.DataFrame(
        {"ts": [window["ts"].min() + pd.Timedelta(hours=5)], "kind": ["deploy"], "what": ["model 2.1"]}
    )
    report = whimbrel.diagnose(golden, window, events=events)
    assert (report.verdict == "fault") is harms, report.sentence
    if harms:
        assert report.findings[0].component.startswith("model.")
