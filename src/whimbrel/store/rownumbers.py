"""In which row of which file an id may stand: four bytes of each id's hash, in the order of the rows, kept beside the table.

In: a table's files and an id. Out: rows to look at. `find.py` calls, where Parquet's statistics leave too many rows: ids that
do not grow with time lie anywhere. A file of the table never changes, so its hashes are made when they are first
needed and kept under `<home>/index/`; files that left the table lose theirs. Nothing depends on them: a log that may only be read is
searched through instead. Two ids in four thousand million share a hash, so a row found here is looked at before it is believed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from whimbrel.store.sql import literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from whimbrel.model.rows import Ints

_HASH = "(hash(id) >> 32)::UINTEGER"
_BYTES = np.dtype("<u4")
Hashes: TypeAlias = np.ndarray[tuple[int], np.dtype[np.uint32]]


def rows_with(
    con: DuckDBPyConnection, folder: Path, files: Iterable[str], ident: str, *, table: Path
) -> Iterator[tuple[str, list[int]]]:
    """Files that may hold an id, each with the numbers of the rows that may be it."""
    wanted = con.execute("SELECT (hash($1::VARCHAR) >> 32)::UINTEGER", [ident]).fetchall()[0][0]
    swept = False
    for file in files:
        hashes = _kept(folder, file)
        if hashes is None:
            if not swept:
                _sweep(folder, table)
            hashes, swept = _made(con, folder, file), True
        rows: Ints = np.flatnonzero(hashes == wanted)
        if len(rows):
            yield file, rows.tolist()


def _path(folder: Path, file: str) -> Path:
    """Where a file's hashes are kept. DuckDB's hash may be another one in another version."""
    import duckdb

    return folder / f"{Path(file).name}.{duckdb.__version__}.u4"


def _kept(folder: Path, file: str) -> Hashes | None:
    """The hashes of a file's ids, shape (rows,), as they were kept; None where they were not."""
    with contextlib.suppress(OSError, ValueError):
        return np.memmap(_path(folder, file), _BYTES, "r")
    return None


def _made(con: DuckDBPyConnection, folder: Path, file: str) -> Hashes:
    """The hashes of a file's ids, made from the file and kept where the log can be written."""
    sql = f"SELECT {_HASH} AS h FROM read_parquet([{literal(file)}], file_row_number = true, hive_partitioning = false)"
    made = np.ascontiguousarray(con.execute(f"{sql} ORDER BY file_row_number").fetchnumpy()["h"], _BYTES)
    path = _path(folder, file)
    draft = path.with_suffix(f".{os.getpid()}.partial")
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            draft.write_bytes(made.tobytes())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    return made


def _sweep(folder: Path, table: Path) -> None:
    """Remove the hashes of files that left the table."""
    held = {file.name for file in table.rglob("*.parquet")}
    for left in folder.glob("*.parquet.*.u4"):
        if left.name.partition(".parquet")[0] + ".parquet" not in held:
            with contextlib.suppress(OSError):
                left.unlink()
