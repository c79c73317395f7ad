"""A field that says what language a text is in: stuck at one, it is wrong beside texts that are in three."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

import whimbrel
from tests.diagnose.helpline import ASKED, THINGS
from tests.diagnose.test_causes import ROWS, Reads
from tests.diagnose.test_causes import suspect as one
from whimbrel.diagnose import followers
from whimbrel.diagnose.suspects import Proof

DAYS, WINDOW, A_DAY = 11, 2, 800
GREETINGS = {
    "en": ("Hello,", "Good morning,", "Dear all,", ""),
    "de": ("Hallo,", "Guten Tag,", "Liebe Leute,", ""),
    "fr": ("Bonjour,", "Bonsoir,", "Chers amis,", ""),
}


def _questions(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Questions in three languages, each to the desk of the language that is said of it; from the window's eighth hour on something happens in the south."""
    rng = np.random.default_rng(17)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    tenant, spoken = rng.choice(["north", "south", "west"], n), rng.choice(["en", "de", "fr"], n, p=[0.5, 0.3, 0.2])
    south = (hour >= began + 8) & (tenant == "south")
    if event == "all write English":
        spoken = np.where(south, "en", spoken)
    said = np.where(south, "en", spoken) if event == "stuck" else spoken
    texts = [
        f"{GREETINGS[language][greeting]} {ASKED[language][asked].format(f'{thing} {number}')}".strip()
        for language, greeting, asked, thing, number in zip(
            spoken, rng.integers(0, 4, n), rng.integers(0, 3, n), rng.choice(THINGS, n), rng.integers(100, 9_999, n), strict=True
        )
    ]  # fmt: skip
    desk, value = np.select([said == "de", said == "fr"], [1.0, 2.0], 0.0), rng.gamma(2, 30, n).round(2)
    score = (1 / (1 + np.exp(-(0.02 * value + 0.2 * desk - 1.5)))).round(5)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.tenant": tenant,
        "inputs.text": texts, "inputs.language": said, "inputs.value": value, "steps.route.desk": desk, "outputs.score": score,
        "decision": np.where(score > 0.5, "first", "queue"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "stuck", "all write English"])
def test_a_language_that_is_said_of_texts_in_others_is_the_datas(event: str) -> None:
    """Where all write in one language, it is rightly said of all of them."""
    report = whimbrel.diagnose(*_questions(event))
    assert (report.verdict == "fault") == (event == "stuck"), report.sentence
    if event == "stuck":
        first = report.findings[0]
        assert (first.layer, first.component) == ("data", "inputs.language"), report.sentence
        assert [str(c) for c in first.where] == ["context.tenant=south"], report.sentence


@pytest.mark.parametrize(("component", "signature", "exact", "proof"), [
    ("inputs.language", "constant", False, Proof.HARD), ("inputs.language", "spell", False, Proof.HARD),
    ("inputs.language", "constant", True, Proof.SOFT), ("inputs.language", "null", False, Proof.SOFT),
    ("steps.read.language", "constant", False, Proof.SOFT),
])  # fmt: skip
def test_an_input_that_is_stuck_at_what_it_mostly_is_says_what_others_tell_of_it(
    component: str, signature: str, exact: bool, proof: Proof
) -> None:
    """That is no excuse, unless all that it was made of says the very same; a step is what its upstream makes of it."""
    stuck = one(component, signature, 0.9, kind="invariant", proof=Proof.HARD)
    surprise = np.where(np.arange(ROWS.size) % 10 == 0, 1.0, 0.05)
    relation = Reads(("inputs.text#language",), surprise=surprise, expected=np.zeros(ROWS.size), exact=exact)
    case = cast("Any", SimpleNamespace(golden=ROWS))
    left = followers.inherited(case, stuck, [stuck], cast("Any", {component: relation}))
    assert left.proof is proof
