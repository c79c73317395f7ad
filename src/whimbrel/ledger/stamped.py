"""A ledger's head stamped by an authority outside (RFC 3161), and the stamps that were kept.

In: the ledger while it is open for writing, an authority's address and certificates. Out: files under `stamps/`, by the size of the tree,
each with the checkpoint and the token over its text. A token is checked before it is kept.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Callable, Sequence
from hashlib import sha256
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from whimbrel.errors import UsageError
from whimbrel.ledger.merkle.notes import split_note
from whimbrel.ledger.merkle.tree import ProofError
from whimbrel.ledger.stamps import LARGEST_TOKEN, Stamp, request, token_of, verify_token
from whimbrel.ledger.writer import Ledger

_TIMEOUT_S = 10.0

Ask = Callable[[str, bytes], bytes]
"""(address, request) to the answer."""


def ask_authority(address: str, body: bytes) -> bytes:
    """POST a request to an authority. Raises OSError or HTTPException where it cannot be reached."""
    if not address.startswith(("http://", "https://")):
        raise UsageError(f"{address[:80]!r} is no address", where="--tsa", next="write it as https://…")
    asked = Request(address, data=body, method="POST", headers={"Content-Type": "application/timestamp-query"})  # noqa: S310  # http(s) alone
    with urlopen(asked, timeout=_TIMEOUT_S) as answer:  # noqa: S310
        found: bytes = answer.read(LARGEST_TOKEN + 1)
    return found


def stamp(ledger: Ledger, address: str, trusted: Sequence[Any], *, ask: Ask = ask_authority) -> Stamp | None:
    """Have the published head stamped, and keep that; None where it was already.

    Raises:
        ProofError: the authority cannot be reached, refuses, or answers something else.
        StoreError: the ledger's disk fails.
    """
    path = stamp_path(ledger.size)
    if (ledger.folder / path).exists():
        return None
    note, nonce = ledger.disk.read("checkpoint"), secrets.randbits(63)
    digest = sha256(split_note(note)[0]).digest()
    try:
        answer = ask(address, request(digest, nonce))
    except (OSError, URLError, HTTPException) as error:
        raise ProofError(f"the authority cannot be reached: {error}", where=address) from error
    token = token_of(answer)
    found = verify_token(token, digest, trusted, nonce=nonce)
    held = {"checkpoint": note.decode(), "token": base64.b64encode(token).decode()}
    ledger.disk.put([(path, json.dumps(held).encode())])
    return found


def stamp_path(size: int) -> str:
    """Where the stamp of the tree of this size lies."""
    return f"stamps/{size:020d}.json"


def stamped_sizes(folder: Path) -> list[int]:
    """The sizes of the trees that were stamped, the smallest first."""
    return sorted(int(path.stem) for path in (folder / "stamps").glob("*.json") if path.stem.isdigit())
