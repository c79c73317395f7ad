"""Counterfactual re-scoring: raw inputs put back to golden's values, each by itself or all at once, and what the outcome then does.

In: a pipeline, flat records of a slice, and the inputs' columns there and in golden. Out: `Rescored`s. `diagnose/` and tests
may call. How far an input moved says nothing of its harm; what the code makes of the move does.

Golden's values are put back with as little change as can be (`couple`); values drawn at random would flip decisions by
themselves. What even that flips, because samples differ, is measured on a resample of the window's own column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from whimbrel.model.rows import Column, Numbers
from whimbrel.model.swap import Rescored
from whimbrel.replay.apart import LIMIT_S, play
from whimbrel.replay.couple import couple, moved, some, whole
from whimbrel.replay.judged import step_of
from whimbrel.replay.outcome import Outcome, Rule, change, outcome_of, thinned
from whimbrel.replay.parity import known
from whimbrel.replay.pipelines import pipeline_of
from whimbrel.replay.record import Record, gap

Play = Callable[[Sequence[Record]], Sequence[Record]]
"""What the code makes of each record's raw inputs, an empty record where it fails."""

Columns = Mapping[str, tuple[Column, Column]]
"""By the input's path, its column in the slice and in golden."""
Values = Mapping[str, Any]

WHOLE = 0.9
"""The share of records on which the code must run for anything to be said."""


def rescore(
    pipeline: Any, records: Sequence[Record], columns: Columns, *,
    golden: Sequence[Record] = (), at_once: bool = False, limit_s: float = LIMIT_S, seed: int = 0,
) -> list[Rescored]:  # fmt: skip
    """Put each input back to golden's values and say what the code makes of it; an input that cannot be put back is left out.

    Args:
        pipeline: the code, as `parity` takes it.
        records: predictions of the slice, flat; at most `RUN` of them are run.
        columns: by the input's path, its column in the slice and in the same slice of golden, as many rows as there are.
        golden: golden's records: the unit of the score is their spread, and their decision rule is taken where the code decides nothing.
        at_once: put all of them back together, as one `Rescored` under the first one's path; the columns must be of the same rows then.
        limit_s: seconds that one run of the code may take.
        seed: of what is drawn.
    """
    records = thinned(records)
    code = pipeline if isinstance(pipeline, str) else pipeline_of(pipeline)

    def run(asked: Sequence[Record]) -> list[Record]:
        answers = play(code, known(asked), free=True, limit_s=limit_s).answers
        return [{} if answer.failed else answer.out for answer in answers]

    rng = np.random.default_rng(seed)
    plain = {path: both for path, both in columns.items() if _plain(path, records, both)}
    groups = [plain] if at_once and plain else [{path: both} for path, both in plain.items()]
    arms = [_arms(records, group, rng) for group in groups]
    bare = _without_steps(records, run)
    if not arms or bare is None:
        return []
    asked = [bare, *([{**r, **values} for r, values in zip(bare, part, strict=True)] for arm in arms for part in arm)]
    answers = run([{p: v for p, v in record.items() if v is not None} for part in asked for record in part])
    n = len(records)
    before = outcome_of(golden)
    rule, spread = Rule.read(before), _spread(before)
    outcomes = [outcome_of(answers[i : i + n], rule) for i in range(0, len(answers), n)]
    labels = [record.get("label") for record in records]
    return [
        _rescored(records, arm, group, outcomes[0], outcomes[3 * i + 1 : 3 * i + 4], labels, spread)
        for i, (group, arm) in enumerate(zip(groups, arms, strict=True))
    ]


def feeds(
    pipeline: Any, records: Sequence[Record], paths: Sequence[str], field: str = "", *, limit_s: float = LIMIT_S
) -> list[str] | None:
    """Those of these raw inputs that a field of a step, an output or the decision is made of: with others' values it changes.

    None where that cannot be told, for the code needs recorded steps or fails.

    Args:
        pipeline: the code, as `parity` takes it.
        records: predictions, flat; at most `RUN` of them are run.
        paths: raw inputs, `inputs.<name>`.
        field: what the code makes, by its path; anything at all where it is empty.
        limit_s: seconds that one run of the code may take.
    """
    records = thinned(records)
    code = pipeline if isinstance(pipeline, str) else pipeline_of(pipeline)

    def run(asked: Sequence[Record]) -> list[Record]:
        answers = play(code, known(asked), free=True, limit_s=limit_s).answers
        return [{} if answer.failed else answer.out for answer in answers]

    bare = _without_steps(records, run)
    if bare is None:
        return None
    asked = [bare, *([{**r, path: bare[i - 1].get(path)} for i, r in enumerate(bare)] for path in paths)]
    answers = run([{p: v for p, v in record.items() if v is not None} for part in asked for record in part])
    n = len(records)
    names = [field] if field else list(dict.fromkeys(name for one in answers for name in one))
    parts = [answers[i : i + n] for i in range(0, len(answers), n)]

    def changes(part: Sequence[Record]) -> bool:
        pairs = zip(parts[0], part, strict=True)
        return any(gap(before.get(name), after.get(name)) > 1e-9 for before, after in pairs for name in names)

    return [path for path, part in zip(paths, parts[1:], strict=True) if changes(part)]


def _rescored(
    records: Sequence[Record], arm: Sequence[Sequence[Values]], group: Columns, came: Outcome,
    outcomes: Sequence[Outcome], labels: Sequence[Any], spread: float | None,
) -> Rescored:  # fmt: skip
    back, noise, anything = (change(came, one, labels, spread=spread) for one in outcomes)
    put_back = sum(
        any(gap(record.get(path), value) > 1e-9 for path, value in values.items())
        for record, values in zip(records, arm[0], strict=True)
    )
    any_moved = any(moved(*columns) for columns in group.values())
    return Rescored(next(iter(group)), len(records), put_back, any_moved, back, noise, anything)


def _arms(records: Sequence[Record], group: Columns, rng: np.random.Generator) -> list[list[Values]]:
    """The columns put back to golden's, to a resample of their own as large as golden's, and golden's in random order."""
    arms: list[dict[str, list[Any]]] = [{}, {}, {}]
    for path, (here, there) in group.items():
        values = [record.get(path) for record in records]
        same = here.take(rng.integers(0, len(here.missing), len(there.missing)))
        back, noise, anything = arms
        back[path], noise[path] = couple(values, here, there, rng), couple(values, here, same, rng)
        anything[path] = some(len(values), there, rng)
    whole(records, arms[0], {path: there for path, (_, there) in group.items()}, rng)
    return [[dict(zip(arm, row, strict=True)) for row in zip(*arm.values(), strict=True)] for arm in arms]


def _plain(path: str, records: Sequence[Record], both: tuple[Column, Column]) -> bool:
    """Whether the input is one number, text or truth a prediction, and golden has some."""
    if any(isinstance(record.get(path), list) for record in records) or not all(len(one.missing) for one in both):
        return False
    return isinstance(both[0], Numbers) == isinstance(both[1], Numbers) and not both[1].missing.all()


def _without_steps(records: Sequence[Record], run: Play) -> list[Record] | None:
    """The records without recorded steps, so that all follows from raw inputs; None where the code needs recorded steps or fails."""
    answers = run(records)
    if sum(bool(one) for one in answers) < max(WHOLE * len(records), 1):
        return None
    reads = {f"steps.{name}" for record in records for name in record.get("recorder.reads", ())}
    bare = [{p: v for p, v in r.items() if not p.startswith("steps.") or step_of(p) in reads} for r in records]
    made = {step_of(path) for answer in answers for path in answer}
    given = {step_of(path) for record in records for path in record if path.startswith("steps.")}
    if given - made - reads:
        again = run(bare)
        if any(
            gap(v, two.get(p)) > 1e-9
            for one, two in zip(answers, again, strict=True)
            for p, v in one.items()
            if step_of(p)
        ):
            return None
    return bare


def _spread(outcome: Outcome) -> float | None:
    known_scores = outcome.score[np.isfinite(outcome.score)]
    return float(np.std(known_scores)) or None if known_scores.size > 10 else None
