"""Calls that are predictions, look-ups, work handed to executors, handles without `with`, and rows of every sort."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import threading
from collections import namedtuple
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pydantic
import pytest

from whimbrel.record import Recorder
from whimbrel.record.prediction import current

from .readback import records, run


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def recorder(home: Path) -> Recorder:
    return Recorder("fares", home=home, model="fares@7")


def inputs(record: dict[str, Any]) -> dict[str, Any]:
    return {path.removeprefix("inputs."): value for path, value in record.items() if path.startswith("inputs.")}


def test_each_call_of_a_function_is_a_prediction(recorder: Recorder, home: Path) -> None:
    @recorder.predict
    def quote(ride: dict[str, float]) -> float:
        """Says so."""
        p = recorder.current
        assert p is not None
        p.decision("accept")
        return recorder.step("double", ride["km"] * 2)

    assert quote({"km": 4.0}) == 8.0
    assert recorder.current is None
    assert quote.__doc__ == "Says so."
    (record,) = records(home)
    assert inputs(record) == {"km": 4.0}
    assert (record["steps.double.value"], record["outputs.score"], record["decision"]) == (8.0, 8.0, "accept")


def test_arguments_are_inputs_by_name_and_tags_where_that_is_said(recorder: Recorder, home: Path) -> None:
    @recorder.predict(tags=["country"])
    def quote(km: float, *, wait: float = 1.5, country: str = "US") -> dict[str, float]:
        return {"low": km, "high": km + wait}

    class Service:
        @recorder.predict
        def text(self, prompt: str) -> str:
            return prompt.upper()

        @recorder.predict
        @staticmethod
        def rest(a: int, *more: int, **named: int) -> int:
            return a + sum(more) + sum(named.values())

    assert quote(4.0, country="AT") == {"low": 4.0, "high": 5.5}
    assert Service().text("hi") == "HI"
    assert Service.rest(1, 2, c=3) == 6
    with pytest.raises(TypeError, match="missing"):
        quote()  # type: ignore[call-arg]
    first, second, third, wrong = records(home)
    assert inputs(first) == {"km": 4.0, "wait": 1.5}
    assert (first["context.country"], first["outputs.low"], first["outputs.high"]) == ("AT", 4.0, 5.5)
    assert (inputs(second), second["outputs.score"]) == ({"prompt": "hi"}, "HI")
    assert (inputs(third), third["outputs.score"]) == ({"a": 1, "argument 1": 2, "c": 3}, 6)
    assert wrong["error"].startswith("TypeError: ")


def test_coroutines_that_are_predictions_keep_to_themselves(recorder: Recorder, home: Path) -> None:
    @recorder.predict
    async def double(n: int) -> int:
        await asyncio.sleep(0.001 * (n % 3))
        return recorder.step("twice", 2 * n)

    async def main() -> list[int]:
        return await asyncio.gather(*(double(n) for n in range(20)))

    assert inspect.iscoroutinefunction(double)
    assert asyncio.run(main()) == [2 * n for n in range(20)]
    found = records(home)
    assert len(found) == 20
    assert all(r["steps.twice.value"] == r["outputs.score"] == 2 * r["inputs.n"] for r in found)


def test_a_streamed_answer_is_recorded_when_it_ends_and_its_consumer_is_no_part_of_it(
    recorder: Recorder, home: Path
) -> None:
    @recorder.predict
    def tokens(prompt: str) -> Iterator[str]:
        recorder.step("inside", prompt)
        for word in ("the ", prompt):
            try:
                yield word
            except KeyError:
                yield "caught"

    assert inspect.isgeneratorfunction(tokens)
    for _ in tokens("bird"):
        assert current() is None
        recorder.step("outside", 1)
    caught = tokens("x")
    assert (next(caught), caught.throw(KeyError())) == ("the ", "caught")
    given_up = tokens("y")
    next(given_up)
    del caught, given_up
    first, second, third = records(home)
    assert (first["outputs.score"], first["steps.inside.value"], first.get("error")) == ("the bird", "bird", None)
    assert "steps.outside.value" not in first
    assert second["outputs.score"] == "the caught"
    assert (third["outputs.score"], third["error"]) == ("the ", "GeneratorExit")


def test_an_asynchronous_stream_is_recorded_too(recorder: Recorder, home: Path) -> None:
    @recorder.predict
    async def count(n: int) -> AsyncIterator[int]:
        for i in range(n):
            await asyncio.sleep(0)
            recorder.step("item", i)
            yield i
        if n == 4:
            raise KeyError("four")

    async def collect(n: int) -> list[int]:
        return [i async for i in count(n)]

    async def main() -> None:
        assert [await collect(3), await collect(2)] == [[0, 1, 2], [0, 1]]
        with pytest.raises(KeyError):
            await collect(4)
        assert len(await collect(1005)) == 1005

    assert inspect.isasyncgenfunction(count)
    asyncio.run(main())
    found = {record["inputs.n"]: record for record in records(home)}
    assert found[3]["outputs.score"] == [0, 1, 2]
    assert found[2]["steps.item_2.value"] == 1
    assert found[4]["error"] == "KeyError: 'four'"
    assert len(found[1005]["outputs.score"]) == 1000
    assert "first 1000 of its 1005" in found[1005]["recorder.lost"]


def test_what_was_read_of_the_world_is_recorded(recorder: Recorder, home: Path) -> None:
    rates = {"USD": 1.25}

    async def fetch(name: str) -> float:
        await asyncio.sleep(0)
        return rates[name]

    def fails() -> float:
        raise TimeoutError

    assert recorder.read("rate", rates.get, "USD") == 1.25
    with recorder.prediction({}) as p:
        assert recorder.read("rate", rates.get, "USD") == 1.25
        assert recorder.read("luck", lambda: 4) == 4
        with pytest.raises(TimeoutError):
            recorder.read("slow", fails)
        p.output(1.0)

    async def main() -> None:
        with recorder.prediction({}):
            assert await recorder.read("rate", fetch, name="USD") == 1.25

    asyncio.run(main())
    first, second = records(home)
    assert (first["steps.rate.value"], first["steps.luck.value"]) == (1.25, 4)
    assert first["recorder.reads"] == ["rate", "luck"]
    assert {"spans.rate", "spans.luck", "spans.slow"} < set(first)
    assert not [path for path in first if path.startswith("code.")]
    assert second["steps.rate.value"] == 1.25


def double_of(n: int) -> int:
    return 2 * n


def test_bound_functions_record_for_their_prediction_in_other_threads(recorder: Recorder, home: Path) -> None:
    @recorder.step
    def fetch(n: int) -> int:
        return recorder.step("raw", n) * 10

    async def later(n: int) -> int:
        await asyncio.sleep(0)
        return recorder.step("later", n)

    with ThreadPoolExecutor(4) as pool:
        with recorder.prediction({"n": -1}) as p:
            assert sorted(pool.map(recorder.bind(fetch), range(4))) == [0, 10, 20, 30]
            assert asyncio.run(recorder.bind(later)(5)) == 5
        with recorder.prediction({"n": -2}):
            assert pool.submit(fetch, 7).result() == 70
        late = recorder.bind(fetch)
        assert late is fetch
    with recorder.prediction({}) as p, ProcessPoolExecutor(1, mp_context=get_context("spawn")) as processes:
        assert processes.submit(recorder.bind(double_of), 4).result() == 8
    assert p.id
    first, second, _ = records(home)
    assert {first[f"steps.fetch{k}.value"] for k in ("", "_2", "_3", "_4")} == {0, 10, 20, 30}
    assert {first[f"steps.raw{k}.value"] for k in ("", "_2", "_3", "_4")} == {0, 1, 2, 3}
    assert first["steps.later.value"] == 5
    assert "steps.fetch.value" not in second
    assert recorder.losses == {}


def test_a_handle_begins_here_and_ends_there(recorder: Recorder, home: Path) -> None:
    p = recorder.prediction({"n": 1}).begin()
    assert recorder.current is None
    assert recorder.step("nobody", 1) == 1

    def answer() -> None:
        p.step("model", 2)
        p.output(0.5)
        p.end()

    thread = threading.Thread(target=answer)
    thread.start()
    thread.join()
    failed = recorder.prediction({"n": 2}).begin()
    failed.end(ValueError("no"))
    with recorder.prediction({"n": 3}):
        inner = recorder.prediction({"n": 4}).begin()
        recorder.step("outer", 3)
        inner.end()
    found = {record["inputs.n"]: record for record in records(home)}
    assert (found[1]["steps.model.value"], found[1]["outputs.score"], found[1].get("error")) == (2, 0.5, None)
    assert "steps.nobody.value" not in found[1]
    assert found[2]["error"] == "ValueError: no"
    assert found[3]["steps.outer.value"] == 3
    assert "steps.outer.value" not in found[4]


@dataclasses.dataclass
class Ride:
    fare: float
    zone: str


class Model(pydantic.BaseModel):
    fare: float
    zone: str


Tuple = namedtuple("Tuple", ["fare", "zone"])  # noqa: PYI024


def test_rows_of_every_sort_are_the_same_fields(recorder: Recorder, home: Path) -> None:
    frame = pd.DataFrame({"fare": [12.5], "zone": ["B"]}, index=["ride 1"])
    table = pa.table({"fare": [12.5], "zone": ["B"]})
    structured = np.array([(12.5, "B")], dtype=[("fare", "f8"), ("zone", "U1")])
    rows: list[Any] = [
        {"fare": 12.5, "zone": "B"}, Ride(12.5, "B"), Tuple(12.5, "B"), frame.iloc[0], frame,
        table.to_struct_array()[0], table, structured, structured[0], next(frame.itertuples(index=False)), Model(fare=12.5, zone="B"),
    ]  # fmt: skip
    for row in rows:
        with recorder.prediction(row):
            recorder.step("same", row)
    found = records(home)
    assert [inputs(record) for record in found] == [{"fare": 12.5, "zone": "B"}] * len(rows)
    assert recorder.losses == {}


def test_an_array_takes_names(recorder: Recorder, home: Path) -> None:
    names = ["fare", "km"]
    rows: list[Any] = [np.array([1.5, 2.0]), np.array([[1.5, 2.0]], "f4"), [1.5, 2.0], pd.Series([1.5, 2.0])]
    for row in rows:
        with recorder.prediction(row, names=names):
            recorder.step("scale", row, names=names)

    @recorder.predict(names=names)
    def model(x: Any) -> float:
        return float(x[0])

    model(np.array([1.5, 2.0]))
    with recorder.prediction(np.array([1.0, 2.0, 3.0]), names=names):
        pass
    *named, called, wrong = records(home)
    assert [inputs(record) for record in named] == [{"fare": 1.5, "km": 2.0}] * 4
    assert [record["steps.scale.km"] for record in named] == [2.0] * 4
    assert inputs(called) == {"fare": 1.5, "km": 2.0}
    assert inputs(wrong) == {"value": [1.0, 2.0, 3.0]}
    assert recorder.losses == {"names": 1}


def test_messages_and_texts(recorder: Recorder, home: Path) -> None:
    messages = [{"role": "user", "content": "why?"}]
    for value in (messages, "why?"):
        with recorder.prediction(value):
            pass
    first, second = records(home)
    assert inputs(first) == {"messages": '[{"role":"user","content":"why?"}]'}
    assert inputs(second) == {"value": "why?"}


def test_off_leaves_functions_alone() -> None:
    code = """if True:
        from whimbrel.record import Recorder
        recorder = Recorder("fares")
        def f(x): return x + 1
        assert recorder.predict(f) is f and recorder.predict(tags=["x"])(f) is f
        with recorder.prediction({}):
            assert recorder.read("f", f, 1) == 2 and recorder.bind(f) is f and recorder.current is None
        p = recorder.prediction({}).begin(); p.output(1); p.end()
    """
    run(code, env={"WHIMBREL": "off"})


def test_what_is_no_function_is_given_back(recorder: Recorder) -> None:
    nothing: Any = 7
    assert recorder.predict(nothing) == 7
    assert recorder.losses == {"decoration": 1}
