"""Flat records, as the log holds them: values by dotted path. How two values are held to be the same; how groups are rebuilt."""

from __future__ import annotations

from typing import Any, TypeAlias

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


def nested(record: Record, group: str) -> dict[str, Any]:
    """The fields under a path, as nested dictionaries by their names there."""
    out: dict[str, Any] = {}
    for path, value in record.items():
        if path.startswith(f"{group}."):
            *around, last = path[len(group) + 1 :].split(".")
            at = out
            for name in around:
                inner = at.setdefault(name, {})
                if not isinstance(inner, dict):
                    inner = at[name] = {"_": inner}
                at = inner
            at[last] = value
    return out
