"""Large binary values by content: an image, a document, a tensor is kept once, and records name it by its hash.

In: bytes, a file, or what has `tobytes`. Out: a reference (`sha256`, `bytes`, and what else is known) that stands in the
record, and the content under `<home>/blobs/<first two digits>/<sha256>`, where the policy keeps it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from whimbrel.record.policy import Policy

if TYPE_CHECKING:
    from pathlib import Path


class Blobs:
    """The blobs of one home. Threads and processes may share it: a file appears whole, and equal content is one file."""

    def __init__(self, home: Path, policy: Policy) -> None:
        self.folder = home / "blobs"
        self.policy = policy
        self.held = -1

    def reference(self, value: Any, media_type: str = "") -> tuple[dict[str, Any], str]:
        """What stands for a value in the record, and why its content was not kept, if so.

        Raises:
            OSError: a file cannot be read.
            TypeError, ValueError: it is neither bytes nor a file, and cannot be turned into bytes.
        """
        from hashlib import sha256
        from pathlib import Path

        said: dict[str, Any] = {"type": media_type} if media_type else {}
        if isinstance(value, str | Path):
            said["uri"] = str(value)
            value = Path(value).read_bytes()
        for name in ("shape", "size", "mode", "dtype"):
            if hasattr(value, "tobytes") and not isinstance(value, memoryview) and hasattr(value, name):
                said[name] = str(getattr(value, name))
        data = value.tobytes() if hasattr(value, "tobytes") else memoryview(value).cast("B").tobytes()
        digest = sha256(data).hexdigest()
        return {"sha256": digest, "bytes": len(data), **said}, self.keep(digest, data)

    def keep(self, digest: str, data: bytes) -> str:
        """Keep content under its hash; says why not, if so."""
        if self.policy.blobs != "keep":
            return ""
        path = self.folder / digest[:2] / digest
        if path.exists():
            return ""
        if self.held < 0:
            self.held = (
                sum(entry.stat().st_size for entry in self.folder.rglob("?" * 64)) if self.folder.exists() else 0
            )
        if self.held + len(data) > self.policy.blob_budget_bytes:
            return f"blobs may take {self.policy.blob_budget_bytes} bytes: its hash alone was kept"
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = path.parent / f".{digest}.{os.getpid()}"
            fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                with os.fdopen(fd, "wb") as file:
                    file.write(data)
                draft.rename(path)
            except BaseException:
                draft.unlink(missing_ok=True)
                raise
        except OSError as error:
            return f"its content could not be kept: {error}"
        self.held += len(data)
        return ""
