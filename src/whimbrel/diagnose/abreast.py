"""Parts of one piece of work at the same time, each on a thread of its own: NumPy and SciPy let others run while they count.

In: what to do, and what with. Out: the answers in their order, which are the same however many threads there are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TypeVar

Part = TypeVar("Part")
Answer = TypeVar("Answer")


def abreast(do: Callable[[Part], Answer], parts: Sequence[Part]) -> list[Answer]:
    """As `map`, on as many threads as this process may use processors."""
    workers = min(_processors(), len(parts))
    if workers < 2:
        return [do(part) for part in parts]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(do, parts))


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
