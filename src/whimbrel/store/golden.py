"""Golden windows: a name for (version of the table, predicate), kept as a small JSON file, so that it never moves."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path

from whimbrel.errors import EvidenceError, StoreError, UsageError
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
        close = get_close_matches(name, known, n=1)
        raise UsageError(
            f"there is no golden named {name!r}", where=str(folder), why=f"the goldens are {', '.join(known)}" if known else "none was named yet",
            next=f"did you mean {close[0]!r}?" if close else "name one: whimbrel golden set NAME --since … --until …",
        )  # fmt: skip
    path = folder / f"{name}.json"
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        if held["schema"] != _SCHEMA:
            raise ValueError(f"its format is {held['schema']!r}, and this version reads {_SCHEMA!r}")
        since, until, made = (datetime.fromisoformat(held[k]) if held[k] else None for k in ("since", "until", "made"))
        assert made is not None
        where = tuple(Condition(path, value, op) for path, op, value in held["conditions"])
        return Golden(name, Window(held["app"], since, until, where), held["version"], held["predictions"], made)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"cannot read the golden {name!r}: {error}", where=str(path), why="the file was changed or cut short",
            next=f"name it again: whimbrel golden set {name} --since … --until …",
        ) from error  # fmt: skip


def names(folder: Path) -> tuple[str, ...]:
    """The names of all goldens, sorted."""
    if not folder.is_dir():
        return ()
    return tuple(
        sorted(path.stem for path in folder.glob("*.json") if named.NAME.fullmatch(path.stem) and _is_golden(path))
    )


def _is_golden(path: Path) -> bool:
    """Other files may lie beside goldens: saved profiles."""
    with path.open(encoding="utf-8", errors="replace") as stream:
        return '"whimbrel.golden/' in stream.read(200)
