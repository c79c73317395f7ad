"""Production does not do what the declared code does: at which step, and where that may come from.

In: a parity in which a step differs. Out: findings with `exact` evidence. Only `exact.py` may call.
"""

from __future__ import annotations

from dataclasses import replace

from whimbrel.diagnose.again import IDENTITY, Again, component_step
from whimbrel.diagnose.command import command
from whimbrel.errors import EvidenceError
from whimbrel.model.parity import Difference, Parity, StepParity
from whimbrel.model.report import Evidence, Finding
from whimbrel.model.swap import Change
from whimbrel.model.window import Where, from_micros

_FLIPS, _SD = 0.003, 0.05
CHANCE, PERHAPS = 0.01, 0.2
"""A difference is new where golden's rate would show it as often in fewer windows than the first; up to the second it may be."""
_PLACE = ("hardware.", "recorder.process", "context.host", "context.pod", "context.node", "context.instance")


def new_steps(parity: Parity) -> list[StepParity]:
    """The steps that differ by more in the window than in golden: what always differed did not break now."""
    return [step for step in parity.steps if differs_anew(step)]


def differs_anew(step: StepParity, chance: float = CHANCE) -> bool:
    """Whether a step differs, or fails, by more than it did in golden; `chance` is how often golden's rate may look like it."""
    if step.standing == "failed":
        return step.differ / max(step.compared, 1) > 2 * step.golden_failed + 0.001
    return step.standing == "different" and any(is_new(one, chance) for one in step.differences)


def is_new(one: Difference, chance: float = CHANCE) -> bool:
    """Whether a field differs more often than in golden."""
    return oftener((one.differ, one.compared), (one.golden_differ, one.golden_compared), chance)


def oftener(here: tuple[int, int], there: tuple[int, int], chance: float = CHANCE) -> bool:
    """Whether `here` has more hits of so many than chance gives it if `there` is like it (Fisher's exact test, one-sided); and twice the rate."""
    (hits, n), (others, m) = here, there
    if not hits or not m:
        return bool(hits)
    from scipy.stats import hypergeom

    by_chance = float(hypergeom.sf(hits - 1, n + m, hits + others, n))
    return by_chance < chance and hits / n > 2 * others / m


def proven(finding: Finding, step: StepParity, parity: Parity, again: Again) -> Finding:
    """A finding that replay agrees with, or that replay lays at an earlier step's door."""
    proof = (_evidence(step, parity), *_origin(step, finding, again))
    finding = replace(finding, next=_next(finding, again))
    harmful = finding.harmful or _harmful(again.departed(), again.on_golden())
    if component_step(finding.component) == step.name or read_otherwise(finding, step):
        return replace(
            finding, evidence=(*proof, *finding.evidence), confidence=max(finding.confidence, 0.99), harmful=harmful
        )
    layer, component = _laid(step, next(iter(step.differences), None), again)
    return replace(
        finding, layer=layer, component=component, what=_what(step), confidence=0.99, harmful=harmful,
        evidence=(*proof, *finding.evidence), victims=tuple(dict.fromkeys((finding.component, *finding.victims))),
    )  # fmt: skip


def read_otherwise(finding: Finding, step: StepParity) -> bool:
    """Whether a finding already says why a step that makes something of a provider's text differs: the text was read otherwise."""
    return bool(step.unmade) and {one.path for one in step.differences} <= set(finding.victims)


def explained(finding: Finding, step: StepParity, parity: Parity, again: Again) -> Finding:
    """A finding that already says why a step differs: the step is among its victims. It bears the evidence."""
    return replace(finding, evidence=(*finding.evidence, _evidence(step, parity), *_origin(step, finding, again)))


def unseen(step: StepParity, parity: Parity, again: Again) -> tuple[Finding, str]:
    """A finding that only replay sees, harmful where the outcome shows it; and a note where there is no outcome to show it."""
    lead = next((one for one in step.differences if is_new(one)), None)
    done = again.departed()
    share = step.differ / max(step.compared, 1)
    harm = {"share_of_traffic": round(share, 4)}
    if done.compared:
        harm["decisions_flipped"] = round(done.flips, 4)
    elif step.name == "decision":
        harm["decisions_flipped"] = round(share, 4)
    if done.score_moved_sd is not None:
        harm["score_moved_sd"] = round(done.score_moved_sd, 4)
    harmful = _harmful(done, again.on_golden()) or (step.name == "decision" and share >= _FLIPS)
    layer, component = _laid(step, lead, again)
    finding = Finding(
        0, layer, component, lead.where if lead else (), from_micros(lead.since) if lead and lead.since else None, 0.97,
        harmful, harm, _what(step), (_evidence(step, parity),), examples=lead.examples if lead else (),
    )  # fmt: skip
    finding = replace(finding, evidence=(*finding.evidence, *_origin(step, finding, again)), next=_next(finding, again))
    note = f"what `{finding.component}` does to the outcome cannot be told: the record and the code have no decision and no score in common"
    return finding, "" if done.judged or harmful else note


def _laid(step: StepParity, lead: Difference | None, again: Again) -> tuple[str, str]:
    """Layer and component: the field; of outputs the model that made them, where it is another, or the host that alone errs."""
    if lead is None:
        return step.layer, step.name
    if step.name == "outputs":
        identity = again.strange(lead, IDENTITY)
        if identity:
            return step.layer, identity
        if len(lead.where) == 1 and lead.where[0].path.startswith("hardware."):
            return "hardware", lead.where[0].path
    return step.layer, lead.path


def _harmful(done: Change, golden: Change) -> bool:
    """Whether production decided otherwise than the code, more often than it did in golden."""
    if done.compared:
        return done.flips - golden.flips >= _FLIPS
    return (done.score_moved_sd or 0.0) - (golden.score_moved_sd or 0.0) >= _SD


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
