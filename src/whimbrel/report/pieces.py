"""The pieces that templates are filled with: texts with code in them, charts, rows of tables.

In: parts of a report or a comparison. Out: strings that are escaped where they are printed, and `Markup` for what this
room drew itself. For `html` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup, escape

from whimbrel.model.report import Finding, Shape
from whimbrel.model.window import Condition
from whimbrel.report import answers, svg, words
from whimbrel.report.words import Unit, change, harms, number, share, unit_of, visible

SLICES = 20
"""Slices that are drawn; a report that has more says so."""
_ROWS, _ROW_COLUMNS = 20, 14
_NUMERIC_BINS = 8
"""So many bins named by numbers are stretches of a scale, fewer may be codes."""
_VERDICT = 40
"""A longer beginning of a sentence is no verdict."""


def drawn(markup: str) -> Markup:
    """Markup that this room itself wrote."""
    return Markup(markup)  # noqa: S704  # this room's own style sheet and charts, whose texts are escaped there


def _conditions(where: Iterable[Condition]) -> list[tuple[str, str, str]]:
    return [words.condition(one) for one in where]


def headline(sentence: str, verdict: str = "") -> Markup:
    """A sentence with its backticked names as code and its verdict, up to the first colon, in the verdict's colour."""
    head, colon, rest = visible(sentence).partition(":")
    if not (verdict and colon and len(head) < _VERDICT and "`" not in head):
        return coded(sentence)
    return Markup('<span class="verdict-{}">{}</span>').format(verdict, head + colon) + coded(rest)


def coded(sentence: str) -> Markup:
    """A sentence with what stands between backticks as code."""
    sentence = visible(sentence)
    parts = sentence.split("`")
    if len(parts) % 2 == 0:  # an odd backtick is a character like any other
        return escape(sentence)
    code = Markup("<code>{}</code>")
    return Markup("").join(code.format(part) if i % 2 else escape(part) for i, part in enumerate(parts))


def lead(finding: Finding) -> str:
    """Under the headline: how the slice moved, how the rest did, and the harm."""
    said = []
    if finding.slices:
        top, unit = finding.slices[0], _unit(finding)
        interval = f"95% interval {unit(top.low, 2)} to {unit(top.high, 2)}"
        said.append(
            f"{visible(finding.measure or 'The measure', 200)}: {change(top.before, top.after, unit)} in the slice "
            f"({interval}), {change(top.rest_before, top.rest_after, unit)} in the rest of traffic."
        )
    harm = "; ".join(harms(finding.harm))
    if harm or not finding.harmful:
        said.append(f"Harm: {harm or 'none measured'}.")
    return " ".join(one[:1].upper() + one[1:] for one in said)


def _unit(finding: Finding) -> Unit:
    values = [v for s in finding.slices for v in (s.before, s.after)] + [p.value for p in finding.series]
    return unit_of(finding.measure, values)


def _is_share(finding: Finding) -> bool:
    return _unit(finding) is share


def chart(finding: Finding, width: int) -> Markup:
    """The finding's measure over time."""
    title = f"{finding.measure or finding.component} over time"
    most = 400 if width > 800 else 120
    return drawn(
        svg.line(
            finding.series, title=title, unit=_unit(finding), onset=finding.since, events=finding.events[:20],
            width=width, height=210 if width > 500 else 190, most=most,
        )
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class SliceRow:
    """A ranked slice as the table prints it."""

    where: tuple[Condition, ...]
    n: str
    dumbbell: Markup
    before: str
    after: str
    bar: Markup
    explains: str
    rest: str


def slice_rows(finding: Finding) -> list[SliceRow]:
    """The finding's slices, ranked as they came, drawn on one common track."""
    unit = _unit(finding)
    shown = finding.slices[:SLICES]
    known = [v for s in shown for v in (s.before, s.after, s.low, s.high) if v - v == 0]
    ends = (min([0.0, *known]), max([*known, 1e-9]))
    inside = words.aligned([(s.before, s.after) for s in shown], unit)
    outside = words.aligned([(s.rest_before, s.rest_after) for s in shown], unit)
    out = []
    for s, (before, after), rest in zip(shown, inside, outside, strict=True):
        says = f"before {before}, after {after}, 95% interval {unit(s.low, 2)} to {unit(s.high, 2)}"
        track = drawn(svg.dumbbell(s.before, s.after, s.low, s.high, ends=ends, title=says))
        explains = share(s.explains)
        bar = drawn(svg.bar(s.explains, title=f"explains {explains}"))
        out.append(SliceRow(s.where, number(s.n), track, before, after, bar, explains, " → ".join(rest)))
    return out


def histogram(shape: Shape) -> Markup:
    """A field's shares per bin before and after."""
    return drawn(svg.histogram(shape, title=f"{shape.path} before and after: {moved(shape)}"))


def moved(shape: Shape) -> str:
    """How a distribution moved: the median where its bins are numbers, else the bin whose share changed most."""
    bins = list(zip(shape.bins, shape.before, shape.after, strict=False))
    if not bins:
        return "no values"
    middle = [_median_bin(shape.bins, shares) for shares in (shape.before, shape.after)]
    if len(bins) >= _NUMERIC_BINS and all(_is_number(name) for name in shape.bins) and middle[0] != middle[1]:
        return f"median near {visible(middle[0], 30)} → {visible(middle[1], 30)}"
    name, before, after = max(bins, key=lambda one: abs(one[2] - one[1]) if one[2] == one[2] else 0)
    return f"{visible(name, 60)}: {share(before)} → {share(after)}"


def _median_bin(bins: Sequence[str], shares: Sequence[float]) -> str:
    whole, held = sum(shares), 0.0
    for name, part in zip(bins, shares, strict=False):
        held += part
        if held >= whole / 2:
            return name
    return bins[-1]


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def pairs(numbers: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Names and values of an evidence's numbers, ready to print."""
    for name, value in numbers.items():
        yield visible(name, 100), _cell(value).text


@dataclass(frozen=True, slots=True)
class Cell:
    """A value of a recorded row as text, and whether it stands to the right."""

    text: str
    numeric: bool = False


def row_names(finding: Finding) -> list[tuple[str, bool]]:
    """The columns of the finding's example rows as they appear, and whether the first row has a number there."""
    first = finding.examples[0]
    names = list(dict.fromkeys(name for row in finding.examples[:_ROWS] for name in row))[:_ROW_COLUMNS]
    return [(name, _cell(first.get(name)).numeric) for name in names]


def row_cells(finding: Finding) -> Iterator[list[Cell]]:
    """The finding's example rows, a cell for each of `row_names`."""
    names = [name for name, _ in row_names(finding)]
    for row in finding.examples[:_ROWS]:
        yield [_cell(row.get(name)) for name in names]


def _cell(value: object) -> Cell:
    if value is None:
        return Cell(words.NOTHING)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Cell(number(value, 6), numeric=True)
    if isinstance(value, datetime):
        return Cell(words.moment(value))
    return Cell(visible(value, 300))


def capitalised(sentence: str) -> str:
    """A sentence that begins as one."""
    return visible(sentence[:1].upper() + sentence[1:])


def movement(one: Mapping[str, Any]) -> Markup:
    """How one field of a comparison was distributed, expected from golden and found."""
    plain = one["shape"]
    bins = list(zip(plain["bins"], plain["before"], plain["after"], strict=True))
    held = [i for i, (_, before, after) in enumerate(bins) if before or after]
    shown = bins[held[0] : held[-1] + 1] if len(held) > _NUMERIC_BINS else [bins[i] for i in held]
    names, before, after = zip(*shown, strict=True) if shown else ((), (), ())
    return histogram(Shape(plain["path"], names, before, after))


def traffic_share(one: Mapping[str, Any]) -> Markup:
    """A share of traffic before and after."""
    before, after = one["before"], one["after"]
    title = f"before {share(before)}, after {share(after)}"
    return drawn(svg.dumbbell(before, after, after, after, ends=(0.0, 1.0), title=title))


def instant(text: str) -> str:
    """A time from its plain form."""
    return words.moment(datetime.fromisoformat(text))


FILTERS: dict[str, Callable[..., Any]] = {
    "capitalised": capitalised, "clipped": words.clipped, "coded": coded, "conditions": _conditions,
    "drawn_shape": movement, "drawn_share": traffic_share, "finding_sentence": words.finding_sentence,
    "headline": headline, "histogram": histogram, "instant": instant, "is_share": _is_share, "lag": words.lag, "lead": lead,
    "moment": words.moment, "moved": moved, "number": number, "pairs": pairs, "plain_stretch": answers.stretch,
    "row_cells": row_cells, "row_names": row_names, "share": share, "stretch": words.stretch, "took": words.took,
}  # fmt: skip
"""What templates may call on a value."""
