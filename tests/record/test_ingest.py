"""What recorders wrote comes into the log exactly once, whatever is killed, running or damaged meanwhile."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from whimbrel.record import Recorder
from whimbrel.record.flat import UNFINISHED
from whimbrel.store.backlog import Mark, catch_up, sessions
from whimbrel.store.ingest import Ingested, narrow, take_processes
from whimbrel.store.log import Log, open_log
from whimbrel.store.records import Records

from .readback import run, script, segments


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def log(home: Path) -> Log:
    return open_log(home)


@pytest.fixture
def recorder(home: Path) -> Iterator[Recorder]:
    recorder = Recorder("fares", home=home, model="fares@7")
    yield recorder
    recorder.close()


def predict(recorder: Recorder, n: int, start: int = 0) -> list[str]:
    ids = []
    for i in range(start, start + n):
        with recorder.prediction({"n": i}, country="US") as p:
            recorder.step("double", 2 * i)
            p.output(float(i))
            ids.append(p.id)
    return ids


def rows(log: Log, kind: str = "predictions", app: str = "fares") -> list[dict[str, Any]]:
    """All rows of a table, read by another engine than the one that wrote them."""
    table = getattr(log.layout, kind)
    table = table if kind in ("events", "processes") else table(app)
    if not table.exists:
        return []
    return [row for file in table.files(table.open()) for row in pq.ParquetFile(file).read().to_pylist()]


def waiting(home: Path) -> list[str]:
    """What is left of an app's segments, without what belongs to nobody."""
    return sorted(path.name for path in (home / "segments" / "fares").iterdir())


def test_everything_recorded_is_in_the_log_with_where_it_ran(recorder: Recorder, log: Log) -> None:
    ids = predict(recorder, 20)
    recorder.label(ids[3], True)
    recorder.decision(ids[3], "refund")
    recorder.event("deploy", "3f2c91", channel="ios")
    done = log.ingest()
    assert (done.predictions, done.labels, done.decisions, done.events, done.processes) == (20, 1, 1, 1, 1)
    assert (done.unfinished, done.torn, done.gaps, done.quarantined, done.notes) == (0, 0, 0, 0, ())
    found = rows(log)
    assert sorted(row["id"] for row in found) == sorted(ids)
    assert {row["hardware"]["host"] for row in found} == {os.uname().nodename}
    assert {row["model"]["version"] for row in found} == {"7"}
    assert sorted(row["recorder"]["seq"] for row in found) == list(range(1, 21))
    (process,) = rows(log, "processes")
    assert process["id"] == found[0]["recorder"]["process"]
    assert (process["pid"], process["app"]) == (os.getpid(), "fares")
    assert process["libraries"]
    (event,) = log.events("fares")
    assert (event.kind, event.what, dict(event.context)) == ("deploy", "3f2c91", {"context.channel": "ios"})


def test_look_ups_and_arrays_that_some_lack_reach_the_log(recorder: Recorder, log: Log) -> None:
    for n in range(6):
        with recorder.prediction({"n": n, "mixed": n if n % 2 else str(n)}) as p:
            recorder.read("rate", lambda: 1.25)
            if n < 3:
                recorder.step("embed", [0.5, n])
            p.output(float("nan") if n == 5 else float(n))
    log.ingest()
    found = sorted(rows(log), key=lambda row: row["inputs"]["n"])
    assert [row["recorder"]["reads"] for row in found] == [["rate"]] * 6
    assert [row["steps"]["rate"]["value"] for row in found] == [1.25] * 6
    assert [row["steps"]["embed"]["value"] for row in found] == [[0.5, 0.0], [0.5, 1.0], [0.5, 2.0], None, None, None]
    assert [row["outputs"]["score"] for row in found] == [0.0, 1.0, 2.0, 3.0, 4.0, None]
    kept = [row["inputs"]["mixed"] or dict(row["rescued"])["inputs.mixed"] for row in found]
    assert [str(value).removesuffix(".0") for value in kept] == ["0", "1", "2", "3", "4", "5"]


def test_a_second_ingest_brings_nothing(recorder: Recorder, log: Log) -> None:
    predict(recorder, 5)
    log.ingest()
    assert log.ingest() == Ingested()
    assert len(rows(log)) == 5


def test_no_segments_no_tables(log: Log, home: Path) -> None:
    assert log.ingest() == Ingested()
    assert not home.exists()


def test_a_running_process_is_read_as_far_as_it_is(recorder: Recorder, log: Log, home: Path) -> None:
    predict(recorder, 3)
    running = recorder.prediction({"n": 99}, country="US")
    with running as p:
        assert log.ingest().predictions == 3
        predict(recorder, 2, start=10)
        assert log.ingest().predictions == 2
        recorder.step("double", 198)
    assert log.ingest().predictions == 1
    late = next(row for row in rows(log) if row["id"] == p.id)
    assert late["inputs"]["n"] == 99
    assert late["steps"]["double"]["value"] == 198
    assert late.get("error") is None
    assert len(segments(home)) == 1, "a segment that may still grow was taken away"


def test_a_prediction_whose_process_died_is_ingested_as_unfinished(log: Log, home: Path) -> None:
    code = """if True:
        import os, sys; from whimbrel.record import Recorder
        recorder = Recorder("fares", home=sys.argv[1])
        with recorder.prediction({"n": 1}) as p: p.output(1.0)
        with recorder.prediction({"n": 2}) as p: os.kill(os.getpid(), 9)
    """
    script(code, home).communicate()
    done = log.ingest()
    assert (done.predictions, done.unfinished, done.gaps) == (2, 1, 0)
    assert {row["inputs"]["n"]: row.get("error") for row in rows(log)} == {1: None, 2: UNFINISHED}
    assert waiting(home) == []


def test_a_prediction_that_outlives_its_segment_is_joined(recorder: Recorder, log: Log, home: Path) -> None:
    with recorder.prediction({"n": -1}) as p:
        for i in range(20):
            with recorder.prediction({"n": i, "text": "x" * 900_000}):
                pass
        assert len(segments(home)) == 2
        assert log.ingest().predictions == 20
        p.output(0.5)
    done = log.ingest()
    assert (done.predictions, done.unfinished) == (1, 0)
    joined = next(row for row in rows(log) if row["id"] == p.id)
    assert joined["inputs"]["n"] == -1
    assert joined["outputs"]["score"] == 0.5
    recorder.close()
    assert log.ingest().gaps == 0
    assert waiting(home) == []


def test_what_was_written_ahead_is_joined_wherever_it_lies(recorder: Recorder, log: Log, home: Path) -> None:
    with recorder.prediction({"n": -1}) as p:
        recorder.step("first", "y" * 70_000)
        assert log.ingest().predictions == 0
        for i in range(20):
            with recorder.prediction({"n": i, "text": "x" * 900_000}):
                pass
        recorder.step("second", "z" * 70_000)
        assert log.ingest().predictions == 20
        recorder.step("third", 3)
    assert log.ingest().predictions == 1
    joined = next(row for row in rows(log) if row["id"] == p.id)
    assert [len(str(joined["steps"][name]["value"])) for name in ("first", "second")] == [70_000, 70_000]
    assert joined["steps"]["third"]["value"] == 3
    assert "lost" not in joined["recorder"]
    recorder.close()
    log.ingest()
    assert waiting(home) == []


def test_ingest_killed_before_it_removed_a_mark_leaves_nothing_behind(
    recorder: Recorder, log: Log, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(recorder, 3)
    recorder.close()
    looks = 0

    def killed(folder: Path) -> dict[str, list[Path]]:
        nonlocal looks
        looks += 1
        if looks == 3:  # the segments are gone, the mark is not
            raise KeyboardInterrupt
        return sessions(folder)

    with monkeypatch.context() as patched:
        patched.setattr("whimbrel.store.ingest.sessions", killed)
        with pytest.raises(KeyboardInterrupt):
            log.ingest()
    assert [Path(name).suffix for name in waiting(home)] == [".mark"]
    assert log.ingest().predictions == 0
    assert waiting(home) == []
    assert len(rows(log)) == 3


def test_ingest_killed_at_any_moment_and_run_again_brings_each_record_once(log: Log, home: Path) -> None:
    record = """if True:
        import sys; from whimbrel.record import Recorder
        recorder = Recorder("fares", home=sys.argv[1])
        for n in range(900):
            with recorder.prediction({"n": n}) as p: p.output(float(n))
            if n % 10 == 0: recorder.label(p.id, n % 20 == 0); recorder.decision(p.id, "later")
            if n % 300 == 0: recorder.event("deploy", str(n))
    """
    take_in = """if True:
        import sys; from whimbrel.store.log import open_log
        log = open_log(sys.argv[1])
        import duckdb, deltalake, arro3.core
        print("go", flush=True)
        log.ingest()
    """
    chance = random.Random(3)
    run(record, home)
    killed = 0
    for round_ in range(5):
        process = script(take_in, home)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.random() * 0.08 * (1 + round_))
        killed += process.poll() is None
        process.kill()
        process.communicate()
        if round_ in (1, 2):
            run(record, home)
    log.ingest()
    assert killed > 2, "hardly an ingest was killed: this test shows less than it says"
    found = rows(log)
    assert len(found) == len({row["id"] for row in found}) == 2700
    by_n: dict[float, int] = {}
    for row in found:
        by_n[row["inputs"]["n"]] = by_n.get(row["inputs"]["n"], 0) + 1
        assert row["outputs"]["score"] == row["inputs"]["n"]
    assert set(by_n.values()) == {3}
    assert len(by_n) == 900
    assert len(rows(log, "labels")) == len({row["id"] for row in rows(log, "labels")}) == 270
    assert len(rows(log, "decisions")) == 270
    assert len(rows(log, "events")) == 9
    assert len({row["id"] for row in rows(log, "processes")}) == len(rows(log, "processes")) == 3
    assert waiting(home) == []


def test_reading_again_from_a_lost_mark_doubles_nothing(recorder: Recorder, log: Log, home: Path) -> None:
    ids = predict(recorder, 10)
    recorder.label(ids[0], 1.0)
    log.ingest()
    for mark in (home / "segments" / "fares").glob("*.mark"):
        mark.write_bytes(b"{")
    done = log.ingest()
    assert (done.predictions, done.labels, done.processes) == (0, 0, 0)
    assert done.duplicates == 12
    assert len(rows(log)) == 10


def test_two_ingests_at_once_bring_each_record_once(recorder: Recorder, log: Log, home: Path) -> None:
    predict(recorder, 300)
    code = "import sys; from whimbrel.store.log import open_log; print(open_log(sys.argv[1]).ingest().predictions)"
    first, second = script(code, home), script(code, home)
    counts = [int(process.communicate()[0]) for process in (first, second)]
    assert sorted(counts) == [0, 300]
    assert len(rows(log)) == 300


def test_a_damaged_frame_costs_that_frame_and_the_segment_is_kept(recorder: Recorder, log: Log, home: Path) -> None:
    predict(recorder, 6)
    recorder.close()
    ((path, segment),) = segments(home)
    data = bytearray(path.read_bytes())
    begin, end = segment.frames[4], segment.frames[7]
    assert (begin.kind, begin.stream, end.kind, end.stream) == (2, 2, 3, 3)
    data[begin.start + 30] ^= 1
    data[end.start + 30] ^= 1
    path.write_bytes(data + b"torn")
    done = log.ingest()
    assert (done.predictions, done.unfinished, done.torn, done.gaps) == (6, 1, 3, 0)
    assert any("damaged" in note for note in done.notes)
    assert any("torn" in note for note in done.notes)
    by_seq = {row["recorder"]["seq"]: row for row in rows(log)}
    assert by_seq[2]["inputs"] in (None, {"n": None})
    assert by_seq[2]["outputs"]["score"] == 1.0
    assert "inputs" in by_seq[2]["recorder"]["lost"]
    assert by_seq[3]["error"] == UNFINISHED
    assert (home / "quarantine" / "segments" / "fares" / path.name).read_bytes() == bytes(data + b"torn")
    assert waiting(home) == []
    assert log.ingest() == Ingested()


def test_a_segment_that_is_none_is_set_aside_and_holds_up_nothing(recorder: Recorder, log: Log, home: Path) -> None:
    predict(recorder, 2)
    folder = home / "segments" / "fares"
    (folder / f"{'0' * 32}-000001.seg").write_bytes(b"not a segment at all")
    (folder / f".{'0' * 32}-000002.seg.new").write_bytes(b"")
    (folder / "not-ours.seg").write_bytes(b"")
    os.utime(folder / f".{'0' * 32}-000002.seg.new", (0, 0))
    (folder / f".{'0' * 32}.mark").write_bytes(b"")
    os.utime(folder / f".{'0' * 32}.mark", (0, 0))
    done = log.ingest()
    assert (done.predictions, done.torn) == (2, 1)
    assert any("no segment" in note for note in done.notes)
    assert [name for name in waiting(home) if "0" * 32 in name] == []
    assert (folder / "not-ours.seg").exists()


def test_a_segment_of_a_version_to_come_is_left_where_it_is(recorder: Recorder, log: Log, home: Path) -> None:
    predict(recorder, 2)
    recorder.close()
    ((path, _),) = segments(home)
    data = path.read_bytes()
    path.write_bytes(data[:8] + b"\x02\x00" + data[10:])
    done = log.ingest()
    assert (done.predictions, done.torn) == (0, 0)
    assert any("newer Whimbrel" in note for note in done.notes)
    path.write_bytes(data)
    assert log.ingest().predictions == 2


def test_missing_numbers_are_counted_as_gaps(recorder: Recorder, log: Log, home: Path) -> None:
    predict(recorder, 8)
    recorder.close()
    ((path, segment),) = segments(home)
    data = path.read_bytes()
    gone = [frame for frame in segment.frames if frame.stream in (3, 4)]
    path.write_bytes(data[: gone[0].start] + data[gone[-1].end :])
    done = log.ingest()
    assert (done.predictions, done.gaps, done.torn) == (6, 2, 0)
    assert any("2 of its predictions were not recorded" in note for note in done.notes)


def test_an_end_that_is_read_before_its_begin_waits_for_it(recorder: Recorder, home: Path) -> None:
    predict(recorder, 1)
    ((path, segment),) = segments(home)
    data = path.read_bytes()
    begin, end = segment.frames[2], segment.frames[3]
    path.write_bytes(data[: begin.start])
    other = path.with_name(path.name.replace("000001", "000002"))
    other.write_bytes(data[: begin.start] + data[end.start :])
    mark, session = Mark(), next(iter(sessions(path.parent)))
    reading = catch_up(path.parent, session, mark)
    assert list(next(reading).predictions) == []
    assert list(next(reading).predictions) == []
    path.write_bytes(data[: begin.end])
    (joined,) = [record for news in reading for record in news.predictions]
    assert (joined["inputs.n"], joined["outputs.score"]) == (0, 0.0)
    assert "recorder.lost" not in joined


def test_labels_that_cannot_be_read_are_set_aside_and_hold_up_nothing(recorder: Recorder, log: Log, home: Path) -> None:
    ids = predict(recorder, 3)
    recorder.label(ids[0], 1.5)
    log.ingest()
    recorder.label(ids[1], "what is this")
    predict(recorder, 1, start=9)
    done = log.ingest()
    assert (done.predictions, done.labels, done.quarantined) == (1, 0, 1)
    assert any("set aside" in note for note in done.notes)
    assert "what is this" in "".join(path.read_text() for path in (home / "quarantine").glob("*.jsonl"))
    assert log.ingest() == Ingested()


def test_an_app_that_uses_ids_as_names_does_not_flood_the_table() -> None:
    wide = [{"id": str(i), **{f"inputs.user {i} {j}": j for j in range(50)}, "steps.s.x": 1} for i in range(30)]
    records = narrow(wide, 200)
    assert len({path for record in records for path in record}) == 201
    assert records[0]["inputs.user 0 49"] == 49
    assert records[29]["inputs.more"].startswith('{"user 29 0":0,"user 29 1":1,')
    assert records[29]["steps.s.x"] == 1


def test_the_same_id_twice_is_said(recorder: Recorder, log: Log) -> None:
    for n in (1, 2):
        with recorder.prediction({"n": n}, id="order-17"):
            pass
    done = log.ingest()
    assert (done.predictions, done.duplicates) == (1, 1)
    assert rows(log)[0]["inputs"]["n"] == 1


def test_hostile_names_of_apps_and_fields_reach_the_log(home: Path, log: Log) -> None:
    app = "a/../b'\"; DROP ü"
    recorder = Recorder(app, home=home)
    with recorder.prediction({"it's": 1, 'a"b': 2, "": 3, "x.y": 4, "Ünï": 5}, **{"tag.dot": "v'"}) as p:
        p.output({"s'": 1.0})
    recorder.close()
    assert log.ingest().predictions == 1
    (row,) = rows(log, app=app)
    assert row["inputs"] == {"it's": 1.0, 'a"b': 2.0, "_": 3.0, "x.y": 4.0, "Ünï": 5.0}
    assert row["context"] == {"tag_dot": "v'"}


def test_of_an_id_that_different_records_bear_the_first_stands(recorder: Recorder, log: Log) -> None:
    """Records of other fields lie in other blocks; the order in which they were made holds across them."""
    for inputs, own in (({"a": 1}, "1"), ({"b": 2}, "2"), ({"a": 3}, "2"), ({"b": 4}, "1"), ({"A": 5}, "3")):
        with recorder.prediction(inputs, id=own):
            pass
    done = log.ingest()
    assert (done.predictions, done.duplicates) == (3, 2)
    found = {row["id"]: row for row in rows(log)}
    assert found["1"]["inputs"] == {"a": 1, "b": None}
    assert found["2"]["inputs"] == {"a": None, "b": 2}
    assert dict(found["3"]["rescued"]) == {"inputs.A": "5"}


@pytest.mark.parametrize("ts", [2**63, -(2**40), 2**64 - 1, 1.5e15, None, True, "now"])
def test_a_time_that_is_none_costs_its_own_record_only(ts: Any, log: Log) -> None:
    records = Records([{"id": str(n), "ts": 1_795_271_127_929_310 + n, "inputs.n": n} for n in range(5)])
    records.extend(Records([{"id": "odd", "ts": ts, "inputs.n": 9}]))
    added = log.append_flat("fares", records)
    assert added.rows + added.quarantined == 6
    found = {row["id"]: row for row in rows(log)}
    assert {str(n) for n in range(5)} <= set(found)
    assert round(found["3"]["ts"].timestamp() * 1e6) == 1_795_271_127_929_313


def test_facts_of_a_process_that_do_not_fit_are_missing_and_cost_nothing_else(log: Log) -> None:
    odd = {
        "id": "p1",
        "ts": 1_795_271_127_929_310,
        "app": "fares",
        "pid": "12",
        "cpus": "many",
        "started": True,
        "dirty": "yes",
        "host": 7,
    }
    full = {"id": "p2", "ts": None, "pid": 2**70, "cpu_quota": 1.5, "dirty": True, "libraries": {"numpy": "2"}}
    assert take_processes(log.layout, [odd, full, odd | {"pid": 3}]).duplicates == 1
    first, second = sorted(rows(log, "processes"), key=lambda row: str(row["id"]))
    assert (first["pid"], first["cpus"], first["started"], first["dirty"], first["host"]) == (12, None, None, None, "7")
    assert (second["pid"], second["cpu_quota"], second["dirty"]) == (None, 1.5, True)
    assert (second["ts"], second["libraries"]) == (None, '{"numpy":"2"}')
    again = take_processes(log.layout, [{"id": "p3", "ts": 1}, full])
    assert (again.rows, again.duplicates) == (1, 1)
    assert sorted(row["id"] for row in rows(log, "processes")) == ["p1", "p2", "p3"]


def test_long_predictions_are_appended_before_they_fill_the_memory(
    recorder: Recorder, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whimbrel.store.ingest._LARGE", 1 << 20)
    monkeypatch.setattr("whimbrel.store.backlog._PIECE", 8)
    for n in range(40):
        with recorder.prediction({"n": n, "text": "x" * 300_000}):
            pass
    assert log.ingest().predictions == 40
    assert len(log.source("fares").files) > 4
    assert sorted(row["inputs"]["n"] for row in rows(log)) == list(range(40))
