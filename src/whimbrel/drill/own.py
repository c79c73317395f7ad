"""Faults for an app that nobody here knows: chosen by looking at what it recorded.

In: golden and the window as columns. Out: `Own` faults, the most telling first. Only `userapp` may call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from whimbrel.drill.columns import Columns, length

Change: TypeAlias = Callable[[Columns], Columns]
EACH = 2
"""How many columns of one kind are drilled."""


@dataclass(frozen=True, slots=True)
class Own:
    """One fault. `through` says from where on the app's code is run again: `inputs`, a `step`, or not at all."""

    id: str
    layer: str
    components: tuple[str, ...]
    says: str
    change: Change
    through: Literal["inputs", "step", ""] = ""
    share: float = 1.0


def faults_of(golden: Columns, window: Columns, *, replays: bool) -> list[Own]:
    """What can be planted into this app."""
    out = [
        *_inputs(golden, window),
        *_steps(golden, window, replays=replays),
        *_threshold(golden),
        *_model(golden),
        *_spans(golden),
    ]
    known = golden["label"]
    if known.dtype != object and (~np.isnan(known)).mean() > 0.3 and (~np.isnan(window["label"])).mean() > 0.3:
        lost = {"label": np.nan, "label_ts": np.nan}
        out.append(
            Own("labels", "labels", ("label",), "half of the labels are lost",
                lambda rows: {path: np.full(length(rows), value) for path, value in lost.items()}, share=0.5)
        )  # fmt: skip
    return out


def _numbers(columns: Columns, group: str) -> list[str]:
    """Columns of numbers that take many values, those that vary most first."""
    found = []
    for path, column in columns.items():
        if path.startswith(group) and column.dtype != object and (~np.isnan(column)).sum() > 50:
            known = column[~np.isnan(column)]
            if len(np.unique(known)) > 10:
                found.append((-float(known.std() / (abs(known.mean()) + known.std() + 1e-12)), path))
    return [path for _, path in sorted(found)]


def _times(path: str, by: float) -> Change:
    return lambda rows: {path: rows[path] * by}


def _null(path: str) -> Change:
    def change(rows: Columns) -> Columns:
        n = length(rows)
        return {path: np.full(n, None, dtype=object) if rows[path].dtype == object else np.full(n, np.nan)}

    return change


def _inputs(golden: Columns, window: Columns) -> list[Own]:
    numbers = [path for path in _numbers(golden, "inputs.") if path in window][:EACH]
    out = []
    for path, by in [(path, by) for by in (10.0, 1.1, 1.01) for path in numbers]:
        out.append(Own(f"scale/{by:g}", "data", (path,), f"{path} times {by:g}", _times(path, by), "inputs"))
    out += [
        Own("null", "data", (path,), f"{path} lost in every fifth", _null(path), "inputs", 0.2) for path in numbers[:1]
    ]
    texts = [
        path for path, column in golden.items()
        if path.startswith("inputs.") and column.dtype == object and path in window
        and 2 <= len({v for v in column.tolist() if v is not None}) <= 60
    ]  # fmt: skip
    for path in [p for p in texts if any(str(v).swapcase() != str(v) for v in golden[p].tolist() if v is not None)][
        :EACH
    ]:
        out.append(Own("case", "data", (path,), f"{path} in another case", _swapped(path), "inputs"))
    return out


def _swapped(path: str) -> Change:
    return lambda rows: {
        path: np.array([None if v is None else str(v).swapcase() for v in rows[path].tolist()], dtype=object)
    }


def _steps(golden: Columns, window: Columns, *, replays: bool) -> list[Own]:
    through: Literal["step", ""] = "step" if replays else ""
    numbers = [path for path in _numbers(golden, "steps.") if path in window][:EACH]
    return [
        Own(f"step/{by:g}", "features", (path,), f"{path} times {by:g}", _times(path, by), through)
        for by in (1.1, 1.01) for path in numbers
    ]  # fmt: skip


def cut_of(columns: Columns) -> tuple[str, str, float, str, str] | None:
    """The score, the decision, the threshold between them and its two names, where one number explains it all."""
    scores = [p for p in columns if p == "outputs.score" or p.startswith("outputs.")]
    for decision in (p for p in columns if p == "decision" or p.startswith("decisions.")):
        names = sorted({str(v) for v in columns[decision].tolist() if v is not None})
        for score in (p for p in scores if columns[p].dtype != object) if len(names) == 2 else ():
            for below, above in (names, names[::-1]):
                high = columns[decision].astype(str) == above
                if not 0.01 < high.mean() < 0.99:
                    continue
                cut = float(np.nanquantile(columns[score], 1 - high.mean()))
                if ((columns[score] >= cut) == high).mean() > 0.99:
                    return score, decision, cut, below, above
    return None


def decided(rows: Columns, score: str, decision: str, cut: float, below: str, above: str) -> NDArray[Any]:
    """What `cut_of` says would be decided; where there is no score, what was."""
    told = np.where(rows[score] >= cut, above, below).astype(object)
    return np.where(np.isnan(rows[score]), rows[decision], told)


def _threshold(golden: Columns) -> list[Own]:
    found = cut_of(golden)
    if found is None:
        return []
    score, decision, cut, below, above = found
    out = []
    for share in (0.05, 0.02):
        moved = float(np.nanquantile(golden[score], min(0.999, (golden[score] < cut).mean() + share)))

        def change(rows: Columns, moved: float = moved) -> Columns:
            return {decision: decided(rows, score, decision, moved, below, above)}

        says = f"the threshold of {decision} moved by {100 * share:.0f}% of traffic"
        out.append(Own(f"threshold/{share:g}", "decision", (decision,), says, change))
    return out


def _model(golden: Columns) -> list[Own]:
    """An old model: its version, and scores that agree with today's four parts in five."""
    found = cut_of(golden)
    score = found[0] if found else next((p for p in _numbers(golden, "outputs.")), None)
    if score is None:
        return []

    def change(rows: Columns) -> Columns:
        n = length(rows)
        other = np.random.default_rng(n).permutation(n)
        out: Columns = {score: 0.8 * rows[score] + 0.2 * rows[score][other]}
        for path in ("model.version", "model.digest"):
            if path in rows:
                out[path] = np.array([f"{v}-old" for v in rows[path].tolist()], dtype=object)
        if found is not None:
            out[found[1]] = decided(rows | out, *found)
        return out

    components = (*(p for p in ("model.version", "model.digest") if p in golden), score)
    return [Own("old model", "model", components, "an old model answers", change)]


def _spans(golden: Columns) -> list[Own]:
    names = [p for p in _numbers(golden, "spans.") if p != "spans.total"]
    names.sort(key=lambda path: -float(np.nanmean(golden[path])))
    return [
        Own(f"delay/{by:g}", "serving", (path,), f"{path} takes {by:g} times as long", _delayed(path, by))
        for by in (1.5, 1.2) for path in names[:EACH]
    ]  # fmt: skip


def _delayed(path: str, by: float) -> Change:
    def change(rows: Columns) -> Columns:
        more = (by - 1) * rows[path]
        out = {path: rows[path] + more}
        if "spans.total" in rows:
            out["spans.total"] = rows["spans.total"] + np.nan_to_num(more)
        return out

    return change
