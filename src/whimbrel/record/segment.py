"""Where frames go: one process's session of one app, and the segment file that it has open.

One `write(2)` with O_APPEND a frame: the page cache holds it when the process is killed, threads need no lock, and a
full disk is an error code. The file descriptor keeps its number while segments rotate: dup2 puts the next file under
it, so that a thread which is about to write hits one of the two, never a stranger's file. All segments of a session
share seed and mark, so that its frame is valid in both. Only `recorder.py` and `prediction.py` may call.
"""

from __future__ import annotations

import _thread
import contextlib
import errno
import fcntl
import itertools
import mmap
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from xxhash import xxh3_64_digest

from whimbrel.record import frames, values
from whimbrel.record.policy import Policy, Rules

if TYPE_CHECKING:
    from pathlib import Path

SEGMENT_BYTES = 16 << 20
"""A segment is followed by the next once it is this long."""

LOOK_US = 1_000_000
"""How often a session looks around for what happened to its folder and its clock."""

_HIGH_FD = 512  # a number that an app which closes and opens files by hand is unlikely to meet
_MADV_WIPEONFORK = 18
_FIRST_FEW = 5
_SLACK = 1 << 20  # what a full segment may still grow while another thread opens the next
_AGAIN = frozenset((frames.Kind.BEGIN, frames.Kind.PART, frames.Kind.CLOCK, frames.Kind.LOSS))
_CLOCK_US = 60_000_000
_JUMP_US = 100_000
_head = frames.HEAD.pack
_write = os.write


class Session:
    """One process's run of one recorder: its ids, its counters, its open segment. A forked child makes its own."""

    def __init__(self, folder: Path, facts: Callable[[Session], dict[str, Any]], policy: Policy) -> None:
        self.folder = folder
        self.opened_us = time.time_ns() // 1000
        self.id = frames.new_session(self.opened_us)
        self.next_seq = itertools.count(1).__next__
        self.losses: dict[str, int] = {}
        self.rules = Rules(policy, self.losses) if policy.redact else None
        self.page = _fork_page()
        self._seed, self._mark = frames.new_seed()
        self._facts = facts
        self._policy = policy
        self.limit = policy.entry_bytes
        self._next_number = itertools.count(1).__next__
        self._fd = -1
        self._file: tuple[int, int] | None = None
        self._room = 0
        self._retry_at = 0.0
        self._retry_s = 0.25
        self._refused = OSError(errno.EBADF, "no segment is open")
        self.owed = False
        self.looked_us = self.look_at_us = 0
        self._clock_at_us = 0
        self._ahead_us = 0
        self._turn = _thread.allocate_lock()  # only ever tried, never waited for
        self._heir: Session | None = None

    def write(self, kind: int, stream: int, body: bytes) -> bool:
        """Append one frame; True once the kernel has it. A disk that fails makes it False.

        That is counted for what is then lost. A BEGIN and a PART are tried again with the END, which stands for the whole
        prediction; a CLOCK and a LOSS come again by themselves.
        """
        if self.rules is not None:
            body = self.rules.apply(kind, body)
        data = _head(self._mark, len(body), stream, kind) + body
        data += xxh3_64_digest(data, self._seed)
        try:
            wrote = _write(self._fd, data)
        except OSError as error:
            wrote = self._elsewhere(data, error, kind)
        if wrote != len(data):
            if wrote:
                self._missed(kind, "ENOSPC", f"only {wrote} of {len(data)} bytes fitted")
            return False
        self._room -= wrote
        if self._room < 0:
            self._rotate()
        if self.owed:
            self.owed = False
            if self.losses:
                self.write(frames.Kind.LOSS, 0, values.encode(self.losses))
        return True

    def look(self, now_us: int) -> None:
        """Look around, once a second at most: is the segment still in its folder, and does the clock run as it did?"""
        self.looked_us, self.look_at_us = now_us, now_us + LOOK_US
        with contextlib.suppress(OSError):
            if self._fd >= 0 and self._file == identity(self._fd) and os.fstat(self._fd).st_nlink == 0:
                self.lost("deleted segment", f"{self.folder} was removed; what its last segment held is gone")
                self.owed = True
                self._rotate()
        ahead_us = now_us - time.monotonic_ns() // 1000
        if now_us >= self._clock_at_us or abs(ahead_us - self._ahead_us) > _JUMP_US:
            self._clock_at_us = now_us + _CLOCK_US
            self._ahead_us = ahead_us
            self.write(frames.Kind.CLOCK, 0, values.encode({"ts": now_us, "monotonic": now_us - ahead_us}))

    def lost(self, why: str, detail: object = "") -> None:
        """Count something that was not recorded, and log the first few."""
        count = self.losses[why] = self.losses.get(why, 0) + 1
        if count <= _FIRST_FEW:
            with contextlib.suppress(Exception):
                import logging  # only where something went wrong

                logging.getLogger("whimbrel.record").warning("not recorded (%s): %s", why, detail)

    def heir(self) -> Session:
        """This session; in a forked child one of its own, for what it has to say of its parent's predictions."""
        if self.page[0]:
            return self
        if self._heir is None or not self._heir.page[0]:
            self._heir = type(self)(self.folder, self._facts, self._policy)
        return self._heir

    def close(self) -> None:
        """Let go of the segment, where it is still ours; the next frame opens another."""
        fd, self._fd = self._fd, -1
        if fd >= 0 and self._file == identity(fd):
            os.close(fd)

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # while the interpreter shuts down, anything may be gone
            self.close()

    def _missed(self, kind: int, why: str, detail: object) -> None:
        """A frame was not written."""
        self.owed = True
        if kind not in _AGAIN:
            self.lost(why, f"a frame for {self.folder}: {detail}")

    def _elsewhere(self, data: bytes, error: OSError, kind: int) -> int:
        """A frame that could not be written: where no segment is open, open one and write it there; else count it."""
        if error.errno == errno.EBADF and self.page[0]:
            stale = self._file
            try:
                return os.write(self._fd, data)  # another thread has opened one meanwhile
            except OSError:
                pass
            if time.monotonic() < self._retry_at:
                error = self._refused
            else:
                try:
                    return self._open(stale, data)
                except OSError as refused:
                    self._retry_s = min(60.0, self._retry_s * 2)
                    self._retry_at = time.monotonic() + self._retry_s
                    error = self._refused = refused
        self._missed(kind, _reason(error), error)
        return 0

    def _open(self, stale: tuple[int, int] | None, data: bytes) -> int:
        """Write a frame to a new segment and keep that; of threads that each open one at once, one is kept."""
        fd, kept = self._create(), False
        try:
            if self._turn.acquire(blocking=False):
                if self._file == stale:
                    if stale is not None and identity(self._fd) == stale:
                        os.dup2(fd, self._fd, inheritable=False)  # where `_stop` has left its mark
                    else:
                        self._fd, kept = fd, True
                    self._file = identity(fd)
                    self._room, self._retry_s = SEGMENT_BYTES, 0.25
                self._turn.release()
            return os.write(fd, data)
        finally:
            if not kept:
                os.close(fd)

    def _rotate(self) -> None:
        """Put the next segment under the descriptor, and let go of the full one."""
        if not self.page[0]:
            return  # it is our parent's to rotate
        if not self._turn.acquire(blocking=False):  # another thread does it, or a signal came while this one did
            if self._room < -_SLACK:
                time.sleep(0.001)  # and comes to it late: threads that write on and on keep it from the interpreter
            return
        try:
            fd = self._create()
            if identity(self._fd) == self._file:
                full = os.dup(self._fd)
                os.dup2(fd, self._fd, inheritable=False)
                fcntl.flock(full, fcntl.LOCK_UN)  # even where a child still holds the file open
                os.close(full)
                os.close(fd)
            else:
                self._fd = fd  # the app closed ours: whatever bears its number now is not ours to touch
            self._file, self._room = identity(self._fd), SEGMENT_BYTES
        except OSError as error:
            self._room = SEGMENT_BYTES >> 4  # the full one goes on for another MiB, and then we try again
            self.lost(f"rotation {_reason(error)}", error)
            if error.errno == errno.EDQUOT and self._policy.when_full == "stop":
                self._stop(error)
        finally:
            self._turn.release()

    def _stop(self, error: OSError) -> None:
        """Let go of the segment and keep its number, so that no other thread writes to a stranger's file meanwhile."""
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)  # what cannot be written to answers EBADF
        os.dup2(nothing, self._fd, inheritable=False)
        os.close(nothing)
        self._file = identity(self._fd)
        self._refused, self._retry_at = error, time.monotonic() + self._retry_s

    def _create(self) -> int:
        """A new segment's descriptor. The file bears its name only once it is locked and its first frame is in it."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._make_room()
        name = frames.segment_name(self.id, number := self._next_number())
        draft = self.folder / f".{name}.new"
        fd = os.open(draft, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            flags = frames.LOCKED if lock(fd, fcntl.LOCK_EX) else 0
            now = time.time_ns() // 1000
            header = frames.Header(self.id, number, self._seed, self._mark, now, flags).pack()
            facts, _ = values.rescue(self._facts(self), "process")
            data = header + frames.frame(self._mark, self._seed, frames.Kind.PROCESS, 0, values.encode(facts))
            if os.write(fd, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            draft.rename(self.folder / name)
        except BaseException:
            os.close(fd)
            draft.unlink(missing_ok=True)
            raise
        with contextlib.suppress(OSError):  # a low limit of open files: the number it has is good enough
            fd, low = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH_FD), fd
            os.close(low)
        return fd

    def _make_room(self) -> None:
        """Keep the app's folder within its budget: the oldest segments that nobody writes any more go first."""
        sizes: dict[Path, int] = {}
        for path in sorted(self.folder.glob("*.seg")):
            with contextlib.suppress(FileNotFoundError):  # taken into the log meanwhile
                sizes[path] = path.stat().st_size
        budget = self._policy.budget_bytes
        excess = sum(sizes.values()) + SEGMENT_BYTES - budget
        if excess > 0 and self._policy.when_full == "stop":
            raise OSError(errno.EDQUOT, f"recordings may take {budget} bytes, and nothing is to be overwritten")
        for path, size in sizes.items():
            if excess <= 0:
                return
            with contextlib.suppress(FileNotFoundError):
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    idle = lock(fd, fcntl.LOCK_SH)
                finally:
                    os.close(fd)
                if idle:
                    path.unlink(missing_ok=True)
                    excess -= size
                    self.owed = True
                    self.lost("overwritten segment", f"{path} made room, for recordings may take {budget} bytes")


class Page(Protocol):
    """Says at index 0 whether this is still the process that made it."""

    def __getitem__(self, index: int, /) -> int: ...


class _Pid:
    """The slower way of telling a forked child, for kernels that cannot wipe a page on fork."""

    def __init__(self) -> None:
        self.pid = os.getpid()

    def __getitem__(self, index: int, /) -> int:
        return self.pid == os.getpid()


def _fork_page() -> Page:
    """A page of memory that reads 1 here and 0 in every forked child, even of a fork() in C."""
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        page.madvise(_MADV_WIPEONFORK)
    except (OSError, ValueError):
        return _Pid()
    page[0] = 1
    return page


def lock(fd: int, how: int) -> bool:
    """Try a flock; False where another holds it, or where the file system has none."""
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def identity(fd: int) -> tuple[int, int] | None:
    """Which file a descriptor stands for; None where for none."""
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _reason(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, "OSError")
