"""One prediction while it runs: BEGIN goes out when its `with` is entered, END when it is left, however it is left.

A context variable holds the scope that runs now: a prediction, or a step or span inside one. asyncio tasks inherit it,
threads start without; `p` itself may be handed to them. Values are encoded where they are handed over, so that
nothing which the app changes later can change the record. Only `recorder.py` makes predictions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final, Self, overload

from whimbrel.record import frames
from whimbrel.record.segment import Session
from whimbrel.record.values import LIMIT, encode, rescue

MISSING: Final = object()
"""Stands for an argument that was not given, for None is a value."""

AHEAD_NS = 250_000
"""What a prediction has said is written ahead of its end once its last frame is this old: a step that took long is on
disk before the next begins, and short ones cost no write of their own."""

_ROOM = frames.MAX_BODY - LIMIT
SOON = 64 << 10  # bytes of entries that wait to be written together
SHORT = 512  # bytes of an entry that is not counted: in 250 µs nobody says so many that they matter
_ERROR_CHARACTERS = 2000
_NOBODY = (0, "")
_HEADS = tuple(map(frames.array_head, range(16)))
now = time.perf_counter_ns


class Scope:
    """A stretch of a prediction that is being timed. `inner` is how much of it its own steps and spans took (ns)."""

    __slots__ = ("before", "inner", "mark", "outer", "prediction", "start")
    replays = False

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

    def value(self, step: str, value: object) -> tuple[Any] | None:
        """Record a step's value; its time is what has passed since the scope began or its last step or span ended.

        Under a replay the recorded value comes back, in a tuple, where the app is to go on with that one.
        """
        prediction = self.prediction
        if prediction is None or not prediction.running:
            around = live(self.outer)
            return around.value(step, value) if around is not None else None
        at = now()
        own = at - self.mark
        self.mark = at
        self.inner += own
        return prediction.add(("step", step, value, own), "steps")


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
    """What `with recorder.prediction(inputs) as p` hands out. Every method swallows its own errors and counts them.

    Where no `with` fits (callbacks, streams, a prediction that one thread begins and another ends), `p.begin()` and
    `p.end()` do the same, and the prediction is then nobody's current one: say `p.step(...)`, or `recorder.bind`.
    """

    __slots__ = (
        "_ahead",
        "_begin",
        "_culprit",
        "_full",
        "_given",
        "_id",
        "_said",
        "_seq",
        "_session",
        "_ts",
        "due",
        "parts",
        "running",
        "size",
    )

    def __init__(self, session: Session | None, given: dict[str, Any], ts: int, own: str | None = None) -> None:
        self._session = session
        self._given: dict[str, Any] | None = given
        self._ts = ts
        self.prediction: Prediction | None = None
        self.outer: Scope | None = None
        self._id = own
        self.running = self._full = False
        self._seq = self.due = 0

    @property
    def id(self) -> str:
        """The prediction's id, by which a label or a decision is added later; empty before the `with` is entered."""
        if self._id is None:
            session = self._session
            if session is None:  # nothing is recorded, but the app may want to store an id
                self._id = frames.prediction_id(frames.new_session(self._ts), 0, self._ts)
            elif self._seq:
                self._id = frames.prediction_id(session.id, self._seq, self._ts)
        return self._id or ""

    def __enter__(self) -> Self:
        session, given = self._session, self._given
        if session is None:
            return self
        try:
            outer = INNERMOST.get()
            if outer is not None and outer.prediction is not None and outer.prediction.replays:
                self._session = None  # what is replayed is heard by the replay and not recorded again
                return self
            if given is None:
                session.lost("a prediction begun twice", "each needs a recorder.prediction() of its own")
                return self
            self._given = None
            self._seq = seq = session.next_seq()
            try:
                body = encode(given)
            except Exception:  # noqa: BLE001  a value may raise anything, at any time
                body = b""
            if not 0 < len(body) <= session.limit:
                body = _rescued(given, session.limit)
            self._begin = b"" if session.write(2, seq, body) else body  # Kind.BEGIN; tried again with the end
            self.parts: list[bytes] = []
            self.size = self.inner = self._said = self._ahead = 0
            self._culprit = _NOBODY
            if outer is not None:
                self.outer = live(outer)
            self.prediction = self
            self.running = True
            INNERMOST.set(self)
            self.start = self.mark = at = now()
            self.due = at + AHEAD_NS
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
            self.due = 0
            self.prediction = None
            outer = self.outer
            if outer is not None:
                self.outer = outer = live(outer)
            if INNERMOST.get() is self:
                INNERMOST.set(outer)
            if session.page[0]:  # a forked child leaves its parent's prediction: the parent says how it ended
                parts, self.parts = self.parts, []
                ahead = self._ahead
                parts.append(encode(("end", took, self._ts, ahead) if ahead else ("end", took, self._ts)))
                begun = not self._begin or session.write(2, self._seq, self._begin)
                count = len(parts)
                head = _HEADS[count] if count < 16 else frames.array_head(count)
                if session.write(3, self._seq, head + b"".join(parts)) and not begun:  # Kind.END
                    session.owed = True
                    session.lost("begin", "the inputs of a prediction found no room, and its end did")
        except Exception as failure:  # noqa: BLE001  the app goes on, whatever happens to us
            session.lost("end", failure)

    def begin(self) -> Self:
        """Record that it begins, where no `with` fits; `end` must follow, in whatever thread or task."""
        before = INNERMOST.get()
        self.__enter__()
        self.outer = None
        INNERMOST.set(before)
        return self

    def end(self, error: BaseException | None = None) -> None:
        """Record that it ended, and with what exception if any."""
        self.__exit__(None, error, None)

    def output(self, value: object = MISSING, /, **named: object) -> None:
        """Record what the model returned: `p.output(0.73)` is `outputs.score`; `p.output(low=1, high=2)` are both."""
        if type(value) is dict and not named:
            named = value
        elif value is not MISSING:
            named = {**value, **named} if isinstance(value, Mapping) else {"score": value, **named}
        try:  # `add` in place, here and in `decision`, for most predictions say both
            part = encode(("output", named))
            quick = now() < self.due and len(part) < SHORT
        except Exception:  # noqa: BLE001  `add` finds out what is wrong
            quick = False
        if quick:
            self.parts.append(part)
        else:
            self.add(("output", named), "outputs")

    def decision(self, value: object = MISSING, /, **named: object) -> None:
        """Record what was done with it: one value, or several by name. After the end it is sent on as a later one."""
        if value is not MISSING:
            try:
                part = encode(("decision", value))
                quick = now() < self.due and len(part) < SHORT
            except Exception:  # noqa: BLE001  `add` finds out what is wrong
                quick = False
            if quick:
                self.parts.append(part)
            else:
                self.add(("decision", value), "decision")
        if named:
            self.add(("decisions", named), "decisions")

    def usage(self, value: Mapping[str, object] | None = None, /, **named: object) -> None:
        """Record what it cost: input_tokens, output_tokens, cached_tokens, cost_usd, energy_j. Calls add up."""
        self.add(("usage", _both(value, named)), "usage")

    def age(self, value: Mapping[str, object] | None = None, /, **named: object) -> None:
        """Record how long ago (seconds) the source of each feature was refreshed."""
        self.add(("age", _both(value, named)), "age")

    def model(self, value: Mapping[str, object] | None = None, /, **named: object) -> None:
        """Record which model answered this one, where it is not the recorder's: name, version, digest, variant, …."""
        self.add(("model", _both(value, named)), "model")

    def context(self, value: Mapping[str, object] | None = None, /, **tags: object) -> None:
        """Record who and where, where that is known only once the prediction runs: tenant, device, release, …."""
        self.add(("context", _both(value, tags)), "context")

    def error(self, error: object) -> None:
        """Record that it went wrong, where no exception leaves the `with`."""
        self.add(("error", _words(error) if isinstance(error, BaseException) else error), "error")

    def trace(self, traceparent: str) -> None:
        """Say which trace it belongs to (a W3C `traceparent`), before it begins: then a crash loses neither."""
        if self._given is not None:
            self._given["trace"] = str(traceparent)
        else:
            self.lost("a trace was named after the prediction had begun")

    def step(self, name: str, value: Any) -> Any:
        """Record a step's value and return it: for threads, callbacks and streams, which have no current prediction."""
        try:
            handed = (
                self._scope().value(name, value) if self.running else self._outside(("step", name, value, 0), "steps")
            )
            if handed is not None:
                return handed[0]
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
            own = round(float(ms) * 1e6)
        except Exception as error:  # noqa: BLE001  a number may be any object
            self.lost(error)
        else:
            self.add(("span", name, own), "spans")
        return None

    def add(self, entry: tuple[Any, ...], path: str) -> tuple[Any] | None:
        """Encode one entry now; `path` is where it will stand. Outside the prediction it comes late, or is counted."""
        try:
            at = now()
            try:
                part = encode(entry)
            except Exception:  # noqa: BLE001  a value may raise anything, at any time
                part = b""
            if at < self.due and 0 < len(part) < SHORT:
                self.parts.append(part)  # one operation, and so is taking the list away: threads may say things at once
            elif self.running:
                return self.keep(entry, path, part, at)
            else:
                return self._outside(entry, path)
        except Exception as error:  # noqa: BLE001  the app goes on, whatever happens to us
            self.lost(error)
        return None

    def keep(self, entry: tuple[Any, ...], path: str, part: bytes, at: int) -> tuple[Any] | None:
        """Keep an encoded entry, said at the time `at` (ns), as far as there is room for it; write ahead what is due."""
        limit = self._session.limit if self._session is not None else LIMIT
        if not 0 < len(part) <= limit:
            twin, lost = rescue(entry, f"steps.{entry[1]}" if path == "steps" else path, limit)
            part = encode(twin)
            self.parts.extend(encode(("lost", *note)) for note in lost)
        if self._said + self.size + len(part) <= _ROOM:
            self.size += len(part)
            self.parts.append(part)
        else:
            if not self._full:
                self._full = True
                self.parts.append(encode(("lost", path, "the prediction was full, and what came next is missing")))
            self.lost("the prediction is longer than it may be")
        if self.size >= SOON or at >= self.due:
            self.write_ahead(at)
        return None

    def look(self, name: str, function: Callable[[], Any]) -> Any:  # noqa: ARG002  a replay asks the record by this name
        """Look at the world; a replay takes what the record says that was seen."""
        return function()

    def blame(self, step: str, error: BaseException) -> None:
        """Remember in which step an exception was raised: the innermost says so first."""
        if self._culprit[0] != id(error):
            self._culprit = (id(error), step)

    def lost(self, why: object) -> None:
        """Count a call that could not be recorded."""
        if self._session is not None:
            self._session.lost("call", why)

    def _scope(self) -> Scope:
        """The innermost scope of this prediction here; in another thread, the prediction itself."""
        scope = current()
        return scope if scope is not None and scope.prediction is self else self

    def write_ahead(self, at: int) -> None:
        """Write down what was said so far: what took long to make, or is much, does not wait for the end."""
        session, room = self._session, _ROOM - SOON
        self.due = at + AHEAD_NS if self._said + self.size < room else 0  # 0: from now on, all entries are counted
        if session is None or not session.page[0] or not self.running or not self.parts:
            return
        parts, self.parts = self.parts, []
        self.size = 0
        if self._begin and session.write(2, self._seq, self._begin):
            self._begin = b""
        body = frames.array_head(len(parts)) + b"".join(parts)
        if session.write(8, self._seq, body):  # Kind.PART
            self._said += len(body)
            self._ahead += 1
        else:
            self.parts[:0] = parts  # tried again later, and with the end
            self.size += len(body)

    def _story(self, error: BaseException) -> str:
        blamed, step = self._culprit
        return _words(error) + (f" (in step {step})" if blamed == id(error) else "")

    def _outside(self, entry: tuple[Any, ...], path: str) -> tuple[Any] | None:
        """Something said before the `with` or after it: decisions may come late, anything else is counted."""
        session, what = self._session, entry[0]
        if session is None:
            scope = current()
            replayed = scope.prediction if scope is not None else None
            return replayed.add(entry, path) if replayed is not None and replayed.replays else None
        if what in ("decision", "decisions") and self._seq:
            later, _ = rescue({"ts": time.time_ns() // 1000, "id": self.id, what: entry[1]}, "")
            session.heir().write(frames.Kind.DECISION, self._seq, encode(later))
        else:
            session.lost(
                f"{what} outside its prediction", "it was said before the `with` was entered or after it was left"
            )
        return None


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
            self._prediction.add(("span", self._name, own), "spans")


def _rescued(given: dict[str, Any], limit: int) -> bytes:
    """The body of a BEGIN whose values are hostile or long, as far as it can be kept."""
    twin, lost = rescue(given, "", limit)
    return encode({**twin, "lost": lost} if lost else twin)


def _both(value: Mapping[str, object] | None, named: dict[str, object]) -> dict[str, object]:
    return {**value, **named} if isinstance(value, Mapping) else named


def _words(error: BaseException) -> str:
    """An exception as one text; its own `__str__` may fail."""
    try:
        said = str(error)[:_ERROR_CHARACTERS]
    except Exception:  # noqa: BLE001  an exception may raise when asked what it says
        said = "(it cannot say why)"
    return f"{type(error).__name__}: {said}" if said else type(error).__name__
