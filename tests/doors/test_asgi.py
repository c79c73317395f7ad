"""A request to a real FastAPI app on a real uvicorn is a prediction, with its spans; the app never notices."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import whimbrel
from tests.record.readback import records
from whimbrel.doors.asgi import RecordRequests
from whimbrel.doors.trace import outgoing, parsed, traceparent
from whimbrel.record import Recorder
from whimbrel.store.sql import connect

from .serving import Server, serving

APP = """
import asyncio, time
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
import whimbrel
from whimbrel.doors.asgi import RecordRequests, handler
from whimbrel.doors.asgi import RecordRequests
from whimbrel.doors.trace import outgoing

recorder = whimbrel.Recorder("fares", home="home", model="fares@7")
app = FastAPI()
app.add_middleware(
    RecordRequests, recorder=recorder, paths=["/predict", "/plain", "/stream", "/fail", "/raw", "/find"],
    tags=lambda scope: {"channel": dict(scope["headers"]).get(b"x-channel", b"web").decode()},
    outputs=lambda answer: {"score": answer["score"]} if "score" in answer else answer,
)

class Ride(BaseModel):
    fare: float
    city: str

@recorder.step
def normalize(ride):
    time.sleep(0.02)
    return {"fare": ride.fare / 100}

@app.post("/predict")
@handler
def predict(ride: Ride, request: Request):
    features = normalize(ride)
    time.sleep(0.01)
    request.state.prediction.decision("surge")
    return {"score": features["fare"] / 10, "header": outgoing()["traceparent"]}

@app.post("/predict/async")
@handler
async def predict_async(ride: Ride):
    await asyncio.sleep(0.01)
    return {"score": recorder.step("half", ride.fare / 2)}

@app.post("/plain")
def plain(ride: Ride):
    return {"score": 1.5}

@app.post("/stream")
async def stream():
    async def words():
        for word in ("a", "b"):
            yield word
            await asyncio.sleep(0.01)
    return StreamingResponse(words(), media_type="text/plain")

@app.post("/fail")
async def fail():
    raise ValueError("no such city")

@app.post("/raw")
async def raw(request: Request):
    return {"score": len(await request.body())}

@app.get("/find")
async def find(q: str):
    return {"found": q}

@app.get("/ready")
async def ready():
    return {}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("app")
    (folder / "app.py").write_text(APP)
    with serving(["-m", "uvicorn", "app:app", "--fd", "{fd}", "--log-level", "warning"], folder) as started:
        started.wait()
        yield started


def last(server: Server) -> dict[str, Any]:
    """The newest prediction that the server has recorded, once it has ended: clients have their answer a little earlier."""
    for _ in range(1000):
        record = records(server.folder / "home")[-1]
        if "spans.total" in record:
            return record
        time.sleep(0.005)
    raise AssertionError(f"it never ends: {record}")


RIDE = {"fare": 1250, "city": "Wien"}
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_request_is_a_prediction_with_its_spans(server: Server) -> None:
    answer = server.json("/predict", RIDE, traceparent=PARENT, x_channel="ios")
    record = last(server)
    assert (record["inputs.fare"], record["inputs.city"]) == (1250, "Wien")
    assert record["steps.normalize.fare"] == 12.5
    assert record["outputs.score"] == 1.25
    assert "outputs.header" not in record
    assert record["decision"] == "surge"
    assert (record["context.route"], record["context.channel"]) == ("/predict", "ios")
    assert record["model.version"] == "7"
    assert (record["recorder.trace"], record["recorder.span"]) == tuple(PARENT.split("-")[1:3])
    assert answer["header"].split("-")[1] == PARENT.split("-")[1]
    assert "error" not in record
    spans = {
        name: record[f"spans.{name}"] for name in ("receive", "parse", "handler", "serialise", "send", "normalize")
    }
    assert all(ms >= 0 for ms in spans.values())
    assert spans["normalize"] >= 20 > 10 <= spans["handler"]
    assert sum(spans.values()) <= record["spans.total"] + 0.01
    assert record["hardware.loop_lag_ms"] >= 0


def test_a_coroutine_endpoint_and_steps_without_a_decorator(server: Server) -> None:
    assert server.json("/predict/async", RIDE) == {"score": 625.0}
    record = last(server)
    assert record["steps.half.value"] == record["outputs.score"] == 625.0
    assert record["spans.half"] >= 10
    assert record["context.route"] == "/predict"
    assert "recorder.trace" not in record


def test_an_endpoint_that_says_nothing_is_timed_as_a_whole(server: Server) -> None:
    server.json("/plain", RIDE)
    record = last(server)
    assert record["outputs.score"] == 1.5
    assert record["spans.handler"] > 0
    assert "spans.parse" not in record


def test_what_is_refused_fails_or_raises_is_an_error(server: Server) -> None:
    assert server.ask("/predict", {"fare": "much"})[0] == 422
    assert last(server)["error"] == "HTTP 422"
    assert last(server)["inputs.fare"] == "much"
    assert server.ask("/predict", b'{"fare": ')[0] == 422
    assert last(server)["inputs.value"] == '{"fare": '
    assert server.ask("/fail", {})[0] == 500
    assert last(server)["error"] == "ValueError: no such city"


def test_streams_bytes_and_queries_are_recorded_and_pass_unchanged(server: Server) -> None:
    assert server.ask("/stream", {}) == (200, b"ab")
    assert last(server)["spans.total"] >= 10
    image = bytes(range(256)) * 10_000
    assert server.json("/raw", image, content_type="image/png") == {"score": len(image)}
    record = last(server)
    assert record["inputs.content_type"] == "image/png"
    assert record["inputs.bytes"] >= 1 << 20
    assert record["inputs.cut"] is True
    small = image[:1000]
    server.json("/raw", small, content_type="image/png")
    first = last(server)["inputs.xxh3"]
    server.json("/raw", small[:-1] + b"x", content_type="image/png")
    assert last(server)["inputs.xxh3"] != first
    assert server.json("/find?q=a%20b") == {"found": "a b"}
    assert last(server)["inputs.q"] == "a b"
    assert server.json("/raw", b"a=1&b=x", content_type="application/x-www-form-urlencoded") == {"score": 7}
    assert (last(server)["inputs.a"], last(server)["inputs.b"]) == ("1", "x")


@pytest.mark.parametrize("off", [False, True])
def test_whatever_goes_wrong_in_the_recorder_the_app_answers(
    off: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if off:
        monkeypatch.setenv("WHIMBREL", "off")

    def tags(scope: Any) -> dict[str, object]:
        raise KeyError("tenant")

    def outputs(answer: Any) -> Any:
        raise ValueError(answer)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": body})

    async def ask(body: bytes) -> list[Any]:
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/x",
            "headers": [(b"content-type", b"application/json")],
            "query_string": b"",
        }
        await RecordRequests(app, recorder, tags=tags, outputs=outputs)(scope, receive, send)
        return sent

    recorder = Recorder("fares", home=tmp_path)
    hostile = (b"[" * 100_000, b'{"a": 1e999, "a": NaN}', b"\xff\xfe", b'{"id": 7, "ts": "x"}', b"\x00")
    for body in hostile:
        assert asyncio.run(ask(body))[1]["body"] == body
    assert len(records(tmp_path)) == (0 if off else len(hostile))
    assert recorder.losses == ({} if off else {"call": len(hostile)})


def test_other_paths_are_not_recorded(server: Server) -> None:
    before = len(records(server.folder / "home"))
    server.json("/ready")
    assert server.ask("/predictable")[0] == 404
    assert len(records(server.folder / "home")) == before


@pytest.mark.parametrize(
    "header",
    [None, "", "x", PARENT[:-1], PARENT.upper(), PARENT.replace("00-", "ff-"), "00-" + "0" * 32 + PARENT[35:], PARENT + "-1",
     PARENT.replace("b7ad6b7169203331", "0" * 16)],
)  # fmt: skip
def test_a_header_that_is_none_starts_a_trace_of_its_own(header: str | None, tmp_path: Path) -> None:
    assert parsed(header) is None
    recorder = Recorder("fares", home=tmp_path)
    for id_ in (None, "ride 7", "0" * 32):
        with recorder.prediction({}, id=id_) as p:
            made = traceparent(p, header)
            found = parsed(made)
            assert found is not None
            assert outgoing() == {"traceparent": traceparent(p)}
            assert found[0] == p.id.replace("-", "") or id_ is not None
    assert outgoing() == {}


def test_a_trace_that_came_in_goes_on(tmp_path: Path) -> None:
    assert parsed(PARENT) == (PARENT[3:35], "01")
    with Recorder("fares", home=tmp_path).prediction({}) as p:
        version, trace, span, flags = traceparent(p, PARENT).split("-")
    assert (version, trace, flags) == ("00", PARENT[3:35], "01")
    assert span != PARENT[36:52]


def test_a_trace_reaches_the_log_beside_predictions_that_have_none(tmp_path: Path) -> None:
    recorder = Recorder("fares", home=tmp_path)
    for header in (None, PARENT, None):
        p = recorder.prediction({"fare": 1.0})
        if header:
            p.trace(header)
        with p:
            p.output(0.5)
    recorder.close()
    log = whimbrel.open(tmp_path)
    log.ingest()
    with connect() as con:
        rows = con.execute("SELECT recorder.trace FROM read_parquet(?) ORDER BY id", [list(log.source("fares").files)])
        assert [row[0] for row in rows.fetchall()] == [None, PARENT[3:35], None]
