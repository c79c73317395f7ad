"""Counters of a host: processors, load, memory, pressure, the log's disk; and of one process on it.

In: the kernel's files under `/proc`. Out: what they say now (`look`), and of two looks what happened in between
(`between`). Shares are of the time that passed: a process that keeps two processors busy has a `cpu_share` of 2.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from pathlib import Path

from whimbrel.record import cgroup

Look = dict[str, float]
"""Counters at one moment; those that only grow begin with a plus."""

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_KIB = 1024
_CPU = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


def look(home: Path, *, proc: Path = Path("/proc")) -> Look:
    """The host now; `home` is where the log lies."""
    found: Look = {"at": time.monotonic()}
    for read in (_processors, _memory, _pressure):
        with contextlib.suppress(OSError, ValueError, KeyError, IndexError):
            found |= read(proc)
    with contextlib.suppress(OSError):
        disk = os.statvfs(home)
        found["disk_free_bytes"] = disk.f_bavail * disk.f_frsize
    return found


def look_at(pid: int, *, proc: Path = Path("/proc")) -> Look:
    """A process now; empty where there is none."""
    own = proc / str(pid)
    try:
        stat = (own / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        found: Look = {
            "at": time.monotonic(), "started": int(stat[19]) * _TICK_S, "+major_faults": int(stat[9]),
            "+cpu_s": (int(stat[11]) + int(stat[12])) * _TICK_S, "threads": int(stat[17]),
            "memory_bytes": int((own / "statm").read_text(encoding="ascii").split()[1]) * _PAGE,
        }  # fmt: skip
    except (OSError, ValueError, IndexError):
        return {}
    with contextlib.suppress(OSError, ValueError):
        found["open_files"] = sum(1 for _ in (own / "fd").iterdir())
    with contextlib.suppress(OSError, ValueError, IndexError):
        waits = [(task / "schedstat").read_text(encoding="ascii").split()[1] for task in (own / "task").iterdir()]
        found["+run_wait_s"] = sum(map(int, waits)) / 1e9
    counted = cgroup.counters(pid, proc=proc)
    names = {"periods": "+periods", "throttled_periods": "+throttled_periods", "oom_kills": "+oom_kills"}
    found |= {own: counted[name] for name, own in names.items() if name in counted}
    if "throttled_us" in counted:
        found["+throttled_s"] = counted["throttled_us"] / 1e6
    if "memory_bytes" in counted:
        found["cgroup_memory_bytes"] = counted["memory_bytes"]
    return found | cgroup.limits(pid, proc=proc)


def between(first: Mapping[str, float], second: Mapping[str, float]) -> dict[str, float]:
    """What a row of the table says of the time between two looks at one thing; what only grows needs both."""
    passed = max(second["at"] - first.get("at", second["at"]), 1e-9)
    grown = {name[1:]: second[name] - first[name] for name in second if name[0] == "+" and name in first}
    out = {name: value for name, value in second.items() if name[0] != "+" and name not in ("at", "started")}
    ticks = {name: grown.pop(f"cpu_{name}") for name in _CPU if f"cpu_{name}" in grown}
    if whole := sum(ticks.values()):
        out |= {f"cpu_{name}_share": ticks[name] / whole for name in ("user", "system", "iowait", "steal")}
        out["cpu_share"] = 1 - sum(ticks[name] for name in ("idle", "iowait", "steal")) / whole
    periods, throttled = grown.pop("periods", 0), grown.pop("throttled_periods", 0)
    if periods:
        out["throttled_periods_share"] = throttled / periods
    if "oom_kills" in grown:
        out["oom_kills"] = grown.pop("oom_kills")
    for name, value in grown.items():
        out[f"{name[:-2]}_share" if name.endswith("_s") else f"{name}_per_s"] = value / passed
    return out


def _processors(proc: Path) -> Look:
    lines = (proc / "stat").read_text(encoding="ascii").splitlines()
    ticks = [int(word) for word in lines[0].split()[1 : len(_CPU) + 1]]
    told = {words[0]: words[1] for words in map(str.split, lines) if words[0] in ("procs_running", "procs_blocked")}
    loads = (proc / "loadavg").read_text(encoding="ascii").split()[:3]
    found: Look = {f"+cpu_{name}": count * _TICK_S for name, count in zip(_CPU, ticks, strict=False)}
    found |= {f"load_{minutes}": float(load) for minutes, load in zip((1, 5, 15), loads, strict=True)}
    return found | {"runnable": int(told["procs_running"]), "blocked": int(told["procs_blocked"])}


def _memory(proc: Path) -> Look:
    lines = (proc / "meminfo").read_text(encoding="ascii").splitlines()
    kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    found: Look = {"memory_bytes": (kib["MemTotal"] - kib["MemAvailable"]) * _KIB}
    found |= {
        "memory_available_bytes": kib["MemAvailable"] * _KIB,
        "swap_bytes": (kib["SwapTotal"] - kib["SwapFree"]) * _KIB,
    }
    for line in (proc / "vmstat").read_text(encoding="ascii").splitlines():
        if line.startswith("pgmajfault "):
            found["+major_faults"] = int(line.split()[1])
    return found


def _pressure(proc: Path) -> Look:
    """Share of the last ten seconds in which somebody waited (some), or everybody did (full)."""
    found: Look = {}
    for what in ("cpu", "memory", "io"):
        for line in (proc / "pressure" / what).read_text(encoding="ascii").splitlines():
            kind, average, *_ = line.split()
            found[f"pressure_{what}_{kind}"] = float(average.partition("=")[2]) / 100
    return found
