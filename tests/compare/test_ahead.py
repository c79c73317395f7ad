"""Whoever writes in bulk makes the profiles that the first comparison would make, and is harmed by none."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from whimbrel.cli import main
from whimbrel.compare import ahead, compare_log, golden_profile, kept
from whimbrel.compare.ahead import follow, profiled
from whimbrel.model.window import Window
from whimbrel.store import Golden, Log, open_log

from .world import START, shop

GOLDEN = Window("shop", START, START + timedelta(days=3))
WINDOW = Window("shop", START + timedelta(days=3), START + timedelta(days=5))


@pytest.fixture(autouse=True)
def _small_files_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "LEAST_BYTES", 0)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """A log of three days that are golden."""
    log = open_log(tmp_path / "home")
    log.add(shop(3, per_day=300), app="shop")
    return log


def name(log: Log, golden: str, window: Window = GOLDEN) -> Golden:
    made = log.set_golden(golden, window)
    golden_profile(log, made)
    return made


def parts(log: Log) -> set[Path]:
    return set(log.layout.profiles.rglob("*.profile"))


def two_days() -> object:
    return shop(2, since=3, per_day=300, seed=3)


def test_a_first_comparison_finds_everything_kept(log: Log) -> None:
    """Nothing is kept anew for it, and it says what it says where nothing was made ahead."""
    name(log, "march")
    name(log, "first", Window("shop", START, START + timedelta(days=1)))
    with profiled(log):
        log.add(two_days(), app="shop")
    made = parts(log)
    assert len(made) == 2 * 2
    found = [compare_log(log, window=WINDOW, golden=golden) for golden in ("march", "first")]
    assert parts(log) == made
    for path in made:
        path.unlink()
    assert [compare_log(log, window=WINDOW, golden=golden) for golden in ("march", "first")] == found


def test_what_came_after_a_window_is_profiled_when_that_is_named_golden(log: Log) -> None:
    """What is older or part of it is not, and a window without an end has nothing after it."""
    log.add(two_days(), app="shop")
    follow(log, name(log, "march"))
    made = parts(log)
    assert len(made) == 2
    found = compare_log(log, window=WINDOW, golden="march")
    assert parts(log) == made
    for path in made:
        path.unlink()
    assert compare_log(log, window=WINDOW, golden="march") == found
    left = parts(log)
    follow(log, name(log, "all", Window("shop")))
    assert parts(log) == left


def test_only_what_is_new_or_reached_is_profiled(log: Log) -> None:
    """Labels of one day renew that day's profile; those that reach golden make its own stale, and then nothing is made."""
    name(log, "march")
    with profiled(log):
        pass
    assert parts(log) == set()
    with profiled(log):
        for day in (3, 4):
            frame = shop(1, since=day, per_day=300)
            frame["id"] = [f"day{day}-{i:03}" for i in range(300)]
            log.add(frame, app="shop")
    made = parts(log)
    assert len(made) == 2
    with profiled(log):
        log.add_labels("shop", [{"id": "day4-007", "label": 7.0}])
    renewed = parts(log)
    assert len(renewed - made) == 1
    with profiled(log):
        log.add_labels("shop", [{"id": "0-0-5", "label": 7.0}])
    assert parts(log) == renewed


def test_where_no_golden_has_a_profile_nothing_is_made(log: Log) -> None:
    with profiled(log):
        log.add(two_days(), app="shop")
    log.set_golden("march", GOLDEN)  # its profile is made by the first who needs it
    with profiled(log):
        log.add(shop(1, since=5, per_day=300, seed=4), app="shop")
    assert parts(log) == set()


def test_the_latest_files_are_served_first(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    name(log, "march")
    monkeypatch.setattr(ahead, "MOST_BYTES", max(Path(file).stat().st_size for file in log.source("shop").files) * 2)
    with profiled(log):
        log.add(shop(1, since=3, per_day=290, seed=3), app="shop")
        log.add(shop(3, since=4, per_day=290, seed=5), app="shop")
    made = parts(log)
    assert len(made) == 2
    compare_log(log, window=Window("shop", START + timedelta(days=5)), golden="march")
    assert parts(log) == made


def _unreadable(log: Log) -> None:
    next(log.layout.golden.glob("*.json")).write_text("{")


def _no_profile(log: Log) -> None:
    next(log.layout.golden.glob("*.profile")).write_bytes(b"WHIMBREL-PROFILE 1\nnothing")


def _no_room(log: Log) -> None:
    log.layout.profiles.write_text("a file where the folder should be")


@pytest.mark.parametrize("harm", [_unreadable, _no_profile, _no_room])
def test_what_fails_harms_no_import(log: Log, tmp_path: Path, harm: Callable[[Log], None]) -> None:
    name(log, "march")
    harm(log)
    flat = tmp_path / "more.parquet"
    shop(2, since=3, per_day=300, seed=3).to_parquet(flat)
    assert main(["import", str(flat), "--app", "shop", "--home", str(log.home)]) == 0
    assert len(log.source("shop").files) == 5


def test_what_the_writer_raises_is_raised(log: Log) -> None:
    name(log, "march")
    with pytest.raises(ZeroDivisionError), profiled(log):
        raise ZeroDivisionError
    assert parts(log) == set()


def test_import_and_compact_profile_and_say_nothing_of_it(log: Log, tmp_path: Path) -> None:
    name(log, "march")
    for day in (3, 3, 4):
        flat = tmp_path / "more.parquet"
        shop(1, since=day, per_day=300, seed=len(parts(log)) + 9).to_parquet(flat)
        assert main(["import", str(flat), "--app", "shop", "--home", str(log.home)]) == 0
    assert len(parts(log)) == 3
    before = compare_log(log, window=WINDOW, golden="march")
    for path in parts(log):
        path.unlink()
    assert main(["compact", "--app", "shop", "--home", str(log.home)]) == 0
    assert len(parts(log)) == 1  # the merged file of one day
    after = compare_log(log, window=WINDOW, golden="march")
    assert [m.path for m in after.moved] == [m.path for m in before.moved]
