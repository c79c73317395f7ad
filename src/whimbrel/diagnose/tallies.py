"""A number that counts which fields are null: how many were filled, the share of a form that is empty.

In: a number and the fields that came before it. Out: the relation, where golden's number always is a sum over null fields.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from whimbrel.diagnose.case import Variable
from whimbrel.diagnose.forms import EXACT_SHARE, least_squares
from whimbrel.diagnose.links import IDENTITY
from whimbrel.diagnose.relations import Relation, Split

_SOMETIMES = 10
"""Rows on which a field must be null, and not null, to be counted."""


def tallied(parts: Split, target: Variable, parents: Sequence[Variable]) -> Relation | None:
    """The sum over null fields that the number is; None where it is none, or takes more values than so many fields can be."""
    flags: dict[str, Variable] = {}
    for parent in parents:
        nulls = int(parent.missing[parts.train].sum())
        if min(nulls, parts.train.size - nulls) >= _SOMETIMES and parent.path not in flags:
            flags[parent.path] = replace(parent, numbers=parent.missing.astype(np.float64), codes=None)
    if len(flags) < 2 or target.distinct > 2 ** len(flags):
        return None
    return least_squares(parts, target, list(flags.values()), IDENTITY, IDENTITY, "tally", EXACT_SHARE)
