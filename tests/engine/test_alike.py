"""Whatever is asked, an engine answers what DuckDB answers: rows to the last column, records, extents, bins, with all that came late."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.engine.test_profile import ALL, SCHEMA, START, N, table
from whimbrel.engine import Engine, Source, engine_named
from whimbrel.engine.port import Counters
from whimbrel.model.fields import Kind, Schema
from whimbrel.model.rows import Categories, Numbers, Rows
from whimbrel.model.window import Condition, Window

LOOKS = Schema.from_pairs([("hardware.host", Kind.TEXT), ("hardware.load", Kind.NUMBER), ("decision", Kind.TEXT)])
CONDITIONS = [
    (), (Condition("context.country", "US"),), (Condition("inputs.fare", "20", ">"), Condition("inputs.vip", "true", "!=")),
    (Condition("inputs.carrier", "it's"),), (Condition("label", "1"),), (Condition("context.device", "nothing"),),
    (Condition("decision", "late"),), (Condition("context.country", "US|DE", "|="),),
]  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Five files of several shapes, labels and decisions that came late, and counters of two hosts."""
    folder = tmp_path_factory.mktemp("alike")
    rows = table()
    hosts = pa.array([{"host": f"h{i % 3}"} for i in range(N)])
    files = []
    for i in range(5):
        part = rows.append_column("hardware", hosts).slice(i * N // 5, N // 5)
        part = part.drop_columns(["rescued"]) if i == 1 else part
        part = part.drop_columns(["steps", "label"]) if i == 2 else part
        if i == 3:  # a fare that was a whole number once
            fares = [None if row["fare"] is None or not np.isfinite(row["fare"]) else int(row["fare"]) for row in part["inputs"].to_pylist()]  # fmt: skip
            inputs = pa.StructArray.from_arrays([pa.array(fares, pa.int64())], ["fare"])
            part = part.set_column(part.schema.get_field_index("inputs"), "inputs", inputs)
        files.append(str(folder / f"{i}.parquet"))
        pq.write_table(part, files[-1], row_group_size=97)
    ids, ts = rows["id"].to_pylist(), rows["ts"]
    late = {
        "labels0": {"id": ids[::2], "label": [1.0] * len(ids[::2])},
        "labels1": {"id": ids[::6], "label": [0.5] * len(ids[::6]), "label_ts": ts.take(list(range(0, N, 6)))},
        "decisions": {"id": ids[5::7], "path": ["decision"] * len(ids[5::7]), "value": ["late"] * len(ids[5::7])},
    }
    for name, columns in late.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    looks = {
        "ts": pa.array([START + timedelta(minutes=m) for m in range(0, 7_200, 2)], pa.timestamp("us", "UTC")),
        "subject": ["host"] * 3_600, "process": [None] * 3_600, "host": [f"h{i % 2}" for i in range(3_600)],
        "load": [float(i % 17) for i in range(3_600)],
    }  # fmt: skip
    pq.write_table(pa.table(looks), folder / "looks.parquet")
    counters = Counters((str(folder / "looks.parquet"),), {"hardware.load": "host"}, {"host": "hardware.host"})
    return Source(
        "shop", SCHEMA + LOOKS, tuple(files), (str(folder / "labels0.parquet"), str(folder / "labels1.parquet")),
        (str(folder / "decisions.parquet"),), counters,
    )  # fmt: skip


def questions(n: int) -> list[Window]:
    """Stretches of time of all lengths, with and without conditions."""
    dice = random.Random(11)
    asked = [replace(ALL, where=where) for where in CONDITIONS]
    for _ in range(n):
        since = START + timedelta(minutes=dice.randrange(-600, 7_000))
        until = since + timedelta(minutes=dice.choice([1, 30, 600, 6_000]))
        asked.append(Window("shop", since, until, dice.choice(CONDITIONS)))
    return asked


def same_rows(one: Rows, other: Rows) -> None:
    assert (one.ids, one.total, list(one.columns)) == (other.ids, other.total, list(other.columns))
    np.testing.assert_array_equal(one.ts, other.ts)
    for path, column in other.columns.items():
        mine = one.columns[path]
        if isinstance(column, Numbers):
            assert isinstance(mine, Numbers)
            np.testing.assert_array_equal(mine.values, column.values, err_msg=path)
        else:
            assert isinstance(mine, Categories)
            assert mine.vocabulary == column.vocabulary
            np.testing.assert_array_equal(mine.codes, column.codes, err_msg=path)
    assert (one.label_ts is None) == (other.label_ts is None)
    if one.label_ts is not None and other.label_ts is not None:
        np.testing.assert_array_equal(one.label_ts, other.label_ts)
    assert set(one.rescued) == set(other.rescued)
    for path, flags in other.rescued.items():
        np.testing.assert_array_equal(one.rescued[path], flags)


def test_the_same_rows_and_extents_whatever_is_asked(engine: Engine, source: Source) -> None:
    duckdb, dice = engine_named(), random.Random(3)
    for window in questions(7):
        assert engine.extent(source, window) == duckdb.extent(source, window)
        paths = dice.choice([None, ["decision", "inputs.fare"], ["hardware.load", "label", "inputs.vector"]])
        limit = dice.choice([60_000, 300])
        asked = duckdb.rows(source, window, paths=paths, limit=limit)
        same_rows(engine.rows(source, window, paths=paths, limit=limit), asked)


def test_a_sample_of_a_sample_knows_how_many_there_are(engine: Engine, source: Source) -> None:
    found = engine.rows(source, ALL, limit=300, total=10 * N)
    same_rows(found, engine_named().rows(source, ALL, limit=300, total=10 * N))
    assert found.total == 10 * N
    assert 10 < len(found) < 60


def test_the_same_records_with_whole_numbers_and_floats(engine: Engine, source: Source) -> None:
    ids = [f"p0-{i}" for i in range(0, N, 211)]
    found, asked = engine.records(source, ALL, ids=ids), engine_named().records(source, ALL, ids=ids)
    assert found.paths == asked.paths
    assert [repr(row) for row in found] == [repr(row) for row in asked]


def test_the_same_bins_and_profiles_with_all_that_came_late(engine: Engine, source: Source) -> None:
    duckdb = engine_named()
    for window in (ALL, Window("shop", START, START + timedelta(days=2), CONDITIONS[1])):
        binning = engine.binning(source, window)
        assert binning == duckdb.binning(source, window)
        found, asked = engine.profile(source, ALL, binning), duckdb.profile(source, ALL, binning)
        assert replace(found, moments=()) == replace(asked, moments=())
        for mine, other in zip(found.moments, asked.moments, strict=True):
            assert (mine.n, mine.low, mine.high) == (other.n, other.low, other.high)
            assert (mine.mean, mine.m2) == pytest.approx((other.mean, other.m2))
