"""What came of it tells whether a meter, or the work that it measures, is another."""

from __future__ import annotations

import numpy as np
import pytest

from whimbrel.diagnose import diagnose_rows
from whimbrel.model.fields import Kind, Schema
from whimbrel.model.report import Report
from whimbrel.model.rows import Categories, Column, Numbers, Rows

HOUR_US = 3_600_000_000
SITES = ("bay", "dale", "fell", "moor")
SCHEMA = Schema.from_pairs([
    ("inputs.staff", Kind.NUMBER), ("inputs.orders", Kind.NUMBER), ("inputs.draw", Kind.NUMBER), ("context.site", Kind.TEXT),
    ("outputs.score", Kind.NUMBER), ("decision", Kind.TEXT), ("label", Kind.NUMBER),
])  # fmt: skip


def _lines(days: range, seed: int, event: str = "") -> Rows:
    """Production lines whose draw goes with staff and orders; from the second morning on those of one site are `idle`, or their `meter` says so."""
    rng = np.random.default_rng(seed)
    n = 1_200 * len(days)
    ts = np.sort(rng.integers(days.start * 24 * HOUR_US, days.stop * 24 * HOUR_US, n))
    site = rng.integers(0, 4, n)
    there = (ts >= (days.start * 24 + 30) * HOUR_US) & (site == SITES.index("fell"))
    staff, orders = rng.poisson(30, n).astype(float), rng.gamma(9, 12, n).round()
    draw = 4 + 0.5 * staff + 0.12 * orders + rng.normal(0, 1, n)
    low = np.where(there & (rng.random(n) < 0.7), draw * rng.uniform(0.1, 0.6, n), draw)
    seen = (low if event else draw).round(2)
    really = low if event == "idle" else draw
    score = (1.4 * seen + 3).round(3)
    columns: dict[str, Column] = {
        "inputs.staff": Numbers(staff), "inputs.orders": Numbers(orders), "inputs.draw": Numbers(seen),
        "context.site": Categories(site, SITES), "outputs.score": Numbers(score),
        "decision": Categories((score > 50).astype(np.int64), ("keep", "shed")),
        "label": Numbers((1.4 * really + 3 + rng.normal(0, 3, n)).round(1)),
    }  # fmt: skip
    return Rows(tuple(f"{seed}-{i}" for i in range(n)), ts, columns, n)


def _asked(event: str) -> Report:
    return diagnose_rows(_lines(range(12), 2), _lines(range(12, 15), 3, event), SCHEMA, app="lines")


@pytest.mark.parametrize("event", ["", "idle"])
def test_what_labels_bear_out_is_the_world(event: str) -> None:
    """Lines that stand still draw next to nothing, whoever is there, and were right to be foretold so."""
    report = _asked(event)
    assert report.verdict != "fault", report.sentence


def test_what_labels_refute_is_the_meter() -> None:
    first = _asked("meter").findings[0]
    assert (first.layer, first.component) == ("data", "inputs.draw")
    assert [(c.path, c.value) for c in first.where] == [("context.site", "fell")]
