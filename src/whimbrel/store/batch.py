"""A batch: raw input whose rows have an id, a time and an app, and whose columns have their contract paths.

In: `Raw`. Out: a DuckDB view of the rows that can be read, with columns `rn`, `id`, `us` (µs since 1970), `app`, and one a field;
the rows that cannot, as refusals; and the SELECT that gives the rows of one app the shape of the log's table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from typing import TYPE_CHECKING

from whimbrel.errors import InputError
from whimbrel.model.fields import GROUPS, SINGLES, Field, Kind, Schema, split
from whimbrel.model.window import from_micros, iso
from whimbrel.store.columns import Assigned, missing_ts
from whimbrel.store.kinds import SQL_TYPES, decide, facts_sql, fit, fixed_kind, text_of, value_of
from whimbrel.store.leaves import Family, Leaf
from whimbrel.store.raw import Raw, Refusal
from whimbrel.store.sql import literal, name, one
from whimbrel.store.times import LATEST, read_clock

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MAX_APPS = 200
_AT_ONCE = 128
_SAMPLE = 30_000
"""Rows that decide the kinds of new fields; a field without a value among them is looked at in all rows."""
HOUR_US = 3_600_000_000
YEAR_2000_US = 946_684_800_000_000
_views = count()


@dataclass(frozen=True, slots=True)
class Column:
    """A field of a batch: its leaf, and the view's column that holds the leaf's values."""

    leaf: Leaf
    sql: str


@dataclass(frozen=True, slots=True)
class Batch:
    """`view` holds only the `good` rows, those that can be read; `total` counts all rows that came, refused ones too."""

    label: str
    view: str
    columns: Mapping[str, Column]
    label_ts: Column | None
    total: int
    good: int
    refused: tuple[Refusal, ...]
    warnings: tuple[str, ...]


def make_batch(
    con: DuckDBPyConnection, raw: Raw, assigned: Assigned, *, app: str | None, default_app: str, now_us: int
) -> Batch:
    """Read ids, times and apps of raw input.

    Rows without an id get one made of their time and content (UUIDv7), the same whenever the same rows come again; equal
    rows of one connection are told apart by their order.

    Raises:
        InputError: there is no `ts`, or its type cannot be a time.
    """
    ts = assigned.special.get("ts")
    if ts is None:
        raise missing_ts(raw.leaves, raw.label)
    clock = read_clock(con, ts, raw.relation, raw.label)
    columns = {path: Column(leaf, f"l{i}") for i, (path, leaf) in enumerate(assigned.fields.items())}
    picked = "".join(f", {value_of(column.leaf)} AS {column.sql}" for column in columns.values())
    label_ts = None
    if "label_ts" in assigned.special:
        label_ts = Column(assigned.special["label_ts"], "lt")
        told = read_clock(con, label_ts.leaf, raw.relation, raw.label)
        picked += f", {told.micros} AS lt_us, {text_of(label_ts.leaf, label_ts.leaf.sql)} AS lt"
    view = f"batch_{next(_views)}"
    given = _text(assigned.special.get("id"))
    owner = literal(app) if app else f"coalesce({_text(assigned.special.get('app'))}, {literal(default_app)})"
    con.execute(
        f"""CREATE TEMP VIEW {view}_all AS SELECT *, {clock.reason("us")} AS reason FROM (
        SELECT *, {given} AS given_id, {clock.micros} AS us, {owner} AS app{picked} FROM {raw.relation})"""
    )
    total, good, unnamed, first, last, future = _census(con, view, now_us)
    refused = (*raw.refused, *_refused_times(con, raw, view)) if good < total else raw.refused
    ids = "given_id"
    if unnamed:
        _make_ids(con, raw, view)
        ids = "coalesce(given_id, made.id)"
    made = f"LEFT JOIN {view}_made made USING (rn)" if unnamed else ""
    fine = "WHERE reason IS NULL" if good < total else ""
    con.execute(f"CREATE TEMP VIEW {view} AS SELECT a.*, {ids} AS id FROM {view}_all a {made} {fine}")
    warnings = tuple(_time_warnings(raw.label, first, last, future))
    return Batch(raw.label, view, columns, label_ts, total + len(raw.refused), good, tuple(refused), warnings)


def _text(leaf: Leaf | None) -> str:
    return f"nullif(trim({text_of(leaf, leaf.sql)}), '')" if leaf else "NULL::VARCHAR"


def _census(con: DuckDBPyConnection, view: str, now_us: int) -> tuple[int, int, int, int, int, int]:
    fine = "FILTER (reason IS NULL)"
    row = one(
        con,
        f"""SELECT count(*), count(*) {fine}, count(*) FILTER (reason IS NULL AND given_id IS NULL), coalesce(min(us) {fine}, 0),
        coalesce(max(us) {fine}, 0), count(*) FILTER (reason IS NULL AND us > $late) FROM {view}_all""",
        {"late": now_us + HOUR_US},
    )
    return row[0], row[1], row[2], row[3], row[4], row[5]


def _refused_times(con: DuckDBPyConnection, raw: Raw, view: str) -> Iterator[Refusal]:
    columns = ", ".join(f"{literal(leaf.name)}: {text_of(leaf, leaf.sql)}" for leaf in raw.leaves)
    rows = con.execute(
        f"SELECT rn, reason, to_json({{{columns}}})::VARCHAR FROM {view}_all WHERE reason IS NOT NULL ORDER BY rn"
    ).fetchall()
    for number, (_, why, text) in zip(raw.numbers([row[0] for row in rows]), rows, strict=True):
        yield Refusal(number, why, text)


def nothing_readable(label: str, refused: Sequence[Refusal], set_aside: str) -> InputError:
    """The error for input of which every row was refused."""
    first = refused[0]
    return InputError(
        f"none of the {len(refused):,} rows of {label} can be read; row {first.row}: {first.reason}",
        where=set_aside or label, why=f"row {first.row} reads {first.text[:200]!r}",
        next="write rows as UTF-8, one object or record a line, ts as ISO time (2026-11-19T14:05:00Z) or epoch s, ms, µs or ns",
    )  # fmt: skip


def _time_warnings(label: str, first: int, last: int, future: int) -> Iterator[str]:
    if future:
        yield (
            f"{label}: {future:,} rows lie in the future, the latest at {iso(from_micros(last))}; times without a zone are read as UTC, "
            "so local times should be converted first"
        )
    if 0 < last < YEAR_2000_US:
        yield (
            f"{label}: ts runs from {iso(from_micros(first))} to {iso(from_micros(last))}; a unit that is not seconds, milliseconds, "
            "microseconds or nanoseconds since 1970 is read as the nearest of them"
        )


def _make_ids(con: DuckDBPyConnection, raw: Raw, view: str) -> None:
    """Ids for rows that have none: UUIDv7 of the row's millisecond and of the MD5 of its content and place among equals.

    The content is every column under the name with which it came, so that neither a mapping nor the order of columns matters.
    """
    parts = ", ".join(
        f"CASE WHEN {leaf.sql} IS NOT NULL THEN {literal(leaf.name + '=')} || ({_spelled(leaf)}) END"
        for leaf in sorted(raw.leaves, key=lambda leaf: leaf.name)
    )
    con.execute("CREATE TABLE IF NOT EXISTS equal_rows (content VARCHAR, seen BIGINT)")
    con.execute(
        f"""CREATE TEMP TABLE {view}_content AS SELECT rn, us, md5(concat_ws(chr(30), {parts})) AS content
        FROM {view}_all WHERE reason IS NULL AND given_id IS NULL"""
    )
    con.execute(
        f"""CREATE TEMP TABLE {view}_made AS SELECT rn, {_UUID7} AS id FROM (
            SELECT rn, lpad(lower(hex(us // 1000)), 12, '0') AS t, CASE WHEN place > 0 THEN md5(content || place) ELSE content END AS d FROM (
            SELECT rn, us, c.content, row_number() OVER (PARTITION BY c.content ORDER BY rn) - 1 + coalesce(earlier.seen, 0) AS place
            FROM {view}_content c LEFT JOIN (SELECT content, sum(seen) AS seen FROM equal_rows GROUP BY content) earlier USING (content)))"""
    )
    con.execute(f"INSERT INTO equal_rows SELECT content, count(*) FROM {view}_content GROUP BY content")
    con.execute(f"DROP TABLE {view}_content")


_UUID7 = (
    "left(t, 8) || '-' || substr(t, 9, 4) || '-7' || left(d, 3) || '-' || substr('89ab', 1 + ascii(substr(d, 4, 1)) % 4, 1) "
    "|| substr(d, 5, 3) || '-' || substr(d, 8, 12)"
)
"""RFC 9562, version 7: 48 bits of milliseconds `t`, then version, variant and 74 bits of the digest `d`, both in hex."""


def _spelled(leaf: Leaf) -> str:
    return leaf.sql if leaf.family is Family.JSON else f"{leaf.sql}::VARCHAR"


def apps_of(con: DuckDBPyConnection, batch: Batch) -> list[str]:
    """The apps that a batch's rows name.

    Raises:
        InputError: so many that the column can hardly name apps.
    """
    apps = [
        row[0]
        for row in con.execute(
            f"SELECT app FROM {batch.view} GROUP BY app ORDER BY app LIMIT {MAX_APPS + 1}"
        ).fetchall()
    ]
    if len(apps) > MAX_APPS:
        raise InputError(
            f"the column `app` names more than {MAX_APPS} apps, {apps[0]!r} and {apps[1]!r} among them", where=batch.label,
            why="each app has a table of its own, and this column seems to hold something else",
            next="name the app of the whole file with --app NAME, or map that column to context.<name>",
        )  # fmt: skip
    return apps


@dataclass(frozen=True, slots=True)
class Shape:
    """How one app's rows of a batch become rows of its table."""

    schema: Schema
    """The table's fields, and after them this batch's new ones that hold values, in order of first appearance."""
    label_ts: bool
    rescues: bool
    """Whether a value may not fit its field's kind; where none can there is no column `rescued`, which costs as much as two others."""
    steps: tuple[str, str, str]
    warnings: tuple[str, ...]

    def select(self, keep: str, more: str = "") -> str:
        """The rows of the batch's view for which `keep` holds: every field of the table, NULL where the batch lacks it, and `more` columns."""
        parse, typed, nest = self.steps
        return f"{nest}{more} FROM ({typed} FROM ({parse} WHERE {keep}))"


def shape(con: DuckDBPyConnection, batch: Batch, app: str, known: Schema, *, label_ts: bool = False) -> Shape:
    """Fix the kinds of new fields by the batch's values, and write the SELECT (without the partition's `day`).

    A name that differs from a known one by case alone cannot be a column beside it: its values are rescued.
    """
    values = {field.path: f"NULL::{SQL_TYPES[field.kind]}" for field in known}
    parsed, typed = "", ""
    fields: list[Field] = []
    misfits: list[tuple[str, str, str]] = []
    clashes: list[str] = []
    spelled = Spellings(values)
    for path, (kind, as_text) in _kinds(con, batch, app, known).items():
        column = batch.columns[path]
        raw_text = text_of(column.leaf, column.sql)
        if not spelled.take(path):
            clashes.append(path)
            misfits.append((path, f"{column.sql} IS NOT NULL", raw_text))
            continue
        if path not in values:
            fields.append(Field(path, kind))
        p, v = f"p{column.sql}", f"v{column.sql}"
        reading = fit(column.leaf, column.sql, p, v, kind, as_text=as_text)
        parsed += f", {reading.parsed} AS {p}" if reading.parsed else ""
        typed += f", {reading.value} AS {v}"
        values[path] = f"nullif({v}, '')" if path == "error" else v
        if reading.misfit:
            misfits.append((path, reading.misfit, raw_text))
    if batch.label_ts:
        fits = f"lt_us BETWEEN 0 AND {LATEST}"
        values["label_ts"] = f"CASE WHEN {fits} THEN make_timestamptz(lt_us) END"
        misfits.append(("label_ts", f"nullif(trim(lt), '') IS NOT NULL AND NOT coalesce({fits}, false)", "lt"))
    elif label_ts:
        values["label_ts"] = "NULL::TIMESTAMPTZ"
    warnings = tuple(
        f"{path!r} differs from a known field by case only; its values are kept in `rescued`: map it to the other name or to a new one"
        for path in clashes
    )
    columns = f"id, make_timestamptz(us) AS ts{_nested(values)}{_rescue(misfits)}"
    steps = (f"SELECT *{parsed} FROM {batch.view}", f"SELECT *{typed}", f"SELECT {columns}")
    return Shape(Schema((*known, *fields)), "label_ts" in values, bool(misfits), steps, warnings)


def _kinds(con: DuckDBPyConnection, batch: Batch, app: str, known: Schema) -> dict[str, tuple[Kind, bool]]:
    """Kind of each field that holds values or is known, and whether its scalars are spelled out as text."""
    asked: list[tuple[str, str, str]] = []
    for path, column in batch.columns.items():
        before = known.get(path)
        counts = facts_sql(column.leaf, column.sql)
        if fixed_kind(path) is not None or (before is not None and "big" not in counts):
            counts = {"": f"count({column.sql})"} if before is None else {}
        elif before is not None and before.kind is not Kind.TEXT:
            counts = {}
        asked.extend((path, str(key), sql) for key, sql in counts.items())
    every = batch.good // _SAMPLE
    if every < 2:
        found = _count(con, batch, app, asked, "true")
    else:  # where a field can be of one kind only it is enough that there is a value, and the first rows are the cheapest to look at
        many = {path for (path, *_), (after, *_) in pairwise(asked) if path == after}
        found = _count(con, batch, app, [ask for ask in asked if ask[0] in many], f"rn % {every} = 0")
        found |= _count(con, batch, app, [ask for ask in asked if ask[0] not in many], f"rn < {_SAMPLE}")
        bare = [ask for ask in asked if not any(found[ask[0]].values())]
        found |= _count(con, batch, app, bare, "true")
    kinds: dict[str, tuple[Kind, bool]] = {}
    for path, column in batch.columns.items():
        before, fixed = known.get(path), fixed_kind(path)
        if fixed is not None:
            if before is not None or found.get(path, {}).get(""):
                kinds[path] = (fixed, fixed is Kind.TEXT)
            continue
        kind, facts = decide(column.leaf, found.get(path, {}))
        kind = before.kind if before is not None else kind
        if kind is not None:
            kinds[path] = (kind, kind is Kind.TEXT and facts.big_integers)
    return kinds


def _count(
    con: DuckDBPyConnection, batch: Batch, app: str, asked: Sequence[tuple[str, str, str]], rows: str
) -> dict[str, dict[str, int]]:
    """For each path and key the aggregate asked for, over the `rows` of which that holds.

    Some hundred at a time: what DuckDB takes to plan them grows with their square.
    """
    found: dict[str, dict[str, int]] = {path: {} for path, *_ in asked}
    for start in range(0, len(asked), _AT_ONCE):
        part = asked[start : start + _AT_ONCE]
        listed = ", ".join(sql for *_, sql in part)
        row = one(con, f"SELECT {listed} FROM {batch.view} WHERE app = $app AND {rows}", {"app": app})
        for (path, key, _), number in zip(part, row, strict=True):
            found[path][key] = number
    return found


class Spellings:
    """Which spelling of each name came first; names of members are compared without case, as every SQL engine does."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._first: dict[tuple[str, ...], str] = {}
        for path in paths:
            self.take(path)

    def take(self, path: str) -> bool:
        """Whether this name may be a column: no other spelling of it, or of a part of it, came before."""
        parts = split(path)
        heads = [parts[: i + 1] for i in range(1, len(parts))]
        if any(self._first.get(tuple(p.lower() for p in head), head[-1]) != head[-1] for head in heads):
            return False
        for head in heads:
            self._first[tuple(p.lower() for p in head)] = head[-1]
        return True


def _nested(values: Mapping[str, str]) -> str:
    """Flat paths as columns and structs, in the table's order."""
    groups: dict[str, dict[str, object]] = {}
    singles = ""
    for single in (*SINGLES, "label_ts"):
        if single in values:
            singles += f", {values[single]} AS {name(single)}"
    for path, value in values.items():
        parts = split(path)
        if len(parts) == 2:
            groups.setdefault(parts[0], {})[parts[1]] = value
        elif len(parts) == 3:
            step = groups.setdefault(parts[0], {}).setdefault(parts[1], {})
            assert isinstance(step, dict)
            step[parts[2]] = value
    return singles + "".join(f", {_struct(groups[group])} AS {name(group)}" for group in GROUPS if group in groups)


def _struct(members: Mapping[str, object]) -> str:
    packed = (
        f"{literal(key)}: {_struct(value) if isinstance(value, dict) else value}" for key, value in members.items()
    )
    return "{" + ", ".join(packed) + "}"


def _rescue(misfits: Sequence[tuple[str, str, str]]) -> str:
    if not misfits:
        return ""
    entries = ", ".join(
        f"CASE WHEN {misfit} THEN {{'k': {literal(path)}, 'v': {text}}} END" for path, misfit, text in misfits
    )
    any_misfit = " OR ".join(misfit for _, misfit, _ in misfits)
    entries = f"list_filter([{entries}], lambda e: e IS NOT NULL)"
    return f", CASE WHEN {any_misfit} THEN map_from_entries({entries}) END AS rescued"
