"""Profiles of new data files on golden's bins, made by whoever writes the files in bulk, so that the first comparison finds them kept.

In: a log, and what writes to it. Out: nothing; what `kept.py` keeps, sooner. Only `cli/` may call: a recorder never waits for it, nor does a question.

Only goldens that have a name and whose own profile is there and holds are served, and only files that are new, or that something new
reaches, or that came after a golden just named, the latest first, up to `MOST_BYTES` in all. What is left, and what fails, the first
comparison makes as before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import accumulate
from typing import TYPE_CHECKING

from whimbrel.compare import kept
from whimbrel.compare.doors import saved_profile
from whimbrel.engine import engine_named
from whimbrel.model.window import micros
from whimbrel.store.reach import pieces

if TYPE_CHECKING:
    from whimbrel.engine import Source
    from whimbrel.store import Golden, Log
    from whimbrel.store.reach import Piece

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


def follow(log: Log, golden: Golden) -> None:
    """Profile what came after a window that has just been named golden, and has a profile: that is what it will be compared with.

    Nothing is where the log's tables lie in a storage.
    """
    until = golden.window.until
    with suppress(Exception):  # golden is named, whatever becomes of this
        if until is not None and log.layout.storage is None:
            source = log.source(golden.window.app)
            later = [piece for piece in pieces(log.layout, source) if piece.times and piece.times[0] >= micros(until)]
            _serve(log, source, _latest(later), [golden])


def _profile(log: Log, app: str, known: _Names) -> None:
    """Keep the profiles of the files that came, or that something came to, for the app's goldens, those named last first."""
    source = log.source(app)
    new = _latest(piece for piece in pieces(log.layout, source) if piece.names not in known)
    goldens = [golden for golden in log.goldens() if golden.window.app == app]
    if new:
        _serve(log, source, new, sorted(goldens, key=lambda one: one.made, reverse=True))


def _latest(found: Iterable[Piece]) -> list[Piece]:
    """Those that are worth keeping, the latest first."""
    worth = [piece for piece in found if piece.size >= kept.LEAST_BYTES]
    return sorted(worth, key=lambda piece: piece.times[1] if piece.times else 0, reverse=True)


def _serve(log: Log, source: Source, new: Sequence[Piece], goldens: Sequence[Golden]) -> None:
    """Keep these files' profiles for goldens whose own are there, as far as `MOST_BYTES` go."""
    shelf, left = kept.Shelf.of(log, source.app, engine_named()), MOST_BYTES
    for golden in goldens:
        profile = saved_profile(log, golden, source.schema)
        if profile is not None:
            sizes = accumulate(piece.size for piece in new)
            chosen = [piece for piece, read in zip(new, sizes, strict=True) if read <= left]
            left -= sum(piece.size for piece in chosen)
            shelf.whole(chosen, source, golden.window.where, profile.binning)
