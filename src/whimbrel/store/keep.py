"""Retention by age: predictions older than a limit are dropped, but for those that somebody still needs, and it is said who.

In: a log's layout, an app, a moment, `Need`s. Out: files that go, files that are written again with the rows that stay, and `Dropped`.
`Log.compact` calls. `retain.py` decides at ingest what of today's traffic is kept at all; this decides how long.

A file goes as a whole once its last row is older than the limit, so that a prediction stays at most a day longer than asked. Late labels
and decisions go first: whoever is killed in between finds the predictions again, and does the rest the next time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from whimbrel.engine.port import ROUNDED_US, Facts
from whimbrel.errors import StoreError
from whimbrel.model.window import micros
from whimbrel.store.delta import Table, Written
from whimbrel.store.intake import working
from whimbrel.store.layout import Layout
from whimbrel.store.needs import Need
from whimbrel.store.relaid import merged, swap
from whimbrel.store.sql import how_many, literal, one, store_errors

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True, slots=True)
class Dropped:
    """What retention dropped of an app, and what it kept although it is older than the limit, by who needs it.

    A prediction that two need is counted for both. `late` are labels and decisions of what was dropped.
    """

    app: str
    before: datetime
    predictions: int = 0
    late: int = 0
    files: int = 0
    kept: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "app": self.app, "before": self.before.isoformat(), "predictions": self.predictions, "late": self.late,
            "files": self.files, "kept": dict(self.kept),
        }  # fmt: skip


@dataclass(slots=True)
class _Plan:
    """What becomes of an app's old files: `gone` as a whole, `thinned` to the rows that a condition keeps."""

    gone: dict[str, Facts] = field(default_factory=dict)
    thinned: dict[str, tuple[Facts, str]] = field(default_factory=dict)
    rows: int = 0
    kept: dict[str, int] = field(default_factory=dict)


def drop(layout: Layout, app: str, before: datetime, needs: Sequence[Need], *, dry: bool = False) -> Dropped:
    """Drop an app's predictions older than `before` with their labels and decisions; with `dry` only say what would go.

    Raises:
        StoreError: a table is damaged or cannot be written; the same call finishes it.
    """
    table = layout.predictions(app)
    with store_errors(table.folder), working(layout) as con:
        delta = table.open()
        whole = {file.removeprefix(f"{table.folder}/"): facts for file, facts in table.sound(delta)[0].items()}
        old = {path: facts for path, facts in _with_times(con, table, whole).items() if _is_old(facts, before)}
        plan = _planned(con, table, app, old, needs)
        late = 0
        if plan.rows:
            _note_gone(con, table, plan)
            late = sum(_drop_late(con, one, plan, dry=dry) for one in (layout.labels(app), layout.decisions(app)))
        if not dry:
            for path, (facts, keep) in plan.thinned.items():
                written = merged(con, table, delta, [path], keep)
                _swapped(table, {path: facts.size}, [written] if written else [])
            if plan.gone:
                _swapped(table, {path: facts.size for path, facts in plan.gone.items()}, [])
    return Dropped(app, before, plan.rows, late, len(plan.gone) + len(plan.thinned), plan.kept)


def drop_counters(layout: Layout, before: datetime, needs: Sequence[Need]) -> None:
    """Drop what sidecars saw before a moment, but for stretches that somebody needs. Raises StoreError."""
    table = layout.hardware
    if not table.exists:
        return
    with store_errors(table.folder):
        facts = table.named_facts(table.open())
        old = {
            path: one.size
            for path, one in facts.items()
            if _is_old(one, before) and not any(n.meets(n.app or "", one) for n in needs)
        }
        if old:
            swap(table, old, [], same_rows=False)


def _is_old(facts: Facts, before: datetime) -> bool:
    return facts.times is not None and facts.times[1] + ROUNDED_US < micros(before)


def _with_times(con: DuckDBPyConnection, table: Table, files: dict[str, Facts]) -> dict[str, Facts]:
    """The files with the times of those that another program wrote, without statistics."""
    found = {}
    for path, facts in files.items():
        if facts.times is None:
            rows, first, last = one(
                con, f"SELECT count(*), epoch_us(min(ts)), epoch_us(max(ts)) FROM {_rows(table, [path])}"
            )
            facts = Facts(facts.size, rows, facts.ids, (first, last) if rows else None)
        found[path] = facts
    return found


def _planned(con: DuckDBPyConnection, table: Table, app: str, old: dict[str, Facts], needs: Sequence[Need]) -> _Plan:
    plan = _Plan()
    for path, facts in old.items():
        near = [need for need in needs if need.meets(app, facts)]
        source = _rows(table, [path])
        tests = {need.why: _test(need) for need in near}
        counts = ", ".join(["count(*)", *(how_many(test) for test in tests.values())])
        stays = " OR ".join(f"({test})" for test in tests.values()) or "FALSE"
        total, *each, kept = one(con, f"SELECT {counts}, {how_many(stays)} FROM {source}")
        for why, count in zip(tests, each, strict=True):
            if count:
                plan.kept[why] = plan.kept.get(why, 0) + count
        plan.rows += total - kept
        if not kept:
            plan.gone[path] = facts
        elif kept < total:
            plan.thinned[path] = (facts, stays)
    return plan


def _test(need: Need) -> str:
    """Which rows a need is of, in SQL."""
    if need.ids:
        return f"id IN ({', '.join(map(literal, sorted(need.ids)))})"
    edges = [(need.since, ">="), (need.until, "<")]
    tests = [f"epoch_us(ts) {sign} {micros(moment)}" for moment, sign in edges if moment is not None]
    return " AND ".join(tests) or "TRUE"


def _note_gone(con: DuckDBPyConnection, table: Table, plan: _Plan) -> None:
    """The ids that go, in a temporary table."""
    parts = [f"SELECT id FROM {_rows(table, [path])} WHERE NOT ({keep})" for path, (_, keep) in plan.thinned.items()]
    if plan.gone:
        parts.append(f"SELECT id FROM {_rows(table, list(plan.gone))}")
    con.execute(f"CREATE OR REPLACE TEMP TABLE gone AS {' UNION ALL '.join(parts)}")


def _drop_late(con: DuckDBPyConnection, table: Table, plan: _Plan, *, dry: bool) -> int:
    """Labels or decisions of the ids that go, out of their table; how many there are."""
    if not table.exists:
        return 0
    delta, dropped = table.open(), 0
    whole = [*plan.gone.values(), *(facts for facts, _ in plan.thinned.values())]
    for file, facts in table.sound(delta)[0].items():
        path = file.removeprefix(f"{table.folder}/")
        if not any(facts.shares_ids(other) for other in whole):
            continue
        (count,) = one(con, f"SELECT count(*) FROM {_rows(table, [path])} WHERE id IN (SELECT id FROM gone)")
        dropped += count
        if count and not dry:
            written = merged(con, table, delta, [path], "id NOT IN (SELECT id FROM gone)")
            _swapped(table, {path: facts.size}, [written] if written else [])
    return dropped


def _swapped(table: Table, old: dict[str, int], new: Sequence[Written]) -> None:
    if not swap(table, old, new, same_rows=False):
        raise StoreError(
            "files that were to be dropped changed meanwhile", where=str(table.folder), why="predictions were erased or merged at the same time",
            next="run the same command again: what it did so far stays done",
        )  # fmt: skip


def _rows(table: Table, files: Sequence[str]) -> str:
    table.fetch([str(table.folder / file) for file in files])
    listed = ", ".join(literal(str(table.folder / file)) for file in files)
    return f"read_parquet([{listed}], hive_partitioning = false)"
