"""Profiles of new data files on golden's bins, made by whoever writes the files in bulk, so that the first comparison finds them kept.

In: a log, and what writes to it. Out: nothing; what `kept.py` keeps, sooner. Only `cli/` may call: a recorder never waits for it, nor does a question.

Only goldens that have a name and whose own profile is there and holds are served, and only files that are new or that something new
reaches, the latest first, up to `MOST_BYTES` in all. What is left, and what fails, the first comparison makes as before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import accumulate
from typing import TYPE_CHECKING

from whimbrel.compare import kept
from whimbrel.compare.doors import saved_profile
from whimbrel.engine import engine_named
from whimbrel.store.reach import pieces

if TYPE_CHECKING:
    from whimbrel.store import Log

MOST_BYTES = 256 << 20
"""Bytes of data files that are read, some three million rows of 20 columns: a bulk import is not held up by more than seconds."""

_Names = frozenset[tuple[str, ...]]
"""Of each data file, its path and those of all late files that reach it."""


@contextmanager
def profiled(log: Log) -> Iterator[None]:
    """Whatever is written meanwhile is profiled when that is done; nothing is where no golden has a name.

    Nor where the log's tables lie in a storage, from which files would have to be fetched.
    """
    before: dict[str, _Names] = {}
    with suppress(Exception):  # what is written must not depend on what may be asked
        if log.layout.storage is None:
            apps = {golden.window.app for golden in log.goldens()}
            before = {app: frozenset(piece.names for piece in pieces(log.layout, log.source(app))) for app in apps}
    yield
    for app, known in before.items():
        with suppress(Exception):  # likewise: a comparison will say what is wrong
            _profile(log, app, known)


def _profile(log: Log, app: str, known: _Names) -> None:
    """Keep the profiles of the files that came, or that something came to, for the app's goldens, those named last first."""
    source = log.source(app)
    new = [piece for piece in pieces(log.layout, source) if piece.names not in known and piece.size >= kept.LEAST_BYTES]
    if not new:
        return
    new.sort(key=lambda piece: piece.times[1] if piece.times else 0, reverse=True)
    shelf, left = kept.Shelf.of(log, app, engine_named()), MOST_BYTES
    for golden in sorted(log.goldens(), key=lambda one: one.made, reverse=True):
        profile = saved_profile(log, golden, source.schema) if golden.window.app == app else None
        if profile is not None:
            chosen = [
                piece for piece, read in zip(new, accumulate(piece.size for piece in new), strict=True) if read <= left
            ]
            left -= sum(piece.size for piece in chosen)
            shelf.whole(chosen, source, golden.window.where, profile.binning)
