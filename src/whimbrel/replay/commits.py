"""Commits of a git repository, each in a work tree of its own, and where asked with an environment of its own.

In: a repository and two revisions. Out: `Commits`, for `bisect`. The repository's own work tree is not touched. Work trees and
environments lie in a temporary folder, which is removed again.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from whimbrel.errors import InputError, UsageError
from whimbrel.replay.bisect import Place, shell

SETUP_LIMIT_S = 1800.0
"""Seconds that preparing one commit's environment may take."""

_LOCKS = ("uv.lock", "poetry.lock", "pdm.lock", "pylock*.toml", "Pipfile.lock", "requirements*.txt", "requirements/*.txt",
          "requirements/*.lock")  # fmt: skip
_PROJECT = ("pyproject.toml", "setup.cfg", "setup.py")


@contextmanager
def commits(repo: Path, good: str, bad: str, *, setup: str = "") -> Iterator[Commits]:
    """The commits from `good` to `bad` along first parents, both included, for as long as the context lasts.

    Args:
        repo: the repository's folder.
        good: a revision at which the session holds.
        bad: a later one at which it fails.
        setup: a shell command, such as `uv sync`, that is run in each tried commit's work tree before it is judged, with a
            virtual environment of its own; commits whose lock files are equal share one.

    Raises:
        UsageError: revisions that do not follow one another.
        InputError: git cannot read the repository.
    """
    first = _git(repo, "rev-parse", "--verify", "--end-of-options", f"{good}^{{commit}}")
    last = _git(repo, "rev-parse", "--verify", "--end-of-options", f"{bad}^{{commit}}")
    names = [first, *_git(repo, "rev-list", "--first-parent", "--reverse", f"{first}..{last}").split()]
    if len(names) == 1 or _git(repo, "merge-base", first, last) != first:
        raise UsageError(
            f"{bad} does not follow {good}", where=str(repo), why="the good revision must be an ancestor of the bad one",
            next="git log --first-parent shows the order",
        )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="whimbrel-bisect-") as around:
        yield Commits(repo, names, Path(around), setup)


@dataclass(slots=True)
class Commits:
    """Commits that are checked out below `around`, and prepared by `setup` where there is one; `commits` makes them."""

    repo: Path
    names: Sequence[str]
    around: Path
    setup: str = ""
    kind: str = "commit"
    environments: int = 0
    """How many were made."""

    def subject(self, name: str) -> str:
        """A commit's first line."""
        return _git(self.repo, "log", "-1", "--format=%s", name)

    @contextmanager
    def at(self, name: str) -> Iterator[Place | None]:
        """A commit's files, at the same path for all, so that what an environment links to is the commit that is tried.

        They are written anew each time, so that no compiled file of another commit is taken.
        """
        folder = self.around / "tree"
        _git(self.repo, "-c", "core.hooksPath=/dev/null", "worktree", "add", "--quiet", "--detach", str(folder), name)
        try:
            yield self._prepared(folder, name) if self.setup else Place(folder)
        finally:
            _git(self.repo, "worktree", "remove", "--force", str(folder))

    def _prepared(self, folder: Path, name: str) -> Place | None:
        """The commit's place with its environment; None where that cannot be made."""
        home = self.around / f"env-{locked(folder) or name}"
        if not home.exists():
            bare = ["--without-pip"] if self.setup.startswith("uv ") else []  # pip takes seconds, and uv needs none
            made = subprocess.run([sys.executable, "-m", "venv", *bare, str(home)], check=False, stdout=2)  # noqa: S603
            if made.returncode:
                return None
            self.environments += 1
        binaries = home / ("Scripts" if os.name == "nt" else "bin")
        more = {
            "VIRTUAL_ENV": str(home), "UV_PROJECT_ENVIRONMENT": str(home), "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}",
        }  # fmt: skip
        # It runs for each commit, though the environment is there: what it installs of the commit itself is another's else.
        return None if shell(self.setup, folder, more, SETUP_LIMIT_S) else Place(folder, more)


def locked(folder: Path) -> str:
    """A hash of what says which packages a commit needs: its lock files, else its project's file; empty where it has neither."""
    for patterns in (_LOCKS, _PROJECT):
        files = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
        if files:
            digest = hashlib.sha256()
            for path in files:
                content = path.read_bytes()
                digest.update(f"{path.relative_to(folder)}\0{len(content)}\0".encode() + content)
            return digest.hexdigest()[:20]
    return ""


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
