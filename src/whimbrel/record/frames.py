"""The bytes of a segment, as `docs/format.md` specifies them: its header, its frames, the id that a frame stands for.

Pure functions of values; `segment.py` writes with them, `reader.py` reads with them.
"""

from __future__ import annotations

import os
import struct
from enum import IntEnum
from typing import NamedTuple

from xxhash import xxh3_64_digest

MAGIC = b"\x89WHM\r\n\x1a\n"
"""Opens every segment: not text, and broken by whatever rewrites line ends."""

VERSION = 1
LOCKED = 1
"""Header flag: while the file may still grow, its writer holds an exclusive flock on it."""

HEADER = struct.Struct("<8sHHIIIQ16sQ")
HEADER_BYTES = HEADER.size + 8
HEAD = struct.Struct("<IIQI")
"""Mark, length, stream, kind; flags and the two bytes after them are 0, and so is the rest of the kind's integer."""

CHECK_BYTES = 8
MAX_BODY = 8 << 20
"""No frame's body is longer (bytes); a reader may take a longer length for damage."""


_HEADS = tuple(bytes((0x90 | n,)) for n in range(16))
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")


class Kind(IntEnum):
    """What a frame is. Readers skip kinds they do not know."""

    PROCESS = 1
    BEGIN = 2
    END = 3
    LABEL = 4
    DECISION = 5
    EVENT = 6
    LOSS = 7
    PART = 8
    COUNTERS = 9
    CLOCK = 10


class Header(NamedTuple):
    """The first 64 bytes of a segment; `seed` and `mark` are the same in all segments of a session."""

    session: bytes
    number: int
    seed: int
    mark: int
    opened_us: int
    flags: int = 0
    version: int = VERSION

    def pack(self) -> bytes:
        """The header's bytes, its checksum included."""
        known = self.version, HEADER_BYTES, self.flags, self.mark, self.number, self.seed, self.session, self.opened_us
        fields = HEADER.pack(MAGIC, *known)
        return fields + xxh3_64_digest(fields, self.seed)


def new_seed() -> tuple[int, int]:
    """A session's checksum seed and its frame mark, both unguessable, so that recorded text cannot pose as a frame."""
    return int.from_bytes(os.urandom(8), "little"), int.from_bytes(os.urandom(4), "little") | 1


def frame(mark: int, seed: int, kind: int, stream: int, body: bytes) -> bytes:
    """One frame: head, body, checksum over both."""
    data = HEAD.pack(mark, len(body), stream, kind) + body
    return data + xxh3_64_digest(data, seed)


def array_head(n: int) -> bytes:
    """The msgpack head of an array of `n` items that follow it."""
    if n < 16:
        return _HEADS[n]
    return b"\xdc" + n.to_bytes(2, "big") if n < 1 << 16 else b"\xdd" + n.to_bytes(4, "big")


def new_session(now_us: int) -> bytes:
    """A fresh session's UUIDv7 (RFC 9562), 16 bytes."""
    return _uuid7(now_us, int.from_bytes(os.urandom(10), "little") >> 6).to_bytes(16, "big")


def prediction_id(session: bytes, seq: int, ts_us: int) -> str:
    """The UUIDv7 of a session's `seq`-th prediction: its time, its number, and the session's 42 random bits."""
    return numbered_id(noise(session), seq, ts_us)


def noise(session: bytes) -> int:
    """The 42 random bits of a session that are in the ids of its predictions."""
    return int.from_bytes(session[10:], "big") & ((1 << 42) - 1)


def numbered_id(noise: int, seq: int, ts_us: int) -> str:
    """`prediction_id`, where the session's noise is known: 32 bits of the number lie around the variant's two."""
    ms = ts_us // 1000
    time, number = (ms >> 16 & 0xFFFFFFFF, ms & 0xFFFF), (seq >> 20 & 0xFFF, 0x8000 | seq >> 6 & 0x3FFF)
    return "%08x-%04x-7%03x-%04x-%012x" % (*time, *number, (seq & 0x3F) << 42 | noise)  # noqa: UP031  half the time


def _uuid7(ts_us: int, bits74: int) -> int:
    stamp = (ts_us // 1000) & ((1 << 48) - 1)
    return stamp << 80 | 7 << 76 | (bits74 >> 62) << 64 | 2 << 62 | (bits74 & ((1 << 62) - 1))


def folder_of(app: str) -> str:
    """The name of an app's folder, as everywhere in a log: percent-encoded, with `~` for the percent sign."""
    encoded = "".join(chr(byte) if byte in _SAFE else f"~{byte:02X}" for byte in app.encode())
    return f"~{ord(app[0]):02X}{encoded[1:]}" if app[0] in "._" else encoded


def app_of(folder: str) -> str:
    """The app whose folder this is: the inverse of `folder_of`."""
    from urllib.parse import unquote  # costs an import that a recorder need not take

    return unquote(folder.replace("~", "%"))


def segment_name(session: bytes, number: int) -> str:
    """A segment's file name; names sort in the order of writing."""
    return f"{session.hex()}-{number:06d}.seg"
