"""Requests and records as columns: a dict of equally long numpy arrays, floats (NaN is null) or objects (None is).

The demo app's steps are written so that one request (plain values) and many (arrays) run through the same code;
`codes`, `number` and `plain` are the places where the difference shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Bools: TypeAlias = NDArray[np.bool_]
Columns: TypeAlias = dict[str, NDArray[Any]]
"""Columns of one length, by contract name; `luck.*` and `truth.*` are the world's own and never recorded."""
Request: TypeAlias = Mapping[str, Any]
"""One request (plain values) or many (arrays); the steps do not mind which."""

HIDDEN = ("luck.", "truth.")


def length(columns: Columns) -> int:
    """How many rows."""
    return len(next(iter(columns.values()))) if columns else 0


def take(columns: Columns, rows: NDArray[Any]) -> Columns:
    """The chosen rows (mask or positions) of every column."""
    return {path: column[rows] for path, column in columns.items()}


def merge(columns: Columns, rows: Bools, changed: Columns) -> Columns:
    """`columns` with the rows where `rows` holds replaced by `changed`; numbers become objects where a text arrives."""
    out = dict(columns)
    for path, values in changed.items():
        kept = columns.get(path)
        if kept is None:
            kept = np.full(len(rows), np.nan) if values.dtype == np.float64 else np.full(len(rows), None, dtype=object)
        out[path] = kept.astype(object) if values.dtype == object else kept.copy()
        out[path][rows] = values
    return out


def objects(value: Any, n: int) -> NDArray[Any]:
    """A column of `n` times the same text."""
    out = np.empty(n, dtype=object)
    out[:] = value
    return out


def codes(book: Mapping[Any, float], value: Any, default: float = -1.0) -> Any:
    """What the code book says for one value, or for each of an array."""
    if isinstance(value, np.ndarray):
        return np.fromiter((book.get(v, default) for v in value.tolist()), dtype=np.float64, count=len(value))
    return book.get(value, default)


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Numbers as Python's own where there is one request; arrays as they are."""
    return {
        name: value.item() if np.ndim(value) == 0 and hasattr(value, "item") else value
        for name, value in values.items()
    }


def number(value: Any) -> Any:
    """The value as a number; what is none (a text, a null) counts as missing, as in any service with typed fields."""
    if isinstance(value, np.ndarray):
        if value.dtype != object:
            return value
        return np.fromiter((number(v) for v in value.tolist()), dtype=np.float64, count=len(value))
    return float(value) if isinstance(value, (int, float)) else np.nan
