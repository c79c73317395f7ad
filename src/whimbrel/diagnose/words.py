"""Findings in words: what changed, on what evidence, and what to do next.

In: a `Case` and a `Cause`. Out: sentences and `Evidence`. Nothing is decided here.
"""

from __future__ import annotations

import numpy as np

from whimbrel.diagnose import copies, due
from whimbrel.diagnose.boundaries import upstream
from whimbrel.diagnose.case import Case
from whimbrel.diagnose.causes import Cause
from whimbrel.diagnose.contracts import first_of
from whimbrel.diagnose.contrast import changed_words
from whimbrel.diagnose.relations import Relation
from whimbrel.diagnose.scan import Channel, Hit
from whimbrel.diagnose.shapes import difference_words, factor_words
from whimbrel.diagnose.suspects import Suspect
from whimbrel.model.fields import Role, role_of
from whimbrel.model.report import Evidence
from whimbrel.model.rows import Bools
from whimbrel.model.window import Where


def percent(share: float) -> str:
    """A share as a person says it."""
    share = 100 * share
    if share and abs(share) < 0.1:
        return f"{share:.2f}%"
    return f"{share:.1f}%" if abs(share) < 10 else f"{share:.0f}%"


def slice_words(where: Where) -> str:
    """A slice in words; `context.` is left out."""
    if not where:
        return "all traffic"
    return " and ".join(f"{c.path.removeprefix('context.')}{c.op}{c.value}" for c in where)


def what(case: Case, cause: Cause) -> str:
    """What changed, without who and when."""
    suspect = cause.suspect
    text = of_text(suspect.hit.channel) + _what(case, suspect)
    if cause.component != suspect.component:
        if role_of(cause.component) is Role.MODEL:
            new = next(
                (w.hit.channel.detail.get("new") for w in cause.witnesses if w.component == cause.component), None
            )
            text = f"another model answers ({first_of(new) if new else 'see evidence'}): {suspect.component}: {text}"
        elif cause.layer == "hardware":
            text = f"on this host, with the same inputs and code, {suspect.component}: {text}"
        else:
            text = f"{suspect.component}: {text}"
    return f"{text}; {cause.told_by}" if cause.told_by else text


def of_text(channel: Channel) -> str:
    """What about a text departs (`language: `), where it is not the text itself."""
    name = str(channel.detail.get("variable", "")).partition("#")[2]
    return f"{name}: " if name else ""


def _what(case: Case, suspect: Suspect) -> str:  # noqa: C901  a flat list of signatures, one sentence each
    channel, note = suspect.hit.channel, suspect.note
    before, after = percent(suspect.before), percent(suspect.after)
    detail = channel.detail
    match channel.signature:
        case "type":
            return f"{after} of values came in another type than the field has (golden {before})"
        case "null":
            return f"null in {after} of predictions, {before} in golden{note}"
        case "infinite":
            return f"infinite in {after} of predictions"
        case "range":
            return f"{after} of values lie outside golden's range {detail['low']:g} to {detail['high']:g}"
        case "copied":
            return f"{after} of labels are exactly what `{detail['of']}` says, {before} in golden: filled in before anyone looked"
        case "never corrected":
            return f"{after} of labels are what `{detail['of']}` says, {before} in golden: nobody who is judged there is corrected any more"
        case "spell":
            return f"the same value so often in a row that it is no chance: in {after} of predictions, in {before} of golden's"
        case "atom":
            place = "outside golden's range" if detail["outside"] else "within golden's range"
            filled = f" that stand for no {detail['filled']}" if "filled" in detail else ""
            return f"{after} of values{filled} are exactly {detail['value']:g}, {place}; golden had {before}"
        case "vanished":
            return f"{detail['value']!r} is never decided any more: {after} of those whom golden mostly gave it are given another ({before} in golden)"
        case "capped":
            fill = f"{detail['cap']} {detail['value']!r} within {detail['within']}"
            return f"{after} of those whose {detail['key']} has had {fill} are given one more, {before} in golden: nobody counts any more"
        case "displaced":
            of = "" if "ranks" in detail else f"{after} of "
            return f"{of}values are not {'what its inputs give' if detail['of_inputs'] else 'their own'}: {note}"
        case "fixed":
            return f"{after} of values are not {detail['value']:g}, as all of golden's were"
        case "cut":
            return f"{after} of texts that reach {detail['value']:g} characters end there, {before} in golden: they are cut"
        case "ended":
            return f"no list is longer than {detail['value']:g} any more: {after} of those that reach it end there, {before} in golden"
        case "form":
            return f"{first_of(detail['values'])} in {after} of texts, {before} in golden"
        case "reshaped":
            return f"{after} of values have a form that golden's did not have: {first_of(detail['values'])}, where it had {detail['usual']!r}"
        case due.PAST:
            return f"{after} of values name a day that is past, {before} in golden, which went on to the next: nobody looked again"
        case due.TURNED:
            return f"day and month have changed places: {after} of dates lie beyond golden's, and among them the other way round ({before} in golden)"
        case "repeated":
            return f"one and the same text in {after} of predictions, {before} in golden: {detail['text'][:60]!r}"
        case "identity":
            return f"{first_of(detail['new'])} answers {after} of predictions, which golden never saw"
        case "beyond":
            values = case.variables[detail["variable"]].numbers
            assert values is not None
            middle = float(np.median(values[suspect.bad]))
            return f"{after} of values lie far outside golden's range: {middle:.4g} in the middle, {detail['golden']:.4g} in golden"
        case "over":
            return f"{after} of values lie beyond the end that golden's run up to ({detail['low']:g} to {detail['high']:g}), {before} in golden"
        case "default":
            return f"{after} of values are {detail['value']:g} for several {detail['by']} that each had another value in golden: a default"
        case "times" if "grades" in detail:
            return (
                f"{after} of values are {factor_words(detail['factor'])} than one of golden's few, which come no more"
            )
        case "times":
            return (
                f"{after} of values are {factor_words(detail['factor'])} than golden's ever were, and otherwise alike"
            )
        case "stutter":
            return f"{after} of values are those of a prediction shortly before, {before} in golden: the source says the same again"
        case "standing":
            return f"{after} of values are those that the same one had the time before, {before} in golden: the source was not refreshed"
        case "whole":
            mark = "whole numbers" if detail["mark"] == 1 else f"multiples of {detail['mark']:g}"
            return f"fractions are gone: {after} of values are {mark}, {before} in golden"
        case "grid":
            return f"{after} of values lie between the multiples of {detail['mark']:g} that golden kept to"
        case "twin":
            pairs = [f"{new!r} for {old!r}" for new, old in list(detail["twins"].items())[:3]]
            return f"{after} of values are another spelling of a known one: {', '.join(pairs)}"
        case "nothing":
            return f"{after} of values are a placeholder for nothing ({first_of(detail['nothing'])}), unknown to golden"
        case "unseen":
            return f"{after} of values are unknown to golden ({first_of(detail['values'])})"
        case "unit":
            assert suspect.conversion is not None
            if suspect.conversion.known and "turned into" in note:
                return f"unit changed: {note}"
            pair = note[note.find(" (") :] if suspect.conversion.known and "(" in note else ""
            return f"unit changed: values are {factor_words(suspect.conversion.factor)}{pair}"
        case "renamed" | "codebook" | "constant" | "offset" | "refuted" | "unwritten":
            return note
        case "broken":
            return _broken(case, suspect)
        case "residual" | "spread":
            relation: Relation = detail["relation"]
            how = f"{suspect.shift:+.2f} golden spreads" if channel.signature == "residual" else "less predictable"
            return f"no longer what golden made of the same upstream ({relation.words}): {note or how}"
        case "astray":
            return f"far from what golden made of the same upstream in {suspect.after:.1%} of predictions, {suspect.before:.1%} in golden"
        case "rekeyed":
            return f"values no longer go by {detail['key']}, as they did on golden: they are another key's"
        case "forgotten":
            return f"{after} of those who had another value before have {detail['value']:g} again, as who is new ({before} in golden): they are forgotten"
        case "unsettled":
            return f"another value than the same {detail['key']} just had in {after} of predictions, {before} in golden: what it kept changes all the time"
        case "bygone":
            return f"{after} of values are older ones of the same {detail['key']}, which had had another since, {before} in golden: its source went back"
        case "copy":
            return f"is not what its copy {detail['tag']} says in {after} of predictions, {before} in golden: {copies.words(case, suspect)}"
        case "carried":
            return f"{after} of values are what the same {detail['key']} said the time before, {before} in golden: they were carried over"
        case "sorted":
            return f"{detail['order']} throughout in {after} of lists, {before} in golden: they were sorted, and lost the order that they came in"
        case "column":
            return f"{after} of values are such as golden had in `{detail['of']}` alone, where they no longer stand: columns changed places"
        case "foreign":
            return f"came with another {detail['tag']} than its words go with in {after} of predictions ({before} in golden): somebody else's"
        case "slower":
            return f"takes {np.exp(suspect.shift):.2f} times as long" + (" (shorter)" if suspect.shift < 0 else "")
        case "tail":
            return f"{after} of calls are as slow as golden's slowest {before}"
        case "halted":
            return f"{after} of calls take longer than any in golden"
        case "skipped":
            return f"is missing or zero in {after} of predictions, {before} in golden: work is skipped"
        case "errors":
            return f"{after} of predictions fail, {before} in golden"
        case "stale" | "older":
            return f"its source is older than golden ever saw in {after} of predictions"
        case "lost":
            said = f"labels are missing in {percent(suspect.shift)} more predictions than golden's delay curve allows"
            return f"{said}: {note}" if note else said
        case "counter" if channel.layer == "recorder":
            return f"above golden's highest ({detail['bound']:g}) in {after} of predictions: records are being lost"
        case "filed":
            return f"{after} of labels came exactly {detail['value']:g} s after their prediction, {before} in golden"
        case "hasty":
            return f"no yes comes as late as many did in golden: {after} come sooner than half of golden's, and too few come at all"
        case "early":
            return f"{after} of labels come sooner than like predictions' labels ever did ({before} in golden): another row's?"
        case "late":
            return f"{after} of labels come later than golden's slowest twentieth"
        case "scaled":
            return f"{after} of labels are one and the same part, or multiple, of what was foretold ({before} lay as far from it in golden)"
        case "given score":
            return note or f"labels moved by {suspect.shift:+.2f} golden spreads at equal score"
        case "disagree" | "row off":
            return note or "labels no longer agree with the score: the join or the meaning of the label changed"
        case "gaps":
            return f"{suspect.after:.2f} predictions a row are missing in the recorder's own count"
        case "twice":
            return f"{after} of records are copies of another, field for field ({before} in golden): they were written twice"
        case "flag":
            return f"the flag is up in {after} of predictions, {before} in golden, and nothing recorded foretells it"
        case "level" if role_of(suspect.component) is Role.USAGE:
            return f"{np.exp(suspect.shift):.2f} times golden's for the same traffic"
        case signature if signature.startswith("share:"):
            return note or f"{signature[6:]!r} moved by {100 * suspect.shift:+.1f} points where its share was fixed"
        case _:
            return f"moved by {suspect.shift:+.2f}"


def _broken(case: Case, suspect: Suspect) -> str:
    relation: Relation = suspect.hit.channel.detail["relation"]
    variable = case.variables[relation.target]
    rows = suspect.bad
    some = suspect.hit.channel.detail.get("some")
    among = suspect.affected & np.isfinite(suspect.hit.excess) if some or relation.told else suspect.affected
    share = percent(float(rows.sum() / max(among.sum(), 1)))
    if variable.numbers is not None:
        taken = _taken_for(case, relation, rows)
        if taken:
            return f"values are those of `{taken}`, unchanged, in {share} of predictions"
        said = difference_words(variable.numbers[rows], relation.expected[rows])
        if relation.told:
            return f"no longer {relation.told}: {said} ({share} of those that can be told)"
        return f"{said}, against what golden made of the same inputs ({share} of {some or 'predictions'})"
    assert variable.codes is not None
    pairs = [
        (variable.vocabulary[int(e)], variable.vocabulary[c])
        for e, c in zip(relation.expected[rows], variable.codes[rows], strict=True)
        if np.isfinite(e)  # a name may be due that nothing bears
    ]
    if relation.told:
        instead = f": {pairs[0][1]!r} where that gives {pairs[0][0]!r}" if pairs else ""
        return f"no longer {relation.told} ({share} of those that can be told){instead}"
    if not pairs:
        return "is not what golden made of the same inputs"
    (gave, gives), count = max(((p, pairs.count(p)) for p in set(pairs)), key=lambda x: x[1])
    part = f"{percent(count / len(pairs))} of them {gives!r} where golden gave {gave!r}"
    return f"{share} of values are not what golden made of the same inputs; {part}"


def _taken_for(case: Case, relation: Relation, rows: Bools) -> str:
    """The upstream field that stands where the target should: a step that was skipped, columns that were swapped."""
    target = case.variables[relation.target]
    assert target.numbers is not None
    for other in reversed(upstream(case, target.field)):
        if other.name not in case.variables:
            continue  # the clock
        if other.numbers is None or other.derived or np.unique(other.numbers[rows]).size < 3:
            continue
        if np.mean(np.isclose(target.numbers[rows], other.numbers[rows], rtol=1e-9, atol=0)) > 0.98:
            return other.name
    return ""


def evidence(case: Case, cause: Cause) -> tuple[Evidence, ...]:
    """The proofs of a cause, strongest first, each with its numbers."""
    suspect = cause.suspect
    out = [_lead(suspect)]
    for hit in suspect.hits:
        if hit is not suspect.hit and hit.channel.signature != suspect.hit.channel.signature and len(out) < 4:
            out.append(_support(hit))
    for witness in cause.witnesses:
        signature = witness.hit.channel.signature
        if signature == "identity":
            detail = witness.hit.channel.detail
            says = f"{witness.component} is new: {first_of(detail['new'])} (golden: {first_of(detail['old'])})"
            out.append(Evidence("identity", says, {"share": round(witness.after, 4)}))
        elif len(out) < 8:
            says = f"{witness.component} on the same rows: {of_text(witness.hit.channel)}{_what(case, witness)}"
            out.append(Evidence(witness.hit.channel.kind, says, _numbers(witness)))
    out += [found for found in (changed_words(case, cause), _rest(case, suspect)) if found is not None]
    return tuple(out)


def _numbers(suspect: Suspect) -> dict[str, float | int | str]:
    return {
        "predictions": int(suspect.affected.sum()),
        "departing": int(suspect.bad.sum()),
        "before": round(suspect.before, 5),
        "after": round(suspect.after, 5),
        "score": round(suspect.hit.score, 2),
        "threshold": round(suspect.hit.threshold, 2),
    }


def _lead(suspect: Suspect) -> Evidence:
    channel = suspect.hit.channel
    if channel.signature == "broken":
        relation: Relation = channel.detail["relation"]
        says = (
            f"on golden it is {relation.words} in {percent(relation.strength)} of held-out predictions; "
            f"here {int(suspect.bad.sum())} of {int(suspect.affected.sum())} break that"
        )
        return Evidence("residual", says, _numbers(suspect))
    kind = channel.kind
    says = f"{suspect.before:.4g} in golden, {suspect.after:.4g} here"
    if channel.binary:
        says = (
            f"{percent(suspect.before)} in golden, {percent(suspect.after)} here ({int(suspect.bad.sum())} predictions)"
        )
    if "mark" in channel.detail:
        says = f"values between the multiples of {channel.detail['mark']:g}: {says}"
    return Evidence(kind, says, _numbers(suspect))


def _support(hit: Hit) -> Evidence:
    numbers: dict[str, float | int | str] = {"score": round(hit.score, 2), "threshold": round(hit.threshold, 2)}
    if hit.channel.binary:
        says = (
            f"{of_text(hit.channel)}{hit.channel.signature}: {percent(hit.before)} in golden, {percent(hit.after)} here"
        )
    else:
        says = f"{of_text(hit.channel)}{hit.channel.signature}: moved by {hit.shift:+.2f}"
    return Evidence(hit.channel.kind, says, numbers)


def _rest(case: Case, suspect: Suspect) -> Evidence | None:
    """What the rest of traffic does: unchanged, or how much."""
    if not suspect.where:
        return None
    judged = np.isfinite(suspect.hit.excess)
    outside = ~suspect.inside & judged
    rows = outside & case.window & (case.ts >= suspect.since_us)
    if rows.sum() < 10 or (outside & case.golden).sum() < 10:
        return None
    before = float(suspect.hit.channel.values[outside & case.golden].mean())
    after = float(suspect.hit.channel.values[rows].mean())
    shown = (percent(before), percent(after)) if suspect.hit.channel.binary else (f"{before:.3g}", f"{after:.3g}")
    numbers: dict[str, float | int | str] = {
        "before": round(before, 5),
        "after": round(after, 5),
        "rows": int(rows.sum()),
    }
    return Evidence(suspect.hit.channel.kind, f"rest of traffic: {shown[0]} → {shown[1]}", numbers)
