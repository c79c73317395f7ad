"""Where aggregation runs. `port.py` is the door; each folder beside it is an engine that answers through it.

In: a `Source`, a `Window` and what is asked of it. Out: counts, profiles and sampled rows as the `model` room's values.
`compare/`, `diagnose/`, `drill/` and `cli/` may call, through `engine_named` and the `Engine` protocol only.
"""

from __future__ import annotations

import os

from whimbrel.engine.port import Capabilities, Engine, Source
from whimbrel.errors import UsageError
from whimbrel.settings import memory

__all__ = ["Capabilities", "Engine", "Source", "engine_named"]

_A_THREAD = 1 << 30
"""Bytes that a thread may need for the vectors and long texts that it reads."""


def engine_named(name: str | Engine = "duckdb") -> Engine:
    """The engine that `--engine NAME` asks for; what is an engine already stays what it is.

    Args:
        name: `duckdb`: this process. `spark://HOST:PORT`: the Spark cluster with that master. `spark`: whichever cluster Spark's own
            configuration names. Settings of Spark may follow: `spark://HOST:PORT?spark.cores.max=8&spark.executor.memory=4g`.

    Raises:
        UsageError: no engine has this name, or what it needs is not installed.
        StoreError: the cluster cannot be reached.
    """
    if not isinstance(name, str):
        return name
    if name == "duckdb":
        from whimbrel.engine.duckdb import DuckDB  # DuckDB takes 0.2 s to import: only who asks a question pays

        most = memory()
        if most is None:
            return DuckDB()
        return DuckDB(
            threads=max(1, min(os.cpu_count() or 1, most // 2 // _A_THREAD)), memory=f"{most // 2}B", hold=most // 4
        )
    if name == "spark" or name.startswith(("spark:", "spark?")):
        from whimbrel.engine.spark import Spark

        return Spark.at(name)
    raise UsageError(
        f"there is no engine named {name!r}", where="--engine", why="there are duckdb and spark",
        next="use --engine duckdb, or --engine spark://HOST:PORT",
    )  # fmt: skip
