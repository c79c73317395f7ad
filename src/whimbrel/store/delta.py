"""One Delta table of the log: read, widened, appended to by many processes at once.

DuckDB writes the Parquet files, partitioned and in bounded memory; they join the table by one commit. A commit that
another process forestalls is made again from what the table then holds, so that nothing is lost or doubled: every append carries
the table's own transaction number (Delta's `txn`), and two with the same number cannot both succeed. Within one machine a
lock file keeps the second writer from doing the work twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, unquote
from uuid import uuid4

from whimbrel.engine.port import Facts
from whimbrel.errors import StoreError
from whimbrel.model.window import micros
from whimbrel.store.alone import alone
from whimbrel.store.remote import Remote
from whimbrel.store.seal import damaged, sealed
from whimbrel.store.sql import literal, name, store_errors

if TYPE_CHECKING:
    from deltalake import CommitProperties, DeltaTable
    from duckdb import DuckDBPyConnection

Result = TypeVar("Result")

_WRITER = "whimbrel"
_LAYOUT = "whimbrel-layout"
_DICTIONARY_BYTES = 16_384
"""A column of few different values gets a dictionary; where it outgrows this the writer soon gives up, and numbers cost less."""
_ATTEMPTS = 20
_LOCK_WAIT_S = 1800.0
CONFIGURATION = {"delta.dataSkippingNumIndexedCols": "2", "delta.enableExpiredLogCleanup": "false"}
"""Statistics of `id` and `ts`; and no history is forgotten by itself: a golden window names a version of any age."""

_FORBIDDEN = "%[]*?\\"
"""Characters that Delta or DuckDB would read as something else in a folder's name."""


def folder_name(app: str) -> str:
    """An app's name as a folder's: percent-encoded, with `~` for the percent sign, which Delta would decode again."""
    encoded = quote(app, safe="").replace("~", "%7E")
    return (f"%{ord(app[0]):02X}{encoded[1:]}" if app[0] in "._" else encoded).replace("%", "~")


def app_name(folder: str) -> str:
    """The app whose folder this is."""
    return unquote(folder.replace("~", "%"))


@dataclass(frozen=True, slots=True)
class Written:
    """A Parquet file that is written and not yet part of the table; paths are relative to the table's folder."""

    path: str
    size: int
    rows: int
    partition: Mapping[str, str | None]
    ids: tuple[str, str] | None
    times: tuple[str, str] | None
    """First and last `id` and `ts`, where the writer knows them exactly."""


@dataclass(frozen=True, slots=True)
class Table:
    """A Delta table in `folder`; `lock` is the file that its writers on this machine take turns by.

    `notes` is where it is noted which files are damaged (see `seal.py`). Where the table lies in a `remote` storage, `folder` holds copies of
    the files that were read or written here.
    """

    folder: Path
    lock: Path
    notes: Path
    partition_by: tuple[str, ...] = ()
    remote: Remote | None = None

    @property
    def uri(self) -> str:
        """Where the table is."""
        return self.remote.uri if self.remote else str(self.folder)

    @property
    def options(self) -> dict[str, str] | None:
        """What `deltalake` needs to get there."""
        return dict(self.remote.options) if self.remote else None

    @property
    def exists(self) -> bool:
        """Whether the table was ever created; a log folder without a commit is what a full disk left."""
        if self.remote:
            from deltalake import DeltaTable

            with store_errors(self.uri, "read"):
                return bool(DeltaTable.is_deltatable(self.uri, self.options))
        return next((self.folder / "_delta_log").glob("*.*"), None) is not None

    def open(self, version: int | None = None) -> DeltaTable:
        """The table at its latest or at one version.

        Raises:
            StoreError: it is damaged, or never had that version.
        """
        from deltalake import DeltaTable

        with store_errors(self.uri, "read"):
            return DeltaTable(self.uri, version=version, storage_options=self.options)

    def files(self, delta: DeltaTable) -> tuple[str, ...]:
        """The Parquet files of an opened table, as absolute paths, to be read: they are here."""
        facts = self.facts(delta)
        self.fetch(facts)
        return tuple(facts)

    def fetch(self, files: Iterable[str], known: Mapping[str, Facts] | None = None) -> None:
        """Have files (absolute paths) here, where the table lies elsewhere. Raises StoreError: the storage fails, or one is damaged."""
        if self.remote:
            prefix, told = f"{self.folder}/", known or {}
            with store_errors(self.uri, "read"):
                self.remote.fetch(self.folder, {file.removeprefix(prefix): told.get(file) for file in files})

    def facts(self, delta: DeltaTable) -> dict[str, Facts]:
        """What Delta's own statistics say of the files of an opened table, by absolute path."""
        told = delta.get_add_actions(flatten=True)
        names = ("path", "size_bytes", "num_records", "min.id", "max.id", "min.ts", "max.ts", "modification_time")
        columns = (told[name].to_pylist() if name in told.schema.names else [None] * told.num_rows for name in names)
        found = {}
        for path, size, rows, low, high, first, last, made in zip(*columns, strict=True):
            ids = None if low is None or high is None else (str(low), str(high))
            times = None if first is None or last is None else (micros(first), micros(last))
            found[str(self.folder / unquote(path))] = Facts(int(size or 0), rows, ids, times, int(made or 0))
        return found

    def sound(self, delta: DeltaTable) -> tuple[dict[str, Facts], dict[str, str]]:
        """What Delta says of the files that can be read; and those that are damaged, with why."""
        facts = self.facts(delta)
        bad = self._damaged(facts)
        return {file: one for file, one in facts.items() if file not in bad}, bad

    def _damaged(self, facts: Mapping[str, Facts]) -> dict[str, str]:
        """Which files are known to be damaged; of a remote table, those that are not here are not."""
        here = facts if self.remote is None else {file: one for file, one in facts.items() if Path(file).exists()}
        return damaged(here, self.notes)

    def named_facts(self, delta: DeltaTable) -> dict[str, Facts]:
        """The same, by path inside the table."""
        return {file.removeprefix(f"{self.folder}/"): facts for file, facts in self.facts(delta).items()}

    def actions(
        self,
        delta: DeltaTable,
        columns: str,
        where: str = "true",
        values: Sequence[Any] = (),
        *,
        damaged: bool = False,
        con: DuckDBPyConnection | None = None,
    ) -> list[tuple[Any, ...]]:
        """Facts of the table's files from Delta's own statistics, by SQL over `path`, `size`, `rows`, `min_id`, `max_id`, `min_ts`, `max_ts`.

        `damaged` files are left out unless they are asked for. `con` is a connection that is open already: a new one takes 20 ms.
        """
        from whimbrel.store.sql import connect

        facts = delta.get_add_actions(flatten=True)
        present = set(facts.schema.names)
        wanted = {"rows": "num_records", "size": "size_bytes", "min_id": "min.id", "max_id": "max.id"}
        picked = [f"{name(v) if v in present else 'NULL'} AS {k}" for k, v in wanted.items()]
        for short, column in (("min_ts", "min.ts"), ("max_ts", "max.ts")):
            picked.append(f"epoch_us({name(column)}) AS {short}" if column in present else f"NULL::BIGINT AS {short}")
        path = f"{literal(str(self.folder) + '/')} || url_decode(path) AS path"
        bad = "" if damaged else ", ".join(map(literal, self._damaged(self.facts(delta))))
        where = f"({where}) AND path NOT IN ({bad})" if bad else where
        with con.cursor() if con else connect() as own:
            own.register("facts", facts)
            rows = own.execute(
                f"SELECT {columns} FROM (SELECT {path}, {', '.join(picked)} FROM facts) WHERE {where}",
                list(values),
            ).fetchall()
        if (self.remote and columns.split(",")[-1].strip() == "path") or columns.startswith("path"):
            at = 0 if columns.startswith("path") else -1
            self.fetch([row[at] for row in rows])
        return [tuple(row) for row in rows]

    def overlapping(self, delta: DeltaTable, low: str, high: str) -> list[str]:
        """The files of an opened table that may hold an id from `low` to `high`, as absolute paths."""
        asked = Facts(ids=(low, high))
        found = [file for file, facts in self.sound(delta)[0].items() if facts.shares_ids(asked)]
        self.fetch(found)
        return found

    def update(self, change: Callable[[], Result]) -> Result:
        """Run `change`, which reads the table and commits to it, until no other writer came in between.

        Raises:
            StoreError: the disk is full or read-only, or other writers always came first.
        """
        from deltalake.exceptions import CommitFailedError

        with store_errors(self.uri), alone(self.lock, "writing to this table", wait_s=_LOCK_WAIT_S):
            for attempt in range(_ATTEMPTS):
                try:
                    return change()
                except CommitFailedError as error:
                    if any(sign in str(error).lower() for sign in ("unsupported", "table feature")):  # by no attempt
                        raise
                    time.sleep(min(0.05 * 2**attempt, 2.0))
        raise StoreError(
            f"gave up after {_ATTEMPTS} attempts to commit: another writer always came first", where=str(self.folder),
            why="many machines append to one table at once", next="run the same command again: rows that are in already are not doubled",
        )  # fmt: skip

    def widen(self, fields: Sequence[Any]) -> None:
        """Create the table with these Delta fields, or add those that it lacks (members of structs too)."""
        from deltalake import DeltaTable, Schema

        if not self.exists:
            self.folder.mkdir(parents=True, exist_ok=True)
            DeltaTable.create(
                self.uri, storage_options=self.options, schema=Schema(list(fields)), mode="ignore", partition_by=list(self.partition_by),
                configuration=CONFIGURATION,
            )  # fmt: skip
        elif fields:
            self.open().alter.add_columns(list(fields))

    def write(self, con: DuckDBPyConnection, select: str, parameters: Mapping[str, Any]) -> tuple[Written, ...]:
        """Write the rows of `select` as Parquet files that are not yet part of the table; on failure none is left behind."""
        batch = f"part-{uuid4().hex}"
        target, layout = (
            str(self.folder),
            f"PARTITION_BY ({', '.join(map(name, self.partition_by))}), FILENAME_PATTERN '{batch}-{{uuid}}', APPEND true, ",
        )
        if not self.partition_by:
            target, layout = str(self.folder / f"{batch}.parquet"), ""
        try:
            rows = con.execute(
                f"COPY ({select}) TO {literal(target)} (FORMAT parquet, COMPRESSION snappy, {layout}RETURN_STATS true)",
                dict(parameters),
            ).fetchall()
        except BaseException:
            self.discard(batch)
            raise
        return tuple(self.written(row) for row in rows if row[1])

    def write_arrow(self, rows: Any, folder: Path, told: Written) -> Written:
        """Write an Arrow table as one Parquet file of one partition that is not yet part of the table; by way of `folder`.

        `told` is what is known of it beforehand. delta-rs writes it, at a quarter of what DuckDB's COPY costs; as a table
        of its own that is left behind, so that the commit is ours and a failure leaves no file here.
        """
        from deltalake import WriterProperties, write_deltalake

        alone = folder / uuid4().hex
        write_deltalake(
            str(alone), rows, target_file_size=1 << 40,
            writer_properties=WriterProperties(compression="SNAPPY", dictionary_page_size_limit=_DICTIONARY_BYTES),
        )  # fmt: skip
        (made,) = alone.glob("*.parquet")
        path = Path(*(f"{key}={value}" for key, value in told.partition.items()), f"part-{alone.name}.parquet")
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        whole = sealed(made.rename(self.folder / path))
        rmtree(alone)
        return replace(told, path=str(whole.relative_to(self.folder)), size=whole.stat().st_size)

    def written(self, told: Sequence[Any]) -> Written:
        """A file that DuckDB's COPY wrote under the table's folder, from the row that it returned of it."""
        path, rows, size, _, stats, partition, *_ = told
        path = sealed(Path(path))

        def ends(column: str) -> tuple[str, str] | None:
            found = stats.get(column, {})
            exact = found.get("min_is_exact") == found.get("max_is_exact") == "true"
            return (found["min"], found["max"]) if exact and "min" in found and "max" in found else None

        keys = {key.strip('"'): value for key, value in (partition or {}).items()}
        return Written(str(path.relative_to(self.folder)), size, rows, keys, ends('"id"'), ends('"ts"'))

    def discard(self, batch: str) -> None:
        """Remove the files of a write that failed."""
        for left in self.folder.rglob(f"{batch}*"):
            left.unlink(missing_ok=True)

    def commit(self, delta: DeltaTable, written: Sequence[Written]) -> None:
        """Make written files part of the table, unless another append was committed since `delta` was opened.

        Raises:
            CommitFailedError: one was; `update` then begins anew. The files are removed.
        """
        from deltalake import CommitProperties, Transaction
        from deltalake.transaction import AddAction

        made = int(time.time() * 1000)
        last = delta.transaction_version(_WRITER)
        try:
            self.put(written)
            delta.create_write_transaction(
                [AddAction(w.path, w.size, w.partition, made, True, _stats(w)) for w in written],
                mode="append", schema=delta.schema(), partition_by=list(self.partition_by),
                commit_properties=CommitProperties(app_transactions=[Transaction(_WRITER, 0 if last is None else last + 1)]),
            )  # fmt: skip
        except Exception:
            # What a storage far away says of a commit may be wrong: an answer is lost, the commit is not. Files that are no part
            # of the table after all are swept later.
            for w in () if self.remote else written:
                (self.folder / w.path).unlink(missing_ok=True)
            raise

    def put(self, written: Iterable[Written]) -> None:
        """Have written files where the table is, before they are committed."""
        if self.remote:
            self.remote.put(self.folder, [one.path for one in written])

    def layout_change(self, delta: DeltaTable) -> CommitProperties:
        """What a commit that takes files out of the table must carry, so that of two at once only one succeeds.

        Delta itself lets both succeed where they come as appends that also remove: the rows would then be there twice.
        """
        from deltalake import CommitProperties, Transaction

        last = delta.transaction_version(_LAYOUT)
        return CommitProperties(app_transactions=[Transaction(_LAYOUT, 0 if last is None else last + 1)])

    def replace(self, delta: DeltaTable, old: Mapping[str, int], new: Sequence[Written], *, same_rows: bool) -> None:
        """Take files out of the table and written ones in, as one commit; `old` are paths inside the table and sizes.

        Args:
            delta: the table as it was opened; all of `old` must be in it.
            old: what goes.
            new: what comes.
            same_rows: the new files hold just the rows of the old ones: who reads the table's history sees no change.

        Raises:
            CommitFailedError: another commit took files out since `delta` was opened. The new files stay where they are.
        """
        from deltalake.transaction import AddAction, RemoveAction

        made = int(time.time() * 1000)
        self.put(new)
        gone = [RemoveAction(path, not same_rows, made, size, partition_of(path)) for path, size in old.items()]
        came = [AddAction(w.path, w.size, w.partition, made, not same_rows, _stats(w)) for w in new]
        delta.create_write_transaction(
            [*came, *gone], mode="append", schema=delta.schema(), partition_by=list(self.partition_by),
            commit_properties=self.layout_change(delta),
        )  # fmt: skip


def partition_of(path: str) -> dict[str, str | None]:
    """The partition that a file's path inside its table names."""
    return {key: value for key, _, value in (part.partition("=") for part in path.split("/")[:-1])}


def _stats(written: Written) -> str:
    ends = {
        "id": written.ids,
        "ts": tuple(t.replace(" ", "T").replace("+00", "Z") for t in written.times) if written.times else None,
    }
    known = {column: end for column, end in ends.items() if end}
    return json.dumps({
        "numRecords": written.rows,
        "minValues": {column: end[0] for column, end in known.items()},
        "maxValues": {column: end[1] for column, end in known.items()},
        "nullCount": {},
    })  # fmt: skip


def check_home(home: Path) -> None:
    """Refuse a home whose path Delta could not hold.

    Raises:
        StoreError: it has one of the characters, or is no folder.
    """
    bad = sorted({c for c in str(home.absolute()) if c in _FORBIDDEN or not c.isprintable()})
    if bad:
        raise StoreError(
            f"the log cannot live in a folder whose path has {' '.join(map(repr, bad))}", where=str(home),
            why="Delta tables would read it as something else", next="choose another folder with --home or WHIMBREL_HOME",
        )  # fmt: skip
    if home.exists() and not home.is_dir():
        raise StoreError(
            f"{home} is a file, not a folder", where=str(home), why="the log is a folder",
            next="choose another folder with --home or WHIMBREL_HOME",
        )  # fmt: skip
