"""Predictions of one structure flattened at once: a plan says which bytes are the same in all of them, and which are values.

In: the bytes of a segment, and where in it the two halves of predictions stand. Out: what `flat.prediction` says of them, as
columns of `Records`. A plan is made from one prediction that was flattened the slow way, so that both agree; it holds the
order of the names and the bytes between the values. What fits no plan goes the slow way, one by one. Only `backlog.py` may call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np

from whimbrel.errors import InputError
from whimbrel.record import flat, frames
from whimbrel.record.reader import Array, decode_body
from whimbrel.store.bodies import LONGEST, Bodies
from whimbrel.store.records import Column, Ints, Mask, Names, Piece, Records, texts

_KEPT, _MOST = 16, 1000
_FEW, _TRIES = 16, 8
"""A new plan that fits no more predictions than so many is a poor one; after so many of these the rest goes the slow way."""

_FIRST, _LAST = ("id", "ts"), ("spans.total", "recorder.process", "recorder.seq")
_GROUPS = ("inputs", "trace", "entry", "context", "model", "span")
"""What is said of a prediction, in the order of a flat record's fields."""

_HEX = np.frombuffer("".join(f"{byte:02x}" for byte in range(256)).encode(), "<u2")
_encode = msgspec.msgpack.encode


class Halves(NamedTuple):
    """Predictions whose halves stand in one segment, n of them: stream, both bodies' first and last bytes, number among records."""

    streams: Ints
    begins: tuple[Ints, Ints]
    ends: tuple[Ints, Ints]
    numbers: Ints

    def take(self, rows: Ints) -> Halves:
        """Those of these rows."""
        (a, b), (c, d) = self.begins, self.ends
        return Halves(self.streams[rows], (a[rows], b[rows]), (c[rows], d[rows]), self.numbers[rows])


class _Slot(NamedTuple):
    """A value: the bytes before it, what it must be, and the shape that it has where it is an array."""

    expected: bytes
    must: str
    shape: tuple[int, ...] | None = None


class _OddError(Exception):
    """Raised for a prediction that no plan can be made of."""


@dataclass(slots=True)
class _Plan:
    """The values of one structure in the order of the bytes, and the fields that they are.

    `fields` has, in the order of `names`, the place of each one's slot, or a constant's text.
    """

    begin: tuple[_Slot, ...]
    end: tuple[_Slot, ...]
    tails: tuple[bytes, bytes]
    fields: tuple[tuple[str, int | str], ...]
    names: Names = ()


class Plans:
    """The plans of one session. `place`: fields that each of its records has."""

    def __init__(self, session: bytes, place: Mapping[str, Any]) -> None:
        self.session = session
        self.place = place
        self.plans: dict[tuple[Any, ...], _Plan | None] = {}
        self.kept: list[_Plan] = []
        """Those that were of use last, the one that fitted most first."""

    def take(self, records: Records, data: bytes, halves: Halves) -> Iterator[tuple[int, Exception]]:
        """Add predictions whose halves stand in `data`, which `bodies.PADDING` more bytes end; yields the rows that cannot be read."""
        left: Ints = np.arange(len(halves.streams))
        used: list[tuple[int, _Plan]] = []
        poor = 0
        for known in self.kept:
            if len(left):
                fits = self.fitted(known, records, data, halves.take(left))
                left = left[~fits]
                used.append((int(fits.sum()), known))
        while len(left) and poor < _TRIES:
            row = int(left[0])
            plan = self.plan(*_bodies(data, halves, row))
            fits = np.zeros(len(left), np.bool_)
            if plan:
                fits = self.fitted(plan, records, data, halves.take(left))
                count = int(fits.sum())
                poor += count <= _FEW
                used.append((count, plan))
            if not fits[0]:
                yield from self.alone(records, data, halves, row)
                fits[0] = True
            left = left[~fits]
        for row in left.tolist():
            yield from self.alone(records, data, halves, row)
        used.sort(key=lambda found: -found[0])
        self.kept = list({id(plan): plan for count, plan in used if count > _FEW}.values())[:_KEPT]

    def alone(self, records: Records, data: bytes, halves: Halves, row: int) -> Iterator[tuple[int, Exception]]:
        """Add one of the predictions the slow way; yields it where it cannot be read."""
        begin, end = _bodies(data, halves, row)
        try:
            self.slowly(records, begin, end, int(halves.streams[row]), (), int(halves.numbers[row]))
        except (InputError, AttributeError, TypeError, KeyError, ValueError) as error:
            yield row, error

    def slowly(
        self,
        records: Records,
        begin: bytes | None,
        end: bytes | None,
        seq: int,
        parts: Sequence[bytes | None],
        number: int,
        lost: str = "",
    ) -> None:
        """Add one prediction the slow way; `lost` says why there may be more of it than was found.

        Raises:
            InputError: a body cannot be decoded.
        """
        more = [None if part is None else decode_body(part) for part in parts]
        opened, closed = (None if body is None else decode_body(body) for body in (begin, end))
        record = flat.prediction(opened, closed, self.session, seq, more) | dict(self.place)
        if lost:
            record["recorder.lost"] = lost
        records.add(record, number)

    def plan(self, begin: bytes, end: bytes) -> _Plan | None:
        """The plan of a prediction's structure; None where it has none."""
        try:
            opened, entries = decode_body(begin), decode_body(end)
            sketch = _Sketch(opened, entries)
        except (InputError, _OddError, TypeError, ValueError):
            return None
        plan = _Plan(sketch.begin, sketch.end, sketch.tails, tuple((group, source) for group, source, _ in sketch.said))
        key = (plan.begin, plan.end, plan.tails, plan.fields)
        if key in self.plans:
            return self.plans[key]
        record = flat.prediction(opened, entries, self.session, 1)
        names, fields = tuple(record), len(sketch.said)
        agreed = (*_FIRST, *names[2 : 2 + fields], *_LAST) == names and not self.place.keys() & record.keys()
        agreed = agreed and [record[name] for name in names[2:-3]] == [value for *_, value in sketch.said]
        agreed = agreed and all(isinstance(value, str) for value in self.place.values())
        plan.names = names[2:-3]
        if len(self.plans) < _MOST:
            self.plans[key] = plan if agreed else None
        return plan if agreed else None

    def fitted(self, plan: _Plan, records: Records, data: bytes, halves: Halves) -> Mask:
        """Add those predictions that fit a plan, and say which do, shape (n,)."""
        fits = np.zeros(len(halves.streams), np.bool_)
        rows, columns = _matched(plan, data, halves)
        if len(rows):
            records.pieces.append(self.piece(plan, columns, halves.take(rows)))
            fits[rows] = True
        return fits

    def piece(self, plan: _Plan, columns: list[Column], halves: Halves) -> Piece:
        """The columns of predictions that fit a plan, from the values of its slots."""
        n = len(halves.streams)
        named = dict(zip(plan.names, self.fields(plan, columns), strict=True))
        slots = dict(zip((slot.must for slot in (*plan.begin, *plan.end)), columns, strict=True))
        ts = slots["ts"].values.astype(np.int64)
        ids = slots["id"] if "id" in slots else numbered_ids(self.session, halves.streams, ts)
        numbers = Column("number", halves.streams.astype(np.float64), whole=np.ones(n, np.bool_))
        last = (_milliseconds(slots["took"]), _constant(self.session.hex(), n), numbers)
        place = {name: _constant(value, n) for name, value in self.place.items()}
        known = {"id": ids, "ts": Column("micros", ts)} | named | dict(zip(_LAST, last, strict=True))
        return Piece(known | place, halves.numbers)

    def fields(self, plan: _Plan, columns: list[Column]) -> Iterator[Column]:
        """The columns of a plan's fields."""
        for group, source in plan.fields:
            if isinstance(source, str):
                yield _constant(source, len(columns[0]))
                continue
            column = columns[source]
            if group == "span":
                yield _milliseconds(column)
            elif group.startswith("trace"):
                at = 1 if group == "trace" else 2
                yield texts([text.split("-")[at] for text in column.to_list()])
            elif group == "one":
                yield Column("number", column.values, whole=column.whole)
            else:
                yield column


class _Sketch:
    """A prediction walked through as its recorder wrote it: slots, what each is, and its value."""

    def __init__(self, begin: Any, end: Any) -> None:
        self.slots: list[_Slot] = []
        self.fields: list[tuple[str, int | str, Any]] = []
        self.expected = b""
        if not isinstance(begin, dict) or not isinstance(end, list):
            raise _OddError
        self.expected = _map_head(len(begin))
        for key, value in begin.items():
            self.expected += _encode(key)
            self.opened(key, value)
        first, tail = len(self.slots), self.expected
        self.expected = frames.array_head(len(end))
        for entry in end:
            self.entry(entry)
        musts = [slot.must for slot in self.slots]
        if musts.count("took") != 1 or musts.count("ts") != 1:
            raise _OddError
        self.begin, self.end, self.tails = tuple(self.slots[:first]), tuple(self.slots[first:]), (tail, self.expected)
        if len(self.expected) > LONGEST or len(tail) > LONGEST:
            raise _OddError
        order = {group: place for place, group in enumerate(_GROUPS)}
        self.said = sorted(self.fields, key=lambda said: order.get(said[0], order["entry"]))

    def slot(self, must: str, shape: tuple[int, ...] | None = None) -> int:
        """One more value, after what was expected."""
        if len(self.expected) > LONGEST:
            raise _OddError
        self.slots.append(_Slot(self.expected, must, shape))
        self.expected = b""
        return len(self.slots) - 1

    def opened(self, key: Any, value: Any) -> None:
        """What is under one key of a BEGIN."""
        match key, value:
            case "ts", int() if type(value) is int:
                self.slot("ts")
            case "id", None:
                self.expected += _encode(None)
            case "id", str():
                self.slot("id")
            case "inputs", _:
                self.group("inputs", value)
            case "context" | "model", dict() if all(part is None or type(part) is str for part in value.values()):
                self.group(key, value, must="text")
            case "trace", str() if value.count("-") >= 3:
                place = self.slot("trace")
                self.fields += [("trace", place, value.split("-")[1]), ("trace span", place, value.split("-")[2])]
            case _:
                raise _OddError

    def entry(self, entry: Any) -> None:
        """One entry of an END."""
        if not isinstance(entry, list):
            raise _OddError
        self.expected += frames.array_head(len(entry)) + _encode(entry[0] if entry else None)
        match entry:
            case ["step", name, value, own, *code] if type(own) is int and len(code) <= 1:
                self.expected += _encode(name)
                before = len(self.fields)
                self.group("entry", value)
                self.fields.append(("span", self.slot("whole"), own / 1e6))
                if code and isinstance(code[0], str):
                    self.fields.insert(before, ("entry", self.slot("said"), code[0]))
                elif code == [None]:
                    self.expected += _encode(None)
                elif code:
                    raise _OddError
            case ["span", name, own] if type(own) is int:
                self.expected += _encode(name)
                self.fields.append(("span", self.slot("whole"), own / 1e6))
            case ["output", value]:
                self.group("outputs", value)
            case ["decision", value]:
                self.group("entry", value)
            case ["hardware" | "age" | "usage" | "decisions", dict(values)]:
                self.group("entry", values)
            case ["error", str(value)]:
                self.fields.append(("entry", self.slot("said"), value))
            case ["end", took, ts] if type(took) is int and type(ts) is int:
                self.slot("took")
                self.slot("whole")
            case _:
                raise _OddError

    def group(self, group: str, value: Any, must: str = "cell") -> None:
        """One value, or a dictionary of some."""
        parts = [value]
        if isinstance(value, dict):
            self.expected += _map_head(len(value))
            parts = [*value.values()]
        for name, part in zip(value if isinstance(value, dict) else (None,), parts, strict=True):
            if isinstance(value, dict):
                self.expected += _encode(name)
            if isinstance(part, Array):
                sides = [n for n in part.shape if n != 1]
                one = group == "outputs" and len(part.items) == 1
                if len(sides) > 1:
                    self.fields.append((group, "×".join(map(str, sides)), "×".join(map(str, sides))))
                place = self.slot(must, part.shape)
                self.fields.append(("one" if one else group, place, part.items[0] if one else part.items))
            elif part is None or type(part) in (bool, int, float, str) or _is_numbers(part):
                self.fields.append((group, self.slot(must), part))
            else:
                raise _OddError


def numbered_ids(session: bytes, streams: Ints, ts: Ints) -> Column:
    """`frames.prediction_id` of many; times are microseconds since 1970."""
    high = (ts // 1000 & ((1 << 48) - 1)) << 16 | 0x7000 | (streams >> 20 & 0xFFF)
    low = (0x8000 | (streams >> 6 & 0x3FFF)) << 48 | (streams & 0x3F) << 42 | frames.noise(session)
    digits = _HEX[np.stack([high, low], axis=1).astype(">i8").view(np.uint8)].view(np.uint8)
    spelled = np.insert(digits, (8, 12, 16, 20), ord("-"), axis=1)
    return Column("text", spelled.reshape(-1), ends=36 * np.arange(1, len(ts) + 1))


def _bodies(data: bytes, halves: Halves, row: int) -> tuple[bytes, bytes]:
    (a, b), (c, d) = halves.begins, halves.ends
    return data[a[row] : b[row]], data[c[row] : d[row]]


def _matched(plan: _Plan, data: bytes, halves: Halves) -> tuple[Ints, list[Column]]:
    """The rows that fit a plan, and for these the values of its slots."""
    rows: Ints = np.arange(len(halves.streams))
    columns: list[Column] = []
    for slots, tail, (first, last) in (
        (plan.begin, plan.tails[0], halves.begins),
        (plan.end, plan.tails[1], halves.ends),
    ):
        bodies = Bodies(data, first[rows], last[rows])
        for slot in slots:
            columns.append(bodies.value(slot.expected, slot.shape))
            bodies.drop(_unlike(columns[-1], slot.must))
            if 2 * int(bodies.fits.sum()) < len(rows):
                rows, columns, bodies = _narrowed(rows, columns, bodies)
            if not len(rows):
                return rows, []
        bodies.done(tail)
        rows, columns, _ = _narrowed(rows, columns, bodies)
        if not len(rows):
            break
    return rows, columns


def _narrowed(rows: Ints, columns: list[Column], bodies: Bodies) -> tuple[Ints, list[Column], Bodies]:
    """Without what does not fit."""
    if bodies.fits.all():
        return rows, columns, bodies
    held = np.flatnonzero(bodies.fits)
    return rows[held], [column.take(held) for column in columns], bodies.take(held)


def _unlike(column: Column, must: str) -> Mask | None:
    """The values that are not what they must be, shape (n,); None where any will do."""
    if must == "cell":
        return None
    every = np.ones(len(column), np.bool_)
    is_text = must in ("text", "said", "id", "trace")
    if column.kind != ("text" if is_text else "number"):
        return None if must == "text" and column.kind == "none" else every
    unlike: Mask = ~every if must == "text" or column.missing is None else column.missing
    if must == "id":
        unlike = unlike | (column.lengths() == 0)
    elif must == "trace":
        unlike = unlike | np.array([text is None or text.count("-") < 3 for text in column.to_list()], np.bool_)
    elif not is_text:
        unlike = unlike | (every if column.whole is None else ~column.whole)
    if must == "ts":
        unlike = unlike | (column.values < 0)
    return unlike


def _is_numbers(value: Any) -> bool:
    return type(value) is list and all(type(item) in (int, float) for item in value)


def _map_head(n: int) -> bytes:
    """The msgpack head of a map of `n` members that follow it."""
    if n < 16:
        return bytes((0x80 | n,))
    return b"\xde" + n.to_bytes(2, "big") if n < 1 << 16 else b"\xdf" + n.to_bytes(4, "big")


def _milliseconds(ns: Column) -> Column:
    return Column("number", ns.values / 1e6)


def _constant(text: str, n: int) -> Column:
    data = np.frombuffer(text.encode(), np.uint8)
    return Column("text", np.tile(data, n), ends=len(data) * np.arange(1, n + 1))
