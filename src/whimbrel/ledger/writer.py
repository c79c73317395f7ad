"""The ledger's writer: entries in, a larger signed tree out; whatever fails in between, nothing acknowledged is lost.

A commit writes, in this order: seeds of salts, bundles of entries, tiles from low to high, the state, the memory of what
was signed, the checkpoint. Each file appears whole or not at all, and is on the disk before the next kind begins. The state is
what decides: it is written when all that it speaks of is safe, and whoever opens the ledger next publishes the checkpoint for it.
Files of a commit that did not come so far are written again. `commit` returns when the checkpoint is published: only then
is an entry acknowledged.

In a ledger's folder: `log.json` (name and public keys), `checkpoint` and `tile/` as C2SP tlog-tiles has them, `checkpoints/`
(all that were published, by day), and `private/`: state, seeds, index. One process writes at a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self, TextIO
from zlib import crc32

import numpy as np

from whimbrel.errors import StoreError, UsageError
from whimbrel.ledger.disk import Disk, disk_errors
from whimbrel.ledger.keys import Keys
from whimbrel.ledger.merkle.notes import Key, split_note
from whimbrel.ledger.merkle.proofs import Checkpoint, read_checkpoint
from whimbrel.ledger.merkle.tiles import LONGEST_ENTRY, WIDTH, Tiles, bundle, tile_path, width_at
from whimbrel.ledger.merkle.tree import EMPTY, ProofError, leaf_hashes, range_hash, root_of
from whimbrel.ledger.reader import LOG_FILE, NAMES, PLACES, SEED, STATE, read_log, read_state, seeds_at, tiles_of

MOST = 65_536
"""Entries after which whoever takes many should commit."""

_TURN = "private/turn"
_LOOK_S = 0.02
_THIN_AFTER = timedelta(days=30)
_DAY = "%Y-%m-%d"


class Ledger:
    """The writer of one ledger; `with Ledger(folder, keys) as ledger:` holds it alone.

    Args:
        folder: the ledger's.
        keys: its own.
        disk: what it is written through.
        wait: seconds to wait for whoever writes to it, and to ask him to let it go meanwhile (`wanted`).

    Raises:
        UsageError: there is no ledger, or the key is another one's.
        StoreError: another process writes to it; it is damaged; or less is left of it than was signed.
    """

    def __init__(self, folder: Path, keys: Keys, *, disk: Callable[[Path], Disk] = Disk, wait: float = 0) -> None:
        self.folder, self.keys = folder, keys
        self.disk = disk(folder)
        self.size, self.root, self.cursor = 0, EMPTY, dict[str, Any]()
        self.published = time.monotonic()
        self._levels: list[list[bytes]] = []
        self._tail: list[bytes] = []
        self._forget()
        self._lock = _locked(folder, wait)
        try:
            with disk_errors(folder, "open the ledger"):
                self._recover()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let it go; what was not committed is not in it."""
        self._lock.close()

    @property
    def wanted(self) -> bool:
        """Whether another process waits for its turn: whoever holds the ledger for long lets go of it then."""
        with (self.folder / _TURN).open("a") as turn:
            return not _taken(turn)

    @property
    def checkpoint(self) -> Checkpoint:
        """The tree that was published last."""
        return Checkpoint(self.keys.origin, self.size, self.root)

    @property
    def waiting(self) -> int:
        """Entries that were taken and not committed."""
        return len(self._entries)

    def append(self, entry: bytes, *, seed: bytes = bytes(SEED), name: str = "", place: str = "") -> int:
        """Take one entry for the next commit; gives its index. `name` and `place` are what it can be found by."""
        return self.extend([entry], seed, [name], [place])

    def extend(self, entries: Sequence[bytes], seeds: bytes, names: Sequence[str], places: Sequence[str]) -> int:
        """Take entries for the next commit; gives the index of the first.

        Args:
            entries: lines of JSON, at most 65,535 bytes each, stored as they are.
            seeds: 32 bytes for each.
            names: what each can be found by.
            places: its producer and number there, as it can be found too.
        """
        if max(map(len, entries), default=0) > LONGEST_ENTRY:
            raise UsageError("an entry is too long", where="ledger", why=f"its most are {LONGEST_ENTRY} bytes")
        first = self.size + len(self._entries)
        self._entries += entries
        self._seeds.append(seeds)
        self._names += map(crc32, map(str.encode, names))
        self._places += map(crc32, map(str.encode, places))
        return first

    def commit(self, cursor: Mapping[str, Any] | None = None) -> Checkpoint:
        """Put what was taken into the tree, sign and publish it; `cursor` says how far its source was read.

        Raises:
            StoreError: the disk is full or fails. What was taken is kept, and the next commit tries again.
        """
        if not self._entries and cursor in (None, self.cursor):
            return self.checkpoint
        with disk_errors(self.folder, "write to the ledger"):
            size = self.size + len(self._entries)
            levels, tiles = grown(self._levels, leaf_hashes(self._entries), self.size)
            root = range_hash(edge(levels), 0, size)
            held = self._tail + self._entries
            self._keep_private()
            self.disk.put(bundles(held, self.size // WIDTH) + tiles)
            cursor = dict(self.cursor if cursor is None else cursor)
            state = {"size": size, "root": root.hex(), "cursor": cursor}
            self.disk.put([(STATE, json.dumps(state).encode())])
            if size > self.size:
                self._publish(Checkpoint(self.keys.origin, size, root))
        before, self.size, self.root, self.cursor = self.size, size, root, cursor
        self._levels, self._tail = levels, held[len(held) - size % WIDTH :]
        self._forget()
        self._tidy(before)
        return self.checkpoint

    def _forget(self) -> None:
        """Nothing waits for the next commit."""
        self._entries: list[bytes] = []
        self._seeds: list[bytes] = []
        self._names: list[int] = []
        self._places: list[int] = []

    def _keep_private(self) -> None:
        """Seeds and index of what was taken."""
        seeds, at = b"".join(self._seeds), self.size
        while seeds:
            path, offset, room = seeds_at(at)
            part = seeds[:room]
            self.disk.patch(path, offset, part)
            seeds, at = seeds[room:], at + len(part) // SEED
        for path, held in ((NAMES, self._names), (PLACES, self._places)):
            self.disk.patch(path, 4 * self.size, np.array(held, "<u4").tobytes())

    def _publish(self, tree: Checkpoint) -> None:
        """Remember the tree, sign it, and let everyone see it."""
        self.disk.put([self.keys.memo(tree)])
        self.publish_again(tree.sign(*self.keys.signers))
        self.published = time.monotonic()

    def publish_again(self, note: bytes) -> None:
        """Let everyone see a note of the head: newly signed, or with cosignatures; all that were published are kept by day."""
        self.disk.put([("checkpoint", note)])
        now = datetime.now(UTC)
        line = json.dumps({"t": now.isoformat(), "checkpoint": note.decode()}) + "\n"
        with contextlib.suppress(OSError):  # for whoever looks back; the checkpoint itself is out
            folder = self.folder / "checkpoints"
            folder.mkdir(exist_ok=True)
            today = folder / f"{now:{_DAY}}.jsonl"
            fresh = not today.exists()
            with today.open("a", encoding="utf-8") as days:
                days.write(line)
            if fresh:
                self._thin(now)

    def _thin(self, now: datetime) -> None:
        """Of the checkpoints of days long past keep the last of each hour, and the last that most had signed."""
        for path in (self.folder / "checkpoints").glob("????-??-??.jsonl"):
            if path.stem >= f"{now - _THIN_AFTER:{_DAY}}":
                continue
            kept: dict[tuple[str, int], str] = {}
            for text in path.read_text("utf-8").splitlines():
                with contextlib.suppress(ValueError, KeyError, AttributeError):  # a line that was cut
                    held = json.loads(text)
                    kept[held["t"][:13], held["checkpoint"].count("\n")] = text
            self.disk.put(
                [(f"checkpoints/{path.stem}.hourly.jsonl", "".join(f"{one}\n" for one in kept.values()).encode())]
            )
            path.unlink()

    def _tidy(self, before: int) -> None:
        """Remove partial tiles that are full now."""
        level: int | str
        for height in range(8):
            number = (before >> 8 * height) // WIDTH
            if width_at(height, number, before) < WIDTH <= width_at(height, number, self.size):
                for level in (height, *(("entries",) if height == 0 else ())):
                    self.disk.remove(f"{tile_path(level, number)}.p")

    def _recover(self) -> None:
        """Open the tree that the state speaks of, check it against what was signed, and publish it where that was not done."""
        log = read_log(self.folder)
        if log.origin != self.keys.origin or self.keys.signers[0].key not in log.keys:
            raise UsageError(
                f"the key is none of the ledger {log.origin!r}", where=str(self.folder / LOG_FILE),
                why="it is another ledger's, or the key was changed since", next="say where this one's key is: WHIMBREL_LEDGER_KEY=FILE",
            )  # fmt: skip
        self.disk.sweep()
        self.size, self.root, self.cursor = read_state(self.folder)
        try:
            nodes = tiles_of(self.folder, self.size)
            self._load(nodes)
            behind = self._signed(nodes) < self.size or not self._is_published(log.keys)
        except ProofError as error:
            _damaged(self.folder, str(error.what), error.where)
        if behind:
            self._publish(self.checkpoint)

    def _load(self, nodes: Tiles) -> None:
        """The right edge of the tree, from its tiles; the last bundle must be what they say."""
        size, level = self.size, 0
        while size:
            self._levels.append(list(nodes.tile(level, size // WIDTH)) if size % WIDTH else [])
            size, level = size // WIDTH, level + 1
        self._tail = nodes.entries(self.size // WIDTH) if self.size % WIDTH else []
        if self.size and range_hash(edge(self._levels), 0, self.size) != self.root:
            raise ProofError("the tiles do not make the root that the state has", where="tile/")
        if self._tail and leaf_hashes(self._tail) != self._levels[0]:
            raise ProofError(
                "the last entries are not those of their tile", where=tile_path("entries", self.size // WIDTH)
            )

    def _signed(self, nodes: Tiles) -> int:
        """The size of the largest tree that was signed; the tree must continue it."""
        signed = self.keys.signed()
        if signed is None:
            raise StoreError(
                "nobody knows what this ledger has signed", where=str(self.keys.memory), why="the file beside the key is gone, or the key was moved without it",
                next="bring that file along with the key; if it is lost: whimbrel ledger init --new-origin NAME",
            )  # fmt: skip
        if signed.size > self.size:
            raise StoreError(
                f"a tree of {signed.size} entries was signed, and {self.size} are left", where=str(self.folder),
                why="an old backup was put back, or files were removed",
                next="bring back the newer files; if they are lost: whimbrel ledger init --new-origin NAME",
            )  # fmt: skip
        if signed.size and range_hash(nodes, 0, signed.size) != signed.root:
            raise StoreError(
                f"the first {signed.size} entries are not those that were signed", where=str(self.folder), why="the ledger was forked or rewritten",
                next="keep both for whoever looks into it, and start anew: whimbrel ledger init --new-origin NAME",
            )  # fmt: skip
        return signed.size

    def _is_published(self, keys: Sequence[Key]) -> bool:
        """Whether the checkpoint that everyone sees is of this tree, and signed by the keys in use and no others."""
        try:
            note = self.disk.read("checkpoint")
        except FileNotFoundError:
            return False
        found, _ = read_checkpoint(note, keys, self.keys.origin)
        if found.size > self.size or (found.size == self.size and found.root != self.root):
            raise ProofError(f"the checkpoint is of another tree, of {found.size} entries", where="checkpoint")
        by = {body[:4] for name, body in split_note(note)[1] if name == self.keys.origin}
        return found.size == self.size and by == {one.key.id for one in self.keys.signers}


def grown(
    levels: Sequence[Sequence[bytes]], leaves: Sequence[bytes], size: int
) -> tuple[list[list[bytes]], list[tuple[str, bytes]]]:
    """A tree's right edge with more leaves, and the tiles that are new, as (path, bytes), from low to high.

    `levels[L]` are the hashes in the partial tile at level L of the tree of `size` leaves.
    """
    grow = [list(level) for level in levels]
    files: list[tuple[str, bytes]] = []
    row, level = list(leaves), 0
    while row:
        held = [*(grow[level] if level < len(grow) else ()), *row]
        number, row = size // WIDTH, []
        full = len(held) // WIDTH * WIDTH
        for at in range(0, full, WIDTH):
            tile = held[at : at + WIDTH]
            files.append((tile_path(level, number), b"".join(tile)))
            row.append(root_of(tile))
            number += 1
        if full < len(held):
            files.append((tile_path(level, number, len(held) - full), b"".join(held[full:])))
        grow[level : level + 1] = [held[full:]]
        size, level = size // WIDTH, level + 1
    return grow, files


def bundles(entries: Sequence[bytes], number: int) -> list[tuple[str, bytes]]:
    """Bundles of entries, the first of which begins the bundle of this number."""
    parts = [entries[at : at + WIDTH] for at in range(0, len(entries), WIDTH)]
    return [(tile_path("entries", number + i, len(part)), bundle(part)) for i, part in enumerate(parts)]


def edge(levels: Sequence[Sequence[bytes]]) -> Callable[[int, int], bytes]:
    """The nodes at the right edge of a tree, of which alone the root is made."""

    def node(level: int, index: int) -> bytes:
        tall, short = divmod(level, 8)
        at = (index << short) % WIDTH
        return root_of(levels[tall][at : at + (1 << short)])

    return node


def create(folder: Path, keys: Keys, *, disk: Callable[[Path], Disk] = Disk) -> None:
    """Make an empty ledger in a folder that has none. Its checkpoint is that of the empty tree."""
    log = {"origin": keys.origin, "keys": [str(one.key) for one in keys.signers]}
    with disk_errors(folder, "make a ledger"):
        folder.mkdir(parents=True, exist_ok=True)
        made = disk(folder)
        made.sweep()
        made.put([keys.memo(Checkpoint(keys.origin, 0, EMPTY))])
        made.put([(STATE, json.dumps({"size": 0, "root": EMPTY.hex(), "cursor": {}}).encode())])
        made.put([(LOG_FILE, json.dumps(log, indent=1).encode() + b"\n")])  # last: with it the folder is a ledger
    Ledger(folder, keys, disk=disk).close()


def _locked(folder: Path, wait: float) -> TextIO:
    """The ledger's lock. Who waits for it holds another one meanwhile, the turn, which whoever has the lock looks at."""
    read_log(folder)
    with disk_errors(folder, "open the ledger"):
        (folder / "private").mkdir(mode=0o700, exist_ok=True)
        handle = (folder / "private" / "lock").open("a", encoding="ascii")
        turn = (folder / _TURN).open("a", encoding="ascii")
    deadline = time.monotonic() + wait
    with turn:
        while not (_taken(turn) and _taken(handle)):
            if time.monotonic() >= deadline:
                handle.close()
                raise StoreError(
                    "another process writes to the ledger", where=str(folder / "private" / "lock"), why="a ledger has one sequencer at a time",
                    next=f"see who holds it: fuser {folder / 'private' / 'lock'}",
                )  # fmt: skip
            time.sleep(_LOOK_S)
    return handle


def _taken(handle: TextIO) -> bool:
    """Whether the lock on a file is ours now."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _damaged(folder: Path, what: str, where: str) -> NoReturn:
    raise StoreError(
        f"the ledger is damaged: {what}", where=f"{folder}: {where}", why="a file was changed or lost after it was written",
        next="see what is wrong: whimbrel ledger verify",
    )  # fmt: skip
