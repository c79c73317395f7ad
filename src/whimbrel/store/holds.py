"""Holds: stretches of time whose predictions nothing may drop, however old they grow. "Pull the breaker" after an incident.

In: a name, an app or all of them, a stretch. Out: a small JSON file a hold, and `Hold`s read back. Whatever drops predictions
asks `held` first: `ingest.py` does, before it leaves out what the policy's share does not keep.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from whimbrel.errors import UsageError
from whimbrel.model.window import iso
from whimbrel.store import named
from whimbrel.store.sql import store_errors

_SCHEMA = "whimbrel.hold/1"


@dataclass(frozen=True, slots=True)
class Hold:
    """A stretch `since <= ts < until` that is kept, of one app or (None) of all."""

    name: str
    since: datetime
    until: datetime
    app: str | None = None
    reason: str = ""
    made: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def covers(self, app: str, ts: datetime) -> bool:
        """Whether a prediction of that app and time is kept by this hold."""
        return self.app in (None, app) and self.since <= ts < self.until

    def to_dict(self) -> dict[str, Any]:
        """As the hold's file and `--json` spell it."""
        return {
            "schema": _SCHEMA, "name": self.name, "app": self.app, "since": iso(self.since), "until": iso(self.until),
            "reason": self.reason, "made": iso(self.made),
        }  # fmt: skip


def held(folder: Path) -> tuple[Hold, ...]:
    """All holds, by name.

    Raises:
        StoreError: a hold's file is damaged: what it keeps is unknown, so nothing may be dropped.
    """
    if not folder.is_dir():
        return ()
    return tuple(_load(path) for path in sorted(folder.glob("*.json")))


def check(folder: Path, name: str, *, where: str = "--name") -> Path:
    """Where a hold of that name would lie; `where` says what asked for it.

    Raises:
        UsageError: not a name, or one that is taken.
    """
    named.check(name, thing="hold", example="incident-4711", where=where)
    path = folder / f"{name}.json"
    if path.exists():
        raise UsageError(
            f"there is a hold named {name!r} already", where=str(path), why="a hold is never changed, for it protects evidence",
            next=f"choose another name, or let it go first: whimbrel hold release {name}",
        )  # fmt: skip
    return path


def save(folder: Path, hold: Hold) -> Hold:
    """Keep a hold.

    Raises:
        UsageError: not a name, or one that is taken.
        StoreError: the log cannot be written.
    """
    named.write(check(folder, hold.name), hold.to_dict())
    return hold


def release(folder: Path, name: str) -> Hold:
    """Let a hold go: what it kept may be dropped from now on.

    Raises:
        UsageError: there is none of that name; those that there are are named.
    """
    found = {hold.name: hold for hold in held(folder)}
    if name not in found:
        raise named.unknown(name, tuple(found), thing="hold", where=folder, make="whimbrel hold list")
    with store_errors(folder):
        (folder / f"{name}.json").unlink()
    return found[name]


def _load(path: Path) -> Hold:
    again = "move it away and hold the stretch again: whimbrel hold --since … --until …"
    return named.read(path, _hold, thing="hold", schema=_SCHEMA, again=again)


def _hold(held: dict[str, Any]) -> Hold:
    since, until, made = (datetime.fromisoformat(held[key]) for key in ("since", "until", "made"))
    return Hold(held["name"], since, until, held["app"], held["reason"], made)
