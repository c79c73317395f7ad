"""What only a broken feed does to a value that comes from outside: no season, campaign or storm leaves these marks.

In: a `Case`. Out: channels for numbers beyond a hard end, for a part of the numbers many times too large, for a source that says
the same value again and again, or is not refreshed; the proof of each suspect that one of them leads; and the category that another arrives as.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from whimbrel.diagnose import state
from whimbrel.diagnose.atoms import FAR
from whimbrel.diagnose.case import HOUR_US, Case, Variable
from whimbrel.diagnose.contracts import GRADED
from whimbrel.diagnose.scan import LAYER_OF, Channel, measured
from whimbrel.diagnose.suspects import Proof, Suspect, abrupt
from whimbrel.model.fields import Role, role_of
from whimbrel.model.rows import Bools, Floats, Ints

SIGNATURES = ("over", "times", "stutter", "standing")
ENOUGH = 500
"""Values of golden that say where a distribution ends."""
_SHAPE = -0.35
"""The shape of a tail (0: it thins out without end, -0.5: down to nothing at an end, -1: evenly up to its end) from which on it ends."""
_SPARE = 0.05
"""The part of the way from the median to the end by which a value may lie beyond the end: no end is estimated exactly."""
_FACTORS = (10.0, 100.0, 1000.0, 60.0, 3600.0, 24.0, 7.0, 12.0, 1024.0)
_MANY = 1.4
"""The least factor that is another unit and no growth."""
_ALIKE = 0.12
"""The distance of Kolmogorov and Smirnov, beyond what chance gives, up to which two samples are of one distribution."""
LEAST_ROWS = 60
"""Rows on either side that shares are taken of."""
GONE = 0.25
"""The part of its share that a category may keep whose rows arrive as another's: an onset is found to the hour."""
_BACK = (400, 100, 25, 5, 1)
"""Predictions to look back for the same value; the most of them in which golden hardly ever finds it."""
NEARLY_ALL = 0.9
"""The share of a slice's values beyond an end, and of nobody else's, that no world brings about, however slowly."""
_STILL, _COMES, _KEYS = 0.3, 0.5, 6
"""Shares of golden's rows that may have the number of their key's row before, and that must have such a row; categories that may be a key."""
_MANY_KEYS = 20
"""Different keys that are not kinds of rows, but each one thing that is measured, or one who asks."""
_HALF = 0.45
"""The share of a slice's rows that must stand still where golden's hardly ever did."""
ONE_OF_MANY = 0.5
"""The part of the rows that stand still which may have one and the same number."""
MOST = 0.5
"""The share of a step's values beyond an end from which on they are not those of a new kind of rows."""
_RARE, _OFTEN = 0.1, 0.3
"""Shares of rows that repeat a value: what golden may have, and what a source must have that stutters."""


def channels(case: Case) -> list[Channel]:
    """Every channel of the case's inputs that a feed alone can break, of what steps look up, and of outputs that come in another unit now and then."""
    inputs, steps, answers = (
        [v for v in case.of(role) if v.numbers is not None and not v.derived]
        for role in (Role.INPUT, Role.STEP, Role.OUTPUT)
    )
    out = [channel for variable in (*inputs, *steps) for channel in _over(case, variable)]
    out += [channel for variable in (*inputs, *answers) for channel in _times(case, variable)]
    out += [channel for variable in inputs for channel in _graded(case, variable)]
    return [*out, *_stutters(case, inputs), *_standing(case)]


def proof(case: Case, suspect: Suspect) -> Proof:
    """What a suspect proves that one of these channels leads: the world moves values to and fro, and not at once in this way."""
    channel = suspect.hit.channel
    variable = measured(case, channel)
    assert variable is not None
    if channel.signature == "times":
        grades = channel.detail.get("grades")
        # Some have a new price or a new size; where another unit comes, golden's own come no more.
        left = 0 if grades is None else int(np.isin(_numbers(variable)[suspect.affected], grades).sum())
        return Proof.HARD if suspect.bad.sum() >= NEARLY_ALL * (suspect.bad.sum() + left) else Proof.SOFT
    if channel.signature == "stutter":
        said = np.bincount(variable.kinds[suspect.affected & ~variable.missing])
        by_chance = float(np.sum((said / max(said.sum(), 1)) ** 2))  # one price for nearly all repeats in any order
        by_chance = max(by_chance, _beside(case, variable, channel.detail["back"], suspect.affected))
        sure = _densest(case, suspect) >= _OFTEN + by_chance and suspect.before < _RARE and abrupt(case, suspect)
        return Proof.HARD if sure else Proof.SOFT
    if channel.signature == "standing":
        said = variable.kinds[suspect.bad]
        many = (
            said.size > 0 and int(np.bincount(said).max()) <= ONE_OF_MANY * said.size
        )  # what is shut sells nothing on any day
        if many and suspect.after >= NEARLY_ALL and abrupt(case, suspect):
            return Proof.HARD
        here_and_there = suspect.before < _RARE and suspect.after >= _HALF  # a part of the devices, or of their times
        return Proof.FIRM if many and here_and_there else Proof.SOFT
    assert variable.numbers is not None
    lasting = state.places(case, variable.numbers) is not None
    told = abrupt(case, suspect) or (bool(suspect.where) and suspect.after >= NEARLY_ALL)
    if (
        variable.field.role is Role.STEP
    ):  # a new kind of question leads a step where it never was; most of them are the step's
        told = told and suspect.after > MOST
    return Proof.FIRM if told and not lasting else Proof.SOFT


def _densest(case: Case, suspect: Suspect) -> float:
    """The share of rows that show it where they are: in several values of one tag, if as good as all of them have these."""
    judged = suspect.affected & np.isfinite(suspect.hit.excess)
    best = suspect.after
    for dimension in case.dimensions if suspect.bad.any() else ():
        size = len(dimension.values) + 1
        rows, shows = (np.bincount(dimension.codes[of] + 1, minlength=size) for of in (judged, suspect.bad))
        share = shows / np.maximum(rows, 1)
        there = share >= 0.5 * share.max()
        if role_of(dimension.path) in (Role.CONTEXT, Role.HARDWARE) and shows[there].sum() >= NEARLY_ALL * shows.sum():
            best = max(best, float(shows[there].sum() / rows[there].sum()))
    return best


# ---------------------------------------------------------------- numbers


def _over(case: Case, variable: Variable) -> list[Channel]:
    """Values beyond an end that golden's distribution runs up to and stops at: a share above 1, a percentage above 100."""
    assert variable.numbers is not None
    values = variable.numbers
    known = np.isfinite(values)
    golden = values[case.golden & known]
    if golden.size < ENOUGH or np.unique(golden).size < GRADED:
        return []
    # What grows with time ends somewhere on every day: the first half's end must be the second's, and what it rose by goes on.
    halves = 2 * (case.ages - 1)
    order = np.argsort(case.ts[case.golden & known], kind="stable")
    first, second = np.array_split(golden[order], 2)
    beyond = np.zeros(values.size, dtype=bool)
    for sign in (1.0, -1.0):
        before, whole = end(sign * first), end(sign * golden)
        rise = max(float((sign * second).max() - (sign * first).max()), 0.0)
        if before is not None and whole is not None and float((sign * second).max()) <= before:
            beyond |= sign * values > whole + halves * rise
    if not (beyond & case.window).any():
        return []
    detail = {"low": float(golden.min()), "high": float(golden.max()), "variable": variable.name}
    return [
        Channel(
            variable.path,
            LAYER_OF[variable.field.role],
            "over",
            "invariant",
            np.where(known, beyond, np.nan),
            floor=0.02,
            detail=detail,
        )
    ]


def end(values: Floats) -> float | None:
    """Where a distribution ends above, a little beyond what is estimated; None where its tail has no end that shows.

    The largest fiftieth is taken for a generalised Pareto tail (Pickands 1975), fitted by its moments (Hosking and Wallis 1987).
    """
    ordered = np.sort(values)
    count = min(max(ordered.size // 50, 50), 400)
    if ordered.size <= 2 * count:
        return None
    start = float(ordered[-count - 1])
    excess = ordered[-count:] - start
    mean, variance = float(excess.mean()), float(excess.var())
    last, middle = float(ordered[-1]), float(np.median(ordered))
    if variance > 0:
        shape = 0.5 * (1 - mean**2 / variance)
        if shape > _SHAPE:
            return None
        last = max(last, start - 0.5 * mean * (mean**2 / variance + 1) / shape)
    return last + _SPARE * (last - middle)


def _times(case: Case, variable: Variable) -> list[Channel]:
    """Values far outside golden's range that are golden's own, many times as large: another unit, in a part of the rows."""
    assert variable.numbers is not None
    values = variable.numbers
    known = np.isfinite(values)
    golden = values[case.golden & known]
    if golden.size < ENOUGH or np.mean(golden > 0) < 0.95:
        return []
    bound = float(golden.max() + FAR * (golden.max() - golden.min()))
    far = known & (values > bound)
    found = values[far & case.window]
    if found.size < 30 or np.unique(golden).size < GRADED:
        return []
    positive = golden[golden > 0]
    for factor in (*_FACTORS, float(np.median(found) / np.median(positive))):
        grown = factor * positive
        above = grown[grown > bound]
        if (
            factor >= _MANY
            and above.size >= max(30, 0.3 * grown.size)
            and distance(found, above) <= _ALIKE + 1.63 / np.sqrt(min(found.size, above.size))
        ):
            detail = {"factor": factor, "variable": variable.name}
            layer, hit = LAYER_OF[variable.field.role], np.where(known, far, np.nan)
            return [Channel(variable.path, layer, "times", "invariant", hit, floor=0.01, detail=detail)]
    return []


def _graded(case: Case, variable: Variable) -> list[Channel]:
    """Values that golden never had and that are several of its few grades, in another unit: percentages that come as fractions."""
    values = _numbers(variable)
    known = np.isfinite(values)
    grades = np.unique(values[case.golden & known])
    if (case.golden & known).sum() < ENOUGH or not 2 < grades.size <= GRADED:
        return []
    new = known & ~np.isin(values, grades)
    found = np.unique(values[new & case.window])
    if found.size < 2:
        return []
    graded = grades[grades != 0]
    for factor in (*_FACTORS, *(1 / f for f in _FACTORS)):
        own = found[np.isclose(found[:, None], graded * factor, rtol=1e-6, atol=0).any(axis=1)]
        if own.size >= 2 and np.isin(values[new & case.window], own).mean() >= NEARLY_ALL:
            detail = {"factor": factor, "variable": variable.name, "grades": graded}
            hit = np.where(known, np.isin(values, own), np.nan)
            return [Channel(variable.path, "data", "times", "invariant", hit, floor=0.01, detail=detail)]
    return []


def _numbers(variable: Variable) -> Floats:
    assert variable.numbers is not None
    return variable.numbers


def distance(one: Floats, other: Floats) -> float:
    """Kolmogorov and Smirnov's: the largest difference of the two distribution functions."""
    points = np.concatenate([one, other])
    shares = (np.searchsorted(np.sort(sample), points, "right") / sample.size for sample in (one, other))
    return float(np.abs(np.subtract(*shares)).max())


# ---------------------------------------------------------------- the same again


def _stutters(case: Case, inputs: list[Variable]) -> list[Channel]:
    """Rows whose value one of the predictions before had as well, while their other fields differ; all rows must be at hand."""
    if max(case.sampled) > 1.05:
        return []
    graded = [v for v in inputs if np.unique(v.kinds[case.golden & ~v.missing]).size >= GRADED]
    out = []
    for variable in graded:
        known = case.golden & ~variable.missing
        before, ago = _last_alike(case, variable)
        back = next((most for most in _BACK if np.mean(ago[known] <= most) < _RARE), None)
        if back is None:
            continue
        rows = np.flatnonzero(ago <= back)
        # A request that is sent again repeats all that it says.
        others = [v.kinds[rows] == v.kinds[before[rows]] for v in graded if v is not variable]
        flags = np.where(variable.missing, np.nan, 0.0)
        flags[rows] = np.mean(others, axis=0) <= 0.5 if others else 1.0
        out.append(
            Channel(
                variable.path,
                "data",
                "stutter",
                "invariant",
                flags,
                floor=0.1,
                detail={"variable": variable.name, "back": back},
            )
        )
    return out


def _beside(case: Case, variable: Variable, back: int, rows: Bools) -> float:
    """The share of rows whose value but for one last digit was said as shortly before: where many are in one place they share its digits by chance."""
    if variable.numbers is None:
        return 0.0
    apart = np.diff(np.unique(variable.numbers[case.golden & ~variable.missing]))
    if not apart.size:
        return 0.0
    marks = np.round(np.where(variable.missing, 0.0, variable.numbers) / apart.min())
    n = len(case.ts)
    place = np.empty(n, dtype=np.int64)
    place[np.lexsort((case.ts, case.window))] = np.arange(n)
    known, index = np.unique(marks, return_inverse=True)
    said = np.sort((index * n + place)[~variable.missing])
    asked = np.flatnonzero(rows & ~variable.missing)
    at = np.minimum(np.searchsorted(known, marks[asked] + 1), known.size - 1)
    last = said[np.maximum(np.searchsorted(said, at * n + place[asked]) - 1, 0)] - at * n
    near = (known[at] == marks[asked] + 1) & (last >= np.maximum(place[asked] - back, 0)) & (last < place[asked])
    return float(near.mean()) if asked.size else 0.0


def _last_alike(case: Case, variable: Variable) -> tuple[Ints, Ints]:
    """The last row before, in order of time, that had the same value, and how many predictions ago that was (more than there are: none), shape (n,) each."""
    n = len(case.ts)
    place = np.empty(n, dtype=np.int64)
    place[np.lexsort((case.ts, case.window))] = np.arange(n)
    order = np.lexsort((place, variable.kinds))
    alike = (np.diff(variable.kinds[order]) == 0) & ~variable.missing[order[1:]]
    before, ago = np.zeros(n, dtype=np.int64), np.full(n, n + max(_BACK), dtype=np.int64)
    before[order[1:][alike]] = order[:-1][alike]
    ago[order[1:][alike]] = np.diff(place[order])[alike]
    return before, ago


def _standing(case: Case) -> list[Channel]:
    """Rows whose number is that of the same shop, article or zone the time before, where golden's mostly is another: it was not refreshed."""
    key = _panel(case)
    if key is None:
        return []
    before = _before(case, key)
    known, found = before >= 0, []
    for variable in case.of(Role.INPUT, Role.STEP):
        if variable.numbers is None or variable.derived or variable.distinct < GRADED:
            continue
        same = variable.numbers == variable.numbers[before]
        judged = known & ~variable.missing
        if judged[case.golden].any() and same[judged & case.golden].mean() < _STILL:
            found.append((variable, np.where(judged, same, np.nan)))
    if len(found) < 2:
        return []
    again = np.nanmean([np.nan_to_num(values) for _, values in found], axis=0) > 0.5  # the whole batch ran twice
    return [
        Channel(
            variable.path,
            LAYER_OF[variable.field.role],
            "standing",
            "invariant",
            np.where(again, np.nan, values),
            floor=0.3,
        )
        for variable, values in found
    ]


def _panel(case: Case) -> Ints | None:
    """Whom or what each row is about, shape (n,), where the same ones come again and again: many, or hardly ever twice in an hour; else None."""
    if max(case.sampled) > 1.05:
        return None
    named = [v for v in case.of(Role.INPUT) if v.codes is not None and not v.derived and v.distinct > 1]
    named = sorted(named, key=lambda v: -v.distinct)[:_KEYS]
    every: list[Ints] = [v.kinds for v in named]
    every += [a.kinds * (int(b.kinds.max()) + 1) + b.kinds for a, b in combinations(named, 2)]
    golden = np.flatnonzero(case.golden)
    often = None
    for key in every:
        before = _before(case, key)[golden]
        comes = before >= 0
        soon = case.ts[golden] // HOUR_US == case.ts[before] // HOUR_US
        if comes.mean() < _COMES:
            continue
        if soon[comes].mean() < _RARE:
            return key
        if often is None and np.unique(key[golden]).size >= _MANY_KEYS:
            often = key
    return often


def _before(case: Case, key: Ints) -> Ints:
    """The row before with the same key, in order of time, shape (n,); -1 where there is none."""
    order = np.lexsort((case.ts, key))
    same = np.diff(key[order]) == 0
    out = np.full(key.size, -1, dtype=np.int64)
    out[order[1:][same]] = order[:-1][same]
    return out


# ---------------------------------------------------------------- categories


def heir(case: Case, suspect: Suspect) -> str:
    """The category that another has arrived as since the onset, at once; empty where none has.

    The other is gone, the heir gained as much as it had and far more than its part, and all others are as before: what people no longer
    take they replace by many things.
    """
    channel = suspect.hit.channel
    if not channel.signature.startswith("share:") or suspect.shift >= 0:
        return ""
    variable = case.variables[channel.detail["variable"]]
    if variable.codes is None or variable.derived:
        return ""
    here = suspect.affected & ~variable.missing
    then = suspect.inside & case.golden & ~variable.missing
    if min(here.sum(), then.sum()) < LEAST_ROWS or not abrupt(case, suspect):
        return ""
    size = len(variable.vocabulary)
    before, after = (np.bincount(variable.codes[rows], minlength=size) / rows.sum() for rows in (then, here))
    gone = variable.vocabulary.index(channel.signature.partition(":")[2])
    lost = before[gone] - after[gone]
    gained = after - before
    gained[gone] = 0.0
    most = int(np.argmax(gained))
    noise = np.sqrt(before * (1 - before) * (1 / here.sum() + 1 / then.sum())) + 1 / here.sum()
    strange = np.abs(gained) > 4 * noise
    strange[most] = False
    spread = lost * before[most] / (1 - before[gone]) if before[gone] < 1 else lost
    alone = gained[most] - spread > 4 * noise[most] and abs(gained[most] - lost) <= 3 * noise[most] + 0.1 * lost
    return variable.vocabulary[most] if alone and after[gone] <= GONE * before[gone] and not strange.any() else ""


def swallowed_words(channel: Channel, by: str) -> str:
    """What became of the category, in words."""
    return f"{channel.signature.partition(':')[2]!r} is gone, and {by!r} has its share: two arrive as one"
