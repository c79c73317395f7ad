"""Charts as SVG text, drawn on the server side: a line with its band, a dumbbell, a bar, a small histogram.

In: numbers. Out: one `<svg>` element that names itself for screen readers (`role="img"`, `<title>`), coloured by the
classes of `templates/style.css` so that light and dark are the page's choice. Every text is escaped. Works for no
point, one point, a constant and infinities.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from html import escape
from itertools import pairwise

from whimbrel.model.report import NearEvent, Point, Shape
from whimbrel.report.axes import Scale, number_ticks, time_ticks, value_range
from whimbrel.report.words import Unit, lag, moment, number, share, visible

_CHARACTER = 6.2
"""About how wide a character of the axis labels (11 px) is."""


def line(
    series: Sequence[Point], *, title: str, unit: Unit = number, onset: datetime | None = None,
    events: Sequence[NearEvent] = (), width: int = 1000, height: int = 210, most: int = 400,
) -> str:  # fmt: skip
    """A measure over time with its 95% band; what lies after the onset is tinted, events are marked at the foot."""
    points = thinned([p for p in series if math.isfinite(p.value)], most)
    if not points:
        return _svg(width, 60, title, [_text(width / 2, 34, "no measurement over time", "axis", "middle")])
    points = [replace(p, low=_or(p.low, p.value), high=_or(p.high, p.value)) for p in points]
    low, high = value_range([v for p in points for v in (p.low, p.value, p.high)], from_zero=unit is share)
    ticks = number_ticks(low, high, 5)
    labels = _tick_labels(ticks, unit)
    left, right, foot = max(len(text) for text in labels) * _CHARACTER + 10, width - 12, height - 24.0
    y = Scale(low, high, foot, 12)
    since, until = _ends(points, onset)
    seconds = Scale(0, (until - since).total_seconds(), left, right)

    def x(ts: datetime) -> float:
        return seconds((ts - since).total_seconds())

    parts = _time_axis(since, until, seconds, foot, width)
    for tick, text in zip(ticks, labels, strict=True):
        parts.append(f'<path class="grid" d="M{left:.1f} {y(tick):.1f}H{right}"/>')
        parts.append(_text(left - 6, y(tick) + 4, text, "axis", "end"))
    if onset is not None:
        parts += _onset(x(onset), right, foot)
    for run in _runs(points):
        parts += _trace([(x(p.ts), y(p.low), y(p.value), y(p.high)) for p in run])
    parts += [_event(event, x(event.ts), foot) for event in events if since <= event.ts <= until]
    return _svg(width, height, title, parts)


def _runs(points: Sequence[Point]) -> list[list[Point]]:
    """Stretches without a gap; a gap is three times as long as half of the steps are."""
    steps = sorted((b.ts - a.ts for a, b in pairwise(points)), reverse=True)
    out = [[points[0]]]
    for a, b in pairwise(points):
        if len(points) > 3 and b.ts - a.ts > 3 * steps[len(steps) // 2]:
            out.append([])
        out[-1].append(b)
    return out


def _trace(places: Sequence[tuple[float, float, float, float]]) -> list[str]:
    """One stretch of the line with its band; a lone point as a dot with its interval."""
    if len(places) == 1:
        ((x, low, middle, high),) = places
        return [f'<path class="stem" d="M{x:.1f} {low:.1f}V{high:.1f}"/>', _dot(x, middle, "point", 3)]
    up = " ".join(f"{x:.1f},{high:.1f}" for x, _, _, high in places)
    down = " ".join(f"{x:.1f},{low:.1f}" for x, low, _, _ in reversed(places))
    path = " ".join(f"{x:.1f},{middle:.1f}" for x, _, middle, _ in places)
    return [f'<polygon class="band" points="{up} {down}"/>', f'<polyline class="line" fill="none" points="{path}"/>']


def _or(value: float, other: float) -> float:
    return value if math.isfinite(value) else other


def _ends(points: Sequence[Point], onset: datetime | None) -> tuple[datetime, datetime]:
    times = [p.ts for p in points] + ([onset] if onset else [])
    since, until = min(times), max(times)
    if since == until and 1 < since.year < 9999:
        since, until = since - timedelta(minutes=30), until + timedelta(minutes=30)
    return since, until


def _time_axis(since: datetime, until: datetime, x: Scale, foot: float, width: int) -> list[str]:
    parts = []
    free = 0.0
    for tick, text in time_ticks(since, until, max(int((x.end - x.start) / 110), 2)):
        place = x((tick - since).total_seconds())
        half = len(text) * _CHARACTER / 2
        centre = min(max(place, half), width - half)
        if centre - half >= free:
            parts.append(_text(centre, foot + 17, text, "axis", "middle"))
            free = centre + half + 8
    return parts


def _tick_labels(ticks: Sequence[float], unit: Unit) -> list[str]:
    for digits in range(2, 9):
        labels = [unit(tick, digits) for tick in ticks]
        if len(set(labels)) == len(ticks):
            break
    return labels


def _onset(place: float, right: float, foot: float) -> list[str]:
    after = place + 46 < right
    before = place > 90
    return [
        f'<rect class="tint" x="{place:.1f}" y="8" width="{max(right - place, 0):.1f}" height="{foot - 8:.1f}"/>',
        f'<path class="onset" d="M{place:.1f} 8V{foot:.1f}"/>',
        *([_text(place - 6, 19, "before", "word-before", "end")] if before else []),
        *([_text(place + 6, 19, "after", "word-after", "start")] if after else []),
    ]


def _event(event: NearEvent, place: float, foot: float) -> str:
    says = f"{moment(event.ts)} {visible(event.kind, 60)} {visible(event.what, 120)}, {lag(event.lag_s)}"
    mark = f"M{place:.1f} {foot - 9:.1f}l5 9h-10z"
    return f'<path class="event" d="{mark}"><title>{escape(says)}</title></path>'


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """At most `most` points in order of time: neighbours are averaged by predictions, bands kept at their widest."""
    points = sorted(points, key=lambda p: p.ts)
    if len(points) <= most:
        return points
    size = math.ceil(len(points) / most)
    out = []
    for group in (points[i : i + size] for i in range(0, len(points), size)):
        n = sum(p.n for p in group)
        value = sum(p.value * p.n for p in group) / n if n else sum(p.value for p in group) / len(group)
        out.append(Point(group[0].ts, value, min(p.low for p in group), max(p.high for p in group), n))
    return out


def dumbbell(
    before: float, after: float, low: float, high: float, *, ends: tuple[float, float], title: str, width: int = 220
) -> str:
    """Before and after on one track, the 95% interval of after around it; `ends` is the track's range."""
    x = Scale(*ends, 6, width - 6)
    parts = [f'<path class="track" d="M6 9H{width - 6}"/>']
    if math.isfinite(before) and math.isfinite(after):
        parts.append(f'<path class="reach" d="M{x(before):.1f} 9H{x(after):.1f}"/>')
    if math.isfinite(low) and math.isfinite(high):
        parts.append(f'<path class="interval" d="M{x(low):.1f} 9H{x(high):.1f}"/>')
    parts += [_dot(x(v), 9, kind, 3.6) for v, kind in ((before, "before"), (after, "after")) if math.isfinite(v)]
    return _svg(width, 18, title, parts, "dumbbell")


def bar(part: float, *, title: str, width: int = 64) -> str:
    """A share of one as a filled bar; what lies outside 0 to 1 is drawn at the end."""
    filled = min(max(part, 0.0), 1.0) * width if math.isfinite(part) else 0.0
    parts = [f'<rect class="rail" width="{width}" height="8" rx="4"/>']
    if filled > 0:
        parts.append(f'<rect class="fill" width="{max(filled, 4):.1f}" height="8" rx="4"/>')
    return _svg(width, 8, title, parts, "bar")


def histogram(shape: Shape, *, title: str, width: int = 250, height: int = 110) -> str:
    """A field's shares per bin: before as filled steps, after as an outline; few bins are named, of many the ends."""
    pairs = list(zip(shape.bins, shape.before, shape.after, strict=False))
    top = max((v for _, *both in pairs for v in both if math.isfinite(v)), default=0.0)
    if not pairs or top <= 0:
        return _svg(width, 40, title, [_text(width / 2, 24, "no values", "axis", "middle")])
    foot = height - 18.0
    y = Scale(0, top, foot, 4)
    step = width / len(pairs)
    parts = [
        f'<rect class="was" x="{i * step:.1f}" y="{y(b):.1f}" width="{step:.2f}" height="{foot - y(b):.1f}"/>'
        for i, (_, b, _) in enumerate(pairs)
        if b > 0
    ]
    heights = [y(_or(a, 0)) for _, _, a in pairs]
    outline = "".join(f"L{i * step:.1f} {at:.1f}H{(i + 1) * step:.1f}" for i, at in enumerate(heights))
    parts.append(f'<path class="base" d="M0 {foot:.1f}H{width}"/>')
    parts.append(f'<path class="now" fill="none" d="M0 {foot:.1f}{outline}V{foot:.1f}"/>')
    return _svg(width, height, title, parts + _bin_labels(shape.bins, step, width, height - 4))


def _bin_labels(bins: Sequence[str], step: float, width: int, foot: float) -> list[str]:
    room = int(step / _CHARACTER)
    if len(bins) <= 6 and all(len(name) <= room for name in bins):
        return [_text((i + 0.5) * step, foot, visible(name), "axis", "middle") for i, name in enumerate(bins)]
    half = int(width / 2 / _CHARACTER) - 1
    ends = _text(0, foot, visible(bins[0], half), "axis", "start")
    return [ends] if len(bins) == 1 else [ends, _text(width, foot, visible(bins[-1], half), "axis", "end")]


def _dot(x: float, y: float, kind: str, radius: float) -> str:
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>'


def _text(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(visible(text))}</text>'


def _svg(width: int, height: int, title: str, parts: Iterable[str], kind: str = "chart") -> str:
    name = escape(visible(title, 400))
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return f'<svg class="{kind}" role="img" aria-label="{name}" {size}><title>{name}</title>{"".join(parts)}</svg>'
