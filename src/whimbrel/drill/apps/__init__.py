"""The apps that can be drilled. In: a name. Out: a `Subject`; each is loaded when it is asked for."""

from __future__ import annotations

from importlib import import_module

from whimbrel.drill.world import Subject
from whimbrel.errors import UsageError

NAMES = ("flights", "bikes", "taxi", "loans", "answers")
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
