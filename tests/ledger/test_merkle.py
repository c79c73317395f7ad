"""Trees, proofs, tiles, notes and keys against public vectors and against the definitions, written out again here."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whimbrel.ledger.merkle.notes import LOG, WITNESS, Key, Signer, new_signer, open_note, read_key, split_note
from whimbrel.ledger.merkle.proofs import Checkpoint, Proof, parse_checkpoint, read_checkpoint, read_proof
from whimbrel.ledger.merkle.tiles import LONGEST_ENTRY, Tiles, bundle, parse_bundle, tile_path, width_at
from whimbrel.ledger.merkle.tree import (
    EMPTY,
    ProofError,
    consistency,
    inclusion,
    leaf_hash,
    node_hash,
    range_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

VECTORS = Path(__file__).parent / "vectors"
MERKLE = VECTORS / "transparency-dev-merkle"


def vectors(*path: str) -> Any:
    return json.loads(VECTORS.joinpath(*path).read_text("utf-8"))


def unb64(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def holds(check: Any, *arguments: Any) -> bool:
    try:
        check(*arguments)
    except ProofError:
        return False
    return True


# --- the definitions again, as RFC 6962 section 2.1 has them: slow, recursive, and from the leaves alone


def mth(leaves: list[bytes]) -> bytes:
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def audit_path(m: int, leaves: list[bytes]) -> list[bytes]:
    if len(leaves) <= 1:
        return []
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if m < k:
        return [*audit_path(m, leaves[:k]), mth(leaves[k:])]
    return [*audit_path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if m <= k:
        return [*subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


class Forest:
    """All tiles of a tree, built the way tlog-tiles says, from leaf hashes."""

    def __init__(self, hashes: list[bytes]) -> None:
        self.files: dict[str, bytes] = {}
        level, row = 0, hashes
        while row:
            for at in range(0, len(row), 256):
                tile = row[at : at + 256]
                self.files[tile_path(level, at // 256, len(tile))] = b"".join(tile)
            row = [root_of(row[at : at + 256]) for at in range(0, len(row) - 255, 256)]
            level += 1

    def fetch(self, path: str, full: str) -> bytes:
        return self.files[path]


def always(data: bytes) -> Callable[[str, str], bytes]:
    """Tiles that are all the same file."""
    return lambda path, full: data


# --- trees and proofs


@pytest.mark.parametrize("case", vectors("transparency-dev-merkle", "inclusion.json").items(), ids=lambda case: case[0])
def test_inclusion_vectors(case: tuple[str, dict[str, Any]]) -> None:
    """Every public case of an inclusion proof is judged as it says."""
    one = case[1]
    path = [unb64(text) for text in one["proof"] or []]
    args = (unb64(one["leafHash"]), one["leafIdx"], one["treeSize"], path, unb64(one["root"]))
    assert holds(verify_inclusion, *args) is not one["wantErr"]


@pytest.mark.parametrize(
    "case", vectors("transparency-dev-merkle", "consistency.json").items(), ids=lambda case: case[0]
)
def test_consistency_vectors(case: tuple[str, dict[str, Any]]) -> None:
    """Every public case of a consistency proof is judged as it says."""
    one = case[1]
    path = [unb64(text) for text in one["proof"] or []]
    args = (one["size1"], one["size2"], unb64(one["root1"]), unb64(one["root2"]), path)
    assert holds(verify_consistency, *args) is not one["wantErr"]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 700), st.data())
def test_proofs_are_those_of_the_definition_and_are_accepted(size: int, data: st.DataObject) -> None:
    """Proofs from tiles are the RFC's, hash for hash, and the checkers accept them."""
    leaves = [b"%d" % i for i in range(size)]
    nodes = Tiles(Forest([leaf_hash(leaf) for leaf in leaves]).fetch, size)
    root = mth(leaves)
    assert range_hash(nodes, 0, size) == root == root_of([leaf_hash(leaf) for leaf in leaves])
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    path = inclusion(nodes, index, size)
    assert list(path) == audit_path(index, leaves)
    verify_inclusion(leaf_hash(leaves[index]), index, size, path, root)
    step = consistency(nodes, old, size)
    assert list(step) == subproof(old, leaves, True)
    verify_consistency(old, size, mth(leaves[:old]), root, step)


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 258, 65_535, 65_536, 65_537, 70_000])
def test_trees_at_the_edges_of_tiles(size: int) -> None:
    """At every edge of a tile the proofs of the first, middle and last leaf hold, and the widths are those of the specification."""
    hashes = [leaf_hash(b"%d" % i) for i in range(size)]
    forest = Forest(hashes)
    nodes, root = Tiles(forest.fetch, size), root_of(hashes)
    assert range_hash(nodes, 0, size) == root
    for index in {0, size // 2, size - 1}:
        verify_inclusion(hashes[index], index, size, inclusion(nodes, index, size), root)
    for old in {1, size // 2 + 1, size}:
        verify_consistency(old, size, root_of(hashes[:old]), root, consistency(nodes, old, size))
    if size == 70_000:
        told = vectors("c2sp-examples", "c2sp-and-layout.json")["size_70000"]
        assert [width_at(0, told["full_l0"], size), width_at(1, told["full_l1"], size)] == [112, 17]
        assert tile_path(0, 273, 112) in forest.files
        assert tile_path(1, 1, told["partial_l1"]) in forest.files
        assert tile_path(2, 0, told["partial_l2"]) in forest.files
        assert len(forest.files) == 273 + 1 + 1 + 1 + 1


def test_a_huge_sparse_tree() -> None:
    """At 2^24 ± 1 leaves, all equal, proofs hold: nodes come from a function, not from 16 million leaves."""
    levels = [leaf_hash(b"")]
    for _ in range(64):
        levels.append(node_hash(levels[-1], levels[-1]))
    for size in (2**24 - 1, 2**24, 2**24 + 1):
        root = range_hash(lambda level, index: levels[level], 0, size)
        for index in (0, 2**23, size - 1):
            verify_inclusion(levels[0], index, size, inclusion(lambda level, index: levels[level], index, size), root)
        old = 2**23 + 5
        before = range_hash(lambda level, index: levels[level], 0, old)
        verify_consistency(old, size, before, root, consistency(lambda level, index: levels[level], old, size))


def test_a_proof_that_is_changed_anywhere_does_not_hold() -> None:
    """A bit flipped, a hash dropped, doubled or swapped, another index or size: each is refused."""
    size, index = 301, 137
    hashes = [leaf_hash(b"%d" % i) for i in range(size)]
    nodes, root = Tiles(Forest(hashes).fetch, size), root_of(hashes)
    path = list(inclusion(nodes, index, size))
    step = list(consistency(nodes, 150, size))
    before = root_of(hashes[:150])

    def included(path: list[bytes], index: int = index, size: int = size) -> bool:
        return holds(verify_inclusion, hashes[137], index, size, path, root)

    def continued(path: list[bytes]) -> bool:
        return holds(verify_consistency, 150, size, before, root, path)

    assert included(path)
    assert continued(step)
    for proof, verdict in ((path, included), (step, continued)):
        for at in range(len(proof)):
            for bit in (0, 131, 255):
                flipped = bytearray(proof[at])
                flipped[bit // 8] ^= 1 << bit % 8
                assert not verdict([*proof[:at], bytes(flipped), *proof[at + 1 :]])
            assert not verdict(proof[:at] + proof[at + 1 :])
            assert not verdict([*proof[: at + 1], *proof[at:]])
        for at, _ in pairwise(range(len(proof))):
            assert not verdict([*proof[:at], proof[at + 1], proof[at], *proof[at + 2 :]])
        assert not verdict([*proof, proof[0]])
        assert not verdict(proof * 12)  # longer than any proof can be
    assert not included(path, index=136)
    assert not included(path, size=1000)
    assert not included(path, index=size)
    assert not holds(verify_inclusion, hashes[137], index, 2**64, path, root)


def test_the_constants_are_those_of_the_specification() -> None:
    """Leaf 0x00, node 0x01, the empty tree: against hashes computed elsewhere."""
    told = vectors("c2sp-examples", "c2sp-and-layout.json")["hashes_hex"]
    assert EMPTY.hex() == root_of([]).hex() == told["empty"]
    assert leaf_hash(b"").hex() == told["empty_leaf"]
    assert leaf_hash(b"L123456").hex() == told["leaf_L123456"]
    assert node_hash(b"N123", b"N456").hex() == told["node_N123_N456"]
    head = vectors("go-note", "note-vectors.json")["tree_head"]
    assert parse_checkpoint(head["text"].encode()).size == 123456789012


# --- tiles and bundles


def test_paths_of_tiles_and_bundles() -> None:
    """Every path of the specifications' examples."""
    told = vectors("c2sp-examples", "c2sp-and-layout.json")
    for one in told["tile_paths"]:
        assert tile_path(one["level"], one["index"], one["width"]) == one["path"]
    for one in told["entry_paths"]:
        number = one["seq"] // 256
        assert tile_path("entries", number, width_at(0, number, one["size"])) == one["path"]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=256))
def test_a_bundle_gives_its_entries_back(entries: list[bytes]) -> None:
    """What goes into a bundle comes out of it; cut anywhere but between two entries, it is refused."""
    data = bundle(entries)
    assert parse_bundle(data) == entries
    ends = {0}
    for entry in entries:
        ends.add(max(ends) + 2 + len(entry))
    cut = random.Random(1).randrange(len(data) + 1)
    assert holds(parse_bundle, data[:cut]) is (cut in ends)


def test_the_longest_entry() -> None:
    """65,535 bytes fit, and their length is big-endian; one more does not."""
    assert bundle([b"x" * 258])[:2] == b"\x01\x02"
    assert parse_bundle(bundle([b"x" * LONGEST_ENTRY]))[0] == b"x" * 65_535
    assert not holds(bundle, [b"x" * 65_536])
    assert not holds(parse_bundle, bundle([b""] * 256) + bundle([b""]))


def test_tiles_that_are_cut_or_too_long_are_refused() -> None:
    """A tile whose length is not that of its width is not read."""
    good = b"".join(leaf_hash(b"%d" % i) for i in range(5))
    for data in (good[:-1], good[:-32], b"", good + b"\0" * 8192):
        with pytest.raises(ProofError):
            Tiles(always(data), 5)(0, 4)
    assert Tiles(always(good), 5)(0, 4) == leaf_hash(b"4")
    with pytest.raises(ProofError):
        Tiles(always(good), 5)(3, 0)
    with pytest.raises(ProofError):
        Tiles(always(bundle([b"a"])), 2).entries(0)


# --- keys


@pytest.mark.parametrize("kind", [LOG, WITNESS])
def test_ed25519_edge_cases(kind: bytes) -> None:
    """Of 914 edge cases, keys of low order and keys that are not canonical are refused when loaded, and no others; what is
    then accepted is a signature in the strictest sense: no residue of low order, R canonical."""
    cases = vectors("cctv-ed25519", "ed25519vectors.json")
    assert len(cases) == 914
    accepted = 0
    for one in cases:
        flags = set(one["flags"] or [])
        weak = flags & {"low_order_A", "non_canonical_A"}
        public = bytes.fromhex(one["key"])
        assert holds(Key, "edge", kind, public) is not bool(weak), one
        if not weak:
            fine = holds(Key("edge", LOG, public).verify, one["msg"].encode(), bytes.fromhex(one["sig"]))
            accepted += fine
            assert not (fine and flags & {"low_order_residue", "non_canonical_R"}), one
    assert accepted


def test_keys_off_the_curve_and_of_other_kinds_are_refused() -> None:
    """A public key must be a point, 32 bytes, of a kind that is known; its name has neither space nor plus."""
    good = new_signer("a", bytes(32)).key.public
    assert holds(Key, "a", LOG, good)
    off = next(y for y in range(2, 50) if not holds(Key, "a", LOG, y.to_bytes(32, "little")))
    assert off == 2  # of y = 2 there is no x
    for kind in (b"\x02", b"\x06", b"", b"\x01\x01"):
        assert not holds(Key, "a", kind, good)
    for name in ("", "a b", "a+b", "a\u2003b", "a\n"):
        assert not holds(Key, name, LOG, good)
    assert not holds(Key, "a", LOG, good[:31])


def test_keys_as_text() -> None:
    """Keys of Go's vectors are read and written; every cut and every byte that is one more makes none of them."""
    told = vectors("go-note", "note-vectors.json")
    for text in told["vkeys"]:
        assert str(read_key(text)) == text
        for start in range(len(text)):
            for stop in range(start + 1, len(text) + 1):
                if stop - start < len(text):
                    assert not holds(read_key, text[start:stop])
        for at, c in enumerate(text):
            assert not holds(read_key, text[:at] + chr(ord(c) + 1) + text[at + 1 :])
    for text in told["bad_vkeys"]:
        assert not holds(read_key, text)


# --- notes


def go_signer() -> Signer:
    coded = vectors("go-note", "note-vectors.json")["skey"].split("+", 4)[-1]
    return new_signer("PeterNeumann", base64.b64decode(coded)[1:])


def test_signing_gives_gos_bytes() -> None:
    """The note that Go's package signs, byte for byte."""
    told = vectors("go-note", "note-vectors.json")["sign"]
    signer, text = go_signer(), told["text"].encode()
    assert str(signer.key) == vectors("go-note", "note-vectors.json")["vkeys"][0]
    assert text + b"\n" + signer.line(text) == told["want"].encode()


@pytest.mark.parametrize("case", vectors("go-note", "note-vectors.json")["open"], ids=lambda case: case["name"])
def test_notes_are_opened_as_go_opens_them(case: dict[str, Any]) -> None:
    """Each of Go's cases: who signed, what is passed over, what is refused. Signed by nobody known is no error here: the caller asks who signed."""
    note, keys = base64.b64decode(case["msg_b64"]), [read_key(text) for text in case["vkeys"]]
    if case["ok"]:
        text, found = open_note(note, keys)
        assert len(found) == case["verified"]
        assert note.startswith(text)
    elif case["error"] == "no verifiable signatures":
        assert open_note(note, keys)[1] == {}
    else:
        assert not holds(open_note, note, keys)


def test_the_specifications_examples() -> None:
    """The signed note of the specification and a real tree head of sum.golang.org are accepted."""
    for one in vectors("c2sp-examples", "c2sp-and-layout.json")["notes"]:
        keys = [read_key(one["vkey"])] if "vkey" in one else []
        text, found = open_note(one["note"].encode(), keys)
        assert len(found) == len(keys)
        if "checkpoint" in one["name"]:
            assert parse_checkpoint(text).size == 20852163
    with pytest.raises(ProofError):  # its name is not the key's: a note, but no checkpoint of that log
        read_checkpoint(one["note"].encode(), keys)


def test_malformed_notes() -> None:
    """CRLF, a byte order mark, two notes in one, a plain dash, no last newline, too many signatures: refused, or read as they are."""
    signer = new_signer("log.example/a", b"k" * 32)
    text = Checkpoint("log.example/a", 3, leaf_hash(b"")).text()
    note = text + b"\n" + signer.line(text)
    assert open_note(note, [signer.key])[1]
    bom = "\ufeff".encode()
    for bad in (
        note.replace(b"\n", b"\r\n"), bom + note, note + note[:-1], note.replace("—".encode(), b"--"), note[:-1], note + b"\n",
        note + signer.line(text) * 100, b"", b"\n\n", note.replace(b"=\n", b"\n"), b"x" * (1 << 20) + note,
    ):  # fmt: skip
        assert not holds(open_note, bad, [signer.key]), bad[:200]
    hundred = note + signer.line(text) * 99
    assert len(split_note(hundred)[1]) == 100
    two = note + b"\n" + note  # the last empty line divides: the first note is then text that nobody signed
    assert not holds(open_note, two, [signer.key])


def test_a_key_of_one_kind_never_signs_as_another() -> None:
    """The same secret as log and as witness has two ids, and a signature by one is none by the other."""
    log, witness = new_signer("one.example", b"s" * 32), new_signer("one.example", b"s" * 32, WITNESS)
    text = Checkpoint("one.example", 3, EMPTY).text()
    assert log.key.id != witness.key.id
    note = text + b"\n" + log.line(text)
    assert open_note(note, [witness.key])[1] == {}
    swapped = "— one.example ".encode() + base64.b64encode(witness.key.id + bytes(8) + log.secret.sign(text)) + b"\n"
    assert not holds(open_note, text + b"\n" + swapped, [witness.key])


def test_keys_that_clash() -> None:
    """Two keys of one name and one id: who signed cannot be told, so nothing is."""
    signer = new_signer("one.example", b"s" * 32)
    text = b"a text\n"

    class Clash(Key):
        @property
        def id(self) -> bytes:
            return signer.key.id

    other = Clash("one.example", LOG, new_signer("one.example", b"t" * 32).key.public)
    assert not holds(open_note, text + b"\n" + signer.line(text), [signer.key, other])


def test_a_cosignature_says_when() -> None:
    """A witness signs the time and the whole text; with another time the signature is void."""
    log, witness = new_signer("log.example", b"l" * 32), new_signer("w.example", b"w" * 32, WITNESS)
    note = Checkpoint("log.example", 7, leaf_hash(b"r")).sign(log)
    line = witness.line(split_note(note)[0], at=1_763_740_545)
    body = base64.b64decode(line.split()[-1])
    assert body[:4] == witness.key.id
    assert int.from_bytes(body[4:12], "big") == 1_763_740_545
    witness.secret.public_key().verify(body[12:], b"cosignature/v1\ntime 1763740545\n" + split_note(note)[0])
    found, signed = read_checkpoint(note + line, [log.key, witness.key], "log.example")
    assert (found.size, set(signed)) == (7, {log.key, witness.key})
    later = base64.b64encode(body[:11] + bytes([body[11] ^ 1]) + body[12:])
    assert not holds(read_checkpoint, note + line.replace(base64.b64encode(body), later), [log.key, witness.key])
    assert not holds(read_checkpoint, note, [witness.key])


# --- proofs as files


def test_a_proof_as_a_file() -> None:
    """tlog-proof: read back as written, with or without an extra line; golden bytes."""
    log = new_signer("log.example", b"l" * 32)
    hashes = [leaf_hash(b"%d" % i) for i in range(5)]
    note = Checkpoint("log.example", 5, root_of(hashes)).sign(log)
    proof = Proof(2, inclusion(Tiles(Forest(hashes).fetch, 5), 2, 5), note)
    data = proof.text()
    assert data.startswith(b"c2sp.org/tlog-proof@v1\nindex 2\n")
    assert sha256(data).hexdigest() == "09761eb2ecd597e006a42df2deb8037959f0eb7c2e1933f1365f00a875a7e955"
    assert read_proof(data) == proof
    assert read_proof(data.replace(b"index", b"extra AAAA\nindex")) == proof
    assert proof.verify(hashes[2], [log.key], "log.example")[0].size == 5
    assert not holds(proof.verify, hashes[3], [log.key], "log.example")
    assert not holds(proof.verify, hashes[2], [log.key], "log.example/other")
    for bad in (
        data.replace(b"@v1", b"@v2"), data.replace(b"index 2", b"index 02"), data.replace(b"index 2", b"index -2"),
        data.replace(b"index 2", b"index 2\n" + b"A" * 43 + b"=" ), data.replace(b"index 2\n", b"index 2\n" * 2),
        data.replace(b"index 2\n", b"index 2\n" + base64.b64encode(EMPTY) + b"\n") , data[:60], b"", data.replace(b"\n\n", b"\n", 1),
        data.replace(b"index 2\n", b"index 2\n" + (base64.b64encode(EMPTY) + b"\n") * 100_000),
    ):  # fmt: skip
        assert not holds(lambda bad=bad: read_proof(bad).verify(hashes[2], [log.key])), bad[:200]


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_no_flipped_byte_of_a_proof_passes(at: int, by: int) -> None:
    """One byte changed anywhere in a proof: refused, or the same proof in another spelling; nothing else happens."""
    log = new_signer("log.example", b"l" * 32)
    hashes = [leaf_hash(b"%d" % i) for i in range(5)]
    data = bytearray(
        Proof(
            2, inclusion(Tiles(Forest(hashes).fetch, 5), 2, 5), Checkpoint("log.example", 5, root_of(hashes)).sign(log)
        ).text()
    )
    data[at % len(data)] ^= by
    assert not holds(lambda: read_proof(bytes(data)).verify(hashes[2], [log.key], "log.example"))
