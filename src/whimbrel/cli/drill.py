"""`whimbrel drill`: break many things, one at a time, and score how well each is found."""

from __future__ import annotations

import os

import click

from whimbrel.cli import out
from whimbrel.cli.options import Asked, asks, examples
from whimbrel.settings import Settings


@click.command(
    short_help="Break something tiny, many times; score how well it is found.",
    epilog=examples("whimbrel drill --faults D02,F12,M01 --severity subtle --untouched 0", "whimbrel drill --json"),
)
@click.option("--faults", metavar="ID,ID", help="Only these of the catalogue (D02, or D02/distance); else one of each.")
@click.option("--severity", metavar="LEVEL", default="medium", show_default=True, help="subtle, medium, loud, or all.")
@click.option("--slice", "place", type=click.Choice(["all", "one", "two"]), help="Conditions of the slice; else drawn.")
@click.option("--n", type=click.IntRange(0), help="How many faults to plant; else each of them once.")
@click.option(
    "--untouched", type=click.IntRange(0), default=24, show_default=True, help="Windows with nothing wrong in them."
)
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same cases.")
@click.option("--jobs", type=click.IntRange(1), help="Processes at work; else one a core.")
@asks("home")
def drill(
    asked: Asked, faults: str | None, severity: str, place: str | None, n: int | None, untouched: int, seed: int,
    jobs: int | None,
) -> int:  # fmt: skip
    """Plant faults into real flights, one a case, and score the diagnosis: layer, component, slice, onset.

    Untouched windows, storms and holidays among them, say how often it cries wolf. Each rate comes with its exact
    95% interval. It takes minutes and needs the flights: pip install 'whimbrel[demo]'.
    """
    from whimbrel.drill.run import run
    from whimbrel.drill.score import text

    with out.progress("starting") as progress:

        def step(done: int, whole: int, name: str) -> None:
            progress(f"{done} of {whole}: {name}", done / whole)

        score = run(
            faults=[one.strip() for one in faults.split(",") if one.strip()] if faults else None, severity=severity,
            where=place, n=n, untouched=untouched, seed=seed, jobs=jobs or os.cpu_count() or 1,
            cache=Settings.load(home=asked.home).home / "cache", progress=step,
        )  # fmt: skip
    if asked.as_json:
        out.answer_json(score)
    else:
        out.answer(text(score).rstrip("\n"))
    return 0
