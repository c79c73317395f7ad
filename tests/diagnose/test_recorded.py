"""What the record alone has wrong: values that the steps saw whole, a host whose clock is ahead, the text of the request before."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 11, 2, 800
WORDS = (
    "sunny",
    "table",
    "for",
    "two",
    "with",
    "children",
    "please",
    "window",
    "birthday",
    "no",
    "nuts",
    "outside",
    "pram",
    "garlic",
)
ASKS = ("late", "quiet")


def _remark(rng: np.random.Generator) -> str:
    said = [str(word) for word in rng.choice(WORDS, rng.integers(3, 9), replace=False)]
    for ask in ASKS:
        if rng.random() < 0.3:
            said.insert(int(rng.integers(0, len(said) + 1)), ask)
    return " ".join(said)


def _bookings(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bookings with a remark and the nights; from the window's eighth hour on the log, or what comes in, may be cut or empty."""
    rng = np.random.default_rng(31)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    on = hour >= began + 8
    remark, nights = np.array([_remark(rng) for _ in range(n)], dtype=object), rng.integers(1, 15, n).astype(float)
    cut = np.array([text[:24] if after else text for text, after in zip(remark, on, strict=True)], dtype=object)
    seen = cut if event == "cut" else remark
    asks = {ask: np.array([float(ask in text.split()) for text in seen]) for ask in ASKS}
    told = np.where(on & (event == "empty"), 0.0, nights)
    score = (1 / (1 + np.exp(-(0.2 * told + asks["late"] - 0.8 * asks["quiet"] - 1.5)))).round(5)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.desk": rng.choice(["north", "south"], n),
        "inputs.remark": cut if event in ("cut", "log cuts") else remark,
        "inputs.nights": np.where(on & (event in ("empty", "log loses")), np.nan, nights),
        "steps.read.late": asks["late"], "steps.read.quiet": asks["quiet"], "steps.scale.nights": (told / 7).round(4),
        "outputs.score": score, "decision": np.where(score > 0.5, "call", "none"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize(("event", "layer", "component"), [
    ("", "", ""), ("cut", "data", "inputs.remark"), ("log cuts", "recorder", "inputs.remark"),
    ("empty", "data", "inputs.nights"), ("log loses", "recorder", "inputs.nights"),
])  # fmt: skip
def test_what_the_steps_saw_whole_only_the_record_lost(event: str, layer: str, component: str) -> None:
    """Where the steps go by what is recorded, it came in so."""
    report = whimbrel.diagnose(*_bookings(event))
    assert (report.verdict == "fault") == bool(event), report.sentence
    if event:
        first = report.findings[0]
        assert (first.layer, first.component) == (layer, component), report.sentence
        assert ("as ever" in first.what) == (layer == "recorder"), report.sentence


def _clips(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Answers that are judged within minutes; from the window's eighth hour on one host's clock may be ahead, or all be judged sooner."""
    rng = np.random.default_rng(32)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    host = rng.choice(["edge-1", "edge-2", "edge-3"], n)
    on = hour >= began + 8
    length, fresh = rng.gamma(3, 10, n).round(1), rng.random(n).round(3)
    score = (1 / (1 + np.exp(-(2 * fresh - 0.05 * length)))).round(5)
    waits = (5 + rng.gamma(2, 10, n)) / 60 * np.where(on & (event == "sooner"), 0.7, 1)
    told = hour + np.where(on & (host == "edge-2") & (event == "ahead"), 50 / 60, 0)
    start = pd.Timestamp("2026-03-02", tz="UTC")
    table = pd.DataFrame({
        "ts": start + pd.to_timedelta(told, unit="h"), "hardware.host": host, "inputs.length": length, "inputs.fresh": fresh,
        "steps.moment.hour": (hour % 24).astype(int), "outputs.score": score, "decision": np.where(score > 0.5, "show", "skip"),
        "label": (rng.random(n) < score).astype(int), "label_ts": start + pd.to_timedelta(hour + waits, unit="h"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "ahead", "sooner"])
def test_labels_before_what_they_judge_on_one_host_are_its_clock_s(event: str) -> None:
    """The step that read the right hour is not to blame, nor are the labels; that people judge sooner is no fault."""
    report = whimbrel.diagnose(*_clips(event))
    assert (report.verdict == "fault") == (event == "ahead"), report.sentence
    if event == "ahead":
        first = report.findings[0]
        assert (first.layer, first.component, len(report.findings)) == ("recorder", "ts", 1), report.sentence
        assert "minutes ahead" in first.what


def _routed(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Questions that are handed to a desk by their kind and language; on one host the desk may be that of the question before."""
    rng = np.random.default_rng(33)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    host, kind, tongue = (
        rng.choice(["a-1", "a-2", "a-3"], n),
        rng.choice(["bill", "move", "stop"], n),
        rng.choice(["et", "lt", "lv"], n),
    )
    own = np.array([f"{one}-{other}" for one, other in zip(kind, tongue, strict=True)])
    wrong = np.flatnonzero((hour >= began + 8) & (host == "a-2"))
    desk = own.copy()
    if event:
        desk[wrong] = np.roll(own[wrong], 1)
    queue = (
        np.array([len(word) + 2 * ord(word[0]) + 3 * ord(word[-1]) for word in (desk if event == "handed" else own)])
        - 500.0
    )
    score = (1 / (1 + np.exp(-(queue - queue.mean()) / queue.std()))).round(5)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"), "hardware.host": host, "inputs.kind": kind,
        "inputs.tongue": tongue, "steps.route.desk": desk, "steps.wait.queue": queue, "outputs.score": score,
        "decision": np.where(score > 0.5, "call", "mail"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize(("event", "layer"), [("", ""), ("of before", "recorder"), ("handed", "features")])
def test_a_category_of_the_request_before_is_the_record_s_where_what_follows_is_right(event: str, layer: str) -> None:
    """Where what follows goes by the other's as well, it was handed on so."""
    report = whimbrel.diagnose(*_routed(event))
    assert (report.verdict == "fault") == bool(event), report.sentence
    if event:
        first = report.findings[0]
        assert (first.layer, first.component) == (layer, "steps.route.desk"), report.sentence
        assert "request before" in first.what
