"""What is special is always kept, and of the rest the share that was asked for, the same ones each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from whimbrel.errors import UsageError
from whimbrel.record import Recorder
from whimbrel.store.ingest import Ingested
from whimbrel.store.log import open_log
from whimbrel.store.retain import Retention

from .test_ingest import rows


def ordinary(n: int) -> list[dict[str, Any]]:
    return [{"id": f"order {i}", "spans.total": 1.0, "context.country": "US"} for i in range(n)]


def test_a_share_is_kept_by_the_id_alone() -> None:
    kept = {record["id"] for record in Retention(share=0.2).choose(ordinary(5000))}
    assert 850 < len(kept) < 1150
    again = {record["id"] for record in Retention(share=0.2).choose(ordinary(5000)[::-1])}
    assert kept == again
    more = {record["id"] for record in Retention(share=0.4).choose(ordinary(5000))}
    assert kept < more
    assert len(Retention().choose(ordinary(50))) == 50


def test_what_is_special_is_kept_with_certainty() -> None:
    records = ordinary(1000)
    records[3]["error"] = "TimeoutError"
    del records[4]["spans.total"]
    records[5]["spans.total"] = 900.0
    records[6]["context.country"] = "LI"
    kept = {record["id"]: record["recorder.share"] for record in Retention(0.0, slow_ms=500, rare=3).choose(records)}
    assert kept == {f"order {i}": 1.0 for i in (3, 4, 5, 6)}


def test_a_decision_that_was_changed_keeps_its_prediction() -> None:
    records = ordinary(1000)
    for n in range(500):
        records[n] |= {"decision": "accept", "decisions.limit": 100}
    said: dict[int, list[tuple[str, Any]]] = {
        1: [("decision", "refuse")], 2: [("decision", "accept")], 3: [("decisions.limit", 50)], 4: [("decisions.other", 50)],
        600: [("decision", "accept")], 601: [("decision", "accept"), ("decision", "refuse")], 602: [("decision", True)] * 2,
    }  # fmt: skip
    later = [{"id": f"order {n}", "path": path, "value": value} for n, rows in said.items() for path, value in rows]
    later += [{"id": "unknown", "path": "decision", "value": value} for value in ("accept", "refuse")]
    kept = {record["id"]: record["recorder.share"] for record in Retention(0.0).choose(records, None, later)}
    assert kept == {f"order {n}": 1.0 for n in (1, 3, 601)}


def test_what_a_reviewer_overruled_is_in_the_log_and_what_was_confirmed_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "whimbrel.toml").write_text("[retain]\nshare = 0\n")
    recorder, log = Recorder("fares", home=tmp_path / "home"), open_log(tmp_path / "home")
    for n in range(20):
        with recorder.prediction({"n": n}) as p:
            p.decision("accept")
            p.decision(limit=100)
        if n == 3:
            recorder.decision(p.id, "refuse")
        if n == 4:
            recorder.decision(p.id, "accept", limit=100)
        if n == 5:
            recorder.decision(p.id, limit=50)
    recorder.close()
    assert log.ingest().sampled_out == 18
    assert {row["inputs"]["n"] for row in rows(log)} == {3, 5}


def test_ingest_keeps_what_the_policy_retains_and_counts_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recorder, log = Recorder("fares", home=tmp_path / "home"), open_log(tmp_path / "home")
    for n in range(200):
        with recorder.prediction({"n": n}, country="US") as p:
            p.output(1.0)
            if n % 50 == 0:
                p.error("refused")
    recorder.close()
    (tmp_path / "whimbrel.toml").write_text("[retain]\nshare = 0.25\n")
    done = log.ingest()
    found = rows(log)
    assert done.predictions == len(found)
    assert done.predictions + done.sampled_out == 200
    assert 25 < len(found) < 80
    assert {row["inputs"]["n"] for row in found if row["recorder"]["share"] == 1.0} == {0, 50, 100, 150}
    assert log.ingest() == Ingested()


@pytest.mark.parametrize("table", [{"share": 2}, {"share": "half"}, {"slow": 1}, {"slow_ms": -1}, {"rare": True}])
def test_a_retention_that_makes_no_sense_is_refused(table: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="makes no sense"):
        Retention.of(table, "whimbrel.toml")
