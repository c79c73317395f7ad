"""A sheet whose columns changed places: one bears what another had. New makers, finer kinds and one customer's own sheet are the world's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

N, DAYS, ONSET = 7_000, 10, 8.6
MAKERS = ("arlo", "brandt", "corvi", "dunmore", "ekholm", "fabro")
WOODS = ("oak", "beech", "pine", "walnut", "maple", "birch", "ash")
KINDS = {"seat": ("stool", "bench", "armchair", "rocker", "pouf"), "table": ("desk", "console", "bistro table")}


def _offers(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Furniture from dealers by sheet and by form; from some hour on something becomes of what came by sheet."""
    rng = np.random.default_rng(9)
    days = np.sort(rng.random(N)) * DAYS
    way, dealer = rng.choice(["sheet", "form"], N, p=[0.3, 0.7]), rng.integers(0, 150, N)
    maker = rng.choice(MAKERS, N).astype(object)
    wood, width = rng.choice(WOODS, N), rng.integers(4, 24, N) * 10
    kind = rng.choice(list(KINDS), N).astype(object)
    name = np.array([str(rng.choice(KINDS[one])) for one in kind], dtype=object)
    hit = (days >= ONSET) & (way == "sheet")
    if event == "one dealer":
        dealer[(way == "sheet") & (rng.random(N) < 0.4)] = 151
        hit &= dealer == 151
    bears = hit & (rng.random(N) < 0.7) & (event in ("columns", "one dealer"))
    maker, wood = np.where(bears, wood, maker), np.where(bears, maker, wood)
    if event == "makers":
        maker = np.where(hit, rng.choice(["gerlo", "hultin", "ivers", "jarl", "kolm"], N), maker)
    if event == "finer":
        kind = np.where(hit, name, kind)
    noise = rng.normal(0, 0.05, N)
    score = 1 / (1 + np.exp(-(0.02 * width - 3 + 0.5 * np.isin(maker, MAKERS[:3]) + noise)))
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-01-05", tz="UTC") + pd.to_timedelta(days, unit="D"),
        "context.way": way, "inputs.dealer": [f"d{one:03}" for one in dealer], "inputs.maker": maker, "inputs.kind": kind,
        "inputs.article": name, "inputs.features": [f"wood: {a}; width: {b} cm" for a, b in zip(wood, width, strict=True)],
        "outputs.score": score.round(4), "decision": np.where(score > 0.5, "list", "ask"),
    })  # fmt: skip
    return table[days < 8], table[days >= 8]


@pytest.mark.parametrize("event", ["columns", "", "makers", "finer", "one dealer"])
def test_what_another_column_had_is_the_sheets_fault(event: str) -> None:
    report = whimbrel.diagnose(*_offers(event))
    assert (report.verdict == "fault") == (event == "columns"), report.sentence
    if event == "columns":
        first = report.findings[0]
        assert (first.layer, first.component) == ("data", "inputs.maker"), report.sentence
        assert [str(c) for c in first.where] == ["context.way=sheet"], report.sentence
        assert "`inputs.features`" in first.what
