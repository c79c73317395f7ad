"""The answer of a slice search as text: the sentence, a line a slice, the rest, the mix, what was searched. A pure function of its plain form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from whimbrel.report.text import Line, columns, paint, table, wrapped
from whimbrel.report.words import aligned, number, share, visible

Plain = Mapping[str, Any]
_INKS = {"slices": "1;31", "everywhere": "1;31", "mix": "1;33", "nothing": "1;32"}


def where(named: Mapping[str, str | None]) -> str:
    """A slice in words: `country=US and device=mobile`; a missing value is said to be missing."""
    said = []
    for column, value in named.items():
        bare = value is not None and value.startswith((">=", "<"))
        text = " is missing" if value is None else visible(value, 200) if bare else f"={visible(value, 200)}"
        said.append(visible(column, 200) + text)
    return " and ".join(said) or "everything"


def text(found: Plain, *, width: int = 80, color: bool = False) -> str:
    """The answer as a terminal shows it."""
    verdict, _, rest = visible(found["sentence"]).partition(": ")
    out = list(wrapped(f"{verdict}: {rest}", width))
    if color:
        out[0] = paint(out[0], _INKS[found["verdict"]], on=True)
    out += _slices(found, width)
    return "\n".join([*out, *table(_lines(found), width, color=color)])


def _slices(found: Plain, width: int) -> list[str]:
    """One aligned line a slice and one for the rest: where, before, after, the shift with its interval, the share of the change."""
    shown = [*found["slices"], found["rest"]]
    names = [*(where(one["where"]) for one in found["slices"]), "the rest" if found["slices"] else "everything"]
    pairs = aligned([(one["before"], one["after"]) for one in shown])
    unit = share if found["relative"] else number
    cells = [
        (name, before, "→", after, f"{'+' * (one['shift'] > 0)}{unit(one['shift'])}", f"({unit(one['low'])} to {unit(one['high'])})", share(one["explains"]))
        for name, (before, after), one in zip(names, pairs, shown, strict=True)
    ]  # fmt: skip
    widths = [max(columns(row[i]) for row in cells) for i in range(7)]
    beside = sum(widths) + 9 <= width
    out = []
    for name, *rest in cells:
        numbers = [
            f"{cell:>{widths[i + 1]}}" if i in (0, 2, 3, 5) else f"{cell:<{widths[i + 1]}}"
            for i, cell in enumerate(rest)
        ]
        if beside:
            out.append(f"  {name}{' ' * (widths[0] - columns(name))}  {' '.join(numbers)}".rstrip())
        else:
            out += [*(f"  {line}" for line in wrapped(name, width - 2)), f"    {' '.join(numbers)}".rstrip()]
    return out


def _lines(found: Plain) -> Iterator[Line]:
    mix = found["mix"]
    if mix is not None:
        through = f", most through {visible(mix['through'], 80)}" if mix["through"] else ""
        held = f", {share(mix['share'])} of the change" if mix["share"] == mix["share"] else ""
        yield (
            "mix",
            f"{'+' * (mix['shift'] > 0)}{number(mix['shift'])} ({number(mix['low'])} to {number(mix['high'])}){held}{through}",
        )
    yield "rows", _rows(found["rows"])
    yield "by", ", ".join(visible(one, 80) for one in found["by"])
    for column, why in found["left_out"].items():
        yield "left out", f"{visible(column, 80)}: {visible(why)}"
    for note in found["notes"]:
        yield "note", visible(note)


def _rows(rows: Sequence[int]) -> str:
    return f"{number(rows[0])} leaves" if len(rows) == 1 else f"{number(rows[0])} before, {number(rows[1])} after"
