"""One prediction for a terminal and for a notebook's cell: its values, where each stands in golden, and a waterfall.

In: its `to_dict()` form, because the room that makes it lies above this one. Out: plain text, coloured only when asked, no line
wider than `width` columns; or HTML without a script, below 30 KB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from whimbrel.report import json
from whimbrel.report.answers import stretch
from whimbrel.report.text import columns, paint, wrapped
from whimbrel.report.words import clipped, moment, number, size, took, visible

Plain = Mapping[str, Any]

FRAGMENT_BYTES = 30_000
_SHRINKING = ((60, 200), (25, 120), (12, 60), (5, 40))
"""How a fragment shrinks until it fits: rows a section, characters a value."""

_PROCESS = (
    "id", "ts", "pid", "platform", "cpu", "cpus", "cpu_quota", "memory_bytes", "memory_limit_bytes", "gpus", "gpu_memory_bytes",
    "gpu_driver", "python", "commit", "dirty", "recorder", "libraries",
)  # fmt: skip
"""Facts of a process in reading order; host and GPU stand with the prediction's own hardware."""


@dataclass(frozen=True, slots=True)
class Row:
    """A name, a value, and what is said of it."""

    name: str
    value: str
    says: str = ""
    wide: bool = False
    """Whether the value is a sentence, which is wrapped and not cut."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of the waterfall: where it starts and how long it is, as shares of the whole."""

    name: str
    start: float
    length: float
    ms: str
    says: str


def text(found: Plain, *, width: int = 80, color: bool = False) -> str:
    """The prediction as text."""
    width = max(width, 40)
    out = list(wrapped(visible(found["sentence"]), width))
    for title, rows in sections(found):
        out += ["", paint(title, "1", color), *_table(rows, width)]
        if title == "model" and found["spans"]:
            out += ["", paint("time", "1", color), *waterfall(found, width)]
    if found["spans"] and not found["model"]:
        out += ["", paint("time", "1", color), *waterfall(found, width)]
    return "\n".join(out)


def sections(found: Plain) -> Iterator[tuple[str, list[Row]]]:
    """What is told, under a title each; a title without rows is left out."""
    told = (
        ("inputs", _values(found["inputs"], "inputs.")),
        ("steps", list(_steps(found["steps"]))),
        ("model", _values(found["model"], "model.")),
        ("outputs", _values(found["outputs"], "outputs.")),
        ("decision and label", [*_values(found["decisions"]), *_label(found["label"])]),
        ("context", _values(found["context"], "context.")),
        ("usage", [*_values(found["usage"], "usage."), *_values(found["ages"])]),
        ("host and process", [*_values(found["hardware"], "hardware."), *_process(found["process"])]),
        ("recorded", [*_wrong(found), *_values(found["recorder"], "recorder.")]),
        ("nearest in golden", list(_near(found))),
        ("golden", [_golden(found)]),
        ("notes", [Row("", visible(note), wide=True) for note in found["notes"]]),
    )
    for title, rows in told:
        if rows:
            yield title, rows


def bars(found: Plain) -> list[Bar]:
    """The waterfall's bars."""
    spans, total = found["spans"], found["total"]
    whole = max([one["start_ms"] + one["ms"] for one in spans] + [total["ms"] if total else 0.0]) or 1.0
    shown = [*spans, *([total] if total else [])]
    return [
        Bar(visible(one["name"], 60), one["start_ms"] / whole, one["ms"] / whole, f"{number(one['ms'])} ms", _says(one))
        for one in shown
    ]


def waterfall(found: Plain, width: int) -> list[str]:
    """The spans as bars of text, one below the other, each where the one before it ends."""
    drawn = bars(found)
    names = min(max(columns(bar.name) for bar in drawn), width // 4)
    times = max(columns(bar.ms) for bar in drawn)
    says = max(columns(bar.says) for bar in drawn)
    room = width - names - times - says - 8
    if room < 12:
        says, room = 0, max(width - names - times - 6, 8)
    out = []
    for bar in drawn:
        start = min(round(bar.start * room), room - 1)
        length = max(min(round(bar.length * room), room - start), 1)
        line = " " * start + "█" * length + " " * (room - start - length)
        said = f"  {bar.says}" if says else ""
        out.append(f"  {_cut(bar.name, names)}  {line}  {bar.ms:>{times}}{said}".rstrip())
    return out


def fragment(found: Plain) -> str:
    """The prediction for a notebook's cell, in 30 KB."""
    from whimbrel.report.html import render

    for most, length in _SHRINKING:
        told = []
        for title, rows in sections(found):
            cut = [Row(visible(r.name, 80), visible(r.value, length), visible(r.says, 120)) for r in rows[:most]]
            cut += [Row("", f"and {len(rows) - most} more: to_dict() has them all")] if len(rows) > most else []
            told.append((title, cut))
        drawn = bars(found)[:most] if found["spans"] else []
        out = render("prediction.html", found=found, sections=told, bars=drawn)
        if len(out.encode()) <= FRAGMENT_BYTES:
            break
    return out


def _values(values: Iterable[Plain], group: str = "") -> list[Row]:
    return [Row(visible(one["path"].removeprefix(group)), value_text(one["value"]), _says(one)) for one in values]


def _steps(steps: Iterable[Plain]) -> Iterator[Row]:
    for step in steps:
        code = step["code"]
        said = [f"code {visible(code['value'], 20)}"] if code else []
        said += [_says(code)] if code and _says(code) else []
        said += ["read from outside"] if step["read"] else []
        yield Row(visible(step["name"]), "", ", ".join(said))
        for one in step["values"]:
            name = one["path"].removeprefix(f"steps.{step['name']}.")
            yield Row(f"  {visible(name)}", value_text(one["value"]), _says(one))


def _label(label: Plain | None) -> Iterator[Row]:
    if label:
        came = (
            f"came {moment(datetime.fromisoformat(label['ts']))} UTC" if label["ts"] else "it is not known when it came"
        )
        late = f", {took(label['lag_s'])} later" if label["lag_s"] is not None else ""
        said = _says(label)
        yield Row("label", value_text(label["value"]), f"{said}; {came}{late}" if said else f"{came}{late}")


def _process(process: Plain) -> Iterator[Row]:
    for name in _PROCESS:
        value = process.get(name)
        if value is None:
            continue
        shown = size(int(value)) if name.endswith("_bytes") and isinstance(value, int | float) else value_text(value)
        if name == "ts":
            name, shown = "started", _started(value)
        yield Row({"id": "process"}.get(name, name), shown, wide=name == "libraries")


def _started(value: Any) -> str:
    from whimbrel.model.window import from_micros

    return f"{moment(from_micros(value))} UTC" if isinstance(value, int) else value_text(value)


def _wrong(found: Plain) -> Iterator[Row]:
    if found["error"]:
        yield Row("error", visible(found["error"]), wide=True)
    if found["waits"]:
        yield Row("waits", "it lies in a segment, and no ingest has taken it in yet", wide=True)
    for path, came in found["rescued"].items():
        yield Row(visible(path), visible(came, 200), "did not fit its column, kept as it came")
    for blob in found["blobs"]:
        much = "" if blob["bytes"] is None else f"{size(blob['bytes'])}, "
        here = "its content is here" if blob["held"] else "its content was not kept"
        yield Row(visible(blob["path"]), f"sha256 {blob['sha256'][:12]}…", f"{much}{here}")


def _near(found: Plain) -> Iterator[Row]:
    for one in found["neighbours"]:
        got = ", ".join(f"{visible(p.removeprefix('outputs.'), 40)} {value_text(v, 40)}" for p, v in one["got"].items())
        yield Row(visible(one["id"], 40), f"distance {number(one['distance'], 2)}", got)
    if found["neighbours"]:
        yield Row("", visible(found["distance"]), wide=True)


def _golden(found: Plain) -> Row:
    golden = found["golden"]
    if golden is None:
        return Row("", "none was named, so no value is placed and nobody is near", wide=True)
    compared = found["compared"]
    of = "all of them" if compared >= golden["predictions"] else f"a sample of {number(compared)}"
    return Row("", f"{stretch(golden)}; values are held against {of}", wide=True)


def _says(one: Plain) -> str:
    return visible(one["golden"]["says"], 200) if one.get("golden") else ""


def value_text(value: Any, most: int = 200) -> str:
    """A recorded value in one line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return number(value, 6)
    if isinstance(value, list | tuple):
        return f"[{clipped([value_text(one, 40) for one in value[:8]], 8)}{', …' if len(value) > 8 else ''}]"
    return visible(value if isinstance(value, str) else json.plain(value), most)


def _table(rows: Sequence[Row], width: int) -> list[str]:
    """Names, values and what is said of them, in columns; what does not fit is cut, a sentence is wrapped."""
    names = min(max(columns(row.name) for row in rows), width // 3)
    values = min(
        max((columns(row.value) for row in rows if not row.wide), default=0), max((width - names - 6) // 2, 12)
    )
    out = []
    for row in rows:
        lead = f"  {_cut(row.name, names)}  " if names else "  "
        if row.wide:
            lines = list(wrapped(row.value, max(width - columns(lead), 20)))
            out += [(lead if i == 0 else " " * columns(lead)) + line for i, line in enumerate(lines)]
            continue
        says = list(wrapped(row.says, max(width - names - values - 6, 16)))
        first = f"{lead}{_cut(row.value, values)}  {says[0]}".rstrip()
        out += [first, *(" " * (names + values + 6) + line for line in says[1:])]
    return out


def _cut(text: str, width: int) -> str:
    """Text in exactly so many columns."""
    if columns(text) > width:
        while columns(text) > width - 1:
            text = text[:-1]
        text += "…"
    return text + " " * (width - columns(text))
