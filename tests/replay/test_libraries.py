"""Models of other libraries as pipelines: what their doors recorded is replayed, and a skew found at its step."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

import whimbrel
from whimbrel.doors.sklearn import RecordedEstimator
from whimbrel.model.parity import Parity
from whimbrel.model.window import Window
from whimbrel.replay import parity, pipeline_of
from whimbrel.replay.played import Answers


def frame(n: int, seed: int) -> pd.DataFrame:
    """Rows with numbers, nulls and a category."""
    rng = np.random.default_rng(seed)
    age = rng.uniform(18, 90, n)
    age[rng.random(n) < 0.1] = np.nan
    return pd.DataFrame({"age": age, "income": rng.lognormal(10, 1, n), "plan": rng.choice(["a", "b", "c"], n)})


def trained() -> Pipeline:
    """A pipeline of four steps."""
    rows = frame(400, 0)
    columns = ColumnTransformer(
        [
            ("numbers", SimpleImputer(strategy="median"), ["age", "income"]),
            ("plan", OrdinalEncoder(), ["plan"]),
        ]
    )
    model = Pipeline([("prepare", columns), ("scale", StandardScaler()), ("model", LogisticRegression())])
    return model.fit(rows, (rows["income"] > 22000) ^ (rows["plan"] == "b"))


def replayed(home: Path, served: Any, code: Any, n: int = 120) -> Parity:
    """Serve golden with `code` and a window with `served`, and replay the window through `code`."""
    recorder = whimbrel.Recorder("plans", home=home)
    RecordedEstimator(code, recorder, tags={"part": "golden"}).predict_proba(frame(150, 1))
    RecordedEstimator(served, recorder, tags={"part": "window"}).predict_proba(frame(n, 2))
    log = whimbrel.open(home)
    log.ingest()
    from whimbrel.model.window import where_of

    window = Window("plans", where=where_of({"context.part": "window"}))
    return parity(log, code, window=window, golden_window=Window("plans", where=where_of({"context.part": "golden"})))


def spoiled(step: str) -> Pipeline:
    """The pipeline with one part's parameters changed."""
    model = copy.deepcopy(trained())
    if step == "prepare":
        model.named_steps["prepare"].named_transformers_["numbers"].statistics_[0] = 0.0
    elif step == "order":
        encoder = model.named_steps["prepare"].named_transformers_["plan"]
        encoder.categories_ = [np.array(["b", "a", "c"], dtype=object)]
    elif step == "scale":
        model.named_steps["scale"].mean_ = model.named_steps["scale"].mean_ * 1.01
    else:
        model.named_steps["model"].coef_ = model.named_steps["model"].coef_ * 1.1
    return model


@pytest.mark.parametrize(
    ("spoil", "first", "field"),
    [
        ("prepare", "steps.prepare", "numbers__age"),
        ("order", "steps.prepare", "plan__plan"),
        ("scale", "steps.scale", ""),
        ("model", "outputs", "score"),
    ],
)
def test_a_skew_inside_a_scikit_learn_pipeline(tmp_path: Path, spoil: str, first: str, field: str) -> None:
    """The step whose parameters differ is first, and the steps after it are not blamed."""
    result = replayed(tmp_path, spoiled(spoil), trained())
    assert result.first is not None
    assert result.first.name == first
    assert any(field in one.path for one in result.first.differences)
    assert [s.name for s in result.steps if s.standing == "different"] == [first]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_an_honest_scikit_learn_pipeline_is_equal(tmp_path: Path, kind: type) -> None:
    """Other batch sizes and float types are noise that golden shows as well."""
    code = trained()
    recorder = whimbrel.Recorder("plans", home=tmp_path)
    for seed in (1, 2):
        rows = frame(120, seed)
        rows[["age", "income"]] = rows[["age", "income"]].astype(kind)
        for part in np.array_split(np.arange(120), 5 + seed):
            RecordedEstimator(code, recorder).predict_proba(rows.iloc[part])
    log = whimbrel.open(tmp_path)
    log.ingest()
    result = parity(log, code)
    assert result.first is None, result.sentence
    assert {s.standing for s in result.steps} <= {"equal", "within tolerance"}


def test_an_onnx_model(tmp_path: Path) -> None:
    """An ONNX session is one step: the same answers are equal, other weights differ."""
    onnx = pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    from whimbrel.doors.onnx import RecordedSession
    from whimbrel.replay import swap

    def session(weight: float) -> Any:
        helper, kind = onnx.helper, onnx.TensorProto.FLOAT
        sides = [helper.make_tensor_value_info(name, kind, [None, 1]) for name in ("km", "minutes", "fare")]
        nodes = [
            helper.make_node("Mul", ["km", "weight"], ["part"]), helper.make_node("Add", ["part", "minutes"], ["fare"])
        ]  # fmt: skip
        weights = [helper.make_tensor("weight", kind, [1], [weight])]
        graph = helper.make_graph(nodes, "fares", sides[:2], sides[2:], weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    recorder = whimbrel.Recorder("fares", home=tmp_path)
    rng = np.random.default_rng(0)
    for _ in range(6):
        feeds = {name: rng.random((20, 1), dtype=np.float32) for name in ("km", "minutes")}
        RecordedSession(session(2.0), recorder).run(None, feeds)
    log = whimbrel.open(tmp_path)
    log.ingest()
    assert parity(log, session(2.0)).first is None
    other = parity(log, session(2.5)).first
    assert other is not None
    assert other.differences[0].path == "outputs.fare"
    records = [{"id": str(i), "ts": i, "inputs.km": float(i), "inputs.minutes": 1.0} for i in range(20)]
    (model,) = swap(session(2.5), session(2.0), records).artefacts
    assert (model.name, model.kind, model.shares["score_shift_sd"] > 0) == ("outputs", "model", True)


def test_what_is_no_pipeline_is_refused() -> None:
    """The error says what can be replayed."""
    from whimbrel.errors import InputError, UsageError

    with pytest.raises(UsageError, match="is no pipeline"):
        pipeline_of(3)
    with pytest.raises(UsageError, match="names no pipeline"):
        pipeline_of("app.train")
    with pytest.raises(InputError, match="cannot load the pipeline"):
        pipeline_of("no_such_module:pipeline")


def test_an_endpoint_is_asked_with_the_inputs_as_json() -> None:
    """Its answer is the outputs; one that refuses is a failure of that prediction."""
    import json
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            row = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200 if row["km"] >= 0 else 500)
            self.end_headers()
            self.wfile.write(json.dumps({"score": row["km"] * 2}).encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        records = [{"inputs.km": float(n), "outputs.score": 2.0 * n if n != 3 else 7.0} for n in (-1, 1, 2, 3)]
        pipeline = pipeline_of(f"http://127.0.0.1:{server.server_port}/")
        answers = Answers.of(pipeline.play(records, free=False, heed=lambda _: None))
    finally:
        server.shutdown()
        server.server_close()
    assert "500" in answers[0].failed
    assert [answer.out["outputs.score"] for answer in answers[1:]] == [2.0, 4.0, 6.0]
