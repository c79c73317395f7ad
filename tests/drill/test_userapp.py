"""The user's own app under the drill: its code is run again with the fault in its inputs, and its rows stay as they were."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from whimbrel.drill import userapp
from whimbrel.drill.own import cut_of, faults_of
from whimbrel.drill.userapp import drill_log, text
from whimbrel.errors import EvidenceError, UsageError
from whimbrel.model.report import Finding, Report, Span
from whimbrel.record import Recorder
from whimbrel.store import Log, open_log

CODE = """
from whimbrel.record import Recorder

recorder = Recorder("fares")


@recorder.step
def scale(fare, metres):
    return {"fare": fare / 40, "km": metres / 1000}


def quote(fare, metres, payment):
    x = scale(fare, metres)
    score = 0.1 + 0.5 * x["fare"] + 0.02 * x["km"] + (0.1 if payment == "card" else 0.0)
    return {"score": score, "decision": "accept"} if score > 0.5 else {"score": score, "decision": "refuse"}
"""
START = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Log, str]:
    """A log with two weeks of an app's predictions, and the file that answered them."""
    folder = tmp_path_factory.mktemp("own")
    file = folder / "fares.py"
    file.write_text(CODE, encoding="utf-8")
    _record(folder / "home")
    log = open_log(folder / "home")
    log.ingest()
    return log, f"{file}:quote"


def _record(home: Path) -> None:
    rng, recorder = np.random.default_rng(4), Recorder("fares", home=home, model="quote@3")
    n = 2400
    for i in range(n):
        ts = START + timedelta(minutes=8 * i)
        fare, metres = round(float(np.exp(rng.normal(3, 0.5))), 2), round(float(np.exp(rng.normal(8, 0.6))))
        inputs = {"fare": fare, "metres": metres, "payment": str(rng.choice(["card", "cash"]))}
        with recorder.prediction(
            inputs, ts=ts, channel=str(rng.choice(["web", "ios", "desk"], p=[0.5, 0.3, 0.2]))
        ) as p:
            x = recorder.step("scale", {"fare": fare / 40, "km": metres / 1000})
            score = 0.1 + 0.5 * x["fare"] + 0.02 * x["km"] + (0.1 if inputs["payment"] == "card" else 0.0)
            p.output(score=score)
            p.decision("accept" if score > 0.5 else "refuse")
    recorder.close()


def nobody(golden: Any, window: Any, *, events: Any, app: str) -> Report:
    """Says nothing, and remembers what it was shown."""
    SHOWN.append((golden, window))
    return Report(app, Span(None, None, window.num_rows), Span(None, None, golden.num_rows), "healthy", "nothing", ())


SHOWN: list[tuple[Any, Any]] = []


def test_a_fault_of_an_input_goes_through_the_users_own_code(recorded: tuple[Log, str]) -> None:
    log, code = recorded
    SHOWN.clear()
    done = drill_log(log, code=code, n=1, diagnose=nobody)
    assert done.replays
    assert not done.notes
    (case,) = done.score.cases
    assert case.truth.says.startswith("inputs.")
    first = case.truth.components[0]
    assert case.truth.effect > 0.02
    import pyarrow as pa

    window = pa.table(SHOWN[-1][1])
    fare, km = (np.array(window[f"steps.scale.{name}"]) for name in ("fare", "km"))
    np.testing.assert_allclose(fare, np.array(window["inputs.fare"]) / 40)
    np.testing.assert_allclose(km, np.array(window["inputs.metres"]) / 1000)
    paid = np.array([v.as_py() == "card" for v in window["inputs.payment"]])
    score = 0.1 + 0.5 * fare + 0.02 * km + 0.1 * paid
    np.testing.assert_allclose(np.array(window["outputs.score"]), score)
    assert np.array(window[first])[-100:].max() > 5 * np.median(np.array(pa.table(SHOWN[-1][0])[first]))


def test_what_a_step_returns_is_handed_on_to_what_follows(
    recorded: tuple[Log, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    log, code = recorded
    monkeypatch.setattr(userapp, "REPLAYED", 150)
    SHOWN.clear()
    done = drill_log(log, code=code, diagnose=nobody)
    at = next(i for i, case in enumerate(done.score.cases) if case.truth.fault == "step/1.1")
    import pyarrow as pa

    truth = done.score.cases[at].truth
    window = pa.table(SHOWN[1 + at][1])
    other = np.array(window["inputs.fare"]) / 40, np.array(window["inputs.metres"]) / 1000
    ratio = np.array(window[truth.components[0]]) / other[0 if truth.components[0].endswith("fare") else 1]
    assert set(np.round(ratio, 6)) == {1.0, 1.1}
    paid = np.array([v.as_py() == "card" for v in window["inputs.payment"]])
    made = [np.array(window[f"steps.scale.{name}"]) for name in ("fare", "km")]
    np.testing.assert_allclose(np.array(window["outputs.score"]), 0.1 + 0.5 * made[0] + 0.02 * made[1] + 0.1 * paid)


def test_without_code_faults_are_planted_into_the_rows_alone(recorded: tuple[Log, str]) -> None:
    done = drill_log(recorded[0], diagnose=nobody)
    assert not done.replays
    assert "name it with --user-app" in done.notes[0]
    assert {case.truth.layer for case in done.score.cases} >= {"data", "features", "decision", "model"}
    assert any(case.truth.where for case in done.score.cases)
    assert recorded[0].status().apps[0].predictions == 2400


def test_code_that_answers_otherwise_is_not_believed(recorded: tuple[Log, str], tmp_path: Path) -> None:
    other = tmp_path / "other.py"
    other.write_text("def quote(fare, metres, payment):\n    return {'score': fare}\n", encoding="utf-8")
    done = drill_log(recorded[0], code=f"{other}:quote", n=1, diagnose=nobody)
    assert not done.replays
    assert "otherwise than was recorded" in done.notes[0]


def test_the_answer_says_how_many_predictions_it_took(recorded: tuple[Log, str]) -> None:
    def sees_large(golden: Any, window: Any, *, events: Any, app: str) -> Report:
        import pyarrow as pa

        values = np.array(pa.table(window)["inputs.metres"])
        report = nobody(golden, window, events=events, app=app)
        if (values > 40_000).sum() < 5:
            return report
        finding = Finding(1, "data", "inputs.metres", (), None, 0.9, True, {}, "", ())
        return replace(report, verdict="fault", findings=(finding,))

    done = drill_log(recorded[0], n=2, diagnose=sees_large)
    (case,) = [case for case in done.score.cases if case.truth.components[0] == "inputs.metres"]
    assert case.layer_hit
    assert case.detected_rows is not None
    assert 5 <= case.detected_rows < 300
    told = text(done)
    assert "inputs.metres times 10" in told
    assert f"{case.detected_rows:,} predictions" in told
    assert done.to_dict()["schema"] == "whimbrel.drill.user/1"


def test_a_real_diagnosis_finds_a_unit_in_the_users_app(recorded: tuple[Log, str]) -> None:
    done = drill_log(recorded[0], code=recorded[1], n=1)
    assert done.score.rates["layer"].hits == 1, text(done)


def test_the_threshold_between_score_and_decision_is_learnt() -> None:
    score = np.linspace(0, 1, 500)
    columns = {
        "outputs.score": score, "decision": np.where(score >= 0.7, "yes", "no").astype(object),
        "label": np.full(500, np.nan), "label_ts": np.full(500, np.nan),
    }  # fmt: skip
    found = cut_of(columns)
    assert found is not None
    assert found[2] == pytest.approx(0.7, abs=0.01)
    assert found[3:] == ("no", "yes")
    moved = next(own for own in faults_of(columns, columns, replays=False) if own.layer == "decision")
    assert (moved.change(columns)["decision"] != columns["decision"]).mean() == pytest.approx(0.05, abs=0.01)
    assert cut_of({**columns, "decision": np.random.default_rng(0).permutation(columns["decision"])}) is None


def test_too_little_to_drill_is_refused(recorded: tuple[Log, str], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no app 'ships'"):
        drill_log(recorded[0], app="ships")
    recorder = Recorder("few", home=tmp_path)
    for _ in range(20):
        with recorder.prediction({"x": 1}):
            pass
    recorder.close()
    log = open_log(tmp_path)
    log.ingest()
    with pytest.raises(EvidenceError, match="too few to drill"):
        drill_log(log)
