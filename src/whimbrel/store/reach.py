"""What is known of data files without opening them: when their rows are from, and which late files may join them.

In: a log's tables, and a `Source` of them. Out: a `Piece` for each data file. Labels and decisions join by id, counters by
time, so that the ranges in Delta's own statistics say which of them can reach a file; one without statistics reaches every file.
`compare/kept.py` may call: a profile that is kept of a file holds for the file and all that reaches it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from whimbrel.engine.port import Source
from whimbrel.model.window import Window, micros

if TYPE_CHECKING:
    from pathlib import Path

    from whimbrel.store.delta import Table
    from whimbrel.store.layout import Layout

ROUNDED_US = 1_000
"""Other writers of Delta tables cut the last time of a file to whole milliseconds."""

_COUNTERS_US = 120_000_000
"""A look at the hardware so long after a prediction says nothing of it, as in the engine's `counters.py`."""


@dataclass(frozen=True, slots=True)
class Facts:
    """One file of a table: its path inside it, size in bytes, and where known the range of `id` and of `ts` (µs since 1970)."""

    name: str
    size: int
    ids: tuple[str, str] | None
    times: tuple[int, int] | None


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """One data file as a source of its own, with the labels, decisions and counters that may join its rows.

    `names` are the paths of all these inside the log: no file of a log is ever changed, so equal names are equal rows.
    """

    source: Source
    names: tuple[str, ...]
    size: int
    times: tuple[int, int] | None

    def beyond(self, window: Window) -> bool:
        """Whether it surely holds none of the window's rows."""
        if self.times is None:
            return False
        first, last = self.times
        early = window.since is not None and last + ROUNDED_US < micros(window.since)
        return early or (window.until is not None and first >= micros(window.until))

    def within(self, window: Window) -> bool:
        """Whether all its rows surely lie in the window's stretch of time."""
        if self.times is None:
            return window.since is None and window.until is None
        first, last = self.times
        started = window.since is None or micros(window.since) <= first
        return started and (window.until is None or last + ROUNDED_US < micros(window.until))


def pieces(layout: Layout, source: Source, version: int | None = None) -> tuple[Piece, ...]:
    """The data files of a log's source, each with what reaches it, in the source's order.

    Args:
        layout: where the log lies.
        source: what `Log.source` gave for an app and a version of its table.
        version: that version; the latest where it is None.
    """
    home, seen = layout.home, source.counters
    own = _facts(home, layout.predictions(source.app), source.files, version)
    labels = _facts(home, layout.labels(source.app), source.labels)
    decisions = _facts(home, layout.decisions(source.app), source.decisions)
    counters = _facts(home, layout.hardware, seen.files if seen else ())
    made = []
    for file in source.files:
        fact = own[file]
        late, taken, near = _by_id(labels, fact), _by_id(decisions, fact), _by_time(counters, fact)
        names = (
            fact.name,
            *(n for held, of in ((labels, late), (decisions, taken), (counters, near)) for n in _named(held, of)),
        )
        beside = replace(seen, files=near) if seen and near else None
        alone = replace(source, files=(file,), labels=late, decisions=taken, counters=beside)
        made.append(Piece(alone, names, fact.size, fact.times))
    return tuple(made)


def _named(facts: dict[str, Facts], files: Iterable[str]) -> list[str]:
    return sorted(facts[file].name for file in files)


def _by_id(late: dict[str, Facts], fact: Facts) -> tuple[str, ...]:
    """The late files that may hold one of a file's ids."""
    return tuple(file for file, other in late.items() if _meet(other.ids, fact.ids))


def _by_time(counters: dict[str, Facts], fact: Facts) -> tuple[str, ...]:
    """The files of counters that may hold the look that describes one of a file's rows."""
    wide = fact.times and (fact.times[0] - ROUNDED_US, fact.times[1] + ROUNDED_US + _COUNTERS_US)
    return tuple(file for file, other in counters.items() if _meet(other.times, wide))


def _meet(a: tuple[Any, Any] | None, b: tuple[Any, Any] | None) -> bool:
    return a is None or b is None or (a[0] <= b[1] and b[0] <= a[1])


def _facts(home: Path, table: Table, files: tuple[str, ...], version: int | None = None) -> dict[str, Facts]:
    """Facts of these files, those without statistics included. Names are paths inside the log: the same wherever it lies."""
    if not files:
        return {}
    facts, found = table.open(version).get_add_actions(flatten=True), dict[str, Facts]()
    names = ("path", "size_bytes", "min.id", "max.id", "min.ts", "max.ts")
    columns = (facts[name].to_pylist() if name in facts.schema.names else [None] * facts.num_rows for name in names)
    for path, size, low, high, first, last in zip(*columns, strict=True):
        ids = None if low is None or high is None else (str(low), str(high))
        times = None if first is None or last is None else (micros(first), micros(last))
        file = str(table.folder / unquote(path))
        found[file] = Facts(file.removeprefix(f"{home}/"), int(size or 0), ids, times)
    return {file: found.get(file) or Facts(file.removeprefix(f"{home}/"), 0, None, None) for file in files}
