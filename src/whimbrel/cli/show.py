"""`whimbrel show ID`: one prediction end to end."""

from __future__ import annotations

import click

from whimbrel.cli import ask, out
from whimbrel.cli.options import Asked, asks, examples
from whimbrel.settings import Settings


@click.command(
    short_help="One prediction end to end, and where it stands in golden.",
    epilog=examples("whimbrel show 019a5f2e-8c11-7d02 --golden november", "whimbrel ls --unfinished   names ids"),
)
@click.argument("ident", metavar="ID")
@asks("app", "golden", "home")
def show(asked: Asked, ident: str) -> int:
    """Show one prediction: inputs, steps, model, outputs, decision, label, time, place, and who in golden was like it.

    ID is its id, or so much of the beginning as no other has. Each value is placed in golden where one is named.
    Predictions that no ingest has taken in yet, that still run or never ended are shown too.
    """
    from whimbrel.report import prediction
    from whimbrel.show import show as show_one
    from whimbrel.store import open_log  # deltalake is loaded where a log is opened

    using = ask.engine(asked)
    log = open_log(Settings.load(home=asked.home).home)  # what waits is looked through, not taken in
    window = ask.golden_window(asked, log, ident, using=using)
    found = show_one(log, ident, app=asked.app, golden=asked.golden, golden_window=window, engine=using).to_dict()
    if asked.as_json:
        out.answer_json(found)
        return 0
    out.answer(prediction.text(found, width=out.width(), color=out.coloured()))
    if found["golden"] is None:
        known = [one.name for one in log.goldens() if one.window.app == found["app"]]
        out.hint(f"no golden was named, so nothing is placed; --golden {known[0] if known else 'NAME'} does")
    return 0
