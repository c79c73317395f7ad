"""Rows of a window as numpy columns: all of them, or a sample that a hash of the id chooses."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from whimbrel.engine.duckdb.columns import LENGTH, MEAN, NAN, NORM, number
from whimbrel.engine.duckdb.view import Bound, View, quoted
from whimbrel.model.fields import Field, Kind, Role
from whimbrel.model.records import Records
from whimbrel.model.rows import Bools, Categories, Column, Floats, Ints, Numbers, Rows

if TYPE_CHECKING:
    from arro3.core import Table

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

LONGEST_TEXT = 2_000
"""Characters of a text that are kept; two texts that agree so far count as one."""

SHORT_LIST = 16
"""Elements of a list become columns of their own up to this length."""


def sampled(view: View, fields: Sequence[Field], limit: int, total: int) -> Rows:
    """About `limit` of the view's `total` rows in order of time, with these fields as columns."""
    from arro3.core import Table

    bound = Bound()
    rows = view.select(fields, bound, share=limit / max(total, limit))
    chosen = ["id", "ts", "coalesce(label_ts, -1) AS label_ts", "map_keys(rescued) AS rescued"]
    plans = [_plan(item) for item in fields]
    for i, plan in enumerate(plans):
        chosen += [f"{expression} AS c{i}_{j}" for j, (_, expression) in enumerate(plan)]
    relation = view.connection.sql(f"SELECT {', '.join(chosen)} FROM ({rows}) ORDER BY ts, id", params=bound.values)
    table = Table(relation)
    columns: dict[str, Column] = {}
    for i, (item, plan) in enumerate(zip(fields, plans, strict=True)):
        parts = {suffix: f"c{i}_{j}" for j, (suffix, _) in enumerate(plan)}
        columns |= {item.path + suffix: column for suffix, column in _columns(table, item, parts).items()}
    label_ts = _array(table, "label_ts").astype(np.int64) if any(f.role is Role.LABEL for f in fields) else None
    return Rows(
        ids=tuple(table.column("id").to_pylist()),
        ts=_array(table, "ts").astype(np.int64),
        columns=columns,
        total=total,
        label_ts=label_ts,
        rescued=_rescued(table),
    )


def _plan(item: Field) -> list[tuple[str, str]]:
    """What to select for a field: (suffix of the column's name, expression) pairs, numbers and flags without nulls."""
    name = quoted(item.path)
    if item.kind is Kind.TEXT:
        return [("", f"left({name}, {LONGEST_TEXT})")]
    if item.kind is Kind.BOOLEAN:
        return [("", f"coalesce({name}::TINYINT, -1)")]
    if item.kind in (Kind.NUMBER, Kind.TIME):
        return [("", f"coalesce({name}{' / 1e6' if item.kind is Kind.TIME else ''}, {NAN})")]
    suffixes = (LENGTH, MEAN, NORM) if item.kind is Kind.NUMBERS else (LENGTH,)
    parts = [(suffix, f"coalesce({number(item, suffix)}, {NAN})") for suffix in suffixes]
    if item.kind is Kind.NUMBERS:
        return parts + [(f"[{i}]", f"coalesce({name}[{i + 1}], {NAN})") for i in range(SHORT_LIST)]
    return parts + [(f"[{i}]", f"left({name}[{i + 1}], {LONGEST_TEXT})") for i in range(SHORT_LIST)]


def _columns(table: Table, item: Field, parts: dict[str, str]) -> dict[str, Column]:
    """A field's columns by suffix; the elements of a list only where all lists are short, null behind the end of a shorter one."""
    if item.kind is Kind.BOOLEAN:
        return {"": Categories(_array(table, parts[""]).astype(np.int64), ("false", "true"))}
    if item.kind is Kind.TEXT:
        return {"": _categories(table, parts[""])}
    columns: dict[str, Column] = {}
    for suffix, name in parts.items():
        if suffix.startswith("["):
            continue
        columns[suffix] = Numbers(_array(table, name))
    length = columns.get(LENGTH)
    if isinstance(length, Numbers):
        longest = length.values[~length.missing].max(initial=0)
        if longest <= SHORT_LIST:
            for i in range(int(longest)):
                name = parts[f"[{i}]"]
                columns[f"[{i}]"] = (
                    Numbers(_array(table, name)) if item.kind is Kind.NUMBERS else _categories(table, name)
                )
    return columns


def _array(table: Table, name: str) -> Floats:
    """A column without nulls as one numpy array."""
    return np.concatenate([np.empty(0), *(chunk.to_numpy() for chunk in table.column(name).chunks)])


def _categories(table: Table, name: str) -> Categories:
    """Codes in the order of first appearance; one dictionary look-up a row, the cheapest of the ways tried."""
    codes: defaultdict[str | None, int] = defaultdict(count().__next__)
    values = table.column(name).to_pylist()
    found: Ints = np.fromiter(map(codes.__getitem__, values), np.int64, len(values))
    if None in codes:
        null = codes.pop(None)
        found = np.where(found == null, -1, found - (found > null))
    return Categories(found, tuple(v for v in codes if v is not None))


def _rescued(table: Table) -> dict[str, Bools]:
    keys = table.column("rescued").to_pylist()
    flags: dict[str, Bools] = {}
    for row, paths in enumerate(keys):
        for path in paths or ():
            flags.setdefault(path, np.zeros(len(keys), np.bool_))[row] = True
    return flags


def records_of(view: View, fields: Sequence[Field], ids: Sequence[str]) -> Records:
    """Single predictions as flat records, in order of time."""
    bound = Bound()
    sql = f"SELECT * FROM ({view.select(fields, bound, ids=ids)}) ORDER BY ts, id"
    columns: dict[str, Any] = dict(view.connection.execute(sql, bound.values).fetchnumpy())
    found = {path: column for path, column in columns.items() if not np.ma.getmaskarray(column).all()}
    for path in found.keys() & {item.path for item in fields if item.kind is Kind.TIME}:
        found[path] = [None if us is None else _EPOCH + timedelta(microseconds=us) for us in found[path].tolist()]
    return Records.of_columns(found, len(columns["id"]))
