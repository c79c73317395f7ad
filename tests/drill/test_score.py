"""Answers are held against the truth, and each rate has its exact interval."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from whimbrel.drill.board import text
from whimbrel.drill.case import Truth
from whimbrel.drill.grade import f1, grade, same
from whimbrel.drill.rates import Rate
from whimbrel.drill.score import Score
from whimbrel.model.report import Finding, Report, Span
from whimbrel.model.window import Condition, where_of

ONSET = datetime(2013, 6, 11, 14, tzinfo=UTC)
TRUTH = Truth(
    "F06/distance", "features", ("steps.scale.distance",), {"context.origin": "JFK"}, ONSET, "medium", 1, 0.03
)
CALM = Truth("none")


def answer(
    *findings: tuple[str, str], verdict: str = "fault", where: dict[str, object] | None = None, lag_h: float = 0
) -> Report:
    span = Span(None, None, 100)
    found = tuple(
        Finding(i, layer, component, where_of(where or {}), ONSET + timedelta(hours=lag_h), 0.9, True, {}, "", ())
        for i, (layer, component) in enumerate(findings, 1)
    )
    return Report("flights", span, span, verdict, "…", found)  # type: ignore[arg-type]


@pytest.mark.parametrize(("hits", "n", "low", "high"), [
    (0, 20, 0.0, 0.1684335), (1, 20, 0.0012651, 0.2487328), (10, 12, 0.5158623, 0.9791375),
    (292, 300, 0.9481342, 0.9884184), (300, 300, 0.9877790, 1.0), (1, 1, 0.025, 1.0),
])  # fmt: skip
def test_intervals_are_those_of_clopper_and_pearson(hits: int, n: int, low: float, high: float) -> None:
    """The bounds are scipy's: `beta.ppf(0.025, hits, n - hits + 1)` and `beta.ppf(0.975, hits + 1, n - hits)`."""
    assert (Rate(hits, n).low, Rate(hits, n).high) == pytest.approx((low, high), abs=1e-7)


@pytest.mark.parametrize(("component", "right", "equal"), [
    ("steps.scale.fare", "steps.scale.fare", True),
    ("steps.scale", "steps.scale.fare", True),
    ("steps.scale.fare", "steps.scale", True),
    ("steps.scale.fare", "steps.scale.seats", False),
    ("steps.scaled", "steps.scale", False),
    ("decision", "decisions.route", True),
    ("decisions.other", "decisions.route", False),
])  # fmt: skip
def test_a_component_is_right_when_it_is_equal_or_a_parent_or_a_child(component: str, right: str, equal: bool) -> None:
    assert same(component, right) is equal


def test_a_right_answer_is_right_in_every_part() -> None:
    graded = grade(TRUTH, answer(("features", "steps.scale"), where={"context.origin": "JFK"}, lag_h=1.5))
    assert (graded.layer_hit, graded.component_hit, graded.component_near, graded.slice_hit) == (True,) * 4
    assert graded.onset_s == 5400


def test_only_the_first_finding_counts_for_the_layer_and_the_first_three_for_the_component() -> None:
    graded = grade(
        TRUTH, answer(("data", "inputs.distance"), ("model", "outputs.score"), ("features", "steps.scale.distance"))
    )
    assert (graded.layer_hit, graded.component_hit, graded.component_near, graded.slice_hit) == (
        False,
        False,
        True,
        False,
    )
    late = answer(*[("data", f"inputs.{i}") for i in range(3)], ("features", "steps.scale.distance"))
    assert not grade(TRUTH, late).component_near


@pytest.mark.parametrize("verdict", ["healthy", "insufficient"])
def test_nothing_said_is_nothing_hit(verdict: str) -> None:
    graded = grade(TRUTH, answer(verdict=verdict))
    assert [graded.found, graded.layer_hit, graded.component_near, graded.slice_hit] == [False] * 4


def test_a_score_counts_hits_misses_and_false_alarms() -> None:
    right = grade(TRUTH, answer(("features", "steps.scale.distance"), where={"context.origin": "JFK"}))
    wrong = grade(TRUTH, answer(("data", "inputs.distance"), lag_h=-30))
    missed = grade(TRUTH, answer(verdict="healthy"))
    notice = grade(CALM, answer(("model", "model.version"), verdict="notice"))
    alarm = grade(CALM, answer(("data", "inputs.temp")))
    nothing = grade(replace(TRUTH, severity="harmless"), answer(("data", "inputs.temp")))
    score = Score((right, wrong, missed, notice, alarm, nothing))
    rates = {name: (rate.hits, rate.n) for name, rate in score.rates.items()}
    assert rates == {
        "layer": (1, 3), "component": (1, 3), "component_top3": (1, 3), "slice": (1, 3), "onset_within_1h": (1, 3),
        "both_of_two": (0, 0), "wrong_blame": (1, 3), "missed": (1, 3), "crashed": (0, 6), "false_alarms": (1, 2),
        "harmless_alarms": (1, 1),
    }  # fmt: skip
    assert score.confusion == {"features": {"features": 1, "data": 1, "none": 1}, "none": {"model": 1, "data": 1}}
    assert score.onset_error_min == 15 * 60
    assert [(said.low, said.right.hits, said.right.n) for said in score.confidence if said.right.n] == [(0.9, 1, 4)]
    again = json.loads(json.dumps(score.to_dict()))
    assert again["schema"] == "whimbrel.drill/2"
    assert len(again["cases"]) == 6
    drawn = text(score)
    assert "LCS  features steps.scale.distance [origin=JFK]" in drawn
    assert "!!!  data inputs.temp" in drawn
    assert "false_alarms       1 of 2 (50%" in drawn


def test_either_root_of_two_faults_is_right_and_both_are_counted() -> None:
    other = Truth("O01", "decision", ("decision",), {"context.channel": "web"}, ONSET, "medium", 1, 0.03)
    truth = replace(TRUTH, fault="F06+O01", second=other)
    one = grade(truth, answer(("decision", "decision"), where={"context.channel": "web"}))
    assert (one.layer_hit, one.component_hit, one.slice_hit, one.both_hit) == (True, True, True, False)
    two = grade(truth, answer(("decision", "decision"), ("features", "steps.scale")))
    assert two.both_hit
    assert not two.slice_hit
    assert Score((one, two)).rates["both_of_two"] == Rate(1, 2)


@pytest.mark.parametrize(("said", "late_h"), [
    (("decision", "decision"), 0), (("features", "steps.scale"), 5), (("decision", "decisions.other"), 0), (("data", "inputs.n"), 5),
])  # fmt: skip
def test_an_onset_is_held_against_that_of_the_fault_that_is_named(said: tuple[str, str], late_h: float) -> None:
    """Of two faults at once, by component or else by layer; what names neither is held against the first."""
    other = Truth("O01", "decision", ("decision",), {"context.channel": "web"}, ONSET + timedelta(hours=5))
    graded = grade(replace(TRUTH, second=other), answer(said, lag_h=5))
    assert graded.onset_s == 3600 * late_h


def test_what_may_also_be_said_is_right() -> None:
    truth = replace(TRUTH, layer="training", components=("training.lr",), others=(("model", "model.version"),))
    assert grade(truth, answer(("model", "model.version"))).component_hit
    assert not grade(truth, answer(("features", "steps.scale"))).layer_hit


def test_slices_overlap_by_their_rows_since_the_onset() -> None:
    hours = np.arange(8) - 4.0
    window = {
        "ts": ONSET.timestamp() + 3600 * hours,
        "context.origin": np.array(["JFK", "EWR"] * 4, dtype=object),
        "inputs.n": np.arange(8.0),
    }
    assert f1(window, TRUTH, where_of({"context.origin": "JFK"})) == 1
    assert f1(window, TRUTH, where_of({"context.origin": "EWR"})) == 0
    assert f1(window, TRUTH, ()) == pytest.approx(2 * 2 / 6)
    assert f1(window, TRUTH, where_of({"context.planet": "mars"})) == 0
    assert f1(window, TRUTH, (Condition("context.origin", "JFK|LGA", "|="),)) == 1
    assert f1(window, TRUTH, (Condition("context.origin", "JFK|EWR", "|="),)) == pytest.approx(2 * 2 / 6)
