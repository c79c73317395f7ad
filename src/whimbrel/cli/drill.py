"""`whimbrel drill`: break many things, one at a time, and score how well each is found."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from whimbrel.cli import ask, out
from whimbrel.cli.options import Asked, asks, examples
from whimbrel.errors import UsageError
from whimbrel.settings import Settings


@click.command(
    short_help="Break something tiny, many times; score how well it is found.",
    epilog=examples(
        "whimbrel drill --app bikes --faults D02,F12,M01 --severity subtle --untouched 0", "whimbrel drill --json"
    ),
)
@click.option(
    "--app",
    "apps",
    metavar="NAME",
    multiple=True,
    help="flights, bikes, taxi, loans, answers, agent, or all; repeatable. [all]",
)
@click.option(
    "--faults", metavar="ID,ID", help="Only these of the catalogue (D02, D02/fare, or D02+O01); else one of each."
)
@click.option("--severity", metavar="LEVEL", default="medium", show_default=True, help="subtle, medium, loud, or all.")
@click.option("--slice", "place", type=click.Choice(["all", "one", "two"]), help="Conditions of the slice; else drawn.")
@click.option("--shape", type=click.Choice(["step", "ramp", "onoff"]), help="How it sets in; else drawn.")
@click.option("--n", type=click.IntRange(0), help="How many faults to plant; else each of them once in each app.")
@click.option(
    "--untouched", type=click.IntRange(0), default=40, show_default=True, help="Windows with nothing wrong in them."
)
@click.option("--days", type=click.IntRange(1), help="Days in each window; else drawn.")
@click.option("--golden-days", type=click.IntRange(1), help="Days before it that are golden; else the app's own.")
@click.option("--detect", is_flag=True, help="Ask again at earlier moments: how soon could it have been found?")
@click.option(
    "--no-replay",
    is_flag=True,
    help="From recorded data alone; else the app's code runs again as well, and both are scored.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same cases.")
@click.option("--jobs", type=click.IntRange(1), help="Processes at work; else one a core.")
@click.option("--again", is_flag=True, help="Ask about every case, though this code has answered it before.")
@click.option(
    "--user-app",
    metavar="CODE",
    help="Drill your own recorded app: module:attribute that answers, or - for its rows alone.",
)
@out.page_option
@asks("home")
def drill(
    asked: Asked, apps: tuple[str, ...], faults: str | None, severity: str, place: str | None, shape: str | None,
    n: int | None, untouched: int, days: int | None, golden_days: int | None, detect: bool, no_replay: bool, seed: int,
    jobs: int | None, again: bool, user_app: str | None, page: Path | None,
) -> int:  # fmt: skip
    """Plant faults into running apps, one a case, and score the diagnosis: layer, component, slice, onset.

    Untouched windows, holidays, storms and releases among them, say how often it cries wolf. Each rate comes with its
    exact 95% interval, and simple rules are put to the same cases. Results are kept in the home: a drill that was killed
    goes on. The flights need: pip install 'whimbrel[demo]'.

    With --user-app, faults are planted into what your own app (--app NAME, where the log has several) recorded, and run
    through its code again: how soon would your own traces show them? Nothing is written to the log.
    """
    if user_app is not None:
        return _own(asked, apps, user_app, n, seed, page)
    from whimbrel.drill import board
    from whimbrel.drill.apps import chosen
    from whimbrel.drill.run import Drill, run

    out.check_page(page)
    home = Settings.load(home=asked.home).home
    what = Drill(
        chosen(apps), tuple(one.strip() for one in faults.split(",") if one.strip()) if faults else None, severity, place,
        shape, n, untouched, days, golden_days, seed, detect, replay=not no_replay,
    )  # fmt: skip
    kept = home / "drill" / "results.jsonl"
    if again:
        kept.unlink(missing_ok=True)
    with out.progress("starting") as progress:

        def step(done: int, whole: int, name: str) -> None:
            progress(f"{done} of {whole}: {name}", done / whole)

        score = run(what, jobs=jobs or os.cpu_count() or 1, cache=home / "cache", kept=kept, progress=step)
    if page is not None:
        out.write_page(page, board.page(score, " ".join(["whimbrel", *sys.argv[1:]])))
    if asked.as_json:
        out.answer_json(score)
    else:
        out.answer(board.text(score).rstrip("\n"))
    return 0


def _own(asked: Asked, apps: tuple[str, ...], code: str, n: int | None, seed: int, page: Path | None) -> int:
    from whimbrel.drill import board, userapp

    if len(apps) > 1:
        raise UsageError(
            "one app of yours is drilled at a time", where="--app", why=f"{len(apps)} were named",
            next=f"whimbrel drill --user-app {code} --app {apps[0]}",
        )  # fmt: skip
    out.check_page(page)
    log = ask.open_log(asked)
    with out.progress("looking at what was recorded") as progress:

        def step(done: int, whole: int, name: str) -> None:
            progress(f"{done} of {whole}: {name}", done / whole)

        done = userapp.drill_log(
            log, app=apps[0] if apps else None, code=None if code == "-" else code, n=n, seed=seed, progress=step
        )
    if page is not None:
        out.write_page(page, board.page(done.score, " ".join(["whimbrel", *sys.argv[1:]])))
    if asked.as_json:
        out.answer_json(done)
    else:
        out.answer(userapp.text(done).rstrip("\n"))
    return 0
