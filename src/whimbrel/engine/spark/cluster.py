"""The way to a Spark cluster: what must be installed, who must answer, and what it means when they don't.

In: the name of an engine, as `--engine` takes it, or a session. Out: answers about parts. Whatever fails is told in four parts: what can be seen
from here is checked before a virtual machine is started, so that a wrong name fails in a second and not in a minute.
"""

from __future__ import annotations

import atexit
import base64
import heapq
import json
import os
import re
import shutil
import socket
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from operator import add
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl
from uuid import uuid4

from whimbrel import errors
from whimbrel.engine.spark.tasks import MARK, Ask, Part, check_versions
from whimbrel.errors import StoreError, UsageError, WhimbrelError

if TYPE_CHECKING:
    from pyspark import RDD, SparkContext
    from pyspark.sql import SparkSession

Result = TypeVar("Result")

ANSWERS_S = 3.0
"""A master that takes longer to accept a connection is not there."""

PATIENCE_S = 60.0
"""How long the cluster may take to start our first executor."""

MOST_TASKS = 2_000
"""Parts share a task where there are more of them. Not a matter of the cluster's size, so that sums are added in one order anywhere."""

_QUIET = {
    "spark.app.name": "whimbrel",
    "spark.ui.enabled": "false",  # a page that all the network may read is the user's to open
    "spark.ui.showConsoleProgress": "false",
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a cluster is: its master (empty: whichever Spark's own configuration names) and settings of Spark."""

    master: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.master or "the master that Spark's own configuration names"


def named(name: str) -> Address:
    """The cluster that `spark`, `spark://HOST:PORT[,HOST:PORT…]` or either with `?setting=value&…` behind it means, after a look whether it is there.

    Raises:
        UsageError: PySpark or Java is not installed, or the name makes no sense.
        StoreError: no master answers at that address.
    """
    master, _, told = name.partition("?")
    settings = dict(parse_qsl(told, keep_blank_values=True))
    hosts = [_host(one, name) for one in master.removeprefix("spark://").split(",")] if master != "spark" else []
    if wrong := next((key for key in settings if not key.startswith("spark.")), None):
        raise UsageError(
            f"{wrong!r} is no setting of Spark", where=name, why="the names of its settings begin with spark.",
            next="write it as --engine 'spark://HOST:PORT?spark.cores.max=8'",
        )  # fmt: skip
    _check_installed()
    if hosts:
        _check_answers(hosts)
    return Address(master if hosts else "", settings)


def _host(text: str, name: str) -> tuple[str, int]:
    found = re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[^:/\s\[\]]+):(\d{1,5})", text)
    if not name.startswith("spark://") or not found or int(found[2]) > 65_535:
        raise UsageError(
            f"{name!r} names no Spark cluster", where="--engine", why="a master is named by host and port",
            next="write it as --engine spark://HOST:7077, or --engine spark for the one that Spark's own configuration names",
        )  # fmt: skip
    return found[1].strip("[]"), int(found[2])


def _check_installed() -> None:
    if find_spec("pyspark") is None:
        raise UsageError(
            "PySpark is not installed", where="--engine spark", why="whimbrel needs it for this engine alone",
            next="pip install 'whimbrel[spark]', or use --engine duckdb",
        )  # fmt: skip
    home = os.environ.get("JAVA_HOME")
    if not (shutil.which(Path(home) / "bin" / "java") if home else shutil.which("java")):
        raise UsageError(
            "Java is not there", where=f"JAVA_HOME={home}" if home else "PATH", why="Spark's driver runs on Java 17 or newer",
            next="install it (apt install openjdk-17-jre-headless) or set JAVA_HOME, or use --engine duckdb",
        )  # fmt: skip


def _check_answers(hosts: Sequence[tuple[str, int]]) -> None:
    said = ""
    for host, port in hosts:
        try:
            socket.create_connection((host, port), ANSWERS_S).close()
        except OSError as error:
            said = str(error)
        else:
            return
    told = ", ".join(f"{host}:{port}" for host, port in hosts)
    raise StoreError(
        f"no Spark master answers at {told}: {said}", where="--engine", why="it is not running, or a firewall stands between",
        next="start it, check host and port (its page shows the address spark://…), or use --engine duckdb",
    )  # fmt: skip


class Session:
    """A Spark session as a `Cluster`: started when it is first needed, stopped at the process's end if it was started here.

    Args:
        address: the cluster, where there is no session yet.
        session: a session that is there already.
        patience_s: how long the cluster may take to start our first executor.
    """

    def __init__(
        self, address: Address | None = None, *, session: SparkSession | None = None, patience_s: float = PATIENCE_S
    ) -> None:
        self._address = address
        self._session = session
        self._patience_s = patience_s
        self._greeted = False

    def each(self, ask: Ask, parts: Sequence[Part]) -> list[Any]:
        """The answer about each part, in their order."""
        return self._asked(ask, parts, lambda rows: rows.map(ask).collect())

    def counted(self, ask: Ask, parts: Sequence[Part], most: int) -> dict[str, list[tuple[str, int]]]:
        """Of answers that are ((name, value), count) pairs: by name the `most` commonest values of all parts, commonest first."""
        found = self._asked(
            ask, parts,
            lambda rows: rows.flatMap(ask).reduceByKey(add).mapPartitions(partial(commonest, most=most)).collect(),
        )  # fmt: skip
        by_name: dict[str, list[tuple[str, int]]] = defaultdict(list)
        for (name, value), n in commonest(found, most=most):
            by_name[name].append((value, n))
        return by_name

    def _asked(self, ask: Ask, parts: Sequence[Part], job: Callable[[RDD[Part]], Result]) -> Result:
        context = self._context()
        try:
            if not self._greeted:
                self._greet(context, ask.made_by)
            return job(context.parallelize(parts, min(len(parts), MOST_TASKS)))
        except _spark_errors() as error:
            raise explained(error, self._where) from error

    def _greet(self, context: SparkContext, made_by: str) -> None:
        """Have one worker say its name: a cluster that gives us no worker would let us wait for ever."""
        group, late, done = f"whimbrel-{uuid4().hex}", Event(), Event()

        def watch() -> None:
            while not done.wait(self._patience_s):
                if _executors(context):
                    continue  # they are there, and slow
                late.set()
                context.cancelJobGroup(group)

        watcher = Thread(target=watch, daemon=True)
        watcher.start()
        try:
            context.setJobGroup(group, "is anybody there?", interruptOnCancel=True)
            context.parallelize([made_by], 1).map(_present).collect()
            self._greeted = True
        except _spark_errors() as error:
            if not late.is_set():
                raise
            raise StoreError(
                f"the Spark cluster gave us no worker within {self._patience_s:.0f} s", where=self._where,
                why="it has no workers, or all their cores or memory are taken",
                next="look at the master's page; start a worker, or ask for less: ?spark.cores.max=2&spark.executor.memory=1g",
            ) from error  # fmt: skip
        finally:
            done.set()
            context.setJobGroup("", "")

    @property
    def _where(self) -> str:
        return "the session that was given" if self._address is None else str(self._address)

    def _context(self) -> SparkContext:
        if self._address is not None and self._session is not None and _has_ended(self._session):
            self._session.stop()  # the cluster ended it, or someone here did: another one is started
            self._session, self._greeted = None, False
        if self._session is None:
            self._session = _started(self._address or Address())
        try:
            return self._session.sparkContext
        except AttributeError as error:
            raise UsageError(
                "a session of Spark Connect cannot be asked", where=self._where, why="whimbrel's tasks need the cluster's own driver",
                next="run this where the driver runs, or name the master: --engine spark://HOST:PORT",
            ) from error  # fmt: skip


def _has_ended(session: SparkSession) -> bool:
    machine = session.sparkContext._jsc  # noqa: SLF001  None once it was stopped from Python; only it knows what the cluster did
    return machine is None or bool(machine.sc().isStopped())


def _executors(context: SparkContext) -> int:
    """How many executors the cluster has given us; the driver counts as one in Spark's own list."""
    listed = context._jsc.sc().statusTracker().getExecutorInfos()  # noqa: SLF001  the way that Python's own StatusTracker goes
    return len(listed) - 1


def _started(address: Address) -> SparkSession:
    """A session on a cluster.

    Raises:
        StoreError: it could not be started.
        UsageError: this process has a session on another cluster.
    """
    from pyspark.sql import SparkSession

    held = SparkSession.getActiveSession()
    if held is not None:
        if address.master not in ("", held.sparkContext.master):
            raise UsageError(
                f"this process has a Spark session on {held.sparkContext.master} already", where=str(address),
                why="a process has one", next="stop it, or hand it over: engine=Spark.of(session)",
            )  # fmt: skip
        return held
    settings = {**_QUIET, **address.settings}
    os.environ.setdefault(
        "SPARK_SUBMIT_OPTS", f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties')}"
    )
    builder = SparkSession.builder
    for key, value in settings.items():
        builder = builder.config(key, value)
    if address.master:
        builder = builder.master(address.master)
    try:
        with warnings.catch_warnings():
            # PySpark has not tried the newest pandas; nothing here needs pandas.
            warnings.simplefilter("ignore", FutureWarning)
            session = builder.getOrCreate()
    except _spark_errors() as error:
        raise explained(error, str(address)) from error
    atexit.register(session.stop)
    # Spark itself looks for its setting of the workers' Python where programs are submitted, not where they are running already.
    python = os.environ.get("PYSPARK_PYTHON", sys.executable)
    session.sparkContext.pythonExec = session.sparkContext.getConf().get("spark.pyspark.python", python)
    return session


def commonest(counted: Iterable[tuple[tuple[str, str], int]], *, most: int) -> Iterator[tuple[tuple[str, str], int]]:
    """The `most` commonest values of each name, commonest first, equals in the order of their text."""
    by_name: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for (name, value), n in counted:
        by_name[name].append((-n, value))
    for name, values in by_name.items():
        for less, value in heapq.nsmallest(most, values):
            yield (name, value), -less


def explained(error: Exception, where: str) -> WhimbrelError:
    """What failed on the cluster, in four parts: a worker's own words where they arrived."""
    text = str(error)
    if found := re.search(MARK + r"([A-Za-z0-9+/=]+)", text):
        told = json.loads(base64.b64decode(found[1]))
        kind: type[WhimbrelError] = getattr(errors, told["type"], StoreError)
        return kind(told["what"], where=told["where"], why=told["why"], next=told["next"])
    if found := re.search(r"ModuleNotFoundError: No module named '([\w.]+)'", text):
        return StoreError(
            f"the Python of the workers lacks the package {found[1]!r}", where=where, why="tasks are whimbrel's own code",
            next="pip install whimbrel there in this version, or name a Python that has it: ?spark.pyspark.python=/path/to/python",
        )  # fmt: skip
    if "PYTHON_VERSION_MISMATCH" in text or "Cannot run program" in text:
        return StoreError(
            f"the workers have no Python like this one: {_first(text, 'PYTHON_VERSION_MISMATCH', 'Cannot run program')}", where=where,
            why=f"a task runs in Python {sys.version_info.major}.{sys.version_info.minor}, as this process does",
            next="name a Python that all workers have: ?spark.pyspark.python=/path/to/python",
        )  # fmt: skip
    if "JAVA_GATEWAY_EXITED" in text or "UnsupportedClassVersionError" in text:
        return StoreError(
            "Spark's driver did not start", where=where, why="Java may be older than 17; what it said is above", next="java -version",
        )  # fmt: skip
    return StoreError(
        f"Spark failed: {_first(text, 'Exception', 'Error')}", where=where,
        why="the cluster lost the job, or a worker its memory", next="look at the master's page, or use --engine duckdb",
    )  # fmt: skip


def _first(text: str, *marks: str) -> str:
    """The first line that has one of these marks, else the first of all."""
    lines = text.strip().splitlines() or ["no reason was given"]
    return next((line.strip() for mark in marks for line in lines if mark in line), lines[0])[:300]


def _present(made_by: str) -> str:
    try:
        return check_versions(made_by)
    except WhimbrelError as error:
        from whimbrel.engine.spark.tasks import WorkerError

        raise WorkerError(error) from error


def _spark_errors() -> tuple[type[Exception], ...]:
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    return (Py4JError, PySparkException)
