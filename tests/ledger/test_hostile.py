"""Bundles and logs that want to harm whoever reads them: refused with a reason, in bounded memory."""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ledger.scenes import Scene, failed, says, sealed, state, zipped
from whimbrel.ledger.bundle import read_bundle
from whimbrel.ledger.merkle.tree import ProofError


def hostile(fill: Callable[[zipfile.ZipFile], None]) -> Callable[[], bytes]:
    return lambda: zipped(fill)


def claims_10_gb() -> bytes:
    data = bytearray(zipped(lambda into: into.writestr("entry.json", b"x")))
    for mark, at in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        start = data.index(mark)
        data[start + at : start + at + 4] = struct.pack("<I", 0xFFFFFFF0)
    return bytes(data)


def lies_about_its_size() -> bytes:
    data = bytearray(zipped(lambda into: into.writestr("entry.json", b"x" * 100_000)))
    for mark, at in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        start = data.index(mark)
        data[start + at : start + at + 4] = struct.pack("<I", 10)
    return bytes(data)


def many_files() -> bytes:
    def fill(into: zipfile.ZipFile) -> None:
        for i in range(5000):
            into.writestr(f"f{i}.json", b"")

    return zipped(fill)


def twice() -> bytes:
    def fill(into: zipfile.ZipFile) -> None:
        into.writestr("entry.json", b"x")
        into.writestr("entrx.json", b"y")

    return zipped(fill).replace(b"entrx.json", b"entry.json")


HOSTILE: dict[str, Callable[[], bytes]] = {
    "zip bomb": hostile(lambda into: into.writestr("entry.json", b"\0" * (64 << 20))),
    "path traversal": hostile(lambda into: into.writestr("../../entry.json", b"x")),
    "absolute path": hostile(lambda into: into.writestr("/etc/passwd", b"x")),
    "backslashes": hostile(lambda into: into.writestr("..\\entry.json", b"x")),
    "10 GB claimed": claims_10_gb,
    "a lie about its size": lies_about_its_size,
    "too many files": many_files,
    "a name twice": twice,
    "another packing": lambda: zipped(lambda into: into.writestr("entry.json", b"x", zipfile.ZIP_BZIP2)),
    "no zip": lambda: b"PK nothing" * 100,
    "nothing": lambda: b"",
    "cut": lambda: zipped(lambda into: into.writestr("entry.json", os.urandom(500)))[:-30],
    "something before it": lambda: b"#!/bin/sh\n" + zipped(lambda into: into.writestr("entry.json", b"x")),
    "something behind it": lambda: zipped(lambda into: into.writestr("entry.json", b"x")) + b"more",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bundles_are_refused(tmp_path: Path, name: str) -> None:
    """Refused with a reason, in bounded memory, and nothing is written anywhere."""
    path = tmp_path / "bundle.zip"
    path.write_bytes(HOSTILE[name]())
    with pytest.raises(ProofError) as raised:
        read_bundle(path)
    assert raised.value.what
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_bundle_that_is_no_plain_file(tmp_path: Path) -> None:
    """A pipe that nobody writes to, a device without end, a sparse file of 10 GB: refused at once."""
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(10 << 30)
    for path in (tmp_path / "pipe", Path("/dev/zero"), tmp_path / "huge", tmp_path):
        with pytest.raises(ProofError):
            read_bundle(path)


def test_an_endless_proof(scene: Scene, files: dict[str, bytes]) -> None:
    """A proof of a million hashes, an index of a million digits, a note of a million signatures: refused."""
    hashes = b"A" * 43 + b"=\n"
    head, _, note = files["proof.tlog-proof"].partition(b"\n\n")
    for bad in (
        head + b"\n" + hashes * 90_000 + b"\n" + note,
        head.replace(b"index ", b"index " + b"9" * 1_000_000) + b"\n\n" + note,
        head + b"\n\n" + note + note.split(b"\n\n")[1] * 9000,
    ):
        found = scene.check(sealed({**files, "proof.tlog-proof": bad}))
        assert {"inclusion", "signature"} & failed(found)


@pytest.mark.parametrize(
    "bad",
    [
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"1" * 100_000,
        b"\xff\xfe",
        b"null",
        b"[]",
        b'{"groups":7}',
        b'{"groups":[{"group":"who","line":"x"}]}',
    ],
)
def test_json_that_is_hostile(scene: Scene, files: dict[str, bytes], bad: bytes) -> None:
    """Nested without end, numbers of 100,000 digits, no text, other shapes: the line fails, nothing crashes."""
    for name in (
        "disclosures.json",
        "completeness.json",
        "MANIFEST.json",
        "entry.json",
        "run.json",
        "later.json",
        "replay.json",
    ):
        found = scene.check({**files, name: bad} if name == "MANIFEST.json" else sealed({**files, name: bad}))
        assert (
            failed(found)
            or name == "replay.json"
            or (name == "completeness.json" and state(found, "completeness") == "not shown")
        ), name


def test_a_hostile_log(scene: Scene) -> None:
    """Files of a log that are devices, pipes or far too large are not read."""
    path = scene.folder / "tile" / "entries" / "000"
    path.unlink()
    path.symlink_to("/dev/zero")
    assert "no plain file" in says(scene.audit(), "inclusion")
    path.unlink()
    with path.open("wb") as file:
        file.truncate(10 << 30)
    assert "no plain file" in says(scene.audit(), "inclusion")
