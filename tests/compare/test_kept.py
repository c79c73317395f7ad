"""Profiles of data files that are kept: the same answer as a direct reading, from the files that were not read before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from whimbrel.compare import compare_log, kept
from whimbrel.compare.kept import Shelf, trim
from whimbrel.compare.saved import decode_part, encode_part
from whimbrel.engine import Engine, Source, engine_named
from whimbrel.errors import StoreError, UsageError
from whimbrel.model.profile import Binning, Profile
from whimbrel.model.window import Condition, Window
from whimbrel.store import Log, open_log
from whimbrel.store.reach import pieces

from .world import START, shop

DAYS = 5
GOLDEN = Window("shop", START, START + timedelta(days=3))
WINDOW = Window("shop", START + timedelta(days=3), START + timedelta(days=5))
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _small_files_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "LEAST_BYTES", 0)


def filled(home: Path) -> Log:
    """A log of five days, three of them in two files."""
    log = open_log(home)
    log.add(shop(DAYS, per_day=300), app="shop")
    log.add(shop(3, since=1, per_day=100, seed=7), app="shop")
    return log


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return filled(tmp_path / "home")


@pytest.fixture
def parts(log: Log) -> Callable[[], dict[Path, bytes]]:
    return lambda: {path: path.read_bytes() for path in log.layout.profiles.rglob("*") if path.is_file()}


def shelf_of(log: Log, engine: Engine) -> Callable[[Window, Binning], Profile]:
    def ask(window: Window, binning: Binning) -> Profile:
        source = log.source("shop")
        return Shelf.of(log, "shop", engine).window(pieces(log.layout, source), source, window, binning)

    return ask


class Read:
    """DuckDB, and a note of every file that it was asked to profile."""

    def __init__(self) -> None:
        self.engine = engine_named()
        self.files: list[str] = []

    def profile(self, source: Source, window: Window, binning: Binning) -> Profile:
        """As the engine says; remembered."""
        self.files += source.files
        return self.engine.profile(source, window, binning)

    def profiles(self, parts: Sequence[tuple[Source, Window]], binning: Binning) -> Iterator[Profile]:
        """As the engine says; remembered."""
        return (self.profile(source, window, binning) for source, window in parts)

    def __getattr__(self, name: str) -> object:
        return getattr(self.engine, name)


def same(found: Profile, direct: Profile) -> None:
    """Every count, sketch and picked row is equal; moments to rounding, for sums have another order."""
    assert replace(found, moments=()) == replace(direct, moments=())
    for a, b in zip(found.moments, direct.moments, strict=True):
        assert (a.n, a.low, a.high) == (b.n, b.low, b.high)
        assert (a.mean, a.m2) == pytest.approx((b.mean, b.m2), rel=1e-9)


def test_any_window_is_the_sum_of_what_is_kept_to_the_last_bit(tmp_path: Path) -> None:
    """Random windows, cut in the middle of an hour, with and without conditions: kept, made now and read directly."""
    log, engine = filled(tmp_path / "home"), engine_named()
    source = log.source("shop")
    binning, ask = engine.binning(source, GOLDEN), shelf_of(log, engine)
    draw = np.random.default_rng(5)
    wheres = [(), (), (Condition("context.country", "US"),), (Condition("inputs.fare", "20", ">"),)]
    span = int(timedelta(days=DAYS + 1) / timedelta(microseconds=1))
    windows = [Window("shop"), Window("shop", START + HOUR * 30, START + HOUR * 55)]
    for i in range(7):
        low, high = sorted(draw.integers(-3_600_000_000, span, 2).tolist())
        since, until = START + timedelta(microseconds=low), START + timedelta(microseconds=high + 1)
        windows.append(Window("shop", since if i % 4 else None, until if i % 3 else None, wheres[i % 4]))
    windows.append(Window("shop", START + HOUR * 26.2, START + HOUR * 26.7))
    windows.append(Window("shop", START + HOUR * 26.2, START + HOUR * 27.7))
    before = [ask(window, binning) for window in windows]
    for window, first in zip(windows, before, strict=True):
        assert ask(window, binning) == first
        same(first, engine.profile(source, window, binning))
    log.layout.profiles.rename(tmp_path / "away")
    assert [ask(window, binning) for window in windows[::-1]] == before[::-1]  # whatever was asked before


def test_a_second_window_reads_only_the_files_that_were_not_read(log: Log) -> None:
    engine = Read()
    source = log.source("shop")
    binning = engine.engine.binning(source, GOLDEN)
    ask = shelf_of(log, engine)  # type: ignore[arg-type]
    days = {file: file.partition("day=")[2][:10] for file in source.files}
    ask(replace(WINDOW, until=START + timedelta(days=4)), binning)
    assert sorted(days[file] for file in engine.files) == ["2026-03-05"] * 2
    engine.files.clear()
    ask(WINDOW, binning)
    assert [days[file] for file in engine.files] == ["2026-03-06"]
    engine.files.clear()
    ask(WINDOW, binning)
    assert engine.files == []
    ask(replace(WINDOW, until=START + timedelta(days=4, hours=7)), binning)  # blocks of 4, 2 and 1 hours
    assert [days[file] for file in engine.files] == ["2026-03-06"] * 3
    engine.files.clear()
    ask(replace(WINDOW, until=START + timedelta(days=4, hours=6)), binning)
    assert engine.files == []


def test_an_answer_needs_no_data_file_once_all_are_profiled(log: Log) -> None:
    """The data files hold nothing any more: a comparison of whole days, with and without a condition, says what it said before."""
    log.set_golden("march", GOLDEN)
    conditions = ((), (Condition("context.country", "US"),))
    asked = [replace(WINDOW, where=where) for where in conditions]
    before = [compare_log(log, window=window, golden=golden) for window in asked for golden in ("march", None)]
    for file in log.source("shop").files:
        told = Path(file).stat()
        Path(file).write_bytes(bytes(told.st_size))
        os.utime(file, ns=(told.st_atime_ns, told.st_mtime_ns))
    after = [compare_log(log, window=window, golden=golden) for window in asked for golden in ("march", None)]
    assert after == before


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="only Linux counts the bytes that a process reads")
def test_the_bytes_that_are_read_are_those_of_the_profiles(tmp_path: Path) -> None:
    """Counted by the operating system: all that this process reads, of data files, footers, Delta's log and profiles."""

    def read_by(ask: Callable[[], object]) -> int:
        def count() -> int:
            return int(Path("/proc/self/io").read_text().split()[1])

        before = count()
        ask()
        return count() - before

    log = open_log(tmp_path / "home")
    log.add(shop(4, per_day=15_000), app="shop")
    log.set_golden("march", replace(GOLDEN, until=START + timedelta(days=2)))
    window = Window("shop", START + timedelta(days=2), START + timedelta(days=4))
    size = sum(
        Path(file).stat().st_size for file in log.source("shop").files if file.partition("day=")[2][:10] > "2026-03-03"
    )
    compare_log(log, window=replace(window, since=START + timedelta(days=3)), golden="march")  # imports, golden
    half = read_by(lambda: compare_log(log, window=window, golden="march"))
    again = read_by(lambda: compare_log(log, window=window, golden="march"))
    assert 0.25 * size < half < 0.9 * size
    assert again < 0.25 * size


def test_late_labels_and_decisions_reach_what_is_kept(log: Log, parts: Callable[[], dict[Path, bytes]]) -> None:
    """Labels of one day make that day's profile anew, and no other's; the answer is that of a direct reading."""
    engine = engine_named()
    binning, ask = engine.binning(log.source("shop"), GOLDEN), shelf_of(log, engine)
    first, kept_before = ask(WINDOW, binning), set(parts())
    ids = engine.rows(log.source("shop"), replace(WINDOW, until=START + timedelta(days=4))).ids[:50]
    log.add_labels("shop", [{"id": str(ident), "label": 7.0} for ident in ids])
    second = ask(WINDOW, binning)
    assert second.counts("label").tolist() != first.counts("label").tolist()
    same(second, engine.profile(log.source("shop"), WINDOW, binning))
    assert ask(WINDOW, binning) == second
    assert 0 < len(set(parts()) - kept_before) <= len(kept_before)
    log.add_decisions("shop", [{"id": str(ids[0]), "path": "decision", "value": "no"}])
    full = engine.binning(log.source("shop"), GOLDEN)
    same(ask(WINDOW, full), engine.profile(log.source("shop"), WINDOW, full))


def test_labels_that_cannot_meet_a_files_ids_leave_its_profile(tmp_path: Path) -> None:
    log = open_log(tmp_path / "home")
    for day in range(2):
        frame = shop(1, since=day, per_day=50)
        frame["id"] = [f"day{day}-{i:03}" for i in range(len(frame))]
        log.add(frame, app="shop")
    names = {piece.names[0]: piece.names for piece in pieces(log.layout, log.source("shop"))}
    log.add_labels("shop", [{"id": "day1-004", "label": 7.0}])
    after = {piece.names[0]: piece for piece in pieces(log.layout, log.source("shop"))}
    changed = [name for name in names if after[name].names != names[name]]
    assert len(changed) == 1
    assert "day=2026-03-03" in changed[0]
    assert [len(after[name].source.labels) for name in sorted(after)] == [0, 1]


def test_a_golden_is_profiled_anew_when_labels_reach_it(log: Log) -> None:
    log.set_golden("march", GOLDEN)
    compare_log(log, window=WINDOW, golden="march")
    ids = engine_named().rows(log.source("shop"), GOLDEN).ids
    log.add_labels("shop", [{"id": str(ident), "label": 7.0} for ident in ids])
    assert "label" in [m.path for m in compare_log(log, window=WINDOW, golden="march").moved]


def test_a_damaged_part_is_made_anew(log: Log, parts: Callable[[], dict[Path, bytes]]) -> None:
    before = compare_log(log, window=WINDOW, golden_window=GOLDEN)
    whole = parts()
    assert len(whole) >= 4
    swapped = dict(zip(whole, [*list(whole.values())[1:], next(iter(whole.values()))], strict=True))
    for damage in (
        dict.fromkeys(whole, b""),
        {path: data[: len(data) // 2] for path, data in whole.items()},
        {path: data[:-9] + bytes([data[-9] ^ 255]) + data[-8:] for path, data in whole.items()},
        swapped,
    ):
        for path, data in damage.items():
            path.write_bytes(data)
        assert compare_log(log, window=WINDOW, golden_window=GOLDEN) == before
        assert parts() == whole


def test_many_at_once_and_a_log_that_may_only_be_read(log: Log, parts: Callable[[], dict[Path, bytes]]) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: compare_log(log, window=WINDOW, golden_window=GOLDEN), range(4)))
    assert found == [found[0]] * 4
    assert {path.suffix for path in parts()} == {".profile"}
    log.layout.profiles.rename(log.home / "away")
    log.layout.profiles.write_text("no folder can be made here")
    assert compare_log(log, window=WINDOW, golden_window=GOLDEN) == found[0]


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    for i in range(8):
        path = tmp_path / "bins" / f"{i}.profile"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * 100)
        os.utime(path, (1_000 + i, 1_000 + i))
    trim(tmp_path, 800)
    assert len(list(tmp_path.rglob("*.profile"))) == 8
    trim(tmp_path, 700)
    assert sorted(path.stem for path in tmp_path.rglob("*.profile")) == ["3", "4", "5", "6", "7"]


def test_the_folder_does_not_outgrow_its_cap(
    log: Log, parts: Callable[[], dict[Path, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MOST_BYTES", 60_000)
    answers = [compare_log(log, window=WINDOW, golden_window=GOLDEN) for _ in range(2)]
    assert answers[0] == answers[1]
    assert sum(map(len, parts().values())) <= 60_000


def test_conditions_on_times_are_never_kept_and_unknown_ones_refused(tmp_path: Path) -> None:
    log = open_log(tmp_path / "home")
    frame = shop(2, per_day=100)
    frame["inputs.booked"] = frame["ts"] - timedelta(hours=2)
    log.add(frame, app="shop")
    engine = engine_named()
    binning, ask = engine.binning(log.source("shop"), Window("shop")), shelf_of(log, engine)
    ask(Window("shop", where=(Condition("inputs.booked", "24h", "<"),)), binning)
    assert not log.layout.profiles.exists()
    with pytest.raises(UsageError, match=r"inputs\.boked"):
        ask(Window("shop", START + timedelta(days=50), where=(Condition("inputs.boked", "1"),)), binning)


def test_times_without_a_zone_mean_what_they_mean_to_the_engine(log: Log) -> None:
    engine = engine_named()
    binning = engine.binning(log.source("shop"), GOLDEN)
    since, until = ((START + timedelta(days=d)).replace(tzinfo=None) for d in (3, 4.3))
    window = Window("shop", since, until)
    same(shelf_of(log, engine)(window, binning), engine.profile(log.source("shop"), window, binning))


def test_small_files_are_read_and_not_kept(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "LEAST_BYTES", 1 << 30)
    engine = engine_named()
    binning = engine.binning(log.source("shop"), GOLDEN)
    found = shelf_of(log, engine)(WINDOW, binning)
    assert found == engine.profile(log.source("shop"), WINDOW, binning)
    assert not log.layout.profiles.exists()


def test_a_part_comes_back_whole_and_is_refused_for_anything_else(log: Log) -> None:
    engine = engine_named()
    source = log.source("shop")
    profile = engine.profile(source, WINDOW, engine.binning(source, GOLDEN))
    data = encode_part(profile, stamp="this")
    assert decode_part(data, profile.binning, stamp="this") == profile
    with pytest.raises(StoreError, match="something else"):
        decode_part(data, profile.binning, stamp="that")
    empty = Profile(profile.binning)
    assert decode_part(encode_part(empty, stamp=""), profile.binning, stamp="") == empty
