"""Tokens that the record has wrong, and prices that are: what was written and what was paid tell which."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, A_DAY = 11, 500
WORDS = (
    "the",
    "parcel",
    "order",
    "is",
    "late",
    "and",
    "will",
    "come",
    "on",
    "monday",
    "with",
    "a",
    "letter",
    "from",
    "our",
    "shop",
)


def _answers(wrong: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Answers of some length, their tokens and what they cost; in the last day's afternoon something is wrong with the widget's."""
    rng = np.random.default_rng(21)
    n = DAYS * A_DAY
    hour = np.sort(rng.random(n)) * DAYS * 24
    channel = rng.choice(["widget", "mail", "app"], n)
    asked, told = rng.gamma(4, 30, n).round() + 20, (rng.gamma(4, 8, n) + 12).astype(int)
    hit = (hour > (DAYS - 0.7) * 24) & (channel == "widget")
    if wrong == "shorter answers":
        told = np.where(hit, told // 3 + 4, told)
    tokens = np.round(told * 1.3 + rng.normal(0, 1, n))
    cost = (2e-6 * asked + 8e-6 * tokens).round(9)
    if wrong == "price":
        cost = np.where(hit, (2e-6 * asked + 12e-6 * tokens).round(9), cost)
    if wrong == "count":
        tokens = np.where(hit, np.minimum(tokens, 16), tokens)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.channel": channel,
        "inputs.kind": rng.choice(["where", "refund", "other"], n), "outputs.text": [" ".join(rng.choice(WORDS, k)) for k in told],
        "usage.input_tokens": asked, "usage.output_tokens": tokens, "usage.cost_usd": cost,
        "decision": np.where(rng.random(n) < 0.9, "send", "review"),
    })  # fmt: skip
    return table[hour < (DAYS - 1) * 24], table[hour >= (DAYS - 1) * 24]


@pytest.mark.parametrize(("wrong", "layer", "component"), [
    ("count", "recorder", "usage.output_tokens"), ("price", "serving", "usage.cost_usd"), ("shorter answers", "", ""), ("", "", ""),
])  # fmt: skip
def test_a_count_that_neither_text_nor_price_bears_out_is_the_records(wrong: str, layer: str, component: str) -> None:
    """A price that rose for the same tokens is the service's, and answers that became shorter cost less and are counted rightly."""
    report = whimbrel.diagnose(*_answers(wrong))
    found = [(f.layer, f.component) for f in report.findings if f.layer in ("recorder", "serving")]
    assert found[:1] == ([(layer, component)] if layer else []), report.sentence


def _calls(wrong: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Letters that are put together in parts, what was sent and what that cost; since the last day's morning something is wrong where there are several."""
    rng = np.random.default_rng(22)
    n = DAYS * A_DAY
    hour = np.sort(rng.random(n)) * DAYS * 24
    parts, pages = rng.integers(1, 4, n), rng.gamma(4, 30, n).round() + 20
    sent, told = pages * parts, rng.gamma(4, 8, n).round() + 12
    hit = (hour > (DAYS - 0.7) * 24) & (parts > 1)
    counted = np.where(hit & (wrong != ""), sent // parts, sent)
    cost = (2e-6 * (counted if wrong == "fewer are sent" else sent) + 8e-6 * told).round(9)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.office": rng.choice(["york", "leeds"], n),
        "inputs.pages": pages, "steps.letter.parts": parts, "steps.letter.tokens": sent, "outputs.grade": (told / 40).round(3),
        "usage.input_tokens": counted, "usage.output_tokens": told, "usage.cost_usd": cost, "decision": np.where(told > 40, "long", "short"),
    })  # fmt: skip
    return table[hour < (DAYS - 1) * 24], table[hour >= (DAYS - 1) * 24]


@pytest.mark.parametrize("wrong", ["", "the last alone is counted", "fewer are sent"])
def test_a_count_whose_price_is_that_of_what_was_sent_is_wrong_in_the_record_alone(wrong: str) -> None:
    """Where fewer tokens were really sent than the step made, less is paid, and the record says so rightly."""
    report = whimbrel.diagnose(*_calls(wrong))
    assert (report.verdict == "healthy") == (not wrong), report.sentence
    if wrong:
        first = report.findings[0]
        assert first.component == "usage.input_tokens", report.sentence
        assert (first.layer == "recorder") == (wrong == "the last alone is counted"), report.sentence
