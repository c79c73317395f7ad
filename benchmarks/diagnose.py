"""What a diagnosis costs: a month × 20 columns, its last eighth against the rest as a named golden; prints a table.

    python -m benchmarks.diagnose                          1,000,000 rows in all
    python -m benchmarks.diagnose --columns 30 --days 8    wider, in fewer files
    python -m benchmarks.diagnose --rows 10000000 --home DIR    in a log that is kept there, and asked again the next time

Each line is a whole fresh process, imports included: first without anything kept, then with the thin copies of files that the first left
(`store/thin.py`). Bytes are what Linux counts as read by the process (`/proc/self/io`), less those of a process that only loads the same modules.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from benchmarks.compare import COST, START, make

READ = """
import pathlib
io = pathlib.Path("/proc/self/io")
read = lambda: int(io.read_text().split()[1]) if io.exists() else 0
"""

ASK = """
import whimbrel
from datetime import datetime
from whimbrel.diagnose import diagnose_log
from whimbrel.model.window import Window
window = Window("shop", since=datetime.fromisoformat({since!r}))
report = diagnose_log(whimbrel.open({home!r}), "shop", window=window, golden="golden")
"""

TELL = """
import sys
print(report.verdict, read(), *(name for name in sys.modules if name[0] != "_"))
"""


def run(code: str) -> list[str]:
    """The words that a fresh process prints."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-"], input=code, capture_output=True, text=True, check=True)
    return done.stdout.split()


def loaded(modules: list[str]) -> int:
    """Bytes that a process reads which only loads these modules."""
    load = "import importlib, contextlib\n" + "".join(
        f"with contextlib.suppress(Exception): importlib.import_module({name!r})\n" for name in modules
    )
    return int(run(READ + load + "print(read())")[-1])


def main() -> None:
    """Measure and print."""
    import whimbrel
    from whimbrel.model.window import Window

    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--rows", type=int, default=1_000_000, help="rows in all")
    parse.add_argument("--columns", type=int, default=20, help="columns beside id and time, 20 or more")
    parse.add_argument("--days", type=int, default=30, help="how many days the rows are spread over")
    parse.add_argument("--home", type=Path, help="where the log is, or is made and kept")
    asked = parse.parse_args()
    length = timedelta(days=asked.days)
    since = START + length * 7 / 8
    with tempfile.TemporaryDirectory(prefix="whimbrel-bench-") as made:
        home = asked.home or Path(made) / "home"
        if not home.exists():
            flat = Path(made) / "month.parquet"
            make(flat, asked.rows, START, length, 0, asked.columns)
            log = whimbrel.open(home)
            log.import_files([str(flat)], app="shop")
            log.set_golden("golden", Window("shop", START, since))
        shutil.rmtree(home / "profiles", ignore_errors=True)
        print("| | verdict | CPU-seconds | seconds | peak MiB | read, MB |\n|---|---|---:|---:|---:|---:|")
        for name in ("cold", "copies kept", "copies kept, again"):
            begun = time.monotonic()
            verdict, read, *modules, cpu, peak = run(
                READ + ASK.format(since=since.isoformat(), home=str(home)) + TELL + COST
            )
            took = time.monotonic() - begun
            data = (int(read) - loaded(modules)) / 1e6
            print(
                f"| {name} | {verdict} | {float(cpu):.2f} | {took:.1f} | {float(peak):.0f} | {data:.1f} |", flush=True
            )
        kept = [path.stat().st_size for path in (home / "profiles").rglob("*.parquet")]
        data = sum(path.stat().st_size for path in (home / "predictions").rglob("*.parquet"))
        print(f"\n{len(kept)} copies of {sum(kept) / 1e6:.1f} MB in all, of files of {data / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
