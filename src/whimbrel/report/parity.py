"""A `Parity`, or several side by side with the swap matrix, as text. Pure functions of the results."""

from __future__ import annotations

from collections.abc import Mapping

from whimbrel.model.parity import Parity, StepParity
from whimbrel.model.swap import Beside, Change, Swap
from whimbrel.report.words import number, visible

_MARKS = {"equal": "=", "within tolerance": "≈", "different": "≠", "failed": "!", "not replayable": "?"}


def text(result: Parity) -> str:
    """The answer as a terminal shows it; recorded text is hostile and shown without control characters."""
    lines = [visible(result.sentence), ""]
    lines.append(f"  pipeline  {visible(result.pipeline)}")
    lines.append(f"  replayed  {result.replayed} of the window, {result.golden_replayed} of golden")
    lines.append("")
    width = max((len(step.name) for step in result.steps), default=0)
    for step in result.steps:
        mark = _MARKS.get(step.standing, "·")
        lines.append(f"  {mark} {visible(step.name):{width}}  {step.standing:16}  {visible(_count(step))}".rstrip())
        for one in step.differences[:6]:
            whom = f"  only {', '.join(map(str, one.where))}" if one.where else ""
            lines.append(
                f"      {visible(one.path)}: {one.differ} of {one.compared}, recorded {visible(one.shape + whom)}"
            )
            if one.golden_compared:
                lines.append(f"        in golden: {one.golden_differ} of {one.golden_compared}")
            for example in one.examples[:1]:
                told = f"recorded {example['recorded']!r}, the code makes {example['replayed']!r}"
                lines.append(f"        e.g. {visible(str(example['id']))}: {visible(told[:160])}")
        if len(step.differences) > 6:
            lines.append(f"      and {len(step.differences) - 6} more fields")
    lines.append("")
    lines.append(f"  a mismatch in {result.misses_at_most:.2%} of predictions would have shown with 99% certainty")
    lines += [f"  note: {visible(note)}" for note in result.notes]
    return "\n".join(lines)


def _count(step: StepParity) -> str:
    if step.standing == "different":
        return f"{step.differ} of {step.compared}"
    if step.standing == "within tolerance":
        return f"{step.compared} compared, noise up to {step.tolerance:.1e} allowed"
    return step.says or f"{step.compared} compared"


def beside(result: Beside) -> str:
    """Several pipelines: what each comes to, a table with a column each, then the swap matrix or the first differences."""
    marks = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    lines = [
        f"{marks[i % 26]}  {visible(name)}: {visible(one.sentence)}" for i, (name, one) in enumerate(_pairs(result))
    ]
    steps = list(dict.fromkeys(step.name for one in result.answers for step in one.steps))
    width = max((len(step) for step in steps), default=0)
    lines += ["", f"  {'':{width}}  " + "  ".join(f"{marks[i % 26]:14}" for i in range(len(result.names)))]
    for step in steps:
        cells = [_cell(one, step) for one in result.answers]
        lines.append(f"  {visible(step):{width}}  {'  '.join(f'{cell:14}' for cell in cells)}".rstrip())
    if result.swap is not None:
        lines += ["", *swap_lines(result.swap)]
    for i, (_, one) in enumerate(_pairs(result)):
        for difference in one.first.differences[:3] if one.first is not None else ():
            whom = f"  only {', '.join(map(str, difference.where))}" if difference.where else ""
            lines.append(
                f"  {marks[i % 26]}: {visible(difference.path)}: {difference.differ} of {difference.compared}, recorded {visible(difference.shape + whom)}"
            )
    n = result.answers[0].replayed
    lines += [
        "",
        f"  {n} predictions; a mismatch in {result.answers[0].misses_at_most:.2%} of them would have shown with 99% certainty",
    ]
    notes = dict.fromkeys(note for one in result.answers for note in one.notes)
    return "\n".join([*lines, *(f"  note: {visible(note)}" for note in notes)])


def _pairs(result: Beside) -> list[tuple[str, Parity]]:
    return list(zip(result.names, result.answers, strict=True))


def _cell(one: Parity, name: str) -> str:
    step = next((step for step in one.steps if step.name == name), None)
    if step is None:
        return "·"
    told = f" {step.differ} of {step.compared}" if step.standing in ("different", "failed") else ""
    return f"{_MARKS.get(step.standing, '·')}{told}"


def swap_lines(result: Swap) -> list[str]:
    """The swap matrix: its sentence, each artefact with its share, each mixture with what it changes."""
    lines = [f"{visible(result.declared)} against golden's {visible(result.golden)}, {result.replayed} predictions:"]
    lines.append(f"  {visible(result.sentence)}")
    for one in result.artefacts:
        lines.append(f"  {visible(one.name)} ({one.kind}): {visible(one.says)}")
        lines.append(
            f"      alone it changes {_change(one.alone)}; put back, {_change(one.undone)}; its share: {_shares(one.shares)}"
        )
    if len(result.artefacts) > 1:
        lines += ["", "  taken from the declared code      changes"]
        lines += [
            f"  {visible(' + '.join(names) or 'nothing'):32}  {_change(change)}" for names, change in result.matrix
        ]
    return [*lines, *(f"  note: {visible(note)}" for note in result.notes)]


def _change(change: Change) -> str:
    parts = [f"{change.flipped} of {change.compared} decisions"] if change.compared else []
    if change.score_moved_sd is not None:
        parts.append(f"the score by {number(change.score_moved_sd)} sd")
    if change.loss_before is not None and change.loss_after is not None:
        parts.append(f"the loss {number(change.loss_before)} → {number(change.loss_after)}")
    return ", ".join(parts) or "nothing that could be compared"


def _shares(shares: Mapping[str, float]) -> str:
    said = {
        "flipped": "{:+.2%} of decisions",
        "score_shift_sd": "{:+.3g} sd of the score",
        "loss": "{:+.3g} of the loss",
    }
    return ", ".join(words.format(shares[name]) for name, words in said.items() if name in shares) or "none"
