"""What was done to keep a log in order, for a terminal: taken in, merged, dropped, removed.

In: the `to_dict()` form of an ingest or a compaction. Out: text, a sentence first.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from whimbrel.report.answers import _count, _drawn
from whimbrel.report.text import Line
from whimbrel.report.words import moment, number, size, visible

Plain = Mapping[str, Any]
_TAKEN = ("predictions", "labels", "decisions", "events", "processes")


def ingested(found: Plain, *, width: int = 80, color: bool = False) -> str:
    """What an ingest took in."""
    came = [_count(found[what], what.removesuffix("s")) for what in _TAKEN[:4] if found[what]]
    head = f"Took in {', '.join(came)}." if came else "Nothing new was recorded."
    lines = [("note", visible(note)) for note in found["notes"]]
    return _drawn(head, lines, "", width, color)


def tidied(found: Plain, *, width: int = 80, color: bool = False) -> str:
    """What a compaction merged, dropped and removed; what stays although it is old, and who needs it."""
    dry, merged, gone = found.get("dry_run", False), found["compacted"], found["vacuumed"]
    dropped = sum(one["predictions"] for one in found["dropped"])
    said = []
    if merged["merged"]:
        before, after = size(merged["bytes_before"]), size(merged["bytes_after"])
        said.append(
            f"{_count(merged['merged'], 'file')} merged into {number(merged['into'])} ({before} before, {after} now)"
        )
    if found["dropped"]:
        said.append(f"{_count(dropped, 'prediction')} {'would be ' if dry else ''}dropped")
    if gone["files"]:
        said.append(f"{_count(gone['files'], 'file')} of {size(gone['bytes'])} {'would be ' if dry else ''}removed")
    lines: list[Line] = []
    for one in found["dropped"]:
        name, before = visible(one["app"], 36), moment(datetime.fromisoformat(one["before"]))
        late = f", {_count(one['late'], 'late label or decision')}" if one["late"] else ""
        lines.append((name, f"{_count(one['predictions'], 'prediction')} older than {before} UTC{late}"))
        lines += [
            ("kept", f"{_count(n, 'prediction')} of {name} needed by {visible(why, 200)}")
            for why, n in one["kept"].items()
        ]
    if gone["needed"]:
        lines.append(("kept", f"{_count(gone['needed'], 'file')} that left the tables and are still needed"))
    if gone["commits"]:
        lines.append(("history", f"{_count(gone['commits'], 'commit')} forgotten, which nobody needs"))
    if merged["forestalled"]:
        lines.append(("note", f"{_count(merged['forestalled'], 'merge')} left to whoever came first"))
    head = "; ".join(said) or "nothing to do"
    return _drawn(f"{head[0].upper()}{head[1:]}.", lines, "", width, color)
