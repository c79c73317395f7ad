"""The options that commands share, spelled once: in Python, in URLs and in JSON they have the same names."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

_HOME = (
    click.option("--home", metavar="DIR", help="The log's folder (else $WHIMBREL_HOME, else ./.whimbrel)."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object, errors included."),
)
_APP = (click.option("--app", metavar="NAME", help="Which application; may be left out where the log has only one."),)
_WINDOW = (
    click.option("--since", metavar="TIME", help="From then on: ISO time (UTC if no zone is given), or 24h, 7d ago."),
    click.option("--until", metavar="TIME", help="Up to then, that moment excluded: ISO time, or 24h, 7d ago."),
    click.option("--last", metavar="LENGTH", help="The last 30m, 24h, 7d; of an old log, up to its newest prediction."),
    click.option(
        "--where", metavar="PATH=VALUE", multiple=True,
        help="Only these predictions; repeatable. Also !=, <, >, and PATH|=A|B for one of several; `context.` may be left out.",
    ),
)  # fmt: skip
_GOLDEN = (
    click.option("--golden", metavar="NAME", help="The golden window to compare with (see `whimbrel golden`)."),
    click.option("--golden-since", metavar="TIME", help="… or golden from then on,"),
    click.option("--golden-until", metavar="TIME", help="… up to then."),
    click.option(
        "--engine",
        metavar="ENGINE",
        help="Who aggregates: duckdb, or a cluster, spark://HOST:PORT (else $WHIMBREL_ENGINE, else duckdb).",
    ),
)
_GROUPS = {"home": _HOME, "app": _APP, "window": _WINDOW, "golden": _GOLDEN}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the shared options of one call say, as given."""

    home: str | None = None
    as_json: bool = False
    app: str | None = None
    since: str | None = None
    until: str | None = None
    last: str | None = None
    where: tuple[str, ...] = ()
    golden: str | None = None
    golden_since: str | None = None
    golden_until: str | None = None
    engine: str | None = None

    def again(self, command: str) -> str:
        """Another command with the same options, ready to be copied into a shell."""
        words = ["whimbrel", command]
        for field in fields(self):
            value = getattr(self, field.name)
            name = f"--{field.name.replace('_', '-')}"
            if field.name == "as_json" or not value:
                continue
            for one in value if isinstance(value, tuple) else (value,):
                words += [name, one]
        return shlex.join(words)


def asks(*groups: str) -> Callable[[Command], Command]:
    """Give a command these groups of options (`home`, `app`, `window`, `golden`).

    They reach it as one `Asked`, and so does any option of its own that has the name of one of them.
    """
    shared = {field.name for field in fields(Asked)}

    def wrap(command: Command) -> Command:
        @functools.wraps(command)
        def call(**given: Any) -> Any:
            asked = Asked(**{name: value for name, value in given.items() if name in shared})
            return command(asked, **{name: value for name, value in given.items() if name not in shared})

        wrapped: Any = call
        for group in reversed(groups):
            for option in reversed(_GROUPS[group]):
                wrapped = option(wrapped)
        return wrapped  # type: ignore[no-any-return]

    return wrap


def examples(*lines: str) -> str:
    """Examples as a help text's last lines, kept as they are (click rewraps what no backspace precedes)."""
    return "\n".join(["\b", "Examples:" if len(lines) > 1 else "Example:", *(f"  {line}" for line in lines)])
