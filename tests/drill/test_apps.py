"""The apps that are drilled: each is what it says it is, on made rows and on real ones."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whimbrel.drill.apps import NAMES, answers, bikes, loans, subject, tabular, taxi
from whimbrel.drill.apps.clerk import Clerk
from whimbrel.drill.apps.corpus import REFUSAL, passages
from whimbrel.drill.apps.writer import Writer
from whimbrel.drill.case import Asked, Drawn, columns
from whimbrel.drill.columns import Columns, length, take
from whimbrel.drill.records import served
from whimbrel.errors import InputError, UsageError

MADE = [name for name in NAMES if name != "flights"]


@pytest.mark.parametrize("name", NAMES)
def test_every_app_has_all_that_a_production_app_has(cache: Path, name: str) -> None:
    drawn = columns(Asked("none", name, days=1, golden_days=10, seed=5), cache)
    for rows in (drawn.golden, drawn.window):
        groups = {path.partition(".")[0] for path in rows}
        assert groups >= {
            "id", "ts", "inputs", "steps", "code", "model", "outputs", "decision", "decisions", "error", "spans", "usage",
            "context", "hardware", "recorder", "label", "label_ts",
        } - ({"usage"} if name in ("bikes", "taxi", "loans") else set())  # fmt: skip
    assert len(set(drawn.golden["hardware.host"])) == 4
    assert len(set(drawn.golden["decision"])) == 2
    assert len({path for path in drawn.golden if path.startswith("steps.")}) >= 8
    assert drawn.events
    assert length(columns(Asked("none", name, days=1, golden_days=10, seed=5), cache).window) == length(drawn.window)


@pytest.mark.parametrize("name", NAMES)
def test_every_app_says_something_about_its_labels(cache: Path, name: str) -> None:
    from sklearn.metrics import roc_auc_score

    here = subject(name).world(0, cache)
    rows = served(here.app, take(here.requests, np.arange(length(here.requests) // 2, length(here.requests), 7)))
    known = ~np.isnan(rows["label"])
    if name == "bikes":
        assert np.corrcoef(rows["label"][known], rows["outputs.score"][known])[0, 1] > 0.85
        assert rows["outputs.score"].mean() == pytest.approx(rows["label"].mean(), rel=0.2)
    else:
        assert roc_auc_score(rows["label"][known], rows["outputs.score"][known]) > 0.65
        assert rows["outputs.score"][known].mean() == pytest.approx(rows["label"][known].mean(), abs=0.08)


def test_loans_are_judged_weeks_later(cache: Path) -> None:
    drawn = columns(Asked("none", "loans", day=date(2018, 5, 8), days=2, seed=1), cache)
    assert np.isnan(drawn.window["label"]).all()
    assert (~np.isnan(drawn.golden["label"])).mean() > 0.3
    later = columns(Asked("L01", "loans", day=date(2018, 5, 8), days=2, seed=1), cache)
    assert 0.3 < (~np.isnan(later.window["label"])).mean() < 1


def test_a_case_can_be_asked_about_at_an_earlier_moment(cache: Path) -> None:
    whole: Drawn = columns(Asked("none", "taxi", days=2, golden_days=1, seed=3), cache)
    middle = whole.since + (whole.until - whole.since) / 2
    early = whole.asked_at(middle)
    assert 0 < length(early.window) < length(whole.window)
    known = ~np.isnan(early.window["label"])
    assert (early.window["label_ts"][known] <= middle.timestamp()).all()
    assert known.sum() < (~np.isnan(whole.window["label"])).sum()


# -- the language model ------------------------------------------------------------------------------------------------
def test_the_writer_writes_json_from_the_best_passage_and_declines_without_one() -> None:
    writer, found = Writer("one"), passages()[0]
    told = json.loads(writer.write([found], 1.0, "de", 0.0, 0.0, 0.0).text)
    assert found.text in told["answer"]
    assert told["answer"].startswith("Laut")
    assert 0 < told["confidence"] < 1
    assert json.loads(writer.write([], 0.0, "en", 0.0, 0.0, 0.0).text)["answer"] == REFUSAL
    cut = replace(writer, most_tokens=10).write([found], 1.0, "en", 0.0, 0.0, 0.0)
    assert (cut.finish, cut.tokens) == ("length", 10)
    fenced = replace(writer, fenced=1.0).write([found], 1.0, "en", 0.0, -9.0, 0.0).text
    assert fenced.startswith("```json")
    assert answers.parse(fenced, strips_fences=True, keys=("answer",))
    assert not answers.parse(fenced, strips_fences=False, keys=("answer",))
    assert not answers.parse(cut.text, strips_fences=True, keys=("answer",))
    assert replace(writer, heat=1.0).digest != writer.digest == replace(writer, noise=1.0).digest


def answered(cache: Path, fault: str) -> tuple[Columns, Columns]:
    asked = Asked(fault, "answers", where="all", severity="loud", day=date(2025, 4, 8), days=1, golden_days=1, seed=2)
    return columns(asked, cache).window, columns(replace(asked, fault="none"), cache).window


def test_retrieval_finds_the_right_passage_most_of_the_time(cache: Path) -> None:
    _, clean = answered(cache, "none")
    right = subject("answers").world(0, cache).requests
    wanted = dict(zip(right["id"].tolist(), right["truth.passage"].tolist(), strict=True))
    found = np.mean([wanted[i] == p for i, p in zip(clean["id"], clean["steps.retrieve.passage"], strict=True)])
    assert 0.8 < found < 1


def test_a_prompt_that_grew_costs_more_and_answers_hardly_otherwise(cache: Path) -> None:
    broken, clean = answered(cache, "T02")
    assert broken["usage.input_tokens"].sum() > 1.1 * clean["usage.input_tokens"].sum()
    assert broken["usage.cost_usd"].sum() > 1.05 * clean["usage.cost_usd"].sum()
    assert broken["usage.output_tokens"].sum() == pytest.approx(clean["usage.output_tokens"].sum(), rel=0.15)


def test_a_truncated_answer_cannot_be_parsed_and_goes_to_a_person(cache: Path) -> None:
    broken, _ = answered(cache, "T08")
    failed = broken["decisions.parsed"] == "failed"
    assert failed.mean() > 0.08
    assert set(broken["outputs.finish"][failed]) == {"length"}
    assert set(broken["decision"][failed]) == {"hand over"}


def test_an_answer_without_passages_is_a_refusal(cache: Path) -> None:
    broken, clean = answered(cache, "T01")
    declines = [np.mean([REFUSAL in text for text in rows["outputs.text"]]) for rows in (broken, clean)]
    assert declines[0] > 0.5 > 0.3 > declines[1]


# -- the language model with tools -------------------------------------------------------------------------------------
def test_the_clerk_plans_with_the_number_it_reads_and_asks_where_there_is_none() -> None:
    clerk = Clerk("one")
    plan = clerk.plan("Please refund KA-12345, it was returned.", 0.0)
    assert (plan.intent, plan.tool, json.loads(plan.arguments)) == ("refund", "find_order", {"order": "KA-12345"})
    assert clerk.plan("Where is order […]?", 0.0).tool == "read_rules"
    seen = {"status": "packed", "amount": 12.5, "days": 0.0, "tries": 1.0, "intent": "refund", "order": "KA-12345",
            "language": "en", "crowd": 0.0, "rules": True}  # fmt: skip
    told = json.loads(clerk.write(seen, 0.0, 0.0).body)
    assert told["refund"] == 12.5
    assert "12.5 euro" in told["reply"]
    assert json.loads(replace(clerk, cents=True).write(seen, 0.0, 0.0).body)["refund"] == 1250
    lost = json.loads(clerk.write(seen | {"status": None}, 0.0, 0.0).body)
    assert lost["refund"] == 0
    assert "number of your order" in lost["reply"]
    assert replace(clerk, most_tokens=9).write(seen, 0.0, 0.0).stop == "max_tokens"


def test_numbers_that_are_masked_are_missing_in_every_step_after(cache: Path) -> None:
    asked = Asked("F20", "agent", where="all", severity="loud", day=date(2025, 9, 10), days=1, golden_days=1, seed=2)
    broken, clean = columns(asked, cache).window, columns(replace(asked, fault="none"), cache).window
    assert broken["steps.redact.masked"].sum() > 1.5 * clean["steps.redact.masked"].sum()
    found = [np.mean(rows["steps.find_order.status"] != None) for rows in (broken, clean)]  # noqa: E711
    assert found[0] < 0.5 < 0.8 < found[1]
    assert (broken["decision"] == "reply").mean() < 0.6 * (clean["decision"] == "reply").mean()


# -- real rows ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(tabular.DATA, str(tmp_path))
    for folder in ("bike_sharing", "chicago_taxi_tfx", "nannyml_car_loan"):
        (tmp_path / folder).mkdir()
    return tmp_path


def test_real_hours_are_put_where_they_belong(data: Path) -> None:
    n = 48
    table = {
        "dteday": ["2012-03-01"] * 24 + ["2012-03-02"] * 24, "hr": list(range(24)) * 2, "holiday": [0] * n,
        "weathersit": [1] * 24 + [3] * 24, "temp": [0.5] * n, "hum": [0.7] * n, "windspeed": [0.1] * n,
        "cnt": list(range(n)),
    }  # fmt: skip
    pq.write_table(pa.table(table), data / "bike_sharing" / "hour.parquet")
    city = bikes._hours()
    np.testing.assert_array_equal(city["count"][:n], np.arange(n))
    assert city["temp"][0] == pytest.approx(15.5)
    assert (city["rain"][24:48] == 3.0).all()


def test_real_trips_and_real_loans_are_drawn_from(data: Path) -> None:
    head = "pickup_community_area,fare,trip_miles,trip_seconds,payment_type,company,big_tipper\n"
    with gzip.open(data / "chicago_taxi_tfx" / "chicago_taxi_big_tipper.csv.gz", "wt", encoding="utf-8") as file:
        file.write(head + "8,12.45,2.1,600,Credit Card,Flash Cab,1\n60,7,,300,Cash,,0\n60,7,1.0,300,Cash,,0\n")
    trips = taxi._pool(np.random.default_rng(0))
    assert trips["pickup"].tolist() == ["8", "other"]
    assert trips["company"].tolist() == ["Flash Cab", None]
    assert trips["good"].tolist() == [1.0, 0.0]
    rows = {
        "car_value": [39811.0], "salary_range": ["40K - 60K €"], "debt_to_income_ratio": [0.63], "loan_length": [19.0],
        "repaid_loan_on_prev_car": [False], "size_of_downpayment": ["40%"], "driver_tenure": [0.2], "repaid": [1.0],
    }  # fmt: skip
    pq.write_table(pa.table(rows), data / "nannyml_car_loan" / "synthetic_car_loan_reference.parquet")
    pool = loans._pool(np.random.default_rng(0))
    assert pool["salary_range"].tolist() == ["40K - 60K €"]
    assert pool["repaid_loan_on_prev_car"].tolist() == [0.0]


def test_data_that_is_not_there_is_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "bike_sharing" / "hour.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match="cannot read"):
        bikes._hours()
    monkeypatch.setenv(tabular.DATA, str(data / "nowhere"))
    with pytest.raises(UsageError, match="there is no folder"):
        bikes._hours()
    monkeypatch.delenv(tabular.DATA)
    assert tabular.real("bike_sharing") is None
