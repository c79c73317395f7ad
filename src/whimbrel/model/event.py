"""What happened around the predictions: deploys, config changes, flags, rollbacks, incidents, data changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Event:
    """One event; `context` says whom it reached (`{"context.channel": "ios"}`), empty means everyone."""

    ts: datetime
    kind: str
    what: str
    context: Mapping[str, str] = field(default_factory=dict)
