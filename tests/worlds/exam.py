"""The exam: seeded cases from all worlds, put to `whimbrel.diagnose`, and marked.

    python -m tests.worlds.exam --n 100 --seed 0 --jobs 2 --only healthy|faults|<app>|<fault> [--json]

Prints a row for each failed case with what was said and what is true, then tables by layer, by fault and by app.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import traceback
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from .apps import NAMES
from .cases import Truth, case, every


@dataclass(frozen=True)
class Mark:
    """How one case went. Fields about findings are None where nothing was planted."""

    app: str
    kind: str
    seed: int
    planted: bool
    right: bool
    """The verdict is among the acceptable ones."""
    verdict: str
    layer: bool | None = None
    component: bool | None = None
    component3: bool | None = None
    where: bool | None = None
    confidence: float | None = None
    late_h: float | None = None
    """Onset said minus true onset, in hours."""
    seconds: float = 0.0
    sentence: str = ""
    truth: str = ""
    first: str = ""
    true_layer: str = ""
    severity: str = ""
    scope: str = ""
    shape: str = ""
    rows: int = 0
    error: str = ""

    @property
    def full(self) -> bool:
        """Verdict, layer and component right."""
        return self.right and (not self.planted or bool(self.layer and self.component))


def named(component: str, truth: Truth) -> bool:
    """Whether a component is one of the acceptable ones, exactly or as a prefix at a dot, either way round."""
    return any(
        component == t or t.startswith(component + ".") or component.startswith(t + ".") for t in truth.components
    )


def conditions(where: Iterable[Any]) -> tuple[tuple[str, str], ...]:
    """A finding's slice as sorted (path, value) pairs."""
    return tuple(sorted((c.path, c.value if c.op == "=" else f"{c.op}{c.value}") for c in where))


def mark(report: Any, truth: Truth, seconds: float) -> Mark:
    """Mark one report."""
    base = {
        **known(truth),
        "right": report.verdict in truth.verdicts,
        "verdict": report.verdict,
        "seconds": seconds,
        "sentence": report.sentence,
    }
    found = list(report.findings)
    base["confidence"] = found[0].confidence if found and report.verdict == "fault" else None
    if found:
        base["first"] = f"{found[0].layer}/{found[0].component} {dict(conditions(found[0].where))}"
    if not truth.fault:
        return Mark(**base)
    first = found[0] if found else None
    base["layer"] = first is not None and first.layer in truth.layers
    base["component"] = first is not None and named(first.component, truth)
    base["component3"] = any(named(f.component, truth) for f in found[:3])
    base["where"] = first is not None and conditions(first.where) in (truth.where, *truth.wheres)
    if first is not None and first.since is not None and truth.since is not None:
        base["late_h"] = (first.since - truth.since.to_pydatetime()).total_seconds() / 3600
    return Mark(**base)


def known(truth: Truth) -> dict[str, Any]:
    """What a mark says of the case itself."""
    return {
        "app": truth.app,
        "kind": truth.kind,
        "seed": truth.seed,
        "planted": truth.fault,
        "truth": told(truth),
        "true_layer": truth.layer,
        "severity": truth.severity,
        "scope": "+".join(p.removeprefix("context.") for p, _ in truth.where) or "all",
        "shape": truth.shape,
        "rows": truth.rows,
    }


def told(truth: Truth) -> str:
    """The truth in a line."""
    if not truth.layer:
        return f"{truth.says}; since {truth.since}"
    parts = [
        f"{truth.says}: {truth.layer}/{truth.component} {dict(truth.where)}",
        f"since {truth.since:%m-%d %H:%M} ({truth.shape})",
        f"{truth.measure} {truth.effect:.1%}, {truth.rows} rows, level {truth.level:.2f}, nature {truth.nature}",
    ]
    parts += ["announced"] if truth.announced else []
    parts += ["not logged: " + " ".join(truth.without)] if truth.without else []
    return ", ".join(parts)


def sit(task: tuple[str, str, int, str]) -> Mark | None:
    """Make one case, have it diagnosed, mark it; None where the fault finds no place in the app."""
    import warnings

    import whimbrel

    warnings.simplefilter("ignore")
    app, kind, seed, severity = task
    try:
        golden, window, events, truth = case(app, kind, seed, severity=severity)
    except LookupError:
        return None
    start = time.perf_counter()
    try:
        diagnose: Any = whimbrel.diagnose
        if not callable(diagnose):  # the room of that name was imported first and hides the function
            diagnose = diagnose.diagnose
        report = diagnose(golden, window, events=events if len(events) else None, app=app)
    except Exception as error:  # noqa: BLE001  (a crash is a mark like any other)
        where = traceback.extract_tb(error.__traceback__)[-1]
        message = next(iter(str(error).splitlines()), "")
        said = f"{type(error).__name__}: {message} ({where.filename.rsplit('/', 1)[-1]}:{where.lineno})"
        crash = Mark(
            **{
                **known(truth),
                "right": False,
                "verdict": "crash",
                "seconds": time.perf_counter() - start,
                "error": said,
            }
        )
        return replace(crash, layer=False, component=False, component3=False, where=False) if truth.fault else crash
    return mark(report, truth, time.perf_counter() - start)


def draw(n: int, seed: int, only: str, severity: str) -> list[tuple[str, str, int, str]]:
    """Tasks: every kind about equally often, over the apps that can show it; half of them with nothing broken."""
    triples = list(every(list(NAMES)))
    if only in ("healthy", "faults"):
        triples = [t for t in triples if t[2] == (only == "faults")]
    elif only:
        triples = [t for t in triples if only in t[:2]]
    if not triples:
        raise SystemExit(
            f"nothing is called {only!r}; apps: {', '.join(NAMES)}; "
            f"kinds: {', '.join(sorted({k for _, k, _ in every(list(NAMES))}))}"
        )
    rng = np.random.default_rng(seed)
    tasks: list[tuple[str, str, int, str]] = []
    pools = [[t for t in triples if t[2]], [t for t in triples if not t[2]]]
    pools = [p for p in pools if p]
    decks: list[list[str]] = [[] for _ in pools]
    for i in range(n):
        j = i % len(pools)
        if not decks[j]:
            decks[j] = [str(k) for k in rng.permutation(sorted({k for _, k, _ in pools[j]}))]
        kind = decks[j].pop()
        places = [a for a, k, _ in pools[j] if k == kind]
        level = severity if severity != "mixed" else str(rng.choice(["subtle", "medium", "medium", "loud"]))
        tasks.append((places[int(rng.integers(len(places)))], kind, seed * 100_000 + i, level))
    return tasks


def rate(hits: list[Any]) -> str:
    """A share with its count."""
    return f"{sum(map(bool, hits))}/{len(hits)} {np.mean([bool(h) for h in hits]):4.0%}" if hits else "-"


def table(title: str, marks: list[Mark], key: Any) -> None:
    """One line a group."""
    print(
        f"\n{title:24} {'n':>4} {'verdict':>12} {'layer':>12} {'component':>12} {'top 3':>12} {'slice':>12}"
        f" {'|onset| h':>10} {'s':>6}"
    )
    for name in sorted({key(m) for m in marks}):
        mine = [m for m in marks if key(m) == name]
        hit = [m for m in mine if m.planted]
        late = [abs(m.late_h) for m in hit if m.late_h is not None]
        cells = [rate([m.right for m in mine])] + [
            rate([getattr(m, a) for m in hit]) for a in ("layer", "component", "component3", "where")
        ]
        print(
            f"{name:24} {len(mine):4} "
            + " ".join(f"{c:>12}" for c in cells)
            + f" {np.median(late) if late else float('nan'):10.2f} {np.mean([m.seconds for m in mine]):6.1f}"
        )


def failure(m: Mark) -> None:
    """A failed case: what is true and what was said."""
    what = (
        "CRASH"
        if m.verdict == "crash"
        else ("HARMLESS" if m.true_layer else "FALSE ALARM")
        if not m.planted
        else "MISSED"
        if not m.right
        else "SLICE"
        if m.full
        else "WRONG"
    )
    print(f"\n{what}  {m.app} {m.kind} seed {m.seed}  ({m.severity or 'no fault'}; {m.seconds:.1f} s)")
    print(f"  truth  {m.truth}\n  said   {m.error or m.sentence}\n  first  {m.verdict}: {m.first}", flush=True)


def show(marks: list[Mark]) -> None:
    """The tables."""
    faults, calm = [m for m in marks if m.planted], [m for m in marks if not m.planted and not m.true_layer]
    harmless = [m for m in marks if not m.planted and m.true_layer]
    if faults:
        table("layer", faults, lambda m: m.true_layer)
        table("severity", faults, lambda m: m.severity)
        table(
            "scope",
            faults,
            lambda m: (
                "all"
                if m.scope == "all"
                else "host"
                if "host" in m.scope
                else "two dims"
                if "+" in m.scope
                else "one dim"
            ),
        )
        table("shape", faults, lambda m: m.shape)
        table("rows hit", faults, lambda m: f"{10 ** int(np.log10(max(m.rows, 1))):>6}+")
        table("fault", faults, lambda m: m.kind)
        table("app", faults, lambda m: m.app)
        table("ALL FAULTS", faults, lambda m: "")
    said = [m for m in marks if m.confidence is not None]
    if said:
        print("\nof faults said with confidence …, this share has verdict, layer and component right:")
        for low in (0.0, 0.5, 0.7, 0.8, 0.9, 0.95):
            mine = [m.full for m in said if low <= (m.confidence or 0.0)]
            print(f"  at least {low:.2f}: {rate(mine)}")
    if harmless:
        table("planted but harmless", harmless, lambda m: m.kind)
    if calm:
        table("no fault", calm, lambda m: m.kind)
        table("no fault, by app", calm, lambda m: m.app)
        print(f"\nfalse alarms: {rate([not m.right for m in calm])}")


def main() -> None:
    """Read the arguments, sit the exam, print the marks."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.worlds.exam", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=100, help="cases")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="healthy, faults, an app, a fault or a natural change")
    parser.add_argument("--severity", default="medium", choices=["subtle", "medium", "loud", "mixed"])
    parser.add_argument(
        "--case", nargs=3, metavar=("APP", "KIND", "SEED"), help="one case: print its truth and the report"
    )
    parser.add_argument("--json", action="store_true", help="print the marks as JSON instead")
    options = parser.parse_args()
    if options.case:
        tasks = [(options.case[0], options.case[1], int(options.case[2]), options.severity)]
    else:
        tasks = draw(options.n, options.seed, options.only, options.severity)
    marks: list[Mark] = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for i, result in enumerate(pool.map(sit, sorted(tasks)), 1):
            print(f"\r{i}/{len(tasks)}", end="" if i < len(tasks) else "\n", file=sys.stderr, flush=True)
            if result is None:
                continue
            marks.append(result)
            if not options.json and not (result.full and result.where is not False):
                failure(result)
    if options.json:
        print(json.dumps([asdict(m) for m in marks], indent=1, default=str))
    else:
        show(marks)


if __name__ == "__main__":
    main()
