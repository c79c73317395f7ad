"""The log answers what it holds: events, goldens that never move, status, and clear errors for what is not there."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from whimbrel.engine.duckdb import DuckDB
from whimbrel.errors import EvidenceError, InputError, StoreError, UsageError
from whimbrel.model.event import Event
from whimbrel.model.window import Condition, Window
from whimbrel.store import Log, events_of, open_log

T = 1_767_225_600


def fill(log: Log, n: int = 10, start: int = 0, app: str = "x") -> None:
    ids = range(start, start + n)
    log.add(
        pd.DataFrame(
            {
                "id": [f"i{i}" for i in ids],
                "ts": [T + 3600 * i for i in ids],
                "context.c": ["US", "BR"] * (n // 2),
                "inputs.x": ids,
            }
        ),
        app=app,
    )


def test_events_go_in_once_and_come_out_in_order(log: Log, tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text(
        "ts,kind,what,context.channel,app,note\n2026-01-02,deploy,3f2c91,ios,,n\n2026-01-01T12:00:00+01:00,flag,dark on,,x,\n"
        "2026-01-03,config,y,,other,\nnever,flag,z,,,\n2026-01-04,flag,,,,\n"
    )
    added = log.import_events(tmp_path / "e.csv")
    assert (added.rows, added.quarantined) == (3, 2)
    assert any("note" in w for w in added.warnings)
    assert log.import_events(tmp_path / "e.csv").duplicates == 3
    assert log.events("x") == (
        Event(datetime(2026, 1, 1, 11, tzinfo=UTC), "flag", "dark on", {}),
        Event(datetime(2026, 1, 2, tzinfo=UTC), "deploy", "3f2c91", {"context.channel": "ios"}),
    )
    assert len(log.events()) == 3
    assert [
        e.what for e in log.events(since=datetime(2026, 1, 2, tzinfo=UTC), until=datetime(2026, 1, 3, tzinfo=UTC))
    ] == ["3f2c91"]
    assert (
        log.add_events(
            pd.DataFrame({"when": ["2026-02-01"], "kind": ["data"], "what": ["v8"]}), mapping={"when": "ts"}
        ).rows
        == 1
    )
    assert events_of(pd.DataFrame({"ts": [T], "kind": ["flag"], "what": ["x"], "context.os": ["ios"]})) == (
        Event(datetime(2026, 1, 1, tzinfo=UTC), "flag", "x", {"context.os": "ios"}),
    )
    with pytest.raises(InputError, match="row 2 of the events"):
        events_of(pd.DataFrame({"ts": [T, T], "kind": ["flag", None], "what": ["x", "y"]}))
    with pytest.raises(InputError, match="no column 'what'"):
        log.add_events(pd.DataFrame({"ts": ["2026-01-01"], "kind": ["deploy"]}))


def test_a_golden_never_moves(log: Log) -> None:
    fill(log)
    window = Window(
        "x",
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1, 8, tzinfo=UTC),
        (Condition("context.c", "US"), Condition("inputs.x", "1", ">="), Condition("inputs.x", "6", "<")),
    )
    golden = log.set_golden("november", window)
    assert golden.predictions == 2
    fill(log, 10, 100)
    log.append("x", [{"id": "late", "ts": T + 60, "context.c": "US", "inputs.x": 2, "inputs.new": 1}])
    held = log.golden("november")
    assert held == golden
    assert DuckDB().extent(log.source("x", held.version), held.window)[0] == 2
    assert DuckDB().extent(log.source("x"), held.window)[0] == 3
    assert log.goldens() == (golden,)
    log.set_golden("november", Window("x"))
    assert log.golden("november").predictions == 21


def test_goldens_that_are_not_there_or_make_no_sense_are_refused(log: Log) -> None:
    fill(log)
    log.set_golden("november", Window("x"))
    with pytest.raises(UsageError, match="no golden named 'novembre'") as caught:
        log.golden("novembre")
    assert "november" in caught.value.next
    for name in ("", "../x", "a b", ".hidden", "x" * 200):
        with pytest.raises(UsageError):
            log.set_golden(name, Window("x"))
    with pytest.raises(EvidenceError, match="no predictions"):
        log.set_golden("empty", Window("x", where=(Condition("context.c", "FR"),)))
    with pytest.raises(UsageError, match="no version"):
        log.set_golden("future", Window("x"), version=99)
    with pytest.raises(UsageError, match="no app 'y'"):
        log.set_golden("other", Window("y"))
    (log.layout.golden / "november.json").write_text('{"schema": "whimbrel.golden/1"')
    with pytest.raises(StoreError, match="november"):
        log.golden("november")


def test_status_says_what_the_log_holds(log: Log) -> None:
    empty = log.status()
    assert (empty.apps, empty.events, empty.quarantined, empty.bytes) == ((), 0, 0, 0)
    fill(log)
    fill(log, 4, app="ünï/😀 %")
    log.set_golden("g", Window("x"))
    log.add_events(pd.DataFrame({"ts": ["2026-02-01"], "kind": ["data"], "what": ["v8"]}))
    recorded = log.layout.segments / "fares"
    recorded.mkdir(parents=True)
    for name in ("s.seg", ".s.mark", ".s.seg.new", "notes.txt"):
        (recorded / name).write_bytes(b"x" * 10)
    status = log.status()
    assert [(a.app, a.predictions, a.fields) for a in status.apps] == [
        ("x", 10, {"context": 1, "inputs": 1}),
        ("ünï/😀 %", 4, {"context": 1, "inputs": 1}),
    ]
    assert (status.apps[0].since, status.apps[0].until) == (
        datetime(2026, 1, 1, tzinfo=UTC),
        datetime(2026, 1, 1, 9, tzinfo=UTC),
    )
    assert (status.events, status.goldens, status.segments) == (1, ("g",), 1)
    assert status.bytes > status.apps[0].bytes > 0
    assert json.loads(json.dumps(status.to_dict()))["apps"][0]["since"] == "2026-01-01T00:00:00Z"


def test_status_works_on_files_that_other_programs_wrote(log: Log) -> None:
    fill(log)
    log.layout.predictions("x").open().optimize.compact()
    assert log.status().apps[0].predictions == 10
    assert DuckDB().extent(log.source("x"), Window("x"))[0] == 10


def test_an_empty_log_and_an_unknown_app_say_what_to_do(log: Log) -> None:
    with pytest.raises(EvidenceError, match="no predictions yet"):
        log.source("x")
    fill(log)
    with pytest.raises(UsageError, match="no app 'y'") as caught:
        log.source("y")
    assert "x" in caught.value.next
    for app in ("", "a" * 300, "line\nbreak"):
        with pytest.raises(UsageError):
            log.add(pd.DataFrame({"ts": [T]}), app=app)


@pytest.mark.parametrize("app", [".", "..", "a/b", "../../etc", "%2e", "~", "ünï 😀", "CON", "a'b\"c", "_x"])
def test_an_app_may_be_called_anything_and_stays_inside_the_log(log: Log, app: str) -> None:
    log.append(app, [{"id": "a", "ts": T, "inputs.x": 1}])
    assert log.append(app, [{"id": "a", "ts": T, "inputs.x": 1}]).duplicates == 1
    assert log.apps() == (app,)
    assert DuckDB().extent(log.source(app), Window(app))[0] == 1
    assert sorted(p.name for p in log.home.parent.iterdir()) == ["home"]


def test_a_home_may_have_spaces_but_no_wildcards(tmp_path: Path) -> None:
    log = open_log(tmp_path / "my log ü #1")
    fill(log)
    assert log.status().apps[0].predictions == 10
    with pytest.raises(StoreError, match="'%'"):
        open_log(tmp_path / "100%")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is a file"):
        open_log(tmp_path / "file")


def test_nothing_is_created_by_looking(tmp_path: Path) -> None:
    log = open_log(tmp_path / "home")
    log.status(), log.apps(), log.events(), log.goldens()
    assert not (tmp_path / "home").exists()


def test_nothing_is_left_in_scratch(log: Log, tmp_path: Path) -> None:
    fill(log)
    (tmp_path / "bad.csv").write_text("ts\nnever\n")
    with pytest.raises(InputError):
        log.import_files(tmp_path / "bad.csv")
    assert list(log.layout.scratch.iterdir()) == []
