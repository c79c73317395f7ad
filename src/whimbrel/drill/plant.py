"""Where, when and how strong: a fault is tried at places until its effect falls into the band of its severity.

In: a world, a window's requests, a fault's name, a severity. Out: a `Site`: the fault at its strength, the requests
that it hits, its effect. Only `flights` may call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import TypeAlias

import numpy as np

from whimbrel.drill.catalogue import variants
from whimbrel.drill.columns import Bools, Columns, length, take
from whimbrel.drill.faults import BANDS, HOST, Fault, Planted
from whimbrel.drill.records import served
from whimbrel.drill.world import World
from whimbrel.errors import UsageError
from whimbrel.model.event import Event

Place: TypeAlias = Mapping[str, str]
"""A slice: path → value; empty is all traffic."""
NARROWEST, WIDEST = 0.03, 0.6
"""Share of the requests that a slice may have."""
LEAST = 20
"""Requests that a fault must hit at least."""
TRIES = 10


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """A fault where it is planted: the requests that it hits, and its effect on all traffic since."""

    planted: Planted
    place: Place
    since: datetime
    hit: Bools
    effect: float
    off: float
    """How far the effect lies outside the band asked for, as a ratio's logarithm; 0 inside."""


def site(
    world: World, requests: Columns, name: str, severity: str, where: str | Place | None, rng: np.random.Generator,
    *, from_start: bool = False,
) -> Site:  # fmt: skip
    """Choose variant, place, onset and strength; the nearest to the severity where none is in its band.

    The onset is the first request or a later one, as it falls out; `from_start` leaves that no choice.

    Raises:
        UsageError: no such fault, severity or slice, or too few requests there.
    """
    if severity not in BANDS["flips"]:
        raise UsageError(f"there is no severity {severity!r}", where="--severity", next="choose subtle, medium or loud")
    best: Site | None = None
    for found in _sites(world, requests, name, severity, where, rng, from_start):
        if best is None or found.off < best.off:
            best = found
        if best.off == 0:
            return best
    if best is None:
        raise UsageError(
            f"{name} cannot be planted at {where or 'any slice'}", why="too few requests come from there",
            next="choose a larger slice or a longer window",
        )  # fmt: skip
    return best


def _sites(
    world: World, requests: Columns, name: str, severity: str, where: str | Place | None, rng: np.random.Generator,
    from_start: bool,
) -> Iterator[Site]:  # fmt: skip
    found = variants(name)
    ts = requests["ts"]
    later = ts[int(rng.uniform(0.05, 0.6) * len(ts))]
    onset = ts[0] if from_start or rng.random() < 0.3 else later
    for fault in (found[i] for i in rng.permutation(len(found))):
        seen = fault.code == "always" or (fault.code == "either" and rng.random() < 0.5)
        for place in _places(fault, requests, where, rng):
            hit = _inside(requests, place) & (ts >= (ts[0] if fault.whole else onset))
            if hit.sum() < LEAST:
                continue
            strength, effect = _strength(fault, world, requests, hit, severity)
            since = datetime.fromtimestamp(float(ts[hit][0]), UTC)
            off = _off(effect, BANDS[fault.measure][severity])
            yield Site(Planted(fault, strength, world, seen), place, since, hit, effect, off)


def _places(fault: Fault, requests: Columns, where: str | Place | None, rng: np.random.Generator) -> list[Place]:
    """Slices to try, in the order of trying."""
    if isinstance(where, Mapping):
        return [dict(where)]
    if where not in (None, "all", "one", "two"):
        raise UsageError(f"cannot read the slice {where!r}", where="--slice", next="choose all, one, two, or a mapping")
    bound = fault.dims == HOST  # what is wrong with a host is wrong with one host
    if fault.whole or (where == "all" and not bound):
        return [{}]
    singles = [(path, str(value)) for path in fault.dims for value in sorted(set(requests[path].tolist()))]
    one: list[Place] = [{path: value} for path, value in singles]
    two: list[Place] = [dict(pair) for pair in combinations(singles, 2) if pair[0][0] != pair[1][0]]
    wanted = two if where == "two" and two else one
    if where is None:
        wanted = one + [two[i] for i in rng.permutation(len(two))[: len(one)]]
    wide = [place for place in wanted if NARROWEST <= _inside(requests, place).mean() <= WIDEST]
    chosen = [wide[i] for i in rng.permutation(len(wide))[:TRIES]]
    if where is None and not bound:  # on everything now and then, and where no slice is wide enough for the severity
        chosen.insert(0 if rng.random() < 0.25 else len(chosen), {})
    return chosen


def _inside(requests: Columns, place: Place) -> Bools:
    inside = np.ones(length(requests), dtype=bool)
    for path, value in place.items():
        if path not in requests:
            raise UsageError(f"no request has {path}", where="--slice", next="choose a context tag or hardware.host")
        inside &= requests[path].astype(str) == value
    return inside


def _strength(fault: Fault, world: World, requests: Columns, hit: Bools, severity: str) -> tuple[float, float]:
    """The strength whose effect comes nearest to the middle of the band, by bisection, and that effect."""
    after = requests["ts"] >= requests["ts"][hit][0]
    rows, hit = take(requests, after), hit[after]
    clean = served(world.app, rows)
    low, high = BANDS[fault.measure][severity]
    target = float(np.sqrt(low * min(high, 4 * low)))
    known: dict[int, float] = {}

    def effect(i: int) -> float:
        if i not in known:
            known[i] = _effect(Planted(fault, fault.strengths[i], world), clean, rows, hit)
        return known[i]

    left, right = 0, len(fault.strengths) - 1
    if effect(right) < low:
        return fault.strengths[right], effect(right)
    while left < right:
        middle = (left + right) // 2
        left, right = (middle + 1, right) if effect(middle) < target else (left, middle)
    best = min(
        {max(left - 1, 0), left},
        key=lambda i: (_off(effect(i), (low, high)), abs(float(np.log(max(effect(i), 1e-6) / target)))),
    )
    return fault.strengths[best], effect(best)


def _effect(planted: Planted, clean: Columns, rows: Columns, hit: Bools) -> float:
    """The fault's effect on all traffic since its onset, in its own measure."""
    fault, out = planted.fault, planted.serve(clean, rows, hit)
    if fault.measure == "p95":
        return float(np.quantile(out["spans.total"], 0.95) / np.quantile(clean["spans.total"], 0.95) - 1)
    if fault.layer == "recorder":
        return 1 - length(out) / length(clean)
    touched = {"labels": "label", "decision": "decisions.route"}
    path = touched[fault.layer] if fault.measure == "share" else "decision"
    before, now = clean[path], out[path]
    same = (before == now) | ((before != before) & (now != now))
    return float(1 - same.mean())


def _off(effect: float, band: tuple[float, float]) -> float:
    low, high = band
    effect = max(effect, 1e-6)
    return float(max(np.log(low / effect), np.log(effect / high), 0.0))


def events_around(place: Place, start: datetime, rng: np.random.Generator) -> list[Event]:
    """Perhaps the deploy that brought the fault, perhaps a harmless one at the same hour elsewhere."""
    events = []
    if rng.random() < 0.5:
        lag = timedelta(seconds=int(rng.integers(30, 600)))
        events.append(Event(start - lag, "deploy", f"build {rng.integers(16**6):06x}", dict(place)))
    if rng.random() < 0.3:
        lag = timedelta(minutes=int(rng.integers(-40, 40)))
        path, value = ("context.channel", "desk") if "context.channel" not in place else ("context.tenant", "corvus")
        value = "atlas" if place.get(path) == value else value
        events.append(Event(start - lag, "deploy", f"build {rng.integers(16**6):06x}", {path: value}))
    return events
