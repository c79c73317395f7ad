"""`whimbrel demo`: a real model, real traffic, a tiny fault: watch it being found."""

from __future__ import annotations

from pathlib import Path

import click

from whimbrel.cli import out
from whimbrel.cli.options import Asked, asks, examples


class Listing(click.Command):
    """The command whose help names what the demo can break: looked up when help is asked for, not before."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, then the names."""
        from whimbrel.drill.demo import BREAKAGES

        super().format_epilog(ctx, formatter)
        with formatter.section("Faults by name"), formatter.indentation():
            formatter.write_text(f"none, {', '.join(BREAKAGES)}")


@click.command(
    cls=Listing,
    short_help="A real model, real flights, a tiny fault: watch it being found.",
    epilog=examples("whimbrel demo --fault stale-store --html finding.html"),
)
@click.option("--fault", metavar="NAME", help="What to break; none breaks nothing, and is said to be healthy.")
@out.page_option
@asks("home")
def demo(asked: Asked, fault: str | None, page: Path | None) -> int:
    """Serve real flights through a delay model, break something tiny on the way, and diagnose it.

    Every answer is recorded by the public recorder into a log of its own below --home; the diagnosis knows that log
    and nothing else. It takes a minute or two and needs the flights: pip install 'whimbrel[demo]'.

    Exit status: 0 the diagnosis was right, 1 it was not.
    """
    from whimbrel.drill import demo as story  # the model, the flights and the diagnosis

    out.check_page(page)
    with out.progress("starting") as progress:
        done = story.run(home=asked.home, progress=progress, fault=fault or story.DEFAULT)
    if page:
        out.write_page(page, done.page.read_text("utf-8"))
    if asked.as_json:
        truth = {"fault": fault or story.DEFAULT, "layer": done.truth.layer, "components": list(done.truth.components)}
        told = {"found": done.found, "home": done.home, "page": done.page, "flights": done.flights, "truth": truth}
        out.answer_json(done.report.to_dict() | {"demo": told})
    else:
        out.answer(story.text(done, width=out.width(), color=out.coloured()))
    return 0 if done.found else 1
