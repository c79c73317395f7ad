"""The flat view of a source: a row a prediction; `id`, `ts` (µs since 1970) and a column a field, named by its path.

Files with the same columns are read together, each group by a SELECT of its own, and the groups are stacked: a field
that a group lacks is NULL there. (DuckDB's own `union_by_name` asserts on a nested struct that only some files have.)
Every SELECT names the struct fields it needs, so that only their Parquet columns are read. Labels and decisions
that arrived later are joined by id and win.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeAlias

from whimbrel.engine.duckdb import counters
from whimbrel.engine.port import Source
from whimbrel.errors import InputError, UsageError
from whimbrel.model.fields import Field, Kind, Role, Schema, split
from whimbrel.model.window import SEVERAL, Condition, Window, micros, parse_time

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from duckdb.sqltypes import DuckDBPyType


@dataclass(frozen=True, slots=True)
class Node:
    """A column, or a member of a struct: its type as SQL writes it, and its own members. Read once: types are slow to ask."""

    kind: str
    members: Tree


Tree: TypeAlias = dict[str, Node]

ID, TS, LABEL_TS, RESCUED = "id", "ts", "label_ts", "rescued"
MEMORY = "memory_table"


@dataclass(slots=True)
class Bound:
    """The values bound to one statement, written `$1`, `$2`, … in the order in which they were given."""

    values: list[object] = field(default_factory=list)

    def __call__(self, value: object) -> str:
        """Bind one more value; returns its place in the statement."""
        self.values.append(value)
        return f"${len(self.values)}"


@dataclass(frozen=True, slots=True)
class Group:
    """Files that share their columns (escaped), or none: the table in memory; and the columns there."""

    files: tuple[str, ...]
    columns: Tree

    def relation(self, bound: Bound) -> str:
        """What to write after FROM."""
        return f"read_parquet({bound(self.files)}, hive_partitioning = false)" if self.files else MEMORY


@dataclass(frozen=True, slots=True)
class View:
    """The rows of one window of a source. Made once a question: it opens the files' footers, and nothing else.

    `connection` must see the table in memory, where the source is one, under the name `MEMORY`.
    """

    connection: DuckDBPyConnection
    source: Source
    window: Window
    groups: tuple[Group, ...]

    @staticmethod
    def of(connection: DuckDBPyConnection, source: Source, window: Window) -> View:
        """The view of a window; files that surely hold nothing of it are not opened.

        Raises:
            InputError: the source has no `id` or `ts`.
        """
        source = source.within(window)
        if source.fetch is not None:
            source.fetch(source)
        if source.table is not None:
            relation = connection.sql(f"FROM {MEMORY}")
            groups = [Group((), _tree(zip(relation.columns, relation.types, strict=True)))]
        else:
            groups = _groups(connection, [file for file in source.files if may_hold(file, window)])
        for group in groups:
            missing = next((name for name in (ID, TS) if name not in group.columns), None)
            if missing:
                raise InputError(
                    f"the predictions of app {source.app!r} have no column {missing!r}",
                    where=", ".join(group.files[:3]) or "the table in memory",
                    why="this was not written by the log", next="take the data in with `whimbrel import`",
                )  # fmt: skip
        return View(connection, source, window, tuple(groups))

    def extent(self) -> tuple[int, int, int]:
        """Rows, and the first and last `ts` among them; zeros where there are none."""
        bound = Bound()
        sql = f"SELECT count(*), coalesce(min(ts), 0), coalesce(max(ts), 0) FROM ({self.select((), bound)})"
        ((rows, first, last),) = self.connection.execute(sql, bound.values).fetchall()
        return int(rows), int(first), int(last)

    def count(self) -> tuple[int, int]:
        """Rows, and those that hold a value which did not fit its column; of whole files their footers know."""
        known = self._in_footers()
        if known is not None:
            return known
        bound = Bound()
        sql = f"SELECT count(*), count({RESCUED}) FROM ({self.select((), bound)})"
        ((rows, rescued),) = self.connection.execute(sql, bound.values).fetchall()
        return int(rows), int(rescued)

    def _in_footers(self) -> tuple[int, int] | None:
        """Rows of whole files, and none of them rescued; None where that cannot be told."""
        files = [file for group in self.groups for file in group.files]
        if not files or self.source.table is not None or self.window != Window(self.window.app):
            return None
        sql = f"""SELECT sum(row_group_num_rows) FILTER (column_id = 0),
                         bool_and(coalesce(stats_null_count = num_values, FALSE))
                         FILTER (starts_with(path_in_schema, '{RESCUED}, '))
                  FROM parquet_metadata($1)"""
        ((rows, none),) = self.connection.execute(sql, [files]).fetchall()
        there = any(RESCUED in group.columns for group in self.groups)
        return (int(rows), 0) if rows and (none or not there) else None

    def select(
        self, fields: Sequence[Field], bound: Bound, *, share: float = 1.0, ids: Sequence[str] | None = None
    ) -> str:
        """A SELECT of `id`, `ts`, `rescued`, `label_ts` and `fields` over all rows, a share by hash of id, or these ids.

        Of single ids whole numbers stay whole, where all files hold them so.

        Raises:
            UsageError: a condition names an unknown path, or a value that its field's kind cannot hold.
        """
        conditions = tuple(c for c in self.window.where if c.path not in ("id", "app"))
        wanted = tuple(dict.fromkeys((*fields, *fields_of(self.source, (c.path for c in conditions)))))
        sample = "TRUE"
        if ids is None and self.groups and share < 1:
            sample = f"hash(id) < {bound(int(share * 2**64))}::UBIGINT"
        elif ids is not None and self.groups:
            sample = f"id IN (SELECT unnest({bound(list(ids))}::VARCHAR[]))"
        whole = ids is not None
        seen, read = self.source.counters, wanted
        facts = counters.wanted(seen, wanted)
        if seen is not None:
            read = tuple(dict.fromkeys((*wanted, *fields_of(self.source, (seen.keys[subject] for subject in facts)))))
        parts = [_select(group, self.window, read, sample, bound, whole) for group in self.groups]
        stacked = "\nUNION ALL\n".join(parts or [_nothing(read)])
        if facts and seen is not None:
            stacked = counters.with_counters(seen, facts, wanted, stacked, bound)
        stacked = _with_late(self.connection, self.source, wanted, stacked, sample, bound)
        tests = [_test(self.source, condition, bound) for condition in self.window.where]
        return f"SELECT * FROM ({stacked})" + (f"\nWHERE {' AND '.join(tests)}" if tests else "")


def quoted(name: str) -> str:
    """A name as SQL takes it, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL takes it; only for what the source itself names. Values that a person gives are bound."""
    return "'" + text.replace("'", "''") + "'"


def fields_of(source: Source, paths: Iterable[str]) -> tuple[Field, ...]:
    """The fields at these paths.

    Raises:
        UsageError: a path is none of the source's; those that look alike are named.
    """
    return tuple(_known(source.schema, source.app, path) for path in paths)


def _known(schema: Schema, app: str, path: str) -> Field:
    found = schema.get(path)
    if found is not None:
        return found
    known = [f.path for f in schema]
    alike = get_close_matches(path, known, n=4, cutoff=0.5)
    name = path.rpartition(".")[2]
    alike += [p for p in known if p.rpartition(".")[2] == name and p not in alike][:4]
    group = [p for p in known if p.partition(".")[0] == path.partition(".")[0] and p not in alike]
    shown = ", ".join((alike or group or known)[:8]) or "none at all"
    raise UsageError(
        f"{path!r} is no field of app {app!r}", where=path,
        why=f"{'fields that look alike' if alike else 'fields there are'}: {shown}",
        next="name one of these; `whimbrel status` lists all",
    )  # fmt: skip


_DAY = re.compile(r"/day=(\d{4}-\d{2}-\d{2})/")


def may_hold(file: str, window: Window) -> bool:
    """Whether a file may hold rows of the window; the log keeps each day's (UTC) in a folder that bears its date."""
    found = _DAY.search(file.replace("\\", "/"))
    if not found:
        return True
    after = window.since is None or found[1] >= window.since.astimezone(UTC).date().isoformat()
    return after and (window.until is None or found[1] <= window.until.astimezone(UTC).date().isoformat())


def _groups(connection: DuckDBPyConnection, files: Sequence[str]) -> list[Group]:
    """The files, grouped by their exact columns. Each name is escaped: none of its characters is a wildcard."""
    if not files:
        return []
    names = [_escaped(file) for file in files]
    shape_of = _shapes(connection, names) if len(names) > 1 else {}
    alike: dict[str, list[str]] = {}
    for file, name in zip(files, names, strict=True):
        alike.setdefault(shape_of.get(file, ""), []).append(name)
    groups = []
    for same in alike.values():
        relation = connection.sql("FROM read_parquet($1, hive_partitioning = false)", params=[same[:1]])
        groups.append(Group(tuple(same), _tree(zip(relation.columns, relation.types, strict=True))))
    return groups


def _shapes(connection: DuckDBPyConnection, names: Sequence[str]) -> dict[str, str]:
    """What each file's columns are, by the file's name as it is."""
    sql = """SELECT file_name, string_agg(concat_ws(' ', name, type, num_children, logical_type), ',')
             FROM parquet_schema($1) GROUP BY file_name"""
    return dict(connection.execute(sql, [names]).fetchall())


def _escaped(file: str) -> str:
    return "".join(f"[{c}]" if c in "[*?" else c for c in file)


def _nothing(fields: Sequence[Field]) -> str:
    """The flat view of a source without any files."""
    none = "".join(f", NULL::{SQL_TYPE[item.kind]} AS {quoted(item.path)}" for item in fields)
    head = "NULL::VARCHAR AS id, NULL::BIGINT AS ts, NULL::MAP(VARCHAR, VARCHAR) AS rescued, NULL::BIGINT AS label_ts"
    return f"SELECT {head}{none} WHERE FALSE"


def _select(group: Group, window: Window, fields: Sequence[Field], sample: str, bound: Bound, whole: bool) -> str:
    """One group's rows inside the window's stretch of time, flattened."""
    zoned = "ZONE" in group.columns[TS].kind
    chosen = [f"t.{quoted(ID)} AS id", f"epoch_us(t.{quoted(TS)}) AS ts"]
    chosen.append(f"t.{RESCUED} AS rescued" if RESCUED in group.columns else "NULL::MAP(VARCHAR, VARCHAR) AS rescued")
    chosen.append(f"epoch_us(t.{LABEL_TS}) AS label_ts" if LABEL_TS in group.columns else "NULL::BIGINT AS label_ts")
    for item in fields:
        chosen.append(f"{_value(group.columns, item, whole)} AS {quoted(item.path)}")
    tests = [sample]
    for moment, sign in ((window.since, ">="), (window.until, "<")):
        if moment is not None:
            edge = moment.astimezone(UTC)
            tests.append(f"t.{quoted(TS)} {sign} {bound(edge if zoned else edge.replace(tzinfo=None))}")
    return f"SELECT {', '.join(chosen)} FROM {group.relation(bound)} AS t WHERE {' AND '.join(tests)}"


def _tree(columns: Iterable[tuple[str, DuckDBPyType]]) -> Tree:
    return {name: Node(str(kind), _tree(_children(kind))) for name, kind in columns}


def _children(kind: DuckDBPyType) -> Iterator[tuple[str, DuckDBPyType]]:
    """The fields of a struct; none of any other type."""
    if kind.id == "struct":
        for child in kind.children:
            assert isinstance(child, tuple)
            name, inner = child
            assert not isinstance(inner, (int, list))
            yield name, inner


SQL_TYPE = {
    Kind.NUMBER: "DOUBLE",
    Kind.BOOLEAN: "BOOLEAN",
    Kind.TEXT: "VARCHAR",
    Kind.TIME: "DOUBLE",
    Kind.NUMBERS: "DOUBLE[]",
    Kind.TEXTS: "VARCHAR[]",
}
"""How the flat view holds each kind; a time is microseconds since 1970, exact in a double until the year 2255."""


def _value(columns: Tree, item: Field, whole: bool) -> str:
    """The expression that reads a field, NULL where the group lacks it; `whole` numbers stay what they are."""
    at: Tree = columns
    node: Node | None = None
    steps: list[str] = []
    for part in split(item.path):
        node = at.get(part)
        if node is None:
            plain = whole and item.kind in (Kind.NUMBER, Kind.NUMBERS)
            return "NULL" if plain else f"NULL::{SQL_TYPE[item.kind]}"
        steps.append(quoted(part))
        at = node.members
    assert node is not None
    if whole and node.kind.removesuffix("[]") in _WHOLE:
        return "t." + ".".join(steps)
    return as_kind("t." + ".".join(steps), node.kind, item.kind)


_WHOLE = frozenset(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"))


def as_kind(expression: str, sql_type: str, kind: Kind) -> str:
    """An expression of some SQL type as the flat view's type for a kind; what does not fit is NULL."""
    if kind is Kind.TIME:
        if sql_type == "VARCHAR":
            expression = f"TRY_CAST({expression} AS TIMESTAMPTZ)"
        elif not sql_type.startswith(("TIMESTAMP", "DATE")):
            return "NULL::DOUBLE"
        return f"CASE WHEN isfinite({expression}) THEN epoch_us({expression})::DOUBLE END"
    target = SQL_TYPE[kind]
    return expression if sql_type == target else f"TRY_CAST({expression} AS {target})"


def _with_late(
    connection: DuckDBPyConnection, source: Source, fields: Sequence[Field], stacked: str, sample: str, bound: Bound
) -> str:
    """The same rows with labels and decisions that arrived later in the place of the rows' own."""
    replaced: dict[str, str] = {}
    joins: list[str] = []
    label = next((f for f in fields if f.role is Role.LABEL), None)
    if source.labels and label is not None:
        files = [_escaped(file) for file in source.labels]
        relation = connection.sql("FROM read_parquet($1, union_by_name = true)", params=[files])
        columns = dict(zip(relation.columns, relation.types, strict=True))
        moment = "epoch_us(label_ts)" if LABEL_TS in columns else "NULL::BIGINT"
        value = as_kind("label", str(columns["label"]), label.kind)
        joins.append(
            f"""LEFT JOIN (SELECT id, arg_max({value}, coalesce({moment}, 0)) AS label, max({moment}) AS label_ts
                FROM read_parquet({bound(files)}, union_by_name = true)
                WHERE label IS NOT NULL AND {sample} GROUP BY id) AS l USING (id)"""
        )
        replaced |= {"label": "coalesce(l.label, r.label)", LABEL_TS: "coalesce(l.label_ts, r.label_ts)"}
    decisions = [f for f in fields if f.role is Role.DECISION]
    if source.decisions and decisions:
        files = [_escaped(file) for file in source.decisions]
        made = ", ".join(
            f"max(value) FILTER (path = {bound(f.path)}) AS {quoted(f.path)}" for f in decisions
        )  # fmt: skip
        joins.append(
            f"""LEFT JOIN (SELECT id, {made} FROM read_parquet({bound(files)}, union_by_name = true)
                WHERE {sample} GROUP BY id) AS d USING (id)"""
        )
        for f in decisions:
            late = as_kind(f"d.{quoted(f.path)}", "VARCHAR", f.kind)
            replaced[f.path] = f"coalesce({late}, r.{quoted(f.path)})"
    if not joins:
        return stacked
    changes = ", ".join(f"{expression} AS {quoted(name)}" for name, expression in replaced.items())
    return f"SELECT r.* REPLACE ({changes}) FROM ({stacked}) AS r {' '.join(joins)}"


_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def _test(source: Source, condition: Condition, bound: Bound) -> str:
    """One condition as SQL. `!=` holds where `=` does not, so that the two part the traffic; an empty value is null."""
    if condition.op == SEVERAL:
        return f"({' OR '.join(_test(source, Condition(condition.path, one), bound) for one in condition.values)})"
    if condition.path == "app":
        return "TRUE" if (condition.value == source.app) == (condition.op == "=") else "FALSE"
    name = quoted(condition.path)
    kind = Kind.TEXT if condition.path == ID else _known(source.schema, source.app, condition.path).kind
    if kind is Kind.NUMBER:
        name = f"nullif({name}, 'nan'::DOUBLE)"  # DuckDB holds that nan is greater than every number
    if condition.value == "" and condition.op in ("=", "!="):
        empty = f"{name} IS NULL" + (f" OR {name} = ''" if kind is Kind.TEXT else "")
        return f"({empty})" if condition.op == "=" else f"NOT ({empty})"
    value = bound(_operand(condition, kind))
    if condition.op == "!=":
        return f"{name} IS DISTINCT FROM {value}"
    return f"{name} {condition.op} {value}"


def _operand(condition: Condition, kind: Kind) -> Any:
    """The condition's value in its field's kind."""
    try:
        if kind is Kind.TEXT:
            return condition.value
        if kind is Kind.NUMBER:
            return float(condition.value)
        if kind is Kind.BOOLEAN:
            return _TRUTH[condition.value.strip().lower()]
    except (ValueError, KeyError):
        raise UsageError(
            f"{condition.path} is a {kind} and cannot be compared with {condition.value!r}", where=str(condition),
            next=f"write it as --where {condition.path}{condition.op}{'true' if kind is Kind.BOOLEAN else '12.5'}",
        ) from None  # fmt: skip
    if kind is Kind.TIME:
        from datetime import datetime

        return float(micros(parse_time(condition.value, now=datetime.now(UTC))))
    raise UsageError(
        f"{condition.path} is a list; a condition compares single values", where=str(condition),
        next="choose another field for --where",
    )  # fmt: skip
