"""The program `whimbrel` and its commands."""

from __future__ import annotations

import os
from typing import Any

import click

from whimbrel import settings
from whimbrel.cli.compact import compact, ingest
from whimbrel.cli.compare import compare
from whimbrel.cli.data import data
from whimbrel.cli.demo import demo
from whimbrel.cli.diagnose import diagnose
from whimbrel.cli.doctor import doctor
from whimbrel.cli.drill import drill
from whimbrel.cli.erase import erase
from whimbrel.cli.golden import golden
from whimbrel.cli.hold import hold
from whimbrel.cli.imports import import_
from whimbrel.cli.ledger import ledger
from whimbrel.cli.ls import ls
from whimbrel.cli.options import examples
from whimbrel.cli.parity import parity, replay
from whimbrel.cli.prove import prove
from whimbrel.cli.session import session
from whimbrel.cli.show import show
from whimbrel.cli.sidecar import sidecar
from whimbrel.cli.slices import slices
from whimbrel.cli.status import status
from whimbrel.cli.verify import verify
from whimbrel.errors import UsageError
from whimbrel.version import __version__


class InOrder(click.Group):
    """Commands are listed in the order in which one comes to need them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Names in the order of adding."""
        return list(self.commands)


@click.group(
    cls=InOrder,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "whimbrel demo                         a planted fault in real flights, found",
        "whimbrel import predictions.parquet   take in your own log",
        "whimbrel golden set good --since 2026-11-01 --until 2026-11-15",
        "whimbrel diagnose --last 24h          which layer broke, where, since when",
        'eval "$(_WHIMBREL_COMPLETE=bash_source whimbrel)"   tab completion (or zsh_source, fish_source)',
    ),
)
@click.option("--engine", metavar="ENGINE", help="Who aggregates, as the commands that aggregate take it themselves.")
@click.option("--memory", metavar="SIZE", help="What a command may hold, such as 2GB (else $WHIMBREL_MEMORY).")
@click.version_option(__version__, "--version", "-V", package_name="whimbrel", message="whimbrel %(version)s")
@click.pass_context
def whimbrel(context: click.Context, engine: str | None, memory: str | None) -> None:
    """A flight recorder and fault finder for production ML and AI apps.

    Exit status: 0 nothing wrong, 1 something was found, 2 usage, 3 input that can't be read, 4 not enough
    evidence, 5 the engine or store failed, 70 our own bug, 130 interrupted.
    """
    if memory is not None:
        os.environ[settings.ENV_MEMORY] = memory  # for processes that it starts, too
        settings.memory()
    if engine is not None and context.invoked_subcommand is not None:
        if not _takes_engine(whimbrel.commands[context.invoked_subcommand]):
            raise UsageError(
                f"`whimbrel {context.invoked_subcommand}` aggregates nothing", where="--engine", why="it reads the log itself",
                next="leave --engine out",
            )  # fmt: skip
        context.default_map = _everywhere(whimbrel, engine)


def _takes_engine(command: click.Command) -> bool:
    below = command.commands.values() if isinstance(command, click.Group) else ()
    return any(option.name == "engine" for option in command.params) or any(map(_takes_engine, below))


def _everywhere(group: click.Group, engine: str) -> dict[str, Any]:
    """The engine as each command's default."""
    return {
        name: _everywhere(command, engine) if isinstance(command, click.Group) else {"engine": engine}
        for name, command in group.commands.items()
    }


for command in (
    *(demo, import_, status, ls, golden, compare, diagnose, show, parity, replay, session),
    *(slices, data, hold, ingest, compact, ledger, prove, verify, erase, drill, sidecar, doctor),
):
    whimbrel.add_command(command)
