"""What recorders have written under a home, read back with the reader: what the tests compare with what was said."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from whimbrel.record import flat, frames
from whimbrel.record.reader import Segment, read_segment


def segments(home: Path, app: str = "fares") -> list[tuple[Path, Segment]]:
    """Every segment of an app, in the order of their names."""
    folder = home / "segments" / frames.folder_of(app)
    return [(path, read_segment(path.read_bytes())) for path in sorted(folder.glob("*.seg"))]


def records(home: Path, app: str = "fares") -> list[dict[str, Any]]:
    """Every prediction as a flat record, in the order in which they began."""
    begins: dict[tuple[bytes, int], Any] = {}
    ends: dict[tuple[bytes, int], Any] = {}
    parts: dict[tuple[bytes, int], list[Any]] = {}
    for _, segment in segments(home, app):
        for frame in segment.frames:
            if frame.kind == frames.Kind.PART:
                parts.setdefault((segment.header.session, frame.stream), []).append(frame.decode())
            if frame.kind in (frames.Kind.BEGIN, frames.Kind.END):
                into = begins if frame.kind == frames.Kind.BEGIN else ends
                key = (segment.header.session, frame.stream)
                assert key not in into, "a frame was written twice"
                into[key] = frame.decode()
    keys = sorted(begins.keys() | ends.keys())
    return [flat.prediction(begins.get(key), ends.get(key), *key, parts.get(key, ())) for key in keys]


def bodies(home: Path, kind: frames.Kind, app: str = "fares") -> list[Any]:
    """The bodies of all frames of a kind."""
    return [frame.decode() for _, segment in segments(home, app) for frame in segment.frames if frame.kind == kind]


def script(code: str, *args: object, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """A Python process of its own that runs `code`, its output in a pipe."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *map(str, args)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(env or {})},
    )  # fmt: skip


def run(code: str, *args: object, env: dict[str, str] | None = None) -> str:
    """What `code` prints, in a process of its own that must end well."""
    process = script(code, *args, env=env)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, err
    return out
