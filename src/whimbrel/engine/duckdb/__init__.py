"""The engine of one machine: DuckDB over the log's Parquet files, or over a table in memory.

In and out as `engine/port.py` says. Nothing outside this folder sees a connection or a line of SQL.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING

from whimbrel.engine.port import Capabilities, Source
from whimbrel.errors import StoreError, UsageError
from whimbrel.model.profile import Binning, Profile
from whimbrel.model.records import Records
from whimbrel.model.rows import Rows
from whimbrel.model.window import Window

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from whimbrel.engine.duckdb.view import View

__all__ = ["DuckDB"]


_LEAST_ROWS = 1_000
_CELL = 64
"""Bytes that a value of a sample may take on its way: as DuckDB's, as Arrow's, as an array's, and a text among them."""


class DuckDB:
    """An `Engine` on DuckDB, in this process. Many threads may ask one of these at once.

    Args:
        threads: how many to use; as many as there are processors where it is not given.
        memory: what DuckDB may hold before it spills to the temporary folder, as "2GB"; its own default (80% of the
            machine's) where it is not given.
        hold: bytes that a sample of rows may take, beside that; of very many fields fewer rows are drawn. As many as are asked
            for, where it is not given.
    """

    def __init__(self, *, threads: int | None = None, memory: str | None = None, hold: int | None = None) -> None:
        self._threads = threads
        self._memory = memory
        self._hold = hold

    @property
    def capabilities(self) -> Capabilities:
        """Tables in memory as well."""
        import duckdb

        return Capabilities(tables=True, maker=f"duckdb {duckdb.__version__}")

    def extent(self, source: Source, window: Window) -> tuple[int, int, int]:
        """Predictions in the window, and the first and last `ts` among them (µs since 1970; 0, 0 where none are)."""
        with self.asking(source, window) as view:
            return view.extent()

    def rows(
        self, source: Source, window: Window, *, paths: Sequence[str] | None = None, limit: int = 60_000,
        total: int | None = None,
    ) -> Rows:  # fmt: skip
        """The window's rows, or a sample of about `limit` of them chosen by a hash of their id: the same each time."""
        from whimbrel.engine.duckdb.sample import sampled
        from whimbrel.engine.duckdb.view import fields_of

        if limit < 1:
            raise UsageError(f"a sample of {limit} rows is none", where="limit", next="give a limit of at least 1")
        fields = tuple(source.schema) if paths is None else fields_of(source, paths)
        if self._hold is not None:
            limit = max(_LEAST_ROWS, min(limit, self._hold // (_CELL * max(1, len(fields)))))
        with self.asking(source, window) as view:
            return sampled(view, fields, limit, view.extent()[0] if total is None else total)

    def records(self, source: Source, window: Window, *, ids: Collection[str]) -> Records:
        """The predictions of the window that bear these ids, in order of time, as flat records: values by path."""
        from whimbrel.engine.duckdb.sample import records_of

        with self.asking(source, window) as view:
            return records_of(view, tuple(source.schema), list(ids))

    def binning(self, source: Source, window: Window) -> Binning:
        """Edges, vocabularies and dimensions learned on a window (golden), to profile this and other windows by."""
        from whimbrel.engine.duckdb.learned import SAMPLE, commonest, learned, ranges
        from whimbrel.engine.duckdb.sample import sampled

        with self.asking(source, window) as view:
            rows = view.extent()[0]
            sample = partial(sampled, view, limit=SAMPLE, total=rows)
            return learned(source.schema, sample, rows, partial(commonest, view), partial(ranges, view))

    def profile(self, source: Source, window: Window, binning: Binning) -> Profile:
        """All fields' counts by hour and by dimension value, in one pass over the window."""
        return next(self.profiles([(source, window)], binning))

    def profiles(self, parts: Sequence[tuple[Source, Window]], binning: Binning) -> Iterator[Profile]:
        """The profile of each of many parts, in their order, one after the other."""
        from whimbrel.engine.duckdb.counted import Lookups, profiled

        lookups = Lookups()
        for source, window in parts:
            with self.asking(source, window, alone=True) as view:
                made = profiled(view, binning, lookups)
            yield made

    @cached_property
    def _root(self) -> DuckDBPyConnection:
        return self._connected(self._threads)

    @cached_property
    def _alone(self) -> DuckDBPyConnection:
        """DuckDB on one thread: batches then come in one order, so that sums are the same each time to the last digit.

        It is also a fifth less work in all, and the counting beside it is on one thread anyway. Handing each read of a file to
        one of eight other threads, as DuckDB does by itself, is another tenth.
        """
        return self._connected(1, async_threads=1)

    def _connected(self, threads: int | None, **more: int) -> DuckDBPyConnection:
        import duckdb

        spill = os.path.join(tempfile.gettempdir(), f"whimbrel-{os.getpid()}")  # noqa: PTH118
        config: dict[str, str | bool | int | float | list[str]] = {
            "TimeZone": "UTC",
            "temp_directory": spill,  # DuckDB's own default is a folder in whatever folder we were started in
            "preserve_insertion_order": False,
            "autoinstall_known_extensions": False,  # asking a question installs nothing
            **more,
        }
        if threads is not None:
            config["threads"] = threads
        if self._memory is not None:
            config["memory_limit"] = self._memory
            config["disable_parquet_prefetching"] = True  # a row group of vectors may be half a gigabyte
        return duckdb.connect(":memory:", config=config)

    @contextmanager
    def asking(self, source: Source, window: Window, *, alone: bool = False) -> Iterator[View]:
        """The view that a question is asked of, on one thread where it is to be `alone`; what DuckDB raises becomes a `StoreError`."""
        import duckdb

        from whimbrel.engine.duckdb.view import MEMORY, View

        with (self._alone if alone else self._root).cursor() as connection:
            try:
                if source.table is not None:
                    connection.register(MEMORY, source.table)
                yield View.of(connection, source, window)
            except duckdb.Error as error:
                raise _explained(error, source) from error


def _explained(error: Exception, source: Source) -> StoreError:
    import duckdb

    first = str(error).strip().splitlines()[0]
    where = f"the predictions of app {source.app!r}"
    if isinstance(error, duckdb.OutOfMemoryException):
        return StoreError(
            f"not enough memory: {first}", where=where, why="the question needs more than DuckDB may hold",
            next="ask of a shorter window (--last 24h), or free memory",
        )  # fmt: skip
    if isinstance(error, (duckdb.IOException, duckdb.InvalidInputException)):
        return StoreError(
            f"the log's files cannot be read: {first}", where=where,
            why="a file is missing or damaged; was the log's folder changed by something else?",
            next="run `whimbrel status` to see what the log holds, and import the damaged day again",
        )  # fmt: skip
    return StoreError(f"the engine failed: {first}", where=where, next="run `whimbrel status` to check the log")
