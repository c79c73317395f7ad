"""What a slice search costs: two windows, eight attributes, to depth two; SliceLine beside it, in an environment of its own.

    python -m benchmarks.slices                        1,000,000 rows in two windows of half a million each, SliceLine on as many
    python -m benchmarks.slices --rows 2000000 --no-peer
    python -m benchmarks.slices --peer-rows 100000

Each side is a whole fresh process, imports and reading included. SliceLine knows no earlier window and no change: it is given the later
one's rows with each value's excess over the earlier mean as the error, which is the nearest question that it can be asked.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.compare import measured

SIZES = (10, 12, 8, 20, 5, 10, 15, 6)
PLANTED = "c0 = 3 AND c1 = 4"

OURS = """
import whimbrel
found = whimbrel.slices({before!r}, {after!r}, metric="value", depth={depth})
assert [dict(one.where) for one in found.slices] == [{{"c0": "k3", "c1": "k4"}}], found.sentence
"""

SLICELINE = """
import numpy, pyarrow.parquet
from sliceline.slicefinder import Slicefinder
before, after = (pyarrow.parquet.read_table(path) for path in ({before!r}, {after!r}))
names = [c for c in after.column_names if c != "value"]
table = numpy.stack([after[c].dictionary_encode().combine_chunks().indices.to_numpy() for c in names], axis=1)
excess = numpy.maximum(after["value"].to_numpy() - before["value"].to_numpy().mean(), 0)
finder = Slicefinder(alpha=0.9, k=1, max_l=2, min_sup=max(len(table) // 1000, 10), verbose=False).fit(table, excess)
print(finder.top_slices_)
"""


def make(folder: Path, rows: int) -> dict[str, str]:
    """Two windows as Parquet and CSV, the same for everyone who runs this; the later one is 20 higher in a slice of 1 in 120."""
    import duckdb

    paths = {}
    with duckdb.connect() as con:
        for late, name in enumerate(("before", "after")):
            codes = ", ".join(f"(hash(i * 16 + {k} + {late} * 1000003) % {size})::INT AS c{k}" for k, size in enumerate(SIZES))  # fmt: skip
            named = ", ".join(f"'k' || c{k} AS c{k}" for k in range(len(SIZES)))
            value = f"(hash(i * 16 + 9 + {late} * 7) % 100000) / 1000.0 + c0 * 2 + c3 + CASE WHEN {late} = 1 AND {PLANTED} THEN 20 ELSE 0 END"
            for kind in ("parquet", "csv"):
                paths[f"{name}.{kind}"] = str(folder / f"{name}{rows}.{kind}")
                rowwise = f"SELECT {named}, {value} AS value FROM (SELECT i, {codes} FROM range({rows}) t(i))"
                con.execute(f"COPY ({rowwise}) TO '{paths[f'{name}.{kind}']}'")
    return paths


def peer(folder: Path, paths: dict[str, str]) -> tuple[float, float]:
    """Install SliceLine in an environment of its own and measure it once."""
    python = folder / "sliceline" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(folder / "sliceline")], check=True)
    subprocess.run(
        [str(python), "-m", "pip", "install", "--quiet", "--no-warn-script-location", "sliceline==0.3.0", "pyarrow"], check=True
    )  # fmt: skip
    asked = {side: paths[f"{side}.parquet"] for side in ("before", "after")}
    cost = measured(str(python), SLICELINE.format(**asked), times=1)
    return cost.cpu_s, cost.peak_mib


def main() -> None:
    """Measure and print."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--rows", type=int, default=1_000_000, help="rows of both windows together")
    parse.add_argument("--peer-rows", type=int, help="the same for SliceLine, where it is to have fewer")
    parse.add_argument("--no-peer", action="store_true", help="measure whimbrel alone")
    asked = parse.parse_args()
    with tempfile.TemporaryDirectory(prefix="whimbrel-bench-") as made:
        folder = Path(made)
        paths = make(folder, asked.rows // 2)
        print("| | rows, two windows | CPU-seconds | peak MiB |\n|---|---:|---:|---:|")
        for kind, depth in (("parquet", 2), ("parquet", 3), ("csv", 2)):
            code = OURS.format(before=paths[f"before.{kind}"], after=paths[f"after.{kind}"], depth=depth)
            cost = measured(sys.executable, code)
            print(
                f"| whimbrel, {kind}, depth {depth} | {asked.rows:,} | {cost.cpu_s:.2f} | {cost.peak_mib:.0f} |",
                flush=True,
            )
        if not asked.no_peer:
            rows = asked.peer_rows or asked.rows
            cpu, peak = peer(folder, paths if rows == asked.rows else make(folder, rows // 2))
            print(f"| SliceLine 0.3.0, depth 2 | {rows:,} | {cpu:.2f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
