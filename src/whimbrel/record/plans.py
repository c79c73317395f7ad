"""Flat records the quick way: predictions of one structure are flattened by a plan that the first of them made.

In: what `flat.prediction` takes. Out: what it returns, several times faster where an app says the same fields each time. A
plan is made by the slow way itself and holds nothing but the order of the names, so that both agree. Only `backlog.py`
may call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from whimbrel.record import flat, frames

_PLAIN = frozenset((float, int, str, bool, type(None)))
_NUMBERS = frozenset((float, int))
_FIRST, _LAST = ("id", "ts"), ("spans.total", "recorder.process", "recorder.seq")
_MOST = 1000

Said = tuple[tuple[Any, ...], list[Any], int, Any]
"""The structure of a prediction, its values in the order of their fields, how long it took, and its own id if any."""


class Plans:
    """The plans of one session: the names of the fields, by structure; None where a structure has none."""

    def __init__(self) -> None:
        self.names: dict[tuple[Any, ...], tuple[str, ...] | None] = {}

    def prediction(self, begin: Any, end: Any, session: bytes, seq: int, parts: Sequence[Any] = ()) -> dict[str, Any]:
        """One flat record, as `flat.prediction` makes it."""
        said = _said(begin, (*parts, end)) if type(begin) is dict and type(end) is list else None
        if said is None:
            return flat.prediction(begin, end, session, seq, parts)
        structure, values, took, own = said
        names = self.names.get(structure)
        if names is None:
            record = flat.prediction(begin, end, session, seq, parts)
            if structure not in self.names and len(self.names) < _MOST:
                middle = tuple(record)[len(_FIRST) : -len(_LAST)]
                fits = (*_FIRST, *middle, *_LAST) == tuple(record) and [record[name] for name in middle] == values
                self.names[structure] = middle if fits else None
            return record
        ts = begin["ts"]
        record = {"id": own or frames.prediction_id(session, seq, ts), "ts": ts}
        record.update(zip(names, values, strict=True))
        record["spans.total"] = took / 1e6
        record["recorder.process"] = session.hex()
        record["recorder.seq"] = seq
        return record


def _said(begin: dict[str, Any], bodies: Sequence[Any]) -> Said | None:
    """What a prediction said, where all of it is plain; None where the slow way has to look at it."""
    inputs, context, model = begin.get("inputs"), begin.get("context", {}), begin.get("model", {})
    if type(inputs) is not dict or "lost" in begin or "trace" in begin or type(begin.get("ts")) is not int:
        return None
    structure: list[Any] = [*inputs, None, *context, None, *model]
    values, spans, took = [*inputs.values()], [], None
    for body in bodies:
        for entry in body:
            word = entry[0]
            if word == "step":
                name, value, own = entry[1], entry[2], entry[3]
                code = entry[4] if len(entry) > 4 else None
                if code is not None:
                    values.append(code)
                spans.append(own / 1e6)
                if type(value) is dict:
                    structure.append((word, name, code is None, *value))
                    values.extend(value.values())
                else:
                    structure.append((word, name, code is None))
                    structure.append(None)
                    values.append(value)
            elif word == "span":
                structure.append((word, entry[1]))
                spans.append(entry[2] / 1e6)
            elif word in ("output", "hardware") and type(entry[1]) is dict:
                structure.append((word, *entry[1]))
                values.extend(entry[1].values())
            elif word == "decision" and type(entry[1]) is not dict:
                structure.append(word)
                values.append(entry[1])
            elif word == "end" and len(entry) == 3:
                took = entry[1]
            else:
                return None
    texts = [*context.values(), *model.values()]
    if took is None or set(map(type, texts)) - {str}:
        return None
    kinds = set(map(type, values)) - _PLAIN
    lists = [value for value in values if type(value) is list] if kinds == {list} else ()
    if (kinds and not lists) or not all(_NUMBERS.issuperset(map(type, items)) for items in lists):
        return None
    return tuple(structure), values + texts + spans, took, begin.get("id")
