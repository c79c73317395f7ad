"""How long it takes to find one prediction among many, and to show it.

    python -m benchmarks.show                 # 2,000,000 predictions of 20 columns
    python -m benchmarks.show 10_000_000

Two logs are made: one whose ids are UUIDv7, as recorders make them, one whose ids are random. In each, predictions are looked up by
id, one at a time: the first after the import, others in the same process (`found`), and in a fresh one each (`whimbrel show`). Wall-clock
and CPU milliseconds, medians; while other work runs, CPU is the honest one.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import duckdb

import whimbrel
from whimbrel.errors import UsageError
from whimbrel.model.window import Window

DAYS, TIMES = 30, 9
FIRST_S = 1_761_955_200
MIDDLE_S = FIRST_S + DAYS * 43_200

ROWS = """
    SELECT {ident} AS id, make_timestamp(us) AS ts, {inputs}, random() AS "steps.scale.value", random() AS "outputs.score",
    random() < 0.2 AS decision, ['ios', 'web', 'pos'][1 + i % 3] AS "context.channel", random() AS "spans.scale", 2 * random() AS "spans.total"
    FROM (SELECT i, ({first} + i * {step})::BIGINT AS us FROM range({n}) AS r(i))
"""
UUID7 = """format('{:08x}-{:04x}-7{:03x}-{:04x}-{:012x}', (us // 1000) >> 16, (us // 1000) & 65535, i & 4095, 32768 | ((i >> 12) & 16383),
    (random() * 281474976710655)::BIGINT)"""


def made(home: Path, n: int, ident: str) -> list[str]:
    """A log of n predictions; returns some ids of it."""
    inputs = ", ".join([f'random() AS "inputs.x{i}"' for i in range(11)] + ["'k' || (i % 40) AS \"inputs.kind\""])
    file = home / "rows.parquet"
    home.mkdir(parents=True)
    sql = ROWS.format(first=FIRST_S * 1_000_000, ident=ident, inputs=inputs, step=DAYS * 86_400_000_000 // n, n=n)
    with duckdb.connect() as con:
        con.execute(f"COPY ({sql}) TO '{file}' (FORMAT parquet)")
        ids = con.execute(f"SELECT id FROM '{file}' USING SAMPLE {2 * TIMES} ROWS (reservoir, 7)").fetchall()
    before = time.process_time()
    whimbrel.open(home).import_files(file, app="bench")
    print(f"  imported at {n / (time.process_time() - before):,.0f} a CPU-second")
    file.unlink()
    return [row[0] for row in ids]


def timed(ask: Callable[[str], object], ids: list[str]) -> str:
    """Medians of wall-clock and CPU time (children's too), in milliseconds."""
    walls, cpus = [], []
    for ident in ids:
        wall, cpu = time.perf_counter(), _cpu()
        ask(ident)
        walls.append(time.perf_counter() - wall)
        cpus.append(_cpu() - cpu)
    return f"{1e3 * statistics.median(walls):7.0f} ms wall (worst {1e3 * max(walls):.0f}), {1e3 * statistics.median(cpus):7.0f} ms CPU"


def _cpu() -> float:
    child = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + child.ru_utime + child.ru_stime


def main() -> None:
    """Print a line a question."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        for name, ident in (("UUIDv7", UUID7), ("random", "uuid()::VARCHAR")):
            home = Path(folder) / name
            print(f"{n:,} predictions, ids {name}")
            ids = made(home, n, ident)
            log = whimbrel.open(home)

            def absent(ident: str, log: whimbrel.Log = log) -> None:
                try:
                    log.find(ident[:-12] + "0" * 12)
                except UsageError:
                    return
                raise AssertionError

            def beginning(ident: str, log: whimbrel.Log = log) -> None:
                log.find(ident[:-2])

            def command(ident: str, *more: str, home: Path = home) -> None:
                again = [sys.executable, "-m", "whimbrel", "show", ident, "--home", str(home), "--json", *more]
                subprocess.run(again, check=True, stdout=subprocess.DEVNULL)

            def placed(ident: str, ask: Callable[..., None] = command) -> None:
                ask(ident, "--golden", "half")

            print(f"  the first one      {timed(log.find, ids[:1])}")
            print(f"  found              {timed(log.find, ids[1:TIMES])}")
            print(f"  beginning alone    {timed(beginning, ids[1:4])}")
            print(f"  not there          {timed(absent, ids[1:4])}")
            print(f"  whimbrel show      {timed(command, ids[TIMES : TIMES + 5])}")
            log.set_golden("half", Window("bench", until=datetime.fromtimestamp(MIDDLE_S, UTC)))
            print(f"  … --golden         {timed(placed, ids[TIMES : TIMES + 3])}")


if __name__ == "__main__":
    main()
