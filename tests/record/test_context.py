"""Each task, thread and generator records under its own prediction, and functions stay what they were."""

from __future__ import annotations

import asyncio
import inspect
import signal
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from whimbrel.record import Prediction, Recorder
from whimbrel.record.prediction import current

from .readback import records, segments


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def recorder(home: Path) -> Recorder:
    return Recorder("fares", home=home)


def by_n(home: Path) -> dict[int, dict[str, Any]]:
    return {record["inputs.n"]: record for record in records(home)}


def test_asyncio_tasks_keep_their_own_prediction(recorder: Recorder, home: Path) -> None:
    @recorder.step
    async def fetch(n: int) -> int:
        await asyncio.sleep(0.001 * (n % 3))
        return await deeper(n)

    @recorder.step
    async def deeper(n: int) -> int:
        await asyncio.sleep(0)
        return 10 * n

    async def handle(n: int) -> None:
        with recorder.prediction({"n": n}) as p:
            await fetch(n)
            p.output(await asyncio.create_task(fetch(n)))

    async def main() -> None:
        await asyncio.gather(*(handle(n) for n in range(40)))

    asyncio.run(main())
    found = by_n(home)
    assert len(found) == 40
    for n, record in found.items():
        assert record["outputs.score"] == record["steps.fetch.value"] == record["steps.deeper.value"] == 10 * n
        assert record["steps.fetch_2.value"] == 10 * n
    assert recorder.losses == {}


def test_a_cancelled_task_is_recorded_as_such(recorder: Recorder, home: Path) -> None:
    @recorder.step
    async def wait() -> None:
        await asyncio.sleep(60)

    async def handle() -> None:
        with recorder.prediction({"n": 1}):
            await wait()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(handle(), 0.01)

    asyncio.run(main())
    assert records(home)[0]["error"] == "CancelledError (in step wait)"


def test_threads_have_no_prediction_of_another_and_take_one_by_hand(recorder: Recorder, home: Path) -> None:
    @recorder.step
    def double(n: int) -> int:
        return 2 * n

    def handle(n: int) -> None:
        assert current() is None
        with recorder.prediction({"n": n}) as p:
            p.output(double(n))

    def help_out(p: Prediction, n: int) -> None:
        recorder.step("nowhere", n)
        with p.span("helping"):
            p.step("helped", n)

    with ThreadPoolExecutor(8) as pool, recorder.prediction({"n": -1}) as outer:
        list(pool.map(handle, range(200)))
        list(pool.map(lambda n: help_out(outer, n), range(3)))
    found = by_n(home)
    assert sorted(found) == list(range(-1, 200))
    assert all(found[n]["outputs.score"] == found[n]["steps.double.value"] == 2 * n for n in range(200))
    helped = found[-1]
    assert {helped["steps.helped.value"], helped["steps.helped_2.value"], helped["steps.helped_3.value"]} == {0, 1, 2}
    assert "spans.helping" in helped
    assert "steps.nowhere.value" not in helped


def test_threads_that_start_at_once_lose_nothing_and_rotate_in_between(recorder: Recorder, home: Path) -> None:
    ready = threading.Barrier(8)

    def work(k: int) -> None:
        ready.wait()
        for i in range(60):
            with recorder.prediction({"n": k * 60 + i, "text": "x" * 100_000}) as p:
                p.output(i)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = records(home)
    assert sorted(record["inputs.n"] for record in found) == list(range(480))
    assert all("spans.total" in record for record in found)
    assert sorted(record["recorder.seq"] for record in found) == list(range(1, 481))
    assert recorder.losses == {}
    assert len(segments(home)) >= 3
    assert all(segment.damaged == () and segment.tail == 0 for _, segment in segments(home))


def test_nested_predictions_return_to_the_outer_one(recorder: Recorder, home: Path) -> None:
    with recorder.prediction({"n": 1}):
        recorder.step("a", 1)
        with recorder.prediction({"n": 2}):
            recorder.step("b", 2)
        recorder.step("c", 3)
    assert current() is None
    found = by_n(home)
    assert {k for k in found[1] if k.startswith("steps.")} == {"steps.a.value", "steps.c.value"}
    assert {k for k in found[2] if k.startswith("steps.")} == {"steps.b.value"}


def stream(recorder: Recorder, n: int) -> Iterator[int]:
    with recorder.prediction({"n": n}) as p:
        for i in range(3):
            p.step("token", n * 10 + i)
            yield i
        p.output(n)


def test_predictions_inside_interleaved_generators_do_not_mix(recorder: Recorder, home: Path) -> None:
    first, second = stream(recorder, 1), stream(recorder, 2)
    for _ in range(3):
        next(first)
        next(second)
    assert list(first) == []
    recorder.step("outside", 0)
    assert list(second) == []
    assert current() is None
    found = by_n(home)
    assert [found[1][f"steps.token{k}.value"] for k in ("", "_2", "_3")] == [10, 11, 12]
    assert [found[2][f"steps.token{k}.value"] for k in ("", "_2", "_3")] == [20, 21, 22]
    assert found[1]["outputs.score"] == 1


def test_streams_that_overlap_for_ever_hold_on_to_none_that_ended(recorder: Recorder) -> None:
    running = [stream(recorder, 0)]
    next(running[0])
    for n in range(1, 50):
        running.append(stream(recorder, n))
        next(running[-1])
        list(running.pop(0))
    depth, scope = 0, current()
    while scope is not None:
        depth, scope = depth + 1, scope.outer
    assert depth <= 3
    list(running[0])


def test_a_stream_that_is_given_up_says_so(recorder: Recorder, home: Path) -> None:
    given_up = stream(recorder, 1)
    next(given_up)
    del given_up
    assert records(home)[0]["error"] == "GeneratorExit"


def test_a_generator_step_is_the_list_of_what_it_yielded(recorder: Recorder, home: Path) -> None:
    @recorder.step
    def tokens(n: int) -> Generator[str, str, str]:
        """Says so."""
        heard = yield "a"
        try:
            yield heard * n
        except KeyError:
            yield "caught"
        return "returned"

    assert inspect.isgeneratorfunction(tokens)
    assert tokens.__doc__ == "Says so."
    outside = tokens(2)
    assert (next(outside), outside.send("x")) == ("a", "xx")
    with recorder.prediction({}):
        inside = tokens(2)
        assert (next(inside), inside.send("x"), inside.throw(KeyError())) == ("a", "xx", "caught")
        with pytest.raises(StopIteration) as stop:
            next(inside)
        assert stop.value.value == "returned"
    (record,) = records(home)
    assert record["steps.tokens.value"] == ["a", "xx", "caught"]
    assert record["code.tokens"].startswith("f1-")


def test_a_generator_steps_time_is_its_own_and_not_its_consumers(recorder: Recorder, home: Path) -> None:
    @recorder.step
    def quick() -> Iterator[int]:
        yield from range(5)

    @recorder.step
    def consume() -> int:
        return sum(sum(range(100_000)) for _ in quick())

    with recorder.prediction({}):
        consume()
    (record,) = records(home)
    assert record["spans.quick"] < record["spans.consume"]


def test_generator_steps_that_break_are_closed_or_run_on(recorder: Recorder, home: Path) -> None:
    closed: list[bool] = []

    @recorder.step
    def numbers() -> Iterator[int]:
        try:
            for i in range(5000):
                if i == 3 and breaks:
                    raise ValueError("three")
                yield i
        finally:
            closed.append(True)

    breaks = True
    with recorder.prediction({"n": 1}), pytest.raises(ValueError, match="three"):
        list(numbers())
    breaks = False
    with recorder.prediction({"n": 2}):
        early = numbers()
        assert [next(early), next(early)] == [0, 1]
        early.close()  # type: ignore[attr-defined]
    with recorder.prediction({"n": 3}):
        assert len(list(numbers())) == 5000
    assert len(closed) == 3
    found = by_n(home)
    assert "steps.numbers.value" not in found[1]
    assert found[2]["steps.numbers.value"] == [0, 1]
    assert found[3]["steps.numbers.value"] == list(range(1000))
    assert "first 1000 of its 5000 items" in found[3]["recorder.lost"]


def test_async_generator_steps(recorder: Recorder, home: Path) -> None:
    @recorder.step
    async def tokens(n: int) -> AsyncIterator[str]:
        for i in range(n):
            await asyncio.sleep(0)
            yield "abc"[i]

    async def main() -> None:
        assert [t async for t in tokens(2)] == ["a", "b"]
        with recorder.prediction({}):
            assert [t async for t in tokens(3)] == ["a", "b", "c"]
            with pytest.raises(IndexError):
                [t async for t in tokens(4)]

    assert inspect.isasyncgenfunction(tokens)
    asyncio.run(main())
    (record,) = records(home)
    assert record["steps.tokens.value"] == ["a", "b", "c"]


def test_every_sort_of_callable_can_be_a_step(recorder: Recorder, home: Path) -> None:
    import functools

    class Model:
        weight = 3

        @recorder.step
        def method(self, x: int) -> int:
            return self.weight * x

        @recorder.step
        @staticmethod
        def static(x: int) -> int:
            return x + 1

        @recorder.step
        @classmethod
        def of_class(cls, x: int) -> int:
            return cls.weight + x

        def __call__(self, x: int) -> int:
            return -x

    partial = recorder.step("partial")(functools.partial(pow, 2))
    named: Any = recorder.step("a.named.one")(lambda x: x * 5)
    called = recorder.step("called")(Model())
    with recorder.prediction({}):
        assert (Model().method(2), Model.static(2), Model.of_class(2)) == (6, 3, 5)
        assert (partial(3), named(2), called(4)) == (8, 10, -4)
    (record,) = records(home)
    values = {path: value for path, value in record.items() if path.startswith("steps.")}
    assert values == {
        "steps.method.value": 6, "steps.static.value": 3, "steps.of_class.value": 5,
        "steps.partial.value": 8, "steps.a_named_one.value": 10, "steps.called.value": -4,
    }  # fmt: skip
    assert {path for path in record if path.startswith("code.")} == {p.replace("steps", "code")[:-6] for p in values}


def test_a_signal_handler_may_record_while_its_process_records(recorder: Recorder, home: Path) -> None:
    fired = 0

    def on_alarm(number: int, frame: object) -> None:
        nonlocal fired
        fired += 1
        with recorder.prediction({"n": -fired}):
            recorder.step("alarm", fired)
        if fired < 50:  # armed once more only now, or a slow machine does nothing else
            signal.setitimer(signal.ITIMER_REAL, 0.001)

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    try:
        n = 0
        while fired < 50:
            n += 1
            with recorder.prediction({"n": n, "text": "x" * 2000}) as p:
                recorder.step("work", n)
                p.output(n)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    found = by_n(home)
    assert sorted(found) == list(range(-fired, 0)) + list(range(1, n + 1))
    assert all(found[i]["steps.work.value"] == found[i]["outputs.score"] == i for i in range(1, n + 1))
    assert recorder.losses == {}


def test_what_is_said_outside_its_with_is_counted(recorder: Recorder, home: Path) -> None:
    p = recorder.prediction({"n": 1})
    p.output(1)
    with p:
        pass
    p.output(2)
    p.step("late", 1)
    with p:
        recorder.step("again", 1)
    (record,) = records(home)
    assert "outputs.score" not in record
    assert recorder.losses == {
        "output outside its prediction": 2, "step outside its prediction": 1, "a prediction begun twice": 1,
    }  # fmt: skip
