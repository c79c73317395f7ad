"""Golden windows: a name for (version of the table, predicate), kept as a small JSON file, so that it never moves."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from whimbrel.errors import EvidenceError
from whimbrel.model.window import Condition, Window
from whimbrel.store import named
from whimbrel.store.values import Golden

_SCHEMA = "whimbrel.golden/1"


def save(folder: Path, name: str, window: Window, *, version: int, predictions: int) -> Golden:
    """Name a window; a golden of the same name gives way.

    Raises:
        UsageError: not a name.
        EvidenceError: the window holds nothing.
        StoreError: the log cannot be written.
    """
    named.check(name, thing="golden", example="november or v7-launch")
    if not predictions:
        raise EvidenceError(
            "the window holds no predictions, so it cannot be golden", where=f"app {window.app!r}",
            why="its times or conditions fit nothing that the log holds", next="see what the log holds: whimbrel status",
        )  # fmt: skip
    golden = Golden(name, window, version, predictions, datetime.now(UTC).replace(microsecond=0))
    named.write(folder / f"{name}.json", golden.to_dict())
    return golden


def load(folder: Path, name: str) -> Golden:
    """The golden window of that name.

    Raises:
        UsageError: there is none; those that there are are named.
        StoreError: its file is damaged.
    """
    known = names(folder)
    if name not in known:
        make = "name one: whimbrel golden set NAME --since … --until …"
        raise named.unknown(name, known, thing="golden", where=folder, make=make)
    again = f"name it again: whimbrel golden set {name} --since … --until …"
    return named.read(folder / f"{name}.json", _golden, thing="golden", schema=_SCHEMA, again=again)


def names(folder: Path) -> tuple[str, ...]:
    """The names of all goldens, sorted."""
    return named.names(folder, _SCHEMA)


def _golden(held: dict[str, Any]) -> Golden:
    since, until = (datetime.fromisoformat(held[k]) if held[k] else None for k in ("since", "until"))
    where = tuple(Condition(path, value, op) for path, op, value in held["conditions"])
    window = Window(held["app"], since, until, where)
    return Golden(held["name"], window, held["version"], held["predictions"], datetime.fromisoformat(held["made"]))
