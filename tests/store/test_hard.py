"""Hard times: many writers, kills, full disks, damage. No row is lost, none is doubled, nothing half-written counts."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from whimbrel.errors import StoreError
from whimbrel.store import Log, open_log

from .readback import rows_of

PYTHON = sys.executable


def start(code: str, *args: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [PYTHON, "-c", code, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def frame(n: int, prefix: str = "i") -> pd.DataFrame:
    stamps = pd.date_range("2026-01-01", periods=n, freq="5min")
    return pd.DataFrame(
        {"id": [f"{prefix}{i}" for i in range(n)], "ts": stamps, "inputs.x": range(n), "context.c": "US"}
    )


IMPORT = "import sys; from whimbrel.store import open_log; a = open_log(sys.argv[1]).import_files(sys.argv[2], app='x'); print(a.rows, a.duplicates)"


def test_two_imports_of_one_file_at_once_take_it_in_once(log: Log, tmp_path: Path) -> None:
    frame(4000).to_parquet(tmp_path / "a.parquet")
    runs = [start(IMPORT, log.home, tmp_path / "a.parquet") for _ in range(3)]
    done = [run.communicate(timeout=120) for run in runs]
    assert sorted(out.split() for out, _ in done) == [["0", "4000"], ["0", "4000"], ["4000", "0"]], done
    assert sorted(rows_of(log.source("x")).ids) == sorted(frame(4000)["id"])


APPEND = """
import sys
from whimbrel.store import open_log
log, who = open_log(sys.argv[1]), sys.argv[2]
for i in range(4):
    rows = [{"id": f"{who}-{i}-{k}", "ts": 1767225600 + k, f"inputs.{who}": k, "inputs.both": k} for k in range(50)]
    log.append("x", [*rows, {"id": "shared", "ts": 1767225600, "inputs.both": 1}])
"""


def test_many_writers_with_new_fields_lose_and_double_nothing(log: Log) -> None:
    runs = [start(APPEND, log.home, f"w{k}") for k in range(2)]
    for run in runs:
        _, error = run.communicate(timeout=120)
        assert run.returncode == 0, error
    ids = rows_of(log.source("x")).ids
    assert len(ids) == len(set(ids)) == 2 * 4 * 50 + 1
    assert {f.path for f in log.source("x").schema} == {"inputs.both", "inputs.w0", "inputs.w1"}


def test_writers_without_the_lock_file_are_told_apart_by_the_table_itself(log: Log, tmp_path: Path) -> None:
    """Two machines share no lock; Delta's own transaction numbers must then keep an id from coming in twice."""
    log.append("x", [{"id": "first", "ts": 1_767_225_600, "inputs.x": 0}])
    code = APPEND.replace("log, who =", "import fcntl; fcntl.flock = lambda *a: None\nlog, who =")
    runs = [start(code, log.home, f"w{k}") for k in range(2)]
    for run in runs:
        _, error = run.communicate(timeout=120)
        assert run.returncode == 0, error
    ids = rows_of(log.source("x")).ids
    assert len(ids) == len(set(ids)) == 2 * 4 * 50 + 2


def test_an_import_that_is_killed_is_completed_by_the_same_import(log: Log, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for k in range(6):
        frame(3000, f"f{k}-").drop(columns="id").assign(**{"inputs.k": k}).to_csv(
            tmp_path / "in" / f"{k}.csv", index=False
        )
    random.seed(7)
    for _ in range(3):
        run = start(IMPORT, log.home, tmp_path / "in")
        time.sleep(random.uniform(0.8, 2.5))
        run.send_signal(signal.SIGKILL)
        run.communicate()
        if "x" in log.apps():
            assert log.status().apps[0].predictions % 3000 == 0  # whole files only
    log.import_files(tmp_path / "in", app="x")
    ids = rows_of(log.source("x")).ids
    assert len(ids) == len(set(ids)) == 6 * 3000
    assert list(log.layout.scratch.iterdir()) == []


FULL = """
import resource, sys
from whimbrel.errors import WhimbrelError
from whimbrel.store import open_log
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    print(open_log(sys.argv[1]).import_files(sys.argv[2], app="x").rows)
except WhimbrelError as error:
    print(type(error).__name__, "|", error.what, "|", error.why, "|", error.next)
"""


@pytest.mark.parametrize("limit", [0, 200, 20_000])
def test_a_full_disk_is_said_and_nothing_half_written_counts(log: Log, tmp_path: Path, limit: int) -> None:
    frame(20_000).assign(**{"inputs.y": [random.random() for _ in range(20_000)]}).to_parquet(tmp_path / "a.parquet")
    out, error = start(FULL, log.home, tmp_path / "a.parquet", limit).communicate(timeout=120)
    assert out.startswith("StoreError |"), out + error
    assert "disk is full" in out
    assert "x" not in log.apps() or log.status().apps[0].predictions == 0
    assert log.import_files(tmp_path / "a.parquet", app="x").rows == 20_000
    assert len(rows_of(log.source("x"))) == 20_000


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for home in (tmp_path / "file" / "below", Path("/proc/whimbrel")):
        with pytest.raises(StoreError, match="cannot write") as caught:
            open_log(home).append("x", [{"ts": 1_767_225_600}])
        assert "--home" in caught.value.next


def test_a_damaged_table_is_said(log: Log) -> None:
    log.append("x", [{"id": "a", "ts": 1_767_225_600}])
    for commit in (log.layout.predictions("x").folder / "_delta_log").glob("*.json"):
        commit.write_text("{not json")
    with pytest.raises(StoreError):
        log.source("x")
    with pytest.raises(StoreError):
        log.status()


def test_a_large_file_goes_through_little_memory(log: Log, tmp_path: Path) -> None:
    """300 MB of columns pass through a process that may hold far less than that beside its libraries."""
    import duckdb

    columns = ", ".join(f'random() AS "inputs.f{k}"' for k in range(50))
    path = tmp_path / "big.parquet"
    duckdb.execute(
        f"""COPY (SELECT i::VARCHAR AS id, timestamp '2026-01-01' + to_seconds(i % 2592000) AS ts, {columns}
        FROM range(150000) t(i)) TO '{path}' (ROW_GROUP_SIZE 20000)"""
    )
    # Not ru_maxrss: that counts the process it was forked from as well.
    code = (
        IMPORT + "; print(next(int(l.split()[1]) // 1024 for l in open('/proc/self/status') if l.startswith('VmHWM')))"
    )
    out, error = start(code, log.home, path).communicate(timeout=300)
    assert out.startswith("150000 0"), error
    assert int(out.split()[2]) < 900
