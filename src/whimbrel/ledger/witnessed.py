"""A ledger's head shown to its witnesses, and their cosignatures added to it.

In: the ledger while it is open for writing, and a policy that names witnesses with their addresses. Out: which of them cosigned,
and why others did not. A witness is asked for a few seconds at most, and is believed only as far as its signature holds: one that lies
about sizes, sends rubbish or never answers costs its own cosignature and nothing else.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from whimbrel.ledger.merkle.notes import Key, open_note, split_note
from whimbrel.ledger.merkle.tree import ProofError, consistency
from whimbrel.ledger.reader import tiles_of
from whimbrel.ledger.verdicts import Policy
from whimbrel.ledger.writer import Ledger

_KNOWN = "private/witnesses.json"
_TIMEOUT_S = 5.0
_LONGEST = 16 << 10
_TRIES = 3

Post = Callable[[str, bytes], tuple[int, str, bytes]]
"""(address, body) to (status, content type, body)."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Who cosigned the head, and why others did not, by the policy's names."""

    cosigned: tuple[str, ...]
    failed: Mapping[str, str]


def post(address: str, body: bytes) -> tuple[int, str, bytes]:
    """POST to a witness. Raises OSError or HTTPException where it cannot be reached."""
    request = Request(address, data=body, method="POST", headers={"Content-Type": "text/plain"})  # noqa: S310  # http(s) alone
    try:
        with urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310  # read_policy takes no other address
            return answer.status, answer.headers.get_content_type(), answer.read(_LONGEST)
    except HTTPError as error:
        with error:
            return error.code, error.headers.get_content_type(), error.read(_LONGEST)


def show(ledger: Ledger, policy: Policy, *, ask: Post = post) -> Shown:
    """Show the published head to each witness that the policy gives an address of, and publish it again with what they signed.

    Raises:
        StoreError: the ledger's disk fails.
    """
    try:
        sizes = json.loads(ledger.disk.read(_KNOWN))
    except (FileNotFoundError, ValueError):
        sizes = {}
    note = ledger.disk.read("checkpoint")
    lines: dict[str, bytes] = {}
    failed: dict[str, str] = {}
    for name, address in policy.addresses.items():
        try:
            lines[name] = _cosigned(ledger, note, policy.witnesses[name], address, sizes, ask)
        except (ProofError, OSError, URLError, HTTPException, ValueError) as error:
            failed[name] = str(getattr(error, "what", "") or error)[:200]
    held = {body for _, body in split_note(note)[1]}
    fresh = [line for line in lines.values() if base64.b64decode(line.split(b" ")[-1]) not in held]
    if fresh:
        ledger.publish_again(note + b"".join(fresh))
        ledger.disk.put([(_KNOWN, json.dumps(sizes).encode())])
    return Shown(tuple(lines), failed)


def _cosigned(ledger: Ledger, note: bytes, key: Key, address: str, sizes: dict[str, int], ask: Post) -> bytes:
    """The witness's line for the head. Where it knows another size than we thought, it is asked again from there."""
    head, text = ledger.checkpoint, split_note(note)[0]
    old = min(int(sizes.get(address, 0)), head.size)
    for _ in range(_TRIES):
        path = consistency(tiles_of(ledger.folder, head.size), old, head.size) if old else ()
        proof = "".join(base64.b64encode(one).decode() + "\n" for one in path)
        status, kind, answer = ask(address.rstrip("/") + "/add-checkpoint", f"old {old}\n{proof}\n".encode() + note)
        if status == 200:
            _, by = open_note(text + b"\n" + answer, [key])
            if key not in by:
                raise ProofError("it did not cosign with the key that the policy gives", where=address)
            sizes[address] = head.size
            return f"— {key.name} {base64.b64encode(key.id + by[key]).decode()}\n".encode()
        size = answer.strip()
        if status != 409 or kind != "text/x.tlog.size" or not size.isdigit() or len(size) > 19:
            raise ProofError(f"it answers {status}: {answer[:100].decode(errors='replace').strip()}", where=address)
        if int(size) > head.size:
            raise ProofError(
                f"it saw {int(size):,} entries of this log, and there are {head.size:,}: a fork, or an old backup",
                where=address,
            )
        if int(size) == old:
            raise ProofError(f"it holds another tree of {old:,} entries: a fork", where=address)
        old = int(size)
    raise ProofError("it names another size each time", where=address)
