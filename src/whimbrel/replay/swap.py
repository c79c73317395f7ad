"""The swap matrix: which of the things that the declared code has otherwise than golden's did it?

In: two pipelines and flat records. Out: a `Swap`. `parity.py`, `diagnose/` and tests may call.

No code is cut open. A step is swapped by its value: the declared code runs that step on what golden's code made before it, and
golden's code goes on with what it returned, exactly as a replay hands a recorded value on. All mixtures of the changed artefacts are run
so, and Shapley values share what changed among them. What a pipeline says last (outputs, then the decision) is taken from the
one or the other as it is; where both changed, the decision is read off as a step function of the score.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeAlias

from whimbrel.model.swap import Artefact, Change, Swap
from whimbrel.replay.apart import LIMIT_S, play
from whimbrel.replay.artefacts import Part, otherwise, parts
from whimbrel.replay.hybrid import Hybrid, Names, Run
from whimbrel.replay.outcome import Outcome, Rule, change, outcome_of, thinned
from whimbrel.replay.parity import known
from whimbrel.replay.pipelines import Pipeline, pipeline_of
from whimbrel.replay.played import Played
from whimbrel.replay.record import Record
from whimbrel.stats.shapley import shapley

MOST = 4
"""Artefacts that are told apart; where more changed, the three that do most, and the rest as one."""
REST = "the rest"
_ENOUGH = 10

Contents: TypeAlias = tuple[Mapping[str, Part], Mapping[str, Part]]
"""What the declared code's steps are made of, and golden's."""


@dataclass(frozen=True, slots=True, eq=False)
class _Tail:
    """How outputs and decision differ: which of them are artefacts, and golden's and the declared rule where they are needed."""

    artefacts: tuple[str, ...]
    rules: tuple[Rule | None, Rule | None]
    says: Mapping[str, str]


def swap(
    declared: Any, golden: Any, records: Sequence[Record], *, before: Sequence[Record] = (), limit_s: float = LIMIT_S,
    names: tuple[str, str] = ("declared", "golden"),
) -> Swap:  # fmt: skip
    """Share what the declared code decides otherwise than golden's among the artefacts in which the two differ.

    Args:
        declared: the code that should be running, as `parity` takes a pipeline.
        golden: the code of the time when all was well.
        records: flat records whose raw inputs both get, at most `RUN` of them; what was recorded of their steps is not used.
        before: golden's records, of which the decision's rule is read where the pipelines make no decision.
        limit_s: seconds that each run of the code may take.
        names: how a person calls the two.
    """
    records = thinned(records)
    codes = [one if isinstance(one, str) else pipeline_of(one) for one in (declared, golden)]

    def runner(code: str | Pipeline) -> Run:
        def run(asked: Sequence[Record], free: bool) -> tuple[str, Sequence[Played]]:
            answered = play(code, asked, free=free, limit_s=limit_s)
            return answered.kind, answered.answers

        return run

    mixture = Hybrid(runner(codes[0]), runner(codes[1]), records)
    made_of: Contents = ({}, {})
    if mixture.changed or mixture.differ("outputs"):
        made_of = (parts(codes[0], limit_s=limit_s), parts(codes[1], limit_s=limit_s))
    notes = list(mixture.notes)
    if len(mixture.records) < _ENOUGH:
        lost = (
            f"CANNOT TELL: {len(records) - len(mixture.records)} of {len(records)} predictions fail in one of the two."
        )
        return Swap(*names, len(mixture.records), lost, (), (), Change(), notes=tuple(notes))
    return _told(mixture, _tail(mixture, records, before), names, notes, made_of)


def departed(pipeline: Any, records: Sequence[Record], *, limit_s: float = LIMIT_S) -> Change:
    """What was decided in production against what the code decides of the same raw inputs, no recorded value handed on."""
    code = pipeline if isinstance(pipeline, str) else pipeline_of(pipeline)
    answers = play(code, known(records), free=True, limit_s=limit_s).answers
    happened = outcome_of(records)
    made = outcome_of([answer.out for answer in answers], Rule.read(happened))
    return change(made, happened, [record.get("label") for record in records])


def _told(mixture: Hybrid, tail: _Tail, names: tuple[str, str], notes: list[str], made_of: Contents) -> Swap:
    labels = mixture.labels
    groups = _groups(mixture, tail, labels)
    outcomes = _outcomes(mixture, tail, groups)
    nothing, everything = frozenset[str](), frozenset(groups)
    changes = {chosen: change(outcomes[nothing], one, labels) for chosen, one in outcomes.items()}
    shares = {
        measure: shapley(list(groups), {chosen: _worth(one, measure) for chosen, one in changes.items()})
        for measure in ("flipped", "score_shift_sd", "loss")
        if _measured(changes[everything], measure)
    }
    artefacts = tuple(
        Artefact(
            name, _layer(name), {"outputs": "model", "decision": "threshold"}.get(name, "step"), groups[name],
            _says(name, groups[name], mixture, tail, made_of),
            changes[frozenset({name})], change(outcomes[everything], outcomes[everything - {name}], labels),
            {measure: round(values[name], 6) + 0.0 for measure, values in shares.items()},
        )
        for name in groups
    )  # fmt: skip
    whole = changes[everything]
    ordered = sorted(changes, key=lambda chosen: (len(chosen), [name in chosen for name in groups][::-1]))
    n = len(mixture.records)
    artefacts = tuple(sorted(artefacts, key=lambda one: -_weight(one)))
    return Swap(
        *names, n, _sentence(artefacts, whole, n), artefacts,
        tuple((tuple(name for name in groups if name in chosen), changes[chosen]) for chosen in ordered),
        whole, 1 - 0.01 ** (1 / n), tuple(notes),
    )  # fmt: skip


def _measured(one: Change, measure: str) -> bool:
    if measure == "flipped":
        return one.compared > 0
    return (one.score_shift_sd if measure == "score_shift_sd" else one.loss_after) is not None


def _worth(one: Change, measure: str) -> float:
    """What a mixture changes beside golden's code alone, by a measure."""
    if measure == "flipped":
        return one.flips
    if measure == "score_shift_sd":
        return one.score_shift_sd or 0.0
    return (one.loss_after or 0.0) - (one.loss_before or 0.0)


def _weight(one: Artefact) -> float:
    """By what artefacts are ranked: flips, then the score."""
    return (
        1000 * abs(one.shares.get("flipped", 0.0)) + abs(one.shares.get("score_shift_sd", 0.0)) + 1e-3 * one.alone.flips
    )


def _layer(name: str) -> str:
    return {"outputs": "model", "decision": "decision"}.get(name, "features")


def _groups(mixture: Hybrid, tail: _Tail, labels: Sequence[Any]) -> dict[str, Names]:
    """Artefacts by name with the steps that each stands for, at most `MOST` of them, in the order in which the code runs."""
    single: dict[str, Names] = {name: (name,) for name in (*mixture.changed, *tail.artefacts)}
    if len(single) <= MOST:
        return single
    alone = _outcomes(mixture, tail, single, [frozenset[str](), *(frozenset({name}) for name in single)])
    before = alone.pop(frozenset())
    done = {next(iter(chosen)): change(before, one, labels) for chosen, one in alone.items()}
    ranked = sorted(single, key=lambda name: (-done[name].flips, -(done[name].score_moved_sd or 0.0)))
    kept = set(ranked[: MOST - 1])
    return {name: (name,) for name in single if name in kept} | {REST: tuple(n for n in single if n not in kept)}


def _outcomes(
    mixture: Hybrid, tail: _Tail, groups: Mapping[str, Names], chosen: Iterable[frozenset[str]] | None = None
) -> dict[frozenset[str], Outcome]:
    """What comes of each set of artefacts (all of them where none are named) taken from the declared code."""
    sets = list(chosen) if chosen is not None else [
        frozenset(names) for k in range(len(groups) + 1) for names in combinations(groups, k)
    ]  # fmt: skip
    parts = {one: frozenset(step for name in one for step in groups[name]) for one in sets}
    steps = {one: swapped & set(mixture.changed) for one, swapped in parts.items()}
    whose = {one: tuple(name in swapped for name in ("outputs", "decision")) for one, swapped in parts.items()}
    mixture.prepare(steps.values(), {steps[one] for one in sets if any(whose[one])})
    return {one: _ending(mixture, tail, steps[one], whose[one]) for one in sets}


def _ending(mixture: Hybrid, tail: _Tail, steps: frozenset[str], whose: tuple[bool, ...]) -> Outcome:
    """Outputs and decision after these swapped steps, each from the declared code where `whose` says so."""
    old, new = tail.rules
    from_golden = outcome_of(mixture.golden_end(steps), old)
    if not any(whose):
        return from_golden
    from_declared = outcome_of(mixture.declared_end(steps), new)
    if len(tail.artefacts) == 1 or all(whose):
        return from_declared if tail.artefacts != ("decision",) else Outcome(from_golden.score, from_declared.decision)
    score = from_declared.score if whose[0] else from_golden.score
    rule = new if whose[1] else old
    assert rule is not None  # `_tail` tells two artefacts apart only where both rules can be read
    return Outcome(score, rule.decide(score))


def _tail(mixture: Hybrid, records: Sequence[Record], before: Sequence[Record]) -> _Tail:
    """How the two differ in outputs and decision, given equal steps."""
    first, second = (outcome_of(end(frozenset())) for end in (mixture.golden_end, mixture.declared_end))
    made = any(first.decision) or any(second.decision)
    old = Rule.read(first if made else outcome_of(before))
    new = Rule.read(second if made else outcome_of(records))
    if not made:
        old, new = old or new, new or old
    says: dict[str, str] = {}
    if differ := mixture.differ("outputs"):
        says["outputs"] = differ
    flips = change(first, second).flipped if made else 0
    if made and not differ:
        decides = flips
    elif old is None or new is None or (made and not flips):
        decides = 0
    else:
        decides = old.against(new, second.score)
    if decides:
        says["decision"] = f"is {new} (golden: {old})" if old and new else "decides otherwise at the same outputs"
    elif not made:
        new = old  # where the two rules agree, what lies between two scores is decided by one of them
    return _Tail(tuple(name for name in ("outputs", "decision") if name in says), (old, new), says)


def _says(name: str, steps: Names, mixture: Hybrid, tail: _Tail, made_of: Contents) -> str:
    if name == REST:
        return f"{', '.join(steps)} together"
    said = tail.says.get(name) or mixture.differ(name)
    new, old = (contents.get(name) for contents in made_of)
    why = otherwise(old, new)
    return f"{said}; {why}" if why else said


def _sentence(artefacts: Sequence[Artefact], whole: Change, n: int) -> str:
    if not artefacts:
        return f"EQUAL: the declared code makes of {n} predictions' raw inputs what golden's does, step by step."
    names = ", ".join(f"`{one.name}`" for one in artefacts)
    if not whole.judged:
        return f"DECLARED: {names} differ{'s' * (len(artefacts) == 1)} from golden's; what that does to the outcome cannot be told."
    done = f"{whole.flipped} of {whole.compared} decisions" if whole.compared else "the score"
    if not whole.flipped and whole.compared:
        alone = [one for one in artefacts if one.alone.flipped]
        if len(alone) > 1:
            told = ", ".join(f"`{one.name}` {one.alone.flipped}" for one in alone)
            return f"DECLARED: {names} differ from golden's and make up for each other: alone they change {told} decisions, together none."
        return f"DECLARED: {names} differ{'s' * (len(artefacts) == 1)} from golden's, and change no decision of {whole.compared}."
    if len(artefacts) == 1:
        return f"DECLARED: {names} differs from golden's and changes {done}."
    return f"DECLARED: {names} differ from golden's and change {done}: {shared(artefacts, whole)}."


def shared(artefacts: Sequence[Artefact], whole: Change) -> str:
    """Who did how much of it, in words."""
    if whole.compared and whole.flipped:
        return ", ".join(
            f"{one.name} {one.shares.get('flipped', 0.0) * whole.compared:.1f} of them" for one in artefacts
        )
    return ", ".join(f"{one.name} {one.shares.get('score_shift_sd', 0.0):+.3g} sd" for one in artefacts)
