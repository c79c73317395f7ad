"""A small cut of the drill: the diagnosis finds what is planted, layer and component, and does not cry wolf."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from whimbrel.drill.run import UNTOUCHED, Task, ask, run
from whimbrel.drill.score import Score, text

FAULTS = ("D16/origin", "F03/dest", "P01", "M07", "H01")
CALM = ("none/deploy", "none", "none/retired")
"""One window each: the first with a harmless deploy, the last without anything, the first with a retired channel."""
LAYERS_FOUND, COMPONENTS_FOUND, FALSE_ALARMS = 4, 4, 0
GOLDEN_DAYS, SEED = 14, 4


def test_the_layer_and_the_component_of_planted_faults_are_named(cache: Path) -> None:
    score = run(faults=FAULTS, severity="medium", untouched=0, golden_days=GOLDEN_DAYS, seed=SEED, cache=cache)
    assert score.rates["layer"].hits >= LAYERS_FOUND, text(score)
    assert score.rates["component"].hits >= COMPONENTS_FOUND, text(score)


def test_untouched_windows_are_left_in_peace(cache: Path) -> None:
    deploys, nothing, retired = ([u for u in UNTOUCHED if u[0] == name] for name in CALM)
    tasks = [Task(name, SEED, day=day, days=days) for name, day, days in (deploys[0], nothing[-1], retired[0])]
    score = Score(tuple(ask(replace(task, golden_days=GOLDEN_DAYS), cache) for task in tasks))
    assert score.rates["false_alarms"].hits <= FALSE_ALARMS, text(score)
