"""A tiny witness (C2SP tlog-witness): it remembers the largest head of each log that it saw, and cosigns only what continues it.

In: requests of logs. Out: answers, and a cosignature where all holds. Run it on another machine, under another account: a witness that
shares its disk with the log vouches for nothing. Its state is on the disk before a cosignature leaves.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Sequence
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock

from whimbrel.errors import StoreError
from whimbrel.ledger.disk import Disk, disk_errors
from whimbrel.ledger.merkle.notes import LOG, WITNESS, Key, Signer, new_signer, open_note, split_note, unbase64
from whimbrel.ledger.merkle.proofs import parse_checkpoint
from whimbrel.ledger.merkle.tree import EMPTY, ProofError, verify_consistency

Answer = tuple[int, str, bytes]
"""Status, content type, body."""

_TEXT, _SIZE = "text/plain; charset=utf-8", "text/x.tlog.size"
_MOST_HASHES = 63
_LONGEST = 64 << 10


class Witness:
    """A witness with its own key and memory in a folder.

    Raises:
        StoreError: another process uses the folder, or it cannot be used.
    """

    def __init__(self, folder: Path, name: str, logs: Sequence[Key]) -> None:
        self.logs = [key for key in logs if key.kind == LOG]
        with disk_errors(folder, "open the witness"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._disk = Disk(folder)
            self._disk.sweep()
            self._held = (folder / "lock").open("a")
            try:
                fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._held.close()
                raise StoreError(
                    "another witness uses this folder", where=str(folder), why="two with one key could cosign a fork", next="stop the other one",
                ) from None  # fmt: skip
            self.signer = self._key(name)
        self._turn = Lock()

    def close(self) -> None:
        """Let the folder go."""
        self._held.close()

    def _key(self, name: str) -> Signer:
        try:
            seed = self._disk.read("private/seed")
        except FileNotFoundError:
            seed = os.urandom(32)
            self._disk.put([("private/seed", seed)])
        return new_signer(name, seed, WITNESS)

    def add_checkpoint(self, body: bytes) -> Answer:
        """Judge one request: 200 with a cosignature, 409 with the size that it knows, 400, 403, 404 or 422."""
        try:
            old, path, note = _parsed(body)
            head = parse_checkpoint(split_note(note)[0])
        except (ProofError, UnicodeDecodeError) as error:
            return 400, _TEXT, f"malformed: {error}\n".encode()
        known = [key for key in self.logs if key.name == head.origin]
        if not known:
            return 404, _TEXT, b"unknown log\n"
        try:
            signed = bool(open_note(note, known)[1])
        except ProofError:
            signed = False
        if not signed:
            return 403, _TEXT, b"no known key of the log signed this\n"
        if old > head.size:
            return 400, _TEXT, b"the old size is larger than the new one\n"
        with self._turn:
            size, root = self._memory(head.origin)
            if old != size or (old == head.size and head.root != root):
                return 409, _SIZE, b"%d\n" % size
            try:
                if old:
                    verify_consistency(old, head.size, root, head.root, path)
                elif path:
                    raise ProofError("a proof from the empty tree is empty")
            except ProofError as error:
                return 422, _TEXT, f"{error.what}\n".encode()
            held = {"origin": head.origin, "size": head.size, "root": head.root.hex()}
            self._disk.put([(_file_of(head.origin), json.dumps(held).encode())])
            return 200, _TEXT, self.signer.line(split_note(note)[0], at=int(time.time()))

    def _memory(self, origin: str) -> tuple[int, bytes]:
        """Size and root of the largest head of a log that was cosigned."""
        try:
            held = json.loads(self._disk.read(_file_of(origin)))
        except FileNotFoundError:
            return 0, EMPTY
        return int(held["size"]), bytes.fromhex(held["root"])


def _file_of(origin: str) -> str:
    return f"logs/{sha256(origin.encode()).hexdigest()}.json"


def _parsed(body: bytes) -> tuple[int, list[bytes], bytes]:
    """The old size, the consistency proof and the checkpoint of a request."""
    head, gap, note = body.partition(b"\n\n")
    first, *hashes = head.decode("ascii").split("\n")
    size, path = first.removeprefix("old "), [unbase64(one) for one in hashes]
    fits = gap and first.startswith("old ") and size.isdigit() and len(size) < 20 and size == str(int(size))
    if not fits or len(path) > _MOST_HASHES or any(len(one) != 32 for one in path):
        raise ProofError("old size, hashes, an empty line and a checkpoint are expected")
    return int(size), path, note


def serve(witness: Witness, host: str, port: int) -> ThreadingHTTPServer:
    """An HTTP server for a witness, bound and not yet running: POST /add-checkpoint."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self) -> None:  # the library's name
            """Answer one request."""
            length = self.headers.get("Content-Length", "")
            if self.path != "/add-checkpoint" or not length.isdigit() or int(length) > _LONGEST:
                answer: Answer = 400, _TEXT, b"POST a checkpoint to /add-checkpoint\n"
            else:
                answer = witness.add_checkpoint(self.rfile.read(int(length)))
            status, kind, body = answer
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: the state says it."""

    return ThreadingHTTPServer((host, port), Handler)
