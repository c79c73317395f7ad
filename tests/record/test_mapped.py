"""Segments written through a mapped file: what holds for `write(2)` holds here, and what is its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from whimbrel.record import Recorder
from whimbrel.record.frames import Kind
from whimbrel.record.mapped import WINDOW_BYTES, usable
from whimbrel.store.log import open_log

from . import test_segment, test_soak
from .readback import bodies, records, run, script, segments
from .test_disk import mounted

pytestmark = pytest.mark.skipif(not usable(), reason="this platform writes each frame with a system call")
MAPPED = {"write": "mapped"}
TEXT = "x" * 1000


@pytest.fixture
def by_policy(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every recorder, here and in the processes that are started from here, writes through a mapped file."""
    policy = tmp_path_factory.mktemp("policy") / "whimbrel.toml"
    policy.write_text('[record]\nwrite = "mapped"\n')
    monkeypatch.setenv("WHIMBREL_POLICY", str(policy))


@pytest.mark.usefixtures("by_policy")
@pytest.mark.parametrize(
    "holds",
    [
        test_soak.test_kills_while_segments_rotate_lose_nothing_that_was_acknowledged,
        test_soak.test_threads_that_saturate_the_machine_and_forks_under_them,
        test_soak.test_a_folder_that_is_deleted_is_noticed_and_made_again,
        test_soak.test_memory_does_not_grow_with_what_was_recorded,
        test_segment.test_an_app_that_closes_all_files_gets_its_own_back_and_loses_nothing,
        test_segment.test_a_home_that_comes_back_is_used_again,
        test_segment.test_the_budget_is_kept_by_letting_the_oldest_go,
    ],
)
def test_what_holds_for_a_call_a_frame_holds_for_a_mapped_file(holds: Callable[[Path], None], tmp_path: Path) -> None:
    holds(tmp_path)


@pytest.mark.usefixtures("by_policy")
@pytest.mark.parametrize("way", test_soak.WAYS)
def test_every_prediction_of_every_process_is_there(way: str, tmp_path: Path) -> None:
    test_soak.test_every_prediction_of_every_process_is_there_however_it_came_and_went(way, tmp_path)


def predict(recorder: Recorder, n: int, text: str = TEXT) -> None:
    with recorder.prediction({"n": n, "text": text}) as p:
        p.output(n)


def test_windows_follow_each_other_without_a_gap_and_a_closed_segment_ends_with_its_last_frame(tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path, policy=MAPPED)
    for n in range(600):
        predict(recorder, n)
    ((path, segment),) = segments(tmp_path)
    assert segment.end > 2 * WINDOW_BYTES
    assert (segment.tail, segment.damaged) == (0, ())
    assert segment.end < path.stat().st_size <= segment.end + WINDOW_BYTES, "the rest of the window is there, and empty"
    recorder.close()
    assert path.stat().st_size == segment.end
    assert [record["outputs.score"] for record in records(tmp_path)] == list(range(600))


def test_a_frame_longer_than_a_window_is_written_beside_the_mapped_file(tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path, policy=MAPPED)
    predict(recorder, 0)
    predict(recorder, 1, "x" * (2 * WINDOW_BYTES))
    predict(recorder, 2)
    assert [record["outputs.score"] for record in records(tmp_path)] == [0, 1, 2]
    assert len({segment.header.session for _, segment in segments(tmp_path)}) == 1
    assert len(segments(tmp_path)) == 2
    assert recorder.losses == {}


def test_a_killed_app_leaves_zeros_behind_its_last_frame_and_ingest_takes_them_for_none(tmp_path: Path) -> None:
    code = """if True:
        import os, sys
        from whimbrel.record import Recorder
        recorder = Recorder("fares", home=sys.argv[1], policy={"write": "mapped"})
        for n in range(3):
            with recorder.prediction({"n": n}) as p: p.output(n)
        with recorder.prediction({"n": 3}): os.kill(os.getpid(), 9)
    """
    script(code, tmp_path).communicate()
    ((path, segment),) = segments(tmp_path)
    assert path.stat().st_size > segment.end
    done = open_log(tmp_path).ingest()
    assert (done.predictions, done.unfinished, done.torn) == (4, 1, 0)
    assert not path.exists()


def test_a_file_that_somebody_cut_is_let_go_once_that_is_seen(tmp_path: Path) -> None:
    code = """if True:
        import logging, os, pathlib, sys, time
        from whimbrel.record import Recorder
        logging.disable()
        home = pathlib.Path(sys.argv[1])
        recorder = Recorder("fares", home=home, policy={"write": "mapped"})
        def predict(n):
            with recorder.prediction({"n": n}) as p: p.output(n)
        predict(1)
        (path,) = home.rglob("*.seg")
        os.truncate(path, 100)
        time.sleep(1.1)
        predict(2)
        print(recorder.losses)
    """
    assert run(code, tmp_path).strip() == "{'truncated segment': 1}"
    assert records(tmp_path)[-1]["outputs.score"] == 2
    assert bodies(tmp_path, Kind.LOSS) == [{"truncated segment": 1}]


def test_a_disk_without_room_for_a_window_is_written_to_by_calls_and_a_full_one_kills_no_app(tmp_path: Path) -> None:
    told = mounted(
        "size=1m",
        """
    recorder = Recorder("fares", home=home, policy={"write": "mapped"})
    before = descriptors()
    for n in range(600): assert predict(n, 5000) == n
    lost = dict(recorder.losses)
    for path in home.rglob("*.seg"): path.unlink()
    time.sleep(1.1)
    predict(601)
    assert descriptors() <= before + 3
    print(json.dumps({"lost": lost, "kept": halves(), "after": sorted(recorder.losses)}))
    """,
        tmp_path,
    )
    assert told["lost"].keys() == {"ENOSPC"}
    assert told["kept"] == 2
    assert told["after"] == ["ENOSPC", "deleted segment"]


def test_a_forked_child_leaves_the_file_of_its_parent_alone(tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path, policy=MAPPED)
    with recorder.prediction({"n": 1}) as p:
        if (child := os.fork()) == 0:
            p.step("never", 1)
            p.output(-1)
            p.__exit__(None, None, None)
            p.decision("late")
            predict(recorder, 2)
            recorder.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        p.output(1)
    predict(recorder, 3)
    found = {record["inputs.n"]: record["outputs.score"] for record in records(tmp_path)}
    assert found == {1: 1, 2: 2, 3: 3}
    assert [body["decision"] for body in bodies(tmp_path, Kind.DECISION)] == ["late"]


def test_memory_that_another_platform_cannot_promise_is_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    recorder = Recorder("fares", home=tmp_path, policy=MAPPED)
    predict(recorder, 1)
    ((path, segment),) = segments(tmp_path)
    assert path.stat().st_size == segment.end
