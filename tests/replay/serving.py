"""A recorded app of hand-written steps, as it serves; `make(fault)` is the same code with one thing changed."""

from __future__ import annotations

import math
import random
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

SOURCE = """
import math, random
import whimbrel

recorder = whimbrel.Recorder("rides", home=HOME)
CITIES = ["amsterdam", "bern", "cairo", "delhi", "essen"]
FARES = {}

@recorder.step
def clean(km, minutes, city):
    return {"km": km if km is not None else 3.0, "minutes": minutes, "city": city.strip().lower()}

@recorder.step
def scale(row):
    return {"km": (row["km"] - 4.0) / 2.5, "minutes": (row["minutes"] - 20.0) / 9.0}

@recorder.step
def encode(row, hour, weekday):
    return {"city": CITIES.index(row["city"]), "hour": hour % 24, "weekday": weekday, "bucket": int(row["minutes"] // 5)}

@recorder.step("calibrate")
def calibrate(raw):
    return 1 / (1 + math.exp(-1.2 * raw + 0.1))

def predict(km, minutes, city, hour, weekday, country=None):
    row = clean(km, minutes, city)
    scaled = scale(row)
    coded = encode(row, hour, weekday)
    base = recorder.read("base_fare", lambda: FARES[city])
    raw = 0.8 * scaled["km"] + 0.5 * scaled["minutes"] - 0.1 * coded["city"] + 0.02 * coded["hour"]
    raw += 0.1 * coded["weekday"] + 0.05 * coded["bucket"] + 0.1 * base - 0.8
    score = calibrate(raw)
    p = recorder.current
    if p is not None:
        p.output(score)
        p.decision("accept" if score >= 0.5 else "refuse")
    return score
"""


def write(folder: Path, *changes: tuple[str, str], name: str = "train") -> Path:
    """Write the app's code with changes, each of which must be one; its file."""
    text = SOURCE
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path = folder / f"{name}.py"
    path.write_text(text.replace("HOME", "None"))
    return path


def app(home: Path, *changes: tuple[str, str]) -> types.SimpleNamespace:
    """The running app, with changes."""
    text = SOURCE
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    space: dict[str, Any] = {"HOME": str(home), "__name__": "serving"}
    exec(compile(text, "serving", "exec"), space)
    return types.SimpleNamespace(**space)


def inputs(rng: random.Random) -> dict[str, Any]:
    """One ride."""
    return {
        "km": None if rng.random() < 0.1 else round(rng.lognormvariate(1.2, 0.6), 2),
        "minutes": round(rng.uniform(2, 60), 1), "city": rng.choice(["Amsterdam", "Bern ", "Cairo", "Delhi", "Essen"]),
        "hour": rng.randrange(24), "weekday": rng.randrange(7),
    }  # fmt: skip


def serve(one: types.SimpleNamespace, n: int, *, start: float, seed: int, host: Callable[[int], str]) -> None:
    """Record `n` rides, one a minute."""
    rng = random.Random(seed)
    for city in ("Amsterdam", "Bern ", "Cairo", "Delhi", "Essen"):
        one.FARES[city] = rng.random()
    for i in range(n):
        ride = inputs(rng)
        one.FARES[ride["city"]] += rng.gauss(0, 0.01)  # the world moves on: a replay must not ask it again
        with one.recorder.prediction(ride, ts=start + 60 * i, country="CH", host=host(i)):
            one.predict(**ride)
    assert math.isfinite(start)
