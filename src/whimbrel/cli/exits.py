"""From errors to exit codes: 0 done, 1 found, 2 usage, 3 input, 4 evidence, 5 store, 70 our own bug, 130 interrupted.

In: the arguments. Out: the exit code, after the error was printed: on standard error for a person, as
`{"error": {…}}` on standard output where `--json` was asked for, whatever went wrong.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import click

from whimbrel.cli import out
from whimbrel.errors import UsageError, WhimbrelError

BUG, INTERRUPTED, PIPE_CLOSED = 70, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; the entry point's `sys.exit` takes what this returns."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments[: arguments.index("--")] if "--" in arguments else "--json" in arguments
    out.prepare()
    try:
        return _run(arguments)
    except (KeyboardInterrupt, click.Abort):
        return _fail(as_json, "Interrupted", "interrupted", INTERRUPTED, next="run it again; what was done is kept")
    except WhimbrelError as error:
        return _tell(as_json, error)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return UsageError.exit_code
    except click.UsageError as error:
        return _tell(as_json, _usage(error))
    except click.ClickException as error:
        return _tell(as_json, UsageError(error.format_message()))
    except SystemExit as left:  # click leaves so after a completion, else only where nobody reads on
        return int(left.code or 0) if "_WHIMBREL_COMPLETE" in os.environ else PIPE_CLOSED
    except Exception as error:  # noqa: BLE001  # whatever is left is our own bug, and says so
        return _bug(as_json, error)


def _run(arguments: list[str]) -> int:
    from whimbrel.cli.app import whimbrel

    code = whimbrel.main(arguments, prog_name="whimbrel", standalone_mode=False)
    sys.stdout.flush()
    return code if isinstance(code, int) else 0


def _usage(error: click.UsageError) -> UsageError:
    command = error.ctx.command_path if error.ctx else "whimbrel"
    return UsageError(error.format_message(), where=command, next=f"{command} --help")


def _tell(as_json: bool, error: WhimbrelError) -> int:
    if as_json:
        out.answer_json({"error": error.to_dict()})
    else:
        out.complain(error.what, where=error.where, why=error.why, next=error.next)
    return error.exit_code


def _fail(as_json: bool, kind: str, what: str, code: int, *, where: str = "", why: str = "", next: str = "") -> int:  # noqa: A002
    if as_json:
        parts = {"type": kind, "what": what, "where": where, "why": why, "next": next, "exit_code": code}
        out.answer_json({"error": parts})
    else:
        out.complain(what, where=where, why=why, next=next)
    return code


def _bug(as_json: bool, error: Exception) -> int:
    if os.environ.get("WHIMBREL_DEBUG"):
        traceback.print_exception(error)
    frames = traceback.extract_tb(error.__traceback__)
    where = ", ".join(f"{Path(f.filename).name}:{f.lineno} in {f.name}" for f in frames[-3:])
    what = f"a bug in whimbrel: {type(error).__name__}: {error}"
    again = "set WHIMBREL_DEBUG=1 and run it again for the whole traceback; please report it"
    return _fail(as_json, type(error).__name__, what, BUG, where=where, next=again)
