"""`whimbrel ls`: the newest predictions, and those that never ended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from whimbrel.cli import ask, out
from whimbrel.cli.options import Asked, asks, examples
from whimbrel.model.window import Condition, Window, from_micros, iso

if TYPE_CHECKING:
    from whimbrel.engine import Engine, Source
    from whimbrel.store import Log

_SHOWN = ("model.name", "model.version", "outputs.score", "decision", "error", "hardware.host")


@click.command(
    short_help="The newest predictions; --unfinished: those that never ended.",
    epilog=examples("whimbrel ls --unfinished --last 24h", "whimbrel ls --where channel=ios --limit 5"),
)
@click.option(
    "--unfinished", is_flag=True, help="Only predictions that still run, or whose process ended before they did."
)
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many at most.")
@asks("window", "app", "home")
def ls(asked: Asked, unfinished: bool, limit: int) -> int:
    """List predictions, the newest first. Those that still run are named with the process that runs them.

    After a crash `whimbrel ls --unfinished` names the suspects: the inputs of each are in the log.
    """
    from whimbrel.report import answers

    log = ask.open_log(asked)
    running = _running(asked, log)
    found = [*running, *_ended(asked, log, unfinished, limit)] if log.apps() or not running else running
    found = sorted(found, key=lambda row: str(row["ts"]), reverse=True)[:limit]
    if asked.as_json:
        out.answer_json({"predictions": found})
    else:
        out.answer(answers.predictions(found, unfinished=unfinished, width=out.width(), color=out.coloured()))
    return 0


def _running(asked: Asked, log: Log) -> list[dict[str, Any]]:
    """Predictions whose end has not come; they are in nobody's window yet, so that no window leaves them out."""
    from whimbrel.store.waiting import waiting

    now = datetime.now(UTC)
    rows = []
    for one in waiting(log.layout):
        for prediction in one.running if asked.app in (None, one.app) and not asked.where else ():
            began, record = prediction.began, prediction.record
            row = {"id": record["id"], "ts": iso(began) if began else "", "app": one.app, "state": "running"}
            row |= {
                "running_s": round((now - began).total_seconds(), 3) if began else None,
                "pid": record["recorder.pid"],
            }
            rows.append(row | {path: record[path] for path in _SHOWN if record.get(path) is not None})
    return rows


def _ended(asked: Asked, log: Log, unfinished: bool, limit: int) -> list[dict[str, Any]]:
    """The newest predictions of the window that the log holds."""
    from whimbrel.engine import engine_named
    from whimbrel.record.flat import UNFINISHED

    asked_for = ask.question(asked, log, default=None)
    window, source = asked_for.window, log.source(asked_for.window.app)
    if unfinished:
        if source.schema.get("error") is None:
            return []
        condition = Condition("error", UNFINISHED)
        window = Window(window.app, window.since, window.until, (*window.where, condition))
    paths = [path for path in _SHOWN if source.schema.get(path) is not None]
    return _newest(engine_named(), source, window, paths, limit, UNFINISHED)


def _newest(
    engine: Engine, source: Source, window: Window, paths: list[str], limit: int, unfinished: str
) -> list[dict[str, Any]]:
    """The newest rows: of the last second, minute, hour, … until there are enough of them."""
    from whimbrel.model.rows import Numbers

    count, _, last = engine.extent(source, window)
    if not count:
        return []
    end = from_micros(last)
    reach = timedelta(seconds=1)
    while True:
        since = max(window.since, end - reach) if window.since else end - reach
        near = Window(window.app, since, window.until, window.where)
        inside = engine.extent(source, near)[0]
        if inside >= min(limit, count):
            break
        reach *= 60
    rows = engine.rows(source, near, paths=paths, limit=inside)
    found = []
    for i in range(max(0, len(rows) - limit), len(rows)):
        row: dict[str, Any] = {"id": rows.ids[i], "ts": iso(from_micros(int(rows.ts[i]))), "app": window.app}
        for path, column in rows.columns.items():
            if not column.missing[i]:
                row[path] = (
                    float(column.values[i]) if isinstance(column, Numbers) else column.vocabulary[column.codes[i]]
                )
        error = row.get("error", "")
        row["state"] = "unfinished" if error == unfinished else "failed" if error else "ended"
        found.append(row)
    return found
