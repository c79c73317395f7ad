"""`whimbrel parity` and `whimbrel replay`: recorded inputs through other code; where do they first differ."""

from __future__ import annotations

from typing import Any

import click

from whimbrel.cli import ask, out
from whimbrel.cli.options import Asked, asks, examples
from whimbrel.model.window import Window

_PIPELINE = (
    click.option(
        "--pipeline", "pipelines", required=True, multiple=True, metavar="CODE",
        help="module:attribute, file.py:attribute, model.onnx or http://…; repeatable: side by side.",
    ),
    click.option(
        "--golden-pipeline", metavar="CODE",
        help="Golden's code: swap what the first --pipeline has otherwise, one artefact at a time, and share out what changed.",
    ),
    click.option("--free", is_flag=True, help="Hand no recorded value on, to see how a difference travels."),
    click.option("--limit", "limit_s", type=float, default=120.0, show_default=True, help="Seconds a replay may take."),
)  # fmt: skip


def _pipeline_options(command: Any) -> Any:
    for option in reversed(_PIPELINE):
        command = option(command)
    return command


@click.command(
    short_help="Recorded inputs through the training-time code, step by step.",
    epilog=examples("whimbrel parity --pipeline app.train:pipeline --last 1h -n 500"),
)
@_pipeline_options
@click.option("-n", "n", type=click.IntRange(min=1), default=500, show_default=True, help="Predictions to replay.")
@asks("window", "app", "golden", "home")
def parity(
    asked: Asked, pipelines: tuple[str, ...], golden_pipeline: str | None, free: bool, limit_s: float, n: int
) -> int:  # fmt: skip
    """Run recorded inputs through code and say, step by step, where what was recorded first differs from it.

    Each step is judged on the inputs that it really received: where it differs, the recorded value goes on. Tolerance is
    what golden's own replay differs by. Named code runs in a process of its own.

    Exit status: 0 equal, 1 something differs, 4 nothing to replay.
    """
    return _answer(asked, pipelines, golden_pipeline, {"n": n, "free": free, "limit_s": limit_s})


@click.command(
    short_help="Single predictions through other code.",
    epilog=examples("whimbrel replay 019a4c1e-… --pipeline app.train:pipeline"),
)
@click.argument("ids", nargs=-1, required=True, metavar="ID…")
@_pipeline_options
@asks("app", "golden", "home")
def replay(
    asked: Asked, ids: tuple[str, ...], pipelines: tuple[str, ...], golden_pipeline: str | None, free: bool, limit_s: float
) -> int:  # fmt: skip
    """Run these predictions' recorded inputs through code, and say where what was recorded first differs from it.

    Exit status: 0 equal, 1 something differs, 4 no such prediction.
    """
    return _answer(asked, pipelines, golden_pipeline, {"ids": ids, "free": free, "limit_s": limit_s})


def _answer(asked: Asked, pipelines: tuple[str, ...], golden_pipeline: str | None, options: dict[str, Any]) -> int:
    from whimbrel.replay import beside  # numpy and the engine are loaded where they are used
    from whimbrel.report import parity as drawn

    using = ask.engine(asked)
    log = ask.open_log(asked)
    asked_for = ask.question(asked, log, using=using)
    window = Window(asked_for.window.app) if "ids" in options else asked_for.window
    with out.progress(f"replaying through {', '.join(pipelines)}"):
        result = beside(
            log, pipelines, golden_pipeline=golden_pipeline, window=window, golden=asked_for.golden,
            golden_window=asked_for.golden_window, engine=using, **options,
        )  # fmt: skip
    single = len(result.answers) == 1
    if asked.as_json:
        out.answer_json(result.answers[0] if single else result)
    else:
        out.answer(drawn.text(result.answers[0]) if single else drawn.beside(result))
    return int(not result.equal)
