"""Who in golden had inputs like these, and what they got.

In: golden's `Rows`, a record's inputs. Out: `Neighbour`s, the nearest first, and how nearness was measured. Pure.

The distance is Gower's: the mean over the inputs of |x - y| / spread for a number, 0 or 1 for a category, 1 where only one
of the two is null. The spread is golden's interquartile range over 1.349 (a normal's standard deviation), the standard deviation
where half of golden is one value. A number counts for no more than `MOST`, so that one wild input does not hide all others;
what lies beyond only parts those that are equally near.
(Gower, "A general coefficient of similarity and some of its properties", Biometrics 27, 1971.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from whimbrel.model.rows import Categories, Floats, Numbers, Rows
from whimbrel.model.window import from_micros
from whimbrel.report.words import clipped
from whimbrel.show.result import Neighbour
from whimbrel.show.standing import as_number, as_text

MOST = 3.0
_FREE = 0.5
"""A text of which more than this share of golden's values differ is free text or a key: equal ones say nothing."""


def nearest(
    rows: Rows, inputs: Mapping[str, Any], got: Sequence[str], *, besides: str, most: int = 5
) -> tuple[tuple[Neighbour, ...], str]:
    """The rows of golden whose inputs are nearest, the prediction `besides` left out, and the measure in words.

    `inputs` are values by path, null ones too; `got` are paths of what is told of each.
    """
    if not len(rows):
        return (), ""
    total: Floats = np.zeros(len(rows))
    beyond: Floats = np.zeros(len(rows))
    numbers, categories, left = [], [], []
    for path, value in inputs.items():
        column = rows.columns.get(path)
        if isinstance(column, Numbers) and (spread := _spread(column)):
            numbers.append(path)
            gap = _apart(column, None if value is None else as_number(value), spread)
            total += np.minimum(gap, MOST)
            beyond += gap
        elif isinstance(column, Categories) and _tells(column):
            categories.append(path)
            total += _differs(column, None if value is None else as_text(value))
        else:
            left.append(path)
    used = len(numbers) + len(categories)
    if not used:
        return (), ""
    distance = total / used
    distance[[i for i, ident in enumerate(rows.ids) if ident == besides]] = np.inf
    order = np.lexsort((beyond, distance))[:most]
    found = tuple(_neighbour(rows, int(i), float(distance[i]), got) for i in order if np.isfinite(distance[i]))
    return found, _measure(numbers, categories, left)


def _measure(numbers: Sequence[str], categories: Sequence[str], left: Sequence[str]) -> str:
    said = []
    if numbers:
        said.append(f"{clipped(numbers, 8)} in golden's spreads (at most {MOST:g} each)")
    if categories:
        said.append(f"{clipped(categories, 8)} equal or not")
    without = f"; left out: {clipped(left, 8)} (lists, free text, constant in golden or not there)" if left else ""
    return f"mean over inputs: {' and '.join(said)}{without}"


def _spread(column: Numbers) -> float:
    """Golden's spread; 0 where there is none."""
    held = column.values[np.isfinite(column.values)]
    if not len(held):
        return 0.0
    low, high = np.percentile(held, [25, 75])
    return float((high - low) / 1.349 or held.std())


def _apart(column: Numbers, value: float | None, spread: float) -> Floats:
    if value is None or value != value:
        return (~column.missing).astype(float)
    with np.errstate(invalid="ignore"):  # one infinity less another
        gap = np.where(column.values == value, 0.0, np.abs(column.values - value) / spread)
    return np.where(column.missing, 1.0, gap)


def _tells(column: Categories) -> bool:
    held = len(column.codes) - int(column.missing.sum())
    return held > 0 and len(column.vocabulary) <= max(2, _FREE * held)


def _differs(column: Categories, text: str | None) -> Floats:
    if text is None:
        return (~column.missing).astype(float)
    codes = [i for i, one in enumerate(column.vocabulary) if one == text]
    return (~np.isin(column.codes, codes)).astype(float)


def _neighbour(rows: Rows, i: int, distance: float, got: Sequence[str]) -> Neighbour:
    told = {}
    for path in got:
        column = rows.columns.get(path)
        if column is not None and not column.missing[i]:
            told[path] = float(column.values[i]) if isinstance(column, Numbers) else column.vocabulary[column.codes[i]]
    return Neighbour(rows.ids[i], from_micros(int(rows.ts[i])), distance, told)
