"""Each attack on a ledger, its evidence or its reader, and the line that names it; and the two that nothing here can see."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import random
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import deltalake
import duckdb
import pandas as pd
import pytest

from tests.ledger.disks import ORIGIN
from tests.ledger.scenes import Scene, failed, says, sealed, state
from whimbrel.errors import StoreError
from whimbrel.ledger.merkle.notes import WITNESS, Signer, new_signer, read_key
from whimbrel.ledger.merkle.proofs import Checkpoint
from whimbrel.ledger.merkle.tree import ProofError
from whimbrel.ledger.prove import AlteredError
from whimbrel.ledger.reader import NAMES, candidates
from whimbrel.ledger.values import check_values
from whimbrel.ledger.verdicts import Policy, read_policy
from whimbrel.ledger.writer import Ledger


def now() -> int:
    """Seconds since 1970; asked when needed, for a long run of tests ends long after it began."""
    return int(time.time())


def witness(name: str = "w.example", seed: bytes = b"w") -> Signer:
    return new_signer(name, seed * 32, WITNESS)


def policy(scene: Scene, *witnesses: Signer, least: str = "all") -> Policy:
    lines = [f"log {scene.public}", *(f"witness w{i} {one.key}" for i, one in enumerate(witnesses))]
    names = " ".join(f"w{i}" for i in range(len(witnesses)))
    return read_policy("\n".join([*lines, f"group all {least} {names}", "quorum all"]))


def cosigned(files: dict[str, bytes], *lines: bytes) -> dict[str, bytes]:
    """Evidence whose checkpoints bear further signatures."""
    return sealed({**files, "proof.tlog-proof": files["proof.tlog-proof"] + b"".join(lines)})


def text_of(files: dict[str, bytes]) -> bytes:
    """The text of the checkpoint in a bundle: what a witness signs."""
    return files["proof.tlog-proof"].split(b"\n\n", 1)[1].split(b"\n\n")[0] + b"\n"


# --- nothing is wrong


def test_nothing_is_wrong(scene: Scene, files: dict[str, bytes]) -> None:
    """Without an attack no line fails, in the log and in a bundle; what nobody outside vouches for is not shown."""
    log = scene.audit(since=scene.note)
    assert failed(log) == set()
    assert {
        line: state(log, line) for line in ("inclusion", "bytes", "tiles", "signature", "consistency", "completeness")
    } == dict.fromkeys(("inclusion", "bytes", "tiles", "signature", "consistency", "completeness"), "ok")
    found = scene.check(files)
    assert failed(found) == set()
    assert [one.line for one in found.verdicts if one.state == "not shown"] == ["witnesses", "time", "later", "replay"]
    assert found.code == 0
    assert found.not_proven
    assert "PASS" not in found.text()


# --- a bit flipped


@pytest.mark.parametrize("at", [0, 2, 100, 5000, 40_000])
def test_a_bit_flipped_in_an_entry_or_its_length(scene: Scene, at: int) -> None:
    """The entries no longer make the root, and the first bad one is named."""
    scene.flip("tile/entries/000", at)
    found = scene.audit()
    assert "inclusion" in failed(found)
    assert any(word in says(found, "inclusion") for word in ("entry", "bundle"))


@pytest.mark.parametrize(
    ("tile", "at", "names"), [("0/000", 32 * 7, "entry 7 "), ("0/001", 5, "entry 256 "), ("1/000", 3, "level 1")]
)
def test_a_bit_flipped_in_a_tile(scene: Scene, tile: str, at: int, names: str) -> None:
    """The entries still make the signed root, so the tile is at fault, and is named."""
    path = scene.folder / "tile" / tile
    if not path.exists():
        path = max((scene.folder / "tile" / f"{tile}.p").iterdir(), key=lambda one: int(one.name))
    scene.flip(str(path.relative_to(scene.folder)), at)
    found = scene.audit()
    assert failed(found) == {"tiles"}
    assert names in says(found, "tiles")


def test_a_proof_from_a_tile_that_was_changed_does_not_hold(scene: Scene) -> None:
    """Evidence made over a changed tile fails at whoever checks it."""
    scene.flip("tile/0/000", 32 * 16)
    assert "inclusion" in failed(scene.check(scene.prove("00000011-0000-7000-8000-000000000000").files))


def test_a_bit_flipped_in_the_checkpoint(scene: Scene) -> None:
    """The signature no longer holds, or the root is no longer that of the entries."""
    text, _, _ = scene.note.partition(b"\n\n")
    for at in range(len(ORIGIN) + 1, len(text), 7):
        scene.flip("checkpoint", at)
        with contextlib.suppress(ProofError):  # no checkpoint at all
            assert failed(scene.audit()) & {"signature", "inclusion"}
        scene.flip("checkpoint", at)


@pytest.mark.parametrize("column", ["outputs", "inputs"])
def test_a_value_changed_in_the_table(scene: Scene, column: str) -> None:
    """A row rewritten in the log: no evidence is made of it, and the check of all values names it; its neighbours stand."""
    ident = "00000011-0000-7000-8000-000000000000"
    member = {"outputs": "score", "inputs": "fare"}[column]
    table = deltalake.DeltaTable(str(scene.log.layout.predictions("fares").folder))
    rows = [file for file in scene.log.layout.predictions("fares").files(table) if "day=2026-11-01" in file]
    for file in rows:
        with duckdb.connect() as con:
            con.execute("SET TimeZone = 'UTC'")
            change = (
                f"CASE WHEN id = '{ident}' THEN struct_update({column}, {member} := 99.0) ELSE {column} END AS {column}"
            )
            con.execute(
                f"COPY (SELECT * REPLACE ({change}) FROM read_parquet('{file}', hive_partitioning = false)) TO '{file}.new' (FORMAT parquet)"
            )
        Path(f"{file}.new").replace(file)
    with pytest.raises(AlteredError) as raised:
        scene.prove(ident)
    assert raised.value.exit_code == 1
    found = check_values(scene.log, scene.folder)
    assert found.differ == (f"fares {ident}",)
    assert found.verdict().state == "FAILED"
    assert found.agree == 311
    scene.prove("00000012-0000-7000-8000-000000000000")


def test_a_salt_changed(scene: Scene) -> None:
    """With another seed the values are no longer those that were committed to."""
    ident = "00000011-0000-7000-8000-000000000000"
    (index,) = candidates(scene.folder, NAMES, ident, scene.head.size)
    scene.flip("private/seeds/000000", 32 * index + 3)
    with pytest.raises(AlteredError):
        scene.prove(ident)


def test_no_flipped_byte_of_a_bundle_passes(scene: Scene, files: dict[str, bytes]) -> None:
    """One byte of any file changed: the manifest says so, and where that was made to fit another line does; nothing crashes.
    What may pass is blanks between values of JSON, and the words of whoever made the bundle."""
    dice = random.Random(7)
    for name in sorted(set(files) - {"MANIFEST.json", "verify.py", "policy"}):
        for _ in range(60):
            changed = bytearray(files[name])
            changed[dice.randrange(len(changed))] ^= dice.randrange(1, 256)
            bad = {**files, name: bytes(changed)}
            assert "bytes" in failed(scene.check(bad))
            if not failed(found := scene.check(sealed(bad))):
                same = without_signatures(files[name]) == without_signatures(bad[name])
                assert same or state(found, "completeness") == "not shown", name


def without_signatures(data: bytes) -> object:
    """What a file says, but for signatures that are not looked at: those of a neighbour's checkpoint, when the same was signed before."""
    return json.loads(re.sub(rb"\\n\\n(\\u2014|\xe2\x80\x94).*?\\n\"", b'"', data))


# --- entries deleted, inserted, reordered, duplicated


Change = Callable[[list[bytes]], list[bytes]]
CHANGES: dict[str, Change] = {
    "deleted": lambda e: e[:50] + e[51:],
    "inserted": lambda e: [*e[:50], e[60].replace(b'"s":', b'"s":9'), *e[50:]],
    "reordered": lambda e: [*e[:50], e[51], e[50], *e[52:]],
    "duplicated": lambda e: [*e[:50], e[50], *e[50:]],
}


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_entries_changed_without_the_key(scene: Scene, change: str) -> None:
    """All tiles made anew to fit: the root is not the one that was signed."""
    scene.rewrite(CHANGES[change](scene.entries()), sign=False)
    assert "inclusion" in failed(scene.audit())
    with pytest.raises(StoreError):
        Ledger(scene.folder, scene.keys)


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_entries_changed_with_a_stolen_key(scene: Scene, change: str) -> None:
    """Signed anew: whoever kept an older checkpoint sees it; the numbers show a duplicate or a loss even to who kept none."""
    kept = scene.note
    scene.rewrite(CHANGES[change](scene.entries()), sign=True)
    found = scene.audit(since=kept)
    assert "consistency" in failed(found)
    if change in ("deleted", "duplicated"):
        assert "completeness" in failed(found)
    with pytest.raises(StoreError):
        Ledger(scene.folder, scene.keys)  # its own memory of what was signed


def test_the_tail_cut_off(scene: Scene) -> None:
    """The log ends earlier, and its older checkpoint is put back: who kept a newer one sees it, and the writer does."""
    old = scene.note
    scene.add(10, 1000)
    newer = scene.note
    scene.rewrite(scene.entries()[: int(old.split(b"\n")[1])], sign=True)
    found = scene.audit(since=newer)
    assert "its tail was cut off" in says(found, "consistency")
    assert failed(scene.audit()) == set()  # without memory nobody can know
    assert "cut back" in scene.audit().text()
    with pytest.raises(StoreError):
        Ledger(scene.folder, scene.keys)


def test_an_old_backup_put_back(scene: Scene, tmp_path: Path) -> None:
    """The whole folder from before: the writer refuses, and whoever kept a newer checkpoint sees it."""
    shutil.copytree(scene.folder, tmp_path / "backup")
    scene.add(10, 1000)
    newer = scene.note
    shutil.rmtree(scene.folder)
    shutil.copytree(tmp_path / "backup", scene.folder)
    with pytest.raises(StoreError, match="was signed"):
        Ledger(scene.folder, scene.keys)
    assert "its tail was cut off" in says(scene.audit(since=newer), "consistency")


def test_a_fork(scene: Scene) -> None:
    """Two checkpoints of one size with different roots, both signed: to hold both is the proof."""
    mine = scene.note
    changed = scene.entries()
    changed[40] = changed[40].replace(b"2026-11-01", b"2026-11-02")
    scene.rewrite(changed, sign=True)
    found = scene.audit(since=mine)
    assert failed(found) == {"consistency"}
    assert "there are two trees of" in says(found, "consistency")


def test_the_right_ends_with_the_wrong_middle(scene: Scene) -> None:
    """First and last entry are right, and so is the size: the older checkpoint is still not continued."""
    kept = scene.note
    changed = scene.entries()
    changed[100:200] = list(reversed(changed[100:200]))
    scene.rewrite(changed, sign=True)
    assert "consistency" in failed(scene.audit(since=kept))


# --- time and witnesses


def test_a_checkpoint_that_is_back_dated(scene: Scene, files: dict[str, bytes]) -> None:
    """A witness's time before the entry was made, or a witness's time changed: refused."""
    one = witness()
    early = cosigned(files, one.line(text_of(files), at=now() - 10 * 86_400))
    found = scene.check(early, policy=policy(scene, one))
    assert failed(found) == {"time"}
    assert "is after its witness's" in says(found, "time")
    line = one.line(text_of(files), at=now() + 60)
    body = bytearray(base64.b64decode(line.split()[-1]))
    body[4:12] = (now() - 3600).to_bytes(8, "big")
    forged = line.rsplit(b" ", 1)[0] + b" " + base64.b64encode(bytes(body)) + b"\n"
    found = scene.check(cosigned(files, forged), policy=policy(scene, one))
    assert {"witnesses", "time"} <= failed(found)


def test_a_witness_is_counted(scene: Scene, files: dict[str, bytes]) -> None:
    """An honest witness shows that others saw the log, and when at the latest."""
    one = witness()
    found = scene.check(cosigned(files, one.line(text_of(files), at=now() + 60)), policy=policy(scene, one))
    assert failed(found) == set()
    assert state(found, "witnesses") == state(found, "time") == "ok"


def test_a_witness_that_lies(scene: Scene, files: dict[str, bytes]) -> None:
    """One that signed another tree, one that signed nothing, one that nobody trusts: the quorum is not met."""
    one, two = witness(), witness("other.example", b"o")
    other = Checkpoint(ORIGIN, 7, bytes(32)).text()
    for line in (one.line(other, at=now()), b""):
        found = scene.check(cosigned(files, line) if line else files, policy=policy(scene, one))
        assert "witnesses" in failed(found)
    found = scene.check(cosigned(files, two.line(text_of(files), at=now())), policy=policy(scene, one))
    assert "0 of 1 known witnesses" in says(found, "witnesses")
    assert "witnesses" in failed(found)


def test_one_key_under_two_names_counts_once(scene: Scene, files: dict[str, bytes]) -> None:
    """A quorum of two is not met by one witness that is listed twice."""
    one, again = witness(), witness("again.example")
    both = cosigned(files, one.line(text_of(files), at=now()), again.line(text_of(files), at=now()))
    assert "witnesses" in failed(scene.check(both, policy=policy(scene, one, again)))
    assert state(scene.check(both, policy=policy(scene, one, again, least="1")), "witnesses") == "ok"
    other = witness("other.example", b"o")
    honest = cosigned(files, one.line(text_of(files), at=now()), other.line(text_of(files), at=now()))
    assert state(scene.check(honest, policy=policy(scene, one, other)), "witnesses") == "ok"


def test_a_logs_key_is_no_witness(scene: Scene) -> None:
    """The log cannot vouch for itself: its kind of key is refused as a witness's, and the reverse."""
    with pytest.raises(ProofError, match="key of a log"):
        read_policy(f"witness w {scene.public}")
    with pytest.raises(ProofError, match="key of a witness"):
        read_policy(f"log {witness().key}")


@pytest.mark.parametrize(
    "bad",
    [
        "logs x",
        "witness a",
        "group g 3 a",
        "quorum nobody",
        "group g any b\n",
        "group g 0 w",
        "quorum none\nquorum none",
        "witness none KEY",
    ],
)
def test_policies_that_make_no_sense(bad: str) -> None:
    """A line that is misspelt, or names what is not there, is an error, never passed over."""
    with pytest.raises(ProofError):
        read_policy(f"witness w {witness().key}\n" + bad.replace("KEY", str(witness("x").key)))


# --- other logs, other keys


def test_a_proof_for_another_log(scene: Scene, files: dict[str, bytes], tmp_path: Path) -> None:
    """A proof that holds, of another log: the key that was given did not sign it, whatever name it says."""
    other = Scene(tmp_path / "other")
    other.base.mkdir()
    other.begin()
    (ident,) = other.add(1)
    theirs = dict(other.prove(ident).files)
    assert failed(other.check(theirs)) == set()
    assert failed(scene.check(theirs)) == {"signature"}
    mixed = sealed({**files, "proof.tlog-proof": theirs["proof.tlog-proof"]})
    assert "inclusion" in failed(scene.check(mixed, keys=[scene.public, other.public]))


def test_a_signature_by_another_key(scene: Scene, files: dict[str, bytes]) -> None:
    """The same name and another key: no signature by the key that was given. The attacker's own key in the bundle helps nothing."""
    thief = new_signer(ORIGIN, b"t" * 32)
    text = text_of(files)
    proof = files["proof.tlog-proof"].split(b"\n\n", 1)[0] + b"\n\n" + text + b"\n" + thief.line(text)
    forged = sealed({**files, "proof.tlog-proof": proof, "policy": f"log {thief.key}\n".encode()})
    found = scene.check(forged)
    assert failed(found) == {"signature"}
    alone = scene.check(forged, keys=[])
    assert state(alone, "signature") == "not shown"
    assert alone.code == 4
    assert "the only key is in the bundle itself" in alone.text()


def test_names_that_clash(scene: Scene, files: dict[str, bytes]) -> None:
    """Another log's key with this one's name stands beside it: only the key counts, never the name."""
    thief = new_signer(ORIGIN, b"t" * 32)
    text = text_of(files)
    both = cosigned(files, thief.line(text))
    assert failed(scene.check(both, keys=[thief.key, scene.public])) == set()
    alone = sealed(
        {
            **files,
            "proof.tlog-proof": files["proof.tlog-proof"].split(b"\n\n", 1)[0]
            + b"\n\n"
            + text
            + b"\n"
            + thief.line(text),
        }
    )
    assert "signature" in failed(scene.check(alone))


def test_a_weak_key_is_refused_when_it_is_given() -> None:
    """A key of low order accepts anything: it is refused before it could."""
    weak = bytes([1]) + bytes(31)
    ident = hashlib.sha256(ORIGIN.encode() + b"\n\x01" + weak).hexdigest()[:8]
    with pytest.raises(ProofError, match="low order"):
        read_key(f"{ORIGIN}+{ident}+{base64.b64encode(bytes([1]) + weak).decode()}")


# --- disclosures and completeness


def test_a_disclosure_of_another_prediction(scene: Scene, files: dict[str, bytes], ids: list[str]) -> None:
    """Values of another prediction, or groups swapped, under this entry: refused."""
    other = scene.prove(ids[6]).files
    assert failed(scene.check(sealed({**files, "disclosures.json": other["disclosures.json"]}))) == {"disclosures"}
    told = json.loads(files["disclosures.json"])
    told["groups"][0], told["groups"][1] = told["groups"][1], told["groups"][0]
    assert "disclosures" in failed(scene.check(sealed({**files, "disclosures.json": json.dumps(told).encode()})))


def test_one_group_gives_no_other_away(scene: Scene, ids: list[str]) -> None:
    """With one group disclosed neither values nor salts of the others are in the bundle."""
    whole = json.loads(scene.prove(ids[5]).files["disclosures.json"])["groups"]
    files = scene.prove(ids[5], ["output"]).files
    everything = b"".join(files[name] for name in files if name != "verify.py")
    for one in whole:
        salt = one["line"].split('"')[1]
        assert (salt.encode() in everything) is (one["group"] == "output")
    assert b"user5" not in everything
    assert failed(scene.check(files)) == set()


def test_a_neighbour_that_is_none(scene: Scene, files: dict[str, bytes], ids: list[str]) -> None:
    """Completeness with another producer's entry, or one further away, as the neighbour: refused."""
    told = json.loads(files["completeness.json"])
    wrong = json.loads(scene.prove(ids[8]).files["completeness.json"])
    for other in (
        wrong["before"],
        json.loads(scene.prove("00000011-0000-7000-8000-000000000000").files["completeness.json"])["before"],
    ):
        forged = sealed({**files, "completeness.json": json.dumps({**told, "before": other}).encode()})
        assert failed(scene.check(forged)) == {"completeness"}


def test_a_number_that_is_missing_is_said(scene: Scene, files: dict[str, bytes]) -> None:
    """A neighbour that is not shown makes the line one that is not shown, with what is missing among the unproven."""
    told = json.loads(files["completeness.json"])
    found = scene.check(sealed({**files, "completeness.json": json.dumps({**told, "after": {"why": "lost"}}).encode()}))
    assert state(found, "completeness") == "not shown"
    assert any("number 7: lost" in one for one in found.not_proven)


@pytest.mark.parametrize("name", ["entry.json", "proof.tlog-proof", "disclosures.json", "MANIFEST.json"])
def test_a_bundle_without_a_part(scene: Scene, files: dict[str, bytes], name: str) -> None:
    """Without one of its parts a bundle fails, and all other lines are still given."""
    rest = {key: data for key, data in files.items() if key != name}
    found = scene.check(rest if name == "MANIFEST.json" else sealed(rest))
    assert failed(found)
    assert len(found.verdicts) == 10


def test_labels_and_decisions_that_came_later_are_proven(scene: Scene, ids: list[str]) -> None:
    """They are in the evidence, disclosed with the outputs or withheld; another prediction's, or changed ones, are refused."""
    scene.log.add(pd.DataFrame({"id": ids[:3], "label": [1.0, 0.0, 1.0]}), app="fares")
    scene.log.add_decisions("fares", [{"id": ids[0], "path": "decision", "value": "refused"}])
    scene.take()
    files = dict(scene.prove(ids[0]).files)
    found = scene.check(files)
    assert failed(found) == set()
    assert says(found, "later").count("disclosed") == 2
    assert b"refused" in files["later.json"]
    assert b"refused" not in scene.prove(ids[0], ["input"]).files["later.json"]
    assert says(scene.check(scene.prove(ids[0], ["input"]).files), "later").count("withheld") == 2
    other = scene.prove(ids[1]).files["later.json"]
    for bad in (other, files["later.json"].replace(b"refused", b"granted"), files["later.json"].replace(b'"k', b'"x')):
        assert "later" in failed(scene.check(sealed({**files, "later.json": bad})))


def test_a_label_of_a_prediction_with_an_id_of_its_own(scene: Scene) -> None:
    """Where the id is not random, label and prediction are tied together by the id that both disclose."""
    frame = pd.DataFrame({"id": ["order-1"], "ts": pd.to_datetime(["2026-11-02"], utc=True), "inputs.fare": [1.0]})
    scene.log.add(frame, app="fares")
    scene.log.add(pd.DataFrame({"id": ["order-1"], "label": [1.0]}), app="fares")
    scene.take()
    found = scene.check(scene.prove("order-1").files)
    assert failed(found) == set()
    assert state(found, "later") == "ok"
    assert "id 'order-1'" in says(found, "disclosures")


# --- what nothing here can see, and is said to be so


def test_rewriting_inside_the_exposure_with_a_stolen_key_is_not_seen(scene: Scene) -> None:
    """With the key, before anyone outside kept a checkpoint: every line holds, and the text says what that does not prove."""
    changed = scene.entries()
    changed[40] = changed[40].replace(b"2026-11-01", b"2026-11-02")
    scene.rewrite(changed, sign=True)
    found = scene.audit()
    assert failed(found) == set()
    assert "that others were shown the same log" in found.text()


def test_false_inputs_are_not_seen(scene: Scene) -> None:
    """What the app says is recorded, true or not; the text says so."""
    scene.add(1, 5000)
    found = scene.check(scene.prove("00001388-0000-7000-8000-000000000000").files)
    assert failed(found) == set()
    assert "that what was recorded is true" in found.text()
