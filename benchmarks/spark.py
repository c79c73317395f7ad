"""What the same questions cost in this process and on a Spark cluster of two local workers; prints a table.

    PYTHONPATH=.venv/spark python -m benchmarks.spark                            1,000,000 to 10,000,000 rows × 20 columns
    PYTHONPATH=.venv/spark python -m benchmarks.spark 1_000_000 100_000_000      (`make spark` puts PySpark there)

A file of 500,000 rows is made once and named as often as it takes, so that 100,000,000 rows need the disk of half a million (and are read from
memory). CPU-seconds are of all processes: this one, Spark's driver, its workers and their tasks. Whether the answers agree is checked.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.compare import START, make
from tests.engine.cluster import engine_name, standalone
from whimbrel.engine import Engine, Source, engine_named
from whimbrel.engine.duckdb import DuckDB
from whimbrel.engine.spark import tasks
from whimbrel.model.window import Window
from whimbrel.store import open_log

Result = TypeVar("Result")
ALL = Window("shop")
FILE = 500_000
"""Rows of a file."""


@dataclass(frozen=True)
class Cost:
    """What a question took: of all processes, and of this one alone."""

    seconds: float
    cpu_s: float
    driver_cpu_s: float

    def __str__(self) -> str:
        return f"{self.cpu_s:.1f} | {self.seconds:.1f}"


def cpu_of_all() -> float:
    """CPU-seconds of all processes below this one, the dead ones that they waited for included."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)], ticks[int(stat.parent.name)] = int(fields[1]), sum(map(int, fields[11:15]))
    total = 0
    for pid, used in ticks.items():
        above = pid
        while above not in (0, 1, os.getpid()):
            above = parents.get(above, 0)
        total += used if above == os.getpid() else 0
    return total / os.sysconf("SC_CLK_TCK")


def timed(work: Callable[[], Result]) -> tuple[Result, Cost]:
    """Do the work, and what it cost."""
    wall, everyone, here = time.monotonic(), cpu_of_all(), time.process_time()
    found = work()
    return found, Cost(time.monotonic() - wall, cpu_of_all() - everyone, time.process_time() - here)


def spark_scan(files: tuple[str, ...], source: Source) -> None:
    """Spark's own reading of the same columns: numbers and flags are summed, texts by their length."""
    from pyspark.sql import SparkSession
    from pyspark.sql import functions as f

    session = SparkSession.getActiveSession()
    assert session is not None
    sums: list[Any] = []
    for item in source.schema:
        column = f.col(".".join(f"`{part}`" for part in item.path.split(".")))
        made = {"number": column, "boolean": column.cast("int")}.get(item.kind.value, f.length(column))
        sums.append(f.sum(made))
    session.read.parquet(*files).agg(*sums).collect()


def main() -> None:
    """Measure and print."""
    sizes = [int(size.replace("_", "")) for size in sys.argv[1:]] or [1_000_000, 3_000_000, 10_000_000]
    with tempfile.TemporaryDirectory(prefix="whimbrel-bench-") as made:
        folder = Path(made)
        source = _source(folder, max(sizes) // FILE)
        with standalone(folder) as master:
            here, there = DuckDB(threads=1), engine_named(engine_name(master))
            small = replace(source, files=source.files[:1])
            _, start = timed(lambda: there.extent(small, ALL))
            _, again = timed(lambda: there.extent(small, ALL))
            print("| | CPU-seconds | seconds |\n|---|---:|---:|")
            print(f"| a session, to its first answer | {start} |\n| the same question again | {again} |", flush=True)
            binning = here.binning(small, ALL)
            packed = len(tasks.profile(here, small, ALL, binning=binning))
            each = os.stat(source.files[0]).st_size / FILE  # noqa: PTH116
            print(
                f"\nfiles of {FILE:,} rows, {each:.0f} bytes a row; the profile of one travels in {packed / 1e3:.0f} KB"
            )
            there.profile(
                replace(source, files=source.files[:4]), ALL, binning
            )  # each worker has its Python and its imports
            heads = ("profile, DuckDB", "", "profile, Spark", "", "overhead", "driver", "Spark sums", "")
            print(f"\n| rows | {' | '.join(heads)} |\n|---:|{'---:|' * len(heads)}", flush=True)
            for rows in sizes:
                _row(here, there, replace(source, files=source.files[: rows // FILE]), binning)
            part = replace(source, files=source.files[: min(sizes) // FILE])
            _questions(here, there, part)
            from pyspark.sql import SparkSession

            session = SparkSession.getActiveSession()
            assert session is not None
            session.stop()


def _source(folder: Path, files: int) -> Source:
    flat = folder / "flat.parquet"
    make(flat, FILE, START, timedelta(days=1), 0)
    log = open_log(folder / "home")
    log.import_files([str(flat)], app="shop")
    (one,) = log.source("shop").files
    names = tuple(str(folder / f"{i}.parquet") for i in range(files))
    for name in names:
        os.link(one, name)
    return Source("shop", log.source("shop").schema, names)


def _row(here: Engine, there: Engine, source: Source, binning: Any) -> None:
    """One size: the same profile in both places."""
    mine, local = timed(lambda: here.profile(source, ALL, binning))
    other, remote = timed(lambda: there.profile(source, ALL, binning))
    if replace(mine, moments=()) != replace(other, moments=()):
        raise SystemExit("the profiles differ")
    _, scan = timed(lambda: spark_scan(source.files, source))
    print(
        f"| {mine.rows:,} | {local} | {remote} | {remote.cpu_s / local.cpu_s:.2f} × | {remote.driver_cpu_s:.1f} | {scan} |",
        flush=True,
    )


def _questions(here: Engine, there: Engine, source: Source) -> None:
    """The other questions, at the smallest size."""
    print(f"\n| {len(source.files) * FILE:,} rows | DuckDB | | Spark | |\n|---|---:|---:|---:|---:|", flush=True)
    questions: dict[str, Callable[[Engine], Any]] = {
        "extent": lambda engine: engine.extent(source, ALL),
        "binning": lambda engine: engine.binning(source, ALL),
        "40,000 sampled rows": lambda engine: engine.rows(source, ALL, limit=40_000).ids,
    }
    for name, ask in questions.items():
        mine, local = timed(lambda ask=ask: ask(here))  # type: ignore[misc]
        other, remote = timed(lambda ask=ask: ask(there))  # type: ignore[misc]
        if mine != other:
            raise SystemExit(f"{name}: the answers differ")
        print(f"| {name} | {local} | {remote} |", flush=True)


if __name__ == "__main__":
    main()
