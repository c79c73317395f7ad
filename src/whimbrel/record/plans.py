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


class _OddError(Exception):
    """Raised where the slow way has to look at a prediction."""


Said = tuple[tuple[Any, ...], list[Any], int, Any]
"""The structure of a prediction, its values in the order of their fields, how long it took, and its own id if any."""


class Plans:
    """The plans of one session: the names of the fields, by structure; None where a structure has none."""

    def __init__(self) -> None:
        self.names: dict[tuple[Any, ...], tuple[str, ...] | None] = {}

    def prediction(self, begin: Any, end: Any, session: bytes, seq: int, parts: Sequence[Any] = ()) -> dict[str, Any]:
        """One flat record, as `flat.prediction` makes it."""
        try:
            structure, values, took, own = _said(begin, (*parts, end))
            names = self.names.get(structure)
        except (_OddError, AttributeError, IndexError, KeyError, TypeError, ValueError):  # another program's, maybe
            return flat.prediction(begin, end, session, seq, parts)
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


def _said(begin: dict[str, Any], bodies: Sequence[Any]) -> Said:
    """What a prediction said, where all of it is plain.

    Raises:
        _OddError: it is not; whatever else it raises says the same.
    """
    inputs, context, model = begin.get("inputs"), begin.get("context", {}), begin.get("model", {})
    if type(inputs) is not dict or "lost" in begin or "trace" in begin or type(begin.get("ts")) is not int:
        raise _OddError
    structure: list[Any] = [*inputs, None, *context, None, *model]
    tags = [*context.values(), *model.values()]
    values, texts, counts = [*inputs.values()], tags.copy(), []
    took: Any = None
    for body in bodies:
        for entry in body:
            word = entry[0]
            if word == "step":
                name, value, own = entry[1], entry[2], entry[3]
                code = entry[4] if len(entry) > 4 else None
                if code is not None:
                    texts.append(code)
                    values.append(code)
                counts.append(own)
                if type(value) is dict:
                    structure.append((word, name, code is None, *value))
                    values.extend(value.values())
                else:
                    structure.append((word, name, code is None))
                    structure.append(None)
                    values.append(value)
            elif word == "span":
                structure.append((word, entry[1]))
                counts.append(entry[2])
            elif word in ("output", "hardware") and type(entry[1]) is dict:
                structure.append((word, *entry[1]))
                values.extend(entry[1].values())
            elif word == "decision" and type(entry[1]) is not dict:
                structure.append(word)
                values.append(entry[1])
            elif word == "end" and len(entry) == 3:
                took = entry[1]
            else:
                raise _OddError
    if set(map(type, texts)) - {str} or {*map(type, counts), type(took)} != {int}:
        raise _OddError
    kinds = set(map(type, values)) - _PLAIN
    lists = [value for value in values if type(value) is list] if kinds == {list} else ()
    if (kinds and not lists) or not all(_NUMBERS.issuperset(map(type, items)) for items in lists):
        raise _OddError
    return tuple(structure), values + tags + [count / 1e6 for count in counts], took, begin.get("id")
