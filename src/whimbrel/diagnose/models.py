"""scikit-learn, which takes a second to load: it does so on a thread of its own, beside reading and what needs no model.

In: nothing. Out: nothing; after `ready` it is there. `doors` says when to begin, `verdict` when it is needed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from threading import Lock, Thread
from types import ModuleType
from typing import Any

_MODELS, _UNUSED = "sklearn.ensemble", "pandas"
_loading = Lock()


def begin() -> None:
    """Start to load, and return at once."""
    if _MODELS not in sys.modules:
        Thread(target=ready, name="whimbrel-models").start()


def ready() -> None:
    """Return when it is loaded."""
    with _loading:
        if _MODELS not in sys.modules:
            with _put_off(_UNUSED):
                import_module(_MODELS)
    import_module(_MODELS)  # where somebody else has begun to load it, wait for them


class _Later(ModuleType):
    """Stands in for a module until something is asked of it."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(import_module(self.__name__), name)


@contextmanager
def _put_off(name: str) -> Iterator[None]:
    """What imports this module meanwhile gets it when it first uses it.

    scikit-learn imports pandas wherever it is installed, only to have it at hand: a quarter of a second for nothing here.
    """
    if name in sys.modules or find_spec(name) is None:
        yield
        return
    held = sys.modules[name] = _Later(name)
    try:
        yield
    finally:
        if sys.modules.get(name) is held:
            del sys.modules[name]
