"""A change that was declared: production does what the code says, and golden's code said otherwise. Which part of it did what?

In: a report and a replay. Out: findings, one an artefact, with its Shapley share of what changed as `exact` evidence. Only `exact.py`
may call.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from whimbrel.diagnose.again import IDENTITY, Again, component_step
from whimbrel.diagnose.command import command
from whimbrel.diagnose.releases import MANY_FLIPS, distorts
from whimbrel.diagnose.undeclared import differs_anew, left_behind, oftener
from whimbrel.model.parity import Parity, StepParity
from whimbrel.model.report import Evidence, Finding
from whimbrel.model.swap import Artefact, Change, Swap
from whimbrel.model.window import Where, from_micros

_SAME = ("equal", "within tolerance")
_FLIPS, _SD = 0.003, 0.05
ENOUGH = 30
_ARRIVED = 0.5
"""A declared change has arrived where production differs from it in less than this share of what golden differed in."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A step in which production does what the declared code does, and golden did not.

    `step` says how the two differ: golden's records from what the declared code makes of them, or, where golden's code is at hand
    (`now`), the window's from what that code makes. `place` is the slice and the moment since when.
    """

    step: StepParity
    now: bool = False
    place: tuple[Where, datetime | None] = ((), None)


def steps(again: Again, where: Where = (), since: datetime | None = None) -> dict[str, Changed]:
    """The steps that were declared to change, in a slice, by name."""
    window, golden = again.parity(where, since), again.golden_parity()
    here = {step.name: step for step in window.steps}
    out: dict[str, Changed] = {}
    if golden is not None and golden.replayed >= ENOUGH:
        then = (step for step in golden.steps if step.standing == "different" and step.name in here)
        out |= {step.name: Changed(step) for step in then if _arrived(here[step.name], step)}
    if again.golden_pipeline is not None:
        for step in again.parity(where, since, golden_s=True).steps:
            if step.name in out or step.standing != "different" or not differs_anew(step):
                continue
            if step.name in here and here[step.name].compared and not differs_anew(here[step.name]):
                lead = step.differences[0]
                first = from_micros(lead.since) if lead.since else None
                out[step.name] = Changed(step, True, (where or lead.where, since or first))
    return out


def _arrived(now: StepParity, then: StepParity) -> bool:
    """Whether production has left golden's code behind at a step: everywhere, or for the greater part of the traffic."""
    if not (now.standing in _SAME or now.standing == "different"):
        return False
    far = now.differ / now.compared < _ARRIVED * then.differ / then.compared
    return far and oftener((then.differ, then.compared), (now.differ, now.compared))


def findings(
    before: Sequence[Finding], changed: dict[str, Changed], matrix: Swap | None, window: Parity, again: Again,
) -> list[Finding]:  # fmt: skip
    """The report's findings with those of the declared change among them: proven where statistics saw them, new where not."""
    proven = list(before)
    for name, says, evidence, harm, harmful in _parts(changed, matrix, window, again):
        at = next((i for i, f in enumerate(proven) if component_step(f.component) == name), None)
        if at is None:
            proven.append(_new(name, says, evidence, harm, harmful, changed.get(name), again))
            continue
        old = proven[at]
        measured = {name: value for name, value in harm.items() if name != "share_of_traffic"}
        judged = "loss" in old.harm  # by the labels of the whole window, which say more than those of the replayed few
        proven[at] = replace(
            old, evidence=(*evidence, *old.evidence), confidence=max(old.confidence, 0.99), harm={**harm, **old.harm, **measured},
            harmful=old.harmful if harmful is None or judged else harmful, next=_next(again),
        )  # fmt: skip
    return proven


Part = tuple[str, str, tuple[Evidence, ...], dict[str, float], bool | None]
"""Step, what changed in words, evidence, harm, and whether it is harmful (None: it cannot be told)."""


def _parts(changed: dict[str, Changed], matrix: Swap | None, window: Parity, again: Again) -> list[Part]:
    judged = {step.name: step.standing for step in window.steps}
    unjudged = ("not run", "not recorded", "not replayable")
    parts = [
        _of_artefact(one, matrix, changed.get(one.name), window, again)
        for one in (matrix.artefacts if matrix is not None else ())
        if matrix is not None
        if len(one.parts) > 1 or one.name in changed or judged.get(one.name, "not run") in unjudged
    ]
    return parts or (_of_steps(list(changed.values()), window, again) if changed else [])


def _of_artefact(one: Artefact, matrix: Swap, step: Changed | None, window: Parity, again: Again) -> Part:
    whole = matrix.whole
    says = f"a declared change ({one.kind}): {one.says}"
    shares = f"; {shared_words(one, matrix)}" if len(matrix.artefacts) > 1 else ""
    said = (
        f"{one.says}; {one.name} of {matrix.declared} in the place of golden's changes {_done(one.alone)}; "
        f"golden's put back in {matrix.declared} changes {_done(one.undone)}{shares}"
    )
    numbers = {"flipped_alone": one.alone.flipped, "flipped_undone": one.undone.flipped, "flipped": whole.flipped}
    shapley = {f"shapley_{measure}": value for measure, value in one.shares.items()}
    proof = Evidence("exact", said, {"replayed": matrix.replayed, **numbers, **shapley})
    harm: dict[str, float] = {"share_of_traffic": 1.0}
    if "flipped" in one.shares:
        harm["decisions_flipped"] = round(max(one.shares["flipped"], 0.0), 4)
    if "score_shift_sd" in one.shares:
        harm["score_moved_sd"] = round(abs(one.shares["score_shift_sd"]), 4)
    evidence = (*_declared(step, window, again), proof) if step is not None else (proof,)
    return one.parts[0], says, evidence, harm, _on_trial(step, matrix, window, again) and harmful(one, whole)


def _on_trial(step: Changed | None, matrix: Swap, window: Parity, again: Again) -> bool:
    """Whether a change is more than an experiment's arm, which decides otherwise by intent: only labels speak against one."""
    if step is None or not step.now or abs(matrix.whole.loss_z) >= 2:
        return True
    own = [one for now in window.steps if now.name == step.step.name for one in now.differences]
    neither = {example["id"] for one in own for example in one.examples}  # a fallback decided, and no code
    return not again.strange(step.step.differences[0], ("model.variant",), neither)


def harmful(one: Artefact, whole: Change) -> bool | None:
    """Labels decide where they can; of a model its score beside golden's; else decisions; else the score. None where it cannot be told."""
    if "loss" in one.shares and abs(whole.loss_z) >= 2:
        return one.shares["loss"] > 0
    if one.layer == "model" and one.alone.score_slopes is not None:
        return _distorted(one.alone.score_slopes[0], one.alone)
    if "flipped" in one.shares:
        if one.alone.flipped and not whole.flipped:  # another change makes up for it
            return False
        return _flipping(one.shares["flipped"], whole.compared, one.layer)
    if "score_shift_sd" in one.shares:
        return (one.alone.score_moved_sd or 0.0) >= _SD
    return None


def _distorted(slope: float, change: Change) -> bool | None:
    """Whether a released model's scores cannot be as good as golden's; None where they can: labels will say whether they are."""
    return True if distorts((slope, change.slope_error)) and change.flips >= _FLIPS else None


def _flipping(flips: float, compared: int, layer: str) -> bool | None:
    """Whether so many flipped decisions harm; None where fewer might: what was not seen in n predictions may be in 3/n of them.

    A released model is meant to decide otherwise now and then, and whether for the worse is for the labels of the whole window to say.
    """
    if flips >= least(layer):
        return True
    return None if layer == "model" or flips > 0 or 3 / max(compared, 1) > least(layer) else False


def least(layer: str) -> float:
    """The share of decisions from which on a declared change harms, where no label says: a released model is meant to score otherwise."""
    return MANY_FLIPS if layer == "model" else _FLIPS


def shared_words(one: Artefact, matrix: Swap) -> str:
    """An artefact's part of what all of them change, in words."""
    whole = matrix.whole
    others = [other.name for other in matrix.artefacts if other is not one]
    if whole.compared and whole.flipped:
        part = f"{one.shares['flipped'] * whole.compared:.1f} of the {whole.flipped} decisions that change in all"
    elif whole.compared and any(other.alone.flipped for other in matrix.artefacts):
        return f"with {', '.join(others)} it changes none: they make up for each other"
    else:
        part = f"{one.shares.get('score_shift_sd', 0.0):+.3g} of the score's {whole.score_shift_sd or 0.0:+.3g} standard deviations"
    return f"its Shapley share beside {', '.join(others)} is {part}"


def _of_steps(steps: Sequence[Changed], window: Parity, again: Again) -> list[Part]:
    """Where golden's code is not named: what the declared code as a whole decides otherwise of golden's own inputs."""
    done = again.on_golden()
    told = [f"of golden's own raw inputs the declared code changes {_done(done)}"] if done.judged else []
    if len(steps) > 1:
        told.append(f"{len(steps)} steps changed at once: golden's code (--golden-pipeline) tells which did what")
    said = "; ".join(told)
    harm = {"share_of_traffic": 1.0, **({"decisions_flipped": round(done.flips, 4)} if done.compared else {})}
    out: list[Part] = []
    for one in steps:
        step, lead = one.step, one.step.differences[0]
        proof = (
            *_declared(one, window, again),
            *((Evidence("exact", said, {"replayed": done.compared, "flipped": done.flipped}),) if said else ()),
        )
        says = f"a declared change: {'was recorded' if one.now else 'golden had'} {lead.path} {lead.shape}"
        out.append((step.name, says, proof, harm, _overall(done, step.layer)))
    return out


def _overall(done: Change, layer: str) -> bool | None:
    """Whether the declared code harms; `done` goes from it to what golden decided, so a loss that grows is to its credit."""
    if abs(done.loss_z) >= 2:
        return done.loss_z < 0
    if layer == "model" and done.score_slopes is not None:
        return _distorted(done.score_slopes[1], done)
    if done.compared:
        return _flipping(done.flips, done.compared, layer)
    return done.score_moved_sd >= _SD if done.score_moved_sd is not None else None


def _declared(one: Changed, window: Parity, again: Again) -> tuple[Evidence, ...]:
    """That production does what the declared code does where golden did not; and where it does not yet."""
    step = one.step
    now = next(s for s in window.steps if s.name == step.name)
    same = f"{now.compared - now.differ} of {now.compared} predictions are what {step.name} of the declared code makes of their inputs; "
    rest = f"{step.differ} of {step.compared} are not what golden's makes" if one.now else (
        f"of golden's {step.compared}, {step.differ} are not"
    )  # fmt: skip
    numbers = {
        "replayed": now.compared,
        "differ": now.differ,
        "golden_replayed": step.compared,
        "golden_differ": step.differ,
    }
    first = Evidence("exact", f"{same}{rest}: the change is declared", numbers)
    return (first, *left_behind(now, again)) if now.differ and not one.now else (first,)


def _done(change: Change) -> str:
    if change.compared:
        return f"{change.flipped} of {change.compared} decisions"
    if change.score_moved_sd is None:
        return "nothing that could be told"
    return f"the score by {change.score_moved_sd:.3g} standard deviations"


def _new(
    name: str, says: str, evidence: tuple[Evidence, ...], harm: dict[str, float], harmful: bool | None,
    changed: Changed | None, again: Again,
) -> Finding:  # fmt: skip
    layer = {"outputs": "model", "decision": "decision"}.get(name, "features")
    where, since = changed.place if changed is not None else ((), None)
    strange = again.strange(changed.step.differences[0], IDENTITY) if changed is not None and name == "outputs" else ""
    return Finding(
        0, layer, strange or name, where, since, 0.97, bool(harmful), harm, says, evidence, next=_next(again)
    )  # fmt: skip


def _next(again: Again) -> str:
    report = again.report
    options = ["--pipeline", again.declared_name]
    if again.golden_pipeline is not None:
        options += ["--golden-pipeline", again.golden_name]
    return command(
        "parity", report.app, report.golden, since=report.window.since, until=report.window.until, where=report.window.where, options=options,
    )  # fmt: skip


def layers(changed: Collection[str]) -> set[str]:
    """The layers of these steps."""
    return {{"outputs": "model", "decision": "decision"}.get(name, "features") for name in changed}
