"""A fingerprint changes when the code or a parameter does, and for no other reason."""

from __future__ import annotations

import functools
import pickle
import re
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from whimbrel.record import Recorder, fingerprint

from .readback import run

BASE = '''
import math
import numpy as np
import re
TABLE = {"B": 1.0, "A": 2.0, "C": {"deep": [1, 2, (3, 4)]}}
ZONES = {"x", "y", "z"}
PATTERN = re.compile(r"\\d+")
GRID = np.arange(6.0)
OTHER = 1

def helper(x):
    return x * 2

class Scaler:
    """Scales."""
    def __init__(self, by): self.by = by
    def apply(self, x):
        return x / self.by

SCALER = Scaler(3)

def made(power):
    def inner(x): return x ** power
    return inner

cube = made(3)

def step(x, rate=0.5, *, clip=9):
    """Doc."""
    # a comment
    y = helper(x) + TABLE["B"] * rate
    if PATTERN.match("1") and "x" in ZONES:
        y = math.sqrt(abs(y)) + GRID[0]
    return cube(min(y, clip)) + SCALER.apply(1) + sum(z for z in (1, 2))
'''

counter = iter(range(10_000))


def load(tmp_path: Path, source: str) -> ModuleType:
    """The source as a freshly imported module."""
    name = f"fingerprinted_{next(counter)}"
    path = tmp_path / f"{name}.py"
    path.write_text(source)
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def print_of(tmp_path: Path, source: str) -> str:
    return fingerprint(load(tmp_path, source).step)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# a comment", "# quite another, and\n\n    # longer"), ('"""Doc."""', '"""Other words."""'), ('    """Doc."""\n', ""),
        ('    """Scales."""\n', ""), ("y = helper(x) + TABLE", "y = (helper( x )\n      + TABLE"), ("OTHER = 1", "OTHER = 2"),
        ("def step(x, rate=0.5", "def step(x: float, rate: float = 0.5"), ("    y = helper", "    y: float = helper"),
        ('"B": 1.0, "A": 2.0', '"A": 2.0, "B": 1.0'), ('{"x", "y", "z"}', '{"z", "x", "y"}'), ("def helper(x):", "def helper(x):\n    # hm"),
        ("OTHER = 1", "OTHER = 1\n\n\n\n\n"), ("rate=0.5, *, clip=9)", "rate=0.5, *,\n         clip=9)"),
    ],
)  # fmt: skip
def test_what_changes_nothing_changes_no_fingerprint(old: str, new: str, tmp_path: Path) -> None:
    source = BASE.replace(old, new)
    if new.startswith("y = (helper"):
        source = source.replace('TABLE["B"] * rate', 'TABLE["B"] * rate)')
    assert source != BASE
    assert print_of(tmp_path, source) == print_of(tmp_path, BASE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("* rate", "* rate * 1"), ("rate=0.5", "rate=0.51"), ("clip=9", "clip=8"), ('"B": 1.0', '"B": 1.5'), ("x * 2", "x * 3"),
        ("(3, 4)", "(3, 5)"), ('"x", "y", "z"', '"x", "y", "w"'), (r"\d+", r"\w+"), ("arange(6.0)", "arange(7.0)"),
        ("made(3)", "made(4)"), ("Scaler(3)", "Scaler(4)"), ("x / self.by", "x // self.by"), ('"B": 1.0', '"B": 1'),
        ("abs(y)", "(y)"), ("for z in (1, 2)", "for z in (1, 3)"), ('"deep": [1, 2', '"deep": [2, 1'), ("x ** power", "x ** -power"),
        ("GRID = np.arange(6.0)", "GRID = np.arange(6.0, dtype='f4')"), ("math.sqrt", "math.cbrt"), ("if PATTERN", "while PATTERN"),
        ('"x" in ZONES', '"x" not in ZONES'), ("min(y, clip)", "max(y, clip)"), ("self.by = by", "self.by = by + 0"),
    ],
)  # fmt: skip
def test_what_changes_the_result_changes_the_fingerprint(old: str, new: str, tmp_path: Path) -> None:
    assert old in BASE
    assert print_of(tmp_path, BASE.replace(old, new)) != print_of(tmp_path, BASE)


def test_it_is_the_same_in_every_process_and_under_every_hash_seed(tmp_path: Path) -> None:
    path = tmp_path / "app.py"
    path.write_text(
        BASE
        + "\nif __name__ == '__main__':\n    from whimbrel.record import fingerprint\n    print(fingerprint(step))\n"
    )
    as_main = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__')"
    as_module = (
        "import sys; sys.path.insert(0, sys.argv[1]); import app\n"
        "from whimbrel.record import fingerprint; print(fingerprint(app.step))"
    )
    found = {run(as_main, path, env={"PYTHONHASHSEED": seed}) for seed in ("0", "77")}
    found |= {run(as_module, tmp_path, env={"PYTHONHASHSEED": "5", "PYTHONDONTWRITEBYTECODE": "1"})}
    found |= {print_of(tmp_path, BASE) + "\n"}
    assert len(found) == 1
    assert re.fullmatch(r"f1-[0-9a-f]{16}\n", found.pop())


def test_helpers_in_the_apps_own_modules_count_wherever_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_folder(number: int, helper: str) -> str:
        folder = tmp_path / f"{number}" / "site-packages" / "shop"
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("")
        (folder / "features.py").write_text(f"FACTOR = 2\ndef clean(x):\n    return {helper}\n")
        (folder / "steps.py").write_text("from shop import features\ndef step(x):\n    return features.clean(x)\n")
        code = "import sys; sys.path.insert(0, sys.argv[1])\nfrom shop.steps import step\nfrom whimbrel.record import fingerprint; print(fingerprint(step))"
        return run(code, folder.parent)

    assert in_folder(1, "x * FACTOR") == in_folder(2, "x * FACTOR") != in_folder(3, "x * FACTOR + 1")


def test_an_installed_library_counts_by_name(tmp_path: Path) -> None:
    source = "import numpy as np\nfrom sklearn.preprocessing import scale\ndef step(x):\n    return np.linalg.norm(scale(x))\n"
    assert print_of(tmp_path, source) == print_of(tmp_path, source)
    assert print_of(tmp_path, source) != print_of(tmp_path, source.replace("linalg.norm", "linalg.det"))


def test_lambdas_in_one_line_are_told_apart(tmp_path: Path) -> None:
    source = "pair = (lambda x: x + 1, lambda x: x + 2)\nfirst, second = pair\nagain = lambda y: (\n    y + 1)\n"
    module = load(tmp_path, source)
    assert fingerprint(module.first) != fingerprint(module.second)
    other = load(tmp_path, "# moved\n\n" + source.replace("x + 1, lambda x: x + 2", "x+1,  lambda x:x+2"))
    assert fingerprint(other.first) == fingerprint(module.first)
    assert fingerprint(other.second) == fingerprint(module.second)


def test_without_source_it_is_the_bytecode() -> None:
    def made(source: str) -> Callable[..., Any]:
        names: dict[str, Any] = {}
        exec(source, names)
        step: Callable[..., Any] = names["step"]
        return step

    first = fingerprint(made("def step(x): return {x + 1 for _ in (1, 2)}"))
    assert first.startswith("b1-")
    assert fingerprint(made("\n\ndef step(x):\n    return {x + 1 for _ in (1, 2)}")) == first
    assert fingerprint(made("def step(x): return {x + 2 for _ in (1, 2)}")) != first


def test_wrappers_methods_and_partials_count_with_what_they_hold(tmp_path: Path) -> None:
    source = """
import functools
def times(k):
    def wrap(f):
        @functools.wraps(f)
        def inner(*a): return k * f(*a)
        return inner
    return wrap
@times(2)
def step(x): return x + 1
@functools.lru_cache
def cached(x): return x + 1
class Model:
    def __init__(self, w): self.w = w
    def predict(self, x): return self.w * x
model = Model(2)
"""
    one, two = (
        load(tmp_path, source),
        load(tmp_path, source.replace("times(2)", "times(3)").replace("Model(2)", "Model(3)")),
    )
    assert fingerprint(one.step) != fingerprint(two.step)
    assert fingerprint(one.model.predict) != fingerprint(two.model.predict)
    assert fingerprint(one.cached) == fingerprint(two.cached)
    assert fingerprint(functools.partial(one.cached, 1)) != fingerprint(functools.partial(one.cached, 2))
    three = load(tmp_path, source.replace("return x + 1", "return x + 3"))
    assert fingerprint(one.step) != fingerprint(three.step)
    assert fingerprint(one.cached) != fingerprint(three.cached)


def fitted(seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(60, 3)), rng.integers(0, 2, 60)
    simple = make_pipeline(StandardScaler(), LogisticRegression())
    return [model.fit(x, y) for model in (simple, RandomForestClassifier(3, random_state=0))]


def test_fitted_estimators_count_by_what_they_learned() -> None:
    ones, twos = fitted(0), fitted(1)
    for one, again, other in zip(ones, fitted(0), twos, strict=True):
        assert fingerprint(one) == fingerprint(again) == fingerprint(pickle.loads(pickle.dumps(one)))
        assert fingerprint(one) != fingerprint(other)
    assert len({fingerprint(model) for model in (*ones, *twos)}) == 4
    before = fingerprint(ones[0])
    weights = ones[0][-1].coef_
    weights[0, 0] = np.nextafter(weights[0, 0], 1)
    assert fingerprint(ones[0]) != before


def test_an_estimator_is_the_same_in_another_process(tmp_path: Path) -> None:
    path = tmp_path / "model.pickle"
    models = fitted(0)[:1]
    path.write_bytes(pickle.dumps(models))
    code = """if True:
        import pathlib, pickle, sys; from whimbrel.record import fingerprint
        for model in pickle.loads(pathlib.Path(sys.argv[1]).read_bytes()): print(fingerprint(model))
    """
    assert run(code, path, env={"PYTHONHASHSEED": "9"}).split() == [fingerprint(model) for model in models]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [1, 3]})), (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]})),
        (pd.Series(["x", "y"]), pd.Series(["x", "z"])), (scipy.sparse.eye(3).tocsr(), scipy.sparse.eye(4).tocsr()),
        (np.zeros(3), np.zeros((3, 1))), (np.array(["a", None], dtype=object), np.array(["a", 1], dtype=object)),
        (1, 1.0), (1, True), ("1", 1), (b"1", "1"), ([1, 2], (1, 2)), ([[1], 2], [1, [2]]), ({"a": 1}, {"a": None}), ({1}, [1]),
        (list(range(1000)), [*range(999), 0]), (dict.fromkeys(map(str, range(500))), dict.fromkeys(map(str, range(499)))),
        (Path("/a"), Path("/b")), (re.compile("a"), re.compile("a", re.IGNORECASE)), (float("nan"), 0.0), (0.0, -0.0), (10**900, 10**900 + 1),
    ],
)  # fmt: skip
def test_values_that_differ_have_different_fingerprints(one: Any, other: Any) -> None:
    import copy

    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(copy.deepcopy(one)) == fingerprint(one)


def test_long_plain_tables_count_to_the_last_entry_in_any_order() -> None:
    table = {f"zone {i}": i * 0.5 for i in range(50_000)}
    assert fingerprint(dict(reversed(table.items()))) == fingerprint(table)
    assert fingerprint({**table, "zone 49999": 0.0}) != fingerprint(table)


def test_cycles_and_refusals_end() -> None:
    ring: list[Any] = [1]
    ring.append(ring)

    class Refuses:
        def __getattribute__(self, name: str) -> Any:
            raise RuntimeError(name)

    def even(n: int) -> bool:
        return n == 0 or odd(n - 1)

    def odd(n: int) -> bool:
        return n != 0 and even(n - 1)

    for value in (ring, Refuses(), even, object(), open, sys, type, print, iter(())):
        assert fingerprint(value) == fingerprint(value)
    assert fingerprint(even) != fingerprint(odd)


def test_a_steps_fingerprint_is_taken_once_and_is_no_part_of_its_time(tmp_path: Path) -> None:
    from .readback import records

    recorder = Recorder("fares", home=tmp_path / "home")
    table: dict[str, Any] = {f"zone {i}": object() for i in range(5000)}
    step: Any = recorder.step("look_up")(lambda: len(table))
    with recorder.prediction({}):
        step()
        recorder.step("next", 1)
    table["zone 0"] = 1
    with recorder.prediction({}):
        step()
    first, second = records(tmp_path / "home")
    assert first["code.look_up"] == second["code.look_up"]
    assert first["spans.total"] < 5
    assert first["spans.next"] < 5
