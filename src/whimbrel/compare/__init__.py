"""A window against golden: schema, missing, ranges, distributions, mix. It says what moved, not who is to blame.

In: two profiles on golden's bins (`compare_profiles`), two tables (`compare`), or a log and two windows
(`compare_log`). Out: a `Comparison`. `diagnose/`, `drill/` and `cli/` may call.

The way of an answer: `doors` gets the profiles (`kept` has what was read before, `ahead` profiles what comes in, `saved` is their format) →
`mix` gives golden the window's mix → `questions` are asked of each column → `natural` says how restless golden is by itself → `judged` and
`words` make the answer.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from whimbrel.compare.doors import compare, compare_log, golden_profile
from whimbrel.compare.judged import compare_profiles
from whimbrel.compare.result import Comparison, Mix, Movement
from whimbrel.compare.saved import decode, encode

__all__ = [
    "Comparison",
    "Mix",
    "Movement",
    "compare",
    "compare_log",
    "compare_profiles",
    "decode",
    "encode",
    "golden_profile",
]


class _Room(ModuleType):
    """`whimbrel.compare` is this room and the question at once, whichever was imported first."""

    def __call__(self, golden: Any, table: Any, **options: Any) -> Comparison:
        return compare(golden, table, **options)


sys.modules[__name__].__class__ = _Room
