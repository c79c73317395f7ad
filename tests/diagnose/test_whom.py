"""Whom a rise hits: one value, several that rise alike, or all; the shortest description of the same rows wins."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from whimbrel.diagnose import diagnose_rows
from whimbrel.diagnose.case import Case, Dimension, build
from whimbrel.diagnose.matrices import of_who
from whimbrel.diagnose.whom import slice_of
from whimbrel.model.event import Event
from whimbrel.model.report import Report
from whimbrel.model.rows import Bools, Floats
from whimbrel.model.window import Condition, from_micros

from .shop import SCHEMA, Break, Cells, cells, rows, serve

HOSTS = [f"h{i}" for i in range(8)]


def served_by_eight(n: int, seed: int, start_hour: float, hours: float) -> Cells:
    found = cells(n, seed, hours=hours, start_hour=start_hour)
    found["hardware.host"] = np.random.default_rng(seed + 50).choice(HOSTS, n)
    return found


@pytest.fixture(scope="module")
def case() -> Case:
    """Clean traffic over eight hosts."""
    golden, window = served_by_eight(8_000, 1, 0, 240), served_by_eight(4_000, 2, 240, 24)
    clean = np.zeros(8_000, dtype=bool)
    return build(rows(serve(golden, clean), "g"), rows(serve(window, clean[:4_000]), "w"), SCHEMA)


def of(case: Case, path: str, *values: str) -> Bools:
    (dimension,) = (d for d in case.dimensions if d.path == path)
    out: Bools = np.isin(dimension.codes, [dimension.values.index(value) for value in values])
    return out


def hosts(case: Case, *which: int) -> Bools:
    return of(case, "hardware.host", *(HOSTS[i] for i in which))


def tagged(case: Case, path: str, named: Bools) -> Case:
    """The case with one more tag of two values."""
    return replace(case, dimensions=(*case.dimensions, Dimension(path, named.astype(np.int64), ("old", "new"))))


def found(case: Case, *rises: tuple[Bools, float]) -> str:
    """The slice where these rows of the window rise by so much over noise of 1."""
    excess: Floats = np.random.default_rng(3).normal(size=len(case.ts))
    for rising, by in rises:
        excess = excess + by * (rising & case.window)
    where, inside = slice_of(case, excess, lambda _: True, several=True)
    held = np.ones(len(case.ts), dtype=bool)
    for condition in where:
        held &= of(case, condition.path, *condition.values)
    np.testing.assert_array_equal(inside, held)
    return " ".join(map(str, where))


def test_several_values_are_named_where_they_rise_alike_and_no_other_does(case: Case) -> None:
    assert found(case, (hosts(case, 2, 5), 0.6)) == "hardware.host|=h2|h5"
    assert found(case, (hosts(case, 0, 2, 4, 6), 0.6)) == "hardware.host|=h0|h2|h4|h6"
    assert found(case, (hosts(case, 5), 0.6)) == "hardware.host=h5"
    assert found(case, (hosts(case, 2, 5), 0.0)) == ""


def test_what_is_judged_is_one_value_or_all_traffic(case: Case) -> None:
    """A front over two of eight zones is told as all traffic until the verdict stands."""
    excess = np.random.default_rng(3).normal(size=len(case.ts)) + (hosts(case, 2, 5) & case.window)
    assert slice_of(case, excess, lambda _: True)[0] == ()


def test_a_release_that_took_all_traffic_is_a_time_and_nobody(case: Case) -> None:
    """One that a host has is somebody, and so is a country that asks for most of its hours."""
    release = "context.release"
    late, canary = (tagged(case, release, rows) for rows in (case.window, case.window & hosts(case, 2)))
    assert not of_who(late, (Condition(release, "new"),))
    assert not of_who(late, ())
    assert of_who(late, (Condition("hardware.host", "h2"), Condition(release, "new")))
    assert of_who(canary, (Condition(release, "new"),))


def test_more_than_half_of_the_values_are_all_traffic(case: Case) -> None:
    assert found(case, (hosts(case, 0, 2, 4, 5, 6), 0.6)) == ""
    assert found(case, (np.ones(len(case.ts), bool), 0.6)) == ""


def test_a_value_that_leans_otherwise_is_none_of_several(case: Case) -> None:
    """Neither one that hardly leans, nor some of many that lean each in another measure."""
    assert found(case, (hosts(case, 2), 1.0), (hosts(case, 5), 0.1)) == "hardware.host=h2"
    graded = [(hosts(case, i), 0.15 * (i + 1)) for i in range(8)]
    assert found(case, *graded) == ""


def test_one_condition_that_tells_the_same_rows_is_named_instead(case: Case) -> None:
    hit = hosts(case, 2, 5)
    nearly = hit ^ (np.arange(len(hit)) % 100 == 0)
    for release in (hit, nearly):
        assert found(tagged(case, "context.release", release), (release, 0.6)) == "context.release=new"
    assert (
        found(tagged(case, "context.release", nearly), (hit, 0.6)) == "context.release=new"
    )  # for two hosts say no more
    loose = hit & (np.arange(len(hit)) % 2 == 0)
    assert found(tagged(case, "context.release", loose), (hit, 0.6)) == "hardware.host|=h2|h5"


def test_several_values_of_one_field_and_one_of_another_hold_at_once(case: Case) -> None:
    both = hosts(case, 2, 5) & of(case, "context.country", "US", "DE")
    assert found(case, (hosts(case, 2, 5) & of(case, "context.device", "desk"), 1.0)) in (
        "context.device=desk hardware.host|=h2|h5"
    )
    assert found(case, (both, 1.0)).count("|=") == 1  # one list is a description, two are a table


def test_hours_are_not_listed(case: Case) -> None:
    """A tag that tells the time: several of its values are a stretch of time, which the onset says."""
    hours = (case.ts // 3_600_000_000 % 24 // 3).astype(np.int64)
    told = replace(case, dimensions=(*case.dimensions, Dimension("context.shift", hours, tuple("abcdefgh"))))
    assert found(told, (np.isin(hours, [1, 2]), 0.8)) == ""


def asked(*, step: Break | None = None, after: Break | None = None) -> Report:
    """A day in which two of eight hosts are broken from 0.4 on."""
    golden, window = served_by_eight(20_000, 1, 0, 240), served_by_eight(6_000, 2, 240, 24)
    hit = np.isin(window["hardware.host"], ["h2", "h5"]) & (np.arange(6_000) >= 2_400)
    golden = serve(golden, np.zeros(20_000, dtype=bool))
    onset = from_micros(int(window["ts"][2_400]))
    events = [Event(onset, "deploy", f"to {host}", {"hardware.host": host}) for host in ("h5", "h6")]
    window = serve(window, hit, step=step, after=after)
    return diagnose_rows(rows(golden, "g"), rows(window, "w"), SCHEMA, app="shop", events=events)


def test_a_diagnosis_names_two_of_eight_hosts() -> None:
    def stale(c: Cells, hit: np.ndarray) -> None:
        c["steps.scale.price"] = np.where(hit, c["steps.scale.price"] / 10, c["steps.scale.price"])

    found = asked(step=stale)
    assert found.verdict == "fault"
    first = found.findings[0]
    assert (first.layer, first.component) == ("features", "steps.scale.price")
    assert first.to_dict()["where"] == {"hardware.host": "|=h2|h5"}
    assert "hardware.host|=h2|h5" in found.sentence
    assert [event.what for event in first.events] == ["to h5"]  # which reached a part of them, as h6's did not
    assert "--where 'hardware.host|=h2|h5'" in first.next


def test_what_several_hosts_do_alike_is_no_machines_own_fault() -> None:
    def other(c: Cells, hit: np.ndarray) -> None:
        c["outputs.score"] = np.where(hit, 1 - (1 - c["outputs.score"]) ** 0.4, c["outputs.score"])

    first = asked(after=other).findings[0]
    assert (first.layer, first.component) == ("model", "outputs.score")
    assert [str(one) for one in first.where] == ["hardware.host|=h2|h5"]
