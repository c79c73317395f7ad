"""C2SP tlog-tiles: how a tree lies in files of 256 hashes, and entries in bundles of 256.

The tile at level L, number N holds the hashes of subtrees of 256^L leaves, from 256 N on. A tile at the right edge is partial
and has its width in its path; a partial tile is never hashed upward.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache

from whimbrel.ledger.merkle.tree import SIZE, check, root_of

WIDTH = 256
LONGEST_ENTRY = 65_535
_HEIGHT = 8


def tile_path(level: int | str, number: int, width: int = WIDTH) -> str:
    """The path of a tile: `tile/0/x001/x234/067`, with `.p/<width>` where it is partial. Bundles are at level `entries`."""
    groups = [f"{number % 1000:03d}"]
    while number := number // 1000:
        groups.append(f"x{number % 1000:03d}")
    return f"tile/{level}/{'/'.join(reversed(groups))}" + (f".p/{width}" if width % WIDTH else "")


def width_at(level: int, number: int, size: int) -> int:
    """The width of a tile in the tree of `size` leaves; 0 where it has none."""
    return max(0, min(WIDTH, (size >> (_HEIGHT * level)) - number * WIDTH))


def bundle(entries: Iterable[bytes]) -> bytes:
    """Entries as a bundle: two bytes of length, big-endian, before each. Raises ProofError where one is too long."""
    held = tuple(entries)
    check(max(map(len, held), default=0) <= LONGEST_ENTRY, f"an entry has more than {LONGEST_ENTRY} bytes", "bundle")
    return b"".join([len(entry).to_bytes(2, "big") + entry for entry in held])


def parse_bundle(data: bytes) -> list[bytes]:
    """The entries of a bundle, 256 at most. Raises ProofError where it is cut."""
    entries: list[bytes] = []
    at, end = 0, len(data)
    while at < end:
        stop = at + 2 + (data[at] << 8 | data[at + 1] if at + 1 < end else end)
        if stop > end or len(entries) == WIDTH:
            check(False, "a bundle of entries is cut, or holds too many", f"byte {at}", "the file was changed")
        entries.append(data[at + 2 : stop])
        at = stop
    return entries


class Tiles:
    """The nodes of a tree of `size` leaves, read from its tiles: `nodes(level, index)` of `tree.Nodes`.

    `fetch(path, full)` gives the bytes at a tile's path; where a partial tile is gone, those at the path of the full one.
    """

    def __init__(self, fetch: Callable[[str, str], bytes], size: int) -> None:
        self._fetch, self.size = fetch, size
        self.tile = lru_cache(512)(self._tile)

    def __call__(self, level: int, index: int) -> bytes:
        """The hash of the complete subtree of 2^level leaves from index * 2^level on."""
        tall, short = divmod(level, _HEIGHT)
        number, at = divmod(index << short, WIDTH)
        hashes = self.tile(tall, number)
        check(at + (1 << short) <= len(hashes), f"a tree of {self.size} has no node {index} at level {level}", "tiles")
        return root_of(hashes[at : at + (1 << short)])

    def _tile(self, level: int, number: int) -> tuple[bytes, ...]:
        width = width_at(level, number, self.size)
        path = tile_path(level, number, width)
        data = self._fetch(path, tile_path(level, number)) if width else b""
        check(SIZE * width <= len(data) <= SIZE * WIDTH, f"a tile of {width} hashes has {len(data)} bytes", path)
        return tuple(data[at : at + SIZE] for at in range(0, width * SIZE, SIZE))

    def entries(self, number: int) -> list[bytes]:
        """The entries of one bundle."""
        width = width_at(0, number, self.size)
        path = tile_path("entries", number, width)
        found = parse_bundle(self._fetch(path, tile_path("entries", number)))
        check(len(found) >= width, f"a bundle of {width} entries holds {len(found)}", path, "it was cut or changed")
        return found[:width]
