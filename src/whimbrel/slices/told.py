"""From an explanation to an answer: values before and after, intervals, shares of the change, and what kind of answer it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import exp, inf, isfinite, log, nan, sqrt

import numpy as np

from whimbrel.model.rows import Bools, Floats
from whimbrel.slices.cube import Records
from whimbrel.slices.measures import Evidence
from whimbrel.slices.result import Held, Mix, Slices, Verdict
from whimbrel.slices.search import SURE, Explanation
from whimbrel.store.plain import Plain

_Z = 1.96


@dataclass(frozen=True, eq=False)
class Case:
    """What was asked, over which rows.

    `windows` are the rows before and after (the same leaves twice), `values` their measured values, shape (n,) each; `noise`, shape (n,), is
    the standard deviation of each leaf's value, by the forecast. Means move by differences, everything else by ratios.
    """

    metric: str
    plain: Plain
    windows: tuple[Records, Records]
    values: tuple[Floats, Floats]
    mean: bool
    noise: Floats | None = None
    mix: Mix | None = None
    notes: tuple[str, ...] = ()

    def whole(self) -> Held:
        """How everything moved, mix and all."""
        before, after = self.values
        if not self.mean:
            return self._ratio({}, before, after, self.noise)
        error = sqrt(float(before.var()) / len(before) + float(after.var()) / len(after))
        return self._difference({}, before, after, float(after.mean() - before.mean()), error)

    def part(self, where: Mapping[str, str | None], inside: Sequence[Bools], effect: float, variance: float) -> Held:
        """How the rows inside moved: a mean by its effect, which knows the mix; anything else by its sums."""
        before, after = (v[mask] for v, mask in zip(self.values, inside, strict=True))
        if self.mean:
            return self._difference(where, before, after, effect, sqrt(variance) if isfinite(variance) else inf)
        return self._ratio(where, before, after, None if self.noise is None else self.noise[inside[0]])

    def _difference(self, where: Mapping[str, str | None], before: Floats, after: Floats, shift: float, error: float) -> Held:  # fmt: skip
        first, second = (float(v.mean()) if len(v) else nan for v in (before, after))
        held = shift * len(after) / len(self.values[1])
        return Held(where, first, second, shift, shift - _Z * error, shift + _Z * error, held, len(before), len(after))

    def _ratio(self, where: Mapping[str, str | None], before: Floats, after: Floats, noise: Floats | None) -> Held:
        first, second = float(before.sum()), float(after.sum())
        rows = len(before), len(after)
        if noise is not None:
            base = first or nan
            error = float(np.sqrt((noise**2).sum()))
            low, high = max((second - first - _Z * error) / base, -1.0), (second - first + _Z * error) / base
            return Held(where, first, second, (second - first) / base, low, high, second - first, *rows)
        if first <= 0 or second <= 0:
            shift = (second - first) / abs(first) if first else inf if second else 0.0
            return Held(where, first, second, shift, shift, shift, second - first, *rows)
        error = sqrt(float((before**2).sum()) / first**2 + float((after**2).sum()) / second**2)
        low, high = (exp(log(second / first) + sign * _Z * error) - 1 for sign in (-1, 1))
        return Held(where, first, second, second / first - 1, low, high, second - first, *rows)


def answer(case: Case, evidence: Evidence, found: Explanation) -> Slices:
    """The answer: slices by what they explain, the rest, and what kind of answer it is."""
    attributes = case.plain.attributes
    left = [np.ones(len(w), np.bool_) for w in case.windows]
    parts = []
    for one in found.slices:
        inside = [w.inside(one.cuboid, one.cell) & mask for w, mask in zip(case.windows, left, strict=True)]
        left = [mask & ~held for mask, held in zip(left, inside, strict=True)]
        where = {attributes[a].name: attributes[a].values[v] for a, v in zip(one.cuboid, one.cell, strict=True)}
        parts.append(case.part(where, inside, one.effect + found.background, one.variance))
    effect, variance = (float(x[0]) for x in found.rest.judge((), found.rest.tables[()]))
    rest = case.part({}, left, effect + found.background, variance)
    whole = case.whole()
    sure = whole.low > 0 or whole.high < 0
    total = (whole.after - whole.before) if sure else nan
    parts, rest = [_explained(one, total) for one in parts], _explained(rest, total)
    if isfinite(total):
        parts.sort(key=lambda one: -abs(one.explains))
    return Slices(
        metric=case.metric, verdict=_verdict(case, evidence, found), before=whole.before, after=whole.after,
        shift=whole.shift, low=whole.low, high=whole.high, relative=not case.mean, slices=tuple(parts), rest=rest, mix=case.mix,
        rows=case.plain.rows, by=tuple(a.name for a in attributes), left_out=case.plain.left_out, notes=case.notes,
    )  # fmt: skip


def _explained(one: Held, total: float) -> Held:
    return replace(one, explains=one.explains / total if total else nan)


def _verdict(case: Case, evidence: Evidence, found: Explanation) -> Verdict:
    if found.slices and not found.background:
        return "slices"
    effect, variance = (float(x[0]) for x in evidence.judge((), evidence.tables[()]))
    if found.background or effect**2 / variance > SURE:
        return "everywhere"
    if case.mix is not None and abs(case.mix.shift) > (case.mix.high - case.mix.shift) * sqrt(SURE) / _Z:
        return "mix"
    return "nothing"
