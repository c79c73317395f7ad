"""Retention by age: what is old goes, with its labels; what somebody needs stays, and it is said who."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from tests.cli.conftest import Program
from tests.ledger.scenes import Scene
from whimbrel.engine import engine_named
from whimbrel.errors import StoreError
from whimbrel.ledger.needs import needs_of
from whimbrel.ledger.reader import read_head
from whimbrel.model.window import Window
from whimbrel.store import Log, holds, open_log

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
DAYS = 6
KEEP = datetime.now(UTC) - TODAY + timedelta(days=3)
"""To the beginning of the third day before today, whatever the time: of that day's file some rows are always younger."""
HOURS = f"{KEEP // timedelta(hours=1)}h"
NO_GRACE = timedelta(0)


def at(day: int, hour: float = 0) -> datetime:
    """So many days before today, at an hour."""
    return TODAY - timedelta(days=day) + timedelta(hours=hour)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """Twelve predictions a day, at each even hour, of the last six days; each with a late label."""
    log = open_log(tmp_path / "home")
    rows = [(f"{day}-{hour:02d}", at(day, hour)) for day in range(1, DAYS + 1) for hour in range(0, 24, 2)]
    frame = pd.DataFrame(rows, columns=["id", "ts"])
    frame["inputs.fare"] = 1.0
    log.add(frame, app="shop")
    log.add_labels("shop", [{"id": ident, "label": 1.0} for ident, _ in rows])
    log.add_decisions("shop", [{"id": ident, "path": "decision", "value": "yes"} for ident, _ in rows])
    return log


def ids(log: Log, kind: str = "predictions") -> set[str]:
    table = getattr(log.layout, kind)("shop")
    found = duckdb.execute("SELECT id FROM read_parquet($1)", [list(table.files(table.open()))]).fetchall()
    assert len(found) == len({row[0] for row in found})
    return {row[0] for row in found}


def days(*wanted: int) -> set[str]:
    return {f"{day}-{hour:02d}" for day in wanted for hour in range(0, 24, 2)}


def test_old_predictions_go_with_their_labels_and_decisions(log: Log) -> None:
    dry = log.compact(keep=KEEP, grace=NO_GRACE, dry=True)
    assert ids(log) == days(1, 2, 3, 4, 5, 6)
    done = log.compact(keep=KEEP, grace=NO_GRACE)
    assert done.dropped[0].predictions == dry.dropped[0].predictions == 36
    assert done.dropped[0].late == 72
    assert done.dropped[0].kept == {}
    for kind in ("predictions", "labels", "decisions"):
        assert ids(log, kind) == days(1, 2, 3)
    left = [path for path in log.home.rglob("*.parquet") if "checkpoint" not in path.name]
    for path in left:  # nothing of what was dropped is left on the disk
        assert not {row[0] for row in duckdb.execute("SELECT id FROM read_parquet($1)", [str(path)]).fetchall()} & days(
            4, 5, 6
        )
    assert log.compact(keep=KEEP, grace=NO_GRACE).dropped[0].predictions == 0


def test_what_golden_a_hold_and_a_session_need_stays_and_is_named(log: Log) -> None:
    golden = log.set_golden("good", Window("shop", at(6, 4), at(6, 9)))
    holds.save(log.layout.holds, holds.Hold("incident", at(5, 20), at(4, 3)))
    log.layout.sessions.mkdir()
    session = {
        "schema": "whimbrel.session/1",
        "app": "shop",
        "predictions": [{"label": None, "record": {"id": "5-04"}}],
    }
    (log.layout.sessions / "wrong.json").write_text(json.dumps(session))
    done = log.compact(keep=KEEP, grace=NO_GRACE).dropped[0]
    needed = {"6-04", "6-06", "6-08", "5-20", "5-22", "4-00", "4-02", "5-04"}
    assert ids(log) == ids(log, "labels") == ids(log, "decisions") == days(1, 2, 3) | needed
    assert done.kept == {"golden good": 3, "hold incident": 4, "session wrong": 1}
    assert done.predictions == 36 - len(needed)
    ask = engine_named()
    old = log.source("shop", golden.version)
    assert ask.extent(old, golden.window)[0] == golden.predictions == 3
    assert list(ask.rows(old, golden.window, paths=["label"]).ids) == ["6-04", "6-06", "6-08"]

    (log.layout.golden / "good.json").unlink()
    holds.release(log.layout.holds, "incident")
    (log.layout.sessions / "wrong.json").unlink()
    assert log.compact(keep=KEEP, grace=NO_GRACE).dropped[0].predictions == len(needed)
    assert ids(log) == days(1, 2, 3)


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("golden/good.json", '{"schema": "whimbrel.golden/1", "name": "go'),
        ("golden/good.json", ""),
        ("holds/incident.json", "{"),
        ("sessions/wrong.json", '{"app": "shop"}'),
    ],
)
def test_where_a_need_cannot_be_read_nothing_is_dropped(log: Log, where: str, text: str) -> None:
    (log.home / where).parent.mkdir(exist_ok=True)
    (log.home / where).write_text(text)
    with pytest.raises(StoreError, match=Path(where).stem):
        log.compact(keep=KEEP, grace=NO_GRACE)
    assert ids(log) == days(1, 2, 3, 4, 5, 6)


def test_the_ledger_reads_everything_before_it_goes(tmp_path: Path) -> None:
    """What it has not read is not dropped, and what it has half read keeps its files and commits, merged though they were."""
    scene = Scene(tmp_path / "scene")
    scene.begin()
    log = scene.log

    def add(start: int) -> None:
        frame = pd.DataFrame({"id": [f"i{n}" for n in range(start, start + 20)], "inputs.fare": 1.0})
        frame["ts"] = [at(5) + timedelta(seconds=n) for n in range(start, start + 20)]
        log.add(frame, app="fares")

    def tidy(keep: timedelta = KEEP) -> dict[str, int]:
        return log.compact(keep=keep, grace=NO_GRACE, needs=needs_of(log)).dropped[0].kept

    def sequenced() -> int:
        scene.take()
        return read_head(scene.folder)[0].size

    add(0)
    add(20)
    assert list(tidy().values()) == [40]  # the ledger has not met the app yet
    size = sequenced()
    add(40)
    add(60)
    assert [count for why, count in tidy().items() if "ledger" in why] == [40]
    assert sequenced() == size + 40 + 1  # and a heartbeat
    assert tidy() == {}
    assert log.status().apps[0].predictions == 0


def test_the_command_says_what_would_go_and_who_needs_what_stays(log: Log) -> None:
    whimbrel = Program(log.home)
    log.set_golden("good", Window("shop", at(6, 4), at(6, 9)))
    ran = whimbrel("compact", "--keep", HOURS, "--dry-run")
    assert ran.code == 0
    assert "33 predictions would be dropped" in ran.out
    assert "golden good" in ran.out
    told = whimbrel("compact", "--keep", HOURS, "--json").json
    assert told["dropped"][0]["kept"] == {"golden good": 3}
    assert whimbrel("compact", "--keep", "soon").code == 2
    assert whimbrel("compact", "--keep", "1h").code == 2
    assert whimbrel("compact", "--app", "other").code == 2
    assert whimbrel("ingest").code == 0
