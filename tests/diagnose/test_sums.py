"""A decision by two numbers that are weighed and added up: no cut of either alone decides."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel
from whimbrel.diagnose.case import Variable
from whimbrel.diagnose.pairs import paired, parts_of
from whimbrel.model.fields import Field, Kind


def _number(name: str, values: np.ndarray) -> Variable:
    return Variable(name, Field(name, Kind.NUMBER), numbers=values)


@pytest.mark.parametrize("unknown", [False, True])
def test_the_weights_of_a_sum_are_found(unknown: bool) -> None:
    """Also where one of the two is null for those who have most of the other, so that each has another spread where both are known."""
    rng = np.random.default_rng(1)
    score, lack, other = rng.random(6_000), rng.gamma(2, 3, 6_000), rng.normal(size=6_000)
    codes = np.digitize(score + 0.07 * lack, [0.8, 1.3])
    known = ~(unknown & (score > 0.7))
    lack = np.where(known, lack, np.nan)
    decision = Variable("decision", Field("decision", Kind.TEXT), codes=codes, vocabulary=("none", "some", "much"))
    parents = [_number("outputs.score", score), _number("steps.need.lack", lack), _number("inputs.other", other)]
    made = paired(decision, parents, np.arange(6_000))
    (found,) = [one for one in made if one.name == "outputs.score + steps.need.lack"]
    assert parts_of(found.name) == ("outputs.score", "steps.need.lack")
    assert found.numbers is not None
    assert abs(np.corrcoef(found.numbers[known], (score + 0.07 * lack)[known])[0, 1]) > 0.9999


def _waterings(night: float, cap: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """How long to water: by need and lack together, at night from a higher sum on, and in sand never long."""
    rng = np.random.default_rng(2)
    n = 9_000
    minutes = np.arange(n) * 4
    hour, late = minutes / 60 % 24, minutes > 7_900 * 4
    soil = rng.choice(["sand", "clay", "peat"], n)
    need = np.clip(0.4 + 0.3 * np.sin(hour / 24 * 2 * np.pi) + rng.normal(0, 0.2, n), 0, None).round(3)
    lack = rng.normal(0, 3, n).round(2)
    both = need + 0.05 * lack
    dark = (hour < 6) | (hour >= 21)
    level = np.digitize(both, [0.45, 0.75])
    level = np.where(dark, (both > np.where(late, night, 0.6)).astype(int), level)
    level = np.where((soil == "sand") & ~(cap & late), np.minimum(level, 1), level)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(minutes, unit="min"), "context.soil": soil,
        "inputs.moisture": (40 - lack).round(2), "steps.target.lack": lack, "inputs.wind": rng.gamma(2, 2, n).round(1),
        "outputs.score": need, "decision": np.array(["closed", "short", "long"])[level],
    })  # fmt: skip
    return table[:7_500], table[7_500:]


@pytest.mark.parametrize(("night", "cap"), [(0.6, False), (0.3, False), (0.6, True)])
def test_a_rule_over_a_sum_is_known(night: float, cap: bool) -> None:
    report = whimbrel.diagnose(*_waterings(night, cap))
    broken = night != 0.6 or cap
    assert report.verdict == ("fault" if broken else "healthy"), report.sentence
    assert [f.layer for f in report.findings[:1]] == (["decision"] if broken else [])
    if cap:
        assert [str(one) for one in report.findings[0].where] == ["context.soil=sand"]
