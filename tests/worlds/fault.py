"""What a planted fault is: where it sits, which rows it hits, how hard, and what a right answer names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from .app import App, neutral
from .ops import Op, num
from .world import Array, Cols


@dataclass
class Plan:
    """One fault planted in one window. `mask` are the rows that it hits; `slice` those it may ever hit."""

    fault: Fault
    app: App
    target: str
    level: float
    mask: Array
    slice: Array
    after_onset: Array
    seed: int
    golden: Cols
    where: Mapping[str, str]
    spread_code: bool = False
    """The new code went out to everyone, though it only bites in the slice."""
    also: set[str] = field(default_factory=set)
    """Further components that reasonable people would name, known only once it is planted."""

    def after(self, stage: str, c: Cols) -> None:
        """Hit the columns when the fault's stage has just been computed."""
        at = self.target if self.fault.at == "op" else self.fault.at
        if stage == at:
            self.fault.hit(self, c)
        if stage == "inputs" and self.fault.recode and self.fault.at in ("op", "steps") and self.app.fingerprints:
            path = f"code.{self.target.split('.')[1]}"
            rows = self.after_onset if self.spread_code else self.mask
            c[path] = np.where(rows, np.asarray([v[::-1] for v in c[path]], dtype=object), c[path])

    def rng(self, name: str = "") -> np.random.Generator:
        """Chance of the fault's own, the same at each call."""
        return np.random.default_rng([self.seed, len(name)])

    def some(self, share: float) -> Array:
        """A random share of the hit rows."""
        return np.asarray(self.mask & (self.rng().random(len(self.mask)) < share))

    @property
    def op(self) -> Op:
        """The step that the fault sits in."""
        return next(op for op in self.app.ops if op.out == self.target)

    def put(self, c: Cols, path: str, values: Array, rows: Array | None = None) -> None:
        """Write values into a column at the hit rows, keeping its kind."""
        rows = self.mask if rows is None else rows
        old = c[path]
        if old.dtype.kind in "fiu" and values.dtype.kind in "fiub":
            c[path] = np.where(rows, values.astype(float), old.astype(float))
        else:
            new = old.astype(object)
            new[rows] = values[rows]
            c[path] = new

    def scale(self, path: str) -> float:
        """A golden standard deviation of a numeric column, robust to tails."""
        x = num(self.golden[path])
        low, high = np.nanquantile(x, [0.1, 0.9])
        return float(max((high - low) / 2.56, 1e-6 + 0.2 * np.nanstd(x)))


@dataclass(frozen=True)
class Fault:
    """One kind of fault. `hit` changes columns at `at`; `targets` are the components of an app where it can sit."""

    id: str
    layer: str
    at: str
    targets: Callable[[App], list[str]]
    hit: Callable[[Plan, Cols], None]
    says: str
    measure: str = "flips"
    """flips (of decisions, or score moves), p95 (of spans.total), cost, labels (lost or wrong), errors, share."""
    recode: bool = False
    """A change of code or parameters, which the step's fingerprint shows."""
    deploy: float = 0.15
    """How often an event announces it."""
    kind: str = "deploy"
    scopes: tuple[str, ...] = ("all", "slice")
    shapes: tuple[str, ...] = ("start", "step", "step", "ramp", "onoff")
    levels: tuple[float, float] = (0.05, 1.0)
    component: Callable[[Plan], str] | None = None
    accept: Callable[[Plan], set[str]] | None = None
    layers: frozenset[str] = frozenset()
    """Further layers that reasonable people would accept."""
    dims: tuple[str, ...] = ()
    """Where it must be confined to one of these dimensions (a host)."""


FAULTS: dict[str, Fault] = {}


def fault(
    name: str, layer: str, at: str, targets: Callable[[App], list[str]], says: str, **more: object
) -> Callable[[Callable[[Plan, Cols], None]], Callable[[Plan, Cols], None]]:
    """Register the decorated function as what the fault does."""

    def register(hit: Callable[[Plan, Cols], None]) -> Callable[[Plan, Cols], None]:
        assert name not in FAULTS, name
        FAULTS[name] = Fault(name, layer, at, targets, hit, says, **more)  # type: ignore[arg-type]
        return hit

    return register


# -- which components of an app a fault can sit in ---------------------------------------------------------------------
@cache
def golden_look(app: App) -> Cols:
    """A few hundred rows as they come in, to see what columns an app has and of which kind; no model is needed."""
    w = neutral(5)
    return {k: v[:900] for k, v in app.prepare(w).items()}


def read_inputs(app: App) -> set[str]:
    """Inputs that the model depends on, through whatever steps."""
    needed = set(app.features)
    for op in reversed(app.ops):
        if op.out in needed:
            needed |= set(op.args)
    if not app.ops:
        return {p for p in golden_look(app) if p.startswith("inputs.")}
    return {p for p in needed if p.startswith("inputs.")}


def read_ops(app: App) -> list[Op]:
    """Steps whose output the model depends on."""
    needed = set(app.features)
    for op in reversed(app.ops):
        if op.out in needed:
            needed |= set(op.args)
    return [op for op in app.ops if op.out in needed]


def numbers(app: App) -> list[str]:
    """Numeric inputs that matter."""
    look = golden_look(app)
    return sorted(p for p in read_inputs(app) if look[p].dtype.kind == "f")


def broad(app: App) -> list[str]:
    """Numeric inputs that matter and take many values."""
    look = golden_look(app)
    return [p for p in numbers(app) if len(np.unique(look[p])) > 25]


def categories(app: App) -> list[str]:
    """Text inputs of few values that matter."""
    look = golden_look(app)
    out = []
    for p in sorted(read_inputs(app)):
        if look[p].dtype.kind == "O" and isinstance(look[p][0], str) and len({v for v in look[p] if v}) <= 40:
            out.append(p)
    return out


def booleans(app: App) -> list[str]:
    """Boolean inputs that matter."""
    look = golden_look(app)
    return [p for p in sorted(read_inputs(app)) if look[p].dtype.kind == "b"]


def unread(app: App) -> list[str]:
    """Inputs that nothing depends on."""
    look = golden_look(app)
    used = read_inputs(app) | {a for op in app.ops for a in op.args}
    return sorted(p for p in look if p.startswith("inputs.") and p not in used and look[p].dtype.kind in "fb")


def ops_of(*kinds: str) -> Callable[[App], list[str]]:
    """Outputs of the steps of these kinds that matter."""
    return lambda app: [op.out for op in read_ops(app) if op.kind in kinds]


def if_(test: Callable[[App], object], target: Callable[[App], str]) -> Callable[[App], list[str]]:
    """One target where the app has what it takes."""
    return lambda app: [target(app)] if test(app) else []
