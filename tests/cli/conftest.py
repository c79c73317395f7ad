"""A small app's predictions as files, and the program as a process."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import random
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from whimbrel.cli import main

START = datetime(2026, 3, 2, tzinfo=UTC)
MINUTES, EVERY = 6 * 24 * 60, 4


@dataclass(frozen=True)
class Ran:
    """What a run of the program gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON object."""

        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} is no JSON")

        return json.loads(self.out, parse_constant=refuse)


@dataclass(frozen=True)
class Program:
    """`whimbrel` with a home of its own: called, it runs in this process; `command` starts one of its own."""

    home: Path

    def __call__(self, *arguments: str, **environment: str) -> Ran:
        """Run it to its end."""
        out, err = io.StringIO(), io.StringIO()
        with patch.dict(os.environ, self.environment | environment), redirect_stdout(out), redirect_stderr(err):
            code = main(arguments)
        return Ran(code, out.getvalue(), err.getvalue())

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-c", "import sys; from whimbrel.cli import main; sys.exit(main())"]

    @property
    def environment(self) -> dict[str, str]:
        return dict(os.environ) | {"WHIMBREL_HOME": str(self.home), "WHIMBREL_ENGINE": "", "COLUMNS": "100"}


@pytest.fixture
def whimbrel(tmp_path: Path) -> Program:
    """The program with an empty log."""
    return Program(tmp_path / "home")


NAMES = (
    "id", "ts", "inputs.amount", "inputs.kind", "steps.scale.amount", "outputs.score", "decision", "context.channel",
)  # fmt: skip


def write(path: Path, *, broken_from: int | None = None, minutes: int = MINUTES, every: int = 1) -> Path:
    """Predictions as CSV, one every so many minutes; from a minute on, a step returns a 100th of it for ios."""
    dice = random.Random(7)
    with path.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(NAMES)
        for i in range(0, minutes, every):
            amount, kind = round(dice.lognormvariate(3, 0.7), 2), dice.choice("abc")
            channel = dice.choice(["ios", "web", "android"])
            broken = broken_from is not None and i >= broken_from and channel == "ios"
            scaled = math.log1p(amount) * (0.01 if broken else 1.0)
            score = 1 / (1 + math.exp(3 - scaled - {"a": 0.0, "b": 0.5, "c": -0.3}[kind]))
            ts = (START + timedelta(minutes=i)).isoformat()
            decision = "deny" if score > 0.5 else "allow"
            rows.writerow([f"p{i:05d}", ts, amount, kind, round(scaled, 6), round(score, 6), decision, channel])
    return path


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A log in which nothing is wrong, with a golden window `good`; tests read it, none writes."""
    return _log(tmp_path_factory.mktemp("sound"), None)


@pytest.fixture(scope="session")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """A log whose last day holds a fault; tests read it, none writes."""
    return _log(tmp_path_factory.mktemp("broken"), MINUTES - 700)


def _log(folder: Path, broken_from: int | None) -> Program:
    program = Program(folder / "home")
    done = program("import", str(write(folder / "fares.csv", broken_from=broken_from, every=EVERY)), "--app", "fares")
    assert done.code == 0, done.err
    done = program("golden", "set", "good", "--until", (START + timedelta(days=5)).isoformat())
    assert done.code == 0, done.err
    return program
