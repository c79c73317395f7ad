"""An S3 server as a process of its own (moto), and a door to it that stalls, refuses and loses answers when told to."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SECRET = "wJalrXUtnFEMI-K7MDENG-bPxRfiCYEXAMPLEKEY"
FOLDER = Path(__file__).parents[2] / ".venv" / "s3"


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


class Door:
    """A way to a port that can be shut: see `door.py`."""

    def __init__(self, target: int) -> None:
        command = [sys.executable, str(Path(__file__).with_name("door.py")), str(target)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self._answer())

    def set(self, mode: str) -> int:
        """Another mode; how many answers were lost so far."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{mode}\n")
        self.process.stdin.flush()
        return int(self._answer())

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


@dataclass(frozen=True)
class Server:
    """A bucket named `lake`, behind a door."""

    door: Door

    def options(self, **more: str) -> dict[str, str]:
        """What `deltalake` needs; it gives up soon."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.door.port}", "AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1", "AWS_ALLOW_HTTP": "true", "max_retries": "2", "retry_timeout": "4s", "timeout": "2s", **more,
        }  # fmt: skip


def served() -> Iterator[Server]:
    """A server until the tests that use it are done; they are skipped, aloud, where it is not installed."""
    if not FOLDER.is_dir():
        pytest.skip("no S3 server to test against: make s3")
    port = free_port()
    env = {**os.environ, "PYTHONPATH": str(FOLDER)}
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(port, process)
        with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/lake", method="PUT")):
            pass
        door = Door(port)
        try:
            yield Server(door)
        finally:
            door.stop()
    finally:
        process.kill()
        process.wait()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert process.poll() is None, "the S3 server ended"
            assert time.monotonic() < until, "the S3 server does not answer"
            time.sleep(0.1)
        else:
            return
