"""A standalone Spark cluster on this machine, from the `pyspark` package alone: one master, two workers of two cores each."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]

MISSING = (
    "PySpark is not there: `make spark` installs it and runs these tests"
    if find_spec("pyspark") is None
    else "Java is not there: Spark needs Java 17"
    if shutil.which("java") is None
    else ""
)
"""Why no cluster can be started here; empty where it can."""

SETTINGS = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "512m",
    "spark.executor.memory": "512m",
    "spark.cores.max": "2",  # one on each worker; the others are for a second program
    "spark.python.worker.reuse": "true",
}
"""What keeps a session small, and on this machine."""


def engine_name(master: str, **settings: str) -> str:
    """The cluster as `--engine` takes it."""
    told = SETTINGS | {key.replace("__", "."): value for key, value in settings.items()}
    return f"{master}?{'&'.join(f'{key}={value}' for key, value in told.items())}"


@contextlib.contextmanager
def standalone(folder: Path, *, workers: int = 2) -> Iterator[str]:
    """The address (`spark://…`) of a cluster that lives as long as the block; what its processes say goes to files in the folder."""
    import pyspark

    home = Path(pyspark.__file__).parent
    port = _free_port()
    master = f"spark://127.0.0.1:{port}"
    environment = os.environ | {
        "SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": "256m",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),  # tasks may be tests' own functions
        "SPARK_WORKER_DIR": str(folder / "work"), "SPARK_LOCAL_DIRS": str(folder / "local"),
    }  # fmt: skip
    running: list[subprocess.Popen[bytes]] = []

    def start(name: str, arguments: Sequence[str]) -> Path:
        told = folder / f"{len(running)}.log"
        with told.open("wb") as out:
            command = [str(home / "bin" / "spark-class"), name, *arguments, "--host", "127.0.0.1", "--webui-port", "0"]
            running.append(subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True))
        return told

    try:
        told = start("org.apache.spark.deploy.master.Master", ["--port", str(port)])
        for _ in range(workers):
            start("org.apache.spark.deploy.worker.Worker", [master, "--cores", "2", "--memory", "1g"])
        _wait(told, "Registering worker", workers)
        yield master
    finally:
        for process in reversed(running):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in running:
            process.wait(30)


def _wait(told: Path, words: str, times: int) -> None:
    """Until the master says that all workers have come."""
    for _ in range(1_200):
        said = told.read_text(errors="replace")
        if said.count(words) >= times and "I have been elected leader" in said:
            return
        time.sleep(0.1)
    raise AssertionError(f"the cluster did not come up:\n{told.read_text(errors='replace')[-2_000:]}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port
