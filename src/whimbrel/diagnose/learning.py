"""Relations are learned on golden: what a field was, given what came before it.

A relation is sought from the plainest form to the least plain, and the first that holds on golden blocks kept out of the
learning is taken:

    copy, affine   y = a x + b                               exact
    function       y = g(x), read off golden by interpolation  exact inside golden's range (log, clip, buckets, look-up)
    gated          y = a x + b, or always the same value     exact: an amount where there is one
    linear         y = b + Σ a_i x_i, categories as flags      exact sums and differences; in logarithms products and ratios
                   (either may be cut off at ends)           a ratio by a tenth at least, a sum that is never negative
    log, logistic  log y, or the log odds of y, is such a sum  exact generalised linear models
    rule           a small decision tree that never errs       thresholds by segment, maps between categories
    trees          gradient boosting                           not exact: judged by its residuals

Where several fields each determine the target, all are kept, and a row breaks the relation only if it breaks every one: a
fault in a bystander must not be taken for a fault in the target.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from whimbrel.diagnose import models
from whimbrel.diagnose.case import MAX_VALUES, MOST_CODES, Case, Variable
from whimbrel.diagnose.cuts import Cut, cut
from whimbrel.diagnose.forms import EXACT_SHARE, clipped, gated, linear, single_parent_relations
from whimbrel.diagnose.language import UNCLEAR
from whimbrel.diagnose.links import Link, evenest
from whimbrel.diagnose.pairs import paired, parts_of
from whimbrel.diagnose.relations import Relation, Split
from whimbrel.diagnose.straight import straight
from whimbrel.diagnose.support import Design, alike, design_of, familiar, supported, thin
from whimbrel.model.fields import Role
from whimbrel.model.rows import Bools, Floats, Ints

LEAST_SKILL = 0.1
"""How much smaller than the shares' own a classifier's squared error must be (Brier's skill score)."""

LEAST_EXAMPLES, LEAST_CAUGHT = 5, 0.75
"""Held-out rows of a value, and the share of them that a rule must foresee, before it is said to decide that value."""

LEAST_HELD = 0.9
"""The share of the held-out rows in one leaf of a rule that it must foresee before it speaks there."""

CROWDED = 4.0
"""Times golden's share of rows in one leaf of a rule from which on they are rows of another kind."""

LEAST_STRENGTH = 0.15
"""The share of a number's variance that a fitted model must explain on rows held out before anything is made of it."""

_TREES = 80
"""Trees of a fitted model. Half as many at nearly twice the rate explain 0.003 less of the variance, which is enough for an output to be no witness."""
_FIRST_TREES, _HOPELESS = 10, 0.13
"""Trees after which a model is given up that explains less than this part of what it must: few ever come to it then."""
NEARLY_STRAIGHT = 0.005
"""The share of a number's variance that a plain sum may leave for trees to learn that alone: less than they leave, who approach a slope in steps."""
_SCREEN_ROWS = 2_000
"""Rows from which a rule is tried first: most that is tried fails there."""
_DEPTHS = (1, 3, 7, 14)
"""Of a rule, the shallowest first: a deeper one also learns by heart what failed by chance."""


def learn(
    case: Case, parts: Split, target: Variable, parents: Sequence[Variable], *, least: float = LEAST_STRENGTH
) -> Relation | None:
    """The plainest relation that predicts `target` from `parents` on golden; None where there is none worth keeping.

    `parents` come nearest first; `least` is as in `fitted`.
    """
    return exact(case, parts, target, parents) or fitted(case, parts, target, parents, least=least)


def exact(case: Case, parts: Split, target: Variable, parents: Sequence[Variable]) -> Relation | None:
    """The plainest relation that always holds; None where there is none."""
    usable = _usable(parts, target, parents)
    if not usable:
        return None
    if target.numbers is not None:
        return _exact_number(case, parts, target, usable)
    return _rule(case, parts, target, usable) or _listed(parts, target, parents)


def fitted(
    case: Case, parts: Split, target: Variable, parents: Sequence[Variable], *, least: float = LEAST_STRENGTH
) -> Relation | None:
    """What boosted trees make of a field that no exact relation was found for; None where they tell little.

    `least` is the share of a number's variance below which the relation is of no use to who asks.
    """
    parents = _usable(parts, target, parents)
    if not parents:
        return None
    if target.numbers is not None:
        return _boosted_number(case, parts, target, parents, least)
    return _boosted_category(case, parts, target, parents)


def _usable(parts: Split, target: Variable, parents: Sequence[Variable]) -> list[Variable]:
    """The parents that may be learned from; none where golden is too small."""
    if parts.train.size < 40 or parts.check.size < 20:
        return []
    return [p for p in parents if p.name != target.name and (p.codes is None or len(p.vocabulary) <= 5_000)]


def _varies(parts: Split, numbers: Floats) -> bool:
    known = numbers[parts.check]
    known = known[np.isfinite(known)]
    return known.size >= 20 and bool(np.ptp(known) > 0)


def _exact_number(case: Case, parts: Split, target: Variable, parents: Sequence[Variable]) -> Relation | None:
    assert target.numbers is not None
    if not _varies(parts, target.numbers):
        return None
    witnesses = single_parent_relations(parts, target, parents)
    if not witnesses:
        found = linear(parts, target, parents)
        if found is None and target.field.role is not Role.INPUT and not target.derived:
            found = gated(parts, target, parents) or clipped(parts, target, parents)
        witnesses = [found] if found else []
    if not witnesses:
        return None
    agreed = _agree(witnesses, next(p for p in parents if p.name == witnesses[0].parents[0]), target)
    return _on_known_texts(case, parts, target, agreed)


def _agree(witnesses: list[Relation], nearest: Variable, target: Variable) -> Relation:
    """One relation out of several exact ones: broken only where every witness that can speak says so.

    `nearest` is the first one's parent. Where a step received from it what golden never saw, the witnesses farther up know
    only what it should have received: they are not heard.
    """
    first = witnesses[0]
    stacked = np.stack([relation.surprise for relation in witnesses])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # rows on which no witness can speak stay NaN
        surprise = np.nanmin(stacked, axis=0)
    if target.field.role is not Role.INPUT:
        surprise[np.isnan(first.surprise) & ~nearest.missing] = np.nan
    return replace(first, surprise=surprise)


def _on_known_texts(case: Case, parts: Split, target: Variable, relation: Relation) -> Relation:
    """The relation, silent where it was read off one mark of a text (how it ends, its language) and the text is unlike golden's.

    Code that reads a text reads all of it: golden's letters may tell by their endings whether they are signed, other letters do not.
    """
    marks = [n for n in relation.parents if "#" in n and n in case.variables and case.variables[n].codes is not None]
    if not marks or "#" in target.name:
        return relation
    surprise = relation.surprise.copy()
    for text in {n.split("#")[0] for n in marks}:
        of_text = [v for name, v in case.variables.items() if name.startswith(f"{text}#")]
        design = design_of(case, of_text, parts.train)
        if design is not None:
            surprise[~alike(design, parts.train, parts.check)] = np.nan
    return replace(relation, surprise=surprise)


def foretold(case: Case, parts: Split, target: Variable, parents: Sequence[Variable]) -> Floats | None:
    """What golden's relations promise of a number, shape (n,), NaN on rows that taught a fitted one; None where they promise nothing.

    Unlike `learn`, rows that are unlike golden's are foretold as well.
    """
    found = exact(case, parts, target, parents)
    if found is not None:
        return found.expected
    usable = _usable(parts, target, parents)
    model = _boosted(case, parts, target, usable, LEAST_STRENGTH) if usable else None
    return None if model is None else model.link.back(model.fitted)


@dataclass(frozen=True, eq=False)
class _Boosted:
    """Trees fitted to a number: `fitted` and `scaled` have shape (n,) and are on the scale of `link`."""

    design: Design
    train: Ints
    check: Ints
    link: Link
    scaled: Floats
    fitted: Floats
    error: Floats
    """Of the rows that check, shape (checks,)."""
    strength: float
    straight: bool
    """Whether the trees were fitted to what a plain sum leaves."""


def _boosted(case: Case, parts: Split, target: Variable, parents: Sequence[Variable], least: float) -> _Boosted | None:
    assert target.numbers is not None
    y = target.numbers
    train, check = (rows[np.isfinite(y[rows])] for rows in (parts.train, parts.check))
    if train.size < 200 or check.size < 100 or not _varies(parts, y):
        return None
    design = design_of(case, parents, train, np.concatenate([train, check]))
    if design is None:
        return None
    models.ready()
    from sklearn.ensemble import HistGradientBoostingRegressor

    link = evenest(y[train])
    scaled = link.into(y)
    low, high = np.quantile(scaled[train], [0.001, 0.999])
    cut = np.clip(scaled, low, high)
    model = HistGradientBoostingRegressor(
        learning_rate=0.15, max_leaf_nodes=24, min_samples_leaf=15, random_state=0, warm_start=True,
        categorical_features=design.categorical,
    )  # fmt: skip
    (taught, seen), varies = np.split(design.x, [train.size]), float(np.var(cut[check]))
    few = thin(np.arange(train.size), _SCREEN_ROWS)  # so many tell a sum as well as all
    plain = straight(taught[few], design.categorical, cut[train[few]])
    left = float(np.mean((cut[check] - plain.of(seen)) ** 2))
    told = plain.of if left <= NEARLY_STRAIGHT * varies else _nothing
    rest = cut[train] - told(taught)
    fitted, asked = np.full(y.size, np.nan), check
    for rounds, needed in ((_FIRST_TREES, _HOPELESS * least), (_TREES, least)):
        model.set_params(max_iter=rounds).fit(taught, rest)
        fitted[asked] = told(seen) + model.predict(seen)
        error = np.clip(scaled[check] - fitted[check], low - high, high - low)
        strength = 1 - float(np.mean(error**2)) / varies if varies > 0 else 0.0  # a dry week shows no skill at rain
        if strength < needed:
            return None
        if rounds == _FIRST_TREES:
            design, asked = design_of(case, parents, train), np.delete(np.arange(y.size), parts.train)
            assert design is not None  # what the rows that teach know does not depend on which rows are asked for
            seen = design.x[asked]
    return _Boosted(design, train, check, link, scaled, fitted, error, strength, told is not _nothing)


def _nothing(x: Floats) -> Floats:
    return np.zeros(len(x))


def _boosted_number(
    case: Case, parts: Split, target: Variable, parents: Sequence[Variable], least: float
) -> Relation | None:
    assert target.numbers is not None
    made = _boosted(case, parts, target, parents, least)
    if made is None:
        return None
    error, design = made.error, made.design
    spread = float(np.subtract(*np.quantile(error, [0.84, 0.16]))) / 2
    scale = max(spread, float(np.std(np.clip(error, -8 * spread, 8 * spread))), 1e-9)
    with np.errstate(invalid="ignore"):
        beside = np.clip((made.scaled - made.fitted) / scale, -8, 8)
    if made.straight:  # so near that what golden never had is farther off than all else
        inside = supported(design, made.train, np.ones(len(design.names), dtype=bool))
        beside[~inside] = np.nan
    surprise = np.where(familiar(design, made.train, made.check, target.numbers), beside, np.nan)
    expected = made.link.back(made.fitted)
    return Relation(target.name, design.names, "trees", False, made.strength, expected, surprise, beside=beside)


def _told_apart(parts: Split, target: Variable) -> tuple[Ints, Ints] | None:
    """The rows that learn and that check on which a category is known; None where they or its values are too few or too many."""
    assert target.codes is not None
    train, check = (rows[target.codes[rows] >= 0] for rows in (parts.train, parts.check))
    if train.size < 40 or check.size < 20 or not 2 <= np.unique(target.codes[train]).size <= MAX_VALUES:
        return None
    return train, check


def _rule(case: Case, parts: Split, target: Variable, parents: Sequence[Variable]) -> Relation | None:
    """A rule that never errs; where none does, and it is a decision, one that reads two numbers as one (a price by its estimate)."""
    known = _told_apart(parts, target)
    design = design_of(case, parents, known[0]) if known else None
    if known is None or design is None:
        return None
    found = _ruling(target, design, known)
    if found is None and target.field.role is Role.DECISION:
        pairs = paired(target, parents, known[0])
        design = design_of(case, [*parents, *pairs], known[0]) if pairs else None
        found = _ruling(target, design, known) if design is not None else None
    return None if found is None or design is None else _ruled(case, parts, target, design, known[1], *found)


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
        if best is None or (~right).sum() <= 0.5 * (~best[1]).sum():
            best = rule, right
        if (~best[1]).sum() < LEAST_EXAMPLES:
            break
    return best


def _listed(parts: Split, target: Variable, parents: Sequence[Variable]) -> Relation | None:
    """An input that each of many ids (customers, articles) brings along, one value each: too many for a tree to tell apart."""
    known = _told_apart(parts, target) if target.field.role is Role.INPUT else None
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


def _ruled(
    case: Case, parts: Split, target: Variable, design: Design, check: Ints, rule: Any, right: Bools
) -> Relation:
    """The relation that a rule makes, where it may speak; `right`, shape (checks,), says where it held on rows held out."""
    assert target.codes is not None
    y, train = target.codes, parts.train[target.codes[parts.train] >= 0]
    expected = rule.predict(design.x).astype(float)
    read = rule.feature_importances_ > 0.01
    names = [name for name, is_read in zip(design.names, read, strict=True) if is_read]
    used = tuple(dict.fromkeys(one for name in names for one in parts_of(name)))
    # A model may do anything with what golden never showed it, and a text's marks are not all of the text: there every
    # field must lie where golden's did, read or not.
    loose = target.field.role is Role.OUTPUT or any("#" in name for name in used)
    judged = supported(design, train, read | loose) & (y >= 0) & _confirmed(case, rule.apply(design.x), check, right)
    judged &= ~_between(rule, design, train)
    judged &= ~_in_no_language(case, target, used)
    judged &= ~_errs_often(rule.predict(design.x[check]), right, len(target.vocabulary))[expected.astype(np.int64)]
    judged &= ~_missed(y[check], right, len(target.vocabulary))[y]
    surprise = np.where(judged, (expected != y).astype(float), np.nan)
    surprise[parts.train] = np.nan
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

    for depth in _DEPTHS:
        yield DecisionTreeClassifier(max_depth=depth, min_samples_leaf=2, random_state=0).fit(design.x[train], y[train])


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


def _boosted_category(case: Case, parts: Split, target: Variable, parents: Sequence[Variable]) -> Relation | None:
    assert target.codes is not None
    known = _told_apart(parts, target)
    design = design_of(case, parents, known[0]) if known else None
    if known is None or design is None:
        return None
    train, check = known
    counts = np.bincount(target.codes[train], minlength=len(target.vocabulary))
    common = [int(c) for c in np.argsort(-counts, kind="stable")[:6] if counts[c] >= 20]
    if len(common) < 2 or train.size < 200:
        return None
    models.ready()
    from sklearn.ensemble import HistGradientBoostingClassifier

    grouped = np.where(np.isin(target.codes, common), target.codes, -1)
    model = HistGradientBoostingClassifier(
        max_iter=60, learning_rate=0.15, max_leaf_nodes=16, min_samples_leaf=20, random_state=0,
        categorical_features=design.categorical,
    )  # fmt: skip
    model.fit(design.x[train], grouped[train])
    classes = [int(c) for c in model.classes_]
    keep = [classes.index(c) for c in common]
    happened = (grouped[:, None] == np.array(common)).astype(float)
    error = ((happened[check] - model.predict_proba(design.x[check])[:, keep]) ** 2).sum()
    if error > (1 - LEAST_SKILL) * ((happened[check] - happened[train].mean(axis=0)) ** 2).sum():
        return None  # it says no more than a promise about shares does
    probabilities = model.predict_proba(design.x)[:, keep].astype(float)
    expected = np.array(common)[np.argmax(probabilities, axis=1)].astype(float)
    like = familiar(design, train, check, grouped)
    probabilities[~like] = np.nan
    probabilities[parts.train] = np.nan
    strength = float(np.mean(expected[check] == target.codes[check]))
    surprise = np.where(target.codes >= 0, (expected != target.codes).astype(float), np.nan)
    surprise[~like] = np.nan
    surprise[parts.train] = np.nan
    return Relation(
        target.name, design.names, "trees", False, strength, expected, surprise, probabilities, tuple(common)
    )
