"""`whimbrel golden`: name a window as golden, list and show those that have names."""

from __future__ import annotations

import click

from whimbrel.cli import ask, out
from whimbrel.cli.options import Asked, asks, examples


@click.group(
    short_help="Name a window as golden: set, list, show.",
    epilog=examples("whimbrel golden set november --since 2026-11-01 --until 2026-11-15"),
)
def golden() -> None:
    """Name windows of traffic that were good; `compare` and `diagnose` measure against them.

    A golden window is kept as a version of the log and a condition, so it never moves, whatever comes in later.
    """


@golden.command(
    "set",
    short_help="Call a window golden.",
    epilog=examples("whimbrel golden set november --since 2026-11-01 --until 2026-11-15 --where country=US"),
)
@click.argument("name")
@asks("window", "app", "home")
def set_(asked: Asked, name: str) -> int:
    """Call a window golden, under NAME; an older one of that name is replaced.

    Without --since, --until or --last it is all that the log holds now.
    """
    from whimbrel.compare import golden_profile
    from whimbrel.compare.ahead import follow

    log = ask.open_log(asked)
    made = log.set_golden(name, ask.question(asked, log, default=None).window)
    with out.progress("profiling"):
        golden_profile(log, made)  # kept beside golden, so that a comparison reads only its window
        follow(log, made)  # and not even that, where it is there already
    _print(asked, made.to_dict())
    return 0


@golden.command("list", epilog=examples("whimbrel golden list --json"))
@asks("home")
def list_(asked: Asked) -> int:
    """List the golden windows."""
    from whimbrel.report import answers

    found = [one.to_dict() for one in ask.open_log(asked).goldens()]
    if asked.as_json:
        out.answer_json({"golden": found})
    else:
        out.answer(answers.goldens(found, width=out.width(), color=out.coloured()))
    return 0


@golden.command("show", short_help="Show one golden window.", epilog=examples("whimbrel golden show november"))
@click.argument("name")
@asks("home")
def show(asked: Asked, name: str) -> int:
    """Show one golden window: its app, stretch, conditions, version of the log, predictions."""
    _print(asked, ask.open_log(asked).golden(name).to_dict())
    return 0


def _print(asked: Asked, found: dict[str, object]) -> None:
    from whimbrel.report import answers

    if asked.as_json:
        out.answer_json(found)
    else:
        out.answer(answers.golden(found, width=out.width(), color=out.coloured()))
