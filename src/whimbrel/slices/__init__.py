"""The smallest set of slices that holds the change of a metric between two plain tables, or between forecast and reality in one.

In: tables whose columns bear any names, and a metric. Out: `Slices`. `cli/` and notebooks may call.

The way of an answer: `doors` has the tables read as codes → `standard` takes off what the mix explains → `cube` sums by value and pair →
`measures` judge each cell → `search` finds the slices → `told` puts them into a `result`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from whimbrel.slices.doors import slices
from whimbrel.slices.result import Held, Mix, Slices

__all__ = ["Held", "Mix", "Slices", "slices"]


class _Room(ModuleType):
    """`whimbrel.slices` is this room and the question at once, whichever was imported first."""

    def __call__(
        self, before: Any, after: Any = None, *, metric: str | None = None, by: Sequence[str] = (), bins: Sequence[str] = (), depth: int = 3
    ) -> Slices:  # fmt: skip
        return slices(before, after, metric=metric, by=by, bins=bins, depth=depth)


sys.modules[__name__].__class__ = _Room
