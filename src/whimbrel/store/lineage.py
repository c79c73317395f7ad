"""What a merged data file was made of, kept beside the profiles: their sum is the profile of the merged file.

In: a folder, a file's name. Out: the facts of the files whose rows it holds. Nothing depends on it: where a note is missing, the file
is read. `compact.py` writes the notes, `reach.py` reads them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from whimbrel.engine.port import Facts


def note(folder: Path, name: str, parts: Mapping[str, Facts]) -> None:
    """Keep what the file `name` is merged of: facts by path inside the table. A log that may only be read goes without."""
    path = _path(folder, name)
    draft = path.with_suffix(f".{os.getpid()}.partial")
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(msgspec.json.encode(dict(parts)))
        draft.replace(path)


def merged_from(folder: Path, name: str) -> dict[str, Facts]:
    """Facts of the files that `name` is merged of, by path inside the table; empty where that is not known."""
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(_path(folder, name).read_bytes(), type=dict[str, Facts])
    return {}


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"
