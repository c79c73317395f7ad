"""What it costs to compare a window with a saved golden, and what it costs elsewhere; prints a table, writes nothing.

    python benchmarks/compare.py                 1,000,000 + 1,000,000 rows × 20 columns, peers beside us
    python benchmarks/compare.py --no-peers
    python benchmarks/compare.py --peer-rows 100000

Each side is measured as a whole fresh process, its imports included: CPU-seconds (user and system, all threads) and peak
resident memory. Whimbrel's number is the median of three runs after one that is not counted; a peer, being slow, runs once.
A peer gets a virtual environment of its own with the versions it needs; it reads the same rows from two flat Parquet files.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

START = datetime(2026, 1, 5, tzinfo=UTC)
GOLDEN, WINDOW = timedelta(days=30), timedelta(days=7)
CODES = {"carrier": 8, "country": 6, "channel": 3, "plan": 4}

PEERS = {
    # None imports on a fresh install: they break on pandas 3, NannyML forgets statsmodels, whylogs breaks on NumPy 2 and so on new PyArrow.
    "Evidently": (
        ["evidently==0.7.23", "pandas<3"],
        """
from evidently import Report
from evidently.presets import DataDriftPreset
result = Report([DataDriftPreset()]).run(window, golden)
print(len(result.dict()["metrics"]))
""",
    ),
    "NannyML": (
        ["nannyml==0.13.1", "pandas<3", "statsmodels"],
        """
import nannyml
columns = [c for c in golden.columns if c not in ("id", "ts")]
found = nannyml.UnivariateDriftCalculator(
    column_names=columns, timestamp_column_name="ts", chunk_number=7,
    continuous_methods=["jensen_shannon"], categorical_methods=["jensen_shannon"],
).fit(golden).calculate(window)
print(len(found.to_df()))
""",
    ),
    "whylogs": (
        ["whylogs[viz]==1.6.4", "numpy<2", "pandas<3", "pyarrow<20", "setuptools<81"],
        """
import whylogs
from whylogs.viz.drift.column_drift_algorithms import calculate_drift_scores
of_window, of_golden = (whylogs.log(frame).view() for frame in (window, golden))
print(len(calculate_drift_scores(target_view=of_window, reference_view=of_golden, with_thresholds=True)))
""",
    ),
}

READ = """
import pandas
golden, window = (pandas.read_parquet(path) for path in {files!r})
for frame in (golden, window):
    frame["ts"] = frame["ts"].dt.tz_localize(None)
    for name in frame.select_dtypes("bool"):
        frame[name] = frame[name].astype(str)
"""

FORGET = """
import shutil
shutil.rmtree({home!r} + "/profiles", ignore_errors=True)
"""

TAKE = """
from whimbrel.cli import main
assert main(["import", {file!r}, "--app", "shop", "--home", {home!r}]) == 0
"""

OURS = """
from datetime import datetime
from whimbrel.compare import compare_log
from whimbrel.model.window import Window
from whimbrel.store import open_log
window = Window("shop", datetime.fromisoformat({since!r}), datetime.fromisoformat({until!r}))
found = compare_log(open_log({home!r}), window=window, golden="golden")
print(len(found.moved) + len(found.unmoved))
"""

COST = """
import os as _os, pathlib as _p, resource as _r
_u = _r.getrusage(_r.RUSAGE_SELF)
_peak = _u.ru_maxrss / (1024 if _os.uname().sysname == "Linux" else 1024 * 1024)
_status = _p.Path("/proc/self/status")
if _status.exists():  # the other number starts from what the parent held when it forked
    _peak = next(int(l.split()[1]) for l in _status.read_text().splitlines() if l.startswith("VmHWM")) / 1024
print(_u.ru_utime + _u.ru_stime, _peak)
"""


@dataclass(frozen=True)
class Cost:
    """What one process took."""

    cpu_s: float
    peak_mib: float


def columns(count: int = 20) -> str:
    """Columns beside id and ts as SQL over a row number `i`: twelve numbers (more beyond 20), four texts, a flag, score, decision, label."""

    def uniform(salt: int) -> str:
        return f"(hash(i * 131 + {salt}) / 18446744073709551616.0)"

    def normal(salt: int) -> str:
        return f"(sqrt(-2 * ln({uniform(salt)} + 1e-18)) * cos(6.283185307179586 * {uniform(salt + 1000)}))"

    chosen = [f"CASE WHEN {uniform(500 + n)} < 0.0{n} THEN NULL ELSE {n} + {normal(n)} * {n + 1} END" for n in range(8)]
    chosen += [
        f"exp(3 + {normal(20)})",
        f"floor({uniform(21)} * 5)",
        f"CASE WHEN {uniform(22)} < 0.3 THEN 0 ELSE {uniform(23)} END",
    ]
    chosen += [normal(salt) for salt in (24, *range(2000, 1980 + count))]
    parts = [f'round({sql}, 6) AS "inputs.n{n}"' for n, sql in enumerate(chosen)]
    for salt, (name, size) in enumerate(CODES.items()):
        group = "context" if name in ("country", "channel") else "inputs"
        parts.append(f"'{name}' || floor({uniform(40 + salt)} * {size})::INT AS \"{group}.{name}\"")
    parts.append(f'{uniform(50)} < 0.2 AS "inputs.flag"')
    parts.append(f'1 / (1 + exp(-{normal(51)})) AS "outputs.score"')
    parts.append(f"CASE WHEN {normal(51)} > 0 THEN 'yes' ELSE 'no' END AS decision")
    parts.append(f"({uniform(52)} < 0.5)::DOUBLE AS label")
    return ", ".join(parts)


def make(path: Path, rows: int, since: datetime, length: timedelta, first: int, count: int = 20) -> None:
    """Write a flat Parquet file of predictions, the same for everyone who runs this."""
    import duckdb

    step = length / timedelta(microseconds=1) / rows
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        con.execute(
            f"""COPY (SELECT 'p' || i AS id, make_timestamptz({int(since.timestamp() * 1e6)} + ((i - {first}) * {step})::BIGINT) AS ts,
                {columns(count)} FROM range({first}, {first + rows}) AS t(i)) TO '{path}' (COMPRESSION zstd)"""
        )


def measured(python: str, code: str, *, times: int = 3) -> Cost:
    """The median cost of fresh processes that run the code, after one that is not counted where there are several."""
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    costs = []
    for turn in range(times + 1):
        out = subprocess.run(
            [python, "-W", "ignore", "-c", code + COST], env=env, capture_output=True, text=True, check=False
        )
        if out.returncode:
            raise SystemExit(f"the process failed:\n{out.stderr[-3000:]}")
        cpu, peak = out.stdout.split()[-2:]
        if turn or times == 1:
            costs.append(Cost(float(cpu), float(peak)))
        if times == 1:
            break
    return Cost(median(c.cpu_s for c in costs), median(c.peak_mib for c in costs))


@dataclass(frozen=True)
class Ours:
    """What whimbrel's processes took: a comparison of what `whimbrel import` took in beside golden, of what is not kept, and once more; and the imports."""

    imported: Cost
    first: Cost
    again: Cost
    imports: dict[str, Cost]


def ours(folder: Path, rows: int) -> Ours:
    """Import golden and save it, import the window, and measure processes that compare it; and the import, without and with a golden there."""
    from whimbrel.compare import golden_profile
    from whimbrel.model.window import Window
    from whimbrel.store import open_log

    home, bare, until = folder / "home", folder / "bare", START + GOLDEN
    for name, since, length, begin in (("golden", START, GOLDEN, 0), ("window", until, WINDOW, rows)):
        make(folder / f"{name}.parquet", rows, since, length, begin)
    log = open_log(home)
    log.import_files([str(folder / "golden.parquet")], app="shop")
    shutil.copytree(home, bare)
    golden_profile(log, log.set_golden("golden", Window("shop", START, until)))
    saved = (log.layout.golden / "golden.profile").stat().st_size
    print(f"made {rows:,} + {rows:,} rows, 20 columns; golden's profile is {saved / 1024:.0f} KiB", file=sys.stderr)
    imports = {
        said: measured(sys.executable, TAKE.format(file=str(folder / "window.parquet"), home=str(into)), times=1)
        for said, into in (("no golden", bare), ("a golden", home))
    }
    asked = {"since": until.isoformat(), "until": (until + WINDOW).isoformat(), "home": str(home)}
    imported = measured(sys.executable, OURS.format(**asked))
    first = measured(sys.executable, (FORGET + OURS).format(**asked))
    again = measured(sys.executable, OURS.format(**asked))
    kept = [path.stat().st_size for path in (home / "profiles").rglob("*.profile")]
    print(f"kept of the window: {len(kept)} profiles, {sum(kept) / 1024:.0f} KiB", file=sys.stderr)
    return Ours(imported, first, again, imports)


def peer(folder: Path, name: str, rows: int) -> Cost:
    """Install a peer in an environment of its own and measure it on the same data."""
    needs, code = PEERS[name]
    python = folder / name / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(folder / name)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *needs, "pyarrow"], check=True)
    files = [str(folder / f"peer-{side}.parquet") for side in ("golden", "window")]
    if not Path(files[0]).exists():
        make(Path(files[0]), rows, START, GOLDEN, 0)
        make(Path(files[1]), rows, START + GOLDEN, WINDOW, rows)
    return measured(str(python), READ.format(files=files) + code, times=1)


def main() -> None:
    """Measure and print."""
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--rows", type=int, default=1_000_000, help="rows of golden, and rows of the window")
    parse.add_argument("--peer-rows", type=int, help="rows for the peers, where they are to have fewer")
    parse.add_argument("--no-peers", action="store_true", help="measure whimbrel alone")
    asked = parse.parse_args()
    with tempfile.TemporaryDirectory(prefix="whimbrel-bench-") as made:
        folder = Path(made)
        mine = ours(folder, asked.rows)
        print(
            "\n| | rows | CPU-seconds | peak MiB | CPU against whimbrel: nothing kept, imported |\n|---|---:|---:|---:|---:|"
        )
        for said, cost in (
            ("whimbrel, golden saved, the window imported since", mine.imported),
            ("the same, of the window nothing is kept", mine.first),
            ("the same, window compared before", mine.again),
            *((f"`whimbrel import` of the window, {beside} there", cost) for beside, cost in mine.imports.items()),
        ):
            print(f"| {said} | {asked.rows:,} | {cost.cpu_s:.2f} | {cost.peak_mib:.0f} | |", flush=True)
        for name in () if asked.no_peers else PEERS:
            rows = asked.peer_rows or asked.rows
            cost = peer(folder, name, rows)
            note = "" if rows == asked.rows else " (on fewer rows)"
            times = f"{cost.cpu_s / mine.first.cpu_s:.0f}×, {cost.cpu_s / mine.imported.cpu_s:.0f}×{note}"
            print(f"| {name} | {rows:,} | {cost.cpu_s:.2f} | {cost.peak_mib:.0f} | {times} |", flush=True)


if __name__ == "__main__":
    main()
