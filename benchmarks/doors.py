"""What the doors cost beside the bare framework, and what it costs to import the recorder. CPU of the whole process, medians.

    python benchmarks/doors.py            a minute; prints a table

The others in each line run in the same process, in turns with ours, so that a busy machine slows down both.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

TREE = Path(__file__).resolve().parent.parent
ROUNDS, CALLS = 15, 300

PROBE = """
import json, sys, time
resident = lambda: int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
before = resident()
began = time.process_time()
{code}
took = time.process_time() - began
print(json.dumps([took * 1e3, resident() - before]))
"""


def imports() -> None:
    """CPU (ms) and resident memory (MB) that an import adds to a fresh interpreter that has nothing else installed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
        subprocess.run(build, cwd=TREE / "recorder", check=True, capture_output=True)
        with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
            wheel.extractall(folder / "site")
        for package in ("msgspec", "xxhash"):
            found = Path(__import__(package).__file__ or "").parent
            (folder / "site" / package).symlink_to(found)
        subprocess.run([sys.executable, "-m", "compileall", "-q", str(folder / "site")], check=True)
        path = (
            f"import sys; sys.path[:] = [p for p in sys.path if 'site-packages' not in p] + [{str(folder / 'site')!r}]"
        )
        codes = {
            "import msgspec, xxhash": "import msgspec, xxhash",
            "import whimbrel_recorder": "import whimbrel_recorder",
        }
        told: dict[str, list[list[float]]] = {name: [] for name in codes}
        for _ in range(ROUNDS):
            for name, code in codes.items():
                command = [sys.executable, "-S", "-c", f"{path}\n{PROBE.format(code=code)}"]
                told[name].append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
        for name, pairs in told.items():
            ms, mb = (statistics.median(pair[i] for pair in pairs) for i in (0, 1))
            print(f"{name:<44} {ms:8.1f} ms CPU (least {min(p[0] for p in pairs):.1f})  {mb:6.1f} MB")


def turns(**ways: Callable[[], object]) -> dict[str, float]:
    """CPU (µs) of one call of each, in turns."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            began = time.process_time()
            for _ in range(CALLS):
                way()
            spent[name].append((time.process_time() - began) / CALLS * 1e6)
    return {name: statistics.median(list_) for name, list_ in spent.items()}


def say(what: str, found: dict[str, float]) -> None:
    """One line: the bare framework, and what each way adds."""
    bare, *rest = found.items()
    print(
        f"{what:<44} {bare[0]} {bare[1]:7.1f} µs; " + "; ".join(f"{name} +{us - bare[1]:.1f} µs" for name, us in rest)
    )


def web(home: Path) -> None:
    """A POST of 20 numbers to a FastAPI app, without a server or a network."""
    from fastapi import FastAPI

    import whimbrel
    from whimbrel.doors.asgi import RecordRequests, handler

    recorder = whimbrel.Recorder("web", home=home)
    body = json.dumps({f"x{i}": i / 7 for i in range(20)}).encode()

    def made(recorded: bool) -> Callable[[], object]:
        app = FastAPI()

        async def predict(row: dict[str, float]) -> dict[str, float]:
            return {"score": sum(row.values())}

        app.post("/predict")(handler(predict) if recorded else predict)
        if recorded:
            app.add_middleware(RecordRequests, recorder=recorder, paths=["/predict"])
        scope = {"type": "http", "method": "POST", "path": "/predict", "raw_path": b"/predict", "query_string": b"", "root_path": "",
                 "headers": [(b"content-type", b"application/json")], "http_version": "1.1", "scheme": "http"}  # fmt: skip

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            pass

        return lambda: loop.run_until_complete(app(dict(scope), receive, send))

    loop = asyncio.new_event_loop()
    say("FastAPI request, 20 inputs", turns(bare=made(False), recorded=made(True)))
    loop.close()


def pipeline(home: Path) -> None:
    """One row of 20 numbers through a scaler and a logistic regression."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    import whimbrel
    from whimbrel.doors.sklearn import RecordedEstimator

    rows = np.random.default_rng(7).normal(size=(500, 20))
    plain = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, rows[:, 0] > 0)
    recorded = RecordedEstimator(plain, whimbrel.Recorder("rows", home=home))
    row = rows[:1]
    say(
        "scikit-learn pipeline, one row of 20",
        turns(bare=lambda: plain.predict_proba(row), recorded=lambda: recorded.predict_proba(row)),
    )
    began = time.process_time()
    for _ in range(10):
        recorded.predict_proba(rows)
    print(f"{'… recorded, each of the 500 rows':<44} {(time.process_time() - began) / 5000 * 1e6:7.1f} µs a row")


def traces(home: Path) -> None:
    """A root span with 20 attributes and two spans inside, beside the SDK's own batch processor that exports to nowhere."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    import whimbrel
    from whimbrel.doors.otel import RecordSpans

    class Nowhere(SpanExporter):
        def export(self, _: Any) -> SpanExportResult:
            return SpanExportResult.SUCCESS

    processors = {
        "bare": None,
        "batch_processor": BatchSpanProcessor(Nowhere()),
        "recorded": RecordSpans(whimbrel.Recorder("spans", home=home)),
    }
    attributes = {f"x{i}": i / 7 for i in range(20)}

    def made(processor: Any) -> Callable[[], object]:
        provider = TracerProvider(shutdown_on_exit=False)
        if processor is not None:
            provider.add_span_processor(processor)
        tracer = provider.get_tracer("bench")

        def call() -> None:
            with tracer.start_as_current_span("request", attributes=attributes):
                with tracer.start_as_current_span("features"):
                    pass
                with tracer.start_as_current_span("model"):
                    pass

        return call

    say("OpenTelemetry, three spans", turns(**{name: made(processor) for name, processor in processors.items()}))


def sidecar(home: Path) -> None:
    """One look at the host and a process."""
    import whimbrel
    from whimbrel.hardware.sidecar import Sidecar

    with Sidecar(home) as looks, whimbrel.Recorder("watched", home=home).prediction({}):
        began = time.process_time()
        for _ in range(200):
            looks.tick()
        print(
            f"{'sidecar, one look at host and processes':<44} {(time.process_time() - began) / 200 * 1e3:7.2f} ms CPU"
        )


if __name__ == "__main__":
    imports()
    with tempfile.TemporaryDirectory() as folder:
        for measure in (web, pipeline, traces, sidecar):
            measure(Path(folder))
