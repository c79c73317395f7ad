"""Models load beside other work."""

from __future__ import annotations

import subprocess
import sys

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
