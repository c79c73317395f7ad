"""Labels that arrive late reach their predictions; the latest wins; the same again changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from whimbrel.errors import InputError
from whimbrel.model.fields import Kind
from whimbrel.store import Log

from .readback import rows_of, values_of

T = 1_767_225_600


def predictions(log: Log, **more: object) -> None:
    log.add(pd.DataFrame({"id": ["a", "b", "c"], "ts": [T, T + 1, T + 2], "inputs.x": [1, 2, 3], **more}), app="x")


def test_a_label_that_comes_with_its_row_stays_there(log: Log) -> None:
    predictions(log, label=[1, 0, None], label_ts=["2026-02-01", None, "soon"])
    source = log.source("x")
    assert values_of(source, "label") == {"a": 1.0, "b": 0.0, "c": None}
    assert source.labels == ()
    rows = rows_of(source)
    assert rows.label_ts is not None
    assert dict(zip(rows.ids, rows.label_ts, strict=True))["a"] == 1_769_904_000_000_000
    assert log.status().apps[0].labelled == pytest.approx(2 / 3)


def test_a_table_of_ids_and_labels_updates_what_is_there(log: Log, tmp_path: Path) -> None:
    predictions(log, label=[1, None, None])
    path = tmp_path / "labels.csv"
    path.write_text("id,label,label_ts\na,1,2026-02-01\nb,0,2026-02-01\nz,1,\n")
    added = log.import_files(path)  # the only app
    assert (added.labels, added.duplicates, added.rows) == (2, 1, 0)
    assert "labels of 1 ids" in added.warnings[0]
    assert values_of(log.source("x"), "label") == {"a": 1.0, "b": 0.0, "c": None}
    assert (log.import_files(path).labels, log.version("x")) == (0, 1)
    assert log.status().apps[0].labelled == pytest.approx(2 / 3)


def test_the_latest_label_wins_and_an_older_one_changes_nothing(log: Log) -> None:
    predictions(log)
    log.add_labels("x", [{"id": "a", "label": "good", "label_ts": "2026-02-02"}])
    assert log.add_labels("x", [{"id": "a", "label": "bad", "label_ts": "2026-02-01"}]).labels == 0
    assert log.add_labels("x", [{"id": "a", "label": "ugly", "label_ts": "2026-02-03"}]).labels == 1
    assert values_of(log.source("x"), "label")["a"] == "ugly"
    assert log.add_labels("x", [{"id": "a", "label": "bad"}]).labels == 1  # a correction without a time is of now
    assert values_of(log.source("x"), "label")["a"] == "bad"


def test_labels_that_come_before_their_predictions_wait_and_fix_the_kind(log: Log) -> None:
    assert log.add_labels("x", [{"id": "a", "label": 1}, {"id": "b", "label": 0}]).labels == 2
    predictions(log, label=["yes", None, None])
    source = log.source("x")
    label = source.schema.get("label")
    assert label is not None
    assert label.kind is Kind.NUMBER
    assert values_of(source, "label") == {"a": 1.0, "b": 0.0, "c": None}


def test_labels_without_id_or_of_another_kind_are_refused_aloud(log: Log, tmp_path: Path) -> None:
    predictions(log, label=[1.0, 0.0, None])
    path = tmp_path / "l.jsonl"
    path.write_text('{"id":"c","label":1}\n{"label":1}\n{"id":"b","label":"high"}\n')
    added = log.import_files(path, app="x")
    assert (added.labels, added.quarantined) == (1, 2)
    with pytest.raises(InputError):
        log.add_labels("x", [{"label": 1}])


def test_decisions_that_come_late_are_read_and_the_same_again_changes_nothing(log: Log) -> None:
    predictions(log, decision=["wait"] * 3)
    rows: list[dict[str, Any]] = [
        {"id": "a", "path": "decision", "value": "ship"},
        {"id": "b", "path": "decisions.price", "value": 12.0},
    ]
    assert log.add_decisions("x", rows).rows == 2
    assert log.add_decisions("x", rows).duplicates == 2
    source = log.source("x")
    assert values_of(source, "decision") == {"a": "ship", "b": "wait", "c": "wait"}
    assert values_of(source, "decisions.price")["b"] == "12"
    with pytest.raises(InputError):
        log.add_decisions("x", [{"id": "a", "path": "label", "value": 1}])


def test_labels_in_rows_that_are_in_already_change_nothing_and_are_said_aloud(log: Log) -> None:
    predictions(log, label=[1.0, None, None])
    again = {"id": ["a", "b", "c"], "ts": [T, T + 1, T + 2], "inputs.x": [1, 2, 3], "label": [1.0, 0.0, None]}
    added = log.add(pd.DataFrame(again), app="x")
    assert (added.rows, added.duplicates, added.labels) == (0, 3, 0)
    assert added.warnings[0].startswith("1 rows bring a label")
    log.add_labels("x", [{"id": "b", "label": 0.0}])
    assert log.add(pd.DataFrame(again), app="x").warnings == ()
    assert values_of(log.source("x"), "label") == {"a": 1.0, "b": 0.0, "c": None}
