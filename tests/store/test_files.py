"""Files go in whole: every format, every encoding fault, every schema, each id once."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path

import deltalake
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whimbrel.errors import InputError, UsageError
from whimbrel.model.fields import Kind
from whimbrel.store import Log

from .readback import rows_of, values_of

N = 500


def flat(n: int = N) -> pd.DataFrame:
    return pd.DataFrame({
        "id": [f"p{i:05d}" for i in range(n)],
        "ts": pd.date_range("2026-03-01", periods=n, freq="7min"),
        "inputs.fare": [i / 4 for i in range(n)],
        "inputs.city": ["Oslo", "São Paulo, SP", 'a "b"', ""] * (n // 4),
        "steps.scale.fare": [i / 400 for i in range(n)],
        "steps.score": [0.5] * n,
        "context.country": ["NO", "BR"] * (n // 2),
        "outputs.score": [i / n for i in range(n)],
        "decision": [i % 2 == 0 for i in range(n)],
    })  # fmt: skip


def write(frame: pd.DataFrame, path: Path) -> Path:
    if path.name.endswith(".parquet"):
        frame.to_parquet(path)
    elif ".csv" in path.name:
        frame.to_csv(path, index=False)
    else:
        frame.to_json(path, orient="records", lines=True, date_format="iso")
    return path


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.csv.gz", "a.jsonl", "a.ndjson", "a.jsonl.gz", "a.json"])
def test_every_format_gives_the_same_log(log: Log, tmp_path: Path, name: str) -> None:
    added = log.import_files(write(flat(), tmp_path / name), app="fares")
    assert (added.rows, added.duplicates, added.quarantined, dict(added.rescued), added.warnings) == (N, 0, 0, {}, ())
    source = log.source("fares")
    assert {f.path: f.kind for f in source.schema} == {
        "inputs.fare": Kind.NUMBER, "inputs.city": Kind.TEXT, "steps.scale.fare": Kind.NUMBER, "steps.score.value": Kind.NUMBER,
        "context.country": Kind.TEXT, "outputs.score": Kind.NUMBER, "decision": Kind.BOOLEAN,
    }  # fmt: skip
    assert values_of(source, "inputs.fare")["p00007"] == 1.75
    assert values_of(source, "inputs.city")["p00001"] == "São Paulo, SP"
    assert values_of(source, "inputs.city")["p00002"] == 'a "b"'
    rows = rows_of(source)
    assert dict(zip(rows.ids, rows.ts, strict=True))["p00001"] == 1_772_323_620_000_000


@pytest.mark.parametrize("name", ["a.parquet", "a.csv", "a.jsonl"])
def test_importing_twice_changes_nothing_with_and_without_ids(log: Log, tmp_path: Path, name: str) -> None:
    frame = pd.concat([flat(), flat().head(3)]).drop(columns="id")  # three rows that are equal to others
    path = write(frame, tmp_path / name)
    assert log.import_files(path, app="x").rows == N + 3
    version, before = log.version("x"), rows_of(log.source("x"))
    again = log.import_files(path, app="x")
    assert (again.rows, again.duplicates, log.version("x")) == (0, N + 3, version)
    assert set(rows_of(log.source("x")).ids) == set(before.ids)
    assert all(len(i) == 36 and i[14] == "7" and i[19] in "89ab" for i in before.ids)


def test_ids_that_are_made_sort_by_time(log: Log, tmp_path: Path) -> None:
    log.import_files(write(flat().drop(columns="id"), tmp_path / "a.parquet"), app="x")
    rows = rows_of(log.source("x"))
    by_time = [i for _, i in sorted(zip(rows.ts, rows.ids, strict=True))]
    assert by_time == sorted(by_time)


def test_equal_rows_of_two_files_are_two_predictions_and_stay_two(log: Log, tmp_path: Path) -> None:
    frame = flat().drop(columns="id")
    paths = [write(frame, tmp_path / name) for name in ("host1.csv", "host2.csv")]
    assert log.import_files(paths, app="x").rows == 2 * N
    assert log.import_files(paths, app="x").rows == 0


def test_the_first_of_two_rows_with_one_id_stands(log: Log, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,ts,inputs.x\na,2026-01-01,1\nb,2026-01-01,2\na,2026-01-02,3\n")
    added = log.import_files(path)
    assert (added.rows, added.duplicates) == (2, 1)
    assert values_of(log.source("default"), "inputs.x") == {"a": 1.0, "b": 2.0}


def test_files_of_different_schemas_become_one_table(log: Log, tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    write(flat(8), tmp_path / "in" / "a.parquet")
    newer = (
        flat(8)
        .drop(columns="inputs.city")
        .assign(id=[f"q{i}" for i in range(8)], **{"inputs.new": 1.5, "steps.late.z": 2})
    )
    write(newer, tmp_path / "in" / "deep" / "b.jsonl")
    (tmp_path / "in" / "notes.md").write_text("not data")
    assert log.import_files(tmp_path / "in", app="x").rows == 16
    assert values_of(log.source("x"), "inputs.new") == {
        **{f"p{i:05d}": None for i in range(8)},
        **{f"q{i}": 1.5 for i in range(8)},
    }
    assert log.source("x").schema.steps == ("scale", "score", "late")


def test_globs_lists_and_paths_name_each_file_once(log: Log, tmp_path: Path) -> None:
    for name in ("a1.csv", "a2.csv"):
        write(flat(4).assign(id=[name + str(i) for i in range(4)]), tmp_path / name)
    added = log.import_files([str(tmp_path / "a*.csv"), tmp_path / "a1.csv", tmp_path], app="x")
    assert (added.rows, added.duplicates) == (8, 0)
    with pytest.raises(InputError, match="no file matches"):
        log.import_files(tmp_path / "b*.csv")


def test_nested_and_flat_json_mean_the_same(log: Log, tmp_path: Path) -> None:
    lines = [
        {"id": "a", "ts": 1_767_225_600, "inputs": {"fare": 3, "user": {"age": 4}}, "steps": {"scale": {"fare": 0.3}, "score": 1}, "context": {"os": "ios"}},
        {"id": "b", "ts": 1_767_225_601, "inputs.fare": 4, "inputs.user.age": 5, "steps.scale.fare": 0.4, "steps.score": 2, "context.os": "web"},
        {"id": "c", "ts": 1_767_225_602, "inputs": {}, "context": None},
    ]  # fmt: skip
    path = tmp_path / "a.jsonl"
    path.write_text("\n\n".join(json.dumps(line) for line in lines))
    added = log.import_files(path)
    assert (added.rows, dict(added.rescued), added.warnings) == (3, {}, ())
    source = log.source("default")
    assert [f.path for f in source.schema] == [
        "inputs.fare",
        "inputs.user.age",
        "steps.scale.fare",
        "steps.score.value",
        "context.os",
    ]
    assert values_of(source, "inputs.user.age") == {"a": 4, "b": 5, "c": None}
    assert values_of(source, "context.os") == {"a": "ios", "b": "web", "c": None}


def test_an_object_that_appears_late_in_a_file_is_opened_too(log: Log, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"id": str(i), "ts": 1_767_225_600, "inputs": {"x": 1}} for i in range(3000)]
    rows[2999]["inputs"] = {"x": {"deep": {"deeper": 7}}}
    path.write_text("\n".join(map(json.dumps, rows)))
    log.import_files(path)
    assert values_of(log.source("default"), "inputs.x.deep.deeper")["2999"] == 7


def test_a_json_array_is_read_like_lines(log: Log, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"ts": 1_767_225_600 + i, "inputs": {"x": i}} for i in range(5)], indent=2))
    assert log.import_files(path).rows == 5


def test_parquet_structs_maps_lists_and_odd_types(log: Log, tmp_path: Path) -> None:
    table = pa.table({
        "id": ["a", "b"],
        "ts": pa.array([1_767_225_600_000_000_001, 1_767_225_600_000_000_999], pa.timestamp("ns", "Asia/Tokyo")),
        "inputs": [{"fare": 1, "tags": ["x"], "deep": {"er": True}}, {"fare": 2, "tags": [], "deep": None}],
        "context": pa.array([[("country", "US")], [("device", "ios")]], pa.map_(pa.string(), pa.string())),
        "inputs.vector": pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2)),
        "inputs.price": pa.array(["1.50", "2.50"]).cast(pa.decimal128(5, 2)),
        "inputs.color": pa.array(["red", "blue"]).dictionary_encode(),
        "inputs.blob": [b"\x00\xff", None],
        "inputs.none": pa.nulls(2),
        "inputs.day": pa.array([20454, 20455], pa.date32()),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "a.parquet")
    assert log.import_files(tmp_path / "a.parquet").rows == 2
    kinds = {f.path: f.kind for f in log.source("default").schema}
    assert kinds == {
        "inputs.fare": Kind.NUMBER, "inputs.tags": Kind.TEXTS, "inputs.deep.er": Kind.BOOLEAN, "context.country": Kind.TEXT,
        "context.device": Kind.TEXT, "inputs.vector": Kind.NUMBERS, "inputs.price": Kind.NUMBER, "inputs.color": Kind.TEXT,
        "inputs.blob": Kind.TEXT, "inputs.day": Kind.TIME,
    }  # fmt: skip
    assert values_of(log.source("default"), "context.device") == {"a": None, "b": "ios"}


def test_broken_rows_are_set_aside_with_file_row_and_reason(log: Log, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(
        b"id,ts,inputs.x,context.c\n1,2026-01-01,1,a\n2,2026-01-01,1\n3,2026-01-01,1,a,b\n4,yesterday,1,a\n"
        b"5,2026-01-01,1,caf\xe9\n6,,1,a\n7,2026-01-01,1,ok\n"
    )
    added = log.import_files(path)
    assert (added.rows, added.quarantined) == (2, 5)
    assert added.quarantine_file is not None
    found = [json.loads(line) for line in added.quarantine_file.read_text().splitlines()]
    assert {(f["file"], f["row"], f["reason"]) for f in found} == {
        ("bad.csv", 3, "too few fields"), ("bad.csv", 4, "too many fields"), ("bad.csv", 5, "ts cannot be read as a time"),
        ("bad.csv", 6, "bytes that are not UTF-8"), ("bad.csv", 7, "ts is missing"),
    }  # fmt: skip
    assert "caf\\xe9" in next(f["raw"] for f in found if f["row"] == 6)
    assert "yesterday" in next(f["raw"] for f in found if f["row"] == 5)
    assert any("set aside" in w for w in added.warnings)
    assert log.import_files(path).quarantined == 5
    assert log.status().quarantined == 5  # the same rows twice are set aside once


@pytest.mark.parametrize("packed", [False, True])
def test_broken_json_lines_are_set_aside(log: Log, tmp_path: Path, packed: bool) -> None:
    content = b'{"id":"a","ts":1767225600}\n{"id":"b",\n[1,2]\n{"id":"c","ts":"caf\xe9"}\n\n{"id":"d","ts":"never"}\r\n{"id":"e","ts":1767225601}'
    path = tmp_path / ("a.jsonl.gz" if packed else "a.jsonl")
    path.write_bytes(gzip.compress(content) if packed else content)
    added = log.import_files(path)
    assert (added.rows, added.quarantined) == (2, 4)
    assert added.quarantine_file is not None
    found = [json.loads(line) for line in added.quarantine_file.read_text().splitlines()]
    assert {(f["row"], f["reason"]) for f in found} == {
        (2, "not a JSON object on one line"), (3, "not a JSON object on one line"), (4, "bytes that are not UTF-8"), (6, "ts cannot be read as a time"),
    }  # fmt: skip


def test_quoted_newlines_semicolons_and_a_byte_order_mark(log: Log, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes('\ufeffid;ts;inputs.note\na;2026-01-01;"two\nlines; ""quoted"""\n'.encode())
    assert log.import_files(tmp_path / "a.csv").rows == 1
    assert values_of(log.source("default"), "inputs.note") == {"a": 'two\nlines; "quoted"'}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"ts,inputs.x\n", "not one row"),
        ("a.parquet", b"PAR1 and then the disk was full", "cannot read a.parquet"),
        ("a.csv", "ts,inputs.x\n2026-01-01,1\n".encode("utf-16"), "UTF-16"),
        ("a.csv", b"ts,inputs.caf\xe9\n2026-01-01,1\n", "not UTF-8"),
        ("a.csv", b"ts,inputs.x,inputs.x\n2026-01-01,1,2\n", "more than once"),
        ("a.csv", b"ts,inputs.x\nnever,1\nnot yet,2\n", "none of the 2 rows"),
        ("a.jsonl", b"{broken\n{too\n", "none of the 2 rows"),
        ("a.csv", b"when,inputs.x\n2026-01-01,1\n", "no `ts`"),
        ("a.csv.gz", gzip.compress(b"ts,inputs.x\n2026-01-01,1\n" * 9000)[:-40], "cannot read"),
        ("a.csv", b"ts,inputs.x\ntrue,1\n", "none of the 1 rows"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_read_end_in_four_parts_and_leave_no_row(
    log: Log, tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        log.import_files(tmp_path / name)
    assert all((caught.value.what, caught.value.where, caught.value.why, caught.value.next))
    assert log.apps() == ()


def test_a_truncated_file_among_good_ones_is_found_before_anything_is_written(log: Log, tmp_path: Path) -> None:
    write(flat(), tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "b.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"b\.parquet"):
        log.import_files(tmp_path)
    assert log.apps() == ()
    (tmp_path / "b.parquet").write_bytes(b"")
    added = log.import_files(tmp_path, app="x")
    assert added.rows == N
    assert "empty" in added.warnings[0]


def test_a_parquet_damaged_inside_ends_in_a_clear_error_and_no_half_commit(log: Log, tmp_path: Path) -> None:
    path = write(flat(), tmp_path / "a.parquet")
    content = bytearray(path.read_bytes())
    content[4:2000] = b"\xff" * 1996
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"cannot read a\.parquet"):
        log.import_files(path, app="x")
    assert "x" not in log.apps() or log.status().apps[0].predictions == 0


def test_a_missing_ts_is_answered_with_the_mapping_to_write(log: Log, tmp_path: Path) -> None:
    write(flat(4).rename(columns={"ts": "Event_Time"}), tmp_path / "a.csv")
    with pytest.raises(InputError) as caught:
        log.import_files(tmp_path / "a.csv")
    assert 'Event_Time = "ts"' in caught.value.next


def test_columns_that_are_not_the_contracts_are_named_and_can_be_mapped(log: Log, tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "when": [1_767_225_600, 1_767_225_601],
            "fare": [1.0, 2.0],
            "f.a": [1, 2],
            "f.b": [3, 4],
            "odd name": ["x", "y"],
        }
    )
    path = write(frame, tmp_path / "a.csv")
    (tmp_path / "map.toml").write_text('[columns]\nwhen = "ts"\nfare = "inputs.fare"\n"f.*" = "steps.f.*"\n')
    added = log.import_files(path, app="x", mapping=tmp_path / "map.toml")
    assert [f.path for f in log.source("x").schema] == ["inputs.fare", "steps.f.a", "steps.f.b"]
    assert len(added.warnings) == 1
    assert '"odd name" = "inputs.odd name"' in added.warnings[0]
    everything = log.import_files(path, app="y", mapping={"when": "ts", "*": "inputs.*"})
    assert everything.warnings == ()
    assert len(log.source("y").schema.fields) == 4


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        ({"fare": "input.fare"}, "no column of the contract"), ({"fare": "inputs.*"}, "no column"),
        ({"nowhere": "ts"}, "fits no column"), ("gone.toml", "cannot read the mapping"),
    ],
)  # fmt: skip
def test_mappings_that_make_no_sense_are_usage_errors(
    log: Log, tmp_path: Path, mapping: dict[str, str] | str, says: str
) -> None:
    write(flat(4), tmp_path / "a.csv")
    with pytest.raises(UsageError, match=says):
        log.import_files(tmp_path / "a.csv", mapping=mapping)


def test_the_app_column_parts_a_file_into_tables_of_their_own_types(log: Log, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("app,ts,inputs.x\nfares,2026-01-01,1\nads,2026-01-01,red\n,2026-01-01,2\n")
    assert log.import_files(path).rows == 3
    assert log.apps() == ("ads", "default", "fares")
    assert {app: log.source(app).schema.fields[0].kind for app in log.apps()} == {
        "ads": Kind.TEXT,
        "default": Kind.NUMBER,
        "fares": Kind.NUMBER,
    }
    log.import_files(path, app="all")
    assert log.status().apps[1].predictions == 3


def test_progress_is_told_by_file_and_bytes(log: Log, tmp_path: Path) -> None:
    write(flat(4), tmp_path / "a.csv")
    write(flat(8), tmp_path / "b.csv")
    seen: list[tuple[str, int, int]] = []
    log.import_files(tmp_path, progress=lambda name, done, total: seen.append((name, done, total)))
    total = sum(p.stat().st_size for p in tmp_path.glob("*.csv"))
    assert seen == [("a.csv", 0, total), ("b.csv", (tmp_path / "a.csv").stat().st_size, total), ("", total, total)]


def test_nan_is_missing_whoever_wrote_the_file(tmp_path: Path) -> None:
    """Most writers leave NaN out of a column's least and greatest value, and DuckDB answers `isnan` from these alone."""
    table = pa.table(
        {
            "id": list("abcdef"),
            "ts": [1_795_000_000.0 + i for i in range(6)],
            "inputs.x": [1.0, math.nan, 2.0, math.inf, 3.0, math.nan],
            "inputs.none": [math.nan] * 6,
            "context.tier": [math.nan, 2.0, 1.0, 1.0, -math.inf, 1.5],
        }
    )
    pq.write_table(table, tmp_path / "arrow.parquet")
    deltalake.write_deltalake(str(tmp_path / "delta"), table)
    for name in ("arrow", "delta"):
        (file,) = [path for path in tmp_path.rglob("*.parquet") if name in str(path)]
        log = Log(tmp_path / f"home of {name}")
        log.import_files(file)
        source = log.source("default")
        assert values_of(source, "inputs.x") == {"a": 1.0, "b": None, "c": 2.0, "d": math.inf, "e": 3.0, "f": None}
        tiers = {"a": None, "b": "2", "c": "1", "d": "1", "e": "-inf", "f": "1.5"}
        assert values_of(source, "context.tier") == tiers
        assert source.schema.get("inputs.none") is None


def test_late_labels_that_are_nan_are_none(tmp_path: Path) -> None:
    log = Log(tmp_path / "home")
    log.append("default", [{"id": i, "ts": 1_795_000_000.0, "inputs.x": 1.0} for i in "ab"])
    pq.write_table(pa.table({"id": ["a", "b"], "label": [1.0, math.nan]}), tmp_path / "labels.parquet")
    assert log.import_files(tmp_path / "labels.parquet", app="default").labels == 1
