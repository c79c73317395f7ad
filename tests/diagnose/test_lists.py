"""Fields that are lists: what breaks in one item is found, and named by the field."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from whimbrel.diagnose import diagnose_rows
from whimbrel.model.fields import Kind, Schema
from whimbrel.model.rows import Categories, Column, Numbers, Rows

HOUR_US = 3_600_000_000
SCHEMA = Schema.from_pairs([
    ("context.region", Kind.TEXT), ("inputs.vector", Kind.NUMBERS), ("inputs.size", Kind.NUMBER), ("steps.embed.values", Kind.NUMBERS),
    ("outputs.score", Kind.NUMBER), ("decision", Kind.TEXT),
])  # fmt: skip
Break = Callable[[np.ndarray], np.ndarray]


def _rows(days: range, seed: int, field: str = "", item: int = 0, broken: Break | None = None) -> Rows:
    """Vectors of three, and what is made of them; one item is broken in one region from the window's tenth hour on."""
    rng = np.random.default_rng(seed)
    n = 1_500 * len(days)
    ts = np.sort(rng.integers(days.start * 24 * HOUR_US, days.stop * 24 * HOUR_US, n))
    region = rng.integers(0, 4, n)
    there = (region == 1) & (ts >= (days.start * 24 + 10) * HOUR_US)
    size = rng.gamma(3, 2, n).round(2)
    vector = [np.exp(rng.normal(2 + k, 0.6, n)).round(2) for k in range(3)]
    if broken is not None and field == "inputs.vector":
        vector[item] = np.where(there, broken(vector[item]), vector[item])
    made = [np.log1p(vector[0]) / 2, vector[1] / (1 + vector[2])]
    if broken is not None and field == "steps.embed.values":
        made[item] = np.where(there, broken(made[item]), made[item])
    score = 1 / (1 + np.exp(-(np.nan_to_num(made[0]) + 0.2 * np.nan_to_num(made[1]) + 0.05 * size - 2)))
    columns: dict[str, Column] = {
        "context.region": Categories(region, ("north", "south", "east", "west")), "inputs.size": Numbers(size),
        "outputs.score": Numbers(score.round(5)), "decision": Categories((score > 0.6).astype(np.int64), ("no", "yes")),
        **{f"inputs.vector[{k}]": Numbers(values) for k, values in enumerate(vector)},
        **{f"steps.embed.values[{k}]": Numbers(values.round(5)) for k, values in enumerate(made)},
    }  # fmt: skip
    return Rows(tuple(f"{seed}-{i}" for i in range(n)), ts, columns, n)


@pytest.mark.parametrize(
    ("field", "item", "broken"),
    [
        ("inputs.vector", 0, lambda x: 100 * x), ("inputs.vector", 0, lambda x: 0 * x), ("inputs.vector", 1, np.round),
        ("inputs.vector", 0, lambda x: np.where(np.arange(x.size) % 2, np.nan, x)), ("steps.embed.values", 0, lambda x: x + 3),
        ("steps.embed.values", 1, lambda x: x + 3), ("steps.embed.values", 1, lambda x: 0 * x),
    ],
)  # fmt: skip
def test_an_item_that_breaks_is_named_by_its_field(field: str, item: int, broken: Break) -> None:
    """Times a hundred, one value, lost digits, nulls, shifted: none ends in an error."""
    report = diagnose_rows(_rows(range(10), 2), _rows(range(10, 12), 3, field, item, broken), SCHEMA, app="vectors")
    first = report.findings[0]
    assert (report.verdict, first.component) == ("fault", field), report.sentence
    assert {c.path: c.value for c in first.where} == {"context.region": "south"}


def test_lists_that_are_as_ever_are_healthy() -> None:
    assert diagnose_rows(_rows(range(10), 2), _rows(range(10, 12), 3), SCHEMA, app="vectors").verdict == "healthy"


TAGGED = Schema.from_pairs([
    ("context.channel", Kind.TEXT), ("inputs.drugs", Kind.TEXTS), ("inputs.age", Kind.NUMBER), ("outputs.score", Kind.NUMBER),
    ("decision", Kind.TEXT),
])  # fmt: skip


def _prescribed(days: range, seed: int, event: str = "") -> Rows:
    """Lists of drugs, as many as chance has it; from the window's tenth hour on one channel sends the first alone, or is asked by healthier people."""
    rng = np.random.default_rng(seed)
    n = 700 * len(days)
    ts = np.sort(rng.integers(days.start * 24 * HOUR_US, days.stop * 24 * HOUR_US, n))
    channel = rng.integers(0, 3, n)
    there = (channel == 1) & (ts >= (days.start * 24 + 10) * HOUR_US)
    many = np.minimum(rng.poisson(np.where(there & (event == "healthier"), 0.5, 1.3)), 6)
    many = np.where(there & (event == "first"), np.minimum(many, 1), many).astype(float)
    age = rng.uniform(20, 80, n).round()
    score = (0.1 * many + age / 100).round(3)
    columns: dict[str, Column] = {
        "context.channel": Categories(channel, ("web", "desk", "agent")), "inputs.drugs#length": Numbers(many), "inputs.age": Numbers(age),
        "outputs.score": Numbers(score), "decision": Categories((score > 0.6).astype(np.int64), ("no", "yes")),
    }  # fmt: skip
    return Rows(tuple(f"{seed}-{i}" for i in range(n)), ts, columns, n)


@pytest.mark.parametrize("event", ["", "healthier", "first"])
def test_lists_that_all_end_where_golden_s_went_on_are_cut(event: str) -> None:
    report = diagnose_rows(_prescribed(range(10), 2), _prescribed(range(10, 12), 3, event), TAGGED, app="drugs")
    assert (report.verdict == "fault") == (event == "first"), report.sentence
    if event == "first":
        first = report.findings[0]
        assert (first.layer, first.component, [str(c) for c in first.where]) == (
            "data",
            "inputs.drugs",
            ["context.channel=desk"],
        )
        assert "no list is longer than 1 any more" in first.what
