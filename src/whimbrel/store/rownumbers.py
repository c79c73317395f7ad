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
from typing import TYPE_CHECKING

import numpy as np

from whimbrel.store.sql import literal

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from whimbrel.model.rows import Ints

_HASH = "(hash(id) >> 32)::UINTEGER"
_BYTES = np.dtype("<u4")


def rows_with(
    con: DuckDBPyConnection, folder: Path, files: Iterable[str], ident: str, *, table: Path
) -> Iterator[tuple[str, list[int]]]:
    """Files that may hold an id, each with the numbers of the rows that may be it."""
    wanted = con.execute("SELECT (hash($1::VARCHAR) >> 32)::UINTEGER", [ident]).fetchall()[0][0]
    for file in files:
        rows: Ints = np.flatnonzero(_hashes(con, folder, file, table) == wanted)
        if len(rows):
            yield file, rows.tolist()


def _hashes(
    con: DuckDBPyConnection, folder: Path, file: str, table: Path
) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    """The hashes of a file's ids, shape (rows,): as they were kept, or made now and kept."""
    import duckdb

    # DuckDB's hash may be another one in another version, and what cannot be read is made anew.
    path = folder / f"{Path(file).name}.{duckdb.__version__}.u4"
    with contextlib.suppress(OSError, ValueError):
        return np.memmap(path, _BYTES, "r")
    sql = f"SELECT {_HASH} AS h FROM read_parquet([{literal(file)}], file_row_number = true, hive_partitioning = false)"
    made = np.ascontiguousarray(con.execute(f"{sql} ORDER BY file_row_number").fetchnumpy()["h"], _BYTES)
    with contextlib.suppress(OSError):  # a log that may only be read
        _keep(folder, path, made.tobytes(), table)
    return made


def _keep(folder: Path, path: Path, data: bytes, table: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(parents=True)
    draft = path.with_suffix(f".{os.getpid()}.partial")
    try:
        draft.write_bytes(data)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    if len(list(folder.iterdir())) > 2 * len(list(table.rglob("*.parquet"))):
        held = {left.name for left in table.rglob("*.parquet")}
        for left in folder.iterdir():
            if left.name.partition(".parquet")[0] + ".parquet" not in held:
                left.unlink(missing_ok=True)
