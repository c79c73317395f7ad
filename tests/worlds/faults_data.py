"""Faults of the data layer: what arrives is not what outside used to send."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .app import App
from .fault import Plan, booleans, broad, categories, fault, golden_look, numbers, read_inputs, unread
from .ops import num
from .world import Array, Cols, holes


def united(app: App) -> list[str]:
    return [p for p in app.units if p in numbers(app)]


def together(app: App) -> list[str]:
    return numbers(app) if len(numbers(app)) >= 2 else []


def texts(app: App) -> list[str]:
    look = golden_look(app)
    return [
        p
        for p in sorted(read_inputs(app))
        if look[p].dtype.kind == "O" and np.mean([len(str(v)) for v in look[p]]) > 20
    ]


def clocks(app: App) -> list[str]:
    return [
        p
        for p in sorted(read_inputs(app))
        if p.rsplit(".", 1)[-1] in ("hour", "clock", "local_hour", "hour_of_day", "tod")
    ]


def fractions(app: App) -> list[str]:
    look = golden_look(app)
    return [p for p in numbers(app) if np.nanmean(np.abs(look[p] % 1) > 1e-9) > 0.5]


def related(app: App) -> list[str]:
    """Inputs that other columns say something about: only there does a wrong join show without labels."""
    look = golden_look(app)
    seen = [p for p in look if p.partition(".")[0] in ("inputs", "context") and look[p].dtype.kind in "fO"]
    return [p for p in broad(app) + categories(app) if any(tied(look[p], look[q]) > 0.06 for q in seen if q != p)]


def tied(x: Array, y: Array) -> float:
    """How much two columns say of each other, 0 to 1: squared rank correlation, or variance between groups."""
    if x.dtype.kind != "f" and y.dtype.kind != "f":
        return float(np.mean([a == b for a, b in zip(x, y, strict=True)]))
    if x.dtype.kind != "f":
        x, y = y, x
    rank = pd.Series(x).rank()
    if y.dtype.kind == "f":
        rho = rank.corr(pd.Series(y).rank())
        return 0.0 if np.isnan(rho) else float(rho**2)
    groups = pd.Series([str(v) for v in y])
    if groups.nunique() > 40:
        return 0.0
    return float(rank.groupby(groups).transform("mean").var() / max(float(rank.var()), 1e-9))


SUDDEN = ("start", "step", "step", "onoff")
"""Shapes for a smooth change: creeping in over everybody, it would be the weather's."""


@fault("D02", "data", "inputs", united, "unit changed upstream")
def unit(plan: Plan, c: Cols) -> None:
    forms = plan.app.units[plan.target]
    factor, offset = forms[int(plan.rng().integers(len(forms)))]
    plan.put(c, plan.target, num(c[plan.target]) * factor + offset)


@fault("D03", "data", "inputs", numbers, "a sentinel leaks in")
def sentinel(plan: Plan, c: Cols) -> None:
    x = num(plan.golden[plan.target])
    choices = [
        v for v in (-999.0, -1.0, 0.0, 9999.0, 99999.0) if not np.nanquantile(x, 0.01) <= v <= np.nanquantile(x, 0.99)
    ]
    value = choices[int(plan.rng("v").integers(len(choices)))]
    plan.put(c, plan.target, np.full(len(x[:0]) + len(plan.mask), value), plan.some(plan.level))


@fault("D05", "data", "inputs", lambda a: numbers(a) + categories(a), "nulls rise in one column")
def nulls(plan: Plan, c: Cols) -> None:
    c[plan.target] = holes(c[plan.target], plan.some(plan.level))


@fault("D05b", "data", "inputs", together, "a whole sub-record is lost at once", accept=lambda p: set(p.also))
def subrecord(plan: Plan, c: Cols) -> None:
    names = sorted(p for p in c if p.startswith("inputs.") and p != plan.target and c[p].dtype.kind == "f")
    lost = [plan.target, *plan.rng("names").permutation(names)[: int(plan.rng("k").integers(1, 4))]]
    rows = plan.some(plan.level)
    for path in lost:
        c[path] = holes(c[path], rows)
    plan.also |= set(lost)


@fault(
    "D07",
    "data",
    "inputs",
    lambda a: numbers(a) + categories(a),
    "source off: one constant for every row",
    shapes=("start", "step", "step", "onoff"),
)
def constant(plan: Plan, c: Cols) -> None:
    x = plan.golden[plan.target]
    value = (
        np.round(np.nanquantile(num(x), plan.rng().uniform(0.2, 0.8)), 2)
        if x.dtype.kind == "f"
        else x[int(plan.rng().integers(len(x)))]
    )
    plan.put(c, plan.target, np.full(len(plan.mask), value, dtype=float if x.dtype.kind == "f" else object))


@fault("D14", "data", "inputs", fractions, "float became integer", shapes=("start", "step", "onoff"))
def truncated(plan: Plan, c: Cols) -> None:
    plan.put(c, plan.target, np.trunc(num(c[plan.target])))


@fault(
    "D14s",
    "data",
    "inputs",
    numbers,
    "number became text that the pipeline cannot read",
    scopes=("all",),
    shapes=("start",),
)
def texted(plan: Plan, c: Cols) -> None:
    c[plan.target] = np.asarray([None if np.isnan(v) else f"{v:g}" for v in num(c[plan.target])], dtype=object)


@fault("D16", "data", "inputs", categories, "a category changed its spelling in one feed")
def respelled(plan: Plan, c: Cols) -> None:
    values = np.unique([v for v in plan.golden[plan.target] if v])
    form = int(plan.rng().integers(4))
    chosen = set(values) if plan.level > 0.6 else set(plan.rng("v").permutation(values)[: max(1, len(values) // 4)])

    def spell(v: str) -> str:
        return [
            v.upper() if v.upper() != v else v.lower(),
            v.capitalize() if v.capitalize() != v else f"{v} ",
            f"{v} ",
            f" {v}",
        ][form]

    new = np.asarray([spell(v) if v in chosen else v for v in c[plan.target]], dtype=object)
    plan.put(c, plan.target, new)


@fault(
    "D17",
    "data",
    "inputs",
    lambda a: [p for p in categories(a) if len(set(golden_look(a)[p])) > 2],
    "code book renumbered upstream",
)
def renumbered(plan: Plan, c: Cols) -> None:
    values = sorted({v for v in plan.golden[plan.target] if v})
    shift = int(plan.rng().integers(1, len(values)))
    swap = {v: values[(i + shift) % len(values)] for i, v in enumerate(values)}
    plan.put(c, plan.target, np.asarray([swap.get(v, v) for v in c[plan.target]], dtype=object))


def _pair(plan: Plan, c: Cols) -> str:
    others = [p for p in numbers(plan.app) if p != plan.target]
    return others[int(plan.rng("pair").integers(len(others)))]


@fault("D20", "data", "inputs", together, "two columns swapped upstream", accept=lambda p: set(p.also))
def swapped(plan: Plan, c: Cols) -> None:
    other = _pair(plan, c)
    a, b = num(c[plan.target]).copy(), num(c[other]).copy()
    plan.put(c, plan.target, b)
    plan.put(c, other, a)
    plan.also |= {other}


@fault("D21", "data", "inputs", broad, "sign flipped")
def negated(plan: Plan, c: Cols) -> None:
    plan.put(c, plan.target, -num(c[plan.target]))


@fault("D22", "data", "inputs", broad, "precision lost: rounded coarsely", shapes=("start", "step", "onoff"))
def rounded(plan: Plan, c: Cols) -> None:
    unit = 10 ** np.floor(np.log10(plan.scale(plan.target) * (0.6 + 3 * plan.level)))
    plan.put(c, plan.target, np.round(num(c[plan.target]) / unit) * unit)


@fault("D23", "data", "inputs", clocks, "clock in another time zone")
def zoned(plan: Plan, c: Cols) -> None:
    hours = (1, 2, -5, 8, 5.5)[int(plan.rng().integers(5))]
    x = num(c[plan.target])
    whole = not (x % 1 > 0).any()
    plan.put(c, plan.target, (x + (round(hours) if whole else hours)) % 24)


@fault("D24", "data", "inputs", broad, "feed frozen: the last value is repeated", shapes=("start", "step", "onoff"))
def frozen(plan: Plan, c: Cols) -> None:
    x = num(c[plan.target]).copy()
    rows = np.flatnonzero(plan.mask)
    if len(rows):
        held = max(1, int(len(rows) * (0.1 + 0.9 * plan.level)))
        x[rows] = x[rows[(np.arange(len(rows)) // held) * held]]
    plan.put(c, plan.target, x)


@fault("D25", "data", "inputs", related, "joined by the wrong key: another row's value")
def shuffled(plan: Plan, c: Cols) -> None:
    rows = np.flatnonzero(plan.some(0.3 + 0.7 * plan.level))
    x = c[plan.target].copy()
    x[rows] = x[plan.rng("p").permutation(rows)]
    c[plan.target] = x


@fault("D26", "data", "inputs", texts, "text cut short")
def cut(plan: Plan, c: Cols) -> None:
    keep = int(8 + 24 * (1 - plan.level))
    plan.put(c, plan.target, np.asarray([v[:keep] if v else v for v in c[plan.target]], dtype=object))


@fault("D27", "data", "inputs", broad, "noise: the sensor or source became unreliable", shapes=SUDDEN)
def noisy(plan: Plan, c: Cols) -> None:
    noise = plan.rng().standard_normal(len(plan.mask)) * plan.scale(plan.target) * (0.5 + 2 * plan.level)
    plan.put(c, plan.target, np.round(num(c[plan.target]) + noise, 3))


@fault("D28", "data", "inputs", broad, "constant offset: calibration lost", shapes=SUDDEN)
def offset(plan: Plan, c: Cols) -> None:
    move = plan.scale(plan.target) * (0.7 + 2.3 * plan.level) * (1 if plan.rng().random() < 0.5 else -1)
    plan.put(c, plan.target, np.round(num(c[plan.target]) + move, 3))


@fault("D29", "data", "inputs", broad, "saturated: nothing above a ceiling", shapes=SUDDEN)
def saturated(plan: Plan, c: Cols) -> None:
    top = np.nanquantile(num(plan.golden[plan.target]), 0.9 - 0.6 * plan.level)
    plan.put(c, plan.target, np.minimum(num(c[plan.target]), top))


@fault("D30", "data", "inputs", categories, "category replaced by a default")
def defaulted(plan: Plan, c: Cols) -> None:
    values = sorted({v for v in plan.golden[plan.target] if v})
    value = ["unknown", "N/A", "", values[0]][int(plan.rng().integers(4))]
    plan.put(c, plan.target, np.full(len(plan.mask), value, dtype=object), plan.some(plan.level))


@fault(
    "D31",
    "data",
    "inputs",
    fractions,
    "decimal separator read as thousands: values with a fraction 10 to 1000 times too large",
)
def separated(plan: Plan, c: Cols) -> None:
    x = num(c[plan.target])
    text = ["" if np.isnan(v) else f"{v:.3f}".rstrip("0").rstrip(".") for v in x]
    digits = np.asarray([len(t.split(".")[1]) if "." in t else 0 for t in text])
    plan.put(c, plan.target, x * 10.0**digits)


@fault("D34", "data", "inputs", together, "filled from another column", accept=lambda p: set())
def copied(plan: Plan, c: Cols) -> None:
    plan.put(c, plan.target, num(c[_pair(plan, c)]))


@fault("D35", "data", "inputs", booleans, "flag inverted")
def inverted(plan: Plan, c: Cols) -> None:
    x: Array = c[plan.target].astype(bool)
    c[plan.target] = np.where(plan.mask, ~x, x)


@fault("D36", "data", "inputs", categories, "one category is folded into another")
def folded(plan: Plan, c: Cols) -> None:
    values = sorted({v for v in plan.golden[plan.target] if v})
    a, b = plan.rng().choice(len(values), 2, replace=False)
    plan.put(c, plan.target, np.asarray([values[b] if v == values[a] else v for v in c[plan.target]], dtype=object))


@fault("Z01", "data", "inputs", unread, "a column that nothing reads goes null or constant: harmless", measure="none")
def harmless(plan: Plan, c: Cols) -> None:
    if plan.rng().random() < 0.5:
        c[plan.target] = holes(c[plan.target], plan.some(0.3 + 0.7 * plan.level))
    else:
        plan.put(c, plan.target, np.full(len(plan.mask), num(plan.golden[plan.target])[0]))
