"""The command line: a question in, an answer on standard output, an exit code that scripts can rely on.

In: arguments. Out: answers on standard output, progress and hints on standard error. One file a command; `options` says
what may be asked and `ask` turns it into the log, the window and golden; `out` prints; `exits` turns errors into exit
codes. Only the `whimbrel` program calls this room. Heavy libraries are imported inside the commands that use them.
"""

from whimbrel.cli.exits import main

__all__ = ["main"]
