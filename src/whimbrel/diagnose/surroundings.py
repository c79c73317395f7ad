"""What surrounds the values: time, errors, tokens, freshness, hosts, identities and the recorder itself.

In: a `Case`. Out: channels for spans that take longer, vanish or sit at one value (a time-out), for errors, stale
sources, hardware counters, fingerprints and versions that golden never saw, and gaps in the recorder's own count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from whimbrel.diagnose.atoms import channels_of_atoms
from whimbrel.diagnose.boundaries import Boundaries, priced
from whimbrel.diagnose.case import DAY_US, HOUR_US, MAX_VALUES, Case, Variable, repeats
from whimbrel.diagnose.followers import SAME
from whimbrel.diagnose.learning import foretold
from whimbrel.diagnose.relations import Relation, held_out, split
from whimbrel.diagnose.scan import LAYER_OF, Channel
from whimbrel.diagnose.suspects import Suspect, overlap
from whimbrel.model.fields import Role, role_of
from whimbrel.model.rows import Bools, Floats, Ints

TOTAL = "spans.total"

UNHEARD = float(np.log(1.5))
"""Calls that take so much longer than golden's longest are not its tail."""


_DEPARTS = 3.0
"""Golden's own spreads by which an amount must leave what came before it to be no longer what that leads to."""
TWICE, NEVER_TWICE = 0.02, 0.0005
"""The least share of rows that are copies of others before it matters, and the most that golden may have: of coarse records more are alike where more come."""
_FEWER = 3.0
"""Standard errors by which a day's predictions must fall short of what is usual before they are fewer."""


_A_LITTLE = 1.2
"""Times as long as a call may take because more came than ever did: golden may be a part of the traffic, and the window all of it."""
_OF_A_DAY = 30
"""Rows from which on a day of golden says how many more than usual may come."""


@dataclass(frozen=True, eq=False)
class Usage:
    """Amounts within golden's range and their logarithms, shape (n, amounts); `beyond`, shape (n,), is 1 above it, -1 below, else 0."""

    amounts: Floats
    beyond: Floats


def channels(case: Case, boundaries: Boundaries) -> list[Channel]:
    """Every channel of the surroundings."""
    out: list[Channel] = []
    usage = _usage(case, boundaries.relations)
    for variable in case.of(Role.SPAN):
        out += _span(case, variable, usage)
    out += _errors(case)
    for variable in case.of(Role.USAGE):
        if variable.name not in boundaries.relations and variable.numbers is not None:
            out += _logarithm(case, variable, "level", floor=0.03)
    for variable in case.of(Role.AGE):
        out += _freshness(case, variable)
    for variable in case.of(Role.HARDWARE):
        if variable.numbers is not None:
            out += _counter(case, variable)
    for variable in case.of(Role.CODE, Role.MODEL, Role.HARDWARE):
        out += _identity(case, variable)
    return out + _recorder(case)


def _channel(variable: Variable, signature: str, values: Floats | Bools, kind: str, **more: object) -> Channel:
    layer = LAYER_OF[variable.field.role]
    return Channel(variable.path, layer, signature, kind, values.astype(np.float64), **more)  # type: ignore[arg-type]


def _span(case: Case, variable: Variable, usage: Usage | None) -> list[Channel]:
    if variable.numbers is None:
        return []
    out = [
        _given_load(case, _given_usage(case, channel, usage))
        for channel in _logarithm(case, variable, "slower", floor=0.05)
    ]
    golden = case.golden & ~variable.missing
    if golden.sum() < 30:
        return out
    present = golden.sum() / case.golden.sum()
    absent = variable.missing | (variable.numbers == 0)
    if present > 0.5 and (absent & case.window).any():
        out.append(_channel(variable, "skipped", absent, "invariant", floor=0.01))
    for slower in out:
        level = slower.values[golden & np.isfinite(slower.values)]
        bound = float(np.quantile(level, 0.97)) + 0.05
        tail = np.where(np.isfinite(slower.values), slower.values > bound, np.nan)
        out = [slower, _channel(variable, "tail", tail, "marginal", floor=0.03)]
        never = np.where(np.isfinite(slower.values), slower.values > float(level.max()) + UNHEARD, np.nan)
        if (never[case.window] == 1).any():
            out.append(_channel(variable, "halted", never, "marginal", floor=0.005))
    return out + channels_of_atoms(case, variable)


def _logarithm(case: Case, variable: Variable, signature: str, *, floor: float) -> list[Channel]:
    """The logarithm of an amount, so that "1.2 times" weighs the same on short and on long ones; none at all is a nat below the least."""
    assert variable.numbers is not None
    known = variable.numbers[case.golden & (variable.numbers > 0)]
    if known.size < 30:
        return []
    low = float(np.quantile(known, 0.01))
    with np.errstate(invalid="ignore"):
        values = np.log(np.maximum(variable.numbers, low)) - (variable.numbers == 0)
    values = np.where(np.isfinite(values), values, np.nan)
    centre = float(np.median(np.log(np.maximum(known, low))))
    spread = float(np.std(values[case.golden & np.isfinite(values)]))
    values = np.clip(values - centre, -6 * spread - 1, 6 * spread + 3)
    return [_channel(variable, signature, values, "marginal", sign=0, floor=floor, binary=False)]


def _usage(case: Case, relations: Mapping[str, Relation]) -> Usage | None:
    """What each prediction used, as far as golden used as much, and on which side of that it lies; None where nothing is recorded."""
    columns: list[Floats] = []
    beyond = np.zeros(len(case.ts))
    for variable in case.of(Role.USAGE):
        if variable.numbers is None or priced(variable.path) or variable.missing.mean() > 0.02:
            continue
        amount = _led_to(case, variable, relations)
        known = amount[case.golden & ~variable.missing]
        low, high = float(known.min()), float(known.max())
        beyond = np.where(amount > high, 1.0, np.where((amount < low) & (beyond == 0), -1.0, beyond))
        column = np.clip(np.nan_to_num(amount, nan=float(np.median(known))), low, high)
        columns += [column, np.log1p(np.maximum(column, 0.0))]
    return Usage(np.stack(columns, axis=1), beyond) if columns else None


def _led_to(case: Case, variable: Variable, relations: Mapping[str, Relation]) -> Floats:
    """An amount, shape (n,); where a look-up itself says it and it is not what came before the look-up leads to, that instead.

    That a tool had to be asked twice is no excuse for the time that it took: it is the same fault.
    """
    assert variable.numbers is not None
    amount, source = variable.numbers, variable
    relation = relations.get(variable.name)
    while relation is not None and relation.form in ("copy", "affine") and relation.parents[0] in case.variables:
        source = case.variables[relation.parents[0]]
        relation = relations.get(source.name)
    looked_up = source.field.role is Role.STEP and source.field.step in case.reads
    if relation is None or source.numbers is None or not looked_up:
        return amount
    departs = np.nan_to_num(np.abs(relation.surprise)) > (0.5 if relation.exact else _DEPARTS)
    known = case.golden & np.isfinite(amount) & np.isfinite(source.numbers)
    if not departs.any() or np.ptp(source.numbers[known]) == 0:
        return amount
    slope, offset = np.polyfit(source.numbers[known], amount[known], 1)
    return np.where(departs, slope * relation.expected + offset, amount)


def _given_usage(case: Case, channel: Channel, usage: Usage | None) -> Channel:
    """A span given what the prediction used (tokens, calls): golden's least squares, where they explain it, are taken off.

    Who reads more than golden ever did may take longer, and who reads less shorter: only the contrary is a departure.
    """
    if usage is None:
        return channel
    known = np.flatnonzero(case.golden & np.isfinite(channel.values))
    if known.size < 200:
        return channel
    centre, spread = usage.amounts[known].mean(axis=0), usage.amounts[known].std(axis=0)
    varies = np.flatnonzero(spread > 1e-12 * np.maximum(np.abs(centre), 1.0))
    design = (usage.amounts[:, varies] - centre[varies]) / spread[varies]
    middle = float(channel.values[known].mean())
    weights = np.linalg.lstsq(design[known], channel.values[known] - middle, rcond=1e-6)[0]
    fitted = design @ weights
    if float(np.var(fitted[known])) < 0.02 * float(np.var(channel.values[known])):
        return channel
    values = channel.values - fitted
    for side in (1.0, -1.0):
        rows = (usage.beyond == side) & np.isfinite(values)
        more = float(values[rows].mean()) - middle if rows.any() else 0.0
        values = np.where(rows & (more * side > 0), values - more, values)
    return replace(channel, values=values)


def asked_for(case: Case, suspect: Suspect) -> bool:
    """Whether a span takes longer by what was asked for (pages, items): golden's own trees expect half of it of these inputs, and of the way they make.

    What is taken off beforehand is what any prediction's tokens and load do to it; that pages are read of a scan alone only trees can say. What
    a look-up says is no excuse: that a tool had to be asked twice is the same fault.
    """
    variable, signature = case.variables.get(suspect.component), suspect.hit.channel.signature
    if variable is None or variable.field.role is not Role.SPAN or signature not in ("slower", "tail"):
        return False
    assert variable.numbers is not None
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(variable.numbers)
    time = replace(variable, numbers=np.where(np.isfinite(logs), logs, np.nan))
    made = [v for v in case.steps_before if v.field.step not in case.reads]
    expected = foretold(case, split(case), time, [*case.of(Role.INPUT), *made])
    if expected is None:
        return False
    sides = (suspect.inside & case.golden, suspect.affected)
    base, here = ((logs - expected)[side & np.isfinite(logs) & np.isfinite(expected)] for side in sides)
    if not (base.size and here.size):
        return False
    if signature == "tail":
        base, here = ((side > np.quantile(base, 1 - suspect.before)).astype(float) for side in (base, here))
    return bool((here.mean() - base.mean()) * np.sign(suspect.shift) < abs(suspect.shift) / 2)


def of_new_model(case: Case, suspect: Suspect, identities: Sequence[Suspect]) -> bool:
    """Whether a span merely takes longer, by less than half, from a new model's first row on and wherever that answers: that is its price.

    What waits takes longer still, what fails is counted by itself, and what is slow on one host is so whatever answers.
    """
    halted = any(hit.channel.signature == "halted" for hit in suspect.hits)
    if role_of(suspect.component) is not Role.SPAN or suspect.hit.channel.signature not in ("slower", "tail") or halted:
        return False
    return any(_from_its_first_row(case, suspect, s) for s in identities if role_of(s.component) is Role.MODEL)


def _from_its_first_row(case: Case, suspect: Suspect, identity: Suspect) -> bool:
    values, answers = case.variables[suspect.component].numbers, identity.affected & suspect.inside
    if values is None or min(overlap(answers, suspect.affected), overlap(suspect.affected, answers)) < SAME:
        return False
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(values)
    logs[~np.isfinite(logs)] = np.nan

    def rise(inside: Bools, after: Bools) -> float:
        before = logs[inside & case.golden]
        return float(np.nanmean(logs[after]) - np.nanmean(before if before.size else logs[case.golden]))

    there = rise(suspect.inside, answers)
    return 0 < there < UNHEARD and 2 * rise(identity.inside, identity.affected) >= there


def _given_load(case: Case, channel: Channel) -> Channel:
    """A span given how busy its host was: golden's own curve over the load, where it has one, is taken off, and what a day's growth may do.

    It has one where the curve of half its blocks foretells the other half: however much else varies, a little that goes with the load
    is enough to slow a day of twice the requests. Beyond the load that golden has seen nothing is said: growth is not a fault of the
    code that it slows. Nor is it a fault to take as long as ever while fewer predictions come (others may use the same servers): what
    departs, departs from what the load leads to expect and from what is usual at the hour.
    """
    known = case.golden & np.isfinite(channel.values)
    load = case.load
    knots = np.unique(np.quantile(load[known], np.linspace(0, 1, 11))) if known.sum() >= 200 else np.zeros(0)
    if knots.size < 5:
        return channel
    values = _less_curve(case, channel.values, known, knots)
    grown = _grown(case, _hourly_load(case, known)[0][case.weekly_hour])
    return replace(channel, values=_nearer(case, values, values - grown) if grown.any() else values)


def _less_curve(case: Case, values: Floats, known: Bools, knots: Floats) -> Floats:
    """Values less golden's curve over the load; as they are where it has none."""
    load = case.load
    # Linear between the knots, the first and the last among them: a curve of means would be flat where the app is busiest.
    basis = np.stack([np.interp(load, knots, one) for one in np.eye(knots.size)], axis=1)
    rows = np.flatnonzero(known)
    later = held_out(case, rows)
    train, check = rows[~later], rows[later]
    if not train.size or not check.size:
        return values
    half = basis[check] @ np.linalg.lstsq(basis[train], values[train], rcond=1e-6)[0]
    found, plain = values[check], float(values[train].mean())
    if float(((found - half) ** 2).sum()) >= float(((found - plain) ** 2).sum()):
        return values
    heights = np.linalg.lstsq(basis[known], values[known], rcond=1e-6)[0]
    expected, usual = (np.interp(x, knots, heights) for x in (load, _usual_load(case, known)))
    left = _nearer(case, values - expected, values - usual)
    return np.where(load > 1.02 * knots[-1] + 0.02, np.nan, left)


def _hourly_load(case: Case, known: Bools) -> tuple[Floats, Floats, Floats]:
    """Golden's mean, least and greatest load by hour of working days and weekends, each of shape (48,); those of all hours where it lacks one."""
    load, at = case.load[known], case.weekly_hour[known]
    rows = np.bincount(at, minlength=48)
    usual = np.where(rows > 0, np.bincount(at, weights=load, minlength=48) / np.maximum(rows, 1), load.mean())
    least, most = np.full(48, load.min()), np.full(48, load.max())
    for one in np.unique(at):
        least[one], most[one] = load[at == one].min(), load[at == one].max()
    return usual, least, most


def _usual_load(case: Case, known: Bools) -> Floats:
    """Golden's mean load at each row's hour of working days or weekends, shape (n,).

    Where fewer predictions come than golden ever had at that hour, or than are usual that day, its highest: how busy the servers
    are is then unknown.
    """
    hour = case.weekly_hour
    usual, least, most = _hourly_load(case, known)
    fewer = (case.load < least[hour]) | _quiet(case, usual[hour])
    out: Floats = np.where(fewer, most[hour], usual[hour])
    return out


def _quiet(case: Case, usual: Floats) -> Bools:
    """Where clearly fewer predictions came on a day than is usual at its hours, shape (n,)."""
    times, rows, _ = _by_day(case, usual)
    quiet: Bools = times < 1 - _FEWER / np.sqrt(rows)
    return quiet


def _grown(case: Case, usual: Floats) -> Floats:
    """The logarithm of how many times the requests of golden's busiest day came on a row's day, as its hours go, not below 0, shape (n,).

    A call may take as much longer as there is more to do, if a little: what so many are to servers no day of golden tells.
    """
    times, _, day = _by_day(case, usual)
    whole = case.golden & (np.bincount(day[case.golden], minlength=int(day.max()) + 1)[day] >= _OF_A_DAY)
    busiest = float(times[whole].max(initial=1.0))
    out: Floats = np.log(np.clip(times / busiest, 1.0, _A_LITTLE))
    return np.where(case.golden, 0.0, out)


def _by_day(case: Case, usual: Floats) -> tuple[Floats, Ints, Ints]:
    """How many times as many predictions as usual at its hours a row's day had, from how many rows, and which day that is, each of shape (n,)."""
    _, first, index, came = np.unique(case.ts // HOUR_US, return_index=True, return_inverse=True, return_counts=True)
    day = np.unique(case.ts[first] // DAY_US, return_inverse=True)[1]
    expected, found, rows = (
        np.bincount(day, weights=x) for x in (np.exp(usual[first]), np.exp(case.load[first]), came)
    )
    of: Ints = day[index]
    return (found / expected)[of], rows[of], of


def _nearer(case: Case, values: Floats, others: Floats) -> Floats:
    """`values` moved, hour by hour, to whichever of the two means is nearer to 0, and to 0 where they have not one sign."""
    index = np.unique(case.ts // HOUR_US, return_inverse=True)[1]
    judged = np.isfinite(values)
    counts = np.maximum(np.bincount(index[judged], minlength=int(index.max()) + 1), 1)
    one, other = (
        np.bincount(index[judged], weights=v[judged], minlength=counts.size) / counts for v in (values, others)
    )
    agreed = np.where(one * other > 0, np.sign(one) * np.minimum(np.abs(one), np.abs(other)), 0.0)
    return values + (agreed - one)[index]


def failed(case: Case) -> Bools | None:
    """Which requests failed, shape (n,); None where nobody records errors."""
    variable = case.variables.get("error")
    if variable is None or variable.codes is None:
        return None
    empty = [i for i, text in enumerate(variable.vocabulary) if not text.strip()]
    out: Bools = (variable.codes >= 0) & ~np.isin(variable.codes, empty)
    return out


def _errors(case: Case) -> list[Channel]:
    wrong = failed(case)
    if wrong is None or not wrong[case.window].any():
        return []
    return [_channel(case.variables["error"], "errors", wrong, "marginal", floor=0.005)]


def _freshness(case: Case, variable: Variable) -> list[Channel]:
    if variable.numbers is None:
        return []
    golden = variable.numbers[case.golden & ~variable.missing]
    if golden.size < 30:
        return []
    bound = float(np.quantile(golden, 0.999))
    stale = np.where(
        variable.missing, np.nan, variable.numbers > max(1.25 * bound, 1.25, 1.02 * _cadence(case, variable))
    )
    return [
        _channel(variable, "stale", stale, "invariant", floor=0.02, detail={"bound": bound}),
        *_logarithm(case, variable, "older", floor=0.3),
    ]


def _cadence(case: Case, variable: Variable) -> float:
    """The usual time in seconds between two refreshes of a source on golden; 0 where each row has a moment of its own.

    A source that is refreshed on the hour may be an hour old, though golden's rows all came in the first minutes of it.
    """
    assert variable.numbers is not None
    known = case.golden & ~variable.missing
    moments = np.sort(case.ts[known] / 1e6 - variable.numbers[known])
    gaps = np.diff(moments)
    gaps = gaps[gaps > 1.0]
    return float(np.quantile(gaps, 0.9)) if 5 <= gaps.size < 0.3 * moments.size else 0.0


def _counter(case: Case, variable: Variable) -> list[Channel]:
    assert variable.numbers is not None
    golden = variable.numbers[case.golden & ~variable.missing]
    if golden.size < 30:
        return []
    spread = float(np.std(golden)) or max(abs(float(np.median(golden))) * 0.01, 1e-9)
    values = np.clip((variable.numbers - float(np.median(golden))) / spread, -20, 20)
    return [_channel(variable, "counter", values, "marginal", sign=0, floor=0.7, binary=False)]


def _identity(case: Case, variable: Variable) -> list[Channel]:
    if variable.codes is None or variable.path == "hardware.host":
        return []
    size = len(variable.vocabulary)
    golden = np.bincount(variable.codes[case.golden & ~variable.missing], minlength=size)
    window = np.bincount(variable.codes[case.window & ~variable.missing], minlength=size)
    if golden.sum() < 30 or (golden > 0).sum() > 50:
        return []
    # A value that was a sliver in golden (a canary, one stale host) and is a good part of the window is news as well.
    before, after = golden / golden.sum(), window / max(window.sum(), 1)
    new = np.append(((golden == 0) & (window > 0)) | ((before < 0.25 * after) & (after > before + 0.1)), False)
    if not new.any():
        return []
    values = [variable.vocabulary[i] for i in np.argsort(-window) if new[i]][:5]
    old = [variable.vocabulary[i] for i in np.argsort(-golden) if golden[i]][:5]
    flags = np.where(variable.missing, np.nan, new[variable.codes])
    # "Version 8 answers, for version=8" says nothing: whom it reached is asked of who and where.
    own = frozenset({variable.field.role, Role.CODE, Role.INPUT})
    return [_channel(variable, "identity", flags, "identity", detail={"new": values, "old": old}, not_by=own)]


def _recorder(case: Case) -> list[Channel]:
    out = []
    for variable in case.of(Role.RECORDER):
        if variable.numbers is None or variable.path in ("recorder.seq", "recorder.process"):
            continue
        golden = variable.numbers[case.golden & ~variable.missing]
        bound = float(golden.max()) if golden.size else 0.0
        above = np.where(variable.missing, np.nan, variable.numbers > bound)
        out.append(_channel(variable, "counter", above, "invariant", floor=0.01, detail={"bound": bound}))
    gaps = sequence_gaps(case)
    if gaps is not None:
        variable = case.variables["recorder.seq"]
        out.append(_channel(variable, "gaps", gaps, "invariant", floor=0.003, binary=False))
    twice = written_twice(case)
    if twice[case.window].any() and twice[case.golden].mean() < NEVER_TWICE:
        out.append(Channel("recorder.record", "recorder", "twice", "invariant", twice.astype(np.float64), floor=TWICE))
    return out


def written_twice(case: Case) -> Bools:
    """Rows that say what another of the same hour says, in every field, shape (n,): the other is the record, this one its copy.

    What is asked again takes another time; where no times are measured only the same moment is the same.
    """
    moment = case.ts // HOUR_US if any(v.distinct > MAX_VALUES for v in case.of(Role.SPAN)) else case.ts
    times = case.of(Role.SPAN)  # the first of them mostly parts all rows
    fields = (*times, *(v for v in case.variables.values() if v not in times))
    return repeats(case.alike(2 * moment + case.golden, fields))  # a window may be part of golden


def sequence_gaps(case: Case) -> Floats | None:
    """Predictions missing just before each row by its process's own count, NaN for a process's first row.

    None where no sequence is recorded, or where rows were sampled so that gaps mean nothing.
    """
    sequence, process = case.variables.get("recorder.seq"), case.variables.get("recorder.process")
    if sequence is None or sequence.numbers is None:
        return None
    owner = process.codes if process is not None and process.codes is not None else np.zeros(len(case.ts), np.int64)
    order = np.lexsort((sequence.numbers, owner))
    step = np.diff(sequence.numbers[order])
    same = (np.diff(owner[order]) == 0) & (np.diff(case.golden[order].astype(int)) == 0)
    gaps = np.full(len(case.ts), np.nan)
    gaps[order[1:]] = np.where(same, np.clip(step - 1, 0, 5), np.nan)
    return gaps if np.nanmedian(gaps[case.golden]) == 0 else None
