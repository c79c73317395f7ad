"""The door: one prediction of a log, held against golden where one is named."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whimbrel.engine import Engine, Source, engine_named
from whimbrel.errors import EvidenceError, UsageError
from whimbrel.model.fields import Kind, Role, role_of, split
from whimbrel.model.report import Span
from whimbrel.model.window import Condition, Window, from_micros
from whimbrel.report.words import NOTHING, moment, number, share, visible
from whimbrel.show.neighbours import nearest
from whimbrel.show.result import Blob, Prediction, Standing, Step, Timed, Value
from whimbrel.show.standing import as_text, standing

if TYPE_CHECKING:
    from whimbrel.model.rows import Rows
    from whimbrel.store import Found, Log

_CELLS = 3_000_000
_FEWEST, _MOST = 2_000, 50_000
"""Golden's rows that a value is held against: so many cells in all, and no fewer or more rows than these."""

_CHECKED = 8
"""Values that a sample of golden never had and that are looked for in all of it."""

_ALIKE = (Role.OUTPUT, Role.DECISION, Role.LABEL)
_UNTOLD = (Role.RECORDER, Role.HARDWARE, Role.ERROR)
_NULLABLE = (Role.INPUT, Role.STEP, Role.OUTPUT)


def show(
    log: Log | str | Path,
    ident: str,
    *,
    app: str | None = None,
    golden: str | None = None,
    golden_window: Window | None = None,
    engine: str | Engine = "duckdb",
) -> Prediction:
    """One prediction end to end, by its id or the beginning of it; what recorders left waiting is looked through as well.

    Args:
        log: the log, or its folder.
        ident: the id, or so much of its beginning as no other has.
        app: where to look; all apps where it is not given.
        golden: the name of a golden window to hold each value against.
        golden_window: a golden window that has no name.
        engine: who reads golden.

    Raises:
        UsageError: no such prediction, several, no such app or golden, or a golden of another app.
        EvidenceError: the log or golden holds no predictions.
        StoreError: a table is damaged.
    """
    if isinstance(log, str | Path):
        from whimbrel.store import open_log

        log = open_log(log)
    found = log.find(ident, app=app)
    if golden is None and golden_window is None:
        return _told(log, found, lambda *_: None, _null_inputs(found))
    source, window = _golden(log, found.app, golden, golden_window)
    rows = _rows(source, window, found, engine)
    span = Span(window.since, window.until, rows.total, window.where, golden or "")
    empty = tuple(path for path in found.empty if role_of(path) in _NULLABLE and _filled(rows, path))
    told = _told(log, found, _Places(source, window, rows, engine), empty)
    inputs = {one.path: one.value for one in told.inputs}
    got = [path for path in rows.columns if role_of(path) in _ALIKE]
    near, distance = nearest(rows, inputs, got, besides=found.id)
    return replace(told, golden=span, compared=len(rows), neighbours=near, distance=distance)


def _golden(log: Log, app: str, name: str | None, window: Window | None) -> tuple[Source, Window]:
    if name is None:
        assert window is not None
        return log.source(app), replace(window, app=app)
    if window is not None:
        why = "`golden` names a window, and so does `golden_window`"
        raise UsageError("golden is given twice", why=why, next="give one of the two")
    kept = log.golden(name)
    if kept.window.app != app:
        raise UsageError(
            f"golden {name!r} is of app {kept.window.app!r}, and the prediction of {app!r}", where="--golden",
            next="whimbrel golden list",
        )  # fmt: skip
    return log.source(app, kept.version), kept.window


def _null_inputs(found: Found) -> tuple[str, ...]:
    return tuple(path for path in found.empty if role_of(path) is Role.INPUT)


def _rows(source: Source, window: Window, found: Found, engine: str | Engine) -> Rows:
    """Golden's rows, of the fields that this prediction has or might have had."""
    told = (*found.values, *(path for path in found.empty if role_of(path) in _NULLABLE))
    paths = [f.path for f in source.schema if f.role in _ALIKE or (f.path in told and f.role not in _UNTOLD)]
    limit = min(max(_CELLS // max(len(paths), 1), _FEWEST), _MOST)
    rows = engine_named(engine).rows(source, window, paths=paths, limit=limit)
    if not len(rows):
        raise EvidenceError(
            "golden holds no predictions", where=f"app {source.app!r}", why="its times or conditions fit nothing that the log holds",
            next="whimbrel status says what the log holds",
        )  # fmt: skip
    return rows


def _filled(rows: Rows, path: str) -> bool:
    column = rows.columns.get(path)
    return column is not None and not bool(column.missing.all())


class _Places:
    """Where values stand in golden. What a sample never had is looked for in all of golden, for the first few values."""

    def __init__(self, source: Source, window: Window, rows: Rows, engine: str | Engine) -> None:
        self.source, self.window, self.rows, self.engine = source, window, rows, engine_named(engine)
        self.left = _CHECKED if len(rows) < rows.total else 0

    def __call__(self, path: str, value: Any) -> Standing | None:
        """The standing of one value."""
        found = standing(self.rows.columns.get(path), value)
        if found is None or found.share or value is None or not self.left:
            return found
        item = self.source.schema.get(path)
        if found.percentile in (0.0, 100.0) and item is not None and item.kind is Kind.NUMBER:
            return self.counted(path, f"{value!r}", ">=" if found.percentile else "<=") or found
        if found.percentile is None and item is not None and item.kind in (Kind.TEXT, Kind.BOOLEAN):
            return self.counted(path, as_text(value), "=") or found
        return found

    def counted(self, path: str, text: str, op: str) -> Standing | None:
        """How many of all golden's predictions have such a value; None where none has."""
        self.left -= 1
        where = (*self.window.where, Condition(path, text, op))
        count, _, _ = self.engine.extent(self.source, replace(self.window, where=where))
        if not count:
            return None
        part = count / self.rows.total
        if op == "=":
            return Standing(f"{share(part)} of golden ({number(count)} of {number(self.rows.total)})", share=part)
        percentile = 100 * (1 - part if op == ">=" else part)
        side = "as high" if op == ">=" else "as low"
        return Standing(
            f"only {number(count)} of {number(self.rows.total)} in golden are {side}", percentile=percentile
        )


Place = Callable[[str, Any], Standing | None]


def _told(log: Log, found: Found, place: Place, empty: tuple[str, ...]) -> Prediction:
    """The record in the order of its way, each value with its place."""
    ts = _moment(found.ts)
    values = dict(found.values) | dict.fromkeys(empty)

    def of(*roles: Role) -> tuple[Value, ...]:
        return tuple(_value(found, place, p, v) for p, v in values.items() if role_of(p) in roles)

    label = of(Role.LABEL)
    error = str(values.get("error") or "")
    spans, total, notes = _waterfall(found, place)
    return Prediction(
        found.app, found.id, ts, found.state, found.waits, _sentence(found, ts), None, 0,
        inputs=of(Role.INPUT), steps=_steps(found, of(Role.STEP), of(Role.CODE)), model=of(Role.MODEL),
        outputs=of(Role.OUTPUT), decisions=of(Role.DECISION), label=label[0] if label and label[0].value is not None else None,
        label_ts=_moment(found.label_ts), context=of(Role.CONTEXT), spans=spans, total=total, usage=of(Role.USAGE),
        ages=of(Role.AGE), hardware=of(Role.HARDWARE), process=found.process, recorder=of(Role.RECORDER), error=error,
        blobs=tuple(_blobs(log, found)), rescued=found.rescued, notes=tuple(notes),
    )  # fmt: skip


def _value(found: Found, place: Place, path: str, value: Any) -> Value:
    if value is None and path in found.rescued:
        return Value(path, None, Standing(f"did not fit its column, and came as {visible(found.rescued[path], 100)}"))
    return Value(path, value, place(path, value))


def _moment(us: int | None) -> datetime | None:
    try:
        return None if us is None else from_micros(us)
    except OverflowError:  # an app may say any time at all
        return None


def _steps(found: Found, values: tuple[Value, ...], codes: tuple[Value, ...]) -> tuple[Step, ...]:
    """The steps in the order in which they ran."""
    code = {one.path.removeprefix("code."): one for one in codes}
    held: dict[str, list[Value]] = {}
    for one in values:
        held.setdefault(split(one.path)[1], []).append(one)
    reads = found.values.get("recorder.reads") or ()
    return tuple(Step(name, tuple(held.get(name, ())), code.get(name), name in reads) for name in {**held, **code})


def _waterfall(found: Found, place: Place) -> tuple[tuple[Timed, ...], Timed | None, list[str]]:
    """A bar for each span, one after the other, and one for the time that no span accounts for."""
    taken = {p: float(v) for p, v in found.values.items() if role_of(p) is Role.SPAN and isinstance(v, int | float)}
    whole = taken.pop("spans.total", None)
    bars, at, notes = [], 0.0, []
    for path, ms in taken.items():
        bars.append(Timed(path.removeprefix("spans."), at, ms, place(path, ms)))
        at += ms
    total = None if whole is None else Timed("total", 0.0, whole, place("spans.total", whole))
    if whole is not None and bars and at > 1.01 * whole:
        notes.append("the spans add up to more than the total: some ran beside each other")
    elif whole is not None and bars and whole - at > 0.01 * whole:
        bars.append(Timed("elsewhere", at, whole - at))
    return tuple(bars), total, notes


def _blobs(log: Log, found: Found) -> Iterable[Blob]:
    for path, value in found.values.items():
        name, _, last = path.rpartition(".")
        if last == "sha256" and isinstance(value, str) and len(value) == 64 and value.isalnum():
            size = found.values.get(f"{name}.bytes")
            held = (log.home / "blobs" / value[:2] / value).is_file()
            yield Blob(name, value, int(size) if isinstance(size, int | float) else None, held)


def _sentence(found: Found, ts: datetime | None) -> str:
    """The prediction in one line."""
    words = {"ended": "ended", "failed": "failed", "running": "still running", "unfinished": "never ended"}
    said = [f"Prediction {found.id} of {found.app}, {moment(ts)} UTC: {words[found.state]}"]
    values = found.values
    name, version = values.get("model.name"), values.get("model.version")
    if name or version:
        said.append(f"model {'@'.join(str(one) for one in (name, version) if one)}")
    for path in ("outputs.score", "decision", "label"):
        if (value := values.get(path)) is not None:
            text = number(value) if isinstance(value, int | float) else visible(value, 60)
            said.append(f"{path.removeprefix('outputs.')} {text or NOTHING}")
    return visible(", ".join(said), 1000) + "."
