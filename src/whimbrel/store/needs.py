"""What a log must not lose, and who needs it: golden windows, holds, debug sessions, and whatever else is told.

In: a log's layout. Out: `Need`s. `keep.py` asks them before it drops predictions, `vacuum.py` before it removes files; whoever has
a need of its own (`ledger/`) gives it to `Log.compact`. A need that cannot be read ends the run: nothing is dropped on a guess.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from whimbrel.engine.port import Facts
from whimbrel.errors import StoreError
from whimbrel.model.window import Window
from whimbrel.store import golden
from whimbrel.store.holds import held
from whimbrel.store.layout import Layout
from whimbrel.store.sql import store_errors


@dataclass(frozen=True, slots=True)
class Need:
    """Predictions that must stay: of an app (None: of all), those of a stretch of time or those of these ids; and files, by absolute path.

    `why` names who needs them, such as "golden november". A need without ids and without a time is of everything.
    `history` is a table's folder, and the first of its commits that must stay.
    """

    why: str
    app: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    ids: frozenset[str] = frozenset()
    files: frozenset[str] = frozenset()
    rows: bool = True
    """Whether it needs predictions, and not the files alone."""
    history: tuple[str, int] | None = None

    def meets(self, app: str, facts: Facts) -> bool:
        """Whether a file of that app may hold what is needed."""
        if not self.rows or self.app not in (None, app):
            return False
        if self.ids:
            return facts.ids is None or any(facts.ids[0] <= one <= facts.ids[1] for one in self.ids)
        return not facts.beyond(Window(app, self.since, self.until))


def needs_of(layout: Layout) -> tuple[Need, ...]:
    """What golden windows, holds and debug sessions need.

    Raises:
        StoreError: one of them cannot be read, so that what it needs is not known.
    """
    with store_errors(layout.home, "read"):
        holds = (Need(f"hold {one.name}", one.app, one.since, one.until) for one in held(layout.holds))
        return (*_goldens(layout), *holds, *_sessions(layout.sessions))


def golden_versions(layout: Layout, app: str) -> tuple[int, ...]:
    """The versions of an app's table that golden windows name."""
    kept = (golden.load(layout.golden, name) for name in golden.names(layout.golden))
    return tuple(sorted({one.version for one in kept if one.window.app == app}))


def _goldens(layout: Layout) -> Iterator[Need]:
    known = golden.names(layout.golden)
    for path in sorted(layout.golden.glob("*.json")):
        if path.stem not in known:
            _readable(path)
            continue
        one = golden.load(layout.golden, path.stem)
        window, table = one.window, layout.predictions(one.window.app)
        files = frozenset[str]()
        if table.exists:
            facts = table.facts(table.open(one.version))
            files = frozenset(file for file, known_of in facts.items() if not known_of.beyond(window))
        yield Need(f"golden {one.name}", window.app, window.since, window.until, files=files)


def _sessions(folder: Path) -> Iterator[Need]:
    for path in sorted(folder.glob("*.json")):
        held_there = _readable(path)
        try:
            ids = frozenset(str(one["record"]["id"]) for one in held_there["predictions"])
            yield Need(f"session {path.stem}", str(held_there["app"]), ids=ids, rows=bool(ids))
        except (KeyError, TypeError) as error:
            raise _unknown(path, f"it has no {error}") from error


def _readable(path: Path) -> dict[str, Any]:
    """What a JSON file holds, if it can be told."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise _unknown(path, str(error)) from error
    if not isinstance(found, dict):
        raise _unknown(path, "it is no JSON object")
    return found


def _unknown(path: Path, why: str) -> StoreError:
    return StoreError(
        f"it is not known what {path.stem!r} needs: {why}", where=str(path), why="the file was changed or cut short; nothing is dropped on a guess",
        next="put it back from a backup, or move it away if nobody needs it, and run the same command again",
    )  # fmt: skip
