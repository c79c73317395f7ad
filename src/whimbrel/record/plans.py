"""Flat records the quick way: predictions of one structure are flattened by a plan that the first of them made.

In: the bodies of a prediction's frames. Out: what `flat.prediction` says of them, as a row of `Records`, several times
faster where an app says the same fields each time. Whether all of a prediction is plain is checked by the decoder, which
knows what plain bodies look like; whatever else there is goes the slow way. A plan is made by the slow way itself and
holds nothing but the order of the names, so that both agree. Only `backlog.py` may call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from whimbrel.record import flat, frames
from whimbrel.record.reader import decode_body
from whimbrel.record.records import Block, Names, Records

_FIRST, _LAST = ("id", "ts"), ("spans.total", "recorder.process", "recorder.seq")
_MOST = 1000

Cell = None | bool | int | float | str | list[int | float]
Cells = dict[str, Cell]


class _Begin(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    ts: int
    inputs: Cells
    context: dict[str, str] = {}
    model: dict[str, str] = {}
    id: str | None = None


class _Entry(msgspec.Struct, gc=False, array_like=True, forbid_unknown_fields=True):
    pass


class _Step(_Entry, tag="step"):
    name: str
    value: Cell | Cells
    own: int
    code: str | None = None


class _Span(_Entry, tag="span"):
    name: str
    own: int


class _Output(_Entry, tag="output"):
    values: Cells


class _Hardware(_Entry, tag="hardware"):
    values: Cells


class _Decision(_Entry, tag="decision"):
    value: Cell


class _End(_Entry, tag="end"):
    took: int
    ts: int


Entry = _Step | _Span | _Output | _Hardware | _Decision | _End
_BEGIN = msgspec.msgpack.Decoder(_Begin).decode
_END = msgspec.msgpack.Decoder(list[Entry]).decode

Said = tuple[tuple[Any, ...], list[Any], int | None]
"""The structure of a prediction, its values in the order of their fields, and how long it took (ns)."""


@dataclass(slots=True)
class _Plan:
    """The fields of one structure; where the last of its rows went."""

    names: Names
    records: Records
    block: Block


class Plans:
    """The plans of one session, by structure (None where it has none). `place`: fields that each of its records has."""

    def __init__(self, session: bytes, place: Mapping[str, Any]) -> None:
        self.session = session
        self.process = session.hex()
        self.noise = frames.noise(session)
        self.place = place
        self.ends = (self.process, *place.values())
        self.plans: dict[tuple[Any, ...], _Plan | None] = {}

    def take(
        self,
        records: Records,
        begin: bytes | None,
        end: bytes | None,
        seq: int,
        parts: Sequence[bytes | None] = (),
        *,
        lost: str = "",
    ) -> None:
        """Add one prediction to the records; what `flat.prediction` takes, as bodies that are not decoded yet.

        `lost` says why there may be more of it than was found.

        Raises:
            InputError: a body cannot be decoded.
        """
        if begin is None or end is None or lost or None in parts:
            return self.slowly(records, begin, end, seq, parts, lost)
        try:
            opened, entries = _BEGIN(begin), _END(end)
            if parts:
                entries = [entry for part in parts for entry in _END(part or b"")] + entries
        except (msgspec.MsgspecError, ValueError, RecursionError):  # not plain, or another program's
            return self.slowly(records, begin, end, seq, parts)
        structure, values, took = _said(opened, entries)
        try:
            plan = self.plans[structure]
        except KeyError:
            plan = self.plan(structure, values, opened, entries, records)
        if plan is None or took is None:
            return self.slowly(records, begin, end, seq, parts)
        if plan.records is not records:
            plan.records, plan.block = records, records.block(plan.names)
        ts = opened.ts
        process, *place = self.ends
        row = (opened.id or frames.numbered_id(self.noise, seq, ts), ts, *values, took / 1e6, process, seq, *place)
        return records.add(plan.block, row)

    def plan(
        self, structure: tuple[Any, ...], values: list[Any], begin: _Begin, entries: list[Any], records: Records
    ) -> _Plan | None:
        """The plan of a structure, made from its first prediction; None where it needs the slow way each time."""
        record = flat.prediction(msgspec.to_builtins(begin), msgspec.to_builtins(entries), self.session, 1)
        middle = tuple(record)[len(_FIRST) : -len(_LAST)]
        names = (*_FIRST, *middle, *_LAST)
        fits = names == tuple(record) and [record[name] for name in middle] == values
        plan = None
        if fits and not self.place.keys() & record.keys():
            names += tuple(self.place)
            plan = _Plan(names, records, records.block(names))
        if len(self.plans) < _MOST:
            self.plans[structure] = plan
        return plan

    def slowly(
        self,
        records: Records,
        begin: bytes | None,
        end: bytes | None,
        seq: int,
        parts: Sequence[bytes | None],
        lost: str = "",
    ) -> None:
        """Add one prediction the slow way."""
        more = [None if part is None else decode_body(part) for part in parts]
        opened, closed = (None if body is None else decode_body(body) for body in (begin, end))
        record = flat.prediction(opened, closed, self.session, seq, more) | dict(self.place)
        if lost:
            record["recorder.lost"] = lost
        records.add(records.block(tuple(record)), tuple(record.values()))


def _said(begin: _Begin, entries: list[Any]) -> Said:
    """What a plain prediction said. In a structure names are texts, and what stands between them is none."""
    inputs, context, model = begin.inputs, begin.context, begin.model
    structure: list[Any] = [*inputs, None, *context, None, *model]
    values: list[Any] = [*inputs.values()]
    spans = []
    took = None
    for entry in entries:
        kind = type(entry)
        if kind is _Step:
            value, code = entry.value, entry.code
            structure += (kind, entry.name)
            if code is not None:
                structure.append(True)
                values.append(code)
            spans.append(entry.own / 1e6)
            if type(value) is dict:
                structure += value
                values += value.values()
            else:
                structure.append(None)
                values.append(value)
        elif kind is _Decision:
            structure.append(kind)
            values.append(entry.value)
        elif kind is _End:
            structure.append(kind)
            took = entry.took
        elif kind is _Span:
            structure += (kind, entry.name)
            spans.append(entry.own / 1e6)
        else:
            structure.append(kind)
            structure += entry.values
            values += entry.values.values()
    values += context.values()
    values += model.values()
    values += spans
    return tuple(structure), values, took
