"""Replayed columns beside recorded ones: which fields differ by more than noise, in which rows, in what way.

In: records of a window and of golden, and what the code made of them, as columns. Out: `StepParity`s in the order in which the code
ran. Tolerance is what golden's own replay differs by; what does not even agree with itself is not replayable.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.model.parity import Difference, Standing, StepParity
from whimbrel.model.records import Records
from whimbrel.model.rows import Bools, Floats
from whimbrel.model.window import Condition, Where
from whimbrel.replay.noise import FLOOR, weighed
from whimbrel.replay.played import Answers
from whimbrel.replay.record import gaps, same
from whimbrel.replay.shapes import shape

NOISE = 1e-4
"""Relative differences up to here, in golden, are those of other sums and other float types; past it golden differs."""

_UNKNOWN = 1e-6
"""The tolerance where there is no golden to measure it on: that of single precision."""
_EXAMPLES = 3
_GROUPS = {"outputs": "outputs", "decision": "decision", "decisions": "decision"}
_WHOM = (("context.", "hardware."), ("model.", "code.", "recorder.process"))
"""What a difference may be confined to, what says it best first; of two that say as much, the earlier."""
_CHANCE = 1e-4
"""A condition that all rows that differ meet is named where they would do so by chance more seldom than this."""

_BLURRED = 1e-3
"""Decisions that may flip for noise in their score: one, and at most this share of them."""


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One window's records, what the code made of them, and of some of them `once` and `twice`, in another order."""

    records: Records
    answers: Answers
    once: Answers
    twice: Answers

    @property
    def pair(self) -> tuple[Records, Records]:
        """What was recorded, and what the code made."""
        return self.records, self.answers.out


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    """A step's fields over one side's rows, shape (n, fields): where there is something to compare, and the gap as noise sees it.

    `floor`, shape (fields,), is the tolerance below which none is measured.
    """

    there: Bools
    gap: Floats
    floor: Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Column:
    """One field over the window's rows, shape (n,): both values, where there are any, and those that differ."""

    recorded: list[Any]
    replayed: list[Any]
    there: Bools
    wrong: Bools


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Rows in which a step differs at all (`touched`), and those in which it does by more than noise, shape (n,)."""

    touched: Bools
    differing: Bools


def judge(window: Side, golden: Side) -> list[StepParity]:
    """How each step stands, in the order in which the code ran."""
    out: list[StepParity] = []
    outputs: _Rows | None = None
    steps = _steps(window)
    identical = _identical([path for paths in steps.values() for path in paths], window, golden)
    for name, all_paths in steps.items():
        unmade = _unmade(all_paths, window, golden)
        paths = [path for path in all_paths if path not in unmade] or all_paths
        if identical.issuperset(paths):
            out.append(replace(_equal(name, window, golden), unmade=unmade))
            continue
        found, rows = _judge_step(name, paths, window, golden, outputs if name == "decision" else None)
        out.append(replace(found, unmade=unmade))
        if name == "outputs":
            outputs = rows
    return _with_failures(out, window, golden)


def _steps(side: Side) -> dict[str, list[str]]:
    """Each step's fields: those that the code made, then those that were recorded and the code never made.

    What was read is no step. Outputs and decision come last.
    """
    listed = side.records.others.get("recorder.reads", ())
    reads = {f"steps.{name}" for names in listed for name in names or ()}
    known = dict.fromkeys([*side.answers.out.present(), *side.records.present()])
    steps: dict[str, list[str]] = {}
    for path in known:
        steps.setdefault(step_of(path), []).append(path)
    order = [*(s for s in steps if s.startswith("steps.") and s not in reads), "outputs", "decision"]
    return {name: steps[name] for name in order if name in steps}


def step_of(path: str) -> str:
    """The step that a field belongs to: `steps.<step>`, `outputs` or `decision`; empty where it is none's."""
    head, _, rest = path.partition(".")
    return f"steps.{rest.partition('.')[0]}" if head == "steps" else _GROUPS.get(head, "")


def _unmade(paths: Sequence[str], window: Side, golden: Side) -> tuple[str, ...]:
    """Fields that golden's records hold and that the code never makes, of window or golden."""
    made = np.any(window.answers.out.held(paths), axis=0) | np.any(golden.answers.out.held(paths), axis=0)
    held = np.any(golden.records.held(paths), axis=0)
    return tuple(compress(paths, held & ~made))


def _judge_step(
    name: str, paths: Sequence[str], window: Side, golden: Side, before: _Rows | None
) -> tuple[StepParity, _Rows]:
    layer = _layer(name)
    nowhere = np.zeros(len(window.records), dtype=bool)
    none = _Rows(nowhere, nowhere)
    held, made = (bool(one.held(paths).any()) for one in window.pair)
    if not held or not made:
        says = "the code makes it, the record does not hold it" if made else "recorded, and the code does not make it"
        return StepParity(name, layer, "not recorded" if made else "not run", says=says), none
    unkept = any(name == f"steps.{step}" for answer in window.answers.odd.values() for step in answer.unkept)
    if _unstable(paths, window):
        says = "it differs from itself when it is run twice on the same inputs: hidden state, a clock, or randomness"
        return StepParity(name, layer, "not replayable", len(window.records), says=says), none
    compared, beside = _compared(paths, window), _compared(paths, golden)
    tolerances = _tolerance(beside, compared.floor)
    differs = compared.there & (compared.gap > 0)
    wrong = differs & (compared.gap > tolerances)
    if before is not None:
        wrong &= ~before.differing[:, None]
        blurred = wrong & before.touched[:, None]
        wrong &= ~(blurred & (blurred.sum(axis=0) <= 1 + _BLURRED * compared.there.sum(axis=0)))
    always = beside.there & (beside.gap > tolerances)
    columns: dict[str, _Column] = {}
    found: list[Difference] = []
    for j in np.flatnonzero(wrong.any(axis=0)).tolist():
        recorded, replayed = (one.values(paths[j]) for one in window.pair)
        column = columns[paths[j]] = _Column(recorded, replayed, compared.there[:, j], wrong[:, j])
        in_golden = int(beside.there[:, j].sum()), int(always[:, j].sum())
        found.append(_difference(paths[j], column, in_golden, window.records))
    differences = _swapped(found, columns)
    standing: Standing = "different" if differences else "within tolerance" if differs.any() else "equal"
    says = "its recorded value could not be handed on" if unkept and differences else ""
    ranked = tuple(sorted(differences, key=lambda d: -d.differ))
    rows = _Rows(np.any(differs, axis=1), np.any(wrong, axis=1))
    most = int(compared.there.sum(axis=0).max())
    return StepParity(
        name, layer, standing, most, int(rows.differing.sum()), ranked, says, float(tolerances.max())
    ), rows  # fmt: skip


def _identical(paths: Sequence[str], window: Side, golden: Side) -> set[str]:
    """Fields of numbers, none of them nan or null, in which nothing differs at all: there is nothing to judge."""
    pairs = (window.pair, golden.pair, (window.once.out, window.twice.out))
    same = [(a.matrix(paths) == b.matrix(paths)).all(axis=0) for a, b in pairs]
    return set(compress(paths, np.logical_and.reduce(same)))


def _equal(name: str, window: Side, golden: Side) -> StepParity:
    tolerance = FLOOR if len(golden.records) else _UNKNOWN
    return StepParity(name, _layer(name), "equal", len(window.records), tolerance=tolerance)


def _layer(name: str) -> str:
    return {"outputs": "model", "decision": "decision"}.get(name, "features")


def _compared(paths: Sequence[str], side: Side) -> _Compared:
    """Where nothing of the step is held on one side, a null there says nothing."""
    r, c = (one.held(paths) for one in side.pair)
    there = (r | c) & (r | r.any(axis=1, keepdims=True)) & (c | c.any(axis=1, keepdims=True))
    gap, floor = gaps(*side.pair, paths), np.full(len(paths), FLOOR)
    for j in np.flatnonzero(np.any(gap > 0, axis=0)).tolist():
        gap[:, j], floor[j] = weighed(*side.pair, paths[j], gap[:, j])
    return _Compared(there, gap, floor)


def _tolerance(golden: _Compared, floor: Floats) -> Floats:
    """What passes for noise in each field, shape (fields,)."""
    noise = np.where(golden.there & (golden.gap <= NOISE), golden.gap, 0).max(axis=0, initial=0)
    return np.maximum(floor, np.where(golden.there.any(axis=0), 4 * noise, _UNKNOWN))


def _unstable(paths: Sequence[str], side: Side) -> bool:
    ended = [
        i
        for i in range(len(side.once))
        if not any(i in one.odd and one.odd[i].failed for one in (side.once, side.twice))
    ]
    return bool(np.any(gaps(side.once.out, side.twice.out, paths)[ended] > NOISE))


def _difference(path: str, column: _Column, golden: tuple[int, int], records: Records) -> Difference:
    rows = np.flatnonzero(column.wrong)
    ids = records.values("id")
    return Difference(
        path, int(column.there.sum()), len(rows),
        shape([column.recorded[i] for i in rows], [column.replayed[i] for i in rows], column.replayed, rows.tolist()),
        _whom(column.wrong, column.there, records), *golden, _first(records, rows),
        tuple(
            {"id": ids[i], "recorded": column.recorded[i], "replayed": column.replayed[i]} for i in rows[:_EXAMPLES]
        ),
    )  # fmt: skip


def _first(records: Records, rows: NDArray[np.intp]) -> int | None:
    times = records.matrix(["ts"])[rows, 0]
    return int(np.nanmin(times)) if np.isfinite(times).any() else None


def _whom(wrong: Bools, there: Bools, records: Records) -> Where:
    """The one or two conditions that hold for the rows that differ, and that so many rows would not all meet by chance.

    Only rows since the first that differs count. Who asked and where it ran come before which version answered.
    """
    n = int(wrong.sum())
    ts = records.matrix(["ts"])[:, 0]
    since = there & ~(ts < ts[wrong].min())
    if n < 3 or n >= 0.98 * since.sum():
        return ()
    known = sorted(records.present())
    for groups in _WHOM:
        paths = [path for group in groups for path in known if path.startswith(group)]
        found = [(path, *hit) for path in paths if (hit := _commonest(records.objects(path), wrong, n)) is not None]
        first = _narrower(found, since, n)
        if first is None:
            continue
        second = _narrower([one for one in found if one[0] != first[0]], since & first[2], n)
        return tuple(Condition(path, value) for path, value, _ in ((first,) if second is None else (first, second)))
    return ()


def _commonest(values: NDArray[Any], wrong: Bools, n: int) -> tuple[str, Bools] | None:
    """The value that nearly all rows that differ have, and who else has it, shape (rows,)."""
    ((value, hit),) = Counter(map(str, values[wrong])).most_common(1)
    if value == "None" or hit < 0.98 * n:
        return None
    return value, np.array([str(v) == value for v in values], dtype=bool)


def _narrower(found: Sequence[tuple[str, str, Bools]], rows: Bools, n: int) -> tuple[str, str, Bools] | None:
    """The condition that the fewest of these rows meet, where n of them would not all do so by chance."""
    counts = [int((inside & rows).sum()) for _, _, inside in found]
    if not counts or n * math.log(max(min(counts), 1) / int(rows.sum())) > math.log(_CHANCE):
        return None
    return found[counts.index(min(counts))]


def _swapped(differences: list[Difference], columns: Mapping[str, _Column]) -> list[Difference]:
    """Two fields of a step, each of which holds the other's values."""
    out = list(differences)
    for i, a in enumerate(out):
        for j, b in enumerate(out[:i]):
            first, second = columns[a.path], columns[b.path]
            rows = np.flatnonzero(first.there & second.there & (first.wrong | second.wrong))
            if _holds(first.recorded, second.replayed, rows) and _holds(second.recorded, first.replayed, rows):
                gone = next((one for one in (first, second) if all(v is None for v in one.recorded)), None)
                if gone is not None:
                    old, new = (a, b) if gone is first else (b, a)
                    out[i] = replace(a, shape=f"under another name: {new.path}" if a is old else f"for {old.path}")
                    out[j] = replace(b, shape=f"under another name: {new.path}" if b is old else f"for {old.path}")
                    continue
                out[i] = replace(a, shape=f"swapped with {b.path}")
                out[j] = replace(b, shape=f"swapped with {a.path}")
    return out


def _holds(recorded: Sequence[Any], replayed: Sequence[Any], rows: NDArray[np.intp]) -> bool:
    """Whether one column holds the other's values in nearly all of these rows; of most pairs the first few say that it does not."""
    return bool(len(rows)) and all(
        np.mean([same(recorded[k], replayed[k]) for k in some]) > share
        for some, share in ((rows[:20], 0.5), (rows, 0.95))
    )


def _with_failures(steps: list[StepParity], side: Side, golden: Side) -> list[StepParity]:
    """Steps in which the code raised or its process died; outputs where it does not say in which step."""
    failures: dict[str, list[int]] = {}
    for i, answer in side.answers.odd.items():
        if answer.failed:
            failures.setdefault(f"steps.{answer.failed_in}" if answer.failed_in else "outputs", []).append(i)
    out = list(steps)
    before = sum(bool(answer.failed) for answer in golden.answers.odd.values()) / max(len(golden.answers), 1)
    ended_badly = side.records.held(["error"])[:, 0]
    for name, rows in failures.items():
        says = side.answers.odd[rows[0]].failed
        at = next((i for i, step in enumerate(out) if step.name == name), None)
        if at is None and name == "steps.model":
            name, at = "outputs", next((i for i, step in enumerate(out) if step.name == "outputs"), None)
        own = [i for i in rows if not ended_badly[i]]
        if not own:
            continue  # it failed in production as well
        failed = StepParity(
            name, _layer(name), "failed", len(side.records), len(own),
            says=f"{says} (of {len(side.records)} predictions, {len(own)})",
            golden_failed=before,
        )  # fmt: skip
        if at is None:
            out.append(failed)
        else:
            out[at] = replace(failed, differences=out[at].differences)
    return out
