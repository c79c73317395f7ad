"""What a diagnosis of 1,000,000 predictions × 20 columns against a named golden of as many costs; prints a line, writes nothing.

python -m benchmarks.diagnose [--rows 1000000]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.compare import GOLDEN, START, WINDOW, make, measured

ASK = """
import whimbrel
from datetime import datetime
from whimbrel.diagnose import diagnose_log
from whimbrel.model.window import Window
window = Window("shop", since=datetime.fromisoformat({since!r}))
diagnose_log(whimbrel.open({home!r}), "shop", window=window, golden="golden")
"""


def main() -> None:
    """Measure and print."""
    import sys

    import whimbrel
    from whimbrel.model.window import Window

    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--rows", type=int, default=1_000_000, help="rows of golden, and rows of the window")
    rows = parse.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="whimbrel-bench-") as made:
        folder, until = Path(made), START + GOLDEN
        log = whimbrel.open(folder / "home")
        for name, since, length, first in (("golden", START, GOLDEN, 0), ("window", until, WINDOW, rows)):
            make(folder / f"{name}.parquet", rows, since, length, first)
            log.import_files([str(folder / f"{name}.parquet")], app="shop")
        log.set_golden("golden", Window("shop", START, until))
        cost = measured(sys.executable, ASK.format(since=until.isoformat(), home=str(folder / "home")))
        print(f"diagnose {rows:,} × 20: {cost.cpu_s:.2f} CPU-seconds, {cost.peak_mib:.0f} MiB")


if __name__ == "__main__":
    main()
