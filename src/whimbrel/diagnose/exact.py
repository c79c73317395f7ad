"""Exact evidence: what replay says about each finding in the layers that are code.

In: a `Report`, and a way to replay a slice of its window. Out: the report with `exact` evidence. A step that differs from the
code is the culprit, whatever the statistics said of its victims; a layer that does in the window what its code does, and did in
golden, is cleared, and what had moved there is traffic. Only `doors.py` may call.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from whimbrel.diagnose.verdict import sentence
from whimbrel.errors import EvidenceError
from whimbrel.model.parity import Difference, Parity, StepParity
from whimbrel.model.report import CannotTell, Evidence, Finding, Report, Traffic, Verdict
from whimbrel.model.window import Where, iso

_CODE = ("features", "model", "decision")
_ENOUGH = 30
"""Replayed predictions of a slice that clear it."""

Ask = Callable[[Where, datetime | None, bool], Parity]
"""Replays a slice of the window: conditions, since when (None: the window's start), and whether it runs free."""


def weigh(report: Report, ask: Ask, pipeline: str) -> Report:
    """The report with what replay proves; `pipeline` is how a command names the code."""
    again = _command(report, pipeline)
    whole = ask((), None, False)
    findings: list[Finding] = []
    refuted: list[Traffic] = []
    for finding in report.findings:
        if finding.layer not in _CODE:
            findings.append(finding)
            continue
        try:
            asked = ask(finding.where, finding.since, False) if finding.where or finding.since else whole
        except EvidenceError:
            asked = whole  # too little of the slice is left to replay by itself
        first = _new(asked)
        if first is not None:
            findings.append(replace(_proven(finding, first, asked), next=again))
        elif _clears(asked, finding.component):
            refuted.append(
                Traffic(f"{finding.component} moved, and its code does what it did in golden", (finding.component,))
            )
        else:
            findings.append(finding)
    found = _new(whole)
    if found is not None and not any(_step(f.component) == found.name for f in findings):
        findings.append(replace(_unseen(found, whole, ask), next=again))
    return _settled(report, whole, _merged(findings), refuted)


def _command(report: Report, pipeline: str) -> str:
    """The command that shows it step by step."""
    asked = ["whimbrel", "parity", "--app", report.app, "--pipeline", pipeline]
    for option, moment in (("--since", report.window.since), ("--until", report.window.until)):
        asked += [option, iso(moment)] if moment is not None else []
    return shlex.join(asked)


def _new(parity: Parity) -> StepParity | None:
    """The first step that differs by more in the window than in golden: what always differed did not break now."""
    for step in parity.steps:
        if step.standing == "failed" and step.differ / max(step.compared, 1) > 2 * step.golden_failed + 0.001:
            return step
        if step.standing == "different" and any(_is_new(one) for one in step.differences):
            return step
    return None


def _is_new(one: Difference) -> bool:
    before = one.golden_differ / max(one.golden_compared, 1)
    return one.differ / max(one.compared, 1) > 2 * before + 0.001


def _step(component: str) -> str:
    head, _, rest = component.partition(".")
    if head == "steps":
        return f"steps.{rest.partition('.')[0]}"
    return "outputs" if head in ("outputs", "model") else "decision" if head in ("decision", "decisions") else component


def _clears(parity: Parity, component: str) -> bool:
    """Whether the step does in this slice what its code does, as it did in golden, over enough predictions."""
    step = next((s for s in parity.steps if s.name == _step(component)), None)
    same = step is not None and step.standing in ("equal", "within tolerance") and step.compared >= _ENOUGH
    return same and parity.golden_replayed >= _ENOUGH and parity.first is None


def _evidence(step: StepParity, parity: Parity) -> Evidence:
    at = [s.name for s in parity.steps].index(step.name) + 1
    equal = all(s.standing in ("equal", "within tolerance") for s in parity.steps[: at - 1])
    if step.standing == "failed":
        return Evidence(
            "exact", f"in replay {step.name} fails: {step.says}", {"replayed": parity.replayed, "differ": step.differ}
        )
    says = (
        f"{step.differ} of {step.compared} replayed predictions differ at {step.name}, step {at} of {len(parity.steps)}"
    )
    says += "; every step before it is equal" if equal and at > 1 else ""
    return Evidence("exact", says, {"replayed": step.compared, "differ": step.differ})


def _proven(finding: Finding, step: StepParity, parity: Parity) -> Finding:
    """A finding that replay agrees with, or that replay lays at an earlier step's door."""
    proof = _evidence(step, parity)
    if _step(finding.component) == step.name:
        return replace(finding, evidence=(proof, *finding.evidence), confidence=max(finding.confidence, 0.99))
    component = step.differences[0].path if step.differences else step.name
    return replace(
        finding, layer=step.layer, component=component, what=_what(step), confidence=0.99,
        evidence=(proof, *finding.evidence), victims=tuple(dict.fromkeys((finding.component, *finding.victims))),
    )  # fmt: skip


def _what(step: StepParity) -> str:
    if not step.differences:
        return f"fails in replay: {step.says}"
    return f"was recorded {step.differences[0].shape} than its code makes of the same inputs" if _compares(step) else (
        f"was recorded {step.differences[0].shape}, which is not what its code makes of the same inputs"
    )  # fmt: skip


def _compares(step: StepParity) -> bool:
    return step.differences[0].shape.split(" and ")[0].endswith(("smaller", "larger"))


def _unseen(step: StepParity, parity: Parity, ask: Ask) -> Finding:
    """A finding that only replay sees; its harm is what a free run decides otherwise."""
    lead = step.differences[0] if step.differences else None
    free = ask((), None, True)
    decided = next((s for s in free.steps if s.name == "decision" and s.compared), None)
    flipped = decided.differ / decided.compared if decided is not None else 0.0
    share = step.differ / max(step.compared, 1)
    return Finding(
        0, step.layer, lead.path if lead else step.name, lead.where if lead else (), None, 0.97,
        flipped >= 0.003 or decided is None, {"decisions_flipped": round(flipped, 4), "share_of_traffic": round(share, 4)},
        _what(step), (_evidence(step, parity),), examples=lead.examples if lead else (),
    )  # fmt: skip


def _merged(findings: list[Finding]) -> list[Finding]:
    """One finding a component and slice; the first has the most evidence."""
    out: dict[tuple[str, Where], Finding] = {}
    for finding in sorted(findings, key=lambda f: (not f.harmful, -f.confidence)):
        out.setdefault((finding.component, finding.where), finding)
    return list(out.values())


def _settled(report: Report, whole: Parity, findings: list[Finding], refuted: list[Traffic]) -> Report:
    ranked = tuple(replace(finding, rank=rank) for rank, finding in enumerate(findings, 1))
    verdict: Verdict = "fault" if any(f.harmful for f in ranked) else "notice" if ranked else "healthy"
    blamed = {f.layer for f in ranked}
    judged = {s.layer for s in whole.steps if s.standing in ("equal", "within tolerance")}
    blind = {s.layer for s in whole.steps if s.standing == "not replayable"}
    cleared = tuple(
        layer
        for layer in dict.fromkeys((*report.cleared, *(j for j in _CODE if j in judged - blind)))
        if layer not in blamed
    )
    unknown = tuple(c for c in report.cannot_tell if c.layer not in cleared)
    unknown += tuple(
        CannotTell(layer, "code that agrees with itself when it is run twice") for layer in sorted(blind - blamed)
    )
    always = [s.name for s in whole.steps if s.standing == "different" and not any(_is_new(d) for d in s.differences)]
    notes = report.notes + (
        (f"{', '.join(always)}: the code differs from what golden recorded as well",) if always else ()
    )
    notes += (f"replay of {whole.replayed}: {whole.sentence}", *whole.notes)
    return replace(
        report, verdict=verdict, findings=ranked, cleared=cleared, cannot_tell=unknown, notes=notes,
        traffic=(*report.traffic, *refuted), sentence=sentence(verdict, ranked, cleared, report.window),
    )  # fmt: skip
