"""Steps that are generators: passed through item by item, and recorded when they end.

In: a generator function, plain or async, and its step. Out: one of the same sort. The step's value is the list of what
it yielded, the first thousand of it; its time is what it spent producing, not what its consumer spent between. A
generator that its consumer closes early counts as ended. Only `steps.py` may call.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, Protocol

from whimbrel.record.prediction import Scope, current, now

_ITEMS = 1000


class Recorded(Protocol):
    """What a stream needs of its step: somewhere to say how it ended."""

    name: str

    def done(self, scope: Scope, value: Any, own: int) -> Any:
        """It ended with this value after so many nanoseconds of its own."""

    def failed(self, scope: Scope, error: BaseException, own: int) -> None:
        """It raised after so many nanoseconds of its own."""


class _Tape:
    """What a generator has yielded so far, and for how long it was suspended (ns). Blank outside a prediction."""

    __slots__ = ("_count", "_idle", "_kept", "_left_at", "_scope", "_step")

    def __init__(self, step: Recorded) -> None:
        around = current()
        # Not entered: between two items it is the consumer's code that runs, and that is no part of this step.
        self._scope = None if around is None else Scope(around.prediction, around)
        self._step = step
        self._kept: list[Any] = []
        self._count = 0
        self._idle = 0
        self._left_at = 0

    def out(self, item: Any) -> Any:
        """An item is about to be handed out."""
        if self._scope is not None:
            self._count += 1
            if self._count <= _ITEMS:
                self._kept.append(item)
            self._left_at = now()
        return item

    def back(self) -> None:
        """The consumer wants more, or no more."""
        if self._scope is not None:
            self._idle += now() - self._left_at

    def end(self, error: BaseException | None = None) -> None:
        """The generator has finished, was closed, or raised."""
        scope = self._scope
        if scope is None:
            return
        own = scope.leave(self._idle)
        if error is not None:
            self._step.failed(scope, error, own)
            return
        self._step.done(scope, self._kept, own)
        if self._count > _ITEMS and scope.prediction is not None:
            why = f"only the first {_ITEMS} of its {self._count} items were kept"
            scope.prediction.add(("lost", f"steps.{self._step.name}", why), "steps")


def synchronous(function: Callable[..., Any], step: Recorded) -> Callable[..., Any]:
    """A generator function that is recorded."""

    def stream(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        source = function(*args, **kwargs)
        tape = _Tape(step)
        try:
            item = next(source)
            while True:
                try:
                    sent = yield tape.out(item)
                except GeneratorExit:
                    tape.back()
                    source.close()
                    raise
                except BaseException as error:  # noqa: BLE001  handed on to the generator, as `yield from` does
                    tape.back()
                    item = source.throw(error)
                else:
                    tape.back()
                    item = source.send(sent)
        except StopIteration as stop:
            tape.end()
            return stop.value
        except GeneratorExit:
            tape.end()
            raise
        except BaseException as error:
            tape.end(error)
            raise

    return stream


def asynchronous(function: Callable[..., Any], step: Recorded) -> Callable[..., Any]:
    """An async generator function that is recorded."""

    async def stream(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        source = function(*args, **kwargs)
        tape = _Tape(step)
        try:
            item = await anext(source)
            while True:
                try:
                    sent = yield tape.out(item)
                except GeneratorExit:
                    tape.back()
                    await source.aclose()
                    raise
                except BaseException as error:  # noqa: BLE001  handed on to the generator
                    tape.back()
                    item = await source.athrow(error)
                else:
                    tape.back()
                    item = await source.asend(sent)
        except StopAsyncIteration:
            tape.end()
        except GeneratorExit:
            tape.end()
            raise
        except BaseException as error:
            tape.end(error)
            raise

    return stream
