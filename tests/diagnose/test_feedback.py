"""Labels that are verdicts of more than two kinds (kept, changed, dropped), and verdicts that nobody gave: a timer did, or an editor that saves by itself."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 10, 2, 900
START = pd.Timestamp("2026-04-06", tz="UTC")


def _drafts(event: str) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Drafts of letters that people keep, change or drop within hours, if they say anything; from the window's eighth hour on something happens."""
    rng = np.random.default_rng(21)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    app, plan = rng.choice(["ios", "outlook", "browser"], n, p=[0.2, 0.35, 0.45]), rng.choice(["solo", "firm"], n)
    pages = rng.integers(1, 9, n).astype(float)
    score = np.clip(0.95 - 0.05 * pages + rng.normal(0, 0.05, n), 0.05, 0.99).round(3)
    since = hour >= began + 8
    luck = rng.random(n) + (0.07 if event == "worse" else 0.0) * since
    verdict = np.where(luck < score, "kept", np.where(luck < score + 0.75 * (1 - score), "changed", "dropped"))
    delay = rng.lognormal(0.5, 0.9, n) * 3600
    silent = rng.random(n) < 0.4
    if event == "saved":
        verdict = np.where(since & (app == "browser") & (verdict == "kept") & (rng.random(n) < 0.5), "changed", verdict)
    ts = START + pd.to_timedelta((hour * 3_600_000).astype(int), unit="ms")
    if event in ("timer", "reminder"):  # people who are reminded after an hour answer within some minutes
        theirs = since & (plan == "firm") & (silent | (delay > 3600))
        waited = 3600.0 if event == "timer" else 3600 + rng.exponential(900, n)
        delay = np.where(theirs, waited, delay)
        verdict = np.where(theirs, "kept", verdict) if event == "timer" else verdict
        silent = silent & ~theirs
    label_ts = pd.Series((ts + pd.to_timedelta(delay, unit="s")).floor("s"))
    end = START + pd.Timedelta(days=DAYS)
    lost = silent | (label_ts > end).to_numpy()
    table = pd.DataFrame({
        "ts": ts, "context.app": app, "context.plan": plan, "inputs.pages": pages, "outputs.score": score,
        "decision": np.where(score > 0.6, "show", "hide"), "label": pd.Series(verdict).mask(lost), "label_ts": label_ts.mask(lost),
    })  # fmt: skip
    events = pd.DataFrame(
        [{"ts": START + pd.Timedelta(hours=began + 8), "kind": "deploy", "what": "browser app 8: new editor"}]
    )
    return table[hour < began], table[hour >= began], events


@pytest.mark.parametrize("event", ["", "saved", "worse"])
def test_verdicts_of_three_kinds_are_judged_by_their_scores(event: str) -> None:
    """Half of what browsers keep is said to be changed. Drafts that got a little worse for all are no fault of the labels."""
    golden, window, events = _drafts(event)
    report = whimbrel.diagnose(golden, window, events=events)
    assert (report.verdict == "fault") == (event == "saved"), report.sentence
    if event == "saved":
        first = report.findings[0]
        assert (first.layer, [str(c) for c in first.where]) == ("labels", ["context.app=browser"]), report.sentence


@pytest.mark.parametrize("event", ["timer", "reminder"])
def test_a_timer_that_answers_for_people_is_seen_through_whole_seconds(event: str) -> None:
    """Labels are timed to the second, predictions to the thousandth: the same hour is another number each time."""
    golden, window, events = _drafts(event)
    report = whimbrel.diagnose(golden, window, events=events)
    assert (report.verdict == "fault") == (event == "timer"), report.sentence
    if event == "timer":
        first = report.findings[0]
        assert (first.layer, [str(c) for c in first.where]) == ("labels", ["context.plan=firm"]), report.sentence
        assert "exactly 3600 s" in first.what
