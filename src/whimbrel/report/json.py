"""Any result as one JSON object: valid for every reader, whatever the numbers are.

In: a result with `to_dict()`, or plain values. Out: ASCII text (so it prints on any terminal and no recorded character
can act on it). JSON has no NaN and no infinity: NaN is null, infinities are the strings `"Infinity"` and `"-Infinity"`
(as Protocol Buffers' JSON mapping writes them). Times are UTC with a `Z`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from whimbrel.model.window import iso


def dumps(result: object, *, indent: int | None = 2) -> str:
    """The result as JSON text, keys in the order of its `to_dict()`."""
    return json.dumps(plain(result), indent=indent, allow_nan=False)


def plain(value: Any) -> Any:
    """The value made of JSON's own types alone; what JSON does not know becomes its text."""
    if hasattr(value, "to_dict"):
        value = value.to_dict()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()  # half a surrogate pair is no text
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(one) for one in value), key=str)
    if isinstance(value, datetime):
        return iso(value if value.tzinfo else value.replace(tzinfo=UTC))
    if isinstance(value, date | Path):
        return str(value)
    if hasattr(value, "tolist"):  # numpy's scalars and arrays, without importing numpy
        return plain(value.tolist())
    return str(value)


def _number(value: float) -> float | str | None:
    if math.isfinite(value):
        return float(value)
    return None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
