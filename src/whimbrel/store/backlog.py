"""What recorders have written and the log has not taken in yet: one session at a time, from a bookmark on.

In: an app's folder of segments, a session, its `Mark`. Out: `News`, some thousand records at a time; with each the
mark moves on, and is to be kept once the news is safely in the log. Nothing is written or removed here, and reading
again from the same mark gives the same news, ids included: that is what makes ingest exactly-once. Only
`store/ingest.py` may call.

The mark says how far each segment was read, and where the BEGINs stand whose END has not come: a prediction that runs
for hours is joined when it ends, wherever its two halves lie.
"""

from __future__ import annotations

import contextlib
import fcntl
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from whimbrel.errors import InputError
from whimbrel.record import flat, frames
from whimbrel.record.reader import Frame, Index, decode_body, is_newer, read_header, read_segment, scan
from whimbrel.store.bodies import EXACT, PADDING
from whimbrel.store.plans import Halves, Plans
from whimbrel.store.records import Records

Place = tuple[int, int, int]
"""Where a frame stands: number of the segment, first byte, byte after the last."""

_NAME = re.compile(r"([0-9a-f]{32})-\d{6,}\.seg")
_SETTLED_S = 10.0
_ABANDONED_S = 86_400.0
_FACTS_BYTES = 1 << 16
_PIECE = 10_000
"""Frames that are read together."""

_BEGIN, _END = _HALVES = int(frames.Kind.BEGIN), int(frames.Kind.END)


class Mark(msgspec.Struct, kw_only=True):
    """How much of one session is in the log."""

    read: dict[int, int] = {}
    """How far each segment was taken in (bytes)."""
    begun: dict[int, Place] = {}
    """BEGINs that wait for their END, by stream."""
    ended: dict[int, Place] = {}
    """ENDs whose BEGIN was not found yet, by stream."""
    parts: dict[int, list[Place]] = {}
    """What was written ahead of ENDs that have not come, by stream."""
    seen: int = 0
    """Predictions of which there is a trace; `low` and `top` are the first and last of their numbers."""
    low: int = 0
    top: int = 0
    told: bool = False
    """Whether the process has its row."""
    hurt: set[int] = set()
    """Segments of which a part could not be read."""
    lossy: bool = False
    """Whether the recorder said that it could not write everything."""
    over: bool = False
    """Whether the session is wholly in."""

    @property
    def gaps(self) -> int:
        """Predictions of which there is none."""
        return self.top - (0 if 1 in self.read else self.low - 1) - self.seen if self.seen else 0


@dataclass(slots=True)
class News:
    """What a stretch of a session brought."""

    predictions: Records = field(default_factory=Records)
    labels: list[dict[str, Any]] = field(default_factory=list)
    decisions: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    processes: list[dict[str, Any]] = field(default_factory=list)
    size: int = 0
    """Bytes of segments that it was read from."""
    unfinished: int = 0
    torn: int = 0
    gaps: int = 0
    notes: list[str] = field(default_factory=list)
    done: list[Path] = field(default_factory=list)
    """Segments that may be removed once the news is in."""
    hurt: list[Path] = field(default_factory=list)
    """The same, of which a part could not be read: to be kept for a closer look."""


def read_mark(folder: Path, session: str) -> Mark:
    """How far a session is in the log. Where the mark is missing all is read again: ids prevent doubles."""
    try:
        return msgspec.json.decode((folder / f".{session}.mark").read_bytes(), type=Mark)
    except (FileNotFoundError, msgspec.MsgspecError):
        return Mark()


def sessions(folder: Path) -> dict[str, list[Path]]:
    """The segments of an app's folder by session, oldest session first."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if name := _NAME.fullmatch(path.name):
            found.setdefault(name[1], []).append(path)
    return found


def catch_up(folder: Path, session: str, mark: Mark) -> Iterator[News]:
    """All that a session's segments hold beyond the mark, which moves on with each piece."""
    reading = _Reading(folder, session, mark)
    yield from reading.segments()
    if mark.ended:
        # Where an END was read and its BEGIN was not, the BEGIN was written to a segment that we had passed already,
        # and stands there now. An END that is still alone after another look has lost its BEGIN to damage.
        alone = set(mark.ended)
        yield from reading.segments()
        yield reading.orphans(alone)
    yield reading.rest()


class _Reading:
    """One look at a session's segments."""

    def __init__(self, folder: Path, session: str, mark: Mark) -> None:
        self.folder = folder
        self.session = session
        self.mark = mark
        self.bodies: dict[Place, bytes] = {}
        self.id = bytes.fromhex(session)
        self.plans = Plans(self.id, {})
        self.still: set[Path] = set()
        """Segments that nobody writes any more."""

    def paths(self) -> list[Path]:
        """The session's segments as they are now."""
        return sorted(self.folder.glob(f"{self.session}-*.seg"))

    def segments(self) -> Iterator[News]:
        """What is new in each segment."""
        for path in self.paths():
            try:
                yield from self.segment(path)
            except FileNotFoundError:
                pass  # its recorder had no more room and overwrote it; its numbers will be missed
            except InputError as error:
                if idle(path, locked=True):
                    news = News()
                    self.spoiled(path, f"{error.what}; {error.why}", news)
                    self.still.add(path)
                    yield news

    def segment(self, path: Path) -> Iterator[News]:
        """What is new in one segment."""
        number = number_of(path)
        with path.open("rb") as file:
            head = file.read(frames.HEADER_BYTES)
            if is_newer(head):
                yield News(notes=[f"{path}: a newer Whimbrel wrote it; it is left for that to take in"])
                return
            header = read_header(head)
            # Asked before reading: what is still now can only be read whole.
            still = idle(path, locked=bool(header.flags & frames.LOCKED))
            self.learn(head + file.read(_FACTS_BYTES))
            file.seek(0, 2)
            size, start = file.tell(), self.mark.read.get(number, 0)
            if still:
                self.still.add(path)
            if size <= start:
                return
            file.seek(0)
            data = file.read()
        index = scan(data, start)
        news = News()
        for begin, end in index.damaged:
            self.spoiled(path, f"bytes {begin} to {end} are damaged and were skipped", news)
        if still and index.tail:
            self.spoiled(path, f"its last {index.tail} bytes are torn: no whole frame", news)
        padded = data + bytes(PADDING)
        for first in range(0, len(index.starts), _PIECE):
            last = min(first + _PIECE, len(index.starts))
            self.piece(index, range(first, last), padded, path, news)
            news.size = index.ends[last - 1] - index.starts[first]
            self.mark.read[number] = index.ends[last - 1]
            yield news
            news = News()
        self.mark.read[number] = index.end + (index.tail if still else 0)
        yield news

    def piece(self, index: Index, frames_: range, data: bytes, path: Path, news: News) -> None:
        """Some frames' worth of news. Predictions both halves of which are among them are flattened together."""
        mark, records, number = self.mark, news.predictions, number_of(path)
        starts, ends, kinds, streams = index.starts, index.ends, index.kinds, index.streams
        opened: dict[int, int] = {}
        begins, closes, numbers, counted = [], [], [], []
        for at in frames_:
            kind, stream = kinds[at], streams[at]
            if kind == _END and stream in opened and stream not in mark.parts:
                begins.append(opened.pop(stream))
                closes.append(at)
                numbers.append(records.number())
            elif kind == _BEGIN and stream not in opened and stream not in mark.ended and stream < EXACT:
                opened[stream] = at
                counted.append(stream)
            else:
                if stream in opened:
                    self.wait(mark.begun, index, opened.pop(stream), number, data)
                frame = index.frame(at, data)
                self.take(frame, (number, frame.start, frame.end), path, news)
        for at in opened.values():
            self.wait(mark.begun, index, at, number, data)
        self.count(counted)
        if numbers:
            first, last = np.array(starts[frames_.start : frames_.stop]), np.array(ends[frames_.start : frames_.stop])
            first, last = first + frames.HEAD.size, last - frames.CHECK_BYTES
            begun, closed = np.array(begins) - frames_.start, np.array(closes) - frames_.start
            told = np.array([streams[at] for at in begins])
            halves = Halves(told, (first[begun], last[begun]), (first[closed], last[closed]), np.array(numbers))
            for row, error in self.plans.take(records, data, halves):
                self.misread(starts[closes[row]], error, path, news)

    def wait(self, halves: dict[int, Place], index: Index, at: int, number: int, data: bytes) -> None:
        """Keep a half until the other one comes."""
        frame = index.frame(at, data)
        place = number, frame.start, frame.end
        halves[frame.stream], self.bodies[place] = place, frame.body

    def misread(self, start: int, error: Exception, path: Path, news: News) -> None:
        """Say which frame has a body that makes no sense."""
        self.spoiled(path, f"the frame at byte {start} is whole, and cannot be understood: {error}", news)

    def spoiled(self, path: Path, why: str, news: News) -> None:
        """Say what could not be read."""
        self.mark.hurt.add(number_of(path))
        news.torn += 1
        news.notes.append(f"{path}: {why}")

    def learn(self, head: bytes) -> None:
        """The facts of the process: the first frame of each segment."""
        first = next(iter(read_segment(head).frames), None)
        if first is not None and first.kind == frames.Kind.PROCESS:
            with contextlib.suppress(InputError):
                facts = first.decode()
                place = {f"hardware.{fact}": facts[fact] for fact in ("host", "gpu") if fact in facts}
                if place != self.plans.place:
                    self.plans = Plans(self.id, place)

    def take(self, frame: Frame, place: Place, path: Path, news: News) -> None:
        """One frame's worth of news."""
        try:
            if frame.kind in _HALVES:
                self.half(frame, place, news)
                return
            match frame.kind:
                case frames.Kind.PART:
                    self.mark.parts.setdefault(frame.stream, []).append(place)
                    self.bodies[place] = frame.body
                case frames.Kind.LABEL:
                    news.labels.append(flat.label(frame.decode()))
                case frames.Kind.DECISION:
                    news.decisions += flat.decisions(frame.decode())
                case frames.Kind.EVENT:
                    news.events.append(flat.event(frame.decode()))
                case frames.Kind.PROCESS if not self.mark.told:
                    news.processes.append(flat.process(frame.decode()))
                    self.mark.told = True
                case frames.Kind.LOSS:
                    self.mark.lossy = True
                    counts = ", ".join(f"{why}: {count}" for why, count in frame.decode().items())
                    news.notes.append(f"{path}: its recorder could not write everything ({counts})")
        except (InputError, AttributeError, TypeError, KeyError, ValueError) as error:
            self.misread(frame.start, error, path, news)

    def half(self, frame: Frame, place: Place, news: News) -> None:
        """A BEGIN or an END: joined with its other half, or kept until that comes."""
        mark, stream = self.mark, frame.stream
        if frame.kind == _BEGIN:
            self.count((stream,))
            if stream in mark.ended:
                self.join(stream, frame.body, self.body(mark.ended.pop(stream)), news)
            else:
                mark.begun[stream], self.bodies[place] = place, frame.body
        elif stream in mark.begun:
            self.join(stream, self.body(mark.begun.pop(stream)), frame.body, news)
        else:
            mark.ended[stream], self.bodies[place] = place, frame.body

    def count(self, streams: Sequence[int]) -> None:
        """Predictions of which there is a trace."""
        mark = self.mark
        if streams:
            mark.seen += len(streams)
            mark.top = max(mark.top, max(streams))
            mark.low = min(mark.low or min(streams), min(streams))

    def body(self, place: Place) -> bytes | None:
        """The body of a frame that was read earlier, maybe by another process; None where its segment is gone."""
        held = self.bodies.pop(place, None)
        if held is not None:
            return held
        number, start, end = place
        try:
            with (self.folder / frames.segment_name(bytes.fromhex(self.session), number)).open("rb") as file:
                header = file.read(frames.HEADER_BYTES)
                file.seek(start)
                found = read_segment(header + file.read(end - start)).frames
        except FileNotFoundError:
            return None
        return found[0].body if found else None

    def join(self, stream: int, begin: bytes | None, end: bytes | None, news: News) -> None:
        """One prediction, from what there is of it."""
        parts = [self.body(place) for place in self.mark.parts.pop(stream, ())] if self.mark.parts else ()
        lost = ""
        if end is None and (self.mark.lossy or self.mark.hurt):
            lost = "its end may be among what could not be written or read"
        records = news.predictions
        self.plans.slowly(records, begin, end, stream, parts, records.number(), lost)

    def orphans(self, streams: set[int]) -> News:
        """Predictions of which only the end is left."""
        news = News()
        for stream in sorted(streams & self.mark.ended.keys()):
            self.count((stream,))
            self.join(stream, None, self.body(self.mark.ended.pop(stream)), news)
        return news

    def rest(self) -> News:
        """Segments that may go; where the session is over, what never ended and what is missing."""
        news = News()
        paths = self.paths()
        over = self.still.issuperset(paths)
        if over:
            for stream, place in sorted(self.mark.begun.items()):
                self.join(stream, self.body(place), None, news)
                news.unfinished += 1
            self.mark.begun, self.mark.parts = {}, {}
            news.gaps = 0 if self.mark.over else self.mark.gaps
            self.mark.over = True
            if news.gaps:
                news.notes.append(f"process {self.session}: {news.gaps} of its predictions were not recorded")
        waiting = {place[0] for place in (*self.mark.begun.values(), *self.mark.ended.values())}
        waiting |= {place[0] for places in self.mark.parts.values() for place in places}
        for path in paths:
            if path in self.still and number_of(path) not in waiting and (over or settled(path)):
                (news.hurt if number_of(path) in self.mark.hurt else news.done).append(path)
        return news


def number_of(path: Path) -> int:
    """A segment's number in its session."""
    return int(path.stem.rpartition("-")[2])


def decode(body: bytes | None) -> Any:
    """A body's content; None where there is none."""
    return None if body is None else decode_body(body)


def idle(path: Path, *, locked: bool) -> bool:
    """Whether nobody will write a segment any more: its lock is free, or, without locks, nobody has for a day."""
    if locked:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            except OSError:
                pass  # a file system without locks
            else:
                return True
    return time.time() - path.stat().st_mtime > _ABANDONED_S


def settled(path: Path) -> bool:
    """Whether a write that was under way when its segment was rotated has long ended."""
    return time.time() - path.stat().st_mtime > _SETTLED_S
