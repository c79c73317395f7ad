"""One small pipeline, broken in one place at a time: the diagnosis must name the place, the slice and the time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from whimbrel.diagnose import contracts, diagnose_rows, harm
from whimbrel.diagnose.case import Variable, build
from whimbrel.model.fields import Field, Kind
from whimbrel.model.report import Report
from whimbrel.model.rows import Numbers
from whimbrel.model.window import from_micros, where_dict

from .shop import HOUR_US, SCHEMA, START, Break, Cells, cells, report, rows, serve

ONSET = from_micros(START + int((240 + 0.4 * 24) * HOUR_US))


def _cents(c: Cells, hit: np.ndarray) -> None:
    c["inputs.price"] = np.where(hit, c["inputs.price"] * 100, c["inputs.price"])


def _nulls(c: Cells, hit: np.ndarray) -> None:
    c["inputs.weight"] = np.where(hit & (c["noise"][0] < 0.4), np.nan, c["inputs.weight"])


def _spelling(c: Cells, hit: np.ndarray) -> None:
    c["inputs.colour"] = np.where(hit & (c["inputs.colour"] == "green"), "Green ", c["inputs.colour"])


def _sentinel(c: Cells, hit: np.ndarray) -> None:
    c["inputs.weight"] = np.where(hit & (c["noise"][0] < 0.3), -999.0, c["inputs.weight"])


def _codes(c: Cells, hit: np.ndarray) -> None:
    c["steps.code.colour"] = np.where(hit, (c["steps.code.colour"] + 1) % 4, c["steps.code.colour"])


def _scale(c: Cells, hit: np.ndarray) -> None:
    c["steps.scale.price"] = np.where(hit, c["steps.scale.price"] + 0.8, c["steps.scale.price"])


def _threshold(c: Cells, hit: np.ndarray) -> None:
    c["decision"] = np.where(c["outputs.score"] > np.where(hit, 0.62, 0.5), "sell", "keep")


def _slow(c: Cells, hit: np.ndarray) -> None:
    c["spans.model"] = np.where(hit, c["spans.model"] * 1.7, c["spans.model"])


def _slow_host(c: Cells, hit: np.ndarray) -> None:
    for span in ("spans.model", "spans.scale"):
        c[span] = np.where(hit, c[span] * 1.6, c[span])


def _miscounts(c: Cells, hit: np.ndarray) -> None:
    odds = np.log(c["outputs.score"] / (1 - c["outputs.score"])) + np.random.default_rng(1).normal(0, 0.15, hit.size)
    c["outputs.score"] = np.where(hit, 1 / (1 + np.exp(-odds)), c["outputs.score"])


def _own_scale(c: Cells, hit: np.ndarray) -> None:
    c["outputs.score"] = np.where(hit, c["outputs.score"] ** 1.15, c["outputs.score"])


def _old_model(c: Cells, hit: np.ndarray) -> None:
    c["outputs.score"] = np.where(hit, 0.3 + 0.5 * c["outputs.score"] ** 2, c["outputs.score"])
    c["model.version"] = np.where(hit, "v0", c["model.version"])


@pytest.mark.parametrize(
    ("stage", "broken", "where", "layer", "component"),
    [
        ("raw", _cents, ("context.country", "DE"), "data", "inputs.price"),
        ("raw", _nulls, None, "data", "inputs.weight"),
        ("raw", _spelling, ("context.device", "phone"), "data", "inputs.colour"),
        ("raw", _sentinel, ("context.country", "AT"), "data", "inputs.weight"),
        ("step", _codes, ("hardware.host", "h2"), "features", "steps.code.colour"),
        ("step", _scale, None, "features", "steps.scale.price"),
        ("after", _threshold, ("context.country", "US"), "decision", "decision"),
        ("after", _slow, None, "serving", "spans.model"),
        ("after", _slow_host, ("hardware.host", "h3"), "hardware", "hardware.host"),
        ("after", _miscounts, ("hardware.host", "h2"), "hardware", "hardware.host"),
        ("after", _own_scale, ("hardware.host", "h2"), "model", "outputs.score"),
        ("after", _old_model, ("hardware.host", "h1"), "model", "model.version"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)  # fmt: skip
def test_names_the_layer_the_component_the_slice_and_the_hour(
    stage: str, broken: Break, where: tuple[str, str] | None, layer: str, component: str
) -> None:
    """Every planted break is the first finding, in its slice, within an hour of its onset, and the rest is cleared."""
    found = _run(stage, broken, where)
    assert found.verdict == "fault", found.sentence
    first = found.findings[0]
    assert (first.layer, first.component) == (layer, component), found.sentence
    assert where_dict(first.where) == (dict([where]) if where else {})
    assert first.since is not None
    assert abs(first.since - ONSET) < timedelta(hours=1)
    assert layer not in found.cleared
    assert first.evidence
    assert first.next.startswith("whimbrel ")


def _run(stage: str, broken: Break, where: tuple[str, str] | None) -> Report:
    if stage == "raw":
        return report(raw=broken, where=where)
    return report(step=broken, where=where) if stage == "step" else report(after=broken, where=where)


def test_another_spelling_that_is_cleaned_is_harmless() -> None:
    """What a step makes of it is as ever: true, and nobody's trouble."""
    found = report(after=_spelling, where=("context.device", "phone"))
    assert (found.verdict, found.findings[0].component) == ("notice", "inputs.colour"), found.sentence


def test_nothing_broken_is_healthy() -> None:
    """Ten clean cases end without a fault."""
    assert [report(seed=seed).verdict for seed in range(10, 20)] == ["healthy"] * 10


def test_a_mix_shift_is_traffic() -> None:
    """Half of the window's German traffic vanishes; every slice inside is as it was."""
    golden = serve(cells(20_000, 3, hours=240, start_hour=0), np.zeros(20_000, dtype=bool))
    window = cells(8_000, 4, hours=24, start_hour=240)
    kept = (window["context.country"] != "DE") | (np.arange(8_000) % 2 == 0)
    window = {k: v[:, kept] if k == "noise" else v[kept] for k, v in window.items()}
    window = serve(window, np.zeros(int(kept.sum()), dtype=bool))
    found = diagnose_rows(rows(golden, "g"), rows(window, "w"), SCHEMA, app="shop")
    assert found.verdict == "healthy", found.sentence
    assert any("context.country" in t.what for t in found.traffic)


@pytest.mark.parametrize("sent_again", [False, True])
def test_records_that_were_written_twice_are_the_recorders(sent_again: bool) -> None:
    """Field for field; what was asked again takes another time, and is traffic."""
    golden = rows(serve(cells(20_000, 0, hours=240, start_hour=0), np.zeros(20_000, dtype=bool)), "g")
    made = serve(cells(6_000, 1, hours=24, start_hour=240), np.zeros(6_000, dtype=bool))
    hit = (np.arange(6_000) >= 2_400) & (made["hardware.host"] == "h2")
    window = rows(made, "w")
    copies = replace(window.take(hit), ids=tuple(f"again {i}" for i in range(int(hit.sum()))))
    if sent_again:
        rng = np.random.default_rng(2)
        took = Numbers(rng.permutation(made["spans.model"][hit]))
        copies = replace(copies, columns={**copies.columns, "spans.model": took})
    found = diagnose_rows(golden, window + replace(copies, ts=copies.ts + 1_000_000), SCHEMA, app="shop").findings
    named = [(f.layer, f.component, {c.path: c.value for c in f.where}) for f in found]
    assert named == ([] if sent_again else [("recorder", "recorder.record", {"hardware.host": "h2"})])
    assert all(f.since is not None and abs(f.since - ONSET) < timedelta(hours=1) for f in found)


def test_a_count_that_is_always_nought_in_one_slice_is_constant() -> None:
    """Most had none before as well; of many, all of them having none is no chance."""

    def counted(c: Cells, lost: np.ndarray) -> Cells:
        many = np.random.default_rng(len(lost)).poisson(20, len(lost)) * (c["noise"][0] < 0.25)
        c["inputs.weight"] = np.where(lost, 0.0, many)
        return c

    clean = np.zeros(20_000, dtype=bool)
    window = cells(6_000, 1, hours=24, start_hour=240)
    lost = (np.arange(6_000) >= 2_400) & (window["context.country"] == "US")
    golden = serve(counted(cells(20_000, 0, hours=240, start_hour=0), clean), clean)
    found = diagnose_rows(
        rows(golden, "g"), rows(serve(counted(window, lost), lost), "w"), SCHEMA, app="shop"
    ).findings[0]
    assert (found.layer, found.component) == ("data", "inputs.weight")
    assert found.what.startswith("every value is '0'")
    assert {c.path: c.value for c in found.where} == {"context.country": "US"}


def test_a_window_that_golden_holds_as_well_was_not_written_twice() -> None:
    golden = rows(serve(cells(20_000, 0, hours=240, start_hour=0), np.zeros(20_000, dtype=bool)), "g")
    assert not diagnose_rows(golden, golden.take(np.arange(16_000, 20_000)), SCHEMA, app="shop").findings


def test_too_few_rows_are_insufficient() -> None:
    """A window of a handful of predictions gets no guess."""
    found = report(n=20, raw=_cents)
    assert found.verdict == "insufficient"
    assert found.cannot_tell


def test_a_few_rows_prove_no_health() -> None:
    """In 120 predictions nothing stands out, which is not called health; a unit that changed in them is still found."""
    clean, broken = report(n=120), report(n=120, raw=_cents)
    assert (clean.verdict, clean.cleared) == ("insufficient", ())
    assert broken.findings[0].component == "inputs.price"


def test_what_is_not_recorded_is_said() -> None:
    """Without a training run nothing is said about training, and the report says what it would need."""
    found = report()
    assert "training" in {gap.layer for gap in found.cannot_tell}
    assert not {gap.layer for gap in found.cannot_tell} & set(found.cleared)


def test_a_break_that_nothing_reads_is_a_notice() -> None:
    """The colour grey is respelled, which no step tells from an unknown one."""

    def shade(c: Cells, hit: np.ndarray) -> None:
        c["steps.code.colour"] = np.where(hit & (c["steps.code.colour"] == 3), 7.0, c["steps.code.colour"])

    found = report(step=shade)
    assert found.findings[0].component == "steps.code.colour"
    assert found.verdict in ("notice", "fault")


def test_tenths_where_there_were_thousandths_are_lost_digits() -> None:
    """Weights of the phones arrive as tenths; cents that are tens of cents now and then are prices."""
    golden, window = cells(6_000, 1, hours=240, start_hour=0), cells(3_000, 2, hours=24, start_hour=240)
    phone = window["context.device"] == "phone"
    window["inputs.weight"][phone] = np.round(window["inputs.weight"][phone], 1)
    nothing = np.zeros(6_000, dtype=bool)
    case = build(rows(serve(golden, nothing), "g"), rows(serve(window, nothing), "w"), SCHEMA)
    found = {c.component: c for c in contracts.channels(case) if c.signature == "whole"}
    assert found["inputs.weight"].detail == {"mark": 0.1}
    assert np.array_equal(found["inputs.weight"].values[case.window][phone], np.ones(phone.sum()))
    assert "inputs.price" not in found or found["inputs.price"].detail == {"mark": 1.0}


def test_what_a_wrong_step_hands_on_is_part_of_what_is_read() -> None:
    """The score reads the price's logarithm and not the price: a wrong price is no bystander's."""
    paths = ("steps.rate.value", "steps.log.value", "steps.idle.value")
    steps = [Variable(path, Field(path, Kind.NUMBER)) for path in paths]
    reads = {"steps.log.value": ("steps.rate.value",), "steps.idle.value": ("inputs.x",)}
    relations = {path: SimpleNamespace(exact=True, parents=parents) for path, parents in reads.items()}
    hit = SimpleNamespace(channel=SimpleNamespace(exact=False))
    cause = SimpleNamespace(suspect=SimpleNamespace(component="steps.rate.value", hit=hit), victims=())
    case = SimpleNamespace(of=lambda role: steps, schema=SimpleNamespace(steps=("rate", "log", "idle", "store")))
    gone = harm._made_of(cast("Any", case), cast("Any", cause), cast("Any", relations))
    assert gone == {"steps.rate.value", "steps.log.value"}
    steps.append(Variable("steps.store.level", Field("steps.store.level", Kind.NUMBER)))  # looked up, by whatever
    hit.channel.exact = True
    assert harm._made_of(cast("Any", case), cast("Any", cause), cast("Any", relations)) == gone | {"steps.store.level"}
