"""Labels and decisions that become known after their predictions: small tables of their own, joined by id when read.

A flat table of `id`, `label` and nothing else of a prediction (`label_ts`, `app` and `ts` may be there) is such a table of labels.
The latest `label_ts` wins; a label without one counts as the earliest, and where it corrects another it gets the present time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from whimbrel.errors import InputError
from whimbrel.model.fields import Field, Kind, Schema
from whimbrel.store.batch import Batch
from whimbrel.store.columns import Assigned
from whimbrel.store.kinds import SQL_TYPES, decide, facts_sql, fit, text_of, value_of
from whimbrel.store.layout import DEFAULT_APP, Layout
from whimbrel.store.raw import Raw, Refusal
from whimbrel.store.schema import delta_fields, read_schema
from whimbrel.store.sql import input_errors, literal, one
from whimbrel.store.times import LATEST, read_clock
from whimbrel.store.values import Added

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from duckdb import DuckDBPyConnection


def is_labels(assigned: Assigned) -> bool:
    """Whether a flat table holds late labels rather than predictions."""
    return set(assigned.fields) == {"label"} and "id" in assigned.special


def label_field(layout: Layout, app: str) -> Schema:
    """The field `label` with the kind that late labels gave it; empty where there are none."""
    table = layout.labels(app)
    return read_schema(table.open()) if table.exists else Schema()


def take_labels(
    con: DuckDBPyConnection, layout: Layout, raw: Raw, assigned: Assigned, *, app: str | None
) -> tuple[Raw, Added]:
    """Add late labels; returns the raw input with the rows that were refused as well.

    Raises:
        InputError: no row has an id.
        StoreError: the log cannot be written.
    """
    apps = layout.apps()
    default = app or (apps[0] if len(apps) == 1 else DEFAULT_APP)
    leaf, ident = assigned.fields["label"], assigned.special["id"]
    told = "NULL::BIGINT"
    with input_errors(raw.label, raw.label):
        if "label_ts" in assigned.special:
            told = read_clock(con, assigned.special["label_ts"], raw.relation, raw.label).micros
        named = assigned.special.get("app")
        owner = literal(default)
        if named is not None and app is None:
            owner = f"coalesce(nullif(trim({text_of(named, named.sql)}), ''), {owner})"
        con.execute(
            f"""CREATE OR REPLACE TEMP TABLE late AS SELECT rn, nullif(trim({text_of(ident, ident.sql)}), '') AS id, {owner} AS app,
            {value_of(leaf)} AS label, CASE WHEN {told} BETWEEN 0 AND {LATEST} THEN {told} END AS us FROM {raw.relation} WHERE {value_of(leaf)} IS NOT NULL"""
        )
        nameless = [row[0] for row in con.execute("SELECT rn FROM late WHERE id IS NULL ORDER BY rn").fetchall()]
        refused = [Refusal(number, "a label without an id", "") for number in raw.numbers(nameless)]
        added = Added()
        for name in [
            row[0] for row in con.execute("SELECT DISTINCT app FROM late WHERE id IS NOT NULL ORDER BY app").fetchall()
        ]:
            done, misfits = _take_app(con, layout, raw, assigned, name)
            added += done
            refused.extend(misfits)
    if refused and not (added.labels or added.duplicates):
        raise InputError(
            f"none of the {len(refused):,} labels of {raw.label} can be taken in; row {refused[0].row}: {refused[0].reason}",
            where=raw.label, next="give every row the id of its prediction, and labels of one type",
        )  # fmt: skip
    return replace(raw, refused=(*raw.refused, *refused)), added


def _take_app(
    con: DuckDBPyConnection, layout: Layout, raw: Raw, assigned: Assigned, app: str
) -> tuple[Added, list[Refusal]]:
    leaf, table = assigned.fields["label"], layout.labels(app)
    rows = "(SELECT * FROM late WHERE app = $app AND id IS NOT NULL)"

    def change() -> tuple[Added, list[Refusal]]:
        kind, as_text = _kind(con, layout, app, leaf, rows)
        reading = fit(leaf, "label", "parsed", "typed", kind, as_text=as_text)
        read = f"(SELECT *, {reading.value} AS typed FROM (SELECT *, {reading.parsed or 'NULL'} AS parsed FROM {rows}))"
        spelled = text_of(leaf, "label")
        wrong = con.execute(
            f"SELECT rn, {spelled} FROM {read} WHERE {reading.misfit or 'false'} ORDER BY rn", {"app": app}
        ).fetchall()
        refused = [
            Refusal(number, f"a label that is no {kind}, as the app's other labels are", text)
            for number, (_, text) in zip(raw.numbers([row[0] for row in wrong]), wrong, strict=True)
        ]
        con.execute(
            f"""CREATE OR REPLACE TEMP TABLE arrived AS
            SELECT id, arg_max(label, (coalesce(us, -1), rn)) AS label, max(us) AS us, count(*) AS n
            FROM (SELECT id, typed AS label, us, rn FROM {read}) WHERE label IS NOT NULL GROUP BY id""",
            {"app": app},
        )
        (total,) = one(con, "SELECT coalesce(sum(n), 0) FROM arrived")
        if not total:
            return Added(), refused
        table.widen([] if table.exists else _label_columns(kind))
        delta = table.open()  # before anything is read that the commit relies on
        _hold_current(con, layout, app, kind, delta)
        now = int(time.time() * 1e6)
        fresh = f"""SELECT a.id, a.label,
              make_timestamptz(CASE WHEN a.us IS NULL AND h.late THEN {now} ELSE a.us END) AS label_ts
            FROM arrived a LEFT JOIN current h USING (id)
            WHERE h.label IS NULL OR (h.label <> a.label AND (a.us IS NULL OR h.us IS NULL OR a.us >= h.us))"""
        count = one(con, f"SELECT count(*) FROM ({fresh})")[0]
        unknown = one(con, "SELECT count(*) FROM arrived WHERE id NOT IN (SELECT id FROM current WHERE known)")[0]
        if count:
            table.commit(delta, table.write(con, fresh, {}))
        said = f"labels of {unknown:,} ids that app {app!r} does not hold yet: they are kept, and join when it does"
        return Added(labels=count, duplicates=int(total) - count, warnings=(said,) if unknown else ()), refused

    return table.update(change)


def _kind(con: DuckDBPyConnection, layout: Layout, app: str, leaf: Any, rows: str) -> tuple[Kind, bool]:
    """The kind of the app's labels, fixed by whichever came first, predictions' own or late ones; else by these."""
    predictions = layout.predictions(app)
    known = label_field(layout, app) + (read_schema(predictions.open()) if predictions.exists else Schema())
    counts = facts_sql(leaf, "label")
    numbers = one(con, f"SELECT {', '.join(counts.values())} FROM {rows}", {"app": app})
    asked, facts = decide(leaf, {str(k): n for k, n in zip(counts, numbers, strict=True)})
    before = known.get("label")
    kind = before.kind if before else asked or Kind.TEXT
    return kind, kind is Kind.TEXT and facts.big_integers


def _hold_current(con: DuckDBPyConnection, layout: Layout, app: str, kind: Kind, late_labels: DeltaTable) -> None:
    """A temporary table of what the log holds of the ids that arrived: `known` (it has the prediction), label and since when."""
    from deltalake import QueryBuilder

    ends = one(con, "SELECT min(id), max(id) FROM arrived")
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE current (id VARCHAR, known BOOLEAN, late BOOLEAN, label {SQL_TYPES[kind]}, us BIGINT)"
    )
    within = f"id >= {literal(ends[0])} AND id <= {literal(ends[1])}"
    predictions = layout.predictions(app)
    held = {"true": late_labels} | ({"false": predictions.open()} if predictions.exists else {})
    parts = []
    for late, delta in held.items():
        has = {field.name for field in delta.schema().fields}
        columns = ", ".join(["id", *(c for c in ("label", "label_ts") if c in has)])
        view = f"held_{late}"
        con.register(view, QueryBuilder().register("held", delta).execute(f"SELECT {columns} FROM held WHERE {within}"))
        label = f"label::{SQL_TYPES[kind]}" if "label" in has else f"NULL::{SQL_TYPES[kind]}"
        since = "epoch_us(label_ts)" if "label_ts" in has else "NULL::BIGINT"
        parts.append(
            f"SELECT id, {late} AS late, {label} AS label, {since} AS us FROM {view} WHERE id IN (SELECT id FROM arrived)"
        )
    last = "(late, coalesce(us, -1))"
    con.execute(
        f"""INSERT INTO current SELECT id, bool_or(NOT late), bool_or(late), arg_max(label, {last}), arg_max(us, {last})
        FROM ({" UNION ALL ".join(parts)}) GROUP BY id"""
    )


def missed_labels(con: DuckDBPyConnection, layout: Layout, batch: Batch, app: str) -> tuple[str, ...]:
    """A word about labels in rows whose ids are in the temporary table `held`: the log has those rows, without any label."""
    from deltalake import QueryBuilder

    column = batch.columns.get("label")
    if column is None:
        return ()
    labelled = "SELECT NULL::VARCHAR AS id WHERE false"
    for view, table in (("labelled_own", layout.predictions(app)), ("labelled_late", layout.labels(app))):
        if table.exists and read_schema(table.open()).get("label"):
            query = QueryBuilder().register("t", table.open()).execute("SELECT id FROM t WHERE label IS NOT NULL")
            con.register("answer", query)
            con.execute(
                f"CREATE OR REPLACE TEMP TABLE {view} AS SELECT id FROM answer WHERE id IN (SELECT id FROM held)"
            )
            labelled += f" UNION ALL SELECT id FROM {view}"
    count = one(
        con,
        f"""SELECT count(DISTINCT id) FROM {batch.view} WHERE app = $app AND {column.sql} IS NOT NULL
        AND id IN (SELECT id FROM held) AND id NOT IN ({labelled})""",
        {"app": app},
    )[0]
    said = (
        f"{count:,} rows bring a label to predictions that are in the log without one, and a row that is in stays as it is: "
        "import a table of only id and label to add them"
    )
    return (said,) if count else ()


def _label_columns(kind: Kind) -> list[Any]:
    fields = delta_fields(Schema((Field("label", kind),)), label_ts=True)
    return [field for field in fields if field.name in ("id", "label", "label_ts")]


def take_decisions(con: DuckDBPyConnection, layout: Layout, app: str, rows: Iterable[Mapping[str, Any]]) -> Added:
    """Add late decisions: mappings of `id`, `path` (`decision` or `decisions.<name>`) and `value`. The same again changes nothing.

    Raises:
        InputError: a row without id or of another path.
        StoreError: the log cannot be written.
    """
    import arro3.core as arrow
    from deltalake import Field as DeltaField
    from deltalake.schema import PrimitiveType

    table, taken = layout.decisions(app), []
    for row in rows:
        ident, path, value = row.get("id"), row.get("path", "decision"), row.get("value")
        if not ident or not (path == "decision" or str(path).startswith("decisions.")):
            raise InputError(
                f"cannot take in the decision {dict(row)!r}", where=f"decisions of app {app!r}",
                why="it needs an id, and a path that is `decision` or starts with `decisions.`", next="name the prediction's id",
            )  # fmt: skip
        taken.append((str(ident), str(path), _spelled(value)))
    if not taken:
        return Added()

    def change() -> Added:
        names, columns = ("id", "path", "value"), zip(*taken, strict=True)
        arrays = [arrow.Array(list(values), arrow.DataType.utf8()) for values in columns]
        con.register("given_decisions", arrow.Table.from_arrays(arrays, names=names))
        table.widen([] if table.exists else [DeltaField(key, PrimitiveType("string")) for key in names])
        delta = table.open()
        files = ", ".join(map(literal, table.files(delta)))
        fresh = "SELECT DISTINCT id, path, value FROM given_decisions"
        if files:
            fresh += f" EXCEPT SELECT id, path, value FROM read_parquet([{files}])"
        count = one(con, f"SELECT count(*) FROM ({fresh})")[0]
        if count:
            table.commit(delta, table.write(con, fresh, {}))
        return Added(rows=count, duplicates=len(taken) - count)

    return table.update(change)


def _spelled(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
