"""Rows that were never written: nothing in a row tells of them, what came beside them does.

In: a `Case`. Out: at most one `Suspect`, with its slice. Where each key (a zone, a meter) brings a row at every tick, a tick without one is seen.
A source that stops, a new one, an app that is down and a slower rhythm miss ticks as well, each in a way of its own. Rows that are lost by what
was decided see `withheld`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from whimbrel.diagnose import matrices
from whimbrel.diagnose.case import DAY_US, HOUR_US, Case, Dimension
from whimbrel.diagnose.gather import marks
from whimbrel.diagnose.scan import Channel, Hit
from whimbrel.diagnose.suspects import Proof, Suspect
from whimbrel.diagnose.words import percent
from whimbrel.model.fields import Role
from whimbrel.model.rows import Bools, Floats, Ints
from whimbrel.model.window import Condition, Where
from whimbrel.stats.onset import value_onset

COMPONENT = "recorder.rows"
EVIDENCE = 6.0
"""Standard errors by which rows must be fewer, day-to-day noise allowed for."""

DUE = 0.9
"""The share of golden's days on which a key had a row at a tick for one to be due there, and of golden's rows that must have been due."""
GAPS = 0.03
"""The share of due ticks that golden may lack, of a key and on the whole."""
LEAST_DAYS, LEAST_KEYS, LEAST_GAPS = 5, 3, 20
"""Golden's days that tell when a row is due; keys that must bring rows, and lack some; moments at which gaps begin that are no chance."""
CELLS = 4_000_000
"""Pairs of key and tick that are laid out."""
LONG = 24
"""Ticks in a row from which on a key was silent, rather than that its rows were lost."""
RHYTHM = 0.4
"""The share of a key's gaps followed by one as long from which on they are a rhythm; of rows lost by chance it is a sixth at most."""
LEAST_LOST, WORSE = 0.01, 3.0
"""The share of due rows that must be missing, and times golden's worst day that it must be."""
HOLDS, REST = 0.75, 0.25
"""The share of what is missing that a slice must lack, and the part of its loss that all others may have lost or gained at most."""
SHOWN = 30.0
"""Due rows of a slice that tell how many are missing at a time."""
_STEPS = 20
"""Steps of Newton's method, most of which are never needed."""


@dataclass(frozen=True, eq=False)
class _Panel:
    """Golden's or the window's pairs of key and tick, shape (keys, ticks)."""

    due: Bools
    came: Bools
    times: Ints
    """When each is due (µs)."""
    rows: Ints
    """A row of each pair that came, shape (pairs,), with its key and tick."""
    key: Ints
    tick: Ints

    @property
    def missing(self) -> Bools:
        """Due, and not there."""
        out: Bools = self.due & ~self.came
        return out

    def gaps(self) -> Bools:
        """Ticks at which a gap of some key begins, shape (ticks,)."""
        begins = self.missing.copy()
        begins[:, 1:] &= ~self.missing[:, :-1]
        out: Bools = np.any(begins, axis=0)
        return out


def suspects(case: Case) -> list[Suspect]:
    """Rows that are missing at ticks."""
    found = _panels(case)
    if found is None:
        return []
    golden, window = (_accidental(one) for one in found)
    if window.gaps().sum() < LEAST_GAPS:
        return []
    since, from_start = _tick_onset(case, golden, window)
    window = replace(window, due=window.due & (window.times >= since))
    lost, usual = int(window.missing.sum()), float(golden.missing.sum() / golden.due.sum())
    share = lost / max(int(window.due.sum()), 1)
    if window.missing.any(axis=1).sum() < LEAST_KEYS or share < max(LEAST_LOST, WORSE * _worst_day(golden)):
        return []
    gaps, ticks = int(window.gaps().sum()), int(window.due.any(axis=0).sum())
    usually = float(golden.gaps().sum() + 1) / float(golden.due.any(axis=0).sum()) * ticks
    score = float(root(np.array(gaps), np.array(usually)))
    if gaps < max(LEAST_GAPS, usually) or score < EVIDENCE:
        return []
    where, inside, share = _lacking(case, golden, window)
    values = _shares(case, found, inside)
    note = (
        f"rows are missing: {percent(share)} of those that are due at every tick never came, {percent(usual)} in golden"
    )
    return [suspect_of(case, values, where, inside, since, from_start, (usual, share), score, note)]


def _panels(case: Case) -> tuple[_Panel, _Panel] | None:
    """Golden's pairs and the window's, where nearly all of golden's rows were due; else None."""
    series = case.series
    if series is None:
        return None
    key, keys = series.key, int(series.key.max()) + 1
    step = _step(case, key, series.every)
    per_day = round(DAY_US / step)
    daily = per_day >= 1 and abs(per_day * step / DAY_US - 1) < 0.01 / per_day
    step = DAY_US / per_day if daily else step
    if keys < LEAST_KEYS or keys * float(np.ptp(case.ts)) / step > CELLS:
        return None
    phase = _phases(case, key, step, keys)
    tick = np.round((case.ts - phase[key]) / step).astype(np.int64)
    first = int(tick.min())
    tick, phase = tick - first, phase + first * step
    for slots in (per_day, 7 * per_day) if daily else (1,):
        due = _due(case, key, tick, slots, keys)
        golden, window = (
            _laid_out(due, key, tick, np.flatnonzero(side), phase, step) for side in (case.golden, case.window)
        )
        rows = int(case.golden.sum())
        if np.sum(golden.due & golden.came) >= DUE * rows and golden.missing.sum() <= GAPS * golden.due.sum():
            return golden, window
    return None


def _step(case: Case, key: Ints, every: int) -> float:
    """Microseconds from tick to tick, more exactly: over all gaps of golden's."""
    order = np.lexsort((case.ts, key))
    order = order[case.golden[order]]
    gaps = np.diff(case.ts[order])[np.diff(key[order]) == 0]
    times = np.round(gaps / every)
    near = (times > 0) & (times < 100) & (np.abs(gaps / every - times) < 0.25)
    return float(gaps[near].sum() / max(times[near].sum(), 1.0)) or float(every)


def _phases(case: Case, key: Ints, step: float, keys: int) -> Floats:
    """When in a step each key's rows come, as circular means over golden, all within half a step of each other's mean; shape (keys,)."""
    turn = np.exp(2j * np.pi * (case.ts[case.golden] % step) / step)
    whose = key[case.golden]
    means = np.bincount(whose, turn.real, keys) + 1j * np.bincount(whose, turn.imag, keys)
    common = np.angle(turn.sum())
    out: Floats = (common + np.angle(means * np.exp(-1j * common))) / (2 * np.pi) * step
    return out


def _due(case: Case, key: Ints, tick: Ints, slots: int, keys: int) -> Bools:
    """At which ticks of a day or a week golden nearly always had a row of a key, from its first to its last, shape (keys, slots).

    A key that golden often lacks, or that ended before golden did, has none.
    """
    rows = case.golden
    pairs = np.unique(key[rows] * (int(tick.max()) + 1) + tick[rows])
    whose, when = np.divmod(pairs, int(tick.max()) + 1)
    first, last = np.full(keys, np.iinfo(np.int64).max), np.full(keys, -1)
    np.minimum.at(first, whose, when)
    np.maximum.at(last, whose, when)
    slot = np.arange(slots)
    # So many ticks of each slot lie between the first and the last.
    asked = (last[:, None] - slot) // slots - (first[:, None] - 1 - slot) // slots
    came = np.bincount(whose * slots + when % slots, minlength=keys * slots).reshape(keys, slots)
    seen = last >= 0
    asked = np.where(seen[:, None], asked, 0)
    least = LEAST_DAYS if slots > 1 else LEAST_DAYS * LEAST_GAPS
    due: Bools = (asked >= min(least, max(int(asked.max()), 3))) & (came >= DUE * asked)
    lacks = np.where(due, asked - came, 0).sum(axis=1) > GAPS * np.where(due, asked, 0).sum(axis=1)
    ended = last < int(when.max()) - max(slots, LONG)
    out: Bools = due & ~(lacks | ended)[:, None]
    return out


def _laid_out(due: Bools, key: Ints, tick: Ints, rows: Ints, phase: Floats, step: float) -> _Panel:
    """The pairs of these rows."""
    first, ticks = int(tick[rows].min()), int(np.ptp(tick[rows])) + 1
    keys, slots = due.shape
    flat, index = np.unique(key[rows] * ticks + tick[rows] - first, return_index=True)
    came = np.zeros(keys * ticks, dtype=bool)
    came[flat] = True
    at = np.arange(first, first + ticks)
    whole = due[:, at % slots]
    whole[:, [0, -1]] = False  # these may have been cut through
    times = (phase[:, None] + at * step).astype(np.int64)
    return _Panel(whole, came.reshape(keys, ticks), times, rows[index], flat // ticks, flat % ticks)


def _accidental(panel: _Panel) -> _Panel:
    """The pairs without those that are missing for a reason.

    That is before the first row of a key and after its last, where all keys were silent, where one was silent for long, and where every
    so many ticks brought one.
    """
    came, due = panel.came, panel.due.copy()
    due &= np.maximum.accumulate(came, axis=1) & np.maximum.accumulate(came[:, ::-1], axis=1)[:, ::-1]
    due &= came.any(axis=0)
    pairs = np.flatnonzero(due)
    there = np.flatnonzero(came.ravel()[pairs])
    if there.size < 2:
        return replace(panel, due=due)
    length, whose = np.diff(there), pairs[there[:-1]] // came.shape[1]
    gap = length > 1
    again = np.zeros_like(gap)
    again[:-1] = gap[:-1] & (length[1:] == length[:-1]) & (whose[1:] == whose[:-1])
    keys = came.shape[0]
    rhythm = np.bincount(whose[again], minlength=keys) > RHYTHM * np.bincount(whose[gap], minlength=keys)
    meant = gap & ((length > LONG) | rhythm[whose])
    inside = np.zeros(pairs.size + 1, dtype=np.int64)
    np.add.at(inside, there[:-1][meant] + 1, 1)
    np.add.at(inside, there[1:][meant], -1)
    due.ravel()[pairs[np.cumsum(inside[:-1]) > 0]] = False
    return replace(panel, due=due)


def _worst_day(golden: _Panel) -> float:
    """The share of due rows that were missing on golden's worst day."""
    days = (golden.times // DAY_US)[golden.due]
    days -= days.min()
    due = np.bincount(days)
    missing = np.bincount(days, golden.missing[golden.due])
    return float((missing / np.maximum(due, 1))[due >= 0.2 * due.max()].max())


def _tick_onset(case: Case, golden: _Panel, window: _Panel) -> tuple[int, bool]:
    """When rows began to be missing (µs), and whether they were from the start."""
    known = golden.missing[golden.due].astype(np.float64)
    everywhere = np.ones(case.ts.size, dtype=bool)  # whose they were is not known yet
    return began(case, everywhere, window.missing[window.due].astype(np.float64), known, window.times[window.due])


def _lacking(case: Case, golden: _Panel, window: _Panel) -> tuple[Where, Bools, float]:
    """Whose rows are missing: the slice, its rows, and the share that it lacks. Nobody knows who a row that never came would have been of.

    Golden's shares say how many of a key's rows are a host's; one that lacks as many as are missing, while no other does, lost them.
    """
    rows = window.rows[(window.due & window.came)[window.key, window.tick]]
    due = window.due.sum(axis=1).astype(np.float64)
    lost = float(window.missing.sum())
    best: tuple[float, Where, Bools, float] = (0.0, (), np.ones(case.ts.size, dtype=bool), lost / float(due.sum()))
    for dimension in cutting(case):
        expected = due @ _shares_of(golden, dimension.codes, len(dimension.values))
        lacks = expected - np.bincount(dimension.codes[rows] + 1, minlength=len(dimension.values) + 1)[1:]
        part = lacks / np.maximum(expected, 1e-9)
        rest = (lost - lacks) / np.maximum(due.sum() - expected, 1e-9)
        holds = (lacks >= HOLDS * lost) & (np.abs(rest) <= REST * part) & (expected < DUE * due.sum())
        gains = np.where(holds, lacks * part, 0.0)
        code = int(gains.argmax())
        if gains[code] > 1.02 * best[0]:
            where = (Condition(dimension.path, dimension.values[code]),)
            best = float(gains[code]), where, dimension.codes == code, float(part[code])
    return best[1:]


def _shares_of(golden: _Panel, codes: Ints, size: int) -> Floats:
    """The share of each key's rows that each value had in golden, shape (keys, size)."""
    keys = golden.due.shape[0]
    counts = np.bincount(golden.key * (size + 1) + codes[golden.rows] + 1, minlength=keys * (size + 1))
    counts = counts.reshape(keys, size + 1)
    out: Floats = counts[:, 1:] / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return out


def _shares(case: Case, panels: Sequence[_Panel], inside: Bools) -> Floats:
    """The share of due rows that are missing at each row's time, within the slice and without, shape (n,)."""
    out = np.full(case.ts.size, np.nan)
    golden = panels[0]
    for there in (inside, ~inside):
        part = _shares_of(golden, np.where(there, 0, -1), 1)[:, 0]
        for panel in panels:
            mine = there[panel.rows]
            counted = mine & panel.due[panel.key, panel.tick]
            expected = part @ panel.due
            came = np.bincount(panel.tick[counted], minlength=expected.size)
            times = (np.cumsum(expected) / SHOWN).astype(np.int64)
            lacks = 1 - np.bincount(times, came) / np.maximum(np.bincount(times, expected), 1e-9)
            out[panel.rows[mine]] = np.clip(lacks, -1.0, 1.0)[times[panel.tick[mine]]]
    return out


# ---------------------------------------------------------------- what a suspect is made of


def began(case: Case, inside: Bools, values: Floats, known: Floats, times: Ints) -> tuple[int, bool]:
    """From when on values of a slice are higher than those that are known to lie before (µs), and whether from the first on."""
    order = np.argsort(times, kind="stable")
    values, times = values[order], times[order]
    events = marks(case, inside, times)
    found = value_onset(values, known, times / HOUR_US, events[events < times.size])
    at = found.at if found is not None else 0
    return int(times[at]), at == 0


def cutting(case: Case) -> list[Dimension]:
    """The dimensions whose values may be the slice: what code ran says nothing of whom it hit."""
    return [d for d in case.dimensions if matrices.role(d) is not Role.CODE and len(d.values) > 1]


def root(seen: Floats | Ints, expected: Floats, doubt: Floats | float = 0.0) -> Floats:
    """Standard errors by which a count lies from what is expected, whose logarithm has a variance of its own.

    The root of twice the log likelihood ratio: a Poisson count's, at the expectation that fits best what is seen and what is believed.
    """
    seen, doubt = np.asarray(seen, np.float64), np.maximum(doubt, 1e-9)
    log = np.log(np.maximum(expected, 1e-9))
    moved = np.zeros_like(log)
    for _ in range(_STEPS):  # Newton's; the function is convex
        rate = np.exp(log + moved)
        moved = moved - np.clip((rate - seen + moved / doubt) / (rate + 1 / doubt), -0.5, 0.5)
    rate = np.exp(log + moved)
    away = 2 * (seen * (np.log(np.maximum(seen, 1e-9)) - log - moved) - seen + rate) + moved**2 / doubt
    out: Floats = np.sqrt(np.maximum(away, 0.0))
    return out


def suspect_of(
    case: Case, values: Floats, where: Where, inside: Bools, since: int, from_start: bool, level: tuple[float, float], score: float,
    note: str,
) -> Suspect:  # fmt: skip
    """The suspect of rows whose lack these values show."""
    before, after = level
    channel = Channel(COMPONENT, "recorder", "unwritten", "invariant", values, binary=False)
    affected = inside & case.window & (case.ts >= since)
    shift = after - before
    hit = Hit(channel, where, score, EVIDENCE, shift, before, after, int(affected.sum()), values - before, inside)
    return Suspect(
        component=COMPONENT, layer="recorder", hit=hit, hits=(hit,), proof=Proof.HARD, where=where, inside=inside, affected=affected,
        since_us=since, from_start=from_start, shift=shift, before=before, after=after, note=note,
    )  # fmt: skip
