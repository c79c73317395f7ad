"""`whimbrel compact`: keep the log in order; `whimbrel ingest`: take in what recorders write, once or all the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from whimbrel.cli import ask, out
from whimbrel.cli.options import Asked, asks, examples
from whimbrel.errors import StoreError, UsageError
from whimbrel.model.window import parse_duration
from whimbrel.settings import Settings

if TYPE_CHECKING:
    from whimbrel.store import Log
    from whimbrel.store.tidy import Tidied

_KEEP = click.option(
    "--keep", metavar="LENGTH", help="Drop predictions older than this, such as 180d, but for what somebody needs."
)
_GRACE = click.option(
    "--grace", metavar="LENGTH", default="24h", show_default=True,
    help="How long files that left a table stay for readers at work.",
)  # fmt: skip


@click.command(
    short_help="Merge small files; drop what is too old.",
    epilog=examples(
        "whimbrel compact                       merge small files, remove those that nobody needs",
        "whimbrel compact --keep 180d --dry-run what would go, what stays, and who needs it",
    ),
)
@_KEEP
@_GRACE
@click.option("--dry-run", is_flag=True, help="Only say what would be dropped and removed.")
@asks("app", "home")
def compact(asked: Asked, keep: str | None, grace: str, dry_run: bool) -> int:
    """Merge the small files of each day into large ones, and remove files that no version of a table needs.

    With --keep, predictions older than that are dropped with their labels and decisions. What a golden window, a hold, a debug
    session or the ledger still needs is never dropped, and is named. Safe beside ingest and readers.
    """
    from whimbrel.report import upkeep

    log = ask.open_log(asked)
    done = tidied(log, asked.app, keep, grace, dry=dry_run)
    _say(asked, done.to_dict() | {"dry_run": dry_run}, upkeep.tidied)
    return 0


def tidied(log: Log, app: str | None, keep: str | None, grace: str, *, least: int = 2, dry: bool = False) -> Tidied:
    """The log put in order, what the ledger needs included."""
    from whimbrel.ledger.needs import needs_of

    with nullcontext() if dry else ask.profiled(log):
        return log.compact(
            app=app, keep=parse_duration(keep) if keep else None, grace=parse_duration(grace), needs=needs_of(log), least=least, dry=dry
        )  # fmt: skip


@click.command(
    short_help="Take in what recorders wrote.",
    epilog=examples("whimbrel ingest", "whimbrel ingest --every 10s --compact --keep 180d"),
)
@click.option("--every", metavar="LENGTH", help="Go on, and look again after this long, such as 10s.")
@click.option(
    "--compact", "merge", is_flag=True, help="Merge a day's files once there are ten small ones; with --every."
)
@_KEEP
@_GRACE
@asks("home")
def ingest(asked: Asked, every: str | None, merge: bool, keep: str | None, grace: str) -> int:
    """Take in what recorders and sidecars have written; every command does so before it answers.

    With --every it runs until it is interrupted, so that no command has to wait for it. Several may run at once: they take turns.
    """
    if every is None and (merge or keep):
        raise UsageError(
            "--compact and --keep go with --every", where="--compact, --keep", next="whimbrel compact, for once"
        )
    from whimbrel.report import upkeep
    from whimbrel.store import open_log

    wait = parse_duration(every) if every else None
    log = open_log(Settings.load(home=asked.home).home)
    tidy_at = time.monotonic()
    while True:
        try:
            # What comes in all the time is in small files, until they are merged.
            with ask.profiled(log) if wait is None else nullcontext():
                taken = log.ingest().to_dict()
            if wait is None or any(count for what, count in taken.items() if what != "notes"):
                _say(asked, taken, upkeep.ingested)
            if (merge or keep) and time.monotonic() >= tidy_at:
                tidy_at = time.monotonic() + _TIDY_S
                done = tidied(log, None, keep, grace, least=_SMALL)
                if done.compacted.merged or any(one.predictions for one in done.dropped):
                    _say(asked, done.to_dict(), upkeep.tidied)
        except StoreError as error:
            if wait is None:
                raise
            out.complain(error.what, where=error.where, why=error.why, next=f"nothing is lost; tried again in {every}")
        if wait is None:
            return 0
        time.sleep(max(wait / timedelta(seconds=1), 0.1))


def _say(asked: Asked, found: dict[str, Any], draw: Callable[..., str]) -> None:
    if asked.as_json:
        out.answer_json(found)
    else:
        out.answer(draw(found, width=out.width(), color=out.coloured()))


_SMALL = 10
"""Small files of a day from which on they are merged in passing."""

_TIDY_S = 600.0
