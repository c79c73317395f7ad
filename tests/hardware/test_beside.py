"""What sidecars saw stands beside each prediction that ran there, and a diagnosis names it."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

import whimbrel
from whimbrel.diagnose import diagnose_log
from whimbrel.engine import engine_named
from whimbrel.model.window import Condition, Window
from whimbrel.record import frames
from whimbrel.record.policy import Policy
from whimbrel.record.segment import Session

START = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
HOSTS = ("a", "b", "c", "d")
HOURS = 48
STRUCK = (36, "b")
"""From this hour on this host is throttled: its spans take longer by one factor."""


def micros(hour: float) -> int:
    return int((START + dt.timedelta(hours=hour)).timestamp() * 1e6)


def predictions(*, struck: bool, count: int) -> list[dict[str, Any]]:
    """Two days of an app on four hosts."""
    chance = random.Random(7)
    out = []
    for n in range(count):
        hour, host = HOURS * n / count, HOSTS[n % 4]
        slow = 1.6 if struck and hour >= STRUCK[0] and host == STRUCK[1] else 1.0
        km = chance.lognormvariate(1, 0.5)
        encode, predict = (slow * base * chance.lognormvariate(0, 0.4) for base in (1.0, 3.0))
        out.append({
            "id": f"p{n:05d}", "ts": micros(hour), "inputs.km": km, "outputs.score": min(1.0, km / 20), "spans.encode": encode,
            "spans.predict": predict, "spans.total": encode + predict + 0.1, "hardware.host": host, "recorder.process": f"session-{host}",
        })  # fmt: skip
    return out


def watch(home: Path, host: str, rows: Any) -> None:
    """What a sidecar of a host would have written down: `rows` says what it sees at an hour."""
    session = Session(home / "counters", lambda s: {"process": s.id.hex(), "ts": s.opened_us}, Policy())
    for minute in range(HOURS * 60):
        hour = (minute + 1) / 60
        body = {"ts": micros(hour), "host": host, "boot": f"boot-{host}", "rows": rows(hour)}
        session.write(frames.Kind.COUNTERS, 0, msgspec.msgpack.encode(body))
    session.close()


def windows() -> tuple[Window, Window]:
    middle = START + dt.timedelta(hours=HOURS / 2)
    return Window("fares", START, middle), Window("fares", middle, START + dt.timedelta(hours=HOURS))


@pytest.mark.parametrize(
    ("subject", "fact", "healthy", "throttled"),
    [("process", "throttled_share", 0.0, 0.4), ("gpu", "clock_mhz", 1980.0, 1100.0)],
)
def test_a_host_that_is_held_back_is_named_with_the_counter_that_says_so(
    subject: str, fact: str, healthy: float, throttled: float, tmp_path: Path
) -> None:
    log = whimbrel.open(tmp_path)
    log.append("fares", predictions(struck=True, count=8_000))
    chance = random.Random(3)

    def rows_of(host: str) -> Any:
        def rows(hour: float) -> list[dict[str, Any]]:
            held = hour >= STRUCK[0] and host == STRUCK[1]
            value = (throttled if held else healthy) * chance.uniform(0.97, 1.0)
            own = {"what": "fares", "process": f"session-{host}"} if subject == "process" else {"what": f"GPU-{host}"}
            return [{"subject": "host", "load_1": chance.uniform(1, 2)}, {"subject": subject, **own, fact: value}]

        return rows

    for host in HOSTS:
        watch(tmp_path, host, rows_of(host))
    log.ingest()
    golden, window = windows()
    report = diagnose_log(log, "fares", golden_window=golden, window=window)
    found = report.findings[0]
    assert (found.layer, found.component) == ("hardware", f"hardware.{fact}")
    assert [(c.path, c.value) for c in found.where] == [("hardware.host", STRUCK[1])]


@pytest.mark.parametrize("since", [0, HOURS // 2])
def test_counters_that_move_alone_are_no_fault_nor_is_a_sidecar_that_came_later(since: int, tmp_path: Path) -> None:
    log = whimbrel.open(tmp_path)
    log.append("fares", predictions(struck=False, count=6_000))
    chance = random.Random(5)

    def rows(hour: float) -> list[dict[str, Any]]:
        return [{"subject": "host", "load_1": chance.uniform(1, 2) + hour / 10}] if hour >= since else []

    for host in HOSTS:
        watch(tmp_path, host, rows)
    log.ingest()
    golden, window = windows()
    assert diagnose_log(log, "fares", golden_window=golden, window=window).findings == ()


def test_each_prediction_gets_the_first_look_after_it_of_its_own_host_and_its_own_word_wins(tmp_path: Path) -> None:
    log = whimbrel.open(tmp_path)
    about = {"outputs.score": 0.5, "recorder.process": "session-a"}
    log.append("fares", [
        {"id": "early", "ts": micros(1) - 30_000_000, "hardware.host": "a", **about},
        {"id": "at", "ts": micros(1), "hardware.host": "a", **about},
        {"id": "after", "ts": micros(1) + 1, "hardware.host": "a", **about},
        {"id": "own", "ts": micros(1), "hardware.host": "a", "hardware.clock_mhz": 7.0, **about},
        {"id": "elsewhere", "ts": micros(1), "hardware.host": "c", **about, "recorder.process": "session-c"},
        {"id": "unwatched", "ts": micros(9), "hardware.host": "a", **about},
    ])  # fmt: skip

    def rows(hour: float) -> list[dict[str, Any]]:
        if hour > 2:
            return []
        clocks = [
            {"subject": "gpu", "what": what, "clock_mhz": hour * 1000 + more} for what, more in (("0", 0), ("1", 5))
        ]
        return [{"subject": "process", "process": "session-a", "throttled_share": hour}, *clocks]

    watch(tmp_path, "a", rows)
    watch(tmp_path, "b", lambda hour: [{"subject": "gpu", "what": "2", "clock_mhz": -hour}])
    log.ingest()
    source, window = log.source("fares"), Window("fares")
    found = engine_named("duckdb").records(
        source, window, ids=["early", "at", "after", "own", "elsewhere", "unwatched"]
    )
    facts = {r["id"]: (r.get("hardware.clock_mhz"), r.get("hardware.throttled_share")) for r in found}
    assert facts == {
        "early": (1000, 1), "at": (1000, 1), "after": (pytest.approx(61 / 60 * 1000), pytest.approx(61 / 60)), "own": (7, 1),
        "elsewhere": (None, None), "unwatched": (None, None),
    }  # fmt: skip
    slow = replace(window, where=(Condition("hardware.clock_mhz", "1000"),))
    assert engine_named("duckdb").extent(source, slow)[0] == 2
