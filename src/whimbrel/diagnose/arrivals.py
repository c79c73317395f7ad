"""When labels come: by which age, for whom, after which score; and what those say that have not come yet.

In: a `Case`. Out: an `Arrival`, what was to be expected of it by slice, decision and score; of a model that is judged, a `ByNow`. A stay, a ride or
a repair is known when it is over: at any time those are known that were short, and a model that says too little of the long ones looks right by them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from whimbrel.diagnose import judged, matrices
from whimbrel.diagnose.case import DAY_US, MAX_VALUES, Case, Variable
from whimbrel.diagnose.learning import foretold
from whimbrel.diagnose.relations import Split, split
from whimbrel.model.fields import Field, Kind, Role
from whimbrel.model.rows import Bools, Floats, Ints

DUE = 0.2
"""The share of golden's labels that must have come by an age before one that has not come says anything."""
ALIKE = 0.05
"""A share of the labels that slices cannot differ by at one age and not at another."""
AGES, RIDGE = 6, 50.0
"""Ages that slices are told apart at; golden's labels of a slice and age beside which its own share counts half."""
RIPE, OUT = 0.9, 0.9
"""The share of golden's labels of like scores that must have come by an age before those that have come are all kinds of them; the share that must
have come of all before nobody asks which."""
GROWN = 0.99
"""The part of golden's labels that came by an age, from which on one that has not come does not come."""
TELLS = 0.1
"""How much smaller the squared error of when labels come must be by the score than by their age alone, before the score tells it."""


@dataclass(frozen=True, eq=False)
class Arrival:
    """When labels came, shape (n,) each."""

    delay: Floats
    """Seconds after the prediction; NaN where none came."""
    age: Floats
    """Seconds after the prediction when the log was read."""
    asked: Floats
    """The age at which it is asked: a window's row's own; golden's that of the row that stands as far into the window; else NaN."""
    due: Floats
    """The share of golden's predictions whose label has come by the age asked."""
    ever: float
    """The share of golden's predictions whose label came at all: people judge one answer in ten."""

    @property
    def absent(self) -> Floats:
        """1 where no label had come by the age asked, 0 where one had, NaN where it is too early to say."""
        out: Floats = np.where(self.due >= DUE * self.ever, ~(self.delay <= self.asked), np.nan)
        return out


def arrived(case: Case) -> Arrival | None:
    """When labels came; None where the app records no times of labels, or has hardly any."""
    label = case.variables.get("label")
    if label is None or case.label_ts is None:
        return None
    delay = np.where((case.label_ts >= 0) & ~label.missing, (case.label_ts - case.ts) / 1e6, np.nan)
    if np.isfinite(delay[case.golden]).sum() < 30 or not np.isfinite(delay[case.window]).any():
        return None  # where not one has come, nobody knows whether they were looked for yet
    now = case.read_at
    age = (now - case.ts) / 1e6
    first, last = int(case.ts[case.window].min()), int(case.ts[case.window].max())
    period = -(-(last - first + 1) // DAY_US) * DAY_US
    asked = (now - np.where(case.window, case.ts, first + (case.ts - first) % period)) / 1e6
    asked[(asked > age) | (asked < (now - last) / 1e6)] = np.nan
    ever = float(np.isfinite(delay[case.golden]).mean())
    return Arrival(delay, age, asked, _due(case, delay, age, asked), ever)


def _due(case: Case, delay: Floats, age: Floats, asked: Floats) -> Floats:
    """The share of golden's predictions, of those old enough, whose label came by the age asked; shape (n,)."""
    grid = np.unique(np.quantile(asked[case.window], np.linspace(0, 1, 101)))
    golden = np.flatnonzero(case.golden)
    golden = golden[np.argsort(age[golden])]
    shares = []
    for at in grid:
        old = golden[np.searchsorted(age[golden], at) :]
        shares.append(float(np.mean(delay[old] <= at)) if old.size >= 30 else np.nan)
    return np.interp(asked, grid, shares)


def expected_absent(case: Case, found: Arrival) -> Floats:
    """How likely a label of this age, of this slice and score and after this decision is to be missing yet, as golden's were, shape (n,).

    A sum of what each value of each dimension adds at each age: a slow slice is no lost one, large claims are settled late, and often
    only what was acted upon (a loan that was granted, a machine that was looked at) is ever labelled.
    """
    absent, expected = found.absent, 1 - found.due
    ages = np.searchsorted(np.quantile(found.due[case.window], np.linspace(0, 1, AGES + 1)[1:-1]), found.due)
    told = [v.kinds for v in case.of(Role.DECISION) if 1 < v.distinct <= MAX_VALUES and _decides(case, found, v)]
    score = _as_before(case)
    if score is not None:
        edges = np.unique(np.nanquantile(score[case.golden], np.linspace(0, 1, AGES + 1)[1:-1]))
        told.append(np.where(np.isfinite(score), np.searchsorted(edges, score, "right"), -1))
    if np.ptp(found.due[case.window]) >= ALIKE:
        told += [d.codes for d in case.dimensions if matrices.role(d) in (Role.CONTEXT, Role.HARDWARE)]
    parts = [
        matrices.one_hot(np.where(codes < 0, -1, ages * (codes.max() + 1) + codes), AGES * (int(codes.max()) + 1))
        for codes in told
        if np.unique(codes[case.window]).size > 1
    ]
    known = np.flatnonzero(case.golden & np.isfinite(absent))
    if not parts or known.size < 200:
        return expected
    design = sparse.csr_matrix(sparse.hstack([matrices.one_hot(ages, AGES), *parts]))
    fitted = design[known]
    gram = (fitted.T @ fitted).toarray() + RIDGE * np.eye(design.shape[1])
    out: Floats = expected + design @ np.linalg.solve(gram, fitted.T @ (absent - expected)[known])
    return out


def _decides(case: Case, found: Arrival, decision: Variable) -> bool:
    """Whether a decision may tell if a label comes: not one by another model's scores, where golden's came after all decisions alike.

    What was decided for a high score then only says what the score does, and that score was another model's.
    """
    if not (case.by_another & case.window).any():
        return True
    grown = found.age >= np.nanquantile(found.delay[case.golden], GROWN)
    known = case.golden & grown & ~decision.missing
    counts = np.bincount(decision.kinds[known])
    came = np.bincount(decision.kinds[known], weights=np.isfinite(found.delay[known])) / np.maximum(counts, 1)
    return bool(np.ptp(came[counts >= judged.FEW]) >= ALIKE) if (counts >= judged.FEW).any() else True


def _as_before(case: Case) -> Floats | None:
    """Each row's main score, shape (n,); where a model answered that golden did not have, the one that golden's would have given.

    When labels of such scores come golden says of its own model's scores alone.
    """
    score = judged.main_score(case)
    if score is None or not (case.by_another & case.window).any():
        return score
    outcome = Variable("score?", Field("outputs.score", Kind.NUMBER), numbers=score)
    promised = foretold(case, split(case), outcome, [*case.steps_before, *case.of(Role.INPUT)])
    return score if promised is None else np.where(case.by_another & np.isfinite(promised), promised, score)


# ---------------------------------------------------------------- what has come by now


@dataclass(frozen=True, eq=False)
class ByNow:
    """Which labels have come by the age asked, shape (n,) each, NaN where that is not known."""

    came: Floats
    says: Floats
    """How likely the label was to have come, by golden's labels of like scores."""
    instead: Floats
    """The same, had golden's model answered."""
    ripe: Bools
    """Rows of whose like nearly all labels have come, long ones as well."""


def by_now(case: Case, parts: Split, answered: Bools, score: Floats, promised: Floats) -> ByNow | None:
    """What has come by now of the labels of the rows that a model answered; None where nearly all has, or the score does not tell when.

    A label that stays away says that it will be a large one, where large ones come late.
    """
    target = judged.numeric(case)
    if target is None or np.unique(target[case.golden & np.isfinite(target)]).size <= 2:
        return None  # of a yes or a no golden's curve says what has come by now
    found = arrived(case)
    if found is None:
        return None
    asked = np.isfinite(found.asked)
    came = np.where(asked, (found.delay <= found.asked).astype(float), np.nan)
    golden = np.flatnonzero(case.golden & np.isfinite(score))
    says = _shares(found, score, golden)
    instead = _shares(found, promised, parts.check[np.isfinite(promised[parts.check])])
    rows, base = answered & np.isfinite(instead), parts.check[np.isfinite((came + instead + found.due)[parts.check])]
    if base.size < judged.FEW or not rows.any() or float(instead[rows].mean()) > OUT * found.ever:
        return None
    told, alone = (float(np.mean((came - of)[base] ** 2)) for of in (instead, found.due))
    if told > (1 - TELLS) * alone:
        return None
    return ByNow(came, says, instead, (instead >= RIPE) & (came == 1))


def _shares(found: Arrival, score: Floats, base: Ints) -> Floats:
    """The share of these rows' labels, of those with like scores, that came by the age asked of each row, shape (n,)."""
    out = np.full(score.size, np.nan)
    if base.size < judged.FEW:
        return out
    edges = np.unique(np.quantile(score[base], np.linspace(0, 1, judged.BINS + 1)[1:-1]))
    bins = np.where(np.isfinite(score), np.searchsorted(edges, score, "right"), -1)
    for one in range(edges.size + 1):
        delays = np.sort(np.nan_to_num(found.delay[base[bins[base] == one]], nan=np.inf))
        rows = (bins == one) & np.isfinite(found.asked)
        out[rows] = np.searchsorted(delays, found.asked[rows], "right") / max(delays.size, 1)
    return out
