"""No value breaks the app, whatever it is; what could not be kept is said, and everything beside it is kept."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import math
import threading
import uuid
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

from whimbrel.record import Recorder, flat
from whimbrel.record.reader import Frame
from whimbrel.record.values import LIMIT, encode, rescue

from .readback import records


class Nasty:
    """Raises whatever it is asked."""

    def __repr__(self) -> str:
        raise ValueError("no")

    __str__ = __repr__
    __hash__ = None  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __iter__(self) -> Any:
        raise MemoryError

    def __bool__(self) -> bool:
        raise ValueError

    def __eq__(self, other: object) -> bool:
        raise ValueError


class NastyDict(dict[str, Any]):
    def items(self) -> Any:
        raise ValueError

    def __iter__(self) -> Any:
        raise ValueError


@dataclasses.dataclass
class Holder:
    good: int
    bad: Any


def cycle() -> list[Any]:
    ring: list[Any] = [1]
    ring.append(ring)
    return ring


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def counting() -> Any:
    yield 1
    raise AssertionError("a generator was read")


def objects() -> Any:
    held = np.empty(2, dtype=object)
    held[:] = ["a", {"deeper": Nasty()}]
    return held


HOSTILE: dict[str, Any] = {
    "raises": Nasty(),
    "cycle": cycle(),
    "deep": deep(5000),
    "generator": counting(),
    "surrogate": "a\ud800b",
    "huge text": "x" * (3 * LIMIT),
    "huge bytes": b"x" * (2 * LIMIT),
    "huge list": list(range(LIMIT)),
    "huge array": np.zeros((400, 1000)),
    "mock": MagicMock(),
    "function": len,
    "class": Nasty,
    "module": math,
    "lock": threading.Lock(),
    "exception": ValueError("x"),
    "ellipsis": ...,
    "iterator": iter([1]),
    "keys": {(1, 2): 1, None: 2, 1.5: 3, "\ud800": 4, uuid.UUID(int=1): 5},
    "half bad": {"good": 1, "bad": Nasty()},
    "dataclass": Holder(1, Nasty()),
    "objects": objects(),
    "frame": pd.DataFrame({"a": [1, 2], "b": ["x", threading.Lock()]}),
}
"""What cannot be kept as it is, and must be said."""

ODD: dict[str, Any] = {
    "deep enough to encode": deep(300),
    "huge integer": 1 << 4000,
    "not a number": math.nan,
    "infinite": -math.inf,
    "set of mixed": {1, "a", None},
    "complex": 1j,
    "memory": memoryview(b"abc"),
    "void": np.zeros(2, dtype=[("a", "i4"), ("b", "f8")]),
    "its own dictionary": NastyDict(a=1),
}
"""What is odd and can be kept."""


@pytest.mark.parametrize("name", [*HOSTILE, *ODD])
def test_a_hostile_value_breaks_nothing_anywhere(name: str, tmp_path: Path) -> None:
    value = {**HOSTILE, **ODD}[name]
    recorder = Recorder("fares", home=tmp_path)
    with recorder.prediction({"before": 1, "it": value, "after": 2}, tag=value) as p:
        assert recorder.step("hostile", value) is value
        assert p.step("again", value) is value
        recorder.step("inside", {"good": 3, "it": [value]})
        p.output(value)
        p.output(it=value, good=4)
        p.decision(value)
        p.usage(it=value)
        p.error(value)
        p.model(version=value)
        p.context(late=value)
        p.span("sane", 1.0)
    with recorder.prediction(value):
        pass
    recorder.label(p.id, value)
    recorder.label(value, 1)
    recorder.decision(p.id, value)
    recorder.event(value, value, tag=value)
    recorder.label(p.id, 1, ts=value)
    first, second = records(tmp_path)
    assert (first["inputs.before"], first["inputs.after"]) == (1, 2)
    assert (first["steps.inside.good"], first["outputs.good"], first["spans.sane"]) == (3, 4, 1.0)
    assert "spans.total" in second
    assert ("recorder.lost" in first) == (name in HOSTILE)


@pytest.mark.parametrize("call", ["prediction", "step", "label", "decision", "event", "model"])
def test_hostile_arguments_where_names_are_expected(call: str, tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path)
    bad: Any = Nasty()
    odd: Any = 7
    with recorder.prediction({}, **({"id": bad, "ts": bad} if call == "prediction" else {})) as p:
        if call == "step":
            recorder.step(bad, 1)
            recorder.step(odd, bad)
            p.span(bad, 1.0)
            p.span("x", bad)
            with p.span(bad):
                pass
            assert recorder.step(odd) == 7
            p.usage(bad)
            p.age(bad)
            p.model(bad)
        if call == "label":
            recorder.label(bad, bad, ts=bad)
        if call == "decision":
            recorder.decision(bad, bad)
        if call == "event":
            recorder.event(bad, bad, ts=bad)
        if call == "model":
            recorder.model = bad
    assert len(records(tmp_path)) == (0 if call == "prediction" else 1)


def test_what_was_cut_says_how_much_is_left(tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path)
    with recorder.prediction({"prompt": "é" * (3 * LIMIT), "n": 1}):
        recorder.step("embed", np.arange(300_000.0))
    (record,) = records(tmp_path)
    assert LIMIT / 2 < len(record["inputs.prompt"].encode()) <= LIMIT
    assert record["inputs.n"] == 1
    assert f"of {3 * LIMIT} characters" in record["recorder.lost"]
    assert record["steps.embed.value"][:3] == [0.0, 1.0, 2.0]
    assert "of its 300000 items were kept" in record["recorder.lost"]


def test_a_prediction_that_says_too_much_keeps_its_first_part_and_its_end(tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path)
    with recorder.prediction({"n": 1}) as p:
        for _ in range(12):
            recorder.step("big", "x" * 1_000_000)
        p.error("and yet")
    (record,) = records(tmp_path)
    assert record["inputs.n"] == 1
    assert record["spans.total"] > 0
    assert record["error"] == "and yet"
    assert "the prediction was full" in record["recorder.lost"]
    assert recorder.losses == {"call": 5}


def test_a_prediction_of_countless_small_steps_is_cut_as_well(tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path)
    with recorder.prediction({"n": 1}):
        for _ in range(25_000):
            recorder.step("small", "x" * 400)
    (record,) = records(tmp_path)
    assert record["spans.total"] > 0
    assert "the prediction was full" in record["recorder.lost"]
    assert recorder.losses["call"] > 1000
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.seg")) < 9 << 20


class Color(enum.Enum):
    RED = "red"


class Point(msgspec.Struct):
    x: int


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(1.5), 1.5), (np.float32(0.5), 0.5), (np.int64(3), 3), (np.bool_(True), True), (np.str_("a"), "a"),
        (np.longdouble(2.0), 2.0), (np.datetime64("2026-01-02T03:04:05"), "2026-01-02T03:04:05"),
        (np.array([1.0, 2.0]), [1.0, 2.0]), (np.array([[1, 2, 3]]), [1, 2, 3]),
        (np.array([True, False]), [1, 0]), (np.array([1, 2], dtype=">i4"), [1, 2]), (np.array([0.5], "f2"), [0.5]),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.arange(6).reshape(2, 3), [0, 1, 2, 3, 4, 5]), ([[1, 2], [3, 4]], [1, 2, 3, 4]), (np.array(5.0), 5.0),
        (scipy.sparse.csr_matrix([[0.0, 1.0]]), [0.0, 1.0]), (pd.Series([1, 2]), [1, 2]), (pl.Series([1, 2]), [1, 2]),
        (pd.NA, None), (pd.NaT, None), (decimal.Decimal("1.25"), 1.25), (Color.RED, "red"), (b"\x00\xff", "AP8="),
        (dt.datetime(2026, 1, 2, tzinfo=dt.UTC), dt.datetime(2026, 1, 2, tzinfo=dt.UTC)), (1 + 2j, "(1+2j)"),
        (pd.Timestamp("2026-01-02", tz="UTC"), dt.datetime(2026, 1, 2, tzinfo=dt.UTC)),
        (dt.datetime(2026, 1, 2), "2026-01-02T00:00:00"), ((1, 2), [1, 2]), ({3}, [3]), (range(3), [0, 1, 2]),
        (None, None), (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"), ([1, "a"], '[1,"a"]'),
        ([{"a": 1}], '[{"a":1}]'), ([], []), ([1, None], [1, None]), ([True], [1]),
    ],
)  # fmt: skip
def test_values_of_every_sort_come_back_as_what_they_are(value: Any, expected: Any, tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path)
    with recorder.prediction({"it": value}):
        recorder.step("it", value)
    (record,) = records(tmp_path)
    assert record["inputs.it"] == expected
    assert record["steps.it.value"] == expected
    assert "recorder.lost" not in record


def test_rows_of_frames_and_structs_become_fields(tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path)
    frame = pd.DataFrame({"fare": [12.5], "zone": ["B"]})
    for row in (frame, frame.iloc[0], pl.from_pandas(frame), Holder(1, 2), Point(3)):
        with recorder.prediction(row):
            pass
    found = [{k: v for k, v in record.items() if k.startswith("inputs.")} for record in records(tmp_path)]
    ride = {"inputs.fare": 12.5, "inputs.zone": "B"}
    assert found == [ride, ride, ride, {"inputs.good": 1, "inputs.bad": 2}, {"inputs.x": 3}]


def test_shapes_are_kept_beside_the_items(tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path)
    with recorder.prediction({"image": np.zeros((1, 2, 3), dtype=np.float32)}) as p:
        p.output(np.array([[0.25]]))
    (record,) = records(tmp_path)
    assert record["inputs.image"] == [0.0] * 6
    assert record["inputs.image.shape"] == "2×3"
    assert record["outputs.score"] == 0.25


scalar = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.binary(max_size=20) | st.datetimes()
    | st.text(st.characters(codec=None), max_size=20)
)  # fmt: skip
tree = st.recursive(
    scalar,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=4),
    max_leaves=20,
)


@given(tree)
def test_any_value_can_be_written_read_and_flattened(value: Any) -> None:
    twin, _ = rescue({"inputs": value}, "")
    body = encode(twin)
    begin = Frame(0, len(body), 2, 1, body).decode()
    record = flat.prediction({"ts": 0, **begin}, None, b"\0" * 16, 1)
    assert all(isinstance(path, str) for path in record)
    assert all(isinstance(v, str | bool | int | float | list | dt.datetime | None) for v in record.values())
    msgspec.json.encode(record)


item = st.text(max_size=6) | st.integers() | st.none() | st.dictionaries(st.text(max_size=2), st.integers(), max_size=3)


@given(st.lists(st.lists(item, max_size=5), max_size=5))
def test_entries_of_any_shape_are_read_without_failing(entries: list[Any]) -> None:
    for word in (
        "step",
        "failed",
        "span",
        "output",
        "decision",
        "decisions",
        "usage",
        "age",
        "model",
        "error",
        "lost",
        "end",
    ):
        flat.prediction({"ts": 0}, [[word, *entry] for entry in entries], b"\0" * 16, 1)
