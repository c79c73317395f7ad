"""A column turned into golden's with as little change as can be: a coupling of two distributions.

In: values of single rows, and the whole column here and in golden. Out: the values that they would have had. Pure, but for
the generator that is handed in.

The n-th smallest number becomes golden's n-th smallest (the coupling that moves numbers least), so a column that did not move
stays as it is and a wrong unit is undone row by row. Nulls, numbers outside golden's range, single numbers that are suddenly common, and
categories are replaced only for the share beyond golden's (the coupling that changes the fewest rows), by draws from golden.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from whimbrel.model.rows import Categories, Column, Floats, Ints, Numbers
from whimbrel.stats.distance import divergence, freedom, noise, surprise

_ATOM = 0.02
"""A single number that holds this share of a column is one that may have become too common."""
_TWICE = 0.5
_SCALE = 0.5
"""Where more than this share lies outside golden's range the column is on another scale, which ranks undo."""
_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")
_BINS = 20
_MOVED_Z = 4.0


def couple(values: Sequence[Any], here: Column, there: Column, rng: np.random.Generator) -> list[Any]:
    """What each value would be if its column were distributed as golden's; `values` are some rows of `here`."""
    if isinstance(here, Numbers) and isinstance(there, Numbers):
        numbers = np.array([math.nan if value is None else float(value) for value in values])
        return [None if math.isnan(one) else one for one in _numbers(numbers, here.values, there.values, rng).tolist()]
    assert isinstance(here, Categories)
    assert isinstance(there, Categories)
    return _categories(values, here, there, rng)


def some(n: int, there: Column, rng: np.random.Generator) -> list[Any]:
    """`n` of golden's values, drawn at random."""
    return _plain(there.take(rng.integers(0, len(there.missing), n)))


def _plain(drawn: Column) -> list[Any]:
    if isinstance(drawn, Numbers):
        return [None if math.isnan(one) else one for one in drawn.values.tolist()]
    return [_value(drawn.vocabulary, code) for code in drawn.codes.tolist()]


def whole(
    records: Sequence[Mapping[str, Any]],
    back: Mapping[str, list[Any]],
    there: Mapping[str, Column],
    rng: np.random.Generator,
) -> None:
    """What a record lacked together and `back` fills comes from one row of golden: its parts must go together."""
    for i, record in enumerate(records):
        filled = [path for path, values in back.items() if record.get(path) is None and values[i] is not None]
        if len(filled) < 2:
            continue
        rows = np.flatnonzero(~np.any([there[path].missing for path in filled], axis=0))
        if rows.size:
            row = rng.choice(rows, 1)
            for path in filled:
                back[path][i] = _plain(there[path].take(row))[0]


def moved(here: Column, there: Column) -> bool:
    """Whether two columns differ by more than two samples of one distribution do."""
    if isinstance(here, Numbers) and isinstance(there, Numbers):
        known = there.values[np.isfinite(there.values)]
        edges = (
            np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1), method="lower")) if known.size else np.zeros(1)
        )
        codes = [
            np.where(np.isnan(v), 0, 1 + np.searchsorted(edges, v, side="right")) for v in (here.values, there.values)
        ]
        edge_codes = [
            np.where(np.isin(v, edges), c + len(edges) + 2, c)
            for v, c in zip((here.values, there.values), codes, strict=True)
        ]
    else:
        assert isinstance(here, Categories)
        assert isinstance(there, Categories)
        index = {value: i for i, value in enumerate(dict.fromkeys((*here.vocabulary, *there.vocabulary)))}
        edge_codes = [np.array([*(1 + index[v] for v in one.vocabulary), 0])[one.codes] for one in (here, there)]
    size = int(max(codes.max(initial=0) for codes in edge_codes)) + 1
    n, m = len(edge_codes[0]), len(edge_codes[1])
    after, before = (np.bincount(codes, minlength=size) / max(len(codes), 1) for codes in edge_codes)
    start = np.zeros(1, np.int64)
    found = divergence(before, after, start)
    return bool(surprise(found, np.array(noise(max(m, 1), max(n, 1))), freedom(before, after, start))[0] > _MOVED_Z)


def _numbers(x: Floats, here: Floats, there: Floats, rng: np.random.Generator) -> Floats:
    known, goal = np.sort(here[np.isfinite(here)]), np.sort(there[np.isfinite(there)])
    if not goal.size:
        return x
    loose = np.isinf(x)
    outside = (known < goal[0]) | (known > goal[-1])
    if known.size and outside.mean() <= _SCALE:
        loose |= (x < goal[0]) | (x > goal[-1])
        known = known[~outside]
    for value, beyond in _surplus(known, goal):
        loose |= (x == value) & (rng.random(len(x)) < beyond)
        count = int((known == value).sum())
        known = np.sort(np.concatenate([known[known != value], np.full(round(count * (1 - beyond)), value)]))
    out = x.copy()
    ranked = np.isfinite(x) & ~loose
    if known.size:
        below, upto = (np.searchsorted(known, x[ranked], side=side) / known.size for side in _SIDES)
        rank = below + rng.random(int(ranked.sum())) * (upto - below)
        out[ranked] = goal[np.minimum((rank * goal.size).astype(int), goal.size - 1)]
    out[loose] = rng.choice(goal, int(loose.sum()))
    return _nulls(x, out, float(np.isnan(here).mean()), float(np.isnan(there).mean()), goal, rng)


def _surplus(known: Floats, goal: Floats) -> list[tuple[float, float]]:
    """Single numbers that are at least twice as common as in golden, and the share of them beyond golden's."""
    values, counts = np.unique(known, return_counts=True)
    common = counts > _ATOM * max(known.size, 1)
    shares = zip(values[common].tolist(), (counts[common] / max(known.size, 1)).tolist(), strict=True)
    beyond = [(value, 1 - float((goal == value).mean()) / share) for value, share in shares]
    return [(value, by) for value, by in beyond if by >= _TWICE]


def _nulls(x: Floats, out: Floats, here: float, there: float, known: Floats, rng: np.random.Generator) -> Floats:
    """As many nulls as golden has: the surplus filled from golden, or what lacks made null."""
    null = np.isnan(x)
    if here > there:
        filled = null & (rng.random(len(x)) < 1 - there / here)
        out[filled] = rng.choice(known, filled.sum())
    elif there > here:
        out[~null & (rng.random(len(x)) < (there - here) / (1 - here))] = math.nan
    return out


def _categories(values: Sequence[Any], here: Categories, there: Categories, rng: np.random.Generator) -> list[Any]:
    names = list(dict.fromkeys((*here.vocabulary, *there.vocabulary)))
    index = {name: i for i, name in enumerate(names)}
    before, after = (_shares(one, index) for one in (there, here))
    lacking = np.maximum(before - after, 0)
    if lacking.sum() <= 0:
        return list(values)
    lacking /= lacking.sum()
    places = np.array(
        [len(names) if value is None else index.get(_name(value), -1) for value in values], dtype=np.int64
    )
    kept = np.minimum(np.divide(before, after, out=np.zeros_like(after), where=after > 0), 1.0)
    stays = rng.random(len(places)) < np.where(places < 0, 0.0, kept[places])
    drawn = rng.choice(len(lacking), len(places), p=lacking)
    return [
        value if stay else _value(names, new if new < len(names) else -1)
        for value, stay, new in zip(values, stays, drawn.tolist(), strict=True)
    ]


def _shares(column: Categories, index: dict[str, int]) -> Floats:
    """The share of each name, and of null last, shape (names + 1,)."""
    places: Ints = np.array([*(index[name] for name in column.vocabulary), len(index)])
    counts = np.bincount(places[column.codes], minlength=len(index) + 1)
    return counts / max(len(column.codes), 1)


def _name(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _value(vocabulary: Sequence[str], code: int) -> Any:
    if code < 0:
        return None
    return vocabulary[code] == "true" if set(vocabulary) <= {"true", "false"} else vocabulary[code]
