"""`whimbrel import`: take Parquet, CSV and JSON Lines files into the log."""

from __future__ import annotations

from pathlib import Path

import click

from whimbrel.cli import ask, out
from whimbrel.cli.options import Asked, asks, examples
from whimbrel.cli.verify import publish


@click.command(
    "import",
    short_help="Take in a log: Parquet, CSV, JSON Lines.",
    epilog=examples(
        "whimbrel import 'logs/2026-11-*.parquet' --app fares --map mapping.toml",
        "whimbrel import --events deploys.csv",
    ),
)
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option("--app", metavar="NAME", help="The application of rows that have no `app` column.")
@asks("home")
@click.option(
    "--map",
    "mapping",
    type=click.Path(path_type=Path),
    metavar="TOML",
    help='Rename columns: under [columns], their_name = "inputs.fare".',
)
@click.option("--events", is_flag=True, help="The files hold events (ts, kind, what, context.…), not predictions.")
def import_(asked: Asked, files: tuple[str, ...], mapping: Path | None, events: bool) -> int:
    """Take Parquet, CSV and JSON Lines files (or globs of them) into the log, and return when all is in.

    Importing the same id twice changes nothing and is counted. What cannot be read is set aside in a
    quarantine file with its reason; a value that does not fit its column's type is kept beside the row.
    """
    from whimbrel.report import answers

    log = ask.open_log(asked)
    with out.progress("importing") as progress:

        def step(name: str, done: int, total: int) -> None:
            progress(f"importing {name}", done / total if total else None)

        if events:
            added = log.import_events(files, mapping=mapping)
        else:
            with ask.profiled(log):
                added = log.import_files(files, app=asked.app, mapping=mapping, progress=step)
    if events:
        publish(log)
    if asked.as_json:
        out.answer_json(added)
    else:
        out.answer(
            answers.added(
                added.to_dict(), what="event" if events else "prediction", width=out.width(), color=out.coloured()
            )
        )
    return 0
