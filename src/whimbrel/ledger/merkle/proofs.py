"""C2SP tlog-checkpoint and tlog-proof: what a log signs and witnesses cosign, and what the proof of one entry is."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass

from whimbrel.ledger.merkle.notes import LOG, Key, Signer, open_note, unbase64
from whimbrel.ledger.merkle.tree import LONGEST, SIZE, check, verify_inclusion

_PROOF = "c2sp.org/tlog-proof@v1"
_is_number = re.compile("0|[1-9][0-9]{0,19}").fullmatch


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A log's head: whose it is, how many entries it has, and the root over them."""

    origin: str
    size: int
    root: bytes

    def text(self) -> bytes:
        """The text that is signed: three lines."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n".encode()

    def sign(self, *signers: Signer) -> bytes:
        """The checkpoint as a note, signed by the log; several signers while its key is being changed."""
        return self.text() + b"\n" + b"".join(signer.line(self.text()) for signer in signers)


def read_checkpoint(note: bytes, keys: Iterable[Key], origin: str | None = None) -> tuple[Checkpoint, dict[Key, bytes]]:
    """The checkpoint in a note that one of `keys` signed for the log, and all of them that signed, with their signatures.

    Raises:
        ProofError: the note is malformed, of another log, or not signed by a log's key among `keys`.
    """
    text, signed = open_note(note, keys)
    found = parse_checkpoint(text)
    whose = f"the checkpoint is of {found.origin!r}, not of {origin!r}"
    check(origin in (None, found.origin), whose, "checkpoint", "it is another log's")
    by_log = any(key.kind == LOG and key.name == found.origin for key in signed)
    check(by_log, f"no known key of {found.origin!r} signed the checkpoint", "checkpoint", "another key did")
    return found, signed


def parse_checkpoint(text: bytes) -> Checkpoint:
    """The checkpoint in a note's text, whoever signed it; further lines are not looked at. Raises ProofError where it is none."""
    lines = text.decode().split("\n")
    root = unbase64(lines[2]) if len(lines) > 3 else b""
    fits = len(root) == SIZE and bool(lines[0] and _is_number(lines[1]))
    check(fits, "this is no checkpoint", "checkpoint", "origin, size and root are expected, a line each")
    return Checkpoint(lines[0], int(lines[1]), root)


@dataclass(frozen=True, slots=True)
class Proof:
    """That one entry is in a log: its index, the path to the root, and the checkpoint with all signatures, as it was published."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes

    def text(self) -> bytes:
        """The proof as a file of the extension `.tlog-proof`."""
        hashes = "".join(base64.b64encode(one).decode() + "\n" for one in self.path)
        return f"{_PROOF}\nindex {self.index}\n{hashes}\n".encode() + self.checkpoint

    def verify(
        self, leaf: bytes, keys: Iterable[Key], origin: str | None = None
    ) -> tuple[Checkpoint, dict[Key, bytes]]:
        """Check it for the entry of this leaf hash; gives the checkpoint and who signed. Raises ProofError."""
        checkpoint, signed = read_checkpoint(self.checkpoint, keys, origin)
        verify_inclusion(leaf, self.index, checkpoint.size, self.path, checkpoint.root)
        return checkpoint, signed


def read_proof(data: bytes) -> Proof:
    """A proof from its file. Raises ProofError where it is malformed; nothing of it is believed yet."""
    head, gap, checkpoint = data.partition(b"\n\n")
    lines = head.decode("utf-8", "replace").split("\n", LONGEST + 3)
    if len(lines) > 1 and lines[1].startswith("extra "):
        del lines[1]
    path = tuple(unbase64(line) for line in lines[2:])
    index = lines[1].removeprefix("index ") if lines[1:] and lines[1].startswith("index ") else ""
    fits = lines[0] == _PROOF and _is_number(index) and len(path) <= LONGEST and all(len(one) == SIZE for one in path)
    check(
        bool(gap and fits), "this is no proof of inclusion", "tlog-proof", f"malformed, or more than {LONGEST} hashes"
    )
    return Proof(int(index), path, checkpoint)
