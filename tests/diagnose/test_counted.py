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
