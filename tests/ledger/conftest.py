"""One log with a ledger, made once, and copies of it to attack."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.ledger.scenes import Scene


@pytest.fixture(scope="package")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scene, list[str]]:
    """A log of 300 imported and 12 recorded predictions, all in the ledger."""
    scene = Scene(tmp_path_factory.mktemp("original"))
    scene.begin()
    scene.add(300)
    return scene, scene.record(12)


@pytest.fixture
def scene(original: tuple[Scene, list[str]], tmp_path: Path) -> Scene:
    """A copy to attack."""
    shutil.copytree(original[0].base, tmp_path / "scene")
    return Scene(tmp_path / "scene")


@pytest.fixture
def ids(original: tuple[Scene, list[str]]) -> list[str]:
    return original[1]


@pytest.fixture(scope="package")
def files(original: tuple[Scene, list[str]]) -> dict[str, bytes]:
    """Evidence of one recorded prediction, with all groups disclosed."""
    return dict(original[0].prove(original[1][5]).files)
