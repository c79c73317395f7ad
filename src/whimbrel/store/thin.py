"""Thin copies of data files: the rows whose id's hash is small, kept in the log, so that a sample is not sought in all rows again.

In: a log's layout, a `Source` of it, a window and the share of its rows that is to be sampled. Out: the same source over thin copies.
`diagnose/` calls.

A sample's rows are those whose hash lies below a bound (`engine/`), wherever the window begins and ends. A copy of a file's rows
below 2^-level of all hashes therefore serves every window, condition and schema that asks for no greater share, and holds
for good, as data files never change. Labels and decisions that came later are thinned by themselves. `profiles/<app>/rows/` in the log,
`<data file>.<maker>-<level>.parquet`; a copy goes with the file that it was made of.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from whimbrel.store.delta import folder_name
from whimbrel.store.sql import connect, literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from whimbrel.engine.port import Source
    from whimbrel.model.window import Window
    from whimbrel.store.layout import Layout

LEAST_BYTES = 2 << 20
"""Files smaller than this are read as they are."""

LEAST_LEVEL = 2
"""Of shares above a quarter no copy is made: it would be nearly as large as the file."""


def thinned(layout: Layout, source: Source, window: Window, share: float) -> Source:
    """The files that may hold rows of a window, as thin copies with at least this share of the rows by hash of `id`.

    Copies that are missing are made; what is small, or cannot be copied (a log that may only be read), stays as it is.
    """
    level = math.floor(-math.log2(share))
    if level < LEAST_LEVEL or source.table is not None:
        return source
    source = source.within(window)
    if source.fetch is not None:
        source.fetch(source)
    large = {file for file, facts in source.facts.items() if facts.size >= LEAST_BYTES}
    wanted = [file for file in (*source.files, *source.labels, *source.decisions) if file in large]
    folder = layout.profiles / folder_name(source.app) / "rows"
    copies = dict(zip(wanted, _copies(folder, wanted, level), strict=True))
    files, labels, decisions = (
        tuple(copies.get(file, file) for file in of) for of in (source.files, source.labels, source.decisions)
    )
    known = {copies.get(file, file): facts for file, facts in source.facts.items()}
    return replace(source, files=files, labels=labels, decisions=decisions, facts=known)


def forget(layout: Layout, app: str, *, all_of_them: Iterable[Path] = ()) -> None:
    """Remove copies whose data file is gone, and these."""
    tables = (layout.predictions(app), layout.labels(app), layout.decisions(app))
    there = {path.name for table in tables for path in table.folder.rglob("*.parquet")}
    given = set(all_of_them)
    for copy in (layout.profiles / folder_name(app) / "rows").glob("*"):
        if copy in given or copy.name.rpartition(".parquet.")[0] + ".parquet" not in there:
            copy.unlink(missing_ok=True)


def _copies(folder: Path, files: Iterable[str], level: int) -> Iterator[str]:
    """The copy of each file, made where it is missing; the file itself where that fails."""
    import duckdb

    maker = sha256(duckdb.__version__.encode()).hexdigest()[:8]  # another version may hash otherwise
    con: DuckDBPyConnection | None = None
    for file in files:
        kept = {n: folder / f"{Path(file).name}.{maker}-{n}.parquet" for n in range(LEAST_LEVEL, level + 1)}
        if not kept[level].exists():
            richer = next((str(kept[n]) for n in range(level - 1, LEAST_LEVEL - 1, -1) if kept[n].exists()), file)
            con = con or connect()
            if not _copied(con, richer, kept[level], level):
                yield file
                continue
        yield str(kept[level])


def _copied(con: DuckDBPyConnection, file: str, copy: Path, level: int) -> bool:
    """Write a copy whole or not at all."""
    import duckdb

    unfinished = copy.with_name(f"{uuid4().hex}.partial")
    escaped = "".join(f"[{c}]" if c in "[*?" else c for c in file)
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
        con.execute(
            f"""COPY (FROM read_parquet({literal(escaped)}, hive_partitioning = false) WHERE hash(id) < {1 << 64 - level}::UBIGINT)
                TO {literal(str(unfinished))} (FORMAT parquet, COMPRESSION zstd)"""
        )
        unfinished.replace(copy)
    except (OSError, duckdb.Error):
        with suppress(OSError):
            unfinished.unlink()
        return False
    return True
