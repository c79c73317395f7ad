"""Predictions flattened together are what the slow way makes of each: the same fields, values, types and order."""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whimbrel.errors import InputError
from whimbrel.record import flat, frames
from whimbrel.record.frames import Kind
from whimbrel.record.reader import decode_body
from whimbrel.record.values import ARRAY
from whimbrel.store.backlog import Mark, catch_up
from whimbrel.store.bodies import PADDING
from whimbrel.store.plans import Halves, Plans
from whimbrel.store.records import Records

SESSION = bytes.fromhex("0199a0b1c2d37e4f8011223344556677")
encode = msgspec.msgpack.encode
names = st.sampled_from(["a", "b", "A", "a.b", "", "c", 1, True, 1.0])
big = st.sampled_from([2**53, 2**53 + 1, -(2**53), 2**64 - 1, float("nan"), float("inf"), -0.0])
plain = st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=3) | big


def pack(letter: str, shape: tuple[int, ...], *items: Any) -> msgspec.msgpack.Ext:
    head = struct.pack(f"<cB{len(shape)}I", letter.encode(), len(shape), *shape)
    return msgspec.msgpack.Ext(ARRAY, head + struct.pack(f"<{len(items)}{letter}", *items))


array = st.just(pack("d", (1, 2), 0.5, float("nan")))
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


def together(plans: Plans, told: list[tuple[bytes, bytes]]) -> tuple[dict[int, dict[str, Any]], list[int]]:
    """Records of predictions by number, from 1, and the numbers of those that cannot be read."""
    bodies = [body for halves in told for body in halves]
    ends = np.cumsum([len(body) for body in bodies])
    starts = ends - [len(body) for body in bodies]
    numbers = np.arange(1, len(told) + 1)
    records = Records()
    records.top = len(told)
    halves = Halves(numbers, (starts[::2], ends[::2]), (starts[1::2], ends[1::2]), numbers)
    failed = [row + 1 for row, _ in plans.take(records, b"".join(bodies) + bytes(PADDING), halves)]
    return dict(zip((n for n in range(1, len(told) + 1) if n not in failed), records, strict=True)), failed


def agrees(plans: Plans, told: list[tuple[bytes, bytes]]) -> None:
    """Whether both ways say the same of these."""
    found, failed = together(plans, told)
    for seq, (begin, end) in enumerate(told, 1):
        try:
            expected = slow(begin, end, seq, []) | dict(plans.place)
        except (InputError, AttributeError, TypeError, KeyError, ValueError):
            assert seq in failed
            continue
        assert repr(list(found[seq].items())) == repr(list(expected.items()))


def test_an_id_is_the_uuid_that_the_format_specifies() -> None:
    found = frames.prediction_id(SESSION, 0x12345678, 1795271127929310)
    assert found == "01a1fe7f-7379-7123-9159-e23344556677"


def test_an_end_whose_time_is_no_time_is_passed_over() -> None:
    record = slow(None, encode([["end", 5, 9], ["end", 5, "step"], ["end", True, 7]]), 1, [])
    assert (record["ts"], record["spans.total"]) == (9, 5e-6)


@given(several)
def test_a_plan_says_what_the_slow_way_says(found: list[Any]) -> None:
    whole = [(begin, end) for begin, _, end in found if begin is not None and end is not None]
    if whole:
        agrees(Plans(SESSION, {"hardware.host": "vm"}), [(encode(begin), encode(end)) for begin, end in whole])


texts_ = st.text(max_size=3) | st.sampled_from(
    ["", "\0", "a\0", "é", "x" * 31, "x" * 32, "ü" * 40, "y" * 300, "z" * 70_000, " "]
)
numbers_ = st.integers(-(2**63), 2**64 - 1) | st.integers(-300, 300) | st.floats() | big
lists_ = st.lists(numbers_, max_size=4) | st.sampled_from([[0.5] * 70, [1] * 70, [0.25, 3], [1, 2.5, -7], []])
arrays_ = st.sampled_from(
    [pack("d", (2,), 1.5, float("nan")), pack("f", (1, 3), 0.5, 1, 2), pack("i", (2,), -5, 7), pack("?", (2,), 1, 0), pack("q", (1,), 2**60),
     pack("e", (1,), 0.5), pack("d", (2, 2), 1, 2, 3, 4), pack("B", (3,), 1, 2, 3), pack("d", (0,))]
)  # fmt: skip
anything = st.one_of(st.none(), st.booleans(), numbers_, texts_, lists_, arrays_)
mostly = st.sampled_from(
    [st.floats(), st.integers(0, 300), texts_, st.booleans(), lists_, arrays_, st.none(), anything, numbers_]
)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_values_of_every_kind_and_length_are_read_as_the_slow_way_reads_each(data: st.DataObject) -> None:
    """Predictions of one structure whose values are mostly of the same kind, and now and then of any other."""
    drawn = {place: data.draw(mostly, "kind") for place in ("a", "b", "step", "in step", "score", "decision", "tag")}

    def value(place: str) -> Any:
        return data.draw(anything if data.draw(st.integers(0, 9)) == 0 else drawn[place], place)

    own, code = st.integers(0, 2**33), data.draw(st.sampled_from([(), ("f1-0",), (None,)]))
    has = {what: data.draw(st.booleans()) for what in ("id", "trace", "error")}
    told = []
    for n in range(data.draw(st.integers(1, 12))):
        begin = {
            "ts": data.draw(st.sampled_from([n, 1_795_271_127_929_310 + n, -n, 2**55])),
            "inputs": {"a": value("a"), "b": value("b")},
        }
        begin |= {"id": data.draw(st.sampled_from([f"order-{n}", "", None]))} if has["id"] else {}
        begin |= {"trace": data.draw(st.sampled_from([f"00-{n:032x}-{n:016x}-01", "none"]))} if has["trace"] else {}
        begin |= {"context": {"tag": data.draw(texts_ | st.none())}, "model": {"name": "m"}}
        end = [
            ["step", "s", value("step"), data.draw(own), *code],
            ["step", "t", {"x": value("in step")}, data.draw(own)],
        ]
        end += [["span", "u", data.draw(own)], ["output", {"score": value("score")}], ["decision", value("decision")]]
        end += [["error", data.draw(texts_)]] if has["error"] else []
        told.append((encode(begin), encode([*end, ["end", data.draw(own), begin["ts"]]])))
    agrees(Plans(SESSION, {"hardware.host": "vm"}), told)


@pytest.mark.parametrize("hurt", [b"\xff\xfe", b"\xed\xa0\x80", b"\xc3("])
def test_what_is_no_utf_8_costs_its_own_prediction_only(hurt: bytes) -> None:
    told = []
    for n in range(20):
        begin = encode(
            {"ts": n, "inputs": {"a": "x" * 2 if n != 7 else "__", "b": "ü", "c": "w" * 80 if n != 9 else "__" * 40}}
        )
        told.append((begin.replace(b"__", hurt[:2]), encode([["end", 5, n]])))
    found, failed = together(Plans(SESSION, {}), told)
    assert failed == [8, 10]
    assert found[20]["inputs.c"] == "w" * 80


def test_bodies_that_end_too_early_or_go_on_do_not_fit() -> None:
    begin, end = encode({"ts": 1, "inputs": {"a": 1.5}}), encode([["end", 5, 1]])
    told = [
        (begin, end),
        (begin[:-3], end),
        (begin + b"\xc0", end),
        (begin, end[:-1]),
        (begin, end + b"\x01"),
        (b"", b""),
        (begin, end),
    ]
    found, failed = together(Plans(SESSION, {}), told)
    assert sorted(found) == [1, 7]
    assert failed == [2, 3, 4, 5, 6]


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


def test_predictions_of_one_structure_are_one_piece() -> None:
    plans, records = Plans(SESSION, {}), []
    for n in range(40):
        inputs = {"a": None if n % 9 == 0 else float("nan") if n % 7 == 0 else n, "b": "x" * (n % 5)}
        begin = {"ts": n, "model": {"name": "m"}, "context": {"c": "US"}, "inputs": inputs}
        end = [["step", "s", {"x": n * 0.5}, 10, "f1-0"], ["output", {"score": n}], ["decision", "yes"], ["end", 99, n]]
        records.append((encode(begin), encode(end)))
    bodies = b"".join(begin + end for begin, end in records)
    starts = np.cumsum([0, *(len(begin + end) for begin, end in records)])
    middles = starts[:-1] + [len(begin) for begin, _ in records]
    held, numbers = Records(), np.arange(40)
    halves = Halves(numbers, (starts[:-1], middles), (middles, starts[1:]), numbers)
    assert list(plans.take(held, bodies + bytes(PADDING), halves)) == []
    (piece,) = held.pieces
    assert not held.blocks
    assert list(piece.columns)[2:5] == ["inputs.a", "inputs.b", "code.s"]
    assert [record["steps.s.x"] for record in held] == [n * 0.5 for n in range(40)]


def test_apps_that_say_something_else_each_time_are_read_all_the_same() -> None:
    """Beyond some poor plans the rest goes the slow way, so that the work does not grow with their number."""
    told = []
    for n in range(60):
        end = encode([["output", {f"o{n}": n}], ["end", 9, n]])
        told.append((encode({"ts": n, "inputs": {f"i{n}": n, "same": 1.5}}), end))
    plans = Plans(SESSION, {})
    agrees(plans, told)
    assert len(plans.plans) <= 8
