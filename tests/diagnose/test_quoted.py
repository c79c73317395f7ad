"""Letters that arrive with all that was ever written quoted below them: from one to the next it is the mail's doing, one by one the writers'."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 11, 2, 800
WORDS = (
    *("the", "and", "for", "with", "my", "your", "order", "parcel", "invoice", "please", "send", "again", "still", "not", "yet"),
    *("arrived", "broken", "return", "money", "account", "address", "monday", "week", "since", "told", "me", "was", "is", "it"),
    *("that", "they", "have", "would", "like", "to", "know", "when", "where", "why"),
)  # fmt: skip


def _mail(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Letters in three mailboxes; from the window's eighth hour on some have what was written before below them."""
    rng = np.random.default_rng(14)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    letters = [" ".join(rng.choice(WORDS, k)) + "." for k in (4 + rng.gamma(3, 8, n)).astype(int)]
    late, along = hour >= began + 8, (hour - began - 8) / (WINDOW * 24 - 8)
    below = np.zeros(n, dtype=int)
    match event:
        case "all":
            below[late] = 4
        case "one by one":
            below = np.where(late, rng.binomial(4, np.clip(along, 0, 1)), 0)
        case "some":
            below = np.where(late & (rng.random(n) < 0.2), 4, 0)
        case _:
            pass
    texts = [
        text if not k else "\n> ".join([text, *(letters[i] for i in rng.integers(0, n, k))])
        for text, k in zip(letters, below, strict=True)
    ]
    urgent = np.array(["again" in text and "still" in text for text in letters], dtype=float)
    value = rng.gamma(2, 30, n).round(2)
    score = (1 / (1 + np.exp(-(1.5 * urgent + 0.02 * value - 2)))).round(5)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"),
        "context.mailbox": rng.choice(["info", "sales", "service"], n), "inputs.letter": texts, "inputs.value": value,
        "steps.read.urgent": urgent, "outputs.score": score, "decision": np.where(score > 0.5, "first", "queue"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "all", "one by one", "some"])
def test_letters_that_are_all_five_times_as_long_at_once_are_the_mails(event: str) -> None:
    """Writers who begin to quote do so one by one, and never all of them."""
    report = whimbrel.diagnose(*_mail(event))
    assert (report.verdict == "fault") == (event == "all"), report.sentence
    if event == "all":
        first = report.findings[0]
        assert (first.layer, first.component) == ("data", "inputs.letter"), report.sentence
