"""A drilled app runs again as its releases declare it: what was declared is equal, what was not differs, and what was looked up is played back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from whimbrel.drill.apps import NAMES, subject
from whimbrel.drill.board import page, text
from whimbrel.drill.case import Asked, Drawn, columns
from whimbrel.drill.kept import Kept
from whimbrel.drill.run import Drill, Task, run
from whimbrel.engine import engine_named
from whimbrel.model.parity import Parity
from whimbrel.model.report import Report, Span
from whimbrel.model.window import Window
from whimbrel.replay import drawn, replay
from whimbrel.store import source_of


def case(cache: Path, app: str, fault: str, seed: int = 3) -> Drawn:
    asked = Asked(fault, app, where="all", shape="step", days=1, golden_days=2, seed=seed)
    return columns(asked if fault != "none" else replace(asked, where=None), cache)


def played(one: Drawn, which: int) -> Parity:
    """The window through the declared code (0) or golden's (1)."""
    assert one.codes is not None
    made, engine = one.tables(), engine_named("duckdb")
    window, golden = (
        drawn(engine, source_of(table, app="drilled")[0], Window("drilled"), 200)
        for table in (made.window, made.golden)
    )
    return replay("drilled", one.codes[which], window, golden)


def differing(parity: Parity) -> list[str]:
    """Steps that differ in more than the two in a thousand requests whose rules time out."""
    return [step.name for step in parity.steps if step.differ > 0.02 * step.compared]


@pytest.mark.parametrize("app", NAMES)
def test_a_healthy_app_is_what_its_code_makes_and_look_ups_are_played_back(cache: Path, app: str) -> None:
    parity = played(case(cache, app, "none"), 0)
    assert differing(parity) == []
    judged = {step.name: step for step in parity.steps}
    usual = subject(app).world(0, cache).app
    assert not {f"steps.{name}" for name in usual.reads} & judged.keys()
    assert judged["outputs"].unmade == tuple(usual.remote)
    assert judged["decision"].standing in ("equal", "different")
    assert judged["decision"].compared == 200


def test_what_nobody_declared_differs_from_the_declared_code(cache: Path) -> None:
    assert differing(played(case(cache, "loans", "M07"), 0)) == ["outputs"]


def test_a_release_is_what_the_declared_code_makes_and_not_what_golden_s_does(cache: Path) -> None:
    one = case(cache, "loans", "R01")
    assert differing(played(one, 0)) == []
    assert differing(played(one, 1)) == ["outputs"]


def test_a_source_that_lags_behind_is_no_difference_of_code(cache: Path) -> None:
    one = case(cache, "loans", "F12")
    assert differing(played(one, 0)) == differing(played(one, 1)) == []


def test_an_index_that_lost_passages_is_not_what_was_declared(cache: Path) -> None:
    """Retrieval runs again; what the provider wrote after it is not asked for again, and is not judged."""
    parity = played(case(cache, "answers", "T03"), 0)
    assert parity.first is not None
    assert parity.first.name == "steps.retrieve"


def blind(golden: Any, window: Any, *, events: Any, app: str) -> Report:
    """Sees nothing, and says so."""
    spans = Span(None, None, window.num_rows), Span(None, None, golden.num_rows)
    return Report(app, *spans, "healthy", "HEALTHY", took_s=0.1)


def test_both_answers_are_scored_and_shown_side_by_side(cache: Path, tmp_path: Path) -> None:
    """A diagnosis that sees nothing is lifted by replay alone, and both figures are told."""
    asked = Drill(
        ("loans",), ("M07", "O02"), where="all", shape="step", untouched=1, days=1, golden_days=2, floors=False
    )
    file = tmp_path / "results.jsonl"
    score = run(asked, cache=cache, kept=file, diagnose=blind)
    assert score.alone is not None
    assert (score.rates["layer"].hits, score.alone.rates["layer"].hits) == (2, 0)
    assert score.rates["component"].hits == 2
    assert score.rates["false_alarms"].hits == 0
    assert "recorded data alone" in text(score)
    assert "recorded data alone" in page(score, "whimbrel drill")
    told = score.to_dict()
    assert told["recorded_data_alone"]["layer"]["hits"] == 0
    assert [case["alone"]["layer"] for case in told["cases"][:2]] == [False, False]
    known = Kept(file).known(Task(Asked("M07", "loans", "medium", "all", "step", days=1, golden_days=2), replay=True))
    assert known is not None
    assert known.alone is not None
    plain = run(replace(asked, replay=False, n=1), cache=cache, diagnose=blind)
    assert plain.alone is None
    assert plain.rates["layer"].hits == 0
    assert "recorded data alone" not in text(plain)
