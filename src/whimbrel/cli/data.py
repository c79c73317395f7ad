"""`whimbrel data`: versions of training data; what differs between two, and which model came from which."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from whimbrel.cli import out
from whimbrel.cli.options import Asked, asks, examples
from whimbrel.errors import UsageError
from whimbrel.settings import Settings

if TYPE_CHECKING:
    from whimbrel.store import Log

_NUMBER = re.compile(r"v?[0-9]+")


@click.group(
    short_help="Versions of training data: add, list, diff, get, link.",
    epilog=examples(
        "whimbrel data add train.parquet --name train", "whimbrel data diff train@3 train@4 --key id --label y"
    ),
)
def data() -> None:
    """Keep versions of training data by content, and say what differs between two of them.

    A version is named NAME@NUMBER, such as train@3; NAME alone is its newest.
    """


@data.command(
    short_help="Keep files as the next version.", epilog=examples("whimbrel data add train.parquet --name train")
)
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option("--name", required=True, metavar="NAME", help="What the data is called, such as train or validation.")
@asks("home")
def add(asked: Asked, files: tuple[str, ...], name: str) -> int:
    """Keep Parquet, CSV or JSON Lines files (or globs or folders of them) as the next version of NAME.

    The same columns and rows again, in whatever order, make no new version. A row that cannot be read refuses the whole: a version
    that lacks rows is not what a model was trained on.
    """
    from whimbrel.report import data as report

    with out.progress("reading"):
        kept = _log(asked).data.add(files, name=name)
    _print(asked, kept.to_dict(), report.added)
    return 0


@data.command("list", short_help="List the versions.", epilog=examples("whimbrel data list train"))
@click.argument("name", required=False)
@asks("home")
def list_(asked: Asked, name: str | None) -> int:
    """List the versions of NAME, or of everything."""
    from whimbrel.report import data as report

    _print(asked, {"data": [one.to_dict() for one in _log(asked).data.versions(name)]}, report.versions)
    return 0


@data.command(
    short_help="What differs between two versions.",
    epilog=examples(
        "whimbrel data diff train@3 train@4 --key id --label y",
        "whimbrel data diff v3 v4 --name train",
        "whimbrel data diff train@4 validation@1 --label y      rows that sit in both",
    ),
)
@click.argument("before", metavar="VERSION")
@click.argument("after", metavar="VERSION")
@click.option("--name", metavar="NAME", help="Whose versions v3 and v4 are; may be left out where there is one name.")
@click.option("--key", metavar="COLUMN", multiple=True, help="The column that says which row is which; repeatable.")
@click.option("--label", metavar="COLUMN", help="The column that says what turned out to be true.")
@asks("home")
def diff(asked: Asked, before: str, after: str, name: str | None, key: tuple[str, ...], label: str | None) -> int:
    """Say what differs between two versions: columns, rows, keys, distributions, labels, and rows that sit in both.

    Exit status 1 where they differ, or where two sets of data share rows.
    """
    from whimbrel.compare.datasets import compare_data
    from whimbrel.report import data as report

    log = _log(asked)
    first, second = (_spec(log, version, name) for version in (before, after))
    with out.progress("comparing"):
        found = compare_data(log, first, second, key=key, label=label)
    _print(asked, found.to_dict(), report.difference)
    return 1 if found.found else 0


@data.command(short_help="Write a version as it was.", epilog=examples("whimbrel data get train@3 -o train3.parquet"))
@click.argument("version")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A .parquet, .csv or .jsonl file.",
)
@asks("home")
def get(asked: Asked, version: str, output: Path) -> int:
    """Write a version's rows, as they were, to a new file."""
    from whimbrel.report import data as report

    written = _log(asked).data.write(version, output)
    _print(asked, written.to_dict() | {"output": str(output)}, report.written)
    return 0


@data.command(short_help="Note which data a model came from.", epilog=examples("whimbrel data link fares@8 train@3"))
@click.argument("model", metavar="MODEL@VERSION")
@click.argument("version")
@asks("home")
def link(asked: Asked, model: str, version: str) -> int:
    """Note that MODEL@VERSION was trained on VERSION, for an app whose recorder does not say so itself."""
    from whimbrel.report import data as report

    _print(asked, _log(asked).data.link(model, version), report.linked)
    return 0


def _log(asked: Asked) -> Log:
    """The log as it is: what recorders left waiting is no data to train on."""
    from whimbrel.store import open_log

    return open_log(Settings.load(home=asked.home).home)


def _spec(log: Log, version: str, name: str | None) -> str:
    """`v3` with its name."""
    if not _NUMBER.fullmatch(version):
        return version
    names = log.data.names()
    if name is None and len(names) != 1:
        raise UsageError(
            f"{version!r} does not say which data", where="--name", why=f"there are {', '.join(names)}" if names else "none was added yet",
            next=f"write {names[0] if names else 'train'}@{version.lstrip('v')}",
        )  # fmt: skip
    return f"{name or names[0]}@{version.lstrip('v')}"


def _print(asked: Asked, found: dict[str, object], draw: Callable[..., str]) -> None:
    if asked.as_json:
        out.answer_json(found)
    else:
        out.answer(draw(found, width=out.width(), color=out.coloured()))
