"""The door to a slice search: two plain tables and a metric, or one table of leaves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from whimbrel.errors import EvidenceError, UsageError
from whimbrel.model.rows import Floats
from whimbrel.report.words import share
from whimbrel.slices.cube import Codes, Records, stacked, summed, tables, window_sums
from whimbrel.slices.measures import Means, Totals, leaf_noise, leaves_of
from whimbrel.slices.result import Mix, Slices
from whimbrel.slices.search import explain
from whimbrel.slices.standard import Fit, fit
from whimbrel.slices.told import Case, answer
from whimbrel.store.plain import Plain, read_plain

FEWEST = 30
"""Rows of a table (leaves that are not empty) below which nothing is said."""
REAL, PREDICT = "real", "predict"


def slices(
    before: Any, after: Any = None, *, metric: str | None = None, by: Sequence[str] = (), bins: Sequence[str] = (), depth: int = 3
) -> Slices:  # fmt: skip
    """The smallest set of slices that holds the change of a metric between two tables, or between forecast and reality in one.

    Args:
        before: the earlier table: a path (CSV, Parquet, JSON Lines, .gz too) or a pandas, Polars or Arrow table. Without `after` it is
            a table of leaves: columns `real` and `predict`, every other column an attribute.
        after: the later table.
        metric: a column whose mean is compared (booleans: the rate), `rate:COLUMN=VALUE`, `count` (rows) or `sum:COLUMN`.
        by: the columns that make slices; those with few values where none are named.
        bins: numeric columns that make slices by fifths of the earlier table.
        depth: how many conditions a slice may have, 1 to 3.

    Raises:
        UsageError: a metric or column that is not there or does not fit.
        InputError: a table cannot be read.
        EvidenceError: too little data.
    """
    if depth not in (1, 2, 3):
        raise UsageError(
            f"depth is {depth!r}", where="--depth", why="a slice has one, two or three conditions", next="--depth 2"
        )
    if after is None:
        if metric is not None:
            raise UsageError(
                f"one table, and the metric {metric!r}", where="--metric", why="a table of leaves holds its metric in the columns real and predict",
                next="give two tables, --before a.csv --after b.csv, or leave out --metric",
            )  # fmt: skip
        return _leaves(before, by, bins, depth)
    if not metric:
        raise UsageError(
            "no metric was named", where="--metric", why="two tables are compared by one number",
            next="--metric COLUMN for its mean, or count, sum:COLUMN, rate:COLUMN=VALUE",
        )  # fmt: skip
    kind, _, column = metric.partition(":")
    if metric == "count":
        return _totals(read_plain([before, after], by=by, bins=bins), metric, None, depth)
    if kind == "sum" and column:
        return _totals(read_plain([before, after], numbers=[column], by=by, bins=bins), metric, column, depth)
    if kind == "rate" and column:
        column, equals, value = column.partition("=")
        if equals:
            plain = read_plain([before, after], equal=(column, value), by=by, bins=bins)
            return _means(plain, metric, column, depth)
    column = column if kind in ("rate", "mean") and column else metric
    return _means(read_plain([before, after], numbers=[column], by=by, bins=bins), metric, column, depth)


# ---------------------------------------------------------------- the three measures


def _means(plain: Plain, metric: str, column: str, depth: int) -> Slices:
    codes, values, notes = [], [], []
    for i, found in enumerate(plain.measured[column]):
        held = np.isfinite(found)
        when = ("before", "after")[i]
        _enough(int(held.sum()), f"rows with {column!r}", when)
        whole = bool(held.all())
        codes.append(tuple(a.codes[i] if whole else a.codes[i][held] for a in plain.attributes))
        values.append(found if whole else found[held])
        if not whole:
            notes.append(
                f"{column} is missing in {share(1 - float(held.mean()))} of the rows {when}; they are left out"
            )
    sizes = _sizes(plain)
    depth = min(depth, len(sizes))
    deep = summed(sum(map(len, values)), sizes, max(depth, min(2, len(sizes))))
    counted = window_sums(Records(codes[0], (None,)), sizes, deep)
    fitted = fit(counted, codes[0], values[0], sizes)
    expected = [fitted.fitted(c) for c in codes]
    residuals = [v - e for v, e in zip(values, expected, strict=True)]
    squares = [r**2 for r in residuals]
    windows = (Records(codes[0], (None, residuals[0])), Records(codes[1], (None, residuals[1], squares[1])))
    variance = float(sum(s.sum() for s in squares) / sum(map(len, squares)))
    variance = max(variance, 1e-18 * float(max((v**2).max() for v in values)), 1e-300)
    second = window_sums(Records(codes[0], (residuals[0],)), sizes, deep)
    sums = {
        cuboid: cells
        for cuboid, cells in stacked([counted, second, window_sums(windows[1], sizes, deep)]).items()
        if len(cuboid) <= depth
    }
    spread = tuple(_spread(sums[(a,)].sums, codes[0][a], squares[0], variance) for a in range(len(sizes)))
    evidence = Means(windows, sizes, depth, sums, spread, variance)
    mix = _mix(plain, fitted, codes, expected, float(values[1].mean() - values[0].mean()))
    case = Case(metric, plain, windows, (values[0], values[1]), mean=True, mix=mix, notes=tuple(notes))
    return answer(case, evidence, explain(evidence))


def _spread(sums: Floats, codes: Codes, squares: Floats, variance: float) -> Floats:
    """Variance of the residuals by value of one attribute, shape (values,), as if one more row had that of all rows."""
    before = np.bincount(codes, squares, minlength=sums.shape[1])
    found: Floats = (before + sums[4] + variance) / (sums[0] + sums[2] + 1)
    return np.maximum(found, variance * 1e-6)


def _mix(plain: Plain, fitted: Fit, codes: Sequence[tuple[Codes, ...]], expected: Sequence[Floats], total: float) -> Mix:  # fmt: skip
    """How far the expected values moved: nothing but proportions moves those."""
    before, after = expected
    shift = float(after.mean() - before.mean())
    error = 1.96 * float(np.sqrt(before.var() / len(before) + after.var() / len(after)))
    through = []
    for a, effect in enumerate(fitted.effects):
        shares = [np.bincount(c[a], minlength=len(effect)) / len(c[a]) for c in codes]
        through.append(float(effect @ (shares[1] - shares[0])))
    most = int(np.argmax(np.array(through) * np.sign(shift)))
    sure = abs(shift) > error
    return Mix(
        shift, shift - error, shift + error, shift / total if total else float("nan"), plain.attributes[most].name if sure else ""
    )  # fmt: skip


def _totals(plain: Plain, metric: str, column: str | None, depth: int) -> Slices:
    sizes = _sizes(plain)
    notes = []
    codes: list[tuple[Codes, ...]] = []
    values: list[Floats] = []
    for i, rows in enumerate(plain.rows):
        when = ("before", "after")[i]
        found = plain.measured[column][i] if column else np.ones(rows)
        held = np.isfinite(found)
        _enough(int(held.sum()), f"rows with {column!r}" if column else "rows", when)
        if not held.all():
            notes.append(f"{column} is missing in {share(1 - float(held.mean()))} of the rows {when}; they add nothing")
        codes.append(tuple(a.codes[i][held] for a in plain.attributes))
        values.append(found[held])
    weights = [(v, v**2) if column else (None,) for v in values]
    windows = (Records(codes[0], weights[0]), Records(codes[1], weights[1]))
    depth = min(depth, len(sizes))
    sums = tables(windows, sizes, summed(sum(plain.rows), sizes, depth))
    evidence = Totals(windows, sizes, depth, sums)
    case = Case(metric, plain, windows, (values[0], values[1]), mean=False, notes=tuple(notes))
    return answer(case, evidence, explain(evidence))


def _leaves(table: Any, by: Sequence[str], bins: Sequence[str], depth: int) -> Slices:
    try:
        plain = read_plain([table], numbers=[REAL, PREDICT], by=by, bins=bins, every=True)
    except UsageError as error:
        error.next = "a table of leaves has the columns real and predict; two tables are --before a.csv --after b.csv --metric COLUMN"
        raise
    real, predict = plain.measured[REAL][0], plain.measured[PREDICT][0]
    size = (np.abs(real) + np.abs(predict)) / 2
    held = np.isfinite(size) & (size > 0)
    _enough(int(held.sum()), "leaves with a value", "")
    real, predict, size = real[held], predict[held], size[held]
    codes = tuple(a.codes[0][held] for a in plain.attributes)
    change = (real - predict) / size
    noise, middle = leaf_noise(change, size)
    evidence = leaves_of(codes, _sizes(plain), min(depth, len(codes)), change, noise)
    window = evidence.windows[0]
    case = Case("real", plain, (window, window), (predict, real), mean=False, noise=noise * size)
    return answer(case, evidence, explain(evidence, (middle,)))


def _sizes(plain: Plain) -> tuple[int, ...]:
    return tuple(len(a.values) for a in plain.attributes)


def _enough(rows: int, what: str, when: str) -> None:
    if rows < FEWEST:
        raise EvidenceError(
            f"only {rows} {what}{f' {when}' * bool(when)}", where=when or "the table", why=f"fewer than {FEWEST} show no change for certain",
            next="take a longer stretch of time",
        )  # fmt: skip
