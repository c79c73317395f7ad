"""Raw inputs are ranked by what the outcome does when golden's values are put back, and not by how far they moved.

In: a report and a replay. Out: findings of the data layer with `exact` evidence of their harm, traffic that says what it does to decisions. Only
`exact.py` may call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from whimbrel.diagnose.again import Again
from whimbrel.diagnose.words import slice_words
from whimbrel.model.report import Evidence, Finding, Traffic
from whimbrel.model.swap import Rescored

MOST = 6
"""Inputs that moved with the world and are re-scored."""
_FLIPS, _SD = 0.003, 0.05
RECEIVED = 0.8
"""How sure it is that a raw input broke what its step made of it, where several may have."""
_SOFT = ("marginal", "invariant")
"""Evidence about a single field: what putting golden's distribution back undoes. A broken relation it does not."""


def weighed(finding: Finding, again: Again) -> list[tuple[Finding, Rescored | None]]:
    """A finding about a raw input with what re-scoring says of its harm; as it was where re-scoring cannot say.

    Raw inputs that were listed as victims of one that harms nobody are findings of their own where they do harm: no
    code makes one raw input of another.
    """
    if not finding.component.startswith("inputs."):
        return [(finding, None)]
    found = again.rescore([finding.component], finding.where, finding.since)
    if not found or not found[0].back.judged:
        return [(_unread(finding, again), None)]
    told = _told(finding, found[0])
    others = [path for path in finding.victims if path.startswith("inputs.")][:MOST]
    freed = (
        [one for one in again.rescore(others, finding.where, finding.since) if matters(one)]
        if others and not told.harmful
        else []
    )
    if others and not told.harmful and not freed:
        # A source that fails takes all its fields with it: one of them back by itself may be made up for by none.
        joint = again.rescore([finding.component, *others], finding.where, finding.since, at_once=True)
        if joint and matters(joint[0]):
            return [(_told(finding, joint[0], others), joint[0])]
    left = tuple(path for path in finding.victims if path not in {one.path for one in freed})
    own = [(_told(_freed(finding, one.path), one), one) for one in freed]
    return [(replace(told, victims=left), found[0]), *own]


def _unread(finding: Finding, again: Again) -> Finding:
    """A finding about an input from which nothing that the code makes changes, where no outcome can be had: it harms nobody."""
    if again.feeds([finding.component]) != []:
        return finding
    says = f"with other predictions' {finding.component} in its place nothing that the code makes changes: it does not read it"
    return replace(finding, harmful=False, evidence=(Evidence("exact", says), *finding.evidence))


def _told(finding: Finding, one: Rescored, beside: Sequence[str] = ()) -> Finding:
    harm = dict(finding.harm)
    if one.back.compared:
        harm["decisions_flipped"] = round(one.flips, 4)
    if one.back.score_moved_sd is not None:
        harm["score_moved_sd"] = round(one.score_moved_sd, 4)
    if not (one.moved or one.unread):
        harm = dict(finding.harm)  # what cannot be put back cannot be measured so
    proof = Evidence("exact", _says(one, slice_words(finding.where), beside), _numbers(one))
    return replace(finding, harmful=_harmful(finding, one), harm=harm, evidence=(proof, *finding.evidence))


def _freed(finding: Finding, path: str) -> Finding:
    """A victim as a finding of its own: on the evidence that bears its name, and harmless where there is none but a moved spread."""
    mine = tuple(e for e in finding.evidence if e.says.startswith(f"{path} "))
    what = mine[0].says.partition(": ")[2] if mine else f"moved together with {finding.component}"
    return replace(
        finding, component=path, what=what, evidence=mine, victims=(), series=(), slices=(), shapes=(), examples=(),
        measure="", harm={name: value for name, value in finding.harm.items() if name == "share_of_traffic"},
        harmful=any(e.kind != "marginal" for e in mine),
    )  # fmt: skip


def _harmful(finding: Finding, one: Rescored) -> bool:
    if one.unread:
        return False
    if matters(one):
        # Where the labels say that golden's values would have made it worse, the input tells of a world that did move.
        return finding.harmful or one.back.loss_z < 2.0
    lead = next((e.kind for e in finding.evidence), "")
    if one.moved and lead in _SOFT:
        return False
    return finding.harmful


def matters(one: Rescored) -> bool:
    """Whether the outcome changes back by more than sampling changes it."""
    back, noise = one.back.flipped, one.noise.flipped
    flips = one.flips >= _FLIPS and back > noise + 2 * (back + noise) ** 0.5
    return flips or one.score_moved_sd >= _SD


def _says(one: Rescored, who: str, beside: Sequence[str]) -> str:
    n = one.replayed
    if one.unread:
        return f"with any of golden's values of {one.path} in its place, none of {n} predictions re-scored for {who} changes: the code does not read it"
    said = f"with golden's {' and '.join((one.path, *beside))} put back for {who}, {_changes(one)} (sampling alone: {_noise(one)})"
    if not one.moved:
        said += "; its values are spread as golden's are, so this cannot show what a wrong value in the right row does"
    if one.back.loss_after is not None and one.back.loss_before is not None:
        better = "better" if one.back.loss_after < one.back.loss_before else "worse"
        said += f"; against {one.back.labelled} labels that would have been {better}: loss {one.back.loss_before:.4g} → {one.back.loss_after:.4g}"
    return said


def _changes(one: Rescored) -> str:
    parts = [f"{one.back.flipped} of {one.back.compared} decisions change"] if one.back.compared else []
    if one.back.score_moved_sd is not None:
        parts.append(f"the score moves by {one.back.score_moved_sd:.3g} of golden's spread")
    return " and ".join(parts)


def _noise(one: Rescored) -> str:
    if one.back.compared:
        return f"{one.noise.flipped}"
    return f"{one.noise.score_moved_sd or 0.0:.3g}"


def _numbers(one: Rescored) -> dict[str, float | int | str]:
    numbers: dict[str, float | int | str] = {"replayed": one.replayed, "put_back": one.put_back}
    numbers |= {"flipped": one.back.flipped, "flipped_by_sampling": one.noise.flipped}
    for name, value in (
        ("score_moved_sd", one.back.score_moved_sd), ("loss", one.back.loss_before), ("loss_put_back", one.back.loss_after)
    ):  # fmt: skip
        if value is not None:
            numbers[name] = round(value, 5)
    return numbers


def ranked(findings: Sequence[Finding], found: Mapping[str, Rescored]) -> list[Finding]:
    """The findings, those about raw inputs among themselves in the order of what they do to the outcome.

    `found` holds what re-scoring said, by the input's path.
    """
    mine = [i for i, f in enumerate(findings) if f.component in found]
    order = sorted(mine, key=lambda i: _weight(findings[i], found[findings[i].component]))
    out = list(findings)
    for place, i in zip(mine, order, strict=True):
        out[place] = findings[i]
    return out


def _weight(finding: Finding, one: Rescored) -> tuple[bool, float, float]:
    return not finding.harmful, -one.flips, -one.score_moved_sd


def told(traffic: Sequence[Traffic], again: Again) -> tuple[Traffic, ...]:
    """Traffic with what each raw input's move does to the outcome, those that do most first."""
    mine = {path: i for i, t in enumerate(traffic) if (path := _input(t))}
    found = [one for one in again.rescore(list(mine)[:MOST], (), None) if one.back.judged] if mine else []
    out = list(traffic)
    for place, one in zip(sorted(mine[one.path] for one in found), _by_weight(found), strict=True):
        said = traffic[mine[one.path]]
        what = (
            "the code does not read it"
            if one.unread
            else f"with golden's put back {_changes(one)} (sampling alone: {_noise(one)})"
        )
        out[place] = replace(said, what=f"{said.what}; {what}")
    return tuple(out)


def received(finding: Finding, traffic: Sequence[Traffic], again: Again) -> Finding | None:
    """Who broke a step whose code did nothing else than in golden: the input that moved most of those it is made of; None where none did.

    `finding` is what the step broke, `traffic` what moved, the most first.
    """
    moved = [path for t in traffic if (path := _input(t))][:MOST]
    made_of = again.feeds(moved, finding.component) if moved else []
    if not made_of:
        return None
    says = f"{finding.component} is made of {made_of[0]}, and its code does what it did in golden: what broke it was handed to it"
    return replace(
        finding, layer="data", component=made_of[0], what=f"arrives otherwise: {finding.component} {finding.what}",
        evidence=(Evidence("exact", says), *finding.evidence), confidence=RECEIVED,
        victims=tuple(dict.fromkeys((finding.component, *finding.victims))),
    )  # fmt: skip


def _input(traffic: Traffic) -> str:
    """The one raw input that moved; empty where it is none or several."""
    path = traffic.explains[0] if len(traffic.explains) == 1 else ""
    return path if path.startswith("inputs.") else ""


def _by_weight(found: Sequence[Rescored]) -> list[Rescored]:
    return sorted(found, key=lambda one: (-one.flips, -one.score_moved_sd))
