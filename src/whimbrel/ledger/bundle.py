"""An evidence bundle's files, read from a zip that may be hostile.

In: a path. Out: the bundle's files by name, in memory; or ProofError. Nothing is unpacked to the disk. Every size is checked before
bytes are read and again while they are: no zip bomb, no name that leads elsewhere, no claim of gigabytes keeps anyone busy.
"""

from __future__ import annotations

import re
import stat
import zipfile
import zlib
from pathlib import Path

from whimbrel.ledger.merkle.tree import ProofError, check

MOST_FILES = 64
LARGEST_ZIP = 16 << 20
LARGEST_FILE = 4 << 20
_DIRECTORY = 64 << 10
_END = b"PK\x05\x06"
_is_file_name = re.compile(r"(?:[a-z]{1,20}/)?[A-Za-z0-9][A-Za-z0-9_-]{0,60}(?:\.[a-z][a-z-]{0,15})?").fullmatch
_HOSTILE = "it was cut or changed, or somebody wants to harm whoever reads it"


def read_bundle(path: Path) -> dict[str, bytes]:
    """The files of an evidence bundle.

    Raises:
        ProofError: it is no bundle, is damaged, or too large.
        OSError: it cannot be read.
    """
    info = path.stat()
    check(stat.S_ISREG(info.st_mode), "an evidence bundle is a file", str(path), "this is a folder, a pipe or a device")
    check(
        info.st_size <= LARGEST_ZIP,
        f"the bundle has {info.st_size:,} bytes",
        str(path),
        f"more than {LARGEST_ZIP:,} are not read",
    )
    with path.open("rb") as file:
        _look_at_end(file.read(LARGEST_ZIP + 1), str(path))
    try:
        with zipfile.ZipFile(path) as packed:
            return _files(packed, str(path))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, KeyError) as error:
        raise ProofError(f"the bundle cannot be read: {error}", where=str(path), why=_HOSTILE) from error


def _look_at_end(data: bytes, where: str) -> None:
    """Check what the zip says of itself, before the library believes it: one disk, few files, a short directory right before the end."""
    at = data.rfind(_END)
    check(at >= 0 and len(data) - at >= 22, "this is no evidence bundle", where, "it is no zip file, or was cut")
    disk, start, here, count, size, offset = (
        int.from_bytes(data[at + a : at + b], "little")
        for a, b in ((4, 6), (6, 8), (8, 10), (10, 12), (12, 16), (16, 20))
    )
    comment = int.from_bytes(data[at + 20 : at + 22], "little")
    check(disk == start == 0 and here == count <= MOST_FILES, f"the bundle claims {count} files", where, _HOSTILE)
    fits = size <= _DIRECTORY and offset + size == at and at + 22 + comment == len(data)
    check(fits, "the bundle's directory is not where it should be", where, _HOSTILE)


def _files(packed: zipfile.ZipFile, where: str) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    total = 0
    for one in packed.infolist():
        name = one.filename
        check(
            bool(_is_file_name(name)) and name not in files, f"the bundle names a file {name[:80]!r}", where, _HOSTILE
        )
        check(one.compress_type in (0, 8), f"{name} is packed in an unknown way", where, _HOSTILE)
        total += one.file_size
        check(total <= LARGEST_FILE, f"the bundle claims {total:,} bytes", where, _HOSTILE)
        with packed.open(one) as file:
            data = file.read(one.file_size + 1)
        check(len(data) == one.file_size, f"{name} is longer than it claims", where, _HOSTILE)
        files[name] = data
    return files
