"""Raw input as DuckDB sees it, before anything is read into it: rows under numbers, columns as leaves, refusals already made.

`files.py` and `tables.py` make it; `batch.py` takes it from there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from whimbrel.errors import InputError
from whimbrel.store.leaves import Family, Leaf, flatten
from whimbrel.store.sql import how_many, literal, one

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MAX_FIELDS = 4_000
Keys = tuple[str, ...]
"""The keys that lead to a value in nested JSON."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One row that could not be read: its number in the file (from 1), why, and the row as it came."""

    row: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Raw:
    """`relation` is SQL for FROM with a column `rn`, ascending in the order of the input, and those of `leaves`."""

    label: str
    relation: str
    leaves: tuple[Leaf, ...]
    refused: tuple[Refusal, ...] = field(default=(), repr=False)
    skipped: tuple[int, ...] = ()
    """Rows, by number in the file and ascending, that `rn` does not count because the reader could not take them in."""
    header: int = 0
    """Rows before the first data row: a CSV's header."""

    def numbers(self, rows: Sequence[int]) -> list[int]:
        """The numbers in the file, from 1, of rows given by ascending `rn`."""
        found, passed = [], 0
        for rn in rows:
            while passed < len(self.skipped) and self.skipped[passed] <= rn + 1 + self.header + passed:
                passed += 1
            found.append(rn + 1 + self.header + passed)
        return found


def check_width(fields: int, where: str) -> None:
    """Refuse a table with more fields than a log can hold.

    Raises:
        InputError: so it is.
    """
    if fields > MAX_FIELDS:
        raise InputError(
            f"{fields:,} fields are more than a log can hold ({MAX_FIELDS:,})", where=where,
            why="ids or other values are used as names of columns", next="move those values into a column of their own",
        )  # fmt: skip


def stage(con: DuckDBPyConnection, select: str, values: Mapping[str, Any] | None = None) -> str:
    """Read slow text once: keep the result of `select` in a temporary table, which spills to disk where it outgrows memory.

    Returns SQL for FROM with the select's columns and `rn`, 0, 1, … in the order of the select.
    """
    table = f"staged_{uuid4().hex}"
    con.execute(f"CREATE TEMP TABLE {table} AS {select}", values or {})
    return f"(SELECT rowid AS rn, * FROM {table})"


def columns_of(con: DuckDBPyConnection, relation: str, names: Sequence[str]) -> tuple[Leaf, ...]:
    """The leaves of a relation whose columns c0, c1, … came under `names`."""
    described = con.sql(f"SELECT * EXCLUDE (rn) FROM {relation}")

    def keys_of(sql: str) -> list[str]:
        rows = con.execute(
            f"SELECT k FROM (SELECT unnest(map_keys({sql})) AS k, rn FROM {relation}) GROUP BY k ORDER BY min(rn), k"
        ).fetchall()
        return [row[0] for row in rows]

    found = zip(names, described.columns, described.types, strict=True)
    return tuple(leaf for name, column, kind in found for leaf in flatten(name, column, kind, keys_of))


def json_rows(con: DuckDBPyConnection, lines: str, label: str, refused: Sequence[Refusal] = ()) -> Raw:
    """Raw input from JSON text: `lines` is SQL for FROM with a text column `line` and `rn`, one object a line, nested or flat.

    Every value keeps its own type. Lines that are no JSON object are refused, beside those that the reader `refused`
    already; empty lines are passed over.

    Raises:
        InputError: more different keys than a log can hold fields.
    """
    heads = _sampled_heads(con, lines)
    while True:
        paths = _paths(con, lines, heads, label)
        staged = _extract(con, lines, paths)
        relation = f"(SELECT line_number AS rn, * EXCLUDE (rn, line_number, bad) FROM {staged} WHERE bad IS NULL)"
        leaves, closed = _held(con, relation, [(path, f"c{i}") for i, path in enumerate(paths)], heads)
        if not closed:
            break
        heads = [*heads, *closed]
    skipped = tuple(sorted(refusal.row for refusal in refused))
    bad = con.execute(f"SELECT line_number, bad FROM {staged} WHERE bad IS NOT NULL ORDER BY rn").fetchall()
    numbers = Raw(label, "", (), skipped=skipped).numbers([row[0] for row in bad])
    worse = (
        Refusal(number, "not a JSON object on one line", text) for number, (_, text) in zip(numbers, bad, strict=True)
    )
    return Raw(label, relation, leaves, (*refused, *worse), skipped)


def _extract(con: DuckDBPyConnection, lines: str, paths: Sequence[Keys]) -> str:
    """The values at `paths` as columns c0, c1, … beside `line_number`, and under `bad` the lines that are no objects."""
    picked = "".join(
        f", CASE WHEN v[{i + 1}] NOT IN ('null', '{{}}') THEN v[{i + 1}] END AS c{i}" for i in range(len(paths))
    )
    return stage(
        con,
        f"""SELECT rn AS line_number, CASE WHEN NOT fine THEN line END AS bad{picked} FROM (
              SELECT rn, line, fine, json_extract(CASE WHEN fine THEN line END, $pointers)::VARCHAR[] AS v FROM (
                SELECT rn, line, {_is_object("line")} AS fine FROM {lines} WHERE trim(line) <> ''))""",
        {"pointers": [_pointer(path) for path in paths] or [""]},
    )


def json_column(con: DuckDBPyConnection, relation: str, column: str, name: str) -> tuple[Leaf, ...]:
    """The leaves under one column of JSON text: what is no object under `name`, members of objects under dotted names."""
    lines = f"(SELECT rn, {column} AS line FROM {relation})"
    heads = _sampled_heads(con, lines)
    while True:
        paths = _paths(con, lines, heads, name)
        members = [((name, *path), f"json_extract({column}, {literal(_pointer(path))})::VARCHAR") for path in paths]
        cleared = [
            (path, f"CASE WHEN {c} NOT IN ('null', '{{}}') THEN {c} END") for path, c in [((name,), column), *members]
        ]
        leaves, closed = _held(con, relation, cleared, [(name, *head) for head in heads])
        if not closed:
            return leaves
        heads = [*heads, *(path[1:] for path in closed)]


def _held(
    con: DuckDBPyConnection, relation: str, columns: Sequence[tuple[Keys, str]], heads: Sequence[Keys]
) -> tuple[tuple[Leaf, ...], list[Keys]]:
    """JSON leaves of those columns, path and SQL, that hold any value, and the paths that hold objects and are no heads yet.

    At a head only what is no object is a value of its own.
    """
    if not columns:
        return (), []
    opened = set(heads)
    own = [f"CASE WHEN left({c}, 1) <> '{{' THEN {c} END" if path in opened else c for path, c in columns]
    objects = [how_many(f"left({c}, 1) = '{{'") for _, c in columns]
    counts = one(con, f"SELECT {', '.join([*(f'count({c})' for c in own), *objects])} FROM {relation}")
    closed = [path for (path, _), n in zip(columns, counts[len(columns) :], strict=True) if n and path not in opened]
    leaves = (Leaf(".".join(path), c, Family.JSON) for (path, _), c, n in zip(columns, own, counts, strict=False) if n)
    return tuple(leaves), closed


def _sampled_heads(con: DuckDBPyConnection, lines: str) -> list[Keys]:
    """The paths under which a sample of the lines has objects, the root first; what the sample misses is found later."""
    structure = one(
        con,
        f"""SELECT json_group_structure(line::JSON) FROM {lines}
            WHERE (rn < 1000 OR rn % 257 = 0 AND rn < 1000000) AND {_is_object("line")}""",
    )[0]
    found: list[Keys] = [()]

    def descend(path: Keys, node: object) -> None:
        for key, below in node.items() if isinstance(node, dict) else ():
            if isinstance(below, dict):
                found.append((*path, key))
                descend((*path, key), below)

    descend((), json.loads(structure) if structure else None)
    return found


def _is_object(line: str) -> str:
    return f"coalesce(left(ltrim({line}), 1) = '{{' AND json_valid({line}), false)"


def _pointer(path: Keys) -> str:
    """RFC 6901: unlike a JSON path it can spell every key."""
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in path)


def _paths(con: DuckDBPyConnection, lines: str, heads: Sequence[Keys], label: str) -> list[Keys]:
    """The paths of all values under these heads, in the order in which they first appear."""
    rows = con.execute(
        f"""SELECT ks FROM (SELECT rn, json_keys(CASE WHEN {_is_object("line")} THEN line END, $pointers) AS ks FROM {lines})
            WHERE ks IS NOT NULL GROUP BY ks ORDER BY min(rn)""",
        {"pointers": [_pointer(head) for head in heads]},
    ).fetchall()
    members = {head: list(dict.fromkeys(key for (ks,) in rows for key in ks[i] or ())) for i, head in enumerate(heads)}
    check_width(sum(map(len, members.values())), label)
    return _opened((), members)


def _opened(head: Keys, members: Mapping[Keys, Sequence[str]]) -> list[Keys]:
    found: list[Keys] = []
    for key in members.get(head, ()):
        found.append((*head, key))
        found.extend(_opened((*head, key), members))
    return found
