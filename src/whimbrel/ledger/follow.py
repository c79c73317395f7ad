"""The sequencer that goes on: what comes is in the ledger within a second, until it is told to stop.

In: a log, its ledger's keys, what is to be shown to whom. It holds the ledger, and lets go of it while another process has an erasure, a
hold or a new key to write. When it is told to stop it takes in what came meanwhile, and publishes that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from whimbrel.ledger.lifecycle import TURN_S
from whimbrel.ledger.sequencer import Sequencer
from whimbrel.ledger.writer import Ledger

if TYPE_CHECKING:
    from whimbrel.ledger.keys import Keys
    from whimbrel.store import Log

_PASS_S, _LOOK_S = 1.0, 0.1


class Stop(Protocol):
    """Says when to stop: an event of `threading` or of `multiprocessing`."""

    def is_set(self) -> bool:
        """Whether it is time."""
        ...

    def wait(self, timeout: float) -> bool:
        """Wait for it so many seconds; whether it is time."""
        ...


@dataclass
class Outside:
    """Something that is asked of somebody outside from time to time, with the ledger's newest head."""

    every_s: float
    ask: Callable[[Ledger], None]
    due: float = 0.0

    def look(self, ledger: Ledger) -> None:
        """Ask, where it is time to."""
        if time.monotonic() >= self.due:
            self.ask(ledger)
            self.due = time.monotonic() + self.every_s


def once(log: Log, folder: Path, keys: Keys, outside: Iterable[Outside] = ()) -> tuple[dict[str, int], Ledger]:
    """Take what is new, and show it; gives how many entries of each kind were made, and the ledger, closed."""
    with Ledger(folder, keys) as ledger:
        taken = Sequencer(log, ledger).take()
        for one in outside:
            one.look(ledger)
    return taken, ledger


def follow(log: Log, folder: Path, keys: Keys, stop: Stop, outside: Iterable[Outside] = ()) -> Ledger:
    """Take what is new until `stop` is set; gives the ledger, closed.

    Raises:
        StoreError: another process writes to the ledger and does not let go; a table or the disk fails.
    """
    known, wait = tuple(outside), 0.0
    while True:
        with Ledger(folder, keys, wait=wait) as ledger:
            sequencer = Sequencer(log, ledger)
            while True:
                stopping = stop.is_set()  # before the pass: what came until then is in it
                log.ingest()
                sequencer.take()
                for one in known if not stopping else ():
                    one.look(ledger)
                if stopping:
                    return ledger
                if _let_go(ledger, stop):
                    break
        wait = TURN_S


def _let_go(ledger: Ledger, stop: Stop) -> bool:
    """Wait for the next pass; whether somebody else wants the ledger meanwhile."""
    for _ in range(round(_PASS_S / _LOOK_S)):
        if ledger.wanted:
            return True
        if stop.wait(_LOOK_S):
            break
    return False
