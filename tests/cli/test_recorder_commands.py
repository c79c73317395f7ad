"""After a crash: what ran, what must be kept, whether recording works at all. Against real recorders in real processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from whimbrel.record import Recorder
from whimbrel.record.frames import folder_of
from whimbrel.store.holds import held

from .conftest import Program

APP = """if True:
    import os, sys
    from whimbrel.record import Recorder
    recorder = Recorder("fares", home=sys.argv[1], model="fares@7")
    with recorder.prediction({"n": 1}, channel="ios") as p:
        p.output(0.25)
    recorder.prediction({"n": 2}, id="suspect").__enter__()
    print("running", flush=True)
    sys.stdin.read()
    os._exit(3)
"""


@contextmanager
def app(home: Path) -> Iterator[int]:
    """An app that has made one prediction and is making another; it dies in the middle of that where this is left."""
    process = subprocess.Popen(
        [sys.executable, "-c", APP, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "running\n"
    try:
        yield process.pid
    finally:
        process.communicate()
        assert process.returncode == 3


def test_ls_names_what_runs_and_after_the_crash_what_never_ended(whimbrel: Program) -> None:
    with app(whimbrel.home) as pid:
        ended, running = sorted(whimbrel("ls", "--json").json["predictions"], key=lambda row: str(row["state"]))
        assert ended["outputs.score"] == 0.25
        assert (running["id"], running["state"], running["pid"]) == ("suspect", "running", pid)
        assert running["running_s"] >= 0
        assert f"in process {pid}" in whimbrel("ls", "--unfinished").out
    (row,) = whimbrel("ls", "--unfinished", "--json").json["predictions"]
    assert (row["id"], row["state"]) == ("suspect", "unfinished")
    assert "1 unfinished" in whimbrel("ls", "--unfinished", "--last", "1h").out
    assert whimbrel("ls", "--unfinished", "--where", "channel=ios", "--json").json == {"predictions": []}


def test_ls_lists_the_newest_first(whimbrel: Program) -> None:
    recorder = Recorder("fares", home=whimbrel.home)
    start = datetime(2026, 3, 2, tzinfo=UTC)
    for i in range(50):
        with recorder.prediction({"n": i}, id=f"p{i:02}", ts=start + timedelta(hours=i), channel="abc"[i % 3]) as p:
            p.output(float(i))
    recorder.close()
    assert [row["id"] for row in whimbrel("ls", "--limit", "3", "--json").json["predictions"]] == ["p49", "p48", "p47"]
    found = whimbrel("ls", "--where", "channel=a", "--until", "2026-03-03", "--limit", "2", "--json").json
    assert [row["id"] for row in found["predictions"]] == ["p21", "p18"]
    assert len(whimbrel("ls", "--limit", "1000", "--json").json["predictions"]) == 50
    assert whimbrel("ls", "--unfinished").out == "No prediction is unfinished.\n"
    assert whimbrel("ls", "--limit", "0").code == 2


def test_ls_of_an_empty_log_says_so(whimbrel: Program) -> None:
    assert whimbrel("ls").code == 4


def test_hold_takes_in_what_waits_and_keeps_the_stretch(whimbrel: Program) -> None:
    with app(whimbrel.home):
        made = whimbrel("hold", "--last", "10m", "--name", "incident-1", "--reason", "wrong fares", "--json")
    assert made.code == 0, made.err
    assert made.json["predictions"] == {"fares": 1}
    (hold,) = held(whimbrel.home / "holds")
    assert hold.to_dict() | {"predictions": {"fares": 1}} == made.json
    assert hold.covers("fares", hold.since)
    assert hold.covers("another", hold.since)
    assert not hold.covers("fares", hold.until)
    assert hold.until - hold.since == timedelta(minutes=10)
    assert "wrong fares" not in whimbrel("hold", "list").out
    assert "incident-1" in whimbrel("hold", "list").out
    again = whimbrel("hold", "--last", "10m", "--name", "incident-1", "--json")
    assert again.code == 2
    assert "already" in again.json["error"]["what"]
    assert whimbrel("hold", "release", "incident-1").code == 0
    assert whimbrel("hold", "list", "--json").json == {"holds": []}


def test_what_is_held_is_kept_whatever_the_policy_leaves_out(whimbrel: Program, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text("[retain]\nshare = 0.0\n")
    recorder = Recorder("fares", home=whimbrel.home)
    now = datetime.now(UTC)
    for minutes in range(20):
        with recorder.prediction({"n": minutes}, ts=now - timedelta(minutes=minutes)):
            pass
    recorder.close()
    made = whimbrel("hold", "--last", "10m", "--json", WHIMBREL_POLICY=str(policy))
    assert made.json["predictions"] == {"fares": 10}, made.err
    assert whimbrel("status", "--json").json["apps"][0]["predictions"] == 10


def test_hold_refuses_what_would_keep_nothing(whimbrel: Program) -> None:
    assert whimbrel("hold", "--last", "10m").code == 4
    recorder = Recorder("fares", home=whimbrel.home)
    with recorder.prediction({"n": 1}, channel="ios"):
        pass
    recorder.close()
    assert whimbrel("hold").code == 2
    assert whimbrel("hold", "--last", "10m", "--where", "channel=ios").code == 2
    assert whimbrel("hold", "--since", "2020-01-01", "--until", "2020-01-02").code == 4
    assert whimbrel("hold", "--last", "10m", "--app", "nobody").code in (2, 4)
    assert whimbrel("hold", "--last", "10m", "--name", "../x").code == 2
    assert held(whimbrel.home / "holds") == ()
    assert whimbrel("hold", "release", "none").code == 2


def test_doctor_sends_a_canary_the_whole_way_and_changes_nothing(whimbrel: Program) -> None:
    ran = whimbrel("doctor")
    assert ran.code == 0, ran.out
    assert "All is well" in ran.out
    assert not whimbrel.home.exists()
    with app(whimbrel.home):
        before = sorted(path for path in whimbrel.home.rglob("*"))
        told = whimbrel("doctor", "--json").json
        assert told["well"] is True
        assert sorted(path for path in whimbrel.home.rglob("*")) == before
        (fares,) = told["waiting"]
        assert (fares["predictions"], fares["running"], fares["writers"], fares["dead"]) == (1, 1, 1, 0)
    (fares,) = whimbrel("doctor", "--json").json["waiting"]
    assert (fares["predictions"], fares["running"], fares["writers"], fares["dead"]) == (1, 0, 0, 1)
    whimbrel("status")
    kept = {check["name"]: check["says"] for check in whimbrel("doctor", "--json").json["checks"]}
    assert kept["log fares"] == "2 predictions in its last day: 1 unfinished, 0 not wholly kept"


def wrong(ran_out: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    """What is bad, by name."""
    return {check["name"]: check["says"] for check in ran_out["checks"] if check["state"] == "bad"}


def test_doctor_says_that_recording_is_switched_off(whimbrel: Program) -> None:
    ran = whimbrel("doctor", "--json", WHIMBREL="off")
    assert ran.code == 1
    assert wrong(ran.json).keys() == {"switch"}


def test_doctor_reads_the_policy(whimbrel: Program, tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text('[retain]\nshare = 0.0\n[record.redact]\n"inputs.text" = "drop"\n')
    told = whimbrel("doctor", "--json", WHIMBREL_POLICY=str(policy)).json
    assert wrong(told) == {}
    says = {check["name"]: check["says"] for check in told["checks"]}
    assert says["policy"] == "segments may take 4.29 GB, 1 redacted paths, 0% of ordinary predictions are retained"
    policy.write_text("[retain]\nshare = 7\n")
    assert "share = 7" in wrong(whimbrel("doctor", "--json", WHIMBREL_POLICY=str(policy)).json)["policy"]


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that not even root can write")
def test_doctor_says_that_the_folder_cannot_be_written(whimbrel: Program) -> None:
    ran = whimbrel("doctor", "--home", "/proc/whimbrel", "--json")
    assert ran.code == 1
    assert wrong(ran.json).keys() == {"disk", "canary"}


def test_doctor_says_what_was_lost_and_what_waits_too_long(whimbrel: Program) -> None:
    recorder = Recorder("fares", home=whimbrel.home)
    for i in range(3):
        with recorder.prediction({"n": i}, ts=datetime.now(UTC) - timedelta(hours=3)):
            pass
    recorder.close()
    (segment,) = (whimbrel.home / "segments" / folder_of("fares")).glob("*.seg")
    data = bytearray(segment.read_bytes())
    data[data.index(b"inputs")] ^= 1  # the first BEGIN: its checksum no longer fits
    segment.write_bytes(data)
    ran = whimbrel("doctor", "--json")
    assert ran.code == 1
    found = wrong(ran.json)
    assert found.keys() == {"lag fares", "drops fares"}
    assert "damaged" in found["drops fares"]
    assert "the oldest 3 h" in found["lag fares"]
