"""From suspects to causes: who did it, and who merely passed it on.

In: suspects in causal order. Out: causes, each with its victims; what is left over is traffic. The rules are those of a
relay race: the first runner who drops the baton is at fault, unless the floor under him gave way (a host, a
dependency, another version), in which case that is what is named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from whimbrel.diagnose.boundaries import priced, written
from whimbrel.diagnose.case import HOUR_US, Case
from whimbrel.diagnose.crossing import crossing
from whimbrel.diagnose.displaced import of_another
from whimbrel.diagnose.exchanged import holder, misplaced
from whimbrel.diagnose.followers import (
    CLEARER_ROWS,
    MOSTLY,
    SAME,
    dealt_by_another,
    in_step,
    inherited,
    led,
    misled,
    new_to_it,
    nothing_to_do,
    of_the_past,
    passed_on,
    reads,
    rewritten,
    same_source,
    says_anew,
    shows_itself,
    slow,
    strange,
    strange_text,
    taken_along,
    tells,
    together,
    unanswered,
    unanswered_there,
    unread,
)
from whimbrel.diagnose.machines import calls, errs, on_one_host
from whimbrel.diagnose.misrecorded import misrecorded
from whimbrel.diagnose.refuted import disowned, refuted
from whimbrel.diagnose.relations import Relation
from whimbrel.diagnose.sources import served
from whimbrel.diagnose.spared import kept_by, made_of_it, unused
from whimbrel.diagnose.surroundings import TOTAL, of_new_model
from whimbrel.diagnose.suspects import CLEAR, Proof, Suspect, abrupt, far, not_yet, order_of, overlap
from whimbrel.diagnose.unrecorded import ahead, miscounted, of_the_record, stamped, told_by_clock, unrecorded
from whimbrel.model.fields import Role, role_of, split

CLEARER = 2.0
"""Times as clear as its cause a witness must be before slice and onset are read off it."""

_MODEL_FACTS = {"model.version": 0, "model.precision": 1, "model.variant": 2, "model.name": 3, "model.digest": 4}
"""What names a model, the most telling first."""

_OF_SCORES = ("given score", "disagree")
"""What labels no longer say of scores: where another model gives these, it is that one's doing."""

_KEPT = re.compile(r"cache|reuse")
"""What the provider kept of a prompt is the provider's doing."""

HALTED = float(np.log(3.0))
"""Calls that take so much longer are not merely slower: they wait for something that does not answer."""


@dataclass(frozen=True, eq=False)
class Cause:
    """A suspect found guilty: what is named for it, and who suffers under it."""

    suspect: Suspect
    component: str
    layer: str
    victims: tuple[str, ...] = ()
    witnesses: tuple[Suspect, ...] = ()
    """Other departures that support the same story: an identity, a host's clock, a time-out."""
    told_by: str = ""
    """What tells that it is this one's doing, in words, where the suspect does not say it."""


def settle(
    case: Case, suspects: Sequence[Suspect], relations: Mapping[str, Relation]
) -> tuple[list[Cause], list[Suspect]]:
    """Causes, the gravest proof first, and the soft suspects that remain as traffic."""
    identities = [s for s in suspects if s.hit.channel.signature == "identity"]
    others = [s for s in suspects if s.hit.channel.signature != "identity"]
    others = [taken_along(inherited(case, s, others, relations), others) for s in others]
    others = [replace(s, proof=Proof.SOFT) if of_new_model(case, s, identities) else s for s in others]
    others = refuted(case, led(case, [_promote(case, s, identities, others) for s in others]))
    proofs = [of_another(case, s, relations.get(s.component)) for s in others if s.proof > Proof.SOFT]
    soft = [s for s in others if s.proof is Proof.SOFT]
    causes = [*_of_other_requests(case, proofs), *_of_lost_records(case, proofs, relations), *_of_clocks(case, proofs)]
    causes += _host_slow(case, proofs, soft, identities)
    taken = {id(s) for cause in causes for s in (cause.suspect, *cause.witnesses)}
    rest = [s for s in proofs if id(s) not in taken]
    for suspect in sorted(rest, key=lambda s: _turn(case, s, rest)):
        explained = next((i for i, cause in enumerate(causes) if _explains(case, cause, suspect)), None)
        if explained is None:
            found = _name(case, suspect, identities, soft, others, relations)
            if found.layer == "data" and found.component == suspect.component:
                found = replace(found, component=crossing(case, found.suspect, others, relations))
            causes = _with(causes, found)
        else:
            cause = causes[explained]
            causes[explained] = replace(
                cause, victims=(*cause.victims, suspect.component), witnesses=(*cause.witnesses, suspect)
            )
    causes = _strangers(identities, _without_labels_of(causes))
    causes = [_located(case, _with_victims(cause, soft), soft) for cause in causes]
    causes = [_of_the_record(case, cause, relations) for cause in causes]
    named = {v for cause in causes for v in (*cause.victims, cause.component)}
    return causes, [s for s in soft if s.component not in named]


def _of_the_record(case: Case, cause: Cause, relations: Mapping[str, Relation]) -> Cause:
    """The cause, of the record's where something tells that all went on as before, and the record alone has something else."""
    text, why = of_the_record(case, cause.suspect, cause.witnesses, relations)
    named = text or cause.component
    victims = tuple(v for v in dict.fromkeys((*cause.victims, cause.suspect.component)) if v != named)
    return replace(cause, component=named, layer="recorder", victims=victims, told_by=why) if why else cause


def _with(causes: list[Cause], found: Cause) -> list[Cause]:
    """The causes and one more; what has the name of one of them on its rows is another witness of that one: an old source, and what it feeds."""
    for i, cause in enumerate(causes):
        if cause.component == found.component and overlap(found.suspect.affected, cause.suspect.affected) >= SAME:
            witnesses = (*cause.witnesses, found.suspect, *found.witnesses)
            return [*causes[:i], replace(cause, witnesses=witnesses), *causes[i + 1 :]]
    return [*causes, found]


def _without_labels_of(causes: Sequence[Cause]) -> list[Cause]:
    """The causes, less labels that are missing where another one kept the answer back: what nobody was shown nobody judged."""
    out = list(causes)
    for label in causes:
        if label.suspect.hit.channel.signature not in ("lost", "late"):
            continue
        for i, other in enumerate(out):
            made = role_of(other.component) in (Role.STEP, Role.OUTPUT, Role.DECISION)
            if made and overlap(label.suspect.bad, other.suspect.bad) >= MOSTLY:
                out[i] = replace(
                    other, victims=(*other.victims, label.component), witnesses=(*other.witnesses, label.suspect)
                )
                out.remove(label)
                break
    return out


def _of_other_requests(case: Case, proofs: Sequence[Suspect]) -> list[Cause]:
    """Steps and outputs that are another request's: the record is, if several are, and an answer alone was handed to the wrong one.

    What was made and decided of it then is what follows from the answer. Where it does not, each request got its own answer, and the record mixed them
    up; so where what was made is the request's own, and its inputs are another's.
    """
    moved = [s for s in proofs if s.hit.channel.signature == "displaced" and not dealt_by_another(case, s, proofs)]
    moved.sort(key=lambda s: order_of(case, s.component))
    if not moved:
        return []
    lead = max(moved, key=lambda s: (not s.hit.channel.detail["dealt"], int(s.bad.sum())))
    recorded = [f.path for f in case.schema]

    def place(one: Suspect) -> tuple[int, int]:
        return order_of(case, one.component), recorded.index(one.component)

    decided = [s for s in proofs if s.hit.channel.exact and place(s) > place(lead)]
    several = [s for s in moved if s is not lead and (s.where == lead.where or together(s, lead))]
    several += [s for s in decided if overlap(s.bad, lead.affected) >= MOSTLY]
    if several or lead.hit.channel.detail["of_inputs"]:
        names = tuple(s.component for s in (lead, *several))
        own = [s for s in moved if not (s.hit.channel.kind == "residual" and reads(s, lead.component))]
        alone = role_of(lead.component) is Role.STEP and own == [lead]
        named = lead.component if alone else "recorder.record"  # what follows from it goes by the request's own
        return [Cause(lead, named, "recorder", names, tuple(several))]
    return [Cause(lead, lead.component, "serving" if role_of(lead.component) is Role.OUTPUT else "features")]


def _of_lost_records(case: Case, proofs: Sequence[Suspect], relations: Mapping[str, Relation]) -> list[Cause]:
    """Outputs that the recorder dropped, or that the record bears otherwise than they were decided by."""
    lost = [replace(s, note=why) for s in proofs if (why := unrecorded(case, s))]
    names = tuple(s.component for s in lost)
    wrong = misrecorded(case, proofs, relations)
    out = [Cause(s, s.component, "recorder", (d.component,), (d,), why) for s, d, why in wrong]
    return [*(Cause(s, "recorder.record", "recorder", names, tuple(lost[1:])) for s in lost[:1]), *out]


def _of_clocks(case: Case, proofs: Sequence[Suspect]) -> list[Cause]:
    """Hosts whose clock is ahead, with the steps that read the clock rightly and are held against the record's time."""
    out = []
    for label in (s for s in proofs if s.component == "label"):
        if why := ahead(case, label):
            steps = [s for s in proofs if told_by_clock(s) and overlap(s.bad, label.affected) >= MOSTLY]
            out.append(Cause(label, "ts", "recorder", ("label", *(s.component for s in steps)), tuple(steps), why))
    return out


def _turn(case: Case, suspect: Suspect, rest: Sequence[Suspect]) -> tuple[float, ...]:
    """When a suspect is heard: a dependency that took the values down with it first, then causal order, then proof."""
    role = role_of(suspect.component)
    first = 0.0
    if role is Role.SPAN:
        # A slow span that goes with wrong values explains them; one that goes with none stands for itself, last.
        wrong = [s for s in rest if role_of(s.component) in (Role.INPUT, Role.STEP, Role.OUTPUT, Role.ERROR)]
        halted = suspect.shift > HALTED or any(h.channel.binary for h in suspect.hits)
        takes_down = halted and any(overlap(s.bad, slow(suspect)) >= MOSTLY for s in wrong)
        takes_down &= not any(nothing_to_do(suspect, s) for s in wrong)
        first = -1.0 if takes_down else 1.0
        if suspect.component == TOTAL:
            first = 2.0
    if (role is Role.AGE and suspect.proof is Proof.HARD) or unused(case, suspect):
        # It says why what it feeds, or what was made of it, is wrong.
        first = -0.5
    layer_order = order_of(case, suspect.component)
    if role is Role.ERROR:  # what it left without an answer comes after it
        layer_order = min([layer_order, *(order_of(case, s.component) - 1 for s in rest if unanswered(s, suspect))])
    exact, score = suspect.hit.channel.exact, suspect.hit.score
    # Of what one step makes wrong about as clearly the first that is recorded: its hour comes before the hour's sine.
    recorded = [f.path for f in case.schema].index(suspect.component) if exact and role is Role.STEP else 0
    clear = round(float(np.log10(max(score, 1.0)))) if exact else 0
    return (first, layer_order, -float(suspect.proof), -float(exact), -clear, recorded, -score)


def _explains(case: Case, cause: Cause, suspect: Suspect) -> bool:
    """Whether a cause that was heard before explains this suspect."""
    guilty = cause.suspect
    shared = overlap(suspect.affected, guilty.affected)
    own, other = role_of(suspect.component), role_of(guilty.component)
    mixed_up = guilty.hit.channel.signature == "displaced"
    if mixed_up and cause.layer == "recorder" and own in (Role.INPUT, Role.STEP, Role.OUTPUT, Role.DECISION):
        return overlap(suspect.bad, guilty.affected) >= MOSTLY  # a record of two requests keeps no relation
    if guilty.hit.channel.signature == "unwritten":
        # What is left of the rows is as it was, but for who is left and what came before them.
        left = own in (Role.DECISION, Role.LABEL) or of_the_past(suspect)
        return left and (shared >= SAME or overlap(suspect.bad, guilty.affected) >= MOSTLY)
    came_of_it = unanswered_there(cause.layer, guilty, suspect) or made_of_it(case, guilty, suspect)
    if came_of_it or rewritten(suspect, guilty, cause.witnesses):
        return True
    if own is Role.SPAN and other is Role.SPAN:
        return suspect.component == TOTAL and shared >= 0.5
    if own is Role.LABEL:
        arrival = suspect.hit.channel.signature in ("lost", "late")
        return not arrival and shared >= 0.5 and (mixed_up or cause.layer in ("data", "features", "model"))
    if own is Role.SPAN:
        return nothing_to_do(suspect, guilty) or (shared >= SAME and cause.layer == "hardware")
    if own is Role.ERROR:
        failed = overlap(guilty.bad, suspect.bad) >= CLEARER_ROWS  # what fails falls back on something
        return failed or shared >= SAME or overlap(suspect.bad, guilty.bad) >= SAME
    if other is Role.SPAN:
        taken_down = together(suspect, guilty) or overlap(suspect.bad, slow(guilty)) >= MOSTLY
        return taken_down or misled(suspect, guilty)
    if other is Role.ERROR:
        return unanswered(suspect, guilty)
    if same_source(suspect, guilty):
        return shared >= 0.5
    if guilty.hit.channel.signature == "foreign" and order_of(case, suspect.component) > order_of(
        case, guilty.component
    ):
        return shared >= SAME  # what is somebody else's goes with nothing that follows
    if suspect.hit.channel.signature == "broken" and suspect.hit.channel.exact:
        # It breaks on the inputs that it really received; but it received a text, not the text's length or opening.
        texts = {guilty.component, *(name for name in cause.victims if role_of(name) is Role.INPUT)}
        marks = [name.partition("#") for name in suspect.hit.channel.detail["relation"].parents]
        there = shared >= SAME or overlap(suspect.bad, strange(guilty)) >= MOSTLY
        told = there and all(mark and text in texts for text, mark, _ in marks)
        told |= shared >= CLEARER_ROWS and (misled(suspect, guilty) or new_to_it(suspect, cause.component))
        # What golden told by an input that is stuck it read elsewhere: in the text whose language the input names.
        stuck = other is Role.INPUT and guilty.hit.channel.signature in ("constant", "spell")
        told |= stuck and any(text == guilty.component for text, *_ in marks) and shared >= CLEARER_ROWS
        return told or in_step(case, suspect, guilty) or unread(case, suspect, guilty)
    return order_of(case, suspect.component) > order_of(case, guilty.component) and (
        shared >= SAME or overlap(suspect.bad, guilty.affected) >= MOSTLY
    )


# ---------------------------------------------------------------- who is named


def _name(
    case: Case,
    suspect: Suspect,
    identities: Sequence[Suspect],
    soft: Sequence[Suspect],
    others: Sequence[Suspect],
    relations: Mapping[str, Relation],
) -> Cause:
    role = role_of(suspect.component)
    if role is Role.OUTPUT or suspect.hit.channel.signature in _OF_SCORES:
        model = _identity_of(suspect, identities, Role.MODEL)
        if model is not None:
            there = replace(
                suspect, where=model.where, inside=model.inside, affected=model.affected, since_us=model.since_us,
                from_start=model.from_start,
            )  # fmt: skip
            return Cause(there, model.component, "model", (suspect.component,), (model,))
    billed = role is Role.USAGE and priced(suspect.component) and suspect.proof is Proof.HARD
    if (role is Role.OUTPUT or billed) and (span := kept_by(case, suspect)):
        says = f"`{span}` takes less than half as long there as it ever did: the answers were not worked out anew"
        return Cause(suspect, span, "serving", (suspect.component,), told_by=says)
    if role is Role.OUTPUT:
        held_by = holder(case, suspect, relations)
        if held_by and misplaced(case, suspect, held_by, relations):
            says = f"`{held_by}` has them: each was written in the other's column"
            return Cause(suspect, "recorder.record", "recorder", (suspect.component, held_by), told_by=says)
        if on_one_host(suspect) and errs(case, suspect, relations):
            return Cause(suspect, "hardware.host", "hardware", (suspect.component,))
        told = next((s for s in soft if tells(s) and together(suspect, s)), None)
        if told is not None and not strange_text(case, suspect):
            return Cause(suspect, told.component, "decision", (suspect.component,), (told,))
    if role is Role.STEP and (why := stamped(case, suspect, relations.get(suspect.component))):
        return Cause(suspect, "ts", "recorder", (suspect.component,), told_by=why)
    if role is Role.STEP:
        step = split(suspect.component)[1]
        code = next((s for s in identities if s.component == f"code.{step}" and _coincide(suspect, s)), None)
        model = _identity_of(suspect, identities, Role.MODEL) if f"code.{step}" in case.variables else None
        under = [c.path for c in suspect.where if role_of(c.path) is Role.MODEL]
        if code is None and (
            under or model
        ):  # what departs under one model alone, by the same code, is what that model makes
            named = model.component if model else under[0]
            return Cause(suspect, named, "model", (suspect.component,), (model,) if model else ())
        return Cause(suspect, suspect.component, "features", witnesses=(code,) if code else ())
    if role is Role.AGE:
        component = served(case, suspect, others, relations)
        return Cause(suspect, component, "data" if component.startswith("inputs.") else "features")
    if role is Role.USAGE and (counted := miscounted(case, suspect, others)) is not None:
        told_by = f"what `{suspect.component}` and the text make of it is as ever: it was counted wrongly"
        return Cause(counted, counted.component, "recorder", (suspect.component,), (suspect,), told_by)
    if role is Role.USAGE:
        told_by = "nothing was used: the answer was not worked out anew" if unused(case, suspect) else ""
        return Cause(suspect, *_usage(case, suspect, identities), told_by=told_by)
    return Cause(suspect, suspect.component, suspect.layer)


def _usage(case: Case, suspect: Suspect, identities: Sequence[Suspect]) -> tuple[str, str]:
    """More tokens in is a prompt that grew; more tokens out is a model that talks; the rest is the service, and what one host uses for the same requests."""
    name = split(suspect.component)[1]
    if priced(name) or _KEPT.search(name) or on_one_host(suspect) or unused(case, suspect):
        return suspect.component, "serving"
    if "input" in name or "prompt" in name:
        steps = [s for s in identities if s.component.startswith("code.") and _coincide(suspect, s)]
        return (f"steps.{split(steps[0].component)[1]}" if steps else suspect.component), "features"
    if written(name):
        model = _identity_of(suspect, identities, Role.MODEL)
        return (model.component if model else suspect.component), "model"
    return suspect.component, "serving"


def _identity_of(suspect: Suspect, identities: Sequence[Suspect], role: Role) -> Suspect | None:
    """The identity that changed with the suspect; a version says more than a digest."""
    found = [s for s in identities if role_of(s.component) is role and _coincide(suspect, s)]
    found.sort(key=lambda s: _MODEL_FACTS.get(s.component, 9))
    return found[0] if found else None


def _coincide(suspect: Suspect, identity: Suspect) -> bool:
    """Whether the new identity is where the suspect is: most of the suspect's rows carry it, and few others do."""
    new = identity.hit.channel.values == 1
    inside = float(new[suspect.affected].mean()) if suspect.affected.any() else 0.0
    bad = suspect.bad
    return inside >= SAME or (bool(bad.any()) and float(new[bad].mean()) >= 0.8)


def _only_there(suspect: Suspect, identity: Suspect) -> bool:
    """Whether the new code runs in a part of the traffic, and what departs departs in that part alone: others are the control."""
    return bool(suspect.where) and set(suspect.where) == set(identity.where)


def _promote(case: Case, suspect: Suspect, identities: Sequence[Suspect], all_of: Sequence[Suspect]) -> Suspect:
    """The conditional question where no relation is known: it moved although nothing before it did, or with its own code."""
    role, kind = role_of(suspect.component), suspect.hit.channel.kind
    signature, another = suspect.hit.channel.signature, _identity_of(suspect, identities, Role.MODEL) is not None
    kind = "marginal" if signature == "range" and on_one_host(suspect) else kind
    if signature in ("atom", "range") and role is Role.OUTPUT and another:
        kind = "marginal"  # it says the same to many, or what was never said
    asked = role in (Role.STEP, Role.OUTPUT) or (role is Role.USAGE and not priced(suspect.component))
    code = f"code.{split(suspect.component)[1]}" if role is Role.STEP else ""
    anew = [s for s in identities if s.component == code and _coincide(suspect, s)]
    if signature in ("unseen", "range") and says_anew(suspect, anew) and not passed_on(case, suspect, all_of):
        kind = "marginal"
    if suspect.proof is not Proof.SOFT or not asked or kind not in ("marginal", "residual"):
        return suspect
    rewritten, clear = bool(anew), suspect.clarity >= CLEAR
    if kind == "residual":  # upstream foretells it only roughly, and may have changed in what was not recorded
        told = rewritten and (clear or any(_only_there(suspect, s) for s in anew))
        # What moved a day after another model came did not move it.
        first = [s for s in all_of if s.since_us <= suspect.since_us + HOUR_US] if another else all_of
        otherwise = role is Role.OUTPUT and clear and not passed_on(case, suspect, first)
        if otherwise and not (another or shows_itself(case, suspect) or kept_by(case, suspect)):
            return disowned(case, suspect)
        return replace(suspect, proof=Proof.FIRM) if told or otherwise else suspect
    found = rewritten or (role is Role.OUTPUT and another)
    follows = passed_on(case, suspect, all_of)
    # A step may look the world up (weather, a feature store), and the world moves alone; a model does not, nor do tokens and calls.
    alone = role is not Role.STEP and not follows and far(suspect) and abrupt(case, suspect)
    # Who is answered by which host is chance: one whose answers alone left golden's is a trial with its control.
    trial = role is Role.OUTPUT and not follows and on_one_host(suspect)
    alone |= trial and clear
    return replace(suspect, proof=Proof.FIRM) if found or alone else suspect


def _strangers(identities: Sequence[Suspect], causes: Sequence[Cause]) -> list[Cause]:
    """The causes, and a model that answers on some hosts only and that golden never saw: nobody rolls out like that and leaves it so.

    That it takes more or less time there is what another model does, and no cause of it.
    """
    models = [s for s in identities if role_of(s.component) is Role.MODEL]
    alone = [s for s in models if any(c.path == "hardware.host" for c in s.where)]
    timed = [c for c in causes if c.layer == "serving" and role_of(c.component) is Role.SPAN]
    others = [c for c in causes if c not in timed]
    explained = [s for s in alone if any(overlap(s.bad, c.suspect.affected) >= SAME for c in others)]
    left = sorted((s for s in alone if s not in explained), key=lambda s: _MODEL_FACTS.get(s.component, 9))
    if not left:
        return list(causes)
    its = [c for c in timed if overlap(c.suspect.affected, left[0].bad) >= SAME and c.suspect.where == left[0].where]
    victims = [*(s.component for s in left[1:]), *(v for c in its for v in (c.component, *c.victims))]
    found = Cause(left[0], left[0].component, "model", tuple(victims), tuple(c.suspect for c in its))
    return [*(c for c in causes if c not in its), found]


def _host_slow(
    case: Case, proofs: Sequence[Suspect], soft: Sequence[Suspect], identities: Sequence[Suspect]
) -> list[Cause]:
    """Slower on one host, whoever asks, where nothing else runs than on the others: the host, not its spans, but for a call to elsewhere alone."""
    slow = [s for s in proofs if s.hit.channel.signature in ("slower", "tail", "halted") and s.shift > 0]
    spans = [v for v in case.of(Role.SPAN) if v.path != TOTAL]
    hosts = {c for s in slow for c in s.where if c.path.startswith("hardware.")}
    out = []
    for host in sorted(hosts):
        there = [s for s in slow if host in s.where and s.component != TOTAL]
        counters = [
            s for s in soft if s.hit.channel.signature == "counter" and host in s.where and s.layer == "hardware"
        ]
        alike = [
            s
            for s in there
            if s.where == (host,) and not any(host in other.where and _coincide(s, other) for other in identities)
        ]
        alike = [s for s in alike if not calls(case, s)]
        if len(there) < min(2, len(spans)) and not (there and counters) and not alike:
            continue
        lead = max(there, key=lambda s: s.hit.score)
        fact = max(counters, key=lambda s: s.hit.score).component if counters else host.path
        victims = tuple(dict.fromkeys(s.component for s in slow if host in s.where))
        out.append(Cause(lead, fact, "hardware", victims, (*counters, *(s for s in slow if host in s.where))))
    return out


def _located(case: Case, cause: Cause, soft: Sequence[Suspect]) -> Cause:
    """The cause with the slice and the onset of its clearest witness: a victim may show on every row what it shows on some."""
    lead = cause.suspect
    if lead.hit.channel.signature == "identity":
        return cause
    beside = [s for s in soft if s.component in cause.victims or same_source(s, lead)]
    clearest = lead
    for one in (*cause.witnesses, *beside):
        if one.hit.channel.signature == "identity" or order_of(case, one.component) < order_of(case, lead.component):
            continue
        if not_yet(case, lead, one.since_us):
            continue  # what was there before it does not say when it began
        told = overlap(lead.bad, one.affected) >= CLEARER_ROWS and overlap(one.affected, lead.affected) > 0.1
        if told and one.clarity > CLEARER * clearest.clarity:
            clearest = one
    if clearest is lead:
        return cause
    there = replace(
        lead, where=clearest.where, inside=clearest.inside, affected=clearest.affected, since_us=clearest.since_us,
        from_start=clearest.from_start,
    )  # fmt: skip
    return replace(cause, suspect=there)


def _with_victims(cause: Cause, soft: Sequence[Suspect]) -> Cause:
    """Soft departures downstream on the same rows are victims; what the model then says otherwise is a witness as well."""
    guilty = cause.suspect
    found = [
        s
        for s in soft
        if overlap(s.affected, guilty.affected) >= SAME
        and overlap(guilty.affected, s.affected) >= 0.3
        and role_of(s.component) in (Role.STEP, Role.OUTPUT, Role.DECISION, Role.LABEL, Role.USAGE)
    ]
    victims = [v for v in dict.fromkeys([*cause.victims, *(s.component for s in found)]) if v != cause.component]
    moved = [s for s in found if s.hit.channel.kind == "residual" and role_of(s.component) is Role.OUTPUT]
    seen = moved if guilty.proof is Proof.HARD else []  # by itself it proves nothing; here it shows what came of it
    return replace(cause, victims=tuple(victims), witnesses=(*cause.witnesses, *seen))


def strength(cause: Cause) -> tuple[float, ...]:
    """How much a cause has going for it, for ranking: proof, exactness, then how sure."""
    channel = cause.suspect.hit.channel
    return (float(cause.suspect.proof), float(channel.exact), float(np.log(max(cause.suspect.hit.score, 1.0))))
