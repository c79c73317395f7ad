"""Damaged data files: named, left out of every answer, which says so; mended by putting a sound copy in their place. And newer tables."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from tests.cli.conftest import Program
from tests.compare.world import START, shop
from whimbrel.compare import compare_log
from whimbrel.diagnose import diagnose_log
from whimbrel.engine import engine_named
from whimbrel.errors import StoreError
from whimbrel.model.window import Window
from whimbrel.store import Log, open_log

DAYS, PER_DAY = 6, 200
ALL = Window("shop")
Spoil = Callable[[Path], None]


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwrite(path: Path) -> None:
    """Some bytes in the middle are others: a reader takes them for values."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 3)
        file.write(b"\x5a" * 40)
    later = path.stat().st_mtime + 60
    os.utime(path, (later, later))


def rot(path: Path) -> None:
    """The same, by nobody: the times of the file are what they were, and its end, which says how to read it, is gone."""
    told = path.stat()
    with path.open("r+b") as file:
        file.seek(-200, 2)
        file.write(bytes(200))
    os.utime(path, ns=(told.st_atime_ns, told.st_mtime_ns))


SPOILS: list[Spoil] = [cut, overwrite, rot, Path.unlink]


@pytest.fixture
def log(tmp_path: Path) -> Log:
    log = open_log(tmp_path / "home")
    log.add(shop(DAYS, per_day=PER_DAY), app="shop")
    return log


def of_day(log: Log, day: int) -> Path:
    (found,) = (
        Path(file) for file in log.source("shop").files if f"day={(START + timedelta(days=day)).date()}" in file
    )
    return found


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda one: one.__name__)
def test_the_rest_is_answered_and_the_answer_says_what_is_missing(log: Log, tmp_path: Path, spoil: Spoil) -> None:
    golden, window = (Window("shop", START + timedelta(days=a), START + timedelta(days=b)) for a, b in ((0, 3), (3, 6)))
    bad = of_day(log, 4)
    shutil.copy2(bad, tmp_path / "sound")
    spoil(bad)
    answer = compare_log(log, "shop", window=window, golden_window=golden)
    assert answer.window.predictions == 2 * PER_DAY
    assert any(str(bad) in note and f"{PER_DAY} rows" in note for note in answer.notes)
    report = diagnose_log(log, "shop", window=window, golden_window=golden)
    assert report.window.predictions == 2 * PER_DAY
    assert any(str(bad) in note for note in report.notes)
    elsewhere = compare_log(log, "shop", window=Window("shop", START + timedelta(days=5)), golden_window=golden)
    assert not any("damaged" in note for note in elsewhere.notes)  # it has no part in that

    shutil.copy(tmp_path / "sound", bad)
    mended = compare_log(log, "shop", window=window, golden_window=golden)
    assert mended.window.predictions == 3 * PER_DAY
    assert not any("damaged" in note for note in mended.notes)


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda one: one.__name__)
def test_damage_does_not_spread_nor_stop_what_comes_next(log: Log, spoil: Spoil) -> None:
    log.add(shop(DAYS, per_day=50, seed=1), app="shop")
    bad = next(Path(file) for file in log.source("shop").files if "day=2026-03-04" in file)
    rows = log.source("shop").facts[str(bad)].rows
    assert rows
    spoil(bad)
    done = log.compact(grace=timedelta(0))
    assert (done.compacted.merged, done.compacted.into) == (10, 5)
    log.add(shop(DAYS, per_day=10, seed=2), app="shop")
    log.append("shop", [{"id": "new", "ts": START + timedelta(days=2, hours=5), "inputs.fare": 1.0}])
    source = log.source("shop")
    assert engine_named().extent(source, ALL)[0] == DAYS * (PER_DAY + 50 + 10) + 1 - rows
    assert [str(bad)] == list(source.damaged)
    assert log.find("new").values["inputs.fare"] == 1.0


def test_doctor_names_damage_that_no_time_or_size_shows(log: Log) -> None:
    whimbrel, bad = Program(log.home), of_day(log, 2)
    told = bad.stat()
    with bad.open("r+b") as file:
        file.seek(told.st_size // 3)
        file.write(b"\x5a" * 8)
    os.utime(bad, ns=(told.st_atime_ns, told.st_mtime_ns))
    assert log.source("shop").damaged == {}
    ran = whimbrel("doctor", "--files")
    assert ran.code == 1
    assert bad.name in ran.out.replace("\n", "").replace(" ", "")
    assert "checksum" in log.source("shop").damaged[str(bad)]


def test_a_log_restored_with_other_times_is_sound(log: Log, tmp_path: Path) -> None:
    shutil.copytree(log.home, tmp_path / "restored", copy_function=shutil.copy)
    for path in (tmp_path / "restored").rglob("*.parquet"):
        os.utime(path)
        later = path.stat().st_mtime + 3600
        os.utime(path, (later, later))
    restored = open_log(tmp_path / "restored")
    assert restored.source("shop").damaged == {}
    assert engine_named().extent(restored.source("shop"), ALL)[0] == DAYS * PER_DAY


def protocol(log: Log, **change: object) -> None:
    """A commit as a newer writer of Delta tables would make it."""
    folder = log.layout.predictions("shop").folder / "_delta_log"
    version = 1 + max(int(path.stem) for path in folder.glob("*.json"))
    (folder / f"{version:020d}.json").write_text(json.dumps({"protocol": change}) + "\n")


@pytest.mark.parametrize(
    ("change", "readable"),
    [
        ({"minReaderVersion": 99, "minWriterVersion": 99}, False),
        (
            {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["future"], "writerFeatures": ["future"]},
            False,
        ),
        ({"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": [], "writerFeatures": ["future"]}, True),
        ({"minReaderVersion": 1, "minWriterVersion": 9}, True),
    ],
)
def test_a_table_of_a_newer_kind_is_read_if_it_can_be_or_refused_in_so_many_words(
    log: Log, change: dict[str, object], readable: bool
) -> None:
    protocol(log, **change)
    asks: list[Callable[[], object]] = [lambda: log.add(shop(1, seed=3), app="shop")]
    if readable:
        assert engine_named().extent(log.source("shop"), ALL)[0] == DAYS * PER_DAY
    else:
        asks += [lambda: log.source("shop"), lambda: log.compact()]
    for ask in asks:
        with pytest.raises(StoreError) as refused:
            ask()
        assert "newer version" in refused.value.why
        assert "whimbrel" in refused.value.next
    left = {path for path in log.home.rglob("part-*.parquet") if "_delta_log" not in str(path)}
    assert len(left) == DAYS  # what could not join the table is gone


def test_columns_of_a_newer_whimbrel_are_left_alone_and_the_rest_is_read(log: Log) -> None:
    from deltalake import Field
    from deltalake.schema import PrimitiveType

    table = log.layout.predictions("shop")
    table.widen([Field("aura", PrimitiveType("string"))])
    file = table.folder / "day=2026-03-02" / "part-newer.parquet"
    pd.DataFrame({"id": ["n"], "ts": pd.to_datetime([START]), "aura": ["blue"]}).to_parquet(file)
    from whimbrel.store.delta import Written

    table.commit(
        table.open(),
        [Written("day=2026-03-02/part-newer.parquet", file.stat().st_size, 1, {"day": "2026-03-02"}, None, None)],
    )
    assert engine_named().extent(log.source("shop"), ALL)[0] == DAYS * PER_DAY + 1
    log.compact(grace=timedelta(0))
    merged = [pd.read_parquet(file) for file in log.source("shop").files if "day=2026-03-02" in file]
    assert len(merged) == 1
    assert merged[0].set_index("id").loc["n", "aura"] == "blue"
