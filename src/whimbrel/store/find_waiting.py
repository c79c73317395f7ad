"""One prediction among what recorders wrote and the log has not taken in yet: looked at, and left where it is.

In: a log's layout, an app, an id. Out: `Waits`. `find.py` calls.

An id that the app gave stands in the frame as it is; one that the recorder made holds the number of the prediction and the
end of its session's name. So no frame need be decoded but those of the one prediction.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from whimbrel.errors import InputError
from whimbrel.record import flat, frames
from whimbrel.record.reader import Frame, Segment, read_segment
from whimbrel.store.backlog import decode, idle, sessions
from whimbrel.store.layout import Layout

_NOISE = (1 << 42) - 1


@dataclass(slots=True)
class Waits:
    """What waits of one id: its flat record and state, where its beginning is there; labels and decisions that came later."""

    record: dict[str, Any] | None = None
    state: str = ""
    process: dict[str, Any] = field(default_factory=dict)
    labels: list[dict[str, Any]] = field(default_factory=list)
    decisions: list[dict[str, Any]] = field(default_factory=list)


def apps_waiting(layout: Layout) -> tuple[str, ...]:
    """The apps that recorders wrote segments of."""
    root = layout.segments
    names = [frames.app_of(path.name) for path in root.iterdir() if path.is_dir()] if root.is_dir() else []
    return tuple(name for name in names if name.isprintable())


def waits_of(layout: Layout, app: str, ident: str) -> Waits:
    """What waits of an id."""
    found = Waits()
    folder = layout.segments / frames.folder_of(app)
    if not folder.is_dir():
        return found
    made, sign = _made(ident), ident.encode()
    for session, paths in sessions(folder).items():
        stream = made[1] if made and made[0] == int(session, 16) & _NOISE else None
        held = _segments(paths, None if stream is not None else sign)
        mine = [frame for segment in held for frame in segment.frames if _is_of(frame, stream, sign)]
        _said_later(mine, ident, found)
        begins = [frame for frame in mine if frame.kind == frames.Kind.BEGIN]
        if found.record is None and begins:
            _take(folder, session, ident, begins, found)
    return found


def _is_of(frame: Frame, stream: int | None, sign: bytes) -> bool:
    return (stream is not None and frame.stream & 0xFFFFFFFF == stream) or sign in frame.body


def _made(ident: str) -> tuple[int, int] | None:
    """The session's random bits and the number in an id that a recorder made; see `frames.prediction_id`."""
    with contextlib.suppress(ValueError):
        whole = UUID(ident)
        if whole.version == 7:
            return whole.int & _NOISE, (whole.int >> 64 & 0xFFF) << 20 | whole.int >> 42 & 0xFFFFF
    return None


def _segments(paths: list[Path], sign: bytes | None) -> Iterator[Segment]:
    """The segments that hold a sign anywhere, or all."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError, InputError):  # taken in meanwhile, or no segment
            data = path.read_bytes()
            if sign is None or sign in data:
                yield read_segment(data)


def _said_later(mine: list[Frame], ident: str, found: Waits) -> None:
    for frame in mine:
        with contextlib.suppress(InputError, AttributeError, TypeError, KeyError, ValueError):  # none of ours
            if frame.kind == frames.Kind.LABEL:
                said = flat.label(frame.decode())
                found.labels += [said] if said["id"] == ident else []
            elif frame.kind == frames.Kind.DECISION:
                found.decisions += [said for said in flat.decisions(frame.decode()) if said["id"] == ident]


def _take(folder: Path, session: str, ident: str, begins: list[Frame], found: Waits) -> None:
    """The record whose beginning is among these frames, joined with the rest of it."""
    paths = sorted(folder.glob(f"{session}-*.seg"))
    for begin in begins:
        whole = _joined(paths, bytes.fromhex(session), begin.stream)
        if whole is None or whole["id"] != ident:
            continue
        found.process = _process(paths)
        place = {f"hardware.{fact}": found.process[fact] for fact in ("host", "gpu") if fact in found.process}
        found.record = whole | place
        error = whole.get("error")
        found.state = "failed" if error else "ended"
        if error == flat.UNFINISHED:
            over = all(idle(path, locked=True) for path in paths)
            found.state = "unfinished" if over else "running"
            if not over:
                del found.record["error"]
        return


def _joined(paths: list[Path], session: bytes, stream: int) -> dict[str, Any] | None:
    begin, end, parts = None, None, []
    for segment in _segments(paths, None):
        for frame in segment.frames:
            if frame.stream != stream:
                continue
            if frame.kind == frames.Kind.BEGIN:
                begin = decode(frame.body)
            elif frame.kind == frames.Kind.END:
                end = decode(frame.body)
            elif frame.kind == frames.Kind.PART:
                parts.append(decode(frame.body))
    return flat.prediction(begin, end, session, stream, parts) if begin or end else None


def _process(paths: list[Path]) -> dict[str, Any]:
    """The facts of the process, from the first frame of any of its segments."""
    for segment in _segments(paths, None):
        first = segment.frames[:1]
        if first and first[0].kind == frames.Kind.PROCESS:
            with contextlib.suppress(InputError):
                return flat.process(first[0].decode())
    return {}


def beginning_with(layout: Layout, app: str, start: str, most: int) -> Iterator[str]:
    """Ids that begin so, at most so many."""
    folder = layout.segments / frames.folder_of(app)
    if not folder.is_dir():
        return
    for session, paths in sessions(folder).items():
        for segment in _segments(paths, None):
            for frame in segment.frames:
                if frame.kind != frames.Kind.BEGIN:
                    continue
                with contextlib.suppress(InputError, AttributeError, KeyError, TypeError):
                    body = frame.decode()
                    whole = body.get("id") or frames.prediction_id(bytes.fromhex(session), frame.stream, body["ts"])
                    if whole.startswith(start) and most > 0:
                        most -= 1
                        yield whole
