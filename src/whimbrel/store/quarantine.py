"""Quarantine: rows that could not be read, set aside as JSON Lines with file, row number, reason and the row as it came.

A file is named by its content, so that the same bad rows imported twice are set aside, and counted, once.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from whimbrel.store.raw import Refusal
from whimbrel.store.sql import store_errors


def set_aside(folder: Path, label: str, refused: Sequence[Refusal]) -> Path:
    """Write refused rows of the file `label` under `folder`; returns the file.

    Raises:
        StoreError: it cannot be written.
    """
    from xxhash import xxh3_64

    lines = [
        json.dumps({"file": label, "row": r.row, "reason": r.reason, "raw": r.text}, ensure_ascii=False) + "\n"
        for r in refused
    ]
    digest = xxh3_64()
    for line in lines:
        digest.update(line.encode("utf-8", "surrogatepass"))
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", label)[:80].lstrip(".") or "table"
    path = folder / f"{stem}-{digest.hexdigest()}.jsonl"
    with store_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        with partial.open("w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.writelines(lines)
        partial.replace(path)
    return path


def count(folder: Path) -> int:
    """How many rows are set aside under `folder`."""
    if not folder.is_dir():
        return 0
    return sum(_lines(path) for path in folder.glob("*.jsonl"))


def _lines(path: Path) -> int:
    with path.open("rb") as stream:
        return sum(block.count(b"\n") for block in iter(lambda: stream.read(1 << 20), b""))


def summary(refused: Sequence[Refusal]) -> str:
    """The reasons with their counts, the most frequent first."""
    reasons: dict[str, int] = {}
    for refusal in refused:
        reasons[refusal.reason] = reasons.get(refusal.reason, 0) + 1
    ranked = sorted(reasons.items(), key=lambda item: -item[1])
    return ", ".join(f"{count:,} rows: {reason}" if count > 1 else f"1 row: {reason}" for reason, count in ranked)
