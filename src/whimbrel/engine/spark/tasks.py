"""What a worker does with one file: opens it with the DuckDB of its process, and answers one question about it.

In: a `Part`. Out: values that travel. This module is named, not sent: workers import it from their own whimbrel.
"""

from __future__ import annotations

import base64
import json
import os
import pickle
import socket
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeAlias

from whimbrel.engine.duckdb import DuckDB
from whimbrel.engine.port import Source
from whimbrel.errors import StoreError, WhimbrelError
from whimbrel.model.fields import Field
from whimbrel.model.profile import Binning, Profile
from whimbrel.model.records import Records
from whimbrel.model.rows import Rows
from whimbrel.model.window import Window
from whimbrel.version import __version__

MARK = "WHIMBREL-ERROR "
"""Before an error in four parts, in what Spark tells of a task that failed."""


Part: TypeAlias = tuple[Source, Window]
"""One file of predictions with the files whose rows may join its own, and what of it is asked about."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A question about parts: made by the driver, called on workers.

    `question` is a function of this module, its options bound; `memory` is what DuckDB may hold in a task, `made_by` the versions
    that the driver has.
    """

    question: Callable[[DuckDB, Source, Window], Any]
    memory: str
    made_by: str

    def __call__(self, part: Part) -> Any:
        """The answer about one part.

        Raises:
            WorkerError: what went wrong, in words that reach the driver.
        """
        source, window = part
        try:
            check_versions(self.made_by)
            seen = source.counters.files if source.counters else ()
            _check_files((*source.files, *source.labels, *source.decisions, *seen))
            return self.question(_engine(self.memory), source, window)
        except WhimbrelError as error:
            raise WorkerError(error) from error


class WorkerError(RuntimeError):
    """An error of ours that happened on a worker; its text carries the four parts to the driver."""

    def __init__(self, error: WhimbrelError) -> None:
        told = json.dumps(error.to_dict()).encode()
        super().__init__(f"{error.what}\n{MARK}{base64.b64encode(told).decode()}")


def versions() -> str:
    """The versions that answers depend on."""
    return f"whimbrel {__version__}, {DuckDB().capabilities.maker}"


def check_versions(expected: str) -> str:
    """The name of this machine.

    Raises:
        StoreError: this worker has other versions than the driver.
    """
    if versions() != expected:
        raise StoreError(
            f"a worker has other versions than this process: {versions()}", where=f"worker {socket.gethostname()}",
            why=f"this process has {expected}; with another one, hashes and bins would differ",
            next="install the same versions in the Python of every worker",
        )  # fmt: skip
    return socket.gethostname()


def _check_files(files: Sequence[str]) -> None:
    missing = next((file for file in files if not os.path.exists(file)), None)  # noqa: PTH110
    if missing is not None:
        raise StoreError(
            f"the log's files cannot be read: a worker does not see {missing}", where=f"worker {socket.gethostname()}",
            why="the log lies on a disk of one machine, or the file was removed since the question began",
            next="keep the log on storage that all workers mount at the same path, and ask again",
        )  # fmt: skip


@cache
def _engine(memory: str) -> DuckDB:
    """One for a worker's process: Spark runs as many processes as it has cores to give."""
    return DuckDB(threads=1, memory=memory)


# ------------------------------------------------------------------------------------------------------- the questions


def extent(engine: DuckDB, source: Source, window: Window) -> tuple[int, int, int]:
    """Predictions in the window, and the first and last `ts`."""
    return engine.extent(source, window)


def sample(
    engine: DuckDB, source: Source, window: Window, *, fields: tuple[Field, ...], limit: int, total: int
) -> Rows:
    """The part's rows of a sample of about `limit` of the `total` that all parts hold."""
    from whimbrel.engine.duckdb.sample import sampled

    with engine.asking(source, window) as view:
        return sampled(view, fields, limit, total)


def records(engine: DuckDB, source: Source, window: Window, *, ids: tuple[str, ...]) -> Records:
    """The part's predictions that bear these ids."""
    return engine.records(source, window, ids=ids)


def ranges(engine: DuckDB, source: Source, window: Window, *, names: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """The least and greatest finite value of numeric columns."""
    from whimbrel.engine.duckdb.learned import ranges

    with engine.asking(source, window) as view:
        return ranges(view, names)


def values(
    engine: DuckDB, source: Source, window: Window, *, fields: tuple[Field, ...]
) -> list[tuple[tuple[str, str], int]]:
    """How often each value of text fields is there: ((path, value), count)."""
    from whimbrel.engine.duckdb.learned import commonest

    with engine.asking(source, window) as view:
        found = commonest(view, fields, None)
    return [((path, value), n) for path, counted in found.items() for value, n in counted]


def profile(engine: DuckDB, source: Source, window: Window, *, binning: Binning) -> bytes:
    """The part's profile without its bins, packed: tables of counts are mostly zeros."""
    made = engine.profile(source, window, binning)
    return zlib.compress(pickle.dumps(replace(made, binning=Binning())), 1)


def unpacked(data: bytes, binning: Binning) -> Profile:
    """The profile that `profile` packed."""
    made: Profile = pickle.loads(zlib.decompress(data))  # noqa: S301  made by our own task, on the cluster that we asked
    return replace(made, binning=binning)
