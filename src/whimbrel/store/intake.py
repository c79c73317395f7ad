"""Intake: raw input into the log, or into a table in memory; each id once, nothing half-written, nothing lost without a word.

In: `Raw`. Out: rows in Delta tables (one an app, one commit a file and app) and `Added`. `log.py` calls.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree
from socket import gethostname
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from whimbrel.engine.port import Source
from whimbrel.errors import InputError
from whimbrel.model.fields import Schema
from whimbrel.store import labels, quarantine
from whimbrel.store.batch import Batch, apps_of, make_batch, nothing_readable, shape
from whimbrel.store.columns import Assigned, assign, unknown_warning
from whimbrel.store.delta import Table
from whimbrel.store.layout import DEFAULT_APP, Layout
from whimbrel.store.raw import Raw
from whimbrel.store.schema import delta_fields, read_schema
from whimbrel.store.sql import connect, flush_threshold, input_errors, literal, one, roomy, store_errors
from whimbrel.store.values import Added

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_DAY = ", make_timestamp(us)::DATE AS day"
_FEW = 200
"""Rows that say how much memory a row takes."""


@contextmanager
def working(layout: Layout) -> Iterator[DuckDBPyConnection]:
    """A connection that keeps what does not fit into memory in a folder of the log; the folder goes when it closes."""
    with scratch(layout) as folder, connect(spill=folder) as con:
        yield con


@contextmanager
def scratch(layout: Layout) -> Iterator[Path]:
    """A folder of the log for files that live no longer than the block; what a killed process left goes too."""
    with store_errors(layout.home):
        layout.scratch.mkdir(parents=True, exist_ok=True)
        host = re.sub(r"[^A-Za-z0-9.]", "_", gethostname())
        for left in layout.scratch.glob(f"{host}-*-*"):
            if not _alive(int(left.name.split("-")[1])):
                rmtree(left, ignore_errors=True)
        folder = Path(mkdtemp(dir=layout.scratch, prefix=f"{host}-{os.getpid()}-"))
    try:
        yield folder
    finally:
        rmtree(folder, ignore_errors=True)


def _alive(pid: int) -> bool:
    """Whether a process of this machine lives: the scratch of one that was killed is of no use to anyone."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def take_in(con: DuckDBPyConnection, layout: Layout, raw: Raw, *, app: str | None, mapping: Mapping[str, str]) -> Added:
    """Add the rows of raw input to the log.

    Raises:
        InputError: no row can be read.
        StoreError: the log cannot be written; what was committed before stays, and the same import completes it.
    """
    if not raw.leaves and raw.refused:
        raise _unreadable(layout, raw)
    assigned = assign(raw.leaves, mapping)
    if labels.is_labels(assigned):
        return _noted(layout, *labels.take_labels(con, layout, raw, assigned, app=app), assigned)
    with input_errors(raw.label, raw.label):
        now_us = int(time.time() * 1e6)
        batch = roomy(con, lambda: make_batch(con, raw, assigned, app=app, default_app=DEFAULT_APP, now_us=now_us))
        seen = replace(raw, refused=batch.refused)
        if seen.refused and not batch.good:
            raise _unreadable(layout, seen)
        added = Added(warnings=batch.warnings)
        for name in [app] if app else apps_of(con, batch):
            added += _append(con, layout, batch, name)
    return _noted(layout, seen, added, assigned)


def _unreadable(layout: Layout, raw: Raw) -> InputError:
    return nothing_readable(
        raw.label, raw.refused, str(quarantine.set_aside(layout.quarantine, raw.label, raw.refused))
    )


def _noted(layout: Layout, raw: Raw, added: Added, assigned: Assigned) -> Added:
    """With the refused rows set aside and the columns that were kept out named."""
    if assigned.unknown:
        added += Added(warnings=(unknown_warning(assigned.unknown),))
    if raw.refused:
        path = quarantine.set_aside(layout.quarantine, raw.label, raw.refused)
        said = f"{raw.label}: {quarantine.summary(raw.refused)}; they are set aside in {path}"
        added += Added(quarantined=len(raw.refused), quarantine_files=(path,), warnings=(said,))
    return added


def _append(con: DuckDBPyConnection, layout: Layout, batch: Batch, app: str) -> Added:
    """One app's rows into its table, as one commit."""
    table = layout.predictions(app)

    def change() -> Added:
        delta = table.open() if table.exists else None
        before = read_schema(delta) if delta else Schema()
        label_ts = delta is not None and any(field.name == "label_ts" for field in delta.schema().fields)
        shaped = shape(con, batch, app, before + labels.label_field(layout, app), label_ts=label_ts)
        keep, duplicates, rows = _fresh(con, table, delta, batch, app)
        said = shaped.warnings + (labels.missed_labels(con, layout, batch, app) if "held" in keep else ())
        if not rows:
            return Added(duplicates=duplicates, warnings=said)
        if delta is None or len(shaped.schema.fields) > len(before.fields) or shaped.label_ts > label_ts:
            version = delta.version() if delta else -1
            table.widen(delta_fields(shaped.schema, label_ts=shaped.label_ts))
            delta = table.open()
            held = read_schema(delta)
            if delta.version() != version + 1 or any(f.path not in held for f in shaped.schema):
                return change()  # another writer came in between: what is new must be asked again
        few = f"SELECT avg(strlen(row::VARCHAR)) FROM (FROM ({shaped.select('app = $app', _DAY)}) LIMIT {_FEW}) AS row"
        con.execute(f"SET partitioned_write_flush_threshold = {flush_threshold(one(con, few, {'app': app})[0])}")
        con.execute("SET preserve_insertion_order = false")
        try:
            written = table.write(con, shaped.select(keep, _DAY), {"app": app})
        finally:
            con.execute("SET preserve_insertion_order = true")
        files = ", ".join(literal(str(table.folder / w.path)) for w in written)
        rescued = _rescued(con, f"read_parquet([{files}], hive_partitioning = false)") if shaped.rescues else {}
        table.commit(delta, written)
        return Added(sum(w.rows for w in written), duplicates, rescued=rescued, warnings=said)

    return table.update(lambda: roomy(con, change))


def _fresh(con: DuckDBPyConnection, table: Table, delta: Any, batch: Batch, app: str) -> tuple[str, int, int]:
    """The condition that keeps rows whose id is new (the first of each), how many it drops, and how many it keeps."""
    total, ids, low, high = one(
        con, f"SELECT count(*), count(DISTINCT id), min(id), max(id) FROM {batch.view} WHERE app = $app", {"app": app}
    )
    keep, kept = "app = $app", ids
    if ids < total:
        keep += f" AND rn IN (SELECT min(rn) FROM {batch.view} WHERE app = $app GROUP BY id)"
    files = []
    if delta is not None and total:
        where = "(max_id IS NULL OR max_id >= ?) AND (min_id IS NULL OR min_id <= ?)"
        files = [row[0] for row in table.actions(delta, "path", where, (low, high), con=con)]
    if files:
        listed = ", ".join(map(literal, files))
        con.execute(
            f"""CREATE OR REPLACE TEMP TABLE held AS SELECT DISTINCT id FROM read_parquet([{listed}], hive_partitioning = false)
            WHERE id IN (SELECT id FROM {batch.view} WHERE app = $app)""",
            {"app": app},
        )
        held = one(con, "SELECT count(*) FROM held")[0]
        if held:
            keep += " AND id NOT IN (SELECT id FROM held)"
            kept -= held
    return keep, total - kept, kept


def _rescued(con: DuckDBPyConnection, relation: str) -> dict[str, int]:
    rows = con.execute(
        f"SELECT path, count(*) FROM (SELECT unnest(map_keys(rescued)) AS path FROM {relation} WHERE rescued IS NOT NULL) GROUP BY path ORDER BY path"
    ).fetchall()
    return dict(rows)


@dataclass(frozen=True, slots=True)
class InMemory:
    """A table normalised in memory, with what was said about it."""

    source: Source
    added: Added


def normalise(con: DuckDBPyConnection, raw: Raw, *, app: str, mapping: Mapping[str, str], known: Schema) -> InMemory:
    """The rows of raw input as a table in memory, by the rules of the log; each id once. An `app` column is not looked at.

    Raises:
        InputError: there is no `ts`, or no row can be read.
    """
    import arro3.core as arrow

    assigned = assign(raw.leaves, mapping)
    with input_errors(raw.label, raw.label):
        batch = make_batch(con, raw, assigned, app=app, default_app=app, now_us=int(time.time() * 1e6))
        if batch.refused and not batch.good:
            raise nothing_readable(raw.label, batch.refused, "")
        shaped = shape(con, batch, app, known)
        keep, duplicates, rows = _fresh(con, Table(Path(), Path(), Path()), None, batch, app)
        table = arrow.Table.from_arrow(con.sql(shaped.select(keep), params={"app": app}))
        con.register("normalised", table)
        rescued = _rescued(con, "normalised") if shaped.rescues else {}
    warnings = [*batch.warnings, *shaped.warnings]
    if assigned.unknown:
        warnings.append(unknown_warning(assigned.unknown))
    if batch.refused:
        warnings.append(f"{raw.label}: {quarantine.summary(batch.refused)}; they are left out")
    added = Added(rows, duplicates, len(batch.refused), rescued=rescued, warnings=tuple(warnings))
    return InMemory(Source(app, shaped.schema, table=table), added)
