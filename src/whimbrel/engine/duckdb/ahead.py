"""One thing is made by another thread while the one before it is in use: DuckDB reads beside the counting, on a second core.

In: an iterator. Out: the same things in the same order. Only `counted.py` may call.
"""

from __future__ import annotations

from collections.abc import Iterator
from threading import Semaphore, Thread
from typing import TypeVar

Thing = TypeVar("Thing")


def ahead(things: Iterator[Thing]) -> Iterator[Thing]:
    """The things, each made while the one before it is in use; never two ahead. What making one raises is raised here."""
    made: list[Thing] = []
    failed: list[BaseException] = []
    wanted, there = Semaphore(1), Semaphore(0)
    left = False

    def make() -> None:
        try:
            while True:
                wanted.acquire()
                if left:
                    return
                made.append(next(things))
                there.release()
        except StopIteration:
            pass
        except BaseException as error:  # noqa: BLE001
            failed.append(error)
        finally:
            there.release()

    maker = Thread(target=make, name="whimbrel-ahead", daemon=True)
    maker.start()
    try:
        while True:
            there.acquire()
            if not made:
                break
            wanted.release()
            yield made.pop()
    finally:
        left = True
        wanted.release()
        maker.join()
    if failed:
        raise failed[0]
