"""Frames copied into a mapped file: no system call for a frame, and the page cache holds it when the process is killed.

The segment is mapped a window at a time. A window's blocks are allocated and its pages made writable before it is used: a
disk that is full, or fails, then says so with an error code, where a fault in the middle of a copy would be a SIGBUS. What
that cannot rule out is somebody who truncates the file: `policy.py` leaves the choice to the app. `mmap.write` moves the
window's position and copies in one step under the interpreter's lock, so that threads and signal handlers need no other.
Whatever cannot be copied (no room in the window while another thread opens the next, a frame too long for one, a file
system that cannot allocate ahead) is written as `segment.py` writes. Only `recorder.py` may call.
"""

from __future__ import annotations

import _thread
import contextlib
import fcntl
import mmap
import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from xxhash import xxh3_64_digest

from whimbrel.record import frames, segment, values
from whimbrel.record.policy import Policy
from whimbrel.record.segment import Session, identity

if TYPE_CHECKING:
    from pathlib import Path

WINDOW_BYTES = 256 << 10
"""How much of a segment is allocated and mapped at a time."""

_POPULATE_WRITE = 23  # MADV_POPULATE_WRITE of Linux 5.14
_LONGEST = WINDOW_BYTES // 4
_RETRY_S = 1.0
_head = frames.HEAD.pack
_stuck: list[mmap.mmap] = []


class Mapped(Session):
    """A session whose segment is a mapped file."""

    def __init__(self, folder: Path, facts: Callable[[Session], dict[str, Any]], policy: Policy) -> None:
        super().__init__(folder, facts, policy)
        self._window: mmap.mmap | None = None
        self._copy: Callable[[bytes], object] = _nowhere
        self._base = 0
        self._held = self._twin = -1
        self._holds: tuple[int, int] | None = None
        self._moves_at = 0.0 if usable() else float("inf")
        self._moving = _thread.allocate_lock()  # only ever tried, never waited for

    def write(self, kind: int, stream: int, body: bytes) -> bool:
        """Append one frame; True once it is in the file."""
        said = body if self.rules is None else self.rules.apply(kind, body)
        data = _head(self._mark, len(said), stream, kind) + said
        data += xxh3_64_digest(data, self._seed)
        try:
            self._copy(data)
        except ValueError:
            if not self._further(data):
                return super().write(kind, stream, body)
        if self.owed:
            self.owed = False
            if self.losses:
                self.write(frames.Kind.LOSS, 0, values.encode(self.losses))
        return True

    def look(self, now_us: int) -> None:
        """Look around; a mapped file that was removed, or is another's, is let go before it is touched again."""
        self._check()
        super().look(now_us)

    def close(self) -> None:
        """Let go of the segments; one that is mapped ends where its last frame ends."""
        self._check()
        with contextlib.suppress(ValueError):  # another thread has let go of it meanwhile
            if self.page[0] and self._window is not None:
                self._let_go(self._seal())
        self._let_go()
        super().close()

    def _check(self) -> None:
        """Let go of a mapped file that was removed, made shorter, or closed by the app: it is not to be touched."""
        if self._window is None or not self.page[0]:
            return
        if identity(self._held) != self._holds:
            self._let_go()
            return
        status = os.fstat(self._held)
        if status.st_nlink == 0 or status.st_size < self._base + WINDOW_BYTES:
            self._let_go()
            what = "truncated" if status.st_nlink else "deleted"
            self.lost(f"{what} segment", f"one in {self.folder}; what its last segment held is gone")
            self.owed = True

    def _further(self, data: bytes) -> bool:
        """Copy a frame into the next window, or into one that another thread has opened; False where neither is possible."""
        if len(data) > _LONGEST or time.monotonic() < self._moves_at or not self.page[0]:
            return False
        if not self._moving.acquire(blocking=False):
            return False  # another thread opens the next window, or a signal came while this one did
        try:
            with contextlib.suppress(ValueError):
                self._copy(data)
                return True
            self._move()
            self._copy(data)
        except (OSError, ValueError):
            self._moves_at = time.monotonic() + _RETRY_S
            return False
        else:
            return True
        finally:
            self._moving.release()

    def _move(self) -> None:
        """Open the next window, in the same segment or in the next."""
        self._check()
        end = self._seal() if self._window is not None else segment.SEGMENT_BYTES
        if end >= segment.SEGMENT_BYTES:
            self._let_go(end)
            self._held = self._create()
            self._holds = identity(self._held)
            end = os.fstat(self._held).st_size
        base = end - end % mmap.ALLOCATIONGRANULARITY
        try:
            os.posix_fallocate(self._held, base, WINDOW_BYTES)
            twin = os.dup(self._held)  # the lowest number that is free: the next to take it is the window's own
            os.close(twin)
            window = mmap.mmap(self._held, WINDOW_BYTES, offset=base)
            window.madvise(_POPULATE_WRITE)
        except (OSError, ValueError):
            self._let_go(end)
            raise
        window.seek(end - base)
        before = self._window
        self._base, self._window, self._copy = base, window, window.write
        self._unmap(before)
        self._twin = twin

    def _seal(self) -> int:
        """Fill the window, so that no thread can add to it; where in the file its last frame ends."""
        window, at = self._window, WINDOW_BYTES
        while window is not None:
            at = window.tell()
            with contextlib.suppress(ValueError):  # a short frame of another thread came first
                window.write(bytes(WINDOW_BYTES - at))
                break
        return self._base + at

    def _let_go(self, end: int | None = None) -> None:
        """Let go of a segment without touching its pages; one whose window is sealed ends at `end`."""
        window, held, ours = self._window, self._held, identity(self._held) == self._holds
        self._copy, self._window, self._held = _nowhere, None, -1
        if ours and end is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(held, end)
                fcntl.flock(held, fcntl.LOCK_UN)  # even where a child still holds the file open
        self._unmap(window)
        self._holds = None
        if ours and held >= 0:
            os.close(held)

    def _unmap(self, window: mmap.mmap | None) -> None:
        """Let go of a window, and of the descriptor it has of its own, unless its number is another file's by now."""
        if window is None:
            return
        if identity(self._twin) == self._holds:
            window.close()
        else:
            _stuck.append(window)  # the app closed all files: what bears the number now is not ours to close


def usable() -> bool:
    """Whether this platform can say beforehand that a mapped page may be written, and Python copies in one step."""
    with_lock: Callable[[], bool] = getattr(sys, "_is_gil_enabled", lambda: True)
    return sys.platform == "linux" and hasattr(os, "posix_fallocate") and with_lock()


def _nowhere(data: bytes) -> None:  # noqa: ARG001  it stands in for a window's `write`
    raise ValueError
