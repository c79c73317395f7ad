"""Counters of NVIDIA's GPUs by NVML: use, memory, clocks, why they are held down, power, heat, memory errors, Xid.

In: the library `pynvml`, or nothing. Out: a look at each device. A GPU that lacks a counter says nothing of it. Xid codes are the
driver's own reports of failure, <https://docs.nvidia.com/deploy/xid-errors/>; they are heard from when `Gpus` is made.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DRIVER = ("/proc/driver/nvidia/version", "/dev/nvidiactl", "/dev/dxg")
_REASONS = {
    0x1: "idle", 0x2: "application clocks", 0x4: "software power cap", 0x8: "hardware slowdown", 0x10: "sync boost",
    0x20: "software thermal", 0x40: "hardware thermal", 0x80: "power brake", 0x100: "display clocks",
}  # fmt: skip
"""Bits of nvmlClocksEventReasons."""

_HARMLESS = ("idle", "application clocks", "display clocks")


class Gpus:
    """The devices of this host; `absent` says why there are none."""

    def __init__(self, nvml: Any = None) -> None:
        self.absent = ""
        self._nvml = nvml
        self._devices: list[Any] = []
        self._events: Any = None
        if nvml is None:
            if not any(Path(path).exists() for path in DRIVER):
                self.absent = "no NVIDIA driver is loaded"
                return
            try:
                import pynvml
            except ImportError:
                self.absent = "nvidia-ml-py is not installed"
                return
            self._nvml = pynvml
        try:
            self._nvml.nvmlInit()
            self._devices = [self._nvml.nvmlDeviceGetHandleByIndex(i) for i in range(self._nvml.nvmlDeviceGetCount())]
        except Exception as error:  # noqa: BLE001  no driver, no library, no permission: it says so itself
            self.absent = f"NVML: {error}"[:200]
        else:
            self.absent = "" if self._devices else "NVML: no device"
        with contextlib.suppress(Exception):  # not every device has them
            self._events = self._nvml.nvmlEventSetCreate()
            for device in self._devices:
                self._nvml.nvmlDeviceRegisterEvents(device, self._nvml.nvmlEventTypeXidCriticalError, self._events)

    def look(self) -> Iterator[tuple[str, dict[str, float], dict[str, str]]]:
        """Of each device its UUID, its counters and what it says in words."""
        xids = self._xids()
        for device in self._devices:
            uuid = self._ask(self._nvml.nvmlDeviceGetUUID, device) or "?"
            numbers = {name: value for name, value in self._numbers(device).items() if value is not None}
            words = {"name": str(self._ask(self._nvml.nvmlDeviceGetName, device) or "")}
            if (mask := self._ask(self._nvml.nvmlDeviceGetCurrentClocksEventReasons, device)) is not None:
                held = [reason for bit, reason in _REASONS.items() if mask & bit]
                words["throttle_reasons"] = ", ".join(held)
                numbers["throttled"] = float(any(reason not in _HARMLESS for reason in held))
            if uuid in xids:
                words["xid"] = ", ".join(map(str, xids[uuid]))
            yield str(uuid), numbers, words

    def close(self) -> None:
        """Let go of the library."""
        if self._nvml is not None:
            with contextlib.suppress(Exception):
                if self._events is not None:
                    self._nvml.nvmlEventSetFree(self._events)
                self._nvml.nvmlShutdown()

    def _numbers(self, device: Any) -> dict[str, float | None]:
        n, ask = self._nvml, self._ask
        use, memory = ask(n.nvmlDeviceGetUtilizationRates, device), ask(n.nvmlDeviceGetMemoryInfo, device)
        milliwatts, limit = ask(n.nvmlDeviceGetPowerUsage, device), ask(n.nvmlDeviceGetEnforcedPowerLimit, device)
        joules = ask(n.nvmlDeviceGetTotalEnergyConsumption, device)
        return {
            "gpu_share": use.gpu / 100 if use else None, "gpu_memory_busy_share": use.memory / 100 if use else None,
            "memory_bytes": memory.used if memory else None, "memory_total_bytes": memory.total if memory else None,
            "clock_mhz": ask(n.nvmlDeviceGetClockInfo, device, n.NVML_CLOCK_SM),
            "clock_max_mhz": ask(n.nvmlDeviceGetMaxClockInfo, device, n.NVML_CLOCK_SM),
            "memory_clock_mhz": ask(n.nvmlDeviceGetClockInfo, device, n.NVML_CLOCK_MEM),
            "power_w": milliwatts / 1000 if milliwatts is not None else None,
            "power_limit_w": limit / 1000 if limit is not None else None,
            "energy_j": joules / 1000 if joules is not None else None,
            "temperature_c": ask(n.nvmlDeviceGetTemperature, device, n.NVML_TEMPERATURE_GPU),
            "ecc_corrected": ask(n.nvmlDeviceGetTotalEccErrors, device, n.NVML_MEMORY_ERROR_TYPE_CORRECTED, n.NVML_VOLATILE_ECC),
            "ecc_uncorrected": ask(n.nvmlDeviceGetTotalEccErrors, device, n.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, n.NVML_VOLATILE_ECC),
        }  # fmt: skip

    def _xids(self) -> dict[str, list[int]]:
        """Codes that the driver has reported since the last look, by device."""
        found: dict[str, list[int]] = {}
        with contextlib.suppress(Exception):  # a wait that finds nothing raises
            while self._events is not None:
                event = self._nvml.nvmlEventSetWait_v2(self._events, 0)
                uuid = str(self._ask(self._nvml.nvmlDeviceGetUUID, event.device) or "?")
                found.setdefault(uuid, []).append(int(event.eventData))
        return found

    def _ask(self, what: Any, *arguments: Any) -> Any:
        """What NVML answers; None where the device cannot tell, or has fallen off the bus."""
        try:
            return what(*arguments)
        except Exception:  # noqa: BLE001  its errors are as many as its functions
            return None
