"""Relations learned on golden: what a field was, given what came before it.

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
from dataclasses import dataclass, replace

import numpy as np

from whimbrel.diagnose.case import MAX_VALUES, Case, Variable
from whimbrel.diagnose.links import IDENTITY, LOG, LOG_ODDS, Link, evenest, fitting
from whimbrel.diagnose.support import Design, design_of, familiar, supported, thin
from whimbrel.model.fields import Role
from whimbrel.model.rows import Bools, Floats, Ints

EXACT_SHARE = 0.985
"""Held-out rows that must agree before a relation is called exact."""

LEAST_SKILL = 0.1
"""How much smaller than the shares' own a classifier's squared error must be (Brier's skill score)."""

LEAST_EXAMPLES, LEAST_CAUGHT = 5, 0.75
"""Held-out rows of a value, and the share of them that a rule must foresee, before it is said to decide that value."""

_TRAIN_ROWS = 8_000
_SCREEN_ROWS = 1_500
_MAX_WITNESSES = 4
_FIRST_TREES, _HOPELESS = 10, 0.02
"""Trees after which a model that explains no more than this share of the variance is given up; few ever explain 0.15 of it."""
_PLAIN = ("copy", "affine", "function")
_DEPTHS = (1, 3, 7, 14)
"""Of a rule, the shallowest first: a deeper one also learns by heart what failed by chance."""
_LISTED = 20
"""Values up to which a category is a flag a value."""


@dataclass(frozen=True, eq=False)
class Relation:
    """What golden taught about one target.

    `surprise`, shape (n,), is NaN on rows that cannot be judged (outside golden's support, or used for learning where the
    form is not exact). For an exact relation it is 1 where the row breaks it and 0 where it holds; else it is the
    residual in units of golden's own residual spread. `expected` is what the relation says the value should be
    (for categories, the code).
    """

    target: str
    parents: tuple[str, ...]
    form: str
    exact: bool
    strength: float
    expected: Floats
    surprise: Floats
    probabilities: Floats | None = None
    """For a category that is not determined: shape (n, classes), over `classes`, codes of the vocabulary."""
    classes: tuple[int, ...] = ()
    beside: Floats | None = None
    """Of a fitted model: `surprise` on unknown ground as well, where only rows of the same hour may be held against each other."""

    @property
    def words(self) -> str:
        """The relation in words."""
        parents = ", ".join(self.parents[:3]) + (", …" if len(self.parents) > 3 else "")
        return {
            "copy": f"equal to {parents}",
            "affine": f"a fixed multiple of {parents} plus a constant",
            "function": f"a function of {parents}",
            "linear": f"a sum of multiples of {parents}",
            "product": f"a product of powers of {parents}",
            "log": f"the exponential of a sum of multiples of {parents}",
            "logistic": f"a logistic function of a sum of multiples of {parents}",
            "rule": f"decided by {parents}",
        }.get(self.form, f"predictable from {parents}")


@dataclass(frozen=True, eq=False)
class Split:
    """Golden's rows for learning and for checking (whole blocks of time each), as indices."""

    train: Ints
    check: Ints


def split(case: Case) -> Split:
    """Whole blocks of golden learn or check, so that rows that share a day do not vouch for each other.

    Which do follows Thue and Morse (1906): a sequence without a period, so that blocks of twelve hours do not learn by night
    what they check by day.
    """
    golden = np.flatnonzero(case.golden)
    checks = held_out(case, golden)
    return Split(thin(golden[~checks], _TRAIN_ROWS), thin(golden[checks], _TRAIN_ROWS))


def held_out(case: Case, golden: Ints) -> Bools:
    """Which of these golden rows check what the others teach, shape (rows,)."""
    odd: Bools = np.bitwise_count(case.blocks[golden]) % 2 == 1 if case.block_count >= 4 else golden % 2 == 1
    return odd


def _alone(parts: Split) -> tuple[Ints, Split]:
    """The rows that learn and check, and the same split of an array of these rows alone: most that is tried fails there."""
    rows = np.concatenate([parts.train, parts.check])
    return rows, Split(np.arange(parts.train.size), np.arange(parts.train.size, rows.size))


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


# ---------------------------------------------------------------- numbers


def _learn_number(
    case: Case, parts: Split, target: Variable, parents: Sequence[Variable], *, trees: bool
) -> Relation | None:
    assert target.numbers is not None
    known = target.numbers[parts.check]
    known = known[np.isfinite(known)]
    if known.size < 20 or np.ptp(known) == 0:
        return None
    witnesses = _single_parent_relations(parts, target, parents)
    if not witnesses:
        found = _linear(parts, target, parents)
        witnesses = [found] if found else []
    if witnesses:
        return _agree(witnesses, next(p for p in parents if p.name == witnesses[0].parents[0]), target)
    return _boosted_number(case, parts, target, parents) if trees else None


def _tolerance(values: Floats) -> float:
    """What counts as equal: a thousandth of the middle spread, and float noise on large values."""
    low, high = _ends(values, 0.05)
    spread = high - low if high > low else float(np.ptp(values))
    return float(max(1e-3 * spread, 1e-6 * float(np.max(np.abs(values)) or 1.0)))


def _ends(values: Floats, share: float) -> tuple[float, float]:
    """The quantiles at `share` and 1 - `share`; what `np.quantile` checks first takes longer than the thousand values it is asked of."""
    last = values.size - 1
    k = int(share * last)
    rest, places = share * last - k, (k, min(k + 1, last), max(last - k - 1, 0), last - k)
    a, b, c, d = np.partition(values, places)[list(places)].tolist()
    return a + (b - a) * rest, d - (d - c) * rest


def _single_parent_relations(parts: Split, target: Variable, parents: Sequence[Variable]) -> list[Relation]:
    rows, screen = _alone(Split(thin(parts.train, _SCREEN_ROWS), thin(parts.check, _SCREEN_ROWS // 2)))
    few = target.only(rows)
    found: list[Relation] = []
    for parent in parents:
        if _one_parent(screen, few, parent.only(rows), share=0.95) is None:
            continue
        relation = _one_parent(parts, target, parent, share=EXACT_SHARE)
        if relation is not None:
            found.append(relation)
    if not found:
        return []
    best = max(relation.strength for relation in found)
    found = [relation for relation in found if relation.strength >= best - 0.01]
    # A copy says more than a table: a dock's number is that of the dock, and only by the way a function of its place.
    return sorted(found, key=lambda relation: _PLAIN.index(relation.form))[:_MAX_WITNESSES]


def _one_parent(parts: Split, target: Variable, parent: Variable, *, share: float) -> Relation | None:
    if parent.numbers is not None:
        return _affine(parts, target, parent, share) or _interpolated(parts, target, parent, share)
    return tabled(parts, target, parent, share)


def _judge(
    parts: Split, target: Variable, expected: Floats, share: float, *, form: str, parents: tuple[str, ...]
) -> Relation | None:
    """Keep a numeric relation if it holds on enough held-out rows that it speaks about."""
    assert target.numbers is not None
    values = target.numbers
    judged = np.isfinite(expected[parts.check]) & np.isfinite(values[parts.check])
    known = int(np.isfinite(values[parts.check]).sum())
    if judged.sum() < max(20, 0.6 * known):
        return None
    checked = parts.check[judged]
    tolerance = _tolerance(values[checked])
    with np.errstate(invalid="ignore"):
        error = np.abs(values - expected)
    strength = float(np.mean(error[checked] <= tolerance))
    # A target that hardly ever leaves one value is matched by any constant: that is no relation.
    moved = values[checked] != np.median(values[checked])
    if strength < share or moved.mean() < 0.01 or np.mean(error[checked][moved] <= tolerance) < share - 0.1:
        return None
    surprise = np.where(np.isfinite(error), (error > 3 * tolerance).astype(float), np.nan)
    return Relation(target.name, parents, form, True, strength, expected, surprise)


def _affine(parts: Split, target: Variable, parent: Variable, share: float) -> Relation | None:
    assert target.numbers is not None
    assert parent.numbers is not None
    x, y = parent.numbers, target.numbers
    train = parts.train[np.isfinite(x[parts.train]) & np.isfinite(y[parts.train])]
    if train.size < 20:
        return None
    a, b = x[train], y[train]
    low, high = _ends(a, 0.1)
    if low == high:
        low, high = float(a.min()), float(a.max())
    if low == high:
        return None
    left, right = np.argmin(np.abs(a - low)), np.argmin(np.abs(a - high))
    if a[left] == a[right]:
        return None
    slope = (b[right] - b[left]) / (a[right] - a[left])
    if slope == 0 or not np.isfinite(slope):
        return None
    offset = b[left] - slope * a[left]
    copied = abs(slope - 1) < 1e-9 and abs(offset) <= 1e-9 * max(1.0, float(np.abs(b).max()))
    off = np.abs(b - slope * a - offset) > 3 * _tolerance(b)
    seen = _unclipped(a, off)
    line = np.where((x >= seen.min()) & (x <= seen.max()), slope * x + offset, np.nan)
    expected = np.where(np.isnan(x), _constant(y, parts.train[np.isnan(x[parts.train])]), line)
    return _judge(parts, target, expected, share, form="copy" if copied else "affine", parents=(parent.name,))


def _within(values: Floats, seen: Floats) -> Bools:
    """Where values lie in what golden has seen, and a little beyond."""
    low, high = float(seen.min()), float(seen.max())
    margin = 0.02 * (high - low)
    inside: Bools = (values >= low - margin) & (values <= high + margin)
    return inside


def _unclipped(seen: Floats, off: Bools) -> Floats:
    """The seen values less the ends on which golden itself leaves the line: there a step clips."""
    middle = float(np.median(seen))
    high = seen[off & (seen > middle)].min(initial=np.inf)
    low = seen[off & (seen < middle)].max(initial=-np.inf)
    kept = seen[(seen < high) & (seen > low)]
    return kept if kept.size >= 0.9 * seen.size else seen


def _constant(values: Floats, rows: Ints) -> float:
    """The one value on these rows (an imputed default, say); NaN where they differ or are too few."""
    known = values[rows]
    known = known[np.isfinite(known)]
    if known.size < 5:
        return float("nan")
    middle = float(np.median(known))
    return middle if np.mean(np.isclose(known, middle, rtol=1e-6, atol=1e-12)) > 0.98 else float("nan")


def _interpolated(parts: Split, target: Variable, parent: Variable, share: float) -> Relation | None:
    assert target.numbers is not None
    assert parent.numbers is not None
    x, y = parent.numbers, target.numbers
    train = parts.train[np.isfinite(x[parts.train]) & np.isfinite(y[parts.train])]
    if train.size < 40:
        return None
    knots, index = np.unique(x[train], return_inverse=True)
    if knots.size < 3:
        return None
    heights = np.bincount(index, weights=y[train]) / np.bincount(index)
    expected = np.interp(x, knots, heights, left=np.nan, right=np.nan)
    # Between knots far apart nothing is known: where a bucket ends, or how a thin tail bends.
    rise = np.append(np.abs(np.diff(heights)), 0.0)
    left = np.clip(np.searchsorted(knots, x, "right") - 1, 0, knots.size - 1)
    between = x != knots[left]
    expected = np.where(between & (rise[left] > 10 * _tolerance(y[train])), np.nan, expected)
    expected = np.where(np.isnan(x), _constant(y, parts.train[np.isnan(x[parts.train])]), expected)
    return _judge(parts, target, expected, share, form="function", parents=(parent.name,))


def tabled(parts: Split, target: Variable, parent: Variable, share: float) -> Relation | None:
    """A number that is a function of one category, read off a table of golden's means."""
    assert target.numbers is not None
    assert parent.codes is not None
    y = target.numbers
    train = parts.train[np.isfinite(y[parts.train])]
    size = len(parent.vocabulary) + 1
    if train.size < 40 or size > 0.5 * train.size:
        return None
    codes = parent.codes + 1
    counts = np.bincount(codes[train], minlength=size)
    sums = np.bincount(codes[train], weights=y[train], minlength=size)
    table = np.where(counts >= 2, sums / np.maximum(counts, 1), np.nan)
    return _judge(parts, target, table[codes], share, form="function", parents=(parent.name,))


def _linear(parts: Split, target: Variable, parents: Sequence[Variable]) -> Relation | None:
    assert target.numbers is not None
    numeric = [p for p in parents if p.numbers is not None and np.isfinite(p.numbers[parts.train]).mean() > 0.6]
    listed = [p for p in parents if p.codes is not None and len(p.vocabulary) <= _LISTED]
    known = target.numbers[parts.train]
    links = fitting(known[np.isfinite(known)])
    tried = [
        (IDENTITY, IDENTITY, "linear"),
        (LOG, LOG, "product"),
        (LOG, IDENTITY, "log"),
        (LOG_ODDS, IDENTITY, "logistic"),
    ]
    rows, few = _alone(parts)
    known_here = target.only(rows)
    for link, scale, form in tried:
        if link not in links:
            continue
        chosen = [*(numeric if scale is IDENTITY else [p for p in numeric if _positive(p, parts)]), *listed]
        if _least_squares(few, known_here, [p.only(rows) for p in chosen], link, scale, form) is not None:
            return _least_squares(parts, target, chosen, link, scale, form)
    return None


def _positive(parent: Variable, parts: Split) -> bool:
    assert parent.numbers is not None
    return bool(np.nanmin(parent.numbers[parts.train]) > 0)


def _columns(parents: Sequence[Variable], scale: Link, train: Ints) -> tuple[Floats, list[str]]:
    """Parents as one matrix, numbers on their scale, categories as flags with null as one of them; each column's parent.

    A category that the rows that teach do not have is unknown, NaN, and no stranger's twin.
    """
    columns: list[Floats] = []
    names: list[str] = []
    for parent in parents:
        if parent.numbers is not None:
            columns.append(scale.into(parent.numbers))
        else:
            assert parent.codes is not None
            seen = np.unique(parent.codes[train])
            known = np.isin(parent.codes, seen)
            columns += [np.where(known, parent.codes == code, np.nan) for code in seen]
        names += [parent.name] * (len(columns) - len(names))
    return np.stack(columns, axis=1), names


def _least_squares(
    parts: Split, target: Variable, parents: Sequence[Variable], link: Link, scale: Link, form: str
) -> Relation | None:
    assert target.numbers is not None
    if not parents:
        return None
    y = link.into(target.numbers)
    x, names = _columns(parents, scale, parts.train)
    x = np.where(np.isfinite(x), x, np.nan)
    usable = np.isfinite(x).all(axis=1) & np.isfinite(y)
    train = parts.train[usable[parts.train]]
    if train.size < 5 * x.shape[1] + 20:
        return None
    centre, spread = x[train].mean(axis=0), x[train].std(axis=0)
    varies = spread > 1e-12 * np.maximum(np.abs(centre), 1.0)
    if varies.sum() < 2:
        return None
    ground = np.ones(len(y), dtype=bool)
    if target.field.role is Role.USAGE:  # a bill counts what never varied as well: where that does, golden cannot say
        ground = np.isclose(x[:, ~varies], centre[~varies], rtol=1e-9).all(axis=1)
    x, centre, spread = x[:, varies], centre[varies], spread[varies]
    names = [name for name, kept in zip(names, varies, strict=True) if kept]
    design = (x - centre) / spread
    middle = y[train].mean()
    weights = np.linalg.lstsq(design[train], y[train] - middle, rcond=1e-9)[0]
    fitted = design @ weights + middle
    expected = link.back(np.where(_within(fitted, y[train]) & ground, fitted, np.nan))
    heavy = np.abs(weights) > 1e-4 * np.abs(weights).max()
    used = tuple(dict.fromkeys(name for name, kept in zip(names, heavy, strict=True) if kept))
    return _judge(parts, target, expected, EXACT_SHARE, form=form, parents=used)


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


# ---------------------------------------------------------------- categories


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
