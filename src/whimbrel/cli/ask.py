"""From what was asked to what is needed: the log, the app, the window, golden, the engine.

In: `Asked`. Out: values of `store/`, `model/` and `engine/`. Refuses at the door what makes no sense.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from whimbrel.cli import out
from whimbrel.cli.options import Asked
from whimbrel.errors import EvidenceError, UsageError
from whimbrel.model.window import Condition, Where, Window, from_micros, iso, parse_duration, parse_time
from whimbrel.settings import Settings

if TYPE_CHECKING:
    from whimbrel.store import Log

DAY = timedelta(days=1)
_TICK = timedelta(microseconds=1)


def open_log(asked: Asked) -> Log:
    """The log, after what recorders left waiting was taken in."""
    from whimbrel.store import open_log as open_at  # deltalake is loaded where a log is opened

    log = open_at(Settings.load(home=asked.home).home)
    taken = log.ingest().to_dict()
    came = [f"{taken[what]:,} {what}" for what in ("predictions", "labels", "decisions", "events") if taken[what]]
    if came:
        out.hint(f"took in {', '.join(came)} that recorders had left waiting")
    for note in taken["notes"]:
        out.hint(note)
    return log


@contextmanager
def profiled(log: Log) -> Iterator[None]:
    """Whatever is written meanwhile is profiled for the goldens that have a name, where there are any."""
    if not any(log.layout.golden.glob("*.json")):
        yield
        return
    from whimbrel.compare.ahead import profiled as ahead  # who has no golden waits for no imports

    with ahead(log):
        yield


def engine(asked: Asked) -> str:
    """The name of the engine that was asked for.

    Raises:
        UsageError: an engine that is not there, or that lacks what it needs.
        StoreError: a cluster that does not answer.
    """
    from whimbrel.engine import engine_named

    name = Settings.load(engine=asked.engine).engine
    engine_named(name)
    return name


def app(asked: Asked, log: Log) -> str:
    """The app that was named, or the only one there is.

    Raises:
        EvidenceError: the log holds no app at all.
        UsageError: the log does not hold the one named, or holds several and none is named.
    """
    apps = log.apps()
    if not apps:
        raise EvidenceError(
            "the log holds no predictions", where=str(log.home), why="nothing was recorded or imported yet",
            next="whimbrel import FILE, or whimbrel demo",
        )  # fmt: skip
    if asked.app is not None and asked.app not in apps:
        raise UsageError(f"the log holds no app {asked.app!r}", where="--app", next=f"choose one of {', '.join(apps)}")
    if asked.app is None and len(apps) > 1:
        raise UsageError("the log holds several apps", where="--app", next=f"choose one of {', '.join(apps)}")
    return asked.app or apps[0]


@dataclass(frozen=True, slots=True)
class Question:
    """A window of one app, and golden: by name, by a window, or neither."""

    window: Window
    golden: str | None
    golden_window: Window | None


def question(asked: Asked, log: Log, *, using: str = "duckdb", default: timedelta | None = DAY) -> Question:
    """The window and golden that the options name; `default` is how long a window is that names no start."""
    name = app(asked, log)
    clock = Clock(_newest(log, using, name))
    window = _window(asked, name, clock, default)
    return Question(window, asked.golden, _golden_window(asked, name, clock, window.since, window.where))


def golden_window(asked: Asked, log: Log, ident: str, *, using: str = "duckdb") -> Window | None:
    """The window that --golden-since and --golden-until name, of the app of one prediction; None where they are not given."""
    if not (asked.golden_since or asked.golden_until):
        return None
    name = log.find(ident, app=asked.app).app
    return _golden_window(asked, name, Clock(_newest(log, using, name)), None, ())


def _golden_window(asked: Asked, name: str, clock: Clock, end: datetime | None, where: Where) -> Window | None:
    """Golden by its times; it ends where the window begins, unless said otherwise."""
    if not (asked.golden_since or asked.golden_until):
        return None
    if asked.golden:
        why = "--golden names a window, and so do --golden-since and --golden-until"
        raise UsageError("golden is given twice", why=why, next="give one of the two")
    since = clock.time(asked.golden_since) if asked.golden_since else None
    until = clock.time(asked.golden_until) if asked.golden_until else end
    return Window(name, since, until, where)


def stretch(asked: Asked, log: Log) -> tuple[datetime, datetime]:
    """The stretch of time that the options name; it counts back from now where recorders have written lately.

    Raises:
        UsageError: none is named.
    """
    if not (asked.last or asked.since):
        raise UsageError("no stretch of time is named", where="--last, --since", next="write --last 10m")
    times = [] if any(log.layout.segments.glob("*/*.seg")) else [_newest(log, "duckdb", name) for name in log.apps()]
    window = _window(asked, "", Clock(max((time for time in times if time is not None), default=None)), DAY)
    assert window.since is not None
    assert window.until is not None
    return window.since, window.until


def _newest(log: Log, using: str, name: str) -> datetime | None:
    """The time of the app's newest prediction; None where it has none."""
    from whimbrel.engine import engine_named

    count, _, last = engine_named(using).extent(log.source(name).latest(), Window(name))
    return from_micros(last) if count else None


@dataclass(slots=True)
class Clock:
    """Where durations count back from: now, or the newest prediction where that lies more than a day away."""

    newest: datetime | None
    said: bool = False

    @property
    def now(self) -> datetime:
        """The moment that `24h` counts back from; says so once where it is not the present."""
        present = datetime.now(UTC)
        if self.newest is None or abs(present - self.newest) <= DAY:
            return present
        if not self.said:
            self.said = True
            out.hint(f"times count back from the newest prediction, {iso(self.newest)}")
        return self.newest + _TICK

    def time(self, text: str) -> datetime:
        """A time as the options spell it: a duration counts back, and only then is it asked from where."""
        counts_back = text.strip()[-1:].isalpha() and text.strip()[-1:] != "Z"
        with _calendar(text):
            return parse_time(text, now=self.now if counts_back else datetime.now(UTC))

    def last(self, text: str) -> tuple[datetime, datetime]:
        """The stretch that `--last 24h` names."""
        now = self.now
        with _calendar(text):
            return now - parse_duration(text), now


@contextmanager
def _calendar(text: str) -> Iterator[None]:
    try:
        yield
    except OverflowError:
        raise UsageError(f"{text!r} lies outside the calendar", next="write it as 24h, 7d or 2w") from None


def _window(asked: Asked, name: str, clock: Clock, default: timedelta | None) -> Window:
    where: Where = tuple(Condition.parse(text) for text in asked.where)
    if asked.last and (asked.since or asked.until):
        raise UsageError(
            "the window is given twice", why="--last is a window of its own", next="leave out --since and --until"
        )
    if asked.last:
        return Window(name, *clock.last(asked.last), where)
    since = clock.time(asked.since) if asked.since else None
    until = clock.time(asked.until) if asked.until else None
    if default is None:
        return Window(name, since, until, where)
    if until is None:
        until = clock.now if since is None or clock.newest is None else max(clock.newest + _TICK, since + _TICK)
    return Window(name, since or until - default, until, where)
