"""`--memory`: sizes that make sense, and what is held to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import Program
from tests.compare.world import shop
from whimbrel.engine import engine_named
from whimbrel.engine.duckdb import DuckDB
from whimbrel.errors import UsageError
from whimbrel.model.window import Window
from whimbrel.settings import memory
from whimbrel.store import open_log, source_of
from whimbrel.store.sql import connect, one


@pytest.mark.parametrize(
    ("text", "size"), [("2GB", 2 * 10**9), ("512 MiB", 512 << 20), ("1.5gb", 1_500_000_000), ("", None)]
)
def test_sizes_as_people_write_them(text: str, size: int | None) -> None:
    assert memory({"WHIMBREL_MEMORY": text}) == size


@pytest.mark.parametrize("text", ["2", "much", "-2GB", "10MB", "2GB or so"])
def test_what_is_no_memory_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no memory"):
        memory({"WHIMBREL_MEMORY": text})
    assert Program(tmp_path)("--memory", text, "status").code == 2


def test_imports_and_questions_hold_less_where_they_are_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHIMBREL_MEMORY", "256MB")
    with connect(tmp_path) as con:
        (limit,) = one(con, "SELECT current_setting('memory_limit')")
    assert limit == "122.0 MiB"
    frame = shop(4, per_day=1_000)
    source, _ = source_of(frame)
    assert len(engine_named().rows(source, Window("table"), limit=4_000).ids) == len(frame)  # a few fields fit
    narrow = DuckDB(hold=64 * len(tuple(source.schema)) * 1_500)
    assert 1_000 < len(narrow.rows(source, Window("table"), limit=4_000).ids) < 2_000  # as of many fields


def test_vectors_and_long_texts_stay_within_what_may_be_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One row group of somebody's file is half of what may be held, and the log's are smaller."""
    rows, width = 12_000, 768
    rng = np.random.default_rng(0)
    flat = pa.array(rng.random(rows * width, dtype=np.float32))
    table = pa.table({
        "id": [f"p{i}" for i in range(rows)],
        "ts": pa.array(np.datetime64("2026-03-01", "us") + np.arange(rows) * 7_000_000, pa.timestamp("us", "UTC")),
        "inputs.text": [f"{i} " + "the parcel is late " * 40 for i in range(rows)],
        "steps.embed.vector": pa.ListArray.from_arrays(np.arange(0, rows * width + 1, width, dtype=np.int32), flat),
        "outputs.score": rng.random(rows),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "flat.parquet", row_group_size=rows)
    monkeypatch.setenv("WHIMBREL_MEMORY", "512MB")
    log = open_log(tmp_path / "home")
    log.import_files([str(tmp_path / "flat.parquet")], app="mail")
    source = log.source("mail")
    groups = [pq.ParquetFile(file).metadata.row_group(0).num_rows for file in source.files]
    assert max(groups) < rows
    engine, window = engine_named(), Window("mail")
    columns = engine.binning(source, window).index.keys()
    assert {"inputs.text#length", "steps.embed.vector#norm"} <= columns
    assert engine.profile(source, window, engine.binning(source, window)).days.counts[:, 0].sum() == rows
    assert not engine.rows(source, window).columns["steps.embed.vector#norm"].missing.any()
