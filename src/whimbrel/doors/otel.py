"""OpenTelemetry's spans, written ahead: keep your instrumentation, and gain what a crash would take along.

    provider.add_span_processor(RecordSpans(recorder))

In: spans, at their start and at their end. Out: a span without a parent in this process is a prediction, unless one runs already; its
start is on disk before the work begins. Spans inside are its spans (self time). Those that say what a model, tool or
agent did (GenAI conventions, OpenInference) are steps with all their attributes, and their tokens, models and answers are the
prediction's. The trace's id is kept with it. This does not replace the exporter that is there already; it survives it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import StatusCode

from whimbrel.doors import conventions
from whimbrel.doors.trace import INCOMING, parsed
from whimbrel.record.prediction import Prediction, current, now
from whimbrel.record.recorder import Recorder

_MOST_OPEN = 10_000
_NONE: Mapping[str, Any] = {}


class RecordSpans(SpanProcessor):
    """A span processor that records.

    Args:
        recorder: the recorder of the app.
        roots: which spans without a parent here are predictions: `lambda span: span.name != "GET /health"`. All.
        tags: what to tag such a prediction with, from the attributes it starts with.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        roots: Callable[[ReadableSpan], bool] = lambda span: True,  # noqa: ARG005  the span is what others ask
        tags: Callable[[Mapping[str, Any]], Mapping[str, object]] | None = None,
    ) -> None:
        self._recorder = recorder
        self._roots = roots
        self._tags = tags
        self._open: dict[int, _Open] = {}
        self._mine: dict[int, int] = {}

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:  # noqa: ARG002  the SDK's signature
        """Write down that a span began."""
        try:
            parent, own = span.parent, span.context.span_id
            if len(self._open) >= _MOST_OPEN:
                self._forget()
            above = self._open.get(parent.span_id) if parent is not None else None
            prediction = above.prediction if above is not None else self._running()
            if prediction is not None:
                self._open[own] = _Open(prediction, above)
                prediction.add(("begun", _name(span, conventions.read(span.attributes or _NONE))), "spans")
                if prediction.running and prediction.parts:
                    prediction.write_ahead(now())
            elif (parent is None or parent.is_remote) and self._roots(span):
                prediction = self._begin(span)
                self._open[own] = _Open(prediction, None)
                self._mine[id(prediction)] = own
        except Exception as error:  # noqa: BLE001  the app goes on, whatever happens to us
            self._lost(error)

    def on_end(self, span: ReadableSpan) -> None:
        """Write down how a span ended."""
        try:
            opened = self._open.pop(span.context.span_id, None)
            if opened is None:
                return
            took = max(0, (span.end_time or 0) - (span.start_time or 0))
            if opened.above is not None:
                opened.above.inner += took
            said = conventions.read(span.attributes or _NONE)
            own = max(0, took - opened.inner)  # children that ran beside each other may add up to more
            _tell(opened.prediction, span, said, own)
            if self._mine.get(id(opened.prediction)) == span.context.span_id:
                del self._mine[id(opened.prediction)]
                self._end(opened.prediction, span, said)
        except Exception as error:  # noqa: BLE001  the app goes on, whatever happens to us
            self._lost(error)

    def _forget(self) -> None:
        """Give up the span that has been open longest: whoever forgets to end spans must not fill the memory."""
        own = next(iter(self._open))
        opened = self._open.pop(own)
        if self._mine.get(id(opened.prediction)) == own:
            del self._mine[id(opened.prediction)]
            opened.prediction.error("its span was never ended")
            opened.prediction.end()

    def _running(self) -> Prediction | None:
        """The prediction that the app itself has begun around this span; one that is another root's is not."""
        scope = current()
        prediction = scope.prediction if scope is not None else None
        return None if id(prediction) in self._mine else prediction

    def _begin(self, span: Span) -> Prediction:
        """The prediction that a root span is. It is the current one, where the span began: `recorder.step` finds it."""
        attributes = dict(span.attributes or {})
        said = conventions.read(attributes)
        inputs = {"messages": said.input} if said.input is not None else attributes
        tags: dict[str, Any] = {"operation": span.name}
        if self._tags is not None:
            tags.update(self._tags(attributes))
        prediction = self._recorder.prediction(inputs, **tags)
        about = span.context
        header = f"00-{about.trace_id:032x}-{about.span_id:016x}-{about.trace_flags:02x}"
        prediction.trace(header)
        INCOMING.set(header)
        return prediction.__enter__()

    def _end(self, prediction: Prediction, span: ReadableSpan, said: conventions.Said) -> None:
        if said.output is not None:
            answer = {"text": conventions.text(said.output), "finish_reason": said.finish_reason}
            prediction.output({name: value for name, value in answer.items() if value})
        if span.status.status_code is StatusCode.ERROR:
            prediction.error(_why(span))
        prediction.end()
        if (about := parsed(INCOMING.get())) is not None and about[0] == f"{span.context.trace_id:032x}":
            INCOMING.set(None)

    def _lost(self, error: Exception) -> None:
        scope = current()
        if scope is not None and scope.prediction is not None:
            scope.prediction.lost(error)


class _Open:
    """A span that has begun: whose part it is, what is around it, how long its own spans took (ns)."""

    __slots__ = ("above", "inner", "prediction")

    def __init__(self, prediction: Prediction, above: _Open | None) -> None:
        self.prediction, self.above = prediction, above
        self.inner = 0


def _tell(prediction: Prediction, span: ReadableSpan, said: conventions.Said, own: int) -> None:
    """One span that ended, as an entry of its prediction; what it says of a model is the prediction's."""
    name = _name(span, said)
    if not said.kind:
        prediction.add(("span", name, own), "spans")
        return
    value: dict[str, Any] = {"attributes": dict(span.attributes or {}), "conventions": conventions.VERSION}
    if said.output is not None:
        value["output"] = conventions.text(said.output) or said.output
    if span.status.status_code is StatusCode.ERROR:
        value["error"] = _why(span)
    prediction.add(("step", name, value, own), "steps")
    if said.usage:
        prediction.usage(said.usage)
    if said.asks_a_model:
        prediction.model(said.model)


def _name(span: ReadableSpan, said: conventions.Said) -> str:
    """What a span is called: of a model's, what it does, for the model's name is no part of a step's."""
    return "llm" if said.asks_a_model else span.name


def _why(span: ReadableSpan) -> str:
    """Why a span failed."""
    for event in reversed(span.events):
        kind = (event.attributes or {}).get("exception.type")
        if kind is not None:
            return f"{kind}: {(event.attributes or {}).get('exception.message', '')}"
    return span.status.description or "error"
