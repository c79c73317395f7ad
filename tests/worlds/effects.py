"""How hard a fault hit: the same window with and without it, in the fault's own measure."""

from __future__ import annotations

import numpy as np

from .app import App
from .fault import Fault, Plan
from .ops import num
from .world import Array, Cols

BANDS: dict[str, dict[str, tuple[float, float]]] = {
    "flips": {"subtle": (0.003, 0.02), "medium": (0.02, 0.08), "loud": (0.08, 1.0)},
    "p95": {"subtle": (0.05, 0.10), "medium": (0.12, 0.45), "loud": (0.45, 30.0)},
    "cost": {"subtle": (0.02, 0.05), "medium": (0.05, 0.2), "loud": (0.2, 30.0)},
    "labels": {"subtle": (0.003, 0.02), "medium": (0.02, 0.10), "loud": (0.10, 1.0)},
    "errors": {"subtle": (0.003, 0.01), "medium": (0.01, 0.06), "loud": (0.06, 1.0)},
    "share": {"subtle": (0.01, 0.04), "medium": (0.04, 0.2), "loud": (0.2, 1.0)},
    "none": {"subtle": (-1, 2), "medium": (-1, 2), "loud": (-1, 2)},
}
"""What each severity means by effect: decisions flipped in all traffic; growth of p95 or cost; labels lost or wrong."""


def effect(a: App, f: Fault, plan: Plan, golden: Cols, clean: Cols, broken: Cols) -> float:
    """The fault's effect in its own measure, beside the same window without it."""
    rows = plan.slice & plan.after_onset
    if f.measure == "none":
        return 0.0
    if f.measure == "p95":
        return float(
            np.nanquantile(broken["spans.total"][rows], 0.95) / np.nanquantile(clean["spans.total"][rows], 0.95) - 1
        )
    if f.measure == "cost":
        return float(np.nanmean(num(broken[COST(broken)][rows])) / np.nanmean(num(clean[COST(clean)][rows])) - 1)
    if f.measure == "errors":
        return float(
            np.mean([e is not None for e in broken["error"]]) - np.mean([e is not None for e in clean["error"]])
        )
    if f.measure == "labels":
        return lost_or_wrong(clean["label"], broken["label"])
    if f.measure == "share":
        gone = broken.get("_gone", np.zeros(len(rows), dtype=bool))
        changed = plan.mask if f.at == "record" else broken[plan.target] != clean[plan.target]
        return float(gone.mean() if gone.any() else changed.mean())
    return flips(a, golden, clean, broken)


def COST(c: Cols) -> str:  # noqa: N802
    """The column that counts the money, or the tokens where no money is counted."""
    return "usage.cost_usd" if "usage.cost_usd" in c else "usage.input_tokens"


def flips(a: App, golden: Cols, clean: Cols, broken: Cols) -> float:
    """Share of rows decided otherwise; where the score itself is used, also of scores moved notably."""
    decided = 0.0
    if a.decisions:
        one, two = clean[a.decision_path], broken[a.decision_path]
        decided = float(np.mean([x != y for x, y in zip(one, two, strict=True)]))
        if not a.regression and a.score_path != "outputs.premium":
            return decided
    one, two = num(clean[a.score_path]), num(broken[a.score_path])
    with np.errstate(invalid="ignore"):
        low, high = np.nanquantile(num(golden[a.score_path]), [0.16, 0.84])
        moved = np.abs(one - two) > 0.125 * (high - low)
    return max(decided, float((moved | (np.isnan(one) != np.isnan(two))).mean()))


def lost_or_wrong(clean: Array, broken: Array) -> float:
    """Share of the labels that would be known by now which are missing, or say something else."""
    if clean.dtype.kind == "f":
        known = ~np.isnan(clean)
        wrong = ~(np.abs(broken - clean) <= 0.1 * np.nanstd(clean))
    else:
        known = np.asarray([v is not None for v in clean])
        wrong = np.asarray([x != y for x, y in zip(clean, broken, strict=True)])
    return float(wrong[known].mean()) if known.any() else 0.0
