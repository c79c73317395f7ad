"""`whimbrel diagnose`: which layer, which component, which slice, since when."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from whimbrel.cli import ask, out
from whimbrel.cli.options import Asked, asks, examples
from whimbrel.cli.verify import publish

if TYPE_CHECKING:
    from whimbrel.model.report import Report
    from whimbrel.store import Log

CODES = {"fault": 1, "notice": 1, "healthy": 0, "insufficient": 4}


@click.command(
    short_help="Which layer, which component, which slice, since when.",
    epilog=examples("whimbrel diagnose --last 24h --where country=US --golden november --html finding.html"),
)
@asks("window", "app", "golden", "home")
@click.option(
    "--pipeline",
    metavar="CODE",
    help="Replay recorded inputs through the code that is declared to serve: module:attribute, file.py:attribute, model.onnx, http://….",
)
@click.option(
    "--golden-pipeline",
    metavar="CODE",
    help="Golden's code, to share out what a declared change did among its artefacts (with --pipeline).",
)
@click.option(
    "--hold",
    metavar="NAME",
    help="Where something is found, keep its window and golden from being dropped, until: whimbrel hold release NAME.",
)
@out.page_option
def diagnose(
    asked: Asked, page: Path | None, pipeline: str | None, golden_pipeline: str | None, hold: str | None
) -> int:
    """Say which layer broke, which component, for whom and since when, on what evidence.

    Without --since, --until or --last it looks at the last 24 hours. Without golden it compares with the
    preceding windows of the same hours and weekdays. With --pipeline it replays recorded inputs as well: a step that
    differs is proven, code that does not differ is cleared, and raw inputs are weighed by what the outcome does when golden's
    values are put back.

    Exit status: 0 healthy, 1 something was found, 4 not enough evidence.
    """
    from whimbrel.diagnose import diagnose_log  # statistics and scikit-learn are loaded where they are used
    from whimbrel.report import html, text

    out.check_page(page)
    using = ask.engine(asked)
    log = ask.open_log(asked)
    if hold is not None:
        _check_hold(log, hold)
    asked_for = ask.question(asked, log, using=using)
    with out.progress("diagnosing"):
        report = diagnose_log(
            log, asked_for.window.app, window=asked_for.window, golden=asked_for.golden,
            golden_window=asked_for.golden_window, engine=using, pipeline=pipeline,
            golden_pipeline=golden_pipeline,
        )  # fmt: skip
    if asked.as_json:
        out.answer_json(report)
    else:
        out.answer(text.report(report, width=out.width(), color=out.coloured()))
    if page:
        out.write_page(page, html.page(report))
    if hold is not None and report.findings:
        _hold(log, hold, report)
    return CODES[report.verdict]


def _check_hold(log: Log, name: str) -> None:
    """Refuse a name before the work is done, not after it."""
    from whimbrel.store import holds

    for one in (name, f"{name}-golden"):
        holds.check(log.layout.holds, one, where="--hold")


def _hold(log: Log, name: str, report: Report) -> None:
    """Keep what the answer rests on; a golden window with a name is kept anyway."""
    from whimbrel.store import holds

    spans = [(name, report.window), *([] if report.golden.name else [(f"{name}-golden", report.golden)])]
    ages = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    for called, span in spans:
        kept = holds.Hold(called, span.since or ages[0], span.until or ages[1], report.app, report.sentence)
        holds.save(log.layout.holds, kept)
        out.hint(f"held until: whimbrel hold release {called}")
    publish(log)
