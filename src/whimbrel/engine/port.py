"""The one door to wherever aggregation runs. Say what you need, then ask once.

In: a `Source` (which files or which table), a `Window`, and what is asked of it. Out: mergeable profiles, a
sample of rows, a schema. `compare/` and `diagnose/` may call; nobody outside `engine/duckdb` (and other engines to
come) knows how the answer is made.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from whimbrel.model.fields import Schema
from whimbrel.model.profile import Binning, Profile
from whimbrel.model.records import Records
from whimbrel.model.rows import Rows
from whimbrel.model.window import Window


@dataclass(frozen=True, slots=True, eq=False)
class Counters:
    """What was seen of the hardware from beside the apps: Parquet files of the log's table `hardware`.

    `facts` are the fields that predictions get of it, by path, each with the subject (process, host, gpu) whose rows have it;
    `keys` says by subject which field of a prediction names the one that it ran on.
    """

    files: tuple[str, ...]
    facts: Mapping[str, str]
    keys: Mapping[str, str]


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Where one app's predictions are read from: Parquet files of one version of the log's table, or a table in memory.

    `files` hold nested columns (`inputs` is a struct); `labels` are Parquet files of `id`, `label`, `label_ts`
    that arrived later (and `decisions` of `id`, `path`, `value`), joined by id and winning over the row's own. `counters`
    are joined by process or host and by time; there the row's own win.
    `table`, where it is set, is anything with `__arrow_c_stream__` whose columns are already those of `files`.
    """

    app: str
    schema: Schema
    files: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()
    counters: Counters | None = None
    table: Any = field(default=None, repr=False)


class Engine(Protocol):
    """What an engine must be able to do."""

    def extent(self, source: Source, window: Window) -> tuple[int, int, int]:
        """Predictions in the window, and the first and last `ts` among them (µs since 1970; 0, 0 where none are)."""
        ...

    def binning(self, source: Source, window: Window) -> Binning:
        """Edges, vocabularies and dimensions learned on a window (golden), to profile this and other windows by."""
        ...

    def profile(self, source: Source, window: Window, binning: Binning) -> Profile:
        """All fields' counts by hour and by dimension value, in one pass over the window."""
        ...

    def rows(self, source: Source, window: Window, *, paths: Sequence[str] | None = None, limit: int = 60_000) -> Rows:
        """The window's rows, or a sample of about `limit` of them chosen by a hash of their id: the same each time."""
        ...

    def records(self, source: Source, window: Window, *, ids: Collection[str]) -> Records:
        """The predictions of the window that bear these ids, in order of time, as flat records: values by path.

        Whole numbers stay whole, times are aware datetimes; `ts` is microseconds since 1970. Paths that none holds are left out.
        """
        ...
