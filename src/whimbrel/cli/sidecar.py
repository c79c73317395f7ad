"""`whimbrel sidecar`: counters of what the apps run on, from beside them."""

from __future__ import annotations

import click

from whimbrel.cli import out
from whimbrel.cli.options import Asked, asks, examples
from whimbrel.settings import Settings


@click.command(
    short_help="Watch what the apps run on: host, processes, GPUs.",
    epilog=examples("whimbrel sidecar --every 10 --home /var/lib/whimbrel"),
)
@click.option(
    "--every",
    type=click.FloatRange(0.1, 3600),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look.",
)
@asks("home")
def sidecar(asked: Asked, every: float) -> int:
    """Look every few seconds at this host, at the processes that record here and at the GPUs, until told to end.

    Run one on each host, beside the apps. The apps themselves run no thread for it. What it saw comes into the log's table
    `hardware` with the next command that opens the log.
    """
    from whimbrel.hardware.sidecar import watch

    ticks = watch(Settings.load(home=asked.home).home.absolute(), every_s=every)
    if asked.as_json:
        out.answer_json({"looks": ticks})
    else:
        out.answer(f"Looked {ticks:,} times.")
    return 0
