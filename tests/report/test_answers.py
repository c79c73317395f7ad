"""Comparisons, states of a log, imports and golden windows as a person reads them."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from whimbrel.compare.result import Comparison, Mix, Movement
from whimbrel.model.report import Shape, Span
from whimbrel.model.window import Window, where_of
from whimbrel.report import answers, html, json
from whimbrel.store.values import Added, AppStatus, Golden, Status

from . import samples
from .test_golden import check, without_style
from .test_safety import Outline

MADE = datetime(2026, 11, 20, 8, tzinfo=UTC)


def movement(path: str, moved: bool, what: str = "") -> Movement:
    """One field's movement."""
    shape = Shape(
        path, ("null", "< 1", "1 – 5", "5 – 20", "> 20"), (0.01, 0.1, 0.5, 0.3, 0.09), (0.2, 0.4, 0.3, 0.1, 0.0)
    )
    since = samples.ONSET if moved else None
    return Movement(
        path, moved, 12.5 if moved else 0.4, 0.42, what, 0.01, 0.2, 0.0, 0.05, since, ("context.country",), shape
    )


def comparison() -> Comparison:
    """Two fields moved, two did not, a country grew."""
    return Comparison(
        golden=Span(samples.START, samples.ONSET, 301_877, name="november"),
        window=Span(samples.ONSET, MADE, 48_211),
        threshold=3.2,
        days=13,
        moved=(movement("inputs.fare", True, "median 24 -> 0.24, null 1% -> 20%"), movement("outputs.score", True)),
        unmoved=(movement("inputs.distance", False), movement("decision", False)),
        mix=(Mix("context.country", "BR", 0.02, 0.09, "grew"), Mix("context.device", None, 0.1, 0.0, "gone")),
        expected_predictions=47_012.3,
        notes=("traffic whose country=MX is new since golden is left out",),
    )


def status() -> Status:
    """A log with two apps."""
    fares = AppStatus(
        "fares", 301_877, samples.START, samples.ONSET, {"inputs": 14, "steps": 3}, 0.43, 12, 14, 48_000_000
    )
    chat = AppStatus("chat", 1, MADE, MADE, {"outputs": 1}, 0.0, 0, 1, 900)
    return Status(Path("/srv/whimbrel"), (fares, chat), 12, ("november", "v7"), 3, 2, 48_100_000)


def test_comparison_reads_as_before() -> None:
    check("comparison.txt", answers.comparison(comparison().to_dict()))
    check("comparison.html", without_style(html.comparison(comparison().to_dict())))


def test_comparison_of_nothing_moved_says_so() -> None:
    still = replace(comparison(), moved=(), mix=(), notes=(), expected_predictions=None).to_dict()
    assert answers.comparison(still).startswith("none of 2 fields moved.")
    assert "nothing moved" in html.comparison(still)


def test_comparison_with_hostile_names_and_absurd_numbers_is_drawn() -> None:
    bad = movement(samples.HOSTILE, True, samples.HOSTILE)
    bad = replace(bad, distance=math.nan, score=math.inf, null_after=math.nan, explained_by=(samples.HOSTILE,))
    mix = (Mix(samples.HOSTILE, samples.HOSTILE, math.nan, 1e9, "new"),) * 60
    found = replace(comparison(), moved=(bad,) * 60, unmoved=(bad,) * 600, mix=mix, notes=(samples.HOSTILE,)).to_dict()
    Outline(html.comparison(found))
    assert "<script" not in re.sub("<style>.*</style>", "", html.comparison(found), flags=re.DOTALL)
    assert "\x1b" not in answers.comparison(found)
    assert json.dumps(found).isascii()


def test_status_reads_as_before() -> None:
    check("status.txt", answers.status(status().to_dict()))
    empty = Status(Path("/srv/whimbrel"), (), 0, (), 0, 0, 0)
    assert answers.status(empty.to_dict()).splitlines() == [
        "The log at /srv/whimbrel holds no predictions.", "next: whimbrel import FILE",
    ]  # fmt: skip


def test_import_reads_as_before() -> None:
    full = Added(1000, 12, 3, 40, {"inputs.fare": 2, "label": 1}, (Path("/srv/q/x.jsonl"),), ("3 columns are unknown",))
    check("added.txt", answers.added(full.to_dict()))
    assert answers.added(Added(rows=1).to_dict(), what="event").startswith("1 event taken in.")


def test_golden_windows_read_as_before() -> None:
    window = Window("fares", samples.START, None, where_of({"context.country": "US"}))
    golden = Golden("november", window, 12, 301_877, MADE).to_dict()
    check("golden.txt", answers.golden(golden) + "\n\n" + answers.goldens([golden, golden]))
    assert "next: whimbrel golden set" in answers.goldens([])
