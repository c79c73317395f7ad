"""`python -m whimbrel.drill`: many cases at once, the score as text on standard output."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from whimbrel.drill.run import run
from whimbrel.drill.score import text
from whimbrel.errors import WhimbrelError


def _progress(done: int, n: int, name: str) -> None:
    end = "\n" if done == n else ""
    print(f"\r{done} of {n}  {name:<20}", end=end, file=sys.stderr)  # noqa: T201


def main() -> int:
    """Read the arguments, run, print."""
    parser = argparse.ArgumentParser(prog="python -m whimbrel.drill", description=__doc__)
    parser.add_argument("--faults", help="ids with commas between: D02,F12,M01", type=lambda s: s.split(","))
    parser.add_argument("--severity", default="medium")
    parser.add_argument("--slice", dest="where", choices=("all", "one", "two"))
    parser.add_argument("--n", type=int)
    parser.add_argument("--untouched", type=int, default=24)
    parser.add_argument("--golden-days", type=int, default=28)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--json", action="store_true")
    asked = vars(parser.parse_args())
    as_json = asked.pop("json")
    try:
        score = run(**asked, progress=_progress)
    except WhimbrelError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return error.exit_code
    print(json.dumps(score.to_dict(), indent=1) if as_json else text(score))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
