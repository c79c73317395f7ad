"""What is said to a recorder is what a reader gets back, in the contract's names."""

from __future__ import annotations

import datetime as dt
import stat
from pathlib import Path

import pytest

from whimbrel.errors import UsageError
from whimbrel.record import Recorder
from whimbrel.record.frames import Kind

from .readback import bodies, records, run, segments


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_a_whole_prediction_reads_back_in_the_contracts_names(home: Path) -> None:
    recorder = Recorder("fares", home=home, model="fares@7")

    @recorder.step
    def normalize(ride: dict[str, float]) -> dict[str, float]:
        return {"fare": ride["fare"] / 100, "km": ride["metres"] / 1000}

    with recorder.prediction({"fare": 1250, "metres": 8000.0, "zone": "B"}, country="US", returning=True) as p:
        clean = normalize({"fare": 1250, "metres": 8000.0})
        assert recorder.step("encode", [clean["fare"], 1.0]) == [12.5, 1.0]
        with p.span("lookup"):
            pass
        p.span("network", 3.25)
        p.output(0.73)
        p.output(low=0.6, high=0.8)
        p.decision("accept")
        p.decision(route="fast", shadow=False)
        p.usage(input_tokens=10, cost_usd=0.25)
        p.usage({"input_tokens": 5})
        p.age(weather=120)
        p.model(variant="b")
    (record,) = records(home)
    spans = {name: record.pop(name) for name in list(record) if name.startswith("spans.")}
    code = record.pop("code.normalize")
    assert isinstance(code, str)
    assert code.startswith("f1-")
    assert isinstance(record.pop("ts"), int)
    assert record.pop("recorder.process") == segments(home)[0][1].header.session.hex()
    assert record == {
        "id": p.id, "inputs.fare": 1250, "inputs.metres": 8000.0, "inputs.zone": "B",
        "steps.normalize.fare": 12.5, "steps.normalize.km": 8.0, "steps.encode.value": [12.5, 1.0],
        "outputs.score": 0.73, "outputs.low": 0.6, "outputs.high": 0.8,
        "decision": "accept", "decisions.route": "fast", "decisions.shadow": False,
        "usage.input_tokens": 15, "usage.cost_usd": 0.25, "age.weather": 120,
        "context.country": "US", "context.returning": "true",
        "model.name": "fares", "model.version": "7", "model.variant": "b", "recorder.seq": 1,
    }  # fmt: skip
    assert set(spans) == {"spans.normalize", "spans.encode", "spans.lookup", "spans.network", "spans.total"}
    assert spans["spans.network"] == 3.25
    assert recorder.losses == {}


def test_tags_may_come_while_it_runs(home: Path) -> None:
    recorder = Recorder("fares", home=home)
    with recorder.prediction({}, country="US", channel="ios") as p:
        p.context(country="AT", tenant="t7")
        p.context({"release": 3})
    (record,) = records(home)
    assert {k: v for k, v in record.items() if k.startswith("context.")} == {
        "context.country": "AT", "context.channel": "ios", "context.tenant": "t7", "context.release": "3",
    }  # fmt: skip


def test_self_times_do_not_count_what_runs_inside(home: Path) -> None:
    recorder = Recorder("fares", home=home)

    @recorder.step
    def inner() -> int:
        return sum(range(200_000))

    @recorder.step
    def outer() -> int:
        return inner()

    with recorder.prediction({}) as p, p.span("around"):
        outer()
    (record,) = records(home)
    assert record["spans.inner"] > record["spans.outer"]
    assert record["spans.inner"] > record["spans.around"]
    parts = sum(record[f"spans.{name}"] for name in ("inner", "outer", "around"))
    assert parts <= record["spans.total"]


def test_an_inline_steps_time_is_what_passed_since_the_last_one(home: Path) -> None:
    recorder = Recorder("fares", home=home)
    with recorder.prediction({}):
        recorder.step("slow", sum(range(300_000)))
        recorder.step("quick", 1)
    (record,) = records(home)
    assert record["spans.slow"] > record["spans.quick"]


def test_an_exception_is_recorded_with_its_step_and_goes_on(home: Path) -> None:
    recorder = Recorder("fares", home=home)

    @recorder.step
    def parse(text: str) -> float:
        return float(text)

    with pytest.raises(ValueError, match="could not convert"), recorder.prediction({"fare": "x"}):
        parse("x")
    (record,) = records(home)
    assert record["error"] == "ValueError: could not convert string to float: 'x' (in step parse)"
    assert "steps.parse.value" not in record
    assert record["spans.parse"] >= 0


def test_an_error_that_was_handled_is_not_blamed_on_its_step(home: Path) -> None:
    recorder = Recorder("fares", home=home)

    @recorder.step
    def fetch() -> None:
        raise TimeoutError

    with recorder.prediction({}) as p:
        with pytest.raises(TimeoutError):
            fetch()
        p.error("answered from the cache")

    def careless() -> None:
        with recorder.prediction({}):
            with pytest.raises(TimeoutError):
                fetch()
            raise KeyError("k")

    with pytest.raises(KeyError):
        careless()
    first, second = records(home)
    assert first["error"] == "answered from the cache"
    assert second["error"] == "KeyError: 'k'"


def test_a_step_outside_a_prediction_is_just_the_function(home: Path) -> None:
    recorder = Recorder("fares", home=home)

    @recorder.step
    def double(x: int) -> int:
        return 2 * x

    assert double(2) == 4
    assert recorder.step("any", "value") == "value"
    assert double.__name__ == "double"
    assert not (home / "segments").exists()


def test_values_are_snapshots(home: Path) -> None:
    recorder = Recorder("fares", home=home)
    inputs, row = {"fare": 1.0}, [1.0, 2.0]
    with recorder.prediction(inputs):
        recorder.step("encode", row)
        inputs["fare"], row[0] = 99.0, 99.0
    (record,) = records(home)
    assert record["inputs.fare"] == 1.0
    assert record["steps.encode.value"] == [1.0, 2.0]


def test_the_inputs_are_on_disk_before_the_model_runs(home: Path) -> None:
    recorder = Recorder("fares", home=home)
    with recorder.prediction({"fare": 1.0}) as p:
        (running,) = records(home)
        assert running["inputs.fare"] == 1.0
        assert running["error"].startswith("unfinished")
        assert running["id"] == p.id


def test_a_step_that_runs_again_is_numbered_and_its_times_add_up(home: Path) -> None:
    recorder = Recorder("fares", home=home)
    with recorder.prediction({}):
        for i in range(12):
            recorder.step("retry", i)
    (record,) = records(home)
    assert [record.get(f"steps.retry{n}.value") for n in ("", "_2", "_8")] == [0, 1, 7]
    assert "steps.retry_9.value" not in record
    assert "first 8 runs" in record["recorder.lost"]


def test_labels_decisions_and_events_come_from_any_process(home: Path) -> None:
    recorder = Recorder("fares", home=home)
    with recorder.prediction({}) as p:
        pass
    code = """if True:
        import sys; from whimbrel.record import Recorder
        recorder = Recorder("fares", home=sys.argv[1])
        recorder.label(sys.argv[2], True, ts="2026-01-02T03:04:05")
        recorder.decision(sys.argv[2], "refund")
        recorder.event("deploy", "3f2c91", channel="ios")
    """
    run(code, home, p.id)
    p.decision("late", approved=False)
    (label,) = bodies(home, Kind.LABEL)
    assert label == {"id": p.id, "label": True, "ts": 1767323045_000_000}
    later = bodies(home, Kind.DECISION)
    assert sorted(str(d.get("decision", d.get("decisions"))) for d in later) == [
        "late",
        "refund",
        "{'approved': False}",
    ]
    assert {d["id"] for d in later} == {p.id}
    (event,) = bodies(home, Kind.EVENT)
    assert (event["kind"], event["what"], event["context"]) == ("deploy", "3f2c91", {"channel": "ios"})


def test_an_id_and_an_event_time_of_ones_own_are_kept(home: Path) -> None:
    recorder = Recorder("fares", home=home)
    moment = dt.datetime(2013, 7, 1, 12, tzinfo=dt.UTC)
    with recorder.prediction({}, id="order-17", ts=moment) as p:
        assert p.id == "order-17"
    with recorder.prediction({}, ts=moment.timestamp()) as q:
        pass
    by_id = {record["id"]: record["ts"] for record in records(home)}
    assert by_id == {"order-17": 1372680000_000_000, q.id: 1372680000_000_000}


def test_inputs_may_be_named_and_must_be_there(home: Path) -> None:
    recorder = Recorder("fares", home=home)
    with recorder.prediction(inputs={"fare": 1.0}, id=None, ts=None, names=None, country="US"):
        pass
    with pytest.raises(TypeError, match="inputs"):
        recorder.prediction(country="US")  # type: ignore[call-arg]
    (record,) = records(home)
    assert (record["inputs.fare"], record["context.country"]) == (1.0, "US")
    assert not {"context.inputs", "context.id", "context.ts", "context.names"} & set(record)


def test_ids_are_uuid7_in_the_order_of_time(home: Path) -> None:
    from uuid import UUID

    recorder = Recorder("fares", home=home)
    ids = []
    for _ in range(300):
        with recorder.prediction({}) as p:
            ids.append(p.id)
    assert ids == sorted(set(ids)) == [record["id"] for record in records(home)]
    assert {(UUID(i).version, UUID(i).variant) for i in ids} == {(7, "specified in RFC 4122")}


def test_every_sequence_number_is_there(home: Path) -> None:
    recorder = Recorder("fares", home=home)
    for _ in range(50):
        with recorder.prediction({}):
            pass
    recorder.prediction({"never": "entered"})
    assert [record["recorder.seq"] for record in records(home)] == list(range(1, 51))


def test_segments_are_private_and_carry_the_process(home: Path) -> None:
    recorder = Recorder("a b/ü", home=home)
    with recorder.prediction({}):
        pass
    ((path, segment),) = segments(home, "a b/ü")
    assert path.parent.name == "a~20b~2F~C3~BC"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    facts = segment.frames[0].decode()
    assert segment.frames[0].kind == Kind.PROCESS
    assert facts["app"] == "a b/ü"
    assert facts["process"] == segment.header.session.hex()
    assert facts["libraries"]["msgspec"]


def test_a_new_model_answers_from_now_on(home: Path) -> None:
    recorder = Recorder("fares", home=home, model={"name": "fares", "version": 7, "digest": None})
    assert recorder.model == {"name": "fares", "version": "7"}
    with recorder.prediction({}):
        pass
    recorder.model = "fares@8"
    with recorder.prediction({}):
        pass
    assert [record["model.version"] for record in records(home)] == ["7", "8"]


def test_off_records_nothing_and_changes_nothing(home: Path) -> None:
    code = """if True:
        import sys; from whimbrel.record import Recorder
        recorder = Recorder("fares", home=sys.argv[1])
        def f(x): return x + 1
        assert recorder.step(f) is f
        assert recorder.step("named")(f) is f
        with recorder.prediction({"a": 1}, country="US") as p:
            assert recorder.step("s", 3) == 3
            with p.span("x"): p.output(1)
            p.decision(1); p.usage(a=1); p.error("e"); p.span("y", 3.0); p.step("z", 1)
        assert len(p.id) == 36 and p.id == p.id
        with recorder.prediction({}, id="order-17") as q: assert q.id == "order-17"
        recorder.label(p.id, 1); recorder.decision(p.id, 1); recorder.event("deploy", "x")
        assert recorder.losses == {}
    """
    run(code, home, env={"WHIMBREL": "off"})
    assert not home.exists()


def test_the_home_comes_from_the_environment_and_outlives_a_change_of_folder(home: Path) -> None:
    code = """if True:
        import os; from whimbrel.record import Recorder
        recorder = Recorder("fares"); os.chdir("/")
        with recorder.prediction({}): pass
    """
    run(code, env={"WHIMBREL_HOME": str(home)})
    assert len(records(home)) == 1


@pytest.mark.parametrize("app", ["", 7, "x" * 201, "a\nb", "\ud800"])
def test_what_is_no_name_for_an_app_is_refused_at_once(app: str, home: Path) -> None:
    with pytest.raises(UsageError, match="no name for an app"):
        Recorder(app, home=home)


def test_a_recorder_pickles_as_what_it_was_made_of(home: Path) -> None:
    import pickle

    twin = pickle.loads(pickle.dumps(Recorder("fares", home=home, model="fares@7")))
    with twin.prediction({}):
        pass
    assert records(home)[0]["model.version"] == "7"


def test_the_recorder_imports_nothing_heavy() -> None:
    code = """if True:
        import sys
        from whimbrel.record import Recorder
        heavy = {"numpy", "duckdb", "deltalake", "pandas", "sklearn", "click", "rich", "jinja2"} & set(sys.modules)
        assert not heavy, heavy
    """
    run(code)
