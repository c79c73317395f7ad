"""Where aggregation runs. `port.py` is the door; each folder beside it is an engine that answers through it.

In: a `Source`, a `Window` and what is asked of it. Out: counts, profiles and sampled rows as the `model` room's values.
`compare/`, `diagnose/`, `drill/` and `cli/` may call, through `engine_named` and the `Engine` protocol only.
"""

from __future__ import annotations

from whimbrel.engine.port import Engine, Source
from whimbrel.errors import UsageError

__all__ = ["Engine", "Source", "engine_named", "maker"]


def engine_named(name: str = "duckdb") -> Engine:
    """The engine that `--engine NAME` asks for.

    Raises:
        UsageError: no engine has this name.
    """
    if name == "duckdb":
        from whimbrel.engine.duckdb import DuckDB  # DuckDB takes 0.2 s to import: only who asks a question pays

        return DuckDB()
    raise UsageError(f"there is no engine named {name!r}", where="--engine", next="use --engine duckdb")


def maker(name: str = "duckdb") -> str:
    """The engine and its version: hashes in what one made are of no use to another.

    Raises:
        UsageError: no engine has this name.
    """
    engine_named(name)
    import duckdb

    return f"duckdb {duckdb.__version__}"
