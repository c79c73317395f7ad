"""Models load beside other work, and parts of one piece of work are done beside each other."""

from __future__ import annotations

import subprocess
import sys

import pytest

from whimbrel.diagnose.abreast import abreast

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


def test_answers_come_in_the_order_of_their_parts() -> None:
    assert abreast(lambda i: i * i, range(100)) == [i * i for i in range(100)]
    assert abreast(str, []) == []


def test_what_a_part_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        abreast(lambda i: 1 / i, [2, 1, 0, 3])
