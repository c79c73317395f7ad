"""`whimbrel slices`: which slices hold the change of a metric, in plain tables."""

from __future__ import annotations

import click

from whimbrel.cli import out
from whimbrel.cli.options import examples
from whimbrel.errors import UsageError


@click.command(
    short_help="Which slices hold a metric's change, in two plain tables.",
    epilog=examples(
        "whimbrel slices --before monday.parquet --after tuesday.parquet --metric latency_ms",
        "whimbrel slices --before a.csv --after b.csv --metric rate:decision=approve --by country --by device",
        "whimbrel slices leaves.csv            attributes, real, predict: the format of Squeeze",
    ),
)
@click.argument("leaves", required=False)
@click.option("--before", metavar="FILE", help="The earlier table: CSV, Parquet or JSON Lines, .gz too.")
@click.option("--after", metavar="FILE", help="The later table.")
@click.option(
    "--metric",
    metavar="METRIC",
    help="A column, whose mean is compared; or count (rows), sum:COLUMN, rate:COLUMN=VALUE.",
)
@click.option(
    "--by", metavar="COLUMN", multiple=True, help="Slices by these columns; repeatable. Else by all with few values."
)
@click.option("--bin", "bins", metavar="COLUMN", multiple=True, help="Cut this numeric column into ranges; repeatable.")
@click.option(
    "--depth", type=click.IntRange(1, 3), default=3, show_default=True, help="Conditions that a slice may have."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, errors included.")
def slices(
    leaves: str | None, before: str | None, after: str | None, metric: str | None, by: tuple[str, ...], bins: tuple[str, ...], depth: int, as_json: bool
) -> int:  # fmt: skip
    """Find the smallest set of slices (country=US and device=mobile) that holds the change of a metric.

    Two tables need no log and no particular column names. One table of leaves has the columns real and predict;
    every other column is an attribute. It says so where the change is everywhere, only a change of mix, or none.

    Exit status: 0 nothing changed, 1 something was found, 4 too little data.
    """
    from whimbrel.report import slices as drawn  # numpy and duckdb are loaded where they are used
    from whimbrel.slices import slices as search

    first = _tables(leaves, before, after)
    with out.progress("searching"):
        found = search(first, after, metric=metric, by=by, bins=bins, depth=depth)
    if as_json:
        out.answer_json(found)
    else:
        out.answer(drawn.text(found.to_dict(), width=out.width(), color=out.coloured()))
    return 0 if found.verdict == "nothing" else 1


def _tables(leaves: str | None, before: str | None, after: str | None) -> str:
    """The first table.

    Raises:
        UsageError: neither one table of leaves nor two tables.
    """
    if leaves is not None and before is None and after is None:
        return leaves
    if leaves is None and before is not None and after is not None:
        return before
    raise UsageError(
        "name two tables, or one table of leaves", where="whimbrel slices", why="a change lies between two tables, or between real and predict",
        next="whimbrel slices --before a.csv --after b.csv --metric COLUMN, or whimbrel slices leaves.csv",
    )  # fmt: skip
