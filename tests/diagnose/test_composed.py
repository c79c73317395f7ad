"""Names that a step puts together from what came in: which of a page's versions was looked up, under whose name it was kept."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 11, 2, 500


def _pages(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Pages that are looked up by their name and edition and shown if they are short; half of the requests look up none. Something happens in one region."""
    rng = np.random.default_rng(12)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    region, kind = rng.choice(["north", "south"], n), rng.choice(["page", "menu"], n)
    page = rng.integers(0, 900, n) + 40 * (hour // 24).astype(int)  # new ones every day
    edition = 1 + page % 3
    hit = (hour >= began + 8) & (region == "south")
    if event == "amended":
        edition = np.where(hit, edition + 1, edition)
    seen = np.where(hit, 1, edition) if event == "old" else edition
    name = [f"en-{p}#{s}" if k == "page" else "none" for p, s, k in zip(page, seen, kind, strict=True)]
    words = np.where(kind == "page", rng.normal(300, 60, n), 20.0).round()
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.region": region, "inputs.kind": kind,
        "inputs.page": [f"en-{p}" for p in page], "inputs.edition": edition, "inputs.words": words,
        "steps.fetch.kept_as": name, "outputs.score": np.round(words / 500, 3), "decision": np.where(words < 350, "show", "hide"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "old", "amended"])
def test_a_name_is_put_together_as_golden_did(event: str) -> None:
    """New pages, and new editions of them, have names that nobody saw and that are right."""
    report = whimbrel.diagnose(*_pages(event))
    assert (report.verdict == "fault") == (event == "old"), report.sentence
    if event == "old":
        first = report.findings[0]
        found = (first.layer, first.component, [str(c) for c in first.where])
        assert found == ("features", "steps.fetch.kept_as", ["context.region=south"]), report.sentence
        assert "put together as {inputs.page}#{inputs.edition}" in first.what
