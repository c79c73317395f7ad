"""What `@recorder.step` makes of a function: the same function, recorded where a prediction is running.

In: a function, coroutine function, generator function or async generator function. Out: one of the same sort. Outside a
prediction it is just the function. Only `recorder.py` may call; `streams.py` does the generators.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from whimbrel.record import streams
from whimbrel.record.prediction import Scope, current, now

GENERATOR, COROUTINE, ASYNC_GENERATOR = 0x20, 0x80, 0x200
"""A code object's flags; `inspect` costs an import."""


def wrap(function: Any, name: str | None = None) -> Any:
    """A function that records its value as a step.

    Raises:
        TypeError: it is no function.
    """
    if not callable(function) and not isinstance(function, classmethod):
        raise TypeError(f"a {type(function).__name__} is no function")
    if isinstance(function, staticmethod | classmethod):
        return type(function)(wrap(function.__func__, name))
    _pin(function)
    step = Step(name or getattr(function, "__name__", None) or type(function).__name__, function)
    return functools.wraps(function)(recorded(function, step))


def recorded(function: Callable[..., Any], step: Step) -> Callable[..., Any]:
    """The function, of one of the four sorts, recorded as this step where a prediction is running."""
    flags = flags_of(function)
    make = (
        streams.asynchronous if flags & ASYNC_GENERATOR else _coroutine if flags & COROUTINE
        else streams.synchronous if flags & GENERATOR else _call
    )  # fmt: skip
    return make(function, step)


def flags_of(function: Any) -> int:
    """The flags of a function's code, whatever wraps it."""
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(getattr(function, "__code__", None), "co_flags", 0)


def _pin(function: Any) -> None:
    """Remember the source that the function was made from, in case the file is replaced while the process runs."""
    code = getattr(function, "__code__", None)
    if code is not None:
        import linecache  # only where a function is decorated

        linecache.getlines(code.co_filename, getattr(function, "__globals__", None))


class Step:
    """A decorated function's name and fingerprint; the latter is taken when the step first runs in a prediction."""

    __slots__ = ("_code", "_function", "name")
    word = "step"

    def __init__(self, name: str, function: Any) -> None:
        self.name = name
        self._function = function
        self._code: str | None = None

    def code(self, scope: Scope) -> str | None:
        """The function's fingerprint. Taking it is no part of what is being timed around it."""
        if self._code is None:
            began = now()
            from whimbrel.record.fingerprints import fingerprint  # reads source: 10 ms that an import need not take

            self._code = fingerprint(self._function)
            spent = now() - began
            around = scope.outer
            while around is not None:
                around.start += spent
                around.mark += spent
                around = around.outer
        return self._code

    def done(self, scope: Scope, value: Any, own: int) -> Any:
        """Record the value; nothing that goes wrong here reaches the app. A replay answers with the recorded one."""
        prediction = scope.prediction
        if prediction is not None and prediction.running:
            try:
                handed = prediction.add((self.word, self.name, value, own, self.code(scope)), "steps")
                if handed is not None:
                    return handed[0]
            except Exception as error:  # noqa: BLE001  the app goes on, whatever happens to us
                prediction.lost(error)
        return value

    def failed(self, scope: Scope, error: BaseException, own: int) -> None:
        """Record that it raised; nothing that goes wrong here reaches the app."""
        prediction = scope.prediction
        if prediction is not None and prediction.running:
            try:
                prediction.blame(self.name, error)
                prediction.add(("failed", self.name, own, self.code(scope)), "steps")
            except Exception as failure:  # noqa: BLE001  the app goes on, whatever happens to us
                prediction.lost(failure)


class Look(Step):
    """A look-up of the world: what it returned is recorded, and a replay need not repeat it."""

    word = "read"

    def code(self, scope: Scope) -> None:
        """The world has no code."""


def _call(function: Callable[..., Any], step: Step) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        around = current()
        if around is None:
            return function(*args, **kwargs)
        scope = around.inside()
        try:
            value = function(*args, **kwargs)
        except BaseException as error:
            step.failed(scope, error, scope.leave())
            raise
        return step.done(scope, value, scope.leave())

    return call


def _coroutine(function: Callable[..., Any], step: Step) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        around = current()
        if around is None:
            return await function(*args, **kwargs)
        scope = around.inside()
        try:
            value = await function(*args, **kwargs)
        except BaseException as error:
            step.failed(scope, error, scope.leave())
            raise
        return step.done(scope, value, scope.leave())

    return call
