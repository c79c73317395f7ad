"""Time stamps by RFC 3161, from an authority of our own that OpenSSL runs, on this machine alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.cli.conftest import Program
from tests.ledger.scenes import Scene, failed, says, sealed, state
from whimbrel.ledger.audit import Audit
from whimbrel.ledger.merkle.tree import ProofError
from whimbrel.ledger.prove import Prover
from whimbrel.ledger.stamped import ask_authority, stamp, stamped_sizes
from whimbrel.ledger.stamps import Stamp, request, token_of, verify_token
from whimbrel.ledger.verdicts import Bundle, Found
from whimbrel.ledger.writer import Ledger

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl to run an authority")
DIGEST, NONCE = sha256(b"a checkpoint").digest(), 0x7B00000000000001
DAY = timedelta(days=1)


def certificate(
    name: str, key: Any, issuer: str, by: Any, *, ca: bool = False, ends: timedelta = DAY
) -> x509.Certificate:
    """A certificate of an authority, or (`ca`) of who vouches for one."""
    subject, own = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in (issuer, name))
    made = x509.CertificateBuilder(subject, own, key.public_key(), x509.random_serial_number())
    now = datetime.now(UTC)
    made = made.not_valid_before(now - 9 * DAY).not_valid_after(now + ends)
    made = made.add_extension(x509.BasicConstraints(ca, None), critical=True)
    if not ca:
        made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
    return made.sign(by, hashes.SHA256())


@dataclass
class Authority:
    """An authority in a folder, and the certificate of who vouches for it."""

    folder: Path
    root: x509.Certificate

    def answer(self, asked: bytes) -> bytes:
        (self.folder / "asked").write_bytes(asked)
        command = ["openssl", "ts", "-reply", "-queryfile", "asked", "-config", "tsa.cnf", "-out", "answer"]
        subprocess.run(command, cwd=self.folder, check=True, capture_output=True)
        return (self.folder / "answer").read_bytes()

    def token(self) -> bytes:
        return token_of(self.answer(request(DIGEST, NONCE)))


def authority(
    folder: Path, *, key: Any = None, ends: timedelta = DAY, ca: bool = True, hashed: str = "sha256"
) -> Authority:
    """One that is vouched for by a root of its own."""
    folder.mkdir()
    above, key = ec.generate_private_key(ec.SECP256R1()), key or ec.generate_private_key(ec.SECP256R1())
    root = certificate("root", above, "root", above, ca=ca)
    own = certificate("authority", key, "root", above, ends=ends)
    for name, held in (("root.pem", root), ("own.pem", own)):
        (folder / name).write_bytes(held.public_bytes(forms.Encoding.PEM))
    pkcs8, plain = forms.PrivateFormat.PKCS8, forms.NoEncryption()
    (folder / "own.key").write_bytes(key.private_bytes(forms.Encoding.PEM, pkcs8, plain))
    (folder / "serial").write_text("01\n")
    (folder / "tsa.cnf").write_text(
        "[tsa]\ndefault_tsa = own\n[own]\nserial = serial\nsigner_cert = own.pem\ncerts = root.pem\nsigner_key = own.key\n"
        f"signer_digest = {hashed}\ndefault_policy = 1.2.3.4\ndigests = sha256\naccuracy = secs:1\ness_cert_id_alg = {hashed}\n"
    )
    return Authority(folder, root)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("tsa") / "good")


@pytest.fixture(scope="module")
def address(good: Authority) -> Iterator[str]:
    """Where it answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told = good.answer(self.rfile.read(int(self.headers["Content-Length"])))
            fits = self.headers["Content-Type"] == "application/timestamp-query"
            self.send_response(200 if fits else 400)
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def check(scene: Scene, files: dict[str, bytes], trusted: Sequence[x509.Certificate]) -> Found:
    return Bundle(files, [scene.public], None, trusted).found()


def test_a_head_is_stamped_and_so_is_what_is_in_it(scene: Scene, ids: list[str], good: Authority, address: str) -> None:
    """Evidence bears the first stamp over the entry; later entries are not under it; both are said with who stamped."""
    with Ledger(scene.folder, scene.keys) as ledger:
        made = stamp(ledger, address, [good.root])
        assert made is not None
        assert made.by == "CN=authority"
        assert abs(made.time - datetime.now(UTC)) < DAY
        assert stamp(ledger, address, [good.root]) is None
    before = scene.head.size
    (later,) = scene.add(1, start=9000)
    assert stamped_sizes(scene.folder) == [before]
    files = dict(Prover(scene.log, scene.folder).prove(ids[5]).files)
    found = check(scene, files, [good.root])
    assert found.code == 0
    assert state(found, "time") == "ok"
    assert "says CN=authority" in says(found, "time")
    blind = check(scene, files, [])
    assert state(blind, "time") == "not shown"
    assert any("--tsa-certs" in one for one in blind.not_proven)
    assert "stamp.json" not in Prover(scene.log, scene.folder).prove(later).files
    whole = Audit(scene.folder, [scene.public], certificates=[good.root]).found()
    assert whole.code == 0
    assert f"first {before:,} entries by" in says(whole, "time")


def test_a_stamp_of_something_else(scene: Scene, ids: list[str], good: Authority, address: str, tmp_path: Path) -> None:
    """A stamp whose checkpoint, proof or token was exchanged fails; so does one of an authority that nobody gave."""
    with Ledger(scene.folder, scene.keys) as ledger:
        stamp(ledger, address, [good.root])
    files = dict(scene.prove(ids[5]).files)
    held = json.loads(files["stamp.json"])
    other = dict(scene.prove(ids[4]).files)
    for bad in (
        {**held, "proof": json.loads(other["stamp.json"])["proof"]},
        {**held, "checkpoint": held["checkpoint"].replace("log.example", "log.exemple")},
        {**held, "token": ""},
        {"proof": held["proof"]},
    ):
        assert failed(check(scene, sealed({**files, "stamp.json": json.dumps(bad).encode()}), [good.root])) == {"time"}
    stranger = authority(tmp_path / "stranger")
    assert "nobody whom you trust" in says(check(scene, files, [stranger.root]), "time")


def test_a_rewritten_log_is_exposed_by_its_stamps(scene: Scene, good: Authority, address: str) -> None:
    """With the key stolen and everything signed anew, the stamped tree is still another one; a tail that was cut off is seen, too."""
    with Ledger(scene.folder, scene.keys) as ledger:
        stamp(ledger, address, [good.root])
    entries = scene.entries()
    scene.rewrite([entries[1], entries[0], *entries[2:]], sign=True)
    found = Audit(scene.folder, [scene.public]).found()
    assert "forked or rewritten" in says(found, "time")
    scene.rewrite(entries[:-1], sign=True)
    assert "cut off" in says(Audit(scene.folder, [scene.public]).found(), "time")


@pytest.mark.parametrize("kind", ["rsa", "p384"])
def test_other_keys_and_digests(tmp_path: Path, kind: str) -> None:
    """RSA and other curves, SHA-384 and SHA-512."""
    key = rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP384R1())
    one = authority(tmp_path / kind, key=key, hashed="sha512" if kind == "rsa" else "sha384")
    assert verify_token(one.token(), DIGEST, [one.root], nonce=NONCE).by == "CN=authority"


def test_tokens_that_do_not_hold(good: Authority, tmp_path: Path) -> None:
    """Of another digest or request, by an expired certificate, one that nobody may issue, or an injected one of the same names."""
    token = good.token()
    assert verify_token(token, DIGEST, [good.root], nonce=NONCE) == verify_token(token, DIGEST, [good.root])
    expired = authority(tmp_path / "expired", ends=-DAY)
    no_ca = authority(tmp_path / "no-ca", ca=False)
    injected = authority(tmp_path / "injected")
    cases: list[tuple[bytes, bytes, list[x509.Certificate], int | None, str]] = [
        (token, sha256(b"other").digest(), [good.root], None, "of something else"),
        (token, DIGEST, [good.root], NONCE + 1, "another request"),
        (token, DIGEST, [], None, "nobody whom you trust"),
        (expired.token(), DIGEST, [expired.root], None, "not valid then"),
        (no_ca.token(), DIGEST, [no_ca.root], None, "nobody whom you trust"),
        (injected.token(), DIGEST, [good.root], None, "nobody whom you trust"),
    ]
    for data, digest, trusted, nonce, said in cases:
        with pytest.raises(ProofError, match=said):
            verify_token(data, digest, trusted, nonce=nonce)


def test_no_flipped_byte_of_a_token_passes(good: Authority) -> None:
    """Whatever bit is flipped, the token is refused or says what it said; cut anywhere, it is refused."""
    token = good.token()
    told: Stamp = verify_token(token, DIGEST, [good.root])
    refused = 0
    for at in range(len(token)):
        bad = bytearray(token)
        bad[at] ^= 1 << at % 8
        try:
            assert verify_token(bytes(bad), DIGEST, [good.root]) == told
        except ProofError:
            refused += 1
        if at % 7 == 0:
            with pytest.raises(ProofError):
                verify_token(token[:at], DIGEST, [good.root])
    assert refused > len(token) // 2


def test_authorities_that_answer_rubbish(scene: Scene, good: Authority) -> None:
    """Nothing of it is kept: no answer, a refusal, another's token, something without end."""
    refusal = bytes.fromhex("30053003020102")
    for ask in (
        lambda *_: b"",
        lambda *_: b"\x30\x84\xff\xff\xff\xff",
        lambda *_: refusal,
        lambda *_: good.answer(request(DIGEST, NONCE)),
        lambda *_: bytes(1 << 20),
        lambda *_: ask_authority("http://127.0.0.1:9/", b""),
    ):
        with Ledger(scene.folder, scene.keys) as ledger, pytest.raises(ProofError):
            stamp(ledger, "http://127.0.0.1:9/", [good.root], ask=ask)
    assert stamped_sizes(scene.folder) == []


def test_from_the_command_line(scene: Scene, ids: list[str], good: Authority, address: str, tmp_path: Path) -> None:
    """The sequencer asks, `verify` and the verify.py in the bundle check."""
    program, certs = Program(scene.base / "home"), str(good.folder / "root.pem")
    key = ("--key-file", str(scene.base / "key"))
    assert program("ledger", "write", "--tsa", address, *key).code == 2
    assert program("ledger", "write", "--tsa", address, "--tsa-certs", certs, *key).code == 0
    (size,) = stamped_sizes(scene.folder)
    assert program("ledger", "status", "--json").json["stamped_entries"] == size
    assert f"the first {size:,} entries" in program("ledger", "status").out
    bundle = tmp_path / "b.zip"
    assert program("prove", ids[5], "-o", str(bundle)).code == 0
    given = (str(bundle), "--key", str(scene.public), "--tsa-certs", certs)
    assert "says CN=authority" in program("verify", *given).out
    shutil.unpack_archive(bundle, tmp_path)
    alone = subprocess.run([sys.executable, str(tmp_path / "verify.py"), *given], capture_output=True, text=True, check=False)  # fmt: skip
    assert alone.returncode == 0, alone.stderr
    assert "says CN=authority" in alone.stdout
