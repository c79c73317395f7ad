"""The process beside the apps: looks at the host, the processes that record there and the GPUs, and writes down what it saw.

In: a home and how often to look. Out: COUNTERS frames in a session of its own under `<home>/counters/`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import time
from pathlib import Path
from typing import Any, Self

import msgspec

from whimbrel.errors import InputError, UsageError
from whimbrel.hardware import host
from whimbrel.hardware.gpu import Gpus
from whimbrel.record import frames, process
from whimbrel.record.policy import Policy
from whimbrel.record.reader import read_segment
from whimbrel.record.segment import Session
from whimbrel.version import __version__

FOLDER = "counters"
_POLICY = Policy(budget_bytes=256 << 20)
_HEAD = 1 << 16
_SLEWED_S = 2.0
_NAME = re.compile(r"([0-9a-f]{32})-\d{6,}\.seg")


class Sidecar:
    """One look after another at what a home's recorders run on. `with` closes it."""

    def __init__(self, home: Path, *, gpus: Gpus | None = None) -> None:
        self.home = home
        self.session = Session(home / FOLDER, self._facts, _POLICY)
        self._gpus = Gpus() if gpus is None else gpus
        self._before: dict[str, host.Look] = {}
        self._known: set[str] = set()
        self._watched: dict[str, tuple[str, int, float]] = {}
        self._machine = process.lasting()
        self._absent: dict[str, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._gpus.close()
        self.session.close()

    def tick(self) -> list[dict[str, Any]]:
        """Look at everything once and write it down; what was written."""
        rows = [self._host(), *self._processes(), *self._devices()]
        body = {
            "ts": time.time_ns() // 1000, "host": self._machine.get("host", ""), "boot": self._machine.get("boot", ""), "rows": rows,
        }  # fmt: skip
        self.session.write(frames.Kind.COUNTERS, 0, msgspec.msgpack.encode(body))
        return rows

    def _host(self) -> dict[str, Any]:
        now = host.look(self.home if self.home.exists() else Path("/"))
        row: dict[str, Any] = {"subject": "host"} | host.between(self._before.get("host", {}), now)
        self._before["host"] = now
        absent = [] if "pressure_cpu_some" in row else ["pressure: the kernel does not tell"]
        if self._gpus.absent:
            absent.append(f"gpu: {self._gpus.absent}")
        return row | ({"absent": "; ".join(absent)} if absent else {})

    def _processes(self) -> list[dict[str, Any]]:
        self._find()
        rows = []
        for session, (app, pid, started) in list(self._watched.items()):
            now = host.look_at(pid)
            row: dict[str, Any] = {"subject": "process", "what": app, "process": session, "pid": pid}
            if not now or abs(now["started"] - started) > _SLEWED_S:
                del self._watched[session]  # it ended, or its number is another's
                self._before.pop(session, None)
                if session in self._absent:
                    rows.append(row | {"absent": self._absent.pop(session)})
                continue
            self._absent.pop(session, None)
            rows.append(row | host.between(self._before.get(session, {}), now))
            self._before[session] = now
        return rows

    def _devices(self) -> list[dict[str, Any]]:
        return [{"subject": "gpu", "what": uuid, **numbers, **words} for uuid, numbers, words in self._gpus.look()]

    def _find(self) -> None:
        """Sessions that have come since the last look: who writes them, where that is a process of this machine."""
        for path in (self.home / "segments").glob("*/*.seg"):
            name = _NAME.fullmatch(path.name)
            if name is None or name[1] in self._known:
                continue
            self._known.add(name[1])
            with contextlib.suppress(OSError, InputError, KeyError, TypeError):
                with path.open("rb") as file:
                    told = read_segment(file.read(_HEAD)).frames[0].decode()
                if told.get("boot") == self._machine.get("boot"):
                    since_boot = told["started"] - (time.time() - time.clock_gettime(time.CLOCK_BOOTTIME))
                    self._watched[name[1]] = (str(told["app"]), int(told["pid"]), since_boot)
                    self._absent[name[1]] = "it has ended, or runs in another container"

    def _facts(self, session: Session) -> dict[str, Any]:
        own = {"app": FOLDER, "process": session.id.hex(), "recorder": __version__, "ts": session.opened_us}
        return own | self._machine | {"pid": os.getpid()}


def watch(home: Path, *, every_s: float) -> int:
    """Look until the process is told to end (SIGINT, SIGTERM); how many times it looked.

    Raises:
        UsageError: another sidecar looks after this home on this host.
    """
    folder = home / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ticks = 0
    with (folder / f".sidecar-{process.lasting().get('host', '')}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(
                f"a sidecar looks after {home} already", where="whimbrel sidecar", why="one for each host and home is enough",
                next="whimbrel doctor says what it has seen",
            ) from None  # fmt: skip
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with Sidecar(home) as sidecar, contextlib.suppress(KeyboardInterrupt):
            due = time.monotonic()
            while True:
                sidecar.tick()
                ticks += 1
                due = max(due + every_s, time.monotonic())
                time.sleep(max(0.0, due - time.monotonic()))
    return ticks
