"""Compaction: many small files of a day become few large ones, sorted by time; the rows and their profiles stay the same.

In: a log's layout. Out: larger files in the place of small ones, a commit each, and `Compacted`. `Log.compact` calls.

Files are merged whole and never cut, so that what was kept of each (`lineage.py`) adds up to what is known of the merged one.
Those of one day are taken in order of their first row, so that files that ingest wrote one after the other become files that follow
one another, and a window of an hour opens one or two. A file of half of `target` bytes or more is left alone: a row is rewritten a few times, not each night.
Golden windows and readers that are at work go on with the files that they know, until `vacuum.py` removes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from whimbrel.engine.port import Facts
from whimbrel.store import lineage
from whimbrel.store.counts import Counts
from whimbrel.store.delta import Table
from whimbrel.store.intake import working
from whimbrel.store.layout import Layout
from whimbrel.store.relaid import merged, swap
from whimbrel.store.seal import check
from whimbrel.store.sql import roomy, store_errors

TARGET = 128 << 20
"""Bytes of a merged file, before it is compressed better than its parts were."""


@dataclass(frozen=True, slots=True)
class Compacted(Counts):
    """What a compaction did: files that gave way to how many, their bytes before and after, rows; merges that another commit forestalled."""

    merged: int = 0
    into: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    rows: int = 0
    forestalled: int = 0


def compact(layout: Layout, apps: Sequence[str], *, least: int = 2, target: int = TARGET) -> Compacted:
    """Merge small files of all tables of these apps, and of those that belong to no app.

    Args:
        layout: where the log lies.
        apps: whose predictions, labels and decisions.
        least: how many small files a day must have, for its files to be merged.
        target: bytes of a merged file.

    Raises:
        StoreError: a table is damaged or cannot be written; what was merged before stays so.
    """
    total = Compacted()
    for app in apps:
        notes = layout.merged(app)
        total += _table(layout, layout.predictions(app), least, target, notes)
        for table in (layout.labels(app), layout.decisions(app)):
            total += _table(layout, table, least, target)
    for table in (layout.events, layout.processes, layout.hardware):
        total += _table(layout, table, least, target)
    return total


def _table(layout: Layout, table: Table, least: int, target: int, notes: Path | None = None) -> Compacted:
    total = Compacted()
    if not table.exists:
        return total
    with store_errors(table.folder, "compact"):
        sound = table.sound(table.open())[0]
        named = {file.removeprefix(f"{table.folder}/"): facts for file, facts in sound.items()}
        for run in [_whole(table, run) for run in runs(named, least, target)]:
            if len(run) > 1:
                total += _merge(layout, table, run, notes)
    return total


def _whole(table: Table, files: dict[str, Facts]) -> dict[str, Facts]:
    """Those of the files (by path inside the table) that are what was written: damage must not spread into merged ones."""
    prefix = f"{table.folder}/"
    bad = check({f"{prefix}{path}": facts for path, facts in files.items()}, table.notes)
    return {path: facts for path, facts in files.items() if f"{prefix}{path}" not in bad}


def runs(files: dict[str, Facts], least: int, target: int) -> Iterator[dict[str, Facts]]:
    """Files (by path inside their table) that are to become one: of one partition, each small, together about `target` bytes."""
    small = {path: facts for path, facts in files.items() if facts.size < target // 2}
    days: dict[str, list[str]] = {}
    for path in sorted(small, key=lambda one: (small[one].times or (0, 0), one)):
        days.setdefault(path.rpartition("/")[0], []).append(path)
    for paths in days.values():
        if len(paths) < least:
            continue
        run: dict[str, Facts] = {}
        for path in paths:
            if run and sum(facts.size for facts in run.values()) + small[path].size > target:
                if len(run) > 1:
                    yield run
                run = {}
            run[path] = small[path]
        if len(run) > 1:
            yield run


def _merge(layout: Layout, table: Table, run: dict[str, Facts], notes: Path | None) -> Compacted:
    delta = table.open()
    if not run.keys() <= table.named_facts(delta).keys():
        return Compacted(forestalled=1)
    with working(layout) as con:
        written = roomy(con, lambda: merged(con, table, delta, list(run)))
    before = sum(facts.size for facts in run.values())
    sizes = {path: facts.size for path, facts in run.items()}
    if notes is not None and written is not None:
        lineage.note(notes, Path(written.path).name, run)
    if not swap(table, sizes, [written] if written else [], same_rows=True):
        return Compacted(forestalled=1)
    after, rows = (written.size, written.rows) if written else (0, 0)
    return Compacted(len(run), int(written is not None), before, after, rows)
