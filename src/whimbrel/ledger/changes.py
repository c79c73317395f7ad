"""What changed between two dates: events, models and code that answered for the first or the last time, what processes ran on.

In: a log, its ledger if it has one, two times. Out: `Change`s in order of time, each with the index of the entry that says so, where one does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whimbrel.ledger.reader import NAMES, candidates, read_head
from whimbrel.model.window import iso
from whimbrel.store.appended import Cursor, appended
from whimbrel.store.sightings import sightings

if TYPE_CHECKING:
    from whimbrel.store import Log

_OF_ONE_PROCESS = frozenset({"id", "ts", "app", "host", "pid", "started", "boot"})


@dataclass(frozen=True, slots=True)
class Change:
    """One change: when, of which app (all, where it is empty), what, from and to what, and the entry that says so."""

    ts: str
    app: str
    what: str
    before: str | None
    after: str | None
    entry: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "ts": self.ts, "app": self.app, "what": self.what, "from": self.before, "to": self.after, "entry": self.entry,
        }  # fmt: skip


def changes(log: Log, folder: Path, since: datetime, until: datetime, app: str | None = None) -> list[Change]:
    """What changed in `since <= ts < until`, of one app or all.

    Raises:
        StoreError: a table cannot be read.
    """
    apps = [one for one in log.apps() if app in (None, one)]
    found = [
        Change(iso(one.ts), "", f"{one.kind} {one.what}", None, ", ".join(f"{k}={v}" for k, v in one.context.items()) or None)
        for one in log.events(app, since, until)
    ]  # fmt: skip
    found += _processes(log, folder, apps)
    for one in apps:
        found += _answered(log, one)
    return sorted(
        (one for one in found if iso(since) <= one.ts < iso(until)), key=lambda one: (one.ts, one.app, one.what)
    )


def _answered(log: Log, app: str) -> Iterator[Change]:
    """Models and code that answered for the first time after others had, and those that went."""
    table = log.layout.predictions(app)
    seen = sightings(table, lambda path: path.partition(".")[0] in ("model", "code"))
    for path in dict.fromkeys(path for path, _ in seen):
        values = sorted((first, last, value) for (one, value), (first, last) in seen.items() if one == path)
        for (_, _, before), (first, _, value) in pairwise(values):
            yield Change(first, app, path, before, value)


def _processes(log: Log, folder: Path, apps: list[str]) -> Iterator[Change]:
    """What a process ran on, where the app's process before it on that host ran on something else."""
    size = read_head(folder)[0].size if (folder / "checkpoint").exists() else 0
    rows = [dict(zip(part.paths, row, strict=True)) for part in appended(log.layout.processes, Cursor()) for row in part.rows]  # fmt: skip
    last: dict[tuple[Any, Any], dict[str, str]] = {}
    for row in sorted(rows, key=lambda row: str(row["ts"])):
        facts, key = dict(_facts(row)), (row.get("app"), row.get("host"))
        before, last[key] = last.get(key), facts
        if before is None or row.get("app") not in apps:
            continue
        said = candidates(folder, NAMES, str(row["id"]), size)
        for path in sorted({*before, *facts}):
            if before.get(path) != facts.get(path):
                yield Change(str(row["ts"]), str(row["app"]), f"process {path}", before.get(path), facts.get(path), said[0] if said else None)  # fmt: skip


def _facts(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for path, value in row.items():
        if path in _OF_ONE_PROCESS or value is None:
            continue
        if path == "libraries":
            yield from ((f"libraries.{name}", str(version)) for name, version in json.loads(value).items())
        else:
            yield path, str(value)
