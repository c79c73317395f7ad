"""The material that a report draws: series over time, ranked slices, shapes of fields, example rows, movements in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from whimbrel.diagnose import words
from whimbrel.diagnose.case import DAY_US, HOUR_US, Case, Dimension, Variable
from whimbrel.diagnose.causes import Cause
from whimbrel.diagnose.suspects import Suspect
from whimbrel.model.report import Point, Shape, Slice, Traffic
from whimbrel.model.rows import Bools
from whimbrel.model.window import Condition, from_micros, iso

_POINTS = 96


def measure_words(suspect: Suspect) -> str:
    """What the series and the slices measure."""
    channel = suspect.hit.channel
    if channel.signature == "broken":
        return f"share of predictions whose {channel.component} breaks golden's relation"
    if channel.binary:
        return f"share of predictions with {channel.component}: {words.of_text(channel)}{channel.signature}"
    return f"{channel.component}: {words.of_text(channel)}{channel.signature}"


def series(case: Case, suspect: Suspect) -> tuple[Point, ...]:
    """The channel's mean inside the slice over time, golden's last stretch first, then the window."""
    values = suspect.hit.channel.values
    judged = suspect.inside & np.isfinite(values)
    start = int(case.ts[case.window].min())
    end = int(case.ts[case.window].max())
    length = max(end - start, HOUR_US)
    rows = np.flatnonzero(judged & (case.ts >= start - 2 * length))
    if rows.size < 2:
        return ()
    first = int(case.ts[rows].min())
    step = next(s for s in (HOUR_US // 4, HOUR_US, 3 * HOUR_US, 6 * HOUR_US, DAY_US, 7 * DAY_US, 10**18)
                if (end - first) // s < _POINTS)  # fmt: skip
    bins = (case.ts[rows] - first // step * step) // step
    out = []
    for b in np.unique(bins):
        chosen = values[rows[bins == b]]
        mean, n = float(chosen.mean()), int(chosen.size)
        low, high = _interval(mean, n, float(chosen.std()), suspect.hit.channel.binary)
        out.append(Point(from_micros(int(first // step * step + b * step)), mean, low, high, n))
    return tuple(out)


def _interval(mean: float, n: int, spread: float, binary: bool) -> tuple[float, float]:
    """95% interval: Wilson's for shares, normal for means."""
    z = 1.96
    if not binary:
        half = z * spread / math.sqrt(max(n, 1))
        return mean - half, mean + half
    centre = (mean + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(mean * (1 - mean) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def slices(case: Case, suspect: Suspect) -> tuple[Slice, ...]:
    """The named slice first, then the values that move most, each with the rest of traffic."""
    after = case.window & (case.ts >= suspect.since_us)
    out = [_slice(case, suspect, suspect.where, suspect.inside, after)]
    singles = []
    for dimension in case.dimensions:
        for code, value in enumerate(dimension.values):
            where = (Condition(dimension.path, value),)
            inside = dimension.codes == code
            if where != suspect.where and (inside & after).sum() >= 12:
                singles.append(_slice(case, suspect, where, inside, after))
    singles.sort(key=lambda s: -abs(s.explains))
    return (*out, *singles[:7])


def _slice(case: Case, suspect: Suspect, where: tuple[Condition, ...], inside: Bools, after: Bools) -> Slice:
    values, excess = suspect.hit.channel.values, np.nan_to_num(suspect.hit.excess)
    judged = np.isfinite(suspect.hit.excess)

    def mean(rows: Bools) -> float:
        chosen = values[rows & judged]
        return float(chosen.mean()) if chosen.size else 0.0

    rows = inside & after & judged
    total = float(excess[after].sum())
    level = mean(rows)
    low, high = _interval(level, max(int(rows.sum()), 1), float(values[rows].std()) if rows.any() else 0.0,
                          suspect.hit.channel.binary)  # fmt: skip
    return Slice(
        where, int(rows.sum()), mean(inside & case.golden), level, low, high,
        round(float(excess[rows].sum()) / total, 4) if total else 0.0,
        mean(~inside & case.golden), mean(~inside & after),
    )  # fmt: skip


def shapes(case: Case, cause: Cause) -> tuple[Shape, ...]:
    """Distributions inside the slice, before and after: the component's and its first victims'."""
    wanted = [cause.suspect.component, *cause.victims, "outputs.score", "decision", "spans.total"]
    out: list[Shape] = []
    for path in dict.fromkeys(wanted):
        variable = case.variables.get(path)
        if variable is not None and len(out) < 4:
            shape = _shape(case, cause.suspect, variable)
            if shape is not None:
                out.append(shape)
    return tuple(out)


def _shape(case: Case, suspect: Suspect, variable: Variable) -> Shape | None:
    base, after = suspect.inside & case.golden & ~variable.missing, suspect.affected & ~variable.missing
    if base.sum() < 10:
        base = case.golden & ~variable.missing
    if base.sum() < 10 or after.sum() < 5:
        return None
    if variable.numbers is not None:
        known = np.concatenate([variable.numbers[base], variable.numbers[after]])
        known = known[np.isfinite(known)]
        low, high = np.quantile(known, [0.005, 0.995])
        if low == high:
            high = low + 1
        edges = np.linspace(low, high, 25)
        counts = [np.histogram(np.clip(variable.numbers[r], low, high), edges)[0] for r in (base, after)]
        names = tuple(f"{a:.4g}" for a in edges[:-1])
    else:
        assert variable.codes is not None
        size = len(variable.vocabulary)
        both = [np.bincount(variable.codes[r], minlength=size) for r in (base, after)]
        top = np.argsort(-(both[0] / max(both[0].sum(), 1) + both[1] / max(both[1].sum(), 1)))[:12]
        counts = [c[top] for c in both]
        names = tuple(variable.vocabulary[i][:60] for i in top)
    before, now = (tuple(float(x) for x in np.round(c / max(c.sum(), 1), 5)) for c in counts)
    return Shape(variable.path, names, before, now)


def examples(case: Case, cause: Cause, most: int = 5) -> tuple[Mapping[str, Any], ...]:
    """The first rows that show it: id, time, and the fields that matter to the story."""
    suspect = cause.suspect
    rows = np.flatnonzero(suspect.bad)
    rows = rows[np.argsort(case.ts[rows], kind="stable")][:most]
    relation = suspect.hit.channel.detail.get("relation")
    paths = [
        suspect.component,
        *(relation.parents[:2] if relation else ()),
        *cause.victims[:2],
        "outputs.score",
        "decision",
    ]
    out: list[Mapping[str, Any]] = []
    for i in rows:
        row: dict[str, Any] = {"id": case.ids[i], "ts": iso(from_micros(int(case.ts[i])))}
        for path in dict.fromkeys(paths):
            if path in case.variables:
                row[path] = _value(case.variables[path], int(i))
        if relation is not None and relation.exact:
            row[f"{relation.target} on golden"] = _expected(case.variables[relation.target], relation.expected[i])
        out.append(row)
    return tuple(out)


def _value(variable: Variable, i: int) -> float | str | None:
    if variable.numbers is not None:
        value = float(variable.numbers[i])
        return None if math.isnan(value) else value
    assert variable.codes is not None
    code = int(variable.codes[i])
    return variable.vocabulary[code][:120] if code >= 0 else None


def _expected(variable: Variable, expected: float) -> float | str | None:
    if not math.isfinite(expected):
        return None
    return float(expected) if variable.numbers is not None else variable.vocabulary[int(expected)][:120]


def movement(case: Case, suspect: Suspect) -> str:
    """A soft departure in words."""
    channel = suspect.hit.channel
    if channel.signature.startswith("share:"):
        return f"{words.of_text(channel)}share of {channel.signature[6:]!r} {100 * suspect.before:.1f}% → {100 * suspect.after:.1f}%"
    if channel.binary:
        return f"{words.of_text(channel)}{channel.signature}: {100 * suspect.before:.1f}% → {100 * suspect.after:.1f}%"
    variable = case.variables.get(str(channel.detail.get("variable", channel.component)))
    if variable is not None and variable.numbers is not None:
        base, after = variable.numbers[suspect.inside & case.golden], variable.numbers[suspect.affected]
        base, after = base[np.isfinite(base)], after[np.isfinite(after)]
        if base.size and after.size:
            return f"{words.of_text(channel)}median {np.median(base):.4g} → {np.median(after):.4g}"
    return f"{words.of_text(channel)}{channel.signature} moved by {suspect.shift:+.2f}"


def mix(case: Case, least: float = 0.04) -> tuple[Traffic, ...]:
    """Dimension values whose share of traffic changed most."""
    found = []
    for dimension in case.dimensions:
        if dimension.path.startswith(("code.", "inputs.")):
            continue
        before, after = (_shares(dimension, rows) for rows in (case.golden, case.window))
        for code in np.argsort(-np.abs(after - before))[:2]:
            gap = after[code] - before[code]
            if abs(gap) >= least:
                verb = (
                    "appeared with"
                    if before[code] == 0
                    else "went to"
                    if after[code] == 0
                    else "grew to"
                    if gap > 0
                    else "shrank to"
                )
                said = f"{dimension.path}: {dimension.values[code]} {verb} {100 * after[code]:.0f}% of traffic from {100 * before[code]:.0f}%"
                found.append((abs(gap), Traffic(said)))
    return tuple(t for _, t in sorted(found, key=lambda pair: -pair[0])[:5])


def _shares(dimension: Dimension, rows: Bools) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    codes = dimension.codes[rows]
    counts = np.bincount(codes[codes >= 0], minlength=len(dimension.values))
    return counts / max(int(counts.sum()), 1)
