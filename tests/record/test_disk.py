"""Disks that fail for real: full, read-only, not ours, gone. The app never notices, and `doctor` says it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from whimbrel.record.frames import Kind

from .readback import bodies, records, run

_APP = """if True:
    import json, logging, os, shutil, subprocess, sys, time
    from pathlib import Path
    from whimbrel.record import Recorder
    from whimbrel.record.frames import Kind
    from whimbrel.record.reader import read_segment
    from whimbrel.store import open_log
    from whimbrel.store.health import examine

    logging.disable()
    home = Path(sys.argv[1]) / "home"
    recorder = Recorder("fares", home=home, policy={})
    def predict(n, size=10):
        with recorder.prediction({"n": n, "text": "x" * size}) as p:
            p.output(n)
        return n

    def frames():
        paths = sorted(home.rglob("*.seg"))
        return [frame for path in paths for frame in read_segment(path.read_bytes()).frames]

    def halves():
        return sum(frame.kind in (Kind.BEGIN, Kind.END) for frame in frames())

    def ends():
        return sum(frame.kind == Kind.END for frame in frames())

    def until(works):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not works(): time.sleep(0.05)

    def bad():
        return {check.name: check.says for check in examine(open_log(home)).checks if check.state == "bad"}

    def descriptors():
        return len(os.listdir("/proc/self/fd"))
"""
"""What every app of these tests begins with: a recorder, one prediction at a time, and what the doctor finds bad."""


def mounted(options: str, code: str, folder: Path) -> dict[str, Any]:
    """What an app prints as JSON in a mount namespace of its own, where `folder` is a tmpfs with these options."""
    if sys.platform != "linux" or shutil.which("unshare") is None:
        pytest.skip("needs Linux, and unshare")
    enter = ["unshare", "--map-root-user", "--mount", "sh", "-ec"]
    mount = f'mount -t tmpfs -o {options} tmpfs "$0"'
    if subprocess.run([*enter, mount, folder], capture_output=True, check=False).returncode:
        pytest.skip(f"this machine does not let us mount a tmpfs with {options}")
    command = [
        *enter,
        f'{mount}; exec "$@"',
        str(folder),
        sys.executable,
        "-W",
        "error",
        "-c",
        _APP + code,
        str(folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_a_full_disk_costs_frames_that_are_counted_and_the_rest_goes_on_once_there_is_room(tmp_path: Path) -> None:
    told = mounted(
        "size=2m",
        """
    ballast = Path(sys.argv[1]) / "ballast"
    ballast.write_bytes(bytes(1 << 20))
    predict(0)
    before = descriptors()
    for n in range(1, 400): assert predict(n, 5000) == n
    assert descriptors() == before
    full = dict(recorder.losses)
    found = bad()
    ballast.unlink()
    predict(400)
    print(json.dumps({"losses": full, "ends": ends(), "bad": found, "later": bad(), "after": recorder.losses,
        "said": [frame.decode() for frame in frames() if frame.kind == Kind.LOSS]}))
    """,
        tmp_path,
    )
    assert told["losses"].keys() == {"ENOSPC"}
    assert 150 < told["losses"]["ENOSPC"] == 401 - told["ends"], "predictions are counted, not frames"
    assert told["after"] == told["losses"], "there was room again, and something was lost"
    assert told["said"][-1] == told["losses"]
    assert "0% " in told["bad"]["disk"]
    assert f"ENOSPC: {told['losses']['ENOSPC']}" in told["later"]["drops fares"]


def test_a_read_only_disk_is_no_obstacle_and_recording_begins_once_it_can_be_written(tmp_path: Path) -> None:
    told = mounted(
        "size=16m,ro",
        """
    for n in range(50): assert predict(n) == n
    losses, found = dict(recorder.losses), bad()
    subprocess.run(["mount", "-o", "remount,rw", sys.argv[1]], check=True)
    until(lambda: predict(50) and halves() > 1)
    print(json.dumps({"losses": losses, "bad": found, "later": bad(), "halves": halves(), "lost": recorder.losses}))
    """,
        tmp_path,
    )
    assert told["losses"].keys() == {"EROFS"}
    assert told["losses"]["EROFS"] == 50
    assert told["bad"].keys() >= {"disk", "canary"}
    assert "Read-only file system" in told["bad"]["disk"]
    assert "EROFS" in told["later"]["drops fares"]
    assert told["halves"] >= 2


def test_a_home_that_is_not_ours_to_write_breaks_nothing(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o555)
    code = """
    import os
    for folder in (home, *home.parents):  # pytest's folders are for their owner alone
        if os.geteuid() == 0 and folder != home and not folder.stat().st_mode & 1: folder.chmod(0o755)
    if os.geteuid() == 0: os.seteuid(65534)  # no mode binds root
    for n in range(50): assert predict(n) == n
    print(json.dumps({"losses": recorder.losses, "bad": bad()}))
    """
    told = json.loads(run(_APP + code, tmp_path))
    assert told["losses"].keys() == {"EACCES"}
    assert told["losses"]["EACCES"] == 50
    assert told["bad"].keys() == {"disk", "canary"}
    assert "Permission denied" in told["bad"]["disk"]


def test_a_folder_that_is_deleted_under_a_running_app_is_said_by_the_doctor(tmp_path: Path) -> None:
    code = """
    predict(1)
    shutil.rmtree(home)
    until(lambda: predict(2) and recorder.losses)
    predict(3)
    print(json.dumps({"losses": recorder.losses, "bad": bad()}))
    """
    told = json.loads(run(_APP + code, tmp_path))
    assert told["losses"] == {"deleted segment": 1}
    assert "deleted segment: 1" in told["bad"]["drops fares"]
    assert records(tmp_path / "home")[-1]["outputs.score"] == 3
    assert bodies(tmp_path / "home", Kind.LOSS) == [told["losses"]]


def test_a_disk_that_is_full_from_the_start_is_left_without_drafts(tmp_path: Path) -> None:
    told = mounted(
        "size=64k",
        """
    with (Path(sys.argv[1]) / "ballast").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)): pass
        except OSError: pass
    before = descriptors()
    for n in range(50): assert predict(n) == n
    print(json.dumps({"losses": recorder.losses, "descriptors": descriptors() - before,
        "left": [path.name for path in home.rglob("*") if path.is_file()], "bad": bad()}))
    """,
        tmp_path,
    )
    assert told["losses"].keys() == {"ENOSPC"}
    assert told["losses"]["ENOSPC"] == 50
    assert (told["descriptors"], told["left"]) == (0, [])
    assert told["bad"].keys() >= {"disk", "canary"}
