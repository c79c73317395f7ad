"""The sides of `benchmarks/recorder.py`: how each records the same prediction, and how that is measured.

Code as text, for each runs in another environment. A side defines `record(n)`, which does the app's work and records it, and
`flush()`; the workload has `plain(n)`, the same without a recorder.
"""

from __future__ import annotations

WORKLOAD = """
import json, os, sys, time, uuid
HOME, PORT = os.environ["HOME_DIR"], os.environ["PORT"]
ROW = {f"feature_{i}": (i * 1.37 if i % 4 else f"cat{i}") for i in range(20)}
TAGS = dict(country="US", device="mobile", channel="ios", tenant="t7", release="2026.11", region="west")
def impute(row): return 3.5
def encode(x): return {"fare": 1.25, "km": x}
def scale(x): return [0.1, 0.2, 0.3, x["km"]]
def bucket(x): return "b7"
def answer(x): return {"score": 0.73, "low": 0.6, "high": 0.8, "margin": 0.2}
def plain(n):
    out = answer(bucket(scale(encode(impute(ROW)))))
    return "accept" if out["score"] > 0.5 else "refuse"
def flush(): pass
"""

CLOCK = """
def busy():
    until = time.perf_counter_ns() + 200_000
    while time.perf_counter_ns() < until: pass
def times(what, count, between):
    found = []
    for n in range(count):
        if between is not None: between()
        began = time.perf_counter_ns()
        what(n)
        found.append(time.perf_counter_ns() - began)
    return sorted(found)
def net(count, between=None):
    base, ours = times(plain, count, between), times(record, count, between)
    return [(ours[int(count * q)] - base[count // 2]) / 1000 for q in (0.5, 0.99)]
"""

HARNESS = (
    "\nCOUNT = int(sys.argv[1])"
    + CLOCK
    + """for n in range(min(COUNT, 1000)): record(n)
best = min((net(COUNT) for _ in range(3)))
said = {"flat_p50": best[0], "flat_p99": best[1]}
flush()
began = time.process_time()
for n in range(COUNT): record(n)
flush()
spent = time.process_time() - began
began = time.process_time()
for n in range(COUNT): plain(n)
said["cpu"] = (spent - (time.process_time() - began)) / COUNT * 1e6
said["work_p50"] = net(min(COUNT, 5000), busy)[0]
said["paced_p50"] = net(300, lambda: time.sleep(0.005))[0]
flush()
print(json.dumps(said), flush=True)
os._exit(0)
"""
)

WHIMBREL = """
from whimbrel.record import Recorder
recorder = Recorder("fares", model="fares@7")
def record(n):
    with recorder.prediction(ROW, **TAGS) as p:
        x = recorder.step("impute", impute(ROW))
        x = recorder.step("encode", encode(x))
        x = recorder.step("scale", scale(x))
        x = recorder.step("bucket", bucket(x))
        out = answer(x)
        p.output(out)
        p.decision("accept" if out["score"] > 0.5 else "refuse")
"""

_AS_ONE = """
def one(n):
    began = time.perf_counter_ns()
    said = {"id": uuid.uuid4().hex, "ts": time.time_ns(), "inputs": ROW, "context": TAGS, "model": "fares@7"}
    steps = said["steps"] = {}
    x = steps["impute"] = impute(ROW)
    x = steps["encode"] = encode(x)
    x = steps["scale"] = scale(x)
    x = steps["bucket"] = bucket(x)
    out = said["outputs"] = answer(x)
    said["decision"] = "accept" if out["score"] > 0.5 else "refuse"
    said["took"] = time.perf_counter_ns() - began
    return said
"""

MAPPED = WHIMBREL.replace('model="fares@7"', 'model="fares@7", policy={"write": "mapped"}')

BARE = f"""{_AS_ONE}
import orjson
fd = os.open(HOME + "/log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def record(n): os.write(fd, orjson.dumps(one(n)) + b"\\n")
"""

STRUCTLOG = f"""{_AS_ONE}
import logging, orjson, structlog
structlog.configure(
    cache_logger_on_first_use=True, wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    processors=[structlog.contextvars.merge_contextvars, structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.JSONRenderer(serializer=orjson.dumps)],
    logger_factory=structlog.BytesLoggerFactory(file=open(HOME + "/log", "wb")))
log = structlog.get_logger()
def record(n): log.info("prediction", **one(n))
"""

OTEL = """
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(
    OTLPSpanExporter(endpoint=f"http://127.0.0.1:{PORT}/v1/traces"), max_queue_size=100_000))
tracer = provider.get_tracer("fares")
INPUTS = {f"inputs.{k}": v for k, v in ROW.items()} | {f"context.{k}": v for k, v in TAGS.items()}
def record(n):
    with tracer.start_as_current_span("prediction", attributes=INPUTS) as span:
        with tracer.start_as_current_span("impute") as s: s.set_attribute("value", x := impute(ROW))
        with tracer.start_as_current_span("encode") as s: s.set_attributes(x := encode(x))
        with tracer.start_as_current_span("scale") as s: s.set_attribute("value", x := scale(x))
        with tracer.start_as_current_span("bucket") as s: s.set_attribute("value", x := bucket(x))
        out = answer(x)
        span.set_attributes({f"outputs.{k}": v for k, v in out.items()})
        span.set_attribute("decision", "accept" if out["score"] > 0.5 else "refuse")
def flush(): provider.force_flush(120_000)
"""

LANGFUSE = """
from langfuse import Langfuse
client = Langfuse(public_key="pk-lf-x", secret_key="sk-lf-x", host=f"http://127.0.0.1:{PORT}")
def record(n):
    with client.start_as_current_observation(name="prediction", input=ROW, metadata=TAGS) as span:
        x = ROW
        for name, step in (("impute", impute), ("encode", encode), ("scale", scale), ("bucket", bucket)):
            with client.start_as_current_observation(name=name) as s:
                x = step(x)
                s.update(output=x)
        span.update(output=answer(x))
def flush(): client.flush()
"""

MLFLOW = """
import mlflow
mlflow.set_tracking_uri(f"http://127.0.0.1:{PORT}")
os.environ["MLFLOW_ENABLE_ASYNC_TRACE_LOGGING"] = "true"
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
os.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = f"http://127.0.0.1:{PORT}/v1/traces"
os.environ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] = "http/protobuf"
def record(n):
    with mlflow.start_span("prediction") as span:
        span.set_inputs(ROW)
        span.set_attributes(TAGS)
        x = ROW
        for name, step in (("impute", impute), ("encode", encode), ("scale", scale), ("bucket", bucket)):
            with mlflow.start_span(name) as s:
                x = step(x)
                s.set_outputs(x)
        span.set_outputs(answer(x))
def flush(): mlflow.flush_trace_async_logging() if hasattr(mlflow, "flush_trace_async_logging") else None
"""

SIDES: dict[str, tuple[list[str], int, str]] = {
    "whimbrel": ([], 20_000, WHIMBREL),
    "bare orjson + write": (["orjson"], 20_000, BARE),
    "structlog + orjson": (["structlog", "orjson"], 20_000, STRUCTLOG),
    "OpenTelemetry SDK, batch, OTLP/HTTP": (
        ["opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http"], 3_000, OTEL),
    "Langfuse": (["langfuse"], 1_000, LANGFUSE),
    "MLflow tracing": (["mlflow-tracing", "opentelemetry-exporter-otlp-proto-http"], 500, MLFLOW),
}  # fmt: skip
"""Each side: the packages it needs, how many predictions, its code."""

NEIGHBOUR = """
import multiprocessing, shutil
from whimbrel.record import Recorder
def syncs(path):
    with open(path, "wb") as file:
        while True:
            file.write(b"x" * 65536); file.flush(); os.fsync(file.fileno())
            if file.tell() > 64 << 20: file.seek(0)
said = {}
for place, home in (("disk", HOME), ("tmpfs", "/dev/shm/whimbrel-bench")):
    if place == "tmpfs" and not os.path.isdir("/dev/shm"): continue
    os.makedirs(home, exist_ok=True)
    neighbour = multiprocessing.get_context("fork").Process(target=syncs, args=(HOME + "/synced",), daemon=True)
    neighbour.start()
    recorder = Recorder("fares", home=home)
    slowest = 0
    for n in range(60_000):
        began = time.perf_counter_ns()
        with recorder.prediction(ROW, **TAGS) as p: p.output(0.5)
        slowest = max(slowest, time.perf_counter_ns() - began)
    said[f"slowest prediction of 60,000 on {place}, ms"] = round(slowest / 1e6, 2)
    neighbour.kill(); neighbour.join()
    if place == "tmpfs": shutil.rmtree(home)
print(json.dumps(said))
"""

IMPORT = """
import subprocess
look = ("import resource, time; t = time.process_time(); {} ; u = time.process_time() - t; "
        "print(u * 1000, [int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmHWM')][0] / 1024)")
def cost(statement):
    runs = [subprocess.run([sys.executable, "-c", look.format(statement)], capture_output=True, text=True, check=True)
            for _ in range(15)]
    return [sorted(float(run.stdout.split()[i]) for run in runs)[3] for i in (0, 1)]
ours, theirs, bare = cost("import whimbrel.record"), cost("import msgspec, xxhash"), cost("pass")
print(json.dumps({"import, CPU ms": round(ours[0], 1), "of these msgspec and xxhash": round(theirs[0], 1),
                  "MiB above a bare interpreter": round(ours[1] - bare[1], 1)}))
"""

GEVENT = """
from gevent import monkey; monkey.patch_all()
import gevent
from whimbrel.record import Recorder, flat
from whimbrel.record.reader import read_segment
from pathlib import Path
recorder = Recorder("fares", home=HOME)
def work(k):
    for n in range(100):
        with recorder.prediction({"n": k * 100 + n}) as p:
            gevent.sleep(0)
            recorder.step("same", k * 100 + n)
            p.output(n)
gevent.joinall([gevent.spawn(work, k) for k in range(50)])
begins, bodies = {}, {}
for path in sorted(Path(HOME).rglob("*.seg")):
    for frame in read_segment(path.read_bytes()).frames:
        if frame.kind == 2: begins[frame.stream] = frame.decode()
        if frame.kind in (3, 8): bodies.setdefault(frame.stream, []).append(frame.decode())
found = [flat.prediction(begins[s], bodies[s][-1], bytes(16), s, bodies[s][:-1]) for s in begins if s in bodies]
whole = sum(r["inputs.n"] == r["steps.same.value"] and "spans.total" in r for r in found)
print(json.dumps({"greenlets' predictions whole": f"{whole} of 5000", "losses": recorder.losses}))
"""

INGEST = """
import random
from pathlib import Path
from whimbrel.record import Recorder
from whimbrel.store import open_log
N = 40_000
chance = random.Random(1)
recorder = Recorder("fares")
for n in range(N):
    row = {k: (chance.lognormvariate(0, 1) if type(v) is float else chance.choice("abcd")) for k, v in ROW.items()}
    with recorder.prediction(row, **TAGS) as p:
        recorder.step("impute", row["feature_1"])
        recorder.step("encode", {"fare": row["feature_1"] * 2, "km": row["feature_2"]})
        recorder.step("scale", [row["feature_1"] / 2, row["feature_2"] / 3])
        recorder.step("bucket", "b7")
        p.output(score=chance.random(), low=0.6, high=0.8, margin=0.2)
        p.decision("accept")
recorder.close()
home = Path(os.environ["WHIMBREL_HOME"])
size = lambda pattern: sum(path.stat().st_size for path in home.rglob(pattern)) / N
live = size("*.seg")
log = open_log(home)
import arro3.core, deltalake, duckdb, numpy
began = time.process_time()
done = log.ingest()
spent = time.process_time() - began
print(json.dumps({"predictions": done.predictions, "per CPU-second": round(N / spent), "bytes live": round(live),
                  "bytes sealed": round(size("predictions/**/*.parquet"))}))
"""

ALONE: dict[str, tuple[list[str], str]] = {
    "neighbour": ([], NEIGHBOUR), "import": ([], IMPORT), "gevent": (["gevent", "msgspec", "xxhash"], GEVENT),
    "ingest": ([], INGEST),
}  # fmt: skip
"""What is measured of whimbrel alone."""
