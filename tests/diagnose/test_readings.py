"""Labels read otherwise: as another row's, or as the opposite, where only a few dozen of them are broken."""

from __future__ import annotations

import numpy as np
import pytest

from tests.diagnose.test_labels import (
    HOUR_US,
    SCHEMA,
    START,
    Break,
    Cells,
    drawn,
    fewer,
    golden,
    inverted,
    known,
    one_off,
    scored,
)
from whimbrel.diagnose import readings
from whimbrel.diagnose.case import Case, build
from whimbrel.diagnose.suspects import Proof, Suspect

BEGAN = START + (12 * 24 + 14) * HOUR_US
NOW = START + (14 * 24 + 96) * HOUR_US
WHERE = ["context.depot=quay", "context.tier=express"]


def window(labels: Break | None = None, world: Break | None = None, *, onoff: bool = False, seed: int = 2) -> Cells:
    """Two days, broken for express parcels from the quay from the fourteenth hour on, or in every other of six stretches."""
    c = drawn(4_000, 2, 12, seed)
    hit = (c["ts"] >= BEGAN) & (c["context.depot"] == "quay") & (c["context.tier"] == "express")
    if onoff:
        hit &= (c["ts"] - BEGAN) * 6 // int(c["ts"].max() - BEGAN + 1) % 2 == 0
    if world:
        world(c, hit)
    c = scored(c)
    if labels:
        labels(c, hit)
    return c


def case_of(c: Cells) -> Case:
    return build(known(golden(), NOW), known(c, NOW), SCHEMA)


def found(c: Cells) -> list[Suspect]:
    return readings.suspects(case_of(c))


@pytest.mark.parametrize("onoff", [False, True])
def test_a_few_dozen_labels_of_the_row_before_are_seen_in_their_slice(onoff: bool) -> None:
    case = case_of(window(one_off, onoff=onoff))
    (suspect,) = readings.suspects(case)
    assert [str(c) for c in suspect.where] == WHERE
    assert suspect.proof is Proof.HARD
    assert "1 row before their own" in suspect.note
    assert abs(suspect.since_us - BEGAN) < 3 * HOUR_US
    share = float(suspect.affected[suspect.inside & (case.ts >= suspect.since_us)].mean())
    assert share < 0.8 if onoff else share > 0.9


def opposite(c: Cells, hit: np.ndarray) -> None:
    c["label"][hit] = 1 - c["label"][hit]


def test_a_few_dozen_labels_that_say_the_opposite_are_seen_in_their_slice() -> None:
    (suspect,) = found(window(opposite))
    assert ([str(c) for c in suspect.where], suspect.proof) == (WHERE, Proof.FIRM)


@pytest.mark.parametrize("seed", [2, 3])
def test_chance_and_a_world_that_says_less_yes_prove_nothing(seed: int) -> None:
    assert not [s for s in found(window(seed=seed)) if s.proof > Proof.SOFT]
    assert not [s for s in found(window(world=fewer, seed=seed)) if s.proof > Proof.SOFT]


def test_a_request_that_is_repeated_is_one_witness_of_its_label() -> None:
    c = window()
    index = np.repeat(np.arange(len(c["ts"])), np.where(c["context.tier"] == "express", 4, 1))
    case = case_of({name: column[index] for name, column in c.items()})
    assert case.repeated.sum() == 3 * (c["context.tier"] == "express").sum()
    assert not readings.suspects(case)


def test_a_share_of_inverted_labels_in_all_traffic_of_one_tier() -> None:
    c = drawn(4_000, 2, 12, 7)
    c = scored(c)
    inverted(c, (c["ts"] >= BEGAN) & (c["context.tier"] == "express"))
    (suspect,) = found(c)
    assert ([str(c) for c in suspect.where], suspect.proof) == (["context.tier=express"], Proof.FIRM)


def test_the_stretches_in_which_a_reading_holds_are_the_best_there_are() -> None:
    """Against all ways to choose stretches, each at its price."""
    draw = np.random.default_rng(3)
    for _ in range(200):
        ratio = draw.normal(0, 2, draw.integers(1, 9))
        cost = np.log(max(ratio.size, 2))
        chosen = [np.array([bits >> i & 1 for i in range(ratio.size)], dtype=bool) for bits in range(2**ratio.size)]
        worth = [ratio[some].sum() - cost * (np.diff(some.astype(int), prepend=0) == 1).sum() for some in chosen]
        found = readings._holding(ratio)
        assert ratio[found].sum() - cost * (np.diff(found.astype(int), prepend=0) == 1).sum() == pytest.approx(
            max(worth)
        )


@pytest.mark.parametrize("peak", [-3.0, -2.0, -0.6, 0.0, 0.25, 1.9, 5.0])
def test_the_highest_of_a_concave_function_is_found_in_few_steps(peak: float) -> None:
    asked: list[float] = []

    def of(offset: float) -> float:
        asked.append(offset)
        return -abs(offset - peak)

    assert readings._highest(of) == max(of(float(offset)) for offset in readings._OFFSETS)
    assert len(asked) - readings._OFFSETS.size <= 9
