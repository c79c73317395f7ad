"""Faults of the features layer: a step returns something else than it would have in golden for the same inputs."""

from __future__ import annotations

import numpy as np

from .app import App
from .fault import Plan, fault, golden_look, ops_of, read_ops
from .ops import Op, num
from .world import Array, Cols


def stores(app: App) -> list[str]:
    """Look-ups whose value of yesterday is known, and whose age is logged: without it nothing shows."""
    look = golden_look(app)
    names = {op.out: op.p["column"].removeprefix("_store.") for op in read_ops(app) if op.kind == "store"}
    return [out for out, name in names.items() if f"_stale.{name}" in look and f"age.{name}" in look]


def _again(plan: Plan, c: Cols, op: Op) -> None:
    """Compute the step with other parameters on the hit rows."""
    plan.put(c, plan.target, op(c))


@fault(
    "F02",
    "features",
    "op",
    ops_of("impute"),
    "imputer fills 0 or a wrong value instead of the median",
    recode=True,
    deploy=0.5,
)
def fill_zero(plan: Plan, c: Cols) -> None:
    value = plan.op.p["value"]
    wrong = 0.0 if plan.rng().random() < 0.6 and value else value * 3 + 1
    if plan.level > 0.5 and value:
        wrong = 0.0
    _again(plan, c, plan.op.but(value=wrong))


@fault(
    "F03",
    "features",
    "op",
    ops_of("ordinal"),
    "category map rebuilt in another order",
    recode=True,
    deploy=0.5,
    shapes=("start", "step", "step", "ramp"),
)
def remapped(plan: Plan, c: Cols) -> None:
    codes = plan.op.p["map"]
    order = plan.rng().permutation(len(codes))
    _again(plan, c, plan.op.but(map={v: int(order[i]) for i, v in enumerate(codes)}))


@fault("F06", "features", "op", ops_of("clip"), "clip bound wrong", recode=True, deploy=0.5)
def clipped(plan: Plan, c: Cols) -> None:
    x = num(plan.golden[plan.op.args[0]])
    _again(plan, c, plan.op.but(high=float(np.nanquantile(x, 0.95 - 0.7 * plan.level))))


@fault("F06b", "features", "op", ops_of("log"), "log base wrong, or log left out", recode=True, deploy=0.5)
def based(plan: Plan, c: Cols) -> None:
    _again(plan, c, plan.op.but(base=10.0 if plan.level > 0.4 else 2.0))


@fault("F12", "features", "op", stores, "feature store a day stale")
def stale(plan: Plan, c: Cols) -> None:
    column = plan.op.p["column"].replace("_store.", "_stale.")
    plan.put(c, plan.target, num(c[column]))
    age = f"age.{column.removeprefix('_stale.')}"
    if age in c:
        plan.put(c, age, num(c[age]) + 86400.0)
        plan.also |= {age}


@fault("F28", "features", "op", ops_of("store"), "aggregate over another window", recode=True, deploy=0.4)
def windowed(plan: Plan, c: Cols) -> None:
    factor = (0.23, 2.1, 4.3)[int(plan.rng().integers(3))]
    plan.put(c, plan.target, num(c[plan.target]) * factor)


def _other_stats(plan: Plan, factor: float, shift: float) -> Op:
    p = plan.op.p
    return plan.op.but(mean=p["mean"] + shift * p["sd"], sd=p["sd"] * factor)


@fault("F20", "features", "op", ops_of("scale"), "scaler refitted on other data", recode=True, deploy=0.5)
def rescaled(plan: Plan, c: Cols) -> None:
    _again(
        plan,
        c,
        _other_stats(
            plan,
            float(np.exp(plan.rng().uniform(-0.8, 0.8))),
            (0.3 + 1.5 * plan.level) * (1 if plan.rng("s").random() < 0.5 else -1),
        ),
    )


@fault(
    "P01",
    "features",
    "op",
    ops_of("scale", "clip", "bucket", "log", "lookup", "ratio", "words"),
    "serving runs an older version of the step than training did",
    recode=True,
    deploy=0.6,
)
def older(plan: Plan, c: Cols) -> None:
    kind, p = plan.op.kind, plan.op.p
    if kind == "scale":
        _again(plan, c, _other_stats(plan, 1.3, 0.3 + 0.9 * plan.level))
    elif kind == "clip":
        _again(plan, c, plan.op.but(high=p["low"] + (p["high"] - p["low"]) * (1 - 0.85 * plan.level)))
    elif kind == "bucket":
        _again(plan, c, plan.op.but(edges=[e * (1 + 0.8 * plan.level) for e in p["edges"]]))
    elif kind == "log":
        _again(plan, c, plan.op.but(shift=p.get("shift", 1.0) + plan.scale(plan.op.args[0]) * (0.3 + plan.level)))
    elif kind == "lookup":
        values = list(p["table"].values())
        order = plan.rng().permutation(len(values))
        _again(plan, c, plan.op.but(table={k: values[order[i]] for i, k in enumerate(p["table"])}))
    elif kind == "words":
        _again(plan, c, plan.op.but(words=set(sorted(p["words"])[: max(1, len(p["words"]) // 3)])))
    else:
        plan.put(c, plan.target, num(c[plan.target]) * (1 - 0.7 * plan.level))


@fault("F21", "features", "op", ops_of("ratio"), "ratio turned upside down", recode=True, deploy=0.5)
def upside_down(plan: Plan, c: Cols) -> None:
    x = num(c[plan.target])
    plan.put(c, plan.target, np.where(np.abs(x) > 1e-9, 1 / np.where(np.abs(x) > 1e-9, x, 1.0), 0.0))


@fault(
    "F22",
    "features",
    "op",
    ops_of("lookup"),
    "lookup table loaded in part: the rest gets the default",
    deploy=0.3,
    kind="data",
)
def half_table(plan: Plan, c: Cols) -> None:
    keys = sorted(plan.op.p["table"])
    kept = set(plan.rng().permutation(keys)[: int(len(keys) * (1 - 0.8 * plan.level))])
    _again(plan, c, plan.op.but(table={k: v for k, v in plan.op.p["table"].items() if k in kept}))


@fault("F23", "features", "op", ops_of("bucket"), "bucket edges off", recode=True, deploy=0.5)
def rebucketed(plan: Plan, c: Cols) -> None:
    edges = plan.op.p["edges"]
    new = (
        [e * (0.35 + 0.4 * plan.level) for e in edges]
        if plan.rng().random() < 0.5
        else list(edges[1:])
        if len(edges) > 1
        else [e * 1.6 for e in edges]
    )
    _again(plan, c, plan.op.but(edges=new))


def groups(app: App) -> list[str]:
    """One-hot columns that have a sister."""
    ops = [op for op in read_ops(app) if op.kind == "is"]
    return [op.out for op in ops if sum(o.args == op.args and o.step == op.step for o in ops) > 1]


def sisters(app: App) -> list[str]:
    """Outputs of a step that has another numeric output, of a like kind."""
    ops = [op for op in read_ops(app) if op.kind in ("scale", "log", "impute", "store")]
    return [op.out for op in ops if sum(o.step == op.step for o in ops) > 1]


def _exchange(plan: Plan, c: Cols, twins: list[str]) -> None:
    twin = twins[int(plan.rng("twin").integers(len(twins)))]
    a, b = num(c[plan.target]).copy(), num(c[twin]).copy()
    plan.put(c, plan.target, b)
    plan.put(c, twin, a)
    plan.also |= {plan.target, twin}


def _step(plan: Plan) -> str:
    return ".".join(plan.target.split(".")[:2])


@fault(
    "F24",
    "features",
    "steps",
    groups,
    "one-hot columns in another order",
    recode=True,
    deploy=0.5,
    component=_step,
    accept=lambda p: set(p.also),
)
def reordered(plan: Plan, c: Cols) -> None:
    ops = [op for op in read_ops(plan.app) if op.kind == "is"]
    mine = next(op for op in ops if op.out == plan.target)
    _exchange(
        plan, c, [op.out for op in ops if op.args == mine.args and op.step == mine.step and op.out != plan.target]
    )


@fault(
    "F27",
    "features",
    "steps",
    sisters,
    "two outputs of a step exchanged",
    recode=True,
    deploy=0.5,
    component=_step,
    accept=lambda p: set(p.also),
)
def exchanged(plan: Plan, c: Cols) -> None:
    ops = [op for op in read_ops(plan.app) if op.kind in ("scale", "log", "impute", "store")]
    step = plan.target.split(".")[1]
    _exchange(plan, c, [op.out for op in ops if op.step == step and op.out != plan.target])


@fault(
    "F25",
    "features",
    "op",
    lambda a: [op.out for op in read_ops(a) if op.kind in ("log", "scale", "clip", "norm") and op.args],
    "step skipped: its input passes through",
    recode=True,
    deploy=0.5,
)
def skipped(plan: Plan, c: Cols) -> None:
    plan.put(c, plan.target, c[plan.op.args[0]] if plan.op.kind == "norm" else num(c[plan.op.args[0]]))


@fault("F26", "features", "op", ops_of("log", "scale"), "step applied twice", recode=True, deploy=0.5)
def twice(plan: Plan, c: Cols) -> None:
    again: Cols = {**c, plan.op.args[0]: c[plan.target]}
    plan.put(c, plan.target, plan.op(again))


@fault("F29", "features", "op", ops_of("sin"), "cyclic feature with the wrong period or phase", recode=True, deploy=0.5)
def cyclic(plan: Plan, c: Cols) -> None:
    op = plan.op
    _again(
        plan,
        c,
        op.but(period=op.p["period"] / 2)
        if plan.rng().random() < 0.4
        else op.but(phase=op.p.get("phase", 0.0) + 3 + 6 * plan.level),
    )


@fault(
    "F30",
    "features",
    "op",
    lambda a: [op.out for op in read_ops(a) if op.kind in ("scale", "log", "ratio")],
    "feature cast to integer",
    recode=True,
    deploy=0.4,
)
def integer(plan: Plan, c: Cols) -> None:
    plan.put(c, plan.target, np.trunc(num(c[plan.target])))


@fault(
    "F31",
    "features",
    "op",
    lambda a: [op.out for op in read_ops(a) if op.kind in ("impute", "scale", "ratio", "diff", "times")],
    "step returns a multiple",
    recode=True,
    deploy=0.5,
)
def multiple(plan: Plan, c: Cols) -> None:
    factor = (0.01, 100.0, 1000.0, 0.1, 10.0)[int(plan.rng().integers(5))]
    plan.put(c, plan.target, num(c[plan.target]) * factor)


@fault(
    "F32",
    "features",
    "op",
    lambda a: [op.out for op in read_ops(a) if op.kind in ("impute", "scale", "log", "ratio", "store", "lookup")],
    "step returns nothing for some rows",
    recode=True,
    deploy=0.4,
)
def lost(plan: Plan, c: Cols) -> None:
    x: Array = num(c[plan.target]).copy()
    x[plan.some(0.2 + 0.8 * plan.level)] = np.nan
    c[plan.target] = x
