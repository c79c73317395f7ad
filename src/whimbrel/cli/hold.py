"""`whimbrel hold`: keep a stretch of traffic, whatever is dropped later."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from whimbrel.cli import ask, out
from whimbrel.cli.options import Asked, asks, examples
from whimbrel.cli.verify import publish
from whimbrel.errors import EvidenceError, UsageError
from whimbrel.model.window import Window, iso
from whimbrel.settings import Settings

if TYPE_CHECKING:
    from whimbrel.store import Log
    from whimbrel.store.holds import Hold


@click.group(
    invoke_without_command=True,
    short_help="Keep a stretch of traffic after an incident.",
    epilog=examples("whimbrel hold --last 10m --reason 'wrong fares in Vienna'", "whimbrel hold list"),
)
@click.option("--name", metavar="NAME", help="What to call it (else the time of the call).")
@click.option("--reason", metavar="TEXT", default="", help="Why, for whoever finds it later.")
@asks("window", "app", "home")
def hold(asked: Asked, name: str | None, reason: str) -> int:
    """Take in what recorders have written up to now, and keep a stretch of it from being dropped or thinned out.

    Without --app it is held for every app. A hold protects evidence: it is never changed, only released.
    """
    if click.get_current_context().invoked_subcommand is not None:
        return 0
    from whimbrel.store import holds, open_log

    if asked.where:
        why = "what looks harmless during an incident may be the proof after it"
        raise UsageError("a hold keeps all of a stretch", where="--where", why=why, next="leave out --where")
    log = open_log(Settings.load(home=asked.home).home)
    since, until = ask.stretch(asked, log)
    made = holds.Hold(name or datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"), since, until, asked.app, reason)
    holds.save(log.layout.holds, made)  # before anything is taken in: a policy may leave out what is not held
    ask.open_log(asked)
    counts = _counts(log, made)
    if not any(counts.values()):
        holds.release(log.layout.holds, made.name)
        raise EvidenceError(
            "there are no predictions to hold", where=f"{iso(since)} to {iso(until)}",
            why="the stretch holds none of the app's predictions", next="see what the log holds: whimbrel status",
        )  # fmt: skip
    publish(log)
    _print(asked, made, counts, "Held")
    return 0


@hold.command("list", short_help="List what is held.", epilog=examples("whimbrel hold list --json"))
@asks("home")
def list_(asked: Asked) -> int:
    """List what is held."""
    from whimbrel.report import answers
    from whimbrel.store import holds

    log = ask.open_log(asked)
    found = [one.to_dict() | {"predictions": _counts(log, one)} for one in holds.held(log.layout.holds)]
    if asked.as_json:
        out.answer_json({"holds": found})
    else:
        out.answer(answers.holds(found, width=out.width(), color=out.coloured()))
    return 0


@hold.command(short_help="Let a hold go.", epilog=examples("whimbrel hold release incident-4711"))
@click.argument("name")
@asks("home")
def release(asked: Asked, name: str) -> int:
    """Let a hold go: what it kept may be dropped from now on."""
    from whimbrel.store import holds

    log = ask.open_log(asked)
    released = holds.release(log.layout.holds, name)
    publish(log)
    _print(asked, released, _counts(log, released), "Released")
    return 0


def _counts(log: Log, one: Hold) -> dict[str, int]:
    """How many predictions of each app a hold keeps."""
    from whimbrel.engine import engine_named

    apps = [app for app in log.apps() if one.app in (None, app)]
    engine = engine_named()
    counts = {app: engine.extent(log.source(app), Window(app, one.since, one.until))[0] for app in apps}
    return {app: count for app, count in counts.items() if count}


def _print(asked: Asked, one: Hold, counts: dict[str, int], done: str) -> None:
    from whimbrel.report import answers

    told = one.to_dict() | {"predictions": counts}
    if asked.as_json:
        out.answer_json(told)
    else:
        out.answer(answers.hold(told, done=done, width=out.width(), color=out.coloured()))
