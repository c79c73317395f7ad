"""An exported session is run by plain pytest in an environment without whimbrel; bisect finds a planted commit among sixty."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.replay import serving
from tests.replay.test_sessions import PLAIN, call, ids, linear, rides  # noqa: F401  two fixtures
from whimbrel.errors import EvidenceError, InputError, UsageError
from whimbrel.replay import sessions
from whimbrel.replay.bisect import Bisected, bisect
from whimbrel.replay.commits import commits as commits_of

GIT = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
       "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}  # fmt: skip


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The python of a new environment that holds pytest and what pytest needs, and nothing else."""
    folder = tmp_path_factory.mktemp("fresh") / "env"
    venv.create(folder, symlinks=True, with_pip=False)
    python = folder / "bin" / "python"
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(subprocess.run([python, "-c", asked], capture_output=True, text=True, check=True).stdout.strip())
    for name in ("pytest", "_pytest", "py", "pluggy", "iniconfig", "packaging", "pygments"):
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        if spec.submodule_search_locations:
            shutil.copytree(spec.submodule_search_locations[0], packages / name)
        else:
            shutil.copy(spec.origin, packages)
    assert subprocess.run([python, "-c", "import whimbrel"], capture_output=True, check=False).returncode == 1
    return python


def plain_pytest(python: Path, folder: Path, **environment: str) -> tuple[int, str]:
    """Run pytest on a folder, with nothing of this process's environment."""
    command = [str(python), "-I", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("rule", "wrong"), [("recorded", 30), ("label", None), ("range:0..2", 30), (r"text:^[01]\.", 30)]
)
def test_an_exported_session_runs_without_whimbrel_and_without_its_log(
    linear: Path, fresh: Path, rule: str, wrong: int | None  # noqa: F811
) -> None:  # fmt: skip
    """It fails for as many predictions as `session run` says, of the code as it was and of code that is wrong."""
    assert call(linear, "session", "new", "the-30", "--ids", ids(linear), "--expect", rule)[0] == 0
    kept = sessions.load(linear / "home" / "sessions", "the-30")
    (linear / "wrong.py").write_text(PLAIN.replace("0.1 * km", "0.2 * km + 4"))
    assert (
        call(linear, "session", "export", "the-30", "-o", f"{linear}/out", "--pipeline", f"{linear}/code.py:predict")[0]
        == 0
    )
    shutil.move(linear / "home", linear / "gone")
    for file, expected in (("code.py", None), ("wrong.py", wrong)):
        failures = len(sessions.run(kept, f"{linear}/{file}:predict").failures)
        assert expected in (None, failures)
        code, text = plain_pytest(fresh, linear / "out", WHIMBREL_PIPELINE=f"{linear}/{file}:predict")
        assert code == int(failures > 0), text
        assert (f"{failures} failed" in text) == (failures > 0), text
        assert (f"{30 - failures} passed" in text) == (failures < 30), text
    assert plain_pytest(fresh, linear / "out")[0] == int(bool(sessions.run(kept, f"{linear}/code.py:predict").failures))


def test_an_exported_session_judges_steps_where_whimbrel_is_installed(rides: Path) -> None:  # noqa: F811
    """A step that differs fails by its name, on the inputs that it received, with look-ups played back; honest code holds."""
    assert call(rides, "session", "new", "s", "--ids", ids(rides))[0] == 0
    place = f"{rides}/train.py:predict"
    assert call(rides, "session", "export", "s", "-o", f"{rides}/out", "--pipeline", place)[0] == 0
    shutil.move(rides / "home", rides / "gone")
    # The changed step's value goes nowhere: what the code returns is the same, so that only the step can fail.
    serving.write(rides, ('"bucket": int(row["minutes"] // 5)}', '"bucket": int(row["minutes"] // 5) + 1}'),
                  ('0.05 * coded["bucket"]', '0.05 * (coded["bucket"] - 1)'), name="other")  # fmt: skip
    for file, expected in (("train", 0), ("other", 30)):
        environment = {"WHIMBREL_PIPELINE": f"{rides}/{file}.py:predict", "HOME": str(rides)}
        code, text = plain_pytest(Path(sys.executable), rides / "out", **environment)
        assert code == int(expected > 0), text
        assert f"{expected} failed" in text if expected else "30 passed" in text, text
        assert (text.count("steps.encode.bucket: ") >= expected) or not expected
    assert not (rides / "out" / ".whimbrel").exists()


def test_an_export_refuses_what_is_no_function(linear: Path) -> None:  # noqa: F811
    """An endpoint has no place in a test file."""
    assert call(linear, "session", "new", "s", "--ids", "p01")[0] == 0
    assert call(linear, "session", "export", "s", "-o", f"{linear}/out", "--pipeline", "http://127.0.0.1/x")[0] == 2
    assert not (linear / "out").exists()


def git(repo: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", repo, *arguments], capture_output=True, text=True, check=True, env={**os.environ, **GIT}
    )
    return done.stdout.strip()


def history(repo: Path, planted: int, *, n: int = 60, broken: range = range(0)) -> list[str]:
    """A repository with a first commit and `n` after it, the one at `planted` (from 1) changing a factor; their hashes."""
    repo.mkdir()
    git(repo, "init", "-q", "-b", "main")
    out = []
    for i in range(n + 1):
        text = PLAIN.replace("0.02", "0.03") if i >= planted else PLAIN
        head = "import nowhere_to_be_found\n" if i in broken else ""
        (repo / "code.py").write_text(f"{head}{text}\nVERSION = {i}\n")
        git(repo, "add", "code.py")
        git(repo, "commit", "-q", "-m", "Planted factor" if i == planted else f"Change {i}")
        out.append(git(repo, "rev-parse", "HEAD"))
    return out


def among(kept: sessions.Session, repo: Path, good: str, bad: str, **asked: str) -> Bisected:
    """The first bad commit between two."""
    with commits_of(repo, good, bad) as versions:
        return bisect(kept, versions, pipeline=asked.get("pipeline", ""), command=asked.get("command", ""))


@pytest.fixture
def kept(linear: Path) -> sessions.Session:  # noqa: F811
    """All thirty predictions, as recorded."""
    assert call(linear, "session", "new", "s", "--ids", ids(linear))[0] == 0
    return sessions.load(linear / "home" / "sessions", "s")


def test_bisect_finds_the_planted_commit_among_sixty(linear: Path, kept: sessions.Session) -> None:  # noqa: F811
    """Wherever it lies, in at most seven runs, with its subject and step; nothing is left in the repository."""
    commits = history(linear / "repo", 41)
    code, out, err = call(linear, "session", "bisect", "s", "--good", commits[0], "--bad", "main", "--repo",
                          f"{linear}/repo", "--pipeline", "code.py:predict")  # fmt: skip
    assert code == 0, err
    assert f"first bad commit {commits[41][:12]}: Planted factor" in out
    assert "the step that changed: outputs" in out
    runs = int(out.split("found in ")[1].split()[0])
    assert runs <= 7
    assert len(git(linear / "repo", "worktree", "list").splitlines()) == 1
    assert git(linear / "repo", "status", "--porcelain") == ""
    command = "grep -q 0.02 code.py"
    for good, bad, first in ((0, 60, 41), (40, 60, 41), (0, 41, 41), (40, 41, 41)):
        found = among(kept, linear / "repo", commits[good], commits[bad], command=command)
        assert (found.kind, found.first_bad, found.subject) == ("commit", commits[first], "Planted factor")
        assert found.runs <= 7
    with pytest.raises(EvidenceError):
        among(kept, linear / "repo", commits[45], commits[60], command=command)
    with pytest.raises(EvidenceError):
        among(kept, linear / "repo", commits[0], commits[20], command=command)
    with pytest.raises(UsageError):
        among(kept, linear / "repo", commits[60], commits[0], command=command)
    with pytest.raises(InputError):
        among(kept, linear / "repo", "nowhere", "main", command=command)


def test_commits_that_cannot_be_loaded_are_passed_over_and_named(linear: Path, kept: sessions.Session) -> None:  # noqa: F811
    """Where the planted commit itself cannot be judged, the first that can is named, and the others are suspects."""
    commits = history(linear / "repo", 5, n=8, broken=range(4, 6))
    found = among(kept, linear / "repo", commits[0], commits[8], pipeline="code.py:predict")
    assert found.first_bad == commits[6]
    assert found.suspects == tuple(commits[4:6])


def test_a_command_decides_and_finds_the_log(linear: Path, kept: sessions.Session) -> None:  # noqa: F811
    """The status of a command run in each work tree says good or bad; it knows the log's folder."""
    commits = history(linear / "repo", 3, n=4)
    command = 'test -f "$WHIMBREL_HOME/sessions/s.json" && grep -q 0.02 code.py'
    code, out, err = call(linear, "session", "bisect", "s", "--good", commits[0], "--bad", "main", "--repo",
                          f"{linear}/repo", "--run", command)  # fmt: skip
    assert code == 0, err
    assert out.startswith(f"first bad commit {commits[3][:12]}: Planted factor")


def test_bisect_names_the_decorated_step_that_changed(rides: Path) -> None:  # noqa: F811
    """Code under the recorder's `@step`: the commit that changed one step is found with that step's name."""
    assert call(rides, "session", "new", "s", "--ids", ids(rides))[0] == 0
    repo = rides / "repo"
    repo.mkdir()
    git(repo, "init", "-q", "-b", "main")
    for i in range(4):
        serving.write(repo, *([("- 20.0) / 9.0", "- 23.0) / 9.0")] if i > 1 else []))
        (repo / "version").write_text(str(i))
        git(repo, "add", "-A")
        git(repo, "commit", "-q", "-m", f"Change {i}")
    kept = sessions.load(rides / "home" / "sessions", "s")
    found = among(kept, repo, "main~3", "main", pipeline="train.py:predict")
    assert (found.subject, found.step) == ("Change 2", "steps.scale")
