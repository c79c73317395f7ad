"""What a source holds, through the engine that reads it in earnest."""

from __future__ import annotations

from typing import Any

from whimbrel.engine.duckdb import DuckDB
from whimbrel.engine.port import Source
from whimbrel.model.rows import Categories, Numbers, Rows
from whimbrel.model.window import Window


def rows_of(source: Source) -> Rows:
    """Everything a source holds, through the engine that reads it in earnest."""
    return DuckDB(threads=1).rows(source, Window(source.app), limit=10**9)


def values_of(source: Source, path: str) -> dict[str, Any]:
    """A field's values by id, None where null."""
    rows = rows_of(source)
    column = rows.columns[path]
    match column:
        case Numbers():
            values = [None if x != x else float(x) for x in column.values]
        case Categories():
            values = [None if code < 0 else column.vocabulary[code] for code in column.codes]
    return dict(zip(rows.ids, values, strict=True))
