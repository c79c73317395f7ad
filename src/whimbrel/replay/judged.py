"""Replayed columns beside recorded ones: which fields differ by more than noise, in which rows, in what way.

In: flat records of a window and of golden, and what the code made of them. Out: `StepParity`s in the order in which the code
ran. Tolerance is what golden's own replay differs by; what does not even agree with itself is not replayable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from whimbrel.model.parity import Difference, Standing, StepParity
from whimbrel.model.rows import Bools, Floats
from whimbrel.model.window import Condition, Where
from whimbrel.replay.pipelines import Played
from whimbrel.replay.record import Record, gap, same
from whimbrel.replay.shapes import shape

NOISE = 1e-4
"""Relative differences up to here, in golden, are those of other sums and other float types; past it golden differs."""

_FLOOR = 2**-22
"""Two units in the last place of single precision: a model does not see less, whoever rounded."""
_UNKNOWN = 1e-6
"""The tolerance where there is no golden to measure it on: that of single precision."""
_SINGLE = 1e-5
"""What arithmetic in single precision leaves, where the values of one side are all of single precision."""
_EXAMPLES = 3
_WHOM = ("context.", "hardware.", "model.", "code.", "recorder.process")
"""What a difference may be confined to; of two that say as much, the earlier."""

_BLURRED = 1e-3
"""Decisions that may flip for noise in their score: one, and at most this share of them."""


@dataclass(frozen=True, slots=True)
class Side:
    """One window's records, what the code made of them, and of some of them a second time, in another order."""

    records: Sequence[Record]
    answers: Sequence[Played]
    again: Mapping[int, Played]


@dataclass(frozen=True, slots=True, eq=False)
class _Column:
    """One field over one side's rows, shape (n,): both values, the relative gap (inf where they are no numbers).

    A gap is relative to the value, or to the code's median magnitude where that is greater: what a subtraction leaves of two large
    numbers is small, and its rounding is theirs. `floor` is the tolerance below which none is measured: none at all of whole numbers,
    more where one side holds nothing finer than single precision.
    """

    recorded: list[Any]
    replayed: list[Any]
    there: Bools
    gap: Floats
    floor: float


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Rows in which a step differs at all (`touched`), and those in which it does by more than noise, shape (n,)."""

    touched: Bools
    differing: Bools


def judge(window: Side, golden: Side) -> list[StepParity]:
    """How each step stands, in the order in which the code ran."""
    steps: dict[str, list[str]] = {}
    for path in _paths(window):
        steps.setdefault(step_of(path), []).append(path)
    order = [*(s for s in steps if s.startswith("steps.")), *(s for s in ("outputs", "decision") if s in steps)]
    out: list[StepParity] = []
    outputs: _Rows | None = None
    for name in order:
        found, rows = _judge_step(name, steps[name], window, golden, outputs if name == "decision" else None)
        out.append(found)
        if name == "outputs":
            outputs = rows
    return _with_failures(out, window, golden)


def _paths(side: Side) -> list[str]:
    """All fields that the code made, then those that were recorded and the code never made; what was read is no step."""
    reads = {f"steps.{name}" for record in side.records for name in record.get("recorder.reads", ())}
    known: dict[str, None] = {}
    for answer in side.answers:
        for path in answer.out:
            known.setdefault(path)
    for record in side.records:
        for path in record:
            known.setdefault(path)
    return [path for path in known if step_of(path) and step_of(path) not in reads]


def step_of(path: str) -> str:
    """The step that a field belongs to: `steps.<step>`, `outputs` or `decision`; empty where it is none's."""
    head, _, rest = path.partition(".")
    if head == "steps":
        return f"steps.{rest.partition('.')[0]}"
    return {"outputs": "outputs", "decision": "decision", "decisions": "decision"}.get(head, "")


def _judge_step(
    name: str, paths: Sequence[str], window: Side, golden: Side, before: _Rows | None
) -> tuple[StepParity, _Rows]:
    layer = {"outputs": "model", "decision": "decision"}.get(name, "features")
    touched = np.zeros(len(window.records), dtype=bool)
    differing = touched.copy()
    none = _Rows(touched, differing)
    recorded = any(path in record for record in window.records for path in paths)
    replayed = any(path in answer.out for answer in window.answers for path in paths)
    if not recorded or not replayed:
        says = (
            "the code makes it, the record does not hold it" if replayed else "recorded, and the code does not make it"
        )
        return StepParity(name, layer, "not recorded" if replayed else "not run", says=says), none
    unkept = any(name == f"steps.{step}" for answer in window.answers for step in answer.unkept)
    if any(_unstable(path, window) for path in paths):
        says = "it differs from itself when it is run twice on the same inputs: hidden state, a clock, or randomness"
        return StepParity(name, layer, "not replayable", len(window.records), says=says), none
    differences, compared, most, noisy = [], 0, 0.0, False
    columns = {path: _column(path, window) for path in paths}
    for path, column in columns.items():
        beside = _column(path, golden)
        tolerance = _tolerance(beside, column)
        most = max(most, tolerance)
        compared = max(compared, int(column.there.sum()))
        touched |= column.there & (column.gap > 0)
        noisy |= bool(np.any(column.gap[column.there] > 0))
        wrong = column.there & (column.gap > tolerance)
        if before is not None:
            wrong &= ~before.differing
            blurred = wrong & before.touched
            if blurred.sum() <= 1 + _BLURRED * column.there.sum():
                wrong &= ~blurred
        if not wrong.any():
            continue
        differing |= wrong
        differences.append(_difference(path, column, wrong, beside, tolerance, window))
    differences = _swapped(differences, columns)
    standing: Standing = "different" if differences else "within tolerance" if noisy else "equal"
    says = "its recorded value could not be handed on" if unkept and differences else ""
    ranked = tuple(sorted(differences, key=lambda d: -d.differ))
    return StepParity(name, layer, standing, compared, int(differing.sum()), ranked, says, most), _Rows(
        touched, differing
    )


def _column(path: str, side: Side) -> _Column:
    recorded = [record.get(path) for record in side.records]
    replayed = [answer.out.get(path) for answer in side.answers]
    step = step_of(path)
    there = np.array(
        [
            (r is not None or c is not None) and (r is not None or _ran(record, step))
            and (c is not None or _ran(answer.out, step))
            for record, answer, r, c in zip(side.records, side.answers, recorded, replayed, strict=True)
        ], dtype=bool,
    )  # fmt: skip
    ours, theirs = _finite(replayed), _finite(recorded)
    scale = float(np.median(np.abs(ours))) if ours.size else 0.0
    apart = np.array([gap(r, c, scale) for r, c in zip(recorded, replayed, strict=True)])
    return _Column(recorded, replayed, there, apart, _floor(ours, theirs))


def _floor(ours: Floats, theirs: Floats) -> float:
    if not np.any(np.mod(ours, 1)) and not np.any(np.mod(theirs, 1)):
        return 0.0
    return _SINGLE if _single(ours) or _single(theirs) else _FLOOR


def _finite(values: Sequence[Any]) -> Floats:
    """The finite numbers among values and items of lists, shape (m,)."""
    items = (x for v in values for x in (v if isinstance(v, list) else (v,)))
    found = np.array([x for x in items if isinstance(x, int | float) and not isinstance(x, bool)], dtype=float)
    finite: Floats = found[np.isfinite(found)]
    return finite


def _single(values: Floats) -> bool:
    """Whether all values are of single precision, and not for being whole."""
    with np.errstate(over="ignore"):
        fits = np.array_equal(values, values.astype(np.float32).astype(float))
    return fits and bool(np.any(np.mod(values, 1)))


def _ran(record: Record, step: str) -> bool:
    """Whether a record holds anything of a step: else a null there says nothing."""
    heads = (f"{step}.", "decision", "decisions.") if step == "decision" else (f"{step}.",)
    return any(path.startswith(heads) for path in record)


def _tolerance(golden: _Column, window: _Column) -> float:
    gaps = golden.gap[golden.there]
    floor = window.floor if gaps.size else max(window.floor, _UNKNOWN)
    noise = gaps[gaps <= NOISE]
    return float(max(4 * noise.max(initial=0.0), floor))


def _unstable(path: str, side: Side) -> bool:
    for i, answer in side.again.items():
        first, second = side.answers[i], answer
        if not first.failed and not second.failed and gap(first.out.get(path), second.out.get(path)) > NOISE:
            return True
    return False


def _difference(path: str, column: _Column, wrong: Bools, golden: _Column, tolerance: float, side: Side) -> Difference:
    rows = np.flatnonzero(wrong)
    return Difference(
        path, int(column.there.sum()), len(rows),
        shape([column.recorded[i] for i in rows], [column.replayed[i] for i in rows], column.replayed, rows.tolist()),
        _whom(wrong, column.there, side.records), int(golden.there.sum()),
        int((golden.there & (golden.gap > tolerance)).sum()),
        tuple(
            {"id": side.records[i].get("id"), "recorded": column.recorded[i], "replayed": column.replayed[i]}
            for i in rows[:_EXAMPLES]
        ),
    )  # fmt: skip


def _whom(wrong: Bools, there: Bools, records: Sequence[Record]) -> Where:
    """One condition that holds for the rows that differ and for hardly any other; none where there is no such."""
    best: tuple[float, Where] = (0.0, ())
    n = int(wrong.sum())
    if n < 3 or n >= 0.98 * there.sum():
        return ()
    known = {path for record in records for path in record}
    paths = [path for group in _WHOM for path in sorted(known) if path.startswith(group)]
    for path in paths:
        values = [str(record.get(path)) if path in record else "" for record in records]
        for value in set(values) - {""}:
            inside = np.array([v == value for v in values]) & there
            hit = int((wrong & inside).sum())
            if hit < 0.98 * n or inside.sum() > 0.95 * there.sum():
                continue
            score = hit / inside.sum()
            if score > best[0]:
                best = (score, (Condition(path, value),))
    return best[1] if best[0] >= 0.5 else ()


def _swapped(differences: list[Difference], columns: Mapping[str, _Column]) -> list[Difference]:
    """Two fields of a step, each of which holds the other's values."""
    out = list(differences)
    for i, a in enumerate(out):
        for j, b in enumerate(out[:i]):
            first, second = columns[a.path], columns[b.path]
            rows = np.flatnonzero(first.there & second.there & ((first.gap > _UNKNOWN) | (second.gap > _UNKNOWN)))
            crossed = [
                same(first.recorded[k], second.replayed[k]) and same(second.recorded[k], first.replayed[k])
                for k in rows
            ]
            if crossed and np.mean(crossed) > 0.95:
                gone = next((one for one in (first, second) if all(v is None for v in one.recorded)), None)
                if gone is not None:
                    old, new = (a, b) if gone is first else (b, a)
                    out[i] = replace(a, shape=f"under another name: {new.path}" if a is old else f"for {old.path}")
                    out[j] = replace(b, shape=f"under another name: {new.path}" if b is old else f"for {old.path}")
                    continue
                out[i] = replace(a, shape=f"swapped with {b.path}")
                out[j] = replace(b, shape=f"swapped with {a.path}")
    return out


def _with_failures(steps: list[StepParity], side: Side, golden: Side) -> list[StepParity]:
    """Steps in which the code raised or its process died; outputs where it does not say in which step."""
    failures: dict[str, list[int]] = {}
    for i, answer in enumerate(side.answers):
        if answer.failed:
            failures.setdefault(f"steps.{answer.failed_in}" if answer.failed_in else "outputs", []).append(i)
    out = list(steps)
    before = sum(bool(answer.failed) for answer in golden.answers) / max(len(golden.answers), 1)
    for name, rows in failures.items():
        says = side.answers[rows[0]].failed
        at = next((i for i, step in enumerate(out) if step.name == name), None)
        if at is None and name == "steps.model":
            name, at = "outputs", next((i for i, step in enumerate(out) if step.name == "outputs"), None)
        own = [i for i in rows if "error" not in side.records[i]]
        if not own:
            continue  # it failed in production as well
        failed = StepParity(
            name, {"outputs": "model"}.get(name, "features"), "failed", len(side.records), len(own),
            says=f"{says} (of {len(side.records)} predictions, {len(own)})",
            golden_failed=before,
        )  # fmt: skip
        if at is None:
            out.append(failed)
        else:
            out[at] = replace(failed, differences=out[at].differences)
    return out
