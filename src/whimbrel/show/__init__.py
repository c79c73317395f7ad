"""One prediction end to end: what came in, each step, what went out, where each stands in golden, and who was like it.

In: a log and an id. Out: a `Prediction`. `cli/` may call.

The way of an answer: the log finds the record and golden's rows → `standing` places each value among them →
`neighbours` finds those whose inputs are nearest → `doors` puts it together.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from whimbrel.show.doors import show
from whimbrel.show.result import Neighbour, Prediction, Standing, Value

__all__ = ["Neighbour", "Prediction", "Standing", "Value", "show"]


class _Room(ModuleType):
    """`whimbrel.show` is this room and the question at once, whichever was imported first."""

    def __call__(self, log: Any, ident: str, **options: Any) -> Prediction:
        return show(log, ident, **options)


sys.modules[__name__].__class__ = _Room
