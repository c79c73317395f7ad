"""The sequencer that goes on: what cannot wait, who may write meanwhile, how it ends; and what is kept of old checkpoints."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import pytest

from tests.ledger.scenes import Scene
from whimbrel.cli.verify import publish
from whimbrel.errors import StoreError
from whimbrel.ledger import lifecycle
from whimbrel.ledger.erase import erase
from whimbrel.ledger.follow import follow
from whimbrel.ledger.writer import Ledger
from whimbrel.store import holds

START = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def empty(tmp_path: Path) -> Scene:
    scene = Scene(tmp_path)
    scene.begin()
    return scene


def kinds(scene: Scene) -> list[str]:
    return [str(json.loads(one)["k"]) for one in scene.entries()]


def add(scene: Scene, n: int, start: int = 0) -> None:
    ts = pd.date_range(START + timedelta(seconds=start), periods=n, freq="s")
    scene.log.add(
        pd.DataFrame({"ts": ts, "inputs.fare": 1.0, "context.user": [f"u{i % 3}" for i in range(n)]}), app="fares"
    )


@contextmanager
def following(scene: Scene) -> Iterator[threading.Event]:
    """A sequencer that follows; what it raises is raised here."""
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(follow, scene.log, scene.folder, scene.keys, stop)
        try:
            yield stop
        finally:
            stop.set()
            running.result(60)


def until(scene: Scene, size: int) -> None:
    deadline = time.monotonic() + 60
    while scene.head.size < size:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_an_incident_and_a_hold_are_published_before_what_waits(empty: Scene) -> None:
    """They are in the checkpoint when the call returns, however many predictions are still to be taken in."""
    add(empty, 40)
    events = pd.DataFrame({"ts": [START], "kind": ["incident"], "what": ["wrong fares in Vienna"]})
    empty.log.add_events(events)
    made = holds.Hold("incident-4711", START, START + timedelta(hours=1), reason="Ann Smith's fare")
    holds.save(empty.log.layout.holds, made)
    with patch.object(lifecycle, "load_keys", lambda _: empty.keys):
        assert lifecycle.publish(empty.log)
        assert kinds(empty) == ["event", "hold"]
        assert b"Smith's" not in b"".join(empty.entries())
        assert b"incident-4711" not in b"".join(empty.entries())
        hold = json.loads(empty.entries()[1])
        assert (hold["since"], hold["until"]) == ("2026-11-01T00:00:00Z", "2026-11-01T01:00:00Z")
        holds.release(empty.log.layout.holds, "incident-4711")
        assert lifecycle.publish(empty.log)
    released = json.loads(empty.entries()[2])
    assert (released["action"], released["of"]) == ("release", hold["id"])
    assert empty.take() == {"pred": 40, "heartbeat": 1}
    assert empty.audit().code == 0


def test_without_a_ledger_or_its_key_nothing_is_published(tmp_path: Path, empty: Scene) -> None:
    """A log without a ledger, and a user without the key, say so and harm nothing."""
    assert not lifecycle.publish(Scene(tmp_path / "other").log)
    with patch.dict("os.environ", {"XDG_CONFIG_HOME": str(tmp_path), "WHIMBREL_LEDGER_KEY": ""}):
        assert not lifecycle.publish(empty.log)


def test_a_ledger_that_cannot_say_so_at_once_is_no_failure(empty: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    """The hold is made all the same, and a hint says why the ledger does not know of it yet."""
    with (
        patch.object(lifecycle, "load_keys", lambda _: empty.keys),
        patch.object(lifecycle, "TURN_S", 0.1),
        Ledger(empty.folder, empty.keys),
    ):
        publish(empty.log)
    assert "another process writes" in capsys.readouterr().err


def test_what_came_before_the_end_is_published(empty: Scene) -> None:
    """Told to stop, it takes in what came until then."""
    with following(empty) as stop:
        add(empty, 5)
        until(empty, 6)
        add(empty, 7, start=100)
        stop.set()
    assert kinds(empty).count("pred") == 12
    assert empty.audit().code == 0


def test_an_erasure_gets_its_turn(empty: Scene) -> None:
    """While a sequencer runs, an erasure waits a moment and is done; the sequencer goes on behind it."""
    add(empty, 6)
    with following(empty):
        until(empty, 7)
        with pytest.raises(StoreError, match="another process writes"):
            Ledger(empty.folder, empty.keys)
        assert erase(empty.log, empty.keys, "context.user", "u1", basis="gdpr17").predictions == {"fares": 2}
        size = empty.head.size
        add(empty, 3, start=100)
        until(empty, size + 4)
    assert kinds(empty).count("erase") == 1
    assert kinds(empty).count("pred") == 9
    assert empty.audit().code == 0


def test_who_waits_gives_up_in_the_end(empty: Scene) -> None:
    """One that never lets go is not waited for for ever, and sees that it is waited for."""
    with Ledger(empty.folder, empty.keys) as held:
        assert not held.wanted
        seen: list[bool] = []
        looking = threading.Timer(0.2, lambda: seen.append(held.wanted))
        looking.start()
        with pytest.raises(StoreError, match="another process writes"):
            Ledger(empty.folder, empty.keys, wait=0.6)
        looking.join()
        assert seen == [True]
        assert not held.wanted


def test_old_checkpoints_are_thinned_out(empty: Scene) -> None:
    """Of a day long past the last of each hour is left, and the last that a witness signed; younger days stay whole."""
    folder = empty.folder / "checkpoints"
    note = "log.example/fares\n{}\nroot\n\n— a\n"
    said = [(0, 1, ""), (10, 2, "— w\n"), (59, 3, ""), (61, 4, "")]
    lines = [
        json.dumps({"t": f"2026-03-01T{minute // 60:02d}:{minute % 60:02d}:00+00:00", "checkpoint": note.format(size) + more})
        for minute, size, more in said
    ]  # fmt: skip
    old, young = folder / "2026-03-01.jsonl", folder / f"{datetime.now(UTC) - timedelta(days=29):%Y-%m-%d}.jsonl"
    old.write_text("\n".join([*lines, '{"t": "2026-03-01T02']))
    young.write_text("\n".join(lines))
    for path in folder.glob(f"{datetime.now(UTC):%Y-%m-%d}.jsonl"):
        path.unlink()
    empty.add(1)
    assert not old.exists()
    kept = [json.loads(one)["checkpoint"].split("\n")[1] for one in (folder / "2026-03-01.hourly.jsonl").read_text().splitlines()]  # fmt: skip
    assert kept == ["3", "2", "4"]
    assert len(young.read_text().splitlines()) == 4
    assert lifecycle.standing(empty.base / "home").size == 2
