"""Data is parsed and models are trained once for all tests here, also where several processes run them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from whimbrel.drill.apps import NAMES, subject

pytest.importorskip("sklearn")


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything in it that a drill keeps."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    folder, busy = shared / "drill", shared / "drill.busy"
    try:
        os.close(os.open(busy, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        while not (folder / "done").exists() and busy.exists():
            time.sleep(0.2)
        return folder
    try:
        for name in NAMES:
            subject(name).world(0, folder)
        (folder / "done").touch()
    except BaseException:
        busy.unlink()
        raise
    return folder
