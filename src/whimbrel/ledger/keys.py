"""Keys of a ledger, and beside them the memory of what they signed.

A key file holds private keys as Go's note package writes them, a line each: the first is the key in use, others still sign
beside it while the key is being changed. `WHIMBREL_LEDGER_KEY` is the path of such a file, or its text. Beside the file
lies `<file>.max`: the largest tree that was signed. It is no part of the ledger's folder, so that a backup of that which is
put back does not make the ledger forget what it said.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from whimbrel.errors import StoreError, UsageError
from whimbrel.ledger.disk import disk_errors
from whimbrel.ledger.merkle.notes import LOG, Signer, is_name, new_signer, unbase64
from whimbrel.ledger.merkle.proofs import Checkpoint

ENV_KEY = "WHIMBREL_LEDGER_KEY"
_WORD = "PRIVATE+KEY+"


@dataclass(frozen=True, slots=True)
class Keys:
    """The signers of a ledger, the one in use first, and the file that remembers the largest tree they signed."""

    signers: tuple[Signer, ...]
    memory: Path

    @property
    def origin(self) -> str:
        """The ledger that they sign for: the name of the key in use."""
        return self.signers[0].key.name

    def signed(self) -> Checkpoint | None:
        """The largest tree that was signed; None where nothing is remembered.

        Raises:
            StoreError: the memory cannot be read, or is of another ledger.
        """
        with disk_errors(self.memory, "read what was signed"):
            try:
                held = json.loads(self.memory.read_bytes())
                found = Checkpoint(held["origin"], held["size"], bytes.fromhex(held["root"]))
            except FileNotFoundError:
                return None
            except (ValueError, KeyError, TypeError) as error:
                raise StoreError(
                    "the memory of what was signed is damaged", where=str(self.memory), why="it was changed by hand, or the disk fails",
                    next="put back the newest copy of that file, or start anew: whimbrel ledger init --new-origin NAME",
                ) from error  # fmt: skip
        if found.origin != self.origin:
            raise StoreError(
                f"the memory of what was signed is of {found.origin!r}, not of {self.origin!r}", where=str(self.memory),
                why="it was copied from elsewhere", next="put each ledger's key and memory into a folder of their own",
            )  # fmt: skip
        return found

    def memo(self, tree: Checkpoint) -> tuple[str, bytes]:
        """What is to be remembered when a tree is about to be signed: a file's absolute path and its bytes."""
        held = {"origin": tree.origin, "size": tree.size, "root": tree.root.hex()}
        return str(self.memory.absolute()), json.dumps(held).encode()


def key_path(origin: str, env: Mapping[str, str] | None = None) -> Path:
    """Where a ledger's key lies unless it is said otherwise: `~/.config/whimbrel/<origin>.key`."""
    env = os.environ if env is None else env
    root = Path(env.get("XDG_CONFIG_HOME") or Path(env.get("HOME", "~")).expanduser() / ".config")
    return root / "whimbrel" / (re.sub(r"[^A-Za-z0-9.-]", "_", origin) + ".key")


def make_key(origin: str, path: Path) -> Keys:
    """Make a key in a new file that only its owner reads.

    Raises:
        UsageError: the origin is no name, or the file is there already.
        StoreError: it cannot be written, or `cryptography` is not installed.
    """
    if not is_name(origin) or not origin.isprintable() or len(origin) > 200:
        raise UsageError(
            f"{origin[:80]!r} cannot be a ledger's name", where="--origin", why="it has no space and no +, like a web address without https://",
            next="--origin example.org/fares",
        )  # fmt: skip
    need_cryptography()
    with disk_errors(path, "make a key"):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            add_key(path, new_signer(origin, os.urandom(32)), flags=os.O_EXCL)
        except FileExistsError:
            raise UsageError(
                "there is a key already", where=str(path), why="a key is never overwritten: what it signed could not be continued",
                next=f"use it: {ENV_KEY}={path}, or name another file: --key-file FILE",
            ) from None  # fmt: skip
    return load_keys(origin, path)


def add_key(path: Path, signer: Signer, *, flags: int = 0) -> None:
    """Write a private key as the first line of a key file."""
    before = b"" if flags else path.read_bytes()
    draft = path if flags else path.with_name(path.name + ".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | (flags or os.O_TRUNC), 0o600)
    try:
        os.write(handle, key_text(signer).encode() + b"\n" + before)
        os.fsync(handle)
    finally:
        os.close(handle)
    if not flags:
        draft.replace(path)


def key_text(signer: Signer) -> str:
    """A private key as a line of a key file."""
    key, seed = signer.key, signer.secret.private_bytes_raw()
    return f"{_WORD}{key.name}+{key.id.hex()}+{base64.b64encode(key.kind + seed).decode()}"


def load_keys(origin: str, path: Path | None = None, env: Mapping[str, str] | None = None) -> Keys:
    """The keys of a ledger: from a file, else as `WHIMBREL_LEDGER_KEY` says, else from where `init` puts them.

    Raises:
        UsageError: there is none, others may read the file, or it is of another ledger.
        StoreError: it cannot be read, or `cryptography` is not installed.
    """
    env = os.environ if env is None else env
    need_cryptography()
    said = env.get(ENV_KEY, "")
    if path is None and said.startswith(_WORD):
        signers = _signers(said, origin, ENV_KEY)
        root = Path(env.get("XDG_STATE_HOME") or Path(env.get("HOME", "~")).expanduser() / ".local" / "state")
        return Keys(signers, root / "whimbrel" / f"{key_path(origin, env).stem}.max")
    file = path or (Path(said) if said else key_path(origin, env))
    with disk_errors(file, "read the key"):
        try:
            text, mode = file.read_text("ascii", "replace"), file.stat().st_mode
        except FileNotFoundError:
            raise UsageError(
                "the ledger's key is not there", where=str(file), why="it was made by another user or on another host, or is lost",
                next=f"say where it is: {ENV_KEY}=FILE; if it is lost: whimbrel ledger init --new-origin NAME",
            ) from None  # fmt: skip
    if mode & 0o077:
        raise UsageError(
            "others may read the ledger's key", where=str(file), why="whoever has it can sign for the ledger",
            next=f"chmod 600 {file}; if others had access: whimbrel ledger init --new-origin NAME",
        )  # fmt: skip
    return Keys(_signers(text, origin, str(file)), file.with_name(file.name + ".max"))


def _signers(text: str, origin: str, where: str) -> tuple[Signer, ...]:
    signers = tuple(map(read_signer, text.split()))
    if not signers or None in signers:
        raise UsageError(
            "this is no key of a ledger", where=where, why="it is a line PRIVATE+KEY+name+id+key, and was cut or mistyped",
            next="put back a copy, or start anew: whimbrel ledger init --new-origin NAME",
        )  # fmt: skip
    held = tuple(one for one in signers if one is not None)
    if any(one.key.name != origin for one in held):
        raise UsageError(
            f"the key is of {held[0].key.name!r}, and the ledger is {origin!r}", where=where, why="it is another ledger's key",
            next=f"say where this one's is: {ENV_KEY}=FILE",
        )  # fmt: skip
    return held


def read_signer(text: str) -> Signer | None:
    """A private key from its line; None where it is none."""
    parts = text.removeprefix(_WORD).split("+", 2)
    if len(parts) != 3 or not text.startswith(_WORD):
        return None
    name, ident, coded = parts
    body = unbase64(coded)
    if len(body) != 33 or body[:1] != LOG or not is_name(name):
        return None
    signer = new_signer(name, body[1:])
    return signer if signer.key.id.hex() == ident else None


def need_cryptography() -> None:
    """Refuse where the library that signs is not installed."""
    try:
        import cryptography.hazmat.primitives.asymmetric.ed25519  # noqa: F401
    except ImportError as error:
        raise StoreError(
            f"the ledger needs a library that cannot be loaded: {error}", where="cryptography", why="it is an extra",
            next="pip install 'whimbrel[ledger]'",
        ) from error  # fmt: skip
