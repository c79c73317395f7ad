"""`whimbrel status`: what the log holds."""

from __future__ import annotations

import click

from whimbrel.cli import ask, out
from whimbrel.cli.options import Asked, asks, examples


@click.command(short_help="What the log holds.", epilog=examples("whimbrel status --home /var/lib/whimbrel"))
@asks("home")
def status(asked: Asked) -> int:
    """Say what the log holds: apps, predictions, fields, events, golden windows, what was set aside."""
    from whimbrel.report import answers

    found = ask.open_log(asked).status()
    if asked.as_json:
        out.answer_json(found)
    else:
        out.answer(answers.status(found.to_dict(), width=out.width(), color=out.coloured()))
    return 0
