"""Versions of training data for a terminal: what was kept, what there is, what differs.

In: their `to_dict()` form. Out: text, a sentence first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from whimbrel.report.answers import _count, _drawn
from whimbrel.report.text import Line
from whimbrel.report.words import clipped, moment, number, share, visible

Plain = Mapping[str, Any]
_COLUMNS_SHOWN, _LABELS_SHOWN = 20, 12


def added(found: Plain, *, width: int = 80, color: bool = False) -> str:
    """What `data add` kept, or that it was there already."""
    spec = _spec(found)
    if found["new"]:
        head, before = f"Kept as {spec}: {_size(found)}.", found["version"] - 1
        command = f"whimbrel data diff {found['name']}@{before} {spec}" if before else ""
    else:
        head, command = f"No new version: {spec} holds the same columns and rows.", ""
    return _drawn(head, [("digest", found["digest"])], command, width, color)


def versions(found: Plain, *, width: int = 80, color: bool = False) -> str:
    """The versions, a line each."""
    held = found["data"]
    if not held:
        return _drawn("No data was added yet.", [], "whimbrel data add train.parquet --name train", width, color)
    lines = [
        (_spec(one), f"{_size(one)}, added {_when(one)}, {one['digest'][:19]}…, from {_sources(one)}") for one in held
    ]
    return _drawn(f"{_count(len(held), 'version')} of data.", lines, "", width, color)


def written(found: Plain, *, width: int = 80, color: bool = False) -> str:
    """What `data get` wrote."""
    head = f"Wrote {_spec(found)} to {visible(found['output'], 400)}: {_size(found)}."
    return _drawn(head, [("digest", found["digest"])], "", width, color)


def linked(found: Plain, *, width: int = 80, color: bool = False) -> str:
    """What `data link` noted."""
    was = [("was", visible(found["was"]))] if found["was"] else []
    return _drawn(f"{visible(found['model'], 200)} was trained on {visible(found['data'])}.", was, "", width, color)


def difference(found: Plain, *, width: int = 80, color: bool = False) -> str:
    """What differs between two versions, and what does not."""
    return _drawn(
        found["sentence"], [*_schema(found), *_counted(found), *_columns(found), *_ends(found)], "", width, color
    )


def _schema(found: Plain) -> Iterator[Line]:
    columns = found["columns"]
    for word in ("gone", "new"):
        if columns[word]:
            yield f"{word} columns", clipped(columns[word])
    for column, (was, is_) in columns["retyped"].items():
        yield visible(column, 36), f"type {visible(is_, 200)}, was {visible(was, 200)}"


def _counted(found: Plain) -> Iterator[Line]:
    rows, keys = found["rows"], found["keys"]
    yield (
        "rows",
        f"{number(rows['before'])} -> {number(rows['after'])}; {number(rows['gone'])} gone, {number(rows['new'])} new",
    )
    if keys is not None:
        said = ", ".join(f"{number(keys[what])} {what}" for what in ("gone", "new", "kept", "changed"))
        yield "keys", f"{visible(', '.join(keys['names']), 100)}: {said}"
        for what, shown in keys["examples"].items():
            if shown:
                yield "keys", f"{what}: {clipped(shown)}"
        if keys["doubled"]:
            yield "keys", f"{_count(keys['doubled'], 'key')} there more than once; their rows are not matched"
        if keys["cells"]:
            yield "cells changed", clipped([f"{column} {number(n)}" for column, n in keys["cells"].items()])
    yield "in both", visible(found["overlap"], 400)


def _columns(found: Plain) -> Iterator[Line]:
    moved = found["moved"]
    for one in moved[:_COLUMNS_SHOWN]:
        yield visible(one["column"], 36), f"{visible(one['what'])} (distance {number(one['distance'], 2)})"
    if len(moved) > _COLUMNS_SHOWN:
        yield "also moved", clipped([one["column"] for one in moved[_COLUMNS_SHOWN:]])
    for column, empty in found["empty"].items():
        for word in ("null", "nan"):
            was, is_ = empty[f"{word}_before"], empty[f"{word}_after"]
            if was != is_:
                yield visible(column, 36), f"{'NaN' if word == 'nan' else word} in {number(was)} rows -> {number(is_)}"
    if found["unmoved"]:
        yield "unmoved", clipped([one["column"] for one in found["unmoved"]])


def _ends(found: Plain) -> Iterator[Line]:
    labels, rows = found["labels"], found["rows"]
    for value, n in list((labels or {}).items())[:_LABELS_SHOWN]:
        before, after = (n[end] / max(rows[end], 1) for end in ("before", "after"))
        yield (
            f"label {visible(value, 30)}",
            f"{share(before)} -> {share(after)} ({number(n['before'])} -> {number(n['after'])} rows)",
        )
    if labels is not None and len(labels) > _LABELS_SHOWN:
        yield "label", f"and {len(labels) - _LABELS_SHOWN} more: --json lists them all"
    elif labels == {}:
        yield "label", "more different labels than a table holds; see whether its column moved"
    for end in ("before", "after"):
        yield end, f"{_spec(found[end])}, added {_when(found[end])}, from {_sources(found[end])}"


def _spec(one: Plain) -> str:
    return visible(f"{one['name']}@{one['version']}", 120)


def _size(one: Plain) -> str:
    return f"{_count(one['rows'], 'row')}, {_count(len(one['columns']), 'column')}"


def _when(one: Plain) -> str:
    return f"{moment(datetime.fromisoformat(one['added']))} UTC"


def _sources(one: Plain) -> str:
    return clipped(one["sources"]) if one["sources"] else "a table in memory"
