"""The facts of a process are true, cheap, and absent where they are unknown."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest

from whimbrel.record import process
from whimbrel.record.frames import Kind

from .readback import bodies, run


def test_the_facts_are_those_of_this_process() -> None:
    facts = process.facts()
    assert facts["pid"] == os.getpid()
    assert facts["host"] == platform.node()
    assert facts["python"] == platform.python_version()
    assert 0 < facts["cpus"] <= (os.cpu_count() or 1)
    assert facts["memory_bytes"] > 1 << 28
    assert facts["cpu"]
    assert time.time() - 3600 < facts["started"] <= time.time()
    assert facts["libraries"]["pytest"] == version("pytest")
    assert facts["libraries"]["msgspec"] == version("msgspec")
    assert not facts["libraries"].keys() & set(sys.stdlib_module_names)


def test_only_what_is_loaded_is_a_library() -> None:
    code = "from whimbrel.record import process; print(sorted(process.libraries()))"
    assert "numpy" not in run(code)
    assert "numpy" in run("import numpy\n" + code)


@pytest.mark.skipif(sys.platform != "linux", reason="where the driver shows itself is Linux's")
def test_a_gpu_is_named_or_its_absence_explained() -> None:
    facts = process.lasting()
    if any(Path(path).exists() for path in ("/proc/driver/nvidia/version", "/dev/nvidiactl")):
        assert facts["gpu"] or facts["gpu_probe"].startswith("NVML")
    else:
        assert "gpu" not in facts
        assert facts["gpu_probe"] == "no NVIDIA driver is loaded"


RECORD = """
import sys
from whimbrel.record import Recorder
with Recorder("fares", home=sys.argv[1]).prediction({}): pass
"""


def recorded(folder: Path, home: Path, **env: str) -> dict[str, object]:
    """The facts that an app in `folder` records."""
    app = folder / "app.py"
    app.write_text(RECORD)
    subprocess.run([sys.executable, str(app), str(home)], check=True, env={**os.environ, **env}, cwd="/")
    (facts,) = bodies(home, Kind.PROCESS)
    assert isinstance(facts, dict)
    return facts


def test_the_commit_is_that_of_the_apps_folder(tmp_path: Path) -> None:
    folder = tmp_path / "repository"
    folder.mkdir()
    assert "commit" not in recorded(folder, tmp_path / "none")

    def git(*words: str) -> str:
        names = ("-c", "user.name=a", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false")
        return subprocess.run(
            ("git", *names, *words), cwd=folder, check=True, capture_output=True, text=True
        ).stdout.strip()

    git("init", "--quiet")
    assert "commit" not in recorded(folder, tmp_path / "empty")
    git("add", "app.py")
    git("commit", "--quiet", "-m", "first")
    facts = recorded(folder, tmp_path / "clean")
    assert (facts["commit"], facts["dirty"]) == (git("rev-parse", "HEAD"), False)
    (folder / "other.py").write_text("")
    git("add", "other.py")
    assert recorded(folder, tmp_path / "dirty")["dirty"] is True
    assert recorded(folder, tmp_path / "given", WHIMBREL_COMMIT="3f2c91")["commit"] == "3f2c91"


def test_a_forked_child_tells_its_own_pid_and_start(tmp_path: Path) -> None:
    code = """if True:
        import os, sys, time
        from whimbrel.record import Recorder
        recorder = Recorder("fares", home=sys.argv[1])
        with recorder.prediction({}): pass
        time.sleep(0.05)
        pid = os.fork()
        if pid == 0:
            with recorder.prediction({}): pass
            os._exit(0)
        os.waitpid(pid, 0); print(os.getpid(), pid)
    """
    pids = [int(word) for word in run(code, tmp_path).split()]
    parent, child = bodies(tmp_path, Kind.PROCESS)
    assert [parent["pid"], child["pid"]] == pids
    assert child["started"] > parent["started"]
    assert child["process"] != parent["process"]
