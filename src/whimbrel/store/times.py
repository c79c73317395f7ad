"""Times: a column of timestamps, ISO text or epoch numbers as microseconds since 1970, UTC; and why a row's time is refused.

The unit of epoch numbers is told by their magnitude, once a column: the median's. A row of another magnitude was written in
another unit and is refused rather than guessed. Times without a zone are UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from whimbrel.errors import InputError
from whimbrel.store.kinds import text_of, without_nan
from whimbrel.store.leaves import Family, Leaf
from whimbrel.store.sql import one

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

LATEST = 9_223_372_036_000_000
"""The last microsecond that a timestamp in nanoseconds can hold, in 2262: past it a time is a mistake."""

_UNITS = (
    ("seconds", 0.0, 1e11),
    ("milliseconds", 1e11, 1e14),
    ("microseconds", 1e14, 1e17),
    ("nanoseconds", 1e17, 1e20),
)


@dataclass(frozen=True, slots=True)
class Clock:
    """How a column is read as a time, as SQL over the column.

    `micros` are microseconds since 1970, NULL where it cannot be read; `missing` and `foreign` say whether there is no value,
    or one in another unit than `unit`, the rest of its column's.
    """

    micros: str
    missing: str
    foreign: str = "false"
    unit: str = ""

    def reason(self, us: str) -> str:
        """SQL of why a row is refused, NULL where it is not; `us` is SQL of what `micros` yielded."""
        return f"""CASE WHEN {us} BETWEEN 0 AND {LATEST} THEN NULL WHEN {self.missing} THEN 'ts is missing'
            WHEN {self.foreign} THEN 'ts is in another unit than the rest of its column, which is in {self.unit}'
            WHEN {us} IS NULL THEN 'ts cannot be read as a time' WHEN {us} < 0 THEN 'ts lies before 1970' ELSE 'ts lies after 2262' END"""


def read_clock(con: DuckDBPyConnection, leaf: Leaf, relation: str, where: str) -> Clock:
    """How to read the column `leaf` of `relation` as a time.

    Raises:
        InputError: the column's type cannot be a time.
    """
    c = leaf.sql
    match leaf.family:
        case Family.TIME:
            return Clock(f"CASE WHEN isfinite({c}) THEN epoch_us({c}) END", f"{c} IS NULL")
        case Family.INTEGER:
            return _epoch(con, relation, f"{c}::DOUBLE", f"TRY_CAST({c} AS BIGINT)")
        case Family.FLOAT:
            return _epoch(con, relation, f"({without_nan(c)})", f"TRY_CAST({c} AS BIGINT)")
        case Family.TEXT | Family.CELL | Family.JSON:
            return _spelled(con, relation, f"trim({text_of(leaf, c)})")
    raise InputError(
        f"the column {leaf.name!r} cannot be a time: it holds {leaf.family.name.lower()}", where=where,
        next="map the column that holds the time to `ts` with --map mapping.toml",
    )  # fmt: skip


def _spelled(con: DuckDBPyConnection, relation: str, text: str) -> Clock:
    """Text: ISO times, epoch numbers, or (rarely) both. A cast that fails is slow, so each is tried only where it may succeed."""
    dashed = f"{text} LIKE '____-__-__%'"
    number = f"CASE WHEN NOT {dashed} THEN TRY_CAST({text} AS DOUBLE) END"
    numbers, times = one(con, f"SELECT count({number}), count(*) FILTER ({dashed}) FROM {relation}")
    iso = f"CASE WHEN {dashed} THEN TRY_CAST({text} AS TIMESTAMPTZ) END"
    told = Clock(f"epoch_us({iso})", f"coalesce({text}, '') = ''")
    if not numbers:
        return told
    clock = _epoch(con, relation, number, f"TRY_CAST({text} AS BIGINT)")
    micros = f"CASE WHEN {dashed} THEN {told.micros} ELSE {clock.micros} END" if times else clock.micros
    return Clock(micros, told.missing, clock.foreign, clock.unit)


def _epoch(con: DuckDBPyConnection, relation: str, number: str, whole: str) -> Clock:
    """Numbers: `number` is SQL of a double, `whole` of an integer that a double might round."""
    median = one(
        con, f"SELECT coalesce(approx_quantile(abs({number}), 0.5), 0) FROM {relation} WHERE isfinite({number})"
    )[0]
    unit, low, high = next((u for u in _UNITS if u[1] <= median < u[2]), _UNITS[0])
    scaled = {
        "seconds": f"round({number} * 1e6)::BIGINT",
        "milliseconds": f"round({number} * 1e3)::BIGINT",
        "microseconds": whole,
        "nanoseconds": f"{whole} // 1000",
    }[unit]
    fits = f"(isfinite({number}) AND abs({number}) >= {low} AND abs({number}) < {high})"
    return Clock(
        f"CASE WHEN {fits} THEN {scaled} END", f"({number}) IS NULL", f"(isfinite({number}) AND NOT {fits})", unit
    )
