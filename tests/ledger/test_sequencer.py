"""From the log's tables into the ledger: each row once, in order, whatever is killed; entries that say nothing personal."""

from __future__ import annotations

import base64
import json
import math
import os
import signal
import subprocess
import sys
import textwrap
from hashlib import sha256, shake_256
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ledger.disks import FailingDisk, keys_in
from whimbrel.errors import StoreError
from whimbrel.ledger.entries import GROUPS, Predictions, disclosures, group_of, grouped
from whimbrel.ledger.merkle.tree import ProofError
from whimbrel.ledger.reader import NAMES, PLACES, candidates, read_head, read_seed, tiles_of
from whimbrel.ledger.sequencer import Sequencer
from whimbrel.ledger.verdicts import entry_fields
from whimbrel.ledger.writer import Ledger, create
from whimbrel.record import Recorder
from whimbrel.store import Log, open_log
from whimbrel.store.appended import Cursor, appended, row_of


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """A log with an empty ledger; its key lies beside the log."""
    create(tmp_path / "home" / "ledger", keys_in(tmp_path))
    return open_log(tmp_path / "home")


def table(n: int, start: int = 0, more: dict[str, Any] | None = None) -> pd.DataFrame:
    ts = pd.date_range("2026-11-01", periods=n, freq="s", tz="UTC") + pd.Timedelta(start, "s")
    ids = [f"{i:08x}-0000-7000-8000-000000000000" for i in range(start, start + n)]
    scores = [i / 7 for i in range(n)]
    return pd.DataFrame(
        {"id": ids, "ts": ts, "inputs.fare": scores, "outputs.score": scores, "context.user": "ann", **(more or {})}
    )


def take(log: Log) -> dict[str, int]:
    with Ledger(log.home / "ledger", keys_in(log.home.parent)) as ledger:
        return Sequencer(log, ledger).take()


def entries(log: Log, kind: str | None = None) -> list[dict[str, Any]]:
    """All entries, or those of a kind, as fields; read as anyone reads them, from the published head."""
    head = read_head(log.home / "ledger")[0]
    nodes = tiles_of(log.home / "ledger", head.size)
    found = [entry_fields(one) for number in range(-(-head.size // 256)) for one in nodes.entries(number)]
    assert len(found) == head.size
    return [one for one in found if kind in (None, one["k"])]


def test_every_row_once(log: Log) -> None:
    """Imports of many commits, wider tables and other apps: one entry a row, in order, and a second pass makes none."""
    log.add(table(300), app="fares")
    log.add(table(10, 300), app="fares")
    assert take(log) == {"pred": 310, "heartbeat": 1}
    log.add(table(5, 310, more={"inputs.new": 1.0}), app="fares")
    log.add(table(7), app="other")
    log.add(table(300), app="fares")  # in already
    assert take(log)["pred"] == 12
    assert take(log) == {}
    made = entries(log, "pred")
    assert [one["id"] for one in made if one["p"] == "import/fares"] == list(table(315)["id"])
    assert [one["s"] for one in made if one["p"] == "import/fares"] == list(range(1, 316))
    assert [one["s"] for one in made if one["p"] == "import/other"] == list(range(1, 8))


def test_an_entry_says_nothing_of_the_values(log: Log) -> None:
    """Id, time, producer, number and one digest; the golden form."""
    log.add(table(1), app="fares")
    take(log)
    (one,) = entries(log, "pred")
    fr = one.pop("fr")
    assert one == {
        "v": 1, "k": "pred", "id": "00000000-0000-7000-8000-000000000000", "t": "2026-11-01T00:00:00.000000Z",
        "p": "import/fares", "s": 1, "n": 6,
    }  # fmt: skip
    assert len(base64.b64decode(fr)) == 32


def test_the_digest_is_that_of_the_specification(log: Log) -> None:
    """`fr` computed again from the seed and the table's values, by hashlib and json alone."""
    log.add(table(3, more={"decision": True, "usage.cost_usd": 0.25, "context.operator": "kim"}), app="fares")
    take(log)
    (index,) = candidates(log.home / "ledger", NAMES, "00000002-0000-7000-8000-000000000000", 9)
    stream = shake_256(read_seed(log.home / "ledger", index)).digest(96)
    values = [
        {"context.user": "ann"}, {"inputs.fare": 2 / 7}, {"decision": True, "outputs.score": 2 / 7}, {"app": "fares"},
        {"context.operator": "kim"}, {"usage.cost_usd": 0.25},
    ]  # fmt: skip
    digests = b""
    for at, (group, held) in enumerate(zip(GROUPS, values, strict=True)):
        said = json.dumps([stream[16 * at : 16 * at + 16].hex(), group, held], separators=(",", ":"))
        digests += sha256(said.encode()).digest()
    expected = base64.b64encode(sha256(b"\x02pred/1\n" + digests).digest()).decode()
    assert entries(log)[index]["fr"] == expected


CELLS = st.one_of(
    st.none(), st.booleans(), st.floats(), st.text(max_size=8), st.lists(st.one_of(st.none(), st.floats()), max_size=3),
    st.just("null"), st.just('a"b\\\n\u2028'),
)  # fmt: skip
PATHS = ("id", "ts", "inputs.a", "inputs.b.c", "steps.s.value", "outputs.score", "context.user", "context.reviewer", "spans.total", "rescued")  # fmt: skip


MAKER = Predictions("fares", PATHS)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(*[CELLS] * 7), min_size=1, max_size=5),
    st.sampled_from([None, {"inputs.a": "x", "spans.y": "z"}]),
)
def test_the_quick_way_gives_the_same_bytes(cells: list[tuple[Any, ...]], rescued: dict[str, str] | None) -> None:
    """Whatever a table holds, entries made quickly are those of the definition."""
    rows = [("u" * 3, "t", *row, rescued) for row in cells]
    seeds = os.urandom(32 * len(rows))
    made = MAKER.make(list(zip(*rows, strict=True)), seeds, ["p"] * len(rows), range(len(rows)))
    for i, (row, data) in enumerate(zip(rows, made, strict=True)):
        values = dict(zip((*PATHS, "app"), (*row, "fares"), strict=True))
        lines = disclosures("pred", grouped(values, rescued), seeds[32 * i : 32 * i + 32])
        for said in lines:
            assert msgspec.json.decode(said)[0] == said[2:34].decode()
        digest = sha256(b"\x02pred/1\n" + b"".join(sha256(said).digest() for said in lines)).digest()
        assert entry_fields(data)["fr"] == base64.b64encode(digest).decode()


def test_infinities_are_told_apart() -> None:
    """Infinity, minus infinity, nothing, and the text of one have four digests, two of them by design the same text."""
    lines = {
        repr(value): disclosures("pred", grouped({"inputs.a": value, "inputs.l": [value, 1.0]}), bytes(32))[1]
        for value in (math.inf, -math.inf, 1.0)
    }
    assert len(set(lines.values())) == 3
    assert b'"inputs.a":"-Infinity"' in lines["-inf"]


def test_labels_and_decisions_that_come_later(log: Log) -> None:
    """Each has an entry that says of which prediction it is, once, with its time and a digest."""
    log.add(table(3), app="fares")
    take(log)
    log.add(pd.DataFrame({"id": list(table(3)["id"]), "label": [1.0, 0.0, 1.0]}), app="fares")
    log.add_decisions("fares", [{"id": table(1)["id"][0], "path": "decision", "value": "refused"}])
    assert take(log) == {"outcome": 3, "decision": 1}
    assert take(log) == {}
    assert [one["of"] for one in entries(log, "outcome")] == list(table(3)["id"])
    (late,) = entries(log, "decision")
    assert late["of"] == table(1)["id"][0]
    assert "refused" not in json.dumps(late)


def test_ids_that_may_be_personal_do_not_stand_in_entries(log: Log) -> None:
    """An app's own id is committed to with a salt; the entry is still found by it."""
    frame = table(1)
    frame["id"] = "ann@example.org"
    log.add(frame, app="fares")
    take(log)
    (one,) = entries(log, "pred")
    assert one["id"].startswith("h-")
    assert "ann" not in json.dumps(one)
    (index,) = candidates(log.home / "ledger", NAMES, "ann@example.org", 2)
    salt = shake_256(read_seed(log.home / "ledger", index)).digest(112)[96:].hex()
    assert one["id"] == "h-" + sha256(f'["{salt}","id","ann@example.org"]'.encode()).hexdigest()[:32]


def test_recorded_predictions_have_their_recorders_numbers(log: Log) -> None:
    """Session and number of the recorder stand in the entry, with a run entry of that session and a heartbeat."""
    recorder = Recorder("fares", home=log.home, model="fares@7")
    for i in range(20):
        with recorder.prediction({"n": i}, country="US") as p:
            p.output(float(i))
    recorder.event("deploy", "v8")
    recorder.close()
    log.ingest()
    assert take(log) == {"run": 1, "event": 1, "pred": 20, "heartbeat": 1}
    (run,) = entries(log, "run")
    made = entries(log, "pred")
    assert {one["p"] for one in made} == {run["id"]}
    assert sorted(one["s"] for one in made) == list(range(1, 21))
    (beat,) = entries(log, "heartbeat")
    assert {key: beat[key] for key in ("p", "first", "last", "logged", "absent")} == {
        "p": run["id"], "first": 1, "last": 20, "logged": 20, "absent": 0,
    }  # fmt: skip
    index = candidates(log.home / "ledger", PLACES, f"{run['id']}/7", 99)
    assert [entries(log)[i]["s"] for i in index] == [7]


def test_values_are_found_again_as_they_were_committed(log: Log) -> None:
    """A row read alone has the values that its entry committed to, after more rows and columns came."""
    log.add(table(50, more={"inputs.list": [[1.0, None]] * 50}), app="fares")
    take(log)
    log.add(table(50, 50, more={"inputs.more": "x", "inputs.list": [[2.0]] * 50}), app="fares")
    ident = "00000031-0000-7000-8000-000000000000"
    values = row_of(log.layout.predictions("fares"), ident)
    assert values is not None
    (index,) = candidates(log.home / "ledger", NAMES, ident, 51)
    lines = disclosures(
        "pred", grouped({**values, "app": "fares"}, values.get("rescued")), read_seed(log.home / "ledger", index)
    )
    digest = sha256(b"\x02pred/1\n" + b"".join(sha256(said).digest() for said in lines)).digest()
    assert entries(log)[index]["fr"] == base64.b64encode(digest).decode()
    assert row_of(log.layout.predictions("fares"), "nobody") is None


def test_what_did_not_fit_its_column_is_committed_to(log: Log) -> None:
    """A rescued value stands in its group as its text."""
    log.add(table(3), app="fares")
    frame = table(1, 3).drop(columns="inputs.fare").assign(**{"inputs.fare": "a lot"})
    log.add(frame, app="fares")
    values = row_of(log.layout.predictions("fares"), frame["id"][0])
    assert values is not None
    assert values["rescued"] == {"inputs.fare": "a lot"}
    assert grouped(values, values["rescued"])["input"] == {"inputs.fare": "a lot"}
    assert take(log)["pred"] == 4


def test_cursors_are_exact(log: Log) -> None:
    """From any row on, the rest follows, however the rows lie in files and versions."""
    for start, n in ((0, 40), (40, 1), (41, 30)):
        log.add(table(n, start), app="fares")
    held = log.layout.predictions("fares")
    for first in (Cursor(), Cursor(0, 0)):
        batches = list(appended(held, first))
        ids = [row[batch.paths.index("id")] for batch in batches for row in batch.rows]
        assert sorted(ids) == list(table(71)["id"])
        assert list(appended(held, batches[-1].after)) == []
        at = batches[0].after
        for rows in (0, 13, 39):
            cursor = Cursor(at.version, rows, at.whole)
            rest = [row[batch.paths.index("id")] for batch in appended(held, cursor) for row in batch.rows]
            assert rest == ids[rows:]


def test_rows_laid_out_anew_are_not_taken_twice(log: Log) -> None:
    """Compaction and deletion rewrite files: no entry comes of that."""
    for start in range(0, 30, 10):
        log.add(table(10, start), app="fares")
    take(log)
    delta = log.layout.predictions("fares").open()
    delta.optimize.compact()
    delta.delete("id = '00000003-0000-7000-8000-000000000000'")
    log.add(table(4, 30), app="fares")
    assert take(log)["pred"] == 4
    assert len(entries(log, "pred")) == 34


def test_a_history_that_was_cleaned_up_is_said(log: Log) -> None:
    """Where the table no longer knows what came after the cursor, the sequencer refuses; a new ledger reads the table as it is."""
    log.add(table(10), app="fares")
    take(log)
    log.add(table(10, 10), app="fares")
    log.add(table(10, 20), app="fares")
    history = sorted((log.layout.predictions("fares").folder / "_delta_log").glob("*.json"))
    history[-2].rename(history[-2].with_suffix(".gone"))
    with pytest.raises(StoreError, match="is forgotten"):
        take(log)


KILLED = """
    import sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[3])
    from tests.ledger.disks import KillingDisk, keys_in
    from whimbrel.ledger.sequencer import Sequencer
    from whimbrel.ledger.writer import Ledger
    from whimbrel.store import open_log

    base, at = Path(sys.argv[1]), int(sys.argv[2])
    log = open_log(base / "home")
    with Ledger(log.home / "ledger", keys_in(base), disk=lambda root: KillingDisk(root, at)) as ledger:
        Sequencer(log, ledger).take()
"""


def test_a_sequencer_that_is_killed_takes_each_row_once(log: Log) -> None:
    """Killed at steps of its commit, over and over while rows arrive: at last every row has one entry."""
    top, total = Path(__file__).parents[2], 0
    for at in (1, 4, 9, 13, 17, 21):
        log.add(table(90, total), app="fares")
        total += 90
        arguments = [sys.executable, "-c", textwrap.dedent(KILLED), str(log.home.parent), str(at), str(top)]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == -signal.SIGKILL, done.stderr
    take(log)
    made = entries(log, "pred")
    assert sorted(one["id"] for one in made) == list(table(total)["id"])
    assert [one["s"] for one in made] == list(range(1, total + 1))


def test_a_disk_that_fails_keeps_each_row_once(log: Log) -> None:
    """After a commit that failed the same sequencer goes on: nothing is lost, nothing comes twice."""
    log.add(table(90), app="fares")
    disks: list[FailingDisk] = []

    def disk(root: Path) -> FailingDisk:
        disks.append(FailingDisk(root, at=12))
        return disks[-1]

    with Ledger(log.home / "ledger", keys_in(log.home.parent), disk=disk) as ledger:
        sequencer = Sequencer(log, ledger)
        with pytest.raises(StoreError):
            sequencer.take()
        log.add(table(10, 90), app="fares")
        sequencer.take()
    assert [one["id"] for one in entries(log, "pred")] == list(table(100)["id"])


def test_groups_of_fields() -> None:
    """Which field is disclosed with which group."""
    told = {
        "context.country": "who", "context.operator": "oversight", "inputs.a": "input", "steps.s.value": "input",
        "age.fare": "input", "outputs.score": "output", "outputs.risk": "cost-risk", "outputs.risk.severity": "cost-risk",
        "decision": "output", "decisions.limit": "output", "error": "output", "label": "output", "model.version": "system",
        "code.s": "system", "spans.total": "system", "usage.energy_j": "cost-risk", "id": None, "ts": None, "rescued": None,
    }  # fmt: skip
    assert {path: group_of(path) for path in told} == told


@pytest.mark.parametrize(
    "bad",
    [b"", b"[]", b'{"v":2,"k":"pred"}', b'{"v":1,"k":"pred","k":"run"}', b'{"v":1,"k":"a"} x', b"\xff", b'{"v":1}'],
)
def test_entries_that_are_none(bad: bytes) -> None:
    """A name that stands twice, another version, bytes behind the end: refused."""
    with pytest.raises(ProofError):
        entry_fields(bad)
