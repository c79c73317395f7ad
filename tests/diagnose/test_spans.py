"""How long a part of a request takes goes by what was asked for: pages to read take their time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from whimbrel.diagnose import surroundings
from whimbrel.diagnose.case import HOUR_US, Case, build
from whimbrel.model.fields import Kind, Schema
from whimbrel.model.rows import Categories, Column, Numbers, Rows

ROWS, GOLDEN = 6_000, 4_800


def _case(slower: float, pages: float) -> Case:
    """Letters, of which scans alone are read, page by page; the last fifth has more pages or a slower reader."""
    rng = np.random.default_rng(3)
    late = np.arange(ROWS) >= GOLDEN
    sheets = np.clip(1 + rng.poisson(np.where(late, pages, 1.5), ROWS), 1, 8).astype(float)
    scan = rng.random(ROWS) < 0.4
    took = (180 + 260 * sheets * scan) * np.exp(rng.normal(0, 0.1, ROWS)) * np.where(late & scan, slower, 1.0)
    columns: dict[str, Column] = {
        "inputs.channel": Categories(scan.astype(np.int64), ("mail", "scanner")),
        "inputs.pages": Numbers(sheets), "spans.read": Numbers(took),
    }  # fmt: skip
    rows = Rows(tuple(map(str, range(ROWS))), np.arange(ROWS) * (HOUR_US // 20), columns, ROWS)
    schema = Schema.from_pairs(
        [("inputs.channel", Kind.TEXT), ("inputs.pages", Kind.NUMBER), ("spans.read", Kind.NUMBER)]
    )
    return build(rows.take(~late), rows.take(late), schema)


@pytest.mark.parametrize("signature", ["slower", "tail"])
@pytest.mark.parametrize(("slower", "pages", "asked"), [(1.0, 3.5, True), (1.6, 1.5, False), (1.6, 2.0, False)])
def test_more_pages_take_longer(slower: float, pages: float, asked: bool, signature: str) -> None:
    """A slower reader does, too; where there are a few more pages as well it is still the reader."""
    case = _case(slower, pages)
    channel = next(c for c in surroundings._span(case, case.variables["spans.read"], None) if c.signature == signature)
    scan = case.variables["inputs.channel"].codes == 1
    before, after = (float(channel.values[scan & rows].mean()) for rows in (case.golden, case.window))
    suspect = SimpleNamespace(
        component="spans.read", hit=SimpleNamespace(channel=channel), inside=scan, affected=scan & case.window,
        before=before, after=after, shift=after - before,
    )  # fmt: skip
    assert surroundings.asked_for(case, cast("Any", suspect)) is asked
