"""A sidecar beside a real app: what it saw is in the log once, and tied to the predictions that ran on it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import whimbrel
from whimbrel.hardware.sidecar import Sidecar
from whimbrel.record import Recorder
from whimbrel.store.sql import connect

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's files are Linux's")


def rows(home: Path) -> list[dict[str, Any]]:
    """The table `hardware`, in order of time."""
    log = whimbrel.open(home)
    log.ingest()
    table = log.layout.hardware
    with connect() as con:
        con.execute(
            "SELECT * REPLACE (epoch_us(ts) AS ts) FROM read_parquet(?) ORDER BY ts", [list(table.files(table.open()))]
        )
        names = [column[0] for column in con.description or ()]
        return [
            {name: value for name, value in zip(names, row, strict=True) if value is not None} for row in con.fetchall()
        ]


def test_the_hosts_and_the_processes_rows_lead_to_the_predictions(tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path)
    with Sidecar(tmp_path) as sidecar, recorder.prediction({"n": 1}):
        sidecar.tick()
        sum(range(3_000_000))
        sidecar.tick()
    recorder.close()
    found = rows(tmp_path)
    assert [row["subject"] for row in found] == ["host", "process", "host", "process"]
    with connect() as con:
        log = whimbrel.open(tmp_path)
        ((session, host),) = con.execute(
            "SELECT recorder.process, hardware.host FROM read_parquet(?)", [list(log.source("fares").files)]
        ).fetchall()
        table = log.layout.processes
        query = "SELECT id, boot, cpus FROM read_parquet(?) WHERE app = 'fares'"
        ((id_, boot, cpus),) = con.execute(query, [list(table.files(table.open()))]).fetchall()
    ours = found[-1]
    assert (ours["process"], ours["what"], ours["pid"]) == (session, "fares", os.getpid())
    assert id_ == session
    assert {(row["host"], row["boot"]) for row in found} == {(host, boot)}
    assert ours["cpu_share"] > 0
    assert 0 < found[2]["cpu_share"] <= 1
    assert cpus >= 1
    assert len({row["sidecar"] for row in found}) == 1


def test_rows_come_in_once_however_often_they_are_read(tmp_path: Path) -> None:
    with Sidecar(tmp_path) as sidecar:
        sidecar.tick()
        assert len(rows(tmp_path)) == 1
        sidecar.tick()
        for mark in (tmp_path / "counters").glob(".*.mark"):
            mark.unlink()
        assert len(rows(tmp_path)) == 2
        assert len(rows(tmp_path)) == 2
    assert len(rows(tmp_path)) == 2
    assert not [path for path in (tmp_path / "counters").iterdir() if path.suffix in (".seg", ".mark")]


def test_what_cannot_be_seen_is_said_once(tmp_path: Path) -> None:
    code = "import sys; from whimbrel.record import Recorder\nwith Recorder('fares', home=sys.argv[1]).prediction({}): pass"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    with Sidecar(tmp_path) as sidecar:
        (_, gone) = sidecar.tick()
        assert gone["absent"] == "it has ended, or runs in another container"
        assert len(sidecar.tick()) == 1


@contextmanager
def program(home: Path, *command: str) -> Iterator[subprocess.Popen[str]]:
    """A sidecar as a process of its own, once it has looked twice."""
    process = subprocess.Popen(
        [sys.executable, *command, "--every", "0.1", "--home", str(home)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        for _ in range(600):
            assert process.poll() is None, process.communicate()
            sizes = [path.stat().st_size for path in (home / "counters").glob("*.seg")]
            if sizes and sizes[0] > 3000:
                break
            time.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.communicate()


WHIMBREL = ("-c", "import sys; from whimbrel.cli import main; sys.exit(main())", "sidecar")


def test_one_looks_after_a_home_until_it_is_told_to_end(tmp_path: Path) -> None:
    with program(tmp_path, *WHIMBREL) as process:
        again = subprocess.run(
            [sys.executable, "-m", "whimbrel.hardware", "--home", str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert again.returncode == 2
        assert "already" in again.stderr
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 0, err
        assert out.startswith("Looked ")
    assert {row["subject"] for row in rows(tmp_path)} == {"host"}


def test_one_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    with program(tmp_path, "-m", "whimbrel.hardware"):
        pass
    assert len(rows(tmp_path)) >= 2
