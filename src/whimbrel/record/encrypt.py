"""The redaction rule `encrypt`: a value that only who has the key can read again.

In: values on their way into a frame. Out: texts, and with `decrypt` the values again. `policy.py` seals; whoever reads
the log opens. The form, version 1, is `e1-` and the URL-safe base64 without padding of

    salt (16 bytes), nonce (12 bytes), AES-256-GCM of the value as msgpack with its tag (16 bytes) behind it

Salt and nonce are random and new for each value. The AES key is the keyed BLAKE2b of the salt, 32 bytes long,
personalised `whimbrel-e1`: no key of AES-GCM meets two values, so that no count of them, and no fork, uses one up.
"""

from __future__ import annotations

import base64
import binascii
import os
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from whimbrel.errors import InputError, UsageError

ENV_KEY = "WHIMBREL_ENCRYPT_KEY"
MARK = "e1-"
_SALT, _NONCE, _KEY = 16, 12, 32
_MAKE = "make one with: openssl rand -base64 32"


class Secret(bytes):
    """Bytes that no `repr` shows."""

    def __repr__(self) -> str:
        return "Secret(…)"


def read_key(file: str | Path | None = None) -> Secret:
    """The key in a file, or else in `WHIMBREL_ENCRYPT_KEY`: 32 bytes as base64.

    Raises:
        UsageError: there is none, it is no such key, or what encrypts is not installed.
    """
    where = str(file) if file else ENV_KEY
    try:
        text = Path(file).read_text(encoding="ascii") if file else os.environ.get(ENV_KEY, "")
    except (OSError, ValueError) as error:
        raise UsageError(f"the key of encryption cannot be read: {error}", where=where, next=_MAKE) from error
    if not text.strip():
        raise UsageError("there is no key of encryption", where=where, why="it is empty or missing", next=_MAKE)
    _cipher(bytes(_KEY))
    return _parsed(text, where)


def seal(value: Any, key: bytes) -> str:
    """A value, which msgpack can hold, as a text that needs the key."""
    salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
    sealed = _cipher(_derived(key, salt)).encrypt(nonce, msgspec.msgpack.encode(value), None)
    return MARK + base64.urlsafe_b64encode(salt + nonce + sealed).decode().rstrip("=")


def decrypt(text: str, key: str | Path | None = None) -> Any:
    """The value of a field that the rule `encrypt` sealed: `whimbrel.decrypt(row["inputs.note"])`.

    `key` is the key's base64 text, a `Path` to a file of it, or what `WHIMBREL_ENCRYPT_KEY` holds. Numbers, texts, lists
    and dictionaries come back as they were recorded, an array as its shape and its items.

    Raises:
        UsageError: there is no key, or what decrypts is not installed.
        InputError: the text is none that was sealed, another key sealed it, or it was changed.
    """
    from whimbrel.record.reader import decode_body

    secret = _parsed(key, "decrypt(key=…)") if isinstance(key, str) else read_key(key)
    if not isinstance(text, str) or not text.startswith(MARK):
        raise InputError(
            f"{str(text)[:40]!r} is no encrypted value", where="decrypt", why=f"they are texts that start with {MARK}",
            next='pass a field whose rule was "encrypt" when it was recorded',
        )  # fmt: skip
    try:
        body = text.removeprefix(MARK)
        data = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
        salt, nonce, sealed = data[:_SALT], data[_SALT : _SALT + _NONCE], data[_SALT + _NONCE :]
        plain = _cipher(_derived(secret, salt)).decrypt(nonce, sealed, None)
    except _failures() as error:
        raise InputError(
            f"{text[:40]!r} cannot be decrypted", where="decrypt", why="another key sealed it, or it was cut or changed",
            next="use the key that the app had when it recorded this",
        ) from error  # fmt: skip
    return decode_body(plain)


def _parsed(text: str, where: str) -> Secret:
    try:
        key = base64.b64decode("".join(text.split()).translate({45: "+", 95: "/"}), validate=True)
    except ValueError:
        key = b""
    if len(key) != _KEY:
        raise UsageError(
            f"the key of encryption is no {_KEY} bytes in base64", where=where,
            why="a password would be guessed: it must be random", next=_MAKE,
        )  # fmt: skip
    return Secret(key)


def _derived(key: bytes, salt: bytes) -> bytes:
    return blake2b(salt, key=key, digest_size=_KEY, person=b"whimbrel-e1").digest()


def _cipher(key: bytes) -> Any:
    """AES-256-GCM.

    Raises:
        UsageError: the library is not installed.
    """
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise UsageError(
            f"the rule \"encrypt\" needs a library that cannot be loaded: {error}", where="cryptography",
            why="it is an extra: a recorder without that rule does not need it", next="pip install cryptography",
        ) from error  # fmt: skip
    return AESGCM(key)


def _failures() -> tuple[type[Exception], ...]:
    from cryptography.exceptions import InvalidTag

    return InvalidTag, ValueError, binascii.Error
