"""Atoms: single values that hold far more of the window than golden's days ever gave to one: sentinels, constants, defaults, time-outs.

In: a `Case` and a number of it. Out: a channel for each value that stands out. What many share by itself (an article's price, an age that
grows, the short times of a queue that is empty) is none.
"""

from __future__ import annotations

import numpy as np

from whimbrel.diagnose.case import DAY_US, MAX_VALUES, Case, Variable
from whimbrel.diagnose.scan import Channel, invariant
from whimbrel.model.fields import Role
from whimbrel.model.rows import Floats

HANDFUL = 12
"""Different values up to which a number is one of a few classes."""

FAR = 2.0
"""Widths of golden's range beyond its ends that no season reaches."""

LEAST_GAIN = 0.004
"""Share of the window that a single value must have gained before it is an atom."""

BEYOND, REACHED = 0.05, 0.02
"""The share of golden's values that must lie beyond a cap, and the part of it that may still lie there."""
_NEXT = (2, 8)
"""How many values on either side a value is held against: near ones, where what was rare gathers about one, and many."""

CHANCE = 4.0
"""Standard errors by which a value may gain more than its like do."""

UNTOLD = 0.1
"""The part of what a key's values do in golden's time that steady growth may leave open."""

FEW_KEYS = 0.1
"""The part of the keys that as many rows usually are of, below which rows are of few keys."""

FEW_LENGTHS, LEAST_KEYS = 0.5, 20
"""The same of the lengths of texts that tell the value; texts of several predictions that show whether they do."""

_ENDS = {2.0**7 - 1, 2.0**15 - 1, 2.0**15, 2.0**16 - 1, 2.0**31 - 1, 2.0**31, 2.0**32 - 1, 2.0**63}


def channels_of_atoms(case: Case, variable: Variable, *, ordered: bool = True) -> list[Channel]:
    """Single values that hold far more of the window than any block of golden gave to a single value it did not expect.

    Where the numbers are `ordered`, one that grows with time, or is common because its neighbours are, is none; codes of texts are not.
    """
    assert variable.numbers is not None
    known = np.isfinite(variable.numbers)
    golden, window = variable.numbers[case.golden & known], variable.numbers[case.window & known]
    if golden.size < 30 or window.size < 10:
        return []
    values, counts = np.unique(window, return_counts=True)
    gained = counts / window.size - _shares(golden, values)
    grown = (counts >= 15) & (gained >= LEAST_GAIN)
    order = [i for i in np.argsort(-gained)[:3] if grown[i]]
    if not order:
        return []
    natural, natural_new = _natural_gain(case, variable)
    # One of a handful of values that all occur has a share that moves with the world; it is no atom until it is new.
    listed = np.unique(golden).size <= HANDFUL
    most_before = 0.1 if listed else 0.5
    out = []
    for i in order:
        before = counts[i] / window.size - gained[i]
        beside = [_beside(gained, i, reach) for reach in _NEXT] if ordered else []
        usual = max([natural if before > 0 else natural_new, *beside])
        value = float(values[i])
        common = before > most_before * counts[i] / window.size
        if common and variable.field.role is Role.STEP:
            common = end_of(golden, _late(case, variable), value) == 0
        by_chance = CHANCE * float(np.sqrt(max(usual, 0.0) / window.size))
        if gained[i] < 2.0 * usual + by_chance or common:
            continue
        if (not _is_sentinel(value) and _of_few_keys(case, variable, value)) or (
            ordered and _grown(case, variable, value)
        ):
            continue
        low, high = float(golden.min()), float(golden.max())
        margin = FAR * (high - low)
        hit = np.where(variable.missing, np.nan, variable.numbers == value)
        out.append(invariant(variable, "atom", hit, floor=LEAST_GAIN, detail={
            "value": value, "outside": not low <= value <= high, "far": not low - margin <= value <= high + margin,
            "before": float(before), "natural": float(usual),
            "listed": listed, "sentinel": _is_sentinel(value), "end": value in (low, high),
        }))  # fmt: skip
    return out


def end_of(golden: Floats, window: Floats, value: float) -> int:
    """1 where some of golden's numbers went above a value at which the window's end, -1 where below, 0 where neither; a flag has no beyond."""
    if np.unique(golden).size > 2:
        for sign in (1, -1):
            before, after = (float(np.mean(sign * numbers > sign * value)) for numbers in (golden, window))
            if before >= BEYOND and after <= REACHED * before:
                return sign
    return 0


def _late(case: Case, variable: Variable) -> Floats:
    """The numbers of the window's second half."""
    assert variable.numbers is not None
    rows = np.flatnonzero(case.window & ~variable.missing)
    return variable.numbers[rows[case.ts[rows] >= np.median(case.ts[rows])]]


def _beside(gained: Floats, i: int, reach: int) -> float:
    """What the values next to one gained, on average: where a queue grows short each of its short times is more common."""
    beside = np.delete(gained[max(i - reach, 0) : i + reach + 1], min(i, reach))
    return float(beside.mean()) if beside.size else 0.0


def _of_few_keys(case: Case, variable: Variable, value: float) -> bool:
    """Whether a value is as common as who or what it belongs to: of an article that everybody wants, the day's price is everywhere.

    What fills a value in asks nobody's number. Where golden's words tell the value, as an answer tells how long it is, those with
    one value are of few lengths.
    """
    hit = case.window & (variable.numbers == value)
    for key in case.of(Role.INPUT, Role.OUTPUT, Role.STEP):
        if key.codes is None or key.derived or key.path == variable.path or key.distinct <= MAX_VALUES:
            continue
        if key.field.role is Role.STEP and not _earlier(case, key, variable):
            continue
        kinds, few = key.codes, FEW_KEYS
        if key.field.role is Role.OUTPUT:
            if not _told_by(case, variable, key):
                continue
            kinds, few = np.array([len(text) for text in key.vocabulary])[key.codes], FEW_LENGTHS
        rows, usual = np.flatnonzero(hit & ~key.missing), np.flatnonzero(case.window & ~key.missing)
        if rows.size < 0.5 * hit.sum():
            continue  # whose they are is lost as well
        usual = usual[np.linspace(0, usual.size - 1, rows.size).astype(np.int64)]
        of, expected = (np.unique(kinds[chosen]).size for chosen in (rows, usual))
        if of < few * expected:
            return True
    return False


def _earlier(case: Case, key: Variable, variable: Variable) -> bool:
    """Whether a step's value was there before: what a query was rewritten to, before what was found for it."""
    if variable.field.role is Role.OUTPUT:
        return key.field.step not in case.after
    steps = case.schema.steps
    return variable.field.role is Role.STEP and steps.index(key.field.step) < steps.index(variable.field.step)


def _grown(case: Case, variable: Variable, value: float) -> bool:
    """Whether most rows with a value have what their key had in golden and what it gained since, as all keys do: an age grows by itself."""
    assert variable.numbers is not None
    rows = case.window & (variable.numbers == value)
    days = (case.ts - case.ts[case.golden].min()) / DAY_US
    for key in case.of(Role.INPUT, Role.CONTEXT, Role.HARDWARE):
        if key.codes is None or key.derived or key.path == variable.path or key.distinct < 2:
            continue
        known = case.golden & ~key.missing & np.isfinite(variable.numbers)
        if not known.any():
            continue  # a key that is new says nothing of what it had
        counts = np.bincount(key.codes[known], minlength=len(key.vocabulary))
        with np.errstate(invalid="ignore"):
            then, level = (
                np.bincount(key.codes[known], weights=of[known], minlength=counts.size) / counts
                for of in (days, variable.numbers)
            )
        later, more = days - then[key.codes], variable.numbers - level[key.codes]
        left = more - later * float((later * more)[known].sum() / max((later**2)[known].sum(), 1e-12))
        if float((left[known] ** 2).sum()) > UNTOLD * float((more[known] ** 2).sum()):
            continue
        own = np.abs(left) <= np.quantile(np.abs(left[known]), 0.99) + 1e-9 * abs(value)
        if np.mean((own & ~key.missing)[rows]) > 0.5:
            return True
    return False


def _told_by(case: Case, variable: Variable, key: Variable) -> bool:
    """Whether predictions of golden that share this key, of which there are some, share the value as well."""
    rows = np.flatnonzero(case.golden & ~variable.missing & ~key.missing)
    of = key.kinds[rows]
    pairs = np.unique(np.stack([of, variable.kinds[rows]]), axis=1)[0]
    several = np.bincount(of) > 1
    return bool(several.sum() >= LEAST_KEYS and (np.bincount(pairs)[several] > 1).mean() < 0.01)


def _is_sentinel(value: float) -> bool:
    """Zero, one below it, all nines, the ends of integers: what programs write where they know nothing."""
    digits = f"{abs(value):g}".replace(".", "")
    return value in (0.0, -1.0) or (len(digits) > 1 and set(digits) == {"9"}) or abs(value) in _ENDS


def _shares(sample: Floats, values: Floats) -> Floats:
    """The share of `sample` that each of the sorted `values` holds."""
    ordered = np.sort(sample)
    out: Floats = (np.searchsorted(ordered, values, "right") - np.searchsorted(ordered, values, "left")) / sample.size
    return out


def _natural_gain(case: Case, variable: Variable) -> tuple[float, float]:
    """The most that one value of one golden block gained over the rest of golden: crowds share a value, rightly.

    Second, the same of values that the rest does not have at all.
    """
    assert variable.numbers is not None
    most, most_new = 0.0, 0.0
    known = case.golden & np.isfinite(variable.numbers)
    for b in range(case.block_count):
        block = variable.numbers[known & (case.blocks == b)]
        rest = variable.numbers[known & (case.blocks != b)]
        if block.size < 30 or rest.size < 30:
            continue
        values, counts = np.unique(block, return_counts=True)
        top = np.argsort(-counts)[:5]
        top.sort()
        most = max(most, float(np.max(counts[top] / block.size - _shares(rest, values[top]) - 2 / block.size)))
        strange = counts[~np.isin(values, rest)]
        most_new = max(most_new, float(strange.max(initial=0)) / block.size - 2 / block.size)
    return most, most_new
