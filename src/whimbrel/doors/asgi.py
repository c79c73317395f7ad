"""A web app whose requests are predictions: FastAPI, Starlette, or anything else that speaks ASGI.

    app.add_middleware(RecordRequests, recorder=recorder, paths=["/predict"])

    @app.post("/predict")
    @handler                                    # optional: tells the endpoint from what the framework does around it
    def predict(ride: Ride, request: Request):
        request.state.prediction.decision(…)    # the prediction, where one wants to say more

In: requests to the paths named. Out: a prediction each. Its inputs are the request's body (JSON, a form, text; of anything
else its size and hash) on disk before the app sees it, its outputs the JSON that the app answers. Spans: `receive` the body came in;
`parse` until the endpoint runs; `handler` the endpoint, less its steps; `serialise` until the answer's first byte; `send` the client
took it. Without `@handler` the three in the middle are one: `handler`. Nothing here needs a framework.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextvars import ContextVar
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from xxhash import xxh3_64_hexdigest

from whimbrel.doors.trace import INCOMING
from whimbrel.record.prediction import Prediction, current, now
from whimbrel.record.recorder import Recorder

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
F = TypeVar("F", bound=Callable[..., Any])

_BODY_BYTES = 1 << 20


class RecordRequests:
    """ASGI middleware: each request to one of `paths` (and what lies below them; all where none is named) is a prediction.

    Args:
        app: the app around which it stands.
        recorder: the recorder of the app.
        paths: "/predict" stands for itself and for "/predict/7"; the one that fits is the tag `route`.
        tags: what else to tag a prediction with, from the ASGI scope: `lambda scope: {"tenant": …}`.
        outputs: what of a JSON answer is the model's: `lambda answer: answer["scores"]`. None keeps no answers.
    """

    def __init__(
        self,
        app: App,
        recorder: Recorder,
        *,
        paths: Sequence[str] = (),
        tags: Callable[[Scope], Mapping[str, object]] | None = None,
        outputs: Callable[[Any], Any] | None = lambda answer: answer,
    ) -> None:
        self.app = app
        self._recorder = recorder
        self._paths = tuple(path.rstrip("/") or "/" for path in paths)
        self._tags = tags
        self._outputs = outputs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        route = self._route(scope)
        if route is None:
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(receive, send)
        await exchange.take_body()
        headers = dict(scope.get("headers", ()))  # their names are in small letters, says ASGI
        content_type = headers.get(b"content-type", b"").decode("latin-1")
        inputs = _read(exchange.body, content_type, exchange.whole) if exchange.body else _query(scope)
        context, wrong = self._context(scope, route)
        prediction = self._recorder.prediction(inputs, **context)
        trace = headers[b"traceparent"].decode("latin-1") if b"traceparent" in headers else None
        if trace:
            prediction.trace(trace)
        before = INCOMING.get()
        INCOMING.set(trace)
        with prediction as p:
            p.start = exchange.start  # the whole request counts, its body's way included
            if wrong is not None:
                p.lost(wrong)
            scope.setdefault("state", {})["prediction"] = p
            try:
                await exchange.serve(self.app, scope, p)
            finally:
                self._answer(p, exchange)
                INCOMING.set(before)

    def _route(self, scope: Scope) -> str | None:
        """Which of the paths a request goes to; None where it is not recorded."""
        if scope["type"] != "http" or scope["method"] in ("OPTIONS", "HEAD"):
            return None
        path = scope["path"]
        if not self._paths:
            return str(path)
        fits = (own for own in self._paths if path == own or path.startswith(own if own == "/" else f"{own}/"))
        return max(fits, key=len, default=None)

    def _context(self, scope: Scope, route: str) -> tuple[dict[str, Any], Exception | None]:
        """A request's tags, and what went wrong on the way to them."""
        context: dict[str, Any] = {"route": route} if self._paths else {}
        if self._tags is not None:
            try:
                told = self._tags(scope)
                context.update({name: told[name] for name in told if name not in ("id", "ts", "inputs")})
            except Exception as error:  # noqa: BLE001  a request is served, whatever its tags
                return context, error
        return context, None

    def _answer(self, p: Prediction, exchange: _Exchange) -> None:
        """Say what the app answered."""
        if not p.running:
            return
        exchange.tell_spans(p)
        if exchange.status >= 400:
            p.error(f"HTTP {exchange.status}")
        elif self._outputs is not None and "json" in exchange.answer_type and exchange.answer_whole:
            try:
                said = self._outputs(msgspec.json.decode(b"".join(exchange.answer)))
            except Exception as error:  # noqa: BLE001  an answer may hold anything
                p.add(("lost", "outputs", f"{type(error).__name__} while reading the answer"), "outputs")
            else:
                p.output(said)


class _Exchange:
    """One request and its answer, as they pass by."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._held: list[Message] = []
        self.start = self.received = now()
        self.whole = False
        self.body = b""
        self.status = 0
        self.answer_type = ""
        self.answer: list[bytes] = []
        self.answer_size = 0
        self.answer_whole = False
        self.answered = self.sending = self.waiting = self.handler_began = self.handler_ended = 0
        self.lag: int | None = None
        asyncio.get_running_loop().call_soon(self._went_round)

    def _went_round(self) -> None:
        """The event loop got to what was ready when the request came."""
        self.lag = now() - self.start

    async def take_body(self) -> None:
        """Read the body, as far as it is kept; what was read is handed to the app afterwards."""
        parts: list[bytes] = []
        size = 0
        while size <= _BODY_BYTES:
            message = await self._receive()
            self._held.append(message)
            if message["type"] != "http.request":
                break
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if not message.get("more_body"):
                self.whole = True
                break
        self.body = b"".join(parts)
        self.received = now()

    async def receive(self) -> Message:
        """What the app receives: what was read already, then what comes."""
        if self._held:
            return self._held.pop(0)
        began = now()
        try:
            return await self._receive()
        finally:
            if not self.answered:
                self.waiting += now() - began

    async def send(self, message: Message) -> None:
        """What the app sends, on its way to the client."""
        began = now()
        if message["type"] == "http.response.start":
            self.answered = began
            self.status = message["status"]
            headers = {bytes(name).lower(): bytes(value) for name, value in message.get("headers", ())}
            self.answer_type = headers.get(b"content-type", b"").decode("latin-1")
        elif message["type"] == "http.response.body":
            chunk = message.get("body", b"")
            self.answer_size += len(chunk)
            if self.answer_size <= _BODY_BYTES:
                self.answer.append(chunk)
                self.answer_whole = not message.get("more_body")
        try:
            await self._send(message)
        finally:
            self.sending += now() - began

    async def serve(self, app: App, scope: Scope, p: Prediction) -> None:
        """Let the app answer; what it takes less its steps is the handler's, unless the endpoint says so itself."""
        if not p.running:  # recording is switched off
            await app(scope, self.receive, self.send)
            return
        before = _SERVED.get()
        _SERVED.set(self)
        around = p.inside()
        try:
            await app(scope, self.receive, self.send)
        finally:
            own = around.leave(self.sending + self.waiting)
            _SERVED.set(before)
            if not self.handler_began:
                p.add(("span", "handler", own), "spans")

    def tell_spans(self, p: Prediction) -> None:
        """Say where the request's time went, and how long the event loop took to come round."""
        p.add(("span", "receive", self.received - self.start + self.waiting), "spans")
        if self.handler_began:
            p.add(("span", "parse", max(0, self.handler_began - self.received - self.waiting)), "spans")
            if self.answered and self.handler_ended:
                p.add(("span", "serialise", max(0, self.answered - self.handler_ended)), "spans")
        p.add(("span", "send", self.sending), "spans")
        lag = now() - self.start if self.lag is None else self.lag
        p.add(("hardware", {"loop_lag_ms": lag / 1e6}), "hardware")


_SERVED: ContextVar[_Exchange | None] = ContextVar("whimbrel.exchange", default=None)


def handler(endpoint: F) -> F:
    """An endpoint that tells its own time from what the framework does before and after it. Write it right above the `def`."""

    async def awaited(*args: Any, **kwargs: Any) -> Any:
        around = _begin()
        try:
            return await endpoint(*args, **kwargs)
        finally:
            _end(around)

    def called(*args: Any, **kwargs: Any) -> Any:
        around = _begin()
        try:
            return endpoint(*args, **kwargs)
        finally:
            _end(around)

    made: Any = functools.wraps(endpoint)(awaited if inspect.iscoroutinefunction(endpoint) else called)
    return made  # type: ignore[no-any-return]


def _begin() -> Any:
    exchange, scope = _SERVED.get(), current()
    if exchange is None or scope is None:
        return None
    exchange.handler_began = now()
    return scope.inside()


def _end(around: Any) -> None:
    exchange = _SERVED.get()
    if around is not None and exchange is not None:
        own = around.leave()
        exchange.handler_ended = now()
        around.prediction.add(("span", "handler", own), "spans")


def _query(scope: Scope) -> dict[str, Any]:
    """The query of a request without a body."""
    return dict(parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True))


def _read(body: bytes, content_type: str, whole: bool) -> Any:
    """What a body says; where it is neither JSON, a form nor text, its type, size and hash."""
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if whole and (kind.endswith("json") or not kind):
            return msgspec.json.decode(body)
        if whole and kind == "application/x-www-form-urlencoded":
            return dict(parse_qsl(body.decode(), keep_blank_values=True))
        if kind.startswith("text/") or kind.endswith("json"):
            return body.decode()
    except Exception:  # noqa: BLE001  a client may send anything
        return body.decode(errors="backslashreplace")
    told: dict[str, Any] = {"content_type": kind, "bytes": len(body), "xxh3": xxh3_64_hexdigest(body)}
    return told if whole else told | {"cut": True}
