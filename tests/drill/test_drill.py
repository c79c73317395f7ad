"""A small cut of the drill: the diagnosis finds what is planted, layer and component, and does not cry wolf."""

from __future__ import annotations

from pathlib import Path

import pytest

from whimbrel.drill.run import run
from whimbrel.drill.score import Score, text

FAULTS = ("D02/airport_delay", "D16/origin", "F03/dest", "P01", "M07", "L01", "I01/weather", "H01")
UNTOUCHED = 3
LAYERS_FOUND, COMPONENTS_FOUND, FALSE_ALARMS = 6, 6, 1


@pytest.fixture(scope="module")
def score(cache: Path) -> Score:
    return run(faults=FAULTS, severity="medium", untouched=UNTOUCHED, golden_days=14, seed=4, cache=cache)


def test_the_layer_and_the_component_of_planted_faults_are_named(score: Score) -> None:
    assert score.rates["layer"].hits >= LAYERS_FOUND, text(score)
    assert score.rates["component"].hits >= COMPONENTS_FOUND, text(score)


def test_untouched_windows_are_left_in_peace(score: Score) -> None:
    assert score.rates["false_alarms"].hits <= FALSE_ALARMS, text(score)
