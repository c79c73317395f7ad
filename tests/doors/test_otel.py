"""OpenTelemetry's own SDK and the instrumentations of a real client of language models, recorded; a crash loses nothing."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openai
import pytest
from openinference.instrumentation.openai import OpenAIInstrumentor as OpenInference
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor as GenAI
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, Tracer, set_span_in_context

from tests.record.readback import records, script
from whimbrel.doors import conventions, otel
from whimbrel.doors.otel import RecordSpans
from whimbrel.doors.trace import INCOMING, outgoing
from whimbrel.record import Recorder


@pytest.fixture
def recorder(tmp_path: Path) -> Recorder:
    return Recorder("fares", home=tmp_path)


@pytest.fixture
def provider(recorder: Recorder) -> Iterator[TracerProvider]:
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(RecordSpans(recorder, roots=lambda span: span.name != "health"))
    yield made
    made.shutdown()


@pytest.fixture
def tracer(provider: TracerProvider) -> Tracer:
    return provider.get_tracer("tests")


def test_a_root_span_is_a_prediction_and_spans_inside_are_its_spans(
    tracer: Tracer, recorder: Recorder, tmp_path: Path
) -> None:
    with tracer.start_as_current_span("POST /fares", attributes={"http.route": "/fares"}) as root:
        with tracer.start_as_current_span("features"), tracer.start_as_current_span("db"):
            recorder.step("encode", 3)
            header = outgoing()["traceparent"]
        with tracer.start_as_current_span("db"):
            pass
    assert header.split("-")[1] == f"{root.get_span_context().trace_id:032x}"
    assert INCOMING.get() is None
    with tracer.start_as_current_span("health"), tracer.start_as_current_span("inside"):
        pass
    (record,) = records(tmp_path)
    assert record["inputs.http.route"] == "/fares"
    assert record["context.operation"] == "POST /fares"
    assert record["steps.encode.value"] == 3
    assert record["recorder.trace"] == f"{root.get_span_context().trace_id:032x}"
    assert record["recorder.span"] == f"{root.get_span_context().span_id:016x}"
    assert {"spans.POST /fares", "spans.features", "spans.db"} <= record.keys()
    assert record["spans.features"] <= record["spans.total"]
    assert "error" not in record
    assert "recorder.open" not in record


def test_a_trace_that_comes_from_elsewhere_is_kept(tracer: Tracer, tmp_path: Path) -> None:
    far = SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=TraceFlags(1))
    with tracer.start_as_current_span("work", set_span_in_context(NonRecordingSpan(far))):
        pass
    (record,) = records(tmp_path)
    assert record["recorder.trace"] == f"{0xABC:032x}"


def test_inside_a_prediction_of_the_apps_own_spans_are_parts_of_that(
    tracer: Tracer, recorder: Recorder, tmp_path: Path
) -> None:
    with recorder.prediction({"fare": 1}), tracer.start_as_current_span("db"):
        pass
    (record,) = records(tmp_path)
    assert record["inputs.fare"] == 1
    assert "spans.db" in record


def test_tasks_that_run_at_once_are_predictions_of_their_own(tracer: Tracer, tmp_path: Path) -> None:
    async def one(n: int) -> None:
        with tracer.start_as_current_span("request", attributes={"n": n}):
            await asyncio.sleep(0.002 * (n % 3))
            with tracer.start_as_current_span(f"part {n}"):
                await asyncio.sleep(0.002)

    async def all_of_them() -> None:
        await asyncio.gather(*map(one, range(20)))

    asyncio.run(all_of_them())
    spans = [tracer.start_span("request", attributes={"n": n}) for n in (20, 21)]  # both open in one context
    for span in spans:
        span.end()
    found = {record["inputs.n"]: record for record in records(tmp_path)}
    assert sorted(found) == list(range(22))
    for n in range(20):
        assert [name for name in found[n] if name.startswith("spans.part")] == [f"spans.part {n}"]


def test_an_exception_is_the_predictions_error(tracer: Tracer, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such city"), tracer.start_as_current_span("request"):
        raise ValueError("no such city")
    (record,) = records(tmp_path)
    assert record["error"] == "ValueError: no such city"


def test_what_ran_when_it_was_killed_is_on_disk(tmp_path: Path) -> None:
    code = """if True:
        import os, signal, sys
        from opentelemetry.sdk.trace import TracerProvider
        from whimbrel.doors.otel import RecordSpans
        from whimbrel.record import Recorder
        provider = TracerProvider()
        provider.add_span_processor(RecordSpans(Recorder("fares", home=sys.argv[1])))
        tracer = provider.get_tracer("app")
        with tracer.start_as_current_span("request", attributes={"n": 7}):
            with tracer.start_as_current_span("db"):
                pass
            with tracer.start_as_current_span("model"):
                os.kill(os.getpid(), signal.SIGKILL)
    """
    process = script(code, tmp_path)
    _, said = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, said
    (record,) = records(tmp_path)
    assert record["inputs.n"] == 7
    assert record["error"].startswith("unfinished")
    assert record["recorder.open"] == "model"
    assert "spans.db" in record


def test_spans_that_are_never_ended_do_not_fill_the_memory(
    tracer: Tracer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otel, "_MOST_OPEN", 5)
    spans = [tracer.start_span("leaks", attributes={"n": n}) for n in range(20)]
    with tracer.start_as_current_span("works"):
        pass
    found = records(tmp_path)
    assert [record["error"] for record in found[:16]] == ["its span was never ended"] * 16
    assert (found[-1]["context.operation"], "error" in found[-1]) == ("works", False)
    for span in spans:
        span.end()


def test_switched_off_spans_are_spans_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHIMBREL", "off")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(RecordSpans(Recorder("fares", home=tmp_path)))
    with provider.get_tracer("t").start_as_current_span("a"), provider.get_tracer("t").start_as_current_span("b"):
        pass
    assert not list(tmp_path.iterdir())


class Model(BaseHTTPRequestHandler):
    """A model that always knows the capital."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        message = {"role": "assistant", "content": "Wien"}
        usage = {
            "prompt_tokens": 12,
            "completion_tokens": 3,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4},
        }
        told = {"id": "c1", "object": "chat.completion", "created": 1, "model": "tiny-2026-11", "usage": usage,
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}  # fmt: skip
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: Any) -> None:
        pass


@pytest.fixture
def client() -> Iterator[openai.OpenAI]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    with openai.OpenAI(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="none") as made:
        yield made
    server.shutdown()
    thread.join()
    server.server_close()


def ask(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="tiny", messages=[{"role": "user", "content": "the capital of Austria?"}], temperature=0.2
    )
    assert answer.choices[0].message.content == "Wien"


@pytest.mark.parametrize("instrumentor", [OpenInference, GenAI])
def test_a_question_to_a_language_model(
    instrumentor: Any, provider: TracerProvider, client: openai.OpenAI, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "gen_ai_latest_experimental")
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "span_only")
    instrumented = instrumentor()
    instrumented.instrument(tracer_provider=provider)
    try:
        ask(client)
        with provider.get_tracer("app").start_as_current_span("agent"):
            ask(client)
            ask(client)
    finally:
        instrumented.uninstrument()
    alone, agent = records(tmp_path)
    for record, calls in ((alone, 1), (agent, 2)):
        assert record["usage.input_tokens"] == 12 * calls
        assert record["usage.output_tokens"] == 3 * calls
        assert record["usage.cached_tokens"] == 4 * calls
        assert record["model.name"] == "tiny-2026-11"
        assert record["model.provider"] == "openai"
        assert record["steps.llm.output"] == "Wien"
        assert record["steps.llm.conventions"] == conventions.VERSION
        assert record["spans.llm"] > 0
        assert "recorder.lost" not in record
    assert (alone["outputs.text"], alone["outputs.finish_reason"]) == ("Wien", "stop")
    assert agent["context.operation"] == "agent"
    assert agent["steps.llm_2.output"] == "Wien"
    raw = {name.removeprefix("steps.llm.attributes.") for name in alone if name.startswith("steps.llm.attributes.")}
    assert raw & {"gen_ai.response.model", "llm.model_name"}


def test_every_spelling_that_was_in_use_says_the_same() -> None:
    old = {"gen_ai.system": "openai", "llm.request.type": "chat", "gen_ai.request.model": "a", "gen_ai.usage.prompt_tokens": 5,
           "gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": "hello", "gen_ai.completion.0.content": "hi"}  # fmt: skip
    new = {"gen_ai.provider.name": "openai", "gen_ai.operation.name": "chat", "gen_ai.request.model": "a", "gen_ai.usage.input_tokens": 5,
           "gen_ai.input.messages": '[{"role": "user", "content": "hello"}]', "gen_ai.output.messages": '[{"content": "hi"}]'}  # fmt: skip
    assert conventions.read(old) == conventions.read(new)
    assert conventions.read(old).model == {"name": "a", "asked": "a", "provider": "openai"}
    assert conventions.text(conventions.read(old).output) == "hi"
    assert conventions.read({"http.route": "/"}) == conventions.Said()
    many = {"openinference.span.kind": "LLM", **{f"llm.input_messages.{i}.message.content": str(i) for i in range(12)}}
    assert [one["content"] for one in conventions.read(many).input] == [str(i) for i in range(12)]
