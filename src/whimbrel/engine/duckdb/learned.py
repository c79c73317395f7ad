"""A binning learned on golden: edges from a sample and the exact range, vocabularies from exact counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from whimbrel.engine.duckdb.columns import LAG, LENGTH, columns_of, field_of, number
from whimbrel.engine.duckdb.view import Bound, View, quoted
from whimbrel.model.fields import Field, Kind, Role, Schema
from whimbrel.model.profile import Binning, Bins
from whimbrel.model.rows import Categories, Floats, Numbers, Rows
from whimbrel.stats.bins import MOST_VALUES, number_bins, text_bins

SAMPLE = 50_000
"""Rows that edges are learned from: an edge then errs by 0.2% of golden's mass."""

AT_ONCE = 128
"""Fields that are learned at once: a sample of them all would not fit where a table has thousands."""

MANY_TEXTS = 5_000
"""Distinct texts in the sample from which on a column holds names or free text, not worth counting exactly."""

RARE, FEWEST = 200, 50
"""Where there are more texts than bins, one has to hold a row in so many, and so many rows, to get a bin. (The commonest
of many rare texts would be those that golden had by chance more of than any other window.)"""

NO_RANGE = (1.0, 0.0)
"""Holds nothing."""

SLICING = (Role.CONTEXT, Role.HARDWARE, Role.MODEL, Role.CODE)
MOST_DIMENSIONS = 8
MOST_SLICES = 32
"""A dimension has two values to this many; a column with more is an id, not a way to slice."""


Samples: TypeAlias = Callable[[tuple[Field, ...]], Rows]
"""Asks for a sample of at most `SAMPLE` rows, the same each time, with these fields as columns."""

Values: TypeAlias = Callable[[Sequence[Field]], dict[str, list[tuple[str, int]]]]
"""Asks for the commonest values of text fields, with their counts, as `commonest` gives them."""

Ranges: TypeAlias = Callable[[Sequence[str]], dict[str, tuple[float, float]]]
"""Asks for the least and greatest finite value of numeric columns, as `ranges` gives them."""


def learned(schema: Schema, sampled: Samples, rows: int, commonest: Values, ranges: Ranges) -> Binning:
    """The binning of a golden window with this many rows, from samples of them and two questions to all, some fields at a time."""
    fields = tuple(schema)
    columns: list[Bins] = []
    texts: dict[str, Bins] = {}
    for start in range(0, len(fields), AT_ONCE):
        some = fields[start : start + AT_ONCE]
        sample = sampled(some)
        texts |= _texts([f for f in some if _is_text(f)], sample, rows, commonest)
        names: list[str] = []
        for item in some:
            names += columns_of(item)
            if item.kind is Kind.TEXT and texts[item.path].open:
                names.append(item.path + LENGTH)
        values = {name: _values(schema, name, sample) for name in names if name not in texts}
        whole = [n for n in values if len(sample) == rows and _as_sampled(schema, n)]
        ends = {n: _ends(values[n]) for n in whole} | ranges([n for n in values if n not in whole])
        columns += [texts[n] if n in texts else number_bins(n, values[n], *ends[n]) for n in names]
    return Binning(tuple(columns), _dimensions(fields, texts))


def _as_sampled(schema: Schema, name: str) -> bool:
    """Whether a sample holds the very numbers that are counted; ages and lengths of texts are reckoned anew there."""
    item, _ = field_of(schema, name)
    return item is not None and item.kind in (Kind.NUMBER, Kind.NUMBERS)


def _ends(values: Floats) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else NO_RANGE


def _is_text(item: Field) -> bool:
    return item.kind in (Kind.TEXT, Kind.BOOLEAN)


def _texts(fields: Sequence[Field], sample: Rows, rows: int, commonest: Values) -> dict[str, Bins]:
    """The bins of text columns; counted exactly unless the sample alone shows that there is no end of values."""
    found: dict[str, Bins] = {}
    for item in fields:
        column = sample.columns[item.path]
        assert isinstance(column, Categories)
        if len(column.vocabulary) > MANY_TEXTS:
            seen = np.bincount(column.codes[~column.missing], minlength=len(column.vocabulary))
            often = np.flatnonzero(seen >= max(len(sample) / RARE, FEWEST))
            found[item.path] = text_bins(item.path, {column.vocabulary[i]: int(seen[i]) for i in often}, more=True)
    for path, values in commonest([item for item in fields if item.path not in found]).items():
        more = len(values) > MOST_VALUES
        found[path] = text_bins(
            path, {value: n for value, n in values if not more or n >= max(rows / RARE, FEWEST)}, more=more
        )
    return found


def commonest(
    view: View, fields: Sequence[Field], most: int | None = MOST_VALUES + 1
) -> dict[str, list[tuple[str, int]]]:
    """The `most` commonest values of text fields with their counts, the commonest first; all values where it is None."""
    found: dict[str, list[tuple[str, int]]] = {}
    for item in fields:
        bound, name = Bound(), quoted(item.path)
        sql = f"""SELECT {name}::VARCHAR AS value, count(*) AS n FROM ({view.select((item,), bound)}) WHERE {name} IS NOT NULL
                  GROUP BY ALL ORDER BY n DESC, value {"" if most is None else f"LIMIT {most:d}"}"""
        found[item.path] = view.connection.execute(sql, bound.values).fetchall()
    return found


def ranges(view: View, names: Sequence[str]) -> dict[str, tuple[float, float]]:
    """The least and greatest finite value of numeric columns; an empty range where there is none."""
    if not names:
        return {}
    bound = Bound()
    chosen, items = [], []
    for i, name in enumerate(names):
        item, suffix = field_of(view.source.schema, name)
        assert item is not None
        items.append(item)
        value = number(item, suffix)
        chosen.append(f"CASE WHEN isfinite({value}) THEN {value} END AS c{i}")
    rows = view.select(tuple(dict.fromkeys(items)), bound)
    # No FILTER: DuckDB keeps a copy of all columns for each aggregate that has one, 4,000 times 4,000 in a wide table.
    asked = ", ".join(f"min(c{i}), max(c{i})" for i in range(len(names)))
    (found,) = view.connection.execute(
        f"SELECT {asked} FROM (SELECT {', '.join(chosen)} FROM ({rows}))", bound.values
    ).fetchall()
    ends = [(found[2 * i], found[2 * i + 1]) for i in range(len(names))]
    return {
        name: NO_RANGE if low is None else (float(low), float(high))
        for name, (low, high) in zip(names, ends, strict=True)
    }


def _values(schema: Schema, name: str, sample: Rows) -> Floats:
    """A numeric column's values in the sample, NaN where null."""
    item, suffix = field_of(schema, name)
    assert item is not None
    column = sample.columns[item.path if item.kind in (Kind.TIME, Kind.TEXT) else name]
    if isinstance(column, Categories):
        lengths = np.array([*map(len, column.vocabulary), np.nan])
        return lengths[column.codes]
    assert isinstance(column, Numbers)
    return sample.ts / 1e6 - column.values if suffix == LAG else column.values


def _dimensions(fields: Sequence[Field], texts: dict[str, Bins]) -> tuple[str, ...]:
    """The ways to slice traffic: context, hosts, model and code where they vary, and not without end."""
    found = [
        item.path
        for role in SLICING
        for item in fields
        if item.role is role and _is_text(item) and not texts[item.path].open
        and 2 <= len(texts[item.path].values) <= MOST_SLICES
    ]  # fmt: skip
    return tuple(found[:MOST_DIMENSIONS])
