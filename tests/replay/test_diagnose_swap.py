"""`diagnose` with code: a declared change is shared out, an undeclared one traced, a raw input weighed by what it does."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import whimbrel
from tests.replay import serving
from whimbrel.diagnose import declared, diagnose_log
from whimbrel.errors import UsageError
from whimbrel.model.report import Finding, Report
from whimbrel.model.swap import Artefact
from whimbrel.model.swap import Change as Changed
from whimbrel.model.window import Window

START = 1_700_000_000
BREAK = START + 60 * 700
SINCE = datetime.fromtimestamp(BREAK, UTC)
Change = tuple[str, str]
SCALE: Change = ("- 4.0) / 2.5", "- 8.0) / 2.5")
THRESHOLD: Change = (">= 0.5", ">= 0.62")


def host(i: int) -> str:
    """Three of them, in turn."""
    return f"h{i % 3}"


def asked(home: Path, *, declared: tuple[Change, ...] = (), with_golden: bool = True) -> Report:
    """Diagnose the window with the declared code, golden's beside it."""
    now = serving.write(home, *declared, name="declared")
    then = serving.write(home, name="golden")
    log = whimbrel.open(home)
    log.ingest()
    return diagnose_log(
        log, window=Window("rides", SINCE, None), golden_window=Window("rides", None, SINCE),
        pipeline=f"{now}:predict", golden_pipeline=f"{then}:predict" if with_golden else None,
    )  # fmt: skip


def released(home: Path, *changes: Change, with_golden: bool = True) -> Report:
    """Golden's code, then a release that changes things and says so."""
    serving.serve(serving.app(home), 700, start=START, seed=1, host=host)
    serving.serve(serving.app(home, *changes), 400, start=BREAK, seed=2, host=host)
    return asked(home, declared=changes, with_golden=with_golden)


def of_code(report: Report) -> list[Finding]:
    """Findings in the layers that are code."""
    return [finding for finding in report.findings if finding.layer in ("features", "model", "decision")]


def told(report: Report) -> str:
    """All that a report says, for a test that fails."""
    findings = [
        (f.layer, f.component, f.where, f.since, f.harmful, f.what, exact(f), f.victims) for f in report.findings
    ]
    return f"{report.sentence}\n{findings}\n{report.traffic}\n{report.cleared}\n{report.cannot_tell}\n{report.notes}"


def exact(finding: Finding) -> str:
    """What replay says of it."""
    return " | ".join(e.says for e in finding.evidence if e.kind == "exact")


def test_a_declared_threshold_is_named_with_what_it_flips(tmp_path: Path) -> None:
    """Production does what the new code says; golden did not, and the threshold bears it all."""
    (one,) = of_code(released(tmp_path, THRESHOLD))
    assert (one.layer, one.component) == ("decision", "decision")
    assert one.harmful
    assert "the change is declared" in exact(one)
    assert "'accept' from 0.6" in one.what or "'accept' from 0.6" in exact(one)
    numbers = next(e.numbers for e in one.evidence if "shapley_flipped" in e.numbers)
    assert float(numbers["shapley_flipped"]) * 200 == float(numbers["flipped"]) > 10
    assert "--golden-pipeline" in one.next


def test_a_declared_scaler_s_parameter_is_found_without_golden_s_code_too(tmp_path: Path) -> None:
    """Golden's own records are what golden's code made: the step that they differ in is the one that changed."""
    found = of_code(released(tmp_path, SCALE, with_golden=False))[0]
    assert found.component.startswith("steps.scale")
    assert found.harmful
    assert "400 of 400 predictions are what steps.scale of the declared code makes" in exact(found)


def test_changes_that_make_up_for_each_other_are_reported_and_not_harmful(tmp_path: Path) -> None:
    """Each alone would flip decisions; together they flip none, and nobody is paged."""
    halves: tuple[Change, ...] = (("- 4.0) / 2.5", "- 4.0) / 5.0"), ('0.8 * scaled["km"]', '1.6 * scaled["km"]'))
    report = released(tmp_path, *halves)
    found = {finding.component.split(".")[1]: finding for finding in of_code(report)}
    assert set(found) == {"scale", "calibrate"}
    assert not any(finding.harmful for finding in found.values())
    assert all("make up for each other" in exact(finding) for finding in found.values())


@pytest.mark.parametrize(
    ("layer", "compared", "flips", "loss", "z", "harms"),
    [
        ("decision", 200, 0.05, 0.0, 0.0, True), ("features", 200, 0.0, 0.0, 0.0, None), ("features", 2000, 0.0, 0.0, 0.0, False),
        ("features", 2000, 0.001, 0.0, 0.0, None), ("model", 2000, 0.05, 0.0, 0.0, None), ("model", 200, 0.2, 0.0, 0.0, True),
        ("model", 200, 0.05, 0.02, 3.0, True), ("features", 200, 0.3, -0.02, -3.0, False),
    ],
)  # fmt: skip
def test_labels_judge_a_declared_change_and_decisions_where_there_are_none(
    layer: str, compared: int, flips: float, loss: float, z: float, harms: bool | None
) -> None:
    """A released model is meant to score otherwise, and what 200 predictions do not show others may: then the window as a whole tells."""
    shares = {"flipped": flips, **({"loss": loss} if z else {})}
    whole = Changed(
        compared,
        int(compared * flips),
        0.1,
        0.1,
        labelled=100 if z else 0,
        loss_before=0.1,
        loss_after=0.1 + loss,
        loss_z=z,
    )
    assert declared.harmful(Artefact("steps.x", layer, "step", ("steps.x",), "", whole, whole, shares), whole) is harms


@pytest.mark.parametrize(
    ("slope", "flips", "harms"), [(0.9, 0.2, None), (1.3, 0.2, True), (0.4, 0.2, True), (1.3, 0.0, None)]
)
def test_before_labels_a_declared_model_is_judged_by_how_its_scores_go_with_golden_s(
    slope: float, flips: float, harms: bool | None
) -> None:
    """As many flipped decisions may be a release as good; scores that are surer of themselves, or hardly follow, are not."""
    whole = Changed(200, int(200 * flips), 0.1, 0.1, score_slopes=(slope, 1 / slope), slope_error=0.01)
    assert (
        declared.harmful(
            Artefact("outputs", "model", "model", ("outputs",), "", whole, whole, {"flipped": flips}), whole
        )
        is harms
    )


def test_a_host_that_still_runs_golden_s_code_is_told_from_a_broken_one(tmp_path: Path) -> None:
    """Undeclared, on one host: what it recorded is what the old code makes."""
    serving.serve(serving.app(tmp_path), 700, start=START, seed=1, host=host)
    serving.serve(serving.app(tmp_path), 400, start=BREAK, seed=2, host=lambda i: "h2")
    new = serving.app(tmp_path, SCALE)
    serving.serve(new, 800, start=BREAK + 20, seed=3, host=lambda i: f"h{i % 2}")
    report = asked(tmp_path, declared=(SCALE,))
    found = next(f for f in of_code(report) if f.component.startswith("steps.scale"))
    assert "golden's code makes what was recorded" in exact(found)
    assert "the declared release does not run there" in exact(found)


def test_a_host_that_does_what_no_code_says_is_blamed_by_itself(tmp_path: Path) -> None:
    """Undeclared, on one host, and neither code's: that machine, and what ran there cannot be told."""
    serving.serve(serving.app(tmp_path), 700, start=START, seed=1, host=host)
    serving.serve(serving.app(tmp_path), 300, start=BREAK, seed=2, host=lambda i: f"h{i % 2}")
    serving.serve(serving.app(tmp_path, SCALE), 150, start=BREAK + 30, seed=3, host=lambda _: "h2")
    report = asked(tmp_path)
    found = next(f for f in of_code(report) if f.component == "steps.scale.km")
    assert [str(c) for c in found.where] == ["context.host=h2"]
    assert "only where context.host=h2" in exact(found)
    assert "golden's code does not make it either" in exact(found)


def test_equal_code_is_cleared_with_its_confidence(tmp_path: Path) -> None:
    """Nothing was declared and nothing differs: code, model and decision are cleared, with what n rules out."""
    report = released(tmp_path)
    assert of_code(report) == []
    assert {"features", "model", "decision"} <= set(report.cleared)
    assert any("EQUAL" in note and "would have shown with 99% certainty" in note for note in report.notes)


def test_a_difference_without_an_outcome_is_a_notice_whose_harm_cannot_be_told(tmp_path: Path) -> None:
    """No score and no decision is recorded: what only replay sees is not called harmful for that."""
    silent: Change = (
        '        p.output(score)\n        p.decision("accept" if score >= 0.5 else "refuse")',
        "        pass",
    )
    serving.serve(serving.app(tmp_path, silent), 300, start=BREAK - 60 * 300, seed=1, host=host)
    serving.serve(serving.app(tmp_path, silent, ("/ 2.5", "/ 2.501")), 150, start=BREAK, seed=2, host=host)
    report = asked(tmp_path, declared=(silent,), with_golden=False)
    assert [one.component for one in of_code(report)] == ["steps.scale.km"], told(report)
    (found,) = of_code(report)
    assert not found.harmful
    assert any("cannot be told" in note for note in report.notes)


# ---------------------------------------------------------------- raw inputs


def driven(home: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Report:
    """Rides with a battery's charge that no code reads, each changed on its way in after the break."""
    app = serving.app(home)
    app.FARES |= dict.fromkeys(("Amsterdam", "Bern ", "Cairo", "Delhi", "Essen"), 0.5)
    for n, start, seed, turn in ((1500, BREAK - 60 * 1500, 1, dict), (800, BREAK, 2, change)):
        rng = random.Random(seed)
        for i in range(n):
            ride = turn({**serving.inputs(rng), "battery": round(rng.gauss(50, 10), 2)})
            with app.recorder.prediction(ride, ts=start + 60 * i, country="CH", host=host(i)):
                app.predict(**{name: value for name, value in ride.items() if name != "battery"})
    return asked(home, with_golden=False)


def test_a_big_drift_of_an_unread_input_harms_nobody(tmp_path: Path) -> None:
    """A charge a thousand times higher, which no code reads, is at most a notice; decisions say so."""
    report = driven(tmp_path, lambda ride: {**ride, "battery": ride["battery"] * 1000})
    found = next(f for f in report.findings if f.component == "inputs.battery")
    assert not found.harmful
    assert "the code does not read it" in exact(found)
    assert not any(f.harmful for f in report.findings if f.layer == "data")


def test_a_small_fault_that_flips_decisions_comes_before_a_big_one_that_flips_none(tmp_path: Path) -> None:
    """Inputs are ranked by what the outcome does when golden's values are put back."""

    def change(ride: dict[str, Any]) -> dict[str, Any]:
        return {**ride, "battery": ride["battery"] * 1000, "km": None if ride["minutes"] > 35 else ride["km"]}

    report = driven(tmp_path, change)
    data = [f for f in report.findings if f.layer == "data"]
    assert data, told(report)
    assert data[0].component == "inputs.km", told(report)
    assert data[0].harmful
    assert "decisions change" in exact(data[0])
    battery = next(f for f in data if f.component == "inputs.battery")
    assert not battery.harmful


# ---------------------------------------------------------------- on the command line


def test_several_pipelines_stand_side_by_side_and_the_matrix_under_them(tmp_path: Path) -> None:
    """`parity` with two pipelines, and with golden's code; `diagnose` with both, as text, JSON and a page."""
    from click.testing import CliRunner

    from whimbrel.cli.app import whimbrel as program

    serving.serve(serving.app(tmp_path), 300, start=BREAK - 60 * 300, seed=1, host=host)
    serving.serve(serving.app(tmp_path, SCALE, THRESHOLD), 150, start=BREAK, seed=2, host=host)
    whimbrel.open(tmp_path).ingest()
    new, old = serving.write(tmp_path, SCALE, THRESHOLD, name="new"), serving.write(tmp_path, name="old")
    window = ["--home", str(tmp_path), "--since", SINCE.isoformat(), "--golden-until", SINCE.isoformat()]
    codes = [f"{new}:predict", f"{old}:predict"]

    def say(*arguments: str) -> tuple[int, str]:
        told = CliRunner().invoke(program, [*arguments, *window], standalone_mode=False)
        return told.return_value, told.output

    status, said = say("parity", "--pipeline", codes[0], "--golden-pipeline", codes[1])
    assert status == 1
    row = next(line for line in said.splitlines() if line.startswith("  steps.scale"))
    assert row.split() == ["steps.scale", "=", "≠", "150", "of", "150"]
    assert (
        "steps.scale (step): steps.scale.km is 1.6 too low (150 of 150); its code has 8.0 where golden has 4.0" in said
    )
    assert "decision (threshold)" in said
    assert "steps.scale + decision" in said
    page = tmp_path / "finding.html"
    status, said = say("diagnose", "--pipeline", codes[0], "--golden-pipeline", codes[1], "--html", str(page))
    assert status == 1
    assert "its Shapley share beside" in " ".join(said.split())
    assert "its Shapley share beside" in page.read_text()


def test_golden_s_code_alone_is_refused(tmp_path: Path) -> None:
    """There is nothing to compare it with."""
    serving.serve(serving.app(tmp_path), 3, start=START, seed=1, host=host)
    log = whimbrel.open(tmp_path)
    log.ingest()
    with pytest.raises(UsageError, match="declared"):
        diagnose_log(log, "rides", window=Window("rides"), golden_pipeline="old.py:predict")
