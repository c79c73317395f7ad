"""A look-up knows most articles; of the others a step takes what is usual in their category that day."""

from __future__ import annotations

import numpy as np
import pytest

from whimbrel.diagnose import diagnose_rows
from whimbrel.model.fields import Kind, Schema
from whimbrel.model.rows import Categories, Column, Numbers, Rows

HOUR_US = 3_600_000_000
SCHEMA = Schema.from_pairs([
    ("inputs.category", Kind.TEXT), ("inputs.length", Kind.NUMBER), ("steps.lookup.popularity", Kind.NUMBER),
    ("steps.impute.popularity", Kind.NUMBER), ("outputs.score", Kind.NUMBER), ("decision", Kind.TEXT),
])  # fmt: skip


def _rows(days: range, seed: int, fill: float | None = None) -> Rows:
    """A day's popularity is another than the day before's, for all; from 9 in the morning of the last but one on, `fill` stands for what is not known."""
    rng = np.random.default_rng(seed)
    n = 1_500 * len(days)
    ts = np.sort(rng.integers(days.start * 24 * HOUR_US, days.stop * 24 * HOUR_US, n))
    day, category = ts // (24 * HOUR_US), rng.integers(0, 6, n)
    usual = np.random.default_rng(1).gamma(4, 20, (40, 6)).round()[day, category]
    looked = np.where(rng.random(n) < 0.04, np.nan, np.round(usual * rng.gamma(2, 0.5, n)))
    popularity = np.where(np.isnan(looked), usual, looked)
    if fill is not None:
        popularity[np.isnan(looked) & (ts >= ((days.stop - 2) * 24 + 9) * HOUR_US)] = fill
    length = rng.normal(0, 1, n).round(2)
    score = 1 / (1 + np.exp(-(np.log1p(popularity) - 4.3 + length)))
    columns: dict[str, Column] = {
        "inputs.category": Categories(category, tuple("abcdef")), "inputs.length": Numbers(length), "steps.lookup.popularity": Numbers(looked),
        "steps.impute.popularity": Numbers(popularity), "outputs.score": Numbers(score),
        "decision": Categories((score > 0.5).astype(np.int64), ("hide", "show")),
    }  # fmt: skip
    return Rows(tuple(f"{seed}-{i}" for i in range(n)), ts, columns, n)


@pytest.mark.parametrize("fill", [None, 0.0])
def test_another_fill_is_found_among_the_few_that_are_filled(fill: float | None) -> None:
    report = diagnose_rows(_rows(range(14), 2), _rows(range(14, 16), 3, fill), SCHEMA, app="shop")
    if fill is None:
        assert report.verdict == "healthy"
        return
    assert (report.verdict, report.findings[0].component) == ("fault", "steps.impute.popularity")
    assert "that stand for no steps.lookup.popularity are exactly 0" in report.findings[0].what
