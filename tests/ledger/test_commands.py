"""The commands: a ledger begun, filled, proven from, checked, its key changed; verify.py alone; a verifier from the specifications."""

from __future__ import annotations

import ast
import base64
import io
import json
import signal
import subprocess
import sys
import time
import zipfile
from collections import Counter
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tests.cli.conftest import Program, Ran
from whimbrel.ledger.alone import verify_py
from whimbrel.record import Recorder


class Box:
    """The program with a home of its own, for its settings too."""

    def __init__(self, base: Path) -> None:
        self.base, self.program = base, Program(base / "home")

    def __call__(self, *arguments: str, **environment: str) -> Ran:
        return self.program(
            *arguments,
            HOME=str(self.base),
            XDG_CONFIG_HOME="",
            XDG_STATE_HOME="",
            WHIMBREL_LEDGER_KEY="",
            **environment,
        )

    def record(self, n: int) -> list[str]:
        recorder, ids = Recorder("fares", home=self.base / "home", model="fares@7"), []
        for i in range(n):
            with recorder.prediction({"fare": float(i)}, country="US") as p:
                p.output(i / 2)
                ids.append(p.id)
        recorder.close()
        return ids

    @property
    def key(self) -> str:
        return str(self("ledger", "status", "--json").json["keys"][0])


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


@pytest.fixture
def filled(box: Box) -> tuple[Box, list[str]]:
    """A ledger of ten predictions."""
    ids = box.record(10)
    assert box("ledger", "init", "--origin", "log.example/fares").code == 0
    assert box("ledger", "write", "--json").json["taken"] == {"run": 1, "pred": 10, "heartbeat": 1}
    return box, ids


def test_from_init_to_verify(filled: tuple[Box, list[str]], tmp_path: Path) -> None:
    """init, write, status, prove, verify: exit codes are the contract's, and each answer can be read by a program."""
    box, ids = filled
    told = box("ledger", "status", "--json").json
    assert (told["origin"], told["entries"], told["exposed_entries"]) == ("log.example/fares", 13, 13)
    assert told["exposure_s"] >= 0
    assert "no one outside covers them" in box("ledger", "status").out
    bundle = str(tmp_path / "bundle.zip")
    assert box("prove", ids[4], "-o", bundle, "--disclose", "output, system", "--json").json["withheld"] == [
        "who",
        "input",
        "oversight",
        "cost-risk",
    ]
    assert len((tmp_path / "bundle.zip").read_bytes()) < 24_000
    with_key = box("verify", bundle, "--key", box.key)
    assert with_key.code == 0
    assert "NOT PROVEN" in with_key.out
    assert box("verify", bundle).code == 4
    assert (
        box("prove", ids[4][:30], "-o", str(tmp_path / "short.zip"), "--json").json["index"]
        == box("prove", ids[4], "-o", bundle, "--json").json["index"]
    )
    other = "log.example/fares+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    assert box("verify", bundle, "--key", other).code == 3
    assert (
        box("verify", bundle, "--key", "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW").code == 1
    )
    (tmp_path / "key.pub").write_text(box.key)
    (tmp_path / "policy").write_text(f"log {box.key}  # by telephone\nquorum none\n")
    assert box("verify", bundle, "--key", str(tmp_path / "key.pub")).code == 0
    lines = box("verify", bundle, "--policy", str(tmp_path / "policy"), "--json").json["verdicts"]
    assert {one["line"]: one["state"] for one in lines}["signature"] == "ok"
    (tmp_path / "bundle.zip").write_bytes(b"no zip")
    assert box("verify", bundle, "--key", box.key).code == 3
    assert box("verify", str(tmp_path / "none.zip")).code == 3


def test_a_whole_log(filled: tuple[Box, list[str]], tmp_path: Path) -> None:
    """A log is checked by its folder or where one stands; an older checkpoint and the values are held against it."""
    box, _ = filled
    old = tmp_path / "checkpoint.old"
    old.write_bytes((tmp_path / "home/ledger/checkpoint").read_bytes())
    box.record(3)
    box("ledger", "write")
    for where in ((), (str(tmp_path / "home"),), (str(tmp_path / "home" / "ledger"),)):
        assert box("verify", *where, "--key", box.key, "--since", str(old)).code == 0
    found = box("ledger", "verify", "--values", "--key", box.key, "--json")
    assert found.code == 0
    assert {one["line"]: one["state"] for one in found.json["verdicts"]}["disclosures"] == "ok"
    entries = max((tmp_path / "home/ledger/tile/entries/000.p").iterdir(), key=lambda path: path.stat().st_size)
    data = entries.read_bytes()
    for path in entries.parent.iterdir():
        path.write_bytes(path.read_bytes().replace(b'"s":3,', b'"s":4,'))
    assert data != entries.read_bytes()
    assert box("ledger", "verify", "--key", box.key).code == 1
    assert box("ledger", "write").code == 5


def test_refusals(box: Box, tmp_path: Path) -> None:
    """What makes no sense is refused with the next command to type."""
    assert "whimbrel ledger init" in box("ledger", "write").err
    assert box("ledger", "status").code == 2
    assert box("verify").code == 2
    ids = box.record(2)
    assert box("ledger", "init", "--origin", "a b").code == 2
    assert box("ledger", "init", "--origin", "log.example/a").code == 0
    assert box("ledger", "init", "--origin", "log.example/a").code == 2
    bundle = str(tmp_path / "b.zip")
    early = box("prove", ids[0], "-o", bundle)
    assert early.code == 2
    assert "whimbrel ledger write" in early.err
    box("ledger", "write")
    assert box("prove", ids[0], "-o", bundle, "--disclose", "everything").code == 2
    assert box("prove", ids[0], "-o", str(tmp_path / "none" / "b.zip")).code == 2
    assert box("prove", ids[0], "-o", bundle).code == 0


def test_a_lost_key_and_a_new_ledger(filled: tuple[Box, list[str]], tmp_path: Path) -> None:
    """Without its key a ledger cannot go on; a new one begins beside it, names the old one's head, and takes in all again."""
    box, _ = filled
    (key,) = (tmp_path / ".config/whimbrel").glob("*.key")
    key.unlink()
    lost = box("ledger", "write")
    assert lost.code == 2
    assert "--new-origin" in lost.err
    assert box("ledger", "init", "--new-origin", "log.example/fares").code == 2
    assert box("ledger", "init", "--new-origin", "log.example/fares-2").code == 0
    assert box("ledger", "write", "--json").json["taken"]["pred"] == 10
    assert box("ledger", "verify", "--values", "--key", box.key).code == 0
    gap = (tmp_path / "home/ledger/tile/entries/000.p/2").read_bytes()
    assert b'"k":"gap"' in gap
    assert b'"origin":"log.example/fares","size":13' in gap
    assert (tmp_path / "home/ledger-1/checkpoint").exists()


def test_a_key_is_changed(filled: tuple[Box, list[str]], tmp_path: Path) -> None:
    """After `rotate` both keys sign, after `revoke` the new one alone; entries say so, and nothing before is lost."""
    box, ids = filled
    old = box.key
    assert box("ledger", "revoke").code == 2
    assert box("ledger", "rotate").code == 0
    new = box.key
    assert new != old
    for key in (old, new):
        assert box("ledger", "verify", "--key", key).code == 0
    assert box("ledger", "revoke").code == 0
    assert box("ledger", "verify", "--key", new).code == 0
    assert box("ledger", "verify", "--key", old).code == 1
    box.record(2)
    assert box("ledger", "write").code == 0
    assert box("prove", ids[0], "-o", str(tmp_path / "b.zip")).code == 0
    assert box("verify", str(tmp_path / "b.zip"), "--key", new).code == 0
    (key_file,) = (tmp_path / ".config/whimbrel").glob("*.key")
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert len(key_file.read_text().split()) == 1
    text = key_file.read_text().strip()
    refused = box.program(
        "ledger", "rotate", HOME=str(tmp_path), XDG_STATE_HOME="", XDG_CONFIG_HOME="", WHIMBREL_LEDGER_KEY=text
    )
    assert refused.code == 5 or refused.code == 2


def test_verify_py_alone(filled: tuple[Box, list[str]], tmp_path: Path) -> None:
    """The file in the bundle needs no Whimbrel: run isolated, it says what `whimbrel verify` says; the bundle holds it as it is made."""
    box, ids = filled
    bundle = tmp_path / "bundle.zip"
    box("prove", ids[4], "-o", str(bundle))
    with zipfile.ZipFile(bundle) as packed:
        source = packed.read("verify.py")
    assert source.decode() == verify_py()
    (tmp_path / "verify.py").write_bytes(source)
    blocked = "import sys, runpy; sys.modules['whimbrel'] = None; sys.argv[:] = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    for more, code in (
        (["--key", box.key], 0),
        ([], 4),
        (["--key", "x"], 3),
        (["--policy", str(tmp_path / "none")], 3),
    ):
        command = [sys.executable, "-I", "-c", blocked, str(tmp_path / "verify.py"), str(bundle), *more]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ran.returncode == code, ran.stderr
        if code in (0, 4):
            assert ran.stdout == box("verify", str(bundle), *more).out
    packed_again = io.BytesIO()
    with zipfile.ZipFile(bundle) as packed, zipfile.ZipFile(packed_again, "w") as into:
        for name in packed.namelist():
            into.writestr(name, packed.read(name).replace(b"US", b"UK"))
    bundle.write_bytes(packed_again.getvalue())
    command = [sys.executable, "-I", str(tmp_path / "verify.py"), str(bundle), "--key", box.key]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "FAILED" in ran.stdout


def test_verify_py_is_one_file() -> None:
    """It imports nothing but Python's own library and cryptography, and no name is defined twice in it."""
    tree = ast.parse(verify_py())
    rooms = {
        alias.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    rooms |= {(node.module or "").partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert rooms - {"cryptography"} <= set(sys.stdlib_module_names)
    names = Counter(node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef))
    for node in tree.body:
        if isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
    assert [name for name, count in names.items() if count > 1] == []


def test_a_verifier_from_the_specifications_accepts_it(filled: tuple[Box, list[str]], tmp_path: Path) -> None:
    """Fifty lines from RFC 6962 and the C2SP texts, sharing no code with the ledger: tiles, bundle, checkpoint, proof, digests."""
    box, ids = filled
    for _ in range(3):
        box.record(100)
        box("ledger", "write")
    bundle = tmp_path / "bundle.zip"
    box("prove", ids[4], "-o", str(bundle))
    ledger = tmp_path / "home" / "ledger"
    name, ident, coded = box.key.split("+", 2)
    public = base64.b64decode(coded)
    assert sha256(name.encode() + b"\n" + public).digest()[:4].hex() == ident
    text, _, signatures = (ledger / "checkpoint").read_bytes().partition(b"\n\n")
    origin, size, root = text.decode().split("\n")
    line = signatures.decode().splitlines()[0].split(" ")
    body = base64.b64decode(line[2])
    assert (line[0], line[1], body[:4].hex(), origin) == ("—", name, ident, name)
    Ed25519PublicKey.from_public_bytes(public[1:]).verify(body[4:], text + b"\n")
    count = int(size)
    entries: list[bytes] = []
    for number in range(-(-count // 256)):
        width = min(256, count - 256 * number)
        data = (ledger / f"tile/entries/{number:03d}{'' if width == 256 else f'.p/{width}'}").read_bytes()
        while data:
            end = 2 + int.from_bytes(data[:2], "big")
            entries.append(data[2:end])
            data = data[end:]
    leaves = [sha256(b"\0" + one).digest() for one in entries]
    assert (ledger / "tile/0/000").read_bytes() == b"".join(leaves[:256])

    def mth(hashes: list[bytes]) -> bytes:
        if len(hashes) == 1:
            return hashes[0]
        k = 1
        while 2 * k < len(hashes):
            k *= 2
        return sha256(b"\1" + mth(hashes[:k]) + mth(hashes[k:])).digest()

    assert base64.b64encode(mth(leaves)).decode() == root
    assert (ledger / "tile/1/000.p/1").read_bytes() == mth(leaves[:256])
    with zipfile.ZipFile(bundle) as packed:
        proof, entry = packed.read("proof.tlog-proof").decode(), packed.read("entry.json")
        told = json.loads(packed.read("disclosures.json"))
    head, _, note = proof.partition("\n\n")
    title, at, *path = head.split("\n")
    assert title == "c2sp.org/tlog-proof@v1"
    assert note.encode() == (ledger / "checkpoint").read_bytes()
    index, last, found = int(at.removeprefix("index ")), count - 1, sha256(b"\0" + entry).digest()
    for one in map(base64.b64decode, path):
        if index % 2 or index == last:
            found = sha256(b"\1" + one + found).digest()
            while index % 2 == 0 and index:
                index, last = index // 2, last // 2
        else:
            found = sha256(b"\1" + found + one).digest()
        index, last = index // 2, last // 2
    assert (base64.b64encode(found).decode(), last) == (root, 0)
    digests = b"".join(sha256(group["line"].encode()).digest() for group in told["groups"])
    assert json.loads(entry)["fr"] == base64.b64encode(sha256(b"\x02pred/1\n" + digests).digest()).decode()


def test_erase(filled: tuple[Box, list[str]], tmp_path: Path) -> None:
    """One person's predictions go; what is left of them proves itself; a subject that nobody is, and a basis that says too much, are refused."""
    box, _ = filled
    recorder = Recorder("fares", home=tmp_path / "home")
    with recorder.prediction({"fare": 1.0}, user="ann") as p:
        p.output(1.0)
    recorder.close()
    told = box("erase", "--subject", "user=ann", "--basis", "gdpr17", "--json")
    assert (told.code, told.json["erased"]) == (0, {"fares": 1})
    assert box("prove", p.id, "-o", str(tmp_path / "b.zip"), "--json").json["disclosed"] == []
    assert box("verify", str(tmp_path / "b.zip"), "--key", box.key).code == 0
    assert box("erase", "--subject", "user=ann", "--basis", "gdpr17").code == 4
    assert box("erase", "--subject", "user>ann", "--basis", "gdpr17").code == 2
    assert box("erase", "--subject", "user=ann", "--basis", "she asked").code == 2
    assert box("ledger", "verify", "--values", "--key", box.key).code == 0


def test_follow(filled: tuple[Box, list[str]]) -> None:
    """The sequencer that follows takes in what recorders write meanwhile, is alone, and stops when it is told to."""
    box, _ = filled
    command = [*box.program.command, "ledger", "write", "--follow"]
    environment = box.program.environment | {"HOME": str(box.base), "WHIMBREL_LEDGER_KEY": "", "XDG_CONFIG_HOME": ""}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            deadline = time.monotonic() + 120
            box.record(5)
            while box("ledger", "status", "--json").json["entries"] < 13 + 5:
                assert time.monotonic() < deadline
                time.sleep(0.2)
            assert "another process writes" in box("ledger", "write").err
        finally:
            running.send_signal(signal.SIGINT)
            _, error = running.communicate(timeout=60)
    assert running.returncode == 130, error
    assert box("ledger", "verify", "--values", "--key", box.key).code == 0
