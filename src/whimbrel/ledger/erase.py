"""Erasure that keeps the proofs: values, labels, decisions and salts go; the entry and the digests of its groups stay.

In: a log, its ledger's keys, whose rows, on what basis. Out: `Erased`. An entry says so, published before anything is destroyed, and
a note of what is to be destroyed lies on the disk until all of it is: whoever is killed in between finishes when he comes back.
Without its salts, which are gone, a digest can be guessed by nobody, and every other proof holds as before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whimbrel.errors import EvidenceError, UsageError
from whimbrel.ledger.disk import disk_errors
from whimbrel.ledger.entries import GROUPS, disclosures, entry_id, grouped, line
from whimbrel.ledger.export import EXPORTS
from whimbrel.ledger.keys import Keys
from whimbrel.ledger.lifecycle import TURN_S, folder_of
from whimbrel.ledger.reader import NAMES, SEED, candidates, erased_path, read_seed, seeds_at, tiles_of
from whimbrel.ledger.sequencer import Sequencer, late_name, now, random_id
from whimbrel.ledger.verdicts import entry_fields
from whimbrel.ledger.writer import Ledger
from whimbrel.store.appended import row_of
from whimbrel.store.erase import erase_rows, ids_of

if TYPE_CHECKING:
    from whimbrel.store import Log

_PENDING = "private/erasing.json"
_AN_ENTRY = 4000


@dataclass(frozen=True, slots=True)
class Erased:
    """How many predictions are gone, by app, and what is out of reach."""

    predictions: dict[str, int]
    left: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"erased": self.predictions, "left": list(self.left)}


def erase(log: Log, keys: Keys, path: str, value: str, *, basis: str, app: str | None = None) -> Erased:
    """Erase every prediction whose field `path` has this value, in one app or all.

    Args:
        log: the log; what recorders left waiting must have been taken in.
        keys: the ledger's keys: an entry of the erasure is signed.
        path: a field, such as `context.user`.
        value: its value, as text.
        basis: why, in one word that names nobody, such as `gdpr17`.
        app: where; everywhere if it is not given.

    Raises:
        UsageError: the basis is no plain word, or the app is unknown.
        EvidenceError: there is nothing to erase.
        StoreError: a table or the ledger cannot be written; the same call finishes it.
    """
    if not (basis.isascii() and basis.replace("-", "").replace(".", "").isalnum() and len(basis) <= 40):
        raise UsageError(
            f"{basis[:60]!r} is no basis",
            where="--basis",
            why="it stands in the ledger for ever, so it names nobody",
            next="--basis gdpr17",
        )
    with disk_errors(folder_of(log.home), "erase"), Ledger(folder_of(log.home), keys, wait=TURN_S) as ledger:
        done = _finish(log, ledger) if (ledger.folder / _PENDING).exists() else Erased({}, ())
        Sequencer(log, ledger).take()
        apps = log.apps() if app is None else (app,)
        found = {name: ids for name in apps if (ids := ids_of(log, name, path, value))}
        if not found and not done.predictions:
            raise EvidenceError(
                f"no prediction has {path} = {value[:80]!r}", where=", ".join(apps), why="it is spelt otherwise, or they are erased already",
                next="see what there is: whimbrel ls --where …",
            )  # fmt: skip
        if not found:
            return done
        rows = [_row(log, ledger, name, ident) for name, ids in found.items() for ident in ids]
        indexes = sorted(row["index"] for row in rows if row["index"] is not None)
        said = [random_id() for _ in range(0, max(1, len(indexes)), _AN_ENTRY)]
        pending = {"entries": said, "basis": basis, "rows": rows}
        ledger.disk.put([(_PENDING, json.dumps(pending).encode())])
        return _finish(log, ledger)


def _row(log: Log, ledger: Ledger, app: str, ident: str) -> dict[str, Any]:
    """One prediction that is to go: its entry's index, and the digests of its groups, which stay."""
    values = row_of(log.layout.predictions(app), ident) or {}
    nodes = tiles_of(ledger.folder, ledger.size)
    late = list(_late(ledger, ident))
    for index in candidates(ledger.folder, NAMES, ident, ledger.size):
        seed = read_seed(ledger.folder, index)
        entry = entry_fields(nodes.entries(index // 256)[index % 256])
        if entry["k"] == "pred" and entry["id"] in (ident, entry_id(ident, seed)):
            lines = disclosures("pred", grouped({**values, "app": app}, values.get("rescued")), seed)
            digests = [hashlib.sha256(one).hexdigest() for one in lines]
            return {"app": app, "id": ident, "index": index, "digests": digests, "late": late}
    return {"app": app, "id": ident, "index": None, "digests": [], "late": late}


def _late(ledger: Ledger, ident: str) -> Iterator[int]:
    """The entries of a prediction's later labels and decisions."""
    nodes = tiles_of(ledger.folder, ledger.size)
    for kind in ("outcome", "decision"):
        for index in candidates(ledger.folder, NAMES, late_name(kind, ident), ledger.size):
            entry = entry_fields(nodes.entries(index // 256)[index % 256])
            if (entry["k"], entry.get("of")) == (kind, entry_id(ident, read_seed(ledger.folder, index))):
                yield index


def _finish(log: Log, ledger: Ledger) -> Erased:
    """Do what the note says, from wherever it was left: say it, destroy the salts, take out the rows, then drop the note."""
    pending = json.loads((ledger.folder / _PENDING).read_bytes())
    rows: Sequence[dict[str, Any]] = pending["rows"]
    indexes = sorted(row["index"] for row in rows if row["index"] is not None)
    for at, ident in enumerate(pending["entries"]):
        if not candidates(ledger.folder, NAMES, ident, ledger.size):
            part = indexes[at * _AN_ENTRY : (at + 1) * _AN_ENTRY]
            ledger.append(line("erase", ident, now(), of=part, groups=list(GROUPS), basis=pending["basis"]), name=ident)
    ledger.commit()
    for row in rows:
        if row["index"] is not None and not (ledger.folder / erased_path(row["index"])).exists():
            ledger.disk.put([(erased_path(row["index"]), json.dumps({"digests": row["digests"]}).encode())])
    for index in [*indexes, *(one for row in rows for one in row["late"])]:
        path, offset, _ = seeds_at(index)
        ledger.disk.patch(path, offset, bytes(SEED))
    left: dict[str, None] = {}
    counts: dict[str, int] = {}
    for app in dict.fromkeys(row["app"] for row in rows):
        ids = [row["id"] for row in rows if row["app"] == app]
        counts[app] = len(ids)
        left |= dict.fromkeys(erase_rows(log, app, ids))
    left |= dict.fromkeys(_handed_out(ledger, set(indexes)))
    ledger.disk.remove(_PENDING)
    return Erased(counts, tuple(left))


def _handed_out(ledger: Ledger, indexes: set[int]) -> Iterator[str]:
    """Exports that hold what is erased."""
    nodes = tiles_of(ledger.folder, ledger.size)
    for index in candidates(ledger.folder, NAMES, EXPORTS, ledger.size):
        entry = entry_fields(nodes.entries(index // 256)[index % 256])
        if entry["k"] == "export" and (held := indexes & set(entry["of"])):
            yield f"{len(held):,} of them were exported on {entry['t'][:10]} (entry {index:,}): whoever got that file has them"


def pending(folder: Path) -> bool:
    """Whether an erasure was begun and not finished."""
    return (folder / _PENDING).exists()
