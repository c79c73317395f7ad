"""Exact evidence: what replay says about each finding, of code and of raw inputs.

In: a `Report`, and a way to replay its window (`Again`). Out: the report with `exact` evidence. Only `doors.py` may call.

Recorded ≠ declared at a step whose inputs are equal: something undeclared (`undeclared`). Recorded = declared ≠ golden's: a declared change,
shared out among its artefacts (`declared`). No difference: the layers that are code are cleared, and what had moved there is traffic. A
raw input is weighed by what the outcome does when golden's values are put back (`counterfactual`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from whimbrel.diagnose import counterfactual, declared, undeclared
from whimbrel.diagnose.again import Again, component_step
from whimbrel.diagnose.verdict import sentence
from whimbrel.errors import EvidenceError
from whimbrel.model.parity import Parity, StepParity
from whimbrel.model.report import CannotTell, Evidence, Finding, Report, Traffic, Verdict
from whimbrel.model.swap import Rescored, Swap
from whimbrel.model.window import Where

_CODE = ("features", "model", "decision")
_ENOUGH = 30
"""Replayed predictions of a slice that clear it."""
_FEW = 0.02
"""The share of predictions in which a step may differ, in golden as well, and still be what its code makes: requests that failed."""
_HARD = 0.9
"""The confidence from which on a finding is about a broken contract or an exact relation."""
_CHANCE = 0.01
"""How often so few of the replayed predictions may differ by luck, and still refute a finding."""
_SAME = ("equal", "within tolerance")


@dataclass(slots=True)
class _Weighed:
    """Findings as they stand after replay, what it refuted, and what it has to say besides."""

    findings: list[Finding] = field(default_factory=list)
    refuted: list[Traffic] = field(default_factory=list)
    rescored: dict[str, Rescored] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    orphans: list[Finding] = field(default_factory=list)
    """Refuted findings about something that the world does not do: if the code did not, what it received did."""


def weigh(report: Report, again: Again) -> Report:
    """The report with what replay proves."""
    whole = again.parity()
    changed = declared.steps(again)
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
    for step in undeclared.new_steps(whole):
        _add(step, whole, again, weighed)
    place = next((one.place for one in changed.values() if one.now), ((), None))
    matrix = again.swap(*place)
    weighed.findings = declared.findings(weighed.findings, changed, matrix, whole, again)
    unmade = {path for step in whole.steps for path in step.unmade}
    if weighed.orphans and all(finding.component in unmade for finding in weighed.findings):
        handed = counterfactual.received(weighed.orphans[0], report.traffic, again)
        weighed.findings += [] if handed is None else [handed]
    weighed.findings = _unanswered(_taken_down(weighed.findings, whole), again)
    weighed.notes += _of_golden(again, matrix)
    traffic = counterfactual.told(report.traffic, again)
    return _settled(replace(report, traffic=traffic), whole, weighed, changed)


def _hear(finding: Finding, changed: dict[str, declared.Changed], again: Again, weighed: _Weighed) -> None:
    """One finding about code: proven, laid at an earlier step's door, refuted, or left as it is."""
    try:
        asked = again.parity(finding.where, finding.since)
        changed |= {
            name: one
            for name, one in declared.steps(again, finding.where, finding.since).items()
            if name not in changed
        }
    except EvidenceError:
        asked = again.parity()  # too little of the slice is left to replay by itself
    own = component_step(finding.component)
    at = next((i for i, step in enumerate(asked.steps) if step.name == own), None)
    if at is None or finding.component in asked.steps[at].unmade:
        weighed.findings.append(finding)  # looked up, or made elsewhere: no code here says what it should be
        return
    anew = [step for step in asked.steps[: at + 1] if undeclared.differs_anew(step)]
    if anew:
        weighed.findings.append(
            undeclared.proven(finding, next((s for s in anew if s.name == own), anew[0]), asked, again)
        )
    elif (
        own not in changed and _clears(asked, asked.steps[at], finding.component) and _refutes(asked.steps[at], finding)
    ):
        written = asked.steps[at].unmade
        if written and finding.confidence >= _HARD:
            weighed.findings.append(_handed(finding, written, asked.steps[at]))
            return
        said = f"{finding.component} moved, and its code does what it did in golden"
        weighed.refuted.append(Traffic(said, (finding.component,)))
        if finding.confidence >= _HARD:
            weighed.orphans.append(finding)
    else:
        weighed.findings.append(finding)


def _handed(finding: Finding, written: Sequence[str], step: StepParity) -> Finding:
    """A finding about what the code makes of something that it never makes itself (a provider's text): if it read rightly, that is other."""
    source = written[0]
    says = f"{step.compared - step.differ} of {step.compared} {finding.component} are what the code makes of the recorded {source}"
    proof = Evidence("exact", f"{says}, which no replay can make again", {"replayed": step.compared})
    return replace(
        finding, component=source, what=f"holds another {finding.component}: {finding.what}",
        evidence=(proof, *finding.evidence), victims=tuple(dict.fromkeys((finding.component, *finding.victims))),
    )  # fmt: skip


def _clears(parity: Parity, step: StepParity, component: str) -> bool:
    """Whether the step does in this slice what its code does, over enough predictions; of a model all that it says must be judged."""
    whole = not step.unmade if component.startswith("model.") else component not in step.unmade
    return whole and _whole(step) and step.compared >= _ENOUGH and parity.golden_replayed >= _ENOUGH


def _refutes(step: StepParity, finding: Finding) -> bool:
    """Whether what the finding says of so many predictions would have shown in the replayed ones, had its code done it.

    Half of what it says must be ruled out, for a fault may come and go; where all were replayed and none differs, nothing is left to ask.
    """
    numbers = finding.evidence[0].numbers if finding.evidence else {}
    asked, departing = float(numbers.get("predictions", 0)), float(numbers.get("departing", 0))
    if not departing or (not step.differ and step.compared >= asked):
        return True
    from scipy.stats import binom

    return float(binom.cdf(step.differ, step.compared, departing / asked / 2)) < _CHANCE


def _whole(step: StepParity) -> bool:
    """Whether a step is what its code makes: everywhere, or but for so few that golden's rate gives them easily."""
    few = step.standing == "different" and step.differ <= _FEW * step.compared
    return step.standing in _SAME or (few and not undeclared.differs_anew(step, undeclared.PERHAPS))


def _add(step: StepParity, whole: Parity, again: Again, weighed: _Weighed) -> None:
    """A step that differs: a finding of its own, unless one says so already or says why."""
    for i, finding in enumerate(weighed.findings):
        if component_step(finding.component) == step.name:
            return
        if undeclared.read_otherwise(finding, step):
            return
        if finding.layer not in _CODE and any(component_step(victim) == step.name for victim in finding.victims):
            weighed.findings[i] = undeclared.explained(finding, step, whole, again)
            return
    finding, note = undeclared.unseen(step, whole, again)
    weighed.findings.append(finding)
    weighed.notes += [note] if note else []


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


def _taken_down(findings: Sequence[Finding], whole: Parity) -> list[Finding]:
    """Findings about what no code here makes are victims of a step before them that replay proved, where both reach the same rows."""
    place = {step.name: i for i, step in enumerate(whole.steps)}
    unmade = {path for step in whole.steps for path in step.unmade}
    out = list(findings)
    for fallen in findings:
        own = component_step(fallen.component)
        unjudged = fallen.component in unmade or (
            fallen.component.startswith("model.") and own in map(component_step, unmade)
        )
        if not unjudged:
            continue
        for i, one in enumerate(out):
            # what arrives comes before all steps
            at = -1 if one.layer == "data" else place.get(component_step(one.component), len(place))
            earlier = at < place.get(own, -1)
            if earlier and _proven(one) and _same_rows(one, fallen):
                out[i] = replace(
                    one, harmful=one.harmful or fallen.harmful, harm={**fallen.harm, **one.harm},
                    victims=tuple(dict.fromkeys((*one.victims, fallen.component, *fallen.victims))),
                )  # fmt: skip
                out.remove(fallen)
                break
    return out


def _unanswered(findings: Sequence[Finding], again: Again) -> list[Finding]:
    """A step that recorded nothing where its code has a value, while something was slow for the same rows: what it waited for did it."""
    out = list(findings)
    for fallen in findings:
        step = component_step(fallen.component)
        if not (_proven(fallen) and step.startswith("steps.")):
            continue
        span = f"spans.{step.partition('.')[2]}"
        slow = next((f for f in out if f.layer == "serving" and f.harmful and _same_rows(f, fallen)), None)
        if slow is None or span not in again.good().records.paths:
            continue
        found = next(s for s in again.parity(fallen.where, fallen.since).steps if s.name == step)
        if any(one.shape.startswith("null where") for one in found.differences):
            out[out.index(slow)] = replace(
                slow, component=span, evidence=(*slow.evidence, *fallen.evidence), confidence=max(slow.confidence, 0.9),
                victims=tuple(dict.fromkeys((fallen.component, *fallen.victims, *slow.victims))),
            )  # fmt: skip
            out.remove(fallen)
    return out


def _proven(finding: Finding) -> bool:
    return bool(finding.evidence) and finding.evidence[0].kind == "exact" and finding.layer in ("data", "features")


def _same_rows(one: Finding, other: Finding) -> bool:
    """Whether two findings name one slice, or a part of the other's, and set in within hours of each other: a ramp shows later in one field than in another."""
    slices = [set(finding.where) for finding in (one, other)]
    apart = abs(one.since - other.since) if one.since is not None and other.since is not None else timedelta(0)
    return (slices[0] <= slices[1] or slices[1] <= slices[0]) and apart <= timedelta(hours=6)


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
    judged = {s.layer for s in whole.steps if _whole(s) and not s.unmade}
    blind = {s.layer for s in whole.steps if s.standing == "not replayable"}
    elsewhere = [s for s in whole.steps if s.unmade and s.layer not in blamed]
    cleared = tuple(
        layer
        for layer in dict.fromkeys((*report.cleared, *(j for j in _CODE if j in judged - blind)))
        if layer not in blamed | declared.layers(changed)
    )
    unknown = tuple(c for c in report.cannot_tell if c.layer not in cleared)
    unknown += tuple(
        CannotTell(layer, "code that agrees with itself when it is run twice") for layer in sorted(blind - blamed)
    )
    unknown += tuple(CannotTell(s.layer, f"code that makes {', '.join(s.unmade[:3])}") for s in elsewhere)
    always = [s.name for s in whole.steps if s.standing == "different" and not undeclared.differs_anew(s)]
    notes = [f"{', '.join(always)}: the code differs from what golden recorded as well"] if always else []
    notes.append(
        f"replay of {whole.replayed}: {whole.sentence} A mismatch in {whole.misses_at_most:.2%} of them would have shown with 99% certainty"
    )
    said = sentence(verdict, ranked, cleared, report.window)
    if report.verdict == "insufficient" and not ranked:  # code that agrees makes no more of too few predictions
        verdict, said = report.verdict, report.sentence
    return replace(
        report, verdict=verdict, findings=ranked, cleared=cleared, cannot_tell=unknown,
        notes=(*report.notes, *notes, *whole.notes, *dict.fromkeys(weighed.notes)),
        traffic=(*report.traffic, *weighed.refuted), sentence=said,
    )  # fmt: skip
