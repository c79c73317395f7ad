"""Rows of one decision that were never written: a log writer that drops them leaves a break in the density of scores.

In: a `Case`. Out: at most one `Suspect`, with its slice. What is left is consistent row by row; but the density of scores breaks at that decision's
threshold (McCrary 2008). The world may bring more or fewer of any score: it does not know where the threshold lies. Scores of a model that
golden did not have are no scores of golden's: its rows say nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from whimbrel.diagnose.case import DAY_US, HOUR_US, MAX_VALUES, Case, Dimension, Variable
from whimbrel.diagnose.judged import main_score
from whimbrel.diagnose.suspects import Suspect
from whimbrel.diagnose.unwritten import EVIDENCE, began, cutting, root, suspect_of
from whimbrel.diagnose.words import percent
from whimbrel.model.fields import Role
from whimbrel.model.rows import Bools, Floats, Ints
from whimbrel.model.window import Condition, Where
from whimbrel.stats.logistic import logistic

NEARLY = 4.5
"""Standard errors from which on a slice of a quarter is looked at closely, from its own onset on."""
CLEAR = 5.0
"""The same from its onset on: with the break at the threshold it must be the evidence of any finding."""
LEFT, LEFT_THERE, AS_EVER = 0.5, 0.6, 0.75
"""The share of the rows of a decision that may be left at most, beside the other side's; at the threshold; and beside others of that decision."""
IMPURE = 0.15
"""Golden's rows on the wrong side of the threshold, as a share of the rows of either side."""
DECIDED = 200
"""Golden's rows that a decision must have, and all others."""
LEAST = 30
"""The same of a slice, and the window's of its other side."""
GROUPS = 12
"""Values of a category that may have thresholds of their own."""
BREAK, STILL, BENT = 3.0, 2.0, 2
"""Standard errors by which the density must break at the threshold; the same where the mix may bend in twice as many ways; powers in which it may."""
PLACES, BETTER = 32, 4.0
"""Other scores at which it might break, and the nats by which the likeliest may be likelier than the threshold."""
UNKNOWN = 0.1
"""The share of the lost rows that rows without score or decision may make up."""
CLOSELY = 4
"""Slices that are looked at closely, the surest first."""
_QUARTERS = 4
"""Parts of the window that may be the first to lack rows."""


@dataclass(frozen=True, eq=False)
class _Cut:
    """A decision that one threshold of the score tells; arrays have shape (n,)."""

    says: str
    side: Ints
    """1 on the decision's side, 0 on the other, -1 where it is not known, or told by another model."""
    away: Floats
    """How far the score lies beyond the threshold, on the decision's side positive."""


@dataclass(frozen=True, eq=False)
class _Fewer:
    """A slice in which rows of a decision may be missing, since a quarter of the window."""

    score: float
    cut: _Cut
    where: Where
    inside: Bools


def suspects(case: Case) -> list[Suspect]:
    """Rows of one decision that are missing, of all traffic or of a slice of it: the surest."""
    score = main_score(case)
    if score is None:
        return []
    found = [one for cut in _cuts(case, score) for one in _fewer(case, cut) if one.score >= NEARLY]
    closely = (_withheld(case, one) for one in sorted(found, key=lambda one: -one.score)[:CLOSELY])
    return [one for one in closely if one is not None][:1]


def _cuts(case: Case, score: Floats) -> Iterator[_Cut]:
    """Each decision with its threshold, which may differ by a category, where golden keeps to it nearly purely."""
    decisions = [v for v in case.of(Role.DECISION) if not v.derived and 1 < v.distinct <= MAX_VALUES]
    known = case.golden & np.isfinite(score)
    rows = np.flatnonzero(known)
    if rows.size < 2 * DECIDED or not decisions:
        return
    everyone = np.zeros(score.size, dtype=np.int64)
    few = [codes for codes in case.categories.values() if codes.max() < GROUPS]
    groups = [(codes, rows[np.lexsort((score[rows], codes[rows]))]) for codes in (everyone, *few)]
    for variable in decisions:
        kinds = np.where(variable.missing, -1, variable.kinds)
        counts = np.bincount(kinds[rows] + 1)[1:]
        for code in np.flatnonzero((counts >= DECIDED) & (counts <= rows.size - DECIDED)):
            taken = kinds == code
            tried = [_threshold(score, taken, codes, order) for codes, order in groups]
            best = int(np.argmin([wrong for wrong, _, _ in tried]))
            best = best if tried[best][0] < 0.5 * tried[0][0] else 0  # one for all is the simplest
            wrong, at, sign = tried[best]
            if wrong <= IMPURE * min(counts[code], rows.size - counts[code]):
                away = sign * (score - np.append(at, np.nan)[groups[best][0]])
                side = np.where(np.isnan(away) | (kinds < 0), -1, away > 0)
                says = _named(variable, int(rows[np.argmax(taken[rows])]))
                yield _Cut(says, np.where(case.repeated | case.by_another, -1, side), away)


def _named(variable: Variable, row: int) -> str:
    """What it says in a row."""
    if variable.codes is not None:
        return str(variable.vocabulary[int(variable.codes[row])])
    assert variable.numbers is not None
    return f"{variable.numbers[row]:g}"


def _threshold(score: Floats, taken: Bools, codes: Ints, order: Ints) -> tuple[float, Floats, int]:
    """Rows on the wrong side, the best threshold of each group, and +1 where the decision lies above; `order` is by group and score."""
    rise = np.append(0, np.cumsum(np.where(taken[order], 1, -1)))
    ends = np.searchsorted(codes[order], np.arange(int(codes.max()) + 2))
    count = np.append(0, np.cumsum(taken[order]))
    out: list[tuple[float, Floats, int]] = []
    for sign in (1, -1):
        wrong, at = int(taken[order[: ends[0]]].sum()), np.full(ends.size - 1, np.nan)
        for group, (start, end) in enumerate(pairwise(ends)):
            if end == start:
                continue
            place = start + int(np.argmin(sign * rise[start : end + 1]))
            below, above = count[place] - count[start], count[end] - count[place]
            wrong += int(below + (end - place - above) if sign > 0 else above + (place - start - below))
            low = score[order[place - 1]] if place > start else -np.inf
            at[group] = 0.5 * (low + score[order[place]]) if place < end else np.inf
        out.append((float(wrong), at, sign))
    return min(out, key=lambda one: one[0])


def _fewer(case: Case, cut: _Cut) -> Iterator[_Fewer]:
    """For all traffic and each dimension the slice and quarter that most surely lack rows of the decision's side."""
    stretch = _stretches(case)
    everyone = Dimension("", np.zeros(case.ts.size, dtype=np.int64), ("",))
    for dimension in (everyone, *cutting(case)):
        counts = _counts(cut, dimension, stretch)
        scores = [_compared(case, counts, start, 1 - start / _QUARTERS)[0] for start in range(_QUARTERS)]
        best = np.max(scores, axis=0)
        code = int(best.argmax())
        where = (Condition(dimension.path, dimension.values[code]),) if dimension is not everyone else ()
        yield _Fewer(float(best[code]), cut, where, (dimension.codes == code) & ~case.by_another)


def _stretches(case: Case) -> Ints:
    """Golden's blocks, then the quarters of the window, as numbers, shape (n,)."""
    at = np.quantile(case.ts[case.window], np.arange(1, _QUARTERS) / _QUARTERS)
    out: Ints = np.where(case.golden, case.blocks, case.block_count + np.searchsorted(at, case.ts, "right"))
    return out


def _counts(cut: _Cut, dimension: Dimension, stretch: Ints) -> Floats:
    """Rows by stretch, value and side, shape (stretches, values, 2)."""
    rows = np.flatnonzero((cut.side >= 0) & (dimension.codes >= 0) & (stretch >= 0))
    size, count = len(dimension.values), int(stretch.max()) + 1
    cells = (stretch[rows] * size + dimension.codes[rows]) * 2 + cut.side[rows]
    out: Floats = np.bincount(cells, minlength=count * size * 2).reshape(count, size, 2).astype(np.float64)
    return out


def _compared(case: Case, counts: Floats, start: int, part: float) -> tuple[Floats, Floats]:
    """By how many standard errors each value lacks rows on the decision's side since a quarter, and the share that is left, shape (values,).

    Beside the other side's, and beside what became of both in the rest of the traffic, where there is any.
    """
    blocks = case.block_count
    golden, window = counts[:blocks].sum(axis=0), counts[blocks + start :].sum(axis=0)
    alone = counts.shape[1] == 1
    odds, doubt = _odds(golden)
    by_itself = window[:, 1] / np.maximum(window[:, 0] * np.exp(odds), 1e-9)  # what only others gained is no loss
    if not alone:
        rest = [side.sum(axis=0, keepdims=True) - side for side in (golden, window)]
        (before, b), (after, a) = (_odds(side) for side in rest)
        odds, doubt = odds + after - before, doubt + a + b
    asked = max(case.window_blocks * part, 1.0)
    doubt = doubt + 1 / (window[:, 0] + 0.5) + _wobble(counts[:blocks], alone) * (1 / asked + 1 / blocks)
    expected = window[:, 0] * np.exp(odds)
    left = window[:, 1] / np.maximum(expected, 1e-9)
    score = root(window[:, 1], expected, doubt)
    fewer = (left <= LEFT) & (by_itself <= LEFT_THERE) & (golden.min(axis=1) >= LEAST) & (window[:, 0] >= LEAST)
    return np.where(fewer, score, 0.0), left


def _usual(counts: Floats) -> float:
    """The share of the first value's rows that may be expected on the decision's side: golden's, as it moved in the rest of the traffic."""
    odds = float(_odds(counts[0])[0][0])
    if counts.shape[1] > 1:
        odds += float(np.diff(_odds(counts[:, 1])[0])[0])
    return float(1 / (1 + np.exp(-odds)))


def _odds(counts: Floats) -> tuple[Floats, Floats]:
    """Log odds of the decision's side, and their variance by chance, of counts of shape (…, 2)."""
    some = counts + 0.5
    return np.log(some[..., 1] / some[..., 0]), (1 / some).sum(axis=-1)


def _wobble(golden: Floats, alone: bool) -> Floats:
    """The variance of a block's log odds, beside those of the rest, that chance does not explain, shape (values,).

    By moments: golden's blocks are small. Half of it is the dimension's, for a few blocks of one value say little.
    """
    all_of = golden.sum(axis=1, keepdims=True)
    odds, doubt = _odds(golden.sum(axis=0))
    odds, doubt = np.broadcast_to(odds, golden.shape[:2]), np.zeros(golden.shape[:2])
    if not alone:
        others, doubt = _odds(all_of - golden)
        odds = odds + others - _odds((all_of - golden).sum(axis=0))[0]
    chance = 1 / (1 + np.exp(-odds))
    rows = golden.sum(axis=2)
    varies = rows * chance * (1 - chance)
    beyond = ((golden[..., 1] - rows * chance) ** 2 - varies - varies**2 * doubt).sum(axis=0)
    scale = (varies**2).sum(axis=0)
    own, shared = beyond / np.maximum(scale, 1e-9), beyond.sum() / max(float(scale.sum()), 1e-9)
    out: Floats = 0.5 * (np.maximum(own, 0.0) + max(float(shared), 0.0))
    return out


def _withheld(case: Case, found: _Fewer) -> Suspect | None:
    """The suspect, where since its onset so many rows are missing, and the density breaks at the threshold."""
    cut, inside = found.cut, found.inside
    judged = (cut.side >= 0) & inside
    base = 1 - float(cut.side[judged & case.golden].mean())
    values = np.where(cut.side >= 0, 1.0 - cut.side, np.nan)
    parted = Dimension("", np.where(inside, 0, 1), ("", "") if found.where else ("",))
    rows = np.flatnonzero(judged & case.window)
    usual = _usual(_counts(cut, parted, np.where(case.golden, 0, 1)))
    count = int((judged & case.golden).sum())
    known = (np.arange(count) >= usual * count).astype(np.float64)
    since, from_start = began(case, inside, values[rows], known, case.ts[rows])
    after = case.window & (case.ts >= since)
    counts = _counts(cut, parted, np.where(case.golden, case.blocks, np.where(after, case.block_count, -1)))
    scores, lefts = _compared(case, counts, 0, float(after.sum() / case.window.sum()))
    clear, left = float(scores[0]), float(lefts[0])
    if clear < CLEAR or _explained(case, cut, inside, after, left):
        return None
    score = float(np.hypot(clear, _broken(case, cut, inside, after)))
    if score < EVIDENCE or score == clear:
        return None
    note = f"rows are missing: of those decided {cut.says!r} {percent(1 - left)} were never written; their scores break off where that decision begins"
    level = base, float(values[judged & after].mean())
    return suspect_of(case, values, found.where, inside, since, from_start, level, score, note)


def _explained(case: Case, cut: _Cut, inside: Bools, after: Bools, left: float) -> bool:
    """Whether the rows are there without a score or a decision, or are as many as ever while others became more."""
    there = cut.side == 1
    here = inside & after
    lost = (there & here).sum() * (1 / max(left, 1e-3) - 1)
    unknown = cut.side < 0
    more = (unknown & here).sum() - here.sum() * unknown[inside & case.golden].mean()
    if more > UNKNOWN * lost:
        return True
    usual = (there & inside & case.golden).sum() * _longer(case, there & ~inside, after & ~case.by_another)
    return bool((there & here).sum() > AS_EVER * usual)


def _longer(case: Case, others: Bools, after: Bools) -> float:
    """How many of golden's rows are to be expected for each one: by the rest of the traffic, or where there is none by the hours that it lasted."""
    if others.any():
        return float((others & after).sum() / max((others & case.golden).sum(), 1))
    lasted = np.arange(int(case.ts[after].min()), int(case.ts[after].max()) + 1, HOUR_US)
    rate = np.bincount(case.hour[case.golden].astype(np.int64), minlength=24) / max(case.golden.sum(), 1)
    days = max(float(np.ptp(case.ts[case.golden])) / DAY_US, 1 / 24)
    asked = after.sum() / max((after | (case.by_another & (case.ts >= case.ts[after].min()))).sum(), 1)
    return float(rate[lasted % DAY_US // HOUR_US].sum() / days * asked)


def _broken(case: Case, cut: _Cut, inside: Bools, after: Bools) -> float:
    """By how many standard errors the window's density, in golden's, falls at the threshold, more plainly than anywhere else; 0 where it does not.

    Regression discontinuity: a logistic regression of window against golden on powers of the score's rank in golden, for a mix that
    bends, and on the side. A steep bend looks like a break as well, but it is steepest at some other score.
    """
    rows = np.flatnonzero((cut.side >= 0) & inside & np.isfinite(cut.away) & (case.golden | after))
    away, side, young = cut.away[rows], cut.side[rows] == 1, case.window[rows]
    if min((side & ~young).sum(), (~side & ~young).sum(), (~side & young).sum()) < LEAST:
        return 0.0
    known = np.sort(away[~young])
    rank = 2 * (np.searchsorted(known, away) - np.searchsorted(known, 0.0)) / known.size
    others = np.quantile(known, np.linspace(0, 1, PLACES + 2)[1:-1])
    sure = np.inf
    for power, least in ((BENT, BREAK), (2 * BENT, STILL)):
        bends = rank[:, None] ** np.arange(power + 1)
        plain = _fitted(bends, young)[1]
        beta, likely = _fitted(np.column_stack([bends, side]), young)
        broke = float(np.sqrt(max(2 * (likely - plain), 0.0)))
        if broke < least or beta[-1] > np.log(LEFT_THERE):
            return 0.0
        if max(_fitted(np.column_stack([bends, away > other]), young)[1] for other in others) > likely + BETTER:
            return 0.0
        sure = min(sure, broke + BREAK - least)
    return sure


def _fitted(design: Floats, young: Bools) -> tuple[Floats, float]:
    """A logistic regression from the share of the young on: its weights and its log likelihood."""
    beta = np.zeros(design.shape[1])
    beta[0] = np.log((young.sum() + 0.5) / ((~young).sum() + 0.5))
    return logistic(design, young, 1.0, beta)
