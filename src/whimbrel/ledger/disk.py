"""The one door to the disk: whole files that appear at once or not at all, and stretches written in place.

Every change goes through the four small methods `_write`, `_sync`, `_rename` and `_sync_folder`, so that a test can let each
of them fail in turn. A file is readable by all, one under `private/` by its owner only.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from whimbrel.errors import StoreError

_DRAFTS = "private/drafts"


class Disk:
    """The folder of a ledger."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._drafts = 0

    def read(self, path: str) -> bytes:
        """The bytes of a file. Raises FileNotFoundError."""
        return (self.root / path).read_bytes()

    def put(self, files: Iterable[tuple[str, bytes]]) -> None:
        """Write whole files, in this order, and return when they are safely there. An absolute path lies outside, and is secret."""
        folders: dict[Path, None] = {}
        drafts: list[tuple[Path, Path]] = []
        for path, data in files:
            target, outside = self.root / path, Path(path).is_absolute()
            folders |= dict.fromkeys(self._made(target.parent))
            draft = target.with_name(target.name + ".new") if outside else self._draft()
            self._write(draft, 0, data, secret=outside or path.startswith("private/"), whole=True)
            drafts.append((draft, target))
        for draft, _ in drafts:  # after all are written: the disk then has much to do once, not a little many times
            self._sync(draft)
        for draft, target in drafts:
            self._rename(draft, target)
            folders[target.parent] = None
        for folder in folders:
            self._sync_folder(folder)

    def patch(self, path: str, offset: int, data: bytes) -> None:
        """Write a stretch of a secret file in place, and return when it is safely there."""
        target = self.root / path
        made = self._made(target.parent)
        fresh = not target.exists()
        self._write(target, offset, data, secret=True)
        self._sync(target)
        for folder in dict.fromkeys([*made, *([target.parent] if fresh else [])]):
            self._sync_folder(folder)

    def remove(self, path: str) -> None:
        """Remove what is superseded: a file, or a folder of files; one that cannot be removed stays."""
        target = self.root / path
        with contextlib.suppress(OSError):
            if target.is_dir():
                for one in target.iterdir():
                    one.unlink()
                target.rmdir()
            else:
                target.unlink()

    def sweep(self) -> None:
        """Remove drafts that somebody who was killed left behind."""
        self._made(self.root / _DRAFTS)
        for left in (self.root / _DRAFTS).iterdir():
            left.unlink(missing_ok=True)

    def _draft(self) -> Path:
        self._drafts += 1
        return self.root / _DRAFTS / str(self._drafts)

    def _made(self, folder: Path) -> list[Path]:
        """Make a folder; gives the folders that have one more entry now."""
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for one in reversed(missing):
            one.mkdir(mode=0o700 if one.name == "private" else 0o755, exist_ok=True)
        return [one.parent for one in missing]

    def _write(self, path: Path, offset: int, data: bytes, *, secret: bool, whole: bool = False) -> None:
        how = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if whole else 0)
        handle = os.open(path, how, 0o600 if secret else 0o644)
        try:
            left = memoryview(data)
            while left:
                written = os.pwrite(handle, left, offset)
                left, offset = left[written:], offset + written
        finally:
            os.close(handle)

    def _sync(self, path: Path) -> None:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def _rename(self, draft: Path, target: Path) -> None:
        draft.replace(target)

    def _sync_folder(self, folder: Path) -> None:
        self._sync(folder)


@contextlib.contextmanager
def disk_errors(where: Path, doing: str) -> Iterator[None]:
    """Turn what the disk says into a StoreError that says what to do."""
    try:
        yield
    except OSError as error:
        full = error.errno in (28, 122)  # ENOSPC, EDQUOT
        raise StoreError(
            f"cannot {doing}: {error.strerror or error}", where=str(error.filename or where),
            why="the disk is full" if full else "the folder cannot be used by this user, or the disk fails",
            next="free some space and go on: what was acknowledged is safe" if full else f"look at it: ls -la {where}",
        ) from error  # fmt: skip
