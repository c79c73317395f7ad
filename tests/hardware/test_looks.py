"""Counters say what the kernel and the driver say: of this machine, of groups laid out as the kernel documents them, of a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from whimbrel.hardware import host
from whimbrel.hardware.counters import KEYS, NUMBERS, WORDS
from whimbrel.hardware.gpu import Gpus
from whimbrel.record import cgroup, process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's files are Linux's")


def test_the_host_is_this_one(tmp_path: Path) -> None:
    row = host.between(host.look(tmp_path), host.look(tmp_path))
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < row["memory_bytes"] < total
    assert row["memory_bytes"] + row["memory_available_bytes"] == pytest.approx(total, rel=0.1)
    assert row["disk_free_bytes"] > 0
    assert row["load_1"] >= 0
    assert row.keys() <= NUMBERS.keys()


def test_what_only_grows_becomes_a_share_of_the_time_between_two_looks() -> None:
    states = dict.fromkeys(("nice", "irq", "softirq"), 0.0)
    ticks = {"user": 3.0, "system": 1.0, "idle": 4.0, "iowait": 1.0, "steal": 1.0} | states
    first = {"at": 10.0, "+major_faults": 5, "load_1": 9.0} | {f"+cpu_{name}": 100.0 for name in ticks}
    second = {"at": 15.0, "+major_faults": 15, "load_1": 0.5} | {
        f"+cpu_{name}": 100.0 + grown for name, grown in ticks.items()
    }
    assert host.between(first, second) == pytest.approx({
        "load_1": 0.5, "cpu_share": 0.4, "cpu_user_share": 0.3, "cpu_system_share": 0.1, "cpu_iowait_share": 0.1,
        "cpu_steal_share": 0.1, "major_faults_per_s": 2.0,
    })  # fmt: skip
    before = {"at": 0.0, "started": 3.0, "+cpu_s": 1.0, "+run_wait_s": 0.0, "+throttled_s": 2.0}
    before |= {"+periods": 10, "+throttled_periods": 2, "+oom_kills": 1}
    after = {"at": 2.0, "started": 3.0, "+cpu_s": 4.0, "+run_wait_s": 1.0, "+throttled_s": 2.5}
    after |= {"+periods": 30, "+throttled_periods": 7, "+oom_kills": 1}
    assert host.between(before, after) == pytest.approx({
        "cpu_share": 1.5, "run_wait_share": 0.5, "throttled_share": 0.25, "throttled_periods_share": 0.25, "oom_kills": 0,
    })  # fmt: skip
    assert host.between({}, after) == {}, "without a look before nothing is known of the time between"


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[str]]:
    code = "import sys; print('up', flush=True)\nfor line in sys.stdin: sum(range(10**7)); print('done', flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == "up\n"
        stat = Path(f"/proc/{started.pid}/stat")
        while stat.read_text().rpartition(")")[2].split()[0] != "S":
            time.sleep(0.001)  # it said that it is up, and is on its way to wait for a line
        yield started


def test_a_process_that_works_is_told_from_one_that_waits(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin is not None
    assert worker.stdout is not None
    idle = host.look_at(worker.pid)
    still = host.look_at(worker.pid)
    worker.stdin.write("\n")
    worker.stdin.flush()
    assert worker.stdout.readline() == "done\n"
    busy = host.look_at(worker.pid)
    assert still["+cpu_s"] == idle["+cpu_s"]
    assert busy["+cpu_s"] > still["+cpu_s"]
    assert busy["started"] == idle["started"]
    row = host.between(idle, busy)
    assert row["threads"] == 1
    assert row["memory_bytes"] > 1 << 20
    assert row["open_files"] >= 3
    assert row.keys() <= NUMBERS.keys()
    worker.stdin.close()
    worker.wait()
    assert host.look_at(worker.pid) == {}


def files(root: Path, told: dict[str, str]) -> None:
    for name, text in told.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n")


def test_limits_and_throttling_of_a_group_of_version_2(tmp_path: Path) -> None:
    proc, mount = tmp_path / "proc", tmp_path / "cgroup"
    files(proc, {"7/cgroup": "0::/pods/one"})
    files(mount, {
        "cgroup.controllers": "cpu memory", "pods/cpu.max": "150000 100000", "pods/one/cpu.max": "max 100000",
        "pods/memory.max": "max", "pods/one/memory.max": "1073741824", "pods/one/memory.current": "4096",
        "pods/one/cpu.stat": "usage_usec 9\nnr_periods 40\nnr_throttled 10\nthrottled_usec 2500",
        "pods/one/memory.events": "low 0\noom 1\noom_kill 1",
    })  # fmt: skip
    assert cgroup.limits(7, proc=proc, mount=mount) == {"cpu_quota": 1.5, "memory_limit_bytes": 1 << 30}
    assert cgroup.counters(7, proc=proc, mount=mount) == {
        "periods": 40, "throttled_periods": 10, "throttled_us": 2500, "memory_bytes": 4096, "oom_kills": 1,
    }  # fmt: skip
    assert cgroup.limits(8, proc=proc, mount=mount) == {}


def test_limits_and_throttling_of_a_group_of_version_1(tmp_path: Path) -> None:
    proc, mount = tmp_path / "proc", tmp_path / "cgroup"
    files(proc, {"7/cgroup": "4:memory:/box\n1:cpu,cpuacct:/box\n0::/"})
    files(mount, {
        "cpu,cpuacct/box/cpu.cfs_quota_us": "50000", "cpu,cpuacct/box/cpu.cfs_period_us": "100000",
        "cpu,cpuacct/box/cpu.stat": "nr_periods 4\nnr_throttled 1\nthrottled_time 3000000",
        "memory/box/memory.limit_in_bytes": "9223372036854771712", "memory/box/memory.usage_in_bytes": "8192",
        "memory/memory.limit_in_bytes": "2147483648", "memory/box/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3",
    })  # fmt: skip
    assert cgroup.limits(7, proc=proc, mount=mount) == {"cpu_quota": 0.5, "memory_limit_bytes": 1 << 31}
    told = cgroup.counters(7, proc=proc, mount=mount)
    assert told == {"periods": 4, "throttled_periods": 1, "throttled_us": 3000, "memory_bytes": 8192, "oom_kills": 3}


def test_the_apps_own_facts_hold_its_limits() -> None:
    facts = process.facts()
    assert {name: facts[name] for name in ("cpu_quota", "memory_limit_bytes") if name in facts} == cgroup.limits()


class Library:
    """What NVML says, of a device that lacks some counters: the outside world, as its documentation has it."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0
    NVML_MEMORY_ERROR_TYPE_CORRECTED, NVML_MEMORY_ERROR_TYPE_UNCORRECTED, NVML_VOLATILE_ECC = 0, 1, 0
    nvmlEventTypeXidCriticalError = 8  # noqa: N815

    def __init__(self) -> None:
        self.xids = [79]

    def __getattr__(self, name: str) -> Any:
        if name == "nvmlDeviceGetTotalEnergyConsumption":
            return self.unsupported
        answers = {
            "nvmlDeviceGetCount": 1, "nvmlDeviceGetHandleByIndex": "device", "nvmlDeviceGetUUID": "GPU-1", "nvmlDeviceGetName": "H200",
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=83, memory=40), "nvmlDeviceGetPowerUsage": 350_500,
            "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=10, total=100), "nvmlDeviceGetEnforcedPowerLimit": 700_000,
            "nvmlDeviceGetClockInfo": 1200, "nvmlDeviceGetMaxClockInfo": 1980, "nvmlDeviceGetTemperature": 84,
            "nvmlDeviceGetCurrentClocksEventReasons": 0x4 | 0x20, "nvmlDeviceGetTotalEccErrors": 0, "nvmlEventSetCreate": "events",
        }  # fmt: skip
        return lambda *arguments: answers.get(name)

    def unsupported(self, *arguments: object) -> None:
        raise RuntimeError("Not Supported")

    def nvmlEventSetWait_v2(self, events: object, timeout_ms: int) -> Any:  # noqa: N802
        if not self.xids:
            raise RuntimeError("Timeout")
        return SimpleNamespace(device="device", eventData=self.xids.pop())


def test_a_gpu_says_why_its_clock_is_held_down_and_what_failed() -> None:
    gpus = Gpus(Library())
    ((uuid, numbers, words),) = gpus.look()
    assert uuid == "GPU-1"
    assert words == {"name": "H200", "throttle_reasons": "software power cap, software thermal", "xid": "79"}
    assert (numbers["gpu_share"], numbers["power_w"], numbers["clock_mhz"], numbers["throttled"]) == (
        0.83,
        350.5,
        1200,
        1,
    )
    assert "energy_j" not in numbers
    assert numbers.keys() <= NUMBERS.keys()
    assert words.keys() <= WORDS.keys()
    ((_, _, later),) = gpus.look()
    assert "xid" not in later
    gpus.close()


def test_without_a_driver_the_gpu_is_absent_and_says_why() -> None:
    gpus = Gpus()
    if any(Path(path).exists() for path in ("/proc/driver/nvidia/version", "/dev/nvidiactl")):
        assert gpus.absent or list(gpus.look())
    else:
        assert gpus.absent == "no NVIDIA driver is loaded"
        assert list(gpus.look()) == []
    gpus.close()


def test_no_word_of_the_table_stands_for_two_things() -> None:
    assert not KEYS.keys() & NUMBERS.keys() | KEYS.keys() & WORDS.keys() | NUMBERS.keys() & WORDS.keys()
