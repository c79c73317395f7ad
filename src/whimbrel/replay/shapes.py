"""The size and shape of a difference, in words: what production recorded beside what the code makes of the same inputs.

In: two columns of the rows that differ, and the whole columns around them. Out: words that read after "recorded …".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from whimbrel.model.rows import Floats
from whimbrel.replay.record import same

_MOST = 0.98
"""The share of differing rows that a shape must explain to be named; a few may lie on an edge of it."""


def shape(recorded: Sequence[Any], replayed: Sequence[Any], everywhere: Sequence[Any], at: Sequence[int] = ()) -> str:
    """What kind of change turns `replayed` into `recorded`; both of the rows that differ, shape (n,).

    `everywhere` is what the code makes of all rows, in the order of time: values that belong to other predictions are known
    by it. `at` are the differing rows' places in it.
    """
    gone = _nulls(recorded, replayed)
    if gone:
        return gone
    pairs = [(r, c) for r, c in zip(recorded, replayed, strict=True) if r is not None and c is not None]
    if not pairs:
        return "in which of them is null"
    r, c = zip(*pairs, strict=True)
    if all(isinstance(v, list) for v in (*r, *c)):
        if {len(v) for v in r} != {len(v) for v in c}:
            return f"a list of {len(r[0])} where the code makes {len(c[0])}"
        items = [(x, y) for v, w in pairs for x, y in zip(v, w, strict=False) if not same(x, y)]
        if any(x is None or y is None for x, y in items):
            return "in which items of the list are null"
        r, c = zip(*items, strict=True) if items else ((), ())
        at = ()
    if all(isinstance(v, int | float) for v in (*r, *c)):
        return _numbers(np.array(r, float), np.array(c, float), everywhere, at)
    if type(r[0]) is not type(c[0]):
        return f"of another type: {type(r[0]).__name__}, not {type(c[0]).__name__}"
    return _texts([str(v) for v in r], [str(v) for v in c], everywhere, at)


def _nulls(recorded: Sequence[Any], replayed: Sequence[Any]) -> str:
    filled = [r for r, c in zip(recorded, replayed, strict=True) if c is None and r is not None]
    lost = [c for r, c in zip(recorded, replayed, strict=True) if r is None and c is not None]
    n = len(recorded)
    if len(filled) > 0.5 * n:
        value, count = Counter(map(str, filled)).most_common(1)[0]
        return (
            f"{value} where the code leaves null" if count > 0.9 * len(filled) else "filled where the code leaves null"
        )
    if len(lost) > 0.5 * n:
        value, count = Counter(map(str, lost)).most_common(1)[0]
        return f"null where the code fills {value}" if count > 0.9 * len(lost) else "null where the code has a value"
    return ""


def _numbers(r: Floats, c: Floats, everywhere: Sequence[Any], at: Sequence[int]) -> str:
    if len(np.unique(r)) == 1 == len(np.unique(c)):
        return f"{r[0]:.6g} where the code makes {c[0]:.6g}"
    found = _number_forms(r, c)
    if found:
        return found
    foreign = _foreign(r.tolist(), everywhere, at)
    if foreign:
        return foreign
    if len(np.unique(r)) == 1 and len(np.unique(c)) > 1:
        return f"always {r[0]:.6g}{_bound(r, c)}"
    line = _line(r, c)
    if line:
        return f"{line} (scaled by other statistics)"
    if np.all((r > 0) & (r < 1) & (c > 0) & (c < 1)):
        line = _line(np.log(r / (1 - r)), np.log(c / (1 - c)))
        if line:
            return f"calibrated otherwise: its log odds are {line}"
    gap = np.abs(r - c)
    if r.size >= 8 and len(np.unique(r)) > 4 and np.array_equal(np.argsort(np.argsort(r)), np.argsort(np.argsort(c))):
        return f"in the same order on another scale, by {np.median(gap):.3g} in the median and {gap.max():.3g} at most"
    return f"another number, by {np.median(gap):.3g} in the median and {gap.max():.3g} at most"


def _number_forms(r: Floats, c: Floats) -> str:
    whole = bool(np.all(np.mod(r, 1) == 0) and np.all(np.mod(c, 1) == 0))
    gap = r - c
    wrapped = _wrapped(r, c) if whole else ""
    if wrapped:
        return wrapped
    if r.size >= 2 and _mostly(np.isclose(gap, np.median(gap), rtol=1e-6, atol=1e-9)) and not _one(c):
        by = float(np.median(gap))
        return f"{abs(by):.6g} too {'high' if by > 0 else 'low'}" + (", off by one" if abs(by) == 1 and whole else "")
    nonzero = c != 0
    if nonzero.sum() >= 2 and not _one(c) and not np.any(~nonzero & (r != 0)):
        ratio = r[nonzero] / c[nonzero]
        factor = float(np.median(ratio))
        if factor != 0 and _mostly(np.isclose(ratio, factor, rtol=1e-4)):
            return _factor(factor)
    if _mostly(np.isclose(r, 1 - c, rtol=1e-6, atol=1e-9)) and r.size >= 2 and not _one(c):
        return "one minus the code's (the classes are swapped)"
    if whole and len(np.unique(c)) >= 3:
        for period, what in ((7, "days of a week"), (24, "hours of a day"), (12, "months"), (60, "minutes")):
            if c.max() > period or c.min() < 0:
                continue
            turned = np.mod(gap, period)
            by = int(np.median(turned))
            if _mostly(turned == by):
                return f"turned by {by} of {period} ({what} counted from another origin or zone)"
            both = np.any(gap > 0) and np.any(gap < 0)
            for low in (by - 1, by) if both else ():  # a zone of half an hour turns some hours by one more than others
                if _mostly((turned == low) | (turned == low + 1)):
                    return f"turned by {low} to {low + 1} of {period} ({what} counted from another origin or zone)"
    return _rounded(r, c) or _permuted(r, c, whole)


def _wrapped(r: Floats, c: Floats) -> str:
    """Whole numbers that did not fit an integer type: the recorded ones lie in its range, the code's outside of it."""
    for bits in (8, 16, 32):
        span = 2.0**bits
        for low in (-span / 2, 0.0):
            inside = (r >= low) & (r < low + span) & ((c < low) | (c >= low + span))
            if _mostly(inside & (np.mod(r - c, span) == 0)):
                return f"wrapped around at {bits} bits"
    return ""


def _rounded(r: Floats, c: Floats) -> str:
    if r.size < 2:
        return ""
    for digits in range(7):
        if _mostly(np.isclose(r, np.round(c, digits), rtol=0, atol=1e-12)):
            return f"rounded to {digits} decimals" if digits else "rounded to whole numbers"
    if _mostly(r == np.trunc(c)):
        return "cut to whole numbers"
    if _mostly(r == np.floor(c)):
        return "rounded down"
    with np.errstate(over="ignore"):
        for kind in (np.float16, np.float32):
            if _mostly(np.isclose(r, c.astype(kind).astype(float), rtol=0, atol=0)):
                return f"rounded to {np.dtype(kind).name}"
        close = np.abs(r - c) <= 2e-3 * np.maximum(np.abs(r), np.abs(c))
        if _mostly(close) and np.mean(r.astype(np.float16).astype(float) == r) > _MOST:
            return "rounded to float16"
    return ""


def _permuted(r: Floats, c: Floats, whole: bool) -> str:
    if not whole or len(np.unique(c)) > 60 or len(np.unique(c)) < 2:
        return ""
    return _mapping([f"{v:g}" for v in r], [f"{v:g}" for v in c])


def _mapping(r: Sequence[str], c: Sequence[str]) -> str:
    """Categories under other names: each value of the code's stands for one recorded value, and back."""
    pairs = Counter(zip(c, r, strict=True))
    best: dict[str, str] = {}
    for (old, new), _ in pairs.most_common():
        best.setdefault(old, new)
    known = {new for _, new in pairs}
    onto = sum(count for (old, new), count in pairs.items() if best[old] == new) >= _MOST * len(r)
    shown = ", ".join(f"{new} for {old}" for old, new in list(best.items())[:4])
    if onto and len(best) == 1:
        return f"{r[0]} where the code makes {c[0]}"
    if onto and not len(pairs) > 0.5 * len(r) > 2 and len(set(best.values())) == len(best):
        other = "in another order of categories" if set(best) & known else "categories under other values"
        return f"{other}: {shown}"
    few = 3 * len(pairs) <= len(r) and len(pairs) <= 1.5 * max(len(best), len(known))
    return f"categories under other values, some of which fall together: {shown}" if few and len(best) > 2 else ""


def _line(r: Floats, c: Floats) -> str:
    if r.size < 5 or np.std(c) == 0 or np.std(r) == 0:
        return ""
    slope, start = np.polyfit(c, r, 1)
    left = r - (slope * c + start)
    if np.std(left) > 1e-5 * np.std(r):
        return ""
    return f"{slope:.6g} times the code's plus {start:.6g}"


def _texts(r: list[str], c: list[str], everywhere: Sequence[Any], at: Sequence[int]) -> str:
    if all(a.strip() == b.strip() for a, b in zip(r, c, strict=True)):
        return "padded with other white space"
    if all(a.casefold() == b.casefold() for a, b in zip(r, c, strict=True)):
        return f"in another case: {r[0]!r} for {c[0]!r}"
    if len(set(r)) == 1 and len(set(c)) > 1:
        return f"always {r[0][:60]!r}"
    mapped = _mapping(r, c) if len(set(c)) <= 60 else ""
    if mapped:
        return mapped
    foreign = _foreign(r, everywhere, at) if len(set(c)) > 5 else ""
    if foreign:
        return foreign
    return f"another text: {r[0][:60]!r} for {c[0][:60]!r}"


def _foreign(recorded: Sequence[Any], everywhere: Sequence[Any], at: Sequence[int]) -> str:
    """Whether the values are those of other predictions, where there are many different ones; of earlier ones, where all are."""
    places: dict[Any, list[int]] = {}
    for i, value in enumerate(everywhere):
        if value is not None and not isinstance(value, list):
            places.setdefault(value, []).append(i)
    told = [value for value in recorded if not isinstance(value, list)]
    own = set(told)
    # Of numbers that are not whole even a few are enough to know one by: they hardly meet by chance.
    fine = len(places) >= 20 and sum(isinstance(v, float) and not v.is_integer() for v in places) > 0.5 * len(places)
    if len(own) < 5 or not (fine or len(places) > 0.3 * len(everywhere)):
        return ""
    if sum(value in places for value in told) <= (0.6 if fine else 0.8) * len(told):
        return ""
    if len(at) == len(told):
        known = [(i, places[value]) for i, value in zip(at, told, strict=True) if value in places]
        if np.mean([min(rows) < i and max(rows) < i for i, rows in known]) > 0.9:
            return "the value of an earlier prediction (stale)"
    return "the value of another prediction (looked up under another key, or stale)"


def _bound(r: Floats, c: Floats) -> str:
    if np.all(c >= r[0]):
        return ": clipped from above"
    return ": clipped from below" if np.all(c <= r[0]) else ""


def _factor(factor: float) -> str:
    if factor == -1:
        return "of the other sign"
    if 0 < abs(factor) < 1:
        return f"{1 / abs(factor):.6g} times smaller" + (" and of the other sign" if factor < 0 else "")
    return f"{abs(factor):.6g} times larger" + (" and of the other sign" if factor < 0 else "")


def _mostly(holds: Any) -> bool:
    return bool(np.mean(holds) >= _MOST)


def _one(values: Floats) -> bool:
    return len(np.unique(values)) == 1 and values.size > 1
