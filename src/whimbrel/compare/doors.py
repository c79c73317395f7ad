"""The doors to a comparison: two tables without any log, or a window of a log against golden."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whimbrel.compare.judged import compare_profiles, span_of
from whimbrel.compare.kept import Shelf, names_of
from whimbrel.compare.result import Comparison
from whimbrel.compare.saved import decode, encode
from whimbrel.engine import Engine, Source, engine_named
from whimbrel.errors import EvidenceError, StoreError, UsageError
from whimbrel.model.fields import Schema
from whimbrel.model.profile import Profile
from whimbrel.model.report import Span
from whimbrel.model.window import Window, from_micros, iso
from whimbrel.store.despite import despite_damage
from whimbrel.store.reach import pieces

if TYPE_CHECKING:
    from whimbrel.store import Golden, Log

PAST = timedelta(weeks=6)
"""What stands in for golden where none is named: this much of what came before the window."""


def compare(golden: Any, window: Any, *, app: str = "table") -> Comparison:
    """Compare one table with another; no log is needed.

    Args:
        golden: predictions of a time when all was well: a pandas, Polars or Arrow table whose columns bear the
            contract's dotted names (`ts`, `inputs.<name>`, `outputs.score`, …).
        window: the predictions in question, likewise.
        app: the name that the answer bears.

    Raises:
        InputError: a table cannot be read as predictions.
        EvidenceError: a table holds no predictions.
    """
    from whimbrel.store import source_of

    engine = engine_named()
    before, _ = source_of(golden, app=app)
    after, _ = source_of(window, app=app, schema=before.schema)
    asked = Window(app)
    made = _profile(engine, before, asked, before.schema + after.schema)
    return compare_profiles(made, engine.profile(after, asked, made.binning))


@despite_damage
def compare_log(
    log: Log,
    app: str | None = None,
    *,
    window: Window,
    golden: str | None = None,
    golden_window: Window | None = None,
    engine: str | Engine = "duckdb",
) -> Comparison:
    """Compare a window of a log with a named golden, a golden window, or the six weeks before it.

    Golden is profiled once, and of the window each data file once: what was read is kept in the log (`kept.py`).

    Raises:
        UsageError: the app, the golden or a condition's path does not exist.
        EvidenceError: the window or golden holds no predictions.
    """
    app = app or window.app
    window = replace(window, app=app)
    chosen = engine_named(engine)
    source = log.source(app)
    shelf, held = Shelf.of(log, app, chosen), pieces(log.layout, source)
    if golden is not None:
        kept = log.golden(golden)
        if kept.window.app != app:
            raise UsageError(
                f"golden {golden!r} is of app {kept.window.app!r}, not {app!r}", where="--golden",
                next="whimbrel golden list",
            )  # fmt: skip
        before = replace(kept.window, where=tuple(dict.fromkeys((*kept.window.where, *window.where))))
        if before == kept.window:
            made = _kept_profile(log, kept, source.schema, chosen)
        else:
            then = _with(log.source(app, kept.version), source.schema)
            old = pieces(log.layout, then)
            made = shelf.golden(old, then, before, lambda: _profile(chosen, then, before, then.schema))
    else:
        before = _past(chosen, source, window) if golden_window is None else replace(golden_window, app=app)
        made = shelf.golden(held, source, before, lambda: _profile(chosen, source, before, source.schema))
    found = shelf.window(held, source, window, made.binning)
    told = compare_profiles(
        made, found, golden_span=_span(before, made, golden or ""), window_span=_span(window, found, "")
    )
    notes = dict.fromkeys((*told.notes, *source.left_out(window), *source.left_out(before)))
    return replace(told, notes=tuple(notes))


def golden_profile(log: Log, golden: Golden, *, engine: str | Engine = "duckdb") -> Profile:
    """Golden's profile: as it was saved, or made now and saved beside golden.

    It is made anew where golden was named again, the app has fields that it does not know, or labels came to it.

    Raises:
        StoreError: the log cannot be read or written.
    """
    return _kept_profile(log, golden, log.source(golden.window.app).schema, engine_named(engine))


def saved_profile(log: Log, golden: Golden, schema: Schema) -> Profile | None:
    """Golden's profile as it was saved; None where it was not, or would have to be made anew."""
    path, stamp, _ = _place(log, golden, schema)
    return _saved(path, stamp)


def _kept_profile(log: Log, golden: Golden, schema: Schema, engine: Engine) -> Profile:
    path, stamp, source = _place(log, golden, schema)
    saved = _saved(path, stamp)
    if saved is not None:
        return saved
    made = _profile(engine, source, golden.window, schema)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        partial.write_bytes(encode(made, stamp=stamp))
        partial.replace(path)
    except OSError:
        pass  # a log that may only be read is still compared, only not as fast the next time
    return made


def _place(log: Log, golden: Golden, schema: Schema) -> tuple[Path, str, Source]:
    """Where golden's profile is saved, the stamp that says what it must be of, and what it is made from."""
    path = log.layout.golden / f"{golden.name}.profile"
    known = ",".join(f"{field.path}:{field.kind}" for field in schema)
    source = log.source(golden.window.app, golden.version)
    reach = sha256(repr(names_of(pieces(log.layout, source), golden.window)).encode()).hexdigest()
    return path, f"{golden.version}/{golden.window!r}/{iso(golden.made)}/{known}/{reach}", source


def _saved(path: Path, stamp: str) -> Profile | None:
    try:
        saved = decode(path.read_bytes(), where=str(path))
    except (OSError, StoreError):
        return None  # not there, or not to be read any more: it is made anew
    return saved.profile if saved.stamp == stamp else None


def _profile(engine: Engine, source: Source, window: Window, schema: Schema) -> Profile:
    """The profile of golden on bins learned on itself, with columns for all fields of a schema."""
    full = _with(source, schema)
    return engine.profile(full, window, engine.binning(full, window))


def _with(source: Source, schema: Schema) -> Source:
    return replace(source, schema=source.schema + schema)


def _past(engine: Engine, source: Source, window: Window) -> Window:
    since = window.since
    if since is None:
        rows, first, _ = engine.extent(source, window)
        if not rows:
            raise EvidenceError(
                "the window holds no predictions", where=f"app {window.app!r}",
                next="whimbrel status says what the log holds",
            )  # fmt: skip
        since = from_micros(first)
    return replace(window, since=since - PAST, until=since)


def _span(window: Window, profile: Profile, name: str) -> Span:
    seen = span_of(profile)
    return Span(window.since or seen.since, window.until or seen.until, seen.predictions, window.where, name)
