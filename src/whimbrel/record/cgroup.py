"""What a process's control group allows it and has done to it: CPU quota, memory limit, throttling, kills for memory.

In: a process. Out: flat dictionaries, without what the kernel does not tell. Reads version 2 (`cpu.max`, …) and version 1
(`cpu.cfs_quota_us`, …), inside containers and outside: <https://docs.kernel.org/admin-guide/cgroup-v2.html>.
`process.py` calls once in the app; `hardware/` periodically beside it.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

_PROC, _MOUNT = Path("/proc"), Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60


def limits(pid: int | str = "self", *, proc: Path = _PROC, mount: Path = _MOUNT) -> dict[str, float]:
    """`cpu_quota` (processors that it may use) and `memory_limit_bytes`, the tightest on the way up; absent where free."""
    quotas: list[float] = []
    memory: list[int] = []
    for folder in _folders("cpu", pid, proc, mount):
        with contextlib.suppress(OSError, ValueError):
            if (folder / "cpu.max").exists():
                quota, period = _read(folder / "cpu.max").split()
            else:
                quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
            if quota not in ("max", "-1"):
                quotas.append(int(quota) / int(period))
    for folder in _folders("memory", pid, proc, mount):
        for name in ("memory.max", "memory.limit_in_bytes"):
            with contextlib.suppress(OSError, ValueError):  # "max" is no number
                if (limit := int(_read(folder / name))) < _UNLIMITED:
                    memory.append(limit)
    found: dict[str, float] = {"cpu_quota": min(quotas)} if quotas else {}
    return found | ({"memory_limit_bytes": min(memory)} if memory else {})


def counters(pid: int | str = "self", *, proc: Path = _PROC, mount: Path = _MOUNT) -> dict[str, float]:
    """What the group has counted so far: `periods`, `throttled_periods`, `throttled_us`, `oom_kills`; and `memory_bytes` now."""
    found: dict[str, float] = {}
    for folder in _folders("cpu", pid, proc, mount)[:1]:
        told = _table(folder / "cpu.stat")
        spelled = {"nr_periods": "periods", "nr_throttled": "throttled_periods", "throttled_usec": "throttled_us"}
        found |= {name: told[own] for own, name in spelled.items() if own in told}
        if "throttled_time" in told:  # version 1, in nanoseconds
            found["throttled_us"] = told["throttled_time"] / 1000
    for folder in _folders("memory", pid, proc, mount)[:1]:
        for name in ("memory.current", "memory.usage_in_bytes"):
            with contextlib.suppress(OSError, ValueError):
                found["memory_bytes"] = int(_read(folder / name))
        kills = _table(folder / "memory.events") | _table(folder / "memory.oom_control")
        if "oom_kill" in kills:
            found["oom_kills"] = kills["oom_kill"]
    return found


def _folders(controller: str, pid: int | str, proc: Path, mount: Path) -> list[Path]:
    """The folders of a controller for a process: its group's own first, then those around it."""
    try:
        lines = (proc / str(pid) / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    found: list[Path] = []
    for line in lines:
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        root = mount / names if names else mount
        if (number == "0" and not names and (mount / "cgroup.controllers").exists()) or controller in names.split(","):
            own = root / path.lstrip("/")
            found += [own, *(parent for parent in own.parents if parent.is_relative_to(root))]
    return [folder for folder in found if folder.is_dir()]


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii").strip()


def _table(path: Path) -> dict[str, int]:
    """A file of `name number` lines; empty where there is none."""
    try:
        return {name: int(value) for name, value in (line.split() for line in _read(path).splitlines())}
    except (OSError, ValueError):
        return {}
