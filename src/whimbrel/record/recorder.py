"""The recorder: what an app holds, one for each app and process, made once.

In: inputs, steps, outputs, decisions, labels, events. Out: frames in segment files under `<home>/segments/<app>/`. No
call raises on what it is given or on what the disk does; what was not recorded is counted in `losses`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

import msgspec

from whimbrel.errors import UsageError
from whimbrel.record import calls, frames, process, steps
from whimbrel.record.blobs import Blobs
from whimbrel.record.mapped import Mapped
from whimbrel.record.policy import Policy
from whimbrel.record.prediction import INNERMOST, MISSING, SHORT, Prediction, current, now
from whimbrel.record.segment import Session
from whimbrel.record.values import encode, rescue, row
from whimbrel.settings import Settings
from whimbrel.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_LONGEST_APP = 200
_innermost = INNERMOST.get
_unmade = object.__new__


class Recorder:
    """Records the predictions of one app. Threads and tasks may share it; forked children open files of their own.

    `home` is the log's folder (`WHIMBREL_HOME`, else `./.whimbrel`). `model` says which model answers: `"fares@7"`, or
    a mapping of name, version, digest, precision, variant. `policy` says what may be written and how much: a TOML file
    or a mapping of its `[record]`, else what `WHIMBREL_POLICY` names, else `whimbrel.toml` in this folder
    (docs/policy.md). `WHIMBREL=off` in the environment makes every call a no-op.

    Raises:
        UsageError: `app` is no name, or the policy makes no sense; nothing else here or later raises.
    """

    def __init__(
        self,
        app: str,
        *,
        home: str | Path | None = None,
        model: str | Mapping[str, object] | None = None,
        policy: str | Path | Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(app, str) or not app or not app.isprintable() or len(frames.folder_of(app)) > _LONGEST_APP:
            raise UsageError(
                f"{str(app)[:80]!r} is no name for an app", where="Recorder(app)",
                why=f"it must be a printable text of at most {_LONGEST_APP} characters, percent-encoded",
                next='write Recorder("fares")',
            )  # fmt: skip
        self.app = app
        self._home = home
        self._policy = Policy.load(policy)
        root = Settings.load(home=home).home.absolute()
        self._folder = root / "segments" / frames.folder_of(app)
        self._blobs = Blobs(root, self._policy)
        self._off = os.environ.get("WHIMBREL", "").lower() == "off"
        if not self._off:
            with contextlib.suppress(Exception):  # the app starts, whatever its host hides
                process.lasting()
        silent = self._off or os.environ.get("WHIMBREL", "").lower() == "replay"
        self._session = None if silent else self._new_session()
        self._model: msgspec.Raw | None = None
        self.model = model

    @property
    def model(self) -> Any:
        """Which model answers, from now on: set it when another one is loaded. It reads as a dictionary."""
        return msgspec.msgpack.decode(self._model) if self._model is not None else {}

    @model.setter
    def model(self, model: str | Mapping[str, object] | None) -> None:
        try:
            known = identity(model)
            self._model = msgspec.Raw(encode(known)) if known else None
        except Exception as error:  # noqa: BLE001  an identity may be any object
            self._lost("model", error)

    @property
    def losses(self) -> dict[str, int]:
        """What was not recorded by this process, by reason."""
        return dict(self._session.losses) if self._session is not None else {}

    @property
    def current(self) -> Prediction | None:
        """The prediction that is running here: in this thread, task, or function that was bound to one."""
        scope = current()
        return scope.prediction if scope is not None else None

    @overload
    def predict(self, function: F, /) -> F: ...
    @overload
    def predict(
        self, function: None = None, /, *, tags: Sequence[str] = (), names: Sequence[str] | None = None
    ) -> Callable[[F], F]: ...
    def predict(self, function: Any = None, /, *, tags: Sequence[str] = (), names: Sequence[str] | None = None) -> Any:
        """Make each call of a function a prediction: `@recorder.predict`, or `@recorder.predict(tags=["country"])`.

        Arguments become inputs by their names, but for those in `tags`; a single one that is a row (a dictionary, a
        data class, an array with `names`) is the inputs itself. What it returns is the output: fields by name, or
        `outputs.score`; a generator's is the list of what it yielded, or its text. `recorder.current` is the
        prediction, for its `id` and whatever else there is to say.
        """
        if function is None:
            return lambda function: self._predicted(function, tuple(tags), names)
        return self._predicted(function, (), None)

    if TYPE_CHECKING:

        @overload
        def step(self, function: F, /) -> F: ...
        @overload
        def step(self, name: str, /) -> Callable[[F], F]: ...
        @overload
        def step(self, name: str, value: T, /, *, names: Sequence[str] | None = None) -> T: ...
        def step(self, name: Any, value: Any = MISSING, /, *, names: Sequence[str] | None = None) -> Any:
            """Record a step; the method below, as it is to be called."""

    else:  # a keyword-only argument keeps the interpreter from its quick way of calling: 50 ns a step

        def step(self, name, value=MISSING, /, names=None):
            """Record a step: `@recorder.step` on its function, or `recorder.step("encode", value)`, which returns it.

            The latter's time is what has passed since the prediction began or its last step or span ended. Dictionaries
            become `steps.<step>.<name>`, and so does an array with `names`; anything else `steps.<step>.value`. Outside
            a prediction nothing happens.
            """
            if value is MISSING:
                if isinstance(name, str):
                    return lambda function: self._wrap(function, name)
                return self._wrap(name, None)
            scope = _innermost()
            if scope is not None:
                try:
                    prediction, at = scope.prediction, now()
                    if prediction is None or at >= prediction.due or names is not None:
                        handed = scope.value(name, value if names is None else self._row(value, names))
                        if handed is None:
                            return value
                        return handed[0] if names is None else _unnamed(handed[0], value)
                    own = at - scope.mark  # `Scope.value` in place: two calls less for each step
                    scope.mark = at
                    if scope is not prediction:
                        scope.inner += own
                    try:
                        part = encode(("step", name, value, own))
                        if len(part) < SHORT:
                            prediction.parts.append(part)
                            return value
                    except Exception:  # noqa: BLE001  a value may raise anything, at any time
                        part = b""
                    prediction.keep(("step", name, value, own), "steps", part, at)
                except Exception as error:  # noqa: BLE001  the app goes on, whatever happens to us
                    self._lost("step", error)
            return value

    def read(self, name: str, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """Look at the world through the recorder: `rate = recorder.read("rate", table.get, "USD")`.

        For look-ups, clocks and randomness: the value is recorded as a step's is, and a replay takes it from the record
        and does not look again. Outside a prediction it is just the call.
        """
        if self._off:
            return function(*args, **kwargs)
        answer: T = calls.read(name, function, args, kwargs)
        return answer

    def blob(self, value: Any, media_type: str = "") -> dict[str, Any]:
        """A reference to a large binary value, by its hash: `recorder.prediction({"image": recorder.blob(png)})`.

        Bytes, a file by its path, an array or an image. The content goes to `blobs/` under the log's folder, once
        however often it comes, unless the policy keeps hashes alone. What cannot be read is an empty reference.
        """
        if self._off:
            return {}
        try:
            said, why = self._blobs.reference(value, media_type)
            if why:
                self._lost("blob", why)
        except Exception as error:  # noqa: BLE001  the app goes on, whatever it hands over
            self._lost("blob", error)
            return {}
        return said

    def bind(self, function: F, /) -> F:
        """A function that another thread runs for the current prediction: `pool.submit(recorder.bind(fetch), url)`.

        asyncio tasks need none, and nor does `asyncio.to_thread`. Outside a prediction it is just the function.
        """
        scope = current()
        if scope is None:
            return function
        bound: Any = calls.Bound(function, scope)
        return bound  # type: ignore[no-any-return]

    if TYPE_CHECKING:

        def prediction(
            self,
            inputs: object,
            *,
            id: str | None = None,  # noqa: A002
            ts: object = None,
            names: Sequence[str] | None = None,
            **context: object,
        ) -> Prediction:
            """Record one prediction; the method below, as it is to be called."""

    else:  # a call compares each tag with each name of the signature: 0.3 µs that this one does not take

        def prediction(self, inputs=MISSING, /, **context):
            """Record one prediction: `with recorder.prediction(inputs, country="US") as p:`.

            Its inputs are on disk before the block runs. An exception that leaves the block is recorded and goes on.
            `id` is your own name for it where you have one, `ts` its event time where that is not now (a datetime, an
            ISO text, or seconds since 1970), `names` the names of the columns of an array that is one row; every other
            keyword is a tag that slices are made of.
            """
            if inputs is MISSING:
                inputs = context.pop("inputs", MISSING)
                if inputs is MISSING:
                    raise TypeError("prediction() needs the inputs")
            micros = now_us = time.time_ns() // 1000
            begin = {"ts": micros, "model": self._model, "context": context, "inputs": inputs}
            session, own = self._session, None
            try:
                if "ts" in context and (ts := context.pop("ts")) is not None:
                    begin["ts"] = micros = self._micros(ts)
                if "id" in context and (own := context.pop("id")) is not None:
                    begin["id"] = own = str(own)
                names = context.pop("names") if "names" in context else None
                if session is not None:
                    if not session.page[0]:
                        session = self._forked(session)
                    if not session.looked_us <= now_us < session.look_at_us:
                        session.look(now_us)
                    if not context:
                        del begin["context"]
                    if self._model is None:
                        del begin["model"]
                    if type(inputs) is not dict:
                        begin["inputs"] = self._row(inputs, names)
            except Exception as error:  # noqa: BLE001  the app goes on, whatever happens to us
                self._lost("prediction", error)
                session = None
            p = _unmade(Prediction)  # what its `__init__` does, in place: a call less
            p._session, p._given, p._ts, p._id = session, begin, micros, own  # noqa: SLF001  two halves of one thing
            p._seq = p.due = 0  # noqa: SLF001
            p.prediction = p.outer = None
            p.running = p._full = False  # noqa: SLF001
            return p

    def label(self, id: str | Prediction, value: object, ts: object = None) -> None:  # noqa: A002
        """Record what turned out to be true of a prediction, from any process; `ts` is when it was known (now)."""
        self._later(frames.Kind.LABEL, {"id": id, "label": value}, ts)

    def decision(self, id: str | Prediction, value: object = MISSING, /, **named: object) -> None:  # noqa: A002
        """Record what was done with a prediction after it ended, from any process."""
        if value is not MISSING:
            self._later(frames.Kind.DECISION, {"id": id, "decision": value}, None)
        if named:
            self._later(frames.Kind.DECISION, {"id": id, "decisions": named}, None)

    def event(self, kind: str, what: str, *, ts: object = None, **context: object) -> None:
        """Record what happened around the predictions: a deploy, config, flag, rollback, incident or data change.

        The context says whom it reached (`channel="ios"`); without one it reached everyone.
        """
        self._later(frames.Kind.EVENT, {"kind": kind, "what": what, "context": context}, ts)

    def close(self) -> None:
        """End this session while no prediction is running; the next call begins another. Never needed."""
        if self._session is not None:
            self._session.close()
            self._session = self._new_session()

    def __repr__(self) -> str:
        return f"Recorder({self.app!r})"

    def __reduce__(self) -> tuple[Callable[..., Recorder], tuple[Any, ...]]:
        return _again, (self.app, self._home, self.model, self._policy.to_dict())

    def _wrap(self, function: Any, name: str | None) -> Any:
        if self._off:
            return function
        try:
            return steps.wrap(function, name)
        except Exception as error:  # noqa: BLE001  the app keeps its function, whatever it is
            self._lost("decoration", error)
            return function

    def _predicted(self, function: Any, tags: tuple[str, ...], names: Sequence[str] | None) -> Any:
        if self._off:
            return function
        try:
            target = function.__func__ if isinstance(function, staticmethod | classmethod) else function
            arguments = calls.Arguments(target, tags)

            def opened(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Prediction:
                try:
                    inputs, context = arguments.split(args, kwargs)
                    return self.prediction(inputs, names=names, **context)
                except Exception as error:  # noqa: BLE001  the app's function runs, whatever its arguments are
                    self._lost("prediction", error)
                    return Prediction(None, {}, time.time_ns() // 1000)

            answer = calls.predicted(target, opened)
            return answer if target is function else type(function)(answer)
        except Exception as error:  # noqa: BLE001  the app keeps its function, whatever it is
            self._lost("decoration", error)
            return function

    def _row(self, inputs: object, names: Sequence[str] | None) -> object:
        """A row with the names of its fields; one that does not fit its names stays as it is."""
        try:
            return row(inputs, names)
        except Exception as error:  # noqa: BLE001  a row may be any object
            self._lost("names", error)
            return inputs

    def _forked(self, session: Session) -> Session:
        """A session for a forked child, which its wiped page has told that it is one: the other is its parent's."""
        session.close()
        self._session = session = self._new_session()
        return session

    def _new_session(self) -> Session:
        kind = Mapped if self._policy.write == "mapped" else Session
        return kind(self._folder, self._describe, self._policy)

    def _describe(self, session: Session) -> dict[str, Any]:
        """The facts that open each segment."""
        own = {"app": self.app, "process": session.id.hex(), "recorder": __version__, "ts": session.opened_us}
        try:
            return own | process.facts()
        except Exception as error:  # noqa: BLE001  the app goes on, whatever its host hides
            return own | {"probe": type(error).__name__}

    def _later(self, kind: frames.Kind, body: dict[str, Any], ts: object) -> None:
        try:
            session = self._session
            if session is not None:
                if not session.page[0]:
                    session = self._forked(session)
                body["ts"] = self._micros(ts)
                if isinstance(body.get("id"), Prediction):
                    body["id"] = body["id"].id
                plain, lost = rescue(body, "", session.limit)
                session.write(kind, 0, encode({**plain, "lost": lost} if lost else plain))
        except Exception as error:  # noqa: BLE001  the app goes on, whatever happens to us
            self._lost(kind.name.lower(), error)

    def _micros(self, ts: object) -> int:
        """A time as microseconds since 1970; one that cannot be read is counted, and now stands for it."""
        try:
            return micros(ts)
        except Exception:  # noqa: BLE001  a time may be any object
            self._lost("ts", f"a time of type {type(ts).__name__} cannot be read; now stands for it")
            return time.time_ns() // 1000

    def _lost(self, why: str, detail: object) -> None:
        if self._session is not None:
            self._session.lost(why, detail)


def identity(model: str | Mapping[str, object] | None) -> dict[str, str]:
    """A model's identity as the record holds it: `"fares@7"` is the name `fares` and the version `7`.

    >>> identity("fares@7")
    {'name': 'fares', 'version': '7'}
    """
    if model is None:
        return {}
    if isinstance(model, Mapping):
        return {str(key): str(value) for key, value in model.items() if value is not None}
    name, at, version = str(model).rpartition("@")
    return {"name": name, "version": version} if at and name else {"name": str(model)}


def micros(ts: Any) -> int:
    """A time as microseconds since 1970, UTC: now for None, a datetime, an ISO text, or seconds since 1970.

    Raises:
        TypeError, ValueError, OverflowError: it is none of these.
    """
    if ts is None:
        return time.time_ns() // 1000
    if isinstance(ts, str):
        ts = dt.datetime.fromisoformat(ts)
    if type(ts).__module__ == "numpy":
        ts = ts.astype("datetime64[us]").item() if ts.dtype.kind == "M" else ts.item()
    if isinstance(ts, dt.datetime):
        moment = ts.replace(tzinfo=dt.UTC) if ts.tzinfo is None else ts
        return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)
    return round(float(ts) * 1e6)


def _unnamed(row: Any, like: Any) -> Any:
    """A row of names and values as the plain array or list that it was made of."""
    items = list(row.values()) if isinstance(row, Mapping) else row
    if hasattr(like, "dtype"):
        like = like.copy()
        like[...] = [float("nan") if item is None else item for item in items]
        return like
    return type(like)(items)


def _again(app: str, home: str | Path | None, model: Mapping[str, object], policy: Mapping[str, Any]) -> Recorder:
    return Recorder(app, home=home, model=model, policy=policy)
