"""The drill: plant many faults, ask the diagnosis about each, and score the answers.

In: which apps, which faults, how strong, where, how many, a seed. Out: a `Score`. The same arguments give the same cases.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import TypeAlias

import numpy as np

from whimbrel.diagnose import diagnose as by_whimbrel
from whimbrel.diagnose import replayed
from whimbrel.drill.apps import NAMES, subject
from whimbrel.drill.case import Asked, Case, Drawn, columns, default_cache
from whimbrel.drill.columns import Columns, length
from whimbrel.drill.declared import Declared
from whimbrel.drill.faults import SEVERITIES
from whimbrel.drill.floors import absent, floors
from whimbrel.drill.grade import Graded, crashed, grade
from whimbrel.drill.kept import Kept
from whimbrel.drill.plant import SHAPES, variants
from whimbrel.drill.score import Score
from whimbrel.drill.world import Subject
from whimbrel.errors import UsageError
from whimbrel.model.report import Report

Diagnose: TypeAlias = Callable[..., Report]
"""`whimbrel.diagnose`, or whatever is to be drilled in its place: two tables and `events=` to a report."""
Progress: TypeAlias = Callable[[int, int, str], None]
"""How many cases are done, of how many, and the last one's name."""
MIXED = ("step", "step", "step", "ramp", "onoff")
"""Shapes in the proportion in which they are drawn where none is asked for."""
PARTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)
"""Of the time after the onset, after which it is asked whether the fault could have been found already."""


@dataclass(frozen=True, slots=True)
class Drill:
    """What is to be drilled.

    `faults` are ids of the catalogues, `D02` or `D02/distance`, two at once as `D02+O01`; every kind, and now and then two
    at once, where None. `severity` is subtle, medium, loud, or all (in turn). `where` is `all`, `one`, `two`: conditions
    that the slice has; None draws one of these. `shape` is step, ramp or onoff; None draws one. `n` cases are planted, each
    kind once in each app by default. `untouched` windows with nothing wrong: fixed days of each app, then drawn ones.
    `days` and `golden_days` make all windows that long. `detect` asks again after a part of the time, to see how soon the
    fault could have been found. `floors` puts simple rules to the same cases.
    """

    apps: tuple[str, ...] = NAMES
    faults: tuple[str, ...] | None = None
    severity: str = "medium"
    where: str | None = None
    shape: str | None = None
    n: int | None = None
    untouched: int = 24
    days: int | None = None
    golden_days: int | None = None
    seed: int = 0
    detect: bool = False
    floors: bool = True
    replay: bool = True


@dataclass(frozen=True, slots=True)
class Task:
    """One case to make and to ask about."""

    asked: Asked
    detect: bool = False
    floors: bool = False
    replay: bool = False


def run(
    drill: Drill, *, jobs: int = 1, cache: Path | None = None, kept: Path | None = None, diagnose: Diagnose | None = None,
    progress: Progress | None = None,
) -> Score:  # fmt: skip
    """Plant faults, look at untouched windows too, and score what the diagnosis says of each.

    Args:
        drill: what is to be drilled.
        jobs: processes at work.
        cache: folder for parsed data and trained models; one in the home by default.
        kept: a file of results; what it holds of this code and these cases is not asked again.
        diagnose: what is drilled; `whimbrel.diagnose` by default.
        progress: told after each case.

    Raises:
        UsageError: no such app, fault, severity or slice; nothing to do; an app's data is not installed.
    """
    todo = tasks(drill)
    if not todo or jobs < 1:
        raise UsageError(
            "there is nothing to drill", why=f"n={drill.n}, untouched={drill.untouched}, jobs={jobs}",
            next="whimbrel drill --n 28",
        )  # fmt: skip
    cache = cache or default_cache()
    if jobs > 1:
        for name in drill.apps:
            subject(name).world(0, cache)  # fills the cache once, before several processes would
    results = Kept(kept) if kept else None
    graded = [results.known(task) if results else None for task in todo]
    open_ = [i for i, one in enumerate(graded) if one is None]
    done = len(todo) - len(open_)
    for i, one in _graded([todo[i] for i in open_], jobs, cache, diagnose):
        graded[open_[i]] = one
        done += 1
        if results:
            results.keep(todo[open_[i]], one)
        if progress is not None:
            progress(done, len(todo), f"{one.truth.app} {one.truth.fault}")
    notes = (absent(),) if drill.floors and absent() else ()
    return Score(tuple(one for one in graded if one is not None), notes)


def tasks(drill: Drill) -> list[Task]:
    """All cases of a drill, the planted ones first, each app's together."""
    if drill.severity != "all" and drill.severity not in SEVERITIES:
        raise UsageError(
            f"there is no severity {drill.severity!r}", where="--severity", next="choose subtle, medium, loud or all"
        )
    if drill.shape is not None and drill.shape not in SHAPES:
        raise UsageError(f"there is no shape {drill.shape!r}", where="--shape", next=f"choose {', '.join(SHAPES)}")
    if drill.where not in (None, "all", "one", "two"):
        raise UsageError(f"cannot read the slice {drill.where!r}", where="--slice", next="choose all, one or two")
    apps = [subject(name) for name in drill.apps]
    asked = [*_planted(drill, apps), *_untouched(drill, apps)]
    order = {app.name: i for i, app in enumerate(apps)}
    asked = sorted(asked, key=lambda one: order[one.app])
    return [
        Task(replace(one, golden_days=drill.golden_days), drill.detect, drill.floors, drill.replay) for one in asked
    ]


def _planted(drill: Drill, apps: list[Subject]) -> list[Asked]:
    """As many cases for each app as for any other, its kinds in turn, in an order that the seed deals out."""
    severities = SEVERITIES if drill.severity == "all" else (drill.severity,)
    decks = {app.name: _names(drill, app) for app in apps}
    for name in drill.faults or ():
        errors = [error for app in apps if (error := _missing(app, name)) is not None]
        if len(errors) == len(apps):
            raise errors[0]
    each = [len(decks[app.name]) * len(severities) for app in apps]
    if drill.n is not None:
        each = [drill.n // len(apps) + (i < drill.n % len(apps)) for i in range(len(apps))]
    out = []
    for app, n in zip(apps, each, strict=True):
        names = decks[app.name]
        rng = np.random.default_rng([drill.seed, len(app.name), n])
        order = rng.permutation(len(names)) if drill.faults is None else np.arange(len(names))
        for i in range(n if names else 0):
            name = names[order[i % len(names)]]
            if drill.faults is None and i % 20 == 19:
                name = _two(app, name, rng)
            shape = drill.shape or str(rng.choice(MIXED))
            level = (
                severities[i // len(names) % len(severities)] if n >= len(names) else severities[i % len(severities)]
            )
            out.append(Asked(name, app.name, level, drill.where, shape, days=drill.days, seed=drill.seed + i))
    return out


def _names(drill: Drill, app: Subject) -> tuple[str, ...]:
    """What can be planted in this app of what is asked for; it is wrong to ask for what no app has."""
    if drill.faults is None:
        return app.kinds
    return tuple(name for name in drill.faults if _missing(app, name) is None)


def _missing(app: Subject, name: str) -> UsageError | None:
    """What is wrong with a fault's name in this app."""
    try:
        for one in name.split("+"):
            variants(app, one)
    except UsageError as error:
        return error
    return None


def _two(app: Subject, name: str, rng: np.random.Generator) -> str:
    """The fault and another one, of another layer; neither is one of those that concern all or nothing."""
    first = variants(app, name)[0]
    if first.harmless or first.whole or first.layer == "recorder":
        return name
    others = [f.kind for f in app.faults if f.layer not in (first.layer, "recorder") and not f.harmless and not f.whole]
    return f"{name}+{rng.choice(others)}"


def _untouched(drill: Drill, apps: list[Subject]) -> list[Asked]:
    out = []
    for i, app in enumerate(apps):
        n = drill.untouched // len(apps) + (i < drill.untouched % len(apps))
        fixed = [Asked(name, app.name, day=day, days=days, seed=drill.seed) for name, day, days in app.untouched[:n]]
        kinds = list(app.calm)
        start = drill.seed + 3 * i
        drawn = [
            Asked(kinds[(start + j) % len(kinds)], app.name, days=drill.days, seed=drill.seed + j)
            for j in range(n - len(fixed))
        ]
        out += [*fixed, *drawn]
    return out


def _graded(todo: list[Task], jobs: int, cache: Path, diagnose: Diagnose | None) -> Iterator[tuple[int, Graded]]:
    if jobs == 1:
        yield from ((i, ask(task, cache, diagnose)) for i, task in enumerate(todo))
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        futures = {pool.submit(ask, task, cache, diagnose): i for i, task in enumerate(todo)}
        for future in as_completed(futures):
            yield futures[future], future.result()


def _one_thread() -> None:
    """A process per core is enough: with a thread per core in each of them, OpenMP spends its time waiting."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def ask(task: Task, cache: Path, diagnose: Diagnose | None = None) -> Graded:
    """Make one case, have it diagnosed, and grade the answer."""
    drawn = columns(task.asked, cache)
    made, seed = drawn.tables(), task.asked.seed
    by = diagnose or by_whimbrel
    started = time.perf_counter()
    try:
        report = by(made.golden, made.window, events=made.events, app=task.asked.app)
    except Exception as error:  # noqa: BLE001  one case that ends badly must not cost the answers to all others
        return crashed(made.truth, error, seed=seed, took_s=round(time.perf_counter() - started, 3))
    took_s = round(time.perf_counter() - started, 3)
    graded = grade(made.truth, report, seed=seed, took_s=took_s, window=drawn.window)
    if task.replay and drawn.codes is not None:
        graded = _replayed(graded, report, drawn.codes, made, drawn.window)
    if task.floors:
        graded = replace(graded, floors=floors(drawn))
    if task.detect and graded.truth.layer and graded.layer_hit and graded.alarmed:
        graded = timed(graded, drawn, by)  # from recorded data alone
    return graded


def _replayed(alone: Graded, report: Report, codes: tuple[Declared, Declared], made: Case, window: Columns) -> Graded:
    """The answer once the code has run, with that from recorded data alone beside it."""
    started, seed = time.perf_counter(), alone.seed
    try:
        report = replayed(report, made.golden, made.window, pipeline=codes[0], golden_pipeline=codes[1])
    except Exception as error:  # noqa: BLE001  one case that ends badly must not cost the answers to all others
        graded = crashed(made.truth, error, seed=seed, took_s=round(time.perf_counter() - started, 3))
    else:
        took_s = round(alone.took_s + time.perf_counter() - started, 3)
        graded = grade(made.truth, report, seed=seed, took_s=took_s, window=window)
    return replace(graded, alone=alone)


def timed(graded: Graded, drawn: Drawn, by: Diagnose) -> Graded:
    """The first of some moments after the onset at which the diagnosis would have been right, by bisection."""
    since = graded.truth.since
    assert since is not None
    moments = [since + part * (drawn.until - since) for part in PARTS]
    low, high = 0, len(moments)
    while low < high:
        middle = (low + high) // 2
        right = _right_at(moments[middle], graded, drawn, by)
        low, high = (low, middle) if right else (middle + 1, high)
    moment: datetime = drawn.until if low == len(moments) else moments[low]
    ts = drawn.window["ts"]
    rows = int(((ts >= since.timestamp()) & (ts < moment.timestamp())).sum())
    return replace(graded, detected_rows=rows, detected_min=(moment - since) / timedelta(minutes=1))


def _right_at(moment: datetime, graded: Graded, drawn: Drawn, by: Diagnose) -> bool:
    early = drawn.asked_at(moment)
    if not length(early.window):
        return False
    made = early.tables()
    try:
        report = by(made.golden, made.window, events=made.events, app=graded.truth.app)
    except Exception:  # noqa: BLE001  it was no answer
        return False
    again = grade(graded.truth, report)
    return again.alarmed and again.layer_hit
