"""One person's predictions are erased: nothing of them is left in the log, and every other proof holds."""

from __future__ import annotations

import errno
import json
from hashlib import sha256
from pathlib import Path

import pandas as pd
import pytest

from tests.ledger.disks import FailingDisk
from tests.ledger.scenes import Scene, failed, says, state
from whimbrel.errors import EvidenceError, StoreError, UsageError
from whimbrel.ledger import erase as room
from whimbrel.ledger.erase import erase, pending
from whimbrel.ledger.reader import NAMES, candidates, read_seed
from whimbrel.ledger.values import check_values
from whimbrel.ledger.writer import Ledger
from whimbrel.model.window import Window

SECRETS = ("ann@secret.example", "Annabel Secret")


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """Forty predictions, of which five are Ann's, with labels and decisions that came later."""
    scene = Scene(tmp_path)
    scene.begin()
    n = 40
    ids = [f"{i:08x}-0000-7000-8000-000000000000" for i in range(n)]
    users = ["Annabel Secret" if i % 8 == 3 else f"user{i}" for i in range(n)]
    notes = [f"write to ann@secret.example, {i}" if i % 8 == 3 else "nothing" for i in range(n)]
    ts = pd.date_range("2026-11-01", periods=n, freq="h", tz="UTC")
    scores = [i / n for i in range(n)]
    frame = pd.DataFrame(
        {"id": ids, "ts": ts, "inputs.note": notes, "inputs.x": scores, "outputs.score": scores, "context.user": users}
    )
    scene.log.add(frame, app="fares")
    scene.log.add(pd.DataFrame({"id": ids, "label": [float(i % 2) for i in range(n)]}), app="fares")
    scene.log.set_golden("november", Window("fares"))
    scene.take()
    return scene


def ident(i: int) -> str:
    return f"{i:08x}-0000-7000-8000-000000000000"


def all_bytes(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def run(scene: Scene) -> dict[str, object]:
    return erase(scene.log, scene.keys, "context.user", "Annabel Secret", basis="gdpr17").to_dict()


def test_erased_and_still_proven(scene: Scene) -> None:
    """Values, salts and labels are nowhere in the log's folder; the erased entry proves that it was there and what it no longer
    says; all others prove as before; golden still works; the erasure has an entry, published before anything went."""
    old = scene.note
    (index,) = candidates(scene.folder, NAMES, ident(3), 99)
    seed = read_seed(scene.folder, index)
    (label,) = candidates(scene.folder, NAMES, f"outcome/{ident(3)}", 99)
    seed_of_label = read_seed(scene.folder, label)
    entry = scene.entries()[index]
    assert any(one.encode() in all_bytes(scene.base / "home") for one in SECRETS)
    told = run(scene)
    assert told["erased"] == {"fares": 5}
    assert any("backups" in one for one in told["left"])  # type: ignore[attr-defined]
    left = all_bytes(scene.base / "home")
    for one in SECRETS:
        assert one.encode() not in left
    assert seed not in left
    assert any(seed_of_label)
    assert seed_of_label not in left
    assert read_seed(scene.folder, index) == bytes(32)
    assert scene.entries()[index] == entry
    said = [json.loads(one) for one in scene.entries() if b'"k":"erase"' in one]
    assert [(len(one["of"]), one["basis"], one["groups"][0]) for one in said] == [(5, "gdpr17", "who")]
    found = scene.prove(ident(3))
    assert found.erased == ("who", "input", "output", "system", "oversight", "cost-risk")
    verdicts = scene.check(found.files)
    assert failed(verdicts) == set()
    assert says(verdicts, "disclosures").startswith("erased who")
    for other in (2, 4):
        assert failed(scene.check(scene.prove(ident(other)).files)) == set()
        assert state(scene.check(scene.prove(ident(other)).files), "disclosures") == "ok"
    assert failed(scene.audit(since=old)) == set()
    values = check_values(scene.log, scene.folder)
    assert (values.agree, values.differ) == (35, ())
    golden = scene.log.golden("november")
    assert (golden.predictions, golden.version) == (35, scene.log.version("fares"))
    assert len(scene.log.source("fares", golden.version).files) > 0


def test_again_there_is_nothing(scene: Scene) -> None:
    """A second time there is nobody to erase, and later predictions go in as ever."""
    run(scene)
    with pytest.raises(EvidenceError, match="no prediction has"):
        run(scene)
    scene.add(7, 100)
    assert failed(scene.audit()) == set()
    assert check_values(scene.log, scene.folder).agree == 42


@pytest.mark.parametrize("basis", ["", "because Ann asked", "ann@secret.example", "x" * 50])
def test_a_basis_names_nobody(scene: Scene, basis: str) -> None:
    """What stands in the ledger for ever is one plain word."""
    with pytest.raises(UsageError, match="is no basis"):
        erase(scene.log, scene.keys, "context.user", "Annabel Secret", basis=basis)


def test_an_erasure_that_is_interrupted_is_finished(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever step on the ledger's disk fails, the same call later finishes it, with one entry."""
    at = 0
    while True:
        at += 3

        def ledger(folder: Path, keys: object, at: int = at, **_: object) -> Ledger:
            return Ledger(folder, scene.keys, disk=lambda root: FailingDisk(root, at, errno.ENOSPC))

        monkeypatch.setattr(room, "Ledger", ledger)
        try:
            erase(scene.log, scene.keys, "context.user", "Annabel Secret", basis="gdpr17")
            break
        except StoreError:
            assert failed(scene.audit()) == set()
    assert at > 9
    monkeypatch.undo()
    assert not pending(scene.folder)
    assert sum(b'"k":"erase"' in one for one in scene.entries()) == 1
    left = all_bytes(scene.base / "home")
    assert not any(one.encode() in left for one in SECRETS)
    assert failed(scene.audit()) == set()
    assert scene.prove(ident(3)).erased


def test_rows_that_go_between_salts_and_table(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after the salts went and before the rows did: the next call takes out the rows."""

    def fail(*_: object) -> tuple[str, ...]:
        raise StoreError("killed here")

    monkeypatch.setattr(room, "erase_rows", fail)
    with pytest.raises(StoreError, match="killed here"):
        run(scene)
    assert pending(scene.folder)
    monkeypatch.undo()
    assert run(scene)["erased"] == {"fares": 5}
    assert not any(one.encode() in all_bytes(scene.base / "home") for one in SECRETS)
    assert sum(b'"k":"erase"' in one for one in scene.entries()) == 1


def test_digests_cannot_be_guessed(scene: Scene) -> None:
    """What is left of an erased group is a digest under 128 unknown bits: no candidate value gives it, with no salt that is left."""
    run(scene)
    told = json.loads(scene.prove(ident(3)).files["disclosures.json"])["groups"]
    assert all(set(one) == {"group", "digest", "why"} for one in told)
    salts = {
        line.split('"')[1]
        for line in (
            one["line"] for i in (2, 4) for one in json.loads(scene.prove(ident(i)).files["disclosures.json"])["groups"]
        )
    }
    for salt in salts | {"0" * 32}:
        guess = f'["{salt}","who",{{"context.user":"Annabel Secret"}}]'
        assert sha256(guess.encode()).hexdigest() != told[0]["digest"]
