"""The drill: plant many faults, ask the diagnosis about each, and score the answers.

In: which faults, how strong, where, how many, a seed. Out: a `Score`. The same arguments give the same cases.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import date
from multiprocessing import get_context
from pathlib import Path

from whimbrel.diagnose import diagnose as by_whimbrel
from whimbrel.drill import flights
from whimbrel.drill.catalogue import KINDS, variants
from whimbrel.drill.faults import BANDS
from whimbrel.drill.natural import NATURAL
from whimbrel.drill.score import Graded, Score, crashed, grade
from whimbrel.drill.world import world
from whimbrel.errors import UsageError
from whimbrel.model.report import Report

Diagnose = Callable[..., Report]
"""`whimbrel.diagnose`, or whatever is to be drilled in its place: two tables and `events=` to a report."""
Progress = Callable[[int, int, str], None]
"""How many cases are done, of how many, and the last one's name."""

UNTOUCHED: tuple[tuple[str, date, int], ...] = (
    ("none", date(2013, 2, 8), 2),  # the blizzard
    ("none", date(2013, 3, 6), 3),  # the late snow
    ("none/deploy", date(2013, 3, 19), 4),
    ("none", date(2013, 4, 17), 3),  # spring storms
    ("none/mix", date(2013, 4, 29), 5),
    ("none", date(2013, 5, 24), 4),  # Memorial Day
    ("none/campaign", date(2013, 6, 4), 3),
    ("none", date(2013, 6, 24), 5),  # summer storms
    ("none", date(2013, 7, 4), 2),  # Independence Day
    ("none", date(2013, 7, 8), 4),  # more storms
    ("none/release", date(2013, 7, 29), 4),
    ("none", date(2013, 8, 7), 3),
    ("none/newcomer", date(2013, 8, 20), 3),
    ("none", date(2013, 8, 30), 4),  # Labor Day
    ("none", date(2013, 9, 11), 3),
    ("none/growth", date(2013, 9, 24), 4),
    ("none", date(2013, 10, 15), 7),  # an ordinary week
    ("none/retired", date(2013, 10, 29), 3),
    ("none", date(2013, 11, 5), 1),
    ("none/release", date(2013, 11, 12), 6),
    ("none", date(2013, 11, 27), 5),  # Thanksgiving
    ("none", date(2013, 12, 5), 5),  # ice
    ("none/deploy", date(2013, 12, 16), 2),
    ("none", date(2013, 12, 23), 4),  # Christmas
)
"""Windows in which nothing is wrong, spread over the year."""


@dataclass(frozen=True, slots=True)
class Task:
    """One case to make and to ask about."""

    fault: str
    seed: int
    severity: str = "medium"
    where: str | None = None
    day: date | None = None
    days: int | None = None
    golden_days: int = 28


def run(
    *,
    faults: Sequence[str] | None = None,
    severity: str = "medium",
    where: str | None = None,
    n: int | None = None,
    untouched: int = len(UNTOUCHED),
    golden_days: int = 28,
    seed: int = 0,
    jobs: int = 1,
    cache: Path | None = None,
    diagnose: Diagnose | None = None,
    progress: Progress | None = None,
) -> Score:
    """Plant `n` faults (one of each kind by default) and look at `untouched` windows too.

    Args:
        faults: ids of the catalogue, `D02` or `D02/distance`; all where None.
        severity: `subtle`, `medium`, `loud`, or `all` (in turn).
        where: `all`, `one`, `two`: conditions that the slice has; None draws one of these.
        n: planted cases; more than there are faults go round again at other times and places.
        untouched: windows with nothing wrong; the first 24 are fixed days of the year, the others drawn.
        golden_days: how many days before the window are golden.
        seed: of the first case; the others follow.
        jobs: processes at work.
        cache: folder for parsed flights and trained models; one in the home by default.
        diagnose: what is drilled; `whimbrel.diagnose` by default.
        progress: told after each case.

    Raises:
        UsageError: no such fault, severity or slice; nothing to do; the flights are not installed.
    """
    tasks = [*_planted(faults, severity, where, n, seed), *_untouched(untouched, seed)]
    tasks = [replace(task, golden_days=golden_days) for task in tasks]
    if not tasks or jobs < 1:
        raise UsageError(
            "there is nothing to drill", why=f"n={n}, untouched={untouched}, jobs={jobs}", next="whimbrel drill --n 28"
        )
    cache = cache or flights.default_cache()
    world(0, cache)  # fills the cache once, before several processes would
    graded: list[Graded | None] = [None] * len(tasks)
    for done, (i, one) in enumerate(_graded(tasks, jobs, cache, diagnose), 1):
        graded[i] = one
        if progress is not None:
            progress(done, len(tasks), one.truth.fault)
    return Score(tuple(one for one in graded if one is not None))


def _planted(faults: Sequence[str] | None, severity: str, where: str | None, n: int | None, seed: int) -> list[Task]:
    if severity != "all" and severity not in BANDS["flips"]:
        raise UsageError(
            f"there is no severity {severity!r}", where="--severity", next="choose subtle, medium, loud or all"
        )
    names = list(faults) if faults is not None else list(KINDS)
    for name in names:
        variants(name)
    severities = list(BANDS["flips"]) if severity == "all" else [severity]
    return [
        Task(names[i % len(names)], seed + i, severities[i // len(names) % len(severities)], where)
        for i in range(n if n is not None else len(names) * len(severities))
        if names
    ]


def _untouched(n: int, seed: int) -> list[Task]:
    fixed = [Task(name, seed, day=day, days=days) for name, day, days in UNTOUCHED[:n]]
    kinds = list(NATURAL)
    return fixed + [Task(kinds[i % len(kinds)], seed + i) for i in range(n - len(fixed))]


def _graded(tasks: list[Task], jobs: int, cache: Path, diagnose: Diagnose | None) -> Iterator[tuple[int, Graded]]:
    if jobs == 1:
        yield from ((i, ask(task, cache, diagnose)) for i, task in enumerate(tasks))
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        futures = {pool.submit(ask, task, cache, diagnose): i for i, task in enumerate(tasks)}
        for future in as_completed(futures):
            yield futures[future], future.result()


def _one_thread() -> None:
    """A process per core is enough: with a thread per core in each of them, OpenMP spends its time waiting."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def ask(task: Task, cache: Path, diagnose: Diagnose | None = None) -> Graded:
    """Make one case, have it diagnosed, and grade the answer."""
    golden, window, events, truth = flights.case(
        task.fault, severity=task.severity, where=task.where, day=task.day, days=task.days,
        golden_days=task.golden_days, seed=task.seed, cache=cache,
    )  # fmt: skip
    started = time.perf_counter()
    try:
        report = (diagnose or by_whimbrel)(golden, window, events=events, app="flights")
    except Exception as error:  # noqa: BLE001  one case that ends badly must not cost the answers to all others
        return crashed(truth, error, seed=task.seed, took_s=round(time.perf_counter() - started, 3))
    return grade(truth, report, seed=task.seed, took_s=round(time.perf_counter() - started, 3))
