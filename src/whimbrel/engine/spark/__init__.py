"""The engine past one machine: a Spark cluster, over the same files, with the same answers.

In and out as `engine/port.py` says. Spark finds the machines, hands out the files, tries again what was lost, and brings together what
has to be added up by value; a task opens its file with DuckDB, as the engine of one machine does. Counts, hashes, casts and what arrived
late are therefore the same by construction, and a profile that one engine kept serves the other.

    parts     a source in single files, each with what may join its rows; answers about them put together again
    tasks     what a worker does with one file
    cluster   the way there: what must be installed, who must answer, what it means when they don't

Workers need a Python with whimbrel and its packages in the driver's versions, and see the log's files under the driver's paths. A table in
memory is no file: `capabilities` says so, and asking about one is refused. Nothing outside this folder sees a session.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol

from whimbrel.engine.duckdb import DuckDB
from whimbrel.engine.port import Capabilities, Source
from whimbrel.engine.spark import tasks
from whimbrel.engine.spark.tasks import Ask, Part
from whimbrel.errors import UsageError
from whimbrel.model.fields import Field
from whimbrel.model.profile import Binning, Profile
from whimbrel.model.records import Records
from whimbrel.model.rows import Rows
from whimbrel.model.window import Window

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

__all__ = ["Cluster", "Spark"]

MOST_AT_ONCE = 2_000
"""Parts whose profiles are asked for in one job: what the driver has to hold of them is then some 200 MB at the most."""

TASK_MEMORY = "1GB"
"""What DuckDB may hold in a task before it spills to the worker's temporary folder."""


class Cluster(Protocol):
    """Where parts are looked at: a Spark session, and in tests this process."""

    def each(self, ask: Ask, parts: Sequence[Part]) -> list[Any]:
        """The answer about each part, in their order."""
        ...

    def counted(self, ask: Ask, parts: Sequence[Part], most: int) -> dict[str, list[tuple[str, int]]]:
        """Of answers that are ((name, value), count) pairs: by name the `most` commonest values of all parts, commonest first."""
        ...


class Spark:
    """An `Engine` on a Spark cluster. `Spark.at` asks a cluster by its name, `Spark.of` a session that is there already.

    Args:
        cluster: where parts are looked at.
        memory: what DuckDB may hold in each task, as "1GB".
    """

    def __init__(self, cluster: Cluster, *, memory: str = TASK_MEMORY) -> None:
        self._cluster = cluster
        self._memory = memory
        self._here = DuckDB()

    @staticmethod
    @cache
    def at(name: str) -> Spark:
        """The engine on the cluster of this name (see `engine_named`), one a process; its session starts with the first question.

        Raises:
            UsageError: PySpark or Java is not installed, or the name makes no sense.
            StoreError: no master answers at that address.
        """
        from whimbrel.engine.spark.cluster import Session, named

        return Spark(Session(named(name)))

    @staticmethod
    def of(session: SparkSession, *, memory: str = TASK_MEMORY) -> Spark:
        """The engine on a session of your own, which stays yours: it is not stopped."""
        from whimbrel.engine.spark.cluster import Session

        return Spark(Session(session=session), memory=memory)

    @property
    def capabilities(self) -> Capabilities:
        """Files only; hashes are DuckDB's, as its tasks make them."""
        return Capabilities(tables=False, maker=self._here.capabilities.maker)

    def extent(self, source: Source, window: Window) -> tuple[int, int, int]:
        """Predictions in the window, and the first and last `ts` among them (µs since 1970; 0, 0 where none are)."""
        from whimbrel.engine.spark.parts import extents_together

        return extents_together(self._each(tasks.extent, self._parts(source, window)))

    def rows(
        self, source: Source, window: Window, *, paths: Sequence[str] | None = None, limit: int = 60_000,
        total: int | None = None,
    ) -> Rows:  # fmt: skip
        """The window's rows, or a sample of about `limit` of them chosen by a hash of their id: those that DuckDB chooses."""
        nothing = self._here.rows(_without_files(source), window, paths=paths, limit=limit)  # what is asked makes sense
        fields = tuple(item for item in source.schema if paths is None or item.path in paths)
        if paths is not None:
            fields = tuple(sorted(fields, key=lambda item: [*paths].index(item.path)))
        parts = self._parts(source, window)
        return self._sampled(parts, fields, limit, self._total(parts) if total is None else total) or nothing

    def records(self, source: Source, window: Window, *, ids: Collection[str]) -> Records:
        """The predictions of the window that bear these ids, in order of time, as flat records: values by path."""
        from whimbrel.engine.spark.parts import records_together

        parts = self._parts(source, window)
        found = [part for part in self._each(tasks.records, parts, ids=tuple(ids)) if len(part)]
        return records_together(found, source.schema) if found else Records()

    def binning(self, source: Source, window: Window) -> Binning:
        """Edges, vocabularies and dimensions learned on a window (golden), to profile this and other windows by."""
        from whimbrel.engine.duckdb.learned import SAMPLE, learned
        from whimbrel.engine.spark.parts import ranges_together
        from whimbrel.stats.bins import MOST_VALUES

        parts = self._parts(source, window)
        total = self._total(parts)
        if not total:
            return self._here.binning(_without_files(source), window)

        def commonest(fields: Sequence[Field]) -> dict[str, list[tuple[str, int]]]:
            found = self._cluster.counted(self._ask(tasks.values, fields=tuple(fields)), parts, MOST_VALUES + 1)
            return {item.path: found.get(item.path, []) for item in fields}

        def ranges(names: Sequence[str]) -> dict[str, tuple[float, float]]:
            return ranges_together(self._each(tasks.ranges, parts, names=tuple(names)), names)

        def sample(fields: tuple[Field, ...]) -> Rows:
            found = self._sampled(parts, fields, SAMPLE, total)
            assert found is not None
            return found

        return learned(source.schema, sample, total, commonest, ranges)

    def profile(self, source: Source, window: Window, binning: Binning) -> Profile:
        """All fields' counts by hour and by dimension value, in one pass over the window."""
        return next(self.profiles([(source, window)], binning))

    def profiles(self, parts: Sequence[tuple[Source, Window]], binning: Binning) -> Iterator[Profile]:
        """The profile of each of many parts, in their order, all of them in as few jobs as the driver can hold."""
        files = [self._parts(source, window) for source, window in parts]
        made = self._packed([one for several in files for one in several], binning)
        for several in files:
            total = Profile(binning)
            for _ in several:
                total += tasks.unpacked(next(made), binning)
            yield total

    def _packed(self, parts: Sequence[Part], binning: Binning) -> Iterator[bytes]:
        for start in range(0, len(parts), MOST_AT_ONCE):
            yield from self._each(tasks.profile, parts[start : start + MOST_AT_ONCE], binning=binning)

    def _total(self, parts: Sequence[Part]) -> int:
        return sum(n for n, _, _ in self._each(tasks.extent, parts))

    def _sampled(self, parts: Sequence[Part], fields: tuple[Field, ...], limit: int, total: int) -> Rows | None:
        """A sample of the `total` rows of all parts; None where it holds none."""
        from whimbrel.engine.spark.parts import rows_together

        found = self._each(tasks.sample, parts if total else (), fields=fields, limit=limit, total=total)
        held = [part for part in found if len(part)]
        return rows_together(held, fields, total) if held else None

    def _each(self, question: Callable[..., Any], parts: Sequence[Part], **options: Any) -> list[Any]:
        return self._cluster.each(self._ask(question, **options), parts) if parts else []

    def _ask(self, question: Callable[..., Any], **options: Any) -> Ask:
        return Ask(partial(question, **options), self._memory, self._made_by)

    @cached_property
    def _made_by(self) -> str:
        return tasks.versions()

    def _parts(self, source: Source, window: Window) -> list[Part]:
        """The parts of a window.

        Raises:
            UsageError: a table in memory, or a condition that makes no sense.
        """
        from whimbrel.engine.spark.parts import parts_of

        if source.table is not None:
            raise UsageError(
                "Spark cannot be asked about a table in memory", where=f"app {source.app!r}",
                why="its workers read files; a table is in this process alone",
                next="ask with the engine duckdb, or take the table in with `whimbrel import` and ask about the log",
            )  # fmt: skip
        self._here.extent(_without_files(source), window)
        return parts_of(source, window)


def _without_files(source: Source) -> Source:
    """The same fields of nothing: what is asked of it is checked, and answered at once."""
    return replace(source, files=(), labels=(), decisions=(), counters=None)
