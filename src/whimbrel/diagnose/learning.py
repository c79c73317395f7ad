"""Relations are learned on golden: what a field was, given what came before it.

A relation is sought from the plainest form to the least plain, and the first that holds on golden blocks kept out of the
learning is taken:

    copy, affine   y = a x + b                               exact
    function       y = g(x), read off golden by interpolation  exact inside golden's range (log, clip, buckets, look-up)
    linear         y = b + Σ a_i x_i, categories as flags      exact sums and differences; in logarithms products and ratios
    log, logistic  log y, or the log odds of y, is such a sum  exact generalised linear models
    rule           a small decision tree that never errs       thresholds by segment, maps between categories
    trees          gradient boosting                           not exact: judged by its residuals

Where several fields each determine the target, all are kept, and a row breaks the relation only if it breaks every one: a
fault in a bystander must not be taken for a fault in the target.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from whimbrel.diagnose.case import MAX_VALUES, Case, Variable
from whimbrel.diagnose.forms import EXACT_SHARE, linear, single_parent_relations
from whimbrel.diagnose.links import evenest
from whimbrel.diagnose.relations import Relation, Split
from whimbrel.diagnose.support import Design, alike, design_of, familiar, supported
from whimbrel.model.fields import Role
from whimbrel.model.rows import Ints

LEAST_SKILL = 0.1
"""How much smaller than the shares' own a classifier's squared error must be (Brier's skill score)."""

LEAST_EXAMPLES, LEAST_CAUGHT = 5, 0.75
"""Held-out rows of a value, and the share of them that a rule must foresee, before it is said to decide that value."""

_FIRST_TREES, _HOPELESS = 10, 0.02
"""Trees after which a model that explains no more than this share of the variance is given up; few ever explain 0.15 of it."""
_DEPTHS = (1, 3, 7, 14)
"""Of a rule, the shallowest first: a deeper one also learns by heart what failed by chance."""


def learn(case: Case, parts: Split, target: Variable, parents: Sequence[Variable], *, trees: bool) -> Relation | None:
    """The plainest relation that predicts `target` from `parents` on golden; None where there is none worth keeping.

    `parents` come nearest first. Without `trees` only exact relations are sought.
    """
    parents = [p for p in parents if p.name != target.name and (p.codes is None or len(p.vocabulary) <= 5_000)]
    if not parents or parts.train.size < 40 or parts.check.size < 20:
        return None
    if target.numbers is not None:
        return _learn_number(case, parts, target, parents, trees=trees)
    return _learn_category(case, parts, target, parents, trees=trees)


def _learn_number(
    case: Case, parts: Split, target: Variable, parents: Sequence[Variable], *, trees: bool
) -> Relation | None:
    assert target.numbers is not None
    known = target.numbers[parts.check]
    known = known[np.isfinite(known)]
    if known.size < 20 or np.ptp(known) == 0:
        return None
    witnesses = single_parent_relations(parts, target, parents)
    if not witnesses:
        found = linear(parts, target, parents)
        witnesses = [found] if found else []
    if witnesses:
        agreed = _agree(witnesses, next(p for p in parents if p.name == witnesses[0].parents[0]), target)
        return _on_known_texts(case, parts, target, agreed)
    return _boosted_number(case, parts, target, parents) if trees else None


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


def _boosted_number(case: Case, parts: Split, target: Variable, parents: Sequence[Variable]) -> Relation | None:
    from sklearn.ensemble import HistGradientBoostingRegressor

    assert target.numbers is not None
    y = target.numbers
    train, check = (rows[np.isfinite(y[rows])] for rows in (parts.train, parts.check))
    design = design_of(case, parents, train)
    if train.size < 200 or check.size < 100 or design is None:
        return None
    link = evenest(y[train])
    scaled = link.into(y)
    low, high = np.quantile(scaled[train], [0.001, 0.999])
    model = HistGradientBoostingRegressor(
        learning_rate=0.15, max_leaf_nodes=24, min_samples_leaf=15, random_state=0, warm_start=True,
        categorical_features=design.categorical,
    )  # fmt: skip
    taught, asked = design.x[train], design.x[check]
    varies = float(np.var(np.clip(scaled[check], low, high)))
    for rounds, least in ((_FIRST_TREES, _HOPELESS), (80, 0.15)):
        model.set_params(max_iter=rounds).fit(taught, np.clip(scaled[train], low, high))
        error = np.clip(scaled[check] - model.predict(asked), low - high, high - low)
        strength = 1 - float(np.mean(error**2)) / varies if varies > 0 else 0.0  # a dry week shows no skill at rain
        if strength < least:
            return None
    spread = float(np.subtract(*np.quantile(error, [0.84, 0.16]))) / 2
    scale = max(spread, float(np.std(np.clip(error, -8 * spread, 8 * spread))), 1e-9)
    fitted = model.predict(design.x)
    with np.errstate(invalid="ignore"):
        beside = np.clip((scaled - fitted) / scale, -8, 8)
    beside[parts.train] = np.nan
    surprise = np.where(familiar(design, train, check, y), beside, np.nan)
    return Relation(target.name, design.names, "trees", False, strength, link.back(fitted), surprise, beside=beside)


def _learn_category(
    case: Case, parts: Split, target: Variable, parents: Sequence[Variable], *, trees: bool
) -> Relation | None:
    from sklearn.tree import DecisionTreeClassifier

    assert target.codes is not None
    y = target.codes
    train, check = (rows[y[rows] >= 0] for rows in (parts.train, parts.check))
    counts = np.bincount(y[train], minlength=len(target.vocabulary)) if train.size else np.zeros(1)
    if train.size < 40 or check.size < 20 or (counts > 0).sum() < 2 or (counts > 0).sum() > MAX_VALUES:
        return None
    design = design_of(case, parents, train)
    if design is None:
        return None
    seen = np.bincount(y[check], minlength=len(target.vocabulary))
    often = seen >= LEAST_EXAMPLES
    for depth in _DEPTHS if seen.sum() - seen.max() >= LEAST_EXAMPLES else ():
        rule = DecisionTreeClassifier(max_depth=depth, min_samples_leaf=2, random_state=0)
        rule.fit(design.x[train], y[train])
        right = rule.predict(design.x[check]) == y[check]
        strength = float(np.mean(right))
        caught = np.bincount(y[check], weights=right, minlength=len(target.vocabulary)) / np.maximum(seen, 1)
        # A value that golden gives now and then and the rule never foresees comes from elsewhere: the rule does not decide it.
        if strength < EXACT_SHARE or (caught[often] < LEAST_CAUGHT).any():
            continue
        expected = rule.predict(design.x).astype(float)
        read = rule.feature_importances_ > 0.01
        used = tuple(name for name, is_read in zip(design.names, read, strict=True) if is_read)
        # A model may do anything with what golden never showed it, and a text's marks are not all of the text: there every
        # field must lie where golden's did, read or not.
        loose = target.field.role is Role.OUTPUT or any("#" in name for name in used)
        judged = supported(design, train, read | loose) & (y >= 0)
        surprise = np.where(judged, (expected != y).astype(float), np.nan)
        surprise[parts.train] = np.nan
        return Relation(target.name, used, "rule", True, strength, expected, surprise)
    return _boosted_category(parts, target, design, train, check) if trees else None


def _boosted_category(parts: Split, target: Variable, design: Design, train: Ints, check: Ints) -> Relation | None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    assert target.codes is not None
    counts = np.bincount(target.codes[train], minlength=len(target.vocabulary))
    common = [int(c) for c in np.argsort(-counts, kind="stable")[:6] if counts[c] >= 20]
    if len(common) < 2 or train.size < 200:
        return None
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
    known = familiar(design, train, check, grouped)
    probabilities[~known] = np.nan
    probabilities[parts.train] = np.nan
    strength = float(np.mean(expected[check] == target.codes[check]))
    surprise = np.where(target.codes >= 0, (expected != target.codes).astype(float), np.nan)
    surprise[~known] = np.nan
    surprise[parts.train] = np.nan
    return Relation(
        target.name, design.names, "trees", False, strength, expected, surprise, probabilities, tuple(common)
    )
