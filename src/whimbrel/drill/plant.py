"""Where, when and how strong: a fault is tried at places until its effect falls into the band of its severity.

In: a world, a window's requests, a fault, a severity. Out: a `Site`: the fault at its strength, the requests
that it hits, its effect. Only `case` and `demo` may call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import TypeAlias

import numpy as np

from whimbrel.drill.columns import Bools, Columns, length, take
from whimbrel.drill.faults import BANDS, HOST, SEVERITIES, Fault, Planted
from whimbrel.drill.records import served
from whimbrel.drill.world import Subject, World
from whimbrel.errors import UsageError
from whimbrel.model.event import Event

Place: TypeAlias = Mapping[str, str]
"""A slice: path → value; empty is all traffic."""
NARROWEST, WIDEST = 0.01, 0.4
"""Share of the requests that a slice may have."""
LEAST = 20
"""Requests that a fault must hit at least."""
TRIES = 10
SHAPES = ("step", "ramp", "onoff")
"""From the onset on at once; more and more; on for a sixth of what is left, off for another, and so on."""


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """A fault where it is planted: the requests that it hits, and its effect on all traffic since."""

    planted: Planted
    place: Place
    shape: str
    since: datetime
    hit: Bools
    effect: float
    severity: str
    """What that amounts to; empty where next to nothing comes of it."""
    off: float
    """How far the effect lies outside the band asked for, as a ratio's logarithm; 0 inside."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be planted. `where` is a slice, or `all`, `one`, `two`; None draws one of these."""

    faults: tuple[Fault, ...]
    severity: str
    where: str | Place | None
    shape: str
    from_start: bool = False
    """The first request is hit, whatever the chance says."""
    asked_on: datetime | None = None
    """When the window will be asked about: a fault of labels does nothing to labels that come later. None: when all have come."""

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise UsageError(
                f"there is no severity {self.severity!r}", where="--severity", next="choose subtle, medium or loud"
            )
        if not isinstance(self.where, Mapping) and self.where not in (None, "all", "one", "two"):
            raise UsageError(
                f"cannot read the slice {self.where!r}", where="--slice", next="choose all, one, two, or a mapping"
            )
        if self.shape not in SHAPES:
            raise UsageError(f"there is no shape {self.shape!r}", where="--shape", next=f"choose {', '.join(SHAPES)}")


def variants(subject: Subject, name: str) -> tuple[Fault, ...]:
    """The fault with this id, or all variants of this kind (`D02` gives `D02/distance`, …).

    Raises:
        UsageError: the app knows no such fault.
    """
    found = tuple(f for f in subject.faults if name in (f.id, f.kind))
    if not found:
        raise UsageError(
            f"there is no fault {name!r} in {subject.name}", where="--faults",
            why=f"its catalogue has {', '.join(subject.kinds)}", next="choose one of these",
        )  # fmt: skip
    return found


def site(
    subject: Subject, world: World, requests: Columns, wanted: Wanted, rng: np.random.Generator
) -> Site:  # fmt: skip
    """Choose variant, place, onset and strength; the nearest to the severity where none is in its band.

    Raises:
        UsageError: too few requests there.
    """
    best: Site | None = None
    for found in _sites(subject, world, requests, wanted, rng):
        if best is None or found.off < best.off:
            best = found
        if best.off == 0:
            return best
    if best is None:
        raise UsageError(
            f"{wanted.faults[0].id} cannot be planted at {wanted.where or 'any slice'}",
            why="too few requests come from there", next="choose a larger slice or a longer window",
        )  # fmt: skip
    return best


def _sites(
    subject: Subject, world: World, requests: Columns, wanted: Wanted, rng: np.random.Generator
) -> Iterator[Site]:  # fmt: skip
    ts = requests["ts"]
    later = ts[int(rng.uniform(0.05, 0.6) * len(ts))]
    onset = ts[0] if wanted.from_start or rng.random() < 0.3 else later
    for fault in (wanted.faults[i] for i in rng.permutation(len(wanted.faults))):
        seen = fault.code == "always" or (fault.code == "either" and rng.random() < 0.5)
        start, shape = (ts[0], "step") if fault.whole else (onset, wanted.shape)
        when = _when(requests, start, shape)
        for place in _places(fault, subject, requests, wanted.where, rng):
            hit = _inside(requests, place) & when
            if hit.sum() < LEAST:
                continue
            strength, effect, amounts_to = _strength(fault, world, requests, hit, wanted)
            since = datetime.fromtimestamp(float(ts[hit][0]), UTC)
            off = 0.0 if fault.harmless else _off(effect, BANDS[fault.measure][wanted.severity])
            yield Site(Planted(fault, strength, world, seen), place, shape, since, hit, effect, amounts_to, off)


def _when(requests: Columns, onset: float, shape: str) -> Bools:
    ts = requests["ts"]
    part = (ts - onset) / max(float(ts[-1] - onset), 1.0)
    on: Bools = part >= 0
    if shape == "ramp":
        on = on & (requests["luck.ramp"] < 0.15 + 0.85 * part / 0.7)
    elif shape == "onoff":
        on = on & (np.floor(6 * part) % 2 == 0)
    return on


def _places(
    fault: Fault, subject: Subject, requests: Columns, where: str | Place | None, rng: np.random.Generator
) -> list[Place]:
    """Slices to try, in the order of trying."""
    if isinstance(where, Mapping):
        return [dict(where)]
    bound = fault.dims == HOST  # what is wrong with a host is wrong with one host
    if fault.whole or (where == "all" and not bound):
        return [{}]
    dims = fault.dims or subject.callers
    singles = [(path, str(value)) for path in dims for value in sorted(set(requests[path].tolist()))]
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


def _strength(fault: Fault, world: World, requests: Columns, hit: Bools, wanted: Wanted) -> tuple[float, float, str]:
    """The strength whose effect comes nearest to the middle of the band, by bisection, that effect, and what it amounts to."""
    after = requests["ts"] >= requests["ts"][hit][0]
    rows, hit = take(requests, after), hit[after]
    clean = served(world.app, rows)
    low, high = BANDS[fault.measure][wanted.severity]
    target = float(np.sqrt(max(low, 1e-6) * min(high, 4 * max(low, 1e-6))))
    known: dict[int, float] = {}

    def effect(i: int) -> float:
        if i not in known:
            known[i] = Planted(fault, fault.strengths[i], world).effect(clean, rows, hit, wanted.asked_on)
        return known[i]

    def told(i: int) -> tuple[float, float, str]:
        planted = Planted(fault, fault.strengths[i], world)
        return fault.strengths[i], effect(i), planted.severity(effect(i), clean, rows, hit)

    left, right = 0, len(fault.strengths) - 1
    if effect(right) < low:
        return told(right)
    while left < right:
        middle = (left + right) // 2
        left, right = (middle + 1, right) if effect(middle) < target else (left, middle)
    best = min(
        {max(left - 1, 0), left},
        key=lambda i: (_off(effect(i), (low, high)), abs(float(np.log(max(effect(i), 1e-6) / target)))),
    )
    return told(best)


def _off(effect: float, band: tuple[float, float]) -> float:
    low, high = band
    effect = max(effect, 1e-6)
    return float(max(np.log(max(low, 1e-9) / effect), np.log(effect / high), 0.0))


def events_around(found: Site, rng: np.random.Generator, herring: bool | None = None) -> list[Event]:
    """Perhaps the deploy that brought the fault, perhaps a harmless one at the same hour elsewhere (`herring`)."""
    events, place, start = [], found.place, found.since
    if rng.random() < 0.5:
        lag = timedelta(seconds=int(rng.integers(30, 600)))
        events.append(Event(start - lag, "deploy", f"build {rng.integers(16**6):06x}", dict(place)))
    if rng.random() < 0.3 if herring is None else herring:
        lag = timedelta(minutes=int(rng.integers(-40, 40)))
        path, value = ("context.channel", "desk") if "context.channel" not in place else ("context.tenant", "corvus")
        value = "atlas" if place.get(path) == value else value
        events.append(Event(start - lag, "deploy", f"build {rng.integers(16**6):06x}", {path: value}))
    return events
