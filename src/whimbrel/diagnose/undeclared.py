"""Production does not do what the declared code does: at which step, and where that may come from.

In: a parity in which a step differs. Out: findings with `exact` evidence. Only `exact.py` may call.
"""

from __future__ import annotations

from dataclasses import replace

from whimbrel.diagnose.again import Again, component_step
from whimbrel.diagnose.command import command
from whimbrel.errors import EvidenceError
from whimbrel.model.parity import Difference, Parity, StepParity
from whimbrel.model.report import Evidence, Finding
from whimbrel.model.swap import Change
from whimbrel.model.window import Where

_FLIPS, _SD = 0.003, 0.05
_PLACE = ("hardware.", "recorder.process", "context.host", "context.pod", "context.node", "context.instance")


def first_new(parity: Parity) -> StepParity | None:
    """The first step that differs by more in the window than in golden: what always differed did not break now."""
    for step in parity.steps:
        if step.standing == "failed" and step.differ / max(step.compared, 1) > 2 * step.golden_failed + 0.001:
            return step
        if step.standing == "different" and any(is_new(one) for one in step.differences):
            return step
    return None


def is_new(one: Difference) -> bool:
    """Whether a field differs by more than it did in golden."""
    before = one.golden_differ / max(one.golden_compared, 1)
    return one.differ / max(one.compared, 1) > 2 * before + 0.001


def proven(finding: Finding, step: StepParity, parity: Parity, again: Again) -> Finding:
    """A finding that replay agrees with, or that replay lays at an earlier step's door."""
    proof = (_evidence(step, parity), *_origin(step, finding, again))
    finding = replace(finding, next=_next(finding, again))
    if component_step(finding.component) == step.name:
        return replace(finding, evidence=(*proof, *finding.evidence), confidence=max(finding.confidence, 0.99))
    component = step.differences[0].path if step.differences else step.name
    return replace(
        finding, layer=step.layer, component=component, what=_what(step), confidence=0.99,
        evidence=(*proof, *finding.evidence), victims=tuple(dict.fromkeys((finding.component, *finding.victims))),
    )  # fmt: skip


def unseen(step: StepParity, parity: Parity, again: Again) -> tuple[Finding, str]:
    """A finding that only replay sees, harmful where the outcome shows it; and a note where there is no outcome to show it."""
    lead = step.differences[0] if step.differences else None
    done = again.departed()
    share = step.differ / max(step.compared, 1)
    harm = {"share_of_traffic": round(share, 4)}
    if done.compared:
        harm["decisions_flipped"] = round(done.flips, 4)
    if done.score_moved_sd is not None:
        harm["score_moved_sd"] = round(done.score_moved_sd, 4)
    finding = Finding(
        0, step.layer, lead.path if lead else step.name, lead.where if lead else (), None, 0.97, _harmful(done), harm,
        _what(step), (_evidence(step, parity),), examples=lead.examples if lead else (),
    )  # fmt: skip
    finding = replace(finding, evidence=(*finding.evidence, *_origin(step, finding, again)), next=_next(finding, again))
    note = f"what `{finding.component}` does to the outcome cannot be told: the record and the code have no decision and no score in common"
    return finding, "" if done.judged else note


def _harmful(done: Change) -> bool:
    return done.flips >= _FLIPS if done.compared else (done.score_moved_sd or 0.0) >= _SD


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


def _origin(step: StepParity, finding: Finding, again: Again) -> tuple[Evidence, ...]:
    """Where something undeclared may come from: golden's code that still runs, a machine, a dependency, the packaging."""
    if step.standing == "failed" or not step.differences:
        return ()
    where: Where = tuple(dict.fromkeys((*finding.where, *step.differences[0].where)))
    says = ""
    numbers: dict[str, float | int | str] = {}
    if again.golden_pipeline is not None:
        golden_s, says, numbers = _beside_golden(step, where, again)
        if golden_s:
            return (Evidence("exact", says, numbers),)
    place = next((c for c in where if c.path.startswith(_PLACE)), None)
    slow = next((f for f in again.report.findings if f.layer == "serving"), None)
    event = next((e for e in finding.events if e.kind in ("deploy", "rollback", "config", "flag")), None)
    if place is not None:
        cause = f"only where {place.path}={place.value}: that machine, or a roll-out that reached only it"
    elif slow is not None:
        cause = f"together with `{slow.component}`: the dependency behind it answers otherwise or not at all"
    elif event is not None:
        cause = f"since {event.kind} {event.what}: what was packaged is not what is declared"
    else:
        cause = ""
    said = "; ".join(one for one in (cause, says) if one)
    return (Evidence("exact", f"nothing that is declared does this: {said}", numbers),) if said else ()


def left_behind(step: StepParity, again: Again) -> tuple[Evidence, ...]:
    """Where a declared change has not arrived: predictions that differ from the declared code at a step, and from golden's not."""
    lead = step.differences[0]
    who = f"for {' and '.join(map(str, lead.where))}" if lead.where else "for some"
    says = f"{who} it has not arrived: {lead.differ} predictions are not what the declared code makes"
    numbers: dict[str, float | int | str] = {"differ": lead.differ}
    if again.golden_pipeline is not None and lead.where:
        _, more, numbers = _beside_golden(step, lead.where, again)
        says += f"; {more}"
    return (Evidence("exact", says, numbers),)


def _beside_golden(step: StepParity, where: Where, again: Again) -> tuple[bool, str, dict[str, float | int | str]]:
    """Whether what was recorded is what golden's code makes, where it is not what the declared code makes; in words and numbers."""
    try:
        golden = again.parity(where, golden_s=True)
    except EvidenceError:
        return False, "", {}
    other = next((s for s in golden.steps if s.name == step.name), None)
    if other is None or other.standing in ("not run", "not recorded", "not replayable", "failed"):
        return False, f"golden's code has no {step.name} to compare with", {}
    same = other.compared - other.differ
    numbers: dict[str, float | int | str] = {"replayed": other.compared, "as_golden": same}
    if same >= 0.98 * other.compared:
        says = f"golden's code makes what was recorded in {same} of {other.compared}: the declared release does not run there"
        return True, says, numbers
    says = f"golden's code does not make it either ({other.differ} of {other.compared} differ), so what ran there cannot be told from code"
    return False, says, numbers


def _what(step: StepParity) -> str:
    if not step.differences:
        return f"fails in replay: {step.says}"
    shape = step.differences[0].shape
    if shape.split(" and ")[0].endswith(("smaller", "larger")):
        return f"was recorded {shape} than its code makes of the same inputs"
    return f"was recorded {shape}, which is not what its code makes of the same inputs"


def _next(finding: Finding, again: Again) -> str:
    report = again.report
    return command(
        "parity", report.app, report.golden, since=finding.since or report.window.since, until=report.window.until,
        where=tuple(dict.fromkeys((*report.window.where, *finding.where))), options=("--pipeline", again.declared_name),
    )  # fmt: skip
