"""What the ledger needs of the log: the rows that it has not read yet, and the files and history that it will read them from.

In: a log. Out: `Need`s, for `Log.compact`. A row that were dropped before its entry is made would leave no trace of ever having been there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from whimbrel.ledger.lifecycle import folder_of
from whimbrel.ledger.reader import STATE, read_state
from whimbrel.model.window import from_micros
from whimbrel.store.appended import Cursor, unread
from whimbrel.store.needs import Need

if TYPE_CHECKING:
    from whimbrel.store import Log
    from whimbrel.store.delta import Table

_WHY = "the ledger, which has not read it yet"


def needs_of(log: Log) -> tuple[Need, ...]:
    """What the ledger still has to read; nothing where there is no ledger.

    Raises:
        StoreError: the ledger's state cannot be read, or a table's history does not reach back to where it is.
    """
    folder = folder_of(log.home)
    if not (folder / STATE).exists():
        return ()
    cursor = read_state(folder)[2]
    found = []
    for kind, table, app in _tables(log):
        held = cursor.get(kind, {}).get(app)
        if table.exists:
            found.append(_need(table, Cursor.of(held), app if kind == "predictions" else None))
    return tuple(found)


def _tables(log: Log) -> Iterator[tuple[str, Table, str]]:
    layout = log.layout
    yield "run", layout.processes, ""
    yield "event", layout.events, ""
    for app in log.apps():
        yield "predictions", layout.predictions(app), app
        yield "outcome", layout.labels(app), app
        yield "decision", layout.decisions(app), app


def _need(table: Table, cursor: Cursor, app: str | None) -> Need:
    """What is unread of one table; all of it where the ledger has not met it."""
    if cursor.version < 0:
        return Need(_WHY, app, rows=app is not None)
    facts = unread(table, cursor)
    need = Need(
        _WHY,
        app,
        files=frozenset(facts),
        rows=app is not None and bool(facts),
        history=(str(table.folder), cursor.version),
    )
    times = [one.times for one in facts.values()]
    known = [one for one in times if one is not None]
    if need.rows and len(known) == len(times):
        last = from_micros(max(one[1] for one in known)) + timedelta(milliseconds=2)
        return replace(need, since=from_micros(min(one[0] for one in known)), until=last)
    return need
