"""The one door to wherever aggregation runs. Say what you need, then ask once.

In: a `Source` (which files or which table), a `Window`, and what is asked of it. Out: mergeable profiles, a
sample of rows, a schema. `compare/` and `diagnose/` may call; nobody outside `engine/duckdb` and `engine/spark` knows how the
answer is made. `tests/engine/` holds every engine to the same answers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from whimbrel.model.fields import Schema
from whimbrel.model.profile import Binning, Profile
from whimbrel.model.records import Records
from whimbrel.model.rows import Rows
from whimbrel.model.window import Window, micros

ROUNDED_US = 1_000
"""Other writers of Delta tables cut the last time of a file to whole milliseconds."""

COUNTERS_US = 120_000_000
"""A look at the hardware that lies farther than this from a prediction says nothing of it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a file without opening it: bytes, rows, and where known the range of `id` and of `ts` (µs since 1970)."""

    size: int = 0
    rows: int | None = None
    ids: tuple[str, str] | None = None
    times: tuple[int, int] | None = None
    modified: int = 0
    """When it joined its table, ms since 1970; 0 where that is not known."""

    def beyond(self, window: Window, *, margin: int = 0) -> bool:
        """Whether the file surely holds nothing of the window's stretch of time, nor of `margin` µs around it."""
        if self.times is None:
            return False
        first, last = self.times[0] - margin, self.times[1] + ROUNDED_US + margin
        early = window.since is not None and last < micros(window.since)
        return early or (window.until is not None and first >= micros(window.until))

    def looks_at(self, other: Facts) -> bool:
        """Whether a look at the hardware in this file may say something of a prediction in the other."""
        a, b, margin = self.times, other.times, ROUNDED_US + COUNTERS_US
        return a is None or b is None or (a[0] <= b[1] + margin and b[0] <= a[1] + margin)

    def shares_ids(self, other: Facts) -> bool:
        """Whether one id may be in both files."""
        a, b = self.ids, other.ids
        return a is None or b is None or (a[0] <= b[1] and b[0] <= a[1])


UNKNOWN = Facts()
_SHOWN = 3


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
    `facts` are of all these files, and of `damaged` ones that are left out; a file that has none may hold anything.
    """

    app: str
    schema: Schema
    files: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    decisions: tuple[str, ...] = ()
    counters: Counters | None = None
    table: Any = field(default=None, repr=False)
    facts: Mapping[str, Facts] = field(default_factory=dict, repr=False)
    damaged: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Files that cannot be read and are left out, each with why; `facts` has them too."""
    fetch: Callable[[Source], None] | None = field(default=None, repr=False)
    """Has the files of a source (this one, `within` a window) where they can be read; None where they are."""

    def within(self, window: Window) -> Source:
        """The same, without files that surely hold nothing of the window or of what joins its rows: they are never opened."""
        if self.table is not None:
            return self
        known = self.facts
        files = tuple(file for file in self.files if not known.get(file, UNKNOWN).beyond(window))
        own = [known.get(file, UNKNOWN) for file in files]

        def joins(late: Iterable[str]) -> tuple[str, ...]:
            return tuple(file for file in late if any(known.get(file, UNKNOWN).shares_ids(fact) for fact in own))

        beside = self.counters
        if beside is not None:
            near = (file for file in beside.files if not known.get(file, UNKNOWN).beyond(window, margin=COUNTERS_US))
            beside = replace(
                beside, files=tuple(f for f in near if any(known.get(f, UNKNOWN).looks_at(a) for a in own))
            )
        return replace(self, files=files, labels=joins(self.labels), decisions=joins(self.decisions), counters=beside)

    def latest(self) -> Source:
        """The same, with only the files that may hold its newest predictions; all where that is not known of each."""
        times = {file: self.facts.get(file, UNKNOWN).times for file in self.files}
        known = {file: span[1] for file, span in times.items() if span is not None}
        if not known or len(known) < len(times):
            return self
        newest = max(known.values())
        return replace(self, files=tuple(file for file, last in known.items() if last + ROUNDED_US >= newest))

    def left_out(self, window: Window) -> tuple[str, ...]:
        """What an answer about a window must say: the damaged files that may hold some of it."""
        bad = {file: why for file, why in self.damaged.items() if not self.facts.get(file, UNKNOWN).beyond(window)}
        notes = []
        for file, why in list(bad.items())[:_SHOWN]:
            rows = self.facts.get(file, UNKNOWN).rows
            held = "its rows are" if rows is None else f"its {rows:,} rows are"
            notes.append(f"{file} is damaged ({why}); {held} left out: put a sound copy in its place")
        if len(bad) > _SHOWN:
            notes.append(f"{len(bad) - _SHOWN} more files are damaged and left out: whimbrel doctor lists them")
        return tuple(notes)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do beyond the least that all can, and whose hashes are in what it makes."""

    tables: bool
    """Whether it answers about a table in memory (`Source.table`); all answer about files."""
    maker: str
    """The library that hashes texts and rows, with its version. Engines of one maker choose the same rows, and their profiles add up."""


class Engine(Protocol):
    """What an engine must be able to do."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do that not all engines can, known before anything is asked."""
        ...

    def extent(self, source: Source, window: Window) -> tuple[int, int, int]:
        """Predictions in the window, and the first and last `ts` among them (µs since 1970; 0, 0 where none are)."""
        ...

    def binning(self, source: Source, window: Window) -> Binning:
        """Edges, vocabularies and dimensions learned on a window (golden), to profile this and other windows by."""
        ...

    def profile(self, source: Source, window: Window, binning: Binning) -> Profile:
        """All fields' counts by hour and by dimension value, in one pass over the window."""
        ...

    def profiles(self, parts: Sequence[tuple[Source, Window]], binning: Binning) -> Iterator[Profile]:
        """The profile of each of many parts, in their order; what an engine can do at once, it does at once."""
        ...

    def rows(
        self, source: Source, window: Window, *, paths: Sequence[str] | None = None, limit: int = 60_000,
        total: int | None = None,
    ) -> Rows:  # fmt: skip
        """The window's rows, or a sample of about `limit` of them chosen by a hash of their id: the same each time.

        `total` is how many rows the window holds, where that is known: the source's files may then lack those that the hash leaves out.
        """
        ...

    def records(self, source: Source, window: Window, *, ids: Collection[str]) -> Records:
        """The predictions of the window that bear these ids, in order of time, as flat records: values by path.

        Whole numbers stay whole, times are aware datetimes; `ts` is microseconds since 1970. Paths that none holds are left out.
        """
        ...
