"""Results that outlive a killed drill: one line of JSON a case, under a key of the case and of the code that answered.

In: a folder, tasks. Out: what is known of them already. Only `run` may call.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Hashable
from functools import lru_cache
from pathlib import Path

import msgspec

from whimbrel.drill.apps.tabular import DATA
from whimbrel.drill.grade import Graded


class _Line(msgspec.Struct):
    key: str
    case: Graded


@lru_cache(maxsize=1)
def code_version() -> str:
    """A hash of all of Whimbrel's source, and of the libraries' versions that a diagnosis depends on."""
    from importlib.metadata import version

    root = Path(__file__).resolve().parents[1]
    made = hashlib.sha256("".join(version(name) for name in ("numpy", "scipy", "scikit-learn", "duckdb")).encode())
    for path in sorted(root.rglob("*.py")):
        made.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return made.hexdigest()[:16]


def key(task: Hashable) -> str:
    """The task, by this code and on this data."""
    return hashlib.sha256(f"{code_version()} {os.environ.get(DATA, '')} {task!r}".encode()).hexdigest()[:24]


class Kept:
    """A file of results; a torn last line is passed over."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Graded] = {}
        if path.exists():
            for line in path.read_bytes().splitlines():
                try:
                    read = msgspec.json.decode(line, type=_Line)
                except msgspec.DecodeError:
                    continue
                self._known[read.key] = read.case
        path.parent.mkdir(parents=True, exist_ok=True)

    def known(self, task: Hashable) -> Graded | None:
        """What this code said of this case before."""
        return self._known.get(key(task))

    def keep(self, task: Hashable, case: Graded) -> None:
        """Write it down at once."""
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(_Line(key(task), case)) + b"\n")
