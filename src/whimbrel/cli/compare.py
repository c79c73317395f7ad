"""`whimbrel compare`: this window against golden, what moved and what did not."""

from __future__ import annotations

from pathlib import Path

import click

from whimbrel.cli import ask, out
from whimbrel.cli.options import Asked, asks, examples


@click.command(
    short_help="This window against golden: what moved, what did not.",
    epilog=examples("whimbrel compare --last 24h --golden november --html moved.html"),
)
@asks("window", "app", "golden", "home")
@out.page_option
def compare(asked: Asked, page: Path | None) -> int:
    """Hold a window against golden, field by field: schema, missing, ranges, distributions, mix of traffic.

    Without --since, --until or --last it looks at the last 24 hours; without golden it compares with the six
    weeks before the window. It says what moved, not why: seasons and launches move fields as well. `whimbrel diagnose`
    says why.

    Exit status: 0 nothing moved, 1 something did, 4 not enough evidence.
    """
    from whimbrel.compare import compare_log  # numpy and duckdb are loaded where they are used
    from whimbrel.report import answers, html

    out.check_page(page)
    using = ask.engine(asked)
    log = ask.open_log(asked)
    asked_for = ask.question(asked, log, using=using)
    with out.progress("comparing"):
        found = compare_log(
            log, asked_for.window.app, window=asked_for.window, golden=asked_for.golden,
            golden_window=asked_for.golden_window, engine=using,
        ).to_dict()  # fmt: skip
    if asked.as_json:
        out.answer_json(found)
    else:
        out.answer(answers.comparison(found, command=asked.again("diagnose"), width=out.width(), color=out.coloured()))
    if page:
        out.write_page(page, html.comparison(found))
    return 1 if found["moved"] else 0
