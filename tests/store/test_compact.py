"""Compaction: fewer files, the same rows, the same answers from what was kept, beside whoever else is at work."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest

from tests.compare.test_kept import Read
from tests.compare.world import START, shop
from whimbrel.compare import kept
from whimbrel.compare.kept import Shelf
from whimbrel.engine import engine_named
from whimbrel.engine.port import Facts
from whimbrel.errors import UsageError
from whimbrel.model.window import Window
from whimbrel.store import Log, open_log
from whimbrel.store.compact import compact, runs
from whimbrel.store.delta import Written, partition_of
from whimbrel.store.reach import pieces
from whimbrel.store.relaid import merged, swap

NO_GRACE = timedelta(0)
DAY = timedelta(days=1)


def filled(home: Path, parts: int = 4, days: int = 3) -> Log:
    """A log whose days lie in several files each."""
    log = open_log(home)
    for seed in range(parts):
        log.add(shop(days, per_day=60, seed=seed), app="shop")
    return log


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return filled(tmp_path / "home")


def rows(log: Log, app: str = "shop") -> list[tuple[object, ...]]:
    """Every row of an app, in order of id, as DuckDB spells it."""
    files = list(log.source(app).files)
    with duckdb.connect() as con:
        told = con.execute(
            "SELECT id, epoch_us(ts), inputs::JSON::VARCHAR, context::JSON::VARCHAR, outputs::JSON::VARCHAR, label "
            "FROM read_parquet($1, union_by_name = true, hive_partitioning = false) ORDER BY id",
            [files],
        )
        return told.fetchall()


def test_the_rows_are_the_same_in_fewer_files_each_sorted_by_time(log: Log) -> None:
    before = rows(log)
    done = log.compact(grace=NO_GRACE)
    assert (done.compacted.merged, done.compacted.into, done.compacted.rows) == (12, 3, len(before))
    assert rows(log) == before
    source = log.source("shop")
    assert len(source.files) == 3
    for file in source.files:
        times = [row[0] for row in duckdb.execute("SELECT epoch_us(ts) FROM read_parquet($1)", [file]).fetchall()]
        assert times == sorted(times)
        assert source.facts[file].times == (times[0], times[-1])
        assert source.facts[file].rows == len(times)
    assert log.compact(grace=NO_GRACE).compacted.merged == 0


def test_columns_that_only_some_files_have_keep_their_values(tmp_path: Path) -> None:
    log = open_log(tmp_path / "home")
    ts = [START + timedelta(minutes=i) for i in range(4)]
    log.add(pd.DataFrame({"id": list("abcd"), "ts": ts, "inputs.fare": [1.5, None, 3.0, -0.0]}), app="shop")
    wide: dict[str, list[Any]] = {
        "id": list("efgh"),
        "ts": ts,
        "inputs.tags": [["x", "y"], [], None, ["z"]],
        "steps.norm.fare": [1.0, 2.0, 3.0, 4.0],
    }
    log.append("shop", [{key: column[i] for key, column in wide.items()} for i in range(4)])
    log.append("shop", [{"id": "i", "ts": ts[0], "inputs.fare": "dear", "error": "late"}])
    before = [log.find(ident).values for ident in "abcdefghi"]
    log.compact(grace=NO_GRACE)
    assert len(log.source("shop").files) == 1
    assert [log.find(ident).values for ident in "abcdefghi"] == before
    assert log.find("i").rescued == {"inputs.fare": "dear"}


def test_profiles_are_carried_over_and_no_file_is_read_again(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole files, blocks of cut ones, conditions: what was kept of the parts adds up; two compactions deep."""
    monkeypatch.setattr(kept, "LEAST_BYTES", 0)
    engine = Read()
    binning = engine.engine.binning(log.source("shop"), Window("shop", START, START + DAY))

    def ask(window: Window) -> object:
        source = log.source("shop")
        shelf = Shelf.of(log, "shop", engine)  # type: ignore[arg-type]
        return shelf.window(pieces(log.layout, source), source, window, binning)

    windows = [Window("shop"), Window("shop", START + DAY, START + 2 * DAY + timedelta(hours=7))]
    for window in windows:
        ask(window)
    log.compact(grace=NO_GRACE)
    log.add(shop(3, per_day=60, seed=9), app="shop")
    for window in windows:
        ask(window)  # reads the new files alone
    log.compact(grace=NO_GRACE)
    engine.files.clear()
    carried = [ask(window) for window in windows]
    assert engine.files == []
    source = log.source("shop")
    for window, found in zip(windows, carried, strict=True):
        direct = engine.engine.profile(source, window, binning)
        assert found.days == direct.days  # type: ignore[attr-defined]
        assert found.picks == direct.picks  # type: ignore[attr-defined]
        assert [m.n for m in found.moments] == [m.n for m in direct.moments]  # type: ignore[attr-defined]


def test_of_two_compactions_at_once_one_wins_and_no_row_is_doubled(log: Log) -> None:
    before = rows(log)
    for _ in range(3):
        log.add(shop(3, per_day=20, seed=50 + _), app="shop")
    before = rows(log)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: compact(log.layout, ["shop"]), range(4)))
    assert rows(log) == before
    assert sum(one.into for one in done) == 3
    held = {Path(file).name for file in log.source("shop").files}
    assert {
        path.name for path in log.layout.predictions("shop").folder.rglob("part-*.parquet") if path.name in held
    } == held


def test_a_merge_that_was_forestalled_leaves_neither_rows_nor_files(log: Log) -> None:
    """Both merges are written before either is committed, from tables that were opened before: as two machines would."""
    table = log.layout.predictions("shop")
    delta = table.open()
    (run, *_) = runs(table.named_facts(delta), 2, 1 << 30)
    sizes = {path: facts.size for path, facts in run.items()}
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        one, other = merged(con, table, delta, list(run)), merged(con, table, delta, list(run))
    assert one is not None
    assert other is not None
    before = rows(log)
    stale = table.open()
    assert swap(table, sizes, [one], same_rows=True)
    with pytest.raises(Exception, match=r"(?i)transaction|conflict|concurrent"):
        table.replace(stale, sizes, [other], same_rows=True)
    assert not swap(table, sizes, [other], same_rows=True)
    assert rows(log) == before
    assert not (table.folder / other.path).exists()


def test_compaction_runs_beside_appends_and_readers(log: Log) -> None:
    stop = time.monotonic() + 4
    before, added = len(rows(log)), []

    def append(worker: int) -> None:
        for turn in range(1000):
            if time.monotonic() > stop:
                return
            ident = f"new-{worker}-{turn}"
            log.append("shop", [{"id": ident, "ts": START + timedelta(minutes=turn), "inputs.fare": 1.0}])
            added.append(ident)

    def read() -> Iterator[int]:
        while time.monotonic() < stop:
            yield engine_named().extent(log.source("shop"), Window("shop"))[0]

    with ThreadPoolExecutor(3) as pool:
        writers = [pool.submit(append, worker) for worker in range(2)]
        seen = pool.submit(lambda: list(read()))
        while time.monotonic() < stop:
            log.compact()
        for writer in writers:
            writer.result()
        assert sorted(seen.result()) == seen.result()  # no reader missed a row, or saw one twice and then once
    log.compact(grace=NO_GRACE)
    ids = [row[0] for row in rows(log)]
    assert len(ids) == len(set(ids)) == before + len(added)
    assert set(added) <= set(ids)


def test_files_are_merged_in_order_of_time_and_large_ones_are_left_alone() -> None:
    hour = 3_600_000_000
    files = {f"day=2026-03-02/{i}": Facts(30, 1, None, (i * hour, i * hour + 1)) for i in range(6)}
    files |= {"day=2026-03-02/big": Facts(60, 1, None, (0, 9 * hour)), "day=2026-03-03/only": Facts(1, 1, None, (0, 1))}
    found = [[path[-1] for path in run] for run in runs(dict(sorted(files.items(), reverse=True)), 2, 100)]
    assert found == [["0", "1", "2"], ["3", "4", "5"]]
    assert list(runs(files, 7, 100)) == []


def test_a_golden_window_reads_its_own_files_however_often_they_are_merged(log: Log) -> None:
    window = Window("shop", START + timedelta(hours=30), START + timedelta(hours=40))
    golden = log.set_golden("good", window)
    late = pd.DataFrame({"id": ["late"], "ts": [START + timedelta(hours=31)], "inputs.fare": [1.0]})
    log.add(late, app="shop")
    done = log.compact(grace=NO_GRACE)
    assert done.vacuumed.needed == 4  # the golden's day; the other days' old files are gone
    assert done.vacuumed.files == 9
    ask = engine_named()
    assert ask.extent(log.source("shop", golden.version), window)[0] == golden.predictions
    assert ask.extent(log.source("shop"), window)[0] == golden.predictions + 1


def test_vacuum_leaves_readers_their_time_and_sweeps_what_a_killed_writer_left(log: Log) -> None:
    folder = log.layout.predictions("shop").folder
    source = log.source("shop")  # a reader that is at work
    orphan = folder / "day=2026-03-02" / "part-of-a-killed-writer.parquet"
    orphan.write_bytes(b"PAR1")
    assert log.compact().vacuumed.files == 0
    assert engine_named().extent(source, Window("shop"))[0] == 4 * 3 * 60
    assert orphan.exists()
    assert log.compact(grace=NO_GRACE).vacuumed.files == 13
    assert not orphan.exists()
    assert sorted(str(path) for path in folder.rglob("*.parquet") if path.parent.name != "_delta_log") == sorted(
        log.source("shop").files
    )


def test_history_is_forgotten_but_for_what_a_golden_window_and_readers_need(tmp_path: Path) -> None:
    log = open_log(tmp_path / "home")
    table = log.layout.predictions("shop")
    log.append("shop", [{"id": "0", "ts": START, "inputs.fare": 1.0}])
    (first,) = table.named_facts(table.open())
    for turn in range(1, 130):
        again = str(Path(first).with_name(f"part-{turn}.parquet"))
        shutil.copy(table.folder / first, table.folder / again)
        size = (table.folder / again).stat().st_size
        table.commit(table.open(), [Written(again, size, 1, partition_of(again), None, None)])
        if turn == 7:
            golden = log.set_golden("good", Window("shop"))
    old = time.time() - 40 * 86_400
    for path in (table.folder / "_delta_log").glob("*"):
        os.utime(path, (old, old))
    assert len(list((table.folder / "_delta_log").glob("*.json"))) > 130  # nothing was forgotten by itself
    done = log.compact(grace=NO_GRACE, least=1000)
    assert done.vacuumed.commits > 90
    assert engine_named().extent(log.source("shop", golden.version), golden.window)[0] == golden.predictions == 8
    assert len(log.source("shop").files) == 130
    log.append("shop", [{"id": "after", "ts": START, "inputs.fare": 1.0}])
    assert len(log.source("shop").files) == 131


def test_a_window_opens_no_file_of_other_hours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that hold nothing of the window are spoilt: whoever opens one fails. Late labels of other ids likewise."""
    log = open_log(tmp_path / "home")
    for hour in range(6):
        ts = [START + timedelta(hours=hour, minutes=m) for m in range(60)]
        ids = [f"{hour}-{m:02d}" for m in range(60)]
        log.add(pd.DataFrame({"id": ids, "ts": ts, "inputs.fare": np.arange(60.0)}), app="shop")
        log.add_labels("shop", [{"id": ident, "label": 1.0} for ident in ids])
    window = Window("shop", START + timedelta(hours=2), START + timedelta(hours=3))
    source = log.source("shop")
    kept_files = {*source.within(window).files, *source.within(window).labels}
    assert len(kept_files) == 2
    for file in (*source.files, *source.labels):
        if file not in kept_files:
            Path(file).write_bytes(b"spoilt")
    ask = engine_named()
    assert ask.extent(source, window)[0] == 60
    found = ask.rows(source, window, paths=["inputs.fare", "label"])
    assert len(found.ids) == 60
    assert ask.profile(source, window, ask.binning(source, window)).moments


def test_a_log_with_a_ledger_is_not_put_in_order_without_its_needs(log: Log) -> None:
    (log.home / "ledger").mkdir()
    with pytest.raises(UsageError, match="ledger"):
        log.compact()
