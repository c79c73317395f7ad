"""Exact forms of a number: what it is a copy, a multiple, a table or a sum of, told from golden and kept where it holds on rows held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from whimbrel.diagnose.case import Variable
from whimbrel.diagnose.links import IDENTITY, LOG, LOG_ODDS, Link, fitting
from whimbrel.diagnose.relations import Relation, Split, alone
from whimbrel.diagnose.rounding import ends, half, noise, tolerance
from whimbrel.diagnose.sparse import fewest
from whimbrel.diagnose.support import thin
from whimbrel.model.fields import Role
from whimbrel.model.rows import Bools, Floats, Ints

EXACT_SHARE = 0.985
"""Held-out rows that must agree before a relation is called exact."""

_SCREEN_ROWS = 1_500
_LEAST_TOLD = 0.3
"""The share of rows whose neighbours must tell them, to a hundredth of the spread, where a number may be a function of another."""
_MAX_WITNESSES = 4
_HARDLY, _FAR = 1.2, 3.0
"""Times what counts as equal from which on a value is another: where golden has none in between, and where it has."""
PLAIN = ("copy", "affine", "function")
_GATE = 0.05
"""The least share of rows on either side of a gate."""
_GRADUAL = 20
"""Different values that golden must have before one that is usual and many that follow something tell a gate from chance."""
_MOST, _CUT = 0.7, 0.005
"""The share of golden's rows that must lie on a sum that ends are sought for, and what an end must add to it."""
_MAX_CUT, _LEAST_CUT = 4, 8
"""Parents of such a sum, and rows beyond an end that tell where it is."""
_RENEWED = 15
_WEIGHED, _COUNTED = 0.25, 0.5
"""The part of what rounding takes that weights learned from rounded numbers may be off by; half the mark of what is counted, not rounded."""
_ALIKE = 1e-4
"""The part of a number far from golden's by which it may differ from what is made of it there."""
_LISTED, _GRADES = 20, 12
"""Values up to which a category is a flag a value, and a number a factor a value."""


def single_parent_relations(parts: Split, target: Variable, parents: Sequence[Variable]) -> list[Relation]:
    """Each parent that alone says what the number is, the plainest form first, four at most."""
    rows, screen = alone(Split(thin(parts.train, _SCREEN_ROWS), thin(parts.check, _SCREEN_ROWS // 2)))
    few = target.only(rows)
    found: list[Relation] = []
    for parent in parents:
        here = parent.only(rows)
        if not _follows(few, here, screen.train) or _one_parent(screen, few, here, share=0.95) is None:
            continue
        relation = _one_parent(parts, target, parent, share=EXACT_SHARE)
        if relation is not None:
            found.append(relation)
    if not found:
        return []
    best = max(relation.strength for relation in found)
    found = [relation for relation in found if relation.strength >= best - 0.01]
    # A copy says more than a table: a dock's number is that of the dock, and only by the way a function of its place.
    return sorted(found, key=lambda relation: PLAIN.index(relation.form))[:_MAX_WITNESSES]


def _follows(target: Variable, parent: Variable, rows: Ints) -> bool:
    """Whether rows side by side by the parent tell each other's target at all: what does not is no function of it, and most is not."""
    if parent.numbers is None:
        return True
    assert target.numbers is not None
    x, y = parent.numbers[rows], target.numbers[rows]
    known = np.isfinite(x) & np.isfinite(y)
    if known.mean() < 0.6:
        return True  # what is made of its nulls may be all there is to it
    order = np.argsort(x[known])
    x, y = x[known][order], y[known][order]
    near = 10 * tolerance(y)
    twins = np.abs(np.diff(y))[x[1:] == x[:-1]] <= near
    if twins.size >= 20 and twins.mean() > _LEAST_TOLD:
        return True
    width = np.maximum(x[2:] - x[:-2], np.finfo(float).tiny)
    between = y[:-2] + (y[2:] - y[:-2]) * ((x[1:-1] - x[:-2]) / width)
    return bool((np.abs(y[1:-1] - between) <= near).mean() > _LEAST_TOLD)


def _one_parent(parts: Split, target: Variable, parent: Variable, *, share: float) -> Relation | None:
    if parent.numbers is not None:
        return _affine(parts, target, parent, share) or _interpolated(parts, target, parent, share)
    return tabled(parts, target, parent, share)


def judge(
    parts: Split,
    target: Variable,
    expected: Floats,
    share: float,
    *,
    form: str,
    parents: tuple[str, ...],
    slack: float = 0.0,
) -> Relation | None:
    """A numeric relation, kept where it holds on enough held-out rows that it speaks about, else None; `slack` is what its parent's rounding leaves open."""
    assert target.numbers is not None
    values = target.numbers
    judged = np.isfinite(expected[parts.check]) & np.isfinite(values[parts.check])
    known = int(np.isfinite(values[parts.check]).sum())
    if judged.sum() < max(20, 0.6 * known):
        return None
    checked = parts.check[judged]
    near = tolerance(values[checked]) + slack
    with np.errstate(invalid="ignore"):
        error = np.abs(values - expected)
    strength = float(np.mean(error[checked] <= near))
    finest = noise(values[checked]) + slack
    if strength >= share and np.mean(error[checked] <= finest) >= strength:
        near = (
            finest  # golden never needed more: whole numbers that follow from another are that number or they are not
        )
    # A target that hardly ever leaves one value is matched by any constant: that is no relation.
    moved = values[checked] != np.median(values[checked])
    if strength < share or moved.mean() < 0.01 or np.mean(error[checked][moved] <= near) < share - 0.1:
        return None
    none_beyond = not ((error[checked] > _HARDLY * near) & (error[checked] <= _FAR * near)).any()
    cut = (_HARDLY if none_beyond else _FAR) * near
    surprise = np.where(np.isfinite(error), (error > cut).astype(float), np.nan)
    return Relation(target.name, parents, form, True, strength, expected, surprise)


def _kept(relation: Relation | None, target: Variable, beyond: Floats) -> Relation | None:
    """The relation, held to as well where golden never was and it says just what came, `beyond`: it is not known there, but no chance."""
    if relation is None or target.numbers is None:
        return relation
    known = target.numbers[np.isfinite(relation.expected) & np.isfinite(target.numbers)]
    with np.errstate(invalid="ignore"):
        near = np.abs(target.numbers - beyond) <= np.maximum(_ALIKE * np.abs(beyond), 2 * half(known))
    held = near & ~np.isfinite(relation.expected)
    return replace(
        relation, expected=np.where(held, beyond, relation.expected), surprise=np.where(held, 0.0, relation.surprise)
    )


def _affine(parts: Split, target: Variable, parent: Variable, share: float) -> Relation | None:
    assert target.numbers is not None
    assert parent.numbers is not None
    x, y = parent.numbers, target.numbers
    train = parts.train[np.isfinite(x[parts.train]) & np.isfinite(y[parts.train])]
    if train.size < 20:
        return None
    a, b = x[train], y[train]
    low, high = ends(a, 0.1)
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
    slack, near = abs(float(slope)) * half(a), 3 * tolerance(b)
    if slack and not copied:  # two rounded points say a slope only roughly: so do all that lie near
        fit = np.abs(b - slope * a - offset) <= 3 * (near + slack)
        slope, offset = np.polyfit(a[fit], b[fit], 1)
    off = np.abs(b - slope * a - offset) > near + 3 * slack
    seen = _unclipped(a, off)
    line = np.where((x >= seen.min()) & (x <= seen.max()), slope * x + offset, np.nan)
    expected = np.where(np.isnan(x), constant(y, parts.train[np.isnan(x[parts.train])]), line)
    form = "copy" if copied else "affine"
    found = judge(parts, target, expected, share, form=form, parents=(parent.name,), slack=slack)
    return _kept(found, target, slope * x + offset)


def gated(parts: Split, target: Variable, parents: Sequence[Variable]) -> Relation | None:
    """The first parent that the number is a multiple of wherever it is not its usual value: an amount, or nothing at all.

    When it is which is not asked: a row breaks the relation where it is neither.
    """
    assert target.numbers is not None
    y = target.numbers
    known = y[parts.train]
    values, counts = np.unique(known[np.isfinite(known)], return_counts=True)
    if values.size < _GRADUAL or not _GATE < counts.max() / counts.sum() < 1 - _GATE:
        return None
    usual = float(values[counts.argmax()])
    rest = replace(target, numbers=np.where(y == usual, np.nan, y))
    rows, few = alone(parts)
    for parent in parents:
        if parent.numbers is None or _affine(few, rest.only(rows), parent.only(rows), EXACT_SHARE) is None:
            continue
        found = _affine(parts, rest, parent, EXACT_SHARE)
        if found is not None:
            expected = np.where(y == usual, usual, found.expected)
            return replace(found, form="gated", expected=expected, surprise=np.where(y == usual, 0.0, found.surprise))
    return None


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


def constant(values: Floats, rows: Ints) -> float:
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
    none = constant(y, parts.train[np.isnan(x[parts.train])])
    for near in (noise(y[train]), tolerance(y[train])):
        told = np.where(between & (rise[left] > 10 * near), np.nan, expected)
        told = np.where(np.isnan(x), none, told)
        found = judge(parts, target, told, share, form="function", parents=(parent.name,))
        if found is not None:
            return found
    return None


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
    return judge(parts, target, table[codes], share, form="function", parents=(parent.name,))


def linear(parts: Split, target: Variable, parents: Sequence[Variable]) -> Relation | None:
    """The first of a sum, a product, an exponential or a logistic function of several parents that holds."""
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
    rows, few = alone(Split(thin(parts.train, 2 * _SCREEN_ROWS), thin(parts.check, _SCREEN_ROWS)))
    known_here = target.only(rows)
    for link, scale, form in tried:
        if link not in links:
            continue
        chosen = [*(numeric if scale is IDENTITY else _factors(numeric, parts)), *listed]
        if least_squares(few, known_here, [p.only(rows) for p in chosen], link, scale, form, 0.95) is None:
            continue
        found = least_squares(parts, target, chosen, link, scale, form, EXACT_SHARE)
        if found is not None:
            return found
    return None


def clipped(parts: Split, target: Variable, parents: Sequence[Variable]) -> Relation | None:
    """A product or a sum of numbers that golden itself cuts off at ends of theirs: the fare by the miles, but by three tenths of a mile at least.

    The weights are those that hold for most rows (least absolute deviations, by weights that are renewed: Schlossmacher 1973); the ends are
    what the others must have had in the place of what they had.
    """
    assert target.numbers is not None
    numeric = [p for p in parents if p.numbers is not None and np.isfinite(p.numbers[parts.train]).mean() > 0.6]
    for link, form in ((LOG, "product"), (IDENTITY, "linear")):
        usable = [p for p in numeric if link is IDENTITY or _mostly_positive(p, parts)]
        if not usable or not (link is IDENTITY or _mostly_positive(target, parts)):
            continue
        y = link.into(target.numbers)
        x = np.stack([link.into(p.numbers) for p in usable if p.numbers is not None], axis=1)
        x[~np.isfinite(x)] = np.nan
        train = parts.train[np.isfinite(y[parts.train])]
        fitted = _cut_off(x, y, train[np.isfinite(x[train]).all(axis=1)])
        if fitted is None:
            continue
        used, values = fitted
        names = tuple(usable[j].name for j in used)
        found = judge(parts, target, link.back(values), EXACT_SHARE, form=form, parents=names)
        if found is not None:
            return found
    return None


def _cut_off(x: Floats, y: Floats, train: Ints) -> tuple[Ints, Floats] | None:
    """The few columns that most rows are a plain sum of, and that sum with its ends, shape (n,); None where there is none."""
    if train.size < 10 * x.shape[1] + 40:
        return None
    near, ends = 10 * tolerance(y[train]), (float(y[train].min()), float(y[train].max()))
    low, high = np.quantile(x[train], [0.05, 0.95], axis=0)
    middling = (y[train] > ends[0]) & (y[train] < ends[1])  # what is cut off lies at ends
    core = train[middling & ((x[train] >= low) & (x[train] <= high)).all(axis=1)]
    rows = thin(core if core.size >= 5 * x.shape[1] + 40 else train[middling], _SCREEN_ROWS)
    if rows.size < 5 * x.shape[1] + 40:
        return None
    weights, middle = _least_deviations(x[rows], y[rows])
    reach = np.abs(weights * x[rows].std(axis=0))
    used = np.flatnonzero(reach > 1e-3 * reach.max(initial=0.0))
    plain = rows[np.abs(y[rows] - middle - x[rows] @ weights) <= near]
    if not 2 <= used.size <= _MAX_CUT or plain.size < _MOST * rows.size:
        return None
    solved = np.linalg.lstsq(np.column_stack([x[plain][:, used], np.ones(plain.size)]), y[plain], rcond=1e-9)[0]
    found = _Sum(solved[:-1].astype(np.float64), float(solved[-1]), *ends, near)
    rows, cut = thin(train, 4 * _SCREEN_ROWS), x[:, used]
    moving = np.flatnonzero(np.abs(found.weights * cut[plain].std(axis=0)) > near)
    if moving.size < 2:  # most rows hold one value: nothing of a sum
        return None
    best = found.holds(cut[rows], y[rows])
    for _ in range(_MAX_CUT):
        tried = [found.cut_off(cut, y, rows, j, side) for j in map(int, moving) for side in (1, -1)]
        share, column, values = max(tried, key=lambda one: one[0])
        if share < best + _CUT:
            break
        best, cut[:, column] = share, values
    return used, np.where(np.isfinite(cut).all(axis=1) & found.known(cut, y, train), found.of(cut), np.nan)


@dataclass(frozen=True, eq=False)
class _Sum:
    """A sum of columns that does not go beyond two values; `near` is what counts as equal."""

    weights: Floats
    middle: float
    low: float
    high: float
    near: float

    def of(self, x: Floats) -> Floats:
        out: Floats = np.clip(self.middle + x @ self.weights, self.low, self.high)
        return out

    def known(self, x: Floats, y: Floats, rows: Ints) -> Bools:
        """Where the sum lies between the two values, or beyond one at which it stopped in several of these rows: golden's largest is no end yet."""
        plain = self.middle + x @ self.weights
        out = np.ones(plain.size, dtype=bool)
        for end, beyond in ((self.low, plain < self.low - self.near), (self.high, plain > self.high + self.near)):
            if np.count_nonzero(beyond[rows] & (np.abs(y[rows] - end) <= self.near)) < _LEAST_CUT:
                out &= ~beyond
        return out

    def holds(self, x: Floats, y: Floats) -> float:
        """The share of rows for which it is `y`."""
        return float(np.mean(np.abs(y - self.of(x)) <= self.near))

    def cut_off(self, x: Floats, y: Floats, rows: Ints, column: int, side: int) -> tuple[float, int, Floats]:
        """One column cut off at its lower (1) or upper (-1) end, where these rows lack something; first the share of rows that hold then."""
        here, values = x[rows], x[:, column]
        lack = (y[rows] - self.of(here)) / self.weights[column]
        lacking = np.isfinite(lack) & (np.abs(lack * self.weights[column]) > self.near) & (np.sign(lack) == side)
        if lacking.sum() >= _LEAST_CUT:
            end = float(np.median(here[lacking, column] + lack[lacking]))
            values = np.maximum(values, end) if side > 0 else np.minimum(values, end)
            here[:, column] = values[rows]
        return self.holds(here, y[rows]), column, values


def _least_deviations(x: Floats, y: Floats) -> tuple[Floats, float]:
    """Weights and constant of the sum of columns that least absolute deviations fit, columns that do not vary at 0."""
    centre, spread = x.mean(axis=0), x.std(axis=0)
    varies = spread > 1e-12 * np.maximum(np.abs(centre), 1.0)
    design = np.column_stack([(x[:, varies] - centre[varies]) / spread[varies], np.ones(y.size)])
    least, weight = 1e-6 * float(np.std(y) or 1.0), np.ones(y.size)
    for _ in range(_RENEWED):
        solved = np.linalg.lstsq(design * weight[:, None], y * weight, rcond=1e-9)[0]
        weight = 1 / np.sqrt(np.maximum(np.abs(y - design @ solved), least))
    weights = np.zeros(x.shape[1])
    weights[varies] = solved[:-1] / spread[varies]
    return weights, float(solved[-1] - weights @ centre)


def _mostly_positive(variable: Variable, parts: Split) -> bool:
    assert variable.numbers is not None
    known = variable.numbers[parts.train]
    return bool((known[np.isfinite(known)] > 0).mean() > 0.9)


def _positive(parent: Variable, parts: Split) -> bool:
    assert parent.numbers is not None
    return bool(np.nanmin(parent.numbers[parts.train]) > 0)


def _factors(parents: Sequence[Variable], parts: Split) -> list[Variable]:
    """What a product may be made of: numbers above nought, and those of few values as a factor for each of them (a percentage off, mostly nought)."""
    out = []
    for parent in parents:
        if _positive(parent, parts):
            out.append(parent)
        elif 1 < parent.distinct <= _GRADES:
            out.append(replace(parent, numbers=None, codes=np.where(parent.missing, -1, parent.kinds)))
    return out


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


def least_squares(
    parts: Split, target: Variable, parents: Sequence[Variable], link: Link, scale: Link, form: str, share: float
) -> Relation | None:
    """The sum of the parents, each on its `scale`, that the target is on the scale of `link`, of as few as say it; None where none holds."""
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
    weights = fewest(design[train], y[train] - middle)
    heavy = np.abs(weights) > 1e-4 * np.abs(weights).max()
    design[:, ~heavy] = np.nan_to_num(design[:, ~heavy])  # what is not read may be null
    fitted = design @ weights + middle
    if (
        target.field.role is not Role.USAGE
    ):  # what held up to golden's ends may be cut off behind them, or be the calendar's
        ground &= np.all([_within(column, column[train]) for column in x.T[heavy]], axis=0)
    expected = link.back(np.where(_within(fitted, y[train]) & ground, fitted, np.nan))
    used = tuple(dict.fromkeys(name for name, kept in zip(names, heavy, strict=True) if kept))
    known = target.numbers[train]
    near, mark = tolerance(known), half(known)
    slack = _WEIGHED * mark if near <= mark < _COUNTED else 0.0  # else rounding is the least of what may differ
    return _kept(judge(parts, target, expected, share, form=form, parents=used, slack=slack), target, link.back(fitted))
