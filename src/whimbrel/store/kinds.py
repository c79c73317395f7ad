"""Kinds: how each leaf's values are stored, and the SQL that tells those that fit from those that do not.

In: leaves and what a batch holds of each (`Facts`). Out: a kind, fixed once a field has its first value, and for every
leaf the SQL of its typed value and of the condition under which the value goes to `rescued` instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from whimbrel.model.fields import Kind, split
from whimbrel.store.leaves import Family, Leaf
from whimbrel.store.sql import how_many

SQL_TYPES = {
    Kind.NUMBER: "DOUBLE", Kind.BOOLEAN: "BOOLEAN", Kind.TEXT: "VARCHAR", Kind.TIME: "TIMESTAMPTZ",
    Kind.NUMBERS: "DOUBLE[]", Kind.TEXTS: "VARCHAR[]",
}  # fmt: skip

_FIXED = {"context": Kind.TEXT, "code": Kind.TEXT, "model": Kind.TEXT, "error": Kind.TEXT,
          "spans": Kind.NUMBER, "usage": Kind.NUMBER, "age": Kind.NUMBER}  # fmt: skip

_EXACT = 2**53
"""From here on a double no longer holds every integer, nor tells whether it was rounded."""

_MOSTLY = 0.95
"""A CSV column is numeric where this share of its cells are numbers; what is left over is rescued."""

_MISSING = "||na|n/a|nan|null|none|"
"""What a CSV cell says where there is no number. Not SQL's IN: DuckDB makes a join of a long IN, even in a branch never taken."""


def fixed_kind(path: str) -> Kind | None:
    """The kind that the contract itself gives a path, or None where the values decide."""
    return _FIXED.get(split(path)[0])


@dataclass(frozen=True, slots=True)
class Facts:
    """How many values of a leaf would fit each kind in one batch; `big` integers are too large for a double."""

    counts: Mapping[Kind, int] = field(default_factory=dict)
    big: int = 0

    @property
    def big_integers(self) -> bool:
        """Whether these are large integers, ids mostly, which are kept as text."""
        return 2 * self.big >= max(self.counts.get(Kind.NUMBER, 0), 1)


_OWN = {Family.BOOLEAN: Kind.BOOLEAN, Family.TEXT: Kind.TEXT, Family.TIME: Kind.TIME, Family.NUMBERS: Kind.NUMBERS, Family.TEXTS: Kind.TEXTS}  # fmt: skip


def value_of(leaf: Leaf) -> str:
    """SQL of a leaf's values as they are looked at: NaN is none."""
    return without_nan(leaf.sql) if leaf.family is Family.FLOAT else leaf.sql


def without_nan(c: str) -> str:
    """SQL of a float, NULL where it is NaN.

    Not `isnan` nor `= 'NaN'`: DuckDB answers those from a Parquet file's least and greatest value, and most writers leave NaN
    out of these. `isfinite` looks at the values.
    """
    return f"CASE WHEN isfinite({c}) OR abs({c}) = 'Infinity'::DOUBLE THEN {c} END"


def facts_sql(leaf: Leaf, c: str) -> dict[str, str]:
    """Aggregates over column `c`, `value_of` the leaf, from which `facts` is read: kind's name, or `big`, to SQL."""
    if leaf.family in _OWN:
        return {_OWN[leaf.family]: f"count({c})"}
    if leaf.family is Family.FLOAT:
        return {Kind.NUMBER: f"count({c})"}
    if leaf.family is Family.INTEGER:
        return {Kind.NUMBER: f"count({c})"} | ({} if leaf.narrow else {"big": how_many(_big_integer(c))})
    if leaf.family is Family.CELL:
        v = f"trim({c})"
        held = _held(c)
        return {
            "": f"count(CASE WHEN {held} THEN {c} END)",
            Kind.NUMBER: f"count(CASE WHEN {held} THEN TRY_CAST({v} AS DOUBLE) END)",
            "big": how_many(_big_text(v)),
            Kind.BOOLEAN: how_many(f"lower({v}) IN ('true', 'false')"),
            Kind.TIME: f"count(CASE WHEN {_iso(v)} THEN TRY_CAST({v} AS TIMESTAMPTZ) END)",
            Kind.NUMBERS: how_many(f"{_number_list(v)} AND json_valid({v})"),
            Kind.TEXTS: how_many(f"{v} LIKE '[%' AND NOT {_number_list(v)} AND json_valid({v})"),
        }
    text = text_of(leaf, c)
    return {
        Kind.NUMBER: how_many(f"{_json_number(c)} AND {c} <> 'NaN'"),
        "big": how_many(_big_text(c)),
        Kind.BOOLEAN: how_many(f"{c} IN ('true', 'false')"),
        Kind.TEXT: how_many(f"left({c}, 1) = '\"'"),
        Kind.TIME: f"count(CASE WHEN left({c}, 1) = '\"' AND {_iso(text)} THEN TRY_CAST({text} AS TIMESTAMPTZ) END)",
        Kind.NUMBERS: how_many(_number_list(c)),
        Kind.TEXTS: how_many(f"{c} LIKE '[%' AND NOT {_number_list(c)}"),
    }


def decide(leaf: Leaf, counts: Mapping[str, int]) -> tuple[Kind | None, Facts]:
    """The kind that a batch's values ask for (None where it holds none), and the facts behind it."""
    found = {kind: counts[kind] for kind in Kind if counts.get(kind)}
    facts = Facts(found, counts.get("big", 0))
    if not found and not counts.get(""):
        return None, facts
    if found.get(Kind.NUMBER) and facts.big_integers:
        return Kind.TEXT, facts
    if leaf.family is Family.CELL:
        held = counts[""]
        if found.get(Kind.NUMBER, 0) >= _MOSTLY * held:
            return Kind.NUMBER, facts
        lists = found.get(Kind.NUMBERS, 0) + found.get(Kind.TEXTS, 0)
        if lists == held:
            return (Kind.TEXTS if Kind.TEXTS in found else Kind.NUMBERS), facts
        return next((k for k in (Kind.BOOLEAN, Kind.TIME) if found.get(k) == held), Kind.TEXT), facts
    if leaf.family is Family.JSON and found.get(Kind.TIME) == found.get(Kind.TEXT):
        found.pop(Kind.TEXT, None)  # every text is a time
    return max(found, key=lambda kind: (found[kind], kind is Kind.TEXT)), facts


@dataclass(frozen=True, slots=True)
class Fit:
    """How a value is read, in three steps so that none is computed twice.

    `parsed` is SQL over the column, `value` over the column and what was parsed, `misfit` over the column and the typed value;
    None where there is nothing to parse, and where every value fits.
    """

    parsed: str | None
    value: str
    misfit: str | None


def fit(leaf: Leaf, c: str, p: str, v: str, kind: Kind, *, as_text: bool) -> Fit:
    """How the values of column `c` are read as `kind`; `p` and `v` are the names that the parsed and the typed value will have.

    `as_text`: the contract makes this a text, or its integers are kept as text; scalars are then spelled out.
    """
    if kind is Kind.TEXT and (as_text or leaf.family in (Family.TEXT, Family.CELL)):
        return Fit(None, text_of(leaf, c), None)
    if leaf.family is Family.CELL:
        return _parsing(f"trim({c})", c, p, v, kind, _held(c))
    if leaf.family is Family.JSON:
        if kind is Kind.TEXT:
            return Fit(
                None, f"CASE WHEN left({c}, 1) = '\"' THEN {text_of(leaf, c)} END", f"({c} IS NOT NULL AND {v} IS NULL)"
            )
        return _parsing(c if kind is not Kind.TIME else text_of(leaf, c), c, p, v, kind, f"{c} <> 'NaN'")
    if leaf.family is Family.FLOAT and kind is Kind.NUMBER:
        return Fit(None, c, None)
    if leaf.family is Family.INTEGER and kind is Kind.NUMBER:
        if leaf.narrow:
            return Fit(None, f"{c}::DOUBLE", None)
        return Fit(
            None, f"CASE WHEN NOT ({_big_integer(c)}) THEN {c}::DOUBLE END", f"({c} IS NOT NULL AND {v} IS NULL)"
        )
    if _OWN.get(leaf.family) is kind:
        if kind is Kind.TIME:
            return Fit(None, f"CASE WHEN isfinite({c}) THEN {c} END", f"({c} IS NOT NULL AND {v} IS NULL)")
        return Fit(None, c, None)
    return Fit(None, f"NULL::{SQL_TYPES[kind]}", f"({c} IS NOT NULL)")


def _parsing(text: str, c: str, p: str, v: str, kind: Kind, held: str) -> Fit:
    """A value read out of `text`, JSON's or a CSV cell's; NULL where it is of another kind. `held`: the cell is not empty."""
    misfit = f"CASE WHEN {c} IS NOT NULL AND {v} IS NULL THEN {held} ELSE false END"
    match kind:
        case Kind.NUMBER:
            whole = f"regexp_full_match(trim({c}), '[+-]?[0-9]+')"
            value = f"CASE WHEN abs({p}) >= {_EXACT} THEN CASE WHEN isnan({p}) OR {whole} THEN NULL ELSE {p} END ELSE {p} END"
            return Fit(f"TRY_CAST({c} AS DOUBLE)", value, misfit)
        case Kind.BOOLEAN:
            return Fit(None, f"CASE lower({text}) WHEN 'true' THEN true WHEN 'false' THEN false END", misfit)
        case Kind.TIME:
            return Fit(
                f"CASE WHEN {_iso(text)} THEN TRY_CAST({text} AS TIMESTAMPTZ) END",
                f"CASE WHEN isfinite({p}) THEN {p} END",
                misfit,
            )
        case Kind.NUMBERS:
            return Fit(
                None, f"CASE WHEN {_number_list(text)} THEN TRY_CAST(TRY_CAST({text} AS JSON) AS DOUBLE[]) END", misfit
            )
    return Fit(None, f"CASE WHEN {text} LIKE '[%' THEN TRY_CAST(TRY_CAST({text} AS JSON) AS VARCHAR[]) END", misfit)


def text_of(leaf: Leaf, c: str) -> str:
    """SQL that spells a value out: whole numbers without a point, JSON for lists, times in ISO form."""
    match leaf.family:
        case Family.TEXT | Family.CELL:
            return c
        case Family.FLOAT:
            whole = f"CASE WHEN {c} = trunc({c}) AND abs({c}) < 1e15 THEN TRY_CAST({c} AS BIGINT)::VARCHAR END"
            return f"coalesce({whole}, ({without_nan(c)})::VARCHAR)"
        case Family.TIME:
            return f"CASE WHEN isfinite({c}) THEN strftime({c}, '%Y-%m-%dT%H:%M:%S.%fZ') ELSE {c}::VARCHAR END"
        case Family.NUMBERS | Family.TEXTS:
            return f"to_json({c})::VARCHAR"
        case Family.JSON:
            plain = f"CASE WHEN contains({c}, '\\') THEN json_extract_string({c}, '$') ELSE {c}[2:-2] END"
            return f"CASE WHEN left({c}, 1) = '\"' THEN {plain} ELSE {c} END"
    return f"{c}::VARCHAR"


def _held(c: str) -> str:
    """Whether a CSV cell holds anything."""
    return f"NOT contains('{_MISSING}', '|' || lower(trim({c})) || '|')"


def _big_integer(c: str) -> str:
    return f"{c} >= {_EXACT} OR {c} <= -{_EXACT}"


def _big_text(v: str) -> str:
    return f"length({v}) >= 16 AND regexp_full_match({v}, '[+-]?[0-9]+') AND abs(TRY_CAST({v} AS DOUBLE)) >= {_EXACT}"


def _json_number(c: str) -> str:
    return f"(left({c}, 1) BETWEEN '-' AND '9' OR left({c}, 1) IN ('N', 'I'))"


def _iso(v: str) -> str:
    return f"{v} LIKE '____-__-__%'"


def _number_list(v: str) -> str:
    """A JSON list of numbers and nulls: no text, no object, no list, no boolean in it."""
    others = " AND ".join(f"NOT contains({v}, '{sign}')" for sign in ('"', "{", "true", "false"))
    return f"({v} LIKE '[%' AND {v} NOT LIKE '_%[%' AND {others})"
