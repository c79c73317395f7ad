"""What comes with a case beside its rows: events that matter and events that don't, and columns that nobody logs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from .app import stamp
from .world import World

NEEDED: dict[str, set[str]] = {
    "release": {"label", "model"},
    "trial": {"label", "model"},
    "immature": {"label"},
    "recode": {"code", "steps"},
    "autoscale": {"hardware"},
    "replaced": {"hardware"},
    "promoted": {"model"},
    "concept": {"label"},
    "M10": {"label", "model"},
    "M01": {"model", "hardware"},
    "M03": {"model"},
    "F12": {"age", "steps"},
    "F13": {"spans", "steps"},
    "I08": {"spans", "steps"},
    "I10": {"error"},
    "H01": {"spans"},
    "E02": {"model"},
    "T06": {"model"},
    "T10": {"usage"},
    "K02": {"steps"},
}
"""Groups of columns without which a case could not be told at all."""


def unlogged(rng: np.random.Generator, kind: str, layer: str, paths: set[str]) -> tuple[str, ...]:
    """Groups that this team happens not to log: none of those that the case is about."""
    needed = (
        {p.partition(".")[0] for p in paths} | NEEDED.get(kind, set()) | ({"steps"} if layer == "features" else set())
    )
    free = [g for g in ("code", "label", "spans", "hardware", "steps", "age", "usage", "id") if g not in needed]
    if rng.random() > 0.3 or not free:
        return ()
    gone = {str(g) for g in rng.permutation(free)[: int(rng.integers(1, 4))]}
    gone |= ({"code"} if "steps" in gone else set()) | ({"label_ts"} if "label" in gone else set())
    return tuple(sorted(gone))


def herrings(rng: np.random.Generator, w: World, *, often: float) -> list[tuple[int, str, str, dict[str, str]]]:
    """Events that have nothing to do with anything: past deploys, and now and then one in the window."""
    out: list[tuple[int, str, str, dict[str, str]]] = []
    for _ in range(int(rng.integers(0, 4))):
        out.append(
            (
                int(rng.uniform(w.start, w.golden_end)),
                str(rng.choice(["deploy", "config", "deploy", "flag"])),
                f"release {token(rng)}",
                {},
            )
        )
    if rng.random() < often:
        out.append(
            (int(rng.uniform(w.cut, w.end)), str(rng.choice(["deploy", "config", "data"])), f"release {token(rng)}", {})
        )
    return out


def token(rng: np.random.Generator) -> str:
    return f"{int(rng.integers(1 << 28)):07x}"


def events_table(events: list[tuple[int, str, str, dict[str, str]]]) -> pd.DataFrame:
    events = sorted(events, key=lambda e: e[0])
    table: dict[str, Any] = {
        "ts": stamp(np.asarray([e[0] for e in events], dtype=np.int64), "datetime"),
        "kind": pd.Series([e[1] for e in events], dtype=object),
        "what": pd.Series([e[2] for e in events], dtype=object),
    }
    for path in sorted({p for e in events for p in e[3]}):
        table[path] = pd.Series([e[3].get(path) for e in events], dtype=object)
    return pd.DataFrame(table)


def when(us: int) -> pd.Timestamp:
    return pd.Timestamp(us, unit="us", tz="UTC")
