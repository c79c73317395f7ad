"""A drill plants what it is asked to plant, asks about each case, and gives the same score however many work at it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from whimbrel.drill import kept
from whimbrel.drill.apps import NAMES, chosen, subject
from whimbrel.drill.board import page, text
from whimbrel.drill.run import Drill, run, tasks
from whimbrel.errors import UsageError
from whimbrel.model.report import Finding, Report, Span

SMALL = Drill(apps=("loans",), days=1, golden_days=2, untouched=1, floors=False, replay=False)


def always_income(golden: Any, window: Any, *, events: Any, app: str) -> Report:
    """A floor: blames one input, whatever is shown."""
    assert golden.num_rows > 0 < window.num_rows
    assert all(event.kind for event in events)
    finding = Finding(1, "data", "inputs.debt_to_income", (), None, 0.9, True, {}, "", ())
    return Report(app, Span(None, None, window.num_rows), Span(None, None, golden.num_rows), "fault", "…", (finding,))


def breaks_down(golden: Any, window: Any, *, events: Any, app: str) -> Report:
    raise ZeroDivisionError("nothing to divide by")


def test_each_kind_of_each_app_is_planted_by_default_and_pairs_now_and_then() -> None:
    todo = [task.asked for task in tasks(Drill(untouched=0))]
    singles = {(one.app, one.fault) for one in todo if "+" not in one.fault}
    assert len(todo) == sum(len(subject(name).kinds) for name in NAMES)
    assert len(singles) >= 0.9 * len(todo)
    assert {one.app for one in todo if "+" in one.fault} == set(NAMES)
    assert {one.shape for one in todo} == {"step", "ramp", "onoff"}


def test_three_hundred_windows_with_nothing_wrong_are_at_hand_and_no_two_are_the_same() -> None:
    calm = [task.asked for task in tasks(Drill(n=0, untouched=320))]
    assert len(set(calm)) == 320
    for name in NAMES:
        assert {one.fault for one in calm if one.app == name} == set(subject(name).calm)


def test_cases_are_asked_about_one_by_one_and_progress_is_told(cache: Path) -> None:
    seen = []
    score = run(
        replace(SMALL, n=5), cache=cache, diagnose=always_income,
        progress=lambda done, n, name: seen.append((done, n)),
    )  # fmt: skip
    assert seen[-1] == (6, 6)
    assert score.rates["layer"].hits == sum(
        case.truth.layer == "data" or any(layer == "data" for layer, _ in case.truth.others) for case in score.planted
    )
    assert score.rates["false_alarms"].hits == 1


def test_a_diagnosis_that_raises_costs_its_own_case_alone(cache: Path) -> None:
    score = run(replace(SMALL, faults=("M07",)), cache=cache, diagnose=breaks_down)
    assert [case.verdict for case in score.cases] == ["crashed", "crashed"]
    assert score.rates["crashed"].hits == 2
    assert score.rates["layer"].hits == score.rates["false_alarms"].hits == 0
    assert "ZeroDivisionError: nothing to divide by (test_run.py:" in text(score)


def test_two_processes_give_the_score_of_one(cache: Path) -> None:
    asked = replace(SMALL, faults=("O01", "M07"), severity="all", n=5, untouched=2, where="one")
    alone, together = (run(asked, jobs=jobs, cache=cache, diagnose=always_income) for jobs in (1, 2))
    assert [case.truth for case in alone.cases] == [case.truth for case in together.cases]
    assert alone.confusion == together.confusion
    assert all(len(case.truth.where) == 1 for case in alone.planted)


def test_a_drill_that_was_killed_goes_on(cache: Path, tmp_path: Path) -> None:
    file, asked = (
        tmp_path / "drill" / "results.jsonl",
        replace(SMALL, faults=("D02+O01", "M08", "D05"), untouched=2, n=3),
    )

    class Killed(BaseException):
        pass

    def dies(*given: Any, **more: Any) -> Report:
        if len(seen) == 3:
            raise Killed
        seen.append(given)
        return always_income(*given, **more)

    seen: list[Any] = []
    with pytest.raises(Killed):
        run(asked, cache=cache, kept=file, diagnose=dies)
    with file.open("ab") as torn:
        torn.write(b'{"key": "torn')
    seen.clear()

    def goes_on(*given: Any, **more: Any) -> Report:
        seen.append(given)
        return always_income(*given, **more)

    score = run(asked, cache=cache, kept=file, diagnose=goes_on)
    assert len(seen) == 2
    again = run(asked, cache=cache, kept=tmp_path / "new.jsonl", diagnose=always_income)
    assert [replace(case, took_s=0) for case in score.cases] == [replace(case, took_s=0) for case in again.cases]


def test_results_of_other_code_are_not_taken(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, asked = tmp_path / "results.jsonl", replace(SMALL, faults=("M07",), untouched=0)
    run(asked, cache=cache, kept=file, diagnose=always_income)
    monkeypatch.setattr(kept, "code_version", lambda: "another")
    assert run(asked, cache=cache, kept=file, diagnose=breaks_down).rates["crashed"].hits == 1


def test_the_first_moment_of_a_right_answer_is_found_by_halving(cache: Path) -> None:
    def after_a_hundred(golden: Any, window: Any, **more: Any) -> Report:
        report = always_income(golden, window, **more)
        return report if window.num_rows >= 100 else replace(report, verdict="healthy", findings=())

    asked = replace(SMALL, faults=("D02/debt_to_income",), shape="step", untouched=0, detect=True)
    (case,) = run(asked, cache=cache, diagnose=after_a_hundred).cases
    assert case.detected_rows is not None
    assert case.detected_min is not None
    assert 0 < case.detected_rows < 1100


def test_simple_rules_are_put_to_the_same_cases(cache: Path) -> None:
    asked = replace(SMALL, faults=("D02/debt_to_income", "D07/debt_to_income"), where="all", shape="step", floors=True)
    score = run(replace(asked, severity="loud", golden_days=9), cache=cache, diagnose=always_income)
    floors = score.floors
    assert set(floors) >= {"newest change", "largest PSI", "most common layer"}
    assert floors["most common layer"]["layer"].hits == 2
    assert floors["first PSI above 0.25"]["component"].hits == 2
    assert "beside simple rules" in text(score)
    drawn = page(score, "whimbrel drill")
    assert drawn.lstrip().startswith("<!doctype html>")
    assert "D07/debt_to_income" in drawn
    assert "<script" not in drawn


@pytest.mark.parametrize(("asked", "what"), [
    ({"faults": ("X99",)}, "no fault 'X99' in loans"),
    ({"severity": "huge"}, "no severity 'huge'"),
    ({"shape": "wave"}, "no shape 'wave'"),
    ({"where": "three"}, "cannot read the slice"),
    ({"n": 0, "untouched": 0}, "nothing to drill"),
    ({"apps": ("ships",)}, "no app 'ships'"),
])  # fmt: skip
def test_a_drill_that_makes_no_sense_is_refused(cache: Path, asked: dict[str, Any], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        run(replace(SMALL, **asked), cache=cache, diagnose=always_income)


def test_all_apps_are_those_that_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(()) == chosen(("all",)) == NAMES
    assert chosen(("taxi", "bikes", "taxi")) == ("taxi", "bikes")
    monkeypatch.setattr("whimbrel.drill.apps.find_spec", lambda name: None)
    assert "flights" not in chosen(())
