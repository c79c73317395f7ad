"""A log with a ledger, evidence from it, and what an attacker who has its files can do to them."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pandas as pd

from tests.ledger.disks import FailingDisk, keys_in
from whimbrel.ledger.audit import Audit
from whimbrel.ledger.keys import Keys
from whimbrel.ledger.merkle.notes import Key
from whimbrel.ledger.merkle.proofs import Checkpoint
from whimbrel.ledger.merkle.tiles import Tiles
from whimbrel.ledger.merkle.tree import leaf_hash, root_of
from whimbrel.ledger.prove import Evidence, Prover
from whimbrel.ledger.reader import read_head, tiles_of
from whimbrel.ledger.sequencer import Sequencer
from whimbrel.ledger.verdicts import Bundle, Found, Policy
from whimbrel.ledger.writer import Ledger, bundles, create, grown
from whimbrel.record import Recorder
from whimbrel.store import Log, open_log


def quiet(root: Path) -> FailingDisk:
    """A disk that never fails and does not wait for the platters."""
    return FailingDisk(root, 0)


@dataclass
class Scene:
    """A log, its ledger and its keys in one folder."""

    base: Path

    @property
    def log(self) -> Log:
        return open_log(self.base / "home")

    @property
    def folder(self) -> Path:
        return self.base / "home" / "ledger"

    @property
    def keys(self) -> Keys:
        return keys_in(self.base)

    @property
    def public(self) -> Key:
        return self.keys.signers[0].key

    def begin(self) -> None:
        create(self.folder, self.keys, disk=quiet)

    def record(self, n: int, app: str = "fares") -> list[str]:
        """Predictions of one process, and what it recorded taken into log and ledger; gives their ids."""
        recorder, ids = Recorder(app, home=self.base / "home", model=f"{app}@7"), []
        for i in range(n):
            with recorder.prediction({"fare": i * 1.5}, country="US", user=f"user{i}") as p:
                p.output(i / n)
                ids.append(p.id)
        recorder.close()
        self.log.ingest()
        self.take()
        return ids

    def add(self, n: int, start: int = 0, app: str = "fares") -> list[str]:
        ids = [f"{i:08x}-0000-7000-8000-000000000000" for i in range(start, start + n)]
        ts = pd.date_range("2026-11-01", periods=n, freq="s", tz="UTC") + pd.Timedelta(start, "s")
        scores = [i / 7 for i in range(n)]
        self.log.add(pd.DataFrame({"id": ids, "ts": ts, "inputs.fare": scores, "outputs.score": scores}), app=app)
        self.take()
        return ids

    def take(self) -> dict[str, int]:
        with Ledger(self.folder, self.keys, disk=quiet) as ledger:
            return Sequencer(self.log, ledger).take()

    def prove(self, ident: str, groups: Sequence[str] | None = None) -> Evidence:
        return Prover(self.log, self.folder).prove(ident, groups=groups)

    def audit(
        self, *, since: bytes | None = None, policy: Policy | None = None, keys: Sequence[Key] | None = None
    ) -> Found:
        return Audit(self.folder, [self.public] if keys is None else keys, policy, since).found()

    def check(
        self, files: Mapping[str, bytes], *, policy: Policy | None = None, keys: Sequence[Key] | None = None
    ) -> Found:
        return Bundle(files, [self.public] if keys is None else keys, policy).found()

    @property
    def head(self) -> Checkpoint:
        return read_head(self.folder)[0]

    @property
    def note(self) -> bytes:
        return (self.folder / "checkpoint").read_bytes()

    def entries(self) -> list[bytes]:
        nodes: Tiles = tiles_of(self.folder, self.head.size)
        return [one for number in range(-(-self.head.size // 256)) for one in nodes.entries(number)]

    def rewrite(self, entries: Sequence[bytes], *, sign: bool) -> None:
        """What an attacker makes of the tree: all files anew from these entries; signed where the key was stolen, too."""
        shutil.rmtree(self.folder / "tile")
        files = [*bundles(entries, 0), *grown([], list(map(leaf_hash, entries)), 0)[1]]
        for path, data in files:
            target = self.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        if sign:
            tree = Checkpoint(self.keys.origin, len(entries), root_of(list(map(leaf_hash, entries))))
            (self.folder / "checkpoint").write_bytes(tree.sign(*self.keys.signers))

    def flip(self, path: str, at: int) -> None:
        """One bit of a file."""
        data = bytearray((self.folder / path).read_bytes())
        data[at] ^= 1
        (self.folder / path).write_bytes(data)


def state(found: Found, line: str) -> str:
    (one,) = [one for one in found.verdicts if one.line == line]
    return one.state


def says(found: Found, line: str) -> str:
    (one,) = [one for one in found.verdicts if one.line == line]
    return one.says


def failed(found: Found) -> set[str]:
    return {one.line for one in found.verdicts if one.state == "FAILED"}


def sealed(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Files with a manifest that fits them: an attacker writes that too."""
    manifest = json.loads(files["MANIFEST.json"])
    manifest["files"] = {name: sha256(data).hexdigest() for name, data in files.items() if name != "MANIFEST.json"}
    return {**files, "MANIFEST.json": json.dumps(manifest).encode()}


def zipped(fill: Callable[[zipfile.ZipFile], None]) -> bytes:
    """A zip of one's own making."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as into:
        fill(into)
    return packed.getvalue()
