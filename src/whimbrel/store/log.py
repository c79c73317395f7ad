"""The log itself: one folder, its tables, and everything that goes in or comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whimbrel.engine.port import Source
from whimbrel.errors import EvidenceError, InputError, UsageError
from whimbrel.model.event import Event
from whimbrel.model.fields import Field, Kind, Schema
from whimbrel.model.window import Window
from whimbrel.settings import Settings
from whimbrel.store.layout import Layout
from whimbrel.store.remote import Remote, remote_of
from whimbrel.store.values import Added, Golden, Status

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from whimbrel.engine.port import Counters, Facts
    from whimbrel.store.datasets import Datasets
    from whimbrel.store.files import File
    from whimbrel.store.find import Found
    from whimbrel.store.ingest import Ingested
    from whimbrel.store.needs import Need
    from whimbrel.store.raw import Raw
    from whimbrel.store.records import Records
    from whimbrel.store.tidy import Tidied

Patterns = str | Path | Iterable[str | Path]
Renames = Mapping[str, str] | str | Path | None
Progress = Callable[[str, int, int], None]
"""Called with a file's name, bytes done and bytes in all, before each file and at the end."""


def open_log(
    home: str | Path | None = None, *, storage: str | None = None, storage_options: Mapping[str, str] | None = None
) -> Log:
    """The log in a folder: `home`, else `WHIMBREL_HOME`, else `./.whimbrel`. Nothing is created before something is added.

    Args:
        home: the folder.
        storage: where the tables lie, if not in that folder, such as `s3://lake/whimbrel`; else `WHIMBREL_STORAGE` says so.
        storage_options: what `deltalake` needs to get there, beside what the environment says (`AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, …).

    Raises:
        StoreError: the folder cannot hold a log.
    """
    return Log(Settings.load(home=home).home, storage=remote_of(storage, storage_options))


class Log:
    """The log in one folder. Many threads and processes may use it at once."""

    def __init__(self, home: str | Path, *, storage: Remote | None = None) -> None:
        self.layout = Layout(Path(home).expanduser().absolute(), storage)

    def __repr__(self) -> str:
        return f"Log({str(self.home)!r})"

    @property
    def home(self) -> Path:
        """The folder."""
        return self.layout.home

    def add(self, table: Any, *, app: str | None = None, mapping: Renames = None) -> Added:
        """Add a flat table: a pandas or Polars DataFrame, or anything with `__arrow_c_stream__`.

        Args:
            table: columns named as the contract says, or renamed by `mapping`. A table of only `id` and `label` brings late labels.
            app: the app of all rows; else the column `app` names it, else it is "default".
            mapping: your column names to the contract's, as a dict or a TOML file (see `store/columns.py`).

        Raises:
            InputError: no `ts`, no row that can be read, or a column of an unknown type.
            UsageError: not a table, or a mapping that makes no sense.
            StoreError: the log cannot be written.
        """
        from whimbrel.store.tables import open_table

        return self._take(lambda con: open_table(con, table), app, mapping)

    def append(self, app: str, records: Iterable[Mapping[str, Any]]) -> Added:
        """Add records, flat or nested dicts with the contract's names, to one app, as one commit. Raises as `add` does."""
        from whimbrel.store.arrays import encode
        from whimbrel.store.tables import open_records

        lines = [encode(record) for record in records]
        return self._take(lambda con: open_records(con, lines, f"records of {app}"), app, None) if lines else Added()

    def append_flat(self, app: str, records: Records) -> Added:
        """Add flat records of plain values (numbers, texts, lists of either), `ts` in µs: the quick way of `append`."""
        from whimbrel.store.arrays import to_arrow
        from whimbrel.store.straight import append
        from whimbrel.store.tables import open_flat

        if not records:
            return Added()
        self._check_app(app)
        held = to_arrow(records)
        done = append(self.layout, app, held)
        return done or self._take(lambda con: open_flat(con, held, f"records of {app}"), app, None)

    def import_files(
        self, patterns: Patterns, *, app: str | None = None, mapping: Renames = None, progress: Progress | None = None
    ) -> Added:
        """Add Parquet, CSV or JSON Lines files, named by paths, globs or folders; files may be larger than memory.

        All files are looked at before the first row is written. Each file is one commit an app. The same files again change nothing.

        Raises:
            InputError: a file is damaged or empty, has no `ts`, or none of its rows can be read.
            UsageError: a mapping that makes no sense.
            StoreError: the log cannot be written; the same import later completes it.
        """
        from whimbrel.store.columns import read_mapping
        from whimbrel.store.files import find
        from whimbrel.store.intake import take_in

        names = read_mapping(mapping)
        self._check_app(app)
        return self._each_file(
            find(patterns), lambda con, raw: take_in(con, self.layout, raw, app=app, mapping=names), progress
        )

    def add_events(self, table: Any, *, mapping: Renames = None) -> Added:
        """Add events: a flat table of `ts`, `kind`, `what`, optional `app` and `context.<tag>` columns. Raises as `add` does."""
        from whimbrel.store.columns import read_mapping
        from whimbrel.store.events import is_column, take_events
        from whimbrel.store.intake import working
        from whimbrel.store.tables import open_table

        with working(self.layout) as con:
            return take_events(
                con, self.layout, open_table(con, table, "events"), read_mapping(mapping, allowed=is_column)
            )

    def import_events(self, patterns: Patterns, *, mapping: Renames = None) -> Added:
        """Add files of events. Raises as `import_files` does."""
        from whimbrel.store.columns import read_mapping
        from whimbrel.store.events import is_column, take_events
        from whimbrel.store.files import find

        names = read_mapping(mapping, allowed=is_column)
        return self._each_file(find(patterns), lambda con, raw: take_events(con, self.layout, raw, names), None)

    def add_labels(self, app: str, rows: Iterable[Mapping[str, Any]]) -> Added:
        """Add labels that became known later: mappings of `id`, `label` and, where known, `label_ts`. The latest `label_ts` wins.

        Raises:
            InputError: no row has an id and a label that fits the app's others.
            StoreError: the log cannot be written.
        """
        taken = [{key: row[key] for key in ("id", "label", "label_ts") if row.get(key) is not None} for row in rows]
        if any("id" not in row for row in taken):
            raise InputError(
                "a label without an id", where=f"labels of app {app!r}", next="give each row the id of its prediction"
            )
        return self.append(app, [row for row in taken if "label" in row])

    def add_decisions(self, app: str, rows: Iterable[Mapping[str, Any]]) -> Added:
        """Add decisions taken later: mappings of `id`, `path` (`decision` or `decisions.<name>`) and `value`.

        Raises:
            InputError: a row without id or of another path.
            StoreError: the log cannot be written.
        """
        from whimbrel.store.intake import working
        from whimbrel.store.labels import take_decisions

        with working(self.layout) as con:
            return take_decisions(con, self.layout, app, rows)

    def ingest(self) -> Ingested:
        """Move what recorders and sidecars wrote into the log, each record exactly once."""
        from whimbrel.store.hardware import take_counters
        from whimbrel.store.ingest import ingest

        take_counters(self.layout)
        return ingest(self)

    def compact(
        self, *, app: str | None = None, keep: timedelta | None = None, grace: timedelta = timedelta(hours=24),
        needs: Iterable[Need] | None = None, least: int = 2, dry: bool = False,
    ) -> Tidied:  # fmt: skip
        """Merge small files, drop predictions that are too old, and remove files that nobody needs any more.

        What golden windows, holds and debug sessions need stays, however old it is, and is named. Safe beside ingest, imports, readers
        and other compactions; whatever it was killed in, the next one goes on.

        Args:
            app: whose tables; those of all apps, where it is not given.
            keep: how old predictions may become; for ever, where it is not given. They go by whole days.
            grace: how long files that left a table stay for readers that are at work, to the hour.
            needs: what others need; `whimbrel.ledger.needs.needs_of(log)` where the log has a ledger.
            least: how many small files of a day are merged, at least.
            dry: only say what would be dropped and removed.

        Raises:
            UsageError: an unknown app, times that make no sense, or the log has a ledger and `needs` is not given.
            StoreError: the log cannot be read or written, or what somebody needs cannot be told.
        """
        from whimbrel.store.tidy import tidy

        if needs is None and (self.home / "ledger").is_dir():
            raise UsageError(
                "the log has a ledger, and its needs are not given", where="needs", why="what it has not read yet would be lost to it",
                next="log.compact(needs=whimbrel.ledger.needs.needs_of(log)), or whimbrel compact",
            )  # fmt: skip
        return tidy(self, app=app, keep=keep, grace=grace, needs=needs or (), least=least, dry=dry)

    def apps(self) -> tuple[str, ...]:
        """The apps that the log has predictions of, by name."""
        return self.layout.apps()

    def version(self, app: str) -> int:
        """The version of an app's table. Raises UsageError where the log does not know the app."""
        return int(self._predictions(app).open().version())

    def source(self, app: str, version: int | None = None) -> Source:
        """What an engine reads an app's predictions from; at one version of the table, or the latest.

        Labels and decisions that arrived later are always the latest.

        Raises:
            UsageError: the log does not know the app, or the table never had that version.
            StoreError: the table is damaged.
        """
        from whimbrel.store.schema import read_schema

        table = self._predictions(app)
        latest = table.open()
        if version is not None and not 0 <= version <= latest.version():
            raise UsageError(
                f"app {app!r} has no version {version}", where=str(table.folder), why=f"its versions are 0 to {latest.version()}",
                next="leave the version out to read the latest",
            )  # fmt: skip
        delta = latest if version is None else table.open(version)
        labels, decisions = self.layout.labels(app), self.layout.decisions(app)
        schema = read_schema(delta)
        if labels.exists:
            schema += read_schema(labels.open())
        late, lost = decisions.sound(decisions.open()) if decisions.exists else ({}, {})
        if late:
            schema += Schema(tuple(Field(path, Kind.TEXT) for path in _paths(late) if path not in schema))
        beside, seen = self._counters(schema)
        if beside is not None:
            schema += Schema(tuple(Field(path, Kind.NUMBER) for path in beside.facts if path not in schema))
        arrived, gone = labels.sound(labels.open()) if labels.exists else ({}, {})
        own, bad = table.sound(delta)
        facts = {**table.facts(delta), **arrived, **late, **seen} if bad else {**own, **arrived, **late, **seen}
        unread = {**bad, **gone, **lost}
        return Source(
            app, schema, tuple(own), tuple(arrived), tuple(late), beside, facts=facts, damaged=unread,
            fetch=self._fetch if self.layout.storage else None,
        )  # fmt: skip

    def _counters(self, schema: Schema) -> tuple[Counters | None, Mapping[str, Facts]]:
        """What was seen of the hardware; most logs have nothing of it, and load nothing that reads it."""
        if not self.layout.hardware.exists:
            return None, {}
        from whimbrel.store.hardware import counters_of

        return counters_of(self.layout, schema)

    def _fetch(self, source: Source) -> None:
        """Have a source's files here, from wherever the tables lie."""
        app, layout = source.app, self.layout
        seen = source.counters.files if source.counters else ()
        for table, files in (
            (layout.predictions(app), source.files), (layout.labels(app), source.labels),
            (layout.decisions(app), source.decisions), (layout.hardware, seen),
        ):  # fmt: skip
            table.fetch(files, source.facts)

    def check(self, app: str) -> dict[str, str]:
        """Read every data file of an app as a whole; those that are damaged, and why. Answers leave them out from then on."""
        from whimbrel.store.seal import check

        found: dict[str, str] = {}
        for table in (self.layout.predictions(app), self.layout.labels(app), self.layout.decisions(app)):
            if table.exists:
                facts = table.facts(table.open())
                here = {file: one for file, one in facts.items() if not table.remote or Path(file).exists()}
                found |= check(here, table.notes)
        return found

    def find(self, ident: str, *, app: str | None = None) -> Found:
        """The prediction of this id, or of the only id that begins so; what recorders left waiting is looked through as well.

        Raises:
            UsageError: there is none, there are several, or the log does not know the app.
            EvidenceError: the log holds nothing at all.
            StoreError: a table is damaged.
        """
        from whimbrel.store.find import find

        return find(self.layout, ident, app=app)

    def events(
        self, app: str | None = None, since: datetime | None = None, until: datetime | None = None
    ) -> tuple[Event, ...]:
        """Events with `since <= ts < until`, in order of time; of an app: its own and those that name no app."""
        from whimbrel.store.events import read_events

        return read_events(self.layout, app, since, until)

    def set_golden(self, name: str, window: Window, version: int | None = None) -> Golden:
        """Name a window of one version of the table (the latest where none is given) as golden.

        Raises:
            UsageError: not a name, an unknown app, version or condition.
            EvidenceError: the window holds no predictions.
        """
        from whimbrel.engine.duckdb import DuckDB
        from whimbrel.store.golden import save

        at = self.version(window.app) if version is None else version
        predictions, _, _ = DuckDB().extent(self.source(window.app, at), window)
        return save(self.layout.golden, name, window, version=at, predictions=predictions)

    def golden(self, name: str) -> Golden:
        """The golden window of that name. Raises UsageError where there is none."""
        from whimbrel.store.golden import load

        return load(self.layout.golden, name)

    def goldens(self) -> tuple[Golden, ...]:
        """All golden windows, by name."""
        from whimbrel.store.golden import load, names

        return tuple(load(self.layout.golden, name) for name in names(self.layout.golden))

    @property
    def data(self) -> Datasets:
        """Versions of training data."""
        from whimbrel.store.datasets import Datasets

        return Datasets(self.layout)

    def status(self) -> Status:
        """What the log holds. Raises StoreError where a table is damaged."""
        from whimbrel.store.status import read_status

        return read_status(self.layout)

    def _take(self, read: Callable[[DuckDBPyConnection], Raw], app: str | None, mapping: Renames) -> Added:
        from whimbrel.store.columns import read_mapping
        from whimbrel.store.intake import take_in, working

        names = read_mapping(mapping)
        self._check_app(app)
        with working(self.layout) as con:
            return take_in(con, self.layout, read(con), app=app, mapping=names)

    def _each_file(
        self, files: tuple[File, ...], take: Callable[[DuckDBPyConnection, Raw], Added], progress: Progress | None
    ) -> Added:
        from whimbrel.store.files import open_file, probe
        from whimbrel.store.intake import working

        total, done, added = sum(file.size for file in files), 0, Added()
        with working(self.layout) as con:
            held = [file for file in files if file.size or len(files) == 1]
            for file in held:
                probe(con, file)
            if len(held) < len(files):
                added += Added(warnings=(f"{len(files) - len(held)} files are empty and were passed over",))
            for file in held:
                if progress:
                    progress(file.path.name, done, total)
                with con.cursor() as own:  # what a file needs in passing goes with its cursor
                    added += take(own, open_file(own, file))
                done += file.size
        if progress:
            progress("", total, total)
        if not (added.rows or added.duplicates or added.labels or added.quarantined):
            raise InputError(
                "there is not one row to import", where=", ".join(str(file.path) for file in files[:3]),
                why="the files have a header and nothing below it, or are empty", next="check what wrote them",
            )  # fmt: skip
        return added

    def _check_app(self, app: str | None) -> None:
        if app is not None:
            self.layout.predictions(app)

    def _predictions(self, app: str) -> Any:
        table = self.layout.predictions(app)
        if not table.exists:
            known = self.apps()
            if not known:
                raise EvidenceError(
                    "the log holds no predictions yet", where=str(self.home), why="nothing was recorded or imported, or this is another folder",
                    next="whimbrel import FILE, or point --home at the right folder",
                )  # fmt: skip
            raise UsageError(
                f"the log has no app {app!r}", where=str(self.home), why=f"its apps are {', '.join(known)}", next=f"choose one: --app {known[0]}",
            )  # fmt: skip
        return table


def _paths(files: Iterable[str]) -> list[str]:
    """The paths of late decisions."""
    from whimbrel.store.sql import connect, literal

    with connect() as con:
        listed = ", ".join(map(literal, files))
        rows = con.execute(f"SELECT DISTINCT path FROM read_parquet([{listed}]) ORDER BY path").fetchall()
    return [row[0] for row in rows]


def source_of(
    table: Any, *, app: str = "table", mapping: Renames = None, schema: Schema | None = None
) -> tuple[Source, Added]:
    """A flat table in memory as an engine reads it, by the rules of the log and without one.

    Args:
        table: as `Log.add` takes it.
        app: what to call it.
        mapping: your column names to the contract's.
        schema: fields whose kinds are fixed already, golden's for a window: a value of another kind is then rescued.

    Raises:
        InputError: no `ts`, no row that can be read, or a column of an unknown type.
        UsageError: not a table, or a mapping that makes no sense.
    """
    from whimbrel.store.columns import read_mapping
    from whimbrel.store.intake import normalise
    from whimbrel.store.sql import connect
    from whimbrel.store.tables import open_table

    with connect() as con:
        held = normalise(
            con, open_table(con, table, app), app=app, mapping=read_mapping(mapping), known=schema or Schema()
        )
    return held.source, held.added
