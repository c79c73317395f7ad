"""`whimbrel doctor`: what is wrong with my set-up."""

from __future__ import annotations

import click

from whimbrel.cli import out
from whimbrel.cli.options import Asked, asks, examples
from whimbrel.settings import Settings


@click.command(short_help="What is wrong with my set-up.", epilog=examples("whimbrel doctor --home /var/lib/whimbrel"))
@click.option("--files", is_flag=True, help="Read every data file, and check its content against its checksum.")
@asks("home")
def doctor(asked: Asked, files: bool) -> int:
    """Send a canary record the whole way, and say how far behind the log is, what was lost and what is full.

    The canary is a process that records one prediction, begins another and is killed with `kill -9`; both must come
    out of the log as they went in. Nothing of yours is changed: what recorders left waiting is looked at, not taken in.

    Exit status: 0 nothing is wrong, 1 something is.
    """
    from whimbrel.report import answers
    from whimbrel.store import open_log
    from whimbrel.store.health import examine

    with out.progress("examining"):
        found = examine(open_log(Settings.load(home=asked.home).home), files=files)
    if asked.as_json:
        out.answer_json(found)
    else:
        out.answer(answers.health(found.to_dict(), width=out.width(), color=out.coloured()))
    return 0 if found.well else 1
