"""Named things of the log, a small JSON file each: what a name may be, and a file that is there whole or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from whimbrel.errors import StoreError, UsageError
from whimbrel.store.sql import store_errors

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
Made = TypeVar("Made")


def check(name: str, *, thing: str, example: str, where: str = "") -> None:
    """Refuse what cannot be a file's name and a word of the command line.

    Raises:
        UsageError: not a name.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be a {thing}'s name", where=where, why="a name starts with a letter or digit and has letters, digits, dots, _ and - only",
            next=f"choose a name such as {example}",
        )  # fmt: skip


def write(path: Path, value: Mapping[str, Any]) -> None:
    """Keep a named thing; one in the same place gives way.

    Raises:
        StoreError: the log cannot be written.
    """
    with store_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        partial.replace(path)


def names(folder: Path, schema: str) -> tuple[str, ...]:
    """The names of the things of one format in a folder, sorted; other files may lie beside them."""
    if not folder.is_dir():
        return ()
    kept = (path for path in folder.glob("*.json") if NAME.fullmatch(path.stem))
    return tuple(sorted(path.stem for path in kept if _is(path, schema)))


def _is(path: Path, schema: str) -> bool:
    with store_errors(path), path.open(encoding="utf-8", errors="replace") as stream:
        return f'"{schema.partition("/")[0]}/' in stream.read(200)


def read(path: Path, make: Callable[[dict[str, Any]], Made], *, thing: str, schema: str, again: str) -> Made:
    """What a named thing's file holds; `again` is how one comes to it anew.

    Raises:
        StoreError: the file is damaged, or of another version.
    """
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        if held["schema"] != schema:
            raise ValueError(f"its format is {held['schema']!r}, and this version reads {schema!r}")
        return make(held)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"cannot read the {thing} {path.stem!r}: {error}", where=str(path), why="the file was changed or cut short",
            next=again,
        ) from error  # fmt: skip


def unknown(name: str, known: Sequence[str], *, thing: str, where: Path, make: str) -> UsageError:
    """The error that says what there is where there is no such name; `make` is the command that makes one."""
    close = get_close_matches(name, known, n=1)
    return UsageError(
        f"there is no {thing} named {name!r}", where=str(where),
        why=f"there are {', '.join(known)}" if known else "there is none yet",
        next=f"did you mean {close[0]!r}?" if close else make,
    )  # fmt: skip
