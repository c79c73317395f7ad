"""Raw inputs put back to golden's: what the outcome makes of a move says whether it harms, and not how far it went."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.replay import serving
from whimbrel.model.rows import Categories, Numbers
from whimbrel.model.swap import Rescored
from whimbrel.replay.couple import couple, moved, whole
from whimbrel.replay.rescore import rescore

Row = dict[str, Any]


def rides(n: int, seed: int, change: Callable[[Row], Row] = lambda row: row) -> list[Row]:
    """Recorded rides with an input that nothing reads, each changed on its way in."""
    rng = random.Random(seed)
    out = []
    for i in range(n):
        ride = change({**serving.inputs(rng), "battery": round(rng.gauss(50, 10), 3)})
        inputs = {f"inputs.{name}": value for name, value in ride.items() if value is not None}
        out.append(
            {"id": str(i), "ts": i, **inputs, "steps.base_fare.value": rng.random(), "recorder.reads": ["base_fare"]}
        )
    return out


def column(records: list[Row], path: str) -> Numbers | Categories:
    """A field of flat records as the engine would give it."""
    values = [record.get(path) for record in records]
    if any(isinstance(value, str) for value in values):
        names = list(dict.fromkeys(value for value in values if value is not None))
        return Categories(np.array([names.index(v) if v is not None else -1 for v in values]), tuple(names))
    return Numbers(np.array([np.nan if value is None else float(value) for value in values]))


def rescored(home: Path, path: str, change: Callable[[Row], Row], n: int = 200) -> Rescored:
    """One input put back, where it was changed in the window."""
    code = serving.app(home)

    def predict(km: Any, minutes: Any, city: Any, hour: Any, weekday: Any) -> Any:
        return code.predict(km, minutes, city, hour, weekday)

    golden, window = rides(2000, 1), rides(2000, 2, change)
    (one,) = rescore(
        predict, window[:n], {path: (column(window, path), column(golden, path))}, golden=golden[:100]
    )  # fmt: skip
    return one


def test_a_big_drift_of_an_unread_input_changes_nothing(tmp_path: Path) -> None:
    """Even golden's values in any order leave every score as it was: the code does not read it."""
    one = rescored(tmp_path, "inputs.battery", lambda row: {**row, "battery": row["battery"] * 100})
    assert one.moved
    assert one.unread
    assert one.flips == 0


def test_a_wrong_unit_is_undone_row_by_row(tmp_path: Path) -> None:
    """What decided otherwise is what a window without the fault decides otherwise."""
    one = rescored(tmp_path, "inputs.minutes", lambda row: {**row, "minutes": row["minutes"] * 60})
    code = serving.app(tmp_path)
    assert one.moved
    assert not one.unread
    assert one.put_back == 200
    code.FARES |= dict.fromkeys(("Amsterdam", "Bern ", "Cairo", "Delhi", "Essen"), 0.5)
    rng = random.Random(2)
    truth = 0
    for _ in range(200):
        ride = serving.inputs(rng)
        rng.gauss(50, 10)
        rng.random()
        truth += (code.predict(**ride) >= 0.5) != (code.predict(**{**ride, "minutes": ride["minutes"] * 60}) >= 0.5)
    assert one.back.flipped == pytest.approx(truth, abs=12)


def test_a_small_move_of_an_input_that_matters_flips_decisions(tmp_path: Path) -> None:
    """A third of a standard deviation on an input that the score hangs on."""
    small = rescored(tmp_path, "inputs.minutes", lambda row: {**row, "minutes": row["minutes"] + 6.0})
    none = rescored(tmp_path, "inputs.minutes", lambda row: row)
    assert small.flips > 0.03
    assert small.score_moved_sd > 0.15
    assert none.flips < 0.015
    assert not none.moved


def test_lost_values_and_a_shifted_mix_are_put_back(tmp_path: Path) -> None:
    """Nulls beyond golden's share are filled from golden, and so are categories; the rest stays as it is."""
    lost = rescored(tmp_path, "inputs.km", lambda row: {**row, "km": None if row["minutes"] > 25 else row["km"]})
    mixed = rescored(
        tmp_path, "inputs.city", lambda row: {**row, "city": "Essen" if row["minutes"] > 30 else row["city"]}
    )
    assert 0.4 < lost.put_back / lost.replayed < 0.95
    assert 0.25 < mixed.put_back / mixed.replayed < 0.6
    assert mixed.flips > 0.01


def trips(n: int, seed: int, lost: float = 0.0) -> list[Row]:
    """Trips whose fare is ten times their way; a source is lost for a share of them, and both with it."""
    rng = random.Random(seed)
    ways = [round(rng.uniform(1, 9), 2) for _ in range(n)]
    return [
        {"id": str(i), "ts": i, **({} if rng.random() < lost else {"inputs.km": km, "inputs.fare": 10 * km})}
        for i, km in enumerate(ways)
    ]


def test_what_was_lost_together_is_put_back_together() -> None:
    """Code that wants both or answers nothing: one of them put back changes next to nothing, both do."""

    def predict(km: float | None = None, fare: float | None = None) -> float:
        return float(km > 3) if km is not None and fare is not None else 0.0

    golden, window = trips(1000, 1), trips(300, 2, lost=0.4)
    columns = {path: (column(window, path), column(golden, path)) for path in ("inputs.km", "inputs.fare")}
    alone = rescore(predict, window, columns)
    (both,) = rescore(predict, window, columns, at_once=True)
    assert [one.path for one in alone] == ["inputs.km", "inputs.fare"]
    assert both.path == "inputs.km"
    assert 4 * max(one.back.score_moved_sd or 0.0 for one in alone) < (both.back.score_moved_sd or 0.0)


def test_what_is_filled_together_comes_from_one_row_of_golden() -> None:
    golden = trips(500, 1)
    there = {path: column(golden, path) for path in ("inputs.km", "inputs.fare")}
    back: dict[str, list[Any]] = {"inputs.km": [1.0, 2.0, 3.0], "inputs.fare": [5.0, 6.0, 7.0]}
    whole([{}, {"inputs.km": 2.0}, {}], back, there, np.random.default_rng(0))
    assert [fare / km for km, fare in zip(*back.values(), strict=True)] == pytest.approx([10.0, 3.0, 10.0])


def test_code_that_fails_is_not_asked(tmp_path: Path) -> None:
    """Where the code does not run on the inputs as they came, nothing can be said."""

    def broken(row: Row) -> float:
        raise RuntimeError(str(row))

    window = rides(50, 1)
    both = column(window, "inputs.km")
    assert rescore(broken, window, {"inputs.km": (both, both)}) == []


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.floats(0.01, 100), st.floats(-50, 50))
def test_a_coupling_gives_golden_s_column_back(seed: int, factor: float, shift: float) -> None:
    """Any increasing change of a whole column is undone, but for the distance of neighbouring values."""
    rng = np.random.default_rng(seed)
    golden = rng.lognormal(1, 1, 3000)
    here = golden * factor + shift
    rows = np.arange(0, 3000, 17)
    whole = (here < golden.min()) | (here > golden.max())
    back = np.array(couple(here[rows].tolist(), Numbers(here), Numbers(golden), rng))
    if not 0 < whole.mean() <= 0.5:  # else what lies outside is drawn anew
        assert np.mean(np.isclose(back, golden[rows], rtol=0.05, atol=0.05)) > 0.95
        assert not moved(Numbers(back), Numbers(golden))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(0.05, 1), min_size=3, max_size=6), st.integers(0, 1000))
def test_categories_change_no_more_than_they_must(weights: list[float], seed: int) -> None:
    """The share that changes is the total variation distance, which no coupling can beat."""
    rng = np.random.default_rng(seed)
    names = tuple("abcdef"[: len(weights)])
    share = np.array(weights) / np.sum(weights)
    here, there = (
        Categories(rng.choice(len(names), 4000, p=share), names),
        Categories(rng.integers(0, len(names), 4000), names),
    )
    values = [names[i] for i in here.codes]
    back = couple(values, here, there, rng)
    counts = [np.bincount(one.codes, minlength=len(names)) / 4000 for one in (here, there)]
    assert np.mean([a != b for a, b in zip(values, back, strict=True)]) == pytest.approx(
        np.abs(counts[0] - counts[1]).sum() / 2, abs=0.03
    )
