"""Rows that a diagnosis looks at come from thin copies of data files: the same rows, without reading the files again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from tests.compare.world import START, shop
from whimbrel.diagnose.sampling import Sampling
from whimbrel.engine import engine_named
from whimbrel.errors import StoreError
from whimbrel.model.rows import Categories, Numbers, Rows
from whimbrel.model.window import Condition, Window
from whimbrel.store import Log, open_log, thin

HOUR = timedelta(hours=1)
ALL = Window("shop", START, START + timedelta(days=3))
ASKED = [
    ALL,
    Window("shop"),
    Window("shop", START + 7 * HOUR, START + 40 * HOUR),
    replace(ALL, where=(Condition("context.country", "US"),)),
]


@pytest.fixture(autouse=True)
def _small_files_are_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(thin, "LEAST_BYTES", 0)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """Three days, one of them in two files; labels of some came later."""
    log = open_log(tmp_path / "home")
    rows = shop(3, per_day=600).drop(columns="label")
    log.add(rows, app="shop")
    log.add(shop(1, since=1, per_day=300, seed=7), app="shop")
    log.add_labels("shop", ({"id": ident, "label": 1.0} for ident in rows["id"][::2]))
    return log


def copies(log: Log) -> set[Path]:
    return set(log.layout.profiles.rglob("*.parquet"))


def values(rows: Rows) -> Iterator[tuple[str, object]]:
    for path, column in rows.columns.items():
        if isinstance(column, Numbers):
            yield path, [None if np.isnan(v) else v for v in column.values]
        else:
            assert isinstance(column, Categories)
            yield path, [None if code < 0 else column.vocabulary[code] for code in column.codes]


def told(rows: Rows) -> tuple[object, ...]:
    label_ts = None if rows.label_ts is None else rows.label_ts.tolist()
    return rows.ids, rows.ts.tolist(), rows.total, label_ts, dict(values(rows))


@pytest.mark.parametrize("window", ASKED, ids=str)
def test_the_sample_is_that_of_a_direct_reading(log: Log, window: Window) -> None:
    samples, source, engine = Sampling(engine_named(), log), log.source("shop"), engine_named()
    for limit in (60, 130, 60, 1_500, 10_000):
        direct = engine.rows(source, window, limit=limit)
        assert told(samples.rows(source, window, limit)) == told(direct), limit
        assert told(samples.rows(source, window, limit)) == told(direct), f"{limit}, again"
    assert copies(log)


def test_what_was_copied_is_not_read_again(log: Log) -> None:
    samples, source = Sampling(engine_named(), log), log.source("shop")
    first = samples.rows(source, ALL, 60)
    for file in (*source.files, *source.labels):
        Path(file).unlink()
    assert told(samples.rows(source, ALL, 60)) == told(first)
    assert len(samples.rows(source, replace(ALL, until=START + timedelta(days=2)), 30))


def test_a_larger_sample_is_not_answered_from_a_smaller_one(log: Log) -> None:
    samples, source = Sampling(engine_named(), log), log.source("shop")
    few, many = samples.rows(source, ALL, 30), samples.rows(source, ALL, 400)
    assert set(few.ids) < set(many.ids)
    assert 300 < len(many) < 500


def test_a_damaged_copy_is_made_anew(log: Log) -> None:
    samples, source = Sampling(engine_named(), log), log.source("shop")
    first = samples.rows(source, ALL, 60)
    hurt = min(copies(log))
    hurt.write_bytes(b"PAR1 and nothing else")
    assert told(samples.rows(source, ALL, 60)) == told(first)
    assert told(samples.rows(source, ALL, 60)) == told(first)
    assert hurt.read_bytes()[-4:] == b"PAR1"


def test_a_damaged_data_file_is_named_as_ever(log: Log) -> None:
    source = log.source("shop")
    Path(source.files[0]).write_bytes(b"nothing")
    with pytest.raises(StoreError, match="cannot be read"):
        Sampling(engine_named(), log).rows(source, ALL, 60)


def test_a_log_that_takes_no_copies_is_read_without(log: Log) -> None:
    log.layout.profiles.write_bytes(b"no folder can be made here")
    source = log.source("shop")
    assert told(Sampling(engine_named(), log).rows(source, ALL, 60)) == told(engine_named().rows(source, ALL, limit=60))


def test_a_copy_goes_with_its_file(log: Log) -> None:
    samples, source = Sampling(engine_named(), log), log.source("shop")
    samples.rows(source, ALL, 60)
    made = copies(log)
    assert len(made) == 5, "four data files and one of labels"
    Path(source.files[0]).unlink()
    thin.forget(log.layout, "shop")
    assert copies(log) == {copy for copy in made if not copy.name.startswith(Path(source.files[0]).name)}


def test_a_question_that_is_refused_leaves_no_thread_behind(log: Log) -> None:
    """The models that load beside the reading have loaded, or were not begun, when the error is said: the process may end."""
    ask = """
import sys
from whimbrel.__main__ import main
sys.argv = ["whimbrel", "diagnose", "--home", sys.argv[1], "--since", "2000-01-01", *sys.argv[2:]]
main()
"""
    for more in (["--golden", "nope"], ["--where", "context.nope=1", "--golden-since", "2000-01-01"]):
        done = subprocess.run(
            [sys.executable, "-c", ask, str(log.layout.home), *more], capture_output=True, text=True, check=False
        )
        assert "error: " in done.stderr
        assert "thread" not in done.stderr
