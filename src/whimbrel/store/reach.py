"""What is known of data files without opening them: when their rows are from, and which late files may join them.

In: a log's layout, and a `Source` of it. Out: a `Piece` for each data file. Labels and decisions join by id, counters by
time, so that the ranges in Delta's own statistics say which of them can reach a file; one without statistics reaches every file.
`compare/kept.py` may call: a profile that is kept of a file holds for the file and all that reaches it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from whimbrel.engine.port import COUNTERS_US, ROUNDED_US, UNKNOWN, Facts, Source
from whimbrel.model.window import Window, micros
from whimbrel.store.layout import Layout
from whimbrel.store.lineage import merged_from


@dataclass(frozen=True, eq=False)
class Piece:
    """One data file as a source of its own, with the labels, decisions and counters that may join its rows.

    `names` are the paths of all these inside the log: no file of a log is ever changed, so equal names are equal rows.
    """

    layout: Layout
    source: Source
    names: tuple[str, ...]
    facts: Facts

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return self.facts.size

    @property
    def times(self) -> tuple[int, int] | None:
        """First and last `ts`, µs since 1970, where they are known."""
        return self.facts.times

    def beyond(self, window: Window) -> bool:
        """Whether it surely holds none of the window's rows."""
        return self.facts.beyond(window)

    def within(self, window: Window) -> bool:
        """Whether all its rows surely lie in the window's stretch of time."""
        if self.times is None:
            return window.since is None and window.until is None
        first, last = self.times
        started = window.since is None or micros(window.since) <= first
        return started and (window.until is None or last + ROUNDED_US < micros(window.until))

    def before(self, whole: Source) -> tuple[Piece, ...]:
        """The pieces whose rows, all of them and no others, this one holds; none where it was not merged of any.

        Their files are in the table no longer, and may be gone: they serve to find what was kept of them.

        Args:
            whole: the source that this is a piece of.
        """
        folder = self.layout.predictions(whole.app).folder
        came = merged_from(self.layout.merged(whole.app), Path(self._file).name)
        known = {str(folder / name): facts for name, facts in came.items()}
        return tuple(_piece(self.layout, replace(whole, facts={**whole.facts, **known}), file) for file in known)

    @cached_property
    def _file(self) -> str:
        return self.source.files[0]


def pieces(layout: Layout, source: Source) -> tuple[Piece, ...]:
    """The data files of a log's source, each with what reaches it, in the source's order."""
    return tuple(_piece(layout, source, file) for file in source.files)


def _piece(layout: Layout, source: Source, file: str) -> Piece:
    fact, seen = source.facts.get(file, UNKNOWN), source.counters
    late, taken = _by_id(source, source.labels, fact), _by_id(source, source.decisions, fact)
    near = _by_time(source, seen.files if seen else (), fact)
    names = (file, *(name for found in (late, taken, near) for name in sorted(found)))
    beside = replace(seen, files=near) if seen and near else None
    alone = replace(source, files=(file,), labels=late, decisions=taken, counters=beside)
    return Piece(layout, alone, tuple(name.removeprefix(f"{layout.home}/") for name in names), fact)


def _by_id(source: Source, late: Iterable[str], fact: Facts) -> tuple[str, ...]:
    """The late files that may hold one of a file's ids."""
    return tuple(file for file in late if source.facts.get(file, UNKNOWN).shares_ids(fact))


def _by_time(source: Source, counters: Iterable[str], fact: Facts) -> tuple[str, ...]:
    """The files of counters that may hold the look that describes one of a file's rows."""
    if fact.times is None:
        return tuple(counters)
    low, high = fact.times[0] - ROUNDED_US, fact.times[1] + ROUNDED_US + COUNTERS_US
    held = ((file, source.facts.get(file, UNKNOWN).times) for file in counters)
    return tuple(file for file, times in held if times is None or (times[0] <= high and low <= times[1]))
