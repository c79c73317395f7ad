"""A step that says what it never said since its own code was replaced."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import whimbrel

DAYS, WINDOW, A_DAY = 11, 2, 900
AMOUNTS = ("530", "770", "1310", "2590", "14000", "26000", "83000", "125000", "340000", "470000")


def _invoices(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Invoices whose sum is read by a step that is released anew in the window's eighth hour: it may take a point for a decimal one."""
    rng = np.random.default_rng(51)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    on = hour >= began + 8
    land, kind = rng.choice(["at", "uk", "ie"], n), rng.choice(["rent", "goods"], n)
    amount = rng.choice(AMOUNTS, n, p=np.arange(10, 0, -1) / 55)
    read = np.array(["EUR " + text for text in amount], dtype=object)
    wrong = on & (land == "at") & (event == "decimal") & np.array([len(text) > 4 for text in amount])
    read[wrong] = [text[:-3] + ".00" for text in read[wrong]]
    many = on & (event == "new land") & (rng.random(n) < 0.08)
    read[many], land[many] = "CHF 900", "ch"
    sure = rng.beta(6, 2, n).round(4)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.office": rng.choice(["a", "b"], n),
        "inputs.land": land, "inputs.kind": kind, "inputs.pages": rng.integers(1, 9, n).astype(float),
        "code.read": np.where(on & (event != ""), "7d31", "55ab"), "steps.read.sum": read, "outputs.score": sure,
        "decision": np.where(sure > 0.7, "pay", "ask"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "decimal", "same", "new land"])
def test_what_a_step_never_said_before_its_own_new_code_is_that_code_s(event: str) -> None:
    """New code that says what the old one said is none, nor is what new senders bring along."""
    report = whimbrel.diagnose(*_invoices(event))
    assert (report.verdict == "fault") == (event == "decimal"), report.sentence
    if event == "decimal":
        assert (report.findings[0].layer, report.findings[0].component) == ("features", "steps.read.sum"), (
            report.sentence
        )


_ABOUT = ("roof", "door", "drain", "gate", "lamp", "fence", "stair", "pump")


def _repairs(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Repairs that a step reads: how a letter begins, by which rules it counts, and its count, which is less in one town from the window's first hour on."""
    rng = np.random.default_rng(52)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    hit = (hour >= began) & (event != "")
    town = rng.choice(["ulm", "bonn", "kiel"], n, p=[0.18, 0.41, 0.41])
    hit &= (town == "ulm") | (event == "new rules")
    pages, items = rng.integers(1, 9, n).astype(float), rng.integers(1, 15, n).astype(float)
    points = (np.where(hit, 2 * pages + 0.5 * items, 2 * pages + items) + rng.normal(0, 2, n)).round()
    begins = [
        f"the {' and the '.join(rng.choice(_ABOUT, 3))} in house {rng.integers(1, 4000)} need work" for _ in range(n)
    ]
    score = (1 / (1 + np.exp(3 - 0.2 * points)) + rng.normal(0, 0.2, n)).round(4)
    table = pd.DataFrame({
        "ts": pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h"), "context.town": town,
        "inputs.pages": pages, "inputs.items": items,
        "code.read": np.where((hour >= began) & (event == "lost"), "90ac", "3b17"), "steps.read.begins": begins,
        "steps.read.rules": np.where(hit & (event == "new rules"), "rules-8", "rules-7"), "steps.read.points": points,
        "outputs.score": score, "decision": np.where(score > 0.5, "send", "wait"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "lost", "new rules"])
def test_a_text_that_a_step_records_is_no_version_of_it(event: str) -> None:
    """What is counted otherwise under a version that the step says itself somebody meant; a letter begins otherwise every time."""
    report = whimbrel.diagnose(*_repairs(event))
    assert (report.verdict == "fault") == (event == "lost"), report.sentence
    if event == "lost":
        first = report.findings[0]
        found = (first.layer, first.component, [str(c) for c in first.where])
        assert found == ("features", "steps.read.points", ["context.town=ulm"]), report.sentence


def _auctions(event: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bids that a step takes the lead of, over what somebody else bid and nobody recorded; since its new code it may say who leads by a sign."""
    rng = np.random.default_rng(53)
    n, began = DAYS * A_DAY, (DAYS - WINDOW) * 24
    hour = np.sort(rng.random(n)) * DAYS * 24
    on = (hour >= began + 8) & (event != "")
    hall = rng.choice(["art", "wine", "cars"], n, p=[0.25, 0.35, 0.4])
    bid, other = rng.gamma(4, 50, n).round(2), rng.gamma(4, 50, n)
    signed = on & (hall == "art") & (event == "signed") & (other > 1.5 * bid)
    lead = np.where(signed, bid - other, np.abs(bid - other)).round(1)
    ts = pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(hour, unit="h")
    score = 1 / (1 + np.exp(2 - 0.03 * lead + rng.normal(0, 0.2, n)))
    table = pd.DataFrame({
        "ts": ts, "context.hall": hall, "inputs.bid": bid, "inputs.opened_at": ts - pd.to_timedelta(rng.gamma(2, 3, n), unit="h"),
        "code.lead": np.where(on, "c1f0", "0b77"), "steps.lead.margin": lead, "outputs.score": score.round(4),
        "decision": np.where(score > 0.6, "close", "wait"),
    })  # fmt: skip
    return table[hour < began], table[hour >= began]


@pytest.mark.parametrize("event", ["", "same", "signed"])
def test_numbers_that_a_step_never_gave_before_its_own_new_code_are_that_code_s(event: str) -> None:
    """That each request comes later than golden's moves nothing it is made of."""
    report = whimbrel.diagnose(*_auctions(event))
    assert (report.verdict == "fault") == (event == "signed"), report.sentence
    if event == "signed":
        first = report.findings[0]
        found = (first.layer, first.component, [str(c) for c in first.where])
        assert found == ("features", "steps.lead.margin", ["context.hall=art"]), report.sentence
