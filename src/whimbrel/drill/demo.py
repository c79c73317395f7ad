"""The demo: real flights served and recorded, something tiny broken in one slice, a diagnosis that is told nothing.

In: a home folder, the name of what to break. Out: a `Demo`: the report, the page, what was truly done. `text` tells it
for a terminal. `cli/` and tests may call.
"""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import numpy as np

from whimbrel.diagnose import diagnose_log
from whimbrel.drill.apps.flights import FLIGHTS, world
from whimbrel.drill.case import Truth
from whimbrel.drill.columns import Columns, length, merge, take
from whimbrel.drill.faults import Planted
from whimbrel.drill.grade import grade
from whimbrel.drill.live import serve_live
from whimbrel.drill.plant import Site, Wanted, site, variants
from whimbrel.drill.records import known_by, served
from whimbrel.drill.world import World, releases
from whimbrel.errors import UsageError
from whimbrel.model.report import Report
from whimbrel.model.window import Window, iso
from whimbrel.record import Recorder
from whimbrel.report import html
from whimbrel.report.text import report as told
from whimbrel.report.text import wrapped
from whimbrel.settings import Settings
from whimbrel.store import open_log

APP = "flights"
SINCE, UNTIL = datetime(2013, 6, 3, tzinfo=UTC), datetime(2013, 6, 6, tzinfo=UTC)
GOLDEN_DAYS = 21
"""Three days in June and the three weeks before them: about 22,000 flights."""
ONSET = datetime(2013, 6, 4, 16, 40, tzinfo=UTC)

Progress = Callable[[str, float | None], None]
"""What is being done, and how much of it is done, from 0 to 1 (None where that is not known)."""


@dataclass(frozen=True, slots=True)
class Breakage:
    """A fault of the catalogue where the demo plants it."""

    fault: str
    where: Mapping[str, str]
    severity: str = "medium"


BREAKAGES: Mapping[str, Breakage] = MappingProxyType(
    {
        "kilometres": Breakage("D02/distance", {"context.tenant": "atlas"}, "subtle"),
        "hours": Breakage("D02/airport_delay", {"context.channel": "app"}, "subtle"),
        "lost-carrier": Breakage("D05/carrier", {"context.channel": "web"}),
        "lower-case": Breakage("D16/origin", {"context.channel": "desk"}),
        "code-book": Breakage("D17/maker", {"context.tenant": "atlas"}),
        "clipped": Breakage("F06/airport_delay", {"context.tenant": "borealis"}, "subtle"),
        "shuffled-map": Breakage("F03/dest", {"context.tenant": "atlas"}),
        "stale-store": Breakage("F12", {"context.origin": "JFK"}),
        "old-scaler": Breakage("P01", {"context.channel": "app"}),
        "old-model": Breakage("M01", {"context.host": "edge-1"}),
        "int8": Breakage("M03", {"context.host": "edge-2"}),
        "no-calibrator": Breakage("M07", {"context.channel": "partner"}),
        "threshold": Breakage("O01/lower", {"context.tenant": "corvus"}),
        "fallback": Breakage("O06", {"context.tenant": "atlas"}),
        "shifted-labels": Breakage("L02", {"context.origin": "LGA"}),
        "time-outs": Breakage("F13", {"context.origin": "EWR"}, "subtle"),
        "slow-weather": Breakage("I01/weather", {"context.tenant": "borealis"}),
    }
)
"""What the demo can break, by name."""
DEFAULT = "kilometres"


@dataclass(frozen=True, slots=True)
class Demo:
    """What happened: how many flights were recorded, what the diagnosis said, what had been done to them."""

    home: Path
    since: datetime
    flights: int
    labels: int
    report: Report
    truth: Truth
    page: Path

    @property
    def found(self) -> bool:
        """Whether the first finding names the right layer and component, or nothing was wrong and nothing was said."""
        if not self.truth.layer:
            return self.report.verdict == "healthy"
        graded = grade(self.truth, self.report)
        return graded.layer_hit and graded.component_hit


def run(
    *,
    home: str | Path | None = None,
    fault: str = DEFAULT,
    golden_days: int = GOLDEN_DAYS,
    progress: Progress | None = None,
) -> Demo:
    """Serve some weeks of flights through the recorder, break something in the last days, and diagnose those.

    Args:
        home: the demo makes a log of its own below it, in `demo/`; `WHIMBREL_HOME`, else `./.whimbrel` by default.
        fault: a name of `BREAKAGES`, or `none`.
        golden_days: how much of the time before the last three days is served, and golden.
        progress: told what is being done.

    Raises:
        UsageError: no such fault; the flights are not installed.
    """
    if fault != "none" and fault not in BREAKAGES:
        raise UsageError(
            f"the demo cannot break {fault!r}", where="--fault", why=f"it knows none, {', '.join(BREAKAGES)}",
            next=f"whimbrel demo --fault {DEFAULT}",
        )  # fmt: skip
    say = progress or (lambda _doing, _part: None)
    root = Settings.load(home=home).home
    say("reading flights, training the model", None)
    here = world(0, root / "cache")
    since = SINCE - timedelta(days=golden_days)
    requests = here.between(since, UNTIL)
    requests["context.host"] = requests["hardware.host"]
    planted, truth = _planted(here, requests, fault)
    own = _fresh(root / "demo", fault)
    labels = _record(own, here, requests, planted, say)
    say("moving what was recorded into the log", None)
    log = open_log(own)
    log.ingest()
    log.set_golden("spring", Window(APP, since, SINCE))
    say("diagnosing", None)
    report = diagnose_log(log, APP, window=Window(APP, SINCE, UNTIL), golden="spring")
    page = own / "findings" / "demo.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(html.page(report), encoding="utf-8")
    return Demo(own, since, length(requests), labels, report, truth, page)


def text(demo: Demo, *, width: int = 80, color: bool = False) -> str:
    """The story for a terminal: what was served, what the diagnosis says, what was truly done."""
    report, truth = demo.report, demo.truth
    served = (
        f"{demo.flights:,} flights out of New York, {demo.since:%-d %B} to {UNTIL - timedelta(days=1):%-d %B %Y}: "
        "will each arrive half an hour late? Every answer was recorded as it was given, with its inputs, five steps, "
        f"model, score, decision and times; {demo.labels:,} labels came in when the flights had landed. In the last "
        "three days something may have been broken. The diagnosis knows only the log."
    )
    if truth.layer:
        assert truth.since is not None
        slice_ = " and ".join(f"{path} = {value}" for path, value in truth.where.items())
        done = (
            f"What was done: {truth.says}, for {slice_}, from {truth.since:%-d %B %H:%M} UTC on; "
            f"{100 * truth.effect:.1f}% {_EFFECTS[truth.measure]} ({truth.layer}, {truth.components[0]})."
        )
        verdict = "Found." if demo.found else "Not found, or not at its root."
    else:
        done, verdict = "What was done: nothing.", "Right." if demo.found else "A false alarm."
    log = f"--home {shlex.quote(str(demo.home))} --app {APP}"
    again = f"whimbrel diagnose {log} --golden spring --since {iso(SINCE)} --until {iso(UNTIL)}"
    return "\n".join([
        *wrapped(served, width), "", told(report, width=width, color=color), "",
        *wrapped(f"{done} {verdict}", width), "",
        f"page:   {demo.page}",
        f"again:  {again}",
        f"others: whimbrel demo --fault none|{'|'.join(list(BREAKAGES)[:4])}|…  (whimbrel demo --help lists them)",
    ])  # fmt: skip


_EFFECTS = {
    "flips": "of all decisions flipped since",
    "share": "of all predictions were touched since",
    "p95": "longer took the slowest 5% of all requests since",
}


def _planted(here: World, requests: Columns, fault: str) -> tuple[Site | None, Truth]:
    """Plant the fault in the window's tail."""
    if fault == "none":
        return None, Truth("none")
    breakage = BREAKAGES[fault]
    tail = requests["ts"] >= ONSET.timestamp()
    wanted = Wanted(variants(FLIGHTS, breakage.fault)[:1], breakage.severity, breakage.where, "step", from_start=True)
    found = site(FLIGHTS, here, take(requests, tail), wanted, np.random.default_rng(0))
    return found, Truth.of(found)


def _fresh(folder: Path, fault: str) -> Path:
    """A folder for this demo alone; earlier ones stay."""
    for i in itertools.count(1):
        own = folder / f"{fault}-{i}"
        try:
            own.mkdir(parents=True)
        except FileExistsError:
            continue
        return own
    raise AssertionError


def _record(own: Path, here: World, requests: Columns, found: Site | None, say: Progress) -> int:
    """Serve every request through the recorder, then send the events and the labels; how many of these."""
    hit = np.zeros(length(requests), dtype=bool)
    planted: Planted | None = None
    later = served(here.app, requests)
    if found is not None:
        planted = found.planted
        hit[requests["ts"] >= ONSET.timestamp()] = found.hit
        arrived = planted.requests(take(requests, hit))
        later = planted.serve(later, requests, hit)
        requests = merge(requests, hit, arrived)
    recorder = Recorder(APP, home=own, model={"name": "delay"})
    serve_live(
        recorder, requests, here.app, planted.app() if planted else here.app, hit,
        progress=lambda part: say("serving flights, recording each", part),
    )  # fmt: skip
    for event in releases(datetime.fromtimestamp(float(requests["ts"][0]), UTC), UNTIL):
        recorder.event(event.kind, event.what, ts=event.ts)
    if found is not None:
        context = {path.removeprefix("context."): value for path, value in found.place.items()}
        recorder.event("deploy", "build 3f2c91", ts=found.since - timedelta(minutes=8), **context)
    recorder.event("deploy", "build 77ab02", ts=ONSET - timedelta(minutes=31), channel="desk")
    known = known_by(later, UNTIL)
    rows = np.flatnonzero(~np.isnan(known["label"]))
    for i in rows.tolist():
        recorder.label(str(known["id"][i]), float(known["label"][i]), ts=float(known["label_ts"][i]))
    recorder.close()
    return len(rows)
