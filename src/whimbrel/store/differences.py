"""Two data versions side by side, counted exactly: rows by content, keys, cells, nulls, labels. One pass of hashes each.

In: two `Content`s on one connection. Out: `Facts`. Whether a column's distribution moved is `compare/`'s question; `as_source` gives
it the version as an engine reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whimbrel.engine.port import Source
from whimbrel.errors import UsageError
from whimbrel.model.fields import Field, Kind, Schema
from whimbrel.store.content import Content, is_nan, row_text
from whimbrel.store.leaves import Family, Leaf
from whimbrel.store.raw import columns_of
from whimbrel.store.sql import how_many, literal, name, one

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_EXAMPLES = 5
_MOST_LABELS = 50
_EMPTY = ("float", "double")


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows by their content in the columns that both have; a row that is there twice counts twice."""

    before: int
    after: int
    gone: int
    new: int
    before_in_after: int
    """Rows of the first whose content the second holds anywhere."""
    after_in_before: int
    features_in_before: int | None = None
    """The same with the label and the key left out of the content; None where neither is named."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Rows by key.

    `changed` counts keys whose row differs, and `cells` the cells that do, column by column. Keys that one side holds more than
    once are `doubled`: their rows are not matched.
    """

    names: tuple[str, ...]
    gone: int
    new: int
    kept: int
    changed: int
    doubled: int
    cells: Mapping[str, int]
    examples: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is counted. `empty` has, for each common column, nulls and NaNs before and after; `labels` rows by label."""

    rows: Rows
    keys: Keys | None
    empty: Mapping[str, tuple[int, int, int, int]] = field(default_factory=dict)
    labels: Mapping[str, tuple[int, int]] | None = None


def facts(con: DuckDBPyConnection, before: Content, after: Content, *, key: Sequence[str], label: str | None) -> Facts:
    """Count what differs.

    Raises:
        UsageError: a key or label that one of the two lacks.
    """
    common = sorted(set(before.types) & set(after.types))
    for wanted in (*key, *([label] if label else [])):
        if wanted not in common:
            raise UsageError(
                f"no column {wanted!r} is in both versions", where="--label" if wanted == label else "--key",
                why=f"both have {', '.join(common[:20]) or 'no column in common'}", next="name one of these",
            )  # fmt: skip
    for side, content in (("a", before), ("b", after)):
        cells = content.cells()
        compared = [cells[c] for c in common] or [literal(side)]  # with no column in common no row is another's equal
        picked = [f"md5_number({row_text(compared)}) AS h"]
        features = [c for c in common if c != label and c not in key]
        if label or key:
            picked.append(f"md5_number({row_text([cells[c] for c in features])}) AS u")
        if key:
            picked.append(f"{row_text([cells[c] for c in key])} AS k")
        con.execute(f"CREATE OR REPLACE TEMP TABLE rows_{side} AS SELECT {', '.join(picked)} FROM {content.relation}")
    return Facts(
        _rows(con, features=bool(label or key)),
        _keys(con, before, after, tuple(key), common) if key else None,
        _empty(con, before, after, common),
        _labels(con, before, after, label) if label else None,
    )


def _rows(con: DuckDBPyConnection, *, features: bool) -> Rows:
    counted = "(SELECT h, count(*) AS n FROM rows_{} GROUP BY h)"
    sums = one(
        con,
        f"""SELECT coalesce(sum(a.n), 0), coalesce(sum(b.n), 0), coalesce(sum(greatest(coalesce(a.n, 0) - coalesce(b.n, 0), 0)), 0),
              coalesce(sum(greatest(coalesce(b.n, 0) - coalesce(a.n, 0), 0)), 0),
              coalesce(sum(a.n) FILTER (b.n IS NOT NULL), 0), coalesce(sum(b.n) FILTER (a.n IS NOT NULL), 0)
            FROM {counted.format("a")} a FULL JOIN {counted.format("b")} b USING (h)""",
    )
    bare = None
    if features:
        bare = one(con, "SELECT count(*) FROM rows_b WHERE u IN (SELECT u FROM rows_a)")[0]
    before, after, gone, new, kept, found = map(int, sums)
    return Rows(before, after, gone, new, kept, found, bare)


def _keys(
    con: DuckDBPyConnection, before: Content, after: Content, key: tuple[str, ...], common: Sequence[str]
) -> Keys:
    for side in "ab":
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE keys_{side} AS SELECT k, count(*) AS n, any_value(h) AS h FROM rows_{side} GROUP BY k"
        )
    con.execute(
        """CREATE OR REPLACE TEMP TABLE keys AS SELECT k, CASE WHEN b.n IS NULL THEN 'gone' WHEN a.n IS NULL THEN 'new'
           WHEN a.n > 1 OR b.n > 1 THEN 'doubled' WHEN a.h <> b.h THEN 'changed' ELSE 'same' END AS what,
           greatest(a.n, b.n) > 1 AS twice FROM keys_a a FULL JOIN keys_b b USING (k)"""
    )
    counts = dict(con.execute("SELECT what, count(*) FROM keys GROUP BY what").fetchall())
    examples = {}
    for what in ("gone", "new", "changed"):
        found = con.execute(
            f"SELECT k FROM keys WHERE what = '{what}' ORDER BY length(k), k LIMIT {_EXAMPLES}"
        ).fetchall()
        examples[what] = tuple(_spoken(k) for (k,) in found)
    values = [c for c in common if c not in key]
    cells: dict[str, int] = {}
    if counts.get("changed") and values:
        sides = []
        for content in (before, after):
            text = content.cells()
            picked = ", ".join(f"{text[c]} AS c{i}" for i, c in enumerate(values))
            keyed = f"SELECT {row_text([text[c] for c in key])} AS k, {picked} FROM {content.relation}"
            sides.append(f"(SELECT * FROM ({keyed}) WHERE k IN (SELECT k FROM keys WHERE what = 'changed'))")
        asks = ", ".join(how_many(f"a.c{i} IS DISTINCT FROM b.c{i}") for i in range(len(values)))
        differing = one(con, f"SELECT {asks} FROM {sides[0]} a JOIN {sides[1]} b USING (k)")
        cells = {c: n for c, n in sorted(zip(values, differing, strict=True), key=lambda pair: -pair[1]) if n}
    doubled = one(con, "SELECT count(*) FROM keys WHERE twice")[0]
    kept = sum(counts.get(what, 0) for what in ("same", "changed", "doubled"))
    return Keys(
        key, counts.get("gone", 0), counts.get("new", 0), kept, counts.get("changed", 0), doubled, cells, examples
    )


def _spoken(key: str) -> str:
    import json

    return ", ".join("null" if part is None else str(part) for part in json.loads(key))


def _empty(
    con: DuckDBPyConnection, before: Content, after: Content, common: Sequence[str]
) -> dict[str, tuple[int, int, int, int]]:
    """Nulls and NaNs before, nulls and NaNs after, of each column that both have."""
    found = []
    for content in (before, after):
        kinds = dict(content.columns)
        asks = []
        for c in common:
            nan = how_many(is_nan(name(c))) if kinds[c].id in _EMPTY else "0"
            asks += [how_many(f"{name(c)} IS NULL"), nan]
        found.append(one(con, f"SELECT {', '.join(asks)} FROM {content.relation}") if asks else ())
    return {c: (*found[0][2 * i : 2 * i + 2], *found[1][2 * i : 2 * i + 2]) for i, c in enumerate(common)}


def _labels(con: DuckDBPyConnection, before: Content, after: Content, label: str) -> dict[str, tuple[int, int]]:
    """Rows by label, the most frequent first; empty where there are too many labels for a table."""
    sides = [
        f"(SELECT coalesce({content.cells()[label]}, 'null') AS v, count(*) AS n FROM {content.relation} GROUP BY v)"
        for content in (before, after)
    ]
    rows = con.execute(
        f"""SELECT v, coalesce(a.n, 0), coalesce(b.n, 0) FROM {sides[0]} a FULL JOIN {sides[1]} b USING (v)
            ORDER BY coalesce(a.n, 0) + coalesce(b.n, 0) DESC, v LIMIT {_MOST_LABELS + 1}"""
    ).fetchall()
    return {v: (a, b) for v, a, b in rows} if len(rows) <= _MOST_LABELS else {}


# ---------------------------------------------------------------- as an engine reads it

_KINDS = {
    Family.INTEGER: Kind.NUMBER, Family.FLOAT: Kind.NUMBER, Family.BOOLEAN: Kind.BOOLEAN, Family.TIME: Kind.TIME,
    Family.NUMBERS: Kind.NUMBERS, Family.TEXTS: Kind.TEXTS,
}  # fmt: skip


def as_source(con: DuckDBPyConnection, content: Content, file: Path, title: str) -> Source:
    """The version as predictions whose inputs are its columns, members of structs under dotted names; written to `file`.

    All rows bear one time, so that nothing is weighed by hour. NaN counts as null here; `Facts.empty` tells the two apart.
    """
    renamed = ", ".join(f"{name(c)} AS c{i}" for i, (c, _) in enumerate(content.columns))
    relation = f"(SELECT row_number() OVER () - 1 AS rn, {renamed} FROM {content.relation})"
    leaves = columns_of(con, relation, [c for c, _ in content.columns])
    members = ", ".join(f"{name(leaf.name)} := {_value(leaf)}" for leaf in leaves)
    con.execute(
        f"""COPY (SELECT rn::VARCHAR AS id, TIMESTAMPTZ '1970-01-05 00:00:00+00' AS ts, struct_pack({members}) AS inputs
            FROM {relation}) TO {literal(str(file))} (FORMAT parquet, COMPRESSION snappy)"""
    )
    fields = tuple(Field(f"inputs.{leaf.name}", _KINDS.get(leaf.family, Kind.TEXT)) for leaf in leaves)
    return Source(title, Schema(fields), (str(file),))


def _value(leaf: Leaf) -> str:
    match leaf.family:
        case Family.FLOAT:
            return f"CASE WHEN NOT {is_nan(leaf.sql)} THEN {leaf.sql} END"
        case Family.INTEGER:
            return f"{leaf.sql}::DOUBLE"
    return leaf.sql


def plain(found: Facts) -> dict[str, Any]:
    """Plain JSON."""
    rows, keys = found.rows, found.keys
    return {
        "rows": {part: getattr(rows, part) for part in Rows.__slots__},
        "keys": None if keys is None else {
            "names": list(keys.names), "gone": keys.gone, "new": keys.new, "kept": keys.kept, "changed": keys.changed,
            "doubled": keys.doubled, "cells": dict(keys.cells), "examples": {k: list(v) for k, v in keys.examples.items()},
        },
        "empty": {
            c: dict(zip(("null_before", "nan_before", "null_after", "nan_after"), counts, strict=True))
            for c, counts in found.empty.items()
        },
        "labels": None if found.labels is None else {v: {"before": a, "after": b} for v, (a, b) in found.labels.items()},
    }  # fmt: skip
