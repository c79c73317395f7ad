"""Sums by slice as sparse matrices: what the scan multiplies its channels with.

In: a `Case`. Out: matrices of shape (sums, n) by block, slice, pair of slices or hour. Built once a case; only
`scan`, `terms` and `readings` may call, and for `role` their neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from whimbrel.diagnose.case import HOUR_US, Case, Dimension
from whimbrel.model.fields import Role, role_of
from whimbrel.model.rows import Bools, Floats, Ints
from whimbrel.model.window import Where

_LASTING = 3.0
"""Blocks of golden over which a value must be spread, or half of them, for its level to be its own and not that of its days."""
_A_DAY = 8.0
"""Hours of weekends, or of working days, by the inverse Simpson index of golden's rows, from which on they teach what such days are like."""

CLOCKED = 0.97
"""The share of rows that must have the commonest value of their hour before the hour is said to tell it."""


def mix_design(case: Case) -> tuple[sparse.csr_matrix, Bools]:
    """One-hot dimensions, hour of day in eighths and weekend, shape (n, columns); and which of golden's rows teach what these do, shape (n,).

    Only who and where count as mix: which model or code ran is the app's own doing, and must not be standardised away. Nor must what
    golden had for a short while only (the next release, in its last hours): what those rows teach of it is of their time.
    """
    mixed = [d for d in case.dimensions if role(d) in (Role.CONTEXT, Role.HARDWARE)]
    brief = np.any([_brief(case, d) for d in mixed], axis=0) if mixed else np.zeros(case.ts.size, dtype=bool)
    brief |= _of_few_hours(case)
    codes = [(d.codes, len(d.values)) for d in mixed]
    codes.append(((case.hour // 3).astype(np.int64), 8))
    codes.append(((case.weekday >= 5).astype(np.int64), 2))
    design = sparse.csr_matrix(sparse.hstack([one_hot(c, size) for c, size in codes]))
    return design, case.golden & ~brief


def _brief(case: Case, dimension: Dimension) -> Bools:
    """Rows whose value golden had in too few blocks (by the inverse Simpson index of its rows), shape (n,)."""
    known = np.flatnonzero(case.golden & (dimension.codes >= 0))
    counts = np.zeros((len(dimension.values) + 1, max(case.block_count, 1)))
    np.add.at(counts, (dimension.codes[known], case.blocks[known]), 1.0)
    spread = counts.sum(axis=1) ** 2 / np.maximum((counts**2).sum(axis=1), 1.0)
    brief = spread < min(_LASTING, case.block_count / 2)
    brief[-1] = False  # what is too rare to look at alone
    out: Bools = brief[dimension.codes]
    return out


def _of_few_hours(case: Case) -> Bools:
    """Rows of weekends, or of working days, shape (n,), where golden had but a few hours of these: a Saturday's first is no weekend yet."""
    weekend = case.weekday >= 5
    spread = []
    for days in (~weekend, weekend):
        counts = np.unique(case.ts[case.golden & days] // HOUR_US, return_counts=True)[1].astype(np.float64)
        spread.append(float(counts.sum() ** 2 / max(float((counts**2).sum()), 1.0)))
    if max(spread) < _A_DAY or min(spread) >= _A_DAY:
        return np.zeros(case.ts.size, dtype=bool)
    return ~weekend if spread[0] < _A_DAY else weekend


def one_hot(codes: Ints, size: int) -> sparse.csr_matrix:
    """1 in the column of each row's code, shape (n, size); none where it is negative."""
    rows = np.flatnonzero(codes >= 0)
    return sparse.csr_matrix((np.ones(rows.size), (rows, codes[rows])), shape=(codes.size, max(size, 1)))


@dataclass(frozen=True, eq=False)
class Clusters:
    """Golden's rows by slice and cluster (an hour, a visit, one thing's stretch of time); slice 0 is all traffic.

    `rows` has shape (clusters of slices, golden rows), `slices` (slices, clusters of slices) and, where what each thing always is counts
    for nothing, `things` (things of slices, clusters of slices), with how often to count each cluster in `weights`: a mean of two moves with both.
    """

    rows: sparse.csr_matrix
    slices: sparse.csr_matrix
    things: sparse.csr_matrix | None = None

    @cached_property
    def weights(self) -> Floats:
        """Shape (clusters of slices, 1): 0 where a thing has one alone."""
        assert self.things is not None
        spells = self.things.T @ np.asarray(self.things.sum(axis=1))
        return np.where(spells > 1, spells / np.maximum(spells - 1, 1), 0.0)


def clusters(case: Case) -> list[Clusters]:
    """By hour; by visit and by the spells of things, where there are any."""
    out = [_clusters(case, np.unique(case.ts[case.golden] // HOUR_US, return_inverse=True)[1])]
    if case.visits is not None:
        out.append(_clusters(case, case.visits[case.golden]))
    if case.things is not None:
        out.append(_clusters(case, case.things.stretch, case.things.key[case.golden]))
    return out


def _clusters(case: Case, cluster: Ints, thing: Ints | None = None) -> Clusters:
    n = cluster.size
    rows, parts = [np.arange(n)], [np.zeros(n, dtype=np.int64)]
    start = 1
    for dimension in case.dimensions:
        codes = dimension.codes[case.golden]
        rows.append(np.flatnonzero(codes >= 0))
        parts.append(codes[rows[-1]] + start)
        start += len(dimension.values)
    index, part = np.concatenate(rows), np.concatenate(parts)
    width = int(cluster.max(initial=0)) + 2  # and one for rows of no cluster
    if thing is None:
        owner = part
    else:
        of_one = thing[index] >= 0
        index, part = index[of_one], part[of_one]
        owner = part * (int(thing.max(initial=0)) + 1) + thing[index]
    unique, first, of = np.unique(owner * width + cluster[index] + 1, return_index=True, return_inverse=True)
    by = sparse.csr_matrix((np.ones(of.size), (of, index)), shape=(unique.size, n))
    slices = one_hot(part[first], start).T.tocsr()
    if thing is None:
        return Clusters(by, slices)
    things = np.unique(owner[first], return_inverse=True)[1]
    return Clusters(by, slices, one_hot(things, int(things.max(initial=0)) + 1).T.tocsr())


def pairs(case: Case) -> tuple[sparse.csr_matrix, Ints]:
    """Sums by pair of values of two of who, where and by which model, shape (pairs, n), and each pair's two single slices."""
    offsets = np.cumsum([1, *[len(d.values) for d in case.dimensions]])
    usable = [
        i for i, d in enumerate(case.dimensions) if role(d) not in (Role.CODE, Role.INPUT) and 1 < len(d.values) <= 25
    ][:8]
    rows, columns, parents, start = [], [], [], 0
    for a, left in enumerate(usable):
        for right in usable[a + 1 :]:
            one, two = case.dimensions[left], case.dimensions[right]
            known = np.flatnonzero((one.codes >= 0) & (two.codes >= 0))
            code = one.codes[known] * len(two.values) + two.codes[known]
            counts = np.bincount(code, minlength=len(one.values) * len(two.values))
            kept = np.flatnonzero(counts >= 40)
            position = np.full(counts.size, -1)
            position[kept] = np.arange(kept.size) + start
            chosen = position[code] >= 0
            rows.append(position[code[chosen]])
            columns.append(known[chosen])
            parents.append(
                np.stack([kept // len(two.values) + offsets[left], kept % len(two.values) + offsets[right]], axis=1)
            )
            start += kept.size
    if not start:
        return sparse.csr_matrix((0, len(case.ts))), np.zeros((0, 2), dtype=np.int64)
    index = (np.concatenate(rows), np.concatenate(columns))
    matrix = sparse.csr_matrix((np.ones(index[0].size), index), shape=(start, len(case.ts)))
    return matrix, np.concatenate(parents)


def cells(case: Case) -> sparse.csr_matrix:
    """Sums by (block, slice): a matrix of shape (blocks × slices, n). Slice 0 is all traffic."""
    parts, offsets = [np.zeros(len(case.ts), dtype=np.int64)], [0, 1]
    for dimension in case.dimensions:
        parts.append(np.where(dimension.codes >= 0, dimension.codes + offsets[-1], -1))
        offsets.append(offsets[-1] + len(dimension.values))
    width = offsets[-1]
    n = len(case.ts)
    rows, columns = [], []
    for part in parts:
        known = np.flatnonzero(part >= 0)
        rows.append(case.blocks[known] * width + part[known])
        columns.append(known)
    index = (np.concatenate(rows), np.concatenate(columns))
    shape = ((case.block_count + case.window_blocks) * width, n)
    return sparse.csr_matrix((np.ones(index[0].size), index), shape=shape)


def clocked(case: Case, dimension: Dimension) -> bool:
    """Whether the hour tells the value (a release that took all traffic at once): a slice of it is a stretch of time."""
    known = np.flatnonzero(dimension.codes >= 0)
    if not known.size:
        return False
    hours = np.unique(case.ts[known] // HOUR_US, return_inverse=True)[1]
    counts = np.bincount(hours * len(dimension.values) + dimension.codes[known])
    counts = np.append(counts, np.zeros(-counts.size % len(dimension.values), dtype=counts.dtype))
    return float(counts.reshape(-1, len(dimension.values)).max(axis=1).sum()) > CLOCKED * known.size


def of_who(case: Case, where: Where) -> bool:
    """Whether a slice says who, and not when alone: of a stretch of time all others are what was before it."""
    fields = {condition.path for condition in where}
    return any(d.path in fields and not clocked(case, d) for d in case.dimensions)


def role(dimension: Dimension) -> Role:
    """The role of the field that a dimension is made of."""
    found = role_of(dimension.path)
    assert found is not None
    return found
