"""Plain tables as dictionary codes: files or tables in memory, whose columns need not bear any particular names.

In: one or two tables, which column is measured, and which ones make slices. Out: `Plain`, numpy arrays of small integers and floats; no
value becomes a Python object but once a dictionary entry. `slices/` calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.errors import EvidenceError, InputError, UsageError, WhimbrelError
from whimbrel.model.rows import Floats
from whimbrel.store.content import read_files
from whimbrel.store.files import File, csv_relation, find, plain_path, probe
from whimbrel.store.sql import connect, how_many, literal, name

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MOST_VALUES = 200
"""Values of an attribute that are told apart; of a column with more, those with the most rows."""
_HEAD, _GLANCE = 50_000, 5_000
_TIMES = ("date", "time", "interval")
_NESTED = ("list", "array", "map", "struct", "union", "blob", "json")
_MISSING = "('', 'na', 'n/a', 'null', 'none', 'nan')"

Codes = NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Attribute:
    """A column that makes slices: `codes`, one array a table, shape (rows,), into `values`; None is a missing value, "" none in particular."""

    name: str
    values: tuple[str | None, ...]
    codes: tuple[Codes, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Plain:
    """Tables as arrays: attributes, and each measured column as floats (NaN where missing), one array a table."""

    rows: tuple[int, ...]
    attributes: tuple[Attribute, ...]
    measured: Mapping[str, tuple[Floats, ...]]
    left_out: Mapping[str, str] = field(default_factory=dict)
    """Columns that make no slices, and why."""


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """`relation` and `head` (all of it, or as much as is cheap) are SQL for FROM; `types` are DuckDB's by column; `said` is its name."""

    relation: str
    head: str
    types: Mapping[str, str]
    said: str
    text: bool


def read_plain(
    tables: Sequence[Any], *, numbers: Sequence[str] = (), equal: tuple[str, str] | None = None, by: Sequence[str] = (),
    bins: Sequence[str] = (), every: bool = False,
) -> Plain:  # fmt: skip
    """Tables as codes.

    Args:
        tables: paths or globs of CSV, Parquet or JSON Lines files (.gz too), or pandas, Polars or Arrow tables.
        numbers: columns that are measured.
        equal: a column and a value: whether the column has it is measured, under the column's name.
        by: the columns that make slices; those with few values where none are named.
        bins: numeric columns that make slices by fifths of the first table.
        every: every column that is not measured makes slices, however many values it has.

    Raises:
        UsageError: a column that is asked for is missing, or is measured and holds no numbers.
        InputError: a table cannot be read, or the tables share no column that could make slices.
        EvidenceError: a table is empty, or a measured column holds nothing.
    """
    measured = [*numbers, *((equal[0],) if equal else ())]
    with connect() as con:
        con.execute("SET threads = 1")
        opened = [_open(con, given, i, len(tables)) for i, given in enumerate(tables)]
        _check(opened, [*measured, *by, *bins])
        _refuse_measured(measured, [*by, *bins])
        chosen, left_out = _chosen(con, opened, measured, by, bins, every)
        if not chosen and not bins:
            raise _nothing(opened, left_out)
        return _coded(con, opened, chosen, numbers, equal, bins, left_out)


# ---------------------------------------------------------------- opening


def _open(con: DuckDBPyConnection, given: Any, place: int, of: int) -> _Table:
    said = "the table" if of == 1 else ("the table before", "the table after")[place]
    try:
        if isinstance(given, str | Path):
            files = find(given)
            said = str(given)
            for file in files:
                probe(con, file)
            relation, text = _relation(con, files, f"read{place}")
        else:
            con.register(f"given{place}", given)
            relation, text = f"given{place}", False
        head = f"head{place}" if text else relation
        if text:
            con.execute(f"CREATE TEMP TABLE {head} AS SELECT * FROM {relation} LIMIT {_HEAD}")
        found = con.sql(f"SELECT * FROM {head} LIMIT 0")
        types = {c: str(t).lower() for c, t in zip(found.columns, found.types, strict=True)}
        if not con.execute(f"SELECT 1 FROM {head} LIMIT 1").fetchall():
            raise EvidenceError(
                f"{said} is empty", where=said, why="there are columns and no rows", next="check what wrote it"
            )
    except WhimbrelError:
        raise
    except Exception as error:
        raise _unreadable(said, error) from error
    return _Table(relation, head, types, said, text)


def _relation(con: DuckDBPyConnection, files: Sequence[File], read: str) -> tuple[str, bool]:
    """SQL that reads all files as one table, and whether it is parsed from text each time."""
    kinds = {file.format for file in files}
    if "json" in kinds:
        con.execute(f"CREATE TEMP TABLE {read} AS SELECT * FROM {read_files(con, [f.path for f in files])[0].relation}")
        return read, False
    parts = []
    for file in files:
        path = literal(plain_path(file.path))
        if file.format == "parquet":
            parts.append(f"SELECT * FROM read_parquet({path}, hive_partitioning = false)")
        else:
            parts.append(f"SELECT * FROM {csv_relation(file.path)}")
    return f"({' UNION ALL BY NAME '.join(parts)})", "csv" in kinds


def _unreadable(said: str, error: Exception) -> InputError:
    first = "; ".join(line.strip() for line in str(error).strip().splitlines()[:3]) or type(error).__name__
    return InputError(
        f"cannot read {said}: {first}", where=said, why="it is damaged, cut short, or no table of the format that its name says",
        next="repair it, or give a CSV, Parquet or JSON Lines file, or a pandas, Polars or Arrow table",
    )  # fmt: skip


def _check(opened: Sequence[_Table], asked: Sequence[str]) -> None:
    for table in opened:
        lacking = [c for c in asked if c not in table.types]
        if lacking:
            elsewhere = any(lacking[0] in other.types for other in opened)
            known = ", ".join(list(table.types)[:20])
            raise UsageError(
                f"{table.said} has no column {lacking[0]!r}", where=table.said,
                why="only the other table has it" if elsewhere else f"its columns are {known}",
                next="name a column that is in every table",
            )  # fmt: skip


def _refuse_measured(measured: Sequence[str], by: Sequence[str]) -> None:
    for column in by:
        if column in measured:
            raise UsageError(
                f"{column!r} is measured and cannot make slices too", where="--by", why="it would explain itself", next=f"leave out --by {column}"
            )  # fmt: skip


def _nothing(opened: Sequence[_Table], left_out: Mapping[str, str]) -> InputError:
    why = (
        "; ".join(f"{c}: {reason}" for c, reason in list(left_out.items())[:5])
        or "there is no column but the measured one"
    )
    return InputError(
        "no column could make slices", where=" and ".join(t.said for t in opened), why=why,
        next="name columns with --by COLUMN, or numbers to be cut into ranges with --bin COLUMN",
    )  # fmt: skip


# ---------------------------------------------------------------- attributes


def _chosen(
    con: DuckDBPyConnection, opened: Sequence[_Table], measured: Sequence[str], by: Sequence[str], bins: Sequence[str], every: bool
) -> tuple[list[str], dict[str, str]]:  # fmt: skip
    """Columns that make slices, and the others with the reason."""
    if by:
        return [c for c in dict.fromkeys(by) if c not in bins], {}
    left_out = {c: "only one table has it" for t in opened for c in t.types if not all(c in o.types for o in opened)}
    shared = [c for c in opened[0].types if c not in left_out and c not in measured and c not in bins]
    if every:
        return shared, left_out
    worth = []
    for column in shared:
        kind = opened[0].types[column]
        if kind.startswith(_TIMES):
            left_out[column] = "a time"
        elif kind.endswith("]") or kind.startswith(_NESTED):
            left_out[column] = "nested"
        else:
            worth.append(column)
    if not worth:
        return [], left_out
    counts = [_head_counts(con, table, worth) for table in opened]
    chosen = []
    for i, column in enumerate(worth):
        rows = max(int(count[0]) for count in counts)
        distinct, held, numeric, points = (max(int(count[1 + 4 * i + j]) for count in counts) for j in range(4))
        if distinct > min(MOST_VALUES, max(held // 5, 20)):
            left_out[column] = (
                f"continuous ({distinct:,} values in {rows:,} rows): --bin {column} cuts it into ranges" if numeric == held and points
                else f"like an id ({distinct:,} values in {rows:,} rows)" if distinct > held / 2
                else f"too many values ({distinct:,} in {rows:,} rows)"
            )  # fmt: skip
        elif held:
            chosen.append(column)
        else:
            left_out[column] = "always missing"
    return chosen, left_out


def _head_counts(con: DuckDBPyConnection, table: _Table, columns: Sequence[str]) -> Sequence[Any]:
    """Of the first rows: how many, then for each column its values, those not missing, those that are numbers, those with a point."""
    asks = []
    for column in columns:
        c, kind = name(column), table.types[column]
        real = kind in ("double", "float") or kind.startswith("decimal")
        numbers = f"count({c})" if real or "int" in kind else f"count(TRY_CAST({c}::VARCHAR AS DOUBLE))"
        points = f"count({c})" if real else how_many(f"contains({c}::VARCHAR, '.')")
        asks += [f"count(DISTINCT {c})", f"count({c})", numbers, points]
    head = f"(SELECT * FROM {table.head} LIMIT {_GLANCE})"
    return _fetch(con, f"SELECT count(*), {', '.join(asks)} FROM {head}", table)[0]


def _fetch(
    con: DuckDBPyConnection, sql: str, table: _Table, values: Mapping[str, Any] | None = None
) -> list[tuple[Any, ...]]:
    try:
        return con.execute(sql, values or {}).fetchall()
    except Exception as error:
        raise _unreadable(table.said, error) from error


# ---------------------------------------------------------------- codes


def _coded(
    con: DuckDBPyConnection, opened: Sequence[_Table], chosen: Sequence[str], numbers: Sequence[str],
    equal: tuple[str, str] | None, bins: Sequence[str], left_out: Mapping[str, str],
) -> Plain:  # fmt: skip
    values = {c: _values(con, opened, c, head=True) for c in chosen}
    taken = [_take(con, t, values, numbers, equal, bins) for t in opened]
    unseen = [c for i, c in enumerate(chosen) if any((t[f"a{i}"] > len(values[c])).any() for t in taken)]
    if unseen:  # values that the head of a text file did not show: it is read once more for all of them
        values |= {c: _values(con, opened, c, head=False) for c in unseen}
        taken = [_take(con, t, values, numbers, equal, bins) for t in opened]
    attributes = []
    for i, column in enumerate(chosen):
        codes = tuple(t[f"a{i}"] for t in taken)
        named: tuple[str | None, ...] = (None, *values[column])
        if any((one > len(values[column])).any() for one in codes):
            named = (*named, "")
        attributes.append(Attribute(column, named, codes))
    attributes += [_binned(column, [t[f"b{i}"] for t in taken], opened) for i, column in enumerate(bins)]
    measured = {c: tuple(t[f"m{i}"] for t in taken) for i, c in enumerate([*numbers, *((equal[0],) if equal else ())])}
    rows = tuple(len(t["one"]) for t in taken)
    for i, column in enumerate(measured):
        for table, t in zip(opened, taken, strict=True):
            _check_numbers(con, table, column, t[f"m{i}"], text=equal is None)
    return Plain(rows, tuple(attributes), measured, left_out)


def _values(con: DuckDBPyConnection, opened: Sequence[_Table], column: str, *, head: bool) -> list[str]:
    """The values of a column, those with the most rows where there are too many, in order."""
    found: set[str] = set()
    for table in opened:
        source = table.head if head else table.relation
        sql = f"SELECT v::VARCHAR FROM (SELECT DISTINCT {name(column)} AS v FROM {source}) WHERE v IS NOT NULL"
        found |= {value for (value,) in _fetch(con, sql, table)}
    return sorted(found) if len(found) <= MOST_VALUES else _commonest(con, opened, column)


def _commonest(con: DuckDBPyConnection, opened: Sequence[_Table], column: str) -> list[str]:
    counted: dict[str, int] = {}
    for table in opened:
        grouped = f"SELECT {name(column)}::VARCHAR AS v, count(*) FROM {table.relation} WHERE v IS NOT NULL GROUP BY 1"
        for value, n in _fetch(con, f"{grouped} ORDER BY 2 DESC, 1 LIMIT {4 * MOST_VALUES}", table):
            counted[value] = counted.get(value, 0) + n
    return sorted(sorted(counted, key=lambda value: (-counted[value], value))[:MOST_VALUES])


def _take(
    con: DuckDBPyConnection, table: _Table, values: Mapping[str, Sequence[str]], numbers: Sequence[str],
    equal: tuple[str, str] | None, bins: Sequence[str],
) -> dict[str, Any]:  # fmt: skip
    """One pass over a table: codes of attributes (0 missing, one more than there are values where none fits), floats of what is measured."""
    bound: dict[str, Any] = {}
    picked = ["1::UTINYINT AS one"]
    for i, (column, known) in enumerate(values.items()):
        bound[f"v{i}"] = list(known)
        text = name(column) if table.types[column] == "varchar" else f"{name(column)}::VARCHAR"
        kind = "UTINYINT" if len(known) < 255 else "USMALLINT"
        place = f"list_position($v{i}::VARCHAR[], {text})" if known else "NULL"
        picked.append(
            f"coalesce({place}, CASE WHEN {name(column)} IS NULL THEN 0 ELSE {len(known) + 1} END)::{kind} AS a{i}"
        )
    picked += [f"{_number(table, column)} AS m{i}" for i, column in enumerate(numbers)]
    if equal:
        bound["equal"] = equal[1]
        picked.append(f"coalesce(({name(equal[0])}::VARCHAR = $equal)::INT::DOUBLE, 'NaN'::DOUBLE) AS m{len(numbers)}")
    picked += [f"{_number(table, column)} AS b{i}" for i, column in enumerate(bins)]
    try:
        return dict(con.execute(f"SELECT {', '.join(picked)} FROM {table.relation}", bound).fetchnumpy())
    except Exception as error:
        raise _unreadable(table.said, error) from error


def _number(table: _Table, column: str) -> str:
    c, kind = name(column), table.types[column]
    if kind == "boolean":
        c = f"{c}::INT"
    truth = f", CASE lower({c}) WHEN 'true' THEN 1.0 WHEN 'false' THEN 0.0 END" if kind == "varchar" else ""
    return f"coalesce(TRY_CAST({c} AS DOUBLE){truth}, 'NaN'::DOUBLE)"


def _check_numbers(con: DuckDBPyConnection, table: _Table, column: str, found: Floats, *, text: bool) -> None:
    gone = ~np.isfinite(found)
    if not gone.any():
        return
    c = name(column)
    if text:
        cast = f"TRY_CAST({c}::VARCHAR AS DOUBLE) IS NULL AND lower(trim({c}::VARCHAR)) NOT IN ('true', 'false')"
        odd = f"SELECT {c}::VARCHAR FROM {table.relation} WHERE {c} IS NOT NULL AND {cast} AND lower(trim({c}::VARCHAR)) NOT IN {_MISSING} LIMIT 1"
        value = _fetch(con, odd, table)
        if value:
            raise UsageError(
                f"{column!r} holds {str(value[0][0])[:80]!r}, which is no number", where=table.said, why="the metric is a mean or a sum of numbers",
                next=f"name a numeric or boolean column, or the rate of one value: rate:{column}={str(value[0][0])[:80]}",
            )  # fmt: skip
    if gone.all():
        raise EvidenceError(
            f"{column!r} holds no value in any row", where=table.said, why="the column is there and was never filled",
            next="name another column, or check what wrote the table",
        )  # fmt: skip


def _binned(column: str, values: Sequence[Floats], opened: Sequence[_Table]) -> Attribute:
    """A numeric column cut at fifths of the first table; code 0 is missing."""
    first = values[0][np.isfinite(values[0])]
    if not len(first):
        raise EvidenceError(
            f"{column!r} holds no number to cut into ranges", where=opened[0].said, why="it is empty, or text", next="leave it out of --bin"
        )  # fmt: skip
    edges = np.unique(np.quantile(first, [0.2, 0.4, 0.6, 0.8], method="lower"))
    shown = [f"{edge:.6g}" for edge in edges]
    named = (None, f"<{shown[0]}", *(f">={a} <{b}" for a, b in pairwise(shown)), f">={shown[-1]}")
    codes = [np.where(np.isfinite(v), np.searchsorted(edges, v, side="right") + 1, 0).astype(np.uint8) for v in values]
    return Attribute(column, named, tuple(codes))
