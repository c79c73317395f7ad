"""The witness, over real HTTP on this machine; and what a ledger does with witnesses that lie."""

from __future__ import annotations

import base64
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ledger.scenes import Scene, failed, says, state
from whimbrel.errors import StoreError
from whimbrel.ledger.lifecycle import standing
from whimbrel.ledger.merkle.notes import WITNESS, new_signer, split_note
from whimbrel.ledger.merkle.proofs import Checkpoint
from whimbrel.ledger.merkle.tree import consistency
from whimbrel.ledger.reader import tiles_of
from whimbrel.ledger.verdicts import Policy, read_policy
from whimbrel.ledger.witness import Witness, serve
from whimbrel.ledger.witnessed import Post, Shown, post, show
from whimbrel.ledger.writer import Ledger


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    scene = Scene(tmp_path / "scene")
    scene.base.mkdir()
    scene.begin()
    scene.add(300)
    return scene


@pytest.fixture
def witness(scene: Scene, tmp_path: Path) -> Iterator[Witness]:
    own = Witness(tmp_path / "witness", "w.example", [scene.public])
    yield own
    own.close()


@pytest.fixture
def address(witness: Witness) -> Iterator[str]:
    """The witness, asked over HTTP."""
    with serve(witness, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def policy(scene: Scene, witness: Witness, address: str = "") -> Policy:
    return read_policy(f"log {scene.public}\nwitness w {witness.signer.key} {address}\nquorum w")


def ask(scene: Scene, trusted: Policy, ask: Post = post) -> Shown:
    with Ledger(scene.folder, scene.keys) as ledger:
        return show(ledger, trusted, ask=ask)


def request(scene: Scene, old: int, note: bytes | None = None) -> bytes:
    path = consistency(tiles_of(scene.folder, scene.head.size), old, scene.head.size) if old else ()
    proof = "".join(base64.b64encode(one).decode() + "\n" for one in path)
    return f"old {old}\n{proof}\n".encode() + (scene.note if note is None else note)


def test_a_head_is_cosigned_and_so_is_what_continues_it(scene: Scene, witness: Witness, address: str) -> None:
    """The ledger shows its head, the cosignature is published with it, evidence has it, and nothing is exposed any more."""
    trusted = policy(scene, witness, address)
    assert standing(scene.base / "home", trusted).exposed == scene.head.size
    for start in (1000, 2000):
        assert ask(scene, trusted) == Shown(("w",), {})
        assert state(scene.audit(policy=trusted), "witnesses") == "ok"
        told = standing(scene.base / "home", trusted)
        assert (told.exposed, told.to_dict()["exposure_s"]) == (0, None)
        found = scene.check(scene.prove("00000007-0000-7000-8000-000000000000").files, policy=trusted)
        assert (failed(found), state(found, "witnesses"), state(found, "time")) == (set(), "ok", "ok")
        assert found.code == 0
        scene.add(50, start)
        assert standing(scene.base / "home", trusted).exposed == 51  # and their heartbeat
        assert "witnesses" in failed(scene.audit(policy=trusted))
    assert ask(scene, trusted) == ask(scene, trusted) == Shown(("w",), {})
    assert len(split_note(scene.note)[1]) <= 3


def test_a_ledger_that_forgot_what_its_witness_saw(scene: Scene, witness: Witness, address: str) -> None:
    """Without the note of its size the witness names it, and the ledger goes on from there."""
    trusted = policy(scene, witness, address)
    ask(scene, trusted)
    scene.add(10, 1000)
    (scene.folder / "private/witnesses.json").unlink()
    assert ask(scene, trusted).cosigned == ("w",)


def test_each_answer_of_the_protocol(scene: Scene, witness: Witness) -> None:
    """200, 400, 403, 404, 409 with the size, 422: each for its own reason; what is refused changes nothing."""
    first = scene.note
    assert witness.add_checkpoint(request(scene, 0))[0] == 200
    size = scene.head.size
    scene.add(10, 1000)
    head, _, rest = request(scene, size).partition(b"\n\n")
    wrong = b"\n".join([head.split(b"\n")[0], *reversed(head.split(b"\n")[1:])]) + b"\n\n" + rest
    stranger = new_signer("log.example/fares", b"x" * 32)
    other = new_signer("log.example/other", b"x" * 32)
    forged = Checkpoint("log.example/fares", size, bytes(32)).sign(*scene.keys.signers)
    for body, status, says_ in (
        (request(scene, 0), 409, b"%d\n" % size),
        (request(scene, 7), 409, b"%d\n" % size),
        (f"old {size}\n\n".encode() + forged, 409, b"%d\n" % size),
        (f"old {size + 99}\n\n".encode() + scene.note, 400, b""),
        (wrong, 422, b""),
        (request(scene, size, Checkpoint("log.example/fares", 999, bytes(32)).sign(stranger)), 403, b""),
        (request(scene, size, Checkpoint("log.example/other", 999, bytes(32)).sign(other)), 404, b""),
        (b"old 007\n\n" + scene.note, 400, b""),
        (b"old 0\n" + b"A" * 43 + b"=\n" * 64 + b"\n" + scene.note, 400, b""),
        (b"", 400, b""),
        (b"\xff" * 100, 400, b""),
        (f"old {size}\n\n".encode() + scene.note, 422, b""),
    ):  # fmt: skip
        answer = witness.add_checkpoint(body)
        assert answer[0] == status, (body[:60], answer)
        assert answer[2].startswith(says_)
    assert witness.add_checkpoint(f"old {size}\n\n".encode() + first)[0] == 200  # the same head again
    assert witness.add_checkpoint(request(scene, size))[0] == 200
    assert witness.add_checkpoint(b"old 0\n\n" + first)[0] == 409


def test_a_witness_keeps_its_memory(scene: Scene, witness: Witness, tmp_path: Path) -> None:
    """After a restart it has the same key and remembers; two in one folder are refused."""
    assert witness.add_checkpoint(request(scene, 0))[0] == 200
    with pytest.raises(StoreError, match="another witness"):
        Witness(tmp_path / "witness", "w.example", [scene.public])
    key = witness.signer.key
    witness.close()
    again = Witness(tmp_path / "witness", "w.example", [scene.public])
    assert again.signer.key == key
    assert again.add_checkpoint(request(scene, 0))[0] == 409
    again.close()


def test_a_fork_and_an_old_backup_are_exposed(scene: Scene, witness: Witness, address: str, tmp_path: Path) -> None:
    """With a stolen key and a forged memory a ledger signs another history: its witness does not, and the ledger says why."""
    trusted = policy(scene, witness, address)
    shutil.copytree(scene.base, tmp_path / "before")
    scene.add(10, 1000)
    assert ask(scene, trusted).cosigned == ("w",)
    thief = Scene(tmp_path / "before")
    assert "a fork, or an old backup" in ask(thief, trusted).failed["w"]
    thief.add(500, 5000)
    refused = ask(thief, trusted)
    assert refused.cosigned == ()
    assert "422" in refused.failed["w"]
    assert state(thief.audit(policy=trusted), "witnesses") == "FAILED"


def test_witnesses_that_lie(scene: Scene, witness: Witness) -> None:
    """Rubbish, another's signature, sizes without end, no size, nobody there: it costs their cosignature, and the head stays as it was."""
    trusted = policy(scene, witness, "http://127.0.0.1:1")
    before = scene.note
    impostor = new_signer("w.example", b"i" * 32, WITNESS)
    text = split_note(before)[0]
    calls: list[int] = []

    def endless(address: str, body: bytes) -> tuple[int, str, bytes]:
        calls.append(1)
        return 409, "text/x.tlog.size", b"%d\n" % (1 + len(calls))

    answers: dict[str, Post] = {
        "with the key that the policy gives": lambda *_: (200, "text/plain", impostor.line(text, at=1)),
        "is no signature": lambda *_: (200, "text/plain", b"thank you\n"),
        "the note has no signatures": lambda *_: (200, "text/plain", b""),
        "does not hold": lambda *_: (200, "text/plain", witness.signer.line(b"another text\n", at=1)),
        "names another size each time": endless,
        "it answers 409": lambda *_: (409, "text/plain", b""),
        "it answers 500": lambda *_: (500, "text/plain", b"\xff"),
        "another tree of 0 entries": lambda *_: (409, "text/x.tlog.size", b"0"),
        "a fork, or an old backup": lambda *_: (409, "text/x.tlog.size", b"9" * 18),
    }
    for why, answer in answers.items():
        found = ask(scene, trusted, answer)
        assert found.cosigned == ()
        assert why in found.failed["w"], (why, found.failed)
    assert ask(scene, trusted).failed  # nobody listens there
    assert scene.note == before
    assert len(calls) == 3
    assert says(scene.audit(policy=trusted), "witnesses").startswith("0 of 1")


def test_requests_that_are_none(address: str) -> None:
    """Another path, a body that is too long: 400, and it goes on answering."""
    assert post(address + "/other", b"x")[0] == 400
    assert post(address + "/add-checkpoint", b"x" * (65 << 10))[0] == 400
    assert post(address + "/add-checkpoint", b"x")[0] == 400
