"""One prediction while it runs: BEGIN goes out when its `with` is entered, END when it is left, however it is left.

A context variable holds the scope that runs now: a prediction, or a step or span inside one. asyncio tasks inherit it,
threads start without; `p` itself may be handed to them. Values are encoded where they are handed over, so that
nothing which the app changes later can change the record. Only `recorder.py` makes predictions.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final, Self, overload

from whimbrel.record import frames
from whimbrel.record.segment import Session
from whimbrel.record.values import LIMIT, encode, rescue

MISSING: Final = object()
"""Stands for an argument that was not given, for None is a value."""

_ROOM = frames.MAX_BODY - LIMIT
_ERROR_CHARACTERS = 2000
_NOBODY = (0, "")
now = time.perf_counter_ns


class Scope:
    """A stretch of a prediction that is being timed. `inner` is how much of it its own steps and spans took (ns)."""

    __slots__ = ("before", "inner", "mark", "outer", "prediction", "start")

    def __init__(self, prediction: Prediction | None, outer: Scope | None) -> None:
        self.prediction = prediction
        self.outer = outer
        self.before: Scope | None = None
        self.inner = 0
        self.start = self.mark = now()

    def inside(self) -> Scope:
        """Open a scope within this one."""
        scope = Scope(self.prediction, self)
        scope.before = INNERMOST.get()  # not always this one: a thread may have been handed the prediction
        INNERMOST.set(scope)
        return scope

    def leave(self, idle: int = 0) -> int:
        """Close this scope; its self time (ns), less what it was suspended."""
        at, outer = now(), self.outer
        took = at - self.start - idle
        if outer is not None:
            outer.inner += took
            outer.mark = at
        if INNERMOST.get() is self:  # never reset(token): generators are resumed and closed in contexts not their own
            INNERMOST.set(live(self.before))
        return max(0, took - self.inner)

    def value(self, step: str, value: object) -> None:
        """Record a step's value; its time is what has passed since the scope began or its last step or span ended."""
        prediction = self.prediction
        if prediction is not None and prediction.running:
            at = now()
            own, self.mark = at - self.mark, at
            self.inner += own
            prediction.add(("step", step, value, own), "steps")
        elif (around := live(self.outer)) is not None:
            around.value(step, value)


INNERMOST: ContextVar[Scope | None] = ContextVar("whimbrel.scope", default=None)
"""The scope that this task or thread entered last; it may have ended since, so ask `current`."""


def current() -> Scope | None:
    """The innermost scope of a prediction that has not ended, in this task or thread."""
    return live(INNERMOST.get())


def live(scope: Scope | None) -> Scope | None:
    """A scope, or the nearest around it whose prediction has not ended."""
    while scope is not None:
        prediction = scope.prediction
        if prediction is not None and prediction.running:
            return scope
        scope = scope.outer
    return None


class Prediction(Scope):
    """What `with recorder.prediction(inputs) as p` hands out. Every method swallows its own errors and counts them."""

    __slots__ = (
        "_begin",
        "_culprit",
        "_full",
        "_given",
        "_id",
        "_parts",
        "_seq",
        "_session",
        "_size",
        "_ts",
        "running",
    )

    def __init__(self, session: Session | None, given: dict[str, Any]) -> None:
        self.prediction = self.outer = self.before = None
        self.inner = self._seq = self._size = 0
        self.running = self._full = False
        self._session = session
        self._given: dict[str, Any] | None = given
        self._ts: int = given["ts"]
        self._id: str = given.get("id", "")
        self._begin = b""
        self._parts: list[bytes] = []
        self._culprit = _NOBODY

    @property
    def id(self) -> str:
        """The prediction's id, by which a label or a decision is added later; empty before the `with` is entered."""
        if not self._id:
            if self._session is None:  # nothing is recorded, but the app may want to store an id
                self._id = frames.prediction_id(frames.new_session(self._ts), 0, self._ts)
            elif self._seq:
                self._id = frames.prediction_id(self._session.id, self._seq, self._ts)
        return self._id

    def __enter__(self) -> Self:
        session, given = self._session, self._given
        if session is None:
            return self
        try:
            if given is None:
                session.lost("a prediction's with entered twice", "each needs a recorder.prediction() of its own")
                return self
            self._given = None
            self._seq = seq = session.next_seq()
            body = self._encode(given)
            if not session.write(2, seq, body):  # Kind.BEGIN: reading a member of an enumeration takes longer
                self._begin = body  # tried again with the end
            self.outer = current()
            self.prediction = self
            self.running = True
            INNERMOST.set(self)
            self.start = self.mark = now()
        except Exception as error:  # noqa: BLE001  the app goes on, whatever happens to us
            session.lost("begin", error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        took = now() - self.start if self.running else 0
        session = self._session
        if session is None or not self.running:
            return
        try:
            if error is not None:
                self.add(("error", self._story(error)), "error")
            self.running = False
            self.prediction = None
            self.outer = live(self.outer)
            if INNERMOST.get() is self:
                INNERMOST.set(self.outer)
            if session.page[0]:  # a forked child leaves its parent's prediction: the parent says how it ended
                self._end(session, took)
        except Exception as failure:  # noqa: BLE001  the app goes on, whatever happens to us
            session.lost("end", failure)

    def output(self, value: object = MISSING, /, **named: object) -> None:
        """Record what the model returned: `p.output(0.73)` is `outputs.score`; `p.output(low=1, high=2)` are both."""
        if value is not MISSING:
            named = {**value, **named} if isinstance(value, Mapping) else {"score": value, **named}
        self._say("output", named, "outputs")

    def decision(self, value: object = MISSING, /, **named: object) -> None:
        """Record what was done with it: one value, or several by name. After the end it is sent on as a later one."""
        if value is not MISSING:
            self._say("decision", value, "decision")
        if named:
            self._say("decisions", named, "decisions")

    def usage(self, value: Mapping[str, object] | None = None, /, **named: object) -> None:
        """Record what it cost: input_tokens, output_tokens, cached_tokens, cost_usd, energy_j. Calls add up."""
        self._say("usage", _both(value, named), "usage")

    def age(self, value: Mapping[str, object] | None = None, /, **named: object) -> None:
        """Record how long ago (seconds) the source of each feature was refreshed."""
        self._say("age", _both(value, named), "age")

    def model(self, value: Mapping[str, object] | None = None, /, **named: object) -> None:
        """Record which model answered this one, where it is not the recorder's: name, version, digest, variant, …."""
        self._say("model", _both(value, named), "model")

    def error(self, error: object) -> None:
        """Record that it went wrong, where no exception leaves the `with`."""
        self._say("error", _words(error) if isinstance(error, BaseException) else error, "error")

    def step(self, name: str, value: Any) -> Any:
        """Record a step's value and return it: for threads, callbacks and streams, which have no current prediction."""
        try:
            if self.running:
                self._scope().value(name, value)
            else:
                self._outside("step", value)
        except Exception as error:  # noqa: BLE001  the app goes on, whatever happens to us
            self.lost(error)
        return value

    @overload
    def span(self, name: str, /) -> Span: ...
    @overload
    def span(self, name: str, ms: float, /) -> None: ...
    def span(self, name: str, ms: float | None = None, /) -> Span | None:
        """Time a stretch: `with p.span("db"):`, or `p.span("db", 3.2)` where its milliseconds are known already."""
        if ms is None:
            return Span(self, name)
        try:
            self._say("span", name, "spans", round(float(ms) * 1e6))
        except Exception as error:  # noqa: BLE001  the app goes on, whatever happens to us
            self.lost(error)
        return None

    def add(self, entry: tuple[Any, ...], path: str) -> None:
        """Encode one entry of the END frame now; `path` is where it will stand. May raise on a lack of memory."""
        try:
            part = encode(entry)
        except Exception:  # noqa: BLE001  a value may raise anything, at any time
            part = b""
        if not 0 < len(part) <= LIMIT:
            twin, lost = rescue(entry, f"steps.{entry[1]}" if path == "steps" else path)
            part = encode(twin)
            self._parts.extend(encode(("lost", *note)) for note in lost)
        if self._size + len(part) <= _ROOM:
            self._size += len(part)
            self._parts.append(part)
        else:
            self.lost("the prediction is longer than a frame may be")
            if not self._full:
                self._full = True
                self._parts.append(encode(("lost", path, "the prediction was full, and what came next is missing")))

    def blame(self, step: str, error: BaseException) -> None:
        """Remember in which step an exception was raised: the innermost says so first."""
        if self._culprit[0] != id(error):
            self._culprit = (id(error), step)

    def lost(self, why: object) -> None:
        """Count a call that could not be recorded."""
        if self._session is not None:
            self._session.lost("call", why)

    def _say(self, what: str, value: object, path: str, *more: object) -> None:
        try:
            if self.running:
                self.add((what, value, *more), path)
            else:
                self._outside(what, value)
        except Exception as error:  # noqa: BLE001  the app goes on, whatever happens to us
            self.lost(error)

    def _scope(self) -> Scope:
        """The innermost scope of this prediction here; in another thread, the prediction itself."""
        scope = current()
        return scope if scope is not None and scope.prediction is self else self

    def _encode(self, given: dict[str, Any]) -> bytes:
        try:
            body = encode(given)
        except Exception:  # noqa: BLE001  a value may raise anything, at any time
            body = b""
        if 0 < len(body) <= LIMIT:
            return body
        twin, lost = rescue(given, "")
        return encode({**twin, "lost": lost} if lost else twin)

    def _end(self, session: Session, took: int) -> None:
        parts, self._parts = self._parts, []
        parts.append(encode(("end", took, self._ts)))
        if self._begin:
            session.write(frames.Kind.BEGIN, self._seq, self._begin)
        session.write(3, self._seq, frames.array_head(len(parts)) + b"".join(parts))  # Kind.END

    def _story(self, error: BaseException) -> str:
        blamed, step = self._culprit
        return _words(error) + (f" (in step {step})" if blamed == id(error) else "")

    def _outside(self, what: str, value: object) -> None:
        """Something said before the `with` or after it: decisions may come late, anything else is counted."""
        session = self._session
        if session is None:
            return
        if what in ("decision", "decisions") and self._seq:
            later, _ = rescue({"ts": time.time_ns() // 1000, "id": self.id, what: value}, "")
            session.write(frames.Kind.DECISION, self._seq, encode(later))
        else:
            session.lost(
                f"{what} outside its prediction", "it was said before the `with` was entered or after it was left"
            )


class Span:
    """A stretch of a prediction, timed by `with`: its self time goes to `spans.<name>`."""

    __slots__ = ("_name", "_prediction", "_scope")

    def __init__(self, prediction: Prediction, name: str) -> None:
        self._prediction = prediction
        self._name = name
        self._scope: Scope | None = None

    def __enter__(self) -> Self:
        if self._prediction.running:
            self._scope = self._prediction._scope().inside()  # noqa: SLF001  two halves of one thing
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._scope is not None:
            own = self._scope.leave()
            self._prediction._say("span", self._name, "spans", own)  # noqa: SLF001  two halves of one thing


def _both(value: Mapping[str, object] | None, named: dict[str, object]) -> dict[str, object]:
    return {**value, **named} if isinstance(value, Mapping) else named


def _words(error: BaseException) -> str:
    """An exception as one text; its own `__str__` may fail."""
    try:
        said = str(error)[:_ERROR_CHARACTERS]
    except Exception:  # noqa: BLE001  an exception may raise when asked what it says
        said = "(it cannot say why)"
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
