"""Evidence of one prediction: its entry, what of it is disclosed, and everything by which a stranger can check it.

In: a log, its ledger, an id. Out: the files of a bundle. Values are taken from the table and must be those that the entry committed
to; where they are not, no bundle is made, and that is said.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whimbrel.errors import EvidenceError, InputError, UsageError
from whimbrel.ledger.alone import verify_py
from whimbrel.ledger.entries import (
    GROUPS,
    commitment,
    committed,
    disclosures,
    entry_id,
    grouped,
    grouped_row,
    id_disclosure,
)
from whimbrel.ledger.merkle.proofs import Checkpoint, Proof
from whimbrel.ledger.merkle.tree import inclusion
from whimbrel.ledger.reader import NAMES, PLACES, candidates, read_erased, read_head, read_log, read_seed, tiles_of
from whimbrel.ledger.sequencer import late_name
from whimbrel.ledger.stamped import stamp_path, stamped_sizes
from whimbrel.ledger.verdicts import ALWAYS_UNPROVEN, FORMAT, SCHEMAS, entry_fields
from whimbrel.store.appended import row_of, rows_of
from whimbrel.version import __version__

if TYPE_CHECKING:
    from whimbrel.store import Log

_FIRST = (1980, 1, 1, 0, 0, 0)


class AlteredError(InputError):
    """The log's values are not those that were committed to."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Evidence:
    """A bundle's files, and what is in it."""

    index: int
    size: int
    disclosed: tuple[str, ...]
    withheld: tuple[str, ...]
    erased: tuple[str, ...]
    files: Mapping[str, bytes] = field(repr=False)

    def zipped(self) -> bytes:
        """The bundle as a zip: the same evidence always gives the same bytes."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as into:
            for name, data in sorted(self.files.items()):
                into.writestr(zipfile.ZipInfo(name, _FIRST), data, zipfile.ZIP_DEFLATED)
        return packed.getvalue()


class Prover:
    """Makes evidence from one log and its ledger, at the head that is published now."""

    def __init__(self, log: Log, folder: Path) -> None:
        self.log, self.folder = log, folder
        self.head: Checkpoint
        self.head, self.note = read_head(folder)
        self.nodes = tiles_of(folder, self.head.size)

    def proof(self, index: int) -> Proof:
        """The proof that the entry at an index is in the tree."""
        return Proof(index, inclusion(self.nodes, index, self.head.size), self.note)

    def entry(self, index: int) -> bytes:
        """The bytes of an entry."""
        number, at = divmod(index, 256)
        return self.nodes.entries(number)[at]

    def prove(
        self, ident: str, *, app: str | None = None, groups: Sequence[str] | None = None, replay: Any = None
    ) -> Evidence:
        """Evidence of one prediction; `groups` are those to disclose, all where it is None.

        Raises:
            UsageError: no such prediction, app or group; or it is not in the ledger yet.
            EvidenceError: its values are in the log no longer.
            AlteredError: they are not those that were committed to.
            ProofError: the ledger itself does not hold.
        """
        wanted = GROUPS if groups is None else tuple(groups)
        if unknown := [name for name in wanted if name not in GROUPS]:
            raise UsageError(
                f"there is no group {unknown[0]!r}", where="--disclose", next=f"choose among {', '.join(GROUPS)}"
            )
        index, entry = self._find(ident, app)
        seed = read_seed(self.folder, index)
        lists, told = self._disclosed(ident, app, index, entry, wanted)
        about: dict[str, Any] = {"groups": told}
        if str(entry["id"]).startswith("h-") and any(seed):
            about["id"] = id_disclosure(ident, seed).decode()
        files = {
            "entry.json": self.entry(index),
            "proof.tlog-proof": self.proof(index).text(),
            "disclosures.json": _json(about),
            "completeness.json": _json(self._neighbours(entry)),
            "policy": self._policy(),
            "verify.py": verify_py().encode(),
        }
        if (run := self._run(str(entry["p"]), disclose="system" in wanted)) is not None:
            files["run.json"] = _json(run)
        if later := self._later(ident, disclose="output" in wanted):
            files["later.json"] = _json(later)
        if (stamp := self._stamp(index)) is not None:
            files["stamp.json"] = _json(stamp)
        if replay is not None:
            files["replay.json"] = _json(replay)
        files["MANIFEST.json"] = self._manifest(files, entry)
        return Evidence(index, self.head.size, lists["disclosed"], lists["withheld"], lists["erased"], files)

    def _find(self, ident: str, app: str | None) -> tuple[int, dict[str, Any]]:
        """Index and fields of a prediction's entry."""
        for index in candidates(self.folder, NAMES, ident, self.head.size):
            entry = entry_fields(self.entry(index))
            names = (ident, entry_id(ident, read_seed(self.folder, index)))
            if entry["k"] == "pred" and entry["id"] in names and self._is_of(entry, ident, app):
                return index, entry
        raise UsageError(
            f"there is no entry of {ident[:200]!r} among {self.head.size:,}", where=str(self.folder), why="the id is another, or it was not taken in yet",
            next="take in what is new, then ask again: whimbrel ledger write",
        )  # fmt: skip

    def _is_of(self, entry: Mapping[str, Any], ident: str, app: str | None) -> bool:
        """Whether the entry is of that app: by its row, where an app was named."""
        if app is None:
            return True
        row = row_of(self.log.layout.predictions(app), ident)
        return row is not None and (row.get("recorder.process") == entry["p"] or entry["p"].startswith("import/"))

    def _disclosed(
        self, ident: str, app: str | None, index: int, entry: Mapping[str, Any], wanted: Sequence[str]
    ) -> tuple[dict[str, tuple[str, ...]], list[dict[str, str]]]:
        """What of each group is said: its line, or its digest and why."""
        erased = read_erased(self.folder, index)
        found = None
        for name in [app] if app else self.log.apps():
            values = row_of(self.log.layout.predictions(name), ident)
            if values is None:
                continue
            lines = disclosures(
                "pred", grouped({**values, "app": name}, values.get("rescued")), read_seed(self.folder, index)
            )
            digests = [hashlib.sha256(line).digest() for line in lines]
            if base64.b64encode(commitment("pred", digests)).decode() == entry["fr"]:
                found = lines
            elif app or found is None:
                found = found or []
        if erased is not None:
            told = [
                {"group": name, "digest": digest, "why": "erased"} for name, digest in zip(GROUPS, erased, strict=True)
            ]
            return {"disclosed": (), "withheld": (), "erased": GROUPS}, told
        if found is None:
            raise EvidenceError(
                f"the values of {ident[:200]!r} are in the log no longer", where=str(self.log.home), why="they were retained for as long as the policy says",
                next="the entry alone says id, time and producer: whimbrel ledger verify checks that it is there",
            )  # fmt: skip
        if not found:
            raise AlteredError(
                f"the log's values of {ident[:200]!r} are not those that its entry committed to", where=f"entry {index} of {self.folder}",
                why="a value in the table, or the seed of its salts, was changed after it was recorded",
                next="compare with a backup of the table; whimbrel ledger verify --values finds all such rows",
            )  # fmt: skip
        told = []
        for name, line in zip(GROUPS, found, strict=True):
            said = (
                {"line": line.decode()}
                if name in wanted
                else {"digest": hashlib.sha256(line).hexdigest(), "why": "withheld"}
            )
            told.append({"group": name, **said})
        rest = tuple(name for name in GROUPS if name not in wanted)
        return {"disclosed": tuple(name for name in GROUPS if name in wanted), "withheld": rest, "erased": ()}, told

    def _beside(self, index: int) -> dict[str, Any]:
        return {"entry": self.entry(index).decode(), "proof": self.proof(index).text().decode()}

    def _neighbours(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """The producer's entries just before and after this one, proven, or why they are not shown."""
        told: dict[str, Any] = {}
        for side, number in (("before", entry["s"] - 1), ("after", entry["s"] + 1)):
            why = "not in the ledger: it still ran, was sampled out, lost, or never made"
            told[side] = {"why": "there is none: numbers begin at 1" if number < 1 else why}
            for index in candidates(self.folder, PLACES, f"{entry['p']}/{number}", self.head.size):
                other = entry_fields(self.entry(index))
                if (other.get("p"), other.get("s"), other["k"]) == (entry["p"], number, "pred"):
                    told[side] = self._beside(index)
        return told

    def _run(self, producer: str, *, disclose: bool) -> dict[str, Any] | None:
        """The entry of the process that made it, with its facts."""
        for index in candidates(self.folder, NAMES, producer, self.head.size):
            entry = entry_fields(self.entry(index))
            values = row_of(self.log.layout.processes, producer)
            if (entry["k"], entry["id"]) != ("run", producer) or values is None:
                continue
            (line,) = disclosures(
                "run", grouped_row("run", tuple(values), tuple(values.values())), read_seed(self.folder, index)
            )
            said = (
                {"line": line.decode()} if disclose else {"digest": hashlib.sha256(line).hexdigest(), "why": "withheld"}
            )
            return {**self._beside(index), "groups": [{"group": SCHEMAS["run"][0], **said}]}
        return None

    def _stamp(self, index: int) -> dict[str, Any] | None:
        """The first time stamp over a tree that has the entry in it, with the proof of that."""
        size = next((size for size in stamped_sizes(self.folder) if index < size <= self.head.size), None)
        if size is None:
            return None
        held: dict[str, Any] = json.loads((self.folder / stamp_path(size)).read_bytes())
        proof = Proof(index, inclusion(tiles_of(self.folder, size), index, size), held["checkpoint"].encode())
        return {**held, "proof": proof.text().decode()}

    def _later(self, ident: str, *, disclose: bool) -> list[dict[str, Any]]:
        """The entries of labels and decisions that came later, with what they say."""
        told = []
        for kind, table_of in (("outcome", self.log.layout.labels), ("decision", self.log.layout.decisions)):
            for index in candidates(self.folder, NAMES, late_name(kind, ident), self.head.size):
                entry, seed = entry_fields(self.entry(index)), read_seed(self.folder, index)
                if (entry["k"], entry.get("of")) != (kind, entry_id(ident, seed)):
                    continue
                for row in (row for app in self.log.apps() for row in rows_of(table_of(app), ident)):
                    (line,) = disclosures(kind, grouped_row(kind, tuple(row), tuple(row.values())), seed)
                    if committed(kind, [line]) == entry["fr"]:
                        said = (
                            {"line": line.decode()}
                            if disclose
                            else {"digest": hashlib.sha256(line).hexdigest(), "why": "withheld"}
                        )
                        about = {"id": id_disclosure(ident, seed).decode()} if entry["of"] != ident else {}
                        told.append({**self._beside(index), "groups": [{"group": SCHEMAS[kind][0], **said}], **about})
                        break
        return told

    def _policy(self) -> bytes:
        keys = "".join(f"log {key}\n" for key in read_log(self.folder).keys)
        return f"# The operator's own word. Take keys and witnesses from elsewhere.\n{keys}quorum none\n".encode()

    def _manifest(self, files: Mapping[str, bytes], entry: Mapping[str, Any]) -> bytes:
        return _json({
            "format": FORMAT,
            "tool": f"whimbrel {__version__}",
            "claims": [f"a prediction {entry['id']} was recorded as entry.json says, and is in the ledger {self.head.origin}"],
            "not_proven": list(ALWAYS_UNPROVEN),
            "check": f"python verify.py BUNDLE.zip --key '{'|'.join(str(key) for key in read_log(self.folder).keys)}', once you trust that key",
            "files": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())},
        })  # fmt: skip


def _json(held: Any) -> bytes:
    return json.dumps(held, indent=1, ensure_ascii=False).encode() + b"\n"
