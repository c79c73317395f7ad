"""What it proves that an input is not what the other inputs tell of it: a table between them may be the world's, no table any more is not.

In: a `Case` and a suspect whose relation to other inputs broke. Out: its `Proof`; only `gather` may ask.
"""

from __future__ import annotations

import numpy as np

from whimbrel.diagnose import keys, matrices, state
from whimbrel.diagnose.case import DAY_US, HOUR_US, MAX_VALUES, Case, Variable
from whimbrel.diagnose.suspects import Proof, Suspect, abrupt
from whimbrel.model.rows import Bools, Ints

TORN = 2.0
"""Times its usual error by which a fitted model must err more before that alone proves a change of what it models."""
FORETOLD = 0.5
"""The share of an input's variance that other inputs must explain before it can come apart from them."""
SURELY = 1.25
"""Times its threshold below which inputs that go together by the weather, or by fashion, may have come apart by it."""
LEAST_DEALT, NEARLY_ALL = 3, 0.95
"""Values of a code book that must have changed places, and the share of rows that must agree on it."""


def came_apart(case: Case, suspect: Suspect) -> Proof:
    """What it proves that an input is not what the other inputs tell of it.

    Tables between inputs are the world's to change (a price list, a calendar, a territory), and so is what usually goes
    together. The world does not turn a table into no table, nor does it tear apart in one slice, at once, what goes on
    together in all others.
    """
    relation = suspect.hit.channel.detail["relation"]
    if not relation.exact:
        torn = suspect.hit.channel.signature == "spread" and suspect.shift > TORN * suspect.before
        far = relation.strength >= FORETOLD and (torn or abs(suspect.shift) >= 1.0) and suspect.clarity >= SURELY
        if not (far and matrices.of_who(case, suspect.where) and abrupt(case, suspect)):
            return Proof.SOFT
        values = case.variables[relation.target].numbers
        assert values is not None
        return (
            Proof.SOFT
            if state.of_the_world(case, values, suspect.affected, suspect.inside, suspect.since_us)
            else Proof.FIRM
        )
    if relation.form not in ("rule", "function"):
        return Proof.HARD
    if len(relation.parents) > 1:
        return Proof.SOFT
    target, key = case.variables[relation.target], _keyed(case, relation.parents[0])
    torn = _no_table(suspect.affected, target.kinds, key) and not _finer(case, suspect.affected, target, key)
    return Proof.HARD if torn or _dealt_anew(case, suspect, target) else Proof.SOFT


def _dealt_anew(case: Case, suspect: Suspect, target: Variable) -> bool:
    """Whether the values of a code book stand for each other at once: all who had one now have one other, which others had."""
    if target.codes is None or len(target.vocabulary) > MAX_VALUES or not abrupt(case, suspect):
        return False
    rows = suspect.affected & np.isfinite(suspect.hit.excess)
    had, has = suspect.hit.channel.detail["relation"].expected[rows].astype(np.int64), target.codes[rows]
    counts = np.zeros((len(target.vocabulary),) * 2, dtype=np.int64)
    np.add.at(counts, (had, has), 1)
    told = np.flatnonzero(counts.sum(axis=1) >= keys.LEAST_ROWS)
    into = counts[told].argmax(axis=1)
    if np.count_nonzero(told != into) < LEAST_DEALT or np.unique(into).size < into.size:
        return False  # two arrive as one: that is a decision
    known = np.isin(into, target.codes[case.golden]).all()
    return bool(known and counts[told, into].sum() >= NEARLY_ALL * counts[told].sum())


def _finer(case: Case, rows: Bools, target: Variable, key: Ints) -> bool:
    """Whether there is a table still, by one more category: some shops open on Sundays now, prices differ between countries."""
    for codes in (codes for path, codes in case.categories.items() if path != target.path):
        by_both = key * (int(codes.max()) + 2) + codes + 1
        several = np.bincount(np.unique(by_both[rows], return_inverse=True)[1])
        if several[several >= 3].sum() >= 0.5 * rows.sum() and not _no_table(rows, target.kinds, by_both):
            return True
    return False


def _keyed(case: Case, parent: str) -> Ints:
    """The values of a table's key as codes, shape (n,): of a clock the very hour or day, for a holiday is one all day."""
    if parent in case.variables:
        return case.variables[parent].kinds
    spans = np.unique(case.ts // (HOUR_US if parent == "hour" else DAY_US), return_inverse=True)[1]
    return spans.astype(np.int64)


def _no_table(rows: Bools, target: Ints, key: Ints) -> bool:
    """Whether rows with one value of `key` have several of `target`, where golden's had one."""
    of, what = key[rows], target[rows]
    pairs, counts = np.unique(np.stack([of, what]), axis=1, return_counts=True)
    most = np.zeros(int(of.max(initial=0)) + 1)
    all_of = np.bincount(of, minlength=most.size)
    np.maximum.at(most, pairs[0], counts)
    several = all_of >= 3
    return bool(all_of[several].sum() >= 12 and most[several].sum() < 0.8 * all_of[several].sum())
