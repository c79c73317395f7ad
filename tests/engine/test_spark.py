"""Spark itself: the command and the Python doors give the same reports on a cluster, and what is missing is said quickly and in four parts.

What it answers is held to what DuckDB answers in `test_rows.py` and `test_profile.py`, which run against every engine.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import MINUTES, START, Program, write
from tests.engine.cluster import MISSING, engine_name, standalone
from tests.engine.conftest import Here
from whimbrel.engine import Engine, Source, engine_named
from whimbrel.engine.duckdb import DuckDB
from whimbrel.engine.spark import Spark, tasks
from whimbrel.engine.spark.cluster import Address, explained, named
from whimbrel.errors import StoreError, UsageError, WhimbrelError
from whimbrel.model.fields import Kind, Schema
from whimbrel.model.window import Window
from whimbrel.store import open_log

SHOP = Window("shop")
SCHEMA = Schema.from_pairs([("inputs.x", Kind.NUMBER)])


def source(folder: Path, files: int = 3) -> Source:
    """A few small files of predictions."""
    paths = []
    for i in range(files):
        ts = pa.array([datetime(2026, 3, 1, i, tzinfo=UTC)], pa.timestamp("us", "UTC"))
        paths.append(str(folder / f"{i}.parquet"))
        pq.write_table(pa.table({"id": [f"p{i}"], "ts": ts, "inputs": [{"x": float(i)}]}), paths[-1])
    return Source("shop", SCHEMA, tuple(paths))


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A log of several files with a fault in its last day, labels that came later, and a golden window."""
    folder = tmp_path_factory.mktemp("log")
    program = Program(folder / "home")
    file = write(folder / "fares.csv", broken_from=MINUTES - 700, every=4)
    header, *lines = file.read_text().splitlines()
    for day in range(6):
        inside = [line for line in lines if line.split(",")[1] >= (START + timedelta(days=day)).isoformat()]
        inside = [line for line in inside if line.split(",")[1] < (START + timedelta(days=day + 1)).isoformat()]
        (folder / f"{day}.csv").write_text("\n".join([header, *inside]) + "\n")
        assert program("import", str(folder / f"{day}.csv"), "--app", "fares").code == 0
    known = [(line.split(",")[0], line.split(",")[6] == "deny") for line in lines[::3]]
    (folder / "labels.csv").write_text("id,label\n" + "".join(f"{ident},{int(label)}\n" for ident, label in known))
    assert program("import", str(folder / "labels.csv"), "--app", "fares").code == 0
    assert program("golden", "set", "good", "--until", (START + timedelta(days=5)).isoformat()).code == 0
    return program


@pytest.fixture(scope="session")
def spark(cluster: str) -> str:
    """The cluster as `--engine` takes it."""
    return engine_name(cluster)


ASKED = [
    ["diagnose", "--last", "24h", "--golden", "good"],
    ["diagnose", "--last", "24h", "--where", "channel=ios"],
    ["compare", "--last", "24h", "--golden", "good"],
    ["compare", "--last", "24h", "--golden-since", "2026-03-02", "--golden-until", "2026-03-06T12:30", "--where", "channel!=web"],
    ["compare", "--last", "24h", "--golden", "good", "--where", "channel|=ios|web"],
    ["show", "p02000", "--golden", "good"],
]  # fmt: skip


def answers(program: Program, *arguments: str) -> tuple[int, Any]:
    ran = program(*arguments, "--json")
    told = ran.json
    told.pop("took_s", None)
    return ran.code, told


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: " ".join(asked[:3]))
def test_a_command_gives_the_same_answer_on_a_cluster(spark: str, log: Program, asked: list[str]) -> None:
    code, told = answers(log, *asked)
    assert code in (0, 1)
    forget(log)
    assert answers(log, *asked, "--engine", spark) == (code, rounded(told))


def forget(program: Program) -> None:
    """Drop what is kept of profiles: engines of one maker share it."""
    for path in program.home.rglob("*.profile"):
        path.unlink()


def test_what_one_engine_kept_serves_the_other(spark: str, log: Program) -> None:
    def kept() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in log.home.rglob("*.profile")}

    forget(log)
    answers(log, *ASKED[3])
    before = kept()
    assert before
    answers(log, *ASKED[3], "--engine", spark)
    assert kept() == before


def test_the_planted_fault_is_found_on_a_cluster(spark: str, log: Program) -> None:
    code, told = answers(log, *ASKED[0], "--engine", spark)
    assert code == 1
    assert told["findings"][0]["component"].startswith("steps.scale")
    assert told["findings"][0]["where"] == {"context.channel": "ios"}


def rounded(told: Any) -> Any:
    """Numbers but for their last digits: sums of parts are added in another order."""
    if isinstance(told, dict):
        return {key: rounded(value) for key, value in told.items()}
    if isinstance(told, list):
        return [rounded(value) for value in told]
    return pytest.approx(told, rel=1e-9) if isinstance(told, float) else told


def test_the_program_of_its_own_prints_one_json_object(spark: str, log: Program) -> None:
    command = [*log.command, "--engine", spark, "diagnose", "--last", "24h", "--golden", "good", "--json"]
    ran = subprocess.run(command, env=log.environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 1, ran.stderr
    assert json.loads(ran.stdout)["verdict"] == "fault"


def test_python_asks_by_name_or_with_a_session_of_its_own(spark: str, log: Program) -> None:
    from pyspark.sql import SparkSession

    from whimbrel.compare import compare_log
    from whimbrel.diagnose import diagnose_log

    held = open_log(log.home)
    window = Window("fares", since=START + timedelta(days=5))
    here = diagnose_log(held, window=window, golden="good")
    assert diagnose_log(held, window=window, golden="good", engine=spark).sentence == here.sentence
    assert engine_named("spark").extent(held.source("fares"), window) == engine_named().extent(
        held.source("fares"), window
    )
    session = SparkSession.getActiveSession()
    assert session is not None
    mine = Spark.of(session)
    assert diagnose_log(held, window=window, golden="good", engine=mine).findings == here.findings
    assert compare_log(held, window=window, golden="good", engine=mine).to_dict() == rounded(
        compare_log(held, window=window, golden="good").to_dict()
    )


def test_a_session_that_the_cluster_ended_is_started_anew(spark: str, tmp_path: Path) -> None:
    from pyspark.sql import SparkSession

    engine, whole = engine_named(spark), source(tmp_path)
    before = engine.extent(whole, SHOP)
    session = SparkSession.getActiveSession()
    assert session is not None
    mine = Spark.of(session)
    session.sparkContext._jsc.sc().stop()
    with pytest.raises(StoreError, match="Spark failed") as caught:
        mine.extent(whole, SHOP)
    assert caught.value.where == "the session that was given"
    assert engine.extent(whole, SHOP) == before


def test_both_workers_work(spark: str, tmp_path: Path) -> None:
    """As many tasks as files; two run at the same time, in processes that are not this one."""
    engine = engine_named(spark)
    assert isinstance(engine, Spark)
    found = engine._each(slow_pid, [(one, SHOP) for one in parts_of(source(tmp_path, 4))])
    assert os.getpid() not in found
    assert len(set(found)) == 2


def slow_pid(engine: DuckDB, source: Source, window: Window) -> int:
    time.sleep(1)
    return os.getpid()


def parts_of(whole: Source) -> list[Source]:
    return [replace(whole, files=(file,)) for file in whole.files]


def killed_once(engine: DuckDB, source: Source, window: Window, *, marks: str) -> tuple[int, int, int]:
    """The extent; the first time that a file is asked about, the worker's process is killed instead."""
    mark = Path(marks) / Path(source.files[0]).name
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return tasks.extent(engine, source, window)


def test_what_dies_on_a_worker_is_asked_again(spark: str, tmp_path: Path) -> None:
    engine = engine_named(spark)
    assert isinstance(engine, Spark)
    whole, marks = source(tmp_path), tmp_path / "marks"
    marks.mkdir()
    found = engine._each(killed_once, [(one, SHOP) for one in parts_of(whole)], marks=str(marks))
    assert [n for n, _, _ in found] == [1, 1, 1]
    assert len(list(marks.iterdir())) == 3


def test_a_cluster_without_workers_or_without_whimbrel_is_said_in_time(cluster: str, tmp_path: Path) -> None:
    """Each in a process of its own, as a process has one session."""
    bare = tmp_path / "bare-python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    script = """
import sys
from tests.engine.test_spark import SHOP, source
from pathlib import Path
from whimbrel.engine.spark import Spark
from whimbrel.engine.spark.cluster import Session, named
engine = Spark(Session(named(sys.argv[1]), patience_s=float(sys.argv[2])))
try:
    engine.extent(source(Path(sys.argv[3])), SHOP)
except Exception as error:
    print(error)
"""

    def ran(name: str, patience: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", script, name, patience, str(tmp_path)], capture_output=True, text=True, check=True
        )
        return done.stdout

    with standalone(tmp_path, workers=0) as master:
        told = ran(engine_name(master), "3")
    assert "gave us no worker within 3 s" in told
    assert "next:" in told
    told = ran(engine_name(cluster, spark__pyspark__python=str(bare)), "300")
    assert "the Python of the workers lacks the package" in told
    assert "spark.pyspark.python" in told


# ------------------------------------------------------------------------------------------------ without any cluster


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_a_master_that_does_not_answer_is_said_at_once(log: Program) -> None:
    ran = log("diagnose", "--engine", f"spark://127.0.0.1:{free_port()}", "--json")
    assert ran.code == 5
    error = ran.json["error"]
    assert "no Spark master answers at 127.0.0.1" in error["what"]
    assert all(error[part] for part in ("where", "why", "next"))


@pytest.mark.parametrize(
    "name",
    ["spark://", "spark://host", "spark://host:port", "spark://host:99999", "spark:7077", "spark?cores=2",
     "spark://host:7077,other"],
)  # fmt: skip
def test_a_name_that_makes_no_sense_is_refused(log: Program, name: str) -> None:
    ran = log("compare", "--engine", name, "--json")
    assert ran.code == 2
    assert "spark" in ran.json["error"]["next"]


def test_what_is_not_installed_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "pyspark", None)
        with pytest.raises(UsageError, match="PySpark is not installed") as caught:
            named("spark")
    assert "pip install 'whimbrel[spark]'" in caught.value.next
    monkeypatch.setattr("whimbrel.engine.spark.cluster.find_spec", lambda name: True)
    monkeypatch.setenv("JAVA_HOME", "/no/such/place")
    with pytest.raises(UsageError, match="Java is not there") as caught:
        named("spark://127.0.0.1:1?spark.cores.max=2")
    assert "JAVA_HOME" in caught.value.where


def test_a_name_says_master_and_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whimbrel.engine.spark.cluster._check_installed", lambda: None)
    assert named("spark") == Address()
    with socket.create_server(("127.0.0.1", 0)) as there:
        master = f"spark://127.0.0.1:{there.getsockname()[1]}"
        assert named(f"{master}?spark.cores.max=8&spark.executor.memory=4g") == Address(
            master, {"spark.cores.max": "8", "spark.executor.memory": "4g"}
        )
        assert named(f"spark://127.0.0.1:{free_port()},{master.removeprefix('spark://')}").master.endswith(
            master.removeprefix("spark://")
        )  # of several masters one has to answer


def test_what_an_engine_cannot_do_is_declared(tmp_path: Path) -> None:
    engines: list[Engine] = [engine_named(), Spark(Here())]
    assert [engine.capabilities.tables for engine in engines] == [True, False]
    assert len({engine.capabilities.maker for engine in engines}) == 1, "profiles that one kept serve the other"


def test_other_versions_on_a_worker_are_refused(tmp_path: Path) -> None:
    (file, *_) = parts_of(source(tmp_path))
    with pytest.raises(tasks.WorkerError) as caught:
        tasks.Ask(partial(tasks.extent), "1GB", "whimbrel 0.0.1, duckdb 0.1")((file, SHOP))
    told = explained(caught.value, "spark://host:7077")
    assert isinstance(told, StoreError)
    assert "other versions" in told.what
    assert "duckdb 0.1" in told.why
    assert "install the same versions" in told.next


def test_a_file_that_workers_do_not_see_is_named() -> None:
    gone = Source("shop", SCHEMA, ("/only/here/p.parquet",))
    with pytest.raises(StoreError, match=r"a worker does not see /only/here/p\.parquet") as caught:
        Spark(Here()).extent(gone, SHOP)
    assert "mount at the same path" in caught.value.next


class Remote:
    """What a session of Spark Connect says when it is asked for its context."""

    @property
    def sparkContext(self) -> Any:  # noqa: N802
        raise AttributeError("[JVM_ATTRIBUTE_NOT_SUPPORTED] Attribute `sparkContext` is not supported in Spark Connect")


def test_a_session_of_spark_connect_is_refused(tmp_path: Path) -> None:
    remote: Any = Remote()
    with pytest.raises(UsageError, match="Spark Connect") as caught:
        Spark.of(remote).extent(source(tmp_path), SHOP)
    assert "spark://HOST:PORT" in caught.value.next


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Traceback…\nModuleNotFoundError: No module named 'duckdb'\n", "lacks the package 'duckdb'"),
        ("[PYTHON_VERSION_MISMATCH] Python in worker has different version: 3.9", "no Python like this one"),
        ('java.io.IOException: Cannot run program "/opt/python": error=2', "no Python like this one"),
        ("[JAVA_GATEWAY_EXITED] Java gateway process exited before sending its port number.", "driver did not start"),
        ("An error occurred\norg.apache.spark.SparkException: Job aborted: lost executor 3", "lost executor 3"),
        ("", "no reason was given"),
    ],
)
def test_whatever_spark_says_becomes_four_parts(text: str, says: str) -> None:
    error: WhimbrelError = explained(RuntimeError(text), "spark://host:7077")
    assert says in error.what
    assert all((error.where, error.why, error.next))
