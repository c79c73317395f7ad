"""Cases: a golden stretch of an app, a window after it, and what is truly wrong in the window.

In: an app's name, that of a fault or of a harmless change, how strong, where, when, and a seed. Out: a `Case`: two tables
under the contract's names, the events that a team would have written down, and the truth. The same arguments always give
the same case. `drill/` scores with it, `tests/` may call it; the diagnosis never sees the truth.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from whimbrel.drill.apps import subject
from whimbrel.drill.columns import Bools, Columns, length, merge, take
from whimbrel.drill.declared import Declared, Release
from whimbrel.drill.plant import Site, Wanted, events_around, site, variants
from whimbrel.drill.records import drop, known_by, served
from whimbrel.drill.table import to_arrow
from whimbrel.drill.world import Subject, World, releases
from whimbrel.errors import UsageError
from whimbrel.model.event import Event
from whimbrel.settings import Settings

if TYPE_CHECKING:
    from arro3.core import Table

WORLDS = 2
"""How many worlds (who calls, which host, how much luck) the seeds are spread over; each takes seconds to make."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What was done to the window; `layer` is empty where nothing is wrong. `components` are right answers, best first.

    `since` is the time of the first prediction hit; `effect` is in the unit of `measure`; `share` is that of the traffic
    which the slice has. `others` are further (layer, component) pairs that are right, `second` what else was planted.
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
    app: str = ""
    shape: str = "step"
    share: float = 1.0
    others: tuple[tuple[str, str], ...] = ()
    second: Truth | None = None

    @staticmethod
    def of(found: Site, app: str = "") -> Truth:
        """The truth about a planted fault."""
        fault = found.planted.fault
        return Truth(
            fault.id, fault.layer, fault.components, found.place, found.since, found.severity,
            found.planted.strength, found.effect, fault.measure, fault.says, app, found.shape,
            float(found.hit.mean()), fault.others,
        )  # fmt: skip

    @property
    def harmless(self) -> bool:
        """Whether something was changed from which next to nothing came."""
        return bool(self.layer) and self.severity in ("harmless", "")


class Case(NamedTuple):
    """Two tables (Arrow), the events around them, and the truth."""

    golden: Table
    window: Table
    events: tuple[Event, ...]
    truth: Truth


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A case as columns, before it becomes tables."""

    golden: Columns
    window: Columns
    events: tuple[Event, ...]
    truth: Truth
    since: datetime
    until: datetime
    asked_on: datetime
    """What was known then is what there is: labels that came later are missing."""
    codes: tuple[Declared, Declared] | None = None
    """The code that is declared to have answered, and golden's; of a user's own app None."""

    def asked_at(self, moment: datetime) -> Drawn:
        """The same, had it been asked about at that moment."""
        before = self.window["ts"] < moment.timestamp()
        window = known_by(take(self.window, before), moment)
        events = tuple(event for event in self.events if event.ts < moment)
        return replace(self, window=window, events=events, until=moment, asked_on=moment)

    def tables(self) -> Case:
        """As tables."""
        return Case(to_arrow(self.golden), to_arrow(self.window), self.events, self.truth)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which case is wanted.

    `fault` is an id of the app's catalogue (`D02` or `D02/distance`), two joined by `+`, or a harmless change (`none`,
    `none/release`, …). `where` is a slice as a mapping, or `all`, `one`, `two` (so many conditions, chosen by the
    seed; None: any of the three). `day` is the window's first (UTC), `days` its length; the seed chooses both where they
    are missing.
    """

    fault: str
    app: str = "flights"
    severity: str = "medium"
    where: str | Mapping[str, str] | None = None
    shape: str = "step"
    herring: bool | None = None
    day: date | str | None = None
    days: int | None = None
    golden_days: int | None = None
    seed: int = 0


def case(asked: Asked, cache: Path | None = None) -> Case:
    """The case. `cache` keeps parsed data and trained models; by default a folder of the home.

    A fault whose effect cannot reach the severity at that place is planted as near to it as it gets: `truth.severity`
    says what came of it.

    Raises:
        UsageError: no such app, fault, severity or slice; a window outside the app's time; its data is not installed.
    """
    return columns(asked, cache).tables()


def columns(asked: Asked, cache: Path | None = None) -> Drawn:
    """The same as `case`, as columns of numpy arrays."""
    app = subject(asked.app)
    here = app.world(asked.seed % WORLDS, cache or default_cache())
    rng = np.random.default_rng([asked.seed, zlib.crc32(asked.fault.encode())])
    since, until = _window(app, asked.day, asked.days, rng)
    start = since - timedelta(days=asked.golden_days or app.golden_days)
    earlier, requests = here.between(start, since), here.between(since, until)
    golden = drop(served(here.app, earlier))
    events = [*releases(start, until), *_chatter(start, until, rng)]
    if asked.fault in app.calm:
        start = datetime.fromtimestamp(float(requests["ts"][int(rng.uniform(0.05, 0.6) * length(requests))]), UTC)
        requests, changed, hit, more = app.calm[asked.fault](here, requests, start, rng)
        released = [Release.of(changed, requests, hit)]
        window, truth = served(here.app, requests), Truth(asked.fault, app=app.name)
        window = drop(merge(window, hit, served(changed, take(requests, hit))))
    else:
        window, truth, more, released = _broken(
            app, here, requests, asked, rng, until + timedelta(days=app.labelled_days)
        )
    asked_on = until + timedelta(days=app.labelled_days if truth.layer == "labels" or since.day % 3 == 0 else 0)
    everything = tuple(sorted([*events, *more], key=lambda event: (event.ts, event.what)))
    golden, window = known_by(golden, asked_on), known_by(window, asked_on)
    codes = Declared(here.app, (earlier, requests), released), Declared(here.app, (earlier, requests))
    return Drawn(golden, window, everything, truth, since, until, asked_on, codes)


def default_cache() -> Path:
    """Where parsed data and trained models are kept unless somewhere else is asked for."""
    return Settings.load().home / "cache"


def _broken(
    app: Subject, here: World, requests: Columns, asked: Asked, rng: np.random.Generator, labelled: datetime
) -> tuple[Columns, Truth, list[Event], list[Release]]:
    """The window with one fault in it, or two: the second is planted where the first is already at work.

    With the truth, the events, and the apps that were declared, each with the requests that it answers.
    """
    window, events, truths = served(here.app, requests), [], []
    hits: list[Site] = []
    for name in asked.fault.split("+"):
        wanted = Wanted(variants(app, name), asked.severity, asked.where, asked.shape, asked_on=labelled)
        hits.append(site(app, here, requests, wanted, rng))
    for found in hits:
        truths.append(Truth.of(found, app.name))
        events += events_around(found, rng, asked.herring)
    if len(hits) == 1:
        return hits[0].planted.serve(window, requests, hits[0].hit), truths[0], events, _released(hits, requests)
    first, second = hits[0], hits[-1]
    window = second.planted.hit(first.planted.hit(window, requests, first.hit), requests, second.hit & ~first.hit)
    both = first.hit & second.hit
    if both.any():
        window = _overlapping(first, second, window, requests, both)
    return drop(window), _twice(asked.fault, truths), events, _released(hits, requests)


def _released(hits: list[Site], requests: Columns) -> list[Release]:
    """The changed apps that somebody declared, with the requests that each of them answers."""
    rows: dict[tuple[int, ...], Bools] = {(i,): one.hit for i, one in enumerate(hits)}
    if len(hits) > 1:
        both = hits[0].hit & hits[1].hit
        rows = {(0,): hits[0].hit & ~both, (1,): hits[1].hit & ~both, (0, 1): both}
    out = []
    for which, inside in rows.items():
        declared = [hits[i].planted for i in which if hits[i].planted.declared]
        if declared:
            app = declared[0].world.app
            for planted in declared:
                app = planted.apply(app)
            out.append(Release.of(app, requests, inside))
    return out


def _overlapping(first: Site, second: Site, window: Columns, requests: Columns, both: Bools) -> Columns:
    """Rows that both hit: both changed inputs, the second's artefacts on top of the first's."""
    arrived = first.planted.requests(second.planted.requests(take(requests, both)))
    out = served(second.planted.apply(first.planted.app()), arrived)
    for planted in (first.planted, second.planted):
        if planted.fault.records is not None:
            out |= planted.fault.records(arrived | out, planted.strength)
    return merge(window, both, out)


def _twice(name: str, truths: list[Truth]) -> Truth:
    return replace(truths[0], fault=name, second=truths[1])


def _window(
    app: Subject, day: date | str | None, days: int | None, rng: np.random.Generator
) -> tuple[datetime, datetime]:
    days = int(rng.integers(1, app.most_days + 1)) if days is None else days
    if day is None:
        day = app.first + timedelta(days=int(rng.integers(0, (app.last - app.first).days - days)))
    elif isinstance(day, str):
        day = date.fromisoformat(day)
    if not (app.first <= day <= app.last and days >= 1):
        raise UsageError(
            f"no window of {days} days can start on {day}",
            why=f"that is outside of what {app.name} has, and golden comes first",
            next=f"choose a day between {app.first} and {app.last}",
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
