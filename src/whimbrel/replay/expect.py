"""What a later run must give: whether an answer meets what was recorded, a label, a range or a text rule.

In: a rule and flat values. Out: what is not met, in words. An exported session carries these functions in its own file, so
they use the standard library and `record.py` alone.
"""

from __future__ import annotations

import re
from typing import Any

from whimbrel.errors import UsageError
from whimbrel.replay.record import Record, gap

RULES = "recorded, label, range:LOW..HIGH or text:REGEX"


def check_rule(rule: str) -> None:
    """Refuse what is no rule.

    Raises:
        UsageError: it is none of `RULES`.
    """
    kind, _, rest = rule.partition(":")
    why = ""
    try:
        if kind == "range":
            low, high = (float(bound) for bound in rest.split(".."))
            why = "" if low <= high else f"{low:g} lies above {high:g}"
        elif kind == "text":
            re.compile(rest)
        elif rule not in ("recorded", "label"):
            why = "it is no rule"
    except (ValueError, re.error) as error:
        why = str(error)
    if why:
        raise UsageError(f"cannot expect {rule!r}", where="--expect", why=why, next=f"write {RULES}")


def unmet(rule: str, wanted: Record, label: Any, out: Record, tolerance: float) -> tuple[str, str]:
    """The first field that does not meet a rule, and why, in words; two empty texts where all is met.

    `recorded`: each field of `wanted` within a relative `tolerance`. `label`: a text output equals it, a number lies nearer to
    it than 0.5. `range:LOW..HIGH`: the main output lies in it. `text:REGEX`: the main output matches it somewhere.
    """
    kind, _, rest = rule.partition(":")
    if kind == "recorded":
        for path, value in wanted.items():
            if gap(value, out.get(path)) > tolerance:
                return path, f"{value!r} was recorded, {out.get(path)!r} came"
        return "", ""
    path, value = main_output(out, text=kind == "text" or isinstance(label, str))
    if value is None:
        return "outputs", "no output came"
    number = isinstance(value, int | float)
    if kind == "label":
        near = abs(value - label) < 0.5 if number and isinstance(label, int | float) else str(value) == str(label)
        return ("", "") if near else (path, f"the label is {label!r}, {value!r} came")
    if kind == "range":
        low, high = (float(bound) for bound in rest.split(".."))
        return ("", "") if number and low <= value <= high else (path, f"{value!r} came, outside {rest}")
    return ("", "") if re.search(rest, str(value)) else (path, f"{value!r} came, which does not match {rest!r}")


def main_output(out: Record, *, text: bool) -> tuple[str, Any]:
    """The output that a rule speaks of: the first text where one is asked for, else the score, else the first there is."""
    outputs = {path: value for path, value in out.items() if path.startswith("outputs.") and value is not None}
    if text:
        for path, value in outputs.items():
            if isinstance(value, str):
                return path, value
    if "outputs.score" in outputs:
        return "outputs.score", outputs["outputs.score"]
    return next(iter(outputs.items()), ("", None))
