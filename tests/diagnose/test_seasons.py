"""What people mean to change: a sale, an experiment's arm. And what looks like it, and is broken."""

from __future__ import annotations

import numpy as np
import pytest

from tests.diagnose.shop import Cells, report


@pytest.mark.parametrize(
    ("times", "onset", "verdict"),
    [(1.5, 0.0, "healthy"), (0.5, 0.4, "healthy"), (1.609344, 0.4, "fault"), (7.46, 0.4, "fault")],
)
def test_all_prices_in_a_sale_are_no_unit(times: float, onset: float, verdict: str) -> None:
    """A few times as much for everybody is a season; miles from one row to the next are not, nor is another currency."""

    def priced(c: Cells, hit: np.ndarray) -> None:
        c["inputs.price"] = np.where(hit, np.round(c["inputs.price"] * times, 2), c["inputs.price"])

    found = report(raw=priced, onset=onset)
    assert found.verdict == verdict, found.sentence


@pytest.mark.parametrize(
    ("broken", "onset", "verdict"),
    [
        ("", 0.0, "notice"),
        ("now and then", 0.0, "notice"),
        ("", 0.5, "fault"),
        ("score", 0.0, "fault"),
        ("price", 0.0, "fault"),
    ],
)
def test_a_new_arm_is_answered_otherwise_from_its_first_row_on(broken: str, onset: float, verdict: str) -> None:
    """Golden has nobody to compare an arm with; what begins within it, one score for all, or a price in cents is a fault all the same."""

    def tried(c: Cells, hit: np.ndarray) -> None:
        arm = c["noise"][0] < 0.25
        c["context.device"] = np.where(arm, "watch", c["context.device"])
        if broken == "price":
            c["inputs.price"] = np.where(arm, 100 * c["inputs.price"], c["inputs.price"])

    def answered(c: Cells, hit: np.ndarray) -> None:
        here = (c["context.device"] == "watch") & hit
        if broken == "now and then":
            seldom = here & (c["noise"][1] < 0.06)
            c["decision"] = np.where((c["outputs.score"] > 0.5) ^ seldom, "sell", "keep")
        elif broken != "price":
            said = 0.73 if broken == "score" else c["outputs.score"] ** 1.3
            c["outputs.score"] = np.where(here, said, c["outputs.score"])

    found = report(raw=tried, after=answered, onset=onset)
    assert found.verdict == verdict, found.sentence
    assert ("context.device", "watch") in [(c.path, c.value) for c in found.findings[0].where]
