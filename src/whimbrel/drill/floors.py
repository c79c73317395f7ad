"""Simple rules that a diagnosis must beat by far: if one of them comes close, the drill is too easy.

In: a case as columns. Out: what each rule blames, if anything: a layer and a component. Only `run` may call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from whimbrel.drill.case import Drawn, Truth
from whimbrel.drill.columns import HIDDEN, Columns, take
from whimbrel.drill.grade import Floor, named, roots

LIMIT = 0.25
"""Above this the field calls a population stability index a shift."""
LEFT_OUT = ("id", "ts", "label_ts", "recorder.seq", "recorder.process", "context.release", *HIDDEN)
LAYERS = {
    "inputs": "data", "steps": "features", "code": "features", "model": "model", "outputs": "model", "decision": "decision",
    "decisions": "decision", "label": "labels", "spans": "serving", "usage": "serving", "error": "serving",
    "hardware": "hardware", "recorder": "recorder", "age": "features", "context": "data",
}  # fmt: skip


class Blame(NamedTuple):
    """What a rule blames."""

    layer: str
    component: str


def floors(case: Drawn) -> dict[str, Floor]:
    """Each rule's answer to the case, graded. They are given golden's rows of the same days of the week, where it has any."""
    case = replace(case, golden=same_days(case.golden, case.window))
    moved = ranked(case.golden, case.window)
    return {name: _graded(case.truth, rule(case, moved)) for name, rule in rules().items()}


def _graded(truth: Truth, blame: Blame | None) -> Floor:
    if blame is None:
        return Floor(layer=False, component=False, said=False)
    layers = {layer for layer, _ in roots(truth)}
    return Floor(blame.layer in layers, named(blame.component, truth), said=True)


def same_days(golden: Columns, window: Columns) -> Columns:
    """Golden's rows of the window's days of the week; all of them where those are few."""
    days = [columns["ts"] // 86400 % 7 for columns in (golden, window)]
    alike = np.isin(days[0], np.unique(days[1]))
    return take(golden, alike) if alike.sum() >= 200 else golden


def ranked(golden: Columns, window: Columns) -> list[tuple[float, str]]:
    """Columns by their population stability index, the largest first."""
    paths = [p for p in window if p in golden and not p.startswith(LEFT_OUT)]
    return sorted(((psi(golden[p], window[p]), p) for p in paths), key=lambda one: (-one[0], one[1]))


def psi(golden: NDArray[Any], window: NDArray[Any]) -> float:
    """Population stability index over ten equal parts of golden, or over values where they are texts; nulls are one more."""
    a, b = _binned(golden, window)
    p, q = a / max(a.sum(), 1), b / max(b.sum(), 1)
    p, q = np.maximum(p, 1e-4), np.maximum(q, 1e-4)
    return float(((q - p) * np.log(q / p)).sum())


def _binned(golden: NDArray[Any], window: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if golden.dtype == object or window.dtype == object:
        texts = [np.array([str(v) for v in column.tolist()]) for column in (golden, window)]
        names = np.unique(texts[0])
        if len(names) > 500:  # like an id
            return np.ones(1), np.ones(1)
        counts = [
            np.array([(text == name).sum() for name in names] + [(~np.isin(text, names)).sum()]) for text in texts
        ]
        return counts[0].astype(float), counts[1].astype(float)
    known = golden[~np.isnan(golden)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, 11)[1:-1])) if len(known) else np.zeros(0)
    out = []
    for column in (golden, window):
        there = column[~np.isnan(column)]
        bins = np.bincount(np.searchsorted(edges, there, side="right"), minlength=len(edges) + 1)
        out.append(np.append(bins, np.isnan(column).sum()).astype(float))
    return out[0], out[1]


def _newest(case: Drawn, _: list[tuple[float, str]]) -> Blame | None:
    """The newest change wins: what the last event in the window most likely touched."""
    events = [event for event in case.events if event.ts >= case.since]
    if not events:
        return None
    after = case.window["ts"] >= events[-1].ts.timestamp()
    for path in (p for p in case.window if p.startswith(("code.", "model."))):
        if path in case.golden and set(case.window[path][after].tolist()) - set(case.golden[path].tolist()):
            step = path.removeprefix("code.")
            return Blame("features", f"steps.{step}") if path.startswith("code.") else Blame("model", path)
    return Blame("decision", "decision") if events[-1].kind in ("config", "flag") else Blame("features", "steps")


def _largest(_: Drawn, moved: list[tuple[float, str]]) -> Blame | None:
    """The largest stability index wins, where it is above what the field calls a shift."""
    value, path = moved[0]
    return Blame(LAYERS[path.partition(".")[0]], path) if value > LIMIT else None


def _upstream(_: Drawn, moved: list[tuple[float, str]]) -> Blame | None:
    """Of all columns above the limit, the first on the way through the app."""
    above = [path for value, path in moved if value > LIMIT]
    order = list(LAYERS)
    first = min(above, key=lambda path: order.index(path.partition(".")[0]), default=None)
    return None if first is None else Blame(LAYERS[first.partition(".")[0]], first)


def _always(_: Drawn, moved: list[tuple[float, str]]) -> Blame:
    """The most common layer, always, and the input that moved most."""
    inputs = [path for _, path in moved if path.startswith("inputs.")]
    return Blame("data", inputs[0] if inputs else "inputs")


def _evidently(case: Drawn, _: list[tuple[float, str]]) -> Blame | None:
    """Evidently's own tests of drift, and the first column on the way through the app that fails one."""
    import pandas as pd
    from evidently import Report
    from evidently.presets import DataDriftPreset

    paths = [p for p in case.window if p in case.golden and not p.startswith((*LEFT_OUT, "code."))]
    frames = [pd.DataFrame({p: columns[p] for p in paths}) for columns in (case.window, case.golden)]
    usable = [p for p in paths if all(frame[p].notna().any() for frame in frames)]
    made = Report([DataDriftPreset(columns=usable)]).run(frames[0][usable], frames[1][usable])
    drifted = [
        found["config"]["column"] for found in made.dict()["metrics"]
        if "column" in found["config"] and _drifts(found)
    ]  # fmt: skip
    order = list(LAYERS)
    first = min(drifted, key=lambda path: order.index(path.partition(".")[0]), default=None)
    return None if first is None else Blame(LAYERS[first.partition(".")[0]], first)


def _drifts(found: Mapping[str, Any]) -> bool:
    """A p-value below the threshold, or a distance above it."""
    method, threshold = str(found["config"].get("method", "")), float(found["config"].get("threshold", 0.05))
    value = float(found["value"])
    return value < threshold if "p_value" in method else value > threshold


Rule = Callable[[Drawn, list[tuple[float, str]]], Blame | None]
RULES: dict[str, Rule] = {
    "newest change": _newest,
    "largest PSI": _largest,
    "first PSI above 0.25": _upstream,
    "most common layer": _always,
}
EVIDENTLY = "Evidently, first that drifts"


@cache
def absent() -> str:
    """Why Evidently cannot be put to the cases; empty where it can."""
    try:
        from evidently.presets import DataDriftPreset
    except ModuleNotFoundError:
        return "Evidently is not installed, and was not put to the cases"
    except Exception as error:  # noqa: BLE001  another library's import may fail in any way
        said = next(iter(str(error).splitlines()), "")
        return f"Evidently cannot be imported, and was not put to the cases: {said}"
    assert DataDriftPreset
    return ""


def rules() -> dict[str, Rule]:
    """The rules that can be asked here."""
    return RULES if absent() else {**RULES, EVIDENTLY: _evidently}
