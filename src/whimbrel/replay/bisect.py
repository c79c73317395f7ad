"""Bisect: the commit of a git repository from which on a session fails, and the step that it changed.

In: a session, a repository, a good and a bad revision. Out: a `Bisected`. Each commit is checked out into a work tree of its
own in a temporary folder, which is removed again; the repository's own work tree is not touched.
"""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whimbrel.errors import EvidenceError, InputError, UsageError
from whimbrel.replay.apart import LIMIT_S
from whimbrel.replay.judged import step_of
from whimbrel.replay.played import Played
from whimbrel.replay.record import gap
from whimbrel.replay.sessions import TOLERANCE, Run, Session, run

_SKIP = 125
"""The exit status by which a command says, as to `git bisect run`, that a commit cannot be judged."""


@dataclass(frozen=True, slots=True)
class Bisected:
    """The first bad commit: its hash and subject, the runs it took, and the step that changed (empty where unknown).

    `suspects` are the commits before it that could not be judged, any of which may be the first bad one instead.
    """

    commit: str
    subject: str
    runs: int
    step: str = ""
    suspects: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "commit": self.commit, "subject": self.subject, "runs": self.runs, "step": self.step,
            "suspects": list(self.suspects),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Verdict:
    """How one commit stands: `bad` is None where it cannot be judged."""

    bad: bool | None
    run: Run | None = None


def bisect(
    session: Session, repo: Path, good: str, bad: str, *, pipeline: str = "", command: str = "", limit_s: float = LIMIT_S,
    home: Path | None = None,
) -> Bisected:  # fmt: skip
    """Find the first commit after `good`, up to `bad`, along first parents, at which the session fails.

    The answer rests on a commit that was seen to fail and a parent that was seen to hold. A commit whose code cannot be
    loaded is passed over.

    Args:
        session: what must hold.
        repo: the repository's folder.
        good: a revision at which the session holds.
        bad: a later one at which it fails.
        pipeline: `file.py:attribute` or `module:attribute`, read from each commit's work tree.
        command: instead, a shell command run in each work tree: status 0 is good, 125 cannot be judged, all else bad.
        limit_s: seconds that each run may take.
        home: the log's folder, which a command finds as WHIMBREL_HOME.

    Raises:
        UsageError: neither or both of pipeline and command, or revisions that do not follow one another.
        InputError: git cannot read the repository.
        EvidenceError: the good revision fails, or the bad one holds.
    """
    if bool(pipeline) == bool(command):
        raise UsageError("name what is to be run, once", where="--pipeline, --run", next="give one of the two")
    first = _git(repo, "rev-parse", "--verify", "--end-of-options", f"{good}^{{commit}}")
    last = _git(repo, "rev-parse", "--verify", "--end-of-options", f"{bad}^{{commit}}")
    commits = [first, *_git(repo, "rev-list", "--first-parent", "--reverse", f"{first}..{last}").split()]
    if len(commits) == 1 or _git(repo, "merge-base", first, last) != first:
        raise UsageError(
            f"{bad} does not follow {good}", where=str(repo), why="the good revision must be an ancestor of the bad one",
            next="git log --first-parent shows the order",
        )  # fmt: skip

    def judge(index: int) -> _Verdict:
        with _checked_out(repo, commits[index]) as folder:
            return (
                _by_command(command, folder, limit_s, home) if command else _by_run(session, pipeline, folder, limit_s)
            )

    seen = _search(len(commits), judge)
    low = max(index for index, verdict in seen.items() if verdict.bad is False)
    high = min(index for index, verdict in seen.items() if verdict.bad)
    subject = _git(repo, "log", "-1", "--format=%s", commits[high])
    step = _changed(seen[low].run, seen[high].run)
    return Bisected(commits[high], subject, len(seen), step, tuple(commits[low + 1 : high]))


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
                f"the session {word} at the {'bad' if bad else 'good'} revision", where="--bad" if bad else "--good",
                why="there is no first bad commit between these two", next="name another revision",
            )  # fmt: skip
    return seen


def _by_run(session: Session, pipeline: str, folder: Path, limit_s: float) -> _Verdict:
    try:
        done = run(session, pipeline, limit_s=limit_s, folder=folder)
    except (InputError, EvidenceError):
        return _Verdict(None)
    return _Verdict(bool(done.failures), done)


def _by_command(command: str, folder: Path, limit_s: float, home: Path | None) -> _Verdict:
    environment = {**os.environ, **({"WHIMBREL_HOME": str(home)} if home else {})}
    process = subprocess.Popen(  # noqa: S602  the user's own command
        command, shell=True, cwd=folder, env=environment, stdout=2, start_new_session=True
    )
    try:
        status = process.wait(limit_s)
    except subprocess.TimeoutExpired:
        status = 1
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return _Verdict(None if status == _SKIP else status != 0)


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


@contextmanager
def _checked_out(repo: Path, commit: str) -> Iterator[Path]:
    """A commit's files in a temporary folder; a new one each time, so that no compiled file of another commit is taken."""
    with tempfile.TemporaryDirectory(prefix="whimbrel-bisect-") as around:
        folder = Path(around) / "tree"
        _git(repo, "-c", "core.hooksPath=/dev/null", "worktree", "add", "--quiet", "--detach", str(folder), commit)
        try:
            yield folder
        finally:
            _git(repo, "worktree", "remove", "--force", str(folder))


def _git(repo: Path, *arguments: str) -> str:
    environment = {k: v for k, v in os.environ.items() if k not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")}
    command: Sequence[str] = ["git", "-C", str(repo), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)  # noqa: S603  git, without a shell
    except FileNotFoundError as error:
        raise InputError("cannot run git", where=str(repo), why="it is not on the path", next="install git") from error
    except subprocess.CalledProcessError as error:
        raise InputError(
            f"git {arguments[0]} failed: {error.stderr.strip()}", where=str(repo), why="no repository, or no such revision",
            next=f"git -C {repo} log --oneline",
        ) from error  # fmt: skip
    return done.stdout.strip()
