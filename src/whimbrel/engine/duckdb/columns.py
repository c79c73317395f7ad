"""From fields to the columns that are profiled: a list is its length, mean and norm; a time is how old it is."""

from __future__ import annotations

from collections.abc import Iterator

from whimbrel.engine.duckdb.view import quoted
from whimbrel.model.fields import Field, Kind, Schema

LENGTH, MEAN, NORM, LAG = "#length", "#mean", "#norm", "#lag"
NAN = "'nan'::DOUBLE"


def columns_of(item: Field) -> Iterator[str]:
    """The names of the columns that a field is profiled by, the field's own first."""
    if item.kind is Kind.NUMBERS:
        yield from (item.path + LENGTH, item.path + MEAN, item.path + NORM)
    elif item.kind is Kind.TEXTS:
        yield item.path + LENGTH
    elif item.kind is Kind.TIME:
        yield item.path + LAG
    else:
        yield item.path


def field_of(schema: Schema, column: str) -> tuple[Field | None, str]:
    """The field behind a column, None where the schema lacks it, and the suffix that was added to its path."""
    found = schema.get(column)
    if found is not None:
        return found, ""
    path, mark, suffix = column.rpartition("#")
    return (schema.get(path), mark + suffix) if mark + suffix in (LENGTH, MEAN, NORM, LAG) else (None, "")


def number(item: Field, suffix: str) -> str:
    """The expression of a numeric column over the flat view; NULL where there is none."""
    name = quoted(item.path)
    if suffix == LENGTH:
        return f"len({name})::DOUBLE"
    if suffix == MEAN:
        return f"list_avg({name})"
    if suffix == NORM:
        return f"sqrt(list_sum(list_transform({name}, lambda x: x * x)))"
    if suffix == LAG:
        return f"(ts - {name}) / 1e6"
    return name
