"""Labels that make more sense read otherwise: as another row's, or as the opposite.

In: a `Case`. Out: at most one `Suspect`. Each reading turns every label into a likelihood ratio: of what it is on the terms of the
reading, to what it is on its own row's. Their sum over a slice, in the stretches of time where it is best, is the weight of
evidence in nats (Wald 1945): labels that are what golden foretells reach x nats once in e^x. Rows of one visit (a patient's hours) whose
labels stray together are fewer witnesses than they are rows. It is asked for in all traffic, each value
and each pair of values of who and where, less what so many questions cost; less what a world that changed could make of the
same labels; and held against what golden's own blocks reach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from itertools import combinations

import numpy as np

from whimbrel.diagnose.case import SAMPLED, Case, Dimension
from whimbrel.diagnose.gather import onset
from whimbrel.diagnose.judged import as_before, judged
from whimbrel.diagnose.matrices import clocked, role
from whimbrel.diagnose.scan import Channel, Hit
from whimbrel.diagnose.suspects import Proof, Suspect, abrupt
from whimbrel.diagnose.terms import Terms, likely, strayed, terms
from whimbrel.model.fields import Role
from whimbrel.model.rows import Bools, Floats, Ints
from whimbrel.model.window import Condition, Where

LAGS = (1, -1, 2, -2)
"""Whose label a row may have got: of how many rows earlier, where they are in order of time."""
INVERTED = (0.07, 0.15, 0.35, 0.65, 0.98)
"""Shares of the labels that may say the opposite."""
EVIDENCE = 7.0
"""Nats that are evidence, beyond what the search costs: chance alone reaches them once in a thousand windows, if that."""
WORTH = 4.0
"""Nats from which a reading of a slice is looked at row by row."""
CALIBRATION = 1.3
"""How far above what golden's own blocks reach a window must lie."""
OTHERS = 4.0
"""Nats by which labels must go by another row's score rather than by any curve of their own."""
WORLD = 0.5
"""Log odds by which the base rate of a slice may well differ from golden's, as a standard deviation."""
STRETCHES = 24
"""Parts of a window in which a reading may hold or not."""
SWITCH = float(np.log(STRETCHES))
"""Nats that each stretch in which it holds costs."""
FARTHER = tuple(sign * lag for lag in (5, 7, 11, 13, 17, 19, 23, 29) for sign in (1, -1))
"""Lags by which nobody is a row off: what the scores of such rows say of labels, any other row's say."""
LEAST, WIDEST, CLOSEST = 8, 25, 6
"""Labels that a slice must have; values that a dimension of a pair may have; candidates of a kind that are looked at closely."""
_OFFSETS, _SLOPES = np.linspace(-2.0, 2.0, 17), (0.85, 1.0, 1.2)
_ANY = (-1.0, -0.5, -0.25, 0.0, 0.25, 0.5, *_SLOPES)


@dataclass(frozen=True)
class _Reading:
    """Labels of the row `lag` earlier, or a share of them inverted."""

    lag: int = 0
    inverted: float = 0.0

    @property
    def kind(self) -> str:
        """What it is called among the signatures of channels."""
        return "row off" if self.lag else "disagree"

    @property
    def words(self) -> str:
        if not self.lag:
            return "labels say the opposite of what they said: the meaning of the label changed, or its two values were exchanged"
        rows = (
            f"{abs(self.lag)} row{'s' if abs(self.lag) > 1 else ''} {'before' if self.lag > 0 else 'after'} their own"
        )
        return f"labels go by the score of another row, {rows}: they are joined to the wrong rows"


@dataclass(frozen=True, eq=False)
class _Group:
    """Slices that do not overlap: the values of no, one or two dimensions, as codes of shape (n,), -1 where in none."""

    dimensions: tuple[Dimension, ...]
    codes: Ints
    size: int
    cost: float = 0.0
    """Nats: the logarithm of how many slices of this depth there are."""

    def where(self, code: int) -> Where:
        """The conditions of a slice."""
        values = []
        for dimension in reversed(self.dimensions):
            code, value = divmod(code, len(dimension.values))
            values.append(Condition(dimension.path, dimension.values[value]))
        return tuple(sorted(values))


@dataclass(frozen=True, eq=False)
class _Found:
    """A reading of a slice, and what speaks for it."""

    nats: float
    group: _Group
    code: int
    reading: _Reading


def suspects(case: Case) -> list[Suspect]:
    """The slice whose labels make most sense read otherwise, where that is beyond what chance and the world do."""
    told = terms(case)
    if told is None:
        return []
    ratios = _Ratios(case, told)
    groups = list(_groups(case, told))
    weighed = [_Weighed(ratios, one, case.window) for one in _best(ratios, groups, np.where(case.window, 0, -1))[0]]
    weighed = [one for one in weighed if one.net >= EVIDENCE]
    if not weighed:
        return []
    usual = {kind: max(EVIDENCE, CALIBRATION * most) for kind, most in _usual(case, ratios, groups).items()}
    # What goes on in golden's blocks without a fault (those side by side are one visitor's) goes on all the longer in more rows.
    longer = max(case.window.sum() / np.median(np.bincount(case.blocks[case.golden])), 1.0)
    usual = {kind: most if most <= EVIDENCE else longer * most for kind, most in usual.items()}
    weighed = [one for one in weighed if one.net >= usual[one.found.reading.kind]]
    weighed = [one for one in weighed if not one.found.reading.lag or one.by_this >= EVIDENCE]
    best = max(weighed, key=lambda one: one.found.nats, default=None)
    return [_suspect(case, best, usual[best.found.reading.kind])] if best is not None else []


def _groups(case: Case, told: Terms) -> Iterator[_Group]:
    dimensions = [d for d in case.dimensions if role(d) in (Role.CONTEXT, Role.HARDWARE) and len(d.values) > 1]
    dimensions = [d for d in dimensions if not clocked(case, d)]
    asked = case.window & np.isfinite(told.target)
    pairs = combinations([d for d in dimensions if len(d.values) <= WIDEST][:8], 2)
    yield _Group((), np.zeros(len(case.ts), dtype=np.int64), 1)
    for of in ([(d,) for d in dimensions], list(pairs)):
        made = []
        for chosen in of:
            codes, size = chosen[0].codes, len(chosen[0].values)
            for other in chosen[1:]:
                codes = np.where((codes < 0) | (other.codes < 0), -1, codes * len(other.values) + other.codes)
                size *= len(other.values)
            made.append(
                (chosen, codes, size, int((np.bincount(codes[asked & (codes >= 0)], minlength=size) >= LEAST).sum()))
            )
        cost = float(np.log(max(sum(one[3] for one in made), 1)))
        yield from (_Group(chosen, codes, size, cost) for chosen, codes, size, _ in made)


class _Ratios:
    """The likelihood ratio of every label under a reading, shape (n,), 0 where none came."""

    def __init__(self, case: Case, told: Terms) -> None:
        self.case, self.told = case, told
        self.scored = np.flatnonzero(np.isfinite(told.centre))
        rows = np.arange(len(case.ts))
        self.own = np.where(case.repeated, np.nan, told.likely(rows, rows))
        """Shape (n,), NaN where no label came, or one of a request that was merely repeated: it is no second witness."""
        sampled = max(case.sampled) > SAMPLED  # the row before is not among the sample
        lags = () if sampled else LAGS
        self.readings = (*(_Reading(lag=lag) for lag in lags), *(_Reading(inverted=f) for f in INVERTED if told.binary))
        self._inverted = {one.inverted: self._opposite(one.inverted) for one in self.readings if not one.lag}

    def _opposite(self, share: float) -> Floats:
        own = np.nan_to_num(self.own)
        opposite = np.nan_to_num(likely(self.told.target, -self.told.centre))
        out: Floats = np.logaddexp(np.log(1 - share) + own, np.log(share) + opposite) - own
        return np.where(np.isfinite(self.own), out, 0.0)

    def under(self, group: _Group, reading: _Reading, order: Ints) -> Floats:
        """Under this reading, where the rows of each slice of the group follow each other as in `order`."""
        ratio = self.neighbours(group, reading.lag, order) if reading.lag else self._inverted[reading.inverted]
        return ratio * self.counts(group, reading.lag, order)

    def counts(self, group: _Group, lag: int, order: Ints) -> Floats:
        """As how many witnesses each label counts, shape (n,): those that follow each other in a slice belong to the same two visits again and again."""
        visits = self.case.visits
        if visits is None or self._together == 0:
            return np.ones(len(self.case.ts))
        other = np.full(len(visits), -1)
        other[order] = visits[np.roll(order, lag)] if lag else -1
        heard = np.flatnonzero(np.isfinite(self.own) & (visits >= 0) & (group.codes >= 0))
        sides = np.stack([np.where(self.case.window, -1, self.case.blocks), group.codes, visits, other])[:, heard]
        same = np.unique(sides, axis=1, return_inverse=True)[1].ravel()
        out = np.ones(len(visits))
        out[heard] = 1 / (1 + self._together * (np.bincount(same)[same] - 1))
        return out

    @cached_property
    def _together(self) -> float:
        """How alike golden's labels of one visit stray from what was foretold: the part of their variance that they share, in one of its blocks."""
        case, told = self.case, self.told
        if case.visits is None:
            return 0.0
        expected = 1 / (1 + np.exp(-told.centre)) if told.binary else told.centre
        rows = np.flatnonzero(case.golden & np.isfinite(self.own) & (case.visits >= 0))
        left = ((told.target - expected) / told.width)[rows]
        same = np.unique(np.stack([case.visits, case.blocks])[:, rows], axis=1, return_inverse=True)[1].ravel()
        sizes, sums = np.bincount(same), np.bincount(same, weights=left - left.mean())
        pairs = float((sizes * (sizes - 1)).sum()) * float(left.var())
        shared = float((sums**2).sum()) - left.size * float(left.var())
        return min(max(shared / pairs, 0.0), 1.0) if pairs > 0 else 0.0

    def order(self, group: _Group) -> Ints:
        """The scored rows of slices, slice by slice, each in order of time, golden's first."""
        rows = self.scored[group.codes[self.scored] >= 0]
        case = self.case
        return rows[np.lexsort((case.ts[rows], case.window[rows], group.codes[rows]))]

    def neighbours(self, group: _Group, lag: int, order: Ints) -> Floats:
        """On the terms of the row `lag` earlier in the same slice; a row without one says nothing."""
        other = np.roll(order, lag)
        window = self.case.window
        follows = (group.codes[other] == group.codes[order]) & (window[other] == window[order])
        follows[slice(0, lag) if lag > 0 else slice(lag, None)] = False
        out = np.zeros(len(self.case.ts))
        out[order[follows]] = np.nan_to_num(self.told.likely(order[follows], other[follows]) - self.own[order[follows]])
        return out


def _best(ratios: _Ratios, groups: list[_Group], blocks: Ints) -> list[list[_Found]]:
    """By block, the readings of slices with the most nats there, less what the search costs, the most first.

    `blocks` has shape (n,); rows of none have -1.
    """
    rows = np.flatnonzero((blocks >= 0) & np.isfinite(ratios.own))
    count = int(blocks.max(initial=-1)) + 1
    out: list[list[_Found]] = [[] for _ in range(count)]
    rows = rows[np.lexsort((ratios.case.ts[rows], blocks[rows]))]
    sizes = np.bincount(blocks[rows], minlength=count)
    place = np.arange(rows.size) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    parts = blocks[rows] * STRETCHES + place * STRETCHES // np.maximum(sizes[blocks[rows]], 1)
    asked = float(np.log(len(ratios.readings)))
    for group in groups:
        codes = group.codes[rows]
        inside = np.flatnonzero(codes >= 0)
        cells = codes[inside] * count * STRETCHES + parts[inside]
        shape = (group.size, count, STRETCHES)
        counts = np.bincount(cells, minlength=int(np.prod(shape))).reshape(shape).sum(axis=2)
        order = ratios.order(group)
        for reading in ratios.readings:
            ratio = ratios.under(group, reading, order)[rows[inside]]
            sums = np.bincount(cells, weights=ratio, minlength=int(np.prod(shape))).astype(np.float64)
            nats = np.where(counts >= LEAST, _stretches(sums.reshape(shape)), 0.0) - group.cost - asked
            for code, block in zip(*np.nonzero(nats >= WORTH), strict=True):
                out[block].append(_Found(float(nats[code, block]), group, int(code), reading))
    return [_closest(found) for found in out]


def _closest(found: list[_Found]) -> list[_Found]:
    """Of each kind those with the most nats."""
    ordered = sorted(found, key=lambda one: -one.nats)
    return [
        one
        for kind in sorted({one.reading.kind for one in found})
        for one in [o for o in ordered if o.reading.kind == kind][:CLOSEST]
    ]


def _stretches(sums: Floats) -> Floats:
    """The largest sum over stretches of time in which a reading holds, less what each costs; sums of shape (…, parts)."""
    on = np.full(sums.shape[:-1], -np.inf)
    most = np.zeros(sums.shape[:-1])
    for part in np.moveaxis(sums, -1, 0):
        on = np.maximum(on, most - SWITCH) + part
        most = np.maximum(most, on)
    return most


class _Weighed:
    """A reading looked at row by row: where it holds, and what is left of it when the world may change."""

    def __init__(self, ratios: _Ratios, found: _Found, among: Bools) -> None:
        self.found, self.ratios = found, ratios
        case = ratios.case
        self.inside = found.group.codes == found.code
        self.counts = ratios.counts(found.group, found.reading.lag, ratios.order(found.group))
        self.ratio = ratios.under(found.group, found.reading, ratios.order(found.group))
        rows = np.flatnonzero(self.inside & among & np.isfinite(ratios.own))
        rows = rows[np.argsort(case.ts[rows], kind="stable")]
        self.rows = rows[_holding(self.ratio[rows])]
        """The rows on which it holds, in order of time."""
        gained = float(self.ratio[self.rows].sum())
        left = gained - max(gained - found.nats, 0.0)
        enough = self.rows.size >= LEAST
        self.apart = left - self._world(_SLOPES) if enough else 0.0
        """Nats left where the world may say yes more or less often, and its scores tell a little more or less."""
        self.net = left - self._world((1.0,)) if enough and found.reading.lag else self.apart
        """Of another row's labels the same where it may say yes more or less often."""
        self._gained = gained if enough else None

    @cached_property
    def by_others(self) -> float:
        """Nats by which labels go by this other row's score rather than by any curve of their own."""
        return 0.0 if self._gained is None else self._gained - self._world(_ANY)

    @cached_property
    def by_this(self) -> float:
        """Nats by which labels go by this other row's score rather than by any other row's.

        A world in which some say yes that never did before makes every other row's score fit better than their own.
        """
        group, order = self.found.group, self.ratios.order(self.found.group)
        others = [float((self.ratios.neighbours(group, lag, order) * self.counts)[self.rows].sum()) for lag in FARTHER]
        beyond = max(float(self.ratio[self.rows].sum()) - float(np.mean(others)), 0.0)
        return beyond**2 / (2 * float(np.var(others)) + 1e-9)

    def _world(self, slopes: tuple[float, ...]) -> float:
        """How much likelier the same labels get where the world says yes more or less often, or scores tell less of it."""
        told, rows = self.ratios.told, self.rows
        own, counts = self.ratios.own[rows], self.counts[rows]
        if not told.binary:
            return _straight(told.target[rows], told.centre[rows], told.width[rows], counts) - float(own @ counts)
        odds, target = told.centre[rows], told.target[rows]

        def gained(slope: float, offset: float) -> float:
            return float((likely(target, slope * odds + offset) - own) @ counts) - float(offset / WORLD) ** 2 / 2

        return max(_highest(partial(gained, slope)) for slope in slopes)


def _highest(of: Callable[[float], float]) -> float:
    """The highest of a concave function at `_OFFSETS`: by halves, since it only rises before it and only falls after."""
    at = cache(lambda i: of(float(_OFFSETS[i])))
    low, high = 0, _OFFSETS.size - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if at(middle + 1) > at(middle) else (low, middle)
    return at(low)


def _straight(target: Floats, centre: Floats, width: Floats, counts: Floats) -> float:
    """The log likelihood of numbers, as many of each as it counts for, by the straight line through what was expected of them that fits them best."""
    design = np.stack([np.ones(centre.size), centre], axis=1) / width[:, None]
    away = np.abs((target / width) - design @ np.linalg.lstsq(design, target / width, rcond=None)[0])
    return max(float(strayed(away / wider, width * wider) @ counts) for wider in (1.0, max(float(away.mean()), 1e-6)))


def _holding(ratio: Floats) -> Bools:
    """The rows, in order of time, on which a reading holds: the best stretches, each at its price (Viterbi 1967)."""
    cost = float(np.log(max(ratio.size, 2)))
    begins, pays, on, most = [], [], -np.inf, 0.0  # plain lists: this goes through every row
    for value in ratio.tolist():
        anew = most - cost
        begins.append(anew > on)
        on = max(on, anew) + value
        pays.append(on > most)  # up to here it is worth its price
        if on > most:
            most = on
    out, holds = [], False
    for starts, paid in zip(reversed(begins), reversed(pays), strict=True):
        holds = holds or paid
        out.append(holds)
        holds = holds and not starts
    return np.array(out[::-1], dtype=bool)


def _usual(case: Case, ratios: _Ratios, groups: list[_Group]) -> dict[str, float]:
    """The most that each kind of reading reaches in a block of golden's."""
    out = dict.fromkeys((one.kind for one in ratios.readings), 0.0)
    for block, found in enumerate(_best(ratios, groups, np.where(case.golden, case.blocks, -1))):
        among = case.golden & (case.blocks == block)
        for one in found:
            out[one.reading.kind] = max(out[one.reading.kind], _Weighed(ratios, one, among).net)
    return out


def _suspect(case: Case, best: _Weighed, threshold: float) -> Suspect:
    reading, inside = best.found.reading, best.inside
    asked = np.flatnonzero(case.window & inside & np.isfinite(best.ratios.own))
    ratio = np.where(np.isfinite(best.ratios.own), best.ratio, np.nan)
    holds = _while(case, best.rows, asked)
    paused = case.window & ~holds & (case.ts >= case.ts[best.rows[0]])  # says nothing of when it began
    since, from_start = onset(case, np.where(paused, np.nan, ratio), inside)
    affected = inside & holds & (case.ts >= since)
    known = case.golden & np.isfinite(best.ratios.own)
    values = np.clip((ratio - ratio[known].mean()) / (float(ratio[known].std()) or 1.0), -8, 8)
    signature = "row off" if reading.lag and best.by_others >= OTHERS else "disagree"
    channel = Channel("label", "labels", signature, "invariant", values, binary=False, floor=0.1)
    judged, base = affected & np.isfinite(values), known & inside
    base = base if base.sum() >= 12 else known
    before, after = float(values[base].mean()), float(values[judged].mean())
    hit = Hit(channel, best.found.group.where(best.found.code), float(np.sqrt(2 * best.net)), float(np.sqrt(2 * threshold)),
              after - before, before, after, int(judged.sum()), values - before, inside)  # fmt: skip
    suspect = Suspect(
        component="label", layer="labels", hit=hit, hits=(hit,), proof=Proof.SOFT, where=hit.where, inside=inside,
        affected=affected, since_us=since, from_start=from_start, shift=hit.shift, before=before, after=after,
    )  # fmt: skip
    return _proved(case, best, suspect)


def _while(case: Case, rows: Ints, asked: Ints) -> Bools:
    """Rows of the window, of any slice, at the times at which the reading holds."""
    asked = asked[np.argsort(case.ts[asked], kind="stable")]
    holds = np.isin(asked, rows)
    last = np.searchsorted(case.ts[asked], case.ts, "right") - 1
    out: Bools = case.window & holds[np.clip(last, 0, None)] & (last >= 0)
    return out


def _proved(case: Case, best: _Weighed, suspect: Suspect) -> Suspect:
    """With what it proves: no world joins labels to other rows; it may tear them from scores that went wrong, or came from elsewhere."""
    found = judged(case)
    assert found is not None
    scored = as_before(case, suspect, replace(found, lift=best.ratios.told.centre))
    if suspect.hit.channel.signature == "row off":  # scores that are another row's fit the labels of that row as well
        return replace(suspect, proof=Proof.HARD if scored else Proof.SOFT, note=best.found.reading.words)
    sudden = suspect.from_start or abrupt(case, suspect) or bool(suspect.where)
    return replace(suspect, proof=Proof.FIRM if scored and sudden and best.apart >= EVIDENCE else Proof.SOFT)
