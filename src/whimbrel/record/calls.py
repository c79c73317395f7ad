"""Functions whose calls are predictions, look-ups of the world, and functions that run elsewhere for a prediction.

In: what the app decorates or calls. Out: the same values, recorded. `@recorder.predict` makes each call a prediction,
`recorder.read` a look-up a step that a replay need not repeat, `recorder.bind` hands the current prediction to an
executor. Only `recorder.py` may call.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from types import FunctionType
from typing import Any

from whimbrel.record.prediction import INNERMOST, Prediction, Scope, current
from whimbrel.record.steps import ASYNC_GENERATOR, COROUTINE, GENERATOR, Look, flags_of, recorded

_ITEMS = 1000
_PLAIN = (str, bytes, int, float, bool, type(None), list, tuple)

Opened = Callable[[tuple[Any, ...], dict[str, Any]], Prediction]
"""Makes a prediction of a call's arguments."""


class Arguments:
    """What a function's arguments are called, and which of them are tags: the others are inputs."""

    def __init__(self, function: Any, tags: tuple[str, ...]) -> None:
        while isinstance(function, functools.partial):
            function = function.func
        if not isinstance(function, FunctionType):  # an object that can be called: what its class says
            function = vars(type(function)).get("__call__", function)
        code = getattr(function, "__code__", None)
        known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount] if code is not None else ()
        self.tags = tags
        self.positional = known[: code.co_argcount] if code is not None else ()
        self.owner = self.positional[0] if self.positional[:1] in (("self",), ("cls",)) else ""
        rest = [name for name in known if name not in tags and name != self.owner]
        self.single = rest[0] if len(rest) == 1 else ""
        defaults = getattr(function, "__defaults__", None) or ()
        self.defaults = dict(zip(self.positional[len(self.positional) - len(defaults) :], defaults, strict=True))
        self.defaults |= getattr(function, "__kwdefaults__", None) or {}

    def split(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
        """The inputs and the tags of one call. A single argument that is a row is the inputs themselves."""
        given = self.defaults | dict(zip(self.positional, args, strict=False))
        given |= {f"argument {i}": args[i] for i in range(len(self.positional), len(args))}
        given |= kwargs
        given.pop(self.owner, None)
        tags = {name: given.pop(name) for name in self.tags if name in given}
        if len(given) == 1 and self.single in given and not isinstance(given[self.single], _PLAIN):
            return given[self.single], tags
        return given, tags


def predicted(function: Any, opened: Opened) -> Any:
    """The function, of one of the four sorts, each call of which is a prediction.

    Raises:
        TypeError: it is no function.
    """
    if not callable(function):
        raise TypeError(f"a {type(function).__name__} is no function")
    flags = flags_of(function)
    make = (
        _astream if flags & ASYNC_GENERATOR else _coroutine if flags & COROUTINE
        else _stream if flags & GENERATOR else _call
    )  # fmt: skip
    return functools.wraps(function)(make(function, opened))


def _call(function: Callable[..., Any], opened: Opened) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with opened(args, kwargs) as p:
            value = function(*args, **kwargs)
            p.output(value)
        return value

    return call


def _coroutine(function: Callable[..., Any], opened: Opened) -> Callable[..., Any]:
    async def call(*args: Any, **kwargs: Any) -> Any:
        with opened(args, kwargs) as p:
            value = await function(*args, **kwargs)
            p.output(value)
        return value

    return call


def _stream(function: Callable[..., Any], opened: Opened) -> Callable[..., Any]:
    def stream(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        source, answer = function(*args, **kwargs), _Answer(opened(args, kwargs))
        resume, sent = source.send, None
        try:
            while True:
                with answer:
                    item = resume(sent)
                try:
                    sent = yield answer.hears(item)
                    resume = source.send
                except GeneratorExit:
                    source.close()
                    raise
                except BaseException as error:  # noqa: BLE001  handed on to the generator, as `yield from` does
                    resume, sent = source.throw, error
        except StopIteration as stop:
            answer.end()
            return stop.value
        except BaseException as error:
            answer.end(error)
            raise

    return stream


def _astream(function: Callable[..., Any], opened: Opened) -> Callable[..., Any]:
    async def stream(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        source, answer = function(*args, **kwargs), _Answer(opened(args, kwargs))
        resume, sent = source.asend, None
        try:
            while True:
                with answer:
                    item = await resume(sent)
                try:
                    sent = yield answer.hears(item)
                    resume = source.asend
                except GeneratorExit:
                    await source.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001  handed on to the generator
                    resume, sent = source.athrow, error
        except StopAsyncIteration:
            answer.end()
        except BaseException as error:
            answer.end(error)
            raise

    return stream


class _Answer:
    """A streamed answer: its prediction, current within `with` and not while the consumer runs, and what was yielded."""

    def __init__(self, prediction: Prediction) -> None:
        self.prediction = prediction.begin()
        self.items: list[Any] = []
        self.count = 0
        self.before: Scope | None = None

    def __enter__(self) -> None:
        if self.prediction.running:
            self.before = INNERMOST.get()
            INNERMOST.set(self.prediction)

    def __exit__(self, *raised: object) -> None:
        if self.prediction.running:
            INNERMOST.set(self.before)

    def hears(self, item: Any) -> Any:
        """Keep an item that is about to be handed out, the first thousand of them."""
        self.count += 1
        if self.count <= _ITEMS:
            self.items.append(item)
        return item

    def end(self, error: BaseException | None = None) -> None:
        """Say what was answered; pieces of text are one text."""
        items = self.items
        if items or error is None:
            self.prediction.output("".join(items) if items and all(type(item) is str for item in items) else items)
        if self.count > len(items):
            why = f"only the first {len(items)} of its {self.count} items were kept"
            self.prediction.add(("lost", "outputs.score", why), "outputs")
        self.prediction.end(error)


def read(name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """What a look-up returns; a coroutine function's is recorded when it is awaited."""
    scope = current()
    if scope is None:
        return function(*args, **kwargs)
    if scope.prediction is not None and scope.prediction.replays:
        return scope.prediction.look(name, functools.partial(function, *args, **kwargs))
    return recorded(function, Look(name, function))(*args, **kwargs)


class Bound:
    """A function that runs for a prediction in whatever thread; in another process it is just the function."""

    def __init__(self, function: Callable[..., Any], around: Scope) -> None:
        self.function = function
        self.around = around
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it, with the prediction as the current one."""
        if flags_of(self.function) & COROUTINE:
            return self._awaited(*args, **kwargs)
        with _Beside(self.around):
            return self.function(*args, **kwargs)

    async def _awaited(self, *args: Any, **kwargs: Any) -> Any:
        with _Beside(self.around):
            return await self.function(*args, **kwargs)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _itself, (self.function,)


class _Beside:
    """A scope of its own, for what runs beside a prediction is timed by itself, and is no part of what waits for it."""

    def __init__(self, around: Scope) -> None:
        self.scope = Scope(around.prediction, around)
        self.before: Scope | None = None

    def __enter__(self) -> None:
        self.before = INNERMOST.get()
        INNERMOST.set(self.scope)

    def __exit__(self, *raised: object) -> None:
        INNERMOST.set(self.before)


def _itself(function: Callable[..., Any]) -> Callable[..., Any]:
    return function
