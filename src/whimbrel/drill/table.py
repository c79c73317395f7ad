"""Columns as an Arrow table under the contract's names: what `whimbrel.diagnose` and `Log.add` take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.drill.columns import HIDDEN, Columns

if TYPE_CHECKING:
    from arro3.core import Array, Table

TIMES = ("ts", "label_ts")
"""Epoch seconds in here, timestamps in UTC out there."""

LISTS = ("recorder.reads",)
"""Names joined by commas in here, lists of them out there."""


def to_arrow(columns: Columns) -> Table:
    """An Arrow table; NaN and None become null, and a column with any text in it becomes text."""
    from arro3.core import Table

    shown = {path: column for path, column in columns.items() if not path.startswith(HIDDEN)}
    return Table.from_pydict({path: _array(path, column) for path, column in shown.items()})


def _array(path: str, column: NDArray[Any]) -> Array:
    from arro3.core import Array, DataType

    if path in LISTS:
        return _lists([text.split(",") if text else [] for text in column.tolist()])
    if path in TIMES:
        micros = [None if v != v else round(v * 1e6) for v in column.tolist()]
        return Array(micros, type=DataType.int64()).cast(DataType.timestamp("us", tz="UTC"))
    if column.dtype == object:
        return Array([_text(v) for v in column.tolist()], type=DataType.string())
    column = column.astype(np.float64)
    if not np.isnan(column).any():
        return Array.from_numpy(column)
    return Array([None if v != v else v for v in column.tolist()], type=DataType.float64())


def _lists(items: list[list[str]]) -> Array:
    from arro3.core import Array, DataType, list_array

    ends = np.cumsum([0, *map(len, items)], dtype=np.int32)
    return list_array(Array.from_numpy(ends), Array([v for item in items for v in item], type=DataType.string()))


def _text(value: Any) -> str | None:
    if value is None or value != value:
        return None
    return f"{value:g}" if isinstance(value, float) else str(value)
