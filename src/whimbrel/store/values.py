"""What the store answers: frozen values in reading order, each with `to_dict()` as `--json` prints it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from whimbrel.model.window import Window, iso, where_dict


@dataclass(frozen=True, slots=True)
class Added:
    """What an import did. `duplicates` are rows whose id the log had, or that came twice; the first stands.

    `rescued` counts, per path, values that did not fit their field's kind and went to the row's `rescued` map.
    `labels` counts labels that reached predictions already in the log.
    """

    rows: int = 0
    duplicates: int = 0
    quarantined: int = 0
    labels: int = 0
    rescued: Mapping[str, int] = field(default_factory=dict)
    quarantine_files: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()

    def __add__(self, other: Added) -> Added:
        rescued = dict(self.rescued)
        for path, count in other.rescued.items():
            rescued[path] = rescued.get(path, 0) + count
        return Added(
            self.rows + other.rows,
            self.duplicates + other.duplicates,
            self.quarantined + other.quarantined,
            self.labels + other.labels,
            rescued,
            tuple(dict.fromkeys(self.quarantine_files + other.quarantine_files)),
            tuple(dict.fromkeys(self.warnings + other.warnings)),
        )

    @property
    def quarantine_file(self) -> Path | None:
        """Where rows that could not be read were set aside: the first such file, None where there is none."""
        return self.quarantine_files[0] if self.quarantine_files else None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "rows": self.rows, "duplicates": self.duplicates, "quarantined": self.quarantined, "labels": self.labels,
            "rescued": dict(self.rescued), "quarantine_files": [str(p) for p in self.quarantine_files],
            "warnings": list(self.warnings),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Golden:
    """A named window that never moves: `version` is the table's version whose files hold it."""

    name: str
    window: Window
    version: int
    predictions: int
    made: datetime

    def to_dict(self) -> dict[str, Any]:
        """As the golden's file and `--json` spell it."""
        window = self.window
        return {
            "schema": "whimbrel.golden/1", "name": self.name, "app": window.app,
            "since": iso(window.since) if window.since else None, "until": iso(window.until) if window.until else None,
            "where": where_dict(window.where), "conditions": [[c.path, c.op, c.value] for c in window.where],
            "version": self.version, "predictions": self.predictions, "made": iso(self.made),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class AppStatus:
    """What the log holds of one app. `fields` counts fields by role; `labelled` is the share of predictions with a label."""

    app: str
    predictions: int
    since: datetime | None
    until: datetime | None
    fields: Mapping[str, int]
    labelled: float
    version: int
    files: int
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "app": self.app, "predictions": self.predictions,
            "since": iso(self.since) if self.since else None, "until": iso(self.until) if self.until else None,
            "fields": dict(self.fields), "labelled": self.labelled, "version": self.version, "files": self.files,
            "bytes": self.bytes,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Status:
    """What the log holds. `segments` are recorders' files that wait to be ingested; `bytes` is everything under the home."""

    home: Path
    apps: tuple[AppStatus, ...]
    events: int
    goldens: tuple[str, ...]
    quarantined: int
    segments: int
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "home": str(self.home), "apps": [app.to_dict() for app in self.apps], "events": self.events,
            "goldens": list(self.goldens), "quarantined": self.quarantined, "segments": self.segments, "bytes": self.bytes,
        }  # fmt: skip
