"""Files: which ones a pattern names, what format each is in, and each as `Raw` input.

Parquet is read in place. CSV and JSON Lines (plain or gzip) are read once, as text that keeps its row numbers, and staged;
rows with the wrong number of fields, bytes that are not UTF-8 or broken JSON come out as refusals.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterable
from dataclasses import dataclass
from glob import glob, has_magic
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING

from whimbrel.errors import InputError
from whimbrel.store.leaves import Family, Leaf
from whimbrel.store.raw import Raw, Refusal, check_width, columns_of, json_rows, stage
from whimbrel.store.sql import input_errors, literal, roomy

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_FORMATS = {".parquet": "parquet", ".pq": "parquet", ".csv": "csv", ".tsv": "csv", ".jsonl": "json", ".ndjson": "json", ".json": "json"}  # fmt: skip
_LONGEST_LINE = 16 << 20
_BUFFER = 2 * _LONGEST_LINE
_GZIP = b"\x1f\x8b"
_BOMS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class File:
    """A file to import, with its format: parquet, csv or json."""

    path: Path
    format: str
    size: int


def find(patterns: str | Path | Iterable[str | Path]) -> tuple[File, ...]:
    """The files that paths, globs and folders name, each once, in order; a folder stands for every file in it that can be read.

    Raises:
        InputError: a pattern that names no file, or a file of an unknown format.
    """
    listed = [patterns] if isinstance(patterns, str | Path) else list(patterns)
    found: dict[Path, File] = {}
    for pattern in listed:
        paths = _expand(Path(pattern).expanduser())
        if not paths:
            raise InputError(
                f"no file matches {str(pattern)!r}", where=str(Path.cwd()),
                why="the name is misspelt, or the folder holds no Parquet, CSV or JSON Lines file",
                next="check the name with ls, and quote globs so that the shell leaves them alone",
            )  # fmt: skip
        for path in paths:
            with input_errors(f"{path.name}", path):
                found.setdefault(path.resolve(), File(path, _format(path), path.stat().st_size))
    return tuple(found.values())


def _expand(path: Path) -> list[Path]:
    if path.is_dir():
        inside = (p for p in sorted(path.rglob("*")) if p.is_file() and _suffix(p) in _FORMATS)
        return [p for p in inside if not any(part[0] in "._" for part in p.relative_to(path).parts)]
    if path.exists():
        return [path]
    if not has_magic(str(path)):
        return []
    matches = glob(str(path), recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)
    return [p for match in sorted(matches) for p in _expand(Path(match))]


def _suffix(path: Path) -> str:
    return Path(path.stem if path.suffix.lower() == ".gz" else path.name).suffix.lower()


def _format(path: Path) -> str:
    known = _FORMATS.get(_suffix(path))
    if known:
        return known
    with _open(path) as stream:
        start = stream.read(64)
    if start.startswith(b"PAR1"):
        return "parquet"
    return "json" if start.lstrip()[:1] in (b"{", b"[") else "csv"


def _open(path: Path) -> BufferedIOBase:
    with path.open("rb") as plain:
        packed = plain.read(2) == _GZIP
    return gzip.open(path) if packed else path.open("rb")


def probe(con: DuckDBPyConnection, file: File) -> None:
    """Look at a file's beginning and end, so that a damaged one is found before anything is written.

    Raises:
        InputError: it is empty, cut short, not UTF-8, or its header names a column twice.
    """
    if file.size == 0:
        raise _empty(file.path)
    with input_errors(file.path.name, file.path):
        if file.format == "parquet":
            con.execute("SELECT num_rows FROM parquet_file_metadata($path)", {"path": plain_path(file.path)}).fetchall()
        elif file.format == "csv":
            _header(file.path)
        else:
            with _open(file.path) as stream:
                _refuse_utf16(stream.read(2), file.path)


def csv_relation(path: Path) -> str:
    """SQL for FROM that reads a CSV's columns as text; a row that does not fit ends it with DuckDB's error.

    Raises:
        InputError: its header cannot be read, or names a column twice.
    """
    names, delimiter = _header(path)
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in names)
    how = f"auto_detect = false, header = true, delim = {literal(delimiter)}, quote = '\"', escape = '\"', compression = {_compression(path)}"
    limits = f"max_line_size = {_LONGEST_LINE}, buffer_size = {_BUFFER}"
    return f"read_csv({literal(plain_path(path))}, {how}, {limits}, columns = {{{columns}}})"


def _empty(path: Path) -> InputError:
    return InputError(
        f"{path.name} is empty",
        where=str(path),
        why="whoever wrote it stopped before the first row",
        next="write it again, or leave it out",
    )


def open_file(con: DuckDBPyConnection, file: File) -> Raw:
    """A file as raw input.

    Raises:
        InputError: it cannot be read.
    """
    with input_errors(file.path.name, file.path):
        read = {"parquet": _parquet, "csv": _csv}.get(file.format, _json)
        return roomy(con, lambda: read(con, file.path))


def plain_path(path: Path) -> str:
    """The path for DuckDB, which reads any path as a glob."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in str(path))


def _parquet(con: DuckDBPyConnection, path: Path) -> Raw:
    rows = con.execute("SELECT name, num_children FROM parquet_schema($path)", {"path": plain_path(path)}).fetchall()
    names, pending = [], 0
    for name, children in rows[1:]:
        if pending == 0:
            names.append(name)
        pending += (children or 0) - (pending > 0)
    check_width(len(names), str(path))
    columns = ", ".join(f"c{i}" for i in range(len(names)))
    relation = f"(SELECT * FROM read_parquet({literal(plain_path(path))}, file_row_number = true, hive_partitioning = false) t({columns}, rn))"
    return Raw(path.name, relation, columns_of(con, relation, names))


def _header(path: Path) -> tuple[list[str], str]:
    """The names of a CSV's columns and its delimiter: whichever of , ; tab | the header has most of."""
    with _open(path) as stream:
        start = stream.read(2)
        _refuse_utf16(start, path)
        stream.seek(0)
        try:
            first = stream.readline(_LONGEST_LINE).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(
                f"the header of {path.name} is not UTF-8: {error.reason} at byte {error.start}", where=str(path),
                why="it was written in another encoding, such as Latin-1", next=f"convert it: iconv -f latin1 -t utf-8 {path.name} > utf8.csv",
            ) from error  # fmt: skip
    if not first.strip():
        raise _empty(path)
    delimiter = max(",;\t|", key=lambda d: len(next(csv.reader([first], delimiter=d))))
    names = [name.strip() for name in next(csv.reader([first.rstrip("\r\n")], delimiter=delimiter))]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"the header of {path.name} names {twice[0]!r} more than once", where=str(path), why="two columns bear one name",
            next="rename one of them, or leave it out",
        )  # fmt: skip
    check_width(len(names), str(path))
    return names, delimiter


def _refuse_utf16(start: bytes, path: Path) -> None:
    if start[:2] in _BOMS:
        raise InputError(
            f"{path.name} is UTF-16, not UTF-8", where=str(path), why="some spreadsheet programs save text that way",
            next=f"convert it: iconv -f utf-16 -t utf-8 {path.name} > utf8.csv",
        )  # fmt: skip


def _csv(con: DuckDBPyConnection, path: Path) -> Raw:
    names, delimiter = _header(path)
    read = _reader(path, len(names), delimiter=literal(delimiter), quote="'\"'", escape="'\"'", header="true")
    relation = stage(con, f"SELECT * FROM {read}")
    refused = _refused(con, path, header=1)
    leaves = tuple(Leaf(name, f"c{i}", Family.CELL) for i, name in enumerate(names))
    return Raw(path.name, relation, leaves, refused, tuple(sorted(r.row for r in refused)), header=1)


def _json(con: DuckDBPyConnection, path: Path) -> Raw:
    with _open(path) as stream:
        start = stream.read(4096).lstrip()
    if start.startswith(b"["):
        lines = f"""(SELECT row_number() OVER () - 1 AS rn, json::VARCHAR AS line FROM read_json_objects({literal(plain_path(path))},
            format = 'array', compression = {_compression(path)}, maximum_object_size = {_LONGEST_LINE}))"""
        return json_rows(con, lines, path.name)
    read = _reader(path, 1, delimiter="'\x02'", quote="''", escape="''", header="false", strict_mode="false")
    relation = stage(con, f"SELECT * FROM {read}")
    refused = _refused(con, path, header=0)
    return json_rows(con, f"(SELECT rn, c0 AS line FROM {relation})", path.name, refused)


def _reader(path: Path, columns: int, **options: str) -> str:
    """SQL for FROM that reads text as columns c0, c1, … and notes in DuckDB's own table the rows that it could not read."""
    given = {"columns": "{" + ", ".join(f"c{i}: 'VARCHAR'" for i in range(columns)) + "}", **options}
    limits = f"max_line_size = {_LONGEST_LINE}, buffer_size = {_BUFFER}, rejects_limit = 0"
    fixed = f"auto_detect = false, store_rejects = true, compression = {_compression(path)}, {limits}"
    return f"read_csv({literal(plain_path(path))}, {fixed}, {', '.join(f'{k} = {v}' for k, v in given.items())})"


def _compression(path: Path) -> str:
    with path.open("rb") as stream:
        return "'gzip'" if stream.read(2) == _GZIP else "'none'"


_REASONS = {
    "MISSING COLUMNS": "too few fields",
    "TOO MANY COLUMNS": "too many fields",
    "INVALID ENCODING": "bytes that are not UTF-8",
    "UNQUOTED VALUE": "a quote that is never closed",
    "LINE SIZE OVER MAXIMUM": "a line longer than 16 MiB",
}


def _refused(con: DuckDBPyConnection, path: Path, *, header: int) -> tuple[Refusal, ...]:
    """What the reader refused, one refusal a row, with the row's bytes as they are in the file.

    A CSV's rows are records, below a header; a file without one is lines, counted by their newlines.
    """
    rows = con.execute(
        "SELECT line, line_byte_position - 1, error_type::VARCHAR, csv_line FROM reject_errors ORDER BY line_byte_position, column_idx"
    ).fetchall()
    con.execute("DROP TABLE reject_errors; DROP TABLE reject_scans")
    found: dict[int, Refusal] = {}
    with _open(path) as stream:
        at, newlines = 0, 0
        for record, position, reason, text in rows:
            while not header and at < position:
                block = stream.read(min(1 << 20, position - at))
                at, newlines = at + len(block), newlines + block.count(b"\n")
            row = record if header else newlines + 1
            if reason == "INVALID ENCODING":
                stream.seek(position)
                text = stream.readline(_LONGEST_LINE).rstrip(b"\r\n").decode("utf-8", "backslashreplace")
                stream.seek(at)
            found.setdefault(row, Refusal(row, _REASONS.get(reason, reason.lower()), text or ""))
    return tuple(found.values())
