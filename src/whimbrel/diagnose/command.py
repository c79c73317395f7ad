"""The next command of a finding: the same app, window, slice and golden, ready to be copied into a shell.

In: what was asked. Out: one line. Recorded values are quoted, for the command gets pasted.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime

from whimbrel.model.report import Span
from whimbrel.model.window import Where, iso


def command(
    name: str, app: str, golden: Span, *, since: datetime | None, until: datetime | None = None, where: Where = (),
    options: Sequence[str] = (),
) -> str:  # fmt: skip
    """`whimbrel NAME` for this slice beside this golden; `options` are the command's own."""
    asked = ["whimbrel", name, "--app", app, *options]
    for option, moment in (("--since", since), ("--until", until)):
        asked += [option, iso(moment)] if moment is not None else []
    for c in where:
        asked += ["--where", f"{c.path.removeprefix('context.')}{c.op}{c.value}"]
    if golden.name:
        asked += ["--golden", golden.name]
    elif golden.since and golden.until:
        asked += ["--golden-since", iso(golden.since), "--golden-until", iso(golden.until)]
    return shlex.join(asked)
