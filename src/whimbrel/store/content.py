"""What a data version holds: files or a table as typed columns, and each row as a text that says its content and nothing else.

In: files as `files.py` finds and opens them, or a table in memory. Out: a `Content`, SQL for FROM with the columns' names and
types as Delta can hold them. Nothing is dropped: a row that cannot be read refuses the whole file, and a column whose texts are
not all numbers (or whose numbers would not come back as they were) stays text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whimbrel.errors import InputError
from whimbrel.store.files import File, find, open_file, plain_path, probe
from whimbrel.store.leaves import Family
from whimbrel.store.raw import check_width
from whimbrel.store.sql import how_many, input_errors, literal, name, one

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SHOWN = 3
_MISSING = "||na|n/a|null|none|"


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """`relation` is SQL for FROM; `columns` are its names and DuckDB types, in the order of the file."""

    relation: str
    columns: tuple[tuple[str, Any], ...]

    @property
    def types(self) -> dict[str, str]:
        """Each column's type as SQL spells it."""
        return {column: str(kind) for column, kind in self.columns}

    def cells(self, alias: str = "") -> dict[str, str]:
        """Each column as SQL for a text that is the same exactly where the values are; NULL stays NULL.

        NaN is NaN's equal and -0.0 is 0.0's; a whole number is the same as an integer and as a float; the order of a struct's members and
        of a map's entries says nothing.
        """
        at = f"{alias}." if alias else ""
        return {column: canonical(at + name(column), kind) for column, kind in self.columns}


def content_of(con: DuckDBPyConnection, relation: str) -> Content:
    """A relation as content."""
    described = con.sql(f"SELECT * FROM {relation}")
    return Content(relation, tuple(zip(described.columns, described.types, strict=True)))


def row_text(cells: Sequence[str]) -> str:
    """One text of a row's cells; no two different rows share one."""
    return f"to_json([{', '.join(cells) or 'NULL::VARCHAR'}])::VARCHAR"


def is_nan(sql: str) -> str:
    """Whether a float is NaN, of either sign. Asked of its text: DuckDB answers `isnan` from a Parquet file's least and greatest value, which leave NaN out."""
    return f"({sql}::VARCHAR IN ('nan', '-nan'))"


def canonical(sql: str, kind: Any, depth: int = 0) -> str:
    """A value as text; see `Content.cells`."""
    x = f"x{depth}"
    match kind.id:
        case "float" | "double":
            whole = f"CASE WHEN {sql} = trunc({sql}) AND abs({sql}) < {2**53} THEN TRY_CAST({sql} AS BIGINT) END"
            return f"CASE WHEN {is_nan(sql)} THEN 'NaN' ELSE coalesce({whole}::VARCHAR, {sql}::VARCHAR) END"
        case "decimal":
            text = f"{sql}::VARCHAR"
            return f"CASE WHEN contains({text}, '.') THEN rtrim(rtrim({text}, '0'), '.') ELSE {text} END"
        case "blob":
            return f"base64({sql})"
        case "list" | "array":
            inner = canonical(x, dict(kind.children)["child"], depth + 1)
            return f"to_json(list_transform({sql}, lambda {x}: {inner}))::VARCHAR"
        case "map":
            children = dict(kind.children)
            pair = [canonical(f"{x}.{part}", children[part], depth + 1) for part in ("key", "value")]
            entry = f"to_json([{', '.join(pair)}])::VARCHAR"
            return f"to_json(list_sort(list_transform(map_entries({sql}), lambda {x}: {entry})))::VARCHAR"
        case "struct":
            members = [
                f"[{literal(member)}, {canonical(f'struct_extract({sql}, {literal(member)})', inner, depth)}]"
                for member, inner in sorted(kind.children)
            ]
            return f"CASE WHEN {sql} IS NOT NULL THEN to_json([{', '.join(members)}])::VARCHAR END"
        case "varchar":
            return sql
    return f"{sql}::VARCHAR"


# ---------------------------------------------------------------- reading


def read_files(con: DuckDBPyConnection, patterns: Any) -> tuple[Content, tuple[File, ...]]:
    """All rows of files, stacked by the names of their columns; a column that a file lacks is null there.

    A folder's subfolders named `key=value` are a column `key`, as Hive and Spark write them.

    Raises:
        InputError: a file or a single row cannot be read, or the files hold no row.
    """
    files = find(patterns)
    roots = [Path(p).absolute() for p in ([patterns] if isinstance(patterns, str | Path) else patterns)]
    for file in files:
        probe(con, file)
    parts: list[str] = []
    for texts in ("csv", "json"):
        chosen = [file for file in files if file.format == texts]
        if chosen:
            parts.append(_typed(con, [_texts(con, file, roots) for file in chosen], texts))
    parts += [_parquet(con, file, roots) for file in files if file.format == "parquet"]
    with input_errors(files[0].path.name, files[0].path):
        made = _storable(con, f"({' UNION ALL BY NAME '.join(f'SELECT * FROM {part}' for part in parts)})")
    return made, files


def read_table(con: DuckDBPyConnection, table: Any) -> Content:
    """A table in memory: pandas, Polars, or anything with `__arrow_c_stream__`.

    Raises:
        InputError: it cannot be read.
    """
    with input_errors("the table", type(table).__name__):
        names = getattr(table, "column_names", None)  # Arrow's; a data frame has them under `columns`
        _check_names([str(c) for c in (getattr(table, "columns", ()) if names is None else names)], "the table")
        con.register("given", table)
        return _storable(con, "given")


def _texts(con: DuckDBPyConnection, file: File, roots: Sequence[Path]) -> str:
    raw = open_file(con, file)
    if raw.refused:
        said = "; ".join(f"row {r.row}: {r.reason}" for r in raw.refused[:_SHOWN])
        raise InputError(
            f"{len(raw.refused):,} rows of {file.path.name} cannot be read: {said}", where=str(file.path),
            why="a version holds every row of its files, or it would not be what the model was trained on",
            next="repair those rows, then add it again",
        )  # fmt: skip
    names = [leaf.name or f"column{i}" for i, leaf in enumerate(raw.leaves)]
    _check_names(names, str(file.path))
    picked = [f"{leaf.sql} AS {name(n)}" for n, leaf in zip(names, raw.leaves, strict=True)]
    if any(leaf.family not in (Family.CELL, Family.JSON) for leaf in raw.leaves) or not picked:
        raise InputError(f"{file.path.name} holds no columns", where=str(file.path), next="check what wrote it")
    return f"(SELECT {', '.join([*picked, *_folders(file, roots, names)])} FROM {raw.relation} ORDER BY rn)"


def _parquet(con: DuckDBPyConnection, file: File, roots: Sequence[Path]) -> str:
    path = literal(plain_path(file.path))
    with input_errors(file.path.name, file.path):
        names = [row[0] for row in con.execute(f"SELECT name, num_children FROM parquet_schema({path})").fetchall()[1:]]
        top = con.sql(f"SELECT * FROM read_parquet({path}, hive_partitioning = false)").columns
    lowered = {c.lower() for c in names}
    if any(c.lower() not in lowered for c in top):  # DuckDB renames what differs only in case
        raise _twins(str(file.path), next(c for c in top if c.lower() not in lowered).rpartition("_")[0])
    check_width(len(top), str(file.path))
    extra = "".join(f", {column}" for column in _folders(file, roots, top))
    return f"(SELECT *{extra} FROM read_parquet({path}, hive_partitioning = false))"


def _folders(file: File, roots: Sequence[Path], names: Sequence[str]) -> list[str]:
    """Columns that the names of folders stand for."""
    here = file.path.absolute()
    root = next((r for r in roots if r in here.parents), here.parent)
    pairs = [part.split("=", 1) for part in here.relative_to(root).parts[:-1] if "=" in part.strip("=")]
    return [f"{literal(value)} AS {name(key)}" for key, value in pairs if key not in names]


def _check_names(names: Sequence[str], where: str) -> None:
    check_width(len(names), where)
    seen: set[str] = set()
    for column in names:
        if column.lower() in seen:
            raise _twins(where, column)
        seen.add(column.lower())


def _twins(where: str, twin: str) -> InputError:
    return InputError(
        f"two columns are named {twin!r}, but for upper and lower case", where=where,
        why="a Delta table tells no columns apart by case", next="rename one of them",
    )  # fmt: skip


def _typed(con: DuckDBPyConnection, parts: Sequence[str], texts: str) -> str:
    """Text columns with the types that all of their values fit; decided over all files, so that they agree."""
    stacked = f"({' UNION ALL BY NAME '.join(f'SELECT * FROM {part}' for part in parts)})"
    columns = con.sql(f"SELECT * FROM {stacked}").columns
    asks = [ask for column in columns for ask in _fits(name(column), texts)]
    found = one(con, f"SELECT {', '.join(asks)} FROM {stacked}")
    width = len(asks) // len(columns)
    picked = [
        f"{_cast(name(column), found[i * width : (i + 1) * width], texts)} AS {name(column)}"
        for i, column in enumerate(columns)
    ]
    return f"(SELECT {', '.join(picked)} FROM {stacked})"


def _fits(c: str, texts: str) -> list[str]:
    """Aggregates of one text column: values; those that are whole numbers, numbers, truths, plain texts, lists of numbers."""
    held = (
        c if texts == "json" else f"CASE WHEN NOT contains('{_MISSING}', '|' || lower(trim({c})) || '|') THEN {c} END"
    )
    code = f"regexp_full_match({held}, '[+-]?0[0-9]+.*|[+-]?[0-9]{{19,}}|\\+.*')"
    if texts == "json":
        code = f"regexp_full_match({held}, '[+-]?[0-9]{{19,}}')"
    number = f"TRY_CAST({held} AS DOUBLE) IS NOT NULL AND NOT {code} AND left({held}, 1) <> '\"'"
    flat = f"{held} LIKE '[%' AND {held} NOT LIKE '_%[%' AND NOT regexp_matches({held}, '[\"{{a-zN]')"
    tests = [
        "true", f"regexp_full_match({held}, '0|-?[1-9][0-9]*') AND TRY_CAST({held} AS BIGINT) IS NOT NULL", number,
        f"lower({held}) IN ('true', 'false')", f"left({held}, 1) = '\"'" if texts == "json" else "false",
        flat if texts == "json" else "false",
    ]  # fmt: skip
    return [how_many(f"{held} IS NOT NULL AND {test}") for test in tests]


def _cast(c: str, found: Sequence[int], texts: str) -> str:
    held, whole, number, truth, plain, flat = found
    if not held or held not in (whole, number, truth, plain, flat):
        return c
    cell = (
        c if texts == "json" else f"CASE WHEN NOT contains('{_MISSING}', '|' || lower(trim({c})) || '|') THEN {c} END"
    )
    for count, kind in ((whole, "BIGINT"), (number, "DOUBLE"), (truth, "BOOLEAN")):
        if count == held:
            return f"TRY_CAST({cell} AS {kind})"
    if plain == held:
        return f"json_extract_string({c}, '$')"
    return f"TRY_CAST({c}::JSON AS DOUBLE[])"


# ---------------------------------------------------------------- as Delta can hold it


def _storable(con: DuckDBPyConnection, relation: str) -> Content:
    described = con.sql(f"SELECT * FROM {relation}")
    check_width(len(described.columns), relation[:100])
    picked = []
    for column, kind in zip(described.columns, described.types, strict=True):
        target = _target(con, relation, column, kind)
        quoted = name(column)
        picked.append(quoted if target == str(kind) else f"CAST({quoted} AS {target}) AS {quoted}")
    return content_of(con, f"(SELECT {', '.join(picked)} FROM {relation})")


def _target(con: DuckDBPyConnection, relation: str, column: str, kind: Any) -> str:
    if kind.id == "timestamp_ns":
        fine = one(con, f"SELECT bool_and(epoch_ns({name(column)}) % 1000 = 0) FROM {relation}")[0]
        return "TIMESTAMP" if fine is not False else "VARCHAR"
    return _target_type(kind)


_WIDER = {
    "utinyint": "SMALLINT", "usmallint": "INTEGER", "uinteger": "BIGINT", "ubigint": "DECIMAL(20,0)",
    "timestamp_s": "TIMESTAMP", "timestamp_ms": "TIMESTAMP",
}  # fmt: skip
_KEPT = {
    "boolean", "tinyint", "smallint", "integer", "bigint", "float", "double", "decimal", "varchar", "blob", "date",
    "timestamp", "timestamp with time zone",
}  # fmt: skip


def _target_type(kind: Any) -> str:
    """The type, exact and at least as wide, that Delta has for one of DuckDB's; text where it has none."""
    match kind.id:
        case "list" | "array":
            return f"{_target_type(dict(kind.children)['child'])}[]"
        case "map":
            children = dict(kind.children)
            return f"MAP({_target_type(children['key'])}, {_target_type(children['value'])})"
        case "struct":
            return f"STRUCT({', '.join(f'{name(member)} {_target_type(inner)}' for member, inner in kind.children)})"
    if str(kind) != "JSON" and kind.id in _KEPT:
        return str(kind)
    return _WIDER.get(kind.id, "VARCHAR")
