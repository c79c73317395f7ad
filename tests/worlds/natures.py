"""What the world does of itself and nobody must be blamed for: one `Nature` for each kind, fitted to the app."""

from __future__ import annotations

from typing import Any

import numpy as np

from .app import App
from .fault import golden_look
from .world import Array, Nature

KINDS: tuple[str, ...] = (
    "calm",
    "season",
    "storm",
    "inflation",
    "promo",
    "outliers",
    "holiday",
    "weekend",
    "growth",
    "slump",
    "launch",
    "retire",
    "mix",
    "recode",
    "release",
    "autoscale",
    "immature",
    "tiny",
    "trial",
    "promoted",
    "night",
    "newcolumn",
    "resend",
    "replaced",
    "concept",
)

EVENTFUL = {"recode", "release", "trial", "promo", "launch", "autoscale", "newcolumn", "replaced"}
"""Kinds that people announce."""


def supports(app: App, kind: str) -> bool:
    """Whether this app's world can do this."""
    if kind in ("season", "storm", "inflation", "promo"):
        return kind in app.natures
    if kind == "outliers":
        return "heavy" in app.natures
    if kind in ("mix", "launch", "retire"):
        return bool(app.mixes)
    if kind == "recode":
        return app.fingerprints and bool(app.ops)
    if kind == "release":
        return bool(app.version) and app.kind != "rule" and app.label_hours is not None
    if kind == "trial":
        return bool(app.version) and app.label_hours is not None and app.label_hours[0] <= 8
    if kind in ("autoscale", "replaced"):
        return bool(app.hosts)
    if kind == "promoted":
        return bool(app.version) and not app.canary
    if kind == "resend":
        return app.has_id
    if kind == "concept":
        return (
            app.label_hours is not None
            and app.label_hours[0] <= 8
            and app.label_values is not None
            and app.kind != "rule"
        )
    if kind == "immature":
        return app.label_hours is not None
    return kind not in ("weekend", "night") or app.profile != "batch"


def nature(app: App, kind: str, rng: np.random.Generator, strength: float = 1.0) -> Nature:
    """A natural change of this kind; `strength` below one makes it a backdrop for a fault."""
    start = float(rng.choice([0.0, 0.0, 0.2, 0.4]))
    sign = 1.0 if rng.random() < 0.5 else -1.0
    if kind in ("mix", "launch", "retire"):
        return _mixed(app, kind, rng, start, strength)
    steps = sorted({op.step for op in app.ops}) or [""]
    draw = rng.uniform
    changes: dict[str, dict[str, Any]] = {
        "season": {"season": sign * strength * draw(0.25, 0.7)},
        "storm": {"storm": strength * draw(0.7, 1.5), "storm_share": (0.15 * draw(), 0.6 + 0.4 * draw())},
        "inflation": {"inflation": strength * draw(0.04, 0.15)},
        "promo": {"promo": strength * draw(0.15, 0.4), "volume": 1.2, "start": start},
        "outliers": {"heavy": strength * draw(0.005, 0.03)},
        "holiday": {"holiday": 1.0, "volume": float(rng.choice([0.5, 0.7, 1.6]))},
        "growth": {"volume": draw(1.4, 1.9), "start": start},
        "slump": {"volume": draw(0.3, 0.6), "start": start},
        "recode": {"recode": steps[int(rng.integers(len(steps)))], "start": start},
        "release": {"release": "newer", "start": start},
        "trial": {"trial": "treatment", "start": start},
        "promoted": {"promoted": draw(0.2, 0.8)},
        "replaced": {"replaced": 1, "start": start},
        "concept": {"concept": draw(0.02, 0.05)},
        "autoscale": {"hosts": int(rng.integers(1, 4)), "volume": 1.3, "start": start},
        "immature": {"label_delay": draw(6, 20)},
    }
    return Nature(kind, **changes.get(kind, {}))


def _mixed(app: App, kind: str, rng: np.random.Generator, start: float, strength: float) -> Nature:
    name = sorted(app.mixes)[int(rng.integers(len(app.mixes)))]
    seen, count = np.unique([v for v in golden_look(app)[app.mixes[name]] if v is not None], return_counts=True)
    if kind == "launch":
        return Nature(kind, launch=(name, _fresh(seen, rng), float(strength * rng.uniform(0.02, 0.12))), start=start)
    if kind == "retire" and len(seen) > 2:
        rare = seen[np.argsort(count)[: max(1, len(seen) // 2)]]
        return Nature(kind, retire=(name, str(rare[int(rng.integers(len(rare)))])), start=start)
    factor = float(np.exp(strength * rng.uniform(0.7, 1.6)))
    return Nature("mix", tilt={name: {str(seen[int(rng.integers(len(seen)))]): factor}}, start=start)


def _fresh(seen: Array, rng: np.random.Generator) -> str:
    """A new value that looks like its sisters."""
    pool = [
        "PL",
        "SE",
        "CH",
        "Z9",
        "tablet",
        "partner",
        "kiosk",
        "beta",
        "green",
        "plus",
        "nordic",
        "studio",
        "hybrid",
        "fleet",
    ]
    upper = all(str(v).isupper() for v in seen)
    fit = [v for v in pool if v.isupper() == upper and v not in set(map(str, seen))]
    return fit[int(rng.integers(len(fit)))]
