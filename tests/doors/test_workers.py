"""Every worker of a real gunicorn and a real uvicorn writes for itself, and none of the ways in which they end loses anything."""

from __future__ import annotations

import concurrent.futures
import contextlib
import sys
import time
import urllib.error
from pathlib import Path
from typing import Any

import pytest

from tests.record.readback import records

from .serving import Server, serving

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="these servers fork")

WSGI = """
import ctypes, os, time
from urllib.parse import parse_qs
import whimbrel

recorder = whimbrel.Recorder("fares", home="home")
with recorder.prediction({"n": "preload"}) as p:
    p.output(0)

def app(environ, start):
    path, n = environ["PATH_INFO"], parse_qs(environ["QUERY_STRING"]).get("n", [""])[0]
    if path != "/ready":
        with recorder.prediction({"n": n, "path": path}, pid=os.getpid()) as p:
            if path == "/segfault":
                ctypes.string_at(0)
            if path == "/slow":
                time.sleep(60)
            p.output(1)
    start("200 OK", [("content-type", "text/plain")])
    return [str(os.getpid()).encode()]
"""
ASGI = """
import os
from fastapi import FastAPI
import whimbrel
from whimbrel.doors.asgi import RecordRequests

recorder = whimbrel.Recorder("fares", home="home")
app = FastAPI()
app.add_middleware(RecordRequests, recorder=recorder, paths=["/predict"], outputs=lambda answer: answer)

@app.post("/predict")
def predict(body: dict):
    return {"pid": os.getpid()}

@app.get("/ready")
async def ready():
    return {}
"""


def found(server: Server, n: int) -> list[dict[str, Any]]:
    """What was recorded, once there are n predictions and no other is being written."""
    for _ in range(400):
        seen = records(server.folder / "home")
        if len(seen) >= n and all("spans.total" in r or r.get("inputs.path") in ("/segfault", "/slow") for r in seen):
            break
        time.sleep(0.05)
    return seen


def test_gunicorn_with_preload_a_crash_and_a_timeout(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(WSGI)
    options = ["--bind", "fd://{fd}", "--preload", "--workers", "2", "--timeout", "2", "--max-requests", "15"]
    with serving(["-m", "gunicorn", "service:app", *options, "--log-level", "warning"], tmp_path) as server:
        server.wait()
        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda n: server.ask(f"/predict?n={n}"), range(40)))
        assert {status for status, _ in answers} == {200}
        for path in ("/segfault", "/slow"):
            with contextlib.suppress(OSError, urllib.error.URLError):
                server.ask(f"{path}?n={path}")
        for n in range(40, 50):
            assert server.ask(f"/predict?n={n}")[0] == 200
        seen = found(server, 53)
    assert sorted(r["inputs.n"] for r in seen) == sorted(["preload", "/segfault", "/slow", *map(str, range(50))])
    ended = {r["inputs.n"]: r for r in seen if "outputs.score" in r}
    assert {r["inputs.n"] for r in seen} - ended.keys() == {"/segfault", "/slow"}
    sessions = {(r["recorder.process"], r.get("context.pid")) for r in seen}
    assert len({session for session, _ in sessions}) == len(sessions), "two workers wrote into one session"
    assert len(sessions) > 4, "workers were not replaced: this shows less than it says"
    for n, (_, pid) in enumerate(answers):
        assert ended[str(n)]["context.pid"] == pid.decode()


def test_uvicorn_with_workers(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(ASGI)
    with serving(["-m", "uvicorn", "service:app", "--fd", "{fd}", "--workers", "2", "--log-level", "warning"], tmp_path) as server:  # fmt: skip
        server.wait()
        with concurrent.futures.ThreadPoolExecutor(4) as threads:
            pids = [a["pid"] for a in threads.map(lambda n: server.json("/predict", {"n": n}), range(60))]
        seen = found(server, 60)
    assert sorted(r["inputs.n"] for r in seen) == list(range(60))
    assert sorted(r["outputs.pid"] for r in seen) == sorted(pids)
    assert len({(r["recorder.process"], r["outputs.pid"]) for r in seen}) == len({r["recorder.process"] for r in seen})
