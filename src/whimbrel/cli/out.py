"""What is printed, and where: answers on standard output, hints, progress and complaints on standard error."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import click

from whimbrel.errors import UsageError
from whimbrel.report import json
from whimbrel.report.words import visible


class Progress(Protocol):
    """Called with what is being done and how much of it is done, from 0 to 1 (None where that is not known)."""

    def __call__(self, doing: str, part: float | None = None) -> None:
        """Say so."""
        ...


def prepare() -> None:
    """No character that a terminal's encoding lacks may end a run."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def answer(text: str) -> None:
    """Print an answer."""
    click.echo(text, color=True)


def answer_json(result: object) -> None:
    """Print an answer as one JSON object."""
    click.echo(json.dumps(result))


def hint(text: str) -> None:
    """Say something that helps and is no part of the answer."""
    click.echo(f"hint: {visible(text)}", err=True)


def complain(what: str, *, where: str = "", why: str = "", next: str = "") -> None:  # noqa: A002
    """Print an error's four parts, each line of recorded text made safe."""
    click.echo(f"error: {_lines(what)}", err=True)
    for label, part in (("where:", where), ("why:", why), ("next:", next)):
        if part:
            click.echo(f"  {label:<6} {_lines(part)}", err=True)


def _lines(text: str) -> str:
    return "\n         ".join(visible(line, 4000) for line in text.splitlines())


def width() -> int:
    """Columns of the terminal; 80 where there is none."""
    return min(shutil.get_terminal_size((80, 24)).columns, 120)


def coloured() -> bool:
    """Whether standard output is a terminal that wants colour (see no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


page_option = click.option(
    "--html",
    "page",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write it as one self-contained HTML page too.",
)


def check_page(path: Path | None) -> None:
    """Refuse a page's path before the work is done, not after it."""
    if path is None:
        return
    if path.is_dir() or not path.absolute().parent.is_dir():
        why = "it is a folder" if path.is_dir() else f"there is no folder {path.absolute().parent}"
        raise UsageError(
            f"cannot write a page to {path}", where="--html", why=why, next="name a file: --html report.html"
        )


def write_page(path: Path, page: str) -> None:
    """Write an HTML page and say where it lies."""
    try:
        path.write_text(page, "utf-8")
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(f"cannot write {path}", where="--html", why=why, next="name another file") from error
    hint(f"the page is at {path}")


def _quietly(doing: str, part: float | None = None) -> None:  # nobody watches
    pass


@contextmanager
def progress(title: str) -> Iterator[Progress]:
    """A progress bar on standard error where that is a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield _quietly
        return
    from rich.console import Console  # a terminal's matter alone
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(title, total=None)

        def step(doing: str, part: float | None = None) -> None:
            bars.update(task, description=visible(doing, 80), total=None if part is None else 1.0, completed=part)

        yield step
