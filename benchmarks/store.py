"""The store under load: bytes on disk, import, what a window opens, one prediction found; prints a table.

    python -m benchmarks.store                     # all of it, 1,000,000 rows
    python -m benchmarks.store --rows 10_000_000 --only find,window
    python -m benchmarks.store --only bytes        # what 100,000 recorded predictions take, beside JSON lines

`bytes`: predictions of 20 features, 4 steps, spans and tags go through recorder, ingest and compaction; beside them one JSON object a line, as
`json.dumps` writes the same values. `import`: a Parquet file of 20 columns, and one of four times as many rows: CPU and peak memory of fresh
processes. `window`: files and bytes of a log that a window of an hour, a day and all opens (what the engine is handed, and what Linux counts that
the process read of it, page cache included). `find`: ids looked up in random order, cold tables each; medians.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.compare import START
from whimbrel.engine import engine_named
from whimbrel.model.window import Window
from whimbrel.record import Recorder
from whimbrel.store import Log, open_log

DAYS = 30
RECORDED = 100_000


def prediction(draw: random.Random) -> dict[str, Any]:
    """What one request brings: money, counts, shares, words and flags, as apps have them."""
    numbers = {f"amount_{i}": round(draw.lognormvariate(3, 1), 2) for i in range(6)}
    counts: dict[str, Any] = {f"count_{i}": draw.randrange(10 ** (1 + i % 3)) for i in range(6)}
    words = {f"kind_{i}": draw.choice(("basic", "plus", "family", "business")) for i in range(4)}
    return numbers | counts | words | {f"flag_{i}": draw.random() < 0.3 for i in range(4)}


def record(recorder: Recorder, inputs: dict[str, Any], draw: random.Random) -> dict[str, Any]:
    """One prediction through the recorder; the same values as one would log them."""
    tags = {"country": draw.choice(("US", "DE", "FR", "JP")), "channel": draw.choice(("web", "ios", "android"))}
    with recorder.prediction(inputs, **tags) as p:
        scaled = {"amount": inputs["amount_0"] / 37.5, "rate": round(inputs["count_0"] / 7, 4)}
        steps = {
            "clean": inputs["amount_0"],
            "encode": inputs["count_1"],
            "scale": scaled,
            "join": round(draw.random(), 3),
        }
        for name, value in steps.items():
            recorder.step(name, value)
        score = 1 / (1 + scaled["amount"])
        p.output({"score": score})
        p.decision(score > 0.5)
        ident = p.id
    spans = {name: round(draw.expovariate(2), 4) for name in (*steps, "total")}
    return {
        "id": ident, "ts": "2026-11-19T14:05:00.123456Z", "inputs": inputs, "steps": {k: {"value": v} for k, v in steps.items()},
        "spans": spans, "outputs": {"score": score}, "decision": score > 0.5, "context": tags, "model": {"name": "fares", "version": "7"},
    }  # fmt: skip


def bytes_on_disk(folder: Path, n: int) -> None:
    """Print what predictions take in segments, as ingested, as compacted, and as JSON lines."""
    draw, home = random.Random(1), folder / "bytes"
    recorder, lines = Recorder("fares", home=home, model="fares@7"), 0
    log = open_log(home)
    for at in range(n):
        lines += len(json.dumps(record(recorder, prediction(draw), draw), separators=(",", ":"))) + 1
        if at % 10_000 == 9_999:
            log.ingest()
    recorder.close()
    log.ingest()
    taken = sum(one.size for one in log.source("fares").facts.values())
    before = time.process_time()
    done = log.compact(grace=timedelta(0))
    cpu = time.process_time() - before
    kept = sum(one.size for one in log.source("fares").facts.values())
    print(f"\n| {n:,} predictions | bytes each | of JSON lines |\n|---|---:|---:|")
    for what, size in (("JSON lines", lines), ("as ingested", taken), ("compacted", kept)):
        print(f"| {what} | {size / n:,.0f} | {size / lines:.1%} |")
    print(
        f"\ncompaction: {done.compacted.rows / cpu:,.0f} rows a CPU-second, {done.compacted.merged} files into {done.compacted.into}"
    )


IMPORT = """
import resource, sys, time
from whimbrel.store import open_log
before = time.process_time()
added = open_log(sys.argv[2]).import_files([sys.argv[1]], app="shop")
cpu = time.process_time() - before
print(added.rows, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def imported(folder: Path, rows: int) -> Log:
    """Import a Parquet file in a fresh process and print a line; the log."""
    flat, home = folder / f"{rows}.parquet", folder / f"home-{rows}"
    made = "import sys; from pathlib import Path; from datetime import timedelta; from benchmarks.compare import START, make; "
    call = f"make(Path(sys.argv[1]), {rows}, START, timedelta(days={DAYS}), 0)"
    subprocess.run([sys.executable, "-c", made + call, flat], check=True, stdout=subprocess.DEVNULL)
    told = subprocess.run([sys.executable, "-c", IMPORT, flat, home], check=True, capture_output=True, text=True)
    count, cpu, peak = map(float, told.stdout.split())
    log = open_log(home)
    size = sum(one.size for one in log.source("shop").facts.values())
    print(f"| {count:,.0f} | {count / cpu:,.0f} | {peak:,.0f} | {size / count:.0f} |", flush=True)
    flat.unlink()
    return log


def read_bytes(ask: Callable[[], object]) -> int:
    """Bytes that this process reads from files while it asks, the page cache included."""

    def so_far() -> int:
        return next(
            int(line.split()[1]) for line in Path("/proc/self/io").read_text().splitlines() if line.startswith("rchar")
        )

    before = so_far()
    ask()
    return so_far() - before


def windows(log: Log) -> None:
    """Print which files a window opens, and what is read of them."""
    source, engine = log.source("shop"), engine_named()
    size = sum(one.size for one in source.facts.values())
    print(
        f"\n| window | files opened, of {len(source.files)} | MB read for one column, of {size / 1e6:,.0f} | seconds |\n|---|---:|---:|---:|"
    )
    middle = START + timedelta(days=DAYS // 2, hours=5)
    spans = {"an hour": timedelta(hours=1), "a day": timedelta(days=1), "all": timedelta(days=DAYS)}
    for name, length in spans.items():
        window = Window("shop") if name == "all" else Window("shop", middle, middle + length)
        began = time.monotonic()
        read = read_bytes(lambda window=window: engine.rows(source, window, paths=["outputs.score"], limit=10_000))  # type: ignore[misc]
        print(
            f"| {name} | {len(source.within(window).files)} | {read / 1e6:,.2f} | {time.monotonic() - began:.2f} |",
            flush=True,
        )


def find(log: Log, rows: int, times: int = 9) -> None:
    """Print how long it takes to find one prediction by its id."""
    ids = [f"p{random.Random(5 + turn).randrange(rows)}" for turn in range(times)]
    walls, cpus = [], []
    for ident in ids:
        wall, cpu = time.monotonic(), time.process_time()
        log.find(ident)
        walls.append(time.monotonic() - wall)
        cpus.append(time.process_time() - cpu)
    read = read_bytes(lambda: log.find(ids[0]))
    wall, cpu = (1000 * statistics.median(some) for some in (walls, cpus))
    print(
        f"\nfound among {rows:,}: {wall:.0f} ms, {cpu:.0f} ms of CPU, {read / 1e6:.1f} MB read; the first {1000 * walls[0]:.0f} ms"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--rows", type=int, default=1_000_000)
    parse.add_argument("--only", default="bytes,import,window,find")
    asked = parse.parse_args(argv)
    wanted = set(asked.only.split(","))
    with tempfile.TemporaryDirectory(prefix="whimbrel-bench-") as made:
        folder = Path(made)
        if "bytes" in wanted:
            bytes_on_disk(folder, RECORDED)
        if wanted & {"import", "window", "find"}:
            print("\n| rows imported × 20 columns | a CPU-second | peak MiB | bytes each |\n|---|---:|---:|---:|")
            if "import" in wanted:
                imported(folder, asked.rows // 4)
            log = imported(folder, asked.rows)
            if "window" in wanted:
                windows(log)
            if "find" in wanted:
                find(log, asked.rows)


if __name__ == "__main__":
    main()
