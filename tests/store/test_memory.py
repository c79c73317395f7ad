"""`--memory`: sizes that make sense, and what is held to them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.cli.conftest import Program
from tests.compare.world import START, shop
from whimbrel.engine import engine_named
from whimbrel.errors import UsageError
from whimbrel.model.window import Window
from whimbrel.settings import memory
from whimbrel.store import open_log
from whimbrel.store.sql import connect, one


@pytest.mark.parametrize(
    ("text", "size"), [("2GB", 2 * 10**9), ("512 MiB", 512 << 20), ("1.5gb", 1_500_000_000), ("", None)]
)
def test_sizes_as_people_write_them(text: str, size: int | None) -> None:
    assert memory({"WHIMBREL_MEMORY": text}) == size


@pytest.mark.parametrize("text", ["2", "much", "-2GB", "10MB", "2GB or so"])
def test_what_is_no_memory_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no memory"):
        memory({"WHIMBREL_MEMORY": text})
    assert Program(tmp_path)("--memory", text, "status").code == 2


def test_imports_and_questions_hold_less_where_they_are_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path / "home")
    log.add(shop(4, per_day=1_500), app="shop")
    free = engine_named().rows(log.source("shop"), Window("shop"), limit=5_000)
    monkeypatch.setenv("WHIMBREL_MEMORY", "256MB")
    with connect(tmp_path) as con:
        (limit,) = one(con, "SELECT current_setting('memory_limit')")
    assert limit == "122.0 MiB"
    ask = engine_named()
    held = ask.rows(log.source("shop"), Window("shop"), limit=5_000)
    assert len(held.ids) == len(free.ids)  # a few fields fit
    wide = {f"inputs.x{i}": 1.0 for i in range(900)}
    log.append("wide", [{"id": f"{n}", "ts": START + timedelta(seconds=n)} | wide for n in range(1_500)])
    drawn = len(ask.rows(log.source("wide"), Window("wide"), limit=5_000).ids)
    assert drawn < 1_400  # 900 do not, all of them
