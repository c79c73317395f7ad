"""The engine's rows: what a window's predictions look like as columns, whatever the files look like."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whimbrel.engine import Engine, Source, engine_named
from whimbrel.engine.port import Facts
from whimbrel.errors import InputError, StoreError, UsageError
from whimbrel.model.fields import Kind, Schema
from whimbrel.model.rows import Categories, Numbers
from whimbrel.model.window import Condition, Window, micros, where_dict

START = datetime(2026, 3, 1, tzinfo=UTC)
SCHEMA = Schema.from_pairs(
    [
        ("inputs.fare", Kind.NUMBER),
        ("inputs.carrier", Kind.TEXT),
        ("inputs.vip", Kind.BOOLEAN),
        ("inputs.booked", Kind.TIME),
        ("inputs.vector", Kind.NUMBERS),
        ("inputs.tags", Kind.TEXTS),
        ("steps.scale.value", Kind.NUMBER),
        ("steps.encode.carrier", Kind.NUMBER),
        ("outputs.score", Kind.NUMBER),
        ("decision", Kind.TEXT),
        ("decisions.route", Kind.TEXT),
        ("context.country", Kind.TEXT),
        ("label", Kind.NUMBER),
    ]
)


def moments(n: int, at: datetime = START) -> pa.Array:
    return pa.array([at + timedelta(minutes=i) for i in range(n)], pa.timestamp("us", "UTC"))


def old_file() -> pa.Table:
    """Four predictions from before `vip`, `encode` and `route` existed."""
    return pa.table(
        {
            "id": ["a0", "a1", "a2", "a3"],
            "ts": moments(4),
            "inputs": [
                {"fare": 1.0, "carrier": "UA"},
                {"fare": None, "carrier": "it's"},
                {"fare": float("nan"), "carrier": None},
                {"fare": float("inf"), "carrier": "x" * 3000},
            ],
            "steps": [{"scale": {"value": float(i)}} for i in range(4)],
            "context": [{"country": c} for c in ("US", "DE", None, "US")],
        }
    )


def new_file() -> pa.Table:
    """Two predictions with everything, fields in another order, one value rescued."""
    t = pa.timestamp("us", "UTC")
    inputs = pa.array(
        [
            {"vip": True, "carrier": "DL", "fare": 5.0, "booked": START, "vector": [3.0, 4.0], "tags": ["p", "q"]},
            {"vip": None, "carrier": "UA", "fare": None, "booked": None, "vector": [1.0, None], "tags": None},
        ],
        pa.struct(
            [("vip", pa.bool_()), ("carrier", pa.string()), ("fare", pa.float64()), ("booked", t),
             ("vector", pa.list_(pa.float64())), ("tags", pa.list_(pa.string()))]
        ),
    )  # fmt: skip
    return pa.table(
        {
            "id": ["b0", "b1"],
            "ts": moments(2, START + timedelta(hours=1)),
            "inputs": inputs,
            "steps": [
                {"encode": {"carrier": 2.0}, "scale": {"value": 9.0}},
                {"encode": {"carrier": None}, "scale": None},
            ],
            "outputs": [{"score": 0.5}, {"score": 0.25}],
            "decision": ["yes", "no"],
            "decisions": [{"route": "A"}, {"route": "B"}],
            "context": [{"country": "US"}, {"country": "FR"}],
            "label": pa.array([1.0, None]),
            "label_ts": pa.array([START, None], t),
            "rescued": pa.array([None, [("inputs.fare", "12 EUR")]], pa.map_(pa.string(), pa.string())),
        }
    )  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> Source:
    folder = tmp_path / "odd [name]*" / "day=2026-03-01"
    folder.mkdir(parents=True)
    paths = (folder / "old.parquet", folder / "new.parquet")
    for path, table in zip(paths, (old_file(), new_file()), strict=True):
        pq.write_table(table, path)
    return Source("shop", SCHEMA, tuple(map(str, paths)))


def numbers(rows: Any, path: str) -> list[float | None]:
    column = rows.columns[path]
    assert isinstance(column, Numbers)
    return [None if np.isnan(v) else float(v) for v in column.values]


def texts(rows: Any, path: str) -> list[str | None]:
    column = rows.columns[path]
    assert isinstance(column, Categories)
    return [None if c < 0 else column.vocabulary[c] for c in column.codes]


def test_a_field_that_some_files_lack_is_null_there(engine: Engine, files: Source) -> None:
    rows = engine.rows(files, Window("shop"))
    assert rows.ids == ("a0", "a1", "a2", "a3", "b0", "b1")
    assert rows.total == len(rows) == 6
    assert texts(rows, "inputs.vip") == [None, None, None, None, "true", None]
    assert numbers(rows, "steps.encode.carrier") == [None] * 4 + [2.0, None]
    assert numbers(rows, "steps.scale.value") == [0.0, 1.0, 2.0, 3.0, 9.0, None]
    assert texts(rows, "decisions.route") == [None] * 4 + ["A", "B"]


def test_every_kind_arrives_as_rows_say(engine: Engine, files: Source) -> None:
    rows = engine.rows(files, Window("shop"))
    assert numbers(rows, "inputs.fare") == [1.0, None, None, float("inf"), 5.0, None]
    assert texts(rows, "inputs.carrier") == ["UA", "it's", None, "x" * 2000, "DL", "UA"]
    assert numbers(rows, "inputs.booked")[4:] == [START.timestamp(), None]
    assert numbers(rows, "inputs.vector#length")[4:] == [2.0, 2.0]
    assert numbers(rows, "inputs.vector#mean")[4:] == [3.5, 1.0]
    assert numbers(rows, "inputs.vector#norm")[4:] == [5.0, 1.0]
    assert numbers(rows, "inputs.vector[1]")[4:] == [4.0, None]
    assert "inputs.vector[2]" not in rows.columns
    assert texts(rows, "inputs.tags[0]")[4:] == ["p", None]
    assert numbers(rows, "label") == [None] * 4 + [1.0, None]
    assert rows.label_ts is not None
    assert rows.label_ts.tolist() == [-1] * 4 + [int(START.timestamp() * 1e6), -1]
    assert rows.rescued["inputs.fare"].tolist() == [False] * 5 + [True]
    assert set(rows.rescued) == {"inputs.fare"}


def test_single_predictions_arrive_as_records(engine: Engine, files: Source) -> None:
    """Of every kind, in order of time, without nulls; a recorded nan is none, and paths that none holds are left out."""
    found = engine.records(files, Window("shop"), ids=["b1", "b0", "a2", "nobody"])
    a2, b0, b1 = found
    assert math.isnan(a2.pop("inputs.fare"))
    assert a2 == {"id": "a2", "ts": micros(START + timedelta(minutes=2)), "steps.scale.value": 2.0}
    assert b0["inputs.vip"] is True
    assert b0["inputs.booked"] == START
    assert (b0["inputs.vector"], b0["inputs.tags"], b0["inputs.carrier"]) == ([3.0, 4.0], ["p", "q"], "DL")
    assert (b0["label"], b0["label_ts"]) == (1.0, micros(START))
    assert b1["inputs.vector"] == [1.0, None]
    assert b1["rescued"] == {"inputs.fare": "12 EUR"}
    assert not {"inputs.vip", "steps.scale.value", "label"} & b1.keys()
    assert engine.records(files, Window("shop"), ids=["a0"]).paths == (
        "id", "ts", "inputs.fare", "inputs.carrier", "steps.scale.value", "context.country"
    )  # fmt: skip
    assert [*engine.records(files, Window("shop"), ids=[])] == []


def test_lists_of_several_lengths_are_null_behind_the_end_of_a_shorter_one(engine: Engine, held: Any) -> None:
    table = pa.table({"id": ["a", "b"], "ts": moments(2), "inputs": [{"v": [1.0]}, {"v": [1.0, 2.0]}]})
    rows = engine.rows(held(Schema.from_pairs([("inputs.v", Kind.NUMBERS)]), table), Window("shop"))
    assert set(rows.columns) == {
        "inputs.v#length", "inputs.v#mean", "inputs.v#norm", "inputs.v[0]", "inputs.v[1]"
    }  # fmt: skip
    assert (numbers(rows, "inputs.v[0]"), numbers(rows, "inputs.v[1]")) == ([1.0, 1.0], [None, 2.0])


def test_one_long_list_among_short_ones_has_no_elements(engine: Engine, held: Any) -> None:
    table = pa.table({"id": ["a", "b"], "ts": moments(2), "inputs": [{"v": [1.0]}, {"v": [1.0] * 17}]})
    source = held(Schema.from_pairs([("inputs.v", Kind.NUMBERS)]), table)
    assert set(engine.rows(source, Window("shop")).columns) == {
        "inputs.v#length", "inputs.v#mean", "inputs.v#norm"
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["pyarrow", "polars", "arro3"])
def test_a_table_in_memory_gives_the_same_rows_as_its_file_or_is_refused(
    engine: Engine, files: Source, kind: str
) -> None:
    from arro3.core import Table

    table: Any = new_file()
    if kind == "polars":
        table = pl.from_arrow(table.drop_columns(["rescued"]))
    if kind == "arro3":
        table = Table(table)
    held = Source("shop", SCHEMA, table=table)
    if not engine.capabilities.tables:
        with pytest.raises(UsageError, match="table in memory"):
            engine.rows(held, Window("shop"))
        return
    late = Window("shop", since=START + timedelta(minutes=30))
    for _ in range(2):
        assert engine.extent(held, late) == engine.extent(files, late)
        one, other = engine.rows(held, late), engine.rows(files, late)
        assert one.ids == other.ids
        assert numbers(one, "inputs.fare") == numbers(other, "inputs.fare")
        assert texts(one, "inputs.vip") == texts(other, "inputs.vip")


def test_a_time_without_zone_is_utc(engine: Engine, held: Any) -> None:
    naive = pa.table({"id": ["a", "b"], "ts": pa.array([START.replace(tzinfo=None)] * 2, pa.timestamp("us"))})
    source = held(Schema(), naive)
    us = int(START.timestamp() * 1e6)
    assert engine.extent(source, Window("shop", since=START, until=START + timedelta(seconds=1))) == (2, us, us)


def test_a_window_holds_its_start_and_not_its_end(engine: Engine, files: Source) -> None:
    window = Window("shop", START + timedelta(minutes=1), START + timedelta(minutes=3))
    assert engine.rows(files, window).ids == ("a1", "a2")
    us = int(START.timestamp() * 1e6)
    assert engine.extent(files, window) == (2, us + 60_000_000, us + 120_000_000)
    assert engine.extent(files, Window("shop", START - timedelta(days=9), START)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("country=US", ["a0", "a3", "b0"]),
        ("context.country!=US", ["a1", "a2", "b1"]),
        ("country=", ["a2"]),
        ("country|=US|FR", ["a0", "a3", "b0", "b1"]),
        ("country |= US | DE", ["a0", "a1", "a3", "b0"]),
        ("country|=|FR", ["a2", "b1"]),
        ("country|=FR", ["b1"]),
        ("country=US|FR", []),
        ("inputs.fare|=1|5.0", ["a0", "b0"]),
        ("country!=", ["a0", "a1", "a3", "b0", "b1"]),
        ("inputs.carrier=it's", ["a1"]),
        ("inputs.fare>1", ["a3", "b0"]),
        ("inputs.fare=", ["a1", "a2", "b1"]),
        ("inputs.fare=5.0", ["b0"]),
        ("inputs.vip=TRUE", ["b0"]),
        ("inputs.vip=", ["a0", "a1", "a2", "a3", "b1"]),
        ("inputs.booked<2026-03-02", ["b0"]),
        ("steps.scale.value>=2", ["a2", "a3", "b0"]),
        ("decision=no", ["b1"]),
        ("label=1", ["b0"]),
        ("id=a2", ["a2"]),
        ("app=shop", ["a0", "a1", "a2", "a3", "b0", "b1"]),
        ("app!=shop", []),
    ],
)
def test_a_condition_is_compared_in_its_fields_kind(engine: Engine, files: Source, text: str, ids: list[str]) -> None:
    window = Window("shop", where=(Condition.parse(text),))
    assert list(engine.rows(files, window, paths=["inputs.fare"]).ids) == ids
    assert engine.extent(files, window)[0] == len(ids)


def test_a_value_in_a_condition_is_never_read_as_sql(engine: Engine, files: Source) -> None:
    one = Condition("context.country", "US' OR '1'='1")
    for condition in (one, Condition.any_of(one.path, [one.value, "') OR ('1'='1"])):
        assert engine.extent(files, Window("shop", where=(condition,)))[0] == 0


@given(st.lists(st.text(st.sampled_from("a|\\=\n "), max_size=4), min_size=1, unique=True))
def test_several_values_are_read_as_they_were_written_whatever_they_hold(values: list[str]) -> None:
    written = Condition.any_of("context.route", values)
    assert written.values == tuple(values)
    assert Condition.any_of(written.path, written.values) == written
    stripped = tuple(dict.fromkeys(one.strip() for one in values))
    assert Condition.parse(str(written)).values == stripped
    assert (written.op == "=") == (len(values) == 1)


def test_several_values_of_a_field_are_one_condition() -> None:
    assert Condition.parse(r"route|=a\|b|c:\d").values == ("a|b", r"c:\d")
    assert Condition.parse("route=a|b") == Condition("context.route", "a|b")  # a bar in a single value is a bar
    assert where_dict([Condition.parse("hardware.host|=h1|h2")]) == {"hardware.host": "|=h1|h2"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("contry=US", "context.country"),
        ("inputs.farre=3", "inputs.fare"),
        ("outputs.fare=3", "inputs.fare"),
        ("inputs.fare=cheap", "number"),
        ("inputs.fare|=1|cheap", "number"),
        ("inputs.vip=perhaps", "boolean"),
        ("inputs.vector=3", "list"),
    ],
)
def test_a_senseless_condition_names_what_would_make_sense(engine: Engine, files: Source, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        engine.extent(files, Window("shop", where=(Condition.parse(text),)))


def test_an_unknown_path_or_an_empty_sample_is_refused(engine: Engine, files: Source) -> None:
    with pytest.raises(UsageError, match=r"inputs\.fare"):
        engine.rows(files, Window("shop"), paths=["inputs.fair"])
    with pytest.raises(UsageError, match="limit"):
        engine.rows(files, Window("shop"), limit=0)


def test_late_labels_and_decisions_win(engine: Engine, files: Source, tmp_path: Path) -> None:
    day = timedelta(days=1)
    labels = pa.table(
        {
            "id": ["a0", "b0", "b0", "zz"],
            "label": [0.0, 3.0, 2.0, 9.0],
            "label_ts": pa.array([START + day, START + 3 * day, START + 2 * day, START], pa.timestamp("us", "UTC")),
        }
    )
    decisions = pa.table({"id": ["a1", "b1"], "path": ["decision", "decisions.route"], "value": ["maybe", "C"]})
    pq.write_table(labels, tmp_path / "labels.parquet")
    pq.write_table(decisions, tmp_path / "decisions.parquet")
    late = Source(
        "shop", SCHEMA, files.files, (str(tmp_path / "labels.parquet"),), (str(tmp_path / "decisions.parquet"),)
    )
    rows = engine.rows(late, Window("shop"))
    assert numbers(rows, "label") == [0.0, None, None, None, 3.0, None]
    assert rows.label_ts is not None
    assert rows.label_ts[4] == int((START + 3 * day).timestamp() * 1e6)
    assert texts(rows, "decision") == [None, "maybe", None, None, "yes", "no"]
    assert texts(rows, "decisions.route") == [None, None, None, None, "A", "C"]
    assert engine.rows(late, Window("shop", where=(Condition("label", "3"),))).ids == ("b0",)
    assert "label" not in engine.rows(late, Window("shop"), paths=["decision"]).columns


def test_a_sample_is_the_same_each_time_and_keeps_the_total(engine: Engine, tmp_path: Path) -> None:
    n = 5000
    table = pa.table({"id": [f"p{i}" for i in range(n)], "ts": moments(n), "outputs": [{"score": 1.0}] * n})
    pq.write_table(table, tmp_path / "p.parquet", row_group_size=500)
    source = Source("shop", Schema.from_pairs([("outputs.score", Kind.NUMBER)]), (str(tmp_path / "p.parquet"),))
    few = engine.rows(source, Window("shop"), limit=500)
    assert few.total == n
    assert 400 < len(few) < 600
    assert few.ids == engine_named().rows(source, Window("shop"), limit=500).ids
    assert set(few.ids) < set(engine.rows(source, Window("shop"), limit=2000).ids)
    assert list(few.ts) == sorted(few.ts)


def test_nothing_at_all_is_no_rows(engine: Engine) -> None:
    rows = engine.rows(Source("shop", SCHEMA), Window("shop"))
    assert len(rows) == rows.total == 0
    assert numbers(rows, "inputs.fare") == []
    assert texts(rows, "inputs.carrier") == []


def test_damaged_missing_and_foreign_files_are_explained(engine: Engine, tmp_path: Path) -> None:
    bad, foreign = tmp_path / "bad.parquet", tmp_path / "foreign.parquet"
    bad.write_bytes(b"PAR1 and then nothing")
    pq.write_table(pa.table({"x": [1]}), foreign)
    for path in (bad, tmp_path / "gone.parquet"):
        with pytest.raises(StoreError, match="cannot be read") as caught:
            engine.extent(Source("shop", SCHEMA, (str(path),)), Window("shop"))
        assert caught.value.next
    with pytest.raises(InputError, match="no column 'id'"):
        engine.extent(Source("shop", SCHEMA, (str(foreign),)), Window("shop"))


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(UsageError, match="abacus"):
        engine_named("abacus")


def test_neither_pandas_nor_pyarrow_nor_polars_is_needed(files: Source, tmp_path: Path) -> None:
    """A process in which none of them can be imported reads the same rows."""
    script = f"""
import sys
for name in ("pandas", "pyarrow", "polars", "pytz"):
    sys.modules[name] = None
from whimbrel.engine import Source, engine_named
from whimbrel.model.fields import Kind, Schema
from whimbrel.model.window import Window
schema = Schema.from_pairs({[(f.path, f.kind.value) for f in SCHEMA]!r})
schema = Schema.from_pairs((f.path, Kind(f.kind)) for f in schema)
print(engine_named().rows(Source("shop", schema, {files.files!r}), Window("shop")).ids)
"""
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "('a0', 'a1', 'a2', 'a3', 'b0', 'b1')"


def test_files_of_days_outside_the_window_are_not_opened(engine: Engine, tmp_path: Path) -> None:
    old, new = tmp_path / "day=2026-02-27" / "a.parquet", tmp_path / "day=2026-03-01" / "b.parquet"
    for path in (old, new):
        path.parent.mkdir()
    pq.write_table(old_file(), new)
    old.write_bytes(b"not to be read")
    source = Source("shop", SCHEMA, (str(old), str(new)))
    for window in (Window("shop", START), Window("shop", START - timedelta(days=1), START + timedelta(days=1))):
        assert engine.extent(source, window)[0] == 4
    assert engine.extent(source, Window("shop", START + timedelta(days=1)))[0] == 0
    with pytest.raises(StoreError, match="cannot be read"):
        engine.extent(source, Window("shop"))


def test_the_newest_prediction_is_looked_for_where_it_may_be() -> None:
    """A last time may have been cut to whole milliseconds; and where one file's is not known, any may hold it."""
    known = {
        "old": Facts(times=(0, 5_000_000)),
        "near": Facts(times=(0, 8_999_000)),
        "last": Facts(times=(7_000_000, 9_000_000)),
    }
    source = Source("shop", SCHEMA, tuple(known), facts=known)
    assert source.latest().files == ("near", "last")
    assert replace(source, facts={**known, "old": Facts()}).latest().files == source.files
    assert Source("shop", SCHEMA).latest().files == ()
