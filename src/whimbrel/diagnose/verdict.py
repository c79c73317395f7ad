"""The verdict: from a case to a report.

In: two `Rows` with their `Schema` and the events around them. Out: a `Report`. This is the whole chain in one place:
case → channels → scan → suspects → causes → harm → findings.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from itertools import chain

import numpy as np

from whimbrel.diagnose import (
    absence,
    boundaries,
    bygone,
    caps,
    carried,
    columns,
    contracts,
    copies,
    drawing,
    feeds,
    fills,
    focus,
    keys,
    kinds,
    labels,
    lineage,
    models,
    readings,
    senders,
    several,
    spells,
    surroundings,
    unwritten,
    vanished,
    withheld,
    words,
)
from whimbrel.diagnose.case import Case, build
from whimbrel.diagnose.causes import Cause, settle, strength
from whimbrel.diagnose.command import command
from whimbrel.diagnose.gather import gather
from whimbrel.diagnose.harm import Harm, measure
from whimbrel.diagnose.hopes import Hopes
from whimbrel.diagnose.lineage import Trained
from whimbrel.diagnose.scan import Channel, Scan
from whimbrel.diagnose.suspects import Proof, Suspect, events_near
from whimbrel.model.event import Event
from whimbrel.model.fields import Role, Schema
from whimbrel.model.report import CannotTell, Finding, NearEvent, Report, Span, Traffic, Verdict
from whimbrel.model.rows import Rows
from whimbrel.model.window import from_micros

LEAST_WINDOW, LEAST_GOLDEN = 40, 200
"""Rows below which there is no evidence to speak of."""
ENOUGH = 200
"""Rows of the window below which only a broken contract is evidence, and nothing found is no proof of health."""


def diagnose_rows(
    golden: Rows, window: Rows, schema: Schema, *, app: str, events: Sequence[Event] = (),
    golden_span: Span | None = None, window_span: Span | None = None, trained: Trained | None = None,
) -> Report:  # fmt: skip
    """Say which layer broke, which component, for whom, since when; or that nothing did; or that it cannot be told."""
    started = time.perf_counter()
    golden_span = golden_span or _span(golden)
    window_span = window_span or _span(window)
    thin = _too_thin(golden, window)
    if thin:
        return Report(app, window_span, golden_span, "insufficient", f"CANNOT TELL: {thin}.",
                      cannot_tell=(CannotTell("data", "more predictions"),),
                      took_s=round(time.perf_counter() - started, 3))  # fmt: skip
    case = kinds.beside(build(golden, window, schema, events))
    hopes = boundaries.foresee(case)
    plain = (
        contracts.channels(case),
        feeds.channels(case),
        spells.channels(case),
    )  # what needs no model, while these load
    with models.on_one_thread():
        return _judge(case, hopes, plain, app, golden_span, window_span, started, trained)


def _judge(
    case: Case, hopes: Hopes, plain: Sequence[Sequence[Channel]], app: str, golden_span: Span, window_span: Span, started: float,
    trained: Trained | None,
) -> Report:  # fmt: skip
    learned = boundaries.learn_all(case, hopes)
    channels = [
        *chain.from_iterable(plain),
        *absence.channels(case),
        *learned.channels,
        *keys.channels(case, learned.relations),
        *bygone.channels(case, learned.relations),
        *fills.channels(case, learned.relations),
        *senders.channels(case),
        *copies.channels(case),
        *columns.channels(case),
        *carried.channels(case),
        *vanished.channels(case),
        *caps.channels(case),
        *boundaries.shares(case, learned.relations),
        *boundaries.marginals(case, learned.relations),
        *surroundings.channels(case, learned),
        *labels.channels(case),
    ]
    scan = Scan(case)
    hits = absence.reconsider(case, scan, scan.hits(channels))
    found = [*readings.suspects(case), *unwritten.suspects(case), *withheld.suspects(case)]
    suspects = gather(case, focus.sharpen(case, scan, hits, learned.channels), found)
    causes, soft = settle(case, suspects, learned.relations)
    few = int(case.window.sum()) < ENOUGH
    causes = [cause for cause in causes if cause.suspect.proof is Proof.HARD or not few]
    weighed = sorted(
        ((c, measure(case, c, learned.relations)) for c in causes),
        key=lambda pair: (-pair[1].matters, *(-x for x in strength(pair[0]))),
    )
    weighed = [several.narrowed(case, c, h, learned.relations) for c, h in weighed]
    findings = tuple(
        _finding(case, app, golden_span, rank, c, h, _rivals(c, weighed)) for rank, (c, h) in enumerate(weighed, 1)
    )
    if trained is not None:
        findings = tuple(lineage.followed(case, c, f, trained) for (c, _), f in zip(weighed, findings, strict=True))
    verdict: Verdict = "fault" if any(f.harmful for f in findings) else "notice" if findings else "healthy"
    cleared, unknown = _layers(case, learned, findings)
    said = sentence(verdict, findings, cleared, window_span)
    if few and not findings:
        verdict, said, cleared = "insufficient", f"CANNOT TELL: {_few(int(case.window.sum()))}.", ()
        unknown = (CannotTell("data", "more predictions"),)
    return Report(
        app, window_span, golden_span, verdict, said, findings,
        _traffic(case, soft), cleared, unknown, tuple(case.notes), round(time.perf_counter() - started, 3),
    )  # fmt: skip


def _span(rows: Rows) -> Span:
    if not len(rows):
        return Span(None, None, 0)
    return Span(from_micros(int(rows.ts.min())), from_micros(int(rows.ts.max())), rows.total)


def _few(rows: int) -> str:
    return f"nothing stands out in {rows} predictions, and at least {ENOUGH} are needed to call them healthy"


def _too_thin(golden: Rows, window: Rows) -> str:
    if len(window) < LEAST_WINDOW:
        return f"the window holds {len(window)} predictions, at least {LEAST_WINDOW} are needed"
    if len(golden) < LEAST_GOLDEN:
        return f"golden holds {len(golden)} predictions, at least {LEAST_GOLDEN} are needed"
    return ""


# ---------------------------------------------------------------- findings


def _rivals(cause: Cause, weighed: Sequence[tuple[Cause, Harm]]) -> int:
    """How many other harmful causes there are, of another layer and proved as well."""
    return sum(
        harm.matters and other.layer != cause.layer and other.suspect.proof >= cause.suspect.proof
        for other, harm in weighed
    )


def _finding(case: Case, app: str, golden: Span, rank: int, cause: Cause, harm: Harm, rivals: int) -> Finding:
    suspect = cause.suspect
    since = from_micros(suspect.since_us)
    events = events_near(case, suspect)
    return Finding(
        rank=rank, layer=cause.layer, component=cause.component, where=suspect.where, since=since,
        confidence=_confidence(cause, events, rivals), harmful=harm.matters, harm=harm.numbers, what=words.what(case, cause),
        evidence=words.evidence(case, cause), events=events, victims=cause.victims,
        next=command("compare", app, golden, since=since, where=suspect.where),
        measure=drawing.measure_words(suspect), series=drawing.series(case, suspect),
        slices=drawing.slices(case, suspect), shapes=drawing.shapes(case, cause),
        examples=drawing.examples(case, cause),
    )  # fmt: skip


def _confidence(cause: Cause, events: tuple[NearEvent, ...], rivals: int) -> float:
    """How likely the layer is the right one: log odds of the proof, of how clear it is, and of what else was found.

    A score of twice its threshold is neutral, each doubling adds to it, to eight times. Other faults found beside it are
    mostly what the same day did elsewhere, or one fault seen twice: two at once are rare. The weights are a judgement and not
    yet measured (`docs/drill.md`).
    """
    suspect = cause.suspect
    odds = {Proof.HARD: 2.6 if suspect.hit.channel.exact else 2.2, Proof.FIRM: 1.2, Proof.SOFT: 0.4}[suspect.proof]
    odds += 0.5 * (min(float(np.log2(suspect.hit.score / suspect.hit.threshold)), 3.0) - 1.0)
    odds += 0.4 * bool(events) - 1.2 * bool(rivals)
    return round(float(1 / (1 + np.exp(-odds))), 2)


def sentence(verdict: Verdict, findings: tuple[Finding, ...], cleared: tuple[str, ...], span: Span) -> str:
    """The whole answer in one sentence."""
    if not findings:
        looked = f"{span.predictions:,} predictions"
        return f"HEALTHY: nothing broke in {looked}; cleared: {', '.join(cleared) or 'nothing could be judged'}."
    first = findings[0]
    head = "FAULT" if verdict == "fault" else "NOTICE"
    text = f"{head} in {first.layer}: `{first.component}` {first.what}"
    text += f", for {words.slice_words(first.where)}" if first.where else ", for all traffic"
    if first.since is not None:
        text += f", since {_moment(first.since)}"
    if first.events:
        nearest = first.events[0]
        minutes = abs(nearest.lag_s) // 60
        text += f", {minutes} min {'after' if nearest.lag_s >= 0 else 'before'} {nearest.kind} {nearest.what}"
    if len(findings) > 1:
        others = sum(f.harmful for f in findings[1:])
        text += f" (and {others} more fault{'s' if others != 1 else ''})" if others else ""
    return text + "."


def _moment(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M")


# ---------------------------------------------------------------- what did not break


def _layers(
    case: Case, learned: boundaries.Boundaries, findings: tuple[Finding, ...]
) -> tuple[tuple[str, ...], tuple[CannotTell, ...]]:
    """Layers that were judged and found whole, and layers that could not be judged, with what is missing."""
    related = {case.variables[name].field.role for name in learned.relations}
    label = case.variables.get("label")
    judged: list[tuple[str, bool, str]] = [
        ("data", bool(case.of(Role.INPUT)), "recorded inputs (inputs.<name>)"),
        ("features", bool(case.of(Role.STEP)), "recorded steps (steps.<step>.<name>)"),
        ("model", Role.OUTPUT in related, _model_needs(case)),
        ("decision", Role.DECISION in related, _decision_needs(case)),
        (
            "labels",
            label is not None and not label.missing[case.window].all(),
            "labels of the window (label, label_ts)",
        ),
        ("training", False, "a recorded training run of the model"),
        ("serving", bool(case.of(Role.SPAN, Role.ERROR)), "spans (spans.<name>, in ms) or errors"),
        ("hardware", bool(case.of(Role.HARDWARE)), "hardware facts (hardware.host, …)"),
        ("recorder", "recorder.seq" in case.variables, "the recorder's own count (recorder.seq)"),
    ]
    broken = {f.layer for f in findings}
    cleared = tuple(layer for layer, known, _ in judged if known and layer not in broken)
    unknown = tuple(CannotTell(layer, needs) for layer, known, needs in judged if not known and layer not in broken)
    return cleared, unknown


def _model_needs(case: Case) -> str:
    if not case.of(Role.OUTPUT):
        return "recorded outputs (outputs.score)"
    return "inputs or steps that determine the outputs; what is recorded does not"


def _decision_needs(case: Case) -> str:
    return "recorded decisions" if not case.of(Role.DECISION) else "the outputs that the decision is made from"


def _traffic(case: Case, soft: Sequence[Suspect]) -> tuple[Traffic, ...]:
    """What moved in the world: mixes, levels, new values. Never a fault."""
    out = []
    for suspect in sorted(soft, key=lambda s: -s.hit.score)[:12]:
        where = f" for {words.slice_words(suspect.where)}" if suspect.where else ""
        out.append(Traffic(f"{suspect.component}: {drawing.movement(case, suspect)}{where}", (suspect.component,)))
    return (*drawing.mix(case), *out)
