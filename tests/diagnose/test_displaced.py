"""Another request's values: handed out one place off, or kept by a log that lags a record behind."""

from __future__ import annotations

import numpy as np
import pytest

from whimbrel.diagnose import diagnose_rows
from whimbrel.model.fields import Kind, Schema
from whimbrel.model.report import Report
from whimbrel.model.rows import Categories, Column, Numbers, Rows

HOUR_US = 3_600_000_000
HOSTS = ("box-1", "box-2", "box-3")
SCHEMA = Schema.from_pairs([
    ("inputs.age", Kind.NUMBER), ("inputs.pulse", Kind.NUMBER), ("steps.ratio.index", Kind.NUMBER), ("steps.scale.age", Kind.NUMBER),
    ("outputs.score", Kind.NUMBER), ("decision", Kind.TEXT), ("hardware.host", Kind.TEXT),
])  # fmt: skip


def _rows(days: range, seed: int, wrong: str = "") -> Rows:
    """Patients; from the window's noon on, on one host, what `wrong` names is that of the patient before, or anybody's."""
    rng = np.random.default_rng(seed)
    n = 1_200 * len(days)
    ts = np.sort(rng.integers(days.start * 24 * HOUR_US, days.stop * 24 * HOUR_US, n))
    host = rng.integers(0, 3, n)
    age, pulse = rng.integers(18, 95, n).astype(float), rng.normal(85, 15, n).round()
    made = {"index": pulse / (age + 60), "scaled": (age - 52) / 21}
    made["score"] = 1 / (1 + np.exp(-(2.5 * made["index"] + 1.4 * made["scaled"] - 2)))
    line = np.flatnonzero((host == 1) & (ts >= (days.start * 24 + 12) * HOUR_US))
    for name in {"batch": ["score"], "log": list(made), "shuffled": ["score"]}.get(wrong, []):
        own = made[name][line]
        made[name][line] = rng.permutation(own) if wrong == "shuffled" else np.roll(own, 1)
    columns: dict[str, Column] = {
        "inputs.age": Numbers(age), "inputs.pulse": Numbers(pulse), "steps.ratio.index": Numbers(made["index"].round(4)),
        "steps.scale.age": Numbers(made["scaled"].round(4)), "outputs.score": Numbers(made["score"].round(5)),
        "decision": Categories((made["score"] > 0.6).astype(np.int64), ("wait", "now")), "hardware.host": Categories(host, HOSTS),
    }  # fmt: skip
    return Rows(tuple(f"{seed}-{i}" for i in range(n)), ts, columns, n)


def _asked(wrong: str) -> Report:
    return diagnose_rows(_rows(range(10), 2), _rows(range(10, 12), 3, wrong), SCHEMA, app="triage")


@pytest.mark.parametrize(("wrong", "layer", "component"), [
    ("batch", "serving", "outputs.score"), ("log", "recorder", "recorder.record"), ("shuffled", "hardware", "hardware.host"),
])  # fmt: skip
def test_whose_they_are_says_who_mixed_them_up(wrong: str, layer: str, component: str) -> None:
    """An answer alone is handed out wrongly; steps and answers are written down wrongly; anybody's come from a broken machine."""
    first = _asked(wrong).findings[0]
    assert (first.layer, first.component) == (layer, component)
    assert [(c.path, c.value) for c in first.where] == [("hardware.host", "box-2")]
    assert ("those of the request before it of the same host" in first.what) is (wrong != "shuffled")
