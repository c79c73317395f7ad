"""Real servers on a free port of this machine, in processes of their own, and a client to them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def serving(command: list[str], folder: Path, **env: str) -> Iterator[Server]:
    """A server that listens on the descriptor which stands for `{fd}` in its command; killed with its children at the end."""
    with socket.create_server(("127.0.0.1", 0)) as listening, (folder / "server.log").open("w+") as said:
        fd = listening.fileno()
        process = subprocess.Popen(
            [sys.executable, *(word.format(fd=fd) for word in command)],
            cwd=folder, pass_fds=[fd], stdout=said, stderr=said, env=os.environ | env, start_new_session=True,
        )  # fmt: skip
        server = Server(process, listening.getsockname()[1], folder)
        try:
            yield server
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()


class Server:
    """One that runs."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
        self.process, self.port, self.folder = process, port, folder

    def ask(self, path: str, body: object = None, **headers: str) -> tuple[int, bytes]:
        """Status and answer: of a GET where there is no body, else of a POST, of JSON unless it is bytes."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        if data is not None and "content-type" not in told:
            told["content-type"] = "application/json"
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, told)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def json(self, path: str, body: object = None, **headers: str) -> Any:
        """An answer that went well."""
        status, answer = self.ask(path, body, **headers)
        assert status == 200, (status, answer, (self.folder / "server.log").read_text())
        return json.loads(answer)

    def wait(self) -> None:
        """Until it answers at all."""
        for _ in range(600):
            assert self.process.poll() is None, (self.folder / "server.log").read_text()
            try:
                self.ask("/ready")
            except (OSError, urllib.error.URLError):
                time.sleep(0.05)
            else:
                return
        raise AssertionError((self.folder / "server.log").read_text())
