"""A table of what customers will use, hour by hour: what one of them does is its own world, what no world does is a fault."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

import whimbrel
from whimbrel.diagnose import atoms, boundaries, ground
from whimbrel.diagnose.case import HOUR_US, Variable
from whimbrel.diagnose.relations import Split
from whimbrel.model.fields import Field, Kind, Role


def _used(times: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Seventeen days of eight customers; on the fifteenth the meters of one say so many times what they said."""
    rng = np.random.default_rng(3)
    hour, customer = np.repeat(np.arange(420), 8), np.tile(np.arange(8), 420)
    score = (20 + 6 * customer) * (1 + 0.4 * np.sin(hour * 2 * np.pi / 24)) * rng.lognormal(0, 0.1, hour.size)
    label = score * rng.lognormal(0, 0.05, hour.size) * np.where((hour >= 340) & (customer == 4), times, 1.0)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour * 3600 + customer, unit="s"),
        "context.customer": np.array(list("abcdefgh"))[customer], "inputs.before": score.round(2),
        "outputs.score": score.round(2), "label": label,
    })  # fmt: skip
    return table[hour < 336], table[hour >= 336]


@pytest.mark.parametrize(("times", "verdict"), [(1.0, "healthy"), (0.55, "notice"), (2.0, "fault"), (60.0, "fault")])
def test_a_customer_may_use_less_but_not_in_another_unit(times: float, verdict: str) -> None:
    report = whimbrel.diagnose(*_used(times))
    assert report.verdict == verdict, report.sentence
    assert [(f.component, *map(str, f.where)) for f in report.findings[:1]] == (
        [("label", "context.customer=e")] if verdict != "healthy" else []
    )


@pytest.mark.parametrize(("familiar", "left"), [(1.0, True), (0.2, False)])
def test_a_zone_in_weather_of_its_own_is_judged_on_rows_like_golden_s(familiar: float, left: bool) -> None:
    """A model is wrong about each zone in its own way where it never was: that all zones share the hour is no control then."""
    affected = np.arange(200) < 50
    relation = SimpleNamespace(surprise=np.where(np.arange(200) < 50 * familiar, 1.0, np.nan))
    hit = SimpleNamespace(
        excess=np.where(affected, 1.0, 0.0),
        score=9.0,
        threshold=5.0,
        channel=SimpleNamespace(detail={"relation": relation}),
    )
    assert (ground.where_familiar(cast("Any", SimpleNamespace(hit=hit, affected=affected))) >= hit.threshold) is left


def test_a_local_weekday_is_told_by_the_hour_of_the_week() -> None:
    """It turns an hour before midnight in UTC: neither hour nor weekday alone tells it."""
    hours = np.arange(24 * 35)
    ts, weekday = np.repeat(hours, 3) * HOUR_US, np.repeat((hours + 1) // 24 % 7, 3).astype(float)
    case = SimpleNamespace(ts=ts, hour=ts / HOUR_US % 24, weekday=ts // HOUR_US // 24 % 7)
    blocks = ts // HOUR_US // 24
    parts = Split(np.flatnonzero((blocks < 28) & (blocks % 3 > 0)), np.flatnonzero((blocks < 28) & (blocks % 3 == 0)))
    local = Variable("steps.calendar.day", Field("steps.calendar.day", Kind.NUMBER), numbers=weekday)
    found = boundaries._by_the_week(cast("Any", case), parts, local)
    assert found is not None
    assert found.exact
    assert not np.nansum(found.surprise)
    drifts = Variable("steps.calendar.day", local.field, numbers=np.sqrt(ts / HOUR_US))
    assert boundaries._by_the_week(cast("Any", case), parts, drifts) is None


@pytest.mark.parametrize("filled_in", [False, True])
def test_answers_that_many_are_given_are_as_long_for_all_of_them(filled_in: bool) -> None:
    """A new release answers many in the same words, of one length; a length that goes with all words was filled in."""
    rng = np.random.default_rng(1)
    texts = tuple("x" * (40 + k) for k in range(200)) + tuple(c * 300 for c in "abc")
    codes = rng.integers(0, 200, 3_000)
    golden = np.arange(3_000) < 2_000
    often = ~golden & (rng.random(3_000) < 0.1)
    if not filled_in:
        codes[often] = rng.integers(200, 203, often.sum())
    answer = Field("outputs.text", Kind.TEXT)
    length = np.array([len(text) for text in texts])[codes].astype(float)
    length[often] = 300.0
    chars = Variable("steps.parse.chars", Field("steps.parse.chars", Kind.NUMBER), numbers=length)
    text = Variable("outputs.text", answer, codes=codes, vocabulary=texts)
    case = SimpleNamespace(
        golden=golden, window=~golden, blocks=np.arange(3_000) // 200, block_count=10, dimensions=(),
        of=lambda *roles: [text] if Role.OUTPUT in roles else [],
    )  # fmt: skip
    assert atoms._of_few_keys(cast("Any", case), chars, 300.0) is not filled_in
