"""Vacuum: files that no version of a table needs any more are removed, and history that nobody reads is forgotten.

In: a table, what must stay, how long readers may still be at work. Out: bytes freed. `Log.compact` calls.

A file goes when it left the table (or never joined it: a killed writer's) longer ago than the grace period, and no `Need` names it. Of the
table's history, commits older than thirty days go once a checkpoint covers them; the versions that golden windows name get
a checkpoint of their own, and what the ledger has not read stays.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import unquote

from whimbrel.store.counts import Counts
from whimbrel.store.delta import CONFIGURATION, Table
from whimbrel.store.sql import store_errors

if TYPE_CHECKING:
    from deltalake import DeltaTable

HISTORY = timedelta(days=30)
_SPARE = 20
"""Commits that stay however old they are: a table that is seldom written keeps its recent past."""


@dataclass(frozen=True, slots=True)
class Vacuumed(Counts):
    """Files removed and their bytes; how many must stay for somebody who needs them; commits forgotten."""

    files: int = 0
    bytes: int = 0
    needed: int = 0
    commits: int = 0


def vacuum(
    table: Table, *, needed: frozenset[str], versions: Iterable[int], unread: int | None, grace: timedelta, dry: bool = False
) -> Vacuumed:  # fmt: skip
    """Remove a table's files that left it longer than `grace` ago (to the hour), but for `needed` ones (absolute paths).

    Args:
        table: the table.
        needed: files that stay.
        versions: versions that must stay readable.
        unread: the first commit that somebody has not read yet, None where there is no such reader.
        grace: how long a reader or writer may be at work with files that are not in the table.
        dry: only say what would go.

    Raises:
        StoreError: the table cannot be read or written.
    """
    if not table.exists:
        return Vacuumed()

    def change() -> Vacuumed:
        delta = table.open()
        if not dry:
            delta = _configured(table, delta)
        hours = int(grace / timedelta(hours=1))
        told = delta.vacuum(retention_hours=hours, dry_run=True, enforce_retention_duration=False, full=True)
        held = table.facts(delta).keys()
        done = Vacuumed()
        for path in dict.fromkeys(table.folder / unquote(name) for name in told):
            if str(path) in held or not (table.remote or path.is_file()):
                continue
            if str(path) in needed:
                done += Vacuumed(needed=1)
                continue
            done += Vacuumed(1, path.stat().st_size if path.is_file() else 0)
            if not dry:
                if table.remote:
                    table.remote.remove([str(path.relative_to(table.folder))])
                path.unlink(missing_ok=True)
        return done + (Vacuumed() if dry else _forget(table, delta, set(versions), unread))

    with store_errors(table.folder):
        return table.update(change)


def _configured(table: Table, delta: DeltaTable) -> DeltaTable:
    """The table with the settings that a new one has: an older one would forget its history by itself."""
    if CONFIGURATION.items() <= delta.metadata().configuration.items():
        return delta
    delta.alter.set_table_properties(dict(CONFIGURATION))
    return table.open()


def _forget(table: Table, delta: DeltaTable, versions: set[int], unread: int | None) -> Vacuumed:
    """Remove commits and checkpoints that nobody needs; a storage far away keeps them all."""
    if table.remote:
        return Vacuumed()
    log = table.folder / "_delta_log"
    commits = {int(path.stem): path for path in log.glob("*.json") if path.stem.isdigit()}
    points = sorted({int(path.name[:20]) for path in log.glob("*.checkpoint*.parquet") if path.name[:20].isdigit()})
    base = max((one for one in points if one <= delta.version() - _SPARE), default=0)
    base = base if unread is None else min(base, unread)
    long_ago = time.time() - HISTORY.total_seconds()
    old = [n for n, path in commits.items() if n < base and n not in versions and path.stat().st_mtime < long_ago]
    if not old:
        return Vacuumed()
    for version in sorted(versions - set(points)):
        table.open(version).create_checkpoint()
    keep = versions | {point for point in points if point >= base or point == max(p for p in points if p <= base)}
    for n in old:
        commits[n].unlink(missing_ok=True)
    for path in log.glob("*.checkpoint*.parquet"):
        if int(path.name[:20]) < base and int(path.name[:20]) not in keep:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
    return Vacuumed(commits=len(old))
