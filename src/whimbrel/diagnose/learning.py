"""Relations are learned on golden: what a field was, given what came before it.

A relation is sought from the plainest form to the least plain, and the first that holds on golden blocks kept out of the
learning is taken:

    copy, affine   y = a x + b                               exact
    function       y = g(x), read off golden by interpolation  exact inside golden's range (log, clip, buckets, look-up)
    gated          y = a x + b, or always the same value     exact: an amount where there is one
    linear         y = b + Σ a_i x_i, categories as flags      exact sums and differences; in logarithms products and ratios
                   (cut off at ends, or one value where a    a ratio by a tenth at least, a sum that is never negative,
                   part is null)                             a ratio to an order, or -1 without one
    tally          linear in which fields are null             exact: how many were filled
    log, logistic  log y, or the log odds of y, is such a sum  exact generalised linear models
    rule           a small decision tree that never errs       thresholds by segment, maps between categories
    trees          gradient boosting                           not exact: judged by its residuals

Where several fields each determine the target, all are kept, and a row breaks the relation only if it breaks every one: a
fault in a bystander must not be taken for a fault in the target.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from whimbrel.diagnose import models
from whimbrel.diagnose.case import Case, Variable
from whimbrel.diagnose.crosstabs import crossed
from whimbrel.diagnose.forms import clipped, constant, gated, linear, single_parent_relations
from whimbrel.diagnose.links import Link, evenest
from whimbrel.diagnose.pairs import paired, parts_of
from whimbrel.diagnose.relations import Relation, Split
from whimbrel.diagnose.rules import decided, listed, told_apart
from whimbrel.diagnose.straight import straight
from whimbrel.diagnose.support import Design, alike, design_of, familiar, supported, thin
from whimbrel.diagnose.tallies import tallied
from whimbrel.model.fields import Role
from whimbrel.model.rows import Floats, Ints

LEAST_SKILL = 0.1
"""How much smaller than the shares' own a classifier's squared error must be (Brier's skill score)."""

LEAST_STRENGTH = 0.15
"""The share of a number's variance that a fitted model must explain on rows held out before anything is made of it."""

_TREES = 80
"""Trees of a fitted model. Half as many at nearly twice the rate explain 0.003 less of the variance, which is enough for an output to be no witness."""
_FIRST_TREES, _HOPELESS = 10, 0.13
"""Trees after which a model is given up that explains less than this part of what it must: few ever come to it then."""
NEARLY_STRAIGHT = 0.005
"""The share of a number's variance that a plain sum may leave for trees to learn that alone: less than they leave, who approach a slope in steps."""
LEAST_FILLED = 50
"""Rows on which a part is null that say what stands there instead."""
_ENOUGH = 2_000
"""Rows that tell a plain sum as well as all do."""


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
    return decided(case, parts, target, usable) or listed(parts, target, parents)


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
    told = witnesses[0].strength if witnesses else 0.0
    if told < 1 and target.field.role is Role.STEP and not target.derived:
        table = crossed(parts, target, parents)
        witnesses = [table] if table is not None and table.strength > told else witnesses
    if not witnesses:
        found = linear(parts, target, parents)
        if found is None and target.field.role is not Role.INPUT and not target.derived:
            found = gated(parts, target, parents) or clipped(parts, target, parents) or _filled(parts, target, parents)
            found = found or tallied(parts, target, parents)
        witnesses = [found] if found else []
    if not witnesses:
        return None
    agreed = _agree(witnesses, next(p for p in parents if p.name == witnesses[0].parents[0]), target)
    return _on_known_texts(case, parts, target, agreed)


def _filled(parts: Split, target: Variable, parents: Sequence[Variable]) -> Relation | None:
    """A sum or a product of what came, and one and the same value where one of its parts is null: a ratio to the order's amount, or -1 without an order."""
    assert target.numbers is not None
    for parent in parents:
        nulls = parent.missing[parts.train]
        fill = constant(target.numbers, parts.train[nulls]) if parent.numbers is not None else np.nan
        if not (
            np.isfinite(fill)
            and nulls.sum() >= LEAST_FILLED
            and np.mean(target.numbers[parts.train[~nulls]] == fill) < 0.5
        ):
            continue
        given = Split(*(rows[~parent.missing[rows]] for rows in (parts.train, parts.check)))
        if given.train.size < 40 or given.check.size < 20:
            continue
        found = linear(given, target, parents)
        if found is not None and parent.name in found.parents:
            expected = np.where(parent.missing, fill, found.expected)
            broken = np.where(target.missing, np.nan, target.numbers != fill)
            return replace(found, expected=expected, surprise=np.where(parent.missing, broken, found.surprise))
    return None


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
    few = thin(np.arange(train.size), _ENOUGH)  # so many tell a sum as well as all
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


def _boosted_category(case: Case, parts: Split, target: Variable, parents: Sequence[Variable]) -> Relation | None:
    assert target.codes is not None
    known = told_apart(parts, target)
    pairs = paired(target, parents, known[0]) if known and target.field.role is Role.DECISION else []
    design = design_of(case, [*parents, *pairs], known[0]) if known else None
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
    names = tuple(dict.fromkeys(one for name in design.names for one in parts_of(name)))
    return Relation(target.name, names, "trees", False, strength, expected, surprise, probabilities, tuple(common))
