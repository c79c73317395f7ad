"""Bisect over versions of models and of training data, and over commits with environments of their own."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

import whimbrel
from tests.replay.test_session_code import git
from tests.replay.test_sessions import PLAIN, START, call, ids, linear  # noqa: F401  a fixture
from whimbrel.errors import EvidenceError
from whimbrel.replay import sessions
from whimbrel.replay.bisect import Listed, bisect, data_versions, model_files, recorded_models
from whimbrel.replay.commits import commits, locked

MOST = math.ceil(math.log2(60)) + 1


@pytest.fixture
def kept(linear: Path) -> sessions.Session:  # noqa: F811
    """All thirty predictions, as recorded."""
    assert call(linear, "session", "new", "s", "--ids", ids(linear))[0] == 0
    return sessions.load(linear / "home" / "sessions", "s")


def onnx_file(path: Path, weight: float) -> None:
    """`0.1 km + weight minutes`, in double precision."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.DOUBLE
    sides = [helper.make_tensor_value_info(name, kind, [None, 1]) for name in ("km", "minutes", "score")]
    nodes = [helper.make_node("Mul", ["km", "a"], ["x"]), helper.make_node("Mul", ["minutes", "b"], ["y"]),
             helper.make_node("Add", ["x", "y"], ["score"])]  # fmt: skip
    parts = [helper.make_tensor(name, kind, [1], [value]) for name, value in (("a", 0.1), ("b", weight))]
    graph = helper.make_graph(nodes, "linear", sides[:2], sides[2:], parts)
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    )


def test_a_bad_model_among_sixty_files(linear: Path, kept: sessions.Session) -> None:  # noqa: F811
    """Files are taken in the order of their numbers; the first bad one and the step are named."""
    (linear / "models").mkdir()
    for i in range(1, 61):
        onnx_file(linear / "models" / f"m{i}.onnx", 0.02 if i < 37 else 0.03)
    models = f"{linear}/models/*.onnx"
    code, out, err = call(linear, "session", "bisect", "s", "--models", models, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert (found["kind"], found["first_bad"], found["step"]) == ("model", f"{linear}/models/m37.onnx", "outputs")
    assert found["runs"] <= MOST
    good, bad = (f"{linear}/models/m{i}.onnx" for i in (30, 40))
    out = call(linear, "session", "bisect", "s", "--models", models, "--good", good, "--bad", bad)[1]
    assert out.startswith(f"first bad model version {linear}/models/m37.onnx\nfound in ")
    with pytest.raises(EvidenceError):
        bisect(kept, model_files(models).between(bad, ""), pipeline="{version}")


def test_recorded_model_versions_in_the_order_of_first_sight(linear: Path, kept: sessions.Session) -> None:  # noqa: F811
    """Sixty versions that the log's predictions name; the command gets each as a variable and in its text."""
    rows = [
        json.dumps(
            {"id": f"m{i}", "ts": START + 1000 + i, "inputs": {"km": 1.0}, "model": {"version": f"r{997 * i % 61}"}}
        )
        for i in range(1, 61)
    ]
    (linear / "more.jsonl").write_text("\n".join(rows))
    assert call(linear, "import", str(linear / "more.jsonl"), "--app", "linear")[0] == 0
    versions = recorded_models(whimbrel.open(linear / "home"), "linear")
    assert list(versions.names) == [f"r{997 * i % 61}" for i in range(1, 61)]
    bad = f"r{997 * 37 % 61}"
    (linear / "bad").write_text("\n".join(versions.names[36:]))
    for command in (f'! grep -qx "$WHIMBREL_VERSION" {linear}/bad', f"! grep -qx {{version}} {linear}/bad"):
        code, out, err = call(linear, "session", "bisect", "s", "--models", "recorded", "--run", command, "--json")
        assert code == 0, err
        found = json.loads(out)
        assert (found["first_bad"], found["subject"]) == (bad, "1 predictions")
        assert found["runs"] <= MOST


def test_a_bad_version_of_training_data_among_sixty(linear: Path, kept: sessions.Session) -> None:  # noqa: F811
    """The command gets the version's number; what is said of it is its name and rows."""
    import pyarrow as pa

    log = whimbrel.open(linear / "home")
    for i in range(60):
        log.data.add_table(pa.table({"minutes": [float(i)], "late": [i % 2]}), name="train")
    assert list(data_versions(log, "train").names) == [str(i) for i in range(1, 61)]
    command = "test {version} -lt 37 && test $WHIMBREL_VERSION -lt 37"
    code, out, err = call(linear, "session", "bisect", "s", "--data", "train", "--run", command)
    assert code == 0, err
    assert out.startswith("first bad data version 37: train@37, 1 rows\nfound in ")
    assert int(out.split("found in ")[1].split()[0]) <= MOST


@pytest.mark.parametrize("planted", [1, 2, 30, 58, 59])
@pytest.mark.parametrize("n", [2, 3, 16, 17, 60])
def test_runs_are_few_wherever_the_bad_one_lies(kept: sessions.Session, n: int, planted: int) -> None:
    """At most the logarithm of their number and one more."""
    planted = min(planted, n - 1)
    versions = Listed("model", [str(i) for i in range(n)])
    found = bisect(kept, versions, command=f"test {{version}} -lt {planted}")
    assert found.first_bad == str(planted)
    assert found.runs <= math.ceil(math.log2(n)) + 1


@pytest.mark.parametrize(
    "arguments",
    [("--models", "a,b", "--data", "train"), (), ("--good", "a"), ("--models", "nothing/*.onnx"), ("--data", "none", "--run", "true"),
     ("--good", "a", "--bad", "b", "--setup", "true", "--pipeline", "code.py:predict"), ("--models", "recorded", "--setup", "true", "--run", "true")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(linear: Path, kept: sessions.Session, arguments: tuple[str, ...]) -> None:  # noqa: F811
    """Two kinds of versions, none, and a set-up for what is not set up."""
    code, _, err = call(linear, "session", "bisect", "s", *arguments)
    assert code in (2, 4), err
    assert "Traceback" not in err


@pytest.fixture
def locks(linear: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    """A repository of eight commits, of which the sixth locks another package, and a `uv` that installs what is locked."""
    repo = linear / "repo"
    repo.mkdir()
    git(repo, "init", "-q", "-b", "main")
    (repo / "code.py").write_text(PLAIN)
    (repo / "prepare.py").write_text(
        "import os, pathlib, sys, sysconfig\n"
        "assert sys.prefix == os.environ['VIRTUAL_ENV'] == os.environ['UV_PROJECT_ENVIRONMENT']\n"
        "place = pathlib.Path(sysconfig.get_path('purelib')) / 'factor.py'\n"
        "place.write_text('FACTOR = ' + pathlib.Path('requirements.txt').read_text().split('==')[1])\n"
        f"open({str(linear / 'seen')!r}, 'a').write(f'{{sys.prefix}} {{os.getcwd()}}\\n')\n"
    )
    for i in range(8):
        (repo / "requirements.txt").write_text(f"factor=={2 if i < 5 else 3}\n")
        (repo / "version").write_text(str(i))
        git(repo, "add", "-A")
        git(repo, "commit", "-q", "-m", f"Change {i}")
    (linear / "bin").mkdir()
    (linear / "bin" / "uv").write_text("#!/bin/sh\ntest $1 = sync && python prepare.py\n")
    (linear / "bin" / "uv").chmod(0o755)
    monkeypatch.setenv("PATH", f"{linear / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return repo


def test_each_commit_has_its_environment_and_equal_locks_share_one(
    linear: Path, kept: sessions.Session, locks: Path  # noqa: F811
) -> None:  # fmt: skip
    """A commit that changed only a locked package is found; its set-up sees its own files, at one path for all."""
    asked = ("session", "bisect", "s", "--good", "main~7", "--bad", "main", "--repo", str(locks))
    code, out, err = call(
        linear, *asked, "--setup", "uv sync", "--run", 'python -c "import factor; assert factor.FACTOR == 2"'
    )
    assert code == 0, err
    assert "Change 5" in out.splitlines()[0]
    lines = [line.split() for line in (linear / "seen").read_text().splitlines()]
    assert len(lines) == int(out.split("found in ")[1].split()[0])
    assert len({prefix for prefix, _ in lines}) == 2
    assert len({folder for _, folder in lines}) == 1
    assert not any(Path(prefix).exists() for prefix, _ in lines)
    assert call(linear, *asked, "--setup", "uv fails", "--run", "true")[0] == 4


def test_an_environment_has_pip(linear: Path, kept: sessions.Session, locks: Path) -> None:  # noqa: F811
    """Unless uv is what sets it up."""
    with commits(locks, "main~1", "main", setup="python -m pip --version && python prepare.py") as versions:
        command = f'test "$(git rev-parse HEAD)" = {versions.names[0]}'
        assert bisect(kept, versions, command=command).first_bad == versions.names[1]
    assert versions.environments == 1


def test_a_lock_is_its_names_and_contents(tmp_path: Path) -> None:
    """Lock files count before the project's own file; without either there is nothing to share."""
    assert locked(tmp_path) == ""
    (tmp_path / "pyproject.toml").write_text("a")
    project = locked(tmp_path)
    (tmp_path / "uv.lock").write_text("b")
    one = locked(tmp_path)
    (tmp_path / "pyproject.toml").write_text("c")
    assert locked(tmp_path) == one != project
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "dev.txt").write_text("b")
    assert locked(tmp_path) != one
