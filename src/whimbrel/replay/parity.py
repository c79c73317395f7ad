"""Parity: recorded inputs through the training-time code, step by step beside what production recorded.

In: a log, a window, golden, a pipeline. Out: a `Parity`. `cli/`, `diagnose/` and notebooks may call.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from whimbrel.engine.port import Engine, Source
from whimbrel.errors import EvidenceError, UsageError
from whimbrel.model.fields import Role
from whimbrel.model.parity import Difference, Parity, StepParity
from whimbrel.model.records import EXACT, Records
from whimbrel.model.report import Span
from whimbrel.model.rows import Bools, Categories, Floats, Rows
from whimbrel.model.window import Window, from_micros
from whimbrel.replay.apart import LIMIT_S, play
from whimbrel.replay.judged import Side, judge
from whimbrel.replay.pipelines import Pipeline, pipeline_of
from whimbrel.replay.played import Answers
from whimbrel.replay.record import Record

if TYPE_CHECKING:
    from whimbrel.store import Log

N, GOLDEN_N, AGAIN_N = 500, 200, 40
_CANDIDATES = 20_000
_GIVEN = ("inputs.", "steps.")
_HIDDEN = frozenset(("label", "label_ts", "rescued"))
_SPREAD = (Role.CONTEXT, Role.HARDWARE, Role.MODEL, Role.CODE)


@dataclass(frozen=True, slots=True, eq=False)
class Sampled:
    """The predictions of a window and of golden that a replay takes, as flat records, and the stretches that they stand for."""

    app: str
    records: Sequence[Record]
    golden: Sequence[Record]
    spans: tuple[Span, Span]
    asked: tuple[Source, Window]
    before: tuple[Source, Window]


def parity(
    log: Log, pipeline: Any, *, app: str | None = None, window: Window | None = None, golden: str | None = None,
    golden_window: Window | None = None, n: int = N, ids: Sequence[str] = (), free: bool = False,
    limit_s: float = LIMIT_S, engine: str | Engine = "duckdb",
) -> Parity:  # fmt: skip
    """Replay a window's recorded inputs through code, and say where what was recorded first differs from it.

    Args:
        log: the log.
        app: which application; may be left out where the log has only one.
        window: the predictions in question; all of the app's where it is left out.
        pipeline: an object (a function, an estimator, an ONNX session, a PyTorch module), or `module:attribute`,
            `file.py:attribute`, `model.onnx`, `http://…`: what a text names runs in a process of its own.
        golden: a named golden window, on which tolerance is measured; else what lies before the window.
        golden_window: golden by its stretch of time, where it has no name.
        n: how many predictions, spread over hosts, versions and slices.
        ids: these predictions, instead of a sample.
        free: hand no recorded value on, to see how a difference travels.
        limit_s: seconds that the whole replay may take.
        engine: who aggregates.

    Raises:
        UsageError: no such app or golden, or `n` below 1.
        EvidenceError: there is nothing to replay.
        InputError: the pipeline cannot be loaded.
    """
    taken = sampled(
        log, app=app, window=window, golden=golden, golden_window=golden_window, n=n, ids=ids, engine=engine
    )  # fmt: skip
    return replay(taken.app, pipeline, taken.records, taken.golden, free=free, limit_s=limit_s, spans=taken.spans)


def sampled(
    log: Log, *, app: str | None = None, window: Window | None = None, golden: str | None = None,
    golden_window: Window | None = None, n: int = N, ids: Sequence[str] = (), engine: str | Engine = "duckdb",
) -> Sampled:  # fmt: skip
    """The predictions that `parity` would replay: several pipelines may then be judged on the same ones.

    Raises:
        UsageError: no such app or golden, or `n` below 1.
        EvidenceError: there is nothing to replay.
    """
    from whimbrel.engine import engine_named

    if n < 1:
        raise UsageError(f"a replay of {n} predictions is none", where="-n", next="replay at least 1; 500 is usual")
    apps = log.apps()
    name = app or (window.app if window is not None else apps[0] if len(apps) == 1 else "")
    if name not in apps:
        raise UsageError(f"the log holds no app {name!r}", where="--app", next=f"choose one of {', '.join(apps)}")
    asker, source = engine_named(engine), log.source(name)
    window = replace(window, app=name) if window is not None else Window(name)
    asked = (source, window)
    records = drawn(asker, *asked, n, ids=ids)
    if not records:
        raise EvidenceError(
            "there is nothing to replay", where=f"app {name}", why="the window holds no such predictions",
            next="whimbrel status says what the log holds",
        )  # fmt: skip
    before = _golden(log, source, window, golden, golden_window, records)
    good = drawn(asker, *before, min(n, GOLDEN_N))
    return Sampled(name, records, good, (_span(window, records), _span(before[1], good, golden or "")), asked, before)


def drawn(engine: Engine, source: Source, window: Window, n: int, *, ids: Sequence[str] = ()) -> Records:
    """The records of `n` predictions of a window, spread over hosts, versions and slices; or those that bear these ids."""
    return engine.records(source, window, ids=ids or _chosen(engine, source, window, n))


def replay(
    app: str, pipeline: Any, records: Sequence[Record], golden: Sequence[Record], *, free: bool = False,
    limit_s: float = LIMIT_S, spans: tuple[Span, Span] | None = None,
) -> Parity:  # fmt: skip
    """Replay flat records (an engine's, or dictionaries), golden's to measure the tolerance by; see `parity`."""
    code: str | Pipeline = pipeline if isinstance(pipeline, str) else pipeline_of(pipeline)
    records, golden = Records.of(records), Records.of(golden)
    again = slice(AGAIN_N - 1, None, -1) if len(records) > 1 else slice(0)
    # Golden, the window, and some of the window once more in another order: what keeps state shows there.
    outcome = play(code, known(golden + records + records[again]), free=free, limit_s=limit_s)
    middle, end = len(golden), len(golden) + len(records)
    answers = outcome.answers[middle:end]
    window_side = Side(records, answers, answers[again], outcome.answers[end:])
    golden_side = Side(golden, outcome.answers[:middle], Answers(), Answers())
    steps = judge(window_side, golden_side)
    first = next((step for step in steps if step.standing in ("different", "failed")), None)
    spans = spans or (Span(None, None, len(records)), Span(None, None, len(golden)))
    notes = _notes(window_side, golden_side, steps, outcome.accidents)
    return Parity(
        app, outcome.kind, *spans, len(records), len(golden), first, _sentence(first, len(records), steps),
        tuple(steps), 1 - 0.01 ** (1 / len(records)), notes,
    )  # fmt: skip


def known(records: Sequence[Record]) -> Records:
    """What the code may see: no label, which nobody knew then; and inputs that are whole throughout as integers.

    The log holds all numbers as doubles, and code that counts or indexes with an input fails on 3.0.
    """
    records = Records.of(records)
    if not _HIDDEN.isdisjoint(records.paths):
        records = records.only([path for path in records.paths if path not in _HIDDEN])
    first = _whole(
        records.numbers[:8], records.there[:8]
    )  # hardly a column of fractions begins with eight whole numbers
    whole = [path for path, fits in zip(records.at, first, strict=True) if fits and path.startswith(_GIVEN)]
    fits = _whole(records.matrix(whole), records.held(whole))
    return replace(records, whole=records.whole.union(itertools.compress(whole, fits)))


def _whole(cells: Floats, there: Bools) -> list[bool]:
    """Which columns hold integers alone."""
    with np.errstate(invalid="ignore"):
        fits = ((np.trunc(cells) == cells) & (np.abs(cells) <= EXACT)) | ~there
    columns: list[bool] = fits.all(axis=0).tolist()
    return columns


def _golden(
    log: Log, source: Source, window: Window, name: str | None, golden_window: Window | None, records: Records
) -> tuple[Source, Window]:
    if name is not None:
        kept = log.golden(name)
        return log.source(window.app, kept.version), kept.window
    if golden_window is not None:
        return source, replace(golden_window, app=window.app)
    first = window.since or from_micros(int(records.values("ts")[0]))
    return source, Window(window.app, None, first)


def _span(window: Window, records: Records, name: str = "") -> Span:
    if not records:
        return Span(window.since, window.until, 0, window.where, name)
    first, last = (from_micros(int(records.values("ts")[i])) for i in (0, -1))
    return Span(window.since or first, window.until or last, len(records), window.where, name)


def _chosen(engine: Engine, source: Source, window: Window, n: int) -> list[str]:
    """Ids to replay: half a plain sample, half spread evenly over what says who, where and by what."""
    paths = [field.path for field in source.schema if field.role in _SPREAD]
    rows = engine.rows(source, window, paths=paths, limit=_CANDIDATES)
    if len(rows) <= n:
        return list(rows.ids)
    order = np.random.default_rng(0).permutation(len(rows))
    taken = dict.fromkeys(order[: (n + 1) // 2].tolist())
    rare = _rarity(rows)[order]
    for i in order[np.argsort(-rare, kind="stable")].tolist():
        if len(taken) >= n:
            break
        taken.setdefault(i)
    return [rows.ids[i] for i in taken]


def _rarity(rows: Rows) -> np.ndarray[Any, np.dtype[np.float64]]:
    """How much each row is needed so that every value of every dimension is seen equally often, shape (n,)."""
    need = np.zeros(len(rows))
    for column in rows.columns.values():
        if isinstance(column, Categories) and 1 < len(column.vocabulary) <= 50:
            counts = np.bincount(column.codes + 1, minlength=len(column.vocabulary) + 1)
            rank = np.zeros(len(rows))
            for value in np.flatnonzero(counts):  # the first of each value are needed most
                at = np.flatnonzero(column.codes + 1 == value)
                rank[at] = np.arange(at.size)
            need = np.maximum(need, 1 / (1 + rank))
    return need


def _sentence(first: StepParity | None, n: int, steps: Sequence[StepParity]) -> str:
    blind = sum(step.standing in ("not replayable", "not run", "not recorded") for step in steps)
    judged = len(steps) - blind
    if first is None:
        if not judged:
            return f"CANNOT TELL: no step of {n} replayed predictions could be compared."
        rest = f"; {blind} could not be judged" if blind else ""
        return f"EQUAL: {n} predictions replayed, {judged} step{'s' if judged != 1 else ''} agree{rest}."
    if first.standing == "failed":
        return f"DIFFERENT: `{first.name}` fails in replay: {first.says}."
    return f"DIFFERENT: `{first.name}` is the first step that differs, {_words(first)}."


def _words(step: StepParity) -> str:
    lead: Difference = step.differences[0]
    whom = f" for {', '.join(str(c) for c in lead.where)}" if lead.where else ""
    return f"in {step.differ} of {step.compared} predictions{whom}: {lead.path} was recorded {lead.shape}"


def _notes(window: Side, golden: Side, steps: Sequence[StepParity], accidents: Sequence[str]) -> tuple[str, ...]:
    notes = [f"the code did not survive: {accident}" for accident in accidents]
    odd = window.answers.odd.values()
    live = Counter(name for answer in odd for name in answer.live)
    notes += [
        f"read {name!r} is not in the record of {count} predictions: the world was asked again"
        for name, count in live.items()
    ]
    if not len(golden.records):
        notes.append("no golden to measure the tolerance on: that of single precision was taken")
    unkept = sorted({step for answer in odd for step in answer.unkept})
    if unkept:
        notes.append(f"recorded values of {', '.join(unkept)} could not be handed on: later steps may differ by them")
    blind = [step.name for step in steps if step.standing == "not replayable"]
    if blind:
        notes.append(f"{', '.join(blind)}: not replayable, so not cleared")
    return tuple(notes)
