"""What a hit proves: habits of nulls, numbers that happen to be whole, places that never have a value."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from tests.diagnose.test_causes import ROWS, suspect
from whimbrel.diagnose import absence, gather
from whimbrel.diagnose.case import Variable
from whimbrel.diagnose.suspects import Proof
from whimbrel.model.fields import Field, Kind


@pytest.mark.parametrize(
    ("before", "after", "fault"), [(0.42, 0.62, False), (0.19, 1.0, True), (0.3, 0.7, True), (0.05, 0.12, True)]
)
def test_nulls_that_are_a_habit_become_a_little_more_common(before: float, after: float, fault: bool) -> None:
    hit = replace(suspect("inputs.user", "null", after - before, kind="invariant").hit, before=before, after=after)
    assert absence.no_habit(hit) is fault


@pytest.mark.parametrize(("values", "few"), [(2, True), (30, False)])
def test_one_lot_s_reading_may_happen_to_be_whole(values: int, few: bool) -> None:
    """However often it comes: that fractions are gone is told by many values."""
    one = suspect("steps.qc.z", "whole", 1.0, kind="invariant", proof=Proof.HARD)
    made = Variable(
        "steps.qc.z", Field("steps.qc.z", Kind.NUMBER), numbers=(np.arange(ROWS.size) % values).astype(float)
    )
    case = SimpleNamespace(variables={"steps.qc.z": made}, golden=~ROWS)
    assert gather._few_values(cast("Any", case), one) is few


@pytest.mark.parametrize("rounded", [False, True])
def test_whoever_rounds_rounds_all_values(rounded: bool) -> None:
    """A few routes' rates, each said again and again, happen to be whole; where all values are, somebody rounds."""
    golden = np.arange(200) < 100
    values = (np.arange(200) * 10.0 + 0.5).astype(np.float64)
    values[:10] = np.floor(values[:10])  # as many as are by chance
    values[100:160] = np.arange(60) % 10
    values[160:] = np.floor(values[160:]) if rounded else values[160:]
    one = suspect("steps.route.rate", "whole", 0.5, kind="invariant", proof=Proof.HARD)
    whole = values % 1 == 0
    hit = replace(
        one.hit, channel=replace(one.hit.channel, values=whole.astype(float)), excess=np.where(whole, 0.9, -0.1)
    )
    one = replace(one, hit=hit, affected=~golden)
    rate = Variable("steps.route.rate", Field("steps.route.rate", Kind.NUMBER), numbers=values)
    case = SimpleNamespace(variables={"steps.route.rate": rate}, golden=golden)
    assert gather._few_values(cast("Any", case), one) is not rounded


def test_a_place_that_never_has_a_value_does_not_say_how_long_one_may_be_missing() -> None:
    place, golden = np.array([0, 0, 0, 1, 1, 1, 1, 2]), np.array([True] * 7 + [False])
    missing = np.array([True, True, True, True, False, False, False, True])
    assert gather._never(place, missing, golden).tolist() == [0]
