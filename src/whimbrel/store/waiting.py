"""What recorders wrote and the log has not taken in yet: looked at, and left where it is.

In: a log's layout. Out: `Waiting`, one for each app. `health.py` and `cli/` may call.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from whimbrel.model.window import from_micros, iso
from whimbrel.record import flat, frames
from whimbrel.record.reader import read_segment
from whimbrel.store.backlog import Mark, catch_up, decode, read_mark, sessions
from whimbrel.store.layout import Layout


@dataclass(frozen=True, slots=True)
class Running:
    """A prediction whose end has not come: its flat record so far."""

    app: str
    record: dict[str, Any]

    @property
    def began(self) -> datetime | None:
        """When; None where that lies outside the calendar."""
        return _moment(self.record["ts"])


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits of one app. `since` is the time of the oldest prediction that is whole and not in the log.

    `writers` are processes that may still write; `dead` are predictions whose process ended before they did; `notes`
    say what recorders could not write and what cannot be read.
    """

    app: str
    segments: int
    bytes: int
    predictions: int
    since: datetime | None
    writers: int
    running: tuple[Running, ...]
    dead: int
    gaps: int
    torn: int
    lossy: int
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "app": self.app, "segments": self.segments, "bytes": self.bytes, "predictions": self.predictions,
            "since": iso(self.since) if self.since else None, "writers": self.writers, "running": len(self.running),
            "dead": self.dead, "gaps": self.gaps, "torn": self.torn, "lossy": self.lossy, "notes": list(self.notes),
        }  # fmt: skip


def waiting(layout: Layout) -> tuple[Waiting, ...]:
    """What waits, app by app. Predictions that an ingest would take in are counted, those that run are read."""
    if not layout.segments.is_dir():
        return ()
    folders = sorted(path for path in layout.segments.iterdir() if path.is_dir())
    return tuple(_app(folder) for folder in folders if frames.app_of(folder.name).isprintable())


def _app(folder: Path) -> Waiting:
    app = frames.app_of(folder.name)
    found = sessions(folder)
    predictions = dead = gaps = torn = lossy = writers = 0
    oldest: int | None = None
    running: list[Running] = []
    notes: list[str] = []
    for session in found:
        mark = read_mark(folder, session)
        for news in catch_up(folder, session, mark):
            predictions += len(news.predictions) - news.unfinished
            whole = (record["ts"] for record in news.predictions if isinstance(record["ts"], int))
            oldest = min((ts for ts in (oldest, *whole) if ts is not None), default=None)
            dead, gaps, torn = dead + news.unfinished, gaps + news.gaps, torn + news.torn
            notes += news.notes
        lossy += mark.lossy
        writers += not mark.over
        running += [Running(app, record) for record in _running(folder, session, mark)]
    paths = [path for paths in found.values() for path in paths]
    size = sum(path.stat().st_size for path in paths if path.exists())
    since = None if oldest is None else _moment(oldest)
    return Waiting(
        app, len(paths), size, predictions, since, writers, tuple(running), dead, gaps, torn, lossy, tuple(notes)
    )


def _moment(us: int) -> datetime | None:
    with contextlib.suppress(OverflowError):  # an app may say any time at all
        return from_micros(us)
    return None


def _running(folder: Path, session: str, mark: Mark) -> list[dict[str, Any]]:
    """The records so far of predictions whose end has not come."""
    records = []
    facts: dict[str, Any] = {}
    for stream, (number, start, end) in sorted(mark.begun.items()):
        try:
            with (folder / frames.segment_name(bytes.fromhex(session), number)).open("rb") as file:
                header = file.read(frames.HEADER_BYTES)
                if not facts:
                    first = read_segment(header + file.read(1 << 16)).frames[:1]
                    facts = decode(first[0].body) if first and first[0].kind == frames.Kind.PROCESS else {"pid": None}
                file.seek(start)
                found = read_segment(header + file.read(end - start)).frames
        except FileNotFoundError:  # its recorder overwrote it meanwhile
            continue
        if found:
            record = flat.prediction(decode(found[0].body), [], bytes.fromhex(session), stream)
            told = {f"hardware.{fact}": facts[fact] for fact in ("host", "gpu") if fact in facts}
            records.append(record | told | {"recorder.pid": facts.get("pid")})
    return records
