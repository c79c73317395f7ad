"""One process of this machine at a time: whoever comes second waits."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator
from pathlib import Path

from whimbrel.errors import StoreError

_WAIT_S = 600.0


@contextlib.contextmanager
def alone(path: Path, doing: str, *, wait_s: float = _WAIT_S) -> Iterator[None]:
    """Hold the lock file `path` while the block runs; `doing` is what its holder does. It is free again when a process dies.

    Raises:
        StoreError: somebody else held it all the time.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StoreError(
                        f"another process has been {doing} for {wait_s / 60:.0f} minutes", where=str(path),
                        why="it is stopped, or has very much to do", next=f"see who holds it: fuser {path}",
                    ) from None  # fmt: skip
                time.sleep(0.02)
        yield
