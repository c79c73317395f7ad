"""Segments read back: bytes to frames, each checked, and the frames' bodies to plain values.

In: a segment's bytes. Out: its header, its good frames, what was damaged or torn. Pure functions; `store/ingest.py`
may call, and whoever wants to look into a segment. `flat.py` makes predictions of what comes out.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
from xxhash import xxh3_64_digest

from whimbrel.errors import InputError
from whimbrel.record import frames
from whimbrel.record.values import ARRAY

_CHECK_BYTES, _MAX_BODY = frames.CHECK_BYTES, frames.MAX_BODY


class Frame(NamedTuple):
    """One good frame: where it starts and ends in the segment (bytes), its kind, its stream, its body."""

    start: int
    end: int
    kind: int
    stream: int
    body: bytes

    def decode(self) -> Any:
        """The body's content.

        Raises:
            InputError: the checksum is right and the body is not msgpack that can be read.
        """
        return decode_body(self.body, self)


@dataclass(frozen=True, slots=True)
class Segment:
    """What a stretch of a segment holds. `end` is where its last good frame ends; `tail` is what follows that (bytes).

    `damaged` are the stretches (start, end) between good frames that are none.
    """

    header: frames.Header
    frames: tuple[Frame, ...]
    end: int
    tail: int
    damaged: tuple[tuple[int, int], ...] = field(default=())


def is_newer(data: bytes) -> bool:
    """Whether a segment was written by a version of the format that is still to come here."""
    return data[:8] == frames.MAGIC and int.from_bytes(data[8:10], "little") > frames.VERSION


def read_header(data: bytes) -> frames.Header:
    """The first 64 bytes of a segment.

    Raises:
        InputError: too short, no segment, a header that is damaged, or one of a version to come.
    """
    size = frames.HEADER.size
    if len(data) < frames.HEADER_BYTES or data[:8] != frames.MAGIC:
        raise InputError("this is no segment", why=f"it begins with {data[:8]!r} and not with {frames.MAGIC!r}")
    magic, version, length, flags, mark, number, seed, session, opened = frames.HEADER.unpack_from(data)
    del magic
    if version != frames.VERSION or length != frames.HEADER_BYTES:
        raise InputError(
            f"the segment is of version {version}, and this reader knows {frames.VERSION}",
            why="a newer Whimbrel wrote it", next="upgrade: pip install --upgrade whimbrel",
        )  # fmt: skip
    if xxh3_64_digest(data[:size], seed) != data[size : frames.HEADER_BYTES]:
        raise InputError("the segment's header is damaged", why="its checksum does not fit")
    return frames.Header(session, number, seed, mark, opened, flags, version)


@dataclass(slots=True)
class Index:
    """Where the good frames of a stretch of a segment stand: one item a frame in each list; the rest as in `Segment`."""

    header: frames.Header
    starts: list[int]
    ends: list[int]
    kinds: list[int]
    streams: list[int]
    end: int
    tail: int = 0
    damaged: list[tuple[int, int]] = field(default_factory=list)

    def frame(self, at: int, data: bytes) -> Frame:
        """One of the frames, taken out of the segment's bytes."""
        start, end = self.starts[at], self.ends[at]
        return Frame(start, end, self.kinds[at], self.streams[at], data[start + frames.HEAD.size : end - _CHECK_BYTES])


def scan(data: bytes, start: int = 0) -> Index:
    """Find and check every frame from `start` on, as `read_segment` does, and take none of them out.

    Raises:
        InputError: the header cannot be read.
    """
    header = read_header(data)
    at = end = max(start, frames.HEADER_BYTES)
    found = Index(header, [], [], [], [], end)
    starts, ends, kinds, streams = found.starts.append, found.ends.append, found.kinds.append, found.streams.append
    sign, mark, seed, view = struct.pack("<I", header.mark), header.mark, header.seed, memoryview(data)
    unpack, digest, total, around = frames.HEAD.unpack_from, xxh3_64_digest, len(data), frames.HEAD.size + _CHECK_BYTES
    while at + around <= total:
        told, length, stream, kind = unpack(data, at)
        after = at + around + length
        check = after - _CHECK_BYTES
        if (
            told == mark
            and length <= _MAX_BODY
            and after <= total
            and digest(view[at:check], seed) == data[check:after]
        ):
            if at > end and data[end:at].strip(b"\0"):
                found.damaged.append((end, at))
            starts(at)
            ends(after)
            kinds(kind & 0xFF)
            streams(stream)
            at = end = after
        elif (at := data.find(sign, at + 1)) < 0:
            break
    found.end, found.tail = end, len(data[end:].rstrip(b"\0"))
    return found


def read_segment(data: bytes, start: int = 0) -> Segment:
    """Every good frame from `start` on (an offset that an earlier reading ended at; 0 for all).

    Raises:
        InputError: the header cannot be read.
    """
    index = scan(data, start)
    found = tuple(index.frame(at, data) for at in range(len(index.starts)))
    return Segment(index.header, found, index.end, index.tail, tuple(index.damaged))


def decode_body(body: bytes, frame: Frame | None = None) -> Any:
    """A body's content; `frame` is the one that it came in, where that is known.

    Raises:
        InputError: it is no msgpack that can be read.
    """
    try:
        return _DECODER.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError, struct.error) as error:
        raise InputError(
            f"a frame{f' of kind {frame.kind}' if frame else ''} cannot be decoded: {error}",
            where=f"bytes {frame.start} to {frame.end}" if frame else f"a body of {len(body)} bytes",
            why="it was written by another program, or nested too deeply",
        ) from error  # fmt: skip


class Array(NamedTuple):
    """An array as it was recorded: its shape and its items, row by row."""

    shape: tuple[int, ...]
    items: list[Any]


def _extension(code: int, data: memoryview) -> Any:
    if code != ARRAY:
        return f"<extension {code}>"
    letter, dimensions = struct.unpack_from("<cB", data)
    shape = struct.unpack_from(f"<{dimensions}I", data, 2)
    count = math.prod(shape)
    return Array(shape, list(struct.unpack_from(f"<{count}{letter.decode()}", data, 2 + 4 * dimensions)))


_DECODER = msgspec.msgpack.Decoder(ext_hook=_extension)
