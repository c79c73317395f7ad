"""Every process has a session of its own, however it came to be, and none writes into another's."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

from .readback import records, run, segments

START = """if True:
    import os, sys
    from whimbrel.record import Recorder
    recorder = Recorder("fares", home=sys.argv[1])
    def predict(who):
        with recorder.prediction({"who": who}) as p:
            p.output(1.0)
"""


def check(home: Path, expected: dict[str, int]) -> None:
    found = records(home)
    assert Counter(record["inputs.who"] for record in found) == expected
    assert all("outputs.score" in record for record in found)
    assert len({record["id"] for record in found}) == len(found)
    by_process: dict[str, set[str]] = {}
    for record in found:
        by_process.setdefault(record["recorder.process"], set()).add(record["inputs.who"])
    assert all(len(who) == 1 for who in by_process.values()), "two processes share a session"
    assert len(by_process) == len(expected)
    assert len({segment.frames[0].decode()["pid"] for _, segment in segments(home)}) == len(expected)


def test_forked_children_open_their_own_segments(tmp_path: Path) -> None:
    code = (
        START
        + """
    for _ in range(10): predict("parent")
    for child in range(4):
        pid = os.fork()
        if pid == 0:
            for _ in range(20): predict(f"child {child}")
            os._exit(0)
        predict("parent")
    while True:
        try: os.wait()
        except ChildProcessError: break
    predict("parent")
    """
    )
    run(code, tmp_path)
    check(tmp_path, {"parent": 15, **{f"child {i}": 20 for i in range(4)}})


@pytest.mark.skipif(sys.platform != "linux", reason="needs a kernel that wipes pages on fork, and its libc")
def test_a_fork_in_c_that_python_never_hears_of_is_noticed(tmp_path: Path) -> None:
    code = (
        START
        + """
    import ctypes
    libc = ctypes.PyDLL(None)
    predict("parent")
    if libc.fork() == 0:
        for _ in range(5): predict("child")
        os._exit(0)
    os.wait()
    predict("parent")
    """
    )
    run(code, tmp_path)
    check(tmp_path, {"parent": 2, "child": 5})


def test_a_child_of_a_child_has_its_own_too(tmp_path: Path) -> None:
    code = (
        START
        + """
    predict("one")
    if os.fork() == 0:
        predict("two")
        if os.fork() == 0:
            predict("three")
            os._exit(0)
        os.wait(); os._exit(0)
    os.wait()
    """
    )
    run(code, tmp_path)
    check(tmp_path, {"one": 1, "two": 1, "three": 1})


def test_a_fork_in_the_middle_of_a_prediction_leaves_it_to_the_parent(tmp_path: Path) -> None:
    code = (
        START
        + """
    with recorder.prediction({"who": "parent"}) as p:
        recorder.step("before", 1)
        pid = os.fork()
        recorder.step("after", 1 if pid else 2)
        p.output(10.0 if pid else 20.0)
    if pid == 0:
        predict("child")
        os._exit(0)
    os.wait()
    """
    )
    run(code, tmp_path)
    check(tmp_path, {"parent": 1, "child": 1})
    parent = next(record for record in records(tmp_path) if record["inputs.who"] == "parent")
    assert (parent["steps.after.value"], parent["outputs.score"]) == (1, 10.0)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_process_pools_record_every_prediction_once(tmp_path: Path, method: str) -> None:
    app = tmp_path / "app.py"
    app.write_text(
        "import multiprocessing, sys\n"
        "from whimbrel.record import Recorder\n"
        "recorder = Recorder('fares', home=sys.argv[1])\n"
        "def predict(n):\n"
        "    with recorder.prediction({'n': n}) as p:\n"
        "        p.output(2 * n)\n"
        "if __name__ == '__main__':\n"
        "    predict(-1)\n"
        f"    with multiprocessing.get_context({method!r}).Pool(2) as pool:\n"
        "        pool.map(predict, range(100), chunksize=5)\n"
        "        pool.close(); pool.join()\n"
    )
    home = tmp_path / "home"
    run(
        "import runpy, sys; runpy.run_path(sys.argv.pop(1), run_name='__main__')", app, home
    ) if method == "fork" else run(
        "import subprocess, sys; sys.exit(subprocess.call([sys.executable, *sys.argv[1:]]))", app, home
    )
    found = records(home)
    assert sorted(record["inputs.n"] for record in found) == list(range(-1, 100))
    assert all(record["outputs.score"] == 2 * record["inputs.n"] for record in found)
