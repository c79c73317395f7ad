"""When each value of a field was first and last seen: which models and code answered, and since when.

In: a table of predictions, which fields. Out: first and last time by field and value. `ledger/` calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from whimbrel.store.appended import leaves_of
from whimbrel.store.sql import connect, literal, store_errors

if TYPE_CHECKING:
    from whimbrel.store.delta import Table

Sightings = dict[tuple[str, str], tuple[str, str]]
"""(path, value as text) to the first and last time, in ISO form."""

_MOST = 1000


def sightings(table: Table, wanted: Callable[[str], bool]) -> Sightings:
    """First and last time of each value of the fields that are wanted; of a field with very many values, of the first thousand.

    Raises:
        StoreError: the table is damaged.
    """
    found: Sightings = {}
    if not table.exists:
        return found
    with store_errors(table.folder, "read"), connect() as con:
        for file in table.files(table.open()):
            source = f"read_parquet([{literal(file)}], hive_partitioning = false)"
            leaves = leaves_of(con, file)
            ts = dict(leaves)["ts"]
            for path, sql in leaves:
                if not wanted(path):
                    continue
                rows = con.execute(
                    f"SELECT ({sql})::VARCHAR AS value, min({ts}), max({ts}) FROM {source} WHERE value IS NOT NULL GROUP BY 1 ORDER BY 2 LIMIT {_MOST}"
                ).fetchall()
                for value, first, last in rows:
                    known = found.get((path, value), (first, last))
                    found[path, value] = min(known[0], first), max(known[1], last)
    return found
