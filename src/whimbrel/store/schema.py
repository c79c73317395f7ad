"""The table of predictions: Whimbrel's fields as Delta's nested columns, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from whimbrel.model.fields import GROUPS, SINGLES, Field, Kind, Schema, split

if TYPE_CHECKING:
    from deltalake import DeltaTable


def delta_fields(schema: Schema, *, label_ts: bool) -> list[Any]:
    """Delta's columns for these fields, beside the ones that every table of predictions has: id, ts, day, rescued."""
    from deltalake import Field as DeltaField
    from deltalake.schema import MapType, PrimitiveType, StructType

    columns = [DeltaField(*pair) for pair in (("id", PrimitiveType("string")), ("ts", PrimitiveType("timestamp")), ("day", PrimitiveType("date")))]  # fmt: skip
    groups: dict[str, list[Field]] = {}
    for field in schema:
        parts = split(field.path)
        if len(parts) == 1:
            columns.append(DeltaField(field.path, _delta_type(field.kind)))
        else:
            groups.setdefault(parts[0], []).append(field)
    if label_ts:
        columns.append(DeltaField("label_ts", PrimitiveType("timestamp")))
    for group in GROUPS:
        if group in groups:
            columns.append(DeltaField(group, StructType(_members(groups[group]))))
    return [*columns, DeltaField("rescued", MapType(PrimitiveType("string"), PrimitiveType("string")))]


def _members(fields: Iterable[Field]) -> list[Any]:
    from deltalake import Field as DeltaField
    from deltalake.schema import StructType

    flat: dict[str, Any] = {}
    for field in fields:
        parts = split(field.path)
        if len(parts) == 2:
            flat[parts[1]] = _delta_type(field.kind)
        else:
            flat.setdefault(parts[1], []).append(DeltaField(parts[2], _delta_type(field.kind)))
    return [DeltaField(key, StructType(kind) if isinstance(kind, list) else kind) for key, kind in flat.items()]


def _delta_type(kind: Kind) -> Any:
    from deltalake.schema import ArrayType, PrimitiveType

    match kind:
        case Kind.NUMBERS:
            return ArrayType(PrimitiveType("double"))
        case Kind.TEXTS:
            return ArrayType(PrimitiveType("string"))
    return PrimitiveType(
        {Kind.NUMBER: "double", Kind.BOOLEAN: "boolean", Kind.TEXT: "string", Kind.TIME: "timestamp"}[kind]
    )


def read_schema(delta: DeltaTable) -> Schema:
    """The fields of an opened table of predictions, in order of first appearance."""
    found: list[Field] = []
    for column in delta.schema().fields:
        if column.name in SINGLES:
            found.append(Field(column.name, _kind(column.type)))
        elif column.name in GROUPS:
            found.extend(_fields(column.name, column.type, 2 if column.name == "steps" else 1))
    return Schema(tuple(found))


def _fields(path: str, struct: Any, depth: int) -> Iterable[Field]:
    for member in struct.fields:
        if depth > 1:
            yield from _fields(f"{path}.{member.name}", member.type, depth - 1)
        else:
            yield Field(f"{path}.{member.name}", _kind(member.type))


def _kind(kind: Any) -> Kind:
    element = getattr(kind, "element_type", None)
    if element is not None:
        return Kind.NUMBERS if element.type == "double" else Kind.TEXTS
    return {"double": Kind.NUMBER, "boolean": Kind.BOOLEAN, "timestamp": Kind.TIME}.get(kind.type, Kind.TEXT)
