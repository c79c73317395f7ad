"""One case of the exam: a golden table, a window, the events around them, and the truth about what broke.

Every case comes from `(app, kind, seed)` alone. A fault's effect is measured by running the same window without it.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from . import faults_data, faults_features, faults_llm, faults_model, faults_serving  # noqa: F401  (each registers its faults)
from .app import App
from .apps import app as app_of
from .effects import BANDS, effect
from .fault import FAULTS, Fault, Plan
from .natures import EVENTFUL, KINDS, nature, supports
from .surroundings import events_table, herrings, token, unlogged, when
from .world import HOUR, Array, Cols, Nature, World

DAY = 24 * HOUR


@dataclass(frozen=True)
class Truth:
    """The right answer, and what else a reasonable judge would take for one."""

    app: str
    kind: str
    seed: int
    verdicts: frozenset[str]
    layer: str = ""
    layers: frozenset[str] = frozenset()
    component: str = ""
    components: frozenset[str] = frozenset()
    where: tuple[tuple[str, str], ...] = ()
    wheres: tuple[tuple[tuple[str, str], ...], ...] = ()
    """Other slices that hold (nearly) the same rows."""
    since: pd.Timestamp | None = None
    says: str = ""
    severity: str = ""
    effect: float = 0.0
    measure: str = ""
    shape: str = ""
    rows: int = 0
    """Rows of the window that were hit."""
    level: float = 0.0
    nature: str = "calm"
    announced: bool = False
    without: tuple[str, ...] = ()
    """Groups of columns that this team does not log."""

    @property
    def fault(self) -> bool:
        """Whether something harmful was planted; false also in the grey zone, where either answer is right."""
        return self.verdicts == {"fault"}


@dataclass(frozen=True)
class Case:
    """A case with what it was made from, for tests of the exam itself."""

    golden: pd.DataFrame
    window: pd.DataFrame
    events: pd.DataFrame
    truth: Truth
    clean: Cols
    """The window without the fault, all columns."""
    broken: Cols
    """The window as it came, hidden columns included."""
    mask: Array


def kinds_of(name: str) -> tuple[list[str], list[str]]:
    """The faults and the natural changes that an app can show."""
    a = app_of(name)
    return [k for k, f in FAULTS.items() if f.targets(a) and (not f.dims or any(d in a.dims for d in f.dims))], [
        k for k in KINDS if supports(a, k)
    ]


def case(
    app: str, fault: str, seed: int, *, severity: str = "medium", scope: str = ""
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, Truth]:
    """`(golden, window, events, truth)`; `fault` is a fault's id or a natural change, `scope` "all", "slice" or ""."""
    made = make(app, fault, seed, severity=severity, scope=scope)
    window = made.window
    if seed % 4 == 3:  # some logs come in the order in which workers finished
        window = window.sample(frac=1.0, random_state=seed % 2**32).reset_index(drop=True)
    return made.golden, window, made.events, made.truth


def make(app: str, fault: str, seed: int, *, severity: str = "medium", scope: str = "") -> Case:
    """The case with its clean twin."""
    a = app_of(app)
    rng = np.random.default_rng([seed, zlib.crc32(f"{app}/{fault}".encode())])
    planted = FAULTS.get(fault)
    kind = fault
    if planted:
        quiet = [k for k in ("season", "growth", "mix", "inflation", "weekend") if supports(a, k)]
        kind = quiet[int(rng.integers(len(quiet)))] if quiet and rng.random() < 0.25 else "calm"
    w = _world(a, kind, rng, backdrop=planted is not None)
    prepared = a.prepare(w)
    golden = a.run(prepared, np.flatnonzero(~w.window))
    rows = np.flatnonzero(w.window)
    clean = a.run(prepared, rows)
    if planted is None:
        return _natural(a, kind, seed, rng, w, golden, clean)
    return _planted(a, planted, seed, rng, w, prepared, rows, golden, clean, severity, scope)


def _world(a: App, kind: str, rng: np.random.Generator, *, backdrop: bool) -> World:
    """Choose the calendar: how long golden and window are, how much traffic, and what nature does."""
    per_day = float(np.exp(rng.uniform(*np.log(a.per_day))))
    days = int(rng.integers(a.golden_days[0], a.golden_days[1] + 1))
    hours = int(rng.choice(a.window_hours))
    if kind == "tiny":
        hours, per_day = min(hours, 12), float(rng.uniform(30, 160))
        days = min(days, 10)
    per_day = float(np.clip(per_day, 520 * 24 / hours if kind != "tiny" else 30, 19_000 * 24 / hours))
    per_day = float(np.clip(per_day, 3200 / days if kind != "tiny" else 30, 55_000 / days))
    gap = int(rng.choice([0, 0, 0, 1, 3])) * DAY
    if kind == "night":
        hours = 6
    start = int(rng.integers(19_900, 20_400)) * DAY + int(rng.integers(0, 24)) * HOUR
    golden_end = start + days * DAY
    cut = golden_end + gap
    if kind == "weekend":
        hours = min(hours, 48)
        while (cut // DAY + 3) % 7 != 5:
            cut += DAY
        cut = cut // DAY * DAY
        golden_end = min(golden_end, cut)
    if kind == "night":
        cut = cut // DAY * DAY + 22 * HOUR
        per_day = max(per_day, 3500.0)
    if a.profile == "batch":
        start, golden_end, cut = (t // DAY * DAY for t in (start, golden_end, cut))
        hours = max(24, hours // 24 * 24)
    n = nature(a, kind, rng, 0.5 if backdrop else 1.0)
    if kind == "holiday":
        hours = min(hours, 48)
    seed, end = int(rng.integers(1 << 31)), cut + hours * HOUR
    w = World(seed, start, golden_end, cut, end, per_day, a.profile, a.weekend, n)
    rows = int(w.window.sum())
    if rows < 500 and kind not in ("tiny", "night", "slump"):  # a window in the small hours, or on a quiet day
        per_day *= min(560 / max(rows, 1), 4.0)
        w = World(seed, start, golden_end, cut, end, per_day, a.profile, a.weekend, n)
    return w


def _tables(a: App, golden: Cols, window: Cols, without: tuple[str, ...]) -> tuple[pd.DataFrame, pd.DataFrame]:
    one, two = a.table(golden), a.table(window)
    if "_gone" in window:
        two = two[~window["_gone"]].reset_index(drop=True)
    dropped = [p for p in map(str, one) if p.partition(".")[0] in without]
    return one.drop(columns=dropped), two.drop(columns=dropped, errors="ignore")


def _natural(a: App, kind: str, seed: int, rng: np.random.Generator, w: World, golden: Cols, window: Cols) -> Case:
    without = unlogged(rng, kind, "", set())
    one, two = _tables(a, golden, window, without)
    if kind == "newcolumn":
        two["inputs.new_signal"] = np.round(rng.normal(3, 1, len(two)), 2)
    if kind == "resend":
        two = pd.concat([two, two.iloc[rng.integers(0, len(two), max(1, len(two) // 30))]], ignore_index=True)
    events = herrings(rng, w, often=0.3)
    if kind in EVENTFUL:
        what = {
            "recode": f"deploy {token(rng)}",
            "release": f"model {a.newer}",
            "trial": "experiment 50/50",
            "promo": "campaign",
            "launch": "launch",
            "autoscale": "scale out",
            "newcolumn": "new signal logged",
            "replaced": "node replaced",
        }
        events.append(
            (
                w.onset - int(rng.uniform(1, 20) * 60e6),
                {"release": "deploy", "recode": "deploy", "trial": "flag"}.get(kind, "config"),
                what[kind],
                {},
            )
        )
    verdicts = {"healthy", "notice"} | (
        {"insufficient"} if kind in ("tiny", "slump", "immature") or len(two) < 250 else set()
    )
    truth = Truth(
        a.name,
        kind,
        seed,
        frozenset(verdicts),
        nature=kind,
        says=f"no fault: {kind}",
        since=when(w.onset),
        without=without,
    )
    return Case(one, two, events_table(events), truth, window, window, np.zeros(len(two), dtype=bool))


def _planted(
    a: App,
    f: Fault,
    seed: int,
    rng: np.random.Generator,
    w: World,
    prepared: Cols,
    rows: Array,
    golden: Cols,
    clean: Cols,
    severity: str,
    scope: str,
) -> Case:
    """Try components, slices and strengths until the effect lies in the band; keep the nearest where none does."""
    low, high = BANDS[f.measure][severity]
    best: tuple[float, Plan, Cols, int, str] | None = None
    for attempt in range(24):
        plan, onset, shape = _draft(a, f, seed * 1000 + attempt, rng, w, clean, golden, scope)
        if plan is None:
            continue
        broken = a.run(prepared, rows, plan)
        size = effect(a, f, plan, golden, clean, broken)
        gap = 0.0 if low <= size <= high else abs(np.log(max(size, 1e-5) / (low if size < low else high)))
        if best is None or gap < best[0]:
            best = (gap, plan, broken, onset, shape)
        if gap == 0.0:
            break
    if best is None:
        raise LookupError(f"{f.id} finds no place in {a.name} with scope {scope or 'any'}")
    return _judged(a, f, seed, rng, w, golden, clean, best, severity)


def _judged(
    a: App,
    f: Fault,
    seed: int,
    rng: np.random.Generator,
    w: World,
    golden: Cols,
    clean: Cols,
    best: tuple[float, Plan, Cols, int, str],
    severity: str,
) -> Case:
    _, plan, broken, onset, shape = best
    size = effect(a, f, plan, golden, clean, broken)
    floor = BANDS[f.measure]["subtle"][0]
    verdicts = (
        {"fault"} if size >= floor else {"fault", "notice", "healthy"} if size >= floor / 3 else {"notice", "healthy"}
    )
    if f.measure == "none":
        verdicts = {"notice", "healthy"}
    events = herrings(rng, w, often=0.3)
    announced = bool(rng.random() < f.deploy)
    if announced:
        reach = {p: v for p, v in plan.where.items() if p.startswith("context.")} if rng.random() < 0.7 else {}
        events.append(
            (
                onset - int(rng.uniform(0.5, 25) * 60e6),
                f.kind,
                f"release {token(rng)}" if f.kind == "deploy" else f"{f.kind} {token(rng)}",
                reach,
            )
        )
    component = f.component(plan) if f.component else plan.target
    accepted = frozenset({component}) | (f.accept(plan) if f.accept else frozenset())
    without = unlogged(
        rng, f.id, f.layer, set(plan.where) | {component} | (set() if f.layer == "model" else set(accepted))
    )
    one, two = _tables(a, golden, broken, without)
    real = next((k for k, (lo, hi) in BANDS[f.measure].items() if lo <= size <= hi), "other")
    truth = Truth(
        a.name,
        f.id,
        seed,
        frozenset(verdicts),
        f.layer,
        frozenset({f.layer}) | f.layers,
        component,
        accepted,
        tuple(sorted(plan.where.items())),
        _twins(a, plan, clean),
        when(int(clean["ts"][np.argmax(plan.mask)])),
        f.says,
        real,
        float(size),
        f.measure,
        shape,
        int(plan.mask.sum()),
        plan.level,
        w.nature.kind,
        announced,
        without,
    )
    return Case(one, two, events_table(events), truth, clean, broken, plan.mask)


def _draft(
    a: App, f: Fault, seed: int, rng: np.random.Generator, w: World, clean: Cols, golden: Cols, scope: str
) -> tuple[Plan | None, int, str]:
    """A plan with everything drawn by chance; None where too few rows would be hit."""
    targets = f.targets(a)
    target = targets[int(rng.integers(len(targets)))]
    n = len(clean["ts"])
    share = (
        "slice"
        if f.dims
        else scope
        if scope in f.scopes
        else f.scopes[int(rng.integers(len(f.scopes)))]
        if rng.random() < 0.5
        else f.scopes[-1]
    )
    where = _slice(a, f, rng, clean, golden) if share == "slice" else {}
    if share == "slice" and not where and "slice" in (scope, *f.scopes[:1]):
        return None, 0, ""
    inside = np.ones(n, dtype=bool)
    for path, value in where.items():
        inside &= clean[path] == value
    shape = f.shapes[int(rng.integers(len(f.shapes)))]
    span = w.end - w.cut
    at = 0.0 if shape == "start" else float(rng.uniform(0.1, 0.65))
    onset = int(w.cut + at * span)
    ts = clean["ts"]
    active = ts >= onset
    if shape == "ramp":
        active &= rng.random(n) < np.clip((ts - onset) / (0.35 * span), 0.03, 1)
    elif shape == "onoff":
        period = float(rng.uniform(1.0, max(1.5, span / HOUR / 6))) * HOUR
        active &= ((ts - onset) // period) % 2 == 0
    mask = inside & active
    if mask.sum() < 40:
        return None, 0, ""
    level = float(np.exp(rng.uniform(*np.log(f.levels))))
    plan = Plan(
        f,
        a,
        target,
        level,
        mask,
        inside,
        ts >= onset,
        seed,
        golden,
        where,
        bool(rng.random() < 0.5) and "context" in str(where),
    )
    return plan, onset, shape


def _slice(a: App, f: Fault, rng: np.random.Generator, clean: Cols, golden: Cols) -> dict[str, str]:
    """One or two dimension values that hold 2-25% of the window and are known from golden."""
    places = {
        "features": ("context", "hardware", "model"),
        "model": ("context", "model"),
        "decision": ("context", "model"),
    }
    fit = places.get(
        f.layer, ("context",)
    )  # a feed has no host, and a host that scores otherwise is a fault of its own
    dims = [d for d in f.dims or a.dims if d in clean and (f.dims or d.partition(".")[0] in fit)]
    if f.id in ("M10", "E02", "T06"):
        dims = [d for d in dims if d.startswith("context.")]
    found: list[dict[str, str]] = []
    n = len(clean["ts"])
    for d in dims:
        values, counts = np.unique([v for v in clean[d] if v is not None], return_counts=True)
        found += [
            {d: str(v)}
            for v, k in zip(values, counts, strict=True)
            if 0.02 <= k / n <= (0.4 if f.dims else 0.25) and (golden[d] == v).sum() >= 60
        ]
    if len(dims) >= 2 and (not found or rng.random() < 0.2):
        pairs = list(itertools.combinations([d for d in dims if d.startswith("context.")], 2))
        for _ in range(8 if pairs else 0):
            one, two = pairs[int(rng.integers(len(pairs)))]
            i = int(rng.integers(n))
            both = (clean[one] == clean[one][i]) & (clean[two] == clean[two][i])
            alone = min((clean[one] == clean[one][i]).sum(), (clean[two] == clean[two][i]).sum())
            if 0.02 <= both.mean() <= 0.2 and both.sum() < 0.8 * alone:
                return {one: str(clean[one][i]), two: str(clean[two][i])}
    return found[int(rng.integers(len(found)))] if found else {}


def _twins(a: App, plan: Plan, clean: Cols) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Other single conditions that choose the same rows as the planted slice."""
    out = []
    for d in a.dims if plan.where else ():
        for v in np.unique([v for v in clean.get(d, np.asarray([])) if v is not None]):
            rows = clean[d] == v
            if ((rows & plan.slice).sum() / max((rows | plan.slice).sum(), 1)) > 0.97 and {d: v} != dict(plan.where):
                out.append(((d, str(v)),))
    if plan.fault.id == "E02":
        out.append(((plan.target, "canary"),))
    return tuple(out)


def every(names: list[str]) -> Iterator[tuple[str, str, bool]]:
    """All (app, kind, is a fault) triples of these apps."""
    for name in names:
        broken, natural = kinds_of(name)
        yield from ((name, k, True) for k in broken)
        yield from ((name, k, False) for k in natural)


__all__ = ["BANDS", "Case", "Nature", "Truth", "case", "every", "kinds_of", "make", "replace"]
