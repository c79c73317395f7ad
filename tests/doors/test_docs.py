"""What docs/doors.md shows runs as it stands, and it shows every door."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import whimbrel.doors

PAGE = (Path(__file__).parents[2] / "docs" / "doors.md").read_text("utf-8")


@pytest.mark.parametrize("code", re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
def test_the_examples_run(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHIMBREL_HOME", str(tmp_path))
    exec(compile(code, "docs/doors.md", "exec"), {"__name__": "example"})


def test_every_door_is_shown() -> None:
    modules = {path.stem for path in Path(whimbrel.doors.__path__[0]).glob("*.py")}
    inner = {"__init__", "batch", "conventions"}
    assert {f"whimbrel.doors.{name}" for name in modules - inner} <= set(re.findall(r"whimbrel\.doors\.\w+", PAGE))
