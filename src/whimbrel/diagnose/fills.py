"""What a step puts where nothing came: golden's own fill (a median, a category's mean, a constant), or something that golden never put there.

In: a `Case` and golden's relations. Out: channels for single values that hold far more of the filled rows than golden's days gave to one. They
are few among all rows, where a value that is common anyway, or a store that is refreshed by night, would hide them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from whimbrel.diagnose.atoms import channels_of_atoms
from whimbrel.diagnose.case import Case
from whimbrel.diagnose.contracts import LEAST_FIXED
from whimbrel.diagnose.relations import Relation
from whimbrel.diagnose.scan import Channel
from whimbrel.model.fields import Role


def channels(case: Case, relations: Mapping[str, Relation]) -> list[Channel]:
    """A channel for each value that stands out among a step's fills, NaN on all rows that it did not fill."""
    out = []
    for variable in case.of(Role.STEP):
        relation = relations.get(variable.name)
        if variable.numbers is None or variable.derived or relation is None or not relation.exact:
            continue
        parents = [case.variables[name] for name in relation.parents if name in case.variables]
        filled = np.logical_or.reduce([parent.missing for parent in parents]) & ~variable.missing if parents else None
        if filled is not None and (filled & case.golden).sum() >= LEAST_FIXED:
            atoms = channels_of_atoms(case, replace(variable, numbers=np.where(filled, variable.numbers, np.nan)))
            out += [replace(one, detail={**one.detail, "filled": parents[0].path}) for one in atoms]
    return out
