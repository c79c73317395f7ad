"""Data versions: content decides, every version comes back as it was, what cannot be kept whole is not kept at all."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from hypothesis import example, given, settings
from hypothesis import strategies as st

from whimbrel.errors import InputError, StoreError, UsageError
from whimbrel.store import Log
from whimbrel.store.content import content_of
from whimbrel.store.datasets import digest_of
from whimbrel.store.differences import Facts, facts
from whimbrel.store.sql import connect

NESTED = pa.table({
    "id": pa.array([1, 2, 3, 4], pa.int64()),
    "x": pa.array([1.5, math.nan, None, -0.0]),
    "small": pa.array([1, 2, 3, None], pa.uint8()),
    "big": pa.array([2**64 - 1, 0, None, 2**63], pa.uint64()),
    "list": pa.array([[1, 2], [], None, [2**60]], pa.list_(pa.int64())),
    "user": pa.array([{"age": 3, "tags": ["a"]}, {"age": None, "tags": None}, None, {"age": 4, "tags": []}]),
    "at": pa.array([0, 1, None, 3], pa.timestamp("us", tz="UTC")),
    "fine": pa.array([1, 2, None, 4], pa.timestamp("ns")),
    "blob": pa.array([b"\x00", b"", None, b"x"]),
    "money": pa.array([1, 2, 3, 4]).cast(pa.decimal128(20, 0)),
    "nothing": pa.nulls(4),
})  # fmt: skip


def test_every_version_comes_back_as_it_was_when_it_was_added(log: Log) -> None:
    first, second = pa.table({"a": [1, 2], "b c": ["x", None]}), pa.table({"a": ["one"], "new;é": [[1.0]]})
    assert log.data.add_table(first, name="train").version.spec == "train@1"
    assert log.data.add_table(second, name="train").version.spec == "train@2"
    assert pa.table(log.data.get("train@1")).equals(first)
    assert pa.table(log.data.get("train@v2")).equals(second)
    assert pa.table(log.data.get("train")).equals(second)
    table = DeltaTable(str(log.home / "datasets" / "train"), version=0)
    assert pl.read_delta(table).to_dict(as_series=False) == first.to_pydict()  # any reader of Delta has it too


def test_types_that_delta_lacks_are_widened_and_lose_nothing(log: Log, tmp_path: Path) -> None:
    pq.write_table(NESTED, tmp_path / "train.parquet")
    kept = log.data.add(tmp_path / "train.parquet", name="train").version
    back = pa.table(log.data.get("train@1")).to_pydict()
    for column in ("id", "small", "list", "user", "at", "blob", "nothing"):
        assert back[column] == NESTED.column(column).to_pylist(), column
    assert [None if v is None else int(v) for v in back["big"]] == [2**64 - 1, 0, None, 2**63]
    assert str(back["x"]) == "[1.5, nan, None, -0.0]"
    assert back["fine"][0] == "1970-01-01 00:00:00.000000001"  # nanoseconds stay, as text
    assert dict(kept.columns)["small"] == "SMALLINT"


def test_the_same_content_again_is_no_new_version_whatever_its_order(log: Log, tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": range(50), "x": [i / 7 for i in range(50)], "s": ["a", None] * 25})
    frame.to_parquet(tmp_path / "a.parquet")
    frame[["s", "x", "id"]].sample(frac=1, random_state=1).to_parquet(
        tmp_path / "b.parquet", row_group_size=7, index=False
    )
    (tmp_path / "parts").mkdir()
    frame.iloc[20:].to_parquet(tmp_path / "parts" / "1.parquet", index=False)
    frame.iloc[:20].to_parquet(tmp_path / "parts" / "2.parquet", index=False)
    first = log.data.add(tmp_path / "a.parquet", name="train")
    assert first.new
    for same in ("b.parquet", "parts"):
        again = log.data.add(tmp_path / same, name="train")
        assert (again.new, again.version) == (False, first.version)
    assert log.data.add(tmp_path / "a.parquet", name="other").new
    frame["x"] += [0.0] * 49 + [1e-12]
    assert log.data.add_table(frame, name="train").version.version == 2
    assert not log.data.add(tmp_path / "a.parquet", name="train").new  # an older version counts too
    assert [one.spec for one in log.data.versions()] == ["other@1", "train@1", "train@2"]


def test_csv_and_json_lines_get_the_types_that_all_their_values_fit(log: Log, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,zip,fare,ok,n,odd\n1,007,1.5,true,NA,1\n2,123,nan,FALSE,4,x\n3,,,,5,1e3\n")
    log.data.add(tmp_path / "a.csv", name="csv")
    back = pa.table(log.data.get("csv")).to_pydict()
    assert back["id"] == [1, 2, 3]
    assert back["zip"] == ["007", "123", None]  # a code with leading zeros is no number
    assert back["fare"][0] == 1.5
    assert math.isnan(back["fare"][1])
    assert back["fare"][2] is None
    assert (back["ok"], back["n"], back["odd"]) == ([True, False, None], [None, 4, 5], ["1", "x", "1e3"])
    lines = [
        {"id": 1, "u": {"a": 1, "b": 'q"x'}, "l": [1, 2.5]},
        {"id": 2**62, "u": {"b": "1"}, "l": None, "m": 1},
        {"m": "1"},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    log.data.add(tmp_path / "a.jsonl", name="json")
    back = pa.table(log.data.get("json")).to_pydict()
    assert back == {
        "id": [1, 2**62, None], "u.a": [1, None, None], "u.b": ['q"x', "1", None], "l": [[1.0, 2.5], None, None],
        "m": [None, "1", '"1"'],
    }  # fmt: skip


def test_csv_files_agree_on_types_and_folders_named_key_value_are_columns(log: Log, tmp_path: Path) -> None:
    for day, cell in (("01", "1.50"), ("02", "x")):
        (tmp_path / "set" / f"day={day}").mkdir(parents=True)
        (tmp_path / "set" / f"day={day}" / "p.csv").write_text(f"v\n{cell}\n")
    log.data.add(tmp_path / "set", name="train")
    held = pa.table(log.data.get("train")).sort_by("day").to_pylist()
    assert held == [{"v": "1.50", "day": "01"}, {"v": "x", "day": "02"}]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("bad.csv", "a,b\n1,2\n3\n", "row 3: too few fields"),
        ("bad.jsonl", '{"a": 1}\n{"a": \n', "row 2"),
        ("empty.csv", "", "is empty"),
        ("header.csv", "a,b\n", "not one row"),
        ("cut.parquet", "PAR1....", "cannot read"),
    ],
)
def test_what_cannot_be_kept_whole_is_not_kept(log: Log, tmp_path: Path, name: str, text: str, says: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=says) as error:
        log.data.add(tmp_path / name, name="train")
    assert error.value.next
    assert log.data.names() == ()


def test_columns_that_differ_in_case_alone_are_refused(log: Log, tmp_path: Path) -> None:
    table = pa.table({"a": [1], "A": [2]})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match="upper and lower case"):
        log.data.add(tmp_path / "a.parquet", name="t")
    for twins in (table, table.to_pandas()):
        with pytest.raises(InputError, match="upper and lower case"):
            log.data.add_table(twins, name="t")
    assert log.data.add_table(pa.table({"a": [1], "b": [1]}), name="t").new  # equal values are no equal names


def test_what_does_not_exist_is_named_beside_what_does(log: Log, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no data named 'train'"):
        log.data.version("train@1")
    log.data.add_table(pa.table({"a": [1]}), name="train")
    for spec, says in (
        ("trian@1", "trian"),
        ("train@2", "no train@2"),
        ("train@@1", "names no version"),
        ("a@b", "no version"),
    ):
        with pytest.raises(UsageError, match=says):
            log.data.version(spec)
    with pytest.raises(UsageError, match="dataset's name"):
        log.data.add_table(pa.table({"a": [1]}), name="../x")
    (tmp_path / "there.csv").write_text("mine")
    for target in ("there.csv", "x.txt", "no/where.csv"):
        with pytest.raises(UsageError, match="cannot write"):
            log.data.write("train", tmp_path / target)
    assert (tmp_path / "there.csv").read_text() == "mine"


@pytest.mark.parametrize("ending", ["parquet", "csv", "jsonl"])
def test_a_version_written_out_and_added_again_is_the_same(log: Log, tmp_path: Path, ending: str) -> None:
    log.data.add_table(pa.table({"id": [1, 2], "x": [0.1, None], "s": ["a,b", "é\n"]}), name="train")
    log.data.write("train@1", tmp_path / f"out.{ending}")
    assert not log.data.add(tmp_path / f"out.{ending}", name="train").new
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [f"out.{ending}"]


def test_a_model_names_its_data_once_and_the_last_word_counts(log: Log) -> None:
    for x in (1, 2):
        log.data.add_table(pa.table({"a": [x]}), name="train")
    assert log.data.linked("fares@8") is None
    assert log.data.link("fares@8", "train@1")["was"] is None
    assert log.data.link("fares@8", "train")["was"] == "train@1"
    assert log.data.linked("fares@8") == "train@2"
    for model, spec in (("fares", "train@1"), ("@8", "train@1"), ("fares@8", "train@9")):
        with pytest.raises(UsageError):
            log.data.link(model, spec)
    next((log.home / "models").glob("*.json")).write_text("{")
    with pytest.raises(StoreError, match="cannot read what fares@8 was trained on") as error:
        log.data.linked("fares@8")
    assert error.value.next == "note it again: whimbrel data link fares@8 NAME@VERSION"


# ---------------------------------------------------------------- laws

values = st.one_of(st.none(), st.floats(width=32), st.sampled_from([0.0, -0.0, math.nan, math.inf, 1e300]))
texts = st.one_of(st.none(), st.text(max_size=4), st.sampled_from(["", "null", '","', "[", "NaN"]))
table = st.lists(
    st.tuples(values, texts, st.lists(st.one_of(st.none(), st.integers(-(2**62), 2**62)), max_size=2)), max_size=6
)
Row = tuple[Any, ...]


def _arrow(rows: list[Row], order: tuple[str, ...] = ("x", "s", "l")) -> pa.Table:
    kinds = {"x": pa.float64(), "s": pa.string(), "l": pa.list_(pa.int64())}
    at = {"x": 0, "s": 1, "l": 2}
    return pa.table({c: pa.array([row[at[c]] for row in rows], kinds[c]) for c in order})


def _facts(before: pa.Table, after: pa.Table) -> tuple[Facts, bool]:
    with connect() as con:
        con.register("one", before)
        con.register("two", after)
        first, second = content_of(con, "one"), content_of(con, "two")
        return facts(con, first, second, key=(), label=None), digest_of(con, first) == digest_of(con, second)


@settings(max_examples=60, deadline=None)
@given(table, st.randoms())
def test_order_of_rows_and_columns_changes_nothing(rows: list[Row], dice: Any) -> None:
    shuffled = dice.sample(rows, len(rows))
    found, same = _facts(_arrow(rows), _arrow(shuffled, ("l", "x", "s")))
    assert same
    assert (found.rows.gone, found.rows.new, found.rows.after_in_before) == (0, 0, len(rows))


def _plain(row: Row) -> str:
    """Two rows are one where this is: NaN is NaN, and -0.0 is 0.0."""
    return repr((row[0] + 0.0 if row[0] is not None else None, row[1], row[2]))


@settings(max_examples=80, deadline=None)
@given(table, table)
@example([(math.nan, None, [])], [(-math.nan, None, [])])
def test_rows_gone_and_new_are_those_of_a_count_by_hand(before: list[Row], after: list[Row]) -> None:
    from collections import Counter

    one, two = Counter(map(_plain, before)), Counter(map(_plain, after))
    found, same = _facts(_arrow(before), _arrow(after))
    assert (found.rows.gone, found.rows.new) == ((one - two).total(), (two - one).total())
    assert found.rows.after_in_before == sum(n for row, n in two.items() if row in one)
    assert same == (one == two)
