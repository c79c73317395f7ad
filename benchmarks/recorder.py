"""What recording a prediction costs the app, here and elsewhere; prints a table, writes nothing that stays.

    python -m benchmarks.recorder                 all, with the peers beside us
    python -m benchmarks.recorder --no-peers
    python -m benchmarks.recorder --only gevent

One workload for all: 20 features, 4 steps, 4 outputs, a decision, 6 tags. Each side runs in a process of its own, a peer
with the packages it needs in an environment of its own; what it sends goes to a server on 127.0.0.1 that takes everything.
Times are of the calling thread, *net* of the same loop without any recorder; CPU is of the whole process, all its threads,
its sending included, once it has flushed.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from benchmarks import recorder_sides as sides

ROOT = Path(__file__).parents[1]


class Sink(http.server.BaseHTTPRequestHandler):
    """A server that takes everything and says so."""

    def do_POST(self) -> None:
        """Take what was sent."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_PUT = do_PATCH = do_POST  # noqa: N815

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def python_with(folder: Path, packages: list[str]) -> str:
    """A Python that has these packages: this one where there are none."""
    if not packages:
        return sys.executable
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = str(folder / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages], check=True)
    return python


def measure(python: str, code: str, home: Path, port: int, *more: str) -> dict[str, Any]:
    """What one side says of itself."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env |= {
        "PYTHONPATH": str(ROOT / "src"),
        "HOME_DIR": str(home),
        "PORT": str(port),
        "WHIMBREL_HOME": str(home / "log"),
    }
    home.mkdir(parents=True)
    run = subprocess.run([python, "-c", code, *more], env=env, capture_output=True, text=True, timeout=500, cwd=home)
    if run.returncode:
        return {"failed": run.stderr.strip().splitlines()[-1] if run.stderr.strip() else f"status {run.returncode}"}
    found: dict[str, Any] = json.loads(run.stdout.strip().splitlines()[-1])
    return found


def table(results: dict[str, dict[str, Any]]) -> None:
    """Print what each side costs."""
    print("| recorder | flat out p50 | p99 | 200 µs of work between p50 | paced 200/s p50 | CPU of the process |")
    print("|---|---:|---:|---:|---:|---:|")
    for name, found in results.items():
        if "failed" in found:
            print(f"| {name} | failed: {found['failed'][:90]} | | | | |")
        else:
            cells = (found[key] for key in ("flat_p50", "flat_p99", "work_p50", "paced_p50", "cpu"))
            print(f"| {name} | " + " | ".join(f"{cell:,.1f}" for cell in cells) + " |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--only", default="", help="one of: " + ", ".join([*sides.SIDES, *sides.ALONE]))
    asked = parser.parse_args()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as scratch:
        folder, results = Path(scratch), {}
        for name, (packages, count, code) in sides.SIDES.items():
            if (asked.only and asked.only != name) or (asked.no_peers and packages):
                continue
            python = python_with(folder / f"{name} env", packages)
            whole = sides.WORKLOAD + code + sides.HARNESS
            results[name] = measure(python, whole, folder / name, server.server_port, str(count))
            print(name, results[name], file=sys.stderr)
        table(results)
        for name, (packages, code) in sides.ALONE.items():
            if (asked.only and asked.only != name) or (asked.no_peers and packages):
                continue
            python = python_with(folder / f"{name} env", packages)
            print(f"{name}: {measure(python, sides.WORKLOAD + code, folder / name, server.server_port)}")
    server.shutdown()


if __name__ == "__main__":
    main()
