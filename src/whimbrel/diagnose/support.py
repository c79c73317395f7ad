"""What a fitted model sees, and where it may be believed: on rows like those that golden taught it.

In: a `Case`, the parents of a field and the rows that teach. Out: a `Design`, and masks of the rows inside golden's support.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from whimbrel.diagnose import models
from whimbrel.diagnose.case import DAY_US, MOST_CODES, SATURDAY, Case, Variable
from whimbrel.model.rows import Bools, Floats, Ints

FAMILIAR = 0.65
"""The share of golden's own rows that are like enough to others for a fitted model to be a witness on them."""

WEEKS = 1.9
"""Weeks that golden must span before its weekdays are told apart."""


def thin(rows: Ints, most: int) -> Ints:
    """At most so many of the rows, evenly spread."""
    return rows if rows.size <= most else rows[np.linspace(0, rows.size - 1, most).astype(np.int64)]


@dataclass(frozen=True, eq=False)
class Design:
    """Parents as one matrix, shape (n, p): numbers as they are, categories as codes."""

    x: Floats
    names: tuple[str, ...]
    categorical: Bools


def design_of(case: Case, parents: Sequence[Variable], train: Ints, rows: Ints | None = None) -> Design | None:
    """The parents, the hour and the weekday as one matrix, of these rows alone where some are named.

    None where no parent is known on the rows that teach. What keeps having new values teaches nothing of them. Where golden has each
    weekday but once, a weekday would be that day, and whatever was so on that day (another model, another price list): then it only
    says whether it is a weekend.
    """
    chosen = slice(None) if rows is None else rows
    columns, names, categorical = [], [], []
    for parent in parents:
        if parent.codes is not None and (len(parent.vocabulary) > MOST_CODES or parent.name in case.growing):
            continue
        if not np.isfinite(_floats(parent, train)).any():
            continue  # a field that golden never filled teaches nothing
        columns.append(_floats(parent, chosen))
        names.append(parent.name)
        categorical.append(parent.codes is not None)
    columns.append(np.floor(case.hour[chosen]))
    weekday = case.weekday if np.ptp(case.ts[case.golden]) > WEEKS * 7 * DAY_US else case.weekday >= SATURDAY
    columns.append(weekday[chosen].astype(float))
    names += ["hour", "weekday"]
    categorical += [False, False]
    return Design(np.stack(columns, axis=1), tuple(names), np.array(categorical)) if len(names) > 2 else None


def _floats(variable: Variable, rows: Ints | slice) -> Floats:
    """Its value in these rows, or the code of it, NaN where there is none."""
    if variable.numbers is not None:
        return variable.numbers[rows]
    assert variable.codes is not None
    codes = variable.codes[rows]
    return np.where(codes < 0, np.nan, codes)


def supported(design: Design, train: Ints, read: Bools) -> Bools:
    """Rows whose parents that are read lie where golden has been: inside its range, a known category, null only where it was.

    Shape (n,); `read` has shape (p,).
    """
    inside = np.ones(len(design.x), dtype=bool)
    for column, categorical in zip(design.x.T[read], design.categorical[read], strict=True):
        known = column[train]
        filled = known[np.isfinite(known)]
        missing = np.isnan(column)
        if missing.any() and np.isnan(known).mean() < 0.001:
            inside &= ~missing
        if filled.size == 0:
            continue
        if categorical:
            inside &= missing | np.isin(column, np.unique(filled))
        else:
            # In a thin tail trees know one or two examples: that is not support.
            low, high = (
                np.quantile(filled, [0.003, 0.997]) if np.unique(filled).size > 50 else (filled.min(), filled.max())
            )
            inside &= missing | ((column >= low) & (column <= high))
    return inside


def familiar(design: Design, train: Ints, check: Ints, y: Floats | Ints) -> Bools:
    """Rows like many of golden's, shape (n,): a fitted model is a witness only of what it has often seen.

    As `alike`, each parent weighed by how much it matters for `y`. On a storm's rows a model fitted in fair weather errs by itself.
    """
    models.ready()
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    placed = _placed(design, train)
    rows = thin(train, 2_000)
    kind = ExtraTreesRegressor if np.issubdtype(y.dtype, np.floating) else ExtraTreesClassifier
    forest = kind(16, min_samples_leaf=5, max_features=0.5, random_state=0).fit(placed[rows], y[rows])
    weights = forest.feature_importances_
    top = np.argsort(-weights)[:8]
    return _near(placed[:, top] * np.sqrt(weights[top]), train, check)


def alike(design: Design, train: Ints, check: Ints) -> Bools:
    """Rows like many of golden's, shape (n,), by all columns alike.

    The distance to the fifth nearest row of the learning half must be one that `FAMILIAR` of golden's other half keep. The rows that teach are not asked.
    """
    return _near(_placed(design, train), train, check)


def _placed(design: Design, train: Ints) -> Floats:
    """The columns on scales that distances can be taken on: null far out, categories by their code."""
    placed = np.zeros_like(design.x)
    for j, categorical in enumerate(design.categorical):
        column = design.x[:, j]
        known = column[train][np.isfinite(column[train])]
        centre, spread = (float(known.mean()), float(known.std())) if known.size else (0.0, 1.0)
        scale = 1.0 if categorical else spread or 1.0
        placed[:, j] = np.where(np.isnan(column), -6.0, (column - centre) / scale)
    return placed


def _near(placed: Floats, train: Ints, check: Ints) -> Bools:
    from scipy.spatial import cKDTree

    tree = cKDTree(placed[train])
    bound = np.quantile(tree.query(placed[thin(check, 2_000)], k=5)[0][:, -1], FAMILIAR) + 1e-9
    inside = np.ones(len(placed), dtype=bool)
    inside[train] = False
    inside[inside] = (
        tree.query(placed[inside], k=5, distance_upper_bound=np.nextafter(bound, np.inf))[0][:, -1] <= bound
    )
    return inside
