"""Tables of many hundred columns: what is compared, what is related, in bounded memory, and what the report says of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from whimbrel.compare import compare
from whimbrel.diagnose.case import Case, build
from whimbrel.diagnose.choice import chosen
from whimbrel.engine import engine_named
from whimbrel.engine.duckdb import passes
from whimbrel.model.fields import Role
from whimbrel.model.window import Window
from whimbrel.store import source_of

HOURS = 96


def wide(columns: int, rows: int, *, since: int, seed: int) -> pd.DataFrame:
    """`rows` predictions from hour `since` on; what comes out follows from three of `columns` inputs."""
    draw = np.random.default_rng(seed)
    inputs = {f"inputs.f{i}": draw.normal(i, 1 + i % 3, rows) for i in range(columns)}
    margin = 3 * inputs["inputs.f5"] - inputs[f"inputs.f{columns - 3}"] - inputs["inputs.f40"]
    score = 1 / (1 + np.exp(-margin / 20))
    country = draw.choice(["US", "DE", "FR"], rows)
    ts = pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(np.sort(draw.uniform(since, since + HOURS, rows)), "h")
    named = {"id": [f"{seed}-{i}" for i in range(rows)], "ts": ts, "context.country": country}
    return pd.DataFrame(named | inputs | {"outputs.score": score})


GOLDEN = wide(100, 1_200, since=0, seed=1)


def case_of(window: pd.DataFrame) -> Case:
    """The case that a diagnosis of a window of this table would judge."""
    before, _ = source_of(GOLDEN)
    after, _ = source_of(window, schema=before.schema)
    engine = engine_named()
    return build(engine.rows(before, Window("table")), engine.rows(after, Window("table")), before.schema)


def test_fields_that_tell_of_the_outcome_or_moved_are_chosen_and_the_rest_is_counted_and_named() -> None:
    window = wide(100, 500, since=HOURS, seed=2)
    window["inputs.f11"] *= 3.0
    window.loc[window.index[100:], "inputs.f81"] = np.nan
    case = case_of(window)
    some = chosen(case, 20)
    names = {variable.name for variable in some.of(Role.INPUT, Role.OUTPUT)}
    assert len(names) == 20
    assert {"outputs.score", "inputs.f5", "inputs.f40", "inputs.f97", "inputs.f11", "inputs.f81"} <= names
    (note,) = case.notes
    assert "among 20 of 101" in note
    assert "81 were judged each on its own: inputs.f" in note
    assert [variable.name for variable in some.of(Role.CONTEXT)] == ["context.country"]  # is no field to relate


def test_of_few_fields_all_are_related_and_nothing_is_said() -> None:
    case = case_of(wide(100, 500, since=HOURS, seed=2))
    assert chosen(case, 101) is case
    assert not case.notes


def test_a_profile_in_several_passes_is_that_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    source, _ = source_of(GOLDEN)
    engine, window = engine_named(), Window("table")
    binning = engine.binning(source, window)
    whole = engine.profile(source, window, binning)
    monkeypatch.setattr(passes, "MOST_COLUMNS", 13)
    assert len(passes.parted(binning)) == 8
    assert engine.profile(source, window, binning) == whole


def test_what_moved_among_many_columns_is_found_over_several_passes() -> None:
    window = wide(100, 500, since=HOURS, seed=4)
    window["inputs.f97"] += 5.0
    assert [moved.path for moved in compare(GOLDEN, window).moved][:1] == ["inputs.f97"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak from /proc")
def test_memory_grows_with_the_columns_and_not_with_their_square() -> None:
    """DuckDB holds all columns once for each aggregate that has a FILTER: 250 columns took 880 MB so, and 2,000 all there was."""
    code = """
from pathlib import Path
from tests.diagnose.test_wide import wide
from whimbrel.engine import engine_named
from whimbrel.engine.duckdb.learned import ranges
from whimbrel.model.window import Window
from whimbrel.store import source_of
source, _ = source_of(wide(250, 1_000, since=0, seed=1))
def peak():
    return next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
with engine_named().asking(source, Window("table")) as view:
    before = peak()
    print(len(ranges(view, [f"inputs.f{i}" for i in range(250)])), (peak() - before) // 1024)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    columns, grown_mib = map(int, told.stdout.split())
    assert columns == 250
    assert grown_mib < 300
