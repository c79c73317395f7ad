"""`whimbrel session`: keep the predictions that went wrong, run code against them, export them as tests, bisect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from whimbrel.cli import ask, out
from whimbrel.cli.options import Asked, asks, examples
from whimbrel.errors import UsageError
from whimbrel.model.window import Window

_LIMIT = click.option(
    "--limit", "limit_s", type=float, default=120.0, show_default=True, help="Seconds a run may take."
)


@click.group(
    short_help="Keep predictions that went wrong as a test: new, run, export, bisect.",
    epilog=examples(
        "whimbrel session new fares --where country=AT --worst 20",
        "whimbrel session run fares --pipeline app.train:pipeline",
    ),
)
def session() -> None:
    """Debug sessions: a few predictions with their inputs, what was recorded, and what a later run must give."""


@session.command("new", short_help="Keep predictions under a name.")
@click.argument("name")
@click.option("--worst", type=click.IntRange(min=1), metavar="N", help="Score farthest from label, else from golden's.")
@click.option("--ids", metavar="ID,…", help="These predictions.")
@click.option("--around", type=click.Path(path_type=Path), metavar="FILE", help="The examples of a diagnose --json.")
@click.option("--finding", default="", metavar="N|COMPONENT", help="Of --around: which finding; else the first.")
@click.option(
    "--expect",
    default="recorded",
    show_default=True,
    metavar="RULE",
    help="recorded, label, range:LOW..HIGH, text:REGEX.",
)
@click.option("--tolerance", type=float, default=1e-6, show_default=True, help="Relative; what passes for noise.")
@asks("window", "app", "golden", "home")
def new(
    asked: Asked, name: str, worst: int | None, ids: str | None, around: Path | None, finding: str, expect: str,
    tolerance: float,
) -> int:  # fmt: skip
    """Keep predictions, under NAME, with what a later run must give; an older session of that name is replaced.

    `recorded`: what was recorded. `label`: the label, a number within 0.5 of it. `range`, `text`: a rule for the score or text.
    """
    from whimbrel.replay import sessions  # numpy and the engine are loaded where they are used

    if sum(given is not None for given in (worst, ids, around)) != 1:
        raise UsageError("which predictions?", where="--worst, --ids, --around", next="give one of the three")
    if finding and around is None:
        raise UsageError("a finding of which report?", where="--finding", next="name it: --around report.json")
    using, log = ask.engine(asked), ask.open_log(asked)
    window = Window(ask.app(asked, log))
    if worst is not None:
        question = ask.question(asked, log, using=using)
        window, golden = question.window, None
        if question.golden is not None:
            kept = log.golden(question.golden)
            golden = (log.source(window.app, kept.version), kept.window)
        elif question.golden_window is not None:
            golden = (log.source(window.app), question.golden_window)
        chosen = sessions.worst(log, window, worst, golden=golden, engine=using)
    else:
        chosen = (
            sessions.around(around, finding) if around is not None else [one for one in (ids or "").split(",") if one]
        )
    made = sessions.keep(log, name, window, chosen, expect=expect, tolerance=tolerance, engine=using)
    if asked.as_json:
        out.answer_json(made.to_dict())
    else:
        out.answer(f"session {name}: {len(made.records)} predictions of {made.app}, expected: {expect}")
    return 0


@session.command("list", epilog=examples("whimbrel session list --json"))
@asks("home")
def list_(asked: Asked) -> int:
    """List the sessions."""
    from whimbrel.replay import sessions

    folder = ask.open_log(asked).layout.sessions
    found = [sessions.load(folder, name) for name in sessions.names(folder)]
    if asked.as_json:
        told = [{"name": s.name, "app": s.app, "expect": s.expect, "predictions": len(s.records)} for s in found]
        out.answer_json({"sessions": told})
    else:
        out.answer("\n".join(f"{s.name}  {len(s.records)} of {s.app}, {s.expect}" for s in found) or "no sessions")
    return 0


@session.command("run", short_help="What still fails; exit status 1 if anything.")
@click.argument("name")
@click.option(
    "--pipeline", required=True, metavar="CODE", help="module:attribute, file.py:attribute, model.onnx, http://…"
)
@_LIMIT
@asks("home")
def run(asked: Asked, name: str, pipeline: str, limit_s: float) -> int:
    """Run a session's inputs through code, in a process of its own, and print what still fails.

    Exit status: 0 all is met, 1 something fails, 4 nothing could be compared.
    """
    from whimbrel.replay import sessions
    from whimbrel.report.words import visible

    kept = sessions.load(ask.open_log(asked).layout.sessions, name)
    with out.progress(f"running {pipeline}"):
        done = sessions.run(kept, pipeline, limit_s=limit_s)
    if asked.as_json:
        out.answer_json(done.to_dict())
    else:
        lines = [f"{one.id}  {one.where}: {one.says}" for one in done.failures]
        lines.append(f"{len(done.failures)} of {done.ran} fail" if lines else f"all {done.ran} hold")
        out.answer("\n".join(visible(line, 300) for line in lines))
    return int(bool(done.failures))


@session.command("export", short_help="A folder with data and a pytest file that needs no whimbrel.")
@click.argument("name")
@click.option("--pipeline", required=True, metavar="CODE", help="module:attribute or file.py:attribute; a function.")
@click.option("-o", "folder", required=True, type=click.Path(path_type=Path), metavar="DIR", help="Where to.")
@asks("home")
def export(asked: Asked, name: str, pipeline: str, folder: Path) -> int:
    """Write a session as a folder that plain pytest runs: no whimbrel, no log.

    The code's outputs are what is tested; where whimbrel is installed also each step that was recorded and the code makes.
    """
    from whimbrel.replay import sessions
    from whimbrel.replay.export import export as write

    path = write(sessions.load(ask.open_log(asked).layout.sessions, name), folder, pipeline)
    if asked.as_json:
        out.answer_json({"file": str(path)})
    else:
        out.answer(f"pytest {path}")
    return 0


@session.command(
    "bisect",
    short_help="The first commit, model or data version at which a session fails.",
    epilog=examples(
        "whimbrel session bisect fares --good v1.4 --bad main --pipeline train.py:predict",
        "whimbrel session bisect fares --good v1.4 --bad main --setup 'uv sync' --run 'uv run pytest -q out'",
        "whimbrel session bisect fares --models 'models/*.onnx'",
        "whimbrel session bisect fares --data train --run './retrain-and-check.sh {version}'",
    ),
)
@click.argument("name")
@click.option("--good", default="", metavar="VERSION", help="A revision, model or number at which it holds.")
@click.option("--bad", default="", metavar="VERSION", help="A later one at which it fails.")
@click.option(
    "--repo", type=click.Path(path_type=Path), default=".", show_default=True, metavar="DIR", help="The repository."
)
@click.option("--setup", default="", metavar="CMD", help="Prepares each commit's own environment, before --run.")
@click.option("--models", default="", metavar="FILE,…", help="Not commits but models: files, globs, or `recorded`.")
@click.option("--data", default="", metavar="DATASET", help="Not commits but versions of training data.")
@click.option("--pipeline", default="", metavar="CODE", help="Read from each commit; {version} in it is the version.")
@click.option("--run", "command", default="", metavar="CMD", help="Or a command: 0 is good, 125 cannot say, else bad.")
@_LIMIT
@asks("home")
def bisect(
    asked: Asked, name: str, good: str, bad: str, repo: Path, setup: str, models: str, data: str, pipeline: str,
    command: str, limit_s: float,
) -> int:  # fmt: skip
    """Find the first bad commit, along first parents, and the step that it changed; or the first bad model or data version.

    Each commit is checked out into a temporary work tree; yours is not touched. With --setup it has a virtual environment of its own,
    which commits with equal lock files share. A commit whose code cannot be loaded or set up is passed over. A --run command
    finds the version as WHIMBREL_VERSION. Exit status: 0 found, 4 there is none between the two.
    """
    from whimbrel.replay import sessions
    from whimbrel.replay.bisect import bisect as search
    from whimbrel.replay.bisect import data_versions, model_files, recorded_models
    from whimbrel.replay.commits import commits
    from whimbrel.report.words import visible

    if models and data:
        raise UsageError("models or data?", where="--models, --data", next="give one of the two")
    listed = models or data
    if not listed and not (good and bad):
        raise UsageError("which commits?", where="--good, --bad", next="name a good revision and a later bad one")
    if setup and (listed or not command):
        raise UsageError(
            "only a command over commits is set up", where="--setup", why="a --pipeline runs in whimbrel's own environment",
            next="give --run CMD beside it, without --models or --data",
        )  # fmt: skip
    log = ask.open_log(asked)
    kept = sessions.load(log.layout.sessions, name)
    options: dict[str, Any] = {"command": command, "limit_s": limit_s, "home": log.home}
    with out.progress("bisecting"):
        if data:
            found = search(kept, data_versions(log, data).between(good, bad), pipeline=pipeline, **options)
        elif models:
            versions = recorded_models(log, kept.app) if models == "recorded" else model_files(models)
            files = models != "recorded" and not command
            found = search(kept, versions.between(good, bad), pipeline=pipeline or "{version}" * files, **options)
        else:
            with commits(repo, good, bad, setup=setup) as versions_of_code:
                found = search(kept, versions_of_code, pipeline=pipeline, **options)
    if asked.as_json:
        out.answer_json(found.to_dict())
        return 0
    commit = found.kind == "commit"
    first = found.first_bad[:12] if commit else found.first_bad
    lines = [
        f"first bad {found.kind}{'' if commit else ' version'} {first}"
        + (f": {found.subject}" if found.subject else "")
    ]
    lines.append(f"found in {found.runs} runs")
    lines += [f"the step that changed: {found.step}"] if found.step else []
    suspects = ", ".join(one[:12] if commit else one for one in found.suspects)
    lines += [f"could not be judged, so may be it as well: {suspects}"] if suspects else []
    out.answer("\n".join(visible(line, 300) for line in lines))
    return 0
