"""Makes the package `whimbrel_recorder` of the rooms of `whimbrel` that an app needs, at the moment it is built.

In: `../src/whimbrel/record` and what it stands on. Out: the same files under names of their own, so that both
distributions can be installed side by side and none overwrites the other's files.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

TREE = Path(__file__).resolve().parent.parent / "src" / "whimbrel"
ALONE = ("doors", "errors", "hardware", "settings", "version")
"""What it has beside the recorder's own room."""


def renamed(text: str) -> str:
    """A module's text with every name of ours as it is called in the distribution."""
    text = re.sub(r"\bwhimbrel\.record\b", "whimbrel_recorder", text)
    return re.sub(rf"\bwhimbrel\.({'|'.join(ALONE)})\b", r"whimbrel_recorder.\1", text)


class Rooms(BuildHookInterface[Any]):
    """Brings the renamed files into the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  hatchling's signature
        """Write them to a folder of their own, and say where in the wheel they go."""
        self.made = Path(tempfile.mkdtemp())
        room = TREE / "record"
        files = {path: path.relative_to(room) for path in room.rglob("*.py")}
        beside = [
            TREE / "py.typed",
            *(file for room in ALONE for file in (TREE / room).rglob("*.py")),
            *(TREE / f"{name}.py" for name in ALONE),
        ]
        files |= {path: path.relative_to(TREE) for path in beside if path.exists()}
        for path, name in files.items():
            made = self.made / name
            made.parent.mkdir(parents=True, exist_ok=True)
            made.write_text(renamed(path.read_text("utf-8")), "utf-8")
            build_data["force_include"][str(made)] = f"whimbrel_recorder/{name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Leave nothing behind."""
        shutil.rmtree(self.made)
