"""`diagnose` with a pipeline: replay proves, finds what statistics cannot see, and clears what only moved."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

import whimbrel
from tests.replay import serving
from whimbrel.diagnose import diagnose_log, exact
from whimbrel.model.parity import StepParity
from whimbrel.model.report import Evidence, Finding, Report
from whimbrel.model.window import Window

START = 1_700_000_000
BREAK = START + 60 * 700


def diagnosed(home: Path, *changes: tuple[str, str], code: tuple[tuple[str, str], ...] = ()) -> Report:
    """Golden as the code says, a window with changes, diagnosed with the code."""
    serving.serve(serving.app(home), 700, start=START, seed=1, host=lambda i: f"h{i % 3}")
    serving.serve(serving.app(home, *changes), 400, start=BREAK, seed=2, host=lambda i: f"h{i % 3}")
    file = serving.write(home, *code)
    log = whimbrel.open(home)
    log.ingest()
    since = datetime.fromtimestamp(BREAK, UTC)
    return diagnose_log(
        log, window=Window("rides", since, None), golden_window=Window("rides", None, since), pipeline=f"{file}:predict"
    )


def of_code(report: Report) -> list[Finding]:
    """Findings in the layers that are code: how long things took here is this machine's doing."""
    return [finding for finding in report.findings if finding.layer in ("features", "model", "decision")]


def test_replay_proves_the_step(tmp_path: Path) -> None:
    """The finding bears exact evidence first, with what was replayed and what differs."""
    report = diagnosed(tmp_path, ("- 4.0) / 2.5", "- 8.0) / 2.5"))
    first = of_code(report)[0]
    assert first.harmful
    assert (first.layer, first.component) == ("features", "steps.scale.km")
    assert first.evidence[0].kind == "exact"
    assert first.evidence[0].numbers == {"replayed": 400, "differ": 400}
    assert first.confidence >= 0.99


def test_replay_sees_what_is_too_small_for_statistics(tmp_path: Path) -> None:
    """One percent on a scale is found by replay alone, and its harm is what a free run decides otherwise."""
    report = diagnosed(tmp_path, ("- 4.0) / 2.5", "- 4.0) / 2.525"))
    (finding,) = of_code(report)
    assert finding.component == "steps.scale.km"
    assert finding.evidence[0].kind == "exact"


def test_a_healthy_window_is_cleared_by_replay(tmp_path: Path) -> None:
    """Nothing differs: the layers that are code are cleared."""
    report = diagnosed(tmp_path)
    assert of_code(report) == []
    assert {"features", "model", "decision"} <= set(report.cleared)


def test_a_pipeline_that_never_was_production_s_is_said_and_not_blamed(tmp_path: Path) -> None:
    """What differs in golden as well did not break now."""
    report = diagnosed(tmp_path, code=(("- 4.0) / 2.5", "- 4.0) / 2.9"),))
    assert of_code(report) == []
    assert any("differs from what golden recorded as well" in note for note in report.notes)


def test_code_that_cannot_be_run_at_all_blames_nobody(tmp_path: Path) -> None:
    """A pipeline that fails on golden as well says nothing of the window; the notes say that it fails."""
    report = diagnosed(tmp_path, code=(("    scaled = scale(row)", "    raise RuntimeError('no model here')"),))
    assert of_code(report) == []
    assert any("no model here" in note for note in report.notes)


@pytest.mark.parametrize(
    ("departing", "predictions", "differ", "compared", "refuted"),
    [(8, 480, 1, 500, False), (8, 480, 0, 500, True), (4, 60, 0, 60, True), (4, 60, 0, 30, False), (300, 480, 1, 500, True)],
)  # fmt: skip
def test_replay_refutes_only_what_it_would_have_seen(
    departing: int, predictions: int, differ: int, compared: int, refuted: bool
) -> None:
    """Eight broken predictions among hundreds are no lie because a sample holds one of them."""
    said = Evidence("residual", "", {"predictions": predictions, "departing": departing})
    finding = Finding(1, "decision", "decision", (), None, 0.9, True, {}, "", (said,))
    step = StepParity("decision", "decision", "different" if differ else "equal", compared, differ)
    assert exact._refutes(step, finding) is refuted


def test_replay_makes_no_more_of_too_few_predictions(tmp_path: Path) -> None:
    """Code that agrees is cleared; the window as a whole cannot be judged, and the report still says so."""
    serving.serve(serving.app(tmp_path), 700, start=START, seed=1, host=lambda i: "h1")
    serving.serve(serving.app(tmp_path), 90, start=BREAK, seed=2, host=lambda i: "h1")
    log = whimbrel.open(tmp_path)
    log.ingest()
    since = datetime.fromtimestamp(BREAK, UTC)
    report = diagnose_log(
        log, window=Window("rides", since, None), golden_window=Window("rides", None, since),
        pipeline=f"{serving.write(tmp_path)}:predict",
    )  # fmt: skip
    assert report.verdict == "insufficient"
    assert report.sentence.startswith("CANNOT TELL")
    assert "features" in report.cleared
