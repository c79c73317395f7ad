"""Named things of the log, a small JSON file each: what a name may be, and a file that is there whole or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whimbrel.errors import UsageError
from whimbrel.store.sql import store_errors

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


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
