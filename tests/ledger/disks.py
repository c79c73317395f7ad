"""Disks that fail: at one step, from one step on, or by killing the process at one; and ledgers to try them on."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

from whimbrel.ledger.disk import Disk
from whimbrel.ledger.keys import Keys, load_keys, make_key
from whimbrel.ledger.merkle.proofs import Checkpoint
from whimbrel.ledger.merkle.tree import leaf_hash, range_hash, root_of
from whimbrel.ledger.reader import read_head, tiles_of

ORIGIN = "log.example/fares"


class FailingDisk(Disk):
    """Counts its steps (a write, a sync, a rename, a folder's sync) and fails at number `at`; `torn`, half a write is done before."""

    def __init__(
        self, root: Path, at: int, error: int = errno.EIO, *, for_good: bool = False, torn: bool = True
    ) -> None:
        super().__init__(root)
        self.at, self.error, self.for_good, self.torn, self.steps = at, error, for_good, torn, 0

    def due(self) -> bool:
        self.steps += 1
        return self.steps == self.at or (self.for_good and self.steps > self.at)

    def fail(self, path: Path) -> None:
        raise OSError(self.error, os.strerror(self.error), str(path))

    def _write(self, path: Path, offset: int, data: bytes, *, secret: bool, whole: bool = False) -> None:
        if self.due():
            if self.torn:
                super()._write(path, offset, data[: len(data) // 2], secret=secret, whole=whole)
            self.fail(path)
        super()._write(path, offset, data, secret=secret, whole=whole)

    def _sync(self, path: Path) -> None:
        if self.due():
            self.fail(path)  # else nothing: a process that ends loses nothing of what it wrote

    def _rename(self, draft: Path, target: Path) -> None:
        if self.due():
            self.fail(target)
        super()._rename(draft, target)


class KillingDisk(FailingDisk):
    """Kills the process at that step."""

    def fail(self, path: Path) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


def keys_in(folder: Path) -> Keys:
    """The key of a test's ledger, made where there is none."""
    path = folder / "key"
    return load_keys(ORIGIN, path) if path.exists() else make_key(ORIGIN, path)


def entry(number: int) -> bytes:
    return b'{"v":1,"k":"test","id":"%d"}' % number


def count_in(folder: Path) -> int:
    """How many entries a ledger has, after everything was checked: the checkpoint's signature, each entry, each tile, the root."""
    head: Checkpoint = read_head(folder)[0]
    nodes = tiles_of(folder, head.size)
    entries = [one for number in range(-(-head.size // 256)) for one in nodes.entries(number)]
    assert entries == [entry(i) for i in range(head.size)]
    assert root_of(list(map(leaf_hash, entries))) == head.root
    assert range_hash(nodes, 0, head.size) == head.root
    return head.size
