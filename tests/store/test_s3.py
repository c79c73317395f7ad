"""The log's tables in S3-compatible storage: the same answers, and nothing lost or doubled when it stalls or fails. `make s3` installs the server."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cli.conftest import Program
from tests.compare.world import START, shop
from whimbrel.compare import compare_log
from whimbrel.engine import engine_named
from whimbrel.errors import StoreError
from whimbrel.model.window import Window
from whimbrel.record import Recorder
from whimbrel.store import Log, open_log
from whimbrel.store.erase import erase_rows

from .storage import SECRET, Server, served

ALL = Window("shop")
NO_GRACE = timedelta(0)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    yield from served()


@pytest.fixture
def uri() -> str:
    return f"s3://lake/{uuid4().hex}/log"


def opened(home: Path, server: Server, uri: str, **options: str) -> Log:
    return open_log(home, storage=uri, storage_options=server.options(**options))


@pytest.fixture
def log(tmp_path: Path, server: Server, uri: str) -> Log:
    server.door.set("pass")
    return opened(tmp_path / "home", server, uri)


def count(log: Log, app: str = "shop") -> int:
    return engine_named().extent(log.source(app), Window(app))[0]


def ids(log: Log, app: str) -> list[str]:
    found = engine_named().rows(log.source(app), Window(app), paths=[], limit=1_000_000)
    return sorted(found.ids)


def test_everything_that_a_folder_can_do(log: Log, tmp_path: Path, server: Server, uri: str) -> None:
    here = open_log(tmp_path / "here")
    for one in (here, log):
        for seed in range(3):
            one.add(shop(4, per_day=60, seed=seed), app="shop")
        one.add_labels("shop", [{"id": "0-0-1", "label": 1.0}])
        one.append("shop", [{"id": "x", "ts": START, "inputs.fare": 3.5}])
    window = Window("shop", START + timedelta(days=2))
    golden = Window("shop", START, START + timedelta(days=2))
    assert compare_log(log, "shop", window=window, golden_window=golden) == compare_log(
        here, "shop", window=window, golden_window=golden
    )
    named = log.set_golden("good", golden)
    assert log.find("0-0-1").values["label"] == 1.0
    assert log.add(shop(4, per_day=60, seed=0), app="shop").duplicates == 240

    elsewhere = opened(tmp_path / "elsewhere", server, uri)  # another machine
    assert elsewhere.apps() == ("shop",)
    hour = Window("shop", START + timedelta(days=1, hours=12), START + timedelta(days=1, hours=13))
    assert engine_named().extent(elsewhere.source("shop"), hour) == engine_named().extent(here.source("shop"), hour)
    fetched = {path.parent.name for path in (tmp_path / "elsewhere" / "predictions").rglob("*.parquet")}
    assert fetched == {"day=2026-03-03"}  # no other day came over the wire
    done = log.compact(grace=NO_GRACE)
    assert done.compacted.into >= 4
    assert done.vacuumed.needed
    assert count(log) == count(here) == count(elsewhere) == 721
    assert engine_named().extent(log.source("shop", named.version), golden)[0] == named.predictions
    erase_rows(log, "shop", ["x"])
    assert count(log) == 720


def test_many_machines_ingest_into_one_table(server: Server, uri: str, tmp_path: Path) -> None:
    server.door.set("pass")

    def machine(number: int) -> list[str]:
        home, made = tmp_path / str(number), []
        for _ in range(2):
            recorder = Recorder("fares", home=home)
            for n in range(30):
                with recorder.prediction({"n": n}) as p:
                    p.output(float(n))
                    made.append(p.id)
            recorder.close()
            opened(home, server, uri).ingest()
        return made

    with ThreadPoolExecutor(3) as pool:
        made = [ident for some in pool.map(machine, range(3)) for ident in some]
    assert ids(opened(tmp_path / "reader", server, uri), "fares") == sorted(made)


@pytest.mark.parametrize("mode", ["refuse", "stall", "lose"])
def test_a_storage_that_fails_loses_nothing_and_doubles_nothing(
    log: Log, server: Server, uri: str, tmp_path: Path, mode: str
) -> None:
    """It fails while segments wait; ingest says so, or tries again; when it is well again all is there once."""
    recorder, made = Recorder("fares", home=log.home), []

    def record(n: int) -> None:
        for i in range(n):
            with recorder.prediction({"n": i}) as p:
                p.output(float(i))
                made.append(p.id)

    record(40)
    log.ingest()
    record(40)
    before = server.door.set(mode)
    if mode == "lose":
        log.ingest()  # the commit came to pass, and its answer was lost
        assert server.door.set("pass") == before + 1
    else:
        with pytest.raises(StoreError) as failed:
            log.ingest()
        assert "storage" in failed.value.why
        assert "nothing is lost" in failed.value.next
        assert SECRET not in str(failed.value) + repr(failed.value.__cause__)
        record(10)
    server.door.set("pass")
    recorder.close()
    log.ingest()
    assert ids(log, "fares") == sorted(made)
    assert ids(opened(tmp_path / "other", server, uri), "fares") == sorted(made)


def test_an_outage_shorter_than_the_patience_is_not_noticed(server: Server, uri: str, tmp_path: Path) -> None:
    server.door.set("pass")
    log = opened(tmp_path / "home", server, uri, max_retries="100", retry_timeout="60s")
    log.add(shop(1, per_day=20), app="shop")
    server.door.set("refuse 1.5")
    log.add(shop(1, per_day=20, seed=1), app="shop")
    assert count(log) == 40


@pytest.mark.parametrize("mode", ["refuse", "stall"])
def test_ingest_in_the_background_outlives_an_outage(server: Server, uri: str, tmp_path: Path, mode: str) -> None:
    """Recorders write on while the storage is away (a minute at full count); all is there once, without anybody's doing."""
    seconds = 60 if os.environ.get("WHIMBREL_SOAK") == "full" else 3
    server.door.set("pass")
    program = Program(tmp_path / "home")
    hasty = server.options(max_retries="1", retry_timeout="500ms", timeout="500ms")
    env = program.environment | hasty | {"WHIMBREL_STORAGE": uri}
    told, again = tmp_path / "told.txt", "nothing is lost; tried again in 1s"
    with (
        told.open("w") as stderr,
        subprocess.Popen([*program.command, "ingest", "--every", "1s"], env=env, stderr=stderr) as ingest,
    ):
        try:
            with closing(Recorder("fares", home=program.home)) as recorder:
                made = [_fare(recorder, 0)]
                away = time.monotonic() + seconds
                server.door.set(f"{mode} {seconds + 60}")
                # A short stall is waited for; of a refusal it says something, as soon as it has started and tried.
                while time.monotonic() < away or (mode == "refuse" and again not in told.read_text()):
                    assert time.monotonic() < away + 60, "it never said that it tries again"
                    made.append(_fare(recorder, len(made)))
                    time.sleep(0.05)
            server.door.set("pass")
            log, patience = opened(tmp_path / "other", server, uri), time.monotonic() + 60
            while (found := _known(log)) != sorted(made):
                assert time.monotonic() < patience, f"{len(found)} of {len(made)} are there"
                assert ingest.poll() is None, "ingest ended"
                time.sleep(0.5)
        finally:
            ingest.terminate()
            ingest.wait(timeout=30)
    assert _known(log) == sorted(made)


def _fare(recorder: Recorder, n: int) -> str:
    with recorder.prediction({"n": n}) as p:
        p.output(float(n))
    return p.id


def _known(log: Log) -> list[str]:
    return ids(log, "fares") if "fares" in log.apps() else []


def test_a_copy_that_was_changed_on_the_way_is_not_believed(log: Log, server: Server, uri: str, tmp_path: Path) -> None:
    log.add(shop(1, per_day=20), app="shop")
    (file,) = log.source("shop").files
    assert log.layout.predictions("shop").remote is not None
    path = Path(file)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    remote = log.layout.predictions("shop").remote
    assert remote is not None
    remote.put(log.layout.predictions("shop").folder, [file.removeprefix(f"{log.layout.predictions('shop').folder}/")])
    with pytest.raises(StoreError, match="checksum"):
        count(opened(tmp_path / "other", server, uri))


def test_credentials_are_never_said(server: Server, uri: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    server.door.set("pass")
    caplog.set_level(logging.DEBUG)
    whimbrel = Program(tmp_path / "home")
    env = {**server.options(), "WHIMBREL_STORAGE": uri}
    log = opened(tmp_path / "home", server, uri)
    assert SECRET not in repr(log) + repr(log.layout)
    frame = tmp_path / "rows.parquet"
    shop(1, per_day=20).to_parquet(frame)
    said = [
        whimbrel("import", str(frame), "--app", "shop", **env),
        whimbrel("status", **env),
        whimbrel("status", "--json", **env),
    ]
    assert [ran.code for ran in said] == [0, 0, 0]
    assert "20 predictions" in said[1].out
    wrong = env | {
        "AWS_SECRET_ACCESS_KEY": SECRET + "x",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "WHIMBREL_DEBUG": "1",
    }
    said.append(whimbrel("status", **wrong))
    assert said[-1].code == 5
    assert not any(SECRET in ran.out + ran.err for ran in said)
    assert SECRET not in caplog.text
    assert not any(SECRET.encode() in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_the_copies_may_be_removed(log: Log) -> None:
    log.add(shop(1, per_day=20), app="shop")
    shutil.rmtree(log.layout.predictions("shop").folder)
    assert count(log) == 20
