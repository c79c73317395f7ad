"""Frames joined into flat records: one prediction from its BEGIN and END, in the contract's dotted names.

In: decoded bodies of frames. Out: dictionaries whose values are numbers, texts, booleans, times (aware datetimes), and
lists of numbers or of texts; `ts` stays in microseconds since 1970. What has no such form is JSON text. Nothing here
fails on what an app may have recorded. `store/ingest.py` may call.
"""

from __future__ import annotations

import base64
import datetime as dt
import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from whimbrel.record import frames
from whimbrel.record.reader import Array

UNFINISHED = "unfinished: the process ended before the prediction did"
"""The `error` of a prediction that was running when its process died."""

_CELLS = frozenset((float, int, str, bool, type(None), dt.datetime))
_CALLS = 8
_LEAVES = 1000
_DEPTH = 8


def prediction(begin: Any, end: Any, session: bytes, seq: int, parts: Sequence[Any] = ()) -> dict[str, Any]:
    """One flat record from the bodies of a BEGIN, an END, and what was written ahead between them.

    BEGIN or END may be None, where it is missing. Without an END the record's `error` says that it is unfinished;
    without a BEGIN `recorder.lost` says so.
    """
    record = Flat()
    given: Mapping[str, Any] = begin if isinstance(begin, dict) else {}
    entries = [entry for body in (*parts, end) if isinstance(body, list) for entry in body if isinstance(entry, list)]
    ends = (e for e in reversed(entries) if len(e) > 2 and e[0] == "end" and type(e[1]) is type(e[2]) is int)
    _, took, ts, *more = next(ends, ("end", None, 0))
    ts = given.get("ts", ts)
    record.out |= {"id": given.get("id") or frames.prediction_id(session, seq, ts), "ts": ts}
    record.group("inputs", given.get("inputs", {}), "value")
    record.lost += [f"{path}: {why}" for path, why in given.get("lost", ())]
    record.trace(given.get("trace"))
    if not given:
        record.lost.append("inputs: the frame that held them is lost")
    if more and isinstance(more[0], int) and more[0] > len(parts):
        record.lost.append(f"{more[0] - len(parts)} of the {more[0]} frames of its steps are lost")
    for entry in entries:
        record.entry(entry)
    for tag, value in {**given.get("context", {}), **record.tags}.items():
        record.say(f"context.{name_of(tag)}", _text(value))
    for name, value in {**given.get("model", {}), **record.model}.items():
        record.say(f"model.{name_of(name)}", _text(value))
    record.out |= {f"spans.{name}": ns / 1e6 for name, ns in record.spans.items()}
    if took is not None:
        record.out["spans.total"] = took / 1e6
    if end is None:
        record.out["error"] = UNFINISHED
        if record.open:
            record.out["recorder.open"] = ", ".join(record.open)
    record.out |= {"recorder.process": session.hex(), "recorder.seq": seq}
    if record.lost:
        record.out["recorder.lost"] = "; ".join(record.lost)
    return record.out


def label(body: Mapping[str, Any]) -> dict[str, Any]:
    """A LABEL frame as a row: `id`, `label`, `label_ts` (microseconds since 1970)."""
    return {"id": str(body.get("id")), "label": _single(body.get("label")), "label_ts": body.get("ts")}


def decisions(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A DECISION frame as rows: `id`, `path` (`decision` or `decisions.<name>`), `value`, `ts`."""
    record = Flat()
    record.entry(["decision", body["decision"]] if "decision" in body else ["decisions", body.get("decisions")])
    about = {"id": str(body.get("id")), "ts": body.get("ts")}
    return [about | {"path": path, "value": _single(value)} for path, value in record.out.items()]


def event(body: Mapping[str, Any]) -> dict[str, Any]:
    """An EVENT frame as a row: `ts`, `kind`, `what`, and `context.<tag>` of whom it reached."""
    row = {"ts": body.get("ts"), "kind": _text(body.get("kind")), "what": _text(body.get("what"))}
    context = body.get("context") or {}
    return row | {f"context.{name_of(tag)}": _text(value) for tag, value in context.items() if value is not None}


def process(body: Mapping[str, Any]) -> dict[str, Any]:
    """A PROCESS frame as a row: `id`, `ts` (when the session began) and the facts; the library versions are JSON."""
    facts = {name_of(name): _single(value) for name, value in body.items() if name not in ("process", "ts")}
    return {"id": str(body["process"]), "ts": body["ts"], **facts}


class Flat:
    """A flat record while it is put together."""

    def __init__(self) -> None:
        self.out: dict[str, Any] = {}
        self.lost: list[str] = []
        self.spans: dict[str, int] = {}
        self.model: dict[str, Any] = {}
        self.tags: dict[str, Any] = {}
        self.calls: dict[str, int] = {}
        self.open: list[str] = []

    def entry(self, entry: list[Any]) -> None:
        """One entry of an END; one that this reader does not know is skipped, for later writers may add some."""
        match entry:
            case ["step", name, value, int(own), *code]:
                self.step(name_of(name), own, code)
                self.value(name_of(name), value)
            case ["read", name, value, int(own), *_]:
                self.step(name_of(name), own, [])
                self.value(name_of(name), value)
                self.out["recorder.reads"] = list(dict.fromkeys([*self.out.get("recorder.reads", ()), name_of(name)]))
            case ["failed", name, int(own), *code]:
                self.step(name_of(name), own, code)
            case ["span", name, int(ns), *_]:
                self.step(name_of(name), ns, [])
            case ["begun", name, *_]:
                self.open.append(name_of(name))
            case _:
                self.said(entry)

    def said(self, entry: list[Any]) -> None:
        """One entry that says something of the prediction as a whole."""
        match entry:
            case ["output", values, *_]:
                self.group("outputs", values, "score")
            case ["decision", dict(values), *_] | ["decisions", dict(values), *_]:
                self.group("decisions", values, "value")
            case ["decision", value, *_]:
                self.leaf("decision", value)
            case ["usage", dict(values), *_]:
                for name, value in values.items():
                    self.add(f"usage.{name_of(name)}", value)
            case ["age" | "hardware" as group, dict(values), *_]:
                self.group(group, values, "value")
            case ["model", dict(values), *_]:
                self.model |= values
            case ["context", dict(values), *_]:
                self.tags |= values
            case ["error", value, *_] if value is not None:
                self.out["error"] = _text(value)
            case ["lost", path, why, *_]:
                self.lost.append(f"{path}: {why}")

    def step(self, name: str, own: int, code: list[Any]) -> None:
        """A step's time, which adds up where it runs again, and its fingerprint."""
        self.spans[name] = self.spans.get(name, 0) + own
        if name in self.open:
            self.open.remove(name)
        if code and isinstance(code[0], str):
            self.out[f"code.{name}"] = code[0]

    def trace(self, header: Any) -> None:
        """The trace it belongs to, and the span that asked for it."""
        parts = header.split("-") if isinstance(header, str) else []
        if len(parts) >= 4:
            self.out["recorder.trace"], self.out["recorder.span"] = parts[1:3]

    def value(self, name: str, value: Any) -> None:
        """A step's value; a step that runs again in one prediction is numbered, the first few times."""
        calls = self.calls[name] = self.calls.get(name, 0) + 1
        if calls <= _CALLS:
            self.group(f"steps.{name}" if calls == 1 else f"steps.{name}_{calls}", value, "value")
        elif calls == _CALLS + 1:
            self.lost.append(f"steps.{name}: the values of its first {_CALLS} runs were kept")

    def add(self, path: str, value: Any) -> None:
        """A number that adds up; anything else is said."""
        before = self.out.get(path)
        if _is_number(before) and _is_number(value):
            self.out[path] = before + value
        else:
            self.leaf(path, value)

    def group(self, path: str, value: Any, single: str) -> None:
        """A group of fields; one value alone is named `single`, and so is the JSON of a group with too many."""
        if not isinstance(value, dict):
            self.leaf(f"{path}.{single}", value)
        elif _leaves(value, 0) > _LEAVES:
            self.say(f"{path}.{single}", _json(value))
            self.lost.append(f"{path}: more than {_LEAVES} fields, kept as one JSON text")
        else:
            self.walk(path, value, 0)

    def walk(self, path: str, value: dict[Any, Any], depth: int) -> None:
        """Nested dictionaries, flattened: the path holds their names."""
        for name, part in value.items():
            here = f"{path}.{name}" if name != "" else f"{path}._"
            if type(part) in _CELLS:
                self.say(here, part)
            elif isinstance(part, dict) and depth < _DEPTH:
                self.walk(here, part, depth + 1)
            else:
                self.leaf(here, part)

    def leaf(self, path: str, value: Any) -> None:
        """One field, in a form that a column can hold."""
        if isinstance(value, list):
            value = _array(value) or value
        if isinstance(value, Array):
            if len(value.items) == 1 and path.startswith("outputs."):
                value = value.items[0]  # models answer one row with an array of one
            else:
                sides = [n for n in value.shape if n != 1]
                if len(sides) > 1:
                    self.say(f"{path}.shape", "×".join(map(str, sides)))
                value = value.items
        column = _column(value)
        self.say(path, _single(value) if column is None else column)

    def say(self, path: str, value: Any) -> None:
        """Set one field; what was said before gives way, with a note where it was something else."""
        if path in self.out and self.out[path] != value:
            self.lost.append(f"{path}: said more than once; the last is kept")
        self.out[path] = value


def name_of(name: Any) -> str:
    """A name that stands between two dots of a path."""
    return str(name).replace(".", "_") or "_"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _column(value: Any) -> list[Any] | None:
    """A list that holds nothing but numbers (booleans are 1 and 0) or nothing but texts; None for any other value."""
    if not isinstance(value, list):
        return None
    items = [item for item in value if item is not None]
    if all(isinstance(item, int | float) for item in items):
        return [int(item) if isinstance(item, bool) else item for item in value]
    return value if all(isinstance(item, str) for item in items) else None


def _array(value: list[Any]) -> Array | None:
    """A nested list as an array, where it is a regular one of numbers."""
    shape, items = [len(value)], value
    while items and all(isinstance(item, list) and len(item) == len(items[0]) for item in items):
        shape.append(len(items[0]))
        items = [inner for item in items for inner in item]
    regular = len(shape) > 1 and math.prod(shape) == len(items) and all(map(_is_number, items))
    return Array(tuple(shape), items) if regular and items else None


def _single(value: Any) -> Any:
    """A value as one cell: numbers, texts, booleans and times as they are, bytes in base64, anything else as JSON."""
    if type(value) in _CELLS:
        return value
    return base64.b64encode(value).decode() if isinstance(value, bytes) else _json(value)


def _json(value: Any) -> str:
    try:
        return msgspec.json.encode(value, enc_hook=str).decode()
    except Exception as error:  # noqa: BLE001  nested too deep, or keys that JSON has no word for
        return f"<{type(value).__name__}: {type(error).__name__}>"


def _text(value: Any) -> str | None:
    """A tag as text: `true`, `3` for 3.0, JSON for what is nested; a missing one stays missing."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dt.datetime):
        return value.isoformat()
    return str(value) if isinstance(value, int | float) else _json(value)


def _leaves(value: dict[Any, Any], depth: int) -> int:
    """How many fields a nested dictionary makes, counted no further than needed."""
    count = len(value)
    for part in value.values():
        if count > _LEAVES:
            break
        if type(part) is dict and depth < _DEPTH:
            count += _leaves(part, depth + 1)
    return count
