"""What is on a ledger's disk, read: its name and keys, state, tree, entries, and where an entry is.

In: a ledger's folder. Out: values. Nothing is locked or written; what is read here is believed by nobody until it is checked
against a checkpoint.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from whimbrel.errors import StoreError, UsageError
from whimbrel.ledger.disk import disk_errors
from whimbrel.ledger.merkle.notes import Key, read_key
from whimbrel.ledger.merkle.proofs import Checkpoint, read_checkpoint
from whimbrel.ledger.merkle.tiles import Tiles
from whimbrel.ledger.merkle.tree import ProofError

LOG_FILE, STATE, NAMES, PLACES = "log.json", "private/state.json", "private/names.u4", "private/places.u4"
SEED = 32
_BLOCK = 65_536


@dataclass(frozen=True, slots=True)
class Log:
    """A ledger's name and the public keys that sign for it."""

    origin: str
    keys: tuple[Key, ...]


def read_log(folder: Path) -> Log:
    """The ledger's name and keys, as it says itself.

    Raises:
        UsageError: there is no ledger.
        StoreError: the file is damaged.
    """
    with disk_errors(folder, "read the ledger"):
        try:
            held = json.loads((folder / LOG_FILE).read_bytes())
            return Log(held["origin"], tuple(map(read_key, held["keys"])))
        except FileNotFoundError:
            raise UsageError(
                "there is no ledger", where=str(folder), why="none was made yet", next="whimbrel ledger init"
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError, ProofError) as error:
            raise StoreError(
                f"the ledger's name and keys cannot be read: {error}", where=str(folder / LOG_FILE), why="the file was changed",
                next="put it back from a backup",
            ) from error  # fmt: skip


def read_state(folder: Path) -> tuple[int, bytes, dict[str, Any]]:
    """Size, root and cursor of the tree that was written last. Raises StoreError."""
    try:
        held = json.loads((folder / STATE).read_bytes())
        return int(held["size"]), bytes.fromhex(held["root"]), dict(held["cursor"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"the ledger's state cannot be read: {error}", where=str(folder / STATE), why="the file was changed or removed",
            next="put it back from a backup",
        ) from error  # fmt: skip


def tiles_of(folder: Path, size: int) -> Tiles:
    """The tree of so many leaves, read from the folder's tiles."""

    def fetch(path: str, full: str) -> bytes:
        for one in (path, full):
            try:
                return (folder / one).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                continue
        raise ProofError("a file of the tree is missing", where=path, why="it was removed, or never arrived")

    return Tiles(fetch, size)


def read_head(folder: Path, keys: tuple[Key, ...] = ()) -> tuple[Checkpoint, bytes]:
    """The published checkpoint, checked with the given keys or the ledger's own, and its bytes.

    Raises:
        StoreError: there is none.
        ProofError: it does not hold.
    """
    log = read_log(folder)
    try:
        note = (folder / "checkpoint").read_bytes()
    except OSError as error:
        raise StoreError(
            "the ledger has no checkpoint", where=str(folder / "checkpoint"), why="it was removed",
            next="the next entry brings one: whimbrel ledger write",
        ) from error  # fmt: skip
    return read_checkpoint(note, keys or log.keys, log.origin)[0], note


def seeds_at(index: int) -> tuple[str, int, int]:
    """Where the seed of an entry's salts lies: path, offset, and how many bytes of seeds the file has room for from there."""
    block, at = divmod(index, _BLOCK)
    return f"private/seeds/{block:06d}", at * SEED, (_BLOCK - at) * SEED


def read_seed(folder: Path, index: int) -> bytes:
    """The seed of an entry's salts; zeros where it has none, or where it was erased."""
    path, offset, _ = seeds_at(index)
    try:
        with (folder / path).open("rb") as file:
            file.seek(offset)
            return file.read(SEED).ljust(SEED, b"\0")
    except FileNotFoundError:
        return bytes(SEED)


def erased_path(index: int) -> str:
    """Where the digests of an erased entry's groups lie."""
    return f"private/erased/{index:012d}.json"


def read_erased(folder: Path, index: int) -> list[str] | None:
    """The digests of an erased entry's groups, in hexadecimal; None where it was not erased."""
    try:
        return [str(one) for one in json.loads((folder / erased_path(index)).read_bytes())["digests"]]
    except FileNotFoundError:
        return None


def candidates(folder: Path, what: str, text: str, size: int) -> list[int]:
    """Indexes at which the entry of this name (`what` is NAMES) or place (PLACES) may be; a few may be others'."""
    try:
        held = np.memmap(folder / what, "<u4", "r")
    except (OSError, ValueError):
        return []
    found: list[int] = np.flatnonzero(held[:size] == crc32(text.encode())).tolist()
    return found
