"""What the ledger costs: an entry in the sequencer, its check, and a proof among a million.

    python -m benchmarks.ledger               # 100,000 predictions, a million entries
    python -m benchmarks.ledger 20_000 200_000

CPU microseconds of the whole process a record, its tables read and every checkpoint on the disk; the best of some runs, since
other work on the machine only adds. Of the request: its thread's CPU with a sequencer that follows, and without, in turns.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from hashlib import sha256
from multiprocessing.synchronize import Event
from pathlib import Path

import duckdb

import whimbrel
from whimbrel.ledger.audit import Audit
from whimbrel.ledger.follow import follow
from whimbrel.ledger.keys import Keys, make_key
from whimbrel.ledger.lifecycle import folder_of
from whimbrel.ledger.merkle.proofs import Proof
from whimbrel.ledger.merkle.tree import inclusion
from whimbrel.ledger.reader import NAMES, candidates, read_head, tiles_of
from whimbrel.ledger.sequencer import Sequencer
from whimbrel.ledger.values import check_values
from whimbrel.ledger.writer import Ledger, create
from whimbrel.record import Recorder

ORIGIN, TIMES, RUNS = "bench.example/ledger", 40, 5


def cpu(ask: Callable[[], object], each: int) -> float:
    """CPU microseconds, of all threads, for each of so many."""
    before = time.process_time()
    ask()
    return (time.process_time() - before) / each * 1e6


def rows(home: Path, n: int) -> None:
    """A log of n predictions: 12 inputs, 4 steps, 2 outputs, a decision, 4 tags, model, time, usage."""
    inputs = (
        ", ".join(f'random() AS "inputs.x{i}"' for i in range(12))
        + ", "
        + ", ".join(f'random() AS "steps.s{i}.value"' for i in range(4))
    )
    file = home.parent / "rows.parquet"
    with duckdb.connect() as con:
        con.execute(f"""COPY (SELECT uuid()::VARCHAR AS id, make_timestamp((1761955200000000 + i * 1000000)::BIGINT) AS ts, {inputs},
            random() AS "outputs.score", random() AS "outputs.second", random() < 0.2 AS decision, 'US' AS "context.country",
            'ios' AS "context.device", 't' || (i % 50) AS "context.tenant", 'u' || i AS "context.user", 'fares' AS "model.name", '7' AS "model.version",
            random() AS "spans.total", random() AS "usage.cost_usd" FROM range({n}) AS r(i)) TO '{file}' (FORMAT parquet)""")
    whimbrel.open(home).import_files(file, app="fares")
    file.unlink()


def sequenced(base: Path, n: int) -> None:
    """An entry of six groups for each prediction, from the tables to durable checkpoints; then all of it checked."""
    home = base / "home"
    rows(home, n)
    log, best = whimbrel.open(home), []
    for run in range(RUNS):
        folder, keys = base / f"ledger-{run}", make_key(ORIGIN, base / f"key-{run}")
        create(folder, keys)
        with Ledger(folder, keys) as ledger:
            best.append(cpu(Sequencer(log, ledger).take, n))
    hashed = min(cpu(lambda: [sha256(bytes(100)).digest() for _ in range(10_000)], 10_000) for _ in range(10))
    print(f"SHA-256 of 100 bytes meanwhile: {hashed:.2f} µs CPU")
    print(f"sequencer: {min(best):.1f} µs CPU a record (runs: {', '.join(f'{one:.1f}' for one in best)}); aim 15")
    print(f"values against entries: {cpu(lambda: check_values(log, folder), n):.1f} µs CPU a record")
    whole, public = (_bytes(root) / n for root in (folder, folder / "tile"))
    print(f"on the disk: {whole:.0f} bytes a record, {public:.0f} of them public")


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def million(base: Path, n: int) -> None:
    """Proofs among n entries, and all of them hashed again."""
    folder, keys = base / "million", make_key(ORIGIN, base / "million.key")
    create(folder, keys)
    fill(folder, keys, n)
    best = [cpu(lambda: Audit(folder, [keys.signers[0].key]).found(), n) for _ in range(RUNS)]
    print(f"re-verification: {min(best):.2f} µs CPU a record (runs: {', '.join(f'{one:.2f}' for one in best)}); aim 3")
    walls, cpus, sizes = [], [], []
    for i in range(TIMES):
        name = f"{(i * 7919 * 131) % n:08x}-0000-7000-8000-000000000000"
        began, before = time.perf_counter(), time.process_time()
        head, note = read_head(folder)
        (index,) = candidates(folder, NAMES, name, head.size)[:1]
        nodes = tiles_of(folder, head.size)
        entry = nodes.entries(index // 256)[index % 256]
        proof = Proof(index, inclusion(nodes, index, head.size), note)
        walls.append(time.perf_counter() - began)
        cpus.append(time.process_time() - before)
        sizes.append(len(proof.text()) + len(entry))
    print(
        f"a proof among {n:,}: {max(sizes):,} bytes with its entry; found and built in {statistics.median(walls) * 1e3:.1f} ms"
        f" (CPU {statistics.median(cpus) * 1e3:.1f} ms; least {min(walls) * 1e3:.1f} ms); aim 1.5 KB, 5 ms"
    )


def fill(folder: Path, keys: Keys, n: int) -> None:
    """Entries of the form that predictions have."""
    with Ledger(folder, keys) as ledger:
        for start in range(0, n, 65_536):
            numbers = range(start, min(n, start + 65_536))
            names = [f"{i:08x}-0000-7000-8000-000000000000" for i in numbers]
            entries = [
                f'{{"v":1,"k":"pred","id":"{name}","t":"2026-11-21T16:00:00.000000Z","p":"{"0" * 32}","s":{i},"n":6,"fr":"{"A" * 43}="}}'.encode()
                for i, name in zip(numbers, names, strict=True)
            ]
            ledger.extend(entries, os.urandom(32 * len(entries)), names, [f"p/{i}" for i in numbers])
            ledger.commit()


def request(base: Path, turns: int = 60, each: int = 500) -> None:
    """A prediction of ten inputs in the app's thread: with a ledger and the sequencer that follows it, and without, in turns."""
    homes, stop = {name: base / name for name in ("without", "with")}, multiprocessing.get_context("spawn").Event()
    running = multiprocessing.get_context("spawn").Process(target=following, args=(homes["with"], stop))
    running.start()
    recorders = {name: Recorder("fares", home=home, model="fares@7") for name, home in homes.items()}
    times: dict[str, list[float]] = {name: [] for name in homes}
    inputs = {f"x{i}": i / 7 for i in range(10)}
    for _ in range(turns):
        for name, recorder in recorders.items():
            before = time.thread_time()
            for _ in range(each):
                with recorder.prediction(inputs, country="US") as p:
                    p.output(0.5)
            times[name].append((time.thread_time() - before) / each * 1e6)
            time.sleep(0.05)
    for recorder in recorders.values():
        recorder.close()
    stop.set()
    running.join()
    least, middle = ({name: of(held) for name, held in times.items()} for of in (min, statistics.median))
    print(
        f"a request's thread: {middle['with']:.2f} µs CPU with a ledger, {middle['without']:.2f} without (medians; least"
        f" {least['with']:.2f} and {least['without']:.2f}); aim 1 more"
    )


def following(home: Path, stop: Event) -> None:
    """A sequencer that follows a log, in a process of its own."""
    log, keys = whimbrel.open(home), make_key(ORIGIN, home.with_suffix(".key"))
    create(folder_of(log.home), keys)
    follow(log, folder_of(log.home), keys, stop)


def main() -> None:
    """Run it."""
    given = [int(text.replace("_", "")) for text in sys.argv[1:]]
    predictions, entries = [*given, *(100_000, 1_000_000)[len(given) :]]
    with tempfile.TemporaryDirectory() as folder:
        sequenced(Path(folder), predictions)
        million(Path(folder), entries)
        request(Path(folder))


if __name__ == "__main__":
    main()
