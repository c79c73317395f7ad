"""What replay makes of findings that are right, wrong, or about what no code makes: drilled apps, and reports written by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from whimbrel.diagnose import replayed
from whimbrel.drill.case import Asked, Drawn, columns
from whimbrel.model.report import Evidence, Finding, Report, Span, Traffic


def case(cache: Path, app: str, fault: str, seed: int = 3) -> Drawn:
    where = None if fault.startswith("none") else "all"
    return columns(Asked(fault, app, "loud", where, "step", days=1, golden_days=2, seed=seed), cache)


def finding(layer: str, component: str, harmful: bool = True) -> Finding:
    proof = (Evidence("residual", "it is not what golden made of the same inputs"),)
    return Finding(1, layer, component, (), None, 0.95, harmful, {}, "moved", proof)


def weighed(one: Drawn, *findings: Finding, traffic: tuple[Traffic, ...] = ()) -> Report:
    """A report with these findings after replay."""
    assert one.codes is not None
    made = one.tables()
    spans = Span(None, None, made.window.num_rows), Span(None, None, made.golden.num_rows)
    report = Report("drilled", *spans, "fault", "FAULT", findings, traffic)
    return replayed(report, made.golden, made.window, pipeline=one.codes[0], golden_pipeline=one.codes[1])


@pytest.mark.parametrize("component", ["steps.scale.tenure", "outputs.margin", "decision"])
def test_a_finding_about_code_that_does_what_it_did_is_refuted(cache: Path, component: str) -> None:
    report = weighed(case(cache, "loans", "none"), finding("features", component))
    assert report.verdict == "healthy"
    assert any(component in moved.explains for moved in report.traffic)


def test_a_finding_about_what_was_looked_up_is_neither_proven_nor_refuted(cache: Path) -> None:
    report = weighed(case(cache, "loans", "F12"), finding("features", "steps.bureau.rate"))
    assert [found.component for found in report.findings] == ["steps.bureau.rate"]
    assert report.findings[0].evidence[0].kind == "residual"


def test_another_false_finding_does_not_keep_the_broken_step_from_being_named(cache: Path) -> None:
    report = weighed(case(cache, "loans", "M07"), finding("features", "steps.scale.tenure"))
    assert (report.findings[0].layer, report.findings[0].component) == ("model", "outputs.score")
    assert report.verdict == "fault"


def test_an_experiment_s_arm_that_was_declared_is_no_fault(cache: Path) -> None:
    report = weighed(case(cache, "loans", "none/trial", seed=5), finding("decision", "decision"))
    assert report.verdict == "notice"
    assert "the change is declared" in report.findings[0].evidence[0].says


def test_what_broke_retrieval_and_the_answers_was_the_question(cache: Path) -> None:
    """Retrieval does what it did, the text cannot be run again: both were handed a form's placeholder."""
    asked = Traffic("inputs.question: new words", ("inputs.question",))
    findings = finding("model", "outputs.text"), finding("features", "steps.retrieve.score")
    report = weighed(case(cache, "answers", "D07/question"), *findings, traffic=(asked,))
    assert [(found.layer, found.component) for found in report.findings] == [("data", "inputs.question")]
    assert {"outputs.text", "steps.retrieve.score"} <= set(report.findings[0].victims)


def test_a_broken_prompt_comes_before_the_texts_that_it_leads_to(cache: Path) -> None:
    """No outcome can be had, so the harm is that of what it took down."""
    report = weighed(case(cache, "answers", "T01"), finding("model", "outputs.text"))
    assert report.findings[0].layer == "features"
    assert report.findings[0].component.startswith("steps.prompt")
    assert report.findings[0].harmful
    assert "model" not in report.cleared


def test_an_input_that_nothing_is_made_of_harms_nobody(cache: Path) -> None:
    report = weighed(case(cache, "answers", "Z01/session"), finding("data", "inputs.session"))
    assert report.verdict == "notice"


def test_retrieval_that_got_nothing_while_calls_were_slow_was_not_answered(cache: Path) -> None:
    report = weighed(case(cache, "answers", "F13"), finding("serving", "spans.total"))
    assert [(found.layer, found.component) for found in report.findings] == [("serving", "spans.retrieve")]


def test_what_code_read_rightly_from_a_provider_s_text_was_written_so(cache: Path) -> None:
    """Amounts in cents: the code makes of the recorded text what was recorded, so that the text holds them."""
    report = weighed(case(cache, "agent", "T22"), finding("model", "outputs.refund"))
    assert [(found.layer, found.component) for found in report.findings] == [("model", "outputs.body")]
    assert "outputs.refund" in report.findings[0].victims


def test_a_text_that_was_read_otherwise_is_the_reader_s(cache: Path) -> None:
    """The reader wants a key that nobody writes: what it makes of the text is its victim, and not the model's doing."""
    unread = replace(finding("decision", "decisions.read"), victims=("outputs.refund", "outputs.score"))
    report = weighed(case(cache, "agent", "T10"), unread)
    assert [(found.layer, found.component) for found in report.findings] == [("decision", "decisions.read")]
    assert report.findings[0].evidence[0].kind == "exact"
