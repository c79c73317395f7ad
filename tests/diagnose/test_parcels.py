"""Parcels that are promised: what a van still has to do, a route or the distance as the crow flies, a time, a promise, and when it really came."""

from __future__ import annotations

import numpy as np
import pytest

from whimbrel.diagnose import diagnose_rows
from whimbrel.model.fields import Kind, Schema
from whimbrel.model.report import Report
from whimbrel.model.rows import Categories, Column, Numbers, Rows

HOUR_US = 3_600_000_000
SINCE = (12 * 24 + 5) * HOUR_US
COUNTRIES, PROMISES, WAYS = ("at", "de", "it", "se"), ("1h", "2h", "today", "tomorrow"), ("map", "crow")
SCHEMA = Schema.from_pairs([
    ("inputs.work", Kind.NUMBER), ("inputs.price", Kind.NUMBER), ("inputs.metres", Kind.NUMBER), ("context.country", Kind.TEXT),
    ("steps.routing.km", Kind.NUMBER), ("steps.routing.minutes", Kind.NUMBER), ("steps.routing.source", Kind.TEXT),
    ("steps.clock.hour", Kind.NUMBER), ("outputs.eta", Kind.NUMBER), ("decision", Kind.TEXT), ("label", Kind.NUMBER),
    ("spans.model", Kind.NUMBER), ("error", Kind.TEXT),
])  # fmt: skip


def _rows(days: range, seed: int, broken: str = "") -> Rows:
    """From 5 in the morning of the thirteenth day on something is `broken`, or moves in the world."""
    rng = np.random.default_rng(seed)
    n = 1_500 * len(days)
    ts = np.sort(rng.integers(days.start * 24 * HOUR_US, days.stop * 24 * HOUR_US, n))
    since, hour = ts >= SINCE, ts // HOUR_US % 24
    country = rng.integers(0, 4, n)
    there = since & (country == COUNTRIES.index("se"))
    work = np.round(rng.gamma(8, 6, n), 1)
    more = np.round(rng.choice([0, 1], n) * rng.uniform(10, 60, n), 1)
    really = work + more * (there & (broken == "more to do"))
    work = work + more * (there & (broken in ("work", "more to do")))
    crowns = np.round(np.exp(rng.normal(5, 0.6, n)) * np.where(there & (broken == "dearer"), 1.2, 1))
    price = np.where(country == COUNTRIES.index("se"), crowns, np.round(crowns / 10.6, 2))
    price = np.where(there & (broken == "net"), np.round(price / 1.25, 2), price)
    crow = rng.random(n) < 0.05
    metres = np.round(rng.gamma(4, 900, n))
    km = np.round(metres / 1000 * rng.uniform(1.1, 1.7, n), 2)
    speed = np.where(crow, np.where(since & (broken == "crow"), 60, 32), rng.uniform(20, 50, n))
    minutes = np.round(km / speed * 60, 1)
    eta = np.round(work + minutes, 1)
    late = eta + 60 * hour > 60 * 21
    promise = np.select([late & (hour >= 14), eta < 45, eta < 70], [3, 0, 1], 2)
    promise = np.where(rng.random(n) < 0.04, rng.integers(0, 3, n), promise)
    if broken == "tomorrow":
        promise = np.where(since & (promise == 3), 2, promise)
    came = really + minutes + rng.normal(0, 12, n)
    lost = since & (rng.random(n) < 0.2) & np.isin(broken, ("log", "no answer"))
    failed = lost if broken == "no answer" else np.zeros(n, dtype=bool)
    promise = np.where(lost, 2 if broken == "no answer" else -1, promise)
    columns: dict[str, Column] = {
        "inputs.work": Numbers(work), "inputs.price": Numbers(price), "inputs.metres": Numbers(metres),
        "context.country": Categories(country, COUNTRIES),
        "steps.routing.km": Numbers(km), "steps.routing.minutes": Numbers(minutes),
        "steps.routing.source": Categories(crow.astype(np.int64), WAYS), "steps.clock.hour": Numbers(hour.astype(float)),
        "outputs.eta": Numbers(np.where(lost, np.nan, eta)), "decision": Categories(promise, PROMISES),
        "label": Numbers(np.round(came)), "spans.model": Numbers(rng.gamma(20, 0.4, n)),
        "error": Categories(np.where(failed, 0, -1), ("out of memory",)),
    }  # fmt: skip
    return Rows(tuple(f"{seed}-{i}" for i in range(n)), ts, columns, n)


def _asked(broken: str = "") -> Report:
    return diagnose_rows(_rows(range(12), 2), _rows(range(12, 14), 3, broken), SCHEMA, app="parcels")


@pytest.mark.parametrize("world", ["", "more to do", "dearer"])
def test_what_the_world_does_is_no_fault(world: str) -> None:
    """Vans that really have more to do come later, and prices that rise are whole crowns as before."""
    assert _asked(world).verdict == "healthy"


@pytest.mark.parametrize(
    ("broken", "component", "said"),
    [
        ("work", "inputs.work", "what came of it stayed as it was"),
        ("net", "inputs.price", "lie between the multiples of 1 that golden kept to"),
        ("crow", "steps.routing.minutes", "values are"),
        ("tomorrow", "decision", "'tomorrow' is never decided any more"),
        ("log", "recorder.record", "the record alone lost them"),
    ],
)
def test_what_is_told_by_what_went_on_beside_it(broken: str, component: str, said: str) -> None:
    """A count that no label followed, crowns with a fraction, a fall-back at another speed, a promise that is gone, a record cut short."""
    report = _asked(broken)
    found = report.findings[0]
    idle = "notice" if broken == "net" else "fault"  # nothing reads the price
    assert (report.verdict, found.component) == (idle, component)
    assert said in found.what
    assert ("se" in str(found.where)) is (broken in ("work", "net"))


def test_a_model_that_gives_no_answer_is_not_the_records_fault() -> None:
    """It leaves an error behind, and something is decided without it."""
    report = _asked("no answer")
    assert report.verdict == "fault"
    assert report.findings[0].layer != "recorder"
