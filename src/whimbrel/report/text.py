"""A diagnosis for a terminal: the sentence, its evidence, harm, what was cleared, what cannot be told, what to do next.

In: a `Report`. Out: plain text without a trailing newline, coloured only when asked; no line is wider than `width`
columns but for the next command, which stays whole so that it can be copied.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

from whimbrel.model.report import Finding, Report, Traffic
from whimbrel.report.words import clipped, finding_sentence, harms, lag, moment, stretch, visible

Line = tuple[str, str]
"""A label (`exact`, `harm`, `cleared`, …) and what stands beside it."""

_COLOURS = {"fault": "1;31", "notice": "1;33", "healthy": "1;32", "insufficient": "1;36"}
_EVENTS_SHOWN = 5


def report(report: Report, *, width: int = 80, color: bool = False, most: int = 5) -> str:
    """The report as text; of many findings the first `most` are told, the others counted."""
    width = max(width, 40)
    ink = _COLOURS[report.verdict] if color else ""
    out = list(wrapped(visible(report.sentence), width, first=ink))
    out += table(lines(report, most), width, color=color)
    command = next((one.next for one in report.findings if one.next), "")
    if command:
        out.append(f"{paint('next:', '1', color)} {visible(command)}")
    return "\n".join(out)


def lines(report: Report, most: int = 5) -> list[Line]:
    """What stands under the sentence: proof, other findings, traffic, what was cleared, what was not, the windows."""
    out = list(_proof(report.findings[0])) if report.findings else []
    rest = report.findings[1:most]
    out += [("also", finding_sentence(one)) for one in rest]
    left = len(report.findings) - 1 - len(rest)
    if left > 0:
        out.append(("", f"and {left} more finding{'s' * (left > 1)}: --json and --html list them all"))
    return out + list(_around(report))


def _proof(finding: Finding) -> Iterator[Line]:
    for evidence in finding.evidence:
        yield visible(evidence.kind, 16), visible(evidence.says)
    if finding.harm or not finding.harmful:
        yield "harm", "; ".join(harms(finding.harm)) or "none measured"
    for event in finding.events[:_EVENTS_SHOWN]:
        yield "event", f"{visible(event.kind)} {visible(event.what)}, {lag(event.lag_s)} ({moment(event.ts)})"
    if finding.victims:
        yield "victims", clipped(finding.victims)


def _around(report: Report) -> Iterator[Line]:
    for one in report.traffic:
        yield "traffic", _traffic(one)
    if report.cleared:
        yield "cleared", f"{', '.join(visible(layer) for layer in report.cleared)}: each given its inputs, unchanged"
    for gap in report.cannot_tell:
        yield "cannot tell", f"{visible(gap.layer)}: needs {visible(gap.needs)}"
    for note in report.notes:
        yield "note", visible(note)
    yield "window", stretch(report.window)
    yield "golden", stretch(report.golden)


def _traffic(one: Traffic) -> str:
    return visible(one.what) + (f" (explains {clipped(one.explains)})" if one.explains else "")


def table(rows: Iterable[Line], width: int = 80, *, color: bool = False) -> list[str]:
    """Labels in a column of their own, texts wrapped beside them; a label said twice running is said once."""
    rows = list(rows)
    column = max((columns(label) for label, _ in rows), default=0) + 2
    out = []
    last = ""
    for label, text in rows:
        shown = "" if label == last else label
        last = label
        lead = "  " + paint(shown, "2", color) + " " * (column - columns(shown))
        for i, row in enumerate(wrapped(text, max(width - column - 2, 20))):
            out.append(((lead if i == 0 else " " * (column + 2)) + row).rstrip())
    return out


def wrapped(text: str, width: int, *, first: str = "") -> Iterator[str]:
    """Lines of at most `width` terminal columns, broken at spaces, a word only where it is wider than a line.

    `first` is the colour of the text up to its first `:` or sentence end, the verdict of a headline.
    """
    line = ""
    lines = []
    for word in text.split(" "):
        while columns(word) > width:
            room = width - columns(line) - (1 if line else 0)
            if room < width // 3:
                lines.append(line)
                line, room = "", width
            head = _fitting(word, room)
            lines.append(f"{line} {head}" if line else head)
            line, word = "", word[len(head) :]  # what is left of the word goes on
        if line and columns(line) + 1 + columns(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    lines.append(line)
    if first:
        verdict, colon, rest = lines[0].partition(":")
        lines[0] = paint(verdict + colon, first, on=True) + rest
    yield from lines


def _fitting(word: str, width: int) -> str:
    used = 0
    for i, c in enumerate(word):
        used += columns(c)
        if used > width:
            return word[: max(i, 1)]
    return word


def columns(text: str) -> int:
    """How many terminal columns a text takes: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def paint(text: str, code: str, on: bool) -> str:
    """The text in an ANSI colour where that is on."""
    return f"\x1b[{code}m{text}\x1b[0m" if on and text else text
