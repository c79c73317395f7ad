"""Events: deploys, config changes, flags, rollbacks, incidents, data changes; a flat table into the log, and back as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whimbrel.errors import InputError
from whimbrel.model.event import Event
from whimbrel.model.window import from_micros, micros
from whimbrel.store import quarantine
from whimbrel.store.batch import nothing_readable
from whimbrel.store.columns import missing_ts, read_mapping, unknown_warning
from whimbrel.store.kinds import text_of
from whimbrel.store.layout import Layout
from whimbrel.store.leaves import Leaf
from whimbrel.store.raw import Raw, Refusal
from whimbrel.store.sql import connect, input_errors, literal, one, store_errors
from whimbrel.store.times import read_clock
from whimbrel.store.values import Added

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_COLUMNS = ("ts", "kind", "what", "app")


def take_events(con: DuckDBPyConnection, layout: Layout, raw: Raw, mapping: Mapping[str, str]) -> Added:
    """Add the rows of raw input to the log's events. The same event again changes nothing.

    Raises:
        InputError: `ts`, `kind` or `what` is missing, or no row can be read.
        StoreError: the log cannot be written.
    """
    own, refused = _readable(con, raw, mapping)
    added = _append(con, layout)
    unknown = [name for name in own if not is_column(name)]
    if unknown:
        added += Added(warnings=(unknown_warning(unknown, "context"),))
    if refused:
        path = quarantine.set_aside(layout.quarantine, f"events-{raw.label}", refused)
        said = f"{raw.label}: {quarantine.summary(refused)}; they are set aside in {path}"
        added += Added(quarantined=len(refused), quarantine_files=(path,), warnings=(said,))
    return added


def events_of(table: Any, *, mapping: Mapping[str, str] | str | Path | None = None) -> tuple[Event, ...]:
    """The events of a table in memory, in order of time, each once; without a log.

    Raises:
        InputError: `ts`, `kind` or `what` is missing, or a row cannot be read.
        UsageError: not a table, or a mapping that makes no sense.
    """
    from whimbrel.store.tables import open_table

    if hasattr(table, "__len__") and len(table) == 0:
        return ()  # a quiet week: no rows, and in pandas no types either
    with connect() as con:
        raw = open_table(con, table, "events")
        if not one(con, f"SELECT count(*) FROM {raw.relation}")[0]:
            return ()
        _, refused = _readable(con, raw, read_mapping(mapping, allowed=is_column))
        if refused:
            raise InputError(
                f"row {refused[0].row} of the events cannot be read: {refused[0].reason}", where=raw.label,
                why=f"it reads {refused[0].text[:200]}", next="give every event ts, kind and what",
            )  # fmt: skip
        return _listed(con, "happened")


def _readable(con: DuckDBPyConnection, raw: Raw, mapping: Mapping[str, str]) -> tuple[dict[str, Leaf], list[Refusal]]:
    """Read what can be read into the temporary table `happened`; the columns, and the rows that cannot be read."""
    if not raw.leaves and raw.refused:
        raise nothing_readable(raw.label, raw.refused, "")
    own = _columns(raw, mapping)
    with input_errors(raw.label, raw.label):
        refused = [*raw.refused, *_read(con, raw, own)]
    if refused and not one(con, "SELECT count(*) FROM happened")[0]:
        raise nothing_readable(raw.label, refused, "")
    return own, refused


def _columns(raw: Raw, mapping: Mapping[str, str]) -> dict[str, Leaf]:
    """The leaves by the names that events give them."""
    own = {mapping.get(leaf.name, leaf.name): leaf for leaf in raw.leaves}
    missing = [column for column in _COLUMNS[:3] if column not in own]
    if missing == ["ts"]:
        raise missing_ts(raw.leaves, raw.label)
    if missing:
        raise InputError(
            f"the events have no column {' and no '.join(map(repr, missing))}", where=raw.label,
            why=f"the columns are {', '.join(own) or 'none'}", next="events are a flat table of ts, kind, what and optional context.<tag> columns",
        )  # fmt: skip
    return own


def is_column(name: str) -> bool:
    """Whether events have a column of this name."""
    return name in _COLUMNS or _is_tag(name)


def _is_tag(name: str) -> bool:
    return name.startswith("context.") and len(name) > len("context.")


def _read(con: DuckDBPyConnection, raw: Raw, own: Mapping[str, Leaf]) -> list[Refusal]:
    """Fill the temporary table `happened`; returns the rows that cannot be read."""

    def text(leaf: Leaf | None) -> str:
        return f"nullif(trim({text_of(leaf, leaf.sql)}), '')" if leaf else "NULL::VARCHAR"

    clock = read_clock(con, own["ts"], raw.relation, raw.label)
    tags = ", ".join(
        f"CASE WHEN {text(leaf)} IS NOT NULL THEN {{'k': {literal(name)}, 'v': {text(leaf)}}} END"
        for name, leaf in sorted(own.items())
        if _is_tag(name)
    )
    context = (
        f"map_from_entries(list_filter([{tags}], lambda e: e IS NOT NULL))"
        if tags
        else "MAP([]::VARCHAR[], []::VARCHAR[])"
    )
    con.execute(
        f"""CREATE OR REPLACE TEMP TABLE happened_all AS SELECT rn, us, kind, what, app, context, coalesce({clock.reason("us")},
            CASE WHEN kind IS NULL THEN 'no kind' WHEN what IS NULL THEN 'no what' END) AS reason
        FROM (SELECT *, {clock.micros} AS us, {text(own["kind"])} AS kind, {text(own["what"])} AS what, {text(own.get("app"))} AS app,
            {context} AS context FROM {raw.relation})"""
    )
    con.execute(
        """CREATE OR REPLACE TEMP TABLE happened AS SELECT DISTINCT
        md5(concat_ws(chr(30), us::VARCHAR, kind, what, coalesce(app, ''), to_json(context)::VARCHAR)) AS id,
        make_timestamptz(us) AS ts, kind, what, app, context FROM happened_all WHERE reason IS NULL"""
    )
    rows = con.execute(
        "SELECT rn, reason, to_json({us: us, kind: kind, what: what})::VARCHAR FROM happened_all WHERE reason IS NOT NULL ORDER BY rn"
    ).fetchall()
    numbers = raw.numbers([row[0] for row in rows])
    return [Refusal(number, reason, said) for number, (_, reason, said) in zip(numbers, rows, strict=True)]


def _append(con: DuckDBPyConnection, layout: Layout) -> Added:
    from deltalake import Field
    from deltalake.schema import MapType, PrimitiveType

    table = layout.events

    def change() -> Added:
        text = PrimitiveType("string")
        plain = [
            Field(key, PrimitiveType("timestamp") if key == "ts" else text)
            for key in ("id", "ts", "kind", "what", "app")
        ]
        table.widen([] if table.exists else [*plain, Field("context", MapType(text, text))])
        delta = table.open()
        files = ", ".join(map(literal, table.files(delta)))
        fresh = "SELECT * FROM happened" + (
            f" WHERE id NOT IN (SELECT id FROM read_parquet([{files}]))" if files else ""
        )
        total = one(con, "SELECT count(*) FROM happened_all WHERE reason IS NULL")[0]
        count = one(con, f"SELECT count(*) FROM ({fresh})")[0]
        if count:
            table.commit(delta, table.write(con, fresh, {}))
        return Added(rows=count, duplicates=total - count)

    return table.update(change)


def read_events(layout: Layout, app: str | None, since: datetime | None, until: datetime | None) -> tuple[Event, ...]:
    """Events with `since <= ts < until` that concern an app: its own and those that name none. In order of time.

    Raises:
        StoreError: the table is damaged.
    """
    table = layout.events
    if not table.exists:
        return ()
    delta = table.open()
    files = ", ".join(map(literal, table.files(delta)))
    if not files:
        return ()
    where: list[str] = ["true"]
    values: list[object] = []
    for clause, value in (
        ("(app IS NULL OR app = ?)", app),
        ("epoch_us(ts) >= ?", micros(since) if since else None),
        ("epoch_us(ts) < ?", micros(until) if until else None),
    ):
        if value is not None:
            where.append(clause)
            values.append(value)
    with store_errors(table.folder, "read"), connect() as con:
        return _listed(con, f"read_parquet([{files}])", " AND ".join(where), values)


def _listed(
    con: DuckDBPyConnection, relation: str, where: str = "true", values: Sequence[object] = ()
) -> tuple[Event, ...]:
    rows = con.execute(
        f"SELECT epoch_us(ts), kind, what, context FROM {relation} WHERE {where} ORDER BY ts, kind, what, id",
        list(values),
    ).fetchall()
    return tuple(Event(from_micros(us), kind, what, dict(context or {})) for us, kind, what, context in rows)
