"""Records that go straight to Parquet are in the table as the way of every input has them, and what is not plain goes that way."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from whimbrel.errors import StoreError
from whimbrel.store.arrays import to_arrow
from whimbrel.store.log import Log, open_log
from whimbrel.store.records import Records
from whimbrel.store.schema import read_schema
from whimbrel.store.tables import open_flat
from whimbrel.store.values import Added

START = 1_795_000_000_000_000
Batch = list[dict[str, Any]]


def record(n: int, **more: Any) -> dict[str, Any]:
    """One record, of ten a day; fields to add or to change are spelled with two underscores for a dot."""
    inputs = {"inputs.fare": n * 1.5, "inputs.kind": "abc"[n % 3], "inputs.new": n % 2 == 0}
    said = {"steps.scale.value": [0.5, n], "steps.norm.x": n, "outputs.score": n / 7, "decision": "yes"}
    about = {"code.scale": "f1-0", "context.country": "US", "model.name": "m", "spans.total": 3.25}
    named = {key.replace("__", "."): value for key, value in more.items()}
    return {"id": f"id-{n:05}", "ts": START + n * 8_640_000_000, **inputs, **said, **about} | named


def some(start: int = 0, n: int = 12, **more: Any) -> Batch:
    return [record(i, **more) for i in range(start, start + n)]


def files(log: Log) -> list[tuple[bool, list[dict[str, Any]]]]:
    """The table's files: whether it went straight there, past DuckDB, and its rows."""
    table = log.layout.predictions("fares")
    read = [pq.ParquetFile(file) for file in table.files(table.open())]
    return [(not held.metadata.created_by.startswith("DuckDB"), held.read().to_pylist()) for held in read]


def rows(log: Log) -> list[Any]:
    """The rows by id, without what is missing."""

    def told(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: told(part) for key, part in value.items() if part is not None}

    return sorted((told(row) for _, held in files(log) for row in held), key=lambda row: str(row["id"]))


def _usual(log: Log, batch: Batch) -> Added:
    """The batch by the way of every input."""
    held = to_arrow(Records(batch))
    return log._take(lambda con: open_flat(con, held, "records of fares"), "fares", None)


def both(folder: Path, *batches: Batch) -> tuple[list[bool], Log, Log]:
    """The batches in two logs, by the quick way and by that of every input; for the first, which of them wrote each new file."""
    quick, usual = open_log(folder / "quick"), open_log(folder / "usual")
    for batch in batches:
        added = quick.append_flat("fares", Records(batch))
        same = _usual(usual, batch)
        assert (added.rows, added.duplicates, added.quarantined) == (same.rows, same.duplicates, same.quarantined)
        assert added.rescued == same.rescued
    straight = [way for way, _ in files(quick)]
    assert rows(quick) == rows(usual)
    assert {row["id"] for row in rows(quick)}
    schemas = [read_schema(log.layout.predictions("fares").open()) for log in (quick, usual)]
    assert schemas[0] == schemas[1]
    return straight, quick, usual


def test_plain_records_go_straight_one_file_a_day(tmp_path: Path) -> None:
    straight, quick, usual = both(tmp_path, some())
    assert straight == [True] * len(straight)
    facts = "min_id, max_id, min_ts, max_ts, rows"
    told = []
    for log in (quick, usual):
        table = log.layout.predictions("fares")
        told.append(sorted(table.actions(table.open(), facts)))
        assert all(Path(file).parent.name.startswith("day=2026-") for file in table.files(table.open()))
    assert told[0] == told[1]
    assert len(told[0]) > 1


def test_the_table_grows_by_new_fields_and_lacks_none_of_the_old(tmp_path: Path) -> None:
    texts = {"steps__words__value": ["a", "b"], "inputs__later": "x", "error": "no"}
    straight, quick, _ = both(tmp_path, some(n=3), some(3, 3, **texts), some(6, 3))
    assert all(straight)
    assert rows(quick)[4]["steps"]["words"] == {"value": ["a", "b"]}


def test_values_that_some_lack_are_missing_and_so_is_nan(tmp_path: Path) -> None:
    holes = {
        "inputs__fare": None,
        "inputs__kind": None,
        "inputs__new": None,
        "steps__scale__value": None,
        "outputs__score": float("nan"),
    }
    straight, quick, _ = both(tmp_path, [*some(n=3), record(3, **holes), *some(4, 2), record(6, inputs__only=None)])
    assert all(straight)
    assert rows(quick)[3]["outputs"] == {}
    assert rows(quick)[3].get("inputs") == {}


ODD: dict[str, Batch] = {
    "another kind": [record(20, inputs__fare="expensive")],
    "several kinds": [record(20), record(21, inputs__fare="expensive")],
    "a text where the contract has a number": [record(20, spans__odd="slow")],
    "a number where the contract has a text": [record(20, context__age=30)],
    "another case": [record(20, inputs__FARE=3.0)],
    "an id twice": [record(20), record(20)],
    "an id that the table has": [record(2), record(20)],
    "no id": [{**record(20), "id": None}, record(21)],
    "an id with spaces": [{**record(20), "id": " x "}],
    "a time in the future": [{**record(20), "ts": int(time.time() * 1e6) + 86_400_000_000}],
    "a time before 2000": [{**record(20), "ts": 5}],
    "no time": [{**record(20), "ts": None}, record(21)],
    "an empty error": [record(20, error="")],
    "a column of nobody": [record(20) | {"strange": 1}],
    "a name that is not spelled out": [record(20) | {"steps.impute": 4.0}],
    "a large integer": [record(20, inputs__big=2**60)],
    "a label": [record(20, label=1.0)],
    "an app": [record(20, app="fares")],
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_what_is_not_plain_takes_the_way_of_every_input(odd: str, tmp_path: Path) -> None:
    straight, _, _ = both(tmp_path, some(n=4), ODD[odd])
    assert not all(straight)


def test_late_labels_that_came_first_fix_the_kind_of_the_label(tmp_path: Path) -> None:
    logs = [open_log(tmp_path / name) for name in ("quick", "usual")]
    for log in logs:
        log.add_labels("fares", [{"id": "id-00001", "label": 1.0}])
    straight, quick, _ = both(tmp_path, some(n=3))
    assert all(straight)
    assert quick.source("fares").schema.get("label") is not None


def test_nothing_is_left_behind_where_the_commit_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log(tmp_path)
    log.append_flat("fares", Records(some(n=2)))
    before = {path for path in tmp_path.rglob("*") if path.is_file()}

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("deltalake.DeltaTable.create_write_transaction", full)
    with pytest.raises(StoreError):
        log.append_flat("fares", Records(some(2, 2)))
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before
