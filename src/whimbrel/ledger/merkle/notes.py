"""C2SP signed notes: a text, an empty line, a line for each signature; and the Ed25519 keys that sign and check them.

A key has a name, and an id that binds name, kind and key, so that a signature by one kind of key never passes for
one of another. Public keys that would let more than one text pass are refused when they are loaded: not canonical
(y ≥ p), of low order, or on no curve at all (RFC 8032, section 5.1.3).
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from whimbrel.ledger.merkle.tree import ProofError, check

LOG, WITNESS = b"\x01", b"\x04"
"""Kinds of key: one that signs notes with Ed25519, one that cosigns checkpoints with it."""

LONGEST_NOTE = 1 << 20
_MOST_SIGNATURES = 100
_DASH = "— "
_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
_EIGHTH = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_LOW = (0, 1, _P - 1, _EIGHTH, _P - _EIGHTH)
"""y of the points of order 4, 1, 2 and 8."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key that checks signatures; as text `name+hex(id)+base64(kind || key)`. Raises ProofError where it is none."""

    name: str
    kind: bytes
    public: bytes

    def __post_init__(self) -> None:
        y = int.from_bytes(self.public, "little") & (1 << 255) - 1
        on_curve = pow((y * y - 1) * (_D * y * y + 1), (_P - 1) // 2, _P) == 1
        _note(is_name(self.name), f"{self.name[:80]!r} is no name of a key: it is empty, or has a space or +")
        _note(self.kind in (LOG, WITNESS) and len(self.public) == 32, f"the key of {self.name} is of an unknown kind")
        _note(y < _P, f"the key of {self.name} is not canonical: it has another spelling")
        _note(y not in _LOW, f"the key of {self.name} is of low order: it accepts signatures that anyone can make")
        _note(on_curve, f"the key of {self.name} is no point of the curve")

    @property
    def id(self) -> bytes:
        """Four bytes: SHA-256(name || 0x0A || kind || key)[:4]."""
        return sha256(self.name.encode() + b"\n" + self.kind + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(self.kind + self.public).decode()}"

    def verify(self, text: bytes, signature: bytes) -> None:
        """Check a signature, without the id before it, over a note's text. Raises ProofError where it does not hold."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        moment, plain = (b"", signature) if self.kind == LOG else (signature[:8], signature[8:])
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(plain, signed_text(self.kind, text, moment))
        except InvalidSignature as error:
            why = "the text or the signature was changed, or another key signed"
            raise ProofError(f"the signature of {self.name} does not hold", where="signed note", why=why) from error


def signed_text(kind: bytes, text: bytes, moment: bytes) -> bytes:
    """What a key signs: a log's the text of a note, a witness's also when (8 bytes, big-endian, seconds since 1970)."""
    return text if kind == LOG else b"cosignature/v1\ntime %d\n" % int.from_bytes(moment, "big") + text


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key with its public half; `secret` signs bytes as `cryptography`'s Ed25519PrivateKey does."""

    key: Key
    secret: Any

    def line(self, text: bytes, *, at: int = 0) -> bytes:
        """The signature line for a note's text; `at`, in seconds since 1970, is said by witnesses only."""
        moment = b"" if self.key.kind == LOG else at.to_bytes(8, "big")
        body = self.key.id + moment + self.secret.sign(signed_text(self.key.kind, text, moment))
        return f"{_DASH}{self.key.name} {base64.b64encode(body).decode()}\n".encode()


def new_signer(name: str, seed: bytes, kind: bytes = LOG) -> Signer:
    """The signer whose secret is these 32 random bytes."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    secret = Ed25519PrivateKey.from_private_bytes(seed)
    return Signer(Key(name, kind, secret.public_key().public_bytes_raw()), secret)


def read_key(text: str) -> Key:
    """A public key from its text (vkey). Raises ProofError."""
    name, _, rest = text.strip().partition("+")
    ident, _, coded = rest.partition("+")
    body = unbase64(coded)
    _note(len(body) == 33, f"{text[:120]!r} is no public key: name+id+key is expected")
    key = Key(name, body[:1], body[1:])
    _note(key.id.hex() == ident, f"the id of the key of {name} is {key.id.hex()}, not {ident[:16]}")
    return key


def open_note(note: bytes, keys: Iterable[Key]) -> tuple[bytes, dict[Key, bytes]]:
    """The text of a note, and who of `keys` signed it, with the signatures (without ids); unknown keys are passed over.

    Raises:
        ProofError: the note is malformed, a known key's signature does not hold, or a key that signed is given twice, or two share a name and an id.
    """
    text, lines = split_note(note)
    known, found = tuple(keys), dict[Key, bytes]()
    for name, body in lines:
        candidates = [key for key in known if (key.name, key.id) == (name, body[:4])]
        _note(len(candidates) < 2, f"two keys of {name} have one id: who signed cannot be told")
        for key in candidates:
            if key not in found:
                key.verify(text, body[4:])
                found[key] = body[4:]
    return text, found


def split_note(note: bytes) -> tuple[bytes, list[tuple[str, bytes]]]:
    """The text of a note, and its signatures as (name, id || signature). Raises ProofError where it is malformed."""
    _note(len(note) <= LONGEST_NOTE, "the note is too long")
    _note(not any(byte < 32 and byte != 10 for byte in note), "the note holds control characters")
    text, gap, rest = note.rpartition(b"\n\n")
    _note(bool(gap) and rest.endswith(b"\n"), "the note has no signatures: an empty line and they are expected")
    lines = rest[:-1].split(b"\n", _MOST_SIGNATURES + 1)
    _note(len(lines) <= _MOST_SIGNATURES, f"the note has more than {_MOST_SIGNATURES} signatures")
    try:
        text.decode()
        return text + b"\n", [_signature(line.decode()) for line in lines]
    except UnicodeDecodeError as error:
        raise ProofError("the note is not UTF-8", where="signed note") from error


def _signature(line: str) -> tuple[str, bytes]:
    name, _, coded = line.removeprefix(_DASH).partition(" ")
    body = unbase64(coded)
    _note(line.startswith(_DASH) and is_name(name) and len(body) > 4, f"{line[:80]!r} is no signature")
    return name, body


def unbase64(text: str) -> bytes:
    """Standard base64, strictly; nothing where it is none."""
    try:
        body = base64.b64decode(text, validate=True)
    except ValueError:
        return b""
    return body if base64.b64encode(body).decode() == text else b""


def is_name(name: str) -> bool:
    """Whether a key can be called so."""
    return bool(name) and "+" not in name and not any(c.isspace() for c in name)


def _note(held: bool, what: str) -> None:
    check(held, what, "signed note", "it was cut, changed or mistyped")
