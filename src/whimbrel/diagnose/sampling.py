"""The rows that a diagnosis looks at one by one: a sample by hash of id, from thin copies where a log keeps them.

In: an engine, a log (or none, for tables), a `Source` and a `Window`. Out: `Rows`, the same ones whether copies are kept or not.
`doors.py` calls.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from whimbrel.compare.kept import MOST_BYTES, trim
from whimbrel.engine.port import Engine, Source
from whimbrel.errors import StoreError
from whimbrel.model.rows import Rows
from whimbrel.model.window import Window
from whimbrel.store.delta import folder_name
from whimbrel.store.reach import pieces
from whimbrel.store.thin import forget, thinned

if TYPE_CHECKING:
    from whimbrel.store import Log


@dataclass(frozen=True, slots=True)
class Sampling:
    """Asks an engine for samples; `log` is where the source's files lie, None for tables in memory."""

    engine: Engine
    log: Log | None = None

    def rows(self, source: Source, window: Window, limit: int) -> Rows:
        """The window's rows, or about `limit` of them by a hash of their id, as `Engine.rows` gives them."""
        if self.log is None or not self.engine.capabilities.tables:
            return self.engine.rows(source, window, limit=limit)  # a cluster reads files where they lie, many at a time
        total = self.count(source, window)
        thin = thinned(self.log.layout, source, window, min(1.0, limit / max(total, 1)))
        copies = [Path(file) for file in set(thin.files) - set(source.files)]
        try:
            rows = self.engine.rows(thin, window, limit=limit, total=total)
        except StoreError:
            if not copies:
                raise
            late = {*thin.labels, *thin.decisions} - {*source.labels, *source.decisions}
            forget(self.log.layout, source.app, all_of_them=[*copies, *map(Path, late)])  # one of them is damaged
            return self.engine.rows(source, window, limit=limit, total=total)
        if copies:
            trim(self.log.layout.profiles / folder_name(source.app), MOST_BYTES)
        return rows

    def count(self, source: Source, window: Window) -> int:
        """Predictions in the window; of files that lie in it as a whole Delta's own statistics know how many."""
        if self.log is None or window.where:
            return self.engine.extent(source, window)[0]
        total = 0
        read: list[str] = []
        for piece in pieces(self.log.layout, source):
            if piece.beyond(window):
                continue
            if piece.within(window) and piece.facts.rows is not None:
                total += piece.facts.rows
            else:
                read += piece.source.files
        return total + (self.engine.extent(replace(source, files=tuple(read)), window)[0] if read else 0)
