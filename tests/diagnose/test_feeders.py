"""Who is asked about comes again every hour: what one of many does is its own, and a place's weather is the weather's."""

from __future__ import annotations

import numpy as np
import pytest

from whimbrel.diagnose import diagnose_rows
from whimbrel.model.fields import Kind, Schema
from whimbrel.model.report import Report
from whimbrel.model.rows import Categories, Column, Numbers, Rows

HOUR_US = 3_600_000_000
REGIONS, FEEDERS = ("coast", "hills", "north", "plain", "south"), 70
SCHEMA = Schema.from_pairs([
    ("inputs.feeder", Kind.TEXT), ("inputs.hour", Kind.NUMBER), ("inputs.temperature", Kind.NUMBER), ("inputs.outages", Kind.NUMBER),
    ("steps.derived.heating", Kind.NUMBER), ("outputs.load", Kind.NUMBER), ("decision", Kind.TEXT), ("context.region", Kind.TEXT),
])  # fmt: skip


def _hourly(days: range, seed: int, event: str = "") -> Rows:
    """Each feeder once an hour; from the window's second day on the event: one feeder's, the weather's, or the master data's."""
    world, rng = np.random.default_rng(5), np.random.default_rng(seed)
    hours = np.arange(days.start * 24, days.stop * 24)
    feeder = np.tile(np.arange(FEEDERS), hours.size)
    hour = np.repeat(hours, FEEDERS)
    region = np.arange(FEEDERS) % len(REGIONS)
    level = np.array([14.0, 9.0, 11.0, 13.0, 16.0])
    moved = np.cumsum(rng.normal(0, 0.25, (hours.size, len(REGIONS))), axis=0)
    moved -= np.linspace(0, 1, hours.size)[:, None] * moved[-1]
    late = hour >= (days.start + 1) * 24
    if event == "weather":
        front = np.clip((hours - (days.start + 1) * 24) / 8, 0, 1) * 8.0
        moved[:, 1] += front
    warm = 4 * np.sin((hours % 24 - 8) / 24 * 2 * np.pi)
    temperature = (level + moved + warm[:, None])[:, region].ravel().round(1).astype(np.float64)
    outages = 12 + world.permutation(FEEDERS)[feeder]
    outages = outages + (np.repeat(hours // 60, FEEDERS) + feeder) % 3
    if event == "one feeder":
        lowest = int(np.argmin(outages[:FEEDERS]))
        outages = np.where((hour >= days.stop * 24 - 12) & (feeder == lowest), 7 - hour % 2, outages)
    elif event == "master data":
        mates = np.arange(FEEDERS)
        hills = np.flatnonzero(region == 1)
        hills = hills[np.argsort(outages[hills], kind="stable")]
        mates[hills] = hills[::-1]
        at = np.arange(feeder.size) - feeder + mates[feeder]
        outages = np.where(late & (region[feeder] == 1), outages[at], outages)
    heating = np.maximum(18 - temperature, 0).round(2)
    load = 2 + 0.2 * heating + 0.03 * outages
    columns: dict[str, Column] = {
        "inputs.feeder": Categories(feeder, tuple(f"F{i:03}" for i in range(FEEDERS))),
        "inputs.hour": Numbers((hour % 24).astype(np.float64)), "inputs.temperature": Numbers(temperature),
        "inputs.outages": Numbers(outages.astype(np.float64)), "steps.derived.heating": Numbers(heating), "outputs.load": Numbers(load.round(4)),
        "decision": Categories((load > 4.5).astype(np.int64), ("none", "watch")), "context.region": Categories(region[feeder], REGIONS),
    }  # fmt: skip
    ts = hour * HOUR_US + feeder * 1_000_000
    return Rows(tuple(f"{seed}-{i}" for i in range(ts.size)), ts, columns, ts.size)


def _asked(event: str) -> Report:
    return diagnose_rows(_hourly(range(14), 2), _hourly(range(14, 17), 3, event), SCHEMA, app="grid")


@pytest.mark.parametrize("event", ["", "one feeder", "weather"])
def test_one_of_many_and_the_weather_are_the_worlds(event: str) -> None:
    """A feeder that has fewer outages than any had, and a front over the hills, which were the coldest until then."""
    report = _asked(event)
    assert report.verdict != "fault", report.sentence


def test_many_that_have_each_others_values_are_not() -> None:
    """An export in another order gives all of the hills' feeders other feeders' counts."""
    first = _asked("master data").findings[0]
    assert (first.layer, first.component) == ("data", "inputs.outages")
    assert [(c.path, c.value) for c in first.where] == [("context.region", "hills")]
