"""The user's own app under the drill: faults planted into what it recorded, and how soon its own traces would show them.

In: a log, an app's name, and its code where there is one. Out: a `UserDrill`. The last fifth of the recorded time is the window,
what lies before it golden. With code, recorded inputs are changed and run through it again, so that everything downstream
inherits the fault; without, a fault stays in the column in which it was planted. Nothing is written to the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.diagnose import diagnose as by_whimbrel
from whimbrel.drill.case import Drawn, Truth
from whimbrel.drill.columns import Bools, Columns, length, merge, take
from whimbrel.drill.grade import Graded, crashed, grade
from whimbrel.drill.own import Own, cut_of, decided, faults_of
from whimbrel.drill.run import Diagnose, timed
from whimbrel.drill.score import Score
from whimbrel.errors import EvidenceError, UsageError
from whimbrel.model.window import Window, from_micros

if TYPE_CHECKING:
    from whimbrel.store import Log

GOLDEN_ROWS, WINDOW_ROWS, LEAST = 12_000, 3_000, 300
"""Predictions that are looked at, and how many the log must hold at least."""
REPLAYED = 600
"""Predictions of the window that are run through the user's code again for each fault."""
AGREES = 0.98
"""Share of unchanged predictions that the code must answer as recorded; below it, it is not the code that answered."""
MADE = ("steps.", "outputs.", "decision", "decisions.")
"""What the code makes; the rest was given to it."""


@dataclass(frozen=True, slots=True)
class UserDrill:
    """How the user's own traces fared. `calm` is what the diagnosis says of the window as it is."""

    app: str
    golden: int
    window: int
    replays: bool
    calm: Graded
    score: Score
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "schema": "whimbrel.drill.user/1", "app": self.app, "golden": self.golden, "window": self.window,
            "replays": self.replays, "as_it_is": self.calm.to_dict(), "score": self.score.to_dict(),
            "notes": list(self.notes),
        }  # fmt: skip


def drill_log(
    log: Log, *, app: str | None = None, code: str | None = None, n: int | None = None, seed: int = 0, limit_s: float = 120.0,
    diagnose: Diagnose | None = None, progress: Callable[[int, int, str], None] | None = None,
) -> UserDrill:  # fmt: skip
    """Plant faults into an app's recorded predictions, and say which are found, where, and how soon.

    Args:
        log: the log.
        app: which application; may be left out where the log has only one.
        code: `module:attribute`, `file.py:attribute`, …: what answered (see `whimbrel.replay`); None for the rows alone.
        n: how many faults; as many as the app has places for by default.
        seed: which rows a share of faults hits.
        limit_s: seconds that each replay may take.
        diagnose: what is drilled; `whimbrel.diagnose` by default.
        progress: told after each fault.

    Raises:
        UsageError: no such app; nothing can be planted.
        EvidenceError: the log holds too few predictions.
        InputError: the code cannot be loaded.
    """
    name = _named(log, app)
    golden, window, until = _split(log, name)
    replayed, notes = _replayer(code, window, limit_s)
    here = Recorded(name, golden, window, until, replayed)
    by = diagnose or by_whimbrel
    calm = _asked(here, Truth("none", app=name), window, by)
    planned = faults_of(golden, window, replays=replayed is not None)
    if not planned:
        raise UsageError(
            f"nothing can be planted into {name}", why="its log holds no number, no name and no time that could be changed",
            next="record inputs, a score, a decision and spans: see the recorder's page",
        )  # fmt: skip
    chosen = planned[: n if n is not None else len(planned)]
    cases = []
    for i, (own, place) in enumerate(zip(chosen, _places(golden, window, len(chosen)), strict=True), 1):
        cases.append(_case(here, own, place, np.random.default_rng([seed, i]), by))
        if progress is not None:
            progress(i, len(chosen), own.says)
    return UserDrill(
        name, length(golden), length(window), replayed is not None, calm, Score(tuple(cases)), tuple(notes)
    )


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """What was recorded, in two parts, and the code that made it."""

    app: str
    golden: Columns
    window: Columns
    until: datetime
    replay: Callable[[Columns, bool], Columns] | None


def text(done: UserDrill) -> str:
    """The outcome for a terminal."""
    lines = [
        f"{done.window:,} predictions of {done.app} against {done.golden:,} before them, "
        + ("run through your code again" if done.replays else "as they were recorded"),
        f"as they are: {done.calm.sentence}",
        "",
        f"{'planted':<44} {'where':<24} {'changed':>8}  {'found':<12} {'after':<28} answer",
    ]
    for case in done.score.cases:
        truth = case.truth
        where = ", ".join(f"{path.partition('.')[2]}={value}" for path, value in truth.where.items()) or "all traffic"
        right = "".join(
            m if hit else "·"
            for m, hit in zip("LCS", (case.layer_hit, case.component_hit, case.slice_hit), strict=True)
        )
        after = (
            "" if case.detected_rows is None else f"{case.detected_rows:,} predictions, {_span(case.detected_min or 0)}"
        )
        said = f"{case.layers[0]} {case.components[0]}" if case.layers else case.verdict
        lines.append(f"{truth.says:<44} {where:<24} {truth.effect:>8.1%}  {right:<12} {after:<28} {said}")
    rates = done.score.rates
    lines += ["", "L C S: layer, component and slice of the first finding are right", ""]
    lines += [f"{name:<10} {rates[name]}" for name in ("layer", "component", "slice", "missed") if rates[name].n]
    return "\n".join([*lines, *([""] if done.notes else []), *(f"note: {note}" for note in done.notes)]) + "\n"


def _span(minutes: float) -> str:
    return (
        f"{minutes:.0f} min"
        if minutes < 120
        else f"{minutes / 60:.1f} h"
        if minutes < 2880
        else f"{minutes / 1440:.1f} days"
    )


def _named(log: Log, app: str | None) -> str:
    apps = log.apps()
    if app is None and len(apps) == 1:
        return apps[0]
    if app not in apps:
        raise UsageError(
            f"the log holds no app {app!r}" if app else "the log holds several apps, or none",
            where="--app", next=f"choose one of {', '.join(apps)}" if apps else "record some predictions first",
        )  # fmt: skip
    return app


def _split(log: Log, app: str) -> tuple[Columns, Columns, datetime]:
    """Golden and window as columns, and the end of the window."""
    from whimbrel.engine import engine_named

    engine, source = engine_named("duckdb"), log.source(app)
    total, first, last = engine.extent(source, Window(app))
    if total < LEAST:
        raise EvidenceError(
            f"{app} has {total} predictions, which is too few to drill", why=f"it takes {LEAST}",
            next="record some more; whimbrel status says what the log holds",
        )  # fmt: skip
    start, cut, end = from_micros(first), from_micros(last - (last - first) // 5), from_micros(last + 1)
    parts = []
    for window, most in ((Window(app, start, cut), GOLDEN_ROWS), (Window(app, cut, end), WINDOW_ROWS)):
        rows = engine.rows(source, window, paths=(), limit=most)
        parts.append(_columns(engine.records(source, window, ids=rows.ids)))
    if min(length(part) for part in parts) < LEAST // 6:
        raise EvidenceError(
            f"the last fifth of the time that {app} recorded has too few predictions", why="the window is taken from it",
            next="record some more",
        )  # fmt: skip
    return parts[0], parts[1], end


def _columns(records: Sequence[Mapping[str, Any]]) -> Columns:
    """Flat records as columns: numbers as floats, anything else as objects; lists are left out."""
    paths = dict.fromkeys(path for record in records for path in record)
    out: Columns = {}
    for path in paths:
        values = [record.get(path) for record in records]
        known = [value for value in values if value is not None]
        if any(isinstance(value, (list, tuple, dict)) for value in known):
            continue
        if path == "ts":
            out[path] = np.array(values, dtype=float) / 1e6
        elif path == "label_ts":
            out[path] = np.array([np.nan if v is None else v.timestamp() for v in values])
        elif known and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in known):
            out[path] = np.array([np.nan if value is None else float(value) for value in values])
        else:
            out[path] = np.array([str(v).lower() if isinstance(v, bool) else v for v in values], dtype=object)
    out.setdefault("label_ts", np.full(len(records), np.nan))
    out.setdefault("label", np.full(len(records), np.nan))
    return out


def _records(columns: Columns) -> list[dict[str, Any]]:
    """Columns as flat records again, as the code was given them: nulls are left out, booleans are booleans."""
    names = [path for path in columns if path not in ("label", "label_ts")]
    lists = {path: columns[path].tolist() for path in names}
    lists["ts"] = [round(ts * 1e6) for ts in lists["ts"]]
    boolean = {p for p in names if columns[p].dtype == object and set(lists[p]) <= {"true", "false", None}}
    return [
        {
            path: values[i] == "true" if path in boolean else values[i]
            for path, values in lists.items()
            if values[i] is not None and values[i] == values[i]
        }
        for i in range(length(columns))
    ]


def _replayer(
    code: str | None, window: Columns, limit_s: float
) -> tuple[Callable[[Columns, bool], Columns] | None, list[str]]:
    """What runs rows through the code, if it answers as was recorded; notes."""
    if code is None:
        return None, [
            "without code, a fault stays in the column in which it was planted: name it with --user-app module:attribute"
        ]
    from whimbrel.replay.apart import play
    from whimbrel.replay.parity import known

    def replay(columns: Columns, free: bool) -> Columns:
        answers = play(code, known(_records(columns)), free=free, limit_s=limit_s).answers
        made = dict.fromkeys(
            path for answer in answers for path in answer.out if path.startswith(MADE) and path in columns
        )
        return {path: _like(columns[path], [answer.out.get(path) for answer in answers]) for path in made}

    rows = take(window, np.arange(min(length(window), REPLAYED // 2)))
    made = replay(rows, True)
    judged = [path for path in made if path.startswith(("outputs.", "decision"))]
    if not judged:
        return None, [f"{code} makes no output or decision that was recorded: faults are planted into the rows alone"]
    same = np.all([_equal(made[path], rows[path]) for path in judged], axis=0).mean()
    if same < AGREES:
        why = f"{code} answers {1 - same:.0%} of predictions otherwise than was recorded: faults are planted into the rows alone"
        return None, [why]
    return replay, []


def _like(column: NDArray[Any], values: list[Any]) -> NDArray[Any]:
    """The code's values in the recorded column's kind."""
    if column.dtype != object:
        return np.array([float(v) if isinstance(v, (int, float)) else np.nan for v in values])
    return np.array([str(v).lower() if isinstance(v, bool) else v for v in values], dtype=object)


def _equal(a: NDArray[Any], b: NDArray[Any]) -> Bools:
    if a.dtype != object and b.dtype != object:
        close: Bools = np.isclose(a, b, rtol=1e-6, atol=1e-9, equal_nan=True)
        return close
    return np.array(
        [x == y or (x is None and y is None) for x, y in zip(a.tolist(), b.tolist(), strict=True)], dtype=bool
    )


def _places(golden: Columns, window: Columns, n: int) -> Iterator[Mapping[str, str]]:
    """All traffic and the widest slices below two fifths, in turn."""
    found: list[tuple[float, str, str]] = []
    for path in window:
        if not path.startswith(("context.", "hardware.host")) or window[path].dtype != object or path not in golden:
            continue
        texts = window[path].astype(str)
        names, counts = np.unique(texts, return_counts=True)
        if 2 <= len(names) <= 40:
            share = counts / len(texts)
            found += [(-s, path, v) for s, v in zip(share, names, strict=True) if 0.05 <= s <= 0.4 and v != "None"]
    found.sort()
    for i in range(n):
        if i % 2 and found:
            _, path, value = found[(i // 2) % len(found)]
            yield {path: value}
        else:
            yield {}


def _case(here: Recorded, own: Own, place: Mapping[str, str], rng: np.random.Generator, by: Diagnose) -> Graded:
    window = here.window
    if here.replay is not None and own.through:
        window = take(window, np.sort(rng.permutation(length(window))[:REPLAYED]))
    hit = window["ts"] >= window["ts"][int(0.3 * length(window))]
    for path, value in place.items():
        hit &= window[path].astype(str) == value
    hit &= rng.random(length(window)) < own.share
    if not hit.any():
        return _asked(here, Truth(own.id, app=here.app, says=own.says), window, by)
    broken = merge(window, hit, _broken(here, own, take(window, hit)))
    changed = _changed(own, window, broken)
    since = datetime.fromtimestamp(float(window["ts"][hit][0]), UTC)
    truth = Truth(
        own.id, own.layer, own.components, dict(place), since, "planted", 1.0, changed, "share", own.says, here.app,
        share=float(hit.mean()),
    )  # fmt: skip
    return _asked(here, truth, broken, by)


def _broken(here: Recorded, own: Own, rows: Columns) -> Columns:
    """The rows with the fault in them, and with what the code makes of that.

    A decision that is taken outside of the code follows the score by the threshold that golden shows; where none does, it
    stays what it was.
    """
    out = rows | own.change(rows)
    if here.replay is None or not own.through:
        return out
    made = here.replay(out, own.through == "inputs")
    first = own.components[0]
    out |= {path: column for path, column in made.items() if own.through == "inputs" or path != first}
    cut = cut_of(here.golden)
    return out | {cut[1]: decided(out, *cut)} if cut is not None and cut[1] not in made else out


def _changed(own: Own, before: Columns, after: Columns) -> float:
    """Share of decisions that fell otherwise; of the planted column where the log holds no decision that moved."""
    decided = [path for path in before if path == "decision" or path.startswith("decisions.")]
    shares = [1 - float(_equal(after[path], before[path]).mean()) for path in decided]
    if any(shares):
        return max(shares)
    first = own.components[0]
    return 1 - float(_equal(after[first], before[first]).mean()) if first in before else 0.0


def _asked(here: Recorded, truth: Truth, window: Columns, by: Diagnose) -> Graded:
    since = datetime.fromtimestamp(float(window["ts"][0]), UTC)
    drawn = Drawn(here.golden, window, (), truth, since, here.until, here.until)
    made = drawn.tables()
    try:
        report = by(made.golden, made.window, events=(), app=here.app)
    except Exception as error:  # noqa: BLE001  one fault must not cost the answers to all others
        return crashed(truth, error, seed=0, took_s=0.0)
    graded = grade(truth, report, window=window)
    return timed(graded, drawn, by) if truth.layer and graded.layer_hit and graded.alarmed else graded
