"""Merkle trees over leaf hashes (RFC 6962, section 2.1): roots, proofs of inclusion and of consistency, made and checked.

A tree is read through `Nodes`: the hash of the complete subtree of 2^level leaves that begins at leaf index * 2^level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

from whimbrel.errors import InputError

Nodes = Callable[[int, int], bytes]
"""(level, index) to the hash of a complete subtree."""


class ProofError(InputError):
    """Bytes that are not what they claim to be: a proof that does not hold, a signature by nobody, a malformed note."""


SIZE = 32
EMPTY = sha256(b"").digest()
LONGEST = 64
"""Hashes in a proof: no tree of less than 2^64 leaves needs more."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of an entry as a leaf."""
    return sha256(b"\x00" + entry).digest()


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """The hashes of entries as leaves."""
    return [sha256(b"\x00" + entry).digest() for entry in entries]


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes, or over the hashes of subtrees of one height of which each but the last is complete."""
    if not hashes:
        return EMPTY
    row = list(hashes)
    while len(row) > 1:
        odd = row[len(row) & ~1 :]
        row = [sha256(b"\x01" + a + b).digest() for a, b in zip(row[::2], row[1::2], strict=False)] + odd
    return row[0]


def range_hash(nodes: Nodes, start: int, stop: int) -> bytes:
    """MTH(D[start:stop]), where `start` is a multiple of the largest power of two in the stretch."""
    hashes = []
    while start < stop:
        level = (stop - start).bit_length() - 1
        hashes.append(nodes(level, start >> level))
        start += 1 << level
    root = hashes.pop() if hashes else EMPTY
    while hashes:
        root = node_hash(hashes.pop(), root)
    return root


def inclusion(nodes: Nodes, index: int, size: int) -> tuple[bytes, ...]:
    """The proof that leaf `index` is in the tree of `size` leaves: PATH(index, D[size]), leaf's sibling first."""
    check(0 <= index < size, f"leaf {index} is in no tree of {size}")
    return _path(nodes, index, size, lambda start, stop: stop - start == 1)[0]


def consistency(nodes: Nodes, old: int, size: int) -> tuple[bytes, ...]:
    """The proof that the tree of `old` leaves is the beginning of that of `size`: PROOF(old, D[size])."""
    check(0 <= old <= size, f"a tree of {size} leaves has no beginning of {old}")
    if old in (0, size):
        return ()
    path, start = _path(nodes, old - 1, size, lambda _, stop: stop == old)
    return (range_hash(nodes, start, old), *path) if start else path


def _path(nodes: Nodes, index: int, size: int, done: Callable[[int, int], bool]) -> tuple[tuple[bytes, ...], int]:
    """The hashes beside the way from the root towards a leaf, lowest first, and where the stretch begins that it ends at."""
    path: list[bytes] = []
    start, stop = 0, size
    while not done(start, stop):
        middle = start + (1 << ((stop - start - 1).bit_length() - 1))
        if index < middle:
            path.append(range_hash(nodes, middle, stop))
            stop = middle
        else:
            path.append(range_hash(nodes, start, middle))
            start = middle
    return tuple(reversed(path)), start


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> None:
    """Check that the leaf of this hash is at `index` of the tree (RFC 9162, section 2.1.3.2).

    Raises:
        ProofError: it is not shown to be.
    """
    check(0 <= index < size < 1 << 64, f"leaf {index} is in no tree of {size}")
    check(len(path) <= LONGEST and all(len(one) == SIZE for one in (leaf, root, *path)), "the hashes are malformed")
    at, last, found = index, size - 1, leaf
    for one in path:
        check(last > 0, f"the proof is too long for leaf {index} of {size}")
        if at & 1 or at == last:
            found = node_hash(one, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, one)
        at, last = at >> 1, last >> 1
    check(last == 0, f"the proof is too short for leaf {index} of {size}")
    check(found == root, f"the proof does not lead from leaf {index} to the root of {size}")


def verify_consistency(old: int, size: int, old_root: bytes, root: bytes, path: Sequence[bytes]) -> None:
    """Check that the tree of `old` leaves is the beginning of that of `size` (RFC 9162, section 2.1.4.2).

    Raises:
        ProofError: it is not shown to be.
    """
    check(0 < old <= size < 1 << 64, f"a tree of {size} leaves has no beginning of {old} that says anything")
    check(len(path) <= LONGEST and all(len(one) == SIZE for one in path), "the hashes are malformed")
    if old == size:
        check(not path and old_root == root, f"there are two trees of {size} leaves")
        return
    rest = list(path) if old & (old - 1) else [old_root, *path]
    check(bool(rest), "the proof is empty")
    at, last = old - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    before = now = rest[0]
    for one in rest[1:]:
        check(last > 0, f"the proof is too long for {old} to {size}")
        if at & 1 or at == last:
            before, now = node_hash(one, before), node_hash(one, now)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            now = node_hash(now, one)
        at, last = at >> 1, last >> 1
    check(last == 0, f"the proof is too short for {old} to {size}")
    check(before == old_root and now == root, f"the tree of {size} is no continuation of that of {old}")


def check(
    held: bool, what: str, where: str = "Merkle proof", why: str = "it was changed, or belongs to another tree"
) -> None:
    """Raise ProofError where something does not hold."""
    if not held:
        raise ProofError(what, where=where, why=why)
