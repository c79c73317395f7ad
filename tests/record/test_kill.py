"""`kill -9` at any moment loses nothing that a call had returned for, and names the prediction that was running."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

from .readback import records, script, segments

APP = """if True:
    import os, sys
    from whimbrel.record import Recorder
    recorder = Recorder("fares", home=sys.argv[1])
    def say(*words): os.write(1, (" ".join(map(str, words)) + "\\n").encode())
    n = 0
    while True:
        n += 1
        with recorder.prediction({"n": n, "text": "x" * (n * 37 % 900)}) as p:
            say("begun", p.id, n)
            recorder.step("double", 2 * n)
            p.output(n)
        say("ended", p.id, n)
"""


def test_nothing_acknowledged_is_lost_to_a_kill_at_any_moment(tmp_path: Path) -> None:
    chance = random.Random(7)
    running = 0
    for round_ in range(12):
        home = tmp_path / str(round_)
        process = script(APP, home)
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(chance.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        said = [first.split(), *(line.split() for line in process.stdout.read().splitlines())]
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        process.stderr.close()
        process.wait()
        found = {record["id"]: record for record in records(home)}
        begun = {words[1]: int(words[2]) for words in said if len(words) == 3 and words[0] == "begun"}
        ended = {words[1]: int(words[2]) for words in said if len(words) == 3 and words[0] == "ended"}
        assert {i: found[i]["inputs.n"] for i in begun} == begun
        assert {i: found[i]["outputs.score"] for i in ended} == ended
        assert {i: found[i]["steps.double.value"] for i in ended} == {i: 2 * n for i, n in ended.items()}
        unfinished = [r for r in found.values() if r.get("error", "").startswith("unfinished")]
        assert len(unfinished) <= 1
        running += len(unfinished)
        assert sorted(r["recorder.seq"] for r in found.values()) == list(range(1, len(found) + 1))
    assert running, "no kill ever hit a running prediction: this test shows less than it says"


def test_a_crash_in_the_models_own_code_leaves_its_inputs(tmp_path: Path) -> None:
    code = """if True:
        import ctypes, sys
        from whimbrel.record import Recorder
        recorder = Recorder("fares", home=sys.argv[1])
        with recorder.prediction({"fare": 12.5}, country="US"):
            ctypes.string_at(0)
    """
    process = script(code, tmp_path)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGSEGV
    (record,) = records(tmp_path)
    assert record["inputs.fare"] == 12.5
    assert record["context.country"] == "US"
    assert record["error"].startswith("unfinished")


def test_what_took_long_to_make_survives_the_crash_of_what_came_next(tmp_path: Path) -> None:
    code = """if True:
        import os, sys, time
        from whimbrel.record import Recorder
        recorder = Recorder("fares", home=sys.argv[1])
        @recorder.step
        def retrieve(q): time.sleep(0.002); return ["doc 1", "doc 2"]
        with recorder.prediction({"q": "why"}) as p:
            retrieve("why")
            time.sleep(0.002)
            recorder.step("prompt", "x" * 10)
            time.sleep(0.002)
            p.output(text="because")
            recorder.step("quick", 1)
            os.kill(os.getpid(), 9)
    """
    script(code, tmp_path).communicate(timeout=30)
    (record,) = records(tmp_path)
    assert record["steps.retrieve.value"] == ["doc 1", "doc 2"]
    assert record["code.retrieve"]
    assert record["steps.prompt.value"] == "x" * 10
    assert record["outputs.text"] == "because"
    assert record["error"].startswith("unfinished")


def test_a_killed_process_lets_go_of_its_segment(tmp_path: Path) -> None:
    import fcntl

    from whimbrel.record.segment import lock

    process = script(APP, tmp_path)
    assert process.stdout is not None
    process.stdout.readline()
    ((path, segment),) = segments(tmp_path)
    assert segment.header.flags & 1
    with path.open("rb") as file:
        assert not lock(file.fileno(), fcntl.LOCK_SH)
        process.kill()
        process.communicate()
        assert lock(file.fileno(), fcntl.LOCK_SH)
