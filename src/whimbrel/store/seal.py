"""Data files whose names bear the checksum of their content, and what became of those that do not hold it any more.

In: a table's files and what Delta says of them. Out: which of them are damaged, and why. Parquet as it is written here has no checksums, and a
reader takes flipped bytes for values. So a file is looked at as a whole where its size, or its time of change, says that somebody
wrote to it after it joined its table, and before it is merged; `check` looks at all. `delta.py`, `compact.py` and `log.py` call.

A damaged file stays where it is, in its table. It is left out of every answer, and a note under `<home>/quarantine/files/` says so, until a sound copy
takes its place.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from whimbrel.engine.port import Facts

_SEAL = re.compile(r"-x([0-9a-f]{16})\.parquet$")
_SLACK_MS = 2_000
_BLOCK = 1 << 20


def sealed(path: Path) -> Path:
    """Rename a file that was just written, so that its name bears its checksum; the new path."""
    whole = path.with_name(f"{path.stem}-x{_digest(path)}.parquet")
    path.rename(whole)
    return whole


def broken(path: Path, facts: Facts, *, name: str = "") -> str:
    """Why a file is not what was written, read as a whole; empty where it is, or where its name says nothing and it can be decoded.

    `name` is the name that it will bear, where it does not yet.
    """
    try:
        size = path.stat().st_size
        if facts.size and size != facts.size:
            return f"it has {size:,} bytes of {facts.size:,}"
        seal = _SEAL.search(name or path.name)
        if seal is None:
            return _undecodable(path)
        return "" if _digest(path) == seal[1] else "its content is not what its checksum says"
    except FileNotFoundError:
        return "it is missing"
    except OSError as error:
        return f"it cannot be read: {error.strerror}"


def damaged(files: Mapping[str, Facts], notes: Path) -> dict[str, str]:
    """Which of these files (by absolute path) are known to be damaged, or turn out to be where somebody wrote to them; and why.

    Args:
        files: what Delta says of them.
        notes: the folder of notes.
    """
    noted = {path.stem for path in notes.glob("*.json")} if notes.is_dir() else set[str]()
    found = {}
    for file, facts in files.items():
        why = _suspect(file, facts, notes, noted)
        if why:
            found[file] = why
    return found


def check(files: Mapping[str, Facts], notes: Path) -> dict[str, str]:
    """Read all of these files; those that are damaged, and why. They are noted."""
    found = {}
    for file, facts in files.items():
        why = broken(Path(file), facts)
        if why:
            found[file] = why
            _note(notes, file, why)
    return found


def _suspect(file: str, facts: Facts, notes: Path, noted: set[str]) -> str:
    """Why a file is damaged; it is read only where that must be asked anew."""
    try:
        told = os.stat(file)  # noqa: PTH116 (a table has many files)
    except FileNotFoundError:
        return "it is missing"
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    if facts.size and told.st_size != facts.size:
        return f"it has {told.st_size:,} bytes of {facts.size:,}"
    touched = bool(facts.modified) and told.st_mtime_ns // 1_000_000 > facts.modified + _SLACK_MS
    name = Path(file).name
    if name not in noted and not touched:
        return ""
    with contextlib.suppress(OSError, ValueError, KeyError):
        held = json.loads((notes / f"{name}.json").read_text("utf-8"))
        if held["mtime_ns"] == told.st_mtime_ns:
            return str(held["why"])
    why = broken(Path(file), facts)
    _note(notes, file, why)
    return why


def _note(notes: Path, file: str, why: str) -> None:
    """Keep what was found of a file as it is now; a log that may only be read goes without."""
    with contextlib.suppress(OSError):
        told = {"file": file, "why": why, "mtime_ns": Path(file).stat().st_mtime_ns}
        path = notes / f"{Path(file).name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(f".{os.getpid()}.partial")
        draft.write_text(json.dumps(told) + "\n", "utf-8")
        draft.replace(path)


def _undecodable(path: Path) -> str:
    import duckdb

    try:
        with duckdb.connect() as con:
            con.execute(
                "SELECT sum(hash(t)) FROM read_parquet($1, hive_partitioning = false) t", [str(path)]
            ).fetchall()
    except duckdb.Error as error:
        return str(error).strip().splitlines()[0][:200]
    return ""


def _digest(path: Path) -> str:
    from xxhash import xxh3_64

    digest = xxh3_64()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
