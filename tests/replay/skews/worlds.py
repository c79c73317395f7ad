"""Serves the three apps with and without skews into one log, replays each window, and scores what parity says.

In: skews. Out: a `Score` for each. A window is told by its tag `era`; hosts `h0` to `h3` serve it.
"""

from __future__ import annotations

import copy
import random
import types
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

import whimbrel
from tests.replay.skews import loans, parcels, tickets
from whimbrel.doors.sklearn import RecordedEstimator
from whimbrel.model.parity import Parity
from whimbrel.model.window import Window, where_of
from whimbrel.replay import parity
from whimbrel.store import Log

START = 1_760_000_000
N, N_GOLDEN = 2000, 600
HOST = "h2"

Share = Literal["all", "1%", "host"]
Edit = tuple[str, str]


@dataclass(frozen=True)
class Skew:
    """One thing that production does otherwise than the training-time code.

    `change` edits the source of `parcels` or `tickets`, or changes a copy of the pipeline of `loans`. `step` must be the first
    that differs, and what it reports must lie in `columns`, all of which the change can reach. `words` are in the shape.
    """

    name: str
    app: str
    step: str
    columns: tuple[str, ...]
    words: str
    change: Sequence[Edit] | Callable[[Any], None]
    share: Share = "all"

    @property
    def paths(self) -> set[str]:
        """The columns as paths."""
        return {self.step if self.step == "decision" else f"{self.step}.{name}" for name in self.columns}


@dataclass(frozen=True)
class Honest:
    """The same code run otherwise: nothing may be reported. `golden` runs as the window does where `alike`."""

    name: str
    app: str
    change: Sequence[Edit] | Callable[[Any], None] = ()
    alike: bool = False
    batch: int = 250
    n: int = N


@dataclass(frozen=True)
class Score:
    """What parity said of one window, and whether it was right."""

    name: str
    app: str
    first: str
    path: str
    shape: str
    whom: str
    n: int
    step: bool
    column: bool
    words: bool
    alone: bool
    """No other step is said to differ."""


_MODULES = {"parcels": parcels, "tickets": tickets}


def variant(app: str, home: Path, change: Any) -> Any:
    """The app as it serves: its source with edits, each of which must fit once, or a copy of the pipeline, changed."""
    if app == "loans":
        model = copy.deepcopy(loans.trained())
        if change:
            change(model)
        return model
    module = _MODULES[app]
    text = Path(str(module.__file__)).read_text(encoding="utf-8")
    for old, new in (("HOME: str | None = None", f"HOME = {str(home)!r}"), *change):
        assert text.count(old) == 1, (text.count(old), old)
        text = text.replace(old, new)
    out = types.ModuleType(f"served_{app}")
    exec(compile(text, f"served_{app}.py", "exec"), out.__dict__)
    return out


def serve(app: str, home: Path, era: str, change: Any, *, share: Share = "all", n: int = N, batch: int = 250) -> None:
    """Record `n` predictions under a tag, those that the share names through the changed code."""
    seed = sum(era.encode()) * 31 + len(era)
    dice = random.Random(seed)
    hosts = [f"h{dice.randrange(4)}" for _ in range(n)]
    odd = [share == "all" or (share == "host" and host == HOST) or (share == "1%" and dice.random() < 0.01)
           for host in hosts]  # fmt: skip
    both: tuple[Any, Any] = (variant(app, home, ()) if share != "all" else None, variant(app, home, change))
    if app == "loans":
        _serve_rows(home, era, both, hosts, odd, seed, batch)
        return
    for i, (host, changed) in enumerate(zip(hosts, odd, strict=True)):
        one = both[changed]
        row = one.inputs(dice, i)
        with one.recorder.prediction(row, ts=START + 60 * i, era=era, host=host):
            one.predict(**row)


def _serve_rows(home: Path, era: str, both: Any, hosts: list[str], odd: list[bool], seed: int, batch: int) -> None:
    recorder = whimbrel.Recorder("loans", home=home)
    rows = loans.frame(len(hosts), seed)
    kind = getattr(both[1], "served_kind", None)
    if kind:
        rows[[*loans.NUMBERS, "late"]] = rows[[*loans.NUMBERS, "late"]].astype(kind)
    for changed in (False, True):
        for host in sorted(set(hosts)):
            chosen = np.flatnonzero([o == changed and h == host for o, h in zip(odd, hosts, strict=True)])
            model = RecordedEstimator(both[changed], recorder, tags={"era": era, "host": host})
            for start in range(0, len(chosen), batch):
                model.predict_proba(rows.iloc[chosen[start : start + batch]])


def record(home: Path, skews: Sequence[Skew], honest: Sequence[Honest], *, n: int = N) -> Log:
    """Serve golden and all windows into one log."""
    for app in sorted({*(one.app for one in skews), *(one.app for one in honest)}):
        serve(app, home, "golden", (), n=N_GOLDEN)
    for one in skews:
        serve(one.app, home, one.name, one.change, share=one.share, n=N if one.share == "1%" else n)
    for same in honest:
        serve(same.app, home, same.name, same.change, batch=same.batch, n=min(n, same.n))
        if same.alike:
            serve(same.app, home, f"{same.name}, golden", same.change, batch=same.batch, n=N_GOLDEN)
    log = whimbrel.open(home)
    log.ingest()
    return log


def replayed(log: Any, app: str, era: str, golden: str = "golden", *, n: int = 500) -> Parity:
    """Parity of one era with the training-time code."""
    code = loans.trained() if app == "loans" else _MODULES[app].predict
    windows = [Window(app, where=where_of({"context.era": name})) for name in (era, golden)]
    return parity(log, code, window=windows[0], golden_window=windows[1], n=n)


def score(skew: Skew, result: Parity) -> Score:
    """Whether the first divergence is the planted one."""
    first = result.first
    if first is None:
        return Score(skew.name, skew.app, "", "", "", "", 0, False, False, False, False)
    right = first.name == skew.step
    lead = first.differences[0] if first.differences else None
    reached = {one.path for one in first.differences}
    said = [one.name for one in result.steps if one.standing in ("different", "failed", "not replayable")]
    whom = ", ".join(map(str, lead.where)) if lead else ""
    return Score(
        skew.name, skew.app, first.name, lead.path if lead else "", lead.shape if lead else first.says, whom, first.differ, right,
        right and bool(reached) and reached <= skew.paths, lead is not None and skew.words in lead.shape,
        said == [first.name],
    )  # fmt: skip


def scores(log: Any, skews: Sequence[Skew], *, n: int = 500) -> Iterator[Score]:
    """The score of each skew."""
    for one in skews:
        yield score(one, replayed(log, one.app, one.name, n=n))


def alarms(log: Any, honest: Sequence[Honest], *, n: int = 500) -> Iterator[tuple[str, str]]:
    """What is reported of each honest replay, which should be nothing."""
    for one in honest:
        result = replayed(log, one.app, one.name, f"{one.name}, golden" if one.alike else "golden", n=n)
        unclear = [s.name for s in result.steps if s.standing == "not replayable"]
        yield one.name, "" if result.first is None and not unclear else result.sentence
