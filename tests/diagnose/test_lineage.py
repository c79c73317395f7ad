"""From another model to other data: the finding names both data versions and what differs, or what is not known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from whimbrel.diagnose.doors import diagnose_log
from whimbrel.model.report import Finding
from whimbrel.model.window import Condition, Window
from whimbrel.record import Recorder
from whimbrel.store import Log, open_log

START = datetime(2026, 3, 2, tzinfo=UTC)
AT = START + timedelta(days=8)


def traffic(n: int, since: datetime, days: float, version: str, lift: float, seed: int) -> pd.DataFrame:
    """Predictions of a model that adds `lift` to the score."""
    dice = np.random.default_rng(seed)
    x, z = dice.normal(0, 1, n), dice.normal(0, 1, n)
    return pd.DataFrame({
        "ts": [since + timedelta(days=days) * share for share in np.sort(dice.random(n))],
        "inputs.x": x, "inputs.z": z, "outputs.score": 1 / (1 + np.exp(-(x + 0.5 * z + lift))),
        "model.name": "fares", "model.version": version,
    })  # fmt: skip


@pytest.fixture
def log(tmp_path: Path) -> Log:
    log = open_log(tmp_path / "home")
    for factor in (1.0, 100.0):
        log.data.add_table(pd.DataFrame({"x": np.arange(1, 2001) * factor, "k": ["a", "b"] * 1000}), name="train")
    return log


def finding(log: Log, data: tuple[str | None, str | None] = (None, None)) -> Finding:
    frames = [traffic(4000, START, 8, "7", 0.0, 1), traffic(800, AT, 1, "8", 1.5, 2)]
    for frame, spec in zip(frames, data, strict=True):
        log.add(frame if spec is None else frame.assign(**{"model.data": spec}), app="taxi")
    window, golden = Window("taxi", AT, AT + timedelta(days=1)), Window("taxi", START, AT)
    (found,) = diagnose_log(log, window=window, golden_window=golden).findings
    assert found.component == "model.version"
    return found


def told(found: Finding) -> list[str]:
    return [e.says for e in found.evidence if "trained on" in e.says]


def test_the_data_that_the_recorder_named_is_compared(log: Log) -> None:
    found = finding(log, ("train@1", "train@2"))
    (said,) = told(found)
    assert said.startswith(
        "fares@8 was trained on train@2, fares@7 on train@1: 1,990 rows gone and 1,990 new (2,000 rows); `x` "
    )
    assert (found.evidence[-1].kind, found.evidence[-1].numbers) == (
        "identity",
        {"before": "train@1", "after": "train@2"},
    )


def test_a_link_stands_in_where_the_app_does_not_say(log: Log) -> None:
    log.data.link("fares@8", "train@2")
    (said,) = told(finding(log))
    assert said == (
        "fares@8 was trained on train@2; what fares@7 was trained on is not noted: whimbrel data link fares@7 NAME@VERSION"
    )
    log.data.link("fares@7", "train@2")
    window, golden = Window("taxi", AT, AT + timedelta(days=1)), Window("taxi", START, AT)
    (again,) = diagnose_log(log, window=window, golden_window=golden).findings
    assert told(again) == ["both models were trained on train@2"]


def test_data_that_the_log_lacks_is_named_all_the_same(log: Log) -> None:
    (said,) = told(finding(log, ("train@1", "elsewhere@3")))
    assert said.startswith(
        "fares@8 was trained on elsewhere@3, fares@7 on train@1; they cannot be compared: there is no data named"
    )


def test_where_nothing_is_known_nothing_is_said_and_damage_costs_no_diagnosis(log: Log) -> None:
    assert told(finding(log)) == []
    log.data.link("fares@8", "train@2")
    next(log.layout.models.glob("*.json")).write_text("{")
    window, golden = Window("taxi", AT, AT + timedelta(days=1)), Window("taxi", START, AT)
    (found,) = diagnose_log(log, window=window, golden_window=golden).findings
    assert "cannot be compared" in found.evidence[-1].says


def test_a_recorder_names_the_data_of_its_model(tmp_path: Path) -> None:
    recorder = Recorder("live", home=tmp_path / "home", model={"name": "fares", "version": 8, "data": "train@3"})
    with recorder.prediction({"x": 1.0}) as p:
        p.output(score=0.5)
    recorder.close()
    log = open_log(tmp_path / "home")
    log.ingest()
    from whimbrel.engine import engine_named

    where = (Condition.parse("model.data=train@3"),)
    assert "model.data" in log.source("live").schema
    assert engine_named().extent(log.source("live"), Window("live", where=where))[0] == 1
