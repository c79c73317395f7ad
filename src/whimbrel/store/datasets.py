"""Versions of training data: one Delta table a name (`datasets/<name>`), a commit a version, by content.

In: files or a table. Out: `DataVersion`s, and any of them again as it was. A version's facts (number, digest, rows, columns, where it
came from) are part of the commit that brought its rows, so that neither is ever there without the other.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whimbrel.errors import InputError, StoreError, UsageError
from whimbrel.model.window import iso
from whimbrel.store import named
from whimbrel.store.content import Content, content_of, read_files, read_table, row_text
from whimbrel.store.delta import Table, app_name, folder_name
from whimbrel.store.intake import working
from whimbrel.store.layout import Layout
from whimbrel.store.sql import connect, input_errors, literal, roomy, store_errors

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SCHEMA, _LINK = "whimbrel.dataset/1", "whimbrel.model/1"
_FOREVER = "interval 36500 days"
_ROWS = 50_000
_SPEC = re.compile(r"(?P<name>.+?)(?:@v?(?P<version>[0-9]{1,9}))?")


@dataclass(frozen=True, slots=True)
class DataVersion:
    """One version: `digest` says its schema and rows, in whatever order they come; `sources` are the files it came from."""

    name: str
    version: int
    digest: str
    rows: int
    columns: tuple[tuple[str, str], ...]
    sources: tuple[str, ...]
    added: datetime
    commit: int
    """The version of the Delta table that holds it."""

    @property
    def spec(self) -> str:
        """As people and models name it: `train@3`."""
        return f"{self.name}@{self.version}"

    def to_dict(self) -> dict[str, Any]:
        """As the commit and `--json` spell it."""
        return {
            "schema": _SCHEMA, "name": self.name, "version": self.version, "digest": self.digest, "rows": self.rows,
            "columns": [{"name": column, "type": kind} for column, kind in self.columns],
            "sources": list(self.sources), "added": iso(self.added),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kept:
    """What `add` did: the version that holds the content now, and whether it is new."""

    version: DataVersion
    new: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return self.version.to_dict() | {"new": self.new}


@dataclass(frozen=True, slots=True)
class Datasets:
    """All versions of training data in a log: `whimbrel.open().data`."""

    layout: Layout

    def add(self, patterns: Any, *, name: str) -> Kept:
        """Keep files (paths, globs, folders) as the next version, unless a version has this content already.

        Args:
            patterns: Parquet, CSV or JSON Lines, as `Log.import_files` takes them; they may be larger than memory.
            name: what the data is called, such as `train`.

        Raises:
            UsageError: not a name.
            InputError: a file or a single row cannot be read; nothing is kept then.
            StoreError: the log cannot be written.
        """
        named.check(name, thing="dataset", example="train", where="--name")
        with working(self.layout) as con:
            content, files = roomy(con, lambda: read_files(con, patterns))
            sources = tuple(str(file.path.absolute()) for file in files)
            with input_errors(files[0].path.name, files[0].path):
                return self._keep(con, content, name, sources)

    def add_table(self, table: Any, *, name: str) -> Kept:
        """Keep a pandas, Polars or Arrow table as the next version. Raises as `add` does."""
        named.check(name, thing="dataset", example="train", where="name")
        with working(self.layout) as con:
            return self._keep(con, read_table(con, table), name, ())

    def names(self) -> tuple[str, ...]:
        """The names that have versions."""
        root = self.layout.home / "datasets"
        found = [app_name(folder.name) for folder in root.iterdir()] if root.is_dir() else []
        return tuple(sorted(one for one in found if self.layout.dataset(one).exists))

    def versions(self, name: str | None = None) -> tuple[DataVersion, ...]:
        """All versions, of one name or of all, oldest first.

        Raises:
            UsageError: no data of that name.
            StoreError: a table is damaged.
        """
        if name is None:
            return tuple(one for known in self.names() for one in self.versions(known))
        if name not in self.names():
            raise self._unknown(name)
        return _versions(self.layout.dataset(name), name)

    def version(self, spec: str) -> DataVersion:
        """The version that `train@3` names; the newest where it says only `train`.

        Raises:
            UsageError: there is none; those that there are are named.
        """
        found = _SPEC.fullmatch(spec)
        if found is None or "@" in found["name"]:
            raise UsageError(
                f"{spec!r} names no version of data", why="a version is written NAME@NUMBER", next="whimbrel data list"
            )
        known = self.versions(found["name"])
        if found["version"] is None:
            return known[-1]
        wanted = [one for one in known if one.version == int(found["version"])]
        if not wanted:
            raise UsageError(
                f"there is no {spec}", where=str(self.layout.dataset(found["name"]).folder),
                why=f"{found['name']} has versions {known[0].version} to {known[-1].version}", next="whimbrel data list",
            )  # fmt: skip
        return wanted[0]

    def get(self, spec: str) -> Any:
        """A version as it was, as an Arrow table (anything that takes `__arrow_c_stream__` reads it: pandas, Polars, pyarrow)."""
        import arro3.core as arrow

        version = self.version(spec)
        with store_errors(self.layout.home, "read"), connect() as con:
            return arrow.Table.from_arrow(con.sql(f"SELECT * FROM {self.relation(version)}"))

    def write(self, spec: str, path: Path) -> DataVersion:
        """A version as it was, into a Parquet, CSV or JSON Lines file, as its name ends.

        Raises:
            UsageError: there is no such version, the file is there already, or its name ends in something else.
        """
        version = self.version(spec)
        formats = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv, HEADER", ".jsonl": "json", ".ndjson": "json"}
        how = formats.get(path.suffix.lower())
        if how is None or path.exists() or not path.absolute().parent.is_dir():
            why = (
                f"{path.suffix or 'its name'} says no format" if how is None
                else "it is there already" if path.exists() else f"there is no folder {path.absolute().parent}"
            )  # fmt: skip
            raise UsageError(f"cannot write {path}", where="-o", why=why, next="name a new file: -o train.parquet")
        partial = path.with_name(f".{path.name}.partial")
        try:
            with store_errors(path, "read or write for"), working(self.layout) as con:
                con.execute(f"COPY (SELECT * FROM {self.relation(version)}) TO {literal(str(partial))} (FORMAT {how})")
                partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        return version

    def relation(self, version: DataVersion) -> str:
        """SQL for FROM that reads a version."""
        table = self.layout.dataset(version.name)
        files = table.files(table.open(version.commit))
        return f"read_parquet([{', '.join(map(literal, files))}], union_by_name = false, hive_partitioning = false)"

    def link(self, model: str, spec: str) -> dict[str, Any]:
        """Note that a model (`fares@8`) was trained on a version of data; an older note gives way.

        Raises:
            UsageError: not a model's name and version, or no such data.
        """
        if not all(model.rpartition("@")):
            raise UsageError(
                f"{model!r} names no version of a model", where="MODEL@VERSION", why="a model's version is written NAME@VERSION",
                next="whimbrel data link fares@8 train@3",
            )  # fmt: skip
        version, before = self.version(spec), self.linked(model)
        told = {
            "schema": _LINK,
            "model": model,
            "data": version.spec,
            "was": before if before != version.spec else None,
        }
        named.write(self._link(model), told)
        return told

    def linked(self, model: str) -> str | None:
        """The data that a model was noted to come from.

        Raises:
            StoreError: the note is damaged.
        """
        path = self._link(model)
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            return str(told["data"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"cannot read what {model} was trained on: {error}", where=str(path), why="the file was changed or cut short",
                next=f"note it again: whimbrel data link {model} NAME@VERSION",
            ) from error  # fmt: skip

    def _link(self, model: str) -> Path:
        return self.layout.models / f"{folder_name(model)[:200]}.json"

    def _unknown(self, name: str) -> UsageError:
        make = f"whimbrel data add FILE --name {name}"
        return named.unknown(name, self.names(), thing="data", where=self.layout.home / "datasets", make=make)

    def _keep(self, con: DuckDBPyConnection, content: Content, name: str, sources: tuple[str, ...]) -> Kept:
        digest, rows = roomy(con, lambda: digest_of(con, content))
        if not rows:
            raise InputError(
                "there is not one row to keep", where=", ".join(sources[:3]) or "the table",
                why="there is a header and nothing below it", next="check what wrote it",
            )  # fmt: skip
        table = self.layout.dataset(name)

        def change() -> Kept:
            known = _versions(table, name) if table.exists else ()
            same = next((one for one in known if one.digest == digest), None)
            if same is not None:
                return Kept(same, False)
            number = known[-1].version + 1 if known else 1
            commit = table.open().version() + 1 if table.exists else 0
            now = datetime.now(UTC).replace(microsecond=0)
            columns = tuple(content.types.items())
            made = DataVersion(name, number, digest, rows, columns, sources, now, commit)
            _commit(con, table, content, made)
            return Kept(made, True)

        return table.update(change)


def digest_of(con: DuckDBPyConnection, content: Content) -> tuple[str, int]:
    """SHA-256 of the columns' names and types and of all rows' SHA-256, each sorted; and how many rows there are.

    The order of rows and columns changes nothing; a row that is there twice counts twice.
    """
    cells = content.cells()
    order = sorted(cells)
    running = hashlib.sha256(json.dumps([[column, content.types[column]] for column in order]).encode())
    hashed = f"SELECT sha256({row_text([cells[column] for column in order])}) AS h FROM {content.relation}"
    rows, found = 0, con.execute(f"SELECT h FROM ({hashed}) ORDER BY h")
    while some := found.fetchmany(_ROWS):
        rows += len(some)
        running.update("".join(h for (h,) in some).encode())
    return f"sha256:{running.hexdigest()}", rows


def _commit(con: DuckDBPyConnection, table: Table, content: Content, made: DataVersion) -> None:
    """The rows as the table's new and only content; all that was there stays under its own version, for good."""
    from deltalake import CommitProperties, Transaction, write_deltalake

    table.folder.parent.mkdir(parents=True, exist_ok=True)
    write_deltalake(
        str(table.folder), con.sql(f"SELECT * FROM {content.relation}"), mode="overwrite", schema_mode="overwrite",
        configuration={"delta.logRetentionDuration": _FOREVER, "delta.deletedFileRetentionDuration": _FOREVER},
        commit_properties=CommitProperties(
            custom_metadata={"whimbrel": json.dumps(made.to_dict(), ensure_ascii=False)},
            app_transactions=[Transaction("whimbrel", made.version)],
        ),
    )  # fmt: skip


def _versions(table: Table, name: str) -> tuple[DataVersion, ...]:
    found = []
    with store_errors(table.folder, "read"):
        for commit in table.open().history():
            told = commit.get("whimbrel")
            if told is not None:
                found.append(_version(json.loads(told), name, int(commit["version"]), table.folder))
    return tuple(sorted(found, key=lambda one: one.version))


def _version(told: Mapping[str, Any], name: str, commit: int, where: Path) -> DataVersion:
    try:
        if told["schema"] != _SCHEMA:
            raise ValueError(f"its format is {told['schema']!r}, and this version reads {_SCHEMA!r}")
        columns = tuple((column["name"], column["type"]) for column in told["columns"])
        added = datetime.fromisoformat(told["added"])
        return DataVersion(
            name, told["version"], told["digest"], told["rows"], columns, tuple(told["sources"]), added, commit
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"cannot read a version of {name!r}: {error}", where=str(where), why="another program wrote to the table, or a newer whimbrel",
            next="update whimbrel, or move the folder away and add the data again",
        ) from error  # fmt: skip


def described(con: DuckDBPyConnection, datasets: Datasets, version: DataVersion) -> Content:
    """A kept version as content."""
    return content_of(con, datasets.relation(version))
