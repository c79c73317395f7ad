"""What a step does where it falls back: golden's own fill (a median, a category's mean, a constant), its own rule, or something that golden never did.

In: a `Case` and golden's relations. Out: channels for single values that hold far more of the filled rows than golden's days gave to one, and
for relations that hold where a step says that it went another way (its source is another). They are few among all rows, where a value that
is common anyway, or a store that is refreshed by night, would hide them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from whimbrel.diagnose.atoms import HANDFUL, channels_of_atoms
from whimbrel.diagnose.boundaries import upstream
from whimbrel.diagnose.case import Case
from whimbrel.diagnose.contracts import LEAST_FIXED
from whimbrel.diagnose.learning import exact
from whimbrel.diagnose.relations import Relation, Split, held_out
from whimbrel.diagnose.scan import Channel
from whimbrel.model.fields import Role

SELDOM = 0.3
"""The share of a step's rows up to which a way that it goes is another than its usual one."""


def channels(case: Case, relations: Mapping[str, Relation]) -> list[Channel]:
    """A channel for each value that stands out among a step's fills, NaN on all rows that it did not fill; and for each relation that holds there alone."""
    out = _other_ways(case, relations)
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


def _other_ways(case: Case, relations: Mapping[str, Relation]) -> list[Channel]:
    """Numbers of a step that on golden followed from others where it went a way that it seldom goes, and nowhere else; 1 where they no longer do."""
    out = []
    for way in case.of(Role.STEP):
        if way.codes is None or way.derived or not 1 < way.distinct <= HANDFUL:
            continue
        beside = [v for v in case.of(Role.STEP) if v.field.step == way.field.step and v.numbers is not None]
        beside = [v for v in beside if not v.derived]
        loose = [v for v in beside if v.name not in relations or not relations[v.name].exact]
        counts = np.bincount(way.codes[case.golden & ~way.missing], minlength=len(way.vocabulary))
        for code in np.flatnonzero((counts >= LEAST_FIXED) & (counts <= SELDOM * counts.sum())):
            rows = way.codes == code
            golden = np.flatnonzero(rows & case.golden)
            checks = held_out(case, golden)
            parts = Split(golden[~checks], golden[checks])
            for target in loose:
                before = beside[: beside.index(target)]
                found = exact(case, parts, target, [*before, *upstream(case, target.field)])
                if found is not None:
                    detail = {"relation": found, "variable": target.name, "way": way.vocabulary[code]}
                    values = np.where(rows, found.surprise, np.nan)
                    out.append(
                        Channel(target.path, "features", "broken", "residual", values, exact=True, detail=detail)
                    )
    return out
