"""The smallest set of slices that holds a change: gain against length of description, cuboid by cuboid.

A slice's *gain* is what one effect of its own explains: effect² / variance, twice a log-likelihood ratio. Cells of one cuboid are
disjoint, so the best set within a cuboid is every cell whose gain exceeds its price, found exactly and at once. A parent that mixes
moved and unmoved children loses gain by Cauchy and Schwarz; children of an evenly moved parent gain nothing and pay more often. The
price is the length of the slice's name among all that might have been named, and never less than a share of the whole gain: causes are
few, and their children not quite even. What was chosen is taken out and the rest is searched again, until nothing pays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import comb, log
from typing import TypeAlias

import numpy as np

from whimbrel.model.rows import Floats
from whimbrel.slices.cube import Cells, Cuboid, cuboids, located, sums_of
from whimbrel.slices.measures import Evidence

SURE = 10.83
"""Chi-square with one degree of freedom at one in a thousand: what a change of everything must reach to be told."""
ALPHA = 0.01
"""How often a slice may be named where nothing changed."""
SHARE = 0.03
"""The least share of the whole gain that a slice must hold to be named."""
TRIFLE = 0.001
"""The same of a smaller cause, sought once the larger ones are known."""
MOST = 12
"""Slices that are named at most."""
BEAM = 3
"""Cuboids that the first step tries; later steps take the best."""
_PROMISING, _TRACE = 24, 6.0
_PAYING = 100
"""Cells of one cuboid that are weighed at most: more would be no description."""
_CHI_MEDIAN = 0.4549
"""Median of chi-square with one degree of freedom."""


Scatter: TypeAlias = Mapping[int, float]
"""The variance of effects from cell to cell, by depth; nothing where they do not vary."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One cell: its cuboid, its value of each attribute, its effect, the effect's variance, and what it explains."""

    cuboid: Cuboid
    cell: tuple[int, ...]
    effect: float
    variance: float
    gain: float
    price: float

    @property
    def score(self) -> float:
        """Gain less price."""
        return self.gain - self.price


@dataclass(frozen=True, slots=True)
class Explanation:
    """Slices, in the order of finding; `background` is the effect that everything else had; `rest` is the evidence outside the slices."""

    slices: tuple[Slice, ...]
    background: float
    score: float
    rest: Evidence


def explain(evidence: Evidence, centres: Sequence[float] = ()) -> Explanation:
    """The best explanation of the change: with the rest unchanged or, where that says more, with all of it evenly changed.

    It is sought twice: what the first search leaves over shows how much effects vary by nature.

    Args:
        evidence: what changed.
        centres: further guesses of what happened to everything alike.
    """
    found = _best(evidence, centres, {})
    scatter = scatter_of(found.rest)
    if any(scatter.values()):
        found = _best(evidence, centres, scatter)
    while found.slices and len(found.slices) < MOST and (finer := found.rest.finer()) is not None:
        finer_by = _variance(found.rest) / _variance(finer)
        trifle = TRIFLE * finer_by * sum(one.gain for one in found.slices)
        more = _greedy(finer, 0.0, scatter_of(finer), trifle=trifle)
        if not more.slices:
            break
        found = Explanation((*found.slices, *more.slices)[:MOST], found.background, found.score, more.rest)
    return found


def _variance(evidence: Evidence) -> float:
    return float(evidence.judge((), evidence.tables[()])[1][0])


def _best(evidence: Evidence, centres: Sequence[float], scatter: Scatter) -> Explanation:
    best = _greedy(evidence, 0.0, scatter)
    whole, variance = evidence.judge((), evidence.tables[()])
    effect, known = float(whole[0]), 1 / float(variance[0])
    for centre in dict.fromkeys([*_centres(evidence), *centres]):
        gain = known * (2 * effect * centre - centre**2)
        if gain <= SURE:
            continue
        tried = _greedy(evidence.shifted(centre), centre, scatter, gain)
        if tried.score > best.score:
            best = tried
    return best


def _centres(evidence: Evidence) -> Iterator[float]:
    """What most of the traffic did, by the attribute whose values differ most: the median of their effects, weighted."""
    apart, best = 0.0, None
    for a in range(len(evidence.sizes)):
        effects, variances = evidence.judge((a,), evidence.tables[(a,)])
        known = np.isfinite(variances)
        if known.sum() < 2:
            continue
        effect, weight = effects[known], 1 / variances[known]
        mean = float(effect @ weight / weight.sum())
        spread = float(((effect - mean) ** 2 * weight).sum())
        if best is None or spread > apart:
            order = np.argsort(effect)
            at = int(np.searchsorted(np.cumsum(weight[order]), weight.sum() / 2))
            apart, best = spread, float(effect[order][min(at, len(order) - 1)])
    if best is not None:
        yield best


def _greedy(
    evidence: Evidence, background: float, scatter: Scatter, held: float = 0.0, trifle: float = 0.0
) -> Explanation:
    """Slices one cuboid at a time; of the first step's best cuboids, the one that ends best.

    `held` is what the background gains; what gains less than `trifle` is not named.
    """
    first = _choices(evidence, 0.0, scatter)
    floor = max(trifle, SHARE * (held + max((sum(one.gain for one in choice) for choice in first), default=0.0)))
    best = Explanation((), background, held - max(floor, SURE) if held else 0.0, evidence)
    starts = _choices(evidence, floor, scatter) if first else []
    nothing = best
    for start in starts[:BEAM]:
        if _score(start) < 0.5 * _score(starts[0]):
            break
        best = max(best, _follow(nothing, start, floor, scatter), key=lambda one: one.score)
    return best


def _follow(found: Explanation, chosen: list[Slice], floor: float, scatter: Scatter) -> Explanation:
    slices: list[Slice] = []
    evidence, score = found.rest, found.score
    while chosen:
        slices += chosen
        score += _score(chosen)
        evidence = evidence.without([(one.cuboid, one.cell) for one in chosen])
        left = MOST - len(slices)
        choices = _choices(evidence, floor, scatter) if left > 0 else []
        chosen = choices[0][:left] if choices else []
    return Explanation(tuple(slices), found.background, score, evidence)


def _score(slices: Sequence[Slice]) -> float:
    return sum(one.score for one in slices)


# ---------------------------------------------------------------- one step


def _choices(evidence: Evidence, floor: float, scatter: Scatter) -> list[list[Slice]]:
    """For each cuboid with anything that pays, the slices that do, dearest gain first; cuboids by what they gain in all."""
    judged = {c: evidence.judge(c, cells) for c, cells in evidence.tables.items() if c}
    found = []
    for cuboid, cells, effects, variances in _all(evidence, judged, scatter):
        gains = effects**2 / (variances + scatter.get(len(cuboid), 0.0))
        price = max(_price(evidence, cuboid), floor)
        pays = np.flatnonzero(gains > price)
        if not len(pays):
            continue
        pays = pays[np.argsort(-gains[pays], kind="stable")][:_PAYING]
        values = np.stack(located(cells.ids[pays], cuboid, evidence.sizes), axis=1)
        found.append([
            Slice(cuboid, tuple(int(v) for v in values[i]), float(effects[p]), float(variances[p]), float(gains[p]), price)
            for i, p in enumerate(pays)
        ])  # fmt: skip
    found = [_merged(evidence, choice, judged, scatter, floor) for choice in found]
    return sorted(found, key=lambda choice: (-_score(choice), choice[0].cuboid))


def _price(evidence: Evidence, cuboid: Cuboid) -> float:
    """Twice the nats that it takes to name a slice among all of its depth, and to be sure of it."""
    cells = int(np.prod([evidence.sizes[a] for a in cuboid]))
    return 2 * (log(max(cells, 1)) + log(comb(len(evidence.sizes), len(cuboid))) + log(evidence.depth / ALPHA))


def scatter_of(evidence: Evidence) -> Scatter:
    """How much effects vary by nature at each depth; below what is summed as much as above."""
    judged = {c: evidence.judge(c, cells) for c, cells in evidence.tables.items()}
    found = {depth: _scatter([judged[c] for c in judged if len(c) == depth]) for depth in range(1, evidence.summed + 1)}
    return found | dict.fromkeys(range(evidence.summed + 1, evidence.depth + 1), found[evidence.summed])


def _scatter(judged: Sequence[tuple[Floats, Floats]]) -> float:
    """How much effects vary from cell to cell by nature, as a variance, so that half of the cells lie where chance puts half of them.

    Each cuboid's cells are held against their own median, and a minority that a cause moved changes medians little.
    """
    apart, noise = [np.zeros(0)], [np.zeros(0)]
    for effects, variances in judged:
        known = np.isfinite(variances)
        if known.sum() >= 3:
            apart.append((effects[known] - np.median(effects[known])) ** 2)
            noise.append(variances[known])
    square, variance = np.concatenate(apart), np.concatenate(noise)
    if len(square) < 12 or np.median(square / variance) <= _CHI_MEDIAN:
        return 0.0
    low, high = 0.0, float(square.max())
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if np.median(square / (variance + middle)) > _CHI_MEDIAN else (low, middle)
    return high


def _all(
    evidence: Evidence, judged: dict[Cuboid, tuple[Floats, Floats]], scatter: Scatter
) -> Iterator[tuple[Cuboid, Cells, Floats, Floats]]:
    for cuboid, (effects, variances) in judged.items():
        yield cuboid, evidence.tables[cuboid], effects, variances
    if evidence.depth > 2 and evidence.summed < 3:
        yield from _thirds(evidence, judged, scatter.get(2, 0.0))


def _thirds(
    evidence: Evidence, judged: dict[Cuboid, tuple[Floats, Floats]], scatter: float
) -> Iterator[tuple[Cuboid, Cells, Floats, Floats]]:
    """Cells of the third level below the pairs that promise most: a cause at that depth leaves a trace in each pair above it."""
    promising = []
    for cuboid in cuboids(len(evidence.sizes), 2):
        effects, variances = judged[cuboid]
        gains = effects**2 / (variances + scatter)
        promising += [(float(gains[i]), cuboid, int(i)) for i in np.argsort(-gains)[:_PROMISING] if gains[i] > _TRACE]
    parts: dict[Cuboid, dict[int, Floats]] = {}
    for _, pair, cell in sorted(promising, reverse=True)[:_PROMISING]:
        values = tuple(int(v[0]) for v in located(np.array([cell]), pair, evidence.sizes))
        inside = [w.take(np.flatnonzero(w.inside(pair, values))) for w in evidence.windows]
        for c in range(len(evidence.sizes)):
            if c in pair:
                continue
            sums = np.concatenate([sums_of(w.codes[c].astype(np.int64), w.weights, evidence.sizes[c]) for w in inside])
            triple = tuple(sorted((*pair, c)))
            for value in np.flatnonzero(np.abs(sums).sum(axis=0)):
                named = dict(zip(pair, values, strict=True)) | {c: int(value)}
                place = np.ravel_multi_index([named[a] for a in triple], [evidence.sizes[a] for a in triple])
                parts.setdefault(triple, {})[int(place)] = sums[:, value]
    for triple, cells in parts.items():
        made = Cells(np.array(list(cells)), np.stack(list(cells.values()), axis=1))
        yield (triple, made, *evidence.judge(triple, made))


def _merged(
    evidence: Evidence,
    choice: list[Slice],
    judged: dict[Cuboid, tuple[Floats, Floats]],
    scatter: Scatter,
    floor: float,
) -> list[Slice]:
    """Siblings under their parent, where the parent alone scores more than they do together: it was split for another slice's sake."""
    cuboid = choice[0].cuboid
    for parent in (cuboid[:i] + cuboid[i + 1 :] for i in range(len(cuboid))):
        if not parent or len(choice) < 2 or parent not in judged:
            continue
        effects, variances = judged[parent]
        groups: dict[tuple[int, ...], list[Slice]] = {}
        for one in choice:
            groups.setdefault(tuple(v for a, v in zip(cuboid, one.cell, strict=True) if a in parent), []).append(one)
        for cell, siblings in groups.items():
            if len(siblings) < 2:
                continue
            place = int(np.ravel_multi_index(cell, [evidence.sizes[a] for a in parent]))
            gain = float(effects[place] ** 2 / (variances[place] + scatter.get(len(parent), 0.0)))
            merged = Slice(parent, cell, float(effects[place]), float(variances[place]), gain, max(_price(evidence, parent), floor))  # fmt: skip
            if merged.score > _score(siblings):
                gone = {one.cell for one in siblings}
                choice = [merged, *(one for one in choice if one.cuboid != cuboid or one.cell not in gone)]
        if any(one.cuboid != cuboid for one in choice):
            break  # what is left of the cuboid is settled
    return choice
