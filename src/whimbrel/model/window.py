"""Which predictions: a stretch of time and the conditions that a slice puts on them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from whimbrel.errors import UsageError
from whimbrel.model.fields import GROUPS, SINGLES

OPERATORS = ("!=", ">=", "<=", "|=", "=", ">", "<")
SEVERAL = "|="
"""The operator whose value lists several: `hardware.host|=a|b` is one of them."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")


@dataclass(frozen=True, slots=True, order=True)
class Condition:
    r"""One condition of a slice: `context.country = US`. The value is text as given; it is compared in the field's kind.

    `context.country |= US|FR` holds for several values, parted by bars; a bar within one is written `\|`, a backslash `\\`.
    """

    path: str
    value: str
    op: str = "="

    @staticmethod
    def parse(text: str) -> Condition:
        """Read `path=value` (also `!=`, `<`, `>`, `<=`, `>=`, and `path|=one|other`); `context.` may be left out.

        Raises:
            UsageError: the text has no operator or no path.
        """
        found = re.match(r"\s*([^=!<>]+?)\s*(!=|>=|<=|\|=|=|>|<)(.*)", text, re.DOTALL)
        if not found:
            raise UsageError(
                f"cannot read the condition {text!r}", where="--where", why="it has no =, !=, < or >",
                next="write it as --where country=US",
            )  # fmt: skip
        path, op, value = found.groups()
        group = path.partition(".")[0]
        if path not in SINGLES and not ("." in path and group in GROUPS) and path not in ("id", "app"):
            path = f"context.{path}"
        read = Condition(path, value.strip(), op)
        return Condition.any_of(path, (one.strip() for one in read.values)) if op == SEVERAL else read

    @staticmethod
    def any_of(path: str, values: Iterable[str]) -> Condition:
        """The condition that a field has one of these values; of a single one, that it has this."""
        known = tuple(dict.fromkeys(values))
        if len(known) == 1:
            return Condition(path, known[0])
        return Condition(path, "|".join(re.sub(r"([|\\])", r"\\\1", one) for one in known), SEVERAL)

    @property
    def values(self) -> tuple[str, ...]:
        """The values that it names: several for `|=`, else one."""
        if self.op != SEVERAL:
            return (self.value,)
        parts = [""]
        for mark in re.findall(r"\\[|\\]|.", self.value, re.DOTALL):
            if mark == "|":
                parts.append("")
            else:
                parts[-1] += mark[-1]
        return tuple(parts)

    def __str__(self) -> str:
        return f"{self.path}{self.op}{self.value}"


Where = tuple[Condition, ...]
"""All conditions hold at once; `()` is all traffic."""


def where_of(mapping: Mapping[str, object]) -> Where:
    """Conditions from the mapping form: `{"context.country": "US"}`."""
    return tuple(sorted(Condition(path, _text(value)) for path, value in mapping.items()))


def where_dict(where: Iterable[Condition]) -> dict[str, str]:
    """Conditions as the report prints them: equality as path and value, others with the operator before the value.

    Several on one path stand beside each other: `{"inputs.fare": ">10 <20"}`. Several values of one are `{"context.country": "|=US|FR"}`.
    """
    out: dict[str, str] = {}
    for c in where:
        said = c.value if c.op == "=" else f"{c.op}{c.value}"
        out[c.path] = f"{out[c.path]} {said}" if c.path in out else said
    return out


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


@dataclass(frozen=True, slots=True)
class Window:
    """The predictions of one app with `since <= ts < until` for which every condition holds. Times are UTC."""

    app: str
    since: datetime | None = None
    until: datetime | None = None
    where: Where = ()

    def __post_init__(self) -> None:
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise UsageError(
                f"the window is empty: it starts at {iso(self.since)} and ends at {iso(self.until)}",
                why="--since must lie before --until", next="swap them, or use --last 24h",
            )  # fmt: skip

    @property
    def duration(self) -> timedelta | None:
        """How long the window is, where both ends are known."""
        return None if self.since is None or self.until is None else self.until - self.since


def parse_duration(text: str) -> timedelta:
    """Read `90s`, `30m`, `24h`, `7d`, `2w`.

    Raises:
        UsageError: not a number with one of these units.
    """
    found = _DURATION.fullmatch(text.strip())
    if not found:
        raise UsageError(f"cannot read the duration {text!r}", next="write it as 90s, 30m, 24h, 7d or 2w")
    return timedelta(seconds=float(found[1]) * _UNITS[found[2]])


def parse_time(text: str, *, now: datetime) -> datetime:
    """Read an ISO time (UTC where it names no zone) or a duration before `now`.

    Raises:
        UsageError: neither of the two.
    """
    if _DURATION.fullmatch(text.strip()):
        return now - parse_duration(text)
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            f"cannot read the time {text!r}", next="write it as 2026-11-19T14:05 (UTC), or 24h for a day ago"
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def iso(moment: datetime) -> str:
    """A time as every answer prints it: UTC, seconds (microseconds where there are any), `Z`."""
    moment = moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S") + (f".{moment.microsecond:06d}" if moment.microsecond else "") + "Z"


def micros(moment: datetime) -> int:
    """A time as microseconds since 1970, UTC, exactly."""
    return (moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def from_micros(us: int) -> datetime:
    """The time that `us` microseconds since 1970 are."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(us))
