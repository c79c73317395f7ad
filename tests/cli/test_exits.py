"""Exit codes and errors that scripts can rely on, whatever goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from whimbrel.cli import exits, main

from .conftest import Program, write

PARTS = {"type", "what", "where", "why", "next", "exit_code"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["diagnose", "--nonsense"], 2),
        (["nonsense"], 2),
        (["diagnose", "--engine", "abacus"], 2),
        (["diagnose", "--engine", "spark://nowhere"], 2),
        (["import"], 2),
        (["import", "no-such-file.csv"], 3),
        (["diagnose"], 4),
        (["compare"], 4),
        (["golden", "set", "good"], 4),
        (["golden", "show", "none"], 2),
        (["demo", "--fault", "nothing-known"], 2),
        (["drill", "--faults", "nothing-known"], 2),
    ],
)
def test_errors_have_four_parts_a_code_and_one_json_object(whimbrel: Program, arguments: list[str], code: int) -> None:
    told = whimbrel(*arguments)
    assert (told.code, told.out) == (code, "")
    assert told.err.startswith("error: ")
    assert "next: " in told.err
    ran = whimbrel(*arguments, "--json")
    assert ran.code == code
    assert set(ran.json) == {"error"}
    assert set(ran.json["error"]) == PARTS
    assert ran.json["error"]["exit_code"] == code
    assert ran.json["error"]["next"]


def test_an_unknown_engine_is_refused_with_those_that_there_are(sound: Program) -> None:
    ran = sound("diagnose", "--engine", "abacus", "--json")
    assert ran.code == 2
    assert "--engine duckdb" in ran.json["error"]["next"]
    assert sound("diagnose", WHIMBREL_ENGINE="abacus").code == 2


def test_the_engine_may_be_named_before_the_command(sound: Program) -> None:
    for command in (["diagnose"], ["compare"], ["session", "new", "s", "--ids", "p00004"]):
        ran = sound("--engine", "abacus", *command, "--json")
        assert ran.code == 2
        assert "abacus" in ran.json["error"]["what"]
    assert sound("--engine", "abacus", "compare", "--golden", "good", "--engine", "duckdb").code in (0, 1)
    assert "aggregates nothing" in sound("--engine", "duckdb", "status", "--json").json["error"]["what"]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["golden", "--help"], ["diagnose", "--help"], ["--version"]])
def test_help_and_version_answer_without_a_log(whimbrel: Program, arguments: list[str]) -> None:
    ran = whimbrel(*arguments)
    assert ran.code == (0 if arguments else 2)
    assert "whimbrel" in ran.out
    assert ran.err == ""
    assert not whimbrel.home.exists()


def test_every_command_has_help_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (
        "demo",
        "import",
        "status",
        "golden",
        "golden set",
        "golden list",
        "golden show",
        "compare",
        "diagnose",
        "drill",
    ):
        assert main([*command.split(), "--help"]) == 0
        shown = capsys.readouterr().out
        assert f"  whimbrel {command}" in shown, command
        assert "--json" in shown or command == "golden", command


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from whimbrel.cli import main; main(['--help']); main(['diagnose', '--help']);"
        "bad = {'numpy', 'duckdb', 'deltalake', 'sklearn', 'jinja2', 'rich', 'whimbrel.store'};"
        "sys.exit(bool(bad & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_a_bug_of_ours_is_called_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: list[str]) -> int:
        raise ZeroDivisionError("by zero\x1b[31m")

    monkeypatch.setattr(exits, "_run", fail)
    assert main(["status"]) == 70
    told = capsys.readouterr()
    assert told.out == ""
    assert "a bug in whimbrel: ZeroDivisionError: by zero\\x1b[31m" in told.err
    assert "WHIMBREL_DEBUG=1" in told.err
    assert main(["status", "--json"]) == 70
    assert '"exit_code": 70' in capsys.readouterr().out


def test_control_c_ends_an_import_and_leaves_a_log_that_works(whimbrel: Program, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    for i in range(40):
        write(folder / f"{i:03d}.csv", minutes=2 + i)
    arguments = ["import", str(folder / "*.csv"), "--app", "fares", "--json"]
    with subprocess.Popen(
        [*whimbrel.command, *arguments], env=whimbrel.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        table = whimbrel.home / "predictions" / "fares" / "_delta_log"
        while not table.exists() and running.poll() is None:
            time.sleep(0.01)
        os.kill(running.pid, signal.SIGINT)
        out, err = running.communicate()
    assert running.returncode == 130, err
    assert json.loads(out)["error"]["exit_code"] == 130
    assert whimbrel(*arguments).code == 0
    assert whimbrel("status", "--json").json["apps"][0]["predictions"] == 41


def test_a_reader_that_goes_away_is_no_error(sound: Program) -> None:
    with subprocess.Popen(
        [*sound.command, "status", "--json"], env=sound.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout
        assert running.stderr
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait() == exits.PIPE_CLOSED


def test_output_survives_a_terminal_that_knows_only_ascii(sound: Program) -> None:
    environment = sound.environment | {"PYTHONIOENCODING": "ascii"}
    ran = subprocess.run([*sound.command, "status"], env=environment, capture_output=True, check=True)
    assert ran.stdout.isascii()
