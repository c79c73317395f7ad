"""An input that is also a tag: traffic moves both, and what moves one alone is a fault, for all whom it hits."""

from __future__ import annotations

import numpy as np
import pytest

from whimbrel.diagnose import copies, diagnose_rows
from whimbrel.diagnose.case import build

from .shop import SCHEMA, Cells, cells, rows, serve

CLEAN = np.zeros(20_000, dtype=bool)
DEALT = {"red": "grey", "green": "blue", "blue": "red", "grey": "green"}


def pair(*, told: float = 1.0) -> tuple[Cells, Cells]:
    """Golden and a window whose colour is a tag as well, in this share of golden's rows."""
    golden, window = cells(20_000, 5, hours=240, start_hour=0), cells(4_000, 6, hours=24, start_hour=240)
    for side in (golden, window):
        side["context.device"] = side["inputs.colour"].copy()
    lost = np.random.default_rng(1).random(20_000) >= told
    golden["context.device"] = np.where(lost, "red", golden["context.device"])
    return golden, window


def test_a_code_book_dealt_anew_for_some_is_laid_at_the_input_and_named_for_all_of_them() -> None:
    golden, window = pair()
    hit = (window["context.country"] == "AT") & (np.arange(4_000) >= 1_000)
    window["inputs.colour"] = np.where(hit, [DEALT[c] for c in window["inputs.colour"]], window["inputs.colour"])
    report = diagnose_rows(rows(serve(golden, CLEAN), "g"), rows(serve(window, CLEAN[:4_000]), "w"), SCHEMA, app="shop")
    first = report.findings[0]
    assert (first.layer, first.component) == ("data", "inputs.colour"), report.sentence
    assert [(c.path, c.value) for c in first.where] == [("context.country", "AT")]
    assert "'grey' where it says 'red'" in first.what


@pytest.mark.parametrize("fashion", ["red", "violet"])
def test_traffic_that_moves_both_is_no_departure(fashion: str) -> None:
    """One colour comes into fashion, known to golden or not."""
    golden, window = pair()
    moved = np.random.default_rng(2).random(4_000) < 0.5
    for name in ("inputs.colour", "context.device"):
        window[name] = np.where(moved, fashion, window[name])
    case = build(rows(serve(golden, CLEAN), "g"), rows(serve(window, CLEAN[:4_000]), "w"), SCHEMA)
    (channel,) = copies.channels(case)
    assert np.nansum(channel.values) == 0.0


def test_what_is_not_always_the_same_is_no_copy() -> None:
    golden, window = pair(told=0.97)
    assert (
        copies.channels(build(rows(serve(golden, CLEAN), "g"), rows(serve(window, CLEAN[:4_000]), "w"), SCHEMA)) == []
    )
