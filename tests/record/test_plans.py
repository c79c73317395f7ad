"""The quick way of flattening predictions says what the slow way says: the same fields, values, types and order."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from whimbrel.record import flat, frames
from whimbrel.record.frames import Kind
from whimbrel.record.reader import decode_body
from whimbrel.record.values import ARRAY
from whimbrel.store.backlog import Mark, catch_up
from whimbrel.store.plans import Plans
from whimbrel.store.records import Records

SESSION = bytes.fromhex("0199a0b1c2d37e4f8011223344556677")
encode = msgspec.msgpack.encode
names = st.sampled_from(["a", "b", "A", "a.b", "", "c", 1, True, 1.0])
big = st.sampled_from([2**53, 2**53 + 1, -(2**53), 2**64 - 1, float("nan"), float("inf"), -0.0])
plain = st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=3) | big
array = st.just(msgspec.msgpack.Ext(ARRAY, struct.pack("<cBI2d", b"d", 1, 2, 0.5, float("nan"))))
odd = st.lists(plain, max_size=3) | st.dictionaries(names, plain, max_size=2) | array
value = plain | plain | odd
fields = st.dictionaries(names, value, max_size=3)
own = st.integers(0, 10**9)
entry = st.one_of(
    st.tuples(st.just("step"), names, value | fields, own).map(list),
    st.tuples(st.just("step"), names, fields, own, st.sampled_from([None, "f1-0"])).map(list),
    st.tuples(st.sampled_from(["span", "failed"]), names, own).map(list),
    st.tuples(st.sampled_from(["output", "hardware"]), fields).map(list), st.just(["hardware", {"host": "other"}]),
    st.tuples(st.just("begun"), names).map(list), st.tuples(st.just("decision"), value).map(list),
    st.tuples(st.sampled_from(["usage", "model", "decisions", "context"]), fields).map(list), st.just(["lost", "a", "why"]),
    st.just(["error", "no"]), st.just(["later", 1]),
    st.lists(st.sampled_from(["step", "output", "span", "end", "a", 5, 2.5, None, True]), max_size=5),
    st.sampled_from([None, 7, "step", {"step": 1}]),
)  # fmt: skip
bodies = st.lists(entry, max_size=4)
wanting = st.sampled_from(["", "", "", "begin", "end"])


@st.composite
def predictions(draw: st.DrawFn) -> tuple[Any, list[list[Any]], Any]:
    begin: dict[str, Any] = {"ts": draw(st.integers(0, 2**50)), "inputs": draw(fields | value)}
    for name in ("context", "model"):
        if draw(st.booleans()):
            begin[name] = draw(st.dictionaries(names, st.text(max_size=2) | value, max_size=2))
    if draw(st.booleans()):
        begin["id"] = draw(st.sampled_from(["order-17", "order-17", "", 17]))
    if draw(st.booleans()):
        begin["trace"] = draw(st.sampled_from([f"00-{'a' * 32}-{'b' * 16}-01", "none"]))
    if draw(st.booleans()) and draw(st.booleans()):
        begin["lost"] = [["inputs.x", "too large"]]
    end = draw(bodies)
    if draw(st.booleans()):
        end.append(["end", draw(own), begin["ts"], *draw(st.sampled_from([(), (), (2,)]))])
    lacks = draw(wanting)
    return None if lacks == "begin" else begin, draw(st.lists(bodies, max_size=2)), None if lacks == "end" else end


several = st.lists(predictions(), min_size=1, max_size=4).map(lambda found: found + found)
"""Each of them twice, so that the second goes by the plan of the first."""


def slow(begin: bytes | None, end: bytes | None, seq: int, parts: list[bytes]) -> dict[str, Any]:
    opened, closed = (None if body is None else decode_body(body) for body in (begin, end))
    return flat.prediction(opened, closed, SESSION, seq, list(map(decode_body, parts)))


def test_an_id_is_the_uuid_that_the_format_specifies() -> None:
    found = frames.prediction_id(SESSION, 0x12345678, 1795271127929310)
    assert found == "01a1fe7f-7379-7123-9159-e23344556677"


@given(several)
def test_a_plan_says_what_the_slow_way_says(found: list[Any]) -> None:
    plans, quick, expected = Plans(SESSION, {"hardware.host": "vm"}), Records(), []
    for seq, (begin, parts, end) in enumerate(found, 1):
        halves = [None if half is None else encode(half) for half in (begin, end)]
        ahead = list(map(encode, parts))
        plans.take(quick, halves[0], halves[1], seq, ahead)
        expected.append(slow(halves[0], halves[1], seq, ahead) | {"hardware.host": "vm"})
    assert [repr(list(record.items())) for record in quick] == [repr(list(record.items())) for record in expected]


@settings(max_examples=50, deadline=None)
@given(several, st.randoms(use_true_random=False))
def test_a_segment_of_odd_bodies_is_read_as_the_slow_way_reads_each(found: list[Any], chance: Any) -> None:
    """Whatever order its frames stand in, as long as what was written ahead comes before its END."""
    told: list[list[tuple[int, int, bytes]]] = []
    expected = {}
    for seq, (begin, parts, end) in enumerate(found, 1):
        frame: list[tuple[int, int, bytes]] = [(Kind.BEGIN, seq, encode(begin))] if begin is not None else []
        frame += [(Kind.PART, seq, encode(part)) for part in parts]
        frame += [(Kind.END, seq, encode(end))] if end is not None else []
        told.append(frame)
        if begin is not None or end is not None:
            halves = [None if half is None else encode(half) for half in (begin, end)]
            expected[seq] = slow(halves[0], halves[1], seq, list(map(encode, parts)))
    header = frames.Header(SESSION, 1, 7, 99, 0, frames.LOCKED)
    data = header.pack()
    while waiting := [frame for frame in told if frame]:
        kind, stream, body = chance.choice(waiting).pop(0)
        data += frames.frame(header.mark, header.seed, kind, stream, body)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, frames.segment_name(SESSION, 1)).write_bytes(data)
        read = [record for news in catch_up(Path(folder), SESSION.hex(), Mark()) for record in news.predictions]
    assert {record["recorder.seq"]: repr(record) for record in read} == {seq: repr(expected[seq]) for seq in expected}


def test_predictions_of_one_structure_share_a_plan() -> None:
    plans, records = Plans(SESSION, {}), Records()
    for n in range(5):
        begin = {"ts": n, "model": {"name": "m"}, "context": {"c": "US"}, "inputs": {"a": float("nan"), "b": "x"}}
        end = [["step", "s", {"x": n * 0.5}, 10, "f1-0"], ["output", {"score": n}], ["decision", "yes"], ["end", 99, n]]
        plans.take(records, encode(begin), encode(end), n)
    (plan,) = plans.plans.values()
    assert plan is not None
    assert plan.names[2:5] == ("inputs.a", "inputs.b", "code.s")
    assert [record["steps.s.x"] for record in records] == [0.0, 0.5, 1.0, 1.5, 2.0]
