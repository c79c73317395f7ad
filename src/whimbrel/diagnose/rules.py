"""Rules: categories that golden decided by the fields before them, by one cut, a small tree, or a list of ids; and where a rule may speak.

In: a `Case`, golden's rows that learn and check, a category and its parents. Out: a `Relation` that holds on rows held out, or None.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from whimbrel.diagnose import caps, models
from whimbrel.diagnose.case import MAX_VALUES, MOST_CODES, Case, Variable
from whimbrel.diagnose.cuts import Cut, cut
from whimbrel.diagnose.forms import EXACT_SHARE
from whimbrel.diagnose.language import UNCLEAR
from whimbrel.diagnose.pairs import paired, parts_of
from whimbrel.diagnose.relations import Relation, Split
from whimbrel.diagnose.support import Design, design_of, supported, thin
from whimbrel.model.fields import Role
from whimbrel.model.rows import Bools, Ints

LEAST_EXAMPLES, LEAST_CAUGHT = 5, 0.75
"""Held-out rows of a value, and the share of them that a rule must foresee, before it is said to decide that value."""

LEAST_HELD = 0.9
"""The share of the held-out rows in one leaf of a rule that it must foresee before it speaks there."""

CROWDED = 4.0
"""Times golden's share of rows in one leaf of a rule from which on they are rows of another kind."""
_SPARE = 0.1
"""The part of what golden's numbers of a leaf span by which others may lie beyond it."""
_DEPTHS = (1, 3, 7, 14)
"""Of a rule, the shallowest first: a deeper one also learns by heart what failed by chance."""
_WIDE, _READ = 7, 0.002
"""The depth from which on a deeper rule reads only what one of this depth read, and how much of it that must be: all else only tells what chance did."""
_FEWER = 0.75
"""The part of a plainer rule's errors that a deeper one may make to be taken instead."""
_SCREEN_ROWS = 2_000
"""Rows from which a rule is tried first: most that is tried fails there."""


def told_apart(parts: Split, target: Variable) -> tuple[Ints, Ints] | None:
    """The rows that learn and that check on which a category is known; None where they or its values are too few or too many."""
    assert target.codes is not None
    train, check = (rows[target.codes[rows] >= 0] for rows in (parts.train, parts.check))
    if train.size < 40 or check.size < 20 or not 2 <= np.unique(target.codes[train]).size <= MAX_VALUES:
        return None
    return train, check


def decided(case: Case, parts: Split, target: Variable, parents: Sequence[Variable]) -> Relation | None:
    """A rule that never errs.

    Where none does, and it is a decision: one that reads two numbers as one (a price by its estimate), or how often a key had it of late.
    """
    known = told_apart(parts, target)
    design = design_of(case, parents, known[0]) if known else None
    if known is None or design is None:
        return None
    found, uncounted = _ruling(target, design, known), np.zeros(len(case.ts), dtype=bool)
    if found is None and target.field.role is Role.DECISION:
        counted = caps.fills(case, target)
        more = [*paired(target, parents, known[0]), *counted]
        design = design_of(case, [*parents, *more], known[0]) if more else None
        uncounted |= np.any([one.missing for one in counted], axis=0) if counted else False
        known = known[0][~uncounted[known[0]]], known[1][~uncounted[known[1]]]
        found = _ruling(target, design, known) if design is not None else None
    if found is None or design is None:
        return None
    relation = _ruled(case, target, design, known, *found)
    return replace(relation, surprise=np.where(uncounted, np.nan, relation.surprise))


def _ruling(target: Variable, design: Design, known: tuple[Ints, Ints]) -> tuple[Any, Bools] | None:
    """The plainest rule that never errs, and where it held on the rows that check, shape (checks,)."""
    assert target.codes is not None
    y, (train, check) = target.codes, known
    seen = np.bincount(y[check], minlength=len(target.vocabulary))
    often = seen >= LEAST_EXAMPLES
    if seen.sum() - seen.max() < LEAST_EXAMPLES:
        return None
    best: tuple[Any, Bools] | None = None
    for rule in _rules(design, y, train, check):
        right = rule.predict(design.x[check]) == y[check]
        caught = np.bincount(y[check], weights=right, minlength=len(target.vocabulary)) / np.maximum(seen, 1)
        # A value that golden gives now and then and the rule never foresees comes from elsewhere: the rule does not decide it.
        if right.mean() < EXACT_SHARE or (caught[often] < LEAST_CAUGHT).any():
            continue
        # Rows that a rule always fails are few until another day brings many of their kind: a deeper one may know them.
        if best is None or (~right).sum() <= _FEWER * (~best[1]).sum():
            best = rule, right
        if (~best[1]).sum() < LEAST_EXAMPLES:
            break
    return best


def listed(parts: Split, target: Variable, parents: Sequence[Variable]) -> Relation | None:
    """An input that each of many ids (customers, articles) brings along, one value each: too many for a tree to tell apart."""
    known = told_apart(parts, target) if target.field.role is Role.INPUT else None
    if known is None:
        return None
    assert target.codes is not None
    y, (train, check) = target.codes, known
    for parent in parents:
        if parent.codes is None or len(parent.vocabulary) <= MOST_CODES or parent.derived:
            continue
        kinds = len(target.vocabulary)
        cells, counts = np.unique(parent.codes[train] * kinds + y[train], return_counts=True)
        order = np.argsort(counts, kind="stable")  # the commonest value of an id is written last
        table = np.full(len(parent.vocabulary) + 1, np.nan)  # the last is of rows without an id
        table[cells[order] // kinds] = cells[order] % kinds
        table[-1] = np.nan
        expected = table[parent.codes]
        judged = check[np.isfinite(expected[check])]
        usual = np.bincount(y[check]).argmax()
        if judged.size < 0.6 * check.size:
            continue
        right = expected[judged] == y[judged]
        if right.mean() >= EXACT_SHARE and np.mean(right[y[judged] != usual]) >= EXACT_SHARE:
            surprise = np.where(np.isfinite(expected) & (y >= 0), (expected != y).astype(float), np.nan)
            surprise[parts.train] = np.nan
            return Relation(target.name, (parent.name,), "function", True, float(right.mean()), expected, surprise)
    return None


def _ruled(case: Case, target: Variable, design: Design, known: tuple[Ints, Ints], rule: Any, right: Bools) -> Relation:
    """The relation that a rule makes, where it may speak; `right`, shape (checks,), says where it held on rows held out."""
    assert target.codes is not None
    y, (train, check) = target.codes, known
    expected = rule.predict(design.x).astype(float)
    read = rule.feature_importances_ > 0.01
    names = [name for name, is_read in zip(design.names, read, strict=True) if is_read]
    used = tuple(dict.fromkeys(one for name in names for one in parts_of(name)))
    # A model may do anything with what golden never showed it, and a text's marks are not all of the text: there every
    # field must lie where golden's did, read or not.
    loose = target.field.role is Role.OUTPUT or any("#" in name for name in used)
    judged = supported(design, train, read | loose) & (y >= 0) & _confirmed(case, rule.apply(design.x), check, right)
    judged &= ~_between(rule, design, train) & _inside(rule.apply(design.x), design, read, train)
    judged &= ~_in_no_language(case, target, used)
    judged &= ~_errs_often(rule.predict(design.x[check]), right, len(target.vocabulary))[expected.astype(np.int64)]
    judged &= ~_missed(y[check], right, len(target.vocabulary))[y]
    surprise = np.where(judged, (expected != y).astype(float), np.nan)
    surprise[train] = np.nan
    return Relation(target.name, used, "rule", True, float(right.mean()), expected, surprise)


def _in_no_language(case: Case, target: Variable, used: Sequence[str]) -> Bools:
    """Where a rule tells a text's language by texts whose own is unclear, shape (n,): those of golden say nothing of others."""
    out = np.zeros(len(case.ts), dtype=bool)
    read = (
        [case.variables[name] for name in used if name.endswith("#language")]
        if target.name.endswith("#language")
        else []
    )
    for text in read:
        if text.codes is not None and UNCLEAR in text.vocabulary:
            out |= text.codes == text.vocabulary.index(UNCLEAR)
    return out


def _rules(design: Design, y: Ints, train: Ints, check: Ints) -> Iterator[Any]:
    """What may decide the category, the plainest first: one cut, for which no model need be loaded, or a tree; none where it looks undecided."""
    found = cut(design.x[train], y[train])
    if found is not None:
        yield found
    if _undecided(design, y, train, check):
        return
    models.ready()
    from sklearn.tree import DecisionTreeClassifier

    x = design.x
    for depth in _DEPTHS:
        rule = DecisionTreeClassifier(max_depth=depth, min_samples_leaf=2, random_state=0).fit(x[train], y[train])
        yield rule
        if depth >= _WIDE:
            x = np.where(rule.feature_importances_ > _READ, x, 0.0)


def _confirmed(case: Case, leaves: Ints, check: Ints, right: Bools) -> Bools:
    """Rows in leaves of a rule that golden's held-out rows have tried often enough, and rightly, shape (n,).

    A deep leaf may know a handful of rows of one kind: on a day that brings hundreds of another it would speak for them all.
    """
    size = int(leaves.max()) + 1
    tried, asked = np.bincount(leaves[check], minlength=size), np.bincount(leaves[case.window], minlength=size)
    held = np.bincount(leaves[check], weights=right, minlength=size)
    crowded = asked / max(case.window.sum(), 1) > CROWDED * tried / check.size
    out: Bools = ((tried >= LEAST_EXAMPLES) & (held >= LEAST_HELD * tried) & ~crowded)[leaves]
    return out


def _inside(leaves: Ints, design: Design, read: Bools, train: Ints) -> Bools:
    """Rows whose numbers lie where golden's of the same leaf did, or a little beyond, shape (n,).

    Each may lie within golden's range, and both together where nobody ever asked: a rule that looks at one of them first says nothing there.
    """
    out, size = np.ones(len(leaves), dtype=bool), int(leaves.max()) + 1
    for column in np.flatnonzero(read & ~design.categorical):
        values = design.x[:, column]
        known = train[np.isfinite(values[train])]
        low, high = np.full(size, np.inf), np.full(size, -np.inf)
        np.minimum.at(low, leaves[known], values[known])
        np.maximum.at(high, leaves[known], values[known])
        spare = _SPARE * np.maximum(high - low, 0.0)
        out &= ~((values < (low - spare)[leaves]) | (values > (high + spare)[leaves]))
    return out


def _between(rule: Any, design: Design, train: Ints) -> Bools:
    """Rows with a number between the two of golden's that a cut of the rule parts, shape (n,): where between them it lies is not known."""
    x = design.x.astype(np.float32)  # as a tree sees it
    out = np.zeros(len(x), dtype=bool)
    if isinstance(rule, Cut):
        cuts = [(rule.column, rule.threshold, np.arange(len(x)))]
    else:
        tree, rows = rule.tree_, rule.decision_path(x).tocsc()
        inner = np.flatnonzero(tree.children_left != tree.children_right)
        at = [rows.indices[rows.indptr[node] : rows.indptr[node + 1]] for node in inner]
        cuts = list(zip(tree.feature[inner], tree.threshold[inner], at, strict=True))
    taught = np.zeros(len(x), dtype=bool)
    taught[train] = True
    for column, threshold, here in cuts:
        values = x[here, column]
        seen = values[taught[here]]
        low, high = (seen[side].astype(np.float64) for side in (seen <= threshold, seen > threshold))
        if not design.categorical[column] and low.size and high.size:
            out[here] |= (values > low.max()) & (values < high.min())
    return out


def _errs_often(said: Ints, right: Bools, values: int) -> Bools:
    """Values of which a rule is wrong more often, where it says them, than an exact one may be and chance makes it, shape (values,).

    It may be right on nearly all rows and not on the rare ones: a ticket that takes two alarms in a row is not the score's alone to decide.
    """
    tried, wrong = np.bincount(said, minlength=values), np.bincount(said, weights=~right, minlength=values)
    usual = (1 - EXACT_SHARE) * tried
    out: Bools = wrong > usual + 2 * np.sqrt(usual) + 1
    return out


def _missed(had: Ints, right: Bools, values: int) -> Bools:
    """Values that a rule often fails to foresee, shape (values,): there is another way to them, which another day may go more often."""
    seen, caught = np.bincount(had, minlength=values), np.bincount(had, weights=right, minlength=values)
    out: Bools = caught < LEAST_HELD * seen - 1
    return out


def _undecided(design: Design, y: Ints, train: Ints, check: Ints) -> bool:
    """Whether a rule learnt from some of the rows errs so often that one learnt from all of them will not decide either."""
    models.ready()
    from sklearn.tree import DecisionTreeClassifier

    train, check = thin(train, _SCREEN_ROWS), thin(check, _SCREEN_ROWS // 2)
    others = check.size - int(np.bincount(y[check]).max())
    rule = DecisionTreeClassifier(max_depth=_DEPTHS[-1], min_samples_leaf=2, random_state=0)
    wrong = int((rule.fit(design.x[train], y[train]).predict(design.x[check]) != y[check]).sum())
    return wrong > max(0.1 * check.size, 10) or (others >= 40 and wrong > 0.75 * others)
