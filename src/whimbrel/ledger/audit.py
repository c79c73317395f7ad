"""A whole ledger checked: every entry hashed again, every tile, the root, the signature, what went before, and the numbers.

In: a ledger's folder, the reader's keys and policy, an older checkpoint if there is one. Out: `Found`. Bundles are read one by
one; eight bytes of each entry are kept, its number, to see which are missing. No file is opened that is not a plain one of a fitting size.
"""

from __future__ import annotations

import stat
from array import array
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from whimbrel.ledger.forms import Numbers, even, place_of, places_of
from whimbrel.ledger.merkle.notes import LOG, Key, open_note, split_note
from whimbrel.ledger.merkle.proofs import Checkpoint, parse_checkpoint
from whimbrel.ledger.merkle.tiles import WIDTH, Tiles, parse_bundle, tile_path, width_at
from whimbrel.ledger.merkle.tree import (
    SIZE,
    ProofError,
    check,
    consistency,
    leaf_hashes,
    range_hash,
    root_of,
    verify_consistency,
)
from whimbrel.ledger.reader import read_log
from whimbrel.ledger.stamped import stamp_path, stamped_sizes
from whimbrel.ledger.stamps import checked_stamp
from whimbrel.ledger.verdicts import OK, UNSHOWN, Found, Policy, entry_fields, iso, judged, moment, strict_json
from whimbrel.ledger.writer import edge

_LARGEST = WIDTH * 65_537
_SHOWN = 3
NEVER = (
    "that what was recorded is true, and that nothing happened that was never recorded",
    "that the log was not cut back to an older head: only a newer checkpoint that you kept says so (--since)",
    "that others were shown the same log, unless a policy names witnesses and their quorum is met",
)


class Audit:
    """One ledger under examination, at the checkpoint that it publishes."""

    def __init__(
        self,
        folder: Path,
        keys: Sequence[Key] = (),
        policy: Policy | None = None,
        since: bytes | None = None,
        certificates: Sequence[Any] = (),
    ) -> None:
        self.folder, self.policy, self.since = folder, policy or Policy(), since
        self.certificates = tuple(certificates)
        self.keys = tuple(dict.fromkeys([*keys, *self.policy.logs]))
        self.note = self.file("checkpoint", 1 << 20)
        self.head: Checkpoint = parse_checkpoint(split_note(self.note)[0])
        self.numbers: dict[bytes, array[int]] = {}
        self.beats: dict[str, dict[str, Any]] = {}
        self.odd: list[str] = []
        self.wrong: list[str] = []

    def found(self) -> Found:
        """All lines."""
        lines: tuple[tuple[str, Callable[[], tuple[str, str]]], ...] = (
            ("inclusion", self.inclusion), ("bytes", self.entries), ("tiles", self.tiles), ("signature", self.signature),
            ("witnesses", self.witnesses), ("time", self.time), ("consistency", self.consistency), ("completeness", self.completeness),
        )  # fmt: skip
        return Found(tuple(judged(name, judge) for name, judge in lines), NEVER)

    def file(self, path: str, largest: int) -> bytes:
        """The bytes of a plain file that is no larger. Raises ProofError."""
        target = self.folder / path
        try:
            info = target.lstat()
            check(
                stat.S_ISREG(info.st_mode) and info.st_size <= largest, "this is no plain file of a fitting size", path
            )
            return target.read_bytes()
        except OSError as error:
            raise ProofError(
                "a file of the ledger is missing", where=path, why=error.strerror or "it cannot be read"
            ) from error

    def tile(self, path: str, full: str) -> bytes:
        """The bytes of a tile, or of the full one that took its place."""
        if path != full and not (self.folder / path).exists():
            path = full
        return self.file(path, _LARGEST)

    def inclusion(self) -> tuple[str, str]:
        """The entries make the root that the checkpoint has."""
        levels: list[list[bytes]] = []
        for leaves in self.leaves():
            row, level = leaves, 0
            while row:
                if level == len(levels):
                    levels.append([])
                held = levels[level] = levels[level] + row
                row = []
                if len(held) == WIDTH:
                    self.compare(level, held)
                    row = [root_of(held)]
                    levels[level] = []
                level += 1
        for level, held in enumerate(levels):
            if held:
                self.compare(level, held)
        root = range_hash(edge(levels), 0, self.head.size) if self.head.size else root_of([])
        check(
            root == self.head.root,
            f"the {self.head.size:,} entries do not make the checkpoint's root{self.blame()}",
            "entries",
        )
        return OK, f"{self.head.size:,} entries, each hashed again, make the root of {self.head.origin}"

    def blame(self) -> str:
        """The first file that does not fit, where one is known."""
        return f"; {self.wrong[0]}" if self.wrong else "; tiles and entries agree with each other"

    def leaves(self) -> Iterator[list[bytes]]:
        """The hashes of all entries, bundle by bundle; what stands in them is noted on the way."""
        digest = sha256
        self._counts = [0] * 8
        for number in range(-(-self.head.size // WIDTH)):
            width = width_at(0, number, self.head.size)
            path = tile_path("entries", number, width)
            data = self.tile(path, tile_path("entries", number))
            if (alike := even(data)) is not None and alike[0] * width == len(data):
                step, numbers = alike
                self.note_numbers(numbers)
                yield [digest(b"\x00" + data[at : at + step - 2]).digest() for at in range(2, len(data), step)]
                continue
            entries = parse_bundle(data)
            check(
                len(entries) >= width,
                f"a bundle of {width} entries holds {len(entries)}",
                path,
                "an entry was taken out",
            )
            self.read(entries[:width], number * WIDTH)
            yield leaf_hashes(entries[:width])

    def read(self, entries: Sequence[bytes], first: int) -> None:
        """Note whose number each entry is."""
        if (numbers := places_of(entries)) is not None:
            self.note_numbers(numbers)
            return
        for at, entry in enumerate(entries, first):
            if (place := place_of(entry)) is not None:
                self.note_numbers({place[0].encode(): [place[1]]})
            else:
                self.other(entry, at)

    def note_numbers(self, numbers: Numbers) -> None:
        """Keep the numbers of each producer."""
        for producer, held in numbers.items():
            self.numbers.setdefault(producer, array("q")).extend(held)

    def other(self, entry: bytes, at: int) -> None:
        """Note of an entry that is no prediction's what will be needed."""
        try:
            held = entry_fields(entry)
            check(held["k"] != "pred", "a prediction's entry is not of the form that it has", f"entry {at}")
            if held["k"] == "heartbeat":
                self.beats[str(held.get("p"))] = held
        except ProofError as error:
            self.odd.append(f"entry {at}: {error.what}")

    def compare(self, level: int, held: Sequence[bytes]) -> None:
        """A tile on the disk must be what the entries below it make."""
        number = self._counts[level]
        self._counts[level] += len(held) == WIDTH
        path = tile_path(level, number, len(held))
        try:
            data = self.tile(path, tile_path(level, number))
        except ProofError as error:
            self.wrong.append(f"{error.where} is missing")
            return
        if data[: SIZE * len(held)] != b"".join(held):
            at = next((i for i, one in enumerate(held) if data[SIZE * i : SIZE * (i + 1)] != one), 0)
            what = "entry" if level == 0 else f"subtree at level {level}"
            self.wrong.append(f"{what} {number * WIDTH + at:,} is not that of {path}")

    def tiles(self) -> tuple[str, str]:
        """Every tile is what the entries make."""
        check(
            not self.wrong,
            "; ".join(self.wrong[:_SHOWN]) + (f"; {len(self.wrong):,} in all" if len(self.wrong) > _SHOWN else ""),
            "tiles",
        )
        return OK, "every tile is what the entries below it make"

    def entries(self) -> tuple[str, str]:
        """Every entry is of a known form."""
        check(not self.odd, "; ".join(self.odd[:_SHOWN]), "entries")
        return (
            OK,
            f"{sum(map(len, self.numbers.values())):,} predictions of {len(self.numbers):,} producers, and other entries",
        )

    def signature(self) -> tuple[str, str]:
        """The log's key signed the checkpoint."""
        keys = self.keys or read_log(self.folder).keys
        by = [str(key) for key in open_note(self.note, keys)[1] if key.kind == LOG and key.name == self.head.origin]
        check(bool(by), f"no key that was given signed for {self.head.origin!r}", "checkpoint")
        if not self.keys:
            return UNSHOWN, f"signed by {by[0]}, which is the log's own word; give the key that you were told: --key"
        return OK, f"signed by {', '.join(by)}"

    def cosigned(self) -> dict[str, int]:
        """When each known witness cosigned, by name."""
        known = tuple(dict.fromkeys(self.policy.witnesses.values()))
        return {key.name: moment(signature) for key, signature in open_note(self.note, known)[1].items()}

    def witnesses(self) -> tuple[str, str]:
        """Enough witnesses saw the checkpoint."""
        known = tuple(dict.fromkeys(self.policy.witnesses.values()))
        if not known:
            return UNSHOWN, "no policy names a witness"
        seen = frozenset(key.public for key in open_note(self.note, known)[1])
        said = f"{len(seen)} of {len({key.public for key in known})} known witnesses cosigned; the quorum is {self.policy.quorum}"
        check(self.policy.met(self.policy.quorum, seen), said, "checkpoint")
        return (OK if self.policy.quorum != "none" else UNSHOWN), said

    def time(self) -> tuple[str, str]:
        """When the head, or the newest tree that was stamped, was there at the latest; all that were stamped are this log's."""
        told = [
            f"there by {iso(at)}, says {name}"
            for at, name in sorted((at, name) for name, at in self.cosigned().items())[:1]
        ]
        nodes = Tiles(self.tile, self.head.size)
        stamped = stamped_sizes(self.folder)
        for size in stamped:
            held = strict_json(self.file(stamp_path(size), 1 << 20))
            tree = parse_checkpoint(split_note(str(held["checkpoint"]).encode())[0])
            check(
                tree.size <= self.head.size,
                f"a tree of {tree.size:,} entries was stamped: the tail was cut off",
                stamp_path(size),
            )
            own = (tree.origin, tree.root) == (self.head.origin, range_hash(nodes, 0, tree.size))
            check(
                own,
                f"another tree of {tree.size:,} entries was stamped: the log was forked or rewritten",
                stamp_path(size),
            )
            if size == stamped[-1] and self.certificates:
                found = checked_stamp(held, self.certificates)[1]
                told.append(f"its first {tree.size:,} entries by {iso(int(found.time.timestamp()))}, says {found.by}")
        if told:
            return OK, "; ".join(told)
        rest = "; it was stamped: give the certificate of whoever did: --tsa-certs" if stamped else ""
        return UNSHOWN, f"nobody from outside says when{rest}"

    def consistency(self) -> tuple[str, str]:
        """The log continues an older head that the reader kept."""
        if self.since is None:
            return UNSHOWN, "no older checkpoint was given: --since FILE"
        old = parse_checkpoint(split_note(self.since)[0])
        check(old.origin == self.head.origin, f"the older checkpoint is of {old.origin!r}", "--since")
        keys = self.keys or read_log(self.folder).keys
        check(
            any(key.kind == LOG for key in open_note(self.since, keys)[1]),
            "no key that was given signed the older checkpoint",
            "--since",
        )
        check(
            old.size <= self.head.size,
            f"the log had {old.size:,} entries and has {self.head.size:,}: its tail was cut off",
            "--since",
        )
        if old.size:
            path = consistency(Tiles(self.tile, self.head.size), old.size, self.head.size)
            verify_consistency(old.size, self.head.size, old.root, self.head.root, path)
        return OK, f"the first {old.size:,} entries are those of the older checkpoint"

    def completeness(self) -> tuple[str, str]:
        """Each producer's numbers: none twice, and how many are missing."""
        missing = 0
        for name, held in self.numbers.items():
            producer, numbers = name.decode(errors="replace"), np.frombuffer(held, np.int64)
            if not (numbers[1:] > numbers[:-1]).all():
                numbers = np.unique(numbers)
            check(
                len(numbers) == len(held),
                f"{len(held) - len(numbers):,} numbers of {producer} are there twice",
                "entries",
            )
            said = self.beats.get(producer, {}).get("logged", 0)
            check(
                not isinstance(said, int) or said <= len(held),
                f"{producer} had {said} entries once, and {len(held)} are there",
                "heartbeat",
            )
            missing += int(numbers[-1] - numbers[0]) + 1 - len(held)
        if missing:
            return (
                UNSHOWN,
                f"{missing:,} numbers between the first and last of their producers are not there: running, sampled out, or lost",
            )
        return OK, f"no number of {len(self.numbers):,} producers is missing or there twice"
