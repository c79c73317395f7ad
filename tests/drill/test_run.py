"""A drill plants what it is asked to plant, asks about each case, and gives the same score however many work at it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from whimbrel.drill.catalogue import KINDS
from whimbrel.drill.run import run
from whimbrel.drill.score import text
from whimbrel.errors import UsageError
from whimbrel.model.report import Finding, Report, Span


def always_distance(golden: Any, window: Any, *, events: Any, app: str) -> Report:
    """A floor: blames the distance, whatever is shown."""
    assert golden.num_rows > window.num_rows > 0
    assert all(event.kind for event in events)
    finding = Finding(1, "data", "inputs.distance", (), None, 0.5, True, {}, "", ())
    return Report(app, Span(None, None, window.num_rows), Span(None, None, golden.num_rows), "fault", "…", (finding,))


def test_one_fault_of_each_kind_is_planted_by_default(cache: Path) -> None:
    seen = []
    score = run(
        n=5, untouched=1, cache=cache, diagnose=always_distance, progress=lambda done, n, name: seen.append((done, n))
    )
    assert [case.truth.fault.partition("/")[0] for case in score.planted] == list(KINDS[:5])
    assert seen[-1] == (6, 6)
    assert score.rates["layer"].hits == sum(case.truth.layer == "data" for case in score.planted)
    assert score.rates["false_alarms"].hits == 1


def breaks_down(golden: Any, window: Any, *, events: Any, app: str) -> Report:
    raise ZeroDivisionError("nothing to divide by")


def test_a_diagnosis_that_raises_costs_its_own_case_alone(cache: Path) -> None:
    score = run(faults=["M07"], untouched=1, cache=cache, diagnose=breaks_down)
    assert [case.verdict for case in score.cases] == ["crashed", "crashed"]
    assert score.rates["crashed"].hits == 2
    assert score.rates["layer"].hits == score.rates["false_alarms"].hits == 0
    assert "ZeroDivisionError: nothing to divide by (test_run.py:" in text(score)


def test_two_processes_give_the_score_of_one(cache: Path) -> None:
    alone, together = (
        run(
            faults=["O01", "M07"],
            severity="all",
            n=5,
            untouched=2,
            jobs=jobs,
            cache=cache,
            diagnose=always_distance,
            where="one",
        )
        for jobs in (1, 2)
    )
    assert [case.truth for case in alone.cases] == [case.truth for case in together.cases]
    assert alone.confusion == together.confusion
    assert {case.truth.severity for case in alone.planted} == {"subtle", "medium", "loud"}
    assert all(len(case.truth.where) == 1 for case in alone.planted)


@pytest.mark.parametrize(("asked", "what"), [
    ({"faults": ["X1"]}, "no fault 'X1'"),
    ({"severity": "huge"}, "no severity 'huge'"),
    ({"n": 0, "untouched": 0}, "nothing to drill"),
])  # fmt: skip
def test_a_drill_that_makes_no_sense_is_refused(cache: Path, asked: dict[str, Any], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        run(cache=cache, diagnose=always_distance, **asked)
