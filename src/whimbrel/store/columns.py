"""Names: which of the contract's paths each arriving column is, by its own name or by a mapping.

A mapping is a dict, or a TOML file with one table that gives each of your names the contract's:

    [columns]
    request_time = "ts"
    fare = "inputs.fare"
    "features.*" = "inputs.*"     # every column that starts with "features."
    "*" = "inputs.*"              # every column that is not the contract's already
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from whimbrel.errors import InputError, UsageError
from whimbrel.model.fields import GROUPS, SINGLES, role_of, split
from whimbrel.store.leaves import Family, Leaf

SPECIAL = ("id", "ts", "app", "label_ts")
"""Columns of the contract that are no fields."""

_TIME_NAMES = ("timestamp", "time", "datetime", "date_time", "event_time", "eventtime", "created_at", "createdat", "date", "request_time",
               "logged_at", "occurred_at", "when", "t", "epoch", "unixtime", "@timestamp", "dteday", "time_hour")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Assigned:
    """The leaves by contract path, in order of first appearance; `special` holds id, ts, app, label_ts; `unknown` the rest."""

    fields: Mapping[str, Leaf]
    special: Mapping[str, Leaf]
    unknown: tuple[str, ...]


def canonical(name: str) -> str | None:
    """The contract's path for a name (`steps.scale` is `steps.scale.value`), or None where it is none of the contract's."""
    if name in SPECIAL or name in SINGLES:
        return name
    if role_of(name) is None or not name.isprintable():
        return None
    parts = split(name)
    return ".".join(parts) if all(parts) else None


def is_column(name: str) -> bool:
    """Whether predictions have a column of this name."""
    return canonical(name) is not None


def read_mapping(
    mapping: Mapping[str, str] | str | Path | None, *, allowed: Callable[[str], bool] = is_column
) -> dict[str, str]:
    """Their name to the contract's path, from a dict or a TOML file; `allowed` tells which paths there are.

    Raises:
        UsageError: the file cannot be read, has no [columns], or names a path that is none of the contract's.
    """
    if mapping is None:
        return {}
    where = "mapping"
    if isinstance(mapping, str | Path):
        where = str(mapping)
        try:
            loaded = tomllib.loads(Path(mapping).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(f"cannot read the mapping: {error}", where=where, next=_EXAMPLE) from error
        mapping = loaded.get("columns", {})
        if not isinstance(mapping, dict) or not mapping:
            raise UsageError("the mapping has no [columns] table", where=where, next=_EXAMPLE)
    for theirs, ours in mapping.items():
        _check_target(theirs, ours, where, allowed)
    return dict(mapping)


_EXAMPLE = 'write it as TOML: a line [columns], then lines like  fare = "inputs.fare"'


def _check_target(theirs: str, ours: object, where: str, allowed: Callable[[str], bool]) -> None:
    if isinstance(ours, str):
        sample = ours.removesuffix("*") + "x" if ours.endswith(".*") else ours
        if theirs.endswith("*") == ours.endswith("*") and allowed(sample):
            return
    raise UsageError(
        f"the mapping sends {theirs!r} to {ours!r}, which is no column of the contract", where=where,
        why=f"columns are {', '.join((*SPECIAL, *SINGLES))}, or start with {', '.join(g + '.' for g in GROUPS)}", next=_EXAMPLE,
    )  # fmt: skip


def assign(leaves: Iterable[Leaf], mapping: Mapping[str, str]) -> Assigned:
    """Give every leaf its contract path.

    Raises:
        UsageError: the mapping names columns and none of them is there.
    """
    fields: dict[str, Leaf] = {}
    special: dict[str, Leaf] = {}
    unknown: list[str] = []
    names: list[str] = []
    for leaf in leaves:
        names.append(leaf.name)
        path = canonical(_mapped(leaf.name, mapping))
        if path is None:
            unknown.append(leaf.name)
            continue
        place = special if path in SPECIAL else fields
        place[path] = _either(place[path], leaf) if path in place else leaf
    exact = [theirs for theirs in mapping if not theirs.endswith("*")]
    if exact and not set(exact) & set(names):
        raise UsageError(
            f"the mapping fits no column: it names {_listed(exact)}",
            why=f"the columns are {_listed(names)}", next="name the columns as they are spelled in the file",
        )  # fmt: skip
    return Assigned(fields, special, tuple(unknown))


def _mapped(name: str, mapping: Mapping[str, str]) -> str:
    if name in mapping:
        return mapping[name]
    stars = [theirs for theirs in mapping if len(theirs) > 1 and theirs.endswith("*") and name.startswith(theirs[:-1])]
    if stars:
        longest = max(stars, key=len)
        return mapping[longest][:-1] + name[len(longest) - 1 :]
    return mapping["*"][:-1] + name if "*" in mapping and canonical(name) is None else name


def _either(first: Leaf, second: Leaf) -> Leaf:
    """One leaf of two that bear the same path (a nested and a flat spelling in one file): the first that has a value."""
    if first.family is second.family:
        return Leaf(first.name, f"coalesce({first.sql}, {second.sql})", first.family, first.narrow and second.narrow)
    both = (leaf.sql if leaf.family is Family.JSON else f"to_json({leaf.sql})::VARCHAR" for leaf in (first, second))
    return Leaf(first.name, f"coalesce({', '.join(both)})", Family.JSON)


def unknown_warning(unknown: Iterable[str], group: str = "inputs") -> str:
    """What to say about columns that were kept out."""
    listed = list(unknown)
    example = next((n for n in listed if n.isprintable() and n), "column")
    verb = (
        "column is none of the contract's and was"
        if len(listed) == 1
        else "columns are none of the contract's and were"
    )
    return (
        f"{len(listed)} {verb} kept out: {_listed(listed)}; to take it in, map it: "
        f'--map mapping.toml with [columns] and {_toml_key(example)} = "{group}.{_tail(example)}"'
    )


def missing_ts(leaves: Iterable[Leaf], where: str) -> InputError:
    """The error for a table without `ts`, with the column that looks most like one."""
    leaves = list(leaves)
    names = [leaf.name for leaf in leaves]
    by_name = {name.lower().rpartition(".")[2]: name for name in reversed(names)}
    likely = next((by_name[n] for n in _TIME_NAMES if n in by_name), None)
    likely = likely or next((leaf.name for leaf in leaves if leaf.family is Family.TIME), None)
    if likely is None:
        close = get_close_matches("timestamp", by_name, n=1, cutoff=0.5)
        likely = by_name[close[0]] if close else None
    hint = f"{_toml_key(likely)} = " if likely else "your_time_column = "
    return InputError(
        "there is no `ts` column, and every prediction needs its time", where=where,
        why=f"the columns are {_listed(names)}" + (f"; {likely!r} looks like the time" if likely else ""),
        next=f'write a file mapping.toml with  [columns]  and below it  {hint}"ts"  and add --map mapping.toml',
    )  # fmt: skip


def _listed(names: Iterable[str], most: int = 12) -> str:
    names = list(names)
    shown = ", ".join(n if n.isprintable() and n.strip() == n and n else repr(n) for n in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "") or "none"


def _toml_key(name: str) -> str:
    bare = name and all(c.isascii() and (c.isalnum() or c in "_-") for c in name)
    return name if bare else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _tail(name: str) -> str:
    return name.rpartition(".")[2] or "name"
