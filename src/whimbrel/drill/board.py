"""The scoreboard: a drill's score as text for a terminal, or as one HTML page. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from whimbrel.drill.case import Truth
from whimbrel.drill.grade import CRASHED, Graded
from whimbrel.drill.rates import Rate
from whimbrel.drill.score import Score
from whimbrel.report import html

REPLAYED, ALONE = "with replay", "recorded data alone"


def text(score: Score, *, cases: bool = True) -> str:
    """A line per case, then the rates, the simple rules beside them, and who was taken for whom."""
    lines = [*_cases(score), ""] if cases and score.cases else []
    alone = score.alone.rates if score.alone is not None else {}
    if alone:
        lines += [f"{'':<18} {REPLAYED:<28} {ALONE}"]
    lines += [f"{name:<18} {rate!s:<28} {alone.get(name, '')}".rstrip() for name, rate in score.rates.items() if rate.n]
    lines += [f"{name:<18} {value}" for name, value in _numbers(score)]
    lines += _grouped(score)
    if any(said.right.n for said in score.confidence):
        lines += ["", "findings said with … are right (layer and component)"]
        lines += [f"  {_span(said.low, said.high):<12} {said.right}" for said in score.confidence if said.right.n]
    if score.floors:
        lines += ["", f"{'beside simple rules':<34} {'layer':<26} {'component':<26} false alarms"]
        for name, rates in {**_ours(score), **score.floors}.items():
            cells = (str(rates[which]) for which in ("layer", "component", "false_alarms"))
            lines.append(f"  {name:<32} {next(cells):<26} {next(cells):<26} {next(cells)}")
    lines += ["", "true layer → answered layer"]
    for truth, row in score.confusion.items():
        lines.append(f"  {truth:<10} → {', '.join(f'{answer} {n}' for answer, n in row.items())}")
    lines += [f"note: {note}" for note in score.notes]
    return "\n".join(lines) + "\n"


def page(score: Score, command: str) -> str:
    """The scoreboard as one self-contained HTML file; `command` made it."""
    rows = [_row(case) for case in (*score.planted, *score.harmless, *score.untouched)]
    return html.render(
        "drill.html", score=score, command=command, numbers=_numbers(score), rows=rows,
        layers=sorted({answer for row in score.confusion.values() for answer in row}),
        groups=[(name, score.by(name)) for name in ("layer", "app", "severity", "shape")],
        floors={**_ours(score), **score.floors}, alone=score.alone.rates if score.alone is not None else {},
        heads=(REPLAYED, ALONE),
        sure=[(_span(said.low, said.high), said.right) for said in score.confidence if said.right.n],
    )  # fmt: skip


def _ours(score: Score) -> dict[str, dict[str, Rate]]:
    """Our own answers beside the simple rules': with replay, and from recorded data alone."""
    told = {"whimbrel": score} if score.alone is None else {"whimbrel, with replay": score, "whimbrel": score.alone}
    return {
        name: {which: one.rates[which] for which in ("layer", "component", "false_alarms")}
        for name, one in told.items()
    }


def _numbers(score: Score) -> list[tuple[str, str]]:
    out = []
    if score.slice_f1 is not None:
        out.append(("slice F1", f"{score.slice_f1:.2f} (mean)"))
    if score.onset_error_min is not None:
        out.append(("onset error", f"{score.onset_error_min:.0f} min (median, steps)"))
    if score.detection is not None:
        rows, minutes = score.detection
        out.append(("time to detect", f"{rows:.0f} predictions, {minutes:.0f} min (medians)"))
    return [*out, ("median time", f"{score.took_s:.2f} s")]


def _grouped(score: Score) -> list[str]:
    lines = []
    for name in ("layer", "app", "severity", "shape"):
        groups: Mapping[str, Mapping[str, Rate]] = score.by(name)
        if len(groups) < 2:
            continue
        lines += ["", f"{'by ' + name:<14} {'layer':<26} {'component':<26} slice"]
        for group, rates in groups.items():
            lines.append(f"  {group:<12} {rates['layer']!s:<26} {rates['component']!s:<26} {rates['slice']}")
    if len(score.calm) > 1:
        lines += ["", "false alarms by app", *(f"  {app:<12} {rate}" for app, rate in score.calm.items())]
    return lines


def _span(low: float, high: float) -> str:
    return f"{low:.2f}-{min(high, 1.0):.2f}"


def _cases(score: Score) -> list[str]:
    head = ("app", "fault", "severity", "effect", "truth", "", "answer", "onset")
    rows: list[Sequence[str]] = [head]
    rows += [_row(case) for case in (*score.planted, *score.harmless, *score.untouched)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [*lines, "", "L C S: layer, component and slice of the first finding are right"]


def _row(case: Graded) -> tuple[str, ...]:
    truth = case.truth
    said = f"{case.layers[0]} {case.components[0]}{_slice(case.where)}" if case.layers else case.verdict
    if case.verdict == CRASHED:
        said = f"{said}: {case.sentence}"
    elif case.layers and case.verdict != "fault":
        said = f"{said} ({case.verdict})"
    onset = "" if case.onset_s is None else f"{case.onset_s / 3600:+.1f} h"
    if not truth.layer:
        return truth.app, truth.fault, "", "", "nothing", "!!!" if case.alarmed else "ok", said, onset
    right = " and ".join(dict.fromkeys(f"{t.layer} {t.components[0]}{_slice(t.where)}" for t in _truths(case)))
    if truth.harmless:
        marks = "!!!" if case.alarmed else "ok"
        return truth.app, truth.fault, "harmless", "", right, marks, said, onset
    hits = (case.layer_hit, case.component_hit, case.slice_hit)
    marks = "".join(mark if hit else "·" for mark, hit in zip("LCS", hits, strict=True))
    severity = truth.severity if truth.shape == "step" else f"{truth.severity} {truth.shape}"
    return truth.app, truth.fault, severity, f"{100 * truth.effect:.1f}%", right, marks, said, onset


def _truths(case: Graded) -> list[Truth]:
    return [case.truth, *([case.truth.second] if case.truth.second else [])]


def _slice(where: Mapping[str, str]) -> str:
    if not where:
        return ""
    return f" [{', '.join(path.partition('.')[2] + '=' + value for path, value in where.items())}]"
