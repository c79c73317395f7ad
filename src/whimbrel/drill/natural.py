"""What moves numbers and breaks nothing: harmless deploys, releases as good as the old, campaigns, shifts of the mix.

In: the window's requests, the moment when it happens. Out: a `Calm`: the requests as they come, the app that serves
some of them, and the events. None of these may be called a fault. What the calendar brings (seasons, holidays, storms) is
in the apps' traffic itself. Only this room may call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from whimbrel.drill.app import changed
from whimbrel.drill.columns import Bools, Columns, length, take
from whimbrel.drill.world import DICE, HOSTS, Served, World
from whimbrel.model.event import Event


class Calm(NamedTuple):
    """The window's requests; `app` serves those where `hit` holds, the usual one all others."""

    requests: Columns
    app: Served
    hit: Bools
    events: list[Event]


Change: TypeAlias = Callable[[World, Columns, datetime, np.random.Generator], Calm]


def _nothing(world: World, requests: Columns, _start: datetime, _rng: np.random.Generator) -> Calm:
    """Only what the days brought: season, weather, holidays."""
    return _usual(world, requests)


def _deploy(world: World, requests: Columns, start: datetime, rng: np.random.Generator) -> Calm:
    """A step is rewritten: another fingerprint, the same answers."""
    said = world.app.fingerprints()
    step = str(rng.choice(list(said)))
    app = world.app.saying({**said, step: f"{rng.integers(16**12):012x}"})
    return Calm(requests, app, _after(requests, start), [Event(start, "deploy", f"{step} rewritten")])


def _release(world: World, requests: Columns, start: datetime, _rng: np.random.Generator) -> Calm:
    """The canary's model becomes everyone's: other scores here and there, as good on the whole."""
    app = replace(world.app, model=world.app.canary)
    return Calm(requests, app, _after(requests, start), [Event(start, "deploy", "model 8")])


def _trial(world: World, requests: Columns, start: datetime, _rng: np.random.Generator) -> Calm:
    """An experiment: half of the traffic is decided a little more boldly, and this has its effect."""
    threshold = world.app.decide.keywords["threshold"]
    app = replace(world.app, variant="bold", decide=changed(world.app.decide, threshold=0.93 * threshold))
    hit = _after(requests, start) & (requests["luck.trial"] < 0.5)
    return Calm(requests, app, hit, [Event(start, "flag", "experiment bold against main: half of the traffic")])


def _herrings(world: World, requests: Columns, start: datetime, rng: np.random.Generator) -> Calm:
    """Three deploys in an hour, none of which changes anything that is recorded."""
    events = [Event(start + timedelta(minutes=20 * i), "deploy", f"build {rng.integers(16**6):06x}") for i in range(3)]
    return _usual(world, requests)._replace(events=events)


def _mix(world: World, requests: Columns, _start: datetime, rng: np.random.Generator) -> Calm:
    """A tenant moves most of its traffic elsewhere: the mix shifts, every slice stays what it was."""
    leaves = requests["context.tenant"] == _one(requests, "context.tenant", rng)
    return _fewer(world, requests, ~leaves | (rng.random(length(requests)) < 0.35))


def _slump(world: World, requests: Columns, start: datetime, rng: np.random.Generator) -> Calm:
    """Half of the traffic stays away."""
    return _fewer(world, requests, ~_after(requests, start) | (rng.random(length(requests)) < 0.5))


def _tiny(world: World, requests: Columns, _start: datetime, rng: np.random.Generator) -> Calm:
    """So few rows that hardly anything can be said."""
    keep = np.zeros(length(requests), dtype=bool)
    keep[rng.permutation(length(requests))[:80]] = True
    return _only(world, requests, keep)


def _immature(world: World, requests: Columns, _start: datetime, _rng: np.random.Generator) -> Calm:
    """Only the last hours: most labels are still to come."""
    ts = requests["ts"]
    return _only(world, requests, ts >= ts[-1] - 8 * 3600)


def _night(world: World, requests: Columns, _start: datetime, _rng: np.random.Generator) -> Calm:
    """Only the hours that are unlike all others."""
    hours = requests["ts"] // 3600 % 24
    quiet = int(np.argmin(np.bincount(hours.astype(int), minlength=24)))
    return _only(world, requests, (hours - quiet) % 24 < 9)


def _campaign(world: World, requests: Columns, start: datetime, rng: np.random.Generator) -> Calm:
    """A channel asks three times as often from some hour on."""
    often = (requests["context.channel"] == _one(requests, "context.channel", rng)) & _after(requests, start)
    return _usual(world, _more(requests, np.where(often, 3, 1), rng))


def _growth(world: World, requests: Columns, _start: datetime, rng: np.random.Generator) -> Calm:
    """A quarter more traffic of the same kind, and the capacity for it: nobody waits longer."""
    return _usual(world, _more(requests, np.where(rng.random(length(requests)) < 0.25, 2, 1), rng))


def _newcomer(world: World, requests: Columns, start: datetime, rng: np.random.Generator) -> Calm:
    """A channel that was not there before takes a twelfth of the traffic."""
    moved = _after(requests, start) & (rng.random(length(requests)) < 1 / 12)
    return _usual(world, requests | {"context.channel": _relabelled(requests, moved, "kiosk")})


def _retired(world: World, requests: Columns, start: datetime, _rng: np.random.Generator) -> Calm:
    """A channel is closed; its callers come through the web."""
    moved = _after(requests, start) & (requests["context.channel"] == "desk")
    return _usual(world, requests | {"context.channel": _relabelled(requests, moved, "web")})


def _autoscaled(world: World, requests: Columns, start: datetime, rng: np.random.Generator) -> Calm:
    """Two more hosts share the work for a while."""
    moved = _after(requests, start) & (rng.random(length(requests)) < 0.3)
    fresh = np.where(rng.random(length(requests)) < 0.5, "edge-5", "edge-6").astype(object)
    return _usual(world, _hosted(requests, np.where(moved, fresh, requests["hardware.host"])))


def _replaced(world: World, requests: Columns, start: datetime, rng: np.random.Generator) -> Calm:
    """A host is exchanged for a new one."""
    old = str(rng.choice(list(HOSTS)))
    moved = _after(requests, start) & (requests["hardware.host"] == old)
    return _usual(world, _hosted(requests, np.where(moved, f"{old}b", requests["hardware.host"])))


def _usual(world: World, requests: Columns) -> Calm:
    return Calm(requests, world.app, np.zeros(length(requests), dtype=bool), [])


def _fewer(world: World, requests: Columns, stays: Bools) -> Calm:
    """Some stay away, and the servers are as much less busy in each hour."""
    hour = np.unique(requests["ts"] // 3600, return_inverse=True)[1]
    share = np.bincount(hour, weights=stays) / np.bincount(hour)
    return _only(world, requests | {"luck.load": requests["luck.load"] * share[hour]}, stays)


def _only(world: World, requests: Columns, stays: Bools) -> Calm:
    return _usual(world, _renumbered(requests, take(requests, stays)))


def _one(requests: Columns, path: str, rng: np.random.Generator) -> str:
    return str(rng.choice(sorted(set(requests[path].tolist()))))


def _after(requests: Columns, start: datetime) -> Bools:
    after: Bools = requests["ts"] >= start.timestamp()
    return after


def _relabelled(requests: Columns, moved: Bools, channel: str) -> NDArray[np.object_]:
    out = requests["context.channel"].copy()
    out[moved] = channel
    return out


def _hosted(requests: Columns, hosts: NDArray[Any]) -> Columns:
    """The requests on other hosts, each with a process and a count of its own."""
    process = np.array([f"{host}/1" for host in hosts.tolist()], dtype=object)
    moved = requests | {"hardware.host": hosts.astype(object), "recorder.process": process}
    return _renumbered(requests, moved)


def _more(requests: Columns, times: NDArray[np.int64], rng: np.random.Generator) -> Columns:
    """Every request as many times as `times` says, each a request of its own a few minutes apart, in one hour: it may bear it."""
    index = np.repeat(np.arange(length(requests)), times)
    again = np.flatnonzero(np.diff(index, prepend=-1) == 0)
    out = take(requests, index)
    shared = {"luck.load", "luck.host", "luck.third", *(f"luck.{name}" for name in DICE)}
    for path in (p for p in out if p.startswith("luck.") and p not in shared):
        out[path][again] = rng.standard_normal(len(again))
    for name in DICE:
        out[f"luck.{name}"][again] = rng.random(len(again))
    left = 3599.0 - out["ts"][again] % 3600
    out["ts"][again] += np.round(rng.uniform(0, 1, len(again)) * np.clip(left, 0, 300), 3)
    out["id"][again] = [f"{name}-{i}" for i, name in enumerate(out["id"][again])]
    out = take(out, np.argsort(out["ts"], kind="stable"))
    return _renumbered(requests, take(out, out["ts"] <= requests["ts"].max()))


def _renumbered(before: Columns, requests: Columns) -> Columns:
    """Sequence numbers without gaps, going on from where each host's stood; a new host's start at 1."""
    seq = np.empty(length(requests))
    for host in set(requests["hardware.host"].tolist()):
        rows = requests["hardware.host"] == host
        known = before["recorder.seq"][before["hardware.host"] == host]
        seq[rows] = (known.min() if len(known) else 1) + np.arange(rows.sum())
    return requests | {"recorder.seq": seq}


CHANGES: Mapping[str, Change] = MappingProxyType(
    {
        "none": _nothing,
        "none/deploy": _deploy,
        "none/release": _release,
        "none/trial": _trial,
        "none/herrings": _herrings,
        "none/mix": _mix,
        "none/slump": _slump,
        "none/tiny": _tiny,
        "none/immature": _immature,
        "none/night": _night,
        "none/campaign": _campaign,
        "none/growth": _growth,
        "none/newcomer": _newcomer,
        "none/retired": _retired,
        "none/autoscaled": _autoscaled,
        "none/replaced": _replaced,
    }
)
"""Harmless changes, by the name under which `case` and the drill know them."""
