"""What no recorded field foretells: flags that leap, calls that are made twice, a list that is cut short, customers whom a store has forgotten."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, A_DAY = 15, 800
LANGUAGES = tuple(f"l{i:02}" for i in range(18))


def _table(broken: str = "") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Questions in eighteen languages, of customers who come again: passages found, a filter, a call or two, a score. The last day's afternoon is broken."""
    rng = np.random.default_rng(4)
    n = DAYS * A_DAY
    ts = np.sort(rng.random(n)) * DAYS * 86_400
    late = ts > (DAYS - 0.6) * 86_400
    language = rng.choice(LANGUAGES, n)
    customer = rng.integers(0, 400, n)
    length = rng.gamma(3, 40, n).round()
    found = rng.binomial(8, 0.6, n).astype(float)
    blocked = (rng.random(n) < 0.01).astype(float)
    calls = 1.0 + rng.poisson(0.5, n)
    before = pd.Series(np.ones(n)).groupby(customer).cumsum().to_numpy() - 1
    had = np.round(before * (1 + 0.1 * (customer % 7)) + np.where(before > 0, (customer % 31) / 31, 0.0), 3)
    client = rng.choice(["web", "ios", "android"], n)
    match broken:
        case "cut short":
            found = np.where(late, np.minimum(found, 4), found)
        case "fewer are found":
            found = np.where(late, rng.binomial(8, 0.45, n), found)
        case "blocks":
            blocked = np.where(late & np.isin(language, LANGUAGES[:3]) & (rng.random(n) < 0.6), 1.0, blocked)
        case "blocks a little more":
            blocked = np.where(late & np.isin(language, LANGUAGES[:3]) & (rng.random(n) < 0.015), 1.0, blocked)
        case "calls twice":
            calls = np.where(late & (client == "ios"), calls + 1, calls)
        case "forgets":
            had = np.where(late & (customer % 6 == 1), 0.0, had)
        case _:
            pass
    score = 1 / (1 + np.exp(-(0.4 * found - 0.01 * length - 1 + 0.3 * np.log1p(had) - 3 * blocked)))
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(ts, unit="s"), "context.client": client,
        "inputs.customer": [f"c{one}" for one in customer], "inputs.language": language, "inputs.length": length,
        "steps.retrieve.found": found, "steps.history.questions": had, "steps.filter.blocked": blocked,
        "outputs.score": score.round(5), "decision": np.where(score > 0.5, "show", "hide"), "usage.calls": calls,
    })  # fmt: skip
    return table[ts < (DAYS - 1) * 86_400], table[ts >= (DAYS - 1) * 86_400]


@pytest.mark.parametrize(("broken", "component", "slice_"), [
    ("", "", ""),
    ("cut short", "steps.retrieve.found", ""),
    ("fewer are found", "", ""),
    ("blocks", "steps.filter.blocked", "inputs.language"),
    ("blocks a little more", "", ""),
    ("calls twice", "usage.calls", "context.client=ios"),
    ("forgets", "steps.history.questions", ""),
])  # fmt: skip
def test_what_nothing_foretells_does_not_leap_by_itself(broken: str, component: str, slice_: str) -> None:
    report = whimbrel.diagnose(*_table(broken))
    assert report.verdict == ("fault" if component else "healthy"), report.sentence
    if component:
        assert report.findings[0].component == component, report.sentence
        assert " ".join(map(str, report.findings[0].where)).startswith(slice_)


def _sizes(broken: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Articles in twelve sizes, which a step reads as six grades; it no longer reads those with a half."""
    rng = np.random.default_rng(6)
    n = 8_000
    names = ["32", "34", "36", "38", "40", "42", "33.5", "35.5", "37.5", "39.5", "41.5", "43.5"]
    size = rng.integers(0, 12, n)
    grade = (size % 6).astype(float)
    late = np.arange(n) > 7_200
    grade = np.where(broken & late & (size >= 6), 0.0, grade)
    price = rng.gamma(4, 10, n).round(2)
    score = 1 / (1 + np.exp(-(0.5 * grade - 0.03 * price)))
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(np.arange(n) * 151, unit="s"),
        "inputs.size": np.array(names)[size], "inputs.price": price, "steps.clean.grade": grade,
        "outputs.score": score.round(5), "decision": np.where(score > 0.5, "ask", "send"),
    })  # fmt: skip
    return table[:7_000], table[7_000:]


@pytest.mark.parametrize("broken", [False, True])
def test_several_that_each_had_a_grade_of_their_own_do_not_come_to_share_one(broken: bool) -> None:
    report = whimbrel.diagnose(*_sizes(broken))
    found: list[Any] = [(f.component, f.layer) for f in report.findings[:1]]
    assert (report.verdict, found) == (("fault", [("steps.clean.grade", "features")]) if broken else ("healthy", []))


def _growing(broken: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Zones whose plants grow a day older each day, and drink by a coefficient of their kind and age; on one afternoon a concert may fill a zone."""
    rng = np.random.default_rng(7)
    n, days = 12_000, 17
    ts = np.sort(rng.random(n)) * days * 86_400
    zone = rng.integers(0, 6, n)
    late = (ts > (days - 1.5) * 86_400) & (zone == 2)
    age = np.floor(ts / 86_400) + 10 + 5 * zone
    kind = np.array(["pepper", "melon", "basil"])[zone % 3]
    coefficient = (0.4 + 0.1 * (zone % 3) + 0.006 * (age + np.floor(ts / 21_600) % 4 / 4)).round(4)
    waiting = rng.poisson(6, n).astype(float)
    if broken == "default":
        coefficient = np.where(late, 0.6, coefficient)
    if broken == "crowd":
        waiting = np.where(late, waiting + rng.integers(8, 36, n), waiting)
    drivers = 1.0 + rng.poisson(5, n)
    pressure = np.minimum(waiting / drivers * rng.lognormal(0, 0.05, n), 400).round(3)
    sun = rng.gamma(2, 2, n).round(2)
    score = (coefficient * sun + 0.05 * np.minimum(pressure, 3) + rng.normal(0, 0.02, n)).round(4)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(ts, unit="s"), "context.zone": [f"z{one}" for one in zone],
        "context.kind": kind, "inputs.age_days": age, "inputs.sun": sun, "inputs.waiting": waiting, "inputs.drivers": drivers,
        "steps.table.coefficient": coefficient, "steps.ratio.pressure": pressure, "outputs.score": score,
        "decision": np.where(score > 1.5, "open", "closed"),
    })  # fmt: skip
    return table[ts < (days - 2) * 86_400], table[ts >= (days - 2) * 86_400]


@pytest.mark.parametrize("broken", ["", "default", "crowd"])
def test_a_crowd_is_the_worlds_and_a_table_that_says_one_thing_is_not(broken: str) -> None:
    report = whimbrel.diagnose(*_growing(broken))
    found = [(f.component, *map(str, f.where)) for f in report.findings[:1] if f.harmful]
    assert found == ([("steps.table.coefficient", "context.zone=z2")] if broken == "default" else []), report.sentence
