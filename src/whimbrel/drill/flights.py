"""Cases on the flights: a golden stretch, a window after it, and what is truly wrong in the window.

In: the name of a fault or of a harmless change, how strong, where, when, and a seed. Out: a `Case`: two tables under
the contract's names, the events that a team would have written down, and the truth. The same arguments always give
the same case. `drill/` scores with it, `tests/` may call it; the diagnosis never sees the truth.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from whimbrel.drill.columns import Columns, length, merge, take
from whimbrel.drill.natural import NATURAL
from whimbrel.drill.plant import Site, events_around, site
from whimbrel.drill.records import drop, known_by, served
from whimbrel.drill.table import to_arrow
from whimbrel.drill.world import releases, world
from whimbrel.errors import UsageError
from whimbrel.model.event import Event
from whimbrel.settings import Settings

if TYPE_CHECKING:
    from arro3.core import Table

FIRST_DAY, LAST_DAY = date(2013, 1, 29), date(2013, 12, 30)
"""Windows start between these: golden needs four weeks before, and the year ends."""
WORLDS = 2
"""How many worlds (who calls, which host, how much luck) the seeds are spread over; each takes seconds to make."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What was done to the window; `layer` is empty where nothing is wrong. `components` are right answers, best first.

    `since` is the time of the first prediction hit; `effect` is in the unit of `measure`.
    """

    fault: str
    layer: str = ""
    components: tuple[str, ...] = ()
    where: Mapping[str, str] = field(default_factory=dict)
    since: datetime | None = None
    severity: str = ""
    strength: float = 0.0
    effect: float = 0.0
    measure: str = ""
    says: str = ""

    @staticmethod
    def of(found: Site) -> Truth:
        """The truth about a planted fault."""
        fault = found.planted.fault
        return Truth(
            fault.id, fault.layer, fault.components, found.place, found.since, fault.band(found.effect),
            found.planted.strength, found.effect, fault.measure, fault.says,
        )  # fmt: skip


class Case(NamedTuple):
    """Two tables (Arrow), the events around them, and the truth."""

    golden: Table
    window: Table
    events: tuple[Event, ...]
    truth: Truth


@dataclass(frozen=True, slots=True, eq=False)
class Served:
    """A case as columns, before it becomes tables."""

    golden: Columns
    window: Columns
    events: tuple[Event, ...]
    truth: Truth


def case(
    fault: str,
    *,
    severity: str = "medium",
    where: str | Mapping[str, str] | None = None,
    day: date | str | None = None,
    days: int | None = None,
    golden_days: int = 28,
    seed: int = 0,
    cache: Path | None = None,
) -> Case:
    """A case: `fault` is an id of the catalogue (`D02` or `D02/distance`), or of `NATURAL` (`none`, `none/release`, …).

    `where` is a slice as a mapping, or `all`, `one`, `two` (so many conditions, chosen by the seed; None: any of the
    three). `day` is the window's first (UTC), `days` its length (1 to 7); the seed chooses both where they are missing.
    A fault whose effect cannot reach the severity at that place is planted as near to it as it gets: `truth.severity`
    says what came of it. `cache` keeps the parsed flights and the trained models; by default a folder of the home.

    Raises:
        UsageError: no such fault, severity or slice; a window outside the year; the flights are not installed.
    """
    found = columns(
        fault, severity=severity, where=where, day=day, days=days, golden_days=golden_days, seed=seed, cache=cache
    )
    return Case(to_arrow(found.golden), to_arrow(found.window), found.events, found.truth)


def columns(
    fault: str,
    *,
    severity: str = "medium",
    where: str | Mapping[str, str] | None = None,
    day: date | str | None = None,
    days: int | None = None,
    golden_days: int = 28,
    seed: int = 0,
    cache: Path | None = None,
) -> Served:
    """The same as `case`, as columns of numpy arrays."""
    here = world(seed % WORLDS, cache or default_cache())
    rng = np.random.default_rng([seed, zlib.crc32(fault.encode())])
    since, until = _window(day, days, rng)
    start = since - timedelta(days=golden_days)
    golden = drop(served(here.app, here.between(start, since)))
    requests = here.between(since, until)
    events = [*releases(start, until), *_chatter(start, until, rng)]
    if fault in NATURAL:
        start = datetime.fromtimestamp(float(requests["ts"][int(rng.uniform(0.05, 0.6) * length(requests))]), UTC)
        requests, app, hit, more = NATURAL[fault](here, requests, start, rng)
        window, truth = served(here.app, requests), Truth(fault)
        window = drop(merge(window, hit, served(app, take(requests, hit))))
    else:
        found = site(here, requests, fault, severity, where, rng)
        window, truth = found.planted.serve(served(here.app, requests), requests, found.hit), Truth.of(found)
        more = events_around(found.place, found.since, rng)
    everything = tuple(sorted([*events, *more], key=lambda event: (event.ts, event.what)))
    return Served(known_by(golden, until), known_by(window, until), everything, truth)


def default_cache() -> Path:
    """Where parsed flights and trained models are kept unless somewhere else is asked for."""
    return Settings.load().home / "cache"


def _window(day: date | str | None, days: int | None, rng: np.random.Generator) -> tuple[datetime, datetime]:
    days = int(rng.integers(1, 8)) if days is None else days
    if day is None:
        day = FIRST_DAY + timedelta(days=int(rng.integers(0, (LAST_DAY - FIRST_DAY).days - days)))
    elif isinstance(day, str):
        day = date.fromisoformat(day)
    if not (FIRST_DAY <= day <= LAST_DAY and days >= 1):
        raise UsageError(
            f"no window of {days} days can start on {day}", why="the flights are those of 2013, and golden comes first",
            next=f"choose a day between {FIRST_DAY} and {LAST_DAY}",
        )  # fmt: skip
    since = datetime.combine(day, time(), UTC)
    return since, since + timedelta(days=days)


def _chatter(since: datetime, until: datetime, rng: np.random.Generator) -> list[Event]:
    """What a team writes down anyway: flags and settings that change nothing that is recorded here."""
    kinds = (
        ("flag", "new booking page"), ("config", "log level"), ("deploy", "billing service"), ("config", "cache size"),
    )  # fmt: skip
    days = (until - since) / timedelta(days=1)
    moments = sorted(rng.uniform(0, days, int(days / 5)))
    return [Event(since + timedelta(days=d), *kinds[int(rng.integers(len(kinds)))]) for d in moments]
