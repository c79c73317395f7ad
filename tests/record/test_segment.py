"""What the disk and the app can do to a segment: full, gone, closed under our feet, over budget. The app never notices."""

from __future__ import annotations

import errno
import logging
import os
import resource
import sys
import time
from pathlib import Path

import pytest

from whimbrel.record import Recorder, segment
from whimbrel.record.frames import Kind
from whimbrel.record.segment import SEGMENT_BYTES

from .readback import bodies, records, run, segments

BIG = "x" * 1_000_000


def predict(recorder: Recorder, n: int, text: str = "") -> None:
    for i in range(n):
        with recorder.prediction({"n": i, "text": text}) as p:
            p.output(i)


def test_a_full_segment_is_followed_by_the_next_and_let_go(tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path)
    before = len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0
    predict(recorder, 40, BIG)
    if before:
        assert len(list(Path("/proc/self/fd").iterdir())) == before + 1
    found = segments(tmp_path)
    assert [segment.header.number for _, segment in found] == [1, 2, 3]
    assert len({(s.header.session, s.header.seed, s.header.mark) for _, s in found}) == 1
    assert all(SEGMENT_BYTES <= path.stat().st_size < SEGMENT_BYTES + (2 << 20) for path, _ in found[:-1])
    assert all(segment.frames[0].kind == Kind.PROCESS for _, segment in found)
    assert len(records(tmp_path)) == 40
    assert not list(tmp_path.rglob("*.new"))


def test_only_the_segment_that_may_grow_is_locked_even_with_children_around(tmp_path: Path) -> None:
    code = """if True:
        import fcntl, os, pathlib, sys
        from whimbrel.record import Recorder
        from whimbrel.record.segment import lock
        recorder = Recorder("fares", home=sys.argv[1])
        with recorder.prediction({}): pass
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(writing); os.read(reading, 1); os._exit(0)
        for _ in range(18):
            with recorder.prediction({"text": "x" * 1_000_000}): pass
        for path in sorted(pathlib.Path(sys.argv[1]).rglob("*.seg")):
            with path.open("rb") as file: print(lock(file.fileno(), fcntl.LOCK_SH))
        os.close(writing); os.waitpid(child, 0)
    """
    assert run(code, tmp_path).split() == ["True", "False"]


def test_a_disk_that_fills_up_loses_frames_and_not_the_app_and_says_so_later(tmp_path: Path) -> None:
    code = """if True:
        import logging, os, resource, signal, sys
        from whimbrel.record import Recorder
        logging.disable()
        recorder = Recorder("fares", home=sys.argv[1])
        def predict(n, size):
            with recorder.prediction({"n": n, "text": "x" * size}) as p: p.output(n)
        predict(0, 10)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        for n in range(1, 6): predict(n, 3000)
        descriptors = len(os.listdir("/proc/self/fd"))
        for n in range(6, 300): predict(n, 3000)
        assert len(os.listdir("/proc/self/fd")) == descriptors
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        predict(300, 10)
        print(sum(recorder.losses.values()))
    """
    lost = int(run(code, tmp_path))
    found = {record["inputs.n"]: record for record in records(tmp_path) if "inputs.n" in record}
    assert found[0]["outputs.score"] == 0
    assert found[300]["outputs.score"] == 300
    assert len(found) < 20
    (loss,) = bodies(tmp_path, Kind.LOSS)
    assert sum(loss.values()) == lost == 301 - sum("outputs.score" in record for record in found.values())
    assert found[300]["recorder.seq"] == 301


def test_a_home_that_cannot_be_made_breaks_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    recorder = Recorder("fares", home=tmp_path / "file" / "home")
    with caplog.at_level(logging.WARNING, "whimbrel.record"):
        predict(recorder, 50)
        with recorder.prediction({"n": 1}) as p:
            assert len(p.id) == 36
    assert set(recorder.losses) == {"ENOTDIR"}
    assert recorder.losses["ENOTDIR"] == 51, "predictions are counted, not frames"
    assert len(caplog.records) == 5


def test_a_home_that_comes_back_is_used_again(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("in the way")
    code = """if True:
        import logging, pathlib, sys, time
        from whimbrel.record import Recorder
        logging.disable()
        home = pathlib.Path(sys.argv[1])
        recorder = Recorder("fares", home=home)
        with recorder.prediction({"n": 1}): pass
        home.unlink()
        deadline = time.monotonic() + 30
        while not list(home.rglob("*.seg")) and time.monotonic() < deadline:
            time.sleep(0.05)
            with recorder.prediction({"n": 2}) as p: p.output(2)
    """
    run(code, home)
    last = records(home)[-1]
    assert (last["inputs.n"], last["outputs.score"]) == (2, 2)
    assert len(bodies(home, Kind.LOSS)) >= 1


@pytest.mark.parametrize("write", ["call", "mapped"])
@pytest.mark.parametrize("reason", [errno.EDQUOT, errno.EIO])
def test_a_quota_that_is_spent_and_a_disk_that_fails_cost_predictions_which_are_counted(
    write: str, reason: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # No file system with quotas can be mounted everywhere, so the error comes from where the kernel's would.
    recorder = Recorder("fares", home=tmp_path, policy={"write": write})
    predict(recorder, 1)

    def refuse(*_: object) -> int:
        raise OSError(reason, os.strerror(reason))

    real = os.write
    with monkeypatch.context() as broken, caplog.at_level(logging.WARNING, "whimbrel.record"):
        broken.setattr(segment, "_write", refuse)
        broken.setattr(os, "posix_fallocate", refuse)
        broken.setattr(os, "write", lambda fd, data: refuse() if data[4:] and fd > 2 else real(fd, data))
        predict(recorder, 20, "x" * 50_000)  # past the end of a window that is mapped already
    kept = sum("outputs.score" in record for record in records(tmp_path)) - 1
    assert kept == 0 if write == "call" else kept < 6
    assert recorder.losses == {errno.errorcode[reason]: 20 - kept}
    assert len(caplog.records) == 5
    time.sleep(1.1 if write == "mapped" else 0)  # it tries again once a second
    predict(recorder, 3)
    assert recorder.losses == {errno.errorcode[reason]: 20 - kept}
    assert records(tmp_path)[-1]["outputs.score"] == 2
    assert bodies(tmp_path, Kind.LOSS)[-1] == recorder.losses


def test_an_app_that_closes_all_files_gets_its_own_back_and_loses_nothing(tmp_path: Path) -> None:
    code = """if True:
        import os, sys
        from whimbrel.record import Recorder
        recorder = Recorder("fares", home=sys.argv[1])
        def predict(n):
            with recorder.prediction({"n": n}) as p: p.output(n)
        predict(1)
        os.closerange(3, 4096)
        own = os.open(os.path.join(sys.argv[1], "own"), os.O_CREAT | os.O_RDWR)
        predict(2)
        with recorder.prediction({"n": 3}) as p:
            os.closerange(own + 1, 4096)
            p.output(3)
        recorder.close()
        predict(4)
        os.write(own, b"mine")
        assert recorder.losses == {}, recorder.losses
    """
    run(code, tmp_path)
    assert sorted((record["inputs.n"], record["outputs.score"]) for record in records(tmp_path)) == [
        (n, n) for n in (1, 2, 3, 4)
    ]
    assert (tmp_path / "own").read_bytes() == b"mine"


def test_the_budget_is_kept_by_letting_the_oldest_go(tmp_path: Path) -> None:
    other = Recorder("fares", home=tmp_path)
    predict(other, 1)
    code = """if True:
        import logging, sys
        from whimbrel.record import Recorder
        logging.disable()
        recorder = Recorder("fares", home=sys.argv[1], policy={"budget_bytes": 50 << 20})
        for n in range(100):
            with recorder.prediction({"n": n, "text": "x" * 1_000_000}): pass
        print(recorder.losses)
    """
    out = run(code, tmp_path)
    assert "overwritten segment" in out
    found = segments(tmp_path)
    assert sum(path.stat().st_size for path, _ in found) <= 52 << 20
    kept = [record["inputs.n"] for record in records(tmp_path) if record.get("inputs.text")]
    assert kept[-1] == 99
    assert kept == list(range(kept[0], 100))
    assert [r for r in records(tmp_path) if not r.get("inputs.text")], (
        "a segment that another process still writes was removed"
    )
    assert bodies(tmp_path, Kind.LOSS)


def test_a_low_limit_of_open_files_is_no_obstacle(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(400, soft), hard))
    try:
        recorder = Recorder("fares", home=tmp_path)
        predict(recorder, 3)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(records(tmp_path)) == 3
    assert recorder.losses == {}


def test_closing_begins_a_new_session(tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path)
    predict(recorder, 2)
    recorder.close()
    recorder.close()
    predict(recorder, 2)
    assert [record["recorder.seq"] for record in records(tmp_path)] == [1, 2, 1, 2]
    assert len({segment.header.session for _, segment in segments(tmp_path)}) == 2
