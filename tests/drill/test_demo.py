"""The demo from end to end: flights served and recorded, something broken, and the diagnosis, which is told nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from whimbrel.drill import demo
from whimbrel.drill.apps.flights import FLIGHTS
from whimbrel.drill.plant import variants
from whimbrel.errors import UsageError
from whimbrel.store import open_log


def test_a_broken_slice_is_found_in_what_was_recorded(cache: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").symlink_to(cache)
    said = []
    done = demo.run(home=tmp_path, fault="lower-case", golden_days=12, progress=lambda doing, part: said.append(doing))
    assert done.found, done.report.sentence
    assert done.report.verdict == "fault"
    assert {c.path: c.value for c in done.report.findings[0].where} == dict(done.truth.where)
    assert done.home.is_relative_to(tmp_path / "demo")
    log = open_log(done.home)
    (app,) = log.status().apps
    assert app.predictions == done.flights
    assert app.labelled * app.predictions == pytest.approx(done.labels, abs=1)
    assert any(event.what == "build 3f2c91" for event in log.events("flights"))
    assert list(dict.fromkeys(said)) == [
        "reading flights, training the model", "serving flights, recording each",
        "moving what was recorded into the log", "diagnosing",
    ]  # fmt: skip
    assert done.page.read_text(encoding="utf-8").lstrip().startswith("<!doctype html>")
    told = demo.text(done, width=100)
    assert done.report.sentence.split(":")[0] in told
    assert "airports arrive in lower case from one feed" in told
    assert "Found." in told
    assert f"--home {done.home}" in told


def test_the_demo_breaks_only_what_it_knows(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot break 'everything'"):
        demo.run(home=tmp_path, fault="everything")
    assert not list(tmp_path.iterdir())


def test_the_demo_can_break_many_things_in_many_layers() -> None:
    faults = [variants(FLIGHTS, breakage.fault)[0] for breakage in demo.BREAKAGES.values()]
    assert len(faults) >= 8
    assert len({fault.layer for fault in faults}) >= 5
    assert demo.DEFAULT in demo.BREAKAGES
