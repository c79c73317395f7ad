"""Two or more ways of recording, in turns: a busy machine slows all of them, and their ratio stays.

    python -m benchmarks.recorder_turns                        this tree, beside bare orjson + write
    python -m benchmarks.recorder_turns HEAD~3 . bare          two versions, and bare
    python -m benchmarks.recorder_turns . mapped bare          two ways of writing
    python -m benchmarks.recorder_turns . floor bare           … and the least that must be done

A side is a git revision, `.` (this tree), `mapped` (this tree, written through a mapped file), `bare` (orjson + write),
`floor` (this tree's two frames, encoded and written with nothing around them) or `otel` (OpenTelemetry's SDK and batch
processor). Each has a process of its own, and one of them runs at a time, a slice of some milliseconds; the order changes
each round. The workload is `recorder_sides.py`'s. Times are of the calling thread, net of the same loop without a recorder
in the same slice; CPU is of the whole process. The last columns are ratios to the last side, taken in each round: the
median, and the quartiles.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from benchmarks import recorder_sides as sides
from benchmarks.recorder import ROOT, Sink, python_with

SLICES = (
    sides.CLOCK
    + """def cpu(count):
    began = time.process_time()
    for n in range(count): record(n)
    flush()
    spent = time.process_time() - began
    began = time.process_time()
    for n in range(count): plain(n)
    return (spent - (time.process_time() - began)) / count * 1e6
for n in range(2000): record(n)
for line in sys.stdin:
    said = {}
    if "flat" in line: said["flat p50"], said["flat p99"] = net(300)
    if "work" in line: said["work p50"] = net(60, busy)[0]
    if "paced" in line: said["paced p50"] = net(20, lambda: time.sleep(0.005))[0]
    if "cpu" in line: said["CPU"] = cpu(300)
    flush()
    print(json.dumps(said), flush=True)
os._exit(0)
"""
)

FLOOR = """
import itertools
from xxhash import xxh3_64_digest
from whimbrel.record import frames
from whimbrel.record.values import encode as pack
fd, number, now = os.open(HOME + "/log", os.O_WRONLY | os.O_APPEND | os.O_CREAT), itertools.count(1), time.perf_counter_ns
def send(kind, stream, body):
    data = frames.HEAD.pack(1, len(body), stream, kind) + body
    os.write(fd, data + xxh3_64_digest(data, 7))
def record(n):
    ts, began, stream = time.time_ns() // 1000, now(), next(number)
    send(2, stream, pack({"ts": ts, "model": {"name": "fares", "version": "7"}, "context": TAGS, "inputs": ROW}))
    x = impute(ROW); said = [pack(("step", "impute", x, now() - began))]
    x = encode(x); said.append(pack(("step", "encode", x, now() - began)))
    x = scale(x); said.append(pack(("step", "scale", x, now() - began)))
    x = bucket(x); said.append(pack(("step", "bucket", x, now() - began)))
    out = answer(x)
    said += pack(("output", out)), pack(("decision", "accept" if out["score"] > 0.5 else "refuse"))
    said.append(pack(("end", now() - began, ts)))
    send(3, stream, frames.array_head(len(said)) + b"".join(said))
"""


OTEL = "OpenTelemetry SDK, batch, OTLP/HTTP"
CODES = {
    ".": sides.WHIMBREL, "mapped": sides.MAPPED, "bare": sides.BARE, "floor": FLOOR, "otel": sides.SIDES[OTEL][2],
}  # fmt: skip


class Side:
    """One way of recording, in a process that waits for its turn."""

    def __init__(self, name: str, scratch: Path, python: str, port: int) -> None:
        code = CODES.get(name, sides.WHIMBREL)
        source = ROOT / "src" if name in CODES else self._checkout(name, scratch)
        home = scratch / f"{name.replace('/', '_')} home"
        home.mkdir()
        env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        env |= {"PYTHONPATH": str(source), "HOME_DIR": str(home), "PORT": str(port), "WHIMBREL_HOME": str(home / "log")}
        self.name = name
        self.process = subprocess.Popen(
            [python, "-c", sides.WORKLOAD + code + SLICES], env=env, cwd=home, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    @staticmethod
    def _checkout(revision: str, scratch: Path) -> Path:
        folder = scratch / f"{revision.replace('/', '_')} tree"
        folder.mkdir()
        tree = subprocess.run(["git", "archive", revision, "src"], cwd=ROOT, check=True, capture_output=True)
        subprocess.run(["tar", "-x"], cwd=folder, check=True, input=tree.stdout)
        return folder / "src"

    def turn(self, figures: str) -> dict[str, float]:
        """One slice: what it says of itself."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{figures}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} ended with status {self.process.wait()}")
        found: dict[str, float] = json.loads(line)
        return found


def report(found: dict[str, list[dict[str, float]]]) -> None:
    """Print the medians of all rounds, and each figure's ratio to the last side."""
    last = list(found)[-1]
    print("| side | figure | median, µs | lowest tenth | ratio to " + last + " | quartiles |")
    print("|---|---|---:|---:|---:|---:|")
    for name, rounds in found.items():
        for figure in ("flat p50", "flat p99", "work p50", "paced p50", "CPU"):
            pairs = [(a[figure], b[figure]) for a, b in zip(rounds, found[last], strict=True) if figure in a]
            if len(pairs) < 2:
                continue
            ours = sorted(a for a, _ in pairs)
            low, middle, high = statistics.quantiles((a / b for a, b in pairs if b > 0), n=4)
            row: tuple[Any, ...] = (name, figure, statistics.median(ours), ours[len(ours) // 10], middle, low, high)
            print("| {} | {} | {:.1f} | {:.1f} | {:.2f} | {:.2f}–{:.2f} |".format(*row))


def main() -> None:
    """Measure in turns, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sides", nargs="*", default=[".", "bare"])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument(
        "--figures", default="flat work cpu paced", help="which of: flat work cpu paced (each tenth round)"
    )
    parser.add_argument("--python", help="one that has msgspec, xxhash and orjson; else an environment is made")
    asked = parser.parse_args()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        packages = sides.SIDES[OTEL][0] if "otel" in asked.sides else []
        python = asked.python or python_with(folder / "env", ["msgspec", "xxhash", "orjson", *packages])
        running = [Side(name, folder, python, server.server_port) for name in asked.sides]
        found: dict[str, list[dict[str, float]]] = {side.name: [] for side in running}
        try:
            for number in range(asked.rounds + 1):
                for side in random.sample(running, len(running)):
                    said = side.turn(asked.figures if number % 10 == 0 else asked.figures.replace("paced", ""))
                    if number:  # the first round is for warming up
                        found[side.name].append(said)
        finally:
            for side in running:
                side.process.kill()
                side.process.wait()
            server.shutdown()
    print(f"{asked.rounds} rounds, load {os.getloadavg()[0]:.1f}", file=sys.stderr)
    report(found)


if __name__ == "__main__":
    main()
