"""Rows taken out of a log for good: out of its tables and out of their older versions.

In: a log, whose rows, and which. Out: ids found, and what could not be erased from here. `ledger/` calls, which keeps the proofs.

A Delta table forgets a row when its file is rewritten without it and the old file is removed; so older versions can be read no more.
Golden windows are named anew at the newest version, and their saved profiles are made again when they are needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from shutil import rmtree
from typing import TYPE_CHECKING

from whimbrel.errors import EvidenceError
from whimbrel.store.appended import leaves_of
from whimbrel.store.delta import Table, folder_name
from whimbrel.store.sql import connect, literal, store_errors

if TYPE_CHECKING:
    from whimbrel.store.log import Log

_AT_ONCE = 500
_uuid = re.compile("[0-9a-f-]{36}").fullmatch


def ids_of(log: Log, app: str, path: str, value: str) -> list[str]:
    """The ids of an app's predictions whose field has this value, as text; late labels and decisions belong to them.

    Raises:
        StoreError: a table is damaged.
    """
    table = log.layout.predictions(app)
    found: list[str] = []
    with store_errors(table.folder, "read"), connect() as con:
        for file in table.files(table.open()):
            sql = dict(leaves_of(con, file)).get(path)
            if sql is not None:
                source = f"read_parquet([{literal(file)}], hive_partitioning = false)"
                rows = con.execute(
                    f"SELECT id FROM {source} WHERE ({sql})::VARCHAR = ? ORDER BY id", [value]
                ).fetchall()
                found += [row[0] for row in rows]
    return found


def erase_rows(log: Log, app: str, ids: Sequence[str]) -> tuple[str, ...]:
    """Take predictions out of the log with their labels and decisions; gives what could not be erased, in words.

    Doing it again changes nothing. Raises StoreError: a table cannot be written.
    """
    layout = log.layout
    for table in (layout.predictions(app), layout.labels(app), layout.decisions(app)):
        if table.exists:
            _delete(table, ids)
    rmtree(layout.profiles / folder_name(app), ignore_errors=True)  # what is kept there has rows that name what is new
    return tuple(_goldens(log, app)) + tuple(_left(log, ids))


def _delete(table: Table, ids: Sequence[str]) -> None:
    def change() -> None:
        delta = table.open()
        for at in range(0, len(ids), _AT_ONCE):
            listed = ", ".join(map(literal, ids[at : at + _AT_ONCE]))
            delta.delete(f"id IN ({listed})", commit_properties=table.layout_change(delta))
        # Here nobody else writes just now, and what a killed writer left goes too; of a storage far away that is not known.
        delta.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False, full=table.remote is None)
        held = table.facts(table.open())
        for copy in table.folder.rglob("part-*.parquet") if table.remote else ():
            if str(copy) not in held:
                copy.unlink(missing_ok=True)

    table.update(change)


def _goldens(log: Log, app: str) -> Iterator[str]:
    """Golden windows of the app, at the newest version; older ones are gone."""
    for golden in log.goldens():
        if golden.window.app != app:
            continue
        for saved in log.layout.golden.glob(f"{golden.name}.*"):
            if saved.suffix != ".json":
                saved.unlink(missing_ok=True)
        try:
            log.set_golden(golden.name, golden.window)
        except EvidenceError:
            yield f"the golden window {golden.name} holds nothing any more: name another"


def _left(log: Log, ids: Sequence[str]) -> Iterator[str]:
    """Where values may still lie."""
    for path in sorted(log.layout.sessions.glob("*.json")):
        text = path.read_text("utf-8", "replace")
        if any(ident in text for ident in ids):
            yield f"the debug session {path.stem} holds some of these predictions: delete {path}"
    if any(log.layout.quarantine.rglob("*")) if log.layout.quarantine.is_dir() else False:
        yield f"rows that could not be read lie in {log.layout.quarantine}: look through them"
    if (log.home / "blobs").is_dir():
        yield f"content that recorder.blob kept may be shared, and stays in {log.home / 'blobs'}"
    if not all(map(_uuid, ids)):
        yield "ids that the app gave stand in the tables' histories for thirty days more"
    yield "backups, exports and bundles that were handed out are not in reach"
