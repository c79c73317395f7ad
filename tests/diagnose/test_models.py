"""Models load where one is fitted, beside other work, and are fitted on one thread."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from whimbrel.diagnose import models

LOADED = """
import sys, threading
from whimbrel.diagnose import models
assert "sklearn.ensemble" not in sys.modules
models.begin()
models.begin()
models.ready()
from sklearn.ensemble import HistGradientBoostingRegressor
models.begin()
for thread in threading.enumerate():
    if thread is not threading.current_thread():
        thread.join()
print(HistGradientBoostingRegressor.__name__)
"""


def test_models_are_there_when_they_are_needed_however_often_they_were_asked_for() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOADED], capture_output=True, text=True, check=True, timeout=60
    )
    assert (done.stdout.strip(), done.stderr) == ("HistGradientBoostingRegressor", "")


LIMITED = """
import sys
from threadpoolctl import ThreadpoolController
from whimbrel.diagnose import models
{before}
with models.on_one_thread():
    {within}
    from sklearn.utils._openmp_helpers import _openmp_effective_n_threads as threads
    held = threads()
    pools = {{pool["num_threads"] for pool in ThreadpoolController().info()}}
print(held, sorted(pools), threads() > 1 or 1 == __import__("os").cpu_count())
"""


@pytest.mark.parametrize(
    ("before", "within"),
    [("", "models.ready()"), ("models.begin()", "models.ready()"), ("models.ready()", "pass"), ("", "models.begin(); models.ready(); models.ready()")],
    ids=["loaded within", "still loading", "loaded before", "asked for twice"],
)  # fmt: skip
def test_models_are_fitted_on_one_thread_whenever_they_were_loaded_and_the_limit_ends(before: str, within: str) -> None:
    code = LIMITED.format(before=before, within=within)
    free = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60, env=free
    )
    assert (done.stdout.strip(), done.stderr) == ("1 [1] True", "")


def test_whoever_fits_has_the_models_made_ready_first() -> None:
    room = Path(models.__file__).parent
    for path in room.glob("*.py"):
        lines = path.read_text().splitlines()
        for before, line in zip(["", *lines], lines, strict=False):
            assert not re.match(r"\s*(from|import) sklearn", line) or before.strip() == "models.ready()", path


NOTHING_TELLS = """
import sys
import numpy as np
from tests.diagnose.test_hopes import N, RNG, X, CODES, HOURS
from datetime import datetime, timedelta, UTC
from whimbrel.diagnose import diagnose
ts = [datetime(2026, 1, 5, tzinfo=UTC) + timedelta(hours=int(h)) for h in HOURS]
table = {f"inputs.x{j}": X[:, j] for j in range(12)}
score = RNG.random(N) if "score" in sys.argv else 1 / (1 + np.exp(-X.sum(axis=1) - 0.3 * RNG.normal(size=N)))
table |= {"inputs.code": np.array(list("abcde"))[CODES], "outputs.score": score, "decision": np.where(score > 0.5, "yes", "no")}
table |= {"label": (RNG.random(N) < 0.3).astype(float), "label_ts": [t + timedelta(hours=1) for t in ts]}
import pyarrow
flat = pyarrow.table({"id": [str(i) for i in range(N)], "ts": ts, **table})
before = "sklearn" in sys.modules
report = diagnose(flat.slice(0, 24_000), flat.slice(24_000))
print(before, report.verdict, "sklearn" in sys.modules)
"""


@pytest.mark.parametrize(("argument", "loads"), [("score", False), ("told", True)])
def test_models_are_loaded_only_where_some_field_tells_of_another(argument: str, loads: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", NOTHING_TELLS, argument], capture_output=True, text=True, timeout=120
    )
    assert (done.stdout.split(), done.stderr) == (["False", "healthy", str(loads)], "")
