"""One frozen value with every setting: environment < argument. What may be recorded is `record/policy.py`'s, from a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


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
