"""Faults of serving, of hardware, and of the recorder itself."""

from __future__ import annotations

import numpy as np

from .app import App
from .fault import Plan, fault, if_
from .ops import num
from .world import Cols


def dependencies(app: App) -> list[str]:
    return [f"spans.{s.name}" for s in app.spans if not s.queue and not s.cpu]


def spans(app: App) -> list[str]:
    return [f"spans.{s.name}" for s in app.spans if not s.queue]


def queues(app: App) -> list[str]:
    return [f"spans.{s.name}" for s in app.spans if s.queue]


def stored(app: App) -> list[str]:
    return (
        sorted({f"spans.{op.p['span']}" for op in app.ops if op.kind == "store" and "span" in op.p})
        if app.timeout_ms
        else []
    )


@fault("I01", "serving", "spans", dependencies, "a dependency got slower", measure="p95")
def slower(plan: Plan, c: Cols) -> None:
    plan.put(c, plan.target, c[plan.target] * (1.1 + 4 * plan.level**2))


@fault("I02", "serving", "spans", queues, "queue: burst, or pool too small", measure="p95", deploy=0.3, kind="config")
def queued(plan: Plan, c: Cols) -> None:
    plan.put(c, plan.target, c[plan.target] * (1.5 + 20 * plan.level**2))


@fault(
    "I08",
    "serving",
    "inputs",
    stored,
    "an early return skips the look-up: faster and wrong",
    deploy=0.5,
    shapes=("start", "step", "step", "onoff"),
    layers=frozenset({"features"}),
    accept=lambda p: {op.out for op in p.app.ops if op.kind == "store"},
)
def skipped(plan: Plan, c: Cols) -> None:
    c["_skipped"] = plan.mask.copy()


@fault("F13", "serving", "inputs", stored, "look-ups time out and return the default", layers=frozenset())
def timeouts(plan: Plan, c: Cols) -> None:
    c["_timeout"] = c["_timeout"] | plan.some(plan.level)


@fault(
    "I10",
    "serving",
    "inputs",
    if_(lambda a: a.errors, lambda a: "error"),
    "requests fail more often",
    measure="errors",
    accept=lambda p: {"error", "decision", p.app.score_path} | set(dependencies(p.app)),
)
def failing(plan: Plan, c: Cols) -> None:
    known = sorted(plan.app.errors)
    kind = known[0] if plan.rng().random() < 0.6 else "ConnectionResetError"
    base = sum(plan.app.errors.values())
    c["_error_rate"] = np.where(plan.mask, base + 0.6 * plan.level, base)
    c["_error_kind"] = np.full(len(plan.mask), kind, dtype=object)


@fault(
    "I11", "serving", "spans", dependencies, "retries: a share of the calls is made two or three times", measure="p95"
)
def retried(plan: Plan, c: Cols) -> None:
    times = 2 + (plan.rng("n").random(len(plan.mask)) < 0.4)
    plan.put(c, plan.target, c[plan.target] * times, plan.some(0.2 + 0.8 * plan.level))


@fault(
    "I12",
    "serving",
    "record",
    if_(lambda a: a.spans, lambda a: "spans.total"),
    "time passes outside of every span: network or serialisation",
    measure="p95",
    accept=lambda p: {"spans"},
)
def network(plan: Plan, c: Cols) -> None:
    typical = float(np.nanmedian(c["spans.total"]))
    extra = typical * (0.1 + plan.level**2) * np.exp(0.3 * plan.rng().standard_normal(len(plan.mask)))
    plan.put(c, plan.target, np.round(c["spans.total"] + extra, 3))


@fault("I13", "serving", "spans", dependencies, "a dependency's tail: some calls take ten times as long", measure="p95")
def tail(plan: Plan, c: Cols) -> None:
    plan.put(c, plan.target, c[plan.target] * 10, plan.some(0.04 + 0.2 * plan.level))


# -- hardware ------------------------------------------------------------------------------------------------
def hosted(app: App) -> bool:
    return len(app.hosts) >= 3


def hardware_names(plan: Plan) -> set[str]:
    return {"hardware", *(p for p in plan.golden if p.startswith("hardware."))}


@fault(
    "H01",
    "hardware",
    "inputs",
    if_(lambda a: hosted(a) and any(s.cpu for s in a.spans), lambda a: "hardware.host"),
    "one host throttles",
    scopes=("slice",),
    dims=("hardware.host",),
    measure="p95",
    accept=lambda p: hardware_names(p) | {f"spans.{s.name}" for s in p.app.spans if s.cpu},
)
def throttled(plan: Plan, c: Cols) -> None:
    factor = 1.3 + 3 * plan.level
    c["_slow"] = np.where(plan.mask, factor, 1.0)
    if "hardware.clock_mhz" in c:
        plan.put(c, "hardware.clock_mhz", np.round(num(c["hardware.clock_mhz"]) / factor))
    if "hardware.temperature_c" in c:
        plan.put(c, "hardware.temperature_c", num(c["hardware.temperature_c"]) + 15)


@fault(
    "H05",
    "hardware",
    "model",
    if_(hosted, lambda a: "hardware.host"),
    "one device computes wrongly",
    scopes=("slice",),
    dims=("hardware.host",),
    accept=hardware_names,
)
def miscomputes(plan: Plan, c: Cols) -> None:
    rows = plan.some(0.3 + 0.7 * plan.level)
    spread = np.nanstd(num(plan.golden["_raw"]))
    wrong = c["_raw"] + spread * (0.3 + 1.5 * plan.level) * plan.rng("z").standard_normal(len(rows))
    c["_raw"] = np.where(rows, wrong, c["_raw"])


# -- recorder ------------------------------------------------------------------------------------------------
@fault(
    "K01",
    "recorder",
    "record",
    if_(lambda a: a.sequence, lambda a: "recorder.dropped"),
    "the recorder itself drops predictions",
    measure="share",
    accept=lambda p: {"recorder", "recorder.seq", "recorder.dropped"},
    shapes=("start", "step", "step"),
)
def dropped(plan: Plan, c: Cols) -> None:
    gone = plan.some(0.1 + 0.5 * plan.level)
    counts = np.cumsum(gone)
    c["_gone"] = gone
    last = np.zeros(len(gone))
    last[~gone] = np.diff(np.concatenate([[0], counts[~gone]]))
    c["recorder.dropped"] = c["recorder.dropped"] + last


@fault(
    "K02",
    "recorder",
    "record",
    lambda a: sorted({op.step for op in a.ops}),
    "the recorder no longer keeps a step's outputs; the model still gets them",
    measure="share",
    component=lambda p: f"recorder.{p.target}",
    layers=frozenset({"features"}),
    accept=lambda p: {"recorder", f"steps.{p.target}"} | {op.out for op in p.app.ops if op.step == p.target},
    deploy=0.4,
)
def unrecorded(plan: Plan, c: Cols) -> None:
    from .world import holes

    for op in plan.app.ops:
        if op.step == plan.target:
            c[op.out] = holes(c[op.out], plan.mask)
