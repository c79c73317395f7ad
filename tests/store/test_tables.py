"""Tables in memory: pandas, Polars and Arrow, with the types that people really have in them, with and without a log."""

from __future__ import annotations

import math
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from whimbrel.errors import InputError, UsageError
from whimbrel.model.fields import Kind, Schema
from whimbrel.store import Log, source_of

from .readback import rows_of, values_of

TS = pd.date_range("2026-03-01", periods=4, freq="h")


def kinds(source: object) -> dict[str, Kind]:
    return {f.path: f.kind for f in source.schema}  # type: ignore[attr-defined]


def test_every_pandas_type_has_its_kind() -> None:
    frame = pd.DataFrame({
        "id": ["a", "b", "c", "d"],
        "ts": TS.tz_localize("Asia/Tokyo"),
        "inputs.int": [1, 2, 3, 4],
        "inputs.small": np.arange(4, dtype="int8"),
        "inputs.nan": [1.0, math.nan, math.inf, -math.inf],
        "inputs.half": np.arange(4, dtype="float16"),
        "inputs.nullable": pd.array([1, None, 3, 4], dtype="Int64"),
        "inputs.flag": pd.array([True, None, False, True], dtype="boolean"),
        "inputs.bool": [True, False, True, False],
        "inputs.text": ["x", None, "y", "é"],
        "inputs.cat": pd.Categorical(["a", "b", None, "a"]),
        "inputs.codes": pd.Categorical([3, 1, 3, None]),
        "inputs.when": TS,
        "inputs.aware": TS.tz_localize("UTC"),
        "inputs.dates": pd.Series([date(2026, 1, 1)] * 4, dtype=object),
        "inputs.gap": pd.to_timedelta([1, 2, 3, 4], unit="s"),
        "inputs.month": pd.period_range("2026-01", periods=4, freq="M"),
        "inputs.list": pd.Series([[1, 2], np.array([3.5]), None, []], dtype=object),
        "inputs.words": pd.Series([["a"], [], None, ["b", "c"]], dtype=object),
        "inputs.mixed": pd.Series([1, "one", 2.5, "two"], dtype=object),
        "inputs.money": pd.Series([Decimal("1.5")] * 4, dtype=object),
        "inputs.dict": pd.Series([{"a": 1, "b": {"c": "x"}}, {"a": 2}, None, {}], dtype=object),
        "inputs.none": [None] * 4,
        "inputs.big": [2**60, 2**60 + 1, 2**61, 2**62],
    })  # fmt: skip
    source, added = source_of(frame)
    assert kinds(source) == {
        "inputs.int": Kind.NUMBER, "inputs.small": Kind.NUMBER, "inputs.nan": Kind.NUMBER, "inputs.half": Kind.NUMBER,
        "inputs.nullable": Kind.NUMBER, "inputs.flag": Kind.BOOLEAN, "inputs.bool": Kind.BOOLEAN, "inputs.text": Kind.TEXT,
        "inputs.cat": Kind.TEXT, "inputs.codes": Kind.NUMBER, "inputs.when": Kind.TIME, "inputs.aware": Kind.TIME,
        "inputs.dates": Kind.TIME, "inputs.gap": Kind.TEXT, "inputs.month": Kind.TEXT, "inputs.list": Kind.NUMBERS,
        "inputs.words": Kind.TEXTS, "inputs.mixed": Kind.TEXT, "inputs.money": Kind.NUMBER, "inputs.dict.a": Kind.NUMBER,
        "inputs.dict.b.c": Kind.TEXT, "inputs.big": Kind.TEXT,
    }  # fmt: skip
    assert (added.rows, dict(added.rescued)) == (4, {"inputs.mixed": 2})
    assert values_of(source, "inputs.nan") == {"a": 1.0, "b": None, "c": math.inf, "d": -math.inf}
    assert values_of(source, "inputs.big")["b"] == str(2**60 + 1)
    assert rows_of(source).ts[0] == int(datetime(2026, 2, 28, 15, tzinfo=UTC).timestamp() * 1e6)


def test_polars_and_arrow_say_the_same_as_pandas() -> None:
    frame = pl.DataFrame({
        "id": ["a", "b"], "ts": [datetime(2026, 3, 1), datetime(2026, 3, 2)],
        "inputs.n": [1, None], "inputs.s": ["x", None], "inputs.c": pl.Series(["u", "v"], dtype=pl.Categorical),
        "inputs.l": [[1.0, 2.0], None], "inputs.o": [{"k": 1}, {"k": 2}], "inputs.none": [None, None],
        "inputs.a": pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Float32, 2)),
    })  # fmt: skip
    expected = {
        "inputs.n": Kind.NUMBER,
        "inputs.s": Kind.TEXT,
        "inputs.c": Kind.TEXT,
        "inputs.l": Kind.NUMBERS,
        "inputs.o.k": Kind.NUMBER,
        "inputs.a": Kind.NUMBERS,
    }
    polars, _ = source_of(frame)
    arrow, _ = source_of(frame.to_arrow())
    stream, _ = source_of(pa.RecordBatchReader.from_batches(frame.to_arrow().schema, frame.to_arrow().to_batches()))
    assert kinds(polars) == kinds(arrow) == kinds(stream) == expected
    assert values_of(polars, "inputs.n") == values_of(arrow, "inputs.n") == {"a": 1.0, "b": None}


def test_pandas_needs_no_pyarrow() -> None:
    code = """
import sys
sys.modules["pyarrow"] = None
import pandas as pd
from whimbrel.store import source_of
frame = pd.DataFrame({
    "ts": pd.date_range("2026-01-01", periods=3, tz="UTC"), "inputs.s": ["a", "b", None],
    "inputs.m": pd.Series([1, "x", [2]], dtype=object), "inputs.c": pd.Categorical(["a", "b", "a"]),
})
source, added = source_of(frame)
print(added.rows, [f.path for f in source.schema])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "3 ['inputs.s', 'inputs.m', 'inputs.c']\n"


def test_a_named_index_is_a_column() -> None:
    frame = pd.DataFrame({"inputs.x": [1, 2, 3, 4]}, index=pd.Index(TS, name="ts"))
    assert source_of(frame)[1].rows == 4


def test_in_memory_and_through_the_log_are_one_thing(log: Log) -> None:
    frame = pd.DataFrame(
        {"ts": [1_767_225_600 + i for i in range(100)], "inputs.x": range(100), "steps.a": 1.5, "decision": "yes"}
    )
    log.add(frame, app="x")
    memory, stored = source_of(frame)[0], log.source("x")
    assert set(rows_of(memory).ids) == set(rows_of(stored).ids)
    assert values_of(memory, "inputs.x") == values_of(stored, "inputs.x")
    assert set(memory.schema) == set(stored.schema)


def test_kinds_given_by_golden_make_a_changed_type_evidence() -> None:
    golden, _ = source_of(pd.DataFrame({"ts": TS, "inputs.x": [1.0, 2.0, 3.0, 4.0]}))
    window, added = source_of(pd.DataFrame({"ts": TS, "inputs.x": ["1.0", "2.0", "3.0", "4.0"]}), schema=golden.schema)
    assert kinds(window) == {"inputs.x": Kind.NUMBER}
    assert dict(added.rescued) == {"inputs.x": 4}
    assert source_of(pd.DataFrame({"ts": TS}), schema=golden.schema)[0].schema == golden.schema


def test_one_row_is_a_table_and_no_row_is_an_empty_one() -> None:
    one, added = source_of(pd.DataFrame({"ts": ["2026-01-01"], "inputs.x": [1]}))
    assert (added.rows, len(rows_of(one))) == (1, 1)
    none, added = source_of(pd.DataFrame({"ts": pd.to_datetime([]), "inputs.x": pd.Series([], dtype=float)}))
    assert (added.rows, len(rows_of(none)), none.schema) == (0, 0, Schema())


def test_ten_thousand_categories_pass() -> None:
    frame = pd.DataFrame(
        {"ts": range(1_767_225_600, 1_767_235_600), "inputs.user": pd.Categorical([f"u{i}" for i in range(10_000)])}
    )
    source, added = source_of(frame)
    assert added.rows == 10_000
    assert len(set(values_of(source, "inputs.user").values())) == 10_000


@pytest.mark.parametrize("table", [[{"ts": 1}], {"ts": [1]}, 3, pl.DataFrame({"ts": [1]}).lazy()])
def test_what_is_no_table_is_refused_with_what_is_one(table: object) -> None:
    with pytest.raises(UsageError) as caught:
        source_of(table)
    assert caught.value.next


def test_tables_that_cannot_be_read_say_why() -> None:
    with pytest.raises(InputError, match="no `ts`"):
        source_of(pd.DataFrame({"inputs.x": [1]}))
    with pytest.raises(InputError, match="two columns"):
        source_of(pd.DataFrame([[1, 2, 3]], columns=["ts", "inputs.x", "inputs.x"]))
    with pytest.raises(InputError, match="cannot be a time"):
        source_of(pd.DataFrame({"ts": [True], "inputs.x": [1]}))
    with pytest.raises(InputError, match="more than a log can hold"):
        source_of(pd.DataFrame({f"inputs.x{i}": [1] for i in range(4100)}))
    with pytest.raises(InputError, match="none of the 2 rows"):
        source_of(pd.DataFrame({"ts": ["x", "y"]}))
