"""Counters that sidecars wrote, moved into the log's table `hardware`, each row once.

In: segments under `<home>/counters/`. Out: rows, named as `hardware/counters.py` says. A sidecar's looks follow each other in
time: what the table holds of a session up to a time does not come in again, even where the mark of how far it was
read is lost. `Log.ingest` calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from whimbrel.engine.port import Counters, Facts
from whimbrel.errors import InputError
from whimbrel.hardware.counters import FACTS, KEYS, NUMBERS, RAN_ON, WORDS
from whimbrel.model.fields import Schema
from whimbrel.record import frames
from whimbrel.record.reader import read_segment
from whimbrel.store.arrays import encode
from whimbrel.store.backlog import Mark, idle, number_of, read_mark, sessions
from whimbrel.store.delta import Table
from whimbrel.store.layout import Layout
from whimbrel.store.sql import connect, literal, store_errors


def take_counters(layout: Layout) -> int:
    """Move what sidecars wrote into the log; how many rows came in.

    Raises:
        StoreError: the log cannot be written; nothing is lost, and the next call goes on.
    """
    folder = layout.counters
    if not folder.is_dir():
        return 0
    with store_errors(folder):
        rows: list[dict[str, Any]] = []
        marks: dict[str, Mark] = {}
        done: list[Path] = []
        for session, paths in sessions(folder).items():
            mark = marks[session] = read_mark(folder, session)
            for path in paths:
                done += [path] * _idle(path)  # asked before reading: what is still now can only be read whole
                rows += _read(path, session, mark)
        came = _append(layout.hardware, rows) if rows else 0
        for session, mark in marks.items():
            (folder / f".{session}.mark").write_bytes(msgspec.json.encode(mark))
        for path in done:
            path.unlink(missing_ok=True)
        left = sessions(folder)
        for path in folder.glob(".*.mark"):
            if path.name[1:-5] not in left:
                path.unlink(missing_ok=True)
    return came


def counters_of(layout: Layout, schema: Schema) -> tuple[Counters | None, Mapping[str, Facts]]:
    """What sidecars saw, as facts of predictions that say on which process or host they ran, and what is known of the files.

    The log must have a table of it. None, where they saw nothing that could join.
    """
    paths = {f"hardware.{name}": of for of, names in FACTS.items() if RAN_ON[of] in schema for name in names}
    if not paths:
        return None, {}
    files = layout.hardware.facts(layout.hardware.open())
    return (Counters(tuple(files), paths, RAN_ON) if files else None), files


def _read(path: Path, session: str, mark: Mark) -> list[dict[str, Any]]:
    """What a segment holds beyond the mark, which moves on."""
    try:
        segment = read_segment(path.read_bytes(), mark.read.get(number_of(path), 0))
    except (InputError, FileNotFoundError):
        return []
    mark.read[number_of(path)] = segment.end
    return [
        row for frame in segment.frames if frame.kind == frames.Kind.COUNTERS for row in _rows(frame.decode(), session)
    ]


def _idle(path: Path) -> bool:
    """Whether its sidecar has ended, or gone on to another segment."""
    try:
        return idle(path, locked=True)
    except FileNotFoundError:
        return False


def _rows(body: dict[str, Any], session: str) -> list[dict[str, Any]]:
    """One look's rows."""
    about = {"sidecar": session, "ts": body["ts"], "host": body.get("host"), "boot": body.get("boot")}
    return [about | row for row in body.get("rows", ()) if isinstance(row, dict)]


def _append(table: Table, rows: list[dict[str, Any]]) -> int:
    import arro3.core as arrow
    from deltalake import Field
    from deltalake.schema import PrimitiveType

    texts = ["sidecar", *(name for name in KEYS if name != "ts"), *WORDS]
    kinds = {"ts": "timestamp"} | dict.fromkeys(texts, "string") | dict.fromkeys(NUMBERS, "double")
    told = "json_extract_string(line, '$.{}')".format
    columns = [f"{told(name)} AS {name}" for name in texts]
    columns += [f"TRY_CAST({told(name)} AS DOUBLE) AS {name}" for name in NUMBERS]
    lines = [encode(row) for row in rows]

    def change() -> int:
        held = {field.name for field in table.open().schema().fields} if table.exists else set()
        table.widen([Field(name, PrimitiveType(kind)) for name, kind in kinds.items() if name not in held])
        delta = table.open()
        with connect() as con:
            con.register("given", arrow.Table.from_pydict({"line": arrow.Array(lines, arrow.DataType.utf8())}))
            fresh = f"SELECT make_timestamptz(TRY_CAST({told('ts')} AS BIGINT)) AS ts, {', '.join(columns)} FROM given"
            if files := ", ".join(map(literal, table.files(delta))):
                seen = f"SELECT sidecar, max(ts) AS last FROM read_parquet([{files}], union_by_name = true) GROUP BY sidecar"
                fresh = f"SELECT f.* FROM ({fresh}) f LEFT JOIN ({seen}) s USING (sidecar) WHERE s.last IS NULL OR f.ts > s.last"
            (count,) = con.execute(f"SELECT count(*) FROM ({fresh})").fetchone() or (0,)
            if count:
                table.commit(delta, table.write(con, f"SELECT {', '.join(kinds)} FROM ({fresh}) ORDER BY ts", {}))
        return int(count)

    return table.update(change)
