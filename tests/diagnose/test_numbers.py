"""Numbers that make trouble: infinite ones, vast ones, and those that only ever grow."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from whimbrel import diagnose
from whimbrel.diagnose import atoms, contracts
from whimbrel.diagnose.case import Variable
from whimbrel.model.fields import Field, Kind

DAY_S = 86_400.0


def _app(rows: int, *, days: float, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    seconds = np.sort(rng.random(rows)) * days * DAY_S
    amount = rng.lognormal(3, 1, rows)
    rate = amount / rng.integers(1, 9, rows)
    score = 1 / (1 + np.exp(3 - np.log1p(amount)))
    return pd.DataFrame(
        {
            "ts": pd.Timestamp("2026-03-01", tz="UTC") + pd.to_timedelta(seconds, unit="s"),
            "inputs.amount": amount, "steps.per_item.rate": rate, "context.country": rng.choice(["US", "DE"], rows),
            "outputs.score": score, "decision": np.where(score > 0.5, "yes", "no"),
        }
    )  # fmt: skip


def _halves(frame: pd.DataFrame, golden_days: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    since = frame["ts"].iloc[0].floor("D") + pd.Timedelta(days=golden_days)
    return frame[frame["ts"] < since], frame[frame["ts"] >= since]


def test_what_becomes_infinite_is_said_so() -> None:
    """A division by nought in a tenth of the traffic: infinite, and not null."""
    golden, window = _halves(_app(6_000, days=8, seed=1), 7)
    window = window.copy()
    window.loc[window.index[::10], "steps.per_item.rate"] = np.inf
    found = diagnose(golden, window)
    assert (found.verdict, found.findings[0].component) in (
        ("fault", "steps.per_item.rate"),
        ("notice", "steps.per_item.rate"),
    )
    assert "infinite in 10% of predictions" in found.sentence


@pytest.mark.parametrize("vast", [np.finfo(np.float64).max, -np.finfo(np.float32).max, np.inf])
def test_golden_may_hold_what_no_sum_survives(vast: float) -> None:
    """The largest number as a placeholder in all traffic breaks no sum, and is nothing new."""
    frame = _app(6_000, days=8, seed=2)
    frame.loc[::20, "inputs.amount"] = vast
    assert diagnose(*_halves(frame, 7)).verdict == "healthy"


def test_what_only_grows_goes_beyond_a_short_golden_window() -> None:
    """Row numbers, times and the numbers of customers, five days after a golden window of one: growth, and no unit."""
    frame = _app(1_500, days=6, seed=3)
    rng = np.random.default_rng(4)
    days = (frame["ts"] - frame["ts"].iloc[0]).dt.total_seconds() / DAY_S
    frame["inputs.request"] = np.arange(len(frame)) + 5_000
    frame["inputs.seconds"] = frame["ts"].astype("int64") // 10**9
    frame["inputs.customer"] = np.floor(rng.random(len(frame)) * (1_000 + 200 * days))
    frame["inputs.newest_customer"] = np.floor(1_000 + 200 * days - rng.exponential(30, len(frame)))
    assert diagnose(*_halves(frame, 1)).verdict == "healthy"


def test_what_has_one_value_a_day_is_known_from_as_many_days() -> None:
    """A rate, a day of the month and prices that rise, four days after three: nothing lies far outside a range that three values span."""
    frame = _app(4_000, days=7, seed=5)
    rng = np.random.default_rng(6)
    day = (frame["ts"] - frame["ts"].iloc[0].floor("D")).dt.days.to_numpy()
    frame["inputs.rate"] = np.exp([0.0, 0.001, -0.001, 0.004, 0.009, 0.013, 0.02])[day].round(4)
    frame["inputs.day_of_month"] = frame["ts"].dt.day
    frame["inputs.index"] = 1_000 + 40 * np.sin(np.arange(len(frame)) / 900) - 6 * day + rng.normal(0, 12, len(frame))
    frame["inputs.price"] = (rng.choice([5.0, 8.0, 20.0], len(frame)) * (1 + 0.01 * day)).round(2)
    assert diagnose(*_halves(frame, 3)).verdict == "healthy"


@pytest.mark.parametrize("rounded", [False, True])
def test_more_at_the_ends_of_a_scale_is_no_cast(rounded: bool) -> None:
    """In a storm most turbines run at full speed, of which there are two; fractions that are gone are another matter."""
    rng = np.random.default_rng(3)
    golden = np.arange(10_000) < 8_000
    speed = np.round(rng.uniform(6, 15, golden.size), 2)
    speed[~golden] = speed[~golden].round(1) if rounded else speed[~golden]
    full = rng.random(golden.size) < np.where(golden | rounded, 0.05, 0.6)
    speed = np.where(full, rng.choice([15.3, 18.0], golden.size), speed)
    variable = Variable("inputs.speed", Field("inputs.speed", Kind.NUMBER), numbers=speed)
    found = contracts._fraction(cast("Any", SimpleNamespace(golden=golden, window=~golden)), variable, speed[golden])
    gained = [np.nanmean(c.values[~golden]) - np.nanmean(c.values[golden]) for c in found]
    assert bool(max(gained, default=0.0) > 0.3) is rounded


@pytest.mark.parametrize("stuck", [False, True])
def test_an_age_grows_by_itself(stuck: bool) -> None:
    """Three days after golden the many accounts of one day are older than any was; the same age for a third, whoever they are, is a default."""
    rng = np.random.default_rng(8)
    born = np.concatenate([np.repeat(-60, 2), np.repeat(-58, 40), rng.integers(-50, 0, 260)])
    frame = _app(6_000, days=13, seed=7)
    day = (frame["ts"] - frame["ts"].iloc[0].floor("D")).dt.days.to_numpy()
    account = rng.integers(0, born.size, len(frame))
    frame["inputs.account"] = [f"a{i}" for i in account]
    frame["steps.profile.age"] = (day - born[account]).astype(float)
    golden, window = (half.copy() for half in _halves(frame, 10))
    window = window[window["ts"] >= window["ts"].iloc[0].floor("D") + pd.Timedelta(days=2)]
    if stuck:
        window.loc[rng.random(len(window)) < 0.3, "steps.profile.age"] = 70.0
    found = diagnose(golden, window)
    assert [f.component for f in found.findings] == ["steps.profile.age"] * stuck, found.sentence


def test_a_placeholder_is_seen_beside_a_tag_that_golden_never_had() -> None:
    """What is new says nothing of whose values they were."""
    rng = np.random.default_rng(4)
    rows = np.arange(8_000)
    window = rows >= 6_000
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-01", tz="UTC") + pd.to_timedelta(rows * 120, unit="s"),
        "context.way": np.where(window, rng.choice(["app", "web"], rows.size).astype(object), np.array(None, dtype=object)),
        "inputs.balance": np.where(rows >= 7_000, 41.37, rng.gamma(3, 20, rows.size).round(3)),
        "outputs.score": rng.random(rows.size).round(4),
    })  # fmt: skip
    report = diagnose(table[~window], table[window])
    assert (report.verdict, report.findings[0].component) == ("fault", "inputs.balance")


@pytest.mark.parametrize("whose", ["everybody's", "one's", "nobody's"])
def test_a_value_is_its_few_owners_only_where_they_are_known(whose: str) -> None:
    """An id that is lost on the same rows does not make one owner of them all."""
    rng = np.random.default_rng(5)
    window = np.arange(6_000) >= 4_000
    filled = window & (rng.random(6_000) < 0.2)
    codes = rng.integers(0, 300, 6_000)
    if whose != "everybody's":
        codes[filled] = 7 if whose == "one's" else -1
    ids = Variable("inputs.user", Field("inputs.user", Kind.TEXT), codes=codes, vocabulary=tuple(map(str, range(300))))
    numbers = np.where(filled, 41.37, rng.gamma(3, 20, 6_000))
    balance = Variable("inputs.balance", Field("inputs.balance", Kind.NUMBER), numbers=numbers)
    case = SimpleNamespace(golden=~window, window=window, of=lambda *_: [ids])
    assert atoms._of_few_keys(cast("Any", case), balance, 41.37) is (whose == "one's")
