"""A real scikit-learn pipeline answers as it did, and each row it answers is a prediction with its steps."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.record.readback import records
from whimbrel.doors.sklearn import RecordedEstimator
from whimbrel.record import Recorder

RIDES = pd.DataFrame(
    {"fare": [5.0, 20.0, 7.5, 60.0], "km": [1.0, 8.0, 2.0, 30.0], "city": ["Wien", "Graz", "Wien", "Linz"]}
)


@pytest.fixture
def pipeline() -> Pipeline:
    columns = ColumnTransformer([("scale", StandardScaler(), ["fare", "km"]), ("city", OneHotEncoder(), ["city"])])
    return Pipeline([("columns", columns), ("nothing", "passthrough"), ("model", LogisticRegression())]).fit(
        RIDES, [0, 1, 0, 1]
    )


def test_each_row_is_a_prediction_with_the_pipelines_steps(pipeline: Pipeline, tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path, model="fares@7")
    model = RecordedEstimator(pipeline, recorder, tags={"channel": "batch"})
    assert np.array_equal(model.predict_proba(RIDES), pipeline.predict_proba(RIDES))
    found = records(tmp_path)
    assert [row["inputs.city"] for row in found] == list(RIDES["city"])
    assert [row["outputs.score"] for row in found] == pytest.approx(pipeline.predict_proba(RIDES)[:, 1])
    scaled = pipeline[0].transform(RIDES)
    assert [row["steps.columns.scale__fare"] for row in found] == pytest.approx(scaled[:, 0])
    assert found[0]["steps.columns.city__city_Wien"] == 1
    assert all(row["code.columns"].startswith("f1-") for row in found)
    assert {row["model.digest"] for row in found} == {found[0]["model.digest"]}
    assert found[0]["model.version"] == "7"
    assert found[0]["context.channel"] == "batch"
    assert found[0]["spans.model"] > 0
    assert recorder.losses == {}


def test_inside_a_prediction_it_is_a_part_of_that(pipeline: Pipeline, tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path)
    model = RecordedEstimator(pipeline, recorder)
    with recorder.prediction({"ride": 1}) as p:
        model.predict(RIDES[:1])
        p.decision("go")
    (row,) = records(tmp_path)
    assert row["inputs.ride"] == 1
    assert row["outputs.score"] == 0
    assert row["steps.columns.city__city_Wien"] == 1
    assert row["decision"] == "go"


def test_plain_arrays_and_lists_have_the_names_given(tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path)
    rows = RIDES[["fare", "km"]].to_numpy()
    model = RecordedEstimator(LinearRegression().fit(rows, rows[:, 0] * 2), recorder, names=["fare", "km"])
    assert model.predict(rows[:2].tolist()) == pytest.approx([10, 40])
    assert model.predict(rows[2:]) == pytest.approx([15, 120])
    found = records(tmp_path)
    assert [row["inputs.fare"] for row in found] == [5, 20, 7.5, 60]
    assert [row["outputs.score"] for row in found] == pytest.approx([10, 40, 15, 120])
    assert recorder.losses == {}


def test_it_is_still_the_estimator_and_survives_pickling(pipeline: Pipeline, tmp_path: Path) -> None:
    model = RecordedEstimator(pipeline, Recorder("fares", home=tmp_path))
    assert list(model.classes_) == [0, 1]
    assert model.score(RIDES, [0, 1, 0, 1]) == pipeline.score(RIDES, [0, 1, 0, 1])
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict(RIDES), pipeline.predict(RIDES))


def test_what_the_estimator_raises_is_raised_and_recorded(pipeline: Pipeline, tmp_path: Path) -> None:
    model = RecordedEstimator(pipeline, Recorder("fares", home=tmp_path))
    with pytest.raises(ValueError, match="columns are missing"):
        model.predict(RIDES[["fare"]])
    found = records(tmp_path)
    assert len(found) == 4
    assert all(row["error"].startswith("ValueError: columns are missing") for row in found)


def test_fitting_again_is_another_model(pipeline: Pipeline, tmp_path: Path) -> None:
    model = RecordedEstimator(pipeline, Recorder("fares", home=tmp_path))
    model.predict(RIDES[:1])
    model.fit(RIDES, [1, 0, 1, 1])
    model.predict(RIDES[:1])
    first, second = records(tmp_path)
    assert first["model.digest"] != second["model.digest"]
    assert first["code.columns"] == second["code.columns"]


def test_switched_off_it_is_the_estimator_alone(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHIMBREL", "off")
    model = RecordedEstimator(pipeline, Recorder("fares", home=tmp_path))
    assert np.array_equal(model.predict(RIDES), pipeline.predict(RIDES))
    assert not list(tmp_path.iterdir())
