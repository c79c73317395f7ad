"""scikit-learn, which takes a second to load: where no model is worth fitting it never is, else on a thread beside other work.

In: nothing. Out: nothing; after `ready` it is there. `boundaries` says when to begin, and whoever fits says `ready` first.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from importlib import import_module
from threading import Thread
from threading import enumerate as running

from threadpoolctl import threadpool_limits

_MODELS, _LOADS = "sklearn.ensemble", "whimbrel-models"
_LIMITED: ContextVar[ExitStack | None] = ContextVar("_LIMITED", default=None)
"""The limits of who has its models fitted on one thread, where the models were not there when that began."""


def begin() -> None:
    """Start to load, and return at once."""
    if _MODELS not in sys.modules:
        Thread(target=import_module, args=(_MODELS,), name=_LOADS).start()


def ready() -> None:
    """Return when it is loaded, whoever began to; where models are fitted on one thread, its thread pool is limited as well."""
    import_module(_MODELS)
    limits = _LIMITED.get()
    if limits is not None:
        limits.enter_context(threadpool_limits(1))
        _LIMITED.set(None)


@contextmanager
def on_one_thread() -> Iterator[None]:
    """Limit all thread pools: the models are small, and threads would cost more in waiting than they save."""
    loaded = _MODELS in sys.modules and not any(thread.name == _LOADS for thread in running())
    with ExitStack() as limits:
        limits.enter_context(threadpool_limits(1))
        token = _LIMITED.set(None if loaded else limits)
        try:
            yield
        finally:
            _LIMITED.reset(token)
