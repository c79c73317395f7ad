"""What goes by a key (a zone's demand, a shop's prices) still goes by it, or a look-up answers for another key.

In: a `Case` and golden's relations. Out: a channel for each number whose level a category tells: how far each row is from its own key's level, 0 in
golden, 1 where the level has nothing to do with the key any more, above 1 where it is another key's. No slice of who asks is looked at, for the
world moves one key as well as all, and values are taken by their rank in their stretch of time. A table may be renewed, too: what proves is that
the same levels are dealt to other keys, or that there is no table any more (`dealt_otherwise`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whimbrel.diagnose.case import HOUR_US, MAX_VALUES, Case, Variable
from whimbrel.diagnose.contracts import HANDFUL, LAYER_OF
from whimbrel.diagnose.relations import Relation, Split, split
from whimbrel.diagnose.scan import Channel
from whimbrel.model.fields import Role
from whimbrel.model.rows import Bools, Floats, Ints

TOLD = 0.3
"""The share of the variance of ranks that a key's level must explain on golden rows held out."""

CROWD = 24
"""Rows from which on an hour is a stretch of time of its own: what goes by the clock is then taken off."""

LEAST_KEYS = 4
"""Keys from which on levels can be dealt otherwise than by chance."""

FLOOR, ANOTHER = 0.4, 0.7
"""How much of a key's say must be gone before that is looked at, and before it can be proof."""

GONE = 0.2
"""The part of what the key told of the variance below which there is no table any more."""

LEAST_DEALT, ALIKE = 6, 0.2
"""Keys whose levels must be the same ones dealt anew, and how far those may be apart, in golden's spread among keys."""

LEAST_ROWS = 8
"""Rows of a key that tell its level."""


def channels(case: Case, relations: Mapping[str, Relation]) -> list[Channel]:
    """One channel for each number that is not made of recorded fields and that a key tells; the key that tells most of it."""
    parts = split(case)
    keys = [v for v in case.of(Role.CONTEXT, Role.INPUT) if _is_key(v)]
    if not keys or parts.train.size < 40 or parts.check.size < 20:
        return []
    hours = case.ts // HOUR_US
    stretches = hours if np.median(np.unique(hours, return_counts=True)[1]) >= CROWD else case.blocks
    stretches = np.unique(stretches, return_inverse=True)[1]
    stretches = stretches.astype(np.min_scalar_type(int(stretches.max())))  # few bits sort quickly
    out = []
    for variable in case.of(Role.INPUT, Role.STEP):
        made = variable.name in relations and relations[variable.name].exact
        if variable.numbers is None or variable.derived or made or variable.distinct <= HANDFUL:
            continue
        ranks = _ranks(variable, stretches)
        strength, level, key = max(
            ((*_told(ranks, key, parts), key) for key in keys if key.path != variable.path), key=lambda one: one[0]
        )
        if strength >= TOLD:
            departure = 1 - _agrees(ranks, key, level, np.arange(ranks.size)) / strength
            out.append(Channel(
                variable.path, LAYER_OF[variable.field.role], "rekeyed", "invariant", departure, sign=1, floor=FLOOR,
                binary=False, not_by=frozenset({Role.CONTEXT}), detail={"key": key.path, "strength": strength},
            ))  # fmt: skip
    return out


def dealt_otherwise(case: Case, component: str, key: str, rows: Bools) -> bool:
    """Whether in these rows other keys have golden's levels, or the key tells next to nothing any more."""
    values, codes = case.variables[component].numbers, case.variables[key].codes
    assert values is not None
    assert codes is not None
    known = np.isfinite(values) & (codes >= 0)
    before, after = (_levels(values, codes, side & known) for side in (case.golden, rows))
    common = np.isfinite(before.of) & np.isfinite(after.of)
    if common.sum() < LEAST_KEYS or before.told <= 0:
        return False
    if after.told < GONE * before.told:
        return True
    here, there = np.sort(after.of[common]), np.sort(before.of[common])
    scale = float(there.sum() / here.sum()) if here.sum() else 0.0
    apart = float(np.abs(scale * here - there).mean() / max(there.std(), 1e-12))
    return bool(common.sum() >= LEAST_DEALT and scale > 0 and apart < ALIKE)


@dataclass(frozen=True, eq=False)
class _Levels:
    """The median by key, shape (keys,), NaN where few rows have it; and the share of the variance that keys explain, less what chance gives."""

    of: Floats
    told: float


def _levels(values: Floats, codes: Ints, rows: Bools) -> _Levels:
    chosen, of_key = values[rows], codes[rows]
    levels = np.full(int(codes.max(initial=0)) + 1, np.nan)
    means = np.zeros(levels.size)
    for code in np.unique(of_key):
        own = chosen[of_key == code]
        means[code] = own.mean()
        if own.size >= LEAST_ROWS:
            levels[code] = np.median(own)
    keys = np.unique(of_key).size
    if chosen.size <= keys or not np.ptp(chosen) > 0:
        return _Levels(levels, 0.0)
    within = float(((chosen - means[of_key]) ** 2).sum()) / (chosen.size - keys)
    return _Levels(levels, 1 - within / float(chosen.var(ddof=1)))


def _is_key(variable: Variable) -> bool:
    return variable.codes is not None and not variable.derived and LEAST_KEYS <= variable.distinct <= MAX_VALUES


def _told(ranks: Floats, key: Variable, parts: Split) -> tuple[float, Floats]:
    """How much of the ranks' variance the key's level explains on rows held out, and the level of each key, NaN where few rows tell it."""
    assert key.codes is not None
    known = np.isfinite(ranks) & (key.codes >= 0)
    train, check = (rows[known[rows]] for rows in (parts.train, parts.check))
    size = len(key.vocabulary)
    counts = np.bincount(key.codes[train], minlength=size)
    sums = np.bincount(key.codes[train], weights=ranks[train], minlength=size)
    level = np.where(counts >= 5, sums / np.maximum(counts, 1), np.nan)
    agrees = _agrees(ranks, key, level, check)
    return float(np.nanmean(agrees)) if np.isfinite(agrees).any() else 0.0, level


def _agrees(ranks: Floats, key: Variable, level: Floats, rows: Ints) -> Floats:
    """Of these rows, how each one's rank goes with its key's level, NaN where either is not known."""
    assert key.codes is not None
    codes = key.codes[rows]
    return np.where(codes >= 0, ranks[rows] * level[codes], np.nan)


def _ranks(variable: Variable, stretches: NDArray[np.integer]) -> Floats:
    """Where each value stands in its stretch of time, with mean 0 and variance 1, NaN where null, shape (n,)."""
    assert variable.numbers is not None
    values = variable.numbers
    rows = variable.order[np.isfinite(values[variable.order])]
    rows = rows[np.argsort(stretches[rows], kind="stable")]  # by stretch, and by value within each
    ordered, of = values[rows], stretches[rows]
    begins = np.append(True, of[1:] != of[:-1])[: rows.size]
    stretch, tie = (
        np.flatnonzero(new) for new in (begins, begins | np.append(True, ordered[1:] != ordered[:-1])[: rows.size])
    )
    sizes = np.diff(np.append(stretch, rows.size))
    ends = np.append(tie[1:], rows.size)
    place = np.repeat((tie + ends - 1) / 2, ends - tie) - np.repeat(stretch, sizes)
    out = np.full(values.size, np.nan)
    out[rows] = ((place + 0.5) / np.repeat(sizes, sizes) - 0.5) * np.sqrt(12.0)
    return out
