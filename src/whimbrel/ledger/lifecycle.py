"""A ledger's life: begun, begun anew under another name, its key changed, an old key revoked, how exposed it is.

In: a log's home. Out: keys, entries, figures. Each step is ordered so that whoever is killed in between can do it again.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whimbrel.errors import StoreError, UsageError, WhimbrelError
from whimbrel.ledger.disk import Disk, disk_errors
from whimbrel.ledger.entries import line
from whimbrel.ledger.keys import ENV_KEY, Keys, key_path, key_text, load_keys, make_key
from whimbrel.ledger.merkle.notes import Signer, new_signer, open_note, split_note
from whimbrel.ledger.merkle.proofs import parse_checkpoint
from whimbrel.ledger.merkle.tree import ProofError
from whimbrel.ledger.reader import LOG_FILE, read_head, read_log, read_state
from whimbrel.ledger.sequencer import Sequencer, now, random_id
from whimbrel.ledger.stamped import stamped_sizes
from whimbrel.ledger.verdicts import Policy
from whimbrel.ledger.writer import Ledger, create

if TYPE_CHECKING:
    from whimbrel.store import Log


TURN_S = 30.0
"""How long to wait for the sequencer that runs; it lets go within a second, or when its pass is done."""


def folder_of(home: Path) -> Path:
    """The folder of a log's ledger."""
    return home / "ledger"


def begin(home: Path, origin: str | None = None, key_file: Path | None = None) -> Keys:
    """Make a key and an empty ledger for a log; its first entry names the key.

    Raises:
        UsageError: the log has a ledger, or the file holds a key that signed already.
        StoreError: the disk cannot be written, or `cryptography` is not installed.
    """
    folder = folder_of(home)
    if (folder / LOG_FILE).exists():
        raise UsageError(
            "the log has a ledger already", where=str(folder), why=f"it is {read_log(folder).origin!r}",
            next="whimbrel ledger status; to begin anew: whimbrel ledger init --new-origin NAME",
        )  # fmt: skip
    name = origin or f"{socket.gethostname().replace('+', '-') or 'localhost'}/whimbrel/{secrets.token_hex(4)}"
    path = key_file or key_path(name)
    keys = _unused(name, path) or make_key(name, path)
    create(folder, keys)
    with Ledger(folder, keys) as ledger:
        ledger.append(line("key", random_id(), now(), action="begin", vkey=str(keys.signers[0].key)))
        ledger.commit()
    return keys


def publish(log: Log) -> bool:
    """Let a log's ledger say at once what cannot wait: incidents, holds; whether it did, which needs a ledger and its key here.

    Raises:
        StoreError: it cannot be written.
    """
    folder = folder_of(log.home)
    if not (folder / LOG_FILE).exists():
        return False
    try:
        keys = load_keys(read_log(folder).origin)
    except UsageError:
        return False  # the key is another user's, who has the sequencer
    with Ledger(folder, keys, wait=TURN_S) as ledger:
        Sequencer(log, ledger).urgent()
    return True


def _unused(name: str, path: Path) -> Keys | None:
    """The key in a file, where it never signed more than an empty tree: what an interrupted `begin` left."""
    if not path.exists():
        return None
    keys = load_keys(name, path)
    signed = keys.signed()
    return keys if signed is None or signed.size == 0 else None


def begin_anew(home: Path, origin: str, key_file: Path | None = None) -> tuple[Keys, Path]:
    """Lay a log's ledger aside and begin another one under a new name; gives its keys and where the old one lies.

    The old one's last head stands in the new one's first entries, so that nobody can pretend there was none.

    Raises:
        UsageError: there is no ledger, or the name is the old one's.
    """
    folder = folder_of(home)
    old = read_log(folder)
    if origin == old.origin:
        raise UsageError(
            "the new name is the old one",
            where="--new-origin",
            why="a name is never used twice",
            next=f"--new-origin {origin}-2",
        )
    try:
        head, _ = read_head(folder)
        left: dict[str, Any] = {"origin": head.origin, "size": head.size, "root": head.root.hex()}
    except (ProofError, StoreError):
        left = {"origin": old.origin}  # damaged: that may be why
    aside = next(path for i in range(1, 10_000) if not (path := home / f"ledger-{i}").exists())
    folder.rename(aside)
    try:
        keys = begin(home, origin, key_file)
    except WhimbrelError:
        if not folder.exists():
            aside.rename(folder)
        raise
    with Ledger(folder, keys) as ledger:
        ledger.append(line("gap", random_id(), now(), after=left))
        ledger.commit()
    return keys, aside


def rotate(home: Path, key_file: Path | None = None) -> Keys:
    """Change the key: a new one signs from now on, the old one beside it until `revoke`.

    Raises:
        UsageError: the key is in the environment itself, where no new one can be put.
    """
    folder = folder_of(home)
    log = read_log(folder)
    keys = load_keys(log.origin, key_file)
    path = _file_of(keys)
    signer = new_signer(log.origin, os.urandom(32))
    with Ledger(folder, keys, wait=TURN_S) as ledger:
        _say(ledger.disk, log.origin, [signer, *keys.signers])
        _write_keys(path, (signer, *keys.signers))
    keys = load_keys(log.origin, path)
    with Ledger(folder, keys, wait=TURN_S) as ledger:
        ledger.append(
            line("key", random_id(), now(), action="rotate", vkey=str(signer.key), old=str(keys.signers[1].key))
        )
        ledger.commit()
    return keys


def revoke(home: Path, key_file: Path | None = None) -> Keys:
    """Let old keys go: the one in use signs alone from now on, and an entry says so.

    Raises:
        UsageError: there is no old key.
    """
    folder = folder_of(home)
    log = read_log(folder)
    keys = load_keys(log.origin, key_file)
    path = _file_of(keys)
    if len(keys.signers) < 2:
        raise UsageError(
            "there is no old key", where=str(path), why="one key signs", next="to change it: whimbrel ledger rotate"
        )
    with Ledger(folder, keys, wait=TURN_S) as ledger:
        for old in keys.signers[1:]:
            ledger.append(line("key", random_id(), now(), action="revoke", vkey=str(old.key)))
        ledger.commit()
        _write_keys(path, keys.signers[:1])
        _say(ledger.disk, log.origin, keys.signers[:1])
    keys = load_keys(log.origin, path)
    Ledger(folder, keys).close()
    return keys


def _file_of(keys: Keys) -> Path:
    path = keys.memory.with_suffix("") if keys.memory.suffix == ".max" else keys.memory
    if not path.is_file():
        raise UsageError(
            "the key cannot be changed where it is", where=ENV_KEY, why="it is in the environment itself",
            next=f"put it into a file that only you can read, and name that: {ENV_KEY}=FILE",
        )  # fmt: skip
    return path


def _write_keys(path: Path, signers: tuple[Signer, ...]) -> None:
    data = "".join(key_text(signer) + "\n" for signer in signers).encode()
    with disk_errors(path, "write the key"):
        Disk(path.parent).put([(str(path.absolute()), data)])


def _say(disk: Disk, origin: str, signers: Any) -> None:
    """Say which public keys sign."""
    log = {"origin": origin, "keys": [str(one.key) for one in signers]}
    disk.put([(LOG_FILE, json.dumps(log, indent=1).encode() + b"\n")])


@dataclass(frozen=True, slots=True)
class Standing:
    """How a ledger stands: its head, when it was published, and what no one outside covers."""

    origin: str
    keys: tuple[str, ...]
    size: int
    root: str
    published: datetime
    witnessed: int
    exposed: int
    exposed_since: datetime | None
    stamped: int
    waiting: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; `exposure_s` is the age of the oldest entry that no witness's checkpoint covers."""
        age = None if self.exposed_since is None else max(0.0, time.time() - self.exposed_since.timestamp())
        return {
            "origin": self.origin, "keys": list(self.keys), "entries": self.size, "root": self.root,
            "published": self.published.isoformat(), "witnessed_entries": self.witnessed, "exposed_entries": self.exposed,
            "exposure_s": age, "stamped_entries": self.stamped, "waits_to_be_published": self.waiting,
        }  # fmt: skip


def standing(home: Path, policy: Policy | None = None) -> Standing:
    """How the ledger of a log stands.

    Raises:
        UsageError: there is none.
        StoreError: it cannot be read.
        ProofError: its checkpoint does not hold.
    """
    folder = folder_of(home)
    log = read_log(folder)
    head, _ = read_head(folder)
    covered, since = _covered(folder, policy or Policy())
    published = datetime.fromtimestamp((folder / "checkpoint").stat().st_mtime, UTC)
    return Standing(
        log.origin, tuple(map(str, log.keys)), head.size, head.root.hex(), published, covered, head.size - covered,
        since if covered < head.size else None, max(stamped_sizes(folder), default=0), read_state(folder)[0] > head.size,
    )  # fmt: skip


def _covered(folder: Path, policy: Policy) -> tuple[int, datetime | None]:
    """The size of the newest kept checkpoint whose quorum of witnesses is met, and when the first one after it was published."""
    known, after = tuple(dict.fromkeys(policy.witnesses.values())), None
    days = sorted((folder / "checkpoints").glob("*.jsonl"), reverse=True)
    if policy.quorum == "none":
        days = days[-1:]  # nothing covers anything: only the first one is asked for
    for path in days:
        for text in reversed(path.read_text("utf-8").splitlines()):
            try:
                held = json.loads(text)
                note, at = held["checkpoint"].encode(), datetime.fromisoformat(held["t"])
                size = parse_checkpoint(split_note(note)[0]).size
                seen = frozenset(key.public for key in open_note(note, known)[1])
            except (ValueError, KeyError, TypeError, AttributeError, ProofError):
                continue  # a line that was cut when the machine stopped
            if policy.quorum != "none" and policy.met(policy.quorum, seen):
                return size, after
            after = at if size else after
    return 0, after
