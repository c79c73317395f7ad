"""What golden lets expect of every row's label: the odds of a yes, or a number and how far it strays.

In: a `Case`. Out: `Terms`, from which the likelihood of any label on any row's terms is read: on its own, and on those
of the row that it may really belong to. The score says most of it; where what came in and what was made of it says
more (on golden blocks that taught nothing), that is heard as well, and what a slice always had above its scores.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from whimbrel.diagnose import matrices, models
from whimbrel.diagnose.case import Case
from whimbrel.diagnose.hopes import Hopes
from whimbrel.diagnose.judged import Judged, judged
from whimbrel.diagnose.relations import Split, split
from whimbrel.diagnose.support import design_of, thin
from whimbrel.model.fields import Role
from whimbrel.model.rows import Floats, Ints

SURE = 5.0
"""Log odds beyond which no label is taken for certain: one in a hundred and fifty is wrong anyway."""
BETTER = 0.01
"""Nats a label by which trees must foretell golden's better than the score alone does."""
TEMPER = 0.75
"""What the likelihood of a number counts: those that follow each other stray together, and their law is only supposed."""
TAUGHT, PARENTS = 6_000, 60
"""Rows that teach the trees, and fields that they read."""
RIDGE = 10.0
"""Labels of a slice beside which its own odds count half."""


@dataclass(frozen=True, eq=False)
class Terms:
    """Labels, shape (n,), NaN where none came, and golden's terms for each row, NaN where it was not scored."""

    target: Floats
    centre: Floats
    """The log odds of a yes; of numbers the mean of like scores."""
    width: Floats
    """Of numbers, how far golden's labels of like scores stray."""
    binary: bool

    def likely(self, rows: Ints, of: Ints) -> Floats:
        """The log likelihood of the labels of `rows` on the terms of the rows `of`, NaN where there are none; shape (rows,)."""
        if self.binary:
            return likely(self.target[rows], self.centre[of])
        away = (self.target[rows] - self.centre[of]) / self.width[of]
        return strayed(away, self.width[of])


def likely(target: Floats, odds: Floats) -> Floats:
    """The log likelihood of labels of 0 and 1 with these log odds of a 1."""
    against = np.where(target > 0.5, -odds, odds)
    known = np.isfinite(target) & np.isfinite(against)
    out: Floats = -np.logaddexp(0.0, np.where(known, against, 0.0))
    return np.where(known, out, np.nan)


def strayed(away: Floats, width: Floats) -> Floats:
    """The log likelihood, but for a constant, of numbers so many widths away from what was expected (Student's t with four degrees of freedom)."""
    out: Floats = TEMPER * (-2.5 * np.log1p(away**2 / 4) - np.log(width))
    return out


def terms(case: Case) -> Terms | None:
    """What golden foretells of each label; None where there are no labels or scores, golden's do not vary, or a label is neither a number nor a yes or no."""
    found = judged(case)
    if found is None:
        return None
    if not found.binary:
        return Terms(found.target, found.expected, _strays(case, found), False)
    share = np.clip(found.expected, 1e-3, 1 - 1e-3)
    odds = np.log(share / (1 - share))
    odds = _with_slices(case, found.target, _with_trees(case, found, odds))
    return Terms(found.target, np.clip(odds, -SURE, SURE), np.ones_like(odds), True)


def _strays(case: Case, found: Judged) -> Floats:
    """How far golden's labels lie from what is expected of them at like expectations, shape (n,): counts stray as they grow."""
    known = case.golden & np.isfinite(found.residual)
    edges = np.unique(np.quantile(found.expected[known], np.linspace(0, 1, 9)[1:-1]))
    bins = np.searchsorted(edges, found.expected, "right")
    away = np.abs(found.target - found.expected)[known]
    counts = np.bincount(bins[known], minlength=edges.size + 1)
    mean = (np.bincount(bins[known], weights=away, minlength=edges.size + 1) + 20 * away.mean()) / (counts + 20)
    return np.where(np.isfinite(found.expected), np.maximum(mean, 1e-9)[bins], np.nan)


def _with_trees(case: Case, found: Judged, odds: Floats) -> Floats:
    """The log odds by trees over inputs, steps and outputs, where they foretell golden's labels better; else as they came."""
    parts = split(case)
    known = np.isfinite(found.target) & np.isfinite(odds)
    parts = Split(thin(parts.train[known[parts.train]], TAUGHT), parts.check[known[parts.check]])
    beyond = [*reversed(case.of(Role.STEP)), *case.of(Role.INPUT)]  # the score
    parents = [*case.of(Role.OUTPUT), *beyond][:PARENTS]
    if min(parts.train.size, parts.check.size) < 300 or np.ptp(found.target[parts.train]) == 0:
        return odds
    told = replace(case.of(Role.LABEL)[0], numbers=found.target, codes=None, vocabulary=())
    if not Hopes(case, parts).any(told, beyond):
        return odds
    design = design_of(case, parents, parts.train)
    if design is None:
        return odds
    models.ready()
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=40, learning_rate=0.1, max_leaf_nodes=8, min_samples_leaf=20, random_state=0,
        categorical_features=design.categorical,
    )  # fmt: skip
    model.fit(design.x[parts.train], found.target[parts.train] > 0.5)
    checks = parts.check
    trees = np.full(odds.size, np.nan)
    trees[checks] = model.decision_function(design.x[checks])
    line = sparse.csr_matrix(np.stack([trees[checks], np.ones(checks.size)], axis=1))
    slope, offset = _fitted(line, found.target[checks], np.zeros(checks.size), 0.0)
    gained = likely(found.target[checks], slope * trees[checks] + offset) - likely(found.target[checks], odds[checks])
    if slope <= 0 or gained.mean() < BETTER:
        return odds
    trees = slope * model.decision_function(design.x) + offset
    return np.where(np.isfinite(odds), trees, np.nan)


def _with_slices(case: Case, target: Floats, odds: Floats) -> Floats:
    """The log odds with what each value of who and where adds to them on golden, and how far it goes by them at all."""
    dimensions = [d for d in case.dimensions if matrices.role(d) in (Role.CONTEXT, Role.HARDWARE) and len(d.values) > 1]
    if not dimensions:
        return odds
    known = np.flatnonzero(case.golden & np.isfinite(target) & np.isfinite(odds))
    flags = sparse.csr_matrix(sparse.hstack([matrices.one_hot(d.codes, len(d.values)) for d in dimensions]))
    design = sparse.csr_matrix(sparse.hstack([flags, flags.multiply(np.nan_to_num(odds)[:, None] / 2)]))
    out: Floats = odds + design @ _fitted(design[known], target[known], odds[known])
    return out


def _fitted(design: sparse.csr_matrix, target: Floats, offset: Floats, ridge: float = RIDGE) -> Floats:
    """The weights of a logistic regression beside an offset, drawn towards zero (four steps of Newton's)."""
    weights = np.zeros(design.shape[1])
    for _ in range(4):
        share = 1 / (1 + np.exp(-(design @ weights + offset)))
        vary = share * (1 - share)
        pull = max(ridge * float(vary.mean()), 1e-6)
        gram = (design.T @ design.multiply(vary[:, None])).toarray() + pull * np.eye(weights.size)
        weights = weights + np.linalg.solve(gram, design.T @ (target - share) - pull * weights)
    return weights
