"""What was seen of the hardware, beside each prediction that ran on it: by process or host, and by time.

In: the SELECT of the flat view's rows, and which of the wanted fields are counters. Out: the same rows with these filled in. A
row of counters is of the time since the row before it, so that the first row at or after a prediction's `ts` is the one that
describes it. Only `view.py` may call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from whimbrel.model.fields import Field

if TYPE_CHECKING:
    from whimbrel.engine.duckdb.view import Bound
    from whimbrel.engine.port import Counters

_COLUMN = {"process": "process", "host": "host", "gpu": "host"}
_LATEST_US = 120_000_000
"""A look this long after the prediction says nothing of it."""


def wanted(counters: Counters | None, fields: Sequence[Field]) -> dict[str, list[str]]:
    """The facts among the fields, by the subject whose rows have them."""
    found: dict[str, list[str]] = {}
    for item in fields if counters is not None else ():
        if counters is not None and item.path in counters.facts:
            found.setdefault(counters.facts[item.path], []).append(item.path)
    return found


def with_counters(
    counters: Counters, facts: dict[str, list[str]], fields: Sequence[Field], stacked: str, bound: Bound
) -> str:
    """The rows of `stacked`, which hold the keys beside the fields, with the facts filled in and the keys left out again."""
    files = bound(list(counters.files))
    joins, filled = [], []
    for subject, paths in facts.items():
        names = {path: path.partition(".")[2] for path in paths}
        # Several GPUs of a host make one row: the lowest clock, and of anything else the highest.
        columns = [f'{"min" if "clock" in name else "max"}("{name}") AS "{name}"' for name in names.values()]
        joins.append(
            f"""ASOF LEFT JOIN (SELECT {_COLUMN[subject]} AS key, epoch_us(ts) AS at, {", ".join(columns)}
                FROM read_parquet({files}, union_by_name = true)
                WHERE subject = '{subject}' AND {_COLUMN[subject]} IS NOT NULL GROUP BY ALL) AS "{subject}"
                ON r."{counters.keys[subject]}" = "{subject}".key AND r.ts <= "{subject}".at"""
        )
        near = f'"{subject}".at - r.ts <= {_LATEST_US}'
        filled += [
            f'coalesce(r."{path}", CASE WHEN {near} THEN "{subject}"."{name}" END) AS "{path}"'
            for path, name in names.items()
        ]
    own = {item.path for item in fields}
    keys = sorted({counters.keys[subject] for subject in facts} - own)
    but = "EXCLUDE (" + ", ".join(f'"{key}"' for key in keys) + ")" if keys else ""
    return f"SELECT r.* {but} REPLACE ({', '.join(filled)}) FROM ({stacked}) AS r {' '.join(joins)}"
