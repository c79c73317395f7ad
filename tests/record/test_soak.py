"""The recorder under fire: kills, forks, threads and disks at odds with it.

`make soak` runs these at the counts that the figures in benchmarks/README.md are stated for; here they are cut short.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from whimbrel.record.frames import Kind
from whimbrel.store.log import open_log

from .readback import bodies, records, run, script, segments
from .test_ingest import rows, waiting

FULL = os.environ.get("WHIMBREL_SOAK") == "full"
KILLS = 100 if FULL else 5
FORKS = 400 if FULL else 24
INGEST_KILLS = 50 if FULL else 4
THREADED = 5_000 if FULL else 150
RECORDS = 10_000_000 if FULL else 60_000

ROTATING = """if True:
    import os, sys
    from whimbrel.record import Recorder, mapped, segment
    segment.SEGMENT_BYTES = mapped.WINDOW_BYTES = 1 << 16
    recorder = Recorder("fares", home=sys.argv[1])
    def say(*words): os.write(1, (" ".join(map(str, words)) + "\\n").encode())
    n = 0
    while True:
        n += 1
        with recorder.prediction({"n": n, "text": "x" * (n * 370 % 9000)}) as p:
            say("begun", n)
            sum(range(20_000))  # the model
            recorder.step("double", 2 * n)
            p.output(n)
        say("ended", n)
"""


def test_kills_while_segments_rotate_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    chance = random.Random(11)
    rotated = running = 0
    for round_ in range(KILLS):
        home = tmp_path / str(round_)
        process = script(ROTATING, home)
        assert process.stdout is not None
        first = "".join(process.stdout.readline() for _ in range(chance.randrange(60, 120)))
        time.sleep(chance.random() * 0.005)
        process.send_signal(signal.SIGKILL)
        said = [line.split() for line in (first + process.communicate()[0]).splitlines(keepends=False)]
        found = {record["inputs.n"]: record for record in records(home)}
        begun = {int(words[1]) for words in said if len(words) == 2 and words[0] == "begun"}
        ended = {int(words[1]) for words in said if len(words) == 2 and words[0] == "ended"}
        assert begun <= set(found)
        assert {n: found[n].get("steps.double.value") for n in ended} == {n: 2 * n for n in ended}
        unfinished = [n for n, record in found.items() if record.get("error", "").startswith("unfinished")]
        assert len(unfinished) <= 1
        assert sum(segment.tail > 0 for _, segment in segments(home)) <= 1
        assert all(segment.damaged == () for _, segment in segments(home))
        rotated += len(segments(home)) > 1
        running += len(unfinished)
    assert rotated, "no segment ever rotated: this test shows less than it says"
    assert running, "no kill ever hit a running prediction: this test shows less than it says"


APP = """
import ctypes, os, signal, sys, threading
from whimbrel.record import Recorder
recorder = Recorder("fares", home=sys.argv[1])
def predict(n):
    with recorder.prediction({"n": n}) as p: p.output(2 * n)
"""

WAYS = {
    "fork": "for n in range(N):\n if n % 8 == 0: os.wait() if n else 0\n if n % 8 == 0 and os.fork() == 0:\n"
            "  [predict(k) for k in range(n, min(n + 8, N))]; os._exit(0)\nos.wait()",
    "fork in C": "libc = ctypes.PyDLL(None)\nfor n in range(0, N, 8):\n if libc.fork() == 0:\n"
                 "  [predict(k) for k in range(n, min(n + 8, N))]; os._exit(0)\n os.wait()",
    "killed child": "for n in range(0, N, 8):\n if os.fork() == 0:\n  [predict(k) for k in range(n, min(n + 8, N))]\n"
                    "  os.kill(os.getpid(), signal.SIGKILL)\n os.wait()",
    "exec after": "import subprocess\nif len(sys.argv) > 2: [predict(k) for k in range(int(sys.argv[2]), int(sys.argv[3]))]\n"
                  "else: [subprocess.run([sys.executable, __file__, sys.argv[1], str(n), str(min(n + N // 4, N))], check=True)"
                  " for n in range(0, N, N // 4)]",
    "process pool": "from concurrent.futures import ProcessPoolExecutor as Pool\nif __name__ == '__main__':\n"
                    " with Pool(2) as pool: list(pool.map(predict, range(N), chunksize=8))",
    "spawn pool": "import multiprocessing\nif __name__ == '__main__':\n with multiprocessing.get_context('spawn').Pool(2) as pool:\n"
                  "  pool.map(predict, range(N), chunksize=8); pool.close(); pool.join()",
    "segfault": "for n in range(0, N, 8):\n if os.fork() == 0:\n  [predict(k) for k in range(n, min(n + 8, N))]; ctypes.string_at(0)\n os.wait()",
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_every_prediction_of_every_process_is_there_however_it_came_and_went(way: str, tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_text(f"{APP}\nN = {FORKS}\n{WAYS[way]}\n")
    home = tmp_path / "home"
    run("import subprocess, sys; sys.exit(subprocess.call([sys.executable, *sys.argv[1:]]))", app, home)
    found = records(home)
    assert sorted(record["inputs.n"] for record in found) == list(range(FORKS))
    assert all(record["outputs.score"] == 2 * record["inputs.n"] for record in found)


def test_threads_that_saturate_the_machine_and_forks_under_them(tmp_path: Path) -> None:
    # os.fork, for after a fork in C beside busy threads CPython itself may hang: its child's GIL is one of theirs.
    code = f"""if True:
        import os, sys, threading, warnings
        from whimbrel.record import Recorder, segment
        warnings.simplefilter("ignore")
        segment.SEGMENT_BYTES = 1 << 20
        sys.setswitchinterval(1e-5)
        recorder = Recorder("fares", home=sys.argv[1])
        shared = recorder.prediction({{"who": "shared", "n": 0}}).begin()
        def work(k):
            for n in range({THREADED}):
                with recorder.prediction({{"who": f"thread {{k}}", "n": n}}) as p:
                    recorder.step("work", n); p.output(n)
                shared.usage(said=1)
        threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
        for thread in threads: thread.start()
        for child in range(20):
            pid = os.fork()
            if pid == 0:
                for n in range(20):
                    with recorder.prediction({{"who": f"child {{child}}", "n": n}}) as p: p.output(n)
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        for thread in threads: thread.join()
        shared.end()
        print(recorder.losses)
    """
    assert run(code, tmp_path).strip() == "{}"
    found = records(tmp_path)
    said = Counter(record["inputs.who"] for record in found)
    assert said == {
        "shared": 1, **{f"thread {k}": THREADED for k in range(8)}, **{f"child {k}": 20 for k in range(20)}
    }  # fmt: skip
    assert all(record["outputs.score"] == record["inputs.n"] for record in found if record["inputs.who"] != "shared")
    (shared,) = (record for record in found if record["inputs.who"] == "shared")
    assert shared["usage.said"] == 8 * THREADED
    assert all(segment.damaged == () and segment.tail == 0 for _, segment in segments(tmp_path))


def test_a_folder_that_is_deleted_is_noticed_and_made_again(tmp_path: Path) -> None:
    code = """if True:
        import logging, shutil, sys, time
        from whimbrel.record import Recorder
        logging.disable()
        home = sys.argv[1]
        recorder = Recorder("fares", home=home)
        def predict(n):
            with recorder.prediction({"n": n}) as p: p.output(n)
        predict(1)
        shutil.rmtree(home)
        deadline = time.monotonic() + 30
        while not recorder.losses and time.monotonic() < deadline: predict(2); time.sleep(0.05)
        predict(3)
        print(recorder.losses)
    """
    assert run(code, tmp_path / "home").strip() == "{'deleted segment': 1}"
    assert records(tmp_path / "home")[-1]["inputs.n"] == 3
    assert bodies(tmp_path / "home", Kind.LOSS) == [{"deleted segment": 1}]


def test_the_clock_is_written_down(tmp_path: Path) -> None:
    code = """if True:
        import sys, time
        from whimbrel.record import Recorder
        recorder = Recorder("fares", home=sys.argv[1])
        def predict():
            with recorder.prediction({}): pass
        predict(); predict()
        clock = time.time_ns
        time.time_ns = lambda: clock() - 3_600_000_000_000
        predict(); predict()
    """
    run(code, tmp_path)
    first, second = bodies(tmp_path, Kind.CLOCK)
    hour_us = (first["ts"] - first["monotonic"]) - (second["ts"] - second["monotonic"])
    assert 3_599_000_000 < hour_us < 3_601_000_000


def test_memory_does_not_grow_with_what_was_recorded(tmp_path: Path) -> None:
    code = f"""if True:
        import logging, sys
        from pathlib import Path
        from whimbrel.record import Recorder
        logging.disable()
        recorder = Recorder("fares", home=sys.argv[1], policy={{"budget_bytes": 64 << 20}})
        def resident():
            text = Path("/proc/self/status").read_text() if sys.platform == "linux" else "VmRSS: 0"
            return int(text.partition("VmRSS:")[2].split()[0])
        def predict(n):
            with recorder.prediction({{"n": n, "text": "x" * 100}}, country="US") as p:
                recorder.step("a", [1.0, 2.0]); p.output(0.5)
        for n in range(20_000): predict(n)
        before = resident()
        for n in range({RECORDS}): predict(n)
        print(resident() - before)
    """
    grown_kib = int(script(code, tmp_path).communicate()[0] if FULL else run(code, tmp_path))
    assert grown_kib < 1024


def test_ingest_is_exactly_once_under_kills(tmp_path: Path) -> None:
    record = """if True:
        import sys; from whimbrel.record import Recorder
        recorder = Recorder("fares", home=sys.argv[1])
        for n in range(400):
            with recorder.prediction({"n": n}) as p: p.output(float(n))
            if n % 10 == 0: recorder.label(p.id, n % 20 == 0)
    """
    take_in = """if True:
        import sys; from whimbrel.store.log import open_log
        log = open_log(sys.argv[1])
        import duckdb, deltalake, arro3.core
        print("go", flush=True)
        log.ingest()
    """
    chance = random.Random(5)
    recorded = killed = 0
    for round_ in range(INGEST_KILLS):
        if round_ % 2 == 0:
            run(record, tmp_path)
            recorded += 1
        process = script(take_in, tmp_path)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.02 + chance.random() * 0.4 if round_ else 0.02)
        killed += process.poll() is None
        process.kill()
        process.communicate()
    log = open_log(tmp_path)
    log.ingest()
    assert killed, "no ingest was killed: this test shows less than it says"
    found = rows(log)
    assert len(found) == len({row["id"] for row in found}) == 400 * recorded
    assert Counter(row["inputs"]["n"] for row in found) == dict.fromkeys(range(400), recorded)
    assert len(rows(log, "labels")) == 40 * recorded
    assert waiting(tmp_path) == []
