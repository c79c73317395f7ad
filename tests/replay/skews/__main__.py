"""`python -m tests.replay.skews [table|heldout [NAME…]]`: plant skews, replay, and print what was found."""

from __future__ import annotations

import importlib
import sys
import tempfile
import time
from pathlib import Path

from tests.replay.skews.worlds import alarms, record, scores


def main() -> int:
    """Print the scoreboard; 1 where an honest replay is reported."""
    which = importlib.import_module(f"tests.replay.skews.{sys.argv[1] if len(sys.argv) > 1 else 'table'}")
    chosen = sys.argv[2:]
    skews = [one for one in which.SKEWS if not chosen or one.name in chosen]
    honest = [one for one in which.HONEST if not chosen or one.name in chosen]
    began = time.process_time()
    with tempfile.TemporaryDirectory(prefix="whimbrel-skews-") as folder:
        log = record(Path(folder), skews, honest)
        recorded = time.process_time() - began
        found = list(scores(log, skews))
        wrong = list(alarms(log, honest))
    for one in found:
        marks = "".join(
            sign if ok else "-" for sign, ok in zip("scwa", (one.step, one.column, one.words, one.alone), strict=True)
        )
        print(f"{marks}  {one.app:8} {one.name:32} {one.n:4}  {one.path:28} {one.shape[:70]}  {one.whom}")
    for name, said in wrong:
        print(f"{'ALARM' if said else 'quiet'}  {name}  {said[:200]}")
    n = len(found)
    print(f"right step {sum(s.step for s in found)} of {n}, right column {sum(s.column for s in found)}, shape in words "
          f"{sum(s.words for s in found)}, nothing else blamed {sum(s.alone for s in found)}; "
          f"{sum(bool(said) for _, said in wrong)} of {len(wrong)} honest replays reported; "
          f"CPU {recorded:.0f} s recording, {time.process_time() - began - recorded:.0f} s replaying")  # fmt: skip
    return int(any(said for _, said in wrong))


if __name__ == "__main__":
    raise SystemExit(main())
