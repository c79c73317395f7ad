"""One frozen value with every setting: environment < argument. What may be recorded is `record/policy.py`'s, from a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

ENV_MEMORY = "WHIMBREL_MEMORY"
_LEAST_MEMORY = 256_000_000


def memory(env: Mapping[str, str] | None = None) -> int | None:
    """Bytes that a command may hold, as `--memory 2GB` or `WHIMBREL_MEMORY` says; None where neither does.

    Raises:
        UsageError: no size, or less than 256 MB.
    """
    text = (os.environ if env is None else env).get(ENV_MEMORY, "").strip()
    if not text:
        return None
    import re  # the recorder reads its settings, too, and needs none of this

    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT])(i?)B", text, re.IGNORECASE)
    step = 1024 if found and found[3] else 1000
    size = int(float(found[1]) * step ** ("KMGT".index(found[2].upper()) + 1)) if found else 0
    if size < _LEAST_MEMORY:
        from whimbrel.errors import UsageError

        raise UsageError(
            f"{text[:40]!r} is no memory to work in",
            where="--memory, WHIMBREL_MEMORY",
            why="the least is 256MB",
            next="--memory 2GB",
        )
    return size


class Settings(NamedTuple):
    """Where the log lives, and which engine answers."""

    home: Path
    engine: str = "duckdb"

    @staticmethod
    def load(
        *, home: str | Path | None = None, engine: str | None = None, env: Mapping[str, str] | None = None
    ) -> Settings:
        """Settings from arguments, else the environment (`WHIMBREL_HOME`, `WHIMBREL_ENGINE`), else the defaults."""
        from pathlib import Path  # an import that costs an app something only once it records

        env = os.environ if env is None else env
        return Settings(
            home=Path(home or env.get("WHIMBREL_HOME") or ".whimbrel"),
            engine=engine or env.get("WHIMBREL_ENGINE") or "duckdb",
        )
