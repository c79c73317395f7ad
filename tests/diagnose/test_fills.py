"""A look-up knows most articles; of the others a step takes what is usual in their category that day."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from whimbrel.diagnose import diagnose_rows, fills
from whimbrel.diagnose.case import Variable
from whimbrel.model.fields import Field, Kind, Schema
from whimbrel.model.rows import Categories, Column, Floats, Numbers, Rows

HOUR_US = 3_600_000_000
SCHEMA = Schema.from_pairs([
    ("inputs.category", Kind.TEXT), ("inputs.length", Kind.NUMBER), ("steps.lookup.popularity", Kind.NUMBER),
    ("steps.impute.popularity", Kind.NUMBER), ("outputs.score", Kind.NUMBER), ("decision", Kind.TEXT),
])  # fmt: skip


def _rows(days: range, seed: int, fill: float | None = None) -> Rows:
    """A day's popularity is another than the day before's, for all; from 9 in the morning of the last but one on, `fill` stands for what is not known."""
    rng = np.random.default_rng(seed)
    n = 1_500 * len(days)
    ts = np.sort(rng.integers(days.start * 24 * HOUR_US, days.stop * 24 * HOUR_US, n))
    day, category = ts // (24 * HOUR_US), rng.integers(0, 6, n)
    usual = np.random.default_rng(1).gamma(4, 20, (40, 6)).round()[day, category]
    looked = np.where(rng.random(n) < 0.04, np.nan, np.round(usual * rng.gamma(2, 0.5, n)))
    popularity = np.where(np.isnan(looked), usual, looked)
    if fill is not None:
        popularity[np.isnan(looked) & (ts >= ((days.stop - 2) * 24 + 9) * HOUR_US)] = fill
    length = rng.normal(0, 1, n).round(2)
    score = 1 / (1 + np.exp(-(np.log1p(popularity) - 4.3 + length)))
    columns: dict[str, Column] = {
        "inputs.category": Categories(category, tuple("abcdef")), "inputs.length": Numbers(length), "steps.lookup.popularity": Numbers(looked),
        "steps.impute.popularity": Numbers(popularity), "outputs.score": Numbers(score),
        "decision": Categories((score > 0.5).astype(np.int64), ("hide", "show")),
    }  # fmt: skip
    return Rows(tuple(f"{seed}-{i}" for i in range(n)), ts, columns, n)


@pytest.mark.parametrize("fill", [None, 0.0])
def test_another_fill_is_found_among_the_few_that_are_filled(fill: float | None) -> None:
    report = diagnose_rows(_rows(range(14), 2), _rows(range(14, 16), 3, fill), SCHEMA, app="shop")
    if fill is None:
        assert report.verdict == "healthy"
        return
    assert (report.verdict, report.findings[0].component) == ("fault", "steps.impute.popularity")
    assert "that stand for no steps.lookup.popularity are exactly 0" in report.findings[0].what


LEVELS = Schema.from_pairs([
    ("context.owner", Kind.TEXT), ("inputs.day", Kind.NUMBER), ("inputs.week", Kind.NUMBER), ("inputs.month", Kind.NUMBER),
    ("steps.level.base", Kind.NUMBER), ("outputs.score", Kind.NUMBER), ("decision", Kind.TEXT),
])  # fmt: skip


def _levels(days: range, seed: int, null_as: float = np.nan) -> Rows:
    """A weighted mean of the sales that are known; from noon of the last but one day on, own shops count what is null as `null_as`."""
    rng = np.random.default_rng(seed)
    n = 1_500 * len(days)
    ts = np.sort(rng.integers(days.start * 24 * HOUR_US, days.stop * 24 * HOUR_US, n))
    level, owner = rng.gamma(4, 10, n), rng.integers(0, 2, n)
    sold = np.round(level[:, None] * rng.gamma(20, 1 / 20, (n, 3)), 1)
    sold[rng.random((n, 3)) < [0.06, 0.04, 0.0]] = np.nan
    late = (ts >= ((days.stop - 2) * 24 + 12) * HOUR_US) & (owner == 1)
    counted = np.where(np.isnan(sold) & late[:, None], null_as, sold)
    weights = np.where(np.isnan(counted), 0.0, [0.25, 0.4, 0.35])
    base = np.round((np.nan_to_num(counted) * weights).sum(axis=1) / weights.sum(axis=1), 2)
    score = np.round(np.log1p(base), 4)
    columns: dict[str, Column] = {
        "context.owner": Categories(owner, ("franchise", "own")),
        "inputs.day": Numbers(sold[:, 0]), "inputs.week": Numbers(sold[:, 1]), "inputs.month": Numbers(sold[:, 2]),
        "steps.level.base": Numbers(base), "outputs.score": Numbers(score),
        "decision": Categories((score > 3.6).astype(np.int64), ("few", "many")),
    }  # fmt: skip
    return Rows(tuple(f"{seed}-{i}" for i in range(n)), ts, columns, n)


@pytest.mark.parametrize("null_as", [np.nan, 0.0])
def test_a_mean_that_counts_what_is_null_is_found_among_the_few_that_lack_something(null_as: float) -> None:
    report = diagnose_rows(_levels(range(14), 2), _levels(range(14, 16), 3, null_as), LEVELS, app="shop")
    if np.isnan(null_as):
        assert report.verdict == "healthy"
        return
    found = report.findings[0]
    assert (report.verdict, found.layer, found.component) == ("fault", "features", "steps.level.base")
    assert "of those without inputs." in found.what


PAID = Schema.from_pairs([
    ("context.release", Kind.TEXT), ("inputs.currency", Kind.TEXT), ("inputs.amount", Kind.NUMBER), ("steps.fx.rate", Kind.NUMBER),
    ("outputs.score", Kind.NUMBER), ("decision", Kind.TEXT),
])  # fmt: skip


def _paid(days: range, seed: int, missing: tuple[str, ...] = ()) -> Rows:
    """Payments in five currencies, whose rates walk on by the day; from noon of the last but one day on, a new release knows no rate of some."""
    rng = np.random.default_rng(seed)
    n, names = 1_500 * len(days), ("chf", "eur", "huf", "pln", "sek")
    ts = np.sort(rng.integers(days.start * 24 * HOUR_US, days.stop * 24 * HOUR_US, n))
    currency = rng.choice(5, n, p=[0.1, 0.5, 0.1, 0.15, 0.15])
    walk = np.exp(np.cumsum(np.random.default_rng(4).normal(0, 0.002, (40, 5)), axis=0))
    walk[:, 1] = 1.0
    rate = (np.array([1.1, 1.0, 0.0026, 0.24, 0.092]) * walk)[ts // (24 * HOUR_US), currency]
    late = ts >= ((days.stop - 2) * 24 + 12) * HOUR_US
    release = (late & (rng.random(n) < 0.4)).astype(np.int64)
    rate = np.where((release == 1) & np.isin(np.array(names)[currency], missing), 1.0, rate)
    amount = np.round(np.exp(rng.normal(3, 1, n)) / rate, 2)
    score = 1 / (1 + np.exp(3.5 - np.log1p(amount * rate)))
    columns: dict[str, Column] = {
        "context.release": Categories(release, ("r1", "r2")), "inputs.currency": Categories(currency, names),
        "inputs.amount": Numbers(amount), "steps.fx.rate": Numbers(rate), "outputs.score": Numbers(score),
        "decision": Categories((score > 0.5).astype(np.int64), ("pass", "ask")),
    }  # fmt: skip
    return Rows(tuple(f"{seed}-{i}" for i in range(n)), ts, columns, n)


@pytest.mark.parametrize("missing", [(), ("pln", "sek")])
def test_a_default_that_others_have_by_right_is_found_for_those_who_never_had_it(missing: tuple[str, ...]) -> None:
    """One is the rate of half of all payments."""
    report = diagnose_rows(_paid(range(14), 2), _paid(range(14, 16), 3, missing), PAID, app="pay")
    told = [f for f in report.findings if "a default" in f.what]
    assert bool(told) == bool(missing), report.sentence
    if told:
        assert (told[0].rank, told[0].layer, told[0].component) == (1, "features", "steps.fx.rate")
        assert "context.release=r2" in [str(c) for c in told[0].where]
        assert "are 1 for several inputs.currency" in told[0].what


def test_a_flag_that_is_up_for_all_is_no_default() -> None:
    """It is a holiday, whatever the season: of no season golden had one."""
    rng = np.random.default_rng(5)
    golden, season = np.arange(2_000) < 1_500, rng.integers(0, 3, 2_000)
    for flag, wander in ((np.where(golden, 0.0, 1.0), 0.0), (np.where(golden, 4.0, 9.0), 0.01)):
        numbers = flag + wander * rng.random(2_000)
        variable = Variable(
            "inputs.flag", Field("inputs.flag", Kind.NUMBER), numbers=np.where(golden, numbers, numbers.round())
        )
        case = SimpleNamespace(
            golden=golden, window=~golden, categories={"inputs.season": season}, of=lambda *_, one=variable: [one]
        )
        assert fills._for_several(cast("Any", case), {}) == []


ASKED = Schema.from_pairs([
    ("context.state", Kind.TEXT), ("inputs.income", Kind.NUMBER), ("inputs.asked", Kind.NUMBER), ("steps.finance.income", Kind.NUMBER),
    ("outputs.score", Kind.NUMBER), ("decision", Kind.TEXT),
])  # fmt: skip


def _applied(days: range, seed: int, part: float = 1.0) -> Rows:
    """Who says no income is taken to have his state's usual one; from the last but one day's noon on, the table of these has `part` of them."""
    rng = np.random.default_rng(seed)
    n, names = 900 * len(days), ("ca", "ny", "oh", "tx", "vt")
    ts = np.sort(rng.integers(days.start * 24 * HOUR_US, days.stop * 24 * HOUR_US, n))
    state = rng.integers(0, 5, n)
    income = np.where(rng.random(n) < 0.1, np.nan, np.exp(rng.normal(11, 0.5, n)).round(-2))
    usual = np.array([84_000.0, 79_500.0, 62_000.0, 67_300.0, 71_000.0])[state]
    usual *= np.where(ts >= ((days.stop - 2) * 24 + 12) * HOUR_US, part, 1.0)
    taken, asked = np.where(np.isnan(income), usual, income), np.exp(rng.normal(10, 0.6, n)).round(-2)
    score: Floats = (1 / (1 + np.exp(asked / taken * 2 - 1))).round(4)
    columns: dict[str, Column] = {
        "context.state": Categories(state, names), "inputs.income": Numbers(income), "inputs.asked": Numbers(asked),
        "steps.finance.income": Numbers(taken), "outputs.score": Numbers(score),
        "decision": Categories((score > 0.5).astype(np.int64), ("ask", "grant")),
    }  # fmt: skip
    return Rows(tuple(f"{seed}-{i}" for i in range(n)), ts, columns, n)


@pytest.mark.parametrize("part", [1.0, 1 / 12])
def test_what_is_taken_for_a_null_by_a_tag_is_held_to_as_well(part: float) -> None:
    report = diagnose_rows(_applied(range(14), 2), _applied(range(14, 16), 3, part), ASKED, app="loans")
    assert (report.verdict == "fault") == (part < 1), report.sentence
    if part < 1:
        found = report.findings[0]
        assert (found.layer, found.component) == ("features", "steps.finance.income")
        assert "12 times smaller" in found.what
