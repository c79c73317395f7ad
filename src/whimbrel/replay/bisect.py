"""Bisect: the version from which on a session fails, and the step that it changed.

In: a session and versions in order, the first of which is good and the last bad: commits of a git repository (`commits.py`), files
or names of models, versions of training data. Out: a `Bisected`.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from whimbrel.engine import Engine, engine_named
from whimbrel.errors import EvidenceError, InputError, UsageError
from whimbrel.model.rows import Categories
from whimbrel.model.window import Window
from whimbrel.replay.apart import LIMIT_S
from whimbrel.replay.judged import step_of
from whimbrel.replay.played import Played
from whimbrel.replay.record import gap
from whimbrel.replay.sessions import TOLERANCE, Run, Session, run

if TYPE_CHECKING:
    from whimbrel.store import Log

PLACE = "{version}"
"""In a command or the name of a pipeline it stands for the version that is tried."""

_SKIP = 125
"""The exit status by which a command says, as to `git bisect run`, that a version cannot be judged."""
_MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class Bisected:
    """The first bad version of its kind (commit, model, data), what is said of it, the runs it took, and the step that changed.

    `step` is empty where a command judged, which does not say. `suspects` are the versions before the first bad one that could not
    be judged, any of which may be it instead.
    """

    kind: str
    first_bad: str
    subject: str
    runs: int
    step: str = ""
    suspects: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "kind": self.kind, "first_bad": self.first_bad, "subject": self.subject, "runs": self.runs, "step": self.step,
            "suspects": list(self.suspects),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Place:
    """Where a version is tried: the folder to work in (this one where None), and what is added to the environment."""

    folder: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


class Versions(Protocol):
    """Versions in order; the first is said to be good, the last to be bad."""

    @property
    def kind(self) -> str:
        """`commit`, `model` or `data`."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """What the versions are called, oldest first."""
        ...

    def subject(self, name: str) -> str:
        """What else is known of a version, in words."""
        ...

    def at(self, name: str) -> AbstractContextManager[Place | None]:
        """A place where the version can be tried; None where none can be made, so that it cannot be judged."""
        ...


@dataclass(frozen=True, slots=True)
class Listed:
    """Versions that need no place of their own: the command, or the name of the pipeline, takes their names."""

    kind: str
    names: Sequence[str]
    subjects: Mapping[str, str] = field(default_factory=dict)

    def subject(self, name: str) -> str:
        """What else is known of a version, in words."""
        return self.subjects.get(name, "")

    def at(self, name: str) -> AbstractContextManager[Place | None]:  # noqa: ARG002
        """This folder."""
        return nullcontext(Place())

    def between(self, good: str, bad: str) -> Listed:
        """Those from `good` to `bad`; from the first or to the last where one is empty.

        Raises:
            UsageError: no such version, or `bad` does not come after `good`.
        """
        ends = [name or self.names[i] if self.names else name for name, i in ((good, 0), (bad, -1))]
        for name in ends:
            if name not in self.names:
                raise UsageError(
                    f"there is no {self.kind} version {name!r}", where="--good, --bad",
                    next=f"choose of {', '.join(self.names[:20]) or 'none'}",
                )  # fmt: skip
        low, high = (self.names.index(name) for name in ends)
        if low >= high:
            raise UsageError(
                f"{ends[1]} does not follow {ends[0]}", where="--good, --bad", why="versions are taken in their order",
                next=f"they are {', '.join(self.names[:20])}",
            )  # fmt: skip
        return Listed(self.kind, self.names[low : high + 1], self.subjects)


def model_files(text: str) -> Listed:
    """Model files in the order in which they are named, by commas; a glob's in the order of the numbers in their names.

    Raises:
        UsageError: a file is not there, or named twice.
    """
    names: list[str] = []
    for part in filter(None, text.split(",")):
        names += sorted(glob(part), key=_numbered) if has_magic(part) else [part]  # noqa: PTH207  as the shell would
    wrong = next((name for name in names if not Path(name).is_file() or names.count(name) > 1), "" if names else text)
    if wrong:
        raise UsageError(
            f"{wrong} is no model file, or named twice",
            where="--models",
            next="name files that are there, such as models/*.onnx",
        )
    return Listed("model", names)


def _numbered(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def recorded_models(log: Log, app: str, *, engine: str | Engine = "duckdb") -> Listed:
    """The versions of the model that an app's predictions name, in the order of their first sight; digests where it names none.

    Raises:
        EvidenceError: fewer than two were recorded.
    """
    source = log.source(app)
    known = {item.path for item in source.schema}
    for path in ("model.version", "model.digest"):
        if path in known:
            rows = engine_named(engine).rows(source, Window(app), paths=[path], limit=_MOST)
            column = rows.columns.get(path)
            if isinstance(column, Categories) and len(column.vocabulary) > 1:
                counts = {name: int((column.codes == i).sum()) for i, name in enumerate(column.vocabulary)}
                return Listed("model", column.vocabulary, {name: f"{n} predictions" for name, n in counts.items()})
    raise EvidenceError(
        f"the predictions of {app} name fewer than two versions of a model", where="--models recorded",
        why="the recorder was not told the model's version", next="name the models: --models a.onnx,b.onnx",
    )  # fmt: skip


def data_versions(log: Log, name: str) -> Listed:
    """The versions of training data of a name, by number.

    Raises:
        UsageError: no data of that name.
    """
    found = log.data.versions(name)
    return Listed("data", [str(one.version) for one in found], {
        str(one.version): f"{one.spec}, {one.rows} rows" for one in found
    })  # fmt: skip


def bisect(
    session: Session, versions: Versions, *, pipeline: str = "", command: str = "", limit_s: float = LIMIT_S,
    home: Path | None = None,
) -> Bisected:  # fmt: skip
    """Find the first version at which the session fails.

    The answer rests on a version that was seen to fail and one before it that was seen to hold. A version whose code cannot be
    loaded is passed over.

    Args:
        session: what must hold.
        versions: in order, the first good and the last bad.
        pipeline: what the session's inputs are run through, read from each version's place; `{version}` in it is the version.
        command: instead, a shell command run in each place: status 0 is good, 125 cannot be judged, all else bad. It finds the
            version as WHIMBREL_VERSION, and `{version}` in it is the version, quoted.
        limit_s: seconds that each run may take.
        home: the log's folder, which a command finds as WHIMBREL_HOME.

    Raises:
        UsageError: neither or both of pipeline and command, or versions that neither of them would notice.
        EvidenceError: the good version fails, or the bad one holds.
    """
    if bool(pipeline) == bool(command):
        raise UsageError("name what is to be run, once", where="--pipeline, --run", next="give one of the two")
    if pipeline and PLACE not in pipeline and isinstance(versions, Listed):
        raise UsageError(
            f"{pipeline!r} is the same for each version", where="--pipeline", why=f"{PLACE} does not stand in it",
            next=f"write it as models/{PLACE}.onnx, or give --run a command that takes the version",
        )  # fmt: skip
    names = list(versions.names)
    if len(names) < 2:
        raise UsageError(
            f"{len(names)} {versions.kind} version is too few to bisect", where=f"--{versions.kind}",
            next="name a good one and a later bad one",
        )  # fmt: skip

    def judge(index: int) -> _Verdict:
        name = names[index]
        with versions.at(name) as place:
            if place is None:
                return _Verdict(None)
            if command:
                more = {"WHIMBREL_VERSION": name, **({"WHIMBREL_HOME": str(home)} if home else {}), **place.environment}
                status = shell(command.replace(PLACE, shlex.quote(name)), place.folder, more, limit_s)
                return _Verdict(None if status == _SKIP else status != 0)
            return _by_run(session, pipeline.replace(PLACE, name), place.folder, limit_s)

    seen = _search(len(names), judge)
    low = max(index for index, verdict in seen.items() if verdict.bad is False)
    high = min(index for index, verdict in seen.items() if verdict.bad)
    step = _changed(seen[low].run, seen[high].run)
    first, suspects = names[high], tuple(names[low + 1 : high])
    return Bisected(versions.kind, first, versions.subject(first), len(seen), step, suspects)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """How one version stands: `bad` is None where it cannot be judged."""

    bad: bool | None
    run: Run | None = None


def _search(n: int, judge: Callable[[int], _Verdict]) -> dict[int, _Verdict]:
    """Halve what lies between the first and the last of `n`; ends that the answer rests on are judged at the end."""
    low, high = 0, n - 1
    seen: dict[int, _Verdict] = {}
    while open_ := [i for i in range(low + 1, high) if i not in seen]:
        middle = min(open_, key=lambda i: abs(2 * i - low - high))
        seen[middle] = judge(middle)
        if seen[middle].bad:
            high = middle
        elif seen[middle].bad is False:
            low = middle
    for end, bad in ((low, False), (high, True)):
        if end not in seen:
            seen[end] = judge(end)
        if seen[end].bad is not bad:
            word = {None: "cannot be judged", True: "fails", False: "holds"}[seen[end].bad]
            raise EvidenceError(
                f"the session {word} at the {'bad' if bad else 'good'} version", where="--bad" if bad else "--good",
                why="there is no first bad one between these two", next="name another version",
            )  # fmt: skip
    return seen


def _by_run(session: Session, pipeline: str, folder: Path | None, limit_s: float) -> _Verdict:
    try:
        done = run(session, pipeline, limit_s=limit_s, folder=folder)
    except (InputError, EvidenceError):
        return _Verdict(None)
    return _Verdict(bool(done.failures), done)


def shell(command: str, folder: Path | None, more: Mapping[str, str], limit_s: float) -> int:
    """Run the user's own command in a folder with some variables more; its status, 1 where it took too long."""
    process = subprocess.Popen(  # noqa: S602  the user's own command
        command, shell=True, cwd=folder, env={**os.environ, **more}, stdout=2, start_new_session=True
    )
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        return 1
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _changed(good: Run | None, bad: Run | None) -> str:
    """The first step, in the order in which the code ran, that the two runs make differently of the same inputs."""
    if good is None or bad is None:
        return ""
    found = (_parted(*pair) for pair in zip(good.outcome.answers, bad.outcome.answers, strict=True))
    steps = [step for step in found if step]
    order = [step_of(path) for answer in good.outcome.answers for path in answer.out]
    return min(steps, key=lambda s: order.index(s) if s in order else len(order), default="")


def _parted(good: Played, bad: Played) -> str:
    for path, value in good.out.items():
        if path in bad.out and step_of(path) and gap(value, bad.out[path]) > TOLERANCE:
            return step_of(path)
    if bad.failed and not good.failed:
        return f"steps.{bad.failed_in}" if bad.failed_in else "outputs"
    return next((step_of(path) for path in good.out if path not in bad.out and step_of(path)), "")
