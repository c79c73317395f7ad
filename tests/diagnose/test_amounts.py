"""Labels that are amounts: a meter that reads a part of what flows, and customers who need less."""

from __future__ import annotations

import numpy as np
import pytest

from whimbrel.diagnose import diagnose_rows
from whimbrel.model.fields import Kind, Schema
from whimbrel.model.rows import Categories, Column, Numbers, Rows

HOUR_US = 3_600_000_000
SCHEMA = Schema.from_pairs([
    ("context.kind", Kind.TEXT), ("context.region", Kind.TEXT), ("inputs.heat", Kind.NUMBER), ("inputs.size", Kind.NUMBER),
    ("outputs.load", Kind.NUMBER), ("decision", Kind.TEXT), ("label", Kind.NUMBER),
])  # fmt: skip


def _metered(days: range, seed: int, world: str = "") -> Rows:
    """Loads foretold to a tenth; from the window's tenth hour on `world` happens to the industry of the east."""
    rng = np.random.default_rng(seed)
    n = 1_500 * len(days)
    ts = np.sort(rng.integers(days.start * 24 * HOUR_US, days.stop * 24 * HOUR_US, n))
    kind, region = rng.integers(0, 3, n), rng.integers(0, 4, n)
    heat, size = rng.normal(10, 6, n).round(1), np.exp(rng.normal(2, 0.5, n)).round(2)
    load = size * np.exp(0.02 * heat + 0.3 * kind)
    flows = load * np.exp(rng.normal(0, 0.1, n))
    there = (kind == 2) & (region == 1) & (ts >= (days.start * 24 + 10) * HOUR_US)
    factor = {"ratio": 0.4, "short time": rng.uniform(0.2, 0.9, n), "thrift": 0.9}.get(world, 1.0)
    flows = np.where(there, flows * factor, flows)
    columns: dict[str, Column] = {
        "context.kind": Categories(kind, ("home", "office", "industry")), "context.region": Categories(region, ("north", "east", "south", "west")),
        "inputs.heat": Numbers(heat), "inputs.size": Numbers(size), "outputs.load": Numbers(load.round(3)),
        "decision": Categories((load > 12).astype(np.int64), ("none", "buy")), "label": Numbers(flows.round(3)),
    }  # fmt: skip
    return Rows(tuple(f"{seed}-{i}" for i in range(n)), ts, columns, n)


@pytest.mark.parametrize(("world", "broken"), [("ratio", True), ("short time", False), ("thrift", False), ("", False)])
def test_a_meter_reads_the_same_part_of_everything(world: str, broken: bool) -> None:
    """A wrong ratio is the same for all; who works short time, or saves a tenth, is the world."""
    report = diagnose_rows(_metered(range(10), 2), _metered(range(10, 12), 3, world), SCHEMA, app="grid")
    assert (report.verdict == "fault") is broken, report.sentence
    if broken:
        first = report.findings[0]
        assert (first.layer, {c.path: c.value for c in first.where}) == (
            "labels", {"context.kind": "industry", "context.region": "east"},
        )  # fmt: skip
        assert "one and the same part" in first.what


def _orders(days: range, seed: int, pack: str) -> Rows:
    """What is ordered of three makers' goods, in packs: no score knows how many are in one; from the window's tenth hour on a maker's `pack` is another."""
    rng = np.random.default_rng(seed)
    n = 900 * len(days)
    ts = np.sort(rng.integers(days.start * 24 * HOUR_US, days.stop * 24 * HOUR_US, n))
    maker, need = rng.integers(0, 3, n), rng.gamma(6, 20, n).round()
    packs = ("6", "12", "24")
    codes = rng.integers(0, 3, n)
    late = (maker == 1) & (ts >= (days.start * 24 + 10) * HOUR_US)
    codes = np.where(late & (codes == 2), packs.index(pack), codes)
    ordered = np.ceil(need / np.array([float(one) for one in packs])[codes])
    columns: dict[str, Column] = {
        "context.maker": Categories(maker, ("ida", "jon", "kay")), "inputs.need": Numbers(need),
        "inputs.pack": Categories(codes, packs), "outputs.score": Numbers(need * 1.02), "decision": Numbers(ordered),
    }  # fmt: skip
    return Rows(tuple(f"{seed}-{i}" for i in range(n)), ts, columns, n)


@pytest.mark.parametrize(("pack", "harms"), [("6", True), ("24", False)])
def test_an_order_that_is_another_amount_is_harm_though_something_is_ordered_still(pack: str, harms: bool) -> None:
    schema = Schema.from_pairs([
        ("context.maker", Kind.TEXT), ("inputs.need", Kind.NUMBER), ("inputs.pack", Kind.TEXT), ("outputs.score", Kind.NUMBER),
        ("decision", Kind.NUMBER),
    ])  # fmt: skip
    report = diagnose_rows(_orders(range(9), 1, "24"), _orders(range(9, 11), 2, pack), schema, app="orders")
    assert [f.component for f in report.findings if f.harmful] == (["inputs.pack"] if harms else []), report.sentence
    assert not harms or report.findings[0].harm["decision_moved_sd"] > 0.05
