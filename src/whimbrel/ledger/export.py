"""One person's records, in one file: all values, labels and decisions, and the evidence of each prediction.

In: a log, its ledger's keys, whose. Out: `Export`, whose `files` make a zip. An entry of kind `export` says which entries were handed out,
but not whose they are: whoever erases later can name who holds copies.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from whimbrel.errors import EvidenceError, UsageError
from whimbrel.ledger.entries import line
from whimbrel.ledger.keys import Keys
from whimbrel.ledger.lifecycle import TURN_S, folder_of
from whimbrel.ledger.prove import Evidence, Prover
from whimbrel.ledger.sequencer import Sequencer, now, random_id
from whimbrel.ledger.writer import Ledger
from whimbrel.store.appended import rows_of
from whimbrel.store.erase import ids_of

if TYPE_CHECKING:
    from whimbrel.store import Log

EXPORTS = "export/"
"""What entries of exports are found by."""

_AN_ENTRY = 4000
_FIRST = (1980, 1, 1, 0, 0, 0)
_READ_ME = """Records of one person, from the log {origin}.

records.jsonl   a line for each prediction: its values by path, and the labels and decisions that came later
evidence/N.zip  proof that the prediction of line N was recorded so: unpack it and run
                python verify.py N.zip --key KEY, with a key from somebody you trust

Not in here: content of large binary values, debug sessions, backups, and what others keep.
"""


@dataclass(frozen=True, slots=True)
class Export:
    """How many predictions of each app, and the files."""

    predictions: Mapping[str, int]
    files: Mapping[str, bytes] = field(repr=False)

    def zipped(self) -> bytes:
        """As a zip."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as into:
            for name, data in self.files.items():
                how = zipfile.ZIP_STORED if name.endswith(".zip") else zipfile.ZIP_DEFLATED
                into.writestr(zipfile.ZipInfo(name, _FIRST), data, how)
        return packed.getvalue()


def export(log: Log, keys: Keys, path: str, value: str, *, app: str | None = None) -> Export:
    """Everything that the log holds of the predictions whose field `path` has this value, with evidence.

    Raises:
        EvidenceError: there is none.
        AlteredError: values are not those that were committed to.
        StoreError: a table or the ledger cannot be read or written.
    """
    apps = log.apps() if app is None else (app,)
    found = {name: ids for name in apps if (ids := ids_of(log, name, path, value))}
    if not found:
        raise EvidenceError(
            f"no prediction has {path} = {value[:80]!r}", where=", ".join(apps), why="it is spelt otherwise, or they are erased",
            next="see what there is: whimbrel ls --where …",
        )  # fmt: skip
    folder = folder_of(log.home)
    with Ledger(folder, keys, wait=TURN_S) as ledger:
        Sequencer(log, ledger).take()
    prover = Prover(log, folder)
    records: list[dict[str, Any]] = []
    evidence: list[Evidence] = []
    for name, ids in found.items():
        for ident in ids:
            records += _records(log, name, ident)
            evidence.append(prover.prove(ident, app=name))
    _say(folder_of(log.home), keys, sorted(one.index for one in evidence))
    lines = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records).encode()
    proofs = {f"evidence/{at}.zip": one.zipped() for at, one in enumerate(evidence, 1)}
    files = {"README.txt": _READ_ME.format(origin=keys.origin).encode(), "records.jsonl": lines, **proofs}
    return Export({name: len(ids) for name, ids in found.items()}, files)


def _records(log: Log, app: str, ident: str) -> Iterator[dict[str, Any]]:
    """A prediction with what came later."""
    later = {
        what: [_known(row) for row in rows_of(table, ident)]
        for what, table in (("labels", log.layout.labels(app)), ("decisions", log.layout.decisions(app)))
    }
    for row in rows_of(log.layout.predictions(app), ident):
        yield {"app": app, "values": _known(row), **later}


def _known(row: Mapping[str, Any]) -> dict[str, Any]:
    return {path: value for path, value in row.items() if value is not None}


def _say(folder: Any, keys: Keys, indexes: list[int]) -> None:
    """Say in the ledger which entries were handed out."""
    with Ledger(folder, keys, wait=TURN_S) as ledger:
        for at in range(0, len(indexes), _AN_ENTRY):
            ledger.append(line("export", random_id(), now(), of=indexes[at : at + _AN_ENTRY]), name=EXPORTS)
        ledger.commit()


def write_private(path: Any, data: bytes) -> None:
    """Write a file that only its owner reads. Raises UsageError where it cannot be written."""
    import os

    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
    except OSError as error:
        raise UsageError(
            f"cannot write {path}: {error.strerror}", where="--output", next="name another file"
        ) from error
