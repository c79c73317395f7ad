"""Exact evidence: what replay says about each finding, of code and of raw inputs.

In: a `Report`, and a way to replay its window (`Again`). Out: the report with `exact` evidence. Only `doors.py` may call.

Recorded ≠ declared at a step whose inputs are equal: something undeclared (`undeclared`). Recorded = declared ≠ golden's: a declared change,
shared out among its artefacts (`declared`). No difference: the layers that are code are cleared, and what had moved there is traffic. A
raw input is weighed by what the outcome does when golden's values are put back (`counterfactual`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from whimbrel.diagnose import counterfactual, declared, undeclared
from whimbrel.diagnose.again import Again, component_step
from whimbrel.diagnose.verdict import sentence
from whimbrel.errors import EvidenceError
from whimbrel.model.parity import Parity
from whimbrel.model.report import CannotTell, Finding, Report, Traffic, Verdict
from whimbrel.model.swap import Rescored, Swap
from whimbrel.model.window import Where

_CODE = ("features", "model", "decision")
_ENOUGH = 30
"""Replayed predictions of a slice that clear it."""
_SAME = ("equal", "within tolerance")


@dataclass(slots=True)
class _Weighed:
    """Findings as they stand after replay, what it refuted, and what it has to say besides."""

    findings: list[Finding] = field(default_factory=list)
    refuted: list[Traffic] = field(default_factory=list)
    rescored: dict[str, Rescored] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def weigh(report: Report, again: Again) -> Report:
    """The report with what replay proves."""
    whole = again.parity()
    changed = declared.steps(whole, again.golden_parity())
    matrix = again.swap()
    weighed = _Weighed()
    for finding in report.findings:
        if finding.layer == "data":
            for told, found in counterfactual.weighed(finding, again):
                weighed.findings.append(told)
                weighed.rescored |= {told.component: found} if found is not None else {}
        elif finding.layer in _CODE:
            _hear(finding, changed, again, weighed)
        else:
            weighed.findings.append(finding)
    found_step = undeclared.first_new(whole)
    if found_step is not None and all(component_step(f.component) != found_step.name for f in weighed.findings):
        finding, note = undeclared.unseen(found_step, whole, again)
        weighed.findings.append(finding)
        weighed.notes += [note] if note else []
    weighed.findings = declared.findings(weighed.findings, changed, matrix, whole, again)
    weighed.notes += _of_golden(again, matrix)
    traffic = counterfactual.told(report.traffic, again)
    return _settled(replace(report, traffic=traffic), whole, weighed, changed)


def _hear(finding: Finding, changed: Collection[str], again: Again, weighed: _Weighed) -> None:
    """One finding about code: proven, refuted, or left as it is."""
    try:
        asked = again.parity(finding.where, finding.since)
    except EvidenceError:
        asked = again.parity()  # too little of the slice is left to replay by itself
    first = undeclared.first_new(asked)
    if first is not None:
        weighed.findings.append(undeclared.proven(finding, first, asked, again))
    elif component_step(finding.component) not in changed and _clears(asked, finding.component):
        said = f"{finding.component} moved, and its code does what it did in golden"
        weighed.refuted.append(Traffic(said, (finding.component,)))
    else:
        weighed.findings.append(finding)


def _clears(parity: Parity, component: str) -> bool:
    """Whether the step does in this slice what its code does, over enough predictions."""
    step = next((s for s in parity.steps if s.name == component_step(component)), None)
    same = step is not None and step.standing in _SAME and step.compared >= _ENOUGH
    return same and parity.golden_replayed >= _ENOUGH and parity.first is None


def _of_golden(again: Again, matrix: Swap | None) -> list[str]:
    """What golden's code says of itself: whether it is golden's at all, and what the matrix showed."""
    if matrix is None:
        return []
    notes = [
        f"{matrix.declared} against {matrix.golden} on {matrix.replayed} predictions: {matrix.sentence}",
        *matrix.notes,
    ]
    if not matrix.artefacts and matrix.replayed:
        notes.append(
            f"a difference between the two in {matrix.misses_at_most:.2%} of predictions would have shown with 99% certainty"
        )
    own = again.golden_parity(golden_s=True)
    if own is not None:
        unlike = [f"{s.name} in {s.differ} of {s.compared}" for s in own.steps if s.standing in ("different", "failed")]
        if unlike:
            notes.append(f"{matrix.golden} is not what made golden: it differs at {', '.join(unlike)}")
    return notes


def _merged(findings: Sequence[Finding]) -> list[Finding]:
    """One finding a component and slice; the first has the most evidence."""
    out: dict[tuple[str, Where], Finding] = {}
    for finding in sorted(findings, key=lambda f: (not f.harmful, -f.confidence)):
        out.setdefault((finding.component, finding.where), finding)
    return list(out.values())


def _settled(report: Report, whole: Parity, weighed: _Weighed, changed: Collection[str]) -> Report:
    in_order = counterfactual.ranked(_merged(weighed.findings), weighed.rescored)
    ranked = tuple(replace(finding, rank=rank) for rank, finding in enumerate(in_order, 1))
    verdict: Verdict = "fault" if any(f.harmful for f in ranked) else "notice" if ranked else "healthy"
    blamed = {f.layer for f in ranked}
    judged = {s.layer for s in whole.steps if s.standing in _SAME}
    blind = {s.layer for s in whole.steps if s.standing == "not replayable"}
    cleared = tuple(
        layer
        for layer in dict.fromkeys((*report.cleared, *(j for j in _CODE if j in judged - blind)))
        if layer not in blamed | declared.layers(changed)
    )
    unknown = tuple(c for c in report.cannot_tell if c.layer not in cleared)
    unknown += tuple(
        CannotTell(layer, "code that agrees with itself when it is run twice") for layer in sorted(blind - blamed)
    )
    always = [
        s.name for s in whole.steps if s.standing == "different" and not any(map(undeclared.is_new, s.differences))
    ]
    notes = [f"{', '.join(always)}: the code differs from what golden recorded as well"] if always else []
    notes.append(
        f"replay of {whole.replayed}: {whole.sentence} A mismatch in {whole.misses_at_most:.2%} of them would have shown with 99% certainty"
    )
    return replace(
        report, verdict=verdict, findings=ranked, cleared=cleared, cannot_tell=unknown,
        notes=(*report.notes, *notes, *whole.notes, *dict.fromkeys(weighed.notes)),
        traffic=(*report.traffic, *weighed.refuted), sentence=sentence(verdict, ranked, cleared, report.window),
    )  # fmt: skip
