"""What it costs to profile a month by hour and one dimension: in one pass, file by file, and from what was kept; prints a table.

    python benchmarks/profiles.py                10,000,000 rows × 20 columns, beside a DuckDB scan that sums the same columns
    python benchmarks/profiles.py --rows 300000

CPU-seconds of this process, imports not included; DuckDB on one thread, as the profile is. Whether the profiles agree is checked.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from benchmarks.compare import START, make
from whimbrel.compare.kept import Shelf
from whimbrel.engine import Source, engine_named
from whimbrel.model.window import Window
from whimbrel.store import open_log
from whimbrel.store.reach import pieces

Result = TypeVar("Result")
MONTH = Window("shop")


def timed(name: str, work: Callable[[], Result]) -> Result:
    """Do the work and print a row of the table."""
    cpu, wall = time.process_time(), time.monotonic()
    found = work()
    print(f"| {name} | {time.process_time() - cpu:.2f} | {time.monotonic() - wall:.1f} |", flush=True)
    return found


def scan(source: Source) -> None:
    """Sum every column: numbers and flags as they are, texts by their length."""
    import duckdb

    sums = []
    for item in source.schema:
        column = ".".join(f'"{part}"' for part in item.path.split("."))
        sums.append(
            f"sum({ {'number': column, 'boolean': f'{column}::INT'}.get(item.kind.value, f'strlen({column})') })"
        )
    with duckdb.connect() as con:
        con.execute("SET threads = 1")
        con.execute(f"SELECT {', '.join(sums)} FROM read_parquet($1, hive_partitioning = false)", [[*source.files]])


def main() -> None:
    """Measure and print."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--rows", type=int, default=10_000_000)
    asked = parse.parse_args()
    with tempfile.TemporaryDirectory(prefix="whimbrel-bench-") as made:
        flat = Path(made) / "month.parquet"
        make(flat, asked.rows, START, timedelta(days=30), 0)
        log = open_log(Path(made) / "home")
        log.import_files([str(flat)], app="shop")
        source, engine = log.source("shop"), engine_named()
        learned = engine.binning(source, replace(MONTH, until=START + timedelta(days=1)))
        binning = replace(learned, dimensions=learned.dimensions[:1])
        shelf, held = Shelf.of(log, "shop", engine), pieces(log.layout, source)
        scan(source)
        size = sum(os.stat(file).st_size for file in source.files)  # noqa: PTH116
        print(f"\n{asked.rows:,} rows in {len(source.files)} files of {size / 1e6:.0f} MB\n")
        print("| | CPU-seconds | seconds |\n|---|---:|---:|")
        timed("DuckDB, sums of the columns", lambda: scan(source))
        direct = timed("profile in one pass", lambda: engine.profile(source, MONTH, binning))
        first = timed("profile file by file, and kept", lambda: shelf.window(held, source, MONTH, binning))
        again = timed("profile from what was kept", lambda: shelf.window(held, source, MONTH, binning))
        if again != first or replace(direct, moments=()) != replace(first, moments=()):
            raise SystemExit("the profiles differ")
        kept = sum(path.stat().st_size for path in log.layout.profiles.rglob("*.profile"))
        print(f"\nkept: {kept / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
