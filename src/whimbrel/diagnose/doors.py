"""The two doors to a diagnosis: two tables without any log, or a window of a log."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from whimbrel.diagnose.lineage import Trained, told_by
from whimbrel.diagnose.sampling import Sampling
from whimbrel.diagnose.verdict import LEAST_GOLDEN, LEAST_WINDOW, diagnose_rows
from whimbrel.engine.port import Engine, Source
from whimbrel.errors import EvidenceError, UsageError
from whimbrel.model.event import Event
from whimbrel.model.report import Report, Span
from whimbrel.model.rows import Rows
from whimbrel.model.window import Window, from_micros
from whimbrel.store.despite import despite_damage

if TYPE_CHECKING:
    from whimbrel.store import Log

ROWS = 40_000
"""Rows of each window that single rows are looked at; more are sampled, and the report says so."""

WEEKS = 6
"""Preceding weeks that stand in for golden where none is named."""


def diagnose(
    golden: Any, window: Any, *, events: Any = None, app: str = "table", pipeline: Any = None, golden_pipeline: Any = None
) -> Report:  # fmt: skip
    """Diagnose one table against another; no log is needed.

    Args:
        golden: predictions of a time when all was well: a pandas, Polars or Arrow table whose columns bear the contract's
            dotted names (`ts`, `inputs.<name>`, `outputs.score`, …).
        window: the predictions in question, likewise.
        events: what happened around them: an iterable of `Event`, or a table of `ts`, `kind`, `what` and `context.<tag>`.
        app: the name that the report bears.
        pipeline: the code that is declared to serve (see `whimbrel.replay.parity`): recorded inputs go through it again.
        golden_pipeline: golden's code: a declared change is shared out among its artefacts.

    Raises:
        UsageError: golden's code is named alone.
        InputError: a table cannot be read as predictions, or the pipeline cannot be loaded.
    """
    _both_named(pipeline, golden_pipeline)
    engine, first, second = _sources(golden, window, app)
    known = _events(events)
    report = _report(Sampling(engine), (first, Window(app)), (second, Window(app)), app, known)
    if pipeline is None:
        return report
    return _weighed(report, engine, (second, Window(app)), (first, Window(app)), pipeline, golden_pipeline)


def replayed(report: Report, golden: Any, window: Any, *, pipeline: Any, golden_pipeline: Any = None) -> Report:
    """What replay adds to a report that `diagnose` made of these two tables: the same as if it had been given the code.

    Raises:
        InputError: a table cannot be read as predictions, or the pipeline cannot be loaded.
    """
    engine, first, second = _sources(golden, window, report.app)
    here = Window(report.app)
    return _weighed(report, engine, (second, here), (first, here), pipeline, golden_pipeline)


def _sources(golden: Any, window: Any, app: str) -> tuple[Engine, Source, Source]:
    from whimbrel.engine import engine_named
    from whimbrel.store import source_of

    first, _ = source_of(golden, app=app)
    second, _ = source_of(window, app=app, schema=first.schema)
    return engine_named("duckdb"), first, second


def _both_named(pipeline: Any, golden_pipeline: Any) -> None:
    if golden_pipeline is not None and pipeline is None:
        raise UsageError(
            "golden's code is named, and not the code that is declared to serve", where="--golden-pipeline",
            why="the two are compared with each other and with what was recorded", next="name the other with --pipeline",
        )  # fmt: skip


def _weighed(
    report: Report, engine: Engine, window: tuple[Source, Window], golden: tuple[Source, Window], pipeline: Any,
    golden_pipeline: Any,
) -> Report:  # fmt: skip
    """The report with what replay proves."""
    if report.window.predictions < LEAST_WINDOW or report.golden.predictions < LEAST_GOLDEN:
        return report
    from whimbrel.diagnose.again import Again
    from whimbrel.diagnose.exact import weigh

    started = time.perf_counter()
    weighed = weigh(report, Again(engine, report, window, golden, pipeline, golden_pipeline))
    return replace(weighed, took_s=round(report.took_s + time.perf_counter() - started, 3))


def _events(events: Any) -> tuple[Event, ...]:
    if events is None:
        return ()
    if isinstance(events, (list, tuple)) and all(isinstance(event, Event) for event in events):
        return tuple(events)
    from whimbrel.store import events_of

    return events_of(events)


@despite_damage
def diagnose_log(
    log: Log, app: str | None = None, *, window: Window, golden: str | None = None,
    golden_window: Window | None = None, engine: str | Engine = "duckdb", pipeline: Any = None,
    golden_pipeline: Any = None,
) -> Report:  # fmt: skip
    """Diagnose a window of a log against a named golden, a golden window, or the preceding weeks' same hours.

    With a `pipeline`, the code that is declared to serve (see `whimbrel.replay.parity`), recorded inputs are replayed through it: exact
    evidence. With `golden_pipeline`, the code of golden's time, a declared change is shared out among its artefacts.

    Raises:
        UsageError: the app or the golden does not exist, or golden's code is named alone.
        EvidenceError: nothing is left to compare with.
        InputError: the pipeline cannot be loaded.
    """
    from whimbrel.engine import engine_named

    _both_named(pipeline, golden_pipeline)
    report = _diagnosed(log, app, window, golden, golden_window, engine)
    if pipeline is None:
        return report
    source, kept = log.source(report.app), log.golden(golden) if golden is not None else None
    if kept is not None:
        before = log.source(report.app, kept.version), kept.window
    else:
        span = report.golden
        before = (
            source,
            replace(golden_window or Window(report.app, span.since, span.until, window.where), app=report.app),
        )
    asked = source, replace(window, app=report.app)
    return _weighed(report, engine_named(engine), asked, before, pipeline, golden_pipeline)


def _diagnosed(
    log: Log, app: str | None, window: Window, golden: str | None, golden_window: Window | None, engine: str | Engine
) -> Report:
    from whimbrel.engine import engine_named

    app = app or window.app
    chosen = Sampling(engine_named(engine), log)
    source = log.source(app)
    window = replace(window, app=app)
    events, trained = log.events(app), told_by(log, app)
    if golden is not None:
        kept = log.golden(golden)
        if kept.window.app != app:
            raise UsageError(
                f"golden {golden!r} is of app {kept.window.app!r}, not {app!r}", where="--golden",
                next="whimbrel golden list",
            )  # fmt: skip
        narrowed = replace(kept.window, where=tuple(dict.fromkeys((*kept.window.where, *window.where))))
        return _report(
            chosen, (log.source(app, kept.version), narrowed), (source, window), app, events, golden, trained
        )
    if golden_window is not None:
        return _report(chosen, (source, replace(golden_window, app=app)), (source, window), app, events, "", trained)
    return _against_the_past(chosen, source, window, events, trained)


def _report(
    samples: Sampling, golden: tuple[Source, Window], window: tuple[Source, Window], app: str,
    events: tuple[Event, ...], name: str = "", trained: Trained | None = None,
) -> Report:  # fmt: skip
    before, after = (samples.rows(source, chosen, ROWS) for source, chosen in (golden, window))
    schema = golden[0].schema + window[0].schema
    report = diagnose_rows(
        before, after, schema, app=app, events=events,
        golden_span=_span(golden[1], before, name), window_span=_span(window[1], after), trained=trained,
    )  # fmt: skip
    left_out = [note for source, chosen in (golden, window) for note in source.left_out(chosen)]
    return replace(report, notes=tuple(dict.fromkeys((*report.notes, *left_out))))


def _against_the_past(
    samples: Sampling, source: Source, window: Window, events: tuple[Event, ...], trained: Trained
) -> Report:
    """Golden is what came before: the same hours of the same weekdays, else the same hours, else everything."""
    n, first, last = samples.engine.extent(source, window)
    if n == 0:
        raise EvidenceError(
            "the window holds no predictions", where=f"app {window.app}", next="whimbrel status says what the log holds"
        )
    since, until = window.since or from_micros(first), window.until or from_micros(last + 1)
    for shifted in _past(window, since, until):
        parts = [samples.rows(source, w, ROWS // len(shifted)) for w in shifted]
        held = [(w, rows) for w, rows in zip(shifted, parts, strict=True) if len(rows)]
        if sum(len(rows) for _, rows in held) >= 500 and (len(held) >= 3 or len(shifted) == 1):
            rows = held[-1][1]
            for _, more in reversed(held[:-1]):
                rows = rows + more
            after = samples.rows(source, window, ROWS)
            span = _span(replace(window, since=held[-1][0].since, until=held[0][0].until), rows, "")
            return diagnose_rows(
                rows, after, source.schema, app=window.app, events=events, golden_span=span,
                window_span=_span(replace(window, since=since, until=until), after), trained=trained,
            )  # fmt: skip
    raise EvidenceError(
        "there are too few predictions before the window to compare it with",
        where=f"app {window.app}, before {since:%Y-%m-%d %H:%M}",
        why="without a golden window the preceding weeks are used",
        next="name a golden window: --golden-since … --golden-until …, or whimbrel golden set NAME --since … --until …",
    )


def _past(window: Window, since: Any, until: Any) -> list[list[Window]]:
    length = until - since
    plans = []
    if length <= timedelta(days=7):
        plans.append([timedelta(weeks=k) for k in range(1, WEEKS + 1)])
    if length <= timedelta(days=1):
        plans.append([timedelta(days=k) for k in range(1, 15)])
    out = [[replace(window, since=since - by, until=until - by) for by in plan] for plan in plans]
    return [*out, [replace(window, since=since - max(4 * length, timedelta(weeks=WEEKS)), until=since)]]


def _span(window: Window, rows: Rows, name: str = "") -> Span:
    first, last = (from_micros(int(rows.ts.min())), from_micros(int(rows.ts.max()))) if len(rows) else (None, None)
    return Span(window.since or first, window.until or last, rows.total, window.where, name)
