"""DuckDB as the store uses it: one connection an import, names quoted, values bound, errors in four parts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from whimbrel.errors import InputError, StoreError, WhimbrelError
from whimbrel.settings import memory

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Result = TypeVar("Result")

_MIB = 1 << 20


def name(text: str) -> str:
    """An identifier, quoted, whatever it holds."""
    return '"' + text.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text constant: for names of fields that SQL wants as text (struct keys, JSON pointers). Values are bound instead."""
    return "'" + text.replace("'", "''") + "'"


def how_many(condition: str) -> str:
    """An aggregate: the rows for which `condition` is true. With FILTER DuckDB copies every column that is read, once an aggregate."""
    return f"count(CASE WHEN {condition} THEN 1 END)"


def connect(spill: Path | None = None) -> DuckDBPyConnection:
    """A private in-memory database: UTC, no downloads, bounded memory; what does not fit goes to files under `spill`."""
    import duckdb

    con = duckdb.connect(
        config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false", "threads": _threads()}
    )
    con.execute("SET GLOBAL TimeZone = 'UTC'")
    con.execute("SET enable_progress_bar = false")  # cursors have none
    if spill is not None:
        con.execute(
            "SET disable_parquet_prefetching = true"
        )  # a row group of somebody's vectors may be half a gigabyte
        con.execute(f"SET GLOBAL memory_limit = '{_usual_mib()}MiB'")
        con.execute(f"SET GLOBAL temp_directory = {literal(str(spill))}")
    return con


def _threads() -> int:
    return max(1, min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1))


def _usual_mib() -> int:
    """MiB that an import holds before it spills."""
    most = memory()
    usual = 384 + 192 * _threads()
    return usual if most is None else min(usual, most // 2 // _MIB)


def roomy(con: DuckDBPyConnection, ask: Callable[[], Result]) -> Result:
    """Run `ask`; where very wide rows do not fit into the usual memory, again with twice as much, up to half of the machine's or of `--memory`."""
    import duckdb

    most = (memory() or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")) // _MIB // 2
    room = _usual_mib()
    while True:
        try:
            return ask()
        except duckdb.OutOfMemoryException:
            room *= 2
            if room > most:
                raise
            con.execute(f"SET GLOBAL memory_limit = '{room}MiB'")


def one(con: DuckDBPyConnection, sql: str, values: Mapping[str, Any] | None = None) -> tuple[Any, ...]:
    """The single row that an aggregate yields, with the result drained, so that the connection is free again."""
    return tuple(con.execute(sql, values or {}).fetchall()[0])


def flush_threshold(row: float) -> int:
    """Rows of so many bytes that one thread may hold back while it writes, so that vectors, long texts and wide rows cost no more memory than narrow ones."""
    return max(2048, int(64 * _MIB // max(row, 1.0)))


_DISK = (
    "no space",
    "disk full",
    "file too large",
    "read-only",
    "could not write",
    "for writing",
    "permission denied",
    "out of memory",
)


@contextmanager
def store_errors(where: Path | str, doing: str = "write to") -> Iterator[None]:
    """Turn what DuckDB, Delta and the file system raise into a StoreError that says what to do."""
    try:
        yield
    except WhimbrelError:
        raise
    except Exception as error:
        if not _foreign(error):
            raise
        raise StoreError(f"cannot {doing} the log: {_first_line(error)}", where=str(where), **_advice(error)) from error


@contextmanager
def input_errors(what: str, where: Path | str) -> Iterator[None]:
    """Turn a failure to read a file or table into an InputError; a failure to write scratch files stays a StoreError."""
    try:
        yield
    except WhimbrelError:
        raise
    except Exception as error:
        if not _foreign(error) or _room(error) in _DELTA:
            raise
        if any(sign in str(error).lower() for sign in _DISK):
            raise StoreError(
                f"cannot write to the log: {_first_line(error)}", where=str(where), **_advice(error)
            ) from error
        raise InputError(
            f"cannot read {what}: {_first_line(error)}", where=str(where),
            why="the file is damaged, cut short or not of the format that its name says",
            next="repair it or move it away, then run the same import again: rows that are in already are not doubled",
        ) from error  # fmt: skip


_DELTA = ("_internal", "deltalake")


def _room(error: Exception) -> str:
    return type(error).__module__.partition(".")[0]


def _foreign(error: Exception) -> bool:
    """Whether the error comes from the world (disk, file, engine) and not from a mistake of ours."""
    return isinstance(error, OSError | EOFError) or _room(error) in ("_duckdb", "duckdb", "zlib", *_DELTA)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


_ADVICE = (
    (
        ("generic s3 error", "error performing", "objectstore", "object store", "error sending request"),
        "the storage does not answer, or refuses what it is asked",
        "nothing is lost: run the same command again once it answers; see AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_REGION",
    ),
    (
        ("unsupported minimum", "unsupported: feature", "unsupported feature", "table feature"),
        "the table was written by a newer version of whimbrel or of another writer of Delta tables",
        "bring whimbrel up to date: pip install --upgrade whimbrel deltalake; the table is as it was",
    ),
    (
        ("no space", "disk full", "file too large"),
        "the disk is full, or a limit on file size was reached",
        "free some space, then run the same command again: nothing half-written was counted",
    ),
    (
        ("out of memory",),
        "the rows are too wide for the memory that an import may use",
        "import fewer columns at once, or split the file into smaller ones",
    ),
    (
        (
            "read-only",
            "permission denied",
            "not a directory",
            "file exists",
            "does not exist",
            "no such file",
            "could not create",
        ),
        "the folder cannot be written",
        "choose another folder with --home or WHIMBREL_HOME, or make this one writable",
    ),
    (
        ("",),
        "the table is damaged or another program changed it",
        "run the same command again; if it fails again, move the folder away and import anew",
    ),
)
"""Signs in a message, the likely reason, what to do; the first that fits is given."""


def _advice(error: Exception) -> dict[str, str]:
    text = str(error).lower()
    return next({"why": why, "next": then} for signs, why, then in _ADVICE if any(sign in text for sign in signs))
