"""Values as a person reads them: numbers, shares, times, slices; and recorded text made safe to look at.

In: values. Out: short strings, without markup or colour. Every renderer of this room speaks through these.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the command line speaks through this room too, and starts without the report's classes
    from whimbrel.model.report import Finding, Span
    from whimbrel.model.window import Condition

Unit = Callable[[float, int], str]
"""How a measure is written: a value and the digits it needs, to text."""

NOTHING = "–"
_UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def visible(text: object, most: int = 2000) -> str:
    r"""Text whose control, format and bidi characters are spelled out, cut after `most` characters.

    Escape sequences cannot paint the terminal, `\u202e` cannot turn a value around, and two values that only
    an invisible character tells apart look different.

    >>> visible("a\x1b[31mb\u202ec")
    'a\\x1b[31mb\\u202ec'
    """
    text = str(text)
    cut = len(text) > most
    text = text[:most] if cut else text
    if not (text.isascii() and text.isprintable()):
        text = "".join(_spelled(c) for c in text)
    return text + "…" if cut else text


def _spelled(c: str) -> str:
    kind = unicodedata.category(c)
    if kind in _UNSEEN or (kind == "Zs" and c not in " \u3000"):
        return _SHORT.get(c) or (f"\\x{ord(c):02x}" if ord(c) < 256 else c.encode("ascii", "backslashreplace").decode())
    return c


def number(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, thousands apart; `–` where there is none.

    >>> number(48211), number(0.0312345), number(1234.5), number(1e21)
    ('48,211', '0.0312', '1,234', '1e+21')
    """
    if isinstance(value, bool) or value != value:
        return NOTHING if value != value else str(value).lower()
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if float(value).is_integer() and size < 15:
        return f"{int(value):,}"
    if size < -4 or size >= 15:
        return f"{value:.{digits - 1}g}"
    places = max(digits - 1 - size, 0)
    whole, dot, rest = f"{value:,.{places}f}".partition(".")
    return (whole + dot + rest.rstrip("0")).rstrip(".")


def share(value: float, digits: int = 2) -> str:
    """A share as per cent; a share that is not quite none or all is never written as such.

    >>> share(0.18), share(0.011), share(0.99996), share(1), share(0)
    ('18%', '1.1%', '99.996%', '100%', '0%')
    """
    if not math.isfinite(value):
        return number(value)
    percent = value * 100
    rest = min(abs(percent), abs(100 - abs(percent)))
    if rest < 1e-4:
        return f"{percent:.0f}%"
    places = max(digits - 1 - math.floor(math.log10(rest)), 0) if rest < 10 else max(digits - 2, 0)
    whole, dot, tail = f"{percent:,.{places}f}".partition(".")
    return (whole + dot + tail.rstrip("0")).rstrip(".") + "%"


def unit_of(measure: str, values: Iterable[float]) -> Unit:
    """Whether a measure reads as per cent: its words say share or rate, and its values are shares."""
    words = measure.lower()
    said = any(word in words.replace("-", " ").split() for word in ("share", "rate", "part", "fraction", "probability"))
    return share if said and all(-1 <= v <= 1 for v in values if math.isfinite(v)) else number


def change(before: float, after: float, unit: Unit = number) -> str:
    """Two values with an arrow, with as many digits as it takes to tell them apart.

    >>> change(0.011, 0.306, share), change(1.0001, 1.0002)
    ('1.1% → 30.6%', '1.0001 → 1.0002')
    """
    for digits in range(3, 9):
        left, right = unit(before, digits), unit(after, digits)
        if left != right or before == after:
            break
    return f"{left} → {right}"


def aligned(pairs: Sequence[tuple[float, float]], unit: Unit = number) -> list[tuple[str, str]]:
    """Values before and after for a table's column: shares with the decimals that the closest pair needs, up to 3.

    >>> aligned([(0.011, 0.306), (0.0102, 0.16)], share)
    [('1.1%', '30.6%'), ('1.0%', '16.0%')]
    """
    if unit is not share:
        texts = (change(before, after, unit).partition(" → ") for before, after in pairs)
        return [(before, after) for before, _, after in texts]
    for places in (1, 2, 3):
        out = [(_percent(before, places), _percent(after, places)) for before, after in pairs]
        told = (one[0] != one[1] or math.isclose(*pair, rel_tol=0.02) for one, pair in zip(out, pairs, strict=True))
        if all(told):
            break
    return out


def _percent(value: float, places: int) -> str:
    return f"{value * 100:.{places}f}%" if math.isfinite(value) else number(value)


def moment(ts: datetime | None) -> str:
    """A time to the minute (to the second where it has any), UTC."""
    if ts is None:
        return NOTHING
    ts = ts.astimezone(UTC)
    return ts.strftime("%Y-%m-%d %H:%M:%S" if ts.second else "%Y-%m-%d %H:%M")


def took(seconds: float) -> str:
    """A length of time in the unit that a person would choose.

    >>> took(480), took(45), took(0.25), took(200000)
    ('8 min', '45 s', '0.25 s', '2.3 d')
    """
    size = abs(seconds)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if size >= length * (2 if unit == "d" else 1):
            return f"{seconds / length:.1f}".removesuffix(".0") + f" {unit}"
    return f"{number(seconds, 2)} s"


def size(n: int) -> str:
    """Bytes in the unit that a person would choose.

    >>> size(999), size(1_234_567)
    ('999 B', '1.23 MB')
    """
    power = min(max(len(str(n)) - 1, 0) // 3, 5)
    return f"{number(n / 1000**power)} {('B', 'kB', 'MB', 'GB', 'TB', 'PB')[power]}"


def lag(seconds: float) -> str:
    """When an event lay, seen from the onset: `8 min before`, `3 min after`, `at the same time`."""
    if abs(seconds) < 1:
        return "at the same time"
    return f"{took(abs(seconds))} {'before' if seconds > 0 else 'after'}"


def clipped(values: Iterable[object], most: int = 40) -> str:
    """A list in words, cut after `most`: `a, b and 3 more`."""
    values = list(values)
    said = ", ".join(visible(one, 200) for one in values[:most])
    return said + (f" and {len(values) - most} more" if len(values) > most else "")


def condition(one: Condition) -> tuple[str, str, str]:
    """A condition's path (without `context.`), operator and value."""
    return visible(one.path.removeprefix("context."), 200), one.op, visible(one.value, 200)


def slice_of(where: Sequence[Condition], nothing: str = "all traffic") -> str:
    """A slice as the sentence says it: `country=US and device=mobile`."""
    return " and ".join("".join(condition(one)) for one in where) or nothing


def stretch(span: Span) -> str:
    """A window or golden in words: name, predictions, from when to when, with what conditions."""
    parts = [visible(span.name, 200)] if span.name else []
    parts.append(f"{number(span.predictions)} prediction{'s' * (span.predictions != 1)}")
    if span.since or span.until:
        parts.append(between(span.since, span.until))
    if span.where:
        parts.append(slice_of(span.where))
    return ", ".join(parts)


def between(since: datetime | None, until: datetime | None) -> str:
    """A stretch of time in words; an open end is named as such."""
    if since is None or until is None:
        return f"{'up to' if until else 'from'} {moment(until or since)} UTC"
    return f"{moment(since)} to {moment(until)} UTC"


def finding_sentence(finding: Finding) -> str:
    """One finding as a line: verdict word, layer, component, what, slice and onset."""
    word = "FAULT" if finding.harmful else "NOTICE"
    where = f" for {slice_of(finding.where)}" if finding.where else ""
    since = f", since {moment(finding.since)}" if finding.since else ""
    what = f"`{visible(finding.component, 200)}` {visible(finding.what)}"
    return f"{word} in {visible(finding.layer)}: {what}{where}{since}"


_HARMS: dict[str, str] = {
    "labels_worse": "{share} more labels of the worse kinds",
    "decisions_flipped": "{share} of decisions flipped in the slice",
    "score_moved_sd": "score moved by {number} of golden's standard deviations",
    "errors": "{share} more of its predictions fail",
    "share_of_traffic": "{share} of traffic is hit",
}
"""What the diagnosis measures most, said in full; any other harm is said by its name."""


def harms(harm: Mapping[str, float]) -> list[str]:
    """Measured harm in words, a phrase each; `x_before` and `x_after` become one."""
    said = []
    for key, value in sorted(harm.items(), key=lambda one: one[0] == "share_of_traffic"):
        name, _, side = key.rpartition("_")
        if side == "after" and f"{name}_before" in harm:
            continue
        if side == "before" and f"{name}_after" in harm:
            after = harm[f"{name}_after"]
            said.append(f"{_named(name)} {change(value, after, _harm_unit(name, (value, after)))}")
        elif key in _HARMS and math.isfinite(value):
            said.append(_HARMS[key].format(share=share(value), number=number(value)))
        elif name and side == "ratio":
            said.append(f"{_named(name)} {number(value)} times golden's")
        else:
            said.append(f"{_named(key)} {_harm_unit(key, (value,))(value, 3)}")
    return said


def _named(key: str) -> str:
    return visible(key, 100).replace("_", " ")


def _harm_unit(key: str, values: Iterable[float]) -> Unit:
    return unit_of(key.replace("_", " "), values)
