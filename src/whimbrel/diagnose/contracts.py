"""Contracts: what golden always kept about a single field, and the channels that say where a row breaks it.

In: a `Case`. Out: channels for nulls, types, unknown categories, values outside the range, values that suddenly repeat
(sentinels, constants, defaults), lost fractions. Nothing here looks at two fields at once: that is `relations`.
"""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from whimbrel.diagnose import arranged, dates, due
from whimbrel.diagnose.atoms import FAR, channels_of_atoms, end_of
from whimbrel.diagnose.case import MOSTLY_ONCE, Case, Variable
from whimbrel.diagnose.ids import MANY, channel_of_forms
from whimbrel.diagnose.scan import LAYER_OF, Channel, invariant
from whimbrel.diagnose.shapes import multiples_of
from whimbrel.diagnose.state import of_calendar
from whimbrel.diagnose.text import BEGINNING, FORMS, condition
from whimbrel.model.fields import Role
from whimbrel.model.rows import Bools, Floats, Ints

VALUE_ROLES = (Role.INPUT, Role.STEP, Role.OUTPUT)
COUNTED = (Role.STEP, Role.OUTPUT, Role.USAGE)
"""What the app makes itself: a value that never varied there is a setting."""

GRADED = 40
"""Different values from which on the marks between them are a rule and no chance."""

_WHOLE, _FINER = 0.5, 0.2
"""Shares of golden that may be whole numbers, or on a wider mark by chance (one in ten is), where their digits can be lost."""
_CROWDED, _USUAL = 0.005, 5.0
"""The share of golden, and the times as often as its other values, from which on a value is the end of a scale, or usual otherwise."""
_KEPT, _THEIRS = 0.998, 0.02
"""Shares of values that keep to their marks, and of golden's rows whose category has wider marks than all rows have, for that to count."""
_DECIMALS = range(4)
_FINEST = 10.0 ** -max(_DECIMALS)
"""The decimals of marks that are looked for, and the finest of these."""
AS_OFTEN = 2.0
"""Times as often as golden's likes, with other numbers in them, that one text must come to be the same again and again."""
_DIGITS = re.compile(r"\d+")
LEAST_AGAIN, TOLD = 3, 0.8
"""Rows of an id that say whether it is one without a value, and the share of nulls that are so told, and of rows of such ids that are null."""
LEAST_FIXED = 200
"""Values that golden must have of a field before one that never varied, or a form that never came, says anything."""

DIFFERENT = 0.3
"""Share of texts of one length that are not the same texts: one text that many send is no cut."""

ENDS, OFTENER, LEAST_ENDING, SURELY = 0.1, 5.0, 60, 12
"""The share of a slice's texts that must end at one length for them to be cut there, times as many as golden's; how many must say so on either side."""
KNOWN_TURNS = 10
"""Changes of a value in golden's time below which nothing lies far outside its range."""
STRANGE = 0.003
"""Share of golden's texts below which a form is one that they do not have."""

_PHRASES = 0.5
"""The share of different values that must have blanks for them to be phrases and no ids."""
DAMAGED, _ONE_OF_THEM = 6, 0.5
"""Different phrases that must be damaged, and the share of rows that one of them may have: what one writer calls his own is his."""

LEAST_LISTS, FREELY = 100, 0.75
"""Golden's lists that tell their order, and the share of them that may be sorted where nobody sorts them: of short ones many are by chance."""

_NOTHING = {"", "none", "null", "nan", "n/a", "na", "nil", "unknown", "undefined", "missing", "?", "-", "--", "unk", "#n/a", "(null)", "not set"}  # fmt: skip


_NO_NUMBER = {"-1", "-9", "-99", "-999", "999", "9999"}
_NO_DAY = {
    "0000-00-00",
    "0001-01-01",
    "1753-01-01",
    "1899-12-30",
    "1900-01-01",
    "1970-01-01",
    "2999-12-31",
    "9999-12-31",
}


_KEPT_OF_TEXT = re.compile(r"[^\W_]|(?<![^\W_])[-\u2212](?=\d)")


def channels(case: Case) -> list[Channel]:
    """Every contract channel of the case's inputs, steps and outputs."""
    out: list[Channel] = []
    for variable in case.of(*VALUE_ROLES):
        if variable.recorded:
            out += _presence(case, variable)
        if variable.name.endswith(arranged.MARK):
            out += _sorted(case, variable)
        elif variable.numbers is not None:
            out += [*_numeric(case, variable), *due.channels(case, variable)]
        elif not variable.derived:
            out += [*_category(case, variable), *due.channels(case, variable), *_texts(case, variable)]
            out += channel_of_forms(case, variable, LAYER_OF[variable.field.role])
            out += _of_phrases(case, variable)
        elif variable.name.partition("#")[2] in FORMS:
            out += _form(case, variable)
    for variable in case.of(Role.DECISION):
        if variable.codes is not None and not variable.derived:
            out += _category(case, variable)
    for variable in case.of(*COUNTED):
        if variable.numbers is not None and not variable.derived:
            out += _fixed(case, variable)
    return out


def _presence(case: Case, variable: Variable) -> list[Channel]:
    out = []
    rescued = case.rescued.get(variable.path)
    missing = variable.missing
    if rescued is not None and rescued.any():
        out.append(invariant(variable, "type", rescued))
        missing = missing & ~rescued
    if variable.infinite is not None:
        missing = missing & ~variable.infinite
    if variable.infinite is not None and variable.infinite[case.window].any():
        out.append(invariant(variable, "infinite", np.where(missing, np.nan, variable.infinite)))
    if missing[case.window].any():
        out.append(replace(invariant(variable, "null", missing), given=_of_ids(case, missing)))
    return out


def _of_ids(case: Case, missing: Bools) -> Floats | None:
    """How often golden's rows of the same id (an article, of which nobody knows it) are null, shape (n,), where that tells nulls; else None."""
    golden = np.flatnonzero(case.golden)
    for codes in case.many.values() if missing[golden].any() else ():
        ids, nulls = codes[golden], missing[golden]
        size = int(codes.max()) + 1
        counts = np.bincount(ids[ids >= 0], minlength=size)
        share = np.bincount(ids[ids >= 0], weights=nulls[ids >= 0], minlength=size) / np.maximum(counts, 1)
        several = (ids >= 0) & (counts[ids] >= LEAST_AGAIN)
        told = several & nulls
        if told.sum() >= TOLD * nulls.sum() > 0 and share[ids[told]].mean() >= TOLD:
            return np.where((codes >= 0) & (counts[codes] >= LEAST_AGAIN), share[codes], nulls.mean())
    return None


def _sorted(case: Case, variable: Variable) -> list[Channel]:
    """Lists that are all sorted where golden's came in an order of their own."""
    assert variable.numbers is not None
    out = []
    for way, name in ((arranged.RISING, "rising"), (arranged.FALLING, "falling")):
        values = np.where(variable.missing, np.nan, variable.numbers == way)
        before, after = (values[side & ~variable.missing] for side in (case.golden, case.window))
        if before.size >= LEAST_LISTS and before.mean() <= FREELY and after.size and after.mean() > before.mean():
            detail = {"order": name, "variable": variable.name}
            out.append(invariant(variable, "sorted", values, floor=0.1, detail=detail))
    return out


# ---------------------------------------------------------------- numbers


def _numeric(case: Case, variable: Variable) -> list[Channel]:
    assert variable.numbers is not None
    values = variable.numbers
    known = np.isfinite(values)
    golden, window = values[case.golden & known], values[case.window & known]
    if golden.size < 30 or window.size < 10:
        return []
    out = []
    low, high = float(golden.min()), float(golden.max())
    if variable.recorded:
        out += channels_of_atoms(case, variable)
    elif variable.field.role is Role.INPUT and variable.name.endswith("#characters"):
        out += _cut(case, variable)
    elif variable.name == f"{variable.path}#length":
        out += _ended(case, variable)
    if variable.recorded:
        out += _fraction(case, variable, golden)
        out += _grid(case, variable, golden)
    if dates.moment(variable.name, case.variables):
        return out
    outside = (values < low) | (values > high)
    if (outside & case.window).any():
        out.append(invariant(variable, "range", np.where(known, outside, np.nan), floor=0.02,
                            detail={"low": low, "high": high, "variable": variable.name}))  # fmt: skip
    margin = max(FAR, case.ages) * (high - low)
    beyond = (values < low - margin) | (values > high + margin)
    if margin and (beyond & case.window).any() and _turns(case, values) >= KNOWN_TURNS:
        detail = {"golden": float(np.median(golden)), "variable": variable.name}
        out.append(invariant(variable, "beyond", np.where(known, beyond, np.nan), floor=0.3, detail=detail))
    return out


def _turns(case: Case, values: Floats) -> int:
    """How often golden's values were another than the one before in time: a rate by the day has a range of few witnesses."""
    known = np.flatnonzero(case.golden & np.isfinite(values))
    ordered = values[known[np.argsort(case.ts[known], kind="stable")]]
    return int(np.count_nonzero(ordered[1:] != ordered[:-1]))


def _fraction(case: Case, variable: Variable, golden: Floats) -> list[Channel]:
    """Whole numbers, tenths or hundredths where golden had finer ones: somebody cast or rounded.

    A single one is the end of a scale (all of it, fog), and so are those on which golden's values crowd: the others must show it. Of
    several such marks the widest is taken that tells nearly all.
    """
    assert variable.numbers is not None
    if variable.field.role is Role.OUTPUT:
        return []
    values, counts = np.unique(golden, return_counts=True)
    ends = values[counts > np.maximum(_CROWDED * golden.size, _USUAL * counts.mean())]
    known = np.isfinite(variable.numbers) & ~np.isin(variable.numbers, ends)
    between = golden[~np.isin(golden, ends)]
    if between.size < 30:
        return []
    window, gained = variable.numbers[case.window & known], dict[int, float]()
    if window.size < 2 or not np.ptp(window) > 0:
        return []
    values, counts = np.unique(window, return_counts=True)
    others = window[window != values[np.argmax(counts)]]  # one value alone may be an end that golden hardly reached
    for decimals in range(4):
        shares = [float(np.mean(multiples_of(10.0**-decimals, some))) for some in (golden, between, window, others)]
        share, found = max(shares[:2]), min(shares[2:])
        if share >= (_WHOLE if decimals == 0 else _FINER):
            break
        gained[decimals] = found - share
    most = max(gained.values(), default=0.0)
    if most <= 0:
        return []
    chosen = next(decimals for decimals, gain in gained.items() if gain >= 0.9 * most)
    on = multiples_of(10.0**-chosen, np.where(known, variable.numbers, 0.0))
    return [invariant(variable, "whole", np.where(known, on, np.nan), floor=0.3, detail={"mark": 10.0**-chosen})]


def _grid(case: Case, variable: Variable, golden: Floats) -> list[Channel]:
    """Values between the marks that golden kept to (whole numbers, tenths, cents): converted, averaged, or made up.

    Marks may go by who asks or what is asked about: prices in crowns are whole ones where those in euros have cents.
    """
    assert variable.numbers is not None
    values, known = variable.numbers, np.isfinite(variable.numbers)
    if np.unique(golden).size < GRADED:
        return []  # a short scale may have a step that its fair days never needed
    usual = _mark(golden)
    marks = np.full(values.size, usual)
    # A tenth of what has a mark lies on one ten times as wide by chance: where hardly more do, nobody keeps to it.
    wider, by_chance = (_FINEST, 0.0) if np.isnan(usual) else (10 * usual, 0.1)
    on = float(np.mean(multiples_of(wider, golden))) >= by_chance + (1 - by_chance) * _THEIRS
    named = case.categories.items() if on and wider <= 1 else ()
    own = [(path, _marks(case, variable, codes)) for path, codes in named if path != variable.path]
    coarser = [float(np.mean(by[case.golden & known] > np.nan_to_num(marks[case.golden & known]))) for _, by in own]
    detail: dict[str, object] = {"variable": variable.name}
    if coarser and max(coarser) >= _THEIRS:
        detail["by"], by = own[int(np.argmax(coarser))]
        marks = np.fmax(marks, by)
    judged = known & np.isfinite(marks)
    if not judged.any():
        return []
    between = np.full(values.size, np.nan)
    for mark in np.unique(marks[judged]):
        rows = judged & (marks == mark)
        between[rows] = ~multiples_of(mark, values[rows])
    rows = case.window & (between == 1)
    detail["mark"] = float(np.median(marks[rows])) if rows.any() else 1.0
    return [invariant(variable, "grid", between, floor=0.03, detail=detail)]


def _mark(values: Floats) -> float:
    """The widest mark that values keep to, as hardly any of them fails to; NaN where they keep to none."""
    marks = (10.0**-decimals for decimals in _DECIMALS)
    return next((mark for mark in marks if np.mean(multiples_of(mark, values)) > _KEPT), np.nan)


def _marks(case: Case, variable: Variable, codes: Ints) -> Floats:
    """The marks that golden's values of a row's category kept to, shape (n,); NaN where they are few, or kept to none."""
    assert variable.numbers is not None
    known = case.golden & np.isfinite(variable.numbers) & (codes >= 0)
    out = np.full(int(codes.max(initial=0)) + 2, np.nan)
    for code in np.unique(codes[known]):
        values = variable.numbers[known & (codes == code)]
        if values.size >= LEAST_FIXED and np.unique(values).size >= GRADED:
            out[code] = _mark(values)
    return np.where(codes >= 0, out[codes], np.nan)


def _fixed(case: Case, variable: Variable) -> list[Channel]:
    """Another value where golden had but one. A flag, or nothing, may only not have happened yet: 0 and 1 are no settings."""
    assert variable.numbers is not None
    known = np.isfinite(variable.numbers)
    golden = variable.numbers[case.golden & known]
    if golden.size < LEAST_FIXED or golden.min() != golden.max() or golden[0] in (0.0, 1.0):
        return []
    other = variable.numbers != golden[0]
    if not (other & known & case.window).any() or of_calendar(case, variable.numbers):
        return []
    detail = {"value": float(golden[0]), "variable": variable.name}
    return [invariant(variable, "fixed", np.where(known, other, np.nan), detail=detail)]


# ---------------------------------------------------------------- texts


def _cut(case: Case, variable: Variable) -> list[Channel]:
    """One length that many different texts have and none goes beyond, in all traffic or in a slice, where golden's do: they are cut there."""
    text = case.variables[variable.path]
    assert text.codes is not None
    assert variable.numbers is not None
    lengths = {float(c.detail["value"]) for c in channels_of_atoms(case, variable)} | _ends(case, variable.numbers)
    out = []
    for at in sorted(lengths):
        rows = case.window & (variable.numbers == at)
        if np.unique(text.codes[rows]).size >= DIFFERENT * rows.sum():
            values = np.where(variable.numbers >= at, variable.numbers == at, np.nan)
            detail = {"value": at, "variable": variable.name}
            out.append(invariant(variable, "cut", values, floor=0.05, detail=detail))
    return out


def _ends(case: Case, numbers: Floats) -> set[float]:
    """Numbers beyond which golden's of a slice went, and which the window's late ones of that slice end at, many of them at the very number."""
    late = case.window & (case.ts >= np.median(case.ts[case.window])) & np.isfinite(numbers)
    golden, out = case.golden & np.isfinite(numbers), set()
    for dimension in case.dimensions:
        for code in range(len(dimension.values)):
            here, there = numbers[late & (dimension.codes == code)], numbers[golden & (dimension.codes == code)]
            if min(here.size, there.size) < LEAST_ENDING:
                continue
            last = float(here.max())
            now, before = float(np.mean(here == last)), float(np.mean(there == last))
            if now >= max(ENDS, OFTENER * before) and end_of(there, here, last) == 1:
                out.add(last)
    return out


def _ended(case: Case, variable: Variable) -> list[Channel]:
    """A length that no list goes beyond any more, and that as many have as golden had who reached it: of all that was longer the rest is gone."""
    assert variable.numbers is not None
    lengths = variable.numbers
    late = case.window & (case.ts >= np.median(case.ts[case.window])) & np.isfinite(lengths)
    golden, found = case.golden & np.isfinite(lengths), set()
    for of in (np.zeros(lengths.size, dtype=np.int64), *case.categories.values()):
        for code in range(int(of.max(initial=-1)) + 1):
            here, there = lengths[late & (of == code)], lengths[golden & (of == code)]
            if min(here.size, there.size) < LEAST_ENDING:
                continue
            last = float(here.max())
            reached = float(np.mean(there >= last))
            error = float(np.sqrt(reached * (1 - reached) * (1 / here.size + 1 / there.size)))
            if np.mean(there > last) * here.size >= SURELY and abs(np.mean(here == last) - reached) <= 3 * error:
                found.add(last)
    detail = {"variable": variable.name}
    values = {at: np.where(lengths >= at, lengths == at, np.nan) for at in sorted(found)}
    return [invariant(variable, "ended", row, floor=0.05, detail={"value": at, **detail}) for at, row in values.items()]


def _form(case: Case, variable: Variable) -> list[Channel]:
    """Texts in a form that golden's hardly ever had: markup, capitals, fences, a broken encoding."""
    assert variable.codes is not None
    size = len(variable.vocabulary)
    golden = np.bincount(variable.codes[case.golden & ~variable.missing], minlength=size)
    if golden.sum() < LEAST_FIXED:
        return []
    strange = golden < STRANGE * golden.sum()
    flags = np.append(strange, False)[variable.codes]
    if not (flags & case.window).any():
        return []
    window = np.bincount(variable.codes[case.window & ~variable.missing], minlength=size)
    top = [variable.vocabulary[i] for i in np.argsort(-np.where(strange, window, -1))[:3] if strange[i] and window[i]]
    detail = {"values": top, "variable": variable.name}
    return [invariant(variable, "form", np.where(variable.missing, np.nan, flags), floor=0.02, detail=detail)]


def _of_phrases(case: Case, variable: Variable) -> list[Channel]:
    """What short phrases went through that come again and again (titles, captions), which are no free text; a few of them are their writers'."""
    assert variable.codes is not None
    if variable.field.role is not Role.INPUT or f"{variable.name}#characters" in case.variables:
        return []
    known = np.unique(variable.codes[case.golden & ~variable.missing])
    if known.size < MANY or np.mean([" " in variable.vocabulary[i] for i in known]) <= _PHRASES:
        return []
    states = [condition(phrase[:BEGINNING]) for phrase in variable.vocabulary]
    names = tuple(dict.fromkeys(states))
    codes = np.array([*(names.index(state) for state in states), -1])[variable.codes]
    made = replace(variable, name=f"{variable.name}#condition", codes=codes, vocabulary=names)
    out = _form(case, made)
    rows = variable.codes[case.window & (out[0].values == 1)] if out else variable.codes[:0]
    times = np.bincount(rows)
    return out if np.count_nonzero(times) >= DAMAGED and times.max() <= _ONE_OF_THEM * rows.size else []


def _texts(case: Case, variable: Variable) -> list[Channel]:
    """One and the same text again and again, where golden's were as good as all different: a placeholder, a canned answer."""
    if f"{variable.name}#characters" not in case.variables:
        return []
    assert variable.codes is not None
    known = variable.codes[case.golden & ~variable.missing]
    if np.unique(known).size < MOSTLY_ONCE * known.size:
        return []  # answers from a list: what people ask about now has its own
    as_numbers = replace(
        variable, codes=None, vocabulary=(), numbers=np.where(variable.codes < 0, np.nan, variable.codes.astype(float))
    )
    usual = _usual_texts(variable, known)
    out = []
    for channel in channels_of_atoms(case, as_numbers, ordered=False):
        text = variable.vocabulary[int(channel.detail["value"])]
        share = float(np.nanmean(channel.values[case.window]))
        if share <= AS_OFTEN * usual.get(_DIGITS.sub("0", text), 0.0):
            continue  # the next pay day's answer, where golden gave that of the last as often
        detail = {"text": text, "before": channel.detail["before"], "variable": variable.name}
        out.append(replace(channel, signature="repeated", floor=0.01, detail=detail))
    return out


def _usual_texts(variable: Variable, known: Ints) -> dict[str, float]:
    """How often golden had the one text that came most often of those which differ in their numbers alone, by the text without them."""
    texts, counts = np.unique(known, return_counts=True)
    out: dict[str, float] = {}
    for text, count in zip(texts[counts > 1], counts[counts > 1], strict=True):
        bare = _DIGITS.sub("0", variable.vocabulary[text])
        out[bare] = max(out.get(bare, 0.0), float(count / known.size))
    return out


# ---------------------------------------------------------------- categories


def _category(case: Case, variable: Variable) -> list[Channel]:
    assert variable.codes is not None
    size = len(variable.vocabulary)
    golden = np.bincount(variable.codes[case.golden & ~variable.missing], minlength=size)
    window = np.bincount(variable.codes[case.window & ~variable.missing], minlength=size)
    unseen = (golden == 0) & (window > 0) & ~due.brought(case, variable)
    if golden.sum() < 30 or window.sum() < 10 or not unseen.any():
        return []
    nothing = [variable.vocabulary[i] for i in np.flatnonzero(unseen) if _is_nothing(variable.vocabulary[i])]
    top = [variable.vocabulary[i] for i in np.argsort(-np.where(unseen, window, -1))[:5] if unseen[i]]
    detail = {"values": top, "twins": {}, "nothing": nothing}
    out, twins = [], {}
    # A vocabulary that keeps growing in golden keeps growing afterwards: only what outgrows it is news, but nothing is no id of somebody's.
    outgrown = window[unseen].sum() / window.sum() >= 2 * _growth(case, variable)
    if outgrown and (golden > 0).sum() <= 0.3 * golden.sum():
        detail["twins"] = twins = _twins(variable.vocabulary, unseen, golden)
        flags = np.append(unseen, False)[variable.codes]
        news = variable.name not in case.growing
        out = [invariant(variable, "unseen", np.where(variable.missing, np.nan, flags), detail=detail)] if news else []
    for kind, members in (("twin", set(twins)), ("nothing", set(nothing))):
        if members:
            chosen = np.array([value in members for value in variable.vocabulary] + [False])
            out.append(invariant(variable, kind, np.where(variable.missing, np.nan, chosen[variable.codes]), floor=0.004, detail=detail))  # fmt: skip
    return out


def _growth(case: Case, variable: Variable) -> float:
    """The share of a golden block's rows whose value no other block has, averaged over blocks."""
    assert variable.codes is not None
    known = case.golden & ~variable.missing
    codes, blocks = variable.codes[known], case.blocks[known]
    pairs = np.unique(codes * (case.block_count + 1) + blocks)
    seen_in = np.bincount(pairs // (case.block_count + 1), minlength=len(variable.vocabulary))
    return float(np.mean(seen_in[codes] == 1)) if case.block_count > 1 else 0.0


def folded(text: str) -> str:
    """A category as a person reads it: without case, accents, padding, punctuation or doubled encoding, but with the sign of a number."""
    with contextlib.suppress(UnicodeError):
        text = text.encode("latin-1").decode("utf-8")
    plain = unicodedata.normalize("NFKD", text).casefold()
    return "".join(_KEPT_OF_TEXT.findall(plain))


def _twins(vocabulary: tuple[str, ...], unseen: Bools, golden: Ints) -> dict[str, str]:
    """Unknown values that are another spelling of a golden one: {unknown: known}."""
    known: dict[str, str] = {}
    for i in np.argsort(golden, kind="stable"):  # the commonest last, so that it stands
        if golden[i] > 0:
            known[folded(vocabulary[i])] = vocabulary[i]
    known.pop("", None)
    found = {vocabulary[i]: known.get(folded(vocabulary[i]), "") for i in np.flatnonzero(unseen)}
    return {new: old for new, old in found.items() if old}


def _is_nothing(text: str) -> bool:
    """Whether programs write this where they know nothing: a word for it, nines, or the day on which a calendar begins or ends."""
    plain = text.strip()
    return plain.casefold() in _NOTHING or plain in _NO_NUMBER or plain[:10] in _NO_DAY


def first_of(values: Iterable[str], most: int = 3) -> str:
    """A few values in words."""
    chosen = list(values)
    return ", ".join(repr(v) for v in chosen[:most]) + (", …" if len(chosen) > most else "")
