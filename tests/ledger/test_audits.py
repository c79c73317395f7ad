"""What auditors ask of a log: risk and energy per request, one person's records, how long values are kept."""

from __future__ import annotations

import io
import json
import stat
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest

from tests.cli.conftest import Program
from tests.ledger.scenes import Scene, failed, says, state
from whimbrel.engine import engine_named
from whimbrel.errors import EvidenceError, UsageError
from whimbrel.ledger.changes import changes
from whimbrel.ledger.energy import energy
from whimbrel.ledger.erase import erase
from whimbrel.ledger.export import export
from whimbrel.ledger.reader import read_seed
from whimbrel.ledger.retention import expire, retained
from whimbrel.ledger.risk import Harm, Risk, Share, risk
from whimbrel.ledger.verdicts import Bundle
from whimbrel.model.window import Condition, Window
from whimbrel.record import process
from whimbrel.stats.intervals import clopper_pearson
from whimbrel.store import holds
from whimbrel.store.erase import erase_rows

NOW = datetime(2026, 11, 1, tzinfo=UTC)
YEAR = timedelta(days=365)
PAID, REFUSED = Harm.parse("paid:25:decision=accept,label=fraud"), Harm.parse("refused:1:decision=refuse,label=fine")


def name(i: int) -> str:
    return f"{i:08x}-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A hundred predictions, ten days apart; 80 have labels, 3 are fraud that was accepted, 8 fine ones refused; half have energy."""
    scene = Scene(tmp_path_factory.mktemp("audits"))
    scene.begin()
    rows = [
        {
            "id": name(i), "ts": NOW - timedelta(days=10 * i), "inputs.fare": 1.0, "context.user": f"u{i % 4}",
            "decision": "refuse" if 20 <= i < 32 else "accept", "label": None if i >= 80 else "fraud" if i < 3 or i >= 76 else "fine",
            "usage.energy_j": None if i % 2 else 2.0 + i, "usage.output_tokens": 100.0,
        }
        for i in range(100)
    ]  # fmt: skip
    rows[30]["label"] = rows[31]["label"] = rows[29]["label"] = rows[28]["label"] = "fraud"  # refused, rightly
    for i in range(76, 80):
        rows[i]["label"] = "fine"
    scene.log.add(pd.DataFrame(rows), app="fares")
    scene.take()
    return scene


def reckon(scene: Scene, *harms: Harm, window: Window | None = None) -> Risk:
    return risk(engine_named(), scene.log.source("fares"), window or Window("fares"), harms)


def test_risk_is_what_its_definition_says(made: Scene) -> None:
    """Counted by hand: 3 of weight 25 and 8 of weight 1 among 80 judged; the interval is that of each share, all together at 95 %."""
    found = reckon(made, PAID, REFUSED)
    assert (found.requests, found.judged) == (100, 80)
    assert [one.count for one in found.shares] == [3, 8]
    assert found.value == pytest.approx((3 * 25 + 8) / 80)
    ends = [clopper_pearson(k, 80, level=0.975) for k in (3, 8)]
    assert found.interval == pytest.approx([25 * ends[0][i] + ends[1][i] for i in (0, 1)])
    told = found.to_dict()
    assert told["definition"]["harms"][0] == {"name": "paid", "weight": 25.0, "where": ["decision=accept", "label=fraud"]}  # fmt: skip
    again, other = reckon(made, PAID, REFUSED).to_dict(), reckon(made, PAID).to_dict()
    assert again["definition_id"] == told["definition_id"] != other["definition_id"]


def test_risks_that_make_no_sense(made: Scene) -> None:
    """Two kinds of harm on one request, no kind at all, nobody judged, and weights that are none."""
    with pytest.raises(UsageError, match="both"):
        reckon(made, PAID, Harm.parse("any:1:label=fraud"))
    with pytest.raises(UsageError, match="no kind"):
        reckon(made)
    unlabelled = Window("fares", NOW - timedelta(days=990), NOW - timedelta(days=801))
    with pytest.raises(EvidenceError, match="not one request is judged"):
        reckon(made, PAID, window=unlabelled)
    for bad in ("paid", "paid:x:label=1", "paid:-1:label=1", "paid:inf:label=1", ":1:label=1", "paid:1:"):
        with pytest.raises(UsageError):
            Harm.parse(bad)


@pytest.mark.parametrize("rates", [(0.001, 0.01), (0.05, 0.2)])
@pytest.mark.parametrize("n", [50, 800])
def test_the_interval_holds_the_truth(rates: tuple[float, float], n: int) -> None:
    """In 300 drawn samples it holds the true risk in 93 of 100 at least."""
    random = np.random.default_rng([n, int(rates[0] * 1000)])
    truth, held = rates[0] * 25 + rates[1], 0
    for _ in range(300):
        counts = random.multinomial(n, [*rates, 1 - sum(rates)])[:2].tolist()
        shares = [Share(harm, k, *clopper_pearson(k, n, level=0.975)) for harm, k in zip((PAID, REFUSED), counts, strict=True)]  # fmt: skip
        low, high = Risk(Window("fares"), n, n, tuple(shares), 0).interval
        held += low <= truth <= high
    assert held >= 0.93 * 300


def test_energy_is_of_what_was_measured(made: Scene) -> None:
    """Sums, quantiles, units and rates per joule, over the half that has energy; none recorded is said."""
    found = energy(engine_named(), made.log.source("fares"), Window("fares"), (Condition("label", "fine"),))
    joules = [2.0 + i for i in range(0, 100, 2)]
    assert (found.requests, found.measured, found.joules) == (100, 50, sum(joules))
    told = found.to_dict()
    assert told["kwh"] == pytest.approx(sum(joules) / 3_600_000)
    assert told["per_joule"]["requests"] == pytest.approx(50 / sum(joules))
    assert told["per_joule"]["output_tokens"] == pytest.approx(5000 / sum(joules))
    assert told["work"]["useful"] == sum(1 for i in range(0, 80, 2) if i >= 3 and i not in (28, 30))
    none = Window("fares", NOW - timedelta(days=991), NOW - timedelta(days=989))
    with pytest.raises(EvidenceError, match="no energy"):
        energy(engine_named(), made.log.source("fares"), none)


@pytest.fixture
def scene(made: Scene, tmp_path: Path) -> Scene:
    import shutil

    shutil.copytree(made.base, tmp_path / "copy")
    return Scene(tmp_path / "copy")


def test_one_persons_records(scene: Scene) -> None:
    """Every value of theirs and nobody else's, evidence that verifies, and an entry that says what was handed out but not whose."""
    scene.log.add_labels("fares", [{"id": name(81), "label": "fraud", "ts": NOW}])
    made = export(scene.log, scene.keys, "context.user", "u1")
    assert made.predictions == {"fares": 25}
    records = [json.loads(one) for one in made.files["records.jsonl"].splitlines()]
    assert sorted(one["values"]["id"] for one in records) == [name(i) for i in range(1, 100, 4)]
    assert {one["values"]["context.user"] for one in records} == {"u1"}
    (late,) = [one for one in records if one["labels"]]
    assert (late["values"]["id"], late["labels"][0]["label"]) == (name(81), "fraud")
    with zipfile.ZipFile(io.BytesIO(made.files["evidence/3.zip"])) as packed:
        files = {one: packed.read(one) for one in packed.namelist()}
    found = Bundle(files, [scene.public], None).found()
    assert found.code == 0
    assert records[2]["values"]["id"] == json.loads(files["entry.json"])["id"]
    (entry,) = [json.loads(one) for one in scene.entries() if b'"k":"export"' in one]
    assert len(entry["of"]) == 25
    assert "u1" not in json.dumps(entry)
    assert scene.audit().code == 0
    with pytest.raises(EvidenceError):
        export(scene.log, scene.keys, "context.user", "nobody")
    left = erase(scene.log, scene.keys, "id", name(1), basis="gdpr17").left
    assert any(one.startswith("1 of them were exported on ") for one in left)
    assert not any("exported on" in one for one in erase(scene.log, scene.keys, "id", name(2), basis="gdpr17").left)


def test_what_changed_between_two_dates(tmp_path: Path) -> None:
    """Events, a model that answers for the first time, a library of a later process, with its entry; nothing from outside the dates."""
    scene = Scene(tmp_path)
    scene.begin()
    rows = [
        {"id": name(i), "ts": NOW + timedelta(hours=i), "outputs.score": 0.5, "model.version": str(7 + i // 10), "code.norm": "a1" if i < 25 else "b2"}
        for i in range(30)
    ]  # fmt: skip
    scene.log.add(pd.DataFrame(rows), app="fares")
    events = [{"ts": NOW + timedelta(hours=h), "kind": "deploy", "what": f"release-{h}"} for h in (5, 50)]
    scene.log.add_events(pd.DataFrame(events))
    told = [
        (one.what, one.before, one.after) for one in changes(scene.log, scene.folder, NOW, NOW + 2 * timedelta(days=1))
    ]
    assert told == [
        ("deploy release-5", None, None), ("model.version", "7", "8"), ("model.version", "8", "9"), ("code.norm", "a1", "b2"),
    ]  # fmt: skip
    few = changes(scene.log, scene.folder, NOW + timedelta(hours=15), NOW + timedelta(hours=24))
    assert [(one.ts, one.what) for one in few] == [("2026-11-01T20:00:00.000000Z", "model.version")]
    before = datetime.now(UTC) - timedelta(days=1)
    scene.record(1)
    known = process.libraries()
    with patch("whimbrel.record.process.libraries", lambda: {**known, "numpy": "99.0"}):
        scene.record(1)
    found = changes(scene.log, scene.folder, before, before + timedelta(days=2))
    (change,) = [one for one in found if one.what == "process libraries.numpy"]
    assert (change.before, change.after) == (np.__version__, "99.0")
    assert change.entry is not None
    assert json.loads(scene.entries()[change.entry])["k"] == "run"


def test_values_that_are_kept_lost_expired_and_erased(scene: Scene) -> None:
    """Gone before their time is a failure; gone after it is none, but its salts must go, too; erased on request is neither."""
    whole = retained(scene.log, scene.folder, engine_named(), NOW, YEAR / 2)
    assert failed(whole.found(NOW)) == set()
    assert state(whole.found(NOW), "reach") == "ok"
    assert state(retained(scene.log, scene.folder, engine_named(), NOW, 9 * YEAR).found(NOW), "reach") == "not shown"
    erase(scene.log, scene.keys, "id", name(2), basis="gdpr17")
    erase_rows(scene.log, "fares", [name(i) for i in (90, 91, 92, 70)])
    found = retained(scene.log, scene.folder, engine_named(), NOW, YEAR / 2)
    assert (found.lost, found.salted, found.erased) == ((), (7, 8, 9, 29), 1)  # the oldest came first
    assert failed(found.found(NOW)) == {"deleted"}
    expire(scene.folder, scene.keys, found.salted)
    found = retained(scene.log, scene.folder, engine_named(), NOW, YEAR / 2)
    assert failed(found.found(NOW)) == set()
    assert "1 were erased" in says(found.found(NOW), "kept")
    assert [any(read_seed(scene.folder, i)) for i in (6, 7, 9, 10, 29)] == [True, False, False, True, False]
    (entry,) = [json.loads(one) for one in scene.entries() if b'"k":"expire"' in one]
    assert entry["ranges"] == [[7, 9], [29, 29]]
    erase_rows(scene.log, "fares", [name(5)])
    found = retained(scene.log, scene.folder, engine_named(), NOW, YEAR / 2)
    assert found.lost == (94,)
    assert failed(found.found(NOW)) == {"kept"}
    assert scene.audit().code == 0


def test_rows_that_are_older_than_they_may_be(scene: Scene) -> None:
    """They are counted, but for those that a hold keeps."""
    found = retained(scene.log, scene.folder, engine_named(), NOW, YEAR / 2, 2 * YEAR)
    assert found.overdue == sum(1 for i in range(100) if timedelta(days=10 * i) > 2 * YEAR)
    assert failed(found.found(NOW)) == {"deleted"}
    holds.save(scene.log.layout.holds, holds.Hold("all", NOW - 3 * YEAR, NOW))
    assert retained(scene.log, scene.folder, engine_named(), NOW, YEAR / 2, 2 * YEAR).overdue == 0


def test_from_the_command_line(scene: Scene, tmp_path: Path) -> None:
    """Each has an answer for people and one for programs; the export is its owner's alone."""
    program, key = Program(scene.base / "home"), ("--key-file", str(scene.base / "key"))
    harms = ("--harm", "paid:25:decision=accept,label=fraud", "--harm", "refused:1:decision=refuse,label=fine")
    told = program("ledger", "risk", *harms)
    assert told.code == 0
    assert "Risk 1038 per 1,000 requests" in told.out
    assert "DEFINITION" in told.out
    assert program("ledger", "risk", *harms, "--json").json["judged"] == 80
    assert "J (" in program("ledger", "energy", "--useful", "label=fine").out
    assert program("ledger", "energy", "--json").json["measured"] == 50
    out = tmp_path / "u2.zip"
    assert program("ledger", "export", "--subject", "user=u2", "-o", str(out), *key).code == 0
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert len(zipfile.ZipFile(out).namelist()) == 25 + 2
    assert (
        "Nothing that was recorded changed"
        in program("ledger", "changes", "--since", "2020-01-01", "--until", "2020-02-01").out
    )
    assert program("ledger", "changes", "--since", "2020-01-01", "--json").json["changes"] == []
    assert program("ledger", "retention", "--least", "100d").code == 0
    assert program("ledger", "retention", "--least", "100d", "--most", "700d").code == 1
    assert program("ledger", "retention", "--least", "100d", "--most", "10d").code == 2
    assert program("ledger", "retention", "--expire", *key, "--json").json["schema"] == "whimbrel.verdicts/1"
