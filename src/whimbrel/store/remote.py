"""Tables in S3-compatible storage (or any other that `deltalake` reaches): their files are fetched once, and kept beside the log.

In: where the storage is, and its options. Out: files brought here before they are read, and there before they are committed. `delta.py` calls.
Data files never change, so that a copy under the log's folder is as good as the file; it may be removed at any time. DuckDB reads the
copies: its own way to S3 is an extension that it would have to download. Options go to `deltalake` as they are, and nowhere else.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from whimbrel.errors import StoreError, UsageError
from whimbrel.store.seal import broken
from whimbrel.store.sql import store_errors

if TYPE_CHECKING:
    from whimbrel.engine.port import Facts

_BLOCK = 8 << 20


@dataclass(frozen=True, slots=True)
class Remote:
    """A folder of a storage, such as `s3://lake/whimbrel`; `options` are `deltalake`'s, beside what the environment says (`AWS_…`)."""

    uri: str
    options: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)

    def below(self, path: str) -> Remote:
        """A folder in it."""
        return Remote(f"{self.uri.rstrip('/')}/{path}", self.options)

    def fetch(self, folder: Path, files: Mapping[str, Facts | None]) -> None:
        """Bring files (paths inside the folder) to `folder`, those that are not there yet; each is checked against its checksum.

        Raises:
            StoreError: one of them is not what was written.
            OSError: the storage fails, or lacks one of them.
        """
        wanted = {path: facts for path, facts in files.items() if not (folder / path).exists()}
        if not wanted:
            return
        handler = self._handler()
        for path, facts in wanted.items():
            target = folder / path
            draft = target.with_name(f"{target.name}.{uuid4().hex}.partial")
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                source = handler.open_input_file(path)
                with draft.open("wb") as out:
                    while block := source.read(_BLOCK):
                        out.write(block)
                why = broken(draft, facts, name=target.name) if facts is not None else ""
                if why:
                    raise StoreError(
                        f"a file in the storage is damaged: {why}", where=f"{self.uri}/{path}", why="it was changed after it was written",
                        next="put a sound copy in its place",
                    )  # fmt: skip
                draft.replace(target)
            finally:
                draft.unlink(missing_ok=True)

    def put(self, folder: Path, paths: Iterable[str]) -> None:
        """Bring files from `folder` into the storage. Raises OSError: it fails."""
        handler = self._handler()
        for path in paths:
            sink = handler.open_output_stream(path, None)
            with (folder / path).open("rb") as file:
                while block := file.read(_BLOCK):
                    sink.write(block)
            sink.close()

    def remove(self, paths: Iterable[str]) -> None:
        """Remove files from the storage; those that are not there are passed over. Raises OSError: it fails."""
        handler = self._handler()
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                handler.delete_file(path)

    def read(self, path: str) -> bytes:
        """A small file. Raises FileNotFoundError where there is none, OSError where the storage fails."""
        return bytes(self._handler().open_input_file(path).read())

    def folders(self) -> tuple[str, ...]:
        """The names of the folders in it.

        Raises:
            UsageError: pyarrow is not installed, which `deltalake` needs for it.
            StoreError: the storage fails.
        """
        try:
            import pyarrow as pa  # noqa: F401
        except ImportError as error:
            raise UsageError(
                "tables in a storage need pyarrow, to list what is there", where=self.uri, why="it is not installed",
                next="pip install 'whimbrel[s3]'",
            ) from error  # fmt: skip
        with store_errors(self.uri, "read"):
            found = self._handler().get_file_info_selector("", allow_not_found=True, recursive=False)
        return tuple(sorted({Path(one.path).name for one in found if not one.is_file}))

    def _handler(self) -> Any:
        from deltalake._internal import DeltaFileSystemHandler

        return DeltaFileSystemHandler(self.uri, dict(self.options), None)


def remote_of(uri: str | None, options: Mapping[str, str] | None = None) -> Remote | None:
    """The storage that was named, or that `WHIMBREL_STORAGE` names; None where the tables lie in the log's own folder."""
    named = uri or os.environ.get("WHIMBREL_STORAGE") or ""
    return Remote(named, dict(options or {})) if named else None
