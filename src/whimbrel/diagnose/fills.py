"""What a step does where it falls back: golden's own fill (a median, a category's mean, a constant), its own rule, or something that golden never did.

In: a `Case` and golden's relations. Out: channels for single values that hold far more of the filled rows than golden's days gave to one, and
for relations that hold where a step says that it went another way (its source is another). They are few among all rows, where a value that
is common anyway, or a store that is refreshed by night, would hide them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from whimbrel.diagnose.atoms import HANDFUL, channels_of_atoms
from whimbrel.diagnose.boundaries import upstream
from whimbrel.diagnose.case import Case, Variable
from whimbrel.diagnose.contracts import LEAST_FIXED
from whimbrel.diagnose.learning import exact
from whimbrel.diagnose.relations import Relation, Split, held_out
from whimbrel.diagnose.scan import LAYER_OF, Channel
from whimbrel.model.fields import Role
from whimbrel.model.rows import Bools, Floats, Ints

SELDOM = 0.3
"""The share of a step's rows up to which a way that it goes is another than its usual one."""
_SEVERAL_ROWS, MOSTLY_ONE, _NARROW = 30, 0.9, 0.2
"""Rows of a key that say what its values are, and that show a default; the share of the far ones that it is; the part of its size that a key's
values may span, and by which they may wander."""
_GRADES = 4
"""Different values from which on several keys that each have one of their own do not come to share one."""
_PATTERNS = 6
"""Parents of which it is asked which were null together."""


def channels(case: Case, relations: Mapping[str, Relation]) -> list[Channel]:
    """A channel for each value that stands out among a step's fills, NaN on all rows that it did not fill; and for each relation that holds there alone."""
    out = _other_ways(case, relations) + _in_want(case, relations) + _for_several(case, relations)
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
            for target in loose:
                before = beside[: beside.index(target)]
                found = _held(case, rows, target, [*before, *upstream(case, target.field)])
                if found is not None:
                    out.append(_broken(target, found, rows, f"those that went by {way.vocabulary[code]!r}"))
    return out


def _in_want(case: Case, relations: Mapping[str, Relation]) -> list[Channel]:
    """What golden made of the rest where some of what a number follows from was null (a mean of those that are there); 1 where it is no longer made so.

    What was looked up for want of it (a month's usual value) is left to `channels_of_atoms`: next month's is another.
    """
    out = []
    for target in case.of(Role.STEP, Role.OUTPUT):
        relation = relations.get(target.name)
        if target.numbers is None or target.derived or relation is None or not relation.exact:
            continue
        parents = [case.variables[name] for name in relation.parents if name in case.variables]
        parents = [p for p in parents if p.missing.any() and p.numbers is not None][:_PATTERNS]
        silent = ~np.isfinite(relation.surprise) & ~target.missing
        pattern = sum(
            (p.missing.astype(np.int64) << i for i, p in enumerate(parents)), np.zeros(case.ts.size, dtype=np.int64)
        )
        pattern = np.where(silent, pattern, 0)
        counts = np.bincount(pattern[case.golden])
        counts[0] = 0
        for wanting in np.flatnonzero(counts >= LEAST_FIXED):
            rows = pattern == wanting
            missing = [p for i, p in enumerate(parents) if wanting >> i & 1]
            known = [*upstream(case, target.field), *(v for v in case.of(Role.CONTEXT) if not v.derived)]
            found = _held(case, rows, target, [p for p in known if p not in missing])
            if found is not None:
                out.append(_broken(target, found, rows, f"those without {' and '.join(p.path for p in missing)}"))
    return out


def _for_several(case: Case, relations: Mapping[str, Relation]) -> list[Channel]:
    """One and the same value for several keys that each had another in golden: what a look-up gives where it finds nothing; 1 where it does.

    The value may be common (a rate of 1, for those who pay in euros); for these keys it lies far beyond all that they ever had.
    """
    out = []
    for variable in case.of(Role.STEP, Role.INPUT):
        made = relations.get(variable.name)
        if variable.numbers is None or variable.derived or (made is not None and made.exact):
            continue
        often = np.bincount(variable.kinds[case.window & ~variable.missing], minlength=1).max()
        if (
            variable.distinct < _GRADES or often < _SEVERAL_ROWS
        ):  # a flag is the same for most; where no value comes again none is a default
            continue
        for path, codes in case.categories.items():
            far = _beyond_their_own(variable.numbers, codes, case.golden)
            asked = case.window & (far == 1)
            if asked.sum() < _SEVERAL_ROWS:
                continue
            values, counts = np.unique(variable.numbers[asked], return_counts=True)
            one = values[counts.argmax()]
            here = asked & (variable.numbers == one)
            own = [
                np.median(variable.numbers[case.golden & (codes == key) & ~variable.missing])
                for key in np.unique(codes[here])
            ]
            if counts.max() < MOSTLY_ONE * asked.sum() or np.ptp(own) <= _NARROW * np.abs(own).max():
                continue
            hit = np.where(np.isfinite(far), (far == 1) & (variable.numbers == one), np.nan)
            layer, detail = LAYER_OF[variable.field.role], {"value": float(one), "by": path}
            out.append(Channel(variable.path, layer, "default", "invariant", hit, floor=0.01, detail=detail))
            break
    return out


def _beyond_their_own(numbers: Floats, codes: Ints, golden: Bools) -> Floats:
    """1 where a number lies far beyond all that golden's rows of its key had, else 0, shape (n,); NaN where the key is unknown, or has no range of its own."""
    known = golden & (codes >= 0) & np.isfinite(numbers)
    size = int(codes.max(initial=-1)) + 1
    counts = np.bincount(codes[known], minlength=size)
    low, high = np.full(size, np.inf), np.full(size, -np.inf)
    np.minimum.at(low, codes[known], numbers[known])
    np.maximum.at(high, codes[known], numbers[known])
    own = (counts >= _SEVERAL_ROWS) & (high - low <= _NARROW * np.maximum(np.abs(low), np.abs(high)))
    spare = np.where(own, np.maximum(high - low, _NARROW * np.maximum(np.abs(low), np.abs(high))), 0.0)
    far = (numbers < (low - spare)[codes]) | (numbers > (high + spare)[codes])
    return np.where((codes >= 0) & own[codes] & np.isfinite(numbers), far, np.nan)


def _held(case: Case, rows: Bools, target: Variable, parents: Sequence[Variable]) -> Relation | None:
    """The exact relation that golden kept on these rows, shape (n,), of them alone."""
    golden = np.flatnonzero(rows & case.golden)
    checks = held_out(case, golden)
    return exact(case, Split(golden[~checks], golden[checks]), target, parents)


def _broken(target: Variable, relation: Relation, rows: Bools, some: str) -> Channel:
    detail = {"relation": relation, "variable": target.name, "some": some}
    values = np.where(rows, relation.surprise, np.nan)
    layer = "model" if target.field.role is Role.OUTPUT else "features"
    return Channel(target.path, layer, "broken", "residual", values, exact=True, detail=detail)
