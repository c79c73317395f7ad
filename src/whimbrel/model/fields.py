"""What a prediction is made of: fields, each with a path, a role on the way of the prediction, and a kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a value is stored. A value that does not fit its field's kind goes to the row's `rescued` map."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    TEXT = "text"
    TIME = "time"
    NUMBERS = "numbers"
    TEXTS = "texts"


class Role(StrEnum):
    """Where on the way of a prediction a field sits, in causal order."""

    CONTEXT = "context"
    HARDWARE = "hardware"
    MODEL = "model"
    CODE = "code"
    AGE = "age"
    INPUT = "inputs"
    STEP = "steps"
    OUTPUT = "outputs"
    DECISION = "decision"
    LABEL = "label"
    SPAN = "spans"
    USAGE = "usage"
    ERROR = "error"
    RECORDER = "recorder"


GROUPS: dict[str, Role] = {
    "inputs": Role.INPUT,
    "steps": Role.STEP,
    "code": Role.CODE,
    "model": Role.MODEL,
    "outputs": Role.OUTPUT,
    "decisions": Role.DECISION,
    "context": Role.CONTEXT,
    "hardware": Role.HARDWARE,
    "spans": Role.SPAN,
    "usage": Role.USAGE,
    "age": Role.AGE,
    "recorder": Role.RECORDER,
}
"""Groups of the flat table: the part of a column's name before its first dot."""

SINGLES: dict[str, Role] = {
    "decision": Role.DECISION,
    "label": Role.LABEL,
    "error": Role.ERROR,
}
"""Fields that stand alone, beside `id`, `ts`, `app` and `label_ts`."""


def split(path: str) -> tuple[str, ...]:
    """The parts of a path: group and name, or for a step its group, step and name. Names may hold further dots.

    >>> split("inputs.user.age")
    ('inputs', 'user.age')
    >>> split("steps.scale.fare")
    ('steps', 'scale', 'fare')
    >>> split("decision")
    ('decision',)
    """
    group, dot, rest = path.partition(".")
    if not dot:
        return (path,)
    if group == "steps":
        step, dot, name = rest.partition(".")
        return (group, step, name) if dot else (group, step, "value")
    return (group, rest)


def role_of(path: str) -> Role | None:
    """The role of a dotted path, or None where the path is none of the contract's."""
    group, dot, rest = path.partition(".")
    if not dot:
        return SINGLES.get(path)
    return GROUPS.get(group) if rest else None


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a prediction: `path` as in `--where`, in findings and in SQL."""

    path: str
    kind: Kind

    @property
    def role(self) -> Role:
        """Where on the way of the prediction the field sits."""
        role = role_of(self.path)
        assert role is not None, self.path
        return role

    @property
    def step(self) -> str:
        """The step that a `steps.` or `code.` field belongs to; empty for any other."""
        parts = split(self.path)
        return parts[1] if parts[0] in ("steps", "code") else ""


@dataclass(frozen=True, slots=True)
class Schema:
    """The fields of one app in the order in which they first appeared; steps run in that order."""

    fields: tuple[Field, ...] = ()

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def __contains__(self, path: object) -> bool:
        return any(field.path == path for field in self.fields)

    def __add__(self, other: Schema) -> Schema:
        """The union; where both know a path, the left one's kind stands."""
        known = {field.path for field in self.fields}
        return Schema(self.fields + tuple(field for field in other.fields if field.path not in known))

    def get(self, path: str) -> Field | None:
        """The field at a path, or None."""
        return next((field for field in self.fields if field.path == path), None)

    def of(self, *roles: Role) -> tuple[Field, ...]:
        """The fields with one of these roles, in order."""
        return tuple(field for field in self.fields if field.role in roles)

    @property
    def steps(self) -> tuple[str, ...]:
        """The names of the steps, in the order in which they run."""
        return tuple(dict.fromkeys(field.step for field in self.fields if field.role is Role.STEP))

    @staticmethod
    def from_pairs(pairs: Iterable[tuple[str, Kind]]) -> Schema:
        """A schema from (path, kind) pairs."""
        return Schema(tuple(Field(path, kind) for path, kind in pairs))
