"""Numbers, shares, times and harm as words."""

from __future__ import annotations

import doctest
import math

import pytest

from whimbrel.model.report import Slice
from whimbrel.report import axes, text, words

from . import samples


@pytest.mark.parametrize("module", [words, axes])
def test_examples_in_the_docstrings_hold(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (48211, "48,211"), (0.1 + 0.2, "0.3"), (1234.5, "1,234"), (-0.00001, "-1e-05"), (1e21, "1e+21")],
)
def test_numbers(value: float, said: str) -> None:
    assert words.number(value) == said


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_a_sign(value: float) -> None:
    assert words.number(value) in {"–", "∞", "-∞"}
    assert words.share(value) == words.number(value)


def test_a_change_is_written_with_enough_digits_to_be_seen() -> None:
    assert words.change(0.50001, 0.50002, words.share) == "50.001% → 50.002%"
    assert words.change(2.0, 2.0) == "2 → 2"


def test_shares_of_a_column_have_the_same_decimals() -> None:
    pairs = [(s.rest_before, s.rest_after) for s in samples.slices()]
    assert words.aligned(pairs, words.share)[3] == ("0.99%", "2.40%")


def test_a_measure_is_a_share_only_where_words_and_values_agree() -> None:
    assert words.unit_of("share of rows that break", [0.1, 1.0]) is words.share
    assert words.unit_of("share of rows that break", [0.1, 7.0]) is words.number
    assert words.unit_of("milliseconds", [0.1]) is words.number


def test_harm_is_said_in_phrases() -> None:
    assert words.harms({"decisions_flipped": 0.18, "auc_before": 0.81, "auc_after": 0.74, "cost_usd": 12.5}) == [
        "18% of decisions flipped in the slice", "auc 0.81 → 0.74", "cost usd 12.5",
    ]  # fmt: skip


def test_no_line_is_wider_than_the_terminal_even_in_wide_scripts() -> None:
    long = "モデルが壊れた " * 40 + "x" * 300
    for width in (40, 66, 120):
        lines = list(text.wrapped(long, width))
        assert max(map(text.columns, lines)) <= width
        assert "".join("".join(lines).split()) == "".join(long.split())


def test_only_the_next_command_is_wider_than_asked() -> None:
    drawn = text.report(samples.fault(), width=60)
    assert all(text.columns(line) <= 60 for line in drawn.splitlines() if not line.startswith("next:"))


def test_colour_changes_nothing_but_colour() -> None:
    import re

    plain, coloured = (text.report(samples.fault(), color=on) for on in (False, True))
    assert "\x1b" not in plain
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == plain


def test_a_slice_without_numbers_is_still_a_row() -> None:
    from dataclasses import replace

    from whimbrel.report.pieces import slice_rows

    nan = math.nan
    finding = replace(samples.finding(), slices=(Slice((), 0, nan, nan, nan, nan, nan, nan, nan),))
    assert slice_rows(finding)[0].rest == "– → –"
