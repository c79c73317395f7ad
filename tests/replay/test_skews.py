"""The planted skews are found at their step and column, in words; the same code run otherwise is never reported."""

from __future__ import annotations

import pytest

from tests.replay.skews.table import HONEST, SKEWS
from tests.replay.skews.worlds import Score, alarms, record, scores


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Score], dict[str, str]]:
    """What parity says of each skew and of each honest replay, all recorded into one log."""
    log = record(tmp_path_factory.mktemp("skews"), SKEWS, HONEST, n=200)
    return list(scores(log, SKEWS, n=200)), dict(alarms(log, HONEST, n=200))


@pytest.mark.parametrize(("what", "missed"), [("step", 1), ("column", 2), ("words", 3), ("alone", 2)])
def test_planted_skews_are_found(found: tuple[list[Score], dict[str, str]], what: str, missed: int) -> None:
    """Of 35: the first divergence at the right step, in the right columns, its kind named, and no other step blamed."""
    wrong = [one for one in found[0] if not getattr(one, what)]
    assert len(found[0]) >= 35
    assert len(wrong) <= missed, wrong


def test_nothing_is_reported_of_honest_replays(found: tuple[list[Score], dict[str, str]]) -> None:
    """Other batches, threads, float types and sums: ten replays, no divergence."""
    assert len(found[1]) == 10
    assert {name: said for name, said in found[1].items() if said} == {}
