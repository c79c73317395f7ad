"""A log kept in order: what is too old is dropped, small files are merged, and files that nobody needs are removed.

In: a log, how long predictions are kept, who needs what. Out: `Tidied`. `Log.compact` calls. All of it may be killed at any
moment and run again; it runs beside ingest, imports and readers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from whimbrel.errors import UsageError
from whimbrel.store.alone import alone
from whimbrel.store.compact import Compacted, compact
from whimbrel.store.keep import Dropped, drop, drop_counters
from whimbrel.store.needs import Need, golden_versions, needs_of
from whimbrel.store.sql import store_errors
from whimbrel.store.thin import forget
from whimbrel.store.vacuum import Vacuumed, vacuum

if TYPE_CHECKING:
    from whimbrel.store.delta import Table
    from whimbrel.store.log import Log

GRACE = timedelta(hours=24)
"""How long files that left a table stay for readers that are at work."""


@dataclass(frozen=True, slots=True)
class Tidied:
    """What was dropped of each app, merged, and removed."""

    dropped: tuple[Dropped, ...] = ()
    compacted: Compacted = field(default_factory=Compacted)
    vacuumed: Vacuumed = field(default_factory=Vacuumed)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "dropped": [one.to_dict() for one in self.dropped], "compacted": self.compacted.to_dict(),
            "vacuumed": self.vacuumed.to_dict(),
        }  # fmt: skip


def tidy(
    log: Log, *, app: str | None, keep: timedelta | None, grace: timedelta, needs: Iterable[Need], least: int, dry: bool
) -> Tidied:
    """Drop, merge, remove; see `Log.compact`."""
    layout = log.layout
    if grace < timedelta(0) or (keep is not None and keep < timedelta(days=1)):
        raise UsageError(
            f"keep = {keep}, grace = {grace} makes no sense", where="--keep, --grace", why="files are of a day each, and a reader needs some time",
            next="--keep 180d --grace 24h",
        )  # fmt: skip
    known = log.apps()
    apps = known if app is None else (app,)
    if app is not None and app not in known:
        log.version(app)  # says so
    if not known:
        return Tidied()
    with store_errors(layout.home), alone(layout.home / "locks" / "compact", "compacting"):
        wanted = (*needs_of(layout), *needs)
        dropped: tuple[Dropped, ...] = ()
        if keep is not None:
            before = datetime.now(UTC) - keep
            dropped = tuple(drop(layout, one, before, wanted, dry=dry) for one in apps)
            if app is None and not dry:
                drop_counters(layout, before, wanted)
        compacted = Compacted() if dry else compact(layout, apps, least=least)
        return Tidied(dropped, compacted, _vacuum(log, apps, wanted, grace, dry=dry))


def _vacuum(log: Log, apps: Iterable[str], needs: Iterable[Need], grace: timedelta, *, dry: bool) -> Vacuumed:
    layout, total = log.layout, Vacuumed()
    files = frozenset(file for need in needs for file in need.files)
    unread = dict(need.history for need in needs if need.history is not None)
    tables: dict[Table, tuple[int, ...]] = {layout.events: (), layout.processes: (), layout.hardware: ()}
    for app in apps:
        tables |= {
            layout.predictions(app): golden_versions(layout, app),
            layout.labels(app): (),
            layout.decisions(app): (),
        }
    for table, versions in tables.items():
        total += vacuum(
            table, needed=files, versions=versions, unread=unread.get(str(table.folder)), grace=grace, dry=dry
        )
    if not dry:
        for app in apps:
            forget(layout, app)
    return total
