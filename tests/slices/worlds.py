"""Planted root causes in leaf tables and in rows, with the truth beside them; `score` says how many are found.

Leaf tables are made as the public benchmarks are: 21,600 leaves of four attributes, volumes over six orders of magnitude, two fifths of
the leaves empty, a forecast with relative noise; 1-3 elements of one cuboid of layer 1-3 change by one ratio (Squeeze's B), each by its
own in cuboids of their own (RiskLoc's S), or the metric is a quotient (Squeeze's D).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whimbrel.model.rows import Bools, Floats, Ints

SIZES = (6, 36, 10, 10)
Named = frozenset[tuple[int, int]]
"""A slice: pairs of attribute and value."""


@dataclass(frozen=True)
class Case:
    """Codes, shape (n, attributes), real and predicted values, shape (n,), and the slices that were hit."""

    codes: Ints
    real: Floats
    predict: Floats
    truth: frozenset[Named]


def _volumes(rng: np.random.Generator) -> Floats:
    shape = np.ones(SIZES)
    for axis, size in enumerate(SIZES):
        weights = np.exp(rng.normal(0, 1.3, size))
        shape = shape * weights.reshape([-1 if a == axis else 1 for a in range(len(SIZES))])
    volumes = shape * np.exp(rng.normal(0, 1.5, SIZES)) * 50
    volumes[rng.random(SIZES) < 0.4] = 0.0
    return np.round(volumes).ravel()


def _codes() -> Ints:
    return np.stack(np.unravel_index(np.arange(int(np.prod(SIZES))), SIZES), axis=1)


def _elements(rng: np.random.Generator, codes: Ints, volumes: Floats, layer: int, count: int, share: float = 0.004) -> list[Named]:  # fmt: skip
    """Elements of one cuboid, each with leaves that are not empty, and some of the whole's volume."""
    while True:
        cuboid = sorted(rng.choice(len(SIZES), layer, replace=False))
        found: set[Named] = set()
        for _ in range(200):
            named = frozenset((int(a), int(rng.integers(SIZES[a]))) for a in cuboid)
            rows = inside(codes, named)
            if volumes[rows].sum() >= share * volumes.sum() / 4 ** (layer - 1) and (volumes[rows] > 0).sum() >= 3:
                found.add(named)
            if len(found) == count:
                return sorted(found, key=sorted)


def inside(codes: Ints, named: Named) -> Bools:
    """Which leaves lie in a slice."""
    held: Bools = np.all([codes[:, a] == v for a, v in named], axis=0)
    return held


def squeeze_b(seed: int, *, layer: int, elements: int, noise: float) -> Case:
    """One cuboid, one ratio."""
    rng = np.random.default_rng(seed)
    codes, predict = _codes(), _volumes(rng)
    real = predict * np.maximum(1 + rng.normal(0, max(noise, 1e-9), len(predict)), 0)
    drop = rng.uniform(0.25, 1.0) if rng.random() < 0.7 else -rng.uniform(0.3, 1.0)
    truth = _elements(rng, codes, predict, layer, elements)
    for named in truth:
        rows = inside(codes, named)
        real[rows] = predict[rows] * np.maximum(1 - rng.normal(drop, 0.02, int(rows.sum())), 0)
    return Case(codes, real, predict, frozenset(truth))


def riskloc_s(seed: int, *, causes: int, noise: float) -> Case:
    """Each cause in a cuboid of its own, with its own ratio; overlapping ones are drawn again."""
    rng = np.random.default_rng(seed)
    codes, predict = _codes(), _volumes(rng)
    real = predict * np.maximum(1 + rng.normal(0, max(noise, 1e-9), len(predict)), 0)
    taken = np.zeros(len(predict), np.bool_)
    truth: list[Named] = []
    ratios = rng.permutation(np.linspace(0.3, 0.95, causes)) if causes > 1 else rng.uniform(0.3, 0.95, 1)
    while len(truth) < causes:
        (named,) = _elements(rng, codes, predict, int(rng.integers(1, 4)), 1, 0.01)
        rows = inside(codes, named)
        if taken[rows].any():
            continue
        taken |= rows
        real[rows] = predict[rows] * np.maximum(1 - rng.normal(ratios[len(truth)], 0.02, int(rows.sum())), 0)
        truth.append(named)
    return Case(codes, real, predict, frozenset(truth))


def squeeze_d(seed: int, *, layer: int, elements: int, noise: float) -> Case:
    """A derived metric: real and predicted are quotients (a success rate) of noisy sums; the numerator's ratio changes."""
    rng = np.random.default_rng(seed)
    codes, tried = _codes(), _volumes(rng)
    rate = np.clip(0.8 + rng.normal(0, 0.05, len(tried)), 0.5, 1.0)
    held = tried > 0
    predict = np.where(held, rate, 0.0)
    real = predict * np.maximum(1 + rng.normal(0, max(noise, 1e-9), len(tried)), 0)
    drop = rng.uniform(0.2, 0.9)
    truth = _elements(rng, codes, tried, layer, elements)
    for named in truth:
        rows = inside(codes, named)
        real[rows] = predict[rows] * np.maximum(1 - rng.normal(drop, 0.02, int(rows.sum())), 0)
    return Case(codes, real, predict, frozenset(truth))


def f1(found: frozenset[Named], truth: frozenset[Named]) -> float:
    """Of the slices named and planted, as the benchmarks count them: a slice is right when it is exactly the same."""
    return 2 * len(found & truth) / max(len(found) + len(truth), 1)


# ---------------------------------------------------------------- rows


ROW_SIZES = {"country": 12, "device": 3, "channel": 5, "release": 4, "host": 20, "plan": 6}


def rows(seed: int, n: int, *, hit: dict[str, int] | None = None, effect: float = 0.0, binary: bool = False,
         mix: bool = False, everywhere: float = 0.0, keep: float = 1.0) -> tuple[dict[str, list[str] | Floats], dict[str, list[str] | Floats]]:  # fmt: skip
    """Two windows of rows with main effects and an interaction; in the later one `hit` moves by `effect`, or loses rows down to `keep`."""
    rng = np.random.default_rng(seed)
    shares = {c: rng.dirichlet(np.full(k, 3.0)) for c, k in ROW_SIZES.items()}
    effects = {c: rng.normal(0, 0.05 if binary else 8, k) for c, k in ROW_SIZES.items()}
    windows = []
    for late in (False, True):
        picked = {}
        for column, size in ROW_SIZES.items():
            share = shares[column]
            if late and mix and column in ("country", "plan"):
                share = np.roll(share, 1)
            picked[column] = rng.choice(size, n, p=share)
        level = (0.3 if binary else 100.0) + np.sum([effects[c][picked[c]] for c in ROW_SIZES], axis=0)
        level = level + np.where((picked["country"] == 1) & (picked["device"] == 1), 0.1 if binary else 15.0, 0.0)
        inside_ = np.ones(n, np.bool_)
        for column, value in (hit or {}).items():
            inside_ &= picked[column] == value
        if late:
            level = level + everywhere + (effect * inside_ if hit else 0.0)
        value = (
            (rng.random(n) < np.clip(level, 0.01, 0.99)).astype(float) if binary else level + rng.gamma(2.0, 15.0, n)
        )
        kept = np.ones(n, np.bool_) if not late or keep == 1.0 else ~inside_ | (rng.random(n) < keep)
        table: dict[str, list[str] | Floats] = {c: [f"{c[:2]}{v}" for v in picked[c][kept]] for c in ROW_SIZES}
        windows.append(table | {"value": value[kept], "id": [f"r{late:d}{i:06d}" for i in np.flatnonzero(kept)]})
    return windows[0], windows[1]
