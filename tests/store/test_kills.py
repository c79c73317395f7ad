"""The log under kills: ingest, compaction and retention killed at any moment; nothing is lost, nothing is there twice.

A few kills with the other tests, fifty of each kind with `make soak`.
"""

from __future__ import annotations

import os
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from tests.record.readback import script
from whimbrel.record import Recorder
from whimbrel.store import Log, holds, open_log

FULL = os.environ.get("WHIMBREL_SOAK") == "full"
KILLS = 50 if FULL else 2
NO_GRACE = timedelta(0)

WORK = """if True:
    import sys, datetime as dt
    from whimbrel.store import open_log
    import duckdb, deltalake, arro3.core, whimbrel.store.tidy, whimbrel.store.ingest
    log, keep = open_log(sys.argv[1]), {"compact": None, "keep": dt.timedelta(days=3)}
    print("go", flush=True)
    while True:
        if sys.argv[2] == "ingest":
            log.ingest()
        else:
            log.compact(keep=keep[sys.argv[2]], grace=dt.timedelta(0))
"""


def ids(log: Log, kind: str = "predictions") -> list[str]:
    table = getattr(log.layout, kind)("fares")
    found = duckdb.execute("SELECT id FROM read_parquet($1)", [list(table.files(table.open()))]).fetchall()
    return [row[0] for row in found]


def more(log: Log, turn: int, now: datetime) -> tuple[set[str], set[str], set[str]]:
    """More work: predictions of today that wait in segments, and old ones in the table, some held. Gives ids: new, held, old."""
    recorder = Recorder("fares", home=log.home)
    new = set()
    for n in range(60):
        with recorder.prediction({"n": n}) as p:
            p.output(float(n))
            new.add(p.id)
    recorder.close()
    rows = [(f"{turn}-{day}-{n}", now - timedelta(days=day, minutes=n)) for day in (4, 5, 6) for n in range(20)]
    for part in (rows[::2], rows[1::2]):
        frame = pd.DataFrame(part, columns=["id", "ts"])
        frame["inputs.n"] = 1.0
        log.add(frame, app="fares")
    log.add_labels("fares", [{"id": ident, "label": 1.0} for ident, _ in rows])
    held = {ident for ident, _ in rows if ident.split("-")[1] == "5"}
    return new, held, {ident for ident, _ in rows} - held


@pytest.mark.parametrize("work", ["ingest", "compact", "keep"])
def test_killed_at_any_moment_and_run_again(tmp_path: Path, work: str) -> None:
    log, chance, now = open_log(tmp_path / "home"), random.Random(7), datetime.now(UTC).replace(hour=12)
    stretch = now - timedelta(days=5, hours=2), now - timedelta(days=5, hours=-2)
    holds.save(log.layout.holds, holds.Hold("incident", *stretch))
    new, held, old = set[str](), set[str](), set[str]()
    stopped = 0
    for turn in range(KILLS):
        if turn % 5 == 0 or not FULL:
            for known, came in zip((new, held, old), more(log, turn, now), strict=True):
                known |= came
        if work != "ingest":
            log.ingest()
        process = script(WORK, log.home, work)
        assert process.stdout is not None
        assert process.stdout.readline() == "go\n", process.communicate()[1]
        time.sleep(chance.random() * 0.4)
        stopped += process.poll() is None
        process.kill()
        process.communicate()
        found = ids(log)
        assert len(found) == len(set(found))
        assert held <= set(found) <= new | held | old
        assert work == "ingest" or new <= set(found)
        assert work == "keep" or old <= set(found)
    assert stopped == KILLS, "the work ended before it was killed: this test shows less than it says"
    log.ingest()
    log.compact(keep=timedelta(days=3), grace=NO_GRACE)
    assert sorted(ids(log)) == sorted(new | held)
    assert sorted(ids(log, "labels")) == sorted(held)
    folder = log.layout.predictions("fares").folder
    left = {str(path) for path in folder.rglob("*.parquet") if path.parent.name != "_delta_log"}
    assert left == set(log.source("fares").files)
    assert log.find(min(held)).label_ts is None
