"""A model with two heads on three hosts: which of machine, model and record it is that is wrong on one of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from whimbrel.diagnose import diagnose
from whimbrel.drill.table import to_arrow

START, HOUR = 1_790_000_000 // 86_400 * 86_400, 3_600


def _minutes(n: int, seed: int, start_hour: float, hours: float, how: str = "") -> dict[str, Any]:
    """Minutes that an order takes, and with what is added for safety; on host h2 something is wrong after the first quarter."""
    rng = np.random.default_rng(seed)
    ts = START + HOUR * (start_hour + np.sort(rng.random(n)) * hours)
    weight, items = np.round(rng.gamma(3, 2, n), 2), rng.integers(1, 9, n).astype(float)
    far, host = np.round(rng.gamma(2, 4, n), 1), rng.choice(["h1", "h2", "h3"], n).astype(object)
    hit = (host == "h2") & (np.arange(n) > n // 4)
    hour = (ts % 86_400 // HOUR).astype(np.int64).astype(float)
    if how == "machine":
        wrong = rng.gamma(1, 8, n)
    middle = 4 + 1.5 * np.sqrt(weight) + items * (1 + 0.05 * far) + 0.3 * np.abs(hour - 12)
    upper = middle * (1.3 + 0.02 * far)
    if how == "coarse":
        middle, upper = np.where(hit, np.round(middle / 8) * 8, middle), np.where(hit, np.round(upper / 8) * 8, upper)
    if how == "machine":
        middle = np.where(hit, middle + wrong, middle)
    if how == "half":  # a part of the trees: nearer to the middle, and not quite in order
        left = 14 + 0.6 * (middle - 14) + np.sin(40 * weight)
        middle, upper = np.where(hit, left, middle), np.where(hit, left * (1.3 + 0.02 * far), upper)
    if how == "anybody":
        middle = np.where(hit, rng.permutation(middle), middle)
    if how in ("head", "crossed"):
        middle, upper = (middle, np.where(hit, middle, upper)) if how == "head" else _crossed(middle, upper, hit)
    decision = np.where(middle > 20, "late", np.where(upper > 24, "tight", "soon")).astype(object)
    if how == "record":
        middle, upper = _crossed(middle, upper, hit)
    if how == "stamp":
        ts = np.where(hit, (ts // 4_500 + 1) * 4_500, ts)
    return {
        "id": np.array([f"{seed}-{i}" for i in range(n)], dtype=object), "ts": ts, "hardware.host": host,
        "inputs.weight": weight, "inputs.items": items, "inputs.far": far, "steps.calendar.hour": hour,
        "outputs.minutes": np.round(middle, 2), "outputs.upper": np.round(upper, 2), "decision": decision,
    }  # fmt: skip


def _crossed(one: Any, other: Any, hit: Any) -> tuple[Any, Any]:
    return np.where(hit, other, one), np.where(hit, one, other)


@pytest.mark.parametrize(
    ("how", "layer", "component", "words"),
    [
        ("record", "recorder", "recorder.record", "written in the other's column"),
        ("crossed", "model", "outputs.", ""),
        ("head", "model", "outputs.upper", ""),
        ("coarse", "model", "outputs.", ""),
        ("machine", "hardware", "hardware.host", "on this host"),
        ("half", "model", "outputs.", ""),
        ("anybody", "hardware", "hardware.host", "on this host"),
        ("stamp", "recorder", "ts", "many records bear one time"),
    ],
)
def test_what_is_wrong_on_one_host(how: str, layer: str, component: str, words: str) -> None:
    report = diagnose(to_arrow(_minutes(9_000, 1, 0, 240)), to_arrow(_minutes(3_000, 2, 240, 48, how)))
    assert report.findings, report.sentence
    found = report.findings[0]
    assert (found.layer, found.component[: len(component)]) == (layer, component), report.sentence
    assert [str(c) for c in found.where] == ["hardware.host=h2"], report.sentence
    assert words in report.sentence
