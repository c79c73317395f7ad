"""Where everything of a log lies under its home."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from whimbrel.errors import UsageError
from whimbrel.store.delta import Table, app_name, check_home, folder_name
from whimbrel.store.remote import Remote

DEFAULT_APP = "default"
"""The app of rows that name none."""

_LONGEST_APP = 200


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders and tables of a log; nothing is created before it is written to."""

    home: Path
    storage: Remote | None = None
    """Where the tables lie, if not under `home`."""

    def __post_init__(self) -> None:
        check_home(self.home)

    def predictions(self, app: str) -> Table:
        """One app's predictions, partitioned by day."""
        return self._table("predictions", app, ("day",))

    def labels(self, app: str) -> Table:
        """Labels that arrived after their predictions."""
        return self._table("labels", app)

    def decisions(self, app: str) -> Table:
        """Decisions that arrived after their predictions."""
        return self._table("decisions", app)

    @property
    def events(self) -> Table:
        """Deploys, config changes, incidents."""
        return self._in("events", "events")

    @property
    def processes(self) -> Table:
        """One row per start of a recorded process."""
        return self._in("processes", "processes")

    @property
    def hardware(self) -> Table:
        """One row for each thing that a sidecar looked at, each time it looked."""
        return self._in("hardware", "hardware")

    def dataset(self, name: str) -> Table:
        """All versions of one set of training data."""
        return self._table("datasets", name)

    @property
    def models(self) -> Path:
        """Which data a model was trained on, a JSON file each."""
        return self.home / "models"

    @property
    def golden(self) -> Path:
        """Golden windows, a JSON file each."""
        return self.home / "golden"

    @property
    def profiles(self) -> Path:
        """Profiles of single data files, a folder an app; made anew where they are missing."""
        return self.home / "profiles"

    def merged(self, app: str) -> Path:
        """Which data files an app's merged ones were made of, a JSON file each; only beside kept profiles of any use."""
        return self.profiles / folder_name(app) / "merged"

    @property
    def sessions(self) -> Path:
        """Debug sessions, a JSON file each."""
        return self.home / "sessions"

    @property
    def holds(self) -> Path:
        """Stretches of time that nothing may drop, a JSON file each."""
        return self.home / "holds"

    @property
    def quarantine(self) -> Path:
        """Rows that could not be read."""
        return self.home / "quarantine"

    @property
    def segments(self) -> Path:
        """What recorders write, until it is ingested."""
        return self.home / "segments"

    @property
    def counters(self) -> Path:
        """What sidecars write, until it is ingested."""
        return self.home / "counters"

    @property
    def index(self) -> Path:
        """Where ids stand in the tables' files; made anew where it is missing."""
        return self.home / "index"

    @property
    def scratch(self) -> Path:
        """Files that live no longer than an import."""
        return self.home / "scratch"

    def apps(self) -> tuple[str, ...]:
        """The apps that have predictions, by name."""
        root = self.home / "predictions"
        found = [app_name(folder.name) for folder in root.iterdir()] if root.is_dir() else []
        if self.storage is not None:
            found += [app_name(name) for name in self.storage.below("predictions").folders()]
        return tuple(sorted(app for app in set(found) if app and self.predictions(app).exists))

    @property
    def _damaged(self) -> Path:
        """Notes about data files that are damaged."""
        return self.quarantine / "files"

    def _table(self, kind: str, app: str, partition_by: tuple[str, ...] = ()) -> Table:
        if not app or not app.isprintable() or len(folder_name(app)) > _LONGEST_APP:
            raise UsageError(
                f"{app[:80]!r} cannot be an app's name", where="--app",
                why=f"a name is printable, not empty, and no longer than {_LONGEST_APP} characters", next="choose a shorter, plain name",
            )  # fmt: skip
        folder = folder_name(app)
        return self._in(f"{kind}/{folder}", f"{kind}-{folder}", partition_by)

    def _in(self, path: str, lock: str, partition_by: tuple[str, ...] = ()) -> Table:
        # Versions of training data stay here: they are written by other means.
        remote = self.storage.below(path) if self.storage and not path.startswith("datasets/") else None
        return Table(self.home / path, self.home / "locks" / lock, self._damaged, partition_by, remote)
