"""Whether recording works here: a canary goes the whole way, and what waits, what was lost and what is full is said.

In: a log. Out: `Health`, a list of checks. Nothing of the log is changed: the canary lives in a log of its own below the
same folder, on the same disk, and is removed. `cli/doctor.py` calls.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from whimbrel.errors import UsageError, WhimbrelError
from whimbrel.model.window import Condition, Window
from whimbrel.record.flat import UNFINISHED
from whimbrel.record.policy import ENV_FILE, Policy
from whimbrel.report.words import number, size, took
from whimbrel.store.log import Log
from whimbrel.store.retain import Retention
from whimbrel.store.scrub import Scrub
from whimbrel.store.status import read_status
from whimbrel.store.waiting import Waiting, waiting

_LAG = timedelta(hours=1)
_ROOM = 1 << 30
_DAY = timedelta(days=1)
_CANARY_S = 60.0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: `ok`, `bad`, or `absent` where there is nothing to look at."""

    name: str
    state: str
    says: str
    next: str = ""

    def to_dict(self) -> dict[str, str]:
        """Plain JSON."""
        return {"name": self.name, "state": self.state, "says": self.says, "next": self.next}


@dataclass(frozen=True, slots=True)
class Health:
    """All that was looked at, in the order of a prediction's way."""

    home: Path
    checks: tuple[Check, ...]
    waiting: tuple[Waiting, ...]

    @property
    def well(self) -> bool:
        """Whether nothing is wrong."""
        return all(check.state != "bad" for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "schema": "whimbrel.health/1", "home": str(self.home), "well": self.well,
            "checks": [check.to_dict() for check in self.checks], "waiting": [one.to_dict() for one in self.waiting],
        }  # fmt: skip


def examine(log: Log, *, files: bool = False) -> Health:
    """Look at everything; at the content of all data files only where `files` asks for it. What is broken is said, never raised."""
    found = waiting(log.layout)
    policy, budget = _policy()
    checks = [_switch(), policy, *_disk(log.home), _canary(log.home), *_files(log, whole=files)]
    checks += [check for one in found for check in _recorders(one, budget)]
    checks += [_sidecar(log), *_kept(log)]
    return Health(log.home, tuple(checks), found)


def _switch() -> Check:
    if os.environ.get("WHIMBREL", "").lower() == "off":
        return Check("switch", "bad", "WHIMBREL=off: recorders that start with it record nothing", "unset WHIMBREL")
    return Check("switch", "ok", "recording is on")


def _policy() -> tuple[Check, int]:
    """Whether the policy that recorders would read here makes sense, and how many bytes it lets an app's segments take."""
    try:
        policy, retention, scrub = Policy.load(), Retention.load(), Scrub.load()
    except UsageError as error:
        return Check("policy", "bad", f"{error.what} ({error.where})", error.next), Policy().budget_bytes
    said = [f"segments may take {size(policy.budget_bytes)}", f"{number(len(policy.redact))} redacted paths"]
    if retention.share < 1:
        said.append(f"{retention.share:.0%} of ordinary predictions are retained")
    if scrub.paths:
        said.append(f"texts of {', '.join(scrub.paths)} are scrubbed")
    return Check("policy", "ok", ", ".join(said)), policy.budget_bytes


def _disk(home: Path) -> Iterator[Check]:
    """Whether the folder can be written, has room, and knows locks."""
    try:
        with _scratch(home) as folder:
            (folder / "lock").touch()
            with (folder / "lock").open("rb") as one, (folder / "lock").open("rb") as other:
                fcntl.flock(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
                try:
                    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    yield Check("locks", "ok", "flock works: a dead recorder is told from a living one at once")
                else:
                    says = f"two locks on one file under {home}: the file system ignores flock"
                    yield Check("locks", "bad", says, "use a local disk for --home")
            disk = os.statvfs(folder)
    except OSError as error:
        yield Check("disk", "bad", f"{home} cannot be written: {error.strerror}", "choose another folder with --home or WHIMBREL_HOME")  # fmt: skip
        return
    free, part = disk.f_bavail * disk.f_frsize, disk.f_bavail / max(1, disk.f_blocks)
    files = disk.f_favail / disk.f_files if disk.f_files else 1.0
    says = f"{size(free)} free ({part:.0%}), {files:.0%} of files free, at {home}"
    full = free < _ROOM or files < 0.02
    yield Check("disk", "bad" if full else "ok", says, "free some space: a full disk loses records" if full else "")


def _files(log: Log, *, whole: bool) -> Iterator[Check]:
    """Data files that are not what was written."""
    try:
        apps = log.apps()
        bad = {f: why for app in apps for f, why in (log.check(app) if whole else log.source(app).damaged).items()}
    except WhimbrelError as error:
        yield Check("files", "bad", error.what, error.next)
        return
    for file, why in bad.items():
        yield Check("files", "bad", f"{file} is damaged: {why}; answers leave it out", "put a sound copy in its place")
    if apps and not bad:
        said = (
            "the content of all data files is what was written"
            if whole
            else "sizes and times of data files are as they were written"
        )
        yield Check("files", "ok", said, "" if whole else "whimbrel doctor --files reads them all")


@contextmanager
def _scratch(home: Path) -> Iterator[Path]:
    """A folder below the home, or on its way there, that is gone afterwards, and so is what had to be made for it."""
    there = next(path for path in (home, *home.parents) if path.exists())
    inside = there / "scratch" if there == home else there
    made = not inside.exists()
    inside.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="doctor-", dir=inside))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if made:
            inside.rmdir()


_BIRD = """
import os, signal, sys
from whimbrel.record import Recorder
recorder = Recorder("canary", home=sys.argv[1], model="canary@1", policy={})
with recorder.prediction({"n": 1, "text": "Brachvogel \\N{BIRD}", "part": 0.1}, id="whole", cage="doctor") as p:
    recorder.step("double", {"n": 2})
    p.output(score=0.5)
    p.decision("sing")
    p.error("a cat")  # what went wrong is retained by every policy
recorder.label("whole", True)
recorder.prediction({"n": 2}, id="cut").__enter__()
os.kill(os.getpid(), signal.SIGKILL)
"""
_SONG = {
    "inputs.n": 1.0, "inputs.text": "Brachvogel 🐦", "inputs.part": 0.1, "steps.double.n": 2.0, "outputs.score": 0.5,
    "decision": "sing", "context.cage": "doctor", "model.version": "1", "label": "true",
    "error": "a cat",
}  # fmt: skip


def _canary(home: Path) -> Check:
    """A process that records one prediction, begins another and is killed; both must come out of the other end."""
    began = time.perf_counter()
    try:
        with _scratch(home) as folder:
            env = {
                key: value for key, value in os.environ.items() if key not in ("WHIMBREL", "WHIMBREL_HOME", ENV_FILE)
            }
            command = [sys.executable, "-c", _BIRD, str(folder)]
            done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=_CANARY_S, check=False)  # noqa: S603  our own interpreter and code
            if done.returncode != -signal.SIGKILL:
                said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
                return Check("canary", "bad", f"a process that records did not get to its end: {said}", "python -c 'import whimbrel.record'")  # fmt: skip
            written = time.perf_counter()
            log = Log(folder)
            log.ingest()
            taken = time.perf_counter()
            wrong = _differs(log)
    except (OSError, subprocess.SubprocessError, WhimbrelError) as error:
        return Check("canary", "bad", f"a prediction did not get through: {str(error).splitlines()[0]}", "see the other checks")  # fmt: skip
    if wrong:
        return Check("canary", "bad", f"a prediction came out changed: {wrong}", "please report it")
    legs = f"recorded in {took(written - began)}, in the log {took(taken - written)} later"
    return Check("canary", "ok", f"a prediction and one cut short by kill -9 came through unchanged ({legs})")


def _differs(log: Log) -> str:
    """How what the log holds differs from what the canary said; empty where it does not."""
    from whimbrel.engine import engine_named
    from whimbrel.model.rows import Numbers

    rows = engine_named().rows(log.source("canary"), Window("canary"), paths=list(_SONG))
    if sorted(rows.ids) != ["cut", "whole"]:
        return f"predictions {', '.join(rows.ids) or 'none'} instead of cut, whole"
    whole, cut = rows.ids.index("whole"), rows.ids.index("cut")

    def value(path: str, row: int) -> object:
        column = rows.columns[path]
        if isinstance(column, Numbers):
            return float(column.values[row])
        return None if column.codes[row] < 0 else column.vocabulary[column.codes[row]]

    said = {path: value(path, whole) for path in _SONG}
    if said != _SONG:
        return ", ".join(f"{path} {said[path]!r} instead of {_SONG[path]!r}" for path in _SONG if said[path] != _SONG[path])  # fmt: skip
    error = value("error", cut)
    return "" if error == UNFINISHED else f"the one that was cut short says {error!r}"


def _recorders(one: Waiting, budget: int) -> Iterator[Check]:
    """Lag and drops of one app, as its segments tell them."""
    lag = datetime.now(UTC) - one.since if one.since else timedelta(0)
    alive = f"{number(one.writers)} process{'es' * (one.writers != 1)} writing, {number(len(one.running))} running"
    waits = (
        f"{number(one.predictions)} predictions wait, the oldest {took(lag.total_seconds())}"
        if one.since
        else "nothing waits"
    )
    name = f"lag {one.app}"
    if lag > _LAG:
        yield Check(name, "bad", f"{waits}; {alive}", "whimbrel status takes them in; run it regularly")
    else:
        yield Check(name, "ok", f"{waits}; {alive}")
    lost = [f"{number(one.gaps)} predictions missing"] * bool(one.gaps) + list(one.notes)
    if one.lossy and not one.notes:
        lost.append("an earlier look found that not everything could be written")
    if one.bytes > 0.8 * budget:
        lost.append(f"{size(one.bytes)} of segments: past {size(budget)} a recorder overwrites the oldest")
    name = f"drops {one.app}"
    if lost:
        yield Check(name, "bad", "; ".join(lost), "free some space on the recorder's disk, then: whimbrel status")
    else:
        cut = f"{number(one.dead)} cut short by the end of their process" if one.dead else ""
        yield Check(name, "ok", f"nothing lost in {number(one.segments)} segments, {size(one.bytes)}" + (f"; {cut}" if cut else ""))  # fmt: skip


def _sidecar(log: Log) -> Check:
    """Whether somebody looks after the hardware."""
    seen = [path.stat().st_mtime for path in log.layout.counters.glob("*.seg")]
    table = log.layout.hardware
    try:
        if table.exists:
            ((newest,),) = table.actions(table.open(), "max(max_ts)")
            seen.append((newest or 0) / 1e6)
    except WhimbrelError as error:
        return Check("sidecar", "bad", error.what, error.next)
    if not seen:
        return Check("sidecar", "absent", "nothing is known of processors, memory and GPUs over time", "run whimbrel sidecar on each host")  # fmt: skip
    return Check("sidecar", "ok", f"it last looked {took(max(0.0, time.time() - max(seen)))} ago")


def _kept(log: Log) -> Iterator[Check]:
    """What the log itself knows of losses, over the last day of each app."""
    from whimbrel.engine import engine_named

    try:
        status = read_status(log.layout)
    except WhimbrelError as error:
        yield Check("log", "bad", error.what, error.next)
        return
    engine = engine_named()
    for app in status.apps:
        if app.until is None:
            continue
        try:
            source, since = log.source(app.app), app.until - _DAY
            counts = {}
            for path, condition in (("error", Condition("error", UNFINISHED)), ("recorder.lost", Condition("recorder.lost", "", "!="))):  # fmt: skip
                known = source.schema.get(path) is not None
                counts[path] = engine.extent(source, Window(app.app, since, None, (condition,)))[0] if known else 0
            total = engine.extent(source, Window(app.app, since, None))[0]
        except WhimbrelError as error:
            yield Check(f"log {app.app}", "bad", error.what, error.next)
            continue
        kept = f"{number(total)} predictions in its last day: {number(counts['error'])} unfinished, {number(counts['recorder.lost'])} not wholly kept"
        ahead = app.until - datetime.now(UTC)
        if ahead > timedelta(minutes=5):
            says = f"its newest prediction is {took(ahead.total_seconds())} in the future"
            yield Check(f"clock {app.app}", "bad", says, "set the clock of the host that records")
        yield Check(f"log {app.app}", "ok", kept)
    if not status.apps:
        yield Check("log", "absent", "the log holds no predictions yet")
    if status.quarantined:
        yield Check("quarantine", "bad", f"{number(status.quarantined)} rows could not be read", f"look into {log.layout.quarantine}")  # fmt: skip
