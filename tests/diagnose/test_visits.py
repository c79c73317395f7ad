"""Patients who come, stay for some days and go: others lie there the next week, and what they have in common is no change of the world's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel
from whimbrel.diagnose.visits import visits_of
from whimbrel.model.rows import Ints

BEDS, DAYS, WINDOW, GAP = 72, 9, 2, 3
UNITS = ("cardiac", "general", "neuro", "surgical")


def _ward(seed: int, broken: str = "") -> tuple[pd.DataFrame, pd.DataFrame]:
    """An hourly row of who lies in a bed, pressures taken in the artery and by a cuff; the window comes some days later, broken from its tenth hour on."""
    rng = np.random.default_rng(seed)
    stays = []
    for one in range(BEDS):
        at = -rng.uniform(0, 72)
        while at < (DAYS + GAP + WINDOW) * 24:
            stays.append((one, at, at + rng.uniform(48, 96)))
            at = stays[-1][2] + rng.uniform(1, 8)
    bed, start, end = (np.array(column) for column in zip(*stays, strict=True))
    hours = [np.arange(np.ceil(max(a, 0)), np.ceil(b)) for a, b in zip(start, end, strict=True)]
    stay = np.repeat(np.arange(len(stays)), [len(one) for one in hours])
    hour = np.concatenate(hours)
    n, patients = hour.size, len(stays)

    def own(mean: float, spread: float, drift: float, noise: float, places: int) -> np.ndarray:
        """A level that each patient has, which moves a little with the days that they stay."""
        level = (
            rng.normal(mean, spread, patients)[stay] + rng.normal(0, drift, patients)[stay] * (hour - start[stay]) / 24
        )
        out: np.ndarray = np.maximum(level + rng.normal(0, noise, n), 0.05).round(places)
        return out

    creatinine, sodium, potassium = own(1.3, 0.5, 0.05, 0, 2), own(139, 4, 0.4, 0, 0), own(4.2, 0.5, 0.03, 0, 1)
    systolic, diastolic, pulse = own(122, 14, 1, 7, 0), own(68, 9, 1, 5, 0), own(86, 12, 1, 6, 0)
    sex, age = rng.choice(["f", "m"], patients)[stay], rng.integers(22, 92, patients)[stay].astype(float)
    unit, host = np.array(UNITS)[bed[stay] % 4], rng.choice(["node-1", "node-2", "node-3"], n)
    late = hour >= (DAYS + GAP) * 24 + 10
    cuff = (systolic + np.random.default_rng(seed + 100).normal(0, 5, n)).round()
    if broken == "transducer":
        high = late & (unit == "neuro")
        systolic, diastolic = systolic + 15 * high, diastolic + 15 * high
    mean = (systolic + 2 * diastolic) / 3
    if broken == "formula":
        mean = np.where(late & (host == "node-2"), (systolic + diastolic) / 2, mean)
    index = pulse / systolic
    score = 1 / (1 + np.exp(-(2.2 * index + 0.5 * creatinine - 0.04 * mean + 0.015 * age - 0.2)))
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour * 3600 + rng.integers(0, 3000, n), unit="s"),
        "context.unit": unit, "hardware.host": host, "inputs.stay": [f"s{one:04}" for one in stay], "inputs.sex": sex,
        "inputs.age": age, "inputs.creatinine": creatinine, "inputs.sodium": sodium, "inputs.potassium": potassium,
        "inputs.systolic": systolic, "inputs.diastolic": diastolic, "inputs.cuff": cuff, "inputs.pulse": pulse,
        "steps.derive.mean": mean.round(3), "steps.derive.index": index.round(4), "outputs.score": score.round(5),
        "decision": np.where(score > 0.5, "alert", "watch"),
    }).sort_values("ts", kind="stable")  # fmt: skip
    hour = (table["ts"] - pd.Timestamp("2026-03-02", tz="UTC")).dt.total_seconds().to_numpy() / 3600
    return table[hour < DAYS * 24], table[(hour >= (DAYS + GAP) * 24) & (hour < (DAYS + GAP + WINDOW) * 24)]


@pytest.mark.parametrize("seed", [1, 2, 6, 10])
def test_other_patients_are_no_fault(seed: int) -> None:
    """Each row of a stay says again what the one before said: some of those who lie there now are just iller."""
    report = whimbrel.diagnose(*_ward(seed))
    assert report.verdict in ("healthy", "notice"), report.sentence


@pytest.mark.parametrize(("broken", "components", "slice_"), [
    ("transducer", ("inputs.systolic", "inputs.diastolic"), "context.unit=neuro"),
    ("formula", ("steps.derive.mean",), "hardware.host=node-2"),
])  # fmt: skip
def test_what_is_broken_for_all_of_them_is_found_among_them(
    broken: str, components: tuple[str, ...], slice_: str
) -> None:
    """A transducer reads too much for a whole unit, and so does what is derived of it; on one host a mean is made otherwise."""
    report = whimbrel.diagnose(*_ward(2, broken))
    assert report.verdict == "fault", report.sentence
    assert report.findings[0].component in components, report.sentence
    assert [str(c) for c in report.findings[0].where] == [slice_], report.sentence


def _asked(kind: str) -> Ints | None:
    """What is found of 60 who are there at any time, of whom each row says who it is; the last third is the window."""
    rng = np.random.default_rng(3)
    hours, there = np.meshgrid(np.arange(240), np.arange(60), indexing="ij")
    hour, one = hours.ravel(), there.ravel()
    match kind:
        case "stays":
            codes = one * 100 + (hour + 5 * one) // 60
        case "machines":
            codes = one
        case "dates":
            codes = hour // 24
        case _:  # customers, each of whom comes once
            codes = rng.permutation(hour.size)
    codes = np.unique(codes, return_inverse=True)[1].astype(np.int64)
    found = visits_of(hour * 3_600_000_000 + one, hour < 160, [codes])
    assert found is None or found is codes
    return found


@pytest.mark.parametrize(("kind", "visits"), [("stays", True), ("machines", False), ("dates", False), ("once", False)])
def test_visits_are_those_of_many_who_come_stay_and_go(kind: str, visits: bool) -> None:
    """Machines are always there, a date is there alone, and who comes once does not stay."""
    assert (_asked(kind) is not None) is visits


def test_the_longest_visits_are_taken() -> None:
    """A stay in the house lasts longer than one in a unit: its rows are alike for longer."""
    hours, there = np.meshgrid(np.arange(240), np.arange(60), indexing="ij")
    hour, one = hours.ravel(), there.ravel()
    house, unit = ((one * 100 + (hour + 5 * one) // days).astype(np.int64) for days in (60, 12))
    for fields in ([house, unit], [unit, house]):
        assert visits_of(hour * 3_600_000_000 + one, hour < 160, fields) is house
