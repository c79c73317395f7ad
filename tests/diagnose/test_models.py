"""Models load beside other work, and what they only have at hand stays away until somebody uses it."""

from __future__ import annotations

import subprocess
import sys

from whimbrel.diagnose.abreast import abreast

WITHOUT = """
import sys
from whimbrel.diagnose import models
models.begin()
models.ready()
import sklearn.ensemble
assert "pandas" not in sys.modules
import pandas
print(pandas.DataFrame({"a": [1, 2]})["a"].sum(), type(pandas).__name__)
"""

MEANWHILE = """
import sys
from whimbrel.diagnose.models import _put_off
with _put_off("pandas"):
    import pandas as early
    assert type(early).__name__ == "_Later"
    from pandas import Series
    assert type(sys.modules["pandas"]).__name__ == "module"
import pandas
print(early.DataFrame is pandas.DataFrame and Series is pandas.Series)
"""


def said(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_models_load_without_pandas_which_is_there_for_who_asks() -> None:
    assert said(WITHOUT) == "3 module"


def test_who_imports_it_meanwhile_gets_the_real_one() -> None:
    assert said(MEANWHILE) == "True"


def test_answers_come_in_the_order_of_their_parts() -> None:
    assert abreast(lambda i: i * i, range(100)) == [i * i for i in range(100)]
    assert abreast(str, []) == []
