"""What every drilled app lives in: traffic with its callers, hosts and luck, and the narrow door through which it is drilled.

A `Subject` is an app that can be drilled: it makes a `World` from a seed and says what can break in it. `dealt` gives
requests what all apps share. Only this room may call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from whimbrel.drill.app import Timing
from whimbrel.drill.columns import Columns, take
from whimbrel.model.event import Event

if TYPE_CHECKING:
    from whimbrel.drill.faults import Fault
    from whimbrel.drill.natural import Change

HOSTS = {"edge-1": 0.36, "edge-2": 0.28, "edge-3": 0.2, "edge-4": 0.16}
CHANNELS = {"web": 0.42, "app": 0.33, "desk": 0.15, "partner": 0.10}
TENANTS = {"atlas": 0.45, "borealis": 0.30, "corvus": 0.25}
CLIENTS = {"4.1": 0.58, "4.2": 0.34, "5.0": 0.08}
"""Versions of what calls."""
LUCK = ("clock", "watts", "flip")
"""Normal draws besides one for each timed part."""
DICE = ("timeout", "skip", "route", "fail", "coin", "ramp", "trial")
"""Uniform draws."""


class Served(Protocol):
    """An app as a fault sees it: a frozen dataclass that may be replaced by one with something changed."""

    @property
    def timing(self) -> Timing:
        """How long its parts take."""
        ...

    def serve(self, requests: Columns) -> Columns:
        """The records of many requests, labels included where they depend on the answer."""
        ...

    def fingerprints(self) -> dict[str, str]:
        """What is recorded under `code.<step>`."""
        ...

    def saying(self, code: Mapping[str, str]) -> Served:
        """The same app under these fingerprints."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Requests of a long stretch (columns, in order of time), the app as it should be, and what a fault needs.

    Requests hold `truth.label` and `truth.label_ts` (epoch s) of each that will ever be judged.
    """

    requests: Columns
    app: Any
    old: Any
    """An older model."""
    spare: Mapping[str, Any] = field(default_factory=dict)
    """Older parameters, other models."""

    def between(self, since: datetime, until: datetime) -> Columns:
        """The requests with `since <= ts < until`."""
        low, high = np.searchsorted(self.requests["ts"], [since.timestamp(), until.timestamp()])
        return take(self.requests, np.arange(low, high))


@dataclass(frozen=True, slots=True)
class Subject:
    """An app that can be drilled. `world` is asked often and should remember."""

    name: str
    says: str
    world: Callable[[int, Path | None], World]
    faults: tuple[Fault, ...]
    calm: Mapping[str, Change]
    callers: tuple[str, ...]
    """Tags by which a fault can be confined to a slice."""
    first: date
    last: date
    """Windows start between these."""
    untouched: tuple[tuple[str, date, int], ...] = ()
    """Windows in which nothing is wrong, that are always looked at first: what happens, first day, days."""
    golden_days: int = 28
    most_days: int = 7
    labelled_days: float = 0.0
    """How long after a window it is sometimes asked about, where labels take long; always so for a fault of labels."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The faults' kinds, in the order of the catalogue."""
        return tuple(dict.fromkeys(fault.kind for fault in self.faults))


def dealt(requests: Columns, rng: np.random.Generator, parts: tuple[str, ...], prefix: str) -> Columns:
    """Requests in order of time with ids, callers, hosts, sequence numbers, and the luck that each will have.

    `parts` are the timed ones. A request may bring its own `context.channel` or `context.tenant`.
    """
    out, n = dict(requests), len(requests["ts"])
    hour = (out["ts"] // 3600).astype(np.int64)
    counts = np.bincount(hour - hour.min())
    out["luck.load"] = np.minimum(counts / np.quantile(counts, 0.99), 1.3)[hour - hour.min()]
    for name in (*parts, *LUCK):
        out[f"luck.{name}"] = rng.standard_normal(n)
    for name in DICE:
        out[f"luck.{name}"] = rng.random(n)
    for path, shares in (("context.channel", CHANNELS), ("context.tenant", TENANTS)):
        if path not in out:
            out[path] = chosen(rng, shares, n)
    out["context.release"] = _releases(out["ts"])
    host = rng.choice(len(HOSTS), n, p=list(HOSTS.values()))
    out["hardware.host"] = np.array(list(HOSTS), dtype=object)[host]
    # hosts differ a little, and each has better and worse hours: noise comes in clusters
    level = rng.normal(0, 0.02, len(HOSTS))[:, None] + rng.normal(0, 0.03, (len(HOSTS), hour.max() - hour.min() + 1))
    out["luck.host"] = np.exp(level)[host, hour - hour.min()]
    out["recorder.process"] = np.array([f"{name}/1" for name in HOSTS], dtype=object)[host]
    out["recorder.seq"] = np.empty(n)
    for i in range(len(HOSTS)):
        out["recorder.seq"][host == i] = np.arange(1, (host == i).sum() + 1)
    out["context.client"] = chosen(rng, CLIENTS, n)
    out["id"] = np.array([f"{prefix}-{i:06d}" for i in range(n)], dtype=object)
    return {"id": out.pop("id"), **out}


def chosen(rng: np.random.Generator, shares: Mapping[str, float], n: int) -> NDArray[Any]:
    """`n` names with these shares."""
    total = sum(shares.values())
    return rng.choice(np.array(list(shares), dtype=object), n, p=[share / total for share in shares.values()])


def _first_release(ts: float) -> datetime:
    return datetime(datetime.fromtimestamp(ts, UTC).year, 1, 1, 15, tzinfo=UTC)


def _releases(ts: NDArray[np.float64]) -> NDArray[Any]:
    first = _first_release(float(ts[len(ts) // 2]))
    number = ((ts - first.timestamp()) // (14 * 86400)).astype(np.int64)
    names = np.array([f"{first.year}.{i:02d}" for i in range(max(int(number.max()), 0) + 1)], dtype=object)
    return names[np.maximum(number, 0)]


def releases(since: datetime, until: datetime) -> tuple[Event, ...]:
    """The routine releases of that time: every other week at 15:00 UTC; they change nothing but their number."""
    start = _first_release(since.timestamp())
    first = int((since - start) / timedelta(days=14)) + (since > start)
    moments = ((i, start + timedelta(days=14 * i)) for i in range(first, first + 30))
    return tuple(Event(ts, "deploy", f"release {start.year}.{i:02d}") for i, ts in moments if since <= ts < until)
