"""Rows of a table in the order in which they came, from a cursor on: for whoever must see each of them exactly once.

In: a table and a cursor. Out: rows, some thousand at a time, each batch with the cursor behind it. A Delta table is read
commit by commit: what an append added, file by file (they never change), each in its own order. Commits that remove files
only lay the same rows out anew, or take some away, and bring none. `ledger/` may call.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from whimbrel.engine.port import Facts
from whimbrel.errors import StoreError
from whimbrel.model.window import micros
from whimbrel.store.delta import Table
from whimbrel.store.sql import connect, literal, name, store_errors

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_ROWS = 512
_ALL = -1
_DEEP = {"steps": 2}


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a table was read: `rows` of what version `version` brought, -1 for all of them.

    `whole`: that version is read as it stood, not its commit.
    """

    version: int = -1
    rows: int = 0
    whole: bool = False

    @staticmethod
    def of(held: Sequence[Any] | None) -> Cursor:
        """The cursor from the list that `to_list` made."""
        return Cursor(*held) if held else Cursor()

    def to_list(self) -> list[Any]:
        """Plain JSON."""
        return [self.version, self.rows, self.whole]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one file: `paths` are the dotted names of their values, in order; `after` is the cursor behind them."""

    paths: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    after: Cursor

    @property
    def columns(self) -> list[tuple[Any, ...]]:
        """The same values by path."""
        return list(zip(*self.rows, strict=True))


def appended(table: Table, cursor: Cursor, *, con: DuckDBPyConnection | None = None) -> Iterator[Rows]:
    """The rows that came after the cursor.

    Numbers are floats, times texts in ISO form with microseconds and Z; `rescued` is a dict. A table is read from its state as
    it stands when it is met first, and commit by commit from then on.

    Raises:
        StoreError: the table is damaged, or its history does not reach back to the cursor.
    """
    if not table.exists:
        return
    with store_errors(table.folder, "read"), con.cursor() if con else connect() as own:
        if cursor.version < 0:
            cursor = Cursor(table.open().version(), 0, True)
        yield from _commit(own, table, cursor)
        while (files := _added(table, cursor.version + 1)) is not None:
            cursor = Cursor(cursor.version + 1)
            if files:
                yield from _commit(own, table, cursor, files)


def unread(table: Table, cursor: Cursor) -> dict[str, Facts]:
    """What `appended` would read from the cursor on: files by absolute path, those that left the table since among them.

    Raises:
        StoreError: the table is damaged, or its history does not reach back to the cursor.
    """
    if not table.exists or cursor.version < 0:
        return {}
    with store_errors(table.folder, "read"):
        found: dict[str, Facts] = {}
        if cursor.whole and cursor.rows != _ALL:
            found |= table.facts(table.open(cursor.version))
        version = cursor.version + (cursor.whole or cursor.rows == _ALL)
        while (adds := _adds(table, version)) is not None:
            found |= {str(table.folder / unquote(add["path"])): _facts(add) for add in adds}
            version += 1
    return found


def _facts(add: Mapping[str, Any]) -> Facts:
    """What a commit says of a file that it adds."""
    stats = json.loads(add.get("stats") or "{}")
    low, high = stats.get("minValues", {}), stats.get("maxValues", {})
    times = (low["ts"], high["ts"]) if "ts" in low and "ts" in high else None
    first, last = (micros(datetime.fromisoformat(one)) for one in times) if times else (0, 0)
    ids = (low["id"], high["id"]) if "id" in low and "id" in high else None
    return Facts(add["size"], stats.get("numRecords"), ids, (first, last) if times else None)


def _commit(
    con: DuckDBPyConnection, table: Table, cursor: Cursor, files: Sequence[str] | None = None
) -> Iterator[Rows]:
    """What one version brought, from the cursor's row on."""
    if cursor.rows == _ALL:
        return  # the files may be gone by now
    held: Rows | None = None
    for after, paths, rows in _batches(con, table, cursor, _files_at(table, cursor) if files is None else files):
        if held is not None:
            yield held
        held = Rows(paths, rows, Cursor(cursor.version, after, cursor.whole))
    if held is not None:
        yield replace(held, after=Cursor(cursor.version, _ALL, cursor.whole))


def _batches(
    con: DuckDBPyConnection, table: Table, cursor: Cursor, files: Sequence[str]
) -> Iterator[tuple[int, tuple[str, ...], list[tuple[Any, ...]]]]:
    """Rows of files from the cursor's on, each batch with how many are read then."""
    done = 0
    for file in files:
        table.fetch([file])
        count = con.execute(f"SELECT count(*) FROM read_parquet([{literal(file)}])").fetchall()[0][0]
        skip = min(count, max(0, cursor.rows - done))
        done += skip
        if skip < count:
            for paths, rows in _read(con, file, f"file_row_number >= {skip}"):
                done += len(rows)
                yield done, paths, rows


def _files_at(table: Table, cursor: Cursor) -> Sequence[str]:
    if cursor.whole:
        files = table.actions(table.open(cursor.version), "min_ts, path", damaged=True)
        return [file for _, file in sorted(files, key=lambda one: (one[0] or 0, one[1]))]
    return _added(table, cursor.version) or ()


def _added(table: Table, version: int) -> list[str] | None:
    """The files that a commit appended, as absolute paths; None where it is not there yet."""
    adds = _adds(table, version)
    return None if adds is None else sorted(str(table.folder / unquote(add["path"])) for add in adds)


def _adds(table: Table, version: int) -> list[dict[str, Any]] | None:
    """What a commit says of the files that it appended; None where it is not there yet."""
    lines = _told(table, version)
    if lines is None:
        return None
    actions = [json.loads(line) for line in lines]
    if any("remove" in action for action in actions):
        return []
    return [action["add"] for action in actions if "add" in action and action["add"].get("dataChange", True)]


def _latest(table: Table) -> int:
    """The number of the last commit; of a table that lies here without reading any, for one may be missing."""
    if table.remote:
        return int(table.open().version())
    log = table.folder / "_delta_log"
    return max((int(path.stem) for path in log.glob("*.json") if path.stem.isdigit()), default=-1)


def _told(table: Table, version: int) -> list[str] | None:
    """The lines of a commit; None where it is not there yet."""
    name = f"_delta_log/{version:020d}.json"
    for last in (False, True):
        try:
            data = table.remote.read(name) if table.remote else (table.folder / name).read_bytes()
            return data.decode("utf-8").splitlines()
        except FileNotFoundError:
            if version > _latest(table):
                return None
            if last:  # it did not just come
                raise StoreError(
                    f"version {version} of a table is forgotten", where=f"{table.uri}/_delta_log", why="it was cleaned up before the ledger read it",
                    next="start the ledger anew, from the table as it stands: whimbrel ledger init --new-origin NAME",
                ) from None  # fmt: skip
    return None


def row_of(table: Table, ident: str, *, con: DuckDBPyConnection | None = None) -> dict[str, Any] | None:
    """The values of one row as `appended` gives them, by path; None where the table has it no longer."""
    return next(rows_of(table, ident, con=con), None)


def rows_of(table: Table, ident: str, *, con: DuckDBPyConnection | None = None) -> Iterator[dict[str, Any]]:
    """The values of all rows of an id, as they stand: of files that somebody wrote to as well, for who holds rows against a promise."""
    if not table.exists:
        return
    with store_errors(table.folder, "read"), con.cursor() if con else connect() as own:
        held = "(max_id IS NULL OR max_id >= ?) AND (min_id IS NULL OR min_id <= ?)"
        for (file,) in table.actions(table.open(), "path", held, (ident, ident), damaged=True, con=own):
            for paths, rows in _read(own, file, "id = $ident", {"ident": ident}):
                yield from (dict(zip(paths, row, strict=True)) for row in rows)


def idents(table: Table) -> Iterator[list[str]]:
    """The ids of all rows that a table holds now, some thousand at a time."""
    if not table.exists:
        return
    with store_errors(table.folder, "read"), connect() as con:
        for file in table.files(table.open()):
            told = con.execute(f"SELECT id FROM read_parquet([{literal(file)}], hive_partitioning = false)")
            while rows := told.fetchmany(_ROWS * 16):
                yield [row[0] for row in rows]


def _read(
    con: DuckDBPyConnection, file: str, where: str, values: dict[str, Any] | None = None
) -> Iterator[tuple[tuple[str, ...], list[tuple[Any, ...]]]]:
    """The rows of one file as tuples of its leaves."""
    source = f"read_parquet([{literal(file)}], file_row_number = true, hive_partitioning = false)"
    leaves = leaves_of(con, file)
    picked = ", ".join(sql for _, sql in leaves)
    told = con.execute(f"SELECT {picked} FROM {source} WHERE {where}", values or {})
    paths = tuple(path for path, _ in leaves)
    while rows := told.fetchmany(_ROWS):
        yield paths, rows


def leaves_of(con: DuckDBPyConnection, file: str) -> list[tuple[str, str]]:
    """The leaves of a file's rows, as (dotted path, SQL)."""
    described = con.sql(f"SELECT * FROM read_parquet([{literal(file)}], hive_partitioning = false)")
    columns = zip(described.columns, described.types, strict=True)
    held = [(column, kind) for column, kind in columns if column != "day"]
    return [leaf for column, kind in held for leaf in _leaves(column, name(column), kind, _DEEP.get(column, 1))]


def _leaves(path: str, sql: str, kind: Any, depth: int) -> Iterator[tuple[str, str]]:
    """The leaves under a column, as (path, SQL); times are spelled out."""
    if kind.id == "struct" and depth:
        for child, child_kind in kind.children:
            yield from _leaves(f"{path}.{child}", f"struct_extract({sql}, {literal(child)})", child_kind, depth - 1)
    elif kind.id == "timestamp with time zone":
        yield path, f"strftime({sql}, '%Y-%m-%dT%H:%M:%S.%fZ')"
    else:
        yield path, sql
