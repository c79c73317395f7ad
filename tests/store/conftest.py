from __future__ import annotations

from pathlib import Path

import pytest

from whimbrel.store import Log, open_log


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return open_log(tmp_path / "home")
