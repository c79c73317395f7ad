"""A moved distribution gets its name where it has one: unit, offset, constant, rename, code book. The world does not do those.

In: a `Case` and a soft `Suspect`. Out: the same suspect, hard and named, or as it came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from whimbrel.diagnose import keys, state
from whimbrel.diagnose.atoms import HANDFUL
from whimbrel.diagnose.case import DAY_US, HOUR_US, Case, Variable, usual_by_hour
from whimbrel.diagnose.dates import goes_on
from whimbrel.diagnose.shapes import (
    Conversion,
    conversion_of,
    multiples_of,
    offset_of,
    permutation_of,
    renamed_to,
    undone,
)
from whimbrel.diagnose.suspects import Proof, Suspect, abrupt, as_many
from whimbrel.model.fields import Role, role_of
from whimbrel.model.rows import Bools, Floats, Ints

SEASON = 3.0
"""Times as much, or as little, that sales and holidays make of what everybody pays or buys."""
CLOSELY = 0.01
"""The part by which values may miss the unit that they are in now."""
_LARGEST, _ALONG = 0.98, 0.25
"""Where the largest values begin, and the part of the way by which they may fall short of it: what people do less of they still do."""
_ROUGHLY = 10
"""The first of so many parts of the rows is not asked: an onset is not found to the row."""
_MOSTLY = 0.6
"""The share of a slice that a value may have had before all of it has it, from which on rows that are missing do not show."""
NEARLY_ALL = 0.8
"""The share of a slice's values that must lie outside golden's range where a state jumped there."""
_STRANGE, _STRANGE_WORDS = 0.4, 0.6
"""The share of texts that must be of a make which golden's never had; the same of a slice's whose words are new."""
_FIRST = 60
"""The first rows after an onset, which show a change that came at once as all others do."""
_FLAGS = frozenset(("0", "1", "0.0", "1.0", "true", "false", "yes", "no", "y", "n", "t", "f"))


def name_shape(case: Case, suspect: Suspect) -> Suspect:
    """Give a moved distribution its name where it has one: unit, code book, rename. Those the world does not do."""
    channel = suspect.hit.channel
    fitted = channel.kind == "residual" and not channel.exact
    shaped = channel.signature in ("level", "flag", "width", "range", "unseen", "grid") or channel.signature.startswith(
        "share:"
    )
    if not (fitted or shaped) or role_of(channel.component) not in (Role.INPUT, Role.STEP):
        return suspect
    variable = case.variables.get(str(channel.detail.get("variable", channel.component)))
    if variable is None or variable.derived:
        return replace(suspect, proof=Proof.FIRM) if _all_strange(case, suspect) else suspect
    base = suspect.inside & case.golden
    if base.sum() < 40:
        return suspect  # a slice that golden never saw has no shape to change
    if fitted:
        asked = bool(suspect.where) and (variable.distinct <= HANDFUL or variable.field.role is Role.STEP)
        held = _held(case, suspect, *_codes(variable), base) if asked else ""
        return _named(suspect, "constant", note=held) if held else suspect
    if variable.numbers is not None and variable.distinct > 12:
        return _numeric(case, suspect, variable, base)
    return _coded(case, suspect, variable, base)


def _numeric(case: Case, suspect: Suspect, variable: Variable, base: Bools) -> Suspect:
    """A unit or an offset, where it goes beyond what golden's own blocks do among themselves."""
    assert variable.numbers is not None
    numbers = variable.numbers
    held = _held(case, suspect, *_codes(variable), base) if suspect.where else ""
    if held:
        return _named(suspect, "constant", note=held)
    hit = np.flatnonzero(suspect.affected)
    before, after = numbers[base], numbers[hit[np.argsort(case.ts[hit], kind="stable")]]
    again = undone(before, after)
    if again is not None:
        return _named(suspect, "unit", conversion=again, note=again.words)
    conversion, sudden = conversion_of(before, after), abrupt(case, suspect)
    plain = conversion is not None and conversion.known and sudden and _left(before, after)
    # The weather, a market's price: one value for all rows of an hour, so a day is one witness and not a thousand.
    place = state.places(case, numbers, shared=state.ROUGHLY)
    leapt = (
        plain
        and place is not None
        and state.leapt(case, place, np.where(suspect.inside, numbers, np.nan), suspect.since_us)
    )
    if place is not None and not leapt:
        return replace(suspect, proof=Proof.FIRM) if _jumped_out(case, suspect, numbers, place) else suspect
    natural = _natural(case, numbers, base, suspect.affected)
    few = bool(
        keys.few(case, suspect.component, suspect.affected)
    )  # what is sold of two articles goes up and down with them
    settled = natural.told or _lasts(before, after[np.isfinite(after)])
    if conversion is not None and not leapt:
        ratio = float(np.median(after[np.isfinite(after)])) / (float(np.median(before[np.isfinite(before)])) or np.nan)
        usual = ratio > 0 and (abs(np.log(ratio)) < 2.5 * natural.ratio or _with_others(case, suspect, numbers, ratio))
        wide = not suspect.where and _of_a_season(before, after, conversion, sudden)
        theirs = few and conversion.offset == 0 and 1 / SEASON < conversion.factor < SEASON
        if usual or not settled or wide or theirs:
            conversion = None
    offset = offset_of(before, after) if conversion is None and sudden and settled and not few else None
    if conversion is None and (offset is None or abs(offset) < 2.5 * natural.shift):
        return suspect
    if conversion is not None:
        return _named(suspect, "unit", conversion=conversion, note=conversion.words)
    return _named(suspect, "offset", note=f"every value is shifted by {offset:+.4g}")


def _jumped_out(case: Case, suspect: Suspect, numbers: Floats, place: Ints) -> bool:
    """Whether a measured state left golden's range in one slice, and all of it from one hour to the next: no weather does."""
    measured = suspect.hit.channel.signature == "range" and role_of(suspect.component) is Role.INPUT
    out = measured and bool(suspect.where) and suspect.after >= NEARLY_ALL
    return out and state.jumped(case, place, np.where(suspect.inside, numbers, np.nan), suspect.since_us)


def _all_strange(case: Case, suspect: Suspect) -> bool:
    """Whether many texts that arrive are of a make that golden's never were, from one to the next, and no more texts than before: people change one by one.

    What comes again and again with a few of many ids (two films' captions, or vectors) is theirs.
    """
    channel = suspect.hit.channel
    if channel.signature != "range" or role_of(suspect.component) is not Role.INPUT:
        return False
    talked = str(channel.detail["variable"]).endswith("#new words")  # the news of the day, but not in one slice alone
    least = _STRANGE_WORDS if talked and suspect.where else np.inf if talked else _STRANGE
    if suspect.after < least or not abrupt(case, suspect) or not as_many(case, suspect) or keys.of_few(case, suspect):
        return False
    rows = np.flatnonzero(suspect.affected)
    first = rows[np.argsort(case.ts[rows], kind="stable")][:_FIRST]
    return bool(suspect.bad[first].mean() >= NEARLY_ALL * suspect.after)


def _with_others(case: Case, suspect: Suspect, numbers: Floats, ratio: float) -> bool:
    """Whether all other traffic moved the same way at the same time, half as far or more: a holiday's amounts, no unit."""
    rest = ~suspect.inside & np.isfinite(numbers)
    since = rest & case.window & (case.ts >= suspect.since_us)
    before, after = numbers[rest & case.golden], numbers[since]
    if min(before.size, after.size) < 40 or float(np.median(before)) == 0:
        return False
    moved = float(np.median(after)) / float(np.median(before))
    return moved > 0 and float(np.log(moved) / np.log(ratio)) > 0.5


def _of_a_season(before: Floats, after: Floats, conversion: Conversion, sudden: bool) -> bool:
    """Whether amounts are a few times what they were, as in a sale, and not by a known unit, as closely as it can be told, the largest too, at once."""
    if conversion.offset != 0 or not 1 / SEASON < conversion.factor < SEASON:
        return False
    then, now = (np.log(sizes[sizes > 0]) for sizes in (np.abs(before), np.abs(after)))
    gap = float(np.median(now) - np.median(then) - np.log(conversion.factor))
    noise = 1.25 * float(np.sqrt(then.var() / then.size + now.var() / now.size))  # of a difference of medians
    unit = float(np.log(conversion.factor))
    end = float(np.quantile(now, _LARGEST) - np.quantile(then, _LARGEST)) - unit
    along = abs(end) < _ALONG * abs(unit) + 3 / float(np.sqrt(min(then.size, now.size)))
    return not (conversion.known and sudden and along and abs(gap) < CLOSELY + 1.5 * noise)


def _coded(case: Case, suspect: Suspect, variable: Variable, base: Bools) -> Suspect:
    """A constant, a rename or a renumbered code book."""
    codes, names = _codes(variable)
    held = _held(case, suspect, codes, names, base)
    if held:
        return _named(suspect, "constant", note=held)
    renamed = renamed_to(codes[base], codes[suspect.affected], len(names))
    # A month, a season, a tariff: what all rows of a time have is the calendar's to change.
    if (
        renamed
        and not _is_flag(names)
        and not _a_price(variable, base, len(renamed))
        and not any(state.of_the_time(case, codes == old) for old in renamed)
        and not all(goes_on(names[old], names[new]) for old, new in renamed.items())
    ):
        return _named(
            suspect, "renamed", note=", ".join(f"{names[a]!r} became {names[b]!r}" for a, b in renamed.items())
        )
    # Where a slice has one code, only the whole shows that it has another's: each slice that gained one lost the other.
    everywhere = _everywhere(case, suspect) if suspect.where else suspect
    for one in dict.fromkeys((suspect, everywhere)):
        moved = _permuted(case, variable.path, codes, len(names), one)
        if moved and not any(state.of_the_hour(case, (codes == old).astype(float)) for old in moved):
            said = ", ".join(f"{names[a]} → {names[b]}" for a, b in list(moved.items())[:4])
            return _named(one, "codebook", note=f"codes stand for others than before: {said}")
    return suspect


def _held(case: Case, suspect: Suspect, codes: Ints, names: Sequence[str], base: Bools) -> str:
    """Whether one value is all that is left of several, longer than golden ever had it, in words; empty where not."""
    rows = np.flatnonzero(suspect.affected)
    after = codes[rows[np.argsort(case.ts[rows], kind="stable")]][rows.size // _ROUGHLY :]
    counts = np.bincount(after[after >= 0], minlength=len(names))
    if counts.sum() < 30 or counts.max() < 0.99 * counts.sum():
        return ""
    only = int(counts.argmax())
    longest = _longest_run(codes[base][np.argsort(case.ts[base], kind="stable")])
    if longest >= 0.4 * counts.sum() or _others_gone(case, suspect, codes[base] == only):
        return ""
    return f"every value is {names[only]!r}, where golden had {int(np.unique(codes[base]).size)}"


def _others_gone(case: Case, suspect: Suspect, own: Bools) -> bool:
    """Whether the rows with other values are missing, rather than bear this one: a shop's sisters are closed, or did not report.

    `own`, shape (golden's rows of the slice,), are those that had the value before. Rows are held against golden's of the same hours of the day.
    """
    part = float(own.mean())
    if part > _MOSTLY:
        return False
    since = case.window & (case.ts >= suspect.since_us)
    hours = np.bincount(np.unique(case.ts[since] // HOUR_US) % 24, minlength=24)
    expected = float((usual_by_hour(case, suspect.inside) * hours).sum())
    return float((since & suspect.inside).sum()) * case.sampled[1] < expected * (1 + part) / 2


def _a_price(variable: Variable, base: Bools, renamed: int) -> bool:
    """Whether a single amount became another, as prices do; several at once, or a whole number, may be a code."""
    values = variable.numbers
    return renamed == 1 and values is not None and not multiples_of(1.0, values[base & ~variable.missing]).all()


def _everywhere(case: Case, suspect: Suspect) -> Suspect:
    """The suspect in all traffic since its onset."""
    return replace(
        suspect, where=(), inside=np.ones_like(suspect.inside), affected=case.window & (case.ts >= suspect.since_us)
    )


def _is_flag(names: Sequence[str]) -> bool:
    """Whether a field says yes or no: that of a holiday stays the same for weeks, and then changes for a day."""
    return {name.casefold() for name in names} <= _FLAGS


def _longest_run(codes: Ints) -> int:
    """The most rows in a row that shared one value: weather and holidays do that rightly."""
    changes = np.flatnonzero(np.diff(codes)) + 1
    return int(np.diff(np.concatenate([[0], changes, [codes.size]])).max(initial=0))


def _left(before: Floats, after: Floats) -> bool:
    """Whether most values have left golden's range: Fahrenheit does, a cold day does not."""
    known = after[np.isfinite(after)]
    return float(np.mean((known < np.nanmin(before)) | (known > np.nanmax(before)))) > 0.5


def _lasts(before: Floats, after: Floats) -> bool:
    """Whether the values, in the order of time, moved once and then stayed where they are: a unit does, a counter goes on."""
    moved = float(np.median(after) - np.nanmedian(before))
    first, *_, last = np.array_split(after, 3)
    return abs(float(np.median(last) - np.median(first))) < 0.25 * abs(moved)


@dataclass(frozen=True, slots=True)
class _Natural:
    """How far the medians of golden's own stretches lie from golden's: as a log ratio, and as a difference."""

    ratio: float
    shift: float
    told: bool
    """Whether golden has stretches enough to say so."""


def _natural(case: Case, values: Floats, base: Bools, affected: Bools) -> _Natural:
    """What golden's medians do over stretches as long as the one in question, and where their trend had led by then."""
    known = np.flatnonzero(base & np.isfinite(values))
    known = known[np.argsort(case.ts[known], kind="stable")]
    middle = float(np.median(values[known]))
    length = max(int(np.ptp(case.ts[affected])), HOUR_US, int(np.ptp(case.ts[known])) // 300)
    pieces = _stretches(case, known, length)
    if not pieces:
        return _Natural(0.0, 0.0, False)
    told, further = len(pieces) > 2, 1.0
    if not told:  # what wanders goes as far as the root of the time
        shorter = max(int(np.ptp(case.ts[known])) // 6, 1)
        pieces, further = _stretches(case, known, shorter) or pieces, float(np.sqrt(max(length / shorter, 1.0)))
    medians = np.array([np.median(values[piece]) for piece in pieces])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.abs(np.log(medians / middle))
    ratio, shift = float(ratios[np.isfinite(ratios)].max(initial=0.0)), float(np.abs(medians - middle).max())
    if not told:
        return _Natural(further * ratio, further * shift, False)
    days = np.array([case.ts[piece].mean() for piece in pieces]) / DAY_US
    slope = float(np.polyfit(days - days.mean(), medians, 1)[0])
    grown = abs(slope * (float(np.median(case.ts[affected])) / DAY_US - float(days[-1])))
    return _Natural(ratio + float(np.log1p(grown / abs(middle))) if middle else ratio, shift + grown, True)


def _stretches(case: Case, rows: Ints, length: int) -> list[Ints]:
    """Rows in the order of time, parted into stretches of that length; those with too few for a median are left out."""
    stretch = (case.ts[rows] - case.ts[rows[0]]) // length
    return [piece for piece in np.split(rows, np.flatnonzero(np.diff(stretch)) + 1) if piece.size >= 12]


def _named(suspect: Suspect, signature: str, *, note: str, conversion: Conversion | None = None) -> Suspect:
    channel = replace(suspect.hit.channel, signature=signature, kind="invariant")
    return replace(
        suspect, hit=replace(suspect.hit, channel=channel), proof=Proof.HARD, note=note, conversion=conversion
    )


def _codes(variable: Variable) -> tuple[Ints, tuple[str, ...]]:
    if variable.codes is not None:
        return variable.codes, variable.vocabulary
    assert variable.numbers is not None
    values, codes = np.unique(variable.numbers, return_inverse=True)
    return np.where(np.isnan(values)[codes], -1, codes), tuple(f"{v:g}" for v in values)


def _flags(codes: Ints, size: int, base: Bools) -> list[Floats]:
    """Each value of a category as a flag a row, in units of its spread on golden; those that hardly vary are left out."""
    flags = [(codes == code).astype(float) for code in range(size)]
    return [(flag - flag[base].mean()) / flag[base].std() for flag in flags if flag[base].std() > 0.05]


def _permuted(case: Case, path: str, codes: Ints, size: int, suspect: Suspect) -> dict[int, int]:
    """Compare what each code goes together with, before and after."""
    if size > 60:
        return {}
    base, after = suspect.inside & case.golden, suspect.affected
    features = []
    for other in case.of(Role.INPUT):
        if other.path == path or other.derived:
            continue
        if other.numbers is not None:
            known = other.numbers[base & np.isfinite(other.numbers)]
            if known.size < 40 or known.std() == 0:
                continue
            low, high = np.quantile(known, [0.01, 0.99])
            scaled = (np.clip(other.numbers, low, high) - known.mean()) / (known.std() or 1.0)
            features.append(np.where(np.isfinite(scaled), scaled, 0.0))
        elif other.codes is not None and len(other.vocabulary) <= 30:
            features += _flags(other.codes, len(other.vocabulary), base)
    for dimension in case.dimensions:
        if role_of(dimension.path) is Role.CONTEXT and len(dimension.values) <= 30:
            features += _flags(dimension.codes, len(dimension.values), base)
    if not features:
        return {}
    matrix = np.stack(features[:40], axis=1)
    means, counts = [], []
    for side in (base, after):
        chosen = codes[side]
        filled = chosen >= 0
        n = np.bincount(chosen[filled], minlength=size)
        sums = np.stack(
            [np.bincount(chosen[filled], weights=column[side][filled], minlength=size) for column in matrix.T], axis=1
        )
        means.append(sums / np.maximum(n, 1)[:, None])
        counts.append(n)
    return permutation_of(means[0], means[1], (counts[0], counts[1]), sudden=abrupt(case, suspect))
