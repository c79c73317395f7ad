"""An answer in spite of damaged files: whoever meets one in the middle of a question looks which it is, and asks again without it.

In: a question about a log. Out: the same question, which does so. The doors of `compare/`, `diagnose/` and `slices/` use it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from whimbrel.errors import StoreError

if TYPE_CHECKING:
    from whimbrel.store.log import Log

Args = ParamSpec("Args")
Answer = TypeVar("Answer")


def despite_damage(ask: Callable[Concatenate[Log, Args], Answer]) -> Callable[Concatenate[Log, Args], Answer]:
    """Ask of a log; where that fails for a damaged file, ask again without it, so that no answer mixes both."""

    @wraps(ask)
    def asked(log: Log, /, *args: Args.args, **kwargs: Args.kwargs) -> Answer:
        known = set[str]()
        while True:
            try:
                return ask(log, *args, **kwargs)
            except StoreError:
                found = {file for app in log.apps() for file in log.check(app)}
                if found <= known:
                    raise
                known = found

    return asked
