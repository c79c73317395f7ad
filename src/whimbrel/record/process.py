"""The facts of this process, taken once: what it runs on, what it runs, which commit of the app it is.

In: nothing. Out: a flat dictionary for the frame that opens each segment. A probe that fails leaves its fact out, and
`gpu_probe` says why there is no GPU to name.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import time
from typing import Any

_GIT_S = 1.0
_LIBRARIES = 200
_DRIVER = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg")


def facts() -> dict[str, Any]:
    """What is known of this process now: the machine's facts, its own, and the versions of what it has loaded."""
    return {**lasting(), "pid": os.getpid(), "started": _started(), "libraries": libraries()}


def lasting() -> dict[str, Any]:
    """The facts that take time to find out, remembered: forked children share them."""
    return {**_machine(), **_commit()}


@functools.cache
def _machine() -> dict[str, Any]:
    kernel = os.uname()
    found: dict[str, Any] = {
        "host": kernel.nodename,
        "platform": f"{kernel.sysname} {kernel.release} {kernel.machine}",
        "python": sys.version.partition(" ")[0].rstrip("+"),
        "implementation": {"cpython": "CPython", "pypy": "PyPy"}.get(sys.implementation.name, sys.implementation.name),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }
    for name, probe in (("cpu", _cpu), ("memory_bytes", _memory), ("boot", _boot)):
        with contextlib.suppress(OSError, ValueError):
            found[name] = probe()
    from whimbrel.record import cgroup  # read once, and by no import

    return found | cgroup.limits() | _gpu()


def _cpu() -> str:
    with contextlib.suppress(OSError):  # the first processor's few lines: all of them take a large machine milliseconds
        head = _read("/proc/cpuinfo", 2048)
        for line in head.splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return os.uname().machine


def _read(path: str, most: int) -> str:
    """The first bytes of a file of the kernel's, as text; raises OSError where there is none."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, most).decode(errors="replace")
    finally:
        os.close(fd)


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _boot() -> str:
    return _read("/proc/sys/kernel/random/boot_id", 64).strip()


def _gpu() -> dict[str, Any]:
    """GPUs as NVML names them; `gpu_probe` is "ok", or says what is missing."""
    if sys.platform == "linux" and not any(map(os.path.exists, _DRIVER)):
        return {"gpu_probe": "no NVIDIA driver is loaded"}  # said by a look, for the import takes 100 ms
    try:
        import pynvml
    except ImportError:
        return {"gpu_probe": "nvidia-ml-py is not installed"}
    try:
        pynvml.nvmlInit()
    except Exception as error:  # noqa: BLE001  no driver, no library, no permission: it says so itself
        return {"gpu_probe": f"NVML: {error}"[:200]}
    try:
        devices = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        if not devices:
            return {"gpu_probe": "NVML: no device"}
        return {
            "gpu": pynvml.nvmlDeviceGetName(devices[0]), "gpus": len(devices), "gpu_probe": "ok",
            "gpu_memory_bytes": int(pynvml.nvmlDeviceGetMemoryInfo(devices[0]).total),
            "gpu_driver": pynvml.nvmlSystemGetDriverVersion(),
        }  # fmt: skip
    except Exception as error:  # noqa: BLE001  a device that has fallen off the bus must not stop the app
        return {"gpu_probe": f"NVML: {error}"[:200]}
    finally:
        with contextlib.suppress(Exception):
            pynvml.nvmlShutdown()


@functools.cache
def _commit() -> dict[str, Any]:
    """The app's git commit: of `WHIMBREL_COMMIT` where images carry no repository, else of the main script's folder."""
    if given := os.environ.get("WHIMBREL_COMMIT"):
        return {"commit": given}
    from pathlib import Path

    script = getattr(sys.modules.get("__main__"), "__file__", None)
    folder = Path(script).resolve().parent if script else Path.cwd()
    if not any((parent / ".git").exists() for parent in (folder, *folder.parents)):
        return {}
    import subprocess  # only where there is a repository

    command = ("git", "-c", "core.fsmonitor=false", "status", "--porcelain=v2", "--branch", "--untracked-files=no")
    env = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
    try:  # a fixed command; the app's own search path says which git
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=_GIT_S, check=True, env=env)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return {}
    lines = done.stdout.decode(errors="replace").splitlines()
    commit = next((line.split()[-1] for line in lines if line.startswith("# branch.oid ")), "")
    if not commit or commit.startswith("("):  # a repository without a commit says (initial)
        return {}
    return {"commit": commit, "dirty": any(not line.startswith("#") for line in lines)}


def _started() -> float:
    """When this process started, seconds since 1970: from the kernel, to a hundredth; else when first asked."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        ticks = int(_read("/proc/self/stat", 4096).rpartition(")")[2].split()[19])
        uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
        return round(time.time() - uptime + ticks / os.sysconf("SC_CLK_TCK"), 2)
    return time.time()


def libraries() -> dict[str, str]:
    """Versions of the distributions whose top-level modules are loaded, by module: `{"numpy": "2.4.6", …}`."""
    loaded = {name.partition(".")[0] for name in list(sys.modules)}
    names = sorted(n for n in loaded if n not in sys.stdlib_module_names and not n.startswith("_"))
    found: dict[str, str] = {}
    for name in names[:_LIBRARIES]:
        version = getattr(sys.modules.get(name), "__dict__", {}).get(
            "__version__"
        )  # no __getattr__ of the module's own
        if not isinstance(version, str):
            version = _distribution(name)
        if version:
            found[name] = version
    return found


@functools.cache
def _distribution(name: str) -> str:
    """The version of the distribution that bears a module's name; empty where there is none."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except (PackageNotFoundError, ValueError):
        return ""
