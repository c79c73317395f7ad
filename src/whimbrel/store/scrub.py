r"""Free text without what identifies a person: e-mail addresses, phone numbers, cards, IBANs, and patterns of one's own.

In: flat records on their way into the log, and the `[scrub]` table of a policy. Out: the same records, with `[email]` and
so on in the texts of the paths that it names, and how many there were. It runs here and not in the app, for it takes
hundreds of microseconds a prompt. `store/ingest.py` calls.

    [scrub]
    paths = ["inputs.prompt", "steps.*.text"]
    find = ["email", "phone", "card", "iban"]    # all four, where it is left out

    [scrub.patterns]
    order = 'ORD-\d{6}'                          # becomes [order]
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from itertools import combinations
from typing import Any

from whimbrel.errors import UsageError
from whimbrel.record.policy import read_table

Replace = Callable[[str], tuple[str, int]]
"""A text as it may be kept, and how much was replaced in it."""

_EMAIL = re.compile(r"[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")
_PHONE = re.compile(
    r"""(?<![\w+.,-])(?:
        (?:\+|00)[1-9](?:[ ./()-]{0,3}\d){6,13}          # +43 1 234 56 78, 0049 (0)30/123456
      | \(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}                  # (202) 555-0147
      | \(?0\d{2,4}\)?[ /-]{1,3}\d(?:[ /-]?\d){4,9}      # 0664/1234567
      | 0\d(?:[ .]\d\d){4}                               # 01 23 45 67 89
    )(?!\w)""",
    re.VERBOSE,
)
_DIGITS = re.compile(r"(?<!\d)\d{3,19}(?:[ -]\d{3,19}){0,20}(?!\d)")
_IBAN = re.compile(r"(?<![^\W_])[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}(?![^\W_])", re.IGNORECASE | re.ASCII)
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,30}")


@dataclass(frozen=True)
class Scrub:
    """What is replaced (`find`, and `patterns` by name), and in the texts of which `paths`: patterns with `*`."""

    paths: tuple[str, ...] = ()
    find: tuple[str, ...] = ("email", "phone", "card", "iban")
    patterns: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def load() -> Scrub:
        """The `[scrub]` table of the policy that recorders here would read; nothing is replaced where there is none.

        Raises:
            UsageError: it makes no sense.
        """
        return Scrub.of(*read_table("scrub"))

    @staticmethod
    def of(table: Mapping[str, Any], where: str) -> Scrub:
        """The table's value.

        Raises:
            UsageError: a key or a value makes no sense, or a pattern is none.
        """
        for key, value in table.items():
            texts = isinstance(value, list) and all(isinstance(item, str) and item for item in value)
            sane = {
                "paths": texts,
                "find": texts and set(value) <= _FINDERS.keys(),
                "patterns": isinstance(value, dict),
            }
            if not sane.get(key):
                raise UsageError(
                    f"scrub: {key} = {value!r} makes no sense", where=f"{where}, [scrub]", next="correct it: docs/policy.md",
                    why=f"it knows paths (a list), find (of {', '.join(_FINDERS)}) and the table patterns",
                )  # fmt: skip
        patterns = table.get("patterns", {})
        for name, pattern in patterns.items():
            _check_pattern(name, pattern, f"{where}, [scrub.patterns]")
        if table and not table.get("paths"):
            raise UsageError(
                "scrub names no paths", where=f"{where}, [scrub]", why="each text takes hundreds of microseconds",
                next='say where free text comes: paths = ["inputs.prompt"]',
            )  # fmt: skip
        return Scrub(tuple(table.get("paths", ())), tuple(table.get("find", _FINDERS)), tuple(patterns.items()))

    def clean(self, rows: Iterable[dict[str, Any]]) -> int:
        """Replace in place; returns in how many places. `recorder.scrubbed` of a prediction says how many were its own.

        Rows are predictions and labels by path, or late decisions: `path` and `value`.
        """
        if not self.paths:
            return 0
        total = 0
        for row in rows:
            count = 0
            if "path" in row:
                if self._fits(row["path"]):
                    row["value"], count = self._cleaned(row["value"])
            else:
                for path in [path for path in row if self._fits(path)]:
                    row[path], found = self._cleaned(row[path])
                    count += found
                if count and "ts" in row:
                    row["recorder.scrubbed"] = count
            total += count
        return total

    @cached_property
    def _known(self) -> dict[str, bool]:
        return {}

    @cached_property
    def _replacements(self) -> tuple[Replace, ...]:
        own = (_plain(re.compile(pattern), name) for name, pattern in self.patterns)
        return (*own, *(replace for name, replace in _FINDERS.items() if name in self.find))

    def _fits(self, path: str) -> bool:
        if path in ("id", "ts", "label_ts"):
            return False
        if path not in self._known:
            self._known[path] = any(fnmatchcase(path, pattern) for pattern in self.paths)
        return self._known[path]

    def _cleaned(self, value: Any) -> tuple[Any, int]:
        if isinstance(value, list):
            parts = [self._cleaned(item) for item in value]
            return [part for part, _ in parts], sum(count for _, count in parts)
        total = 0
        if isinstance(value, str):
            for replace in self._replacements:
                value, count = replace(value)
                total += count
        return value, total


def _check_pattern(name: str, pattern: object, where: str) -> None:
    why = "names are lower-case words"
    try:
        if _NAME.fullmatch(name) and isinstance(pattern, str) and not re.compile(pattern).search(""):
            return
        why += ", patterns are regular expressions that do not fit an empty text"
    except re.error as error:
        why = f"it is no regular expression: {error}"
    raise UsageError(f"{name} = {pattern!r} makes no sense", where=where, why=why, next="correct it: docs/policy.md")


def _plain(pattern: re.Pattern[str], name: str) -> Replace:
    return lambda text: pattern.subn(f"[{name}]", text)


def _within(pattern: re.Pattern[str], inner: Replace) -> Replace:
    """What replaces within each stretch that a pattern finds."""

    def replace(text: str) -> tuple[str, int]:
        total = 0

        def one(match: re.Match[str]) -> str:
            nonlocal total
            said, count = inner(match[0])
            total += count
            return said

        return pattern.sub(one, text), total

    return replace


def _card(stretch: str) -> tuple[str, int]:
    """A stretch of digits in groups with each card in it replaced: 13 to 19 digits in whole groups that pass Luhn's test."""
    groups = [match.span() for match in re.finditer(r"\d+", stretch)]
    for first, last in combinations(range(len(groups) + 1), 2):
        begin, end = groups[first][0], groups[last - 1][1]
        digits = stretch[begin:end].replace(" ", "").replace("-", "")
        if 13 <= len(digits) <= 19 and digits[0] in "23456" and _luhn(digits):
            rest, count = _card(stretch[end:])
            return f"{stretch[:begin]}[card]{rest}", count + 1
    return stretch, 0


def _luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B: every second digit from the right counts double, by its digit sum."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def _iban(stretch: str) -> tuple[str, int]:
    """A stretch that begins as an IBAN does, with the longest beginning replaced that has its check digits right."""
    for end in range(len(stretch), 14, -1):
        plain = stretch[:end].replace(" ", "").replace("-", "").upper()
        if len(plain) >= 15 and stretch[end - 1].isalnum() and _checks(plain):
            return f"[iban]{stretch[end:]}", 1
    return stretch, 0


def _checks(iban: str) -> bool:
    """ISO 13616: the first four characters at the end and letters as 10 to 35, it is 1 modulo 97."""
    return int("".join(str(int(letter, 36)) for letter in iban[4:] + iban[:4])) % 97 == 1


_FINDERS: dict[str, Replace] = {
    "email": lambda text: _plain(_EMAIL, "email")(text) if "@" in text else (text, 0),
    "iban": _within(_IBAN, _iban),
    "card": _within(_DIGITS, _card),
    "phone": _plain(_PHONE, "phone"),
}
"""In this order: what has a checksum goes before what has none."""
