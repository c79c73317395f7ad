"""A source in parts that can be asked about one by one, and their answers put together again.

In: a `Source`, or answers in the order of the parts. Out: parts, or what one engine would have answered about all of them. Pure but for
looking at the names of files; only `__init__.py` may call.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from whimbrel.engine.duckdb.columns import LENGTH, MEAN, NORM
from whimbrel.engine.duckdb.sample import SHORT_LIST
from whimbrel.engine.duckdb.view import may_hold
from whimbrel.engine.port import Source
from whimbrel.engine.spark.tasks import Part
from whimbrel.model.fields import Field, Kind, Role, Schema
from whimbrel.model.records import Records
from whimbrel.model.rows import Categories, Column, Ints, Numbers, Rows
from whimbrel.model.window import Window


def parts_of(source: Source, window: Window) -> list[Part]:
    """The parts of a window: each file that may hold rows of it with the files that may join these, in the source's order."""
    near = source.within(window)
    if near.fetch is not None:  # the driver's way to a storage, with its credentials, is not handed to workers
        near.fetch(near)
    files = (file for file in near.files if may_hold(file, window))
    parts = (replace(source, files=(file,)).within(window) for file in files)
    return [(replace(part, facts={}, fetch=None), window) for part in parts]


def extents_together(found: Iterable[tuple[int, int, int]]) -> tuple[int, int, int]:
    """Rows of all parts, and the first and last `ts` among them; zeros where there are none."""
    held = [(n, first, last) for n, first, last in found if n]
    if not held:
        return 0, 0, 0
    return sum(n for n, _, _ in held), min(first for _, first, _ in held), max(last for _, _, last in held)


def ranges_together(
    found: Iterable[dict[str, tuple[float, float]]], names: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """The least and greatest value of all parts; an empty range where none of them holds one."""
    from whimbrel.engine.duckdb.learned import NO_RANGE

    held = [*found]
    together = {}
    for name in names:
        ends = [part[name] for part in held if part[name][0] <= part[name][1]]
        together[name] = (min(low for low, _ in ends), max(high for _, high in ends)) if ends else NO_RANGE
    return together


def records_together(found: Iterable[Records], schema: Schema) -> Records:
    """The records of all parts in order of time, their paths in the order in which the flat view has them."""
    total = sum(found, Records())
    times, ids = total.values("ts"), total.values("id")
    order = np.array(sorted(range(len(total)), key=lambda i: (times[i], ids[i])), np.int64)
    known = ("id", "ts", "rescued", "label_ts", *(item.path for item in schema))
    return total.take(order).only([path for path in known if path in total.paths])


def rows_together(found: Sequence[Rows], fields: Sequence[Field], total: int) -> Rows:
    """The rows of all parts (some hold any) in order of time, as if they had been read in one go."""
    ids = [ident for part in found for ident in part.ids]
    ts = np.concatenate([part.ts for part in found])
    times = ts.tolist()
    order = np.array(sorted(range(len(ids)), key=lambda i: (times[i], ids[i])), np.int64)
    columns: dict[str, Column] = {}
    for item in fields:
        _add(columns, item, found, order)
    rescued = dict.fromkeys(path for part in found for path in part.rescued)
    late = [part.label_ts for part in found if part.label_ts is not None]
    return Rows(
        ids=tuple(ids[i] for i in order),
        ts=ts[order],
        columns=columns,
        total=total,
        label_ts=np.concatenate(late)[order] if any(item.role is Role.LABEL for item in fields) else None,
        rescued={
            path: np.concatenate([part.rescued.get(path, np.zeros(len(part), np.bool_)) for part in found])[order]
            for path in rescued
        },
    )


def _add(columns: dict[str, Column], item: Field, found: Sequence[Rows], order: Ints) -> None:
    """Add a field's columns; the elements of a list only where the lists of all parts are short."""
    if item.kind in (Kind.TEXT, Kind.BOOLEAN):
        columns[item.path] = _categories(found, item.path, order, known=item.kind is Kind.BOOLEAN)
        return
    if item.kind in (Kind.NUMBER, Kind.TIME):
        columns[item.path] = _numbers(found, item.path, order)
        return
    for suffix in (LENGTH, MEAN, NORM) if item.kind is Kind.NUMBERS else (LENGTH,):
        columns[item.path + suffix] = _numbers(found, item.path + suffix, order)
    length = _numbers(found, item.path + LENGTH, order)
    longest = length.values[~length.missing].max(initial=0)
    if longest <= SHORT_LIST:
        for i in range(int(longest)):
            path = f"{item.path}[{i}]"
            made = _numbers if item.kind is Kind.NUMBERS else _categories
            columns[path] = made(found, path, order)


def _numbers(found: Sequence[Rows], path: str, order: Ints) -> Numbers:
    parts = []
    for part in found:
        column = part.columns.get(path)
        parts.append(column.values if isinstance(column, Numbers) else np.full(len(part), np.nan))
    return Numbers(np.concatenate(parts)[order])


def _categories(found: Sequence[Rows], path: str, order: Ints, *, known: bool = False) -> Categories:
    """Codes in the order of first appearance, as a reading in one go gives them, unless the vocabulary is `known` before."""
    index: dict[str, int] = {}
    parts = []
    for part in found:
        column = part.columns.get(path)
        if isinstance(column, Categories):
            mapped = [index.setdefault(value, len(index)) for value in column.vocabulary]
            parts.append(np.array([*mapped, -1], np.int64)[column.codes])
        else:
            parts.append(np.full(len(part), -1))
    codes, vocabulary = np.concatenate(parts)[order], tuple(index)
    if known:
        return Categories(codes, vocabulary)
    seen, first = np.unique(codes[codes >= 0], return_index=True)
    by_sight = seen[np.argsort(first)]
    places = np.full(len(vocabulary) + 1, -1)
    places[by_sight] = np.arange(len(by_sight))
    return Categories(places[codes], tuple(vocabulary[i] for i in by_sight))
