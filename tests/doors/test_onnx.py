"""A real ONNX Runtime session answers as it did, and each row it answers is a prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from tests.record.readback import records
from whimbrel.doors.onnx import RecordedSession
from whimbrel.record import Recorder


def session(kind: str = "two") -> onnxruntime.InferenceSession:
    """score = 2 fare + km, of two columns of one number each, or of one matrix of both."""
    matrix = helper.make_tensor_value_info("rides", TensorProto.FLOAT, ["n", 2])
    if kind == "one":
        weights = helper.make_tensor("weights", TensorProto.FLOAT, [2, 1], [2.0, 1.0])
        nodes, inputs, given = [helper.make_node("MatMul", ["rides", "weights"], ["score"])], [matrix], [weights]
    else:
        two = helper.make_tensor("two", TensorProto.FLOAT, [1], [2.0])
        inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 1]) for name in ("fare", "km")]
        nodes = [
            helper.make_node("Mul", ["fare", "two"], ["twice"]),
            helper.make_node("Add", ["twice", "km"], ["score"]),
        ]
        given = [two]
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n", 1])
    graph = helper.make_graph(nodes, "fares", inputs, [score], given)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9, model_version=7)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


FARES, KMS = np.array([[5.0], [20.0], [7.0]], np.float32), np.array([[1.0], [8.0], [2.0]], np.float32)


def test_each_row_is_a_prediction(tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path)
    recorded = RecordedSession(session(), recorder, tags={"channel": "batch"})
    (answer,) = recorded.run(None, {"fare": FARES, "km": KMS})
    assert answer.tolist() == [[11], [48], [16]]
    found = records(tmp_path)
    assert [(row["inputs.fare"], row["inputs.km"], row["outputs.score"]) for row in found] == [
        (5, 1, 11),
        (20, 8, 48),
        (7, 2, 16),
    ]
    assert (found[0]["model.name"], found[0]["model.version"]) == ("fares", "7")
    assert found[0]["context.channel"] == "batch"
    assert found[0]["spans.model"] > 0
    assert [one.name for one in recorded.get_inputs()] == ["fare", "km"]
    assert recorder.losses == {}


def test_a_matrix_has_the_names_given_and_the_recorders_model_stands(tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path, model="rides@8")
    recorded = RecordedSession(session("one"), recorder, names=["fare", "km"])
    recorded.run(["score"], {"rides": np.hstack([FARES, KMS])})
    found = records(tmp_path)
    assert [(row["inputs.fare"], row["inputs.km"], row["outputs.score"]) for row in found] == [
        (5, 1, 11),
        (20, 8, 48),
        (7, 2, 16),
    ]
    assert (found[0]["model.name"], found[0]["model.version"]) == ("rides", "8")


def test_inside_a_prediction_it_is_a_part_of_that(tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path)
    recorded = RecordedSession(session(), recorder)
    with recorder.prediction({"ride": 1}):
        recorded.run(None, {"fare": FARES[:1], "km": KMS[:1]})
    with recorder.prediction({"ride": 2}):
        recorded.run(None, {"fare": FARES, "km": KMS})
    one, three = records(tmp_path)
    assert (one["inputs.ride"], one["outputs.score"]) == (1, 11)
    assert three["outputs.score"] == [11, 48, 16]


def test_what_the_session_raises_is_raised_and_recorded(tmp_path: Path) -> None:
    recorded = RecordedSession(session(), Recorder("fares", home=tmp_path))
    with pytest.raises(ValueError, match="km"):
        recorded.run(None, {"fare": FARES})
    assert all("km" in row["error"] for row in records(tmp_path))
    assert len(records(tmp_path)) == 3
