"""Flat records, as the log holds them: values by dotted path. How two values are held to be the same; how groups are rebuilt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from whimbrel.model.records import Records
from whimbrel.model.rows import Floats

Record: TypeAlias = dict[str, Any]
"""Values by path: numbers, texts, booleans, times, lists of numbers or of texts. Nulls are left out."""


def same(a: Any, b: Any) -> bool:
    """Whether two recorded values are equal; nan equals nan, 1 equals 1.0, and True is 1 as lists of both are."""
    if a == b:
        return True
    if a != a and b != b:
        return True
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return False


def gap(a: Any, b: Any, scale: float = 0.0) -> float:
    """The relative difference of two values; 0 where they are the same, infinite where they are no numbers alike.

    It is relative to the greater of the two, or to `scale` where that is greater still.
    """
    if same(a, b):
        return 0.0
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return max(gap(x, y, scale) for x, y in zip(a, b, strict=True))
    if isinstance(a, str | bool) or isinstance(b, str | bool):
        return 0.0 if str(a) == str(b) else math.inf  # classes that are recorded as text
    if isinstance(a, int | float) and isinstance(b, int | float):
        apart = abs(a - b)
        return float(apart / max(abs(a), abs(b), scale)) if math.isfinite(apart) else math.inf
    return math.inf


def gaps(first: Records, second: Records, paths: Sequence[str]) -> Floats:
    """`gap` of each of these fields in each of `n` records, shape (n, paths)."""
    out = np.zeros((len(first), len(paths)))
    plain = [j for j, path in enumerate(paths) if path not in first.others and path not in second.others]
    names = [paths[j] for j in plain]
    a, b = first.matrix(names), second.matrix(names)
    unlike = a != b  # nan, which stands for null as well, is unlike itself
    if some := np.flatnonzero(unlike.any(axis=0)).tolist():
        x, y, fields = a[:, some], b[:, some], [names[j] for j in some]
        with np.errstate(invalid="ignore", over="ignore"):
            apart = np.abs(x - y) / np.maximum(np.abs(x), np.abs(y))
        alike = ~unlike[:, some] | (np.isnan(x) & np.isnan(y) & (first.held(fields) == second.held(fields)))
        out[:, [plain[j] for j in some]] = np.where(alike, 0.0, np.where(np.isnan(apart), np.inf, apart))
    for j in set(range(len(paths))).difference(plain):
        r, c = first.objects(paths[j]), second.objects(paths[j])
        for i in np.flatnonzero(r != c):
            out[i, j] = gap(r[i], c[i])
    return out


def nested(record: Record, group: str) -> dict[str, Any]:
    """The fields under a path, as nested dictionaries by their names there."""
    out: dict[str, Any] = {}
    head = f"{group}."
    for path, value in record.items():
        if path.startswith(head):
            *around, last = path[len(head) :].split(".")
            at = out
            for name in around:
                inner = at.setdefault(name, {})
                if not isinstance(inner, dict):
                    inner = at[name] = {"_": inner}
                at = inner
            at[last] = value
    return out
