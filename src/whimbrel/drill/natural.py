"""What moves numbers and breaks nothing: harmless deploys, releases as good as the old, campaigns, shifts of the mix.

In: the window's requests, the moment when it happens. Out: a `Calm`: the requests as they come, the app that serves
some of them, and the events. None of these may be called a fault. Only this room may call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from whimbrel.drill.app import App
from whimbrel.drill.columns import Bools, Columns, length, take
from whimbrel.drill.world import CHANNELS, DICE, LUCK, TENANTS, World
from whimbrel.model.event import Event


class Calm(NamedTuple):
    """The window's requests; `app` serves those where `hit` holds, the usual one all others."""

    requests: Columns
    app: App
    hit: Bools
    events: list[Event]


Change: TypeAlias = Callable[[World, Columns, datetime, np.random.Generator], Calm]


def _nothing(world: World, requests: Columns, _start: datetime, _rng: np.random.Generator) -> Calm:
    """Only what the days brought: season, weather, holidays."""
    return _usual(world, requests)


def _deploy(world: World, requests: Columns, start: datetime, rng: np.random.Generator) -> Calm:
    """A step is rewritten: another fingerprint, the same answers."""
    step = str(rng.choice(["impute", "encode", "scale"]))
    app = replace(world.app, code=((step, f"{rng.integers(16**12):012x}"),))
    return Calm(requests, app, _after(requests, start), [Event(start, "deploy", f"{step} rewritten")])


def _release(world: World, requests: Columns, start: datetime, _rng: np.random.Generator) -> Calm:
    """The canary's model becomes everyone's: other scores here and there, as good on the whole."""
    app = replace(world.app, model=world.app.canary)
    return Calm(requests, app, _after(requests, start), [Event(start, "deploy", "model 8")])


def _mix(world: World, requests: Columns, _start: datetime, rng: np.random.Generator) -> Calm:
    """A tenant moves most of its traffic elsewhere: the mix shifts, every slice stays what it was."""
    leaves = requests["context.tenant"] == str(rng.choice(list(TENANTS)))
    stays = ~leaves | (rng.random(length(requests)) < 0.35)
    return _usual(world, _renumbered(requests, take(requests, stays)))


def _campaign(world: World, requests: Columns, start: datetime, rng: np.random.Generator) -> Calm:
    """A channel asks three times as often from some hour on."""
    often = (requests["context.channel"] == str(rng.choice(list(CHANNELS)))) & _after(requests, start)
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


def _usual(world: World, requests: Columns) -> Calm:
    return Calm(requests, world.app, np.zeros(length(requests), dtype=bool), [])


def _after(requests: Columns, start: datetime) -> Bools:
    after: Bools = requests["ts"] >= start.timestamp()
    return after


def _relabelled(requests: Columns, moved: Bools, channel: str) -> NDArray[np.object_]:
    out = requests["context.channel"].copy()
    out[moved] = channel
    return out


def _more(requests: Columns, times: NDArray[np.int64], rng: np.random.Generator) -> Columns:
    """Every request as many times as `times` says, each a request of its own a few minutes apart."""
    index = np.repeat(np.arange(length(requests)), times)
    again = np.flatnonzero(np.diff(index, prepend=-1) == 0)
    out = take(requests, index)
    for name in LUCK:
        out[f"luck.{name}"][again] = rng.standard_normal(len(again))
    for name in DICE:
        out[f"luck.{name}"][again] = rng.random(len(again))
    out["ts"][again] += np.round(rng.uniform(0, 300, len(again)), 3)
    out["id"][again] = [f"{name}-{i}" for i, name in enumerate(out["id"][again])]
    out = take(out, np.argsort(out["ts"], kind="stable"))
    return _renumbered(requests, take(out, out["ts"] <= requests["ts"].max()))


def _renumbered(before: Columns, requests: Columns) -> Columns:
    """Sequence numbers without gaps, going on from where each host's stood."""
    seq = np.empty(length(requests))
    for host in set(requests["hardware.host"].tolist()):
        rows = requests["hardware.host"] == host
        first = before["recorder.seq"][before["hardware.host"] == host].min()
        seq[rows] = first + np.arange(rows.sum())
    return requests | {"recorder.seq": seq}


NATURAL: Mapping[str, Change] = MappingProxyType(
    {
        "none": _nothing,
        "none/deploy": _deploy,
        "none/release": _release,
        "none/mix": _mix,
        "none/campaign": _campaign,
        "none/growth": _growth,
        "none/newcomer": _newcomer,
        "none/retired": _retired,
    }
)
"""Harmless changes, by the name under which `case` and the drill know them."""
