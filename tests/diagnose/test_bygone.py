"""A store that is renewed every day and goes back to an older version: each value is one of its key's, and no distribution moves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from whimbrel.diagnose import bygone, diagnose
from whimbrel.diagnose.case import DAY_US, HOUR_US, Variable
from whimbrel.diagnose.suspects import Proof
from whimbrel.model.fields import Field, Kind, Role

GOLDEN, WINDOW, ARTICLES = 8 * DAY_US, DAY_US, 60


def asked(store: str, days: int = 8) -> tuple[Any, Any]:
    """The case and its channels; the window's second half is of the store named."""
    rng = np.random.default_rng(1)
    ts = np.sort(rng.integers(0, days * DAY_US + WINDOW, 9_000))
    golden, who = ts < days * DAY_US, rng.integers(0, ARTICLES, ts.size)
    day, late = ts // DAY_US, ts > days * DAY_US + WINDOW // 2
    rates = np.round(rng.lognormal(0, 0.3, (ARTICLES, 30)), 5)
    of = {
        "renewed": day, "went back": np.where(late, day - 3, day), "by the week": day % 7, "of one price": 0 * day,
        "back to the price before a sale": np.where((ts > (days - 2) * DAY_US) & ~late, 1, 0),
    }[store]  # fmt: skip
    rate = Variable("steps.store.rate", Field("steps.store.rate", Kind.NUMBER), numbers=rates[who, of])
    names = tuple(f"a{one}" for one in range(ARTICLES))
    key = Variable("inputs.article", Field("inputs.article", Kind.TEXT), codes=who, vocabulary=names)
    by_role = {Role.INPUT: [key], Role.STEP: [rate]}
    case = SimpleNamespace(
        ts=ts, golden=golden, window=~golden, variables={key.path: key, rate.path: rate},
        of=lambda *roles: [v for role in roles for v in by_role.get(role, [])],
    )  # fmt: skip
    return case, bygone.channels(cast("Any", case), {})


def test_values_of_three_days_ago_are_older_ones() -> None:
    case, (channel,) = asked("went back")
    late = case.ts > GOLDEN + WINDOW // 2 + HOUR_US
    assert channel.detail["key"] == "inputs.article"
    assert float(np.nanmean(channel.values[late])) > 0.9
    assert not np.nansum(channel.values[~late & (case.ts < GOLDEN + WINDOW // 2)])
    affected = case.window & (case.ts > GOLDEN + WINDOW // 2)
    suspect = SimpleNamespace(
        component="steps.store.rate", hit=SimpleNamespace(channel=channel), affected=affected, after=0.9, where=("here",)
    )  # fmt: skip
    assert bygone.proof(case, cast("Any", suspect)) is Proof.HARD
    suspect.affected = affected & (case.variables["inputs.article"].codes < bygone.MANY - 1)
    assert bygone.proof(case, cast("Any", suspect)) is Proof.SOFT  # a few may happen to be what they were


def test_values_that_all_keys_have_now_and_then_come_again_by_chance() -> None:
    case, (channel,) = asked("went back")
    rate = case.variables["steps.store.rate"]
    degrees = Variable(rate.name, rate.field, numbers=np.round(np.asarray(rate.numbers) * 5))
    case.variables[rate.path] = degrees
    affected = case.window & (case.ts > GOLDEN + WINDOW // 2)
    suspect = SimpleNamespace(
        component="steps.store.rate", hit=SimpleNamespace(channel=channel), affected=affected, after=0.9, where=("here",)
    )  # fmt: skip
    assert bygone.proof(case, cast("Any", suspect)) is Proof.SOFT


@pytest.mark.parametrize(
    ("store", "days"),
    [("renewed", 8), ("by the week", 7), ("by the week", 8), ("by the week", 10), ("of one price", 8),
     ("back to the price before a sale", 8)],
)  # fmt: skip
def test_what_comes_again_by_the_calendar_is_no_older_version(store: str, days: int) -> None:
    case, channels = asked(store, days)
    for channel in channels:
        assert not np.nansum(channel.values[case.window]), store


def _shops(how: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Orders at stalls that have a space and a price level and stay a day; from the window's noon on the app sends what it has just measured."""
    rng = np.random.default_rng(4)
    n = 12_000
    hour = np.sort(rng.random(n)) * 192
    shop, app = rng.integers(0, 30, n) + 30 * (hour // 24).astype(int), rng.random(n) < 0.3
    space, level = rng.gamma(4, 90, 240).round(1)[shop], rng.normal(1, 0.2, 240).round(3)[shop]
    since = hour > 180
    if how == "measured":
        space = np.where(since & app, np.round(space * rng.lognormal(0, 0.02, n), 1), space)
    if how == "sale":
        level = np.where((hour > 172) & (hour < 182), (0.9 * level).round(3), level)
    if how == "surveyed":
        space = np.where(since, np.round(space * (1 + 0.05 * np.sin(shop)), 1), space)
    items = rng.gamma(3, 4, n).round(1)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-10-05", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.client": np.where(app, "app", "till"),
        "inputs.stall": [f"s{one}" for one in shop], "inputs.space": space, "inputs.level": level, "inputs.items": items,
        "outputs.score": 1 / (1 + np.exp(-(items / 12 + space / 400 + level - 3))),
    })  # fmt: skip
    return table[hour < 168], table[hour >= 168]


@pytest.mark.parametrize("how", ["", "sale", "surveyed", "measured"])
def test_what_golden_s_stalls_keep_does_not_change_all_the_time(how: str) -> None:
    """A sale comes and goes, and a survey says something else once; what is measured anew each time is not what was meant."""
    report = diagnose(*_shops(how))
    if how != "measured":
        assert report.verdict != "fault", report.sentence
        return
    first = report.findings[0]
    assert (report.verdict, first.component) == ("fault", "inputs.space"), report.sentence
    assert "just had" in first.what
    assert [str(c) for c in first.where] == ["context.client=app"], report.sentence
