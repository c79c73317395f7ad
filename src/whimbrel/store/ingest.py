"""Ingest: what recorders wrote, moved into the log, each record exactly once however often this is killed.

In: segments under `<home>/segments/`. Out: rows in the log's tables, and `Ingested`. `Log.ingest` calls.

Exactly once rests on names, not on a transaction across tables: a prediction's id, a label, a decision, an event and a
process are the same each time their frame is read, and the tables take nothing in twice. So the order is: read on from
the session's mark, append, keep the new mark, remove what is wholly in. Whoever is killed between two of these does the
rest again, and what is in already changes nothing. A Delta `txn` per segment would do the same for one table of the
five, and stay in its log for ever. One process ingests at a time.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import gc
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from whimbrel.errors import InputError
from whimbrel.model.window import from_micros
from whimbrel.record.frames import app_of
from whimbrel.store import quarantine
from whimbrel.store.alone import alone
from whimbrel.store.arrays import encode
from whimbrel.store.backlog import Mark, News, catch_up, read_mark, sessions
from whimbrel.store.delta import Table, Written
from whimbrel.store.holds import Hold, held
from whimbrel.store.intake import scratch
from whimbrel.store.layout import Layout
from whimbrel.store.raw import Refusal
from whimbrel.store.records import Records
from whimbrel.store.retain import Retention
from whimbrel.store.scrub import Scrub
from whimbrel.store.sql import connect, literal, store_errors
from whimbrel.store.values import Added

if TYPE_CHECKING:
    from deltalake import DeltaTable

    from whimbrel.store.log import Log

Rows = TypeVar("Rows", list[dict[str, Any]], Records)

_ENOUGH = 20_000
"""Predictions that are appended at once: more takes memory, fewer makes many small files."""

_LARGE = 1 << 27
"""Bytes of segments that are appended at once, however few predictions are in them."""

_WIDEST = 1_000
_DRAFT_S = 60.0

_PROCESS = {
    "app": "string", "host": "string", "pid": "long", "started": "double", "platform": "string", "cpu": "string",
    "cpus": "long", "cpu_quota": "double", "memory_bytes": "long", "memory_limit_bytes": "long", "gpu": "string", "gpus": "long", "gpu_memory_bytes": "long",
    "gpu_driver": "string", "gpu_probe": "string", "python": "string", "libraries": "string", "commit": "string",
    "dirty": "boolean", "recorder": "string", "boot": "string",
}  # fmt: skip
"""Columns of the table of processes beside `id` and `ts`; `libraries` is JSON."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """What an ingest brought into the log. `gaps` are predictions that recorders began and could not write.

    `unfinished` of the predictions never ended. `torn` counts stretches of segments that could not be read; such
    segments are kept in the quarantine. `sampled_out` were recorded and not retained, as the policy says, and `scrubbed`
    counts what it replaced in texts. `duplicates` were in the log before: an interrupted ingest done again, or an id used twice.
    """

    predictions: int = 0
    unfinished: int = 0
    labels: int = 0
    decisions: int = 0
    events: int = 0
    processes: int = 0
    torn: int = 0
    gaps: int = 0
    duplicates: int = 0
    quarantined: int = 0
    sampled_out: int = 0
    scrubbed: int = 0
    notes: tuple[str, ...] = ()

    def __add__(self, other: Ingested) -> Ingested:
        counts = {name: getattr(self, name) + getattr(other, name) for name in self.__slots__ if name != "notes"}
        return Ingested(**counts, notes=tuple(dict.fromkeys(self.notes + other.notes)))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {name: getattr(self, name) for name in self.__slots__} | {"notes": list(self.notes)}


def ingest(log: Log) -> Ingested:
    """Move what recorders wrote into the log. Predictions that still run stay behind until they end.

    Raises:
        StoreError: the log cannot be written, or another ingest holds it; nothing is lost, and the next one goes on.
        UsageError: `[retain]` or `[scrub]` of the policy makes no sense.
    """
    root = log.layout.segments
    if not root.is_dir():
        return Ingested()
    total, retention, holds = Ingested(), Retention.load(), held(log.layout.holds)
    with store_errors(root), alone(log.home / "locks" / "ingest", "ingesting"), no_collections():
        for folder in sorted(path for path in root.iterdir() if path.is_dir() and app_of(path.name).isprintable()):
            _sweep(folder)
            batch = _Batch(log, app_of(folder.name), folder, retention, holds)
            for session in sessions(folder):
                total += batch.session(session)
            total += batch.flush()
    return total


@dataclass
class _Batch:
    """News of one app's sessions on the way into the log, and the marks that hold once it is in."""

    log: Log
    app: str
    folder: Path
    retention: Retention
    holds: tuple[Hold, ...] = ()
    scrub: Scrub = field(default_factory=Scrub.load)
    news: list[News] = field(default_factory=list)
    marks: dict[str, Mark] = field(default_factory=dict)

    def session(self, session: str) -> Ingested:
        """Take in one session's news, and append where there is enough of it."""
        mark, total = read_mark(self.folder, session), Ingested()
        for news in catch_up(self.folder, session, mark):
            self.news.append(news)
            self.marks[session] = mark
            waiting = sum(len(held.predictions) + len(held.labels) for held in self.news)
            if waiting >= _ENOUGH or sum(held.size for held in self.news) >= _LARGE:
                total += self.flush()
        return total

    def flush(self) -> Ingested:
        """Append all news, then keep the marks, then remove what is wholly in."""
        told, self.news = self.news, []
        total = self.append(told)
        for session, mark in self.marks.items():
            path = self.folder / f".{session}.mark"
            partial = path.with_suffix(".partial")
            partial.write_bytes(msgspec.json.encode(mark))
            partial.replace(path)
        for path in {path for news in told for path in news.hurt}:
            aside = self.log.layout.quarantine / "segments" / self.folder.name
            aside.mkdir(parents=True, exist_ok=True)
            path.replace(aside / path.name)
        for path in {path for news in told for path in news.done}:
            path.unlink(missing_ok=True)
        left = sessions(self.folder)
        for session in [session for session, mark in self.marks.items() if mark.over and session not in left]:
            (self.folder / f".{session}.mark").unlink(missing_ok=True)
        self.marks = {}
        return total

    def append(self, told: Sequence[News]) -> Ingested:
        """The news in the log's tables."""
        log, app = self.log, self.app
        decisions = [row for news in told for row in news.decisions]
        predictions = Records()
        for news in told:
            predictions.extend(news.predictions)
        recorded = len(predictions)
        if self.retention.share < 1:
            kept = self.retention.choose(list(predictions), self.is_held if self.holds else None, decisions)
            predictions = Records(kept)
        sampled_out = recorded - len(predictions)
        if len(predictions.names()) > _WIDEST:
            predictions = Records(narrow(list(predictions)))
        labels = [_timed(row, "label_ts") for news in told for row in news.labels]
        scrubbed = self.scrub.clean((*labels, *decisions))
        if self.scrub.paths:
            texts = list(predictions)
            scrubbed += self.scrub.clean(texts)
            predictions = Records(texts)
        events = [_timed(row, "ts") | {"app": app} for news in told for row in news.events]
        processes = [row for news in told for row in news.processes]
        done = [
            self.put("predictions", predictions, lambda rows: log.append_flat(app, rows)),
            self.put("labels", labels, lambda rows: log.add_labels(app, rows)),
            self.put("decisions", decisions, lambda rows: log.add_decisions(app, rows)),
            self.put("events", events, lambda rows: log.add_events(_table(rows))),
            self.put("processes", processes, lambda rows: take_processes(log.layout, rows)),
        ]
        said = [note for news in told for note in news.notes]
        return Ingested(
            predictions=done[0].rows, unfinished=sum(news.unfinished for news in told), labels=done[1].labels,
            decisions=done[2].rows, events=done[3].rows, processes=done[4].rows, torn=sum(news.torn for news in told),
            gaps=sum(news.gaps for news in told), duplicates=sum(added.duplicates for added in done),
            quarantined=sum(added.quarantined for added in done), sampled_out=sampled_out, scrubbed=scrubbed,
            notes=tuple(dict.fromkeys([*said, *(warning for added in done for warning in added.warnings)])),
        )  # fmt: skip

    def is_held(self, record: Mapping[str, Any]) -> bool:
        """Whether a hold keeps the record."""
        with contextlib.suppress(OverflowError, TypeError):  # an app may say any time at all
            ts = from_micros(record["ts"])
            return any(hold.covers(self.app, ts) for hold in self.holds)
        return False

    def put(self, what: str, rows: Rows, take: Callable[[Rows], Added]) -> Added:
        """Rows into their table; where none of them can be read they are set aside, so that they hold up no others."""
        if not rows:
            return Added()
        try:
            return take(rows)
        except InputError as error:
            refused = [Refusal(number, error.what, encode(row)) for number, row in enumerate(rows, 1)]
            path = quarantine.set_aside(self.log.layout.quarantine, f"recorded {what} of {self.app}", refused)
            said = f"{len(rows)} recorded {what} of {self.app} are set aside in {path}: {error.what}"
            return Added(quarantined=len(rows), quarantine_files=(path,), warnings=(said,))


def narrow(records: list[dict[str, Any]], widest: int = _WIDEST) -> list[dict[str, Any]]:
    """Records with no more different fields than a table can bear: further ones go, as JSON, to their group's `more`.

    An app that uses ids as names of features would otherwise make a column of each.
    """
    seen: dict[str, None] = {}
    for record in records:
        if record.keys() <= seen.keys():
            continue
        over: dict[str, dict[str, Any]] = {}
        for path in list(record):
            if path in seen or len(seen) < widest:
                seen[path] = None
            else:
                group = ".".join(path.split(".")[: 2 if path.startswith("steps.") else 1])
                over.setdefault(f"{group}.more", {})[path.removeprefix(f"{group}.")] = record.pop(path)
        record |= {path: encode(fields) for path, fields in over.items()}
    return records


def take_processes(layout: Layout, rows: Iterable[Mapping[str, Any]]) -> Added:
    """Add rows of processes, one for each start. A process that the table has is not added again.

    Raises:
        StoreError: the log cannot be written.
    """
    import arro3.core as arrow
    from deltalake import Field
    from deltalake.schema import PrimitiveType

    table, types = layout.processes, arrow.DataType
    columns = {"id": "string", "ts": "timestamp"} | _PROCESS
    kinds = {
        "string": types.utf8(),
        "long": types.int64(),
        "double": types.float64(),
        "boolean": types.bool(),
        "timestamp": types.int64(),
    }
    came = list(rows)
    given = {row["id"]: row for row in reversed(came)}

    def change() -> Added:
        held = {field.name for field in table.open().schema().fields} if table.exists else set()
        table.widen([Field(key, PrimitiveType(kind)) for key, kind in columns.items() if key not in held])
        delta = table.open()
        fresh = given.keys() - _known(table, delta, given)
        if fresh:
            told: dict[str, Any] = {
                key: arrow.Array(
                    [_fact(row.get(key), kind) for ident, row in given.items() if ident in fresh], kinds[kind]
                )
                for key, kind in columns.items()
            }
            told["ts"] = told["ts"].cast(types.timestamp("us", tz="UTC"))
            facts = Written("", 0, len(fresh), {}, (min(fresh), max(fresh)), None)
            with scratch(layout) as folder:
                table.commit(delta, [table.write_arrow(arrow.Table.from_pydict(told), folder, facts)])
        return Added(rows=len(fresh), duplicates=len(came) - len(fresh))

    return table.update(change)


def _known(table: Table, delta: DeltaTable, ids: Iterable[str]) -> set[str]:
    """Which of these ids the table has."""
    files = table.overlapping(delta, min(ids), max(ids))
    if not files:
        return set()
    with connect() as con:
        listed = ", ".join(map(literal, files))
        found = con.execute(
            f"SELECT id FROM read_parquet([{listed}]) WHERE list_contains(?, id)", [list(ids)]
        ).fetchall()
    return {row[0] for row in found}


def _fact(value: Any, kind: str) -> Any:
    """A fact as its column's kind; None where it is none."""
    if value is None or kind == "string":
        return value if value is None or isinstance(value, str) else encode(value)
    if kind == "boolean" or isinstance(value, bool):
        return value if kind == "boolean" and isinstance(value, bool) else None
    with contextlib.suppress(TypeError, ValueError, OverflowError):
        number = float(value) if kind == "double" else int(value)
        return number if kind == "double" or -(2**63) <= number < 2**63 else None
    return None


def _timed(row: dict[str, Any], column: str) -> dict[str, Any]:
    """The row with microseconds since 1970 as a time; a number that is none stays, and the log sets it aside."""
    with contextlib.suppress(TypeError, OverflowError):
        row[column] = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=row[column])
    return row


def _table(rows: Sequence[Mapping[str, Any]]) -> Any:
    """Rows as an Arrow table of texts."""
    import arro3.core as arrow

    names = dict.fromkeys(name for row in rows for name in row)
    text = {name: [None if row.get(name) is None else str(row[name]) for row in rows] for name in names}
    return arrow.Table.from_pydict({name: arrow.Array(values, arrow.DataType.utf8()) for name, values in text.items()})


def _sweep(folder: Path) -> None:
    """Remove what somebody who was killed left behind: drafts of segments, none of which held a frame, and idle marks."""
    known = sessions(folder)
    for left in [*folder.glob(".*.new"), *folder.glob(".*.partial"), *folder.glob(".*.mark")]:
        session = left.name.split(".")[1]
        if session in known:
            continue
        with contextlib.suppress(FileNotFoundError):
            over = left.suffix == ".mark" and read_mark(folder, session).over
            if over or time.time() - left.stat().st_mtime > _DRAFT_S:
                left.unlink()


@contextlib.contextmanager
def no_collections() -> Iterator[None]:
    """No garbage collections meanwhile: tens of thousands of records are no garbage, and looking costs a quarter more."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
