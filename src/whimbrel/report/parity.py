"""A `Parity` as text: the sentence, then a line a step, then what differs and by how much. A pure function of the result."""

from __future__ import annotations

from whimbrel.model.parity import Parity, StepParity
from whimbrel.report.words import visible

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
