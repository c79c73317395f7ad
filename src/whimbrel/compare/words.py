"""What happened to one column, in words: the few phrases that cover most of its movement, largest first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf, isfinite, nextafter

import numpy as np

from whimbrel.compare.questions import NULLS, SORT, SPIKE
from whimbrel.compare.result import percent
from whimbrel.model.profile import NULL, OUTSIDE, RESCUED, Bins
from whimbrel.model.rows import Floats
from whimbrel.stats.bins import quantiles

MOST_PHRASES = 3

WORTH = 0.002
"""Share of rows below which a change is not worth a phrase."""

BESIDE = 0.25
"""Part of what the first phrase says that another has to say to be worth saying beside it."""

FEWEST_PICKS = 8
"""Picked rows that must show one value before it is named as one that many rows share."""

FIRST = 1.0
"""Added to the weight of phrases that answer the loudest question: they come before all others."""

DECILES = tuple(i / 10 for i in range(1, 10))

Phrase = tuple[float, str]
"""The share of rows that moved, and what to say."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One column before and after: expected and found shares, shape (bins,), and the window's picked values."""

    bins: Bins
    before: Floats
    after: Floats
    picked: Sequence[float | str | None]
    asked: int
    """The question that the column answered loudest."""
    nulls_matter: bool = True


def what_moved(seen: Seen) -> str:
    """The movement in words."""
    before, after = seen.before, seen.after
    if before[NULL] >= 1 > after[NULL]:
        return f"has values now ({percent(1 - float(after[NULL]))} of rows); golden had none"
    if after[NULL] >= 1 > before[NULL]:
        return "is empty now; golden had values"
    phrases = [*_either(seen), *(_text(seen) if seen.bins.kind == "text" else _number(seen))]
    phrases.sort(key=lambda phrase: -phrase[0])
    worth = max(WORTH, BESIDE * _share(phrases[0][0])) if phrases else WORTH
    said = [text for weight, text in phrases if _share(weight) >= worth][:MOST_PHRASES]
    if said:
        return ", ".join(said)
    most = int(np.argmax(np.abs(after - before)))
    return f"{seen.bins.label(most)} {percent(float(before[most]))} -> {percent(float(after[most]))}"


def _share(weight: float) -> float:
    return weight - FIRST if weight > FIRST else weight


def _either(seen: Seen) -> Iterator[Phrase]:
    """What any column can suffer: nulls and wrong types."""
    for bin_, name in ((NULL, "null"), (RESCUED, "wrong type")):
        if bin_ == RESCUED or seen.nulls_matter:
            change = float(seen.after[bin_] - seen.before[bin_])
            first = FIRST * (seen.asked == (NULLS if bin_ == NULL else SORT) and abs(change) > 0)
            yield (
                abs(change) + first,
                f"{name} {percent(float(seen.before[bin_]))} -> {percent(float(seen.after[bin_]))}",
            )


def _text(seen: Seen) -> Iterator[Phrase]:
    known = set(seen.bins.values)
    names = Counter(str(v) for v in seen.picked if v is not None and v not in known)
    outside = float(seen.after[OUTSIDE] - seen.before[OUTSIDE])
    of = sum(names.values())
    for name, n in names.most_common(2):
        share = float(seen.after[OUTSIDE]) * n / of
        if not seen.bins.open or (n >= FEWEST_PICKS and share >= 0.01):
            yield (
                share + FIRST * (seen.asked == SORT),
                f"`{_short(name)}` {'holds' if seen.bins.open else 'is new with'} {_about(share, n)}",
            )
    if outside > 0 and not seen.bins.open and not names:
        yield outside, f"values that golden lacks hold {percent(outside)}"
    for i, value in enumerate(seen.bins.values):
        was, is_ = float(seen.before[OUTSIDE + 1 + i]), float(seen.after[OUTSIDE + 1 + i])
        if is_ == 0:
            yield was, f"`{_short(value)}` is gone, it held {percent(was)}"
        elif is_ < was:
            yield was - is_, f"`{_short(value)}` lost {percent(was - is_)}"
        else:
            yield is_ - was, f"`{_short(value)}` gained {percent(is_ - was)}"


def _number(seen: Seen) -> Iterator[Phrase]:
    bins, before, after = seen.bins, seen.before, seen.after
    numbers = [v for v in seen.picked if isinstance(v, float)]
    names = Counter(value for value in numbers if not bins.is_atom(_bin(bins, value)))
    for value, n in names.most_common(3):
        share = n / len(numbers) * (1 - float(after[NULL] + after[RESCUED]))
        bin_ = _bin(bins, value)
        grown = float(after[bin_] - before[bin_])
        if n >= FEWEST_PICKS and share >= 0.01 and grown > share / 2:
            alone = share > float(after[before == 0].sum()) / 2  # not one of the many values that lie elsewhere now
            yield share + FIRST * (alone and seen.asked in (SORT, SPIKE)), f"{value:.6g} is new with {_about(share, n)}"
    for bin_ in range(OUTSIDE, bins.size):
        was, is_ = float(before[bin_]), float(after[bin_])
        if bins.is_atom(bin_):
            yield abs(is_ - was), f"{bins.label(bin_)} holds {percent(is_)}, was {percent(was)}"
    yield from _beyond(seen)
    yield from _place(seen, np.array([v for v in numbers if isfinite(v)]))


def _beyond(seen: Seen) -> Iterator[Phrase]:
    """What lies outside the range that golden held."""
    held = np.flatnonzero(seen.before[OUTSIDE:] > 0)
    if not len(held):
        return
    first, last, edges = int(held[0]), int(held[-1]), seen.bins.edges
    below, above = float(seen.after[OUTSIDE:][:first].sum()), float(seen.after[OUTSIDE:][last + 1 :].sum())
    weight = FIRST * (seen.asked == SORT)
    if below:
        yield below + weight, f"{percent(below)} lies below golden's least, {edges[first - 1]:.6g}"
    if above:
        yield above + weight, f"{percent(above)} lies above golden's greatest, {nextafter(edges[last], -inf):.6g}"


def _place(seen: Seen, numbers: Floats) -> Iterator[Phrase]:
    """How the middle and the width moved; weighed by the share of rows that crossed golden's median or quartiles."""
    golden = quantiles(seen.bins, seen.before, DECILES)
    found = quantiles(seen.bins, seen.after, DECILES)
    inside = seen.before[OUTSIDE:].sum()
    if np.isnan(golden).any() or np.isnan(found).any() or not inside > 0:
        return
    if len(numbers) >= 100:  # picked values know how far beyond golden's range the others lie
        beyond = (found <= seen.bins.edges[0]) | (found >= seen.bins.edges[-1])
        found = np.where(beyond, np.quantile(numbers, DECILES), found)
    crossed = float(np.abs(np.cumsum(seen.after[OUTSIDE:] - seen.before[OUTSIDE:])).max())
    factor = _factor(golden, found)
    if factor is not None:
        yield crossed + FIRST, f"all values about {factor}"
        return
    width, was = float(found[7] - found[1]), float(golden[7] - golden[1])
    if abs(found[4] - golden[4]) > 0.02 * max(was, abs(float(golden[4])) * 1e-3):
        yield crossed, f"median {golden[4]:.4g} -> {found[4]:.4g}"
    elif abs(width - was) > 0.1 * was:
        yield crossed, f"middle 60% spans {width:.3g}, was {was:.3g}"


def _factor(golden: Floats, found: Floats) -> str | None:
    """One factor between all quantiles, where there is one: a unit that changed."""
    if (golden * found <= 0).any() or len(set(golden.tolist())) < 5:
        return None
    ratios = np.log(found / golden)
    middle = float(np.median(ratios))
    if abs(middle) < np.log(1.5) or float(np.ptp(ratios)) > 0.1 * abs(middle):
        return None
    return f"{float(f'{np.exp(abs(middle)):.2g}'):g} times {'greater' if middle > 0 else 'smaller'}"


def _bin(bins: Bins, value: float) -> int:
    return OUTSIDE + int(np.searchsorted(bins.edges, value, side="right"))


def _about(share: float, picks: int) -> str:
    """A share estimated from picked rows: honest about how many they were."""
    return percent(share) if picks >= 100 else f"about {percent(share)}"


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"
