"""The words of the table `hardware`: what a row may say, and in what unit. A row is one thing at one time."""

from __future__ import annotations

KEYS = {
    "ts": "when, UTC; the counters are of the time since the row before",
    "host": "the host's name",
    "boot": "the boot's id: of one machine between two starts",
    "subject": "host, process or gpu",
    "what": "which: a process's app, a GPU's UUID; empty for the host",
    "process": "of a process: its recorder's session, `recorder.process` of its predictions",
    "absent": "what could not be told, and why",
}
"""Texts, but for `ts`; `pid` is a number."""

WORDS = {
    "name": "of a GPU: its model",
    "throttle_reasons": "of a GPU: why its clock is not higher",
    "xid": "of a GPU: failures that the driver reported",
}

FACTS = {
    "process": ("throttled_share", "run_wait_share"),
    "host": ("load_1", "cpu_steal_share", "pressure_memory_some", "pressure_io_some"),
    "gpu": ("clock_mhz", "gpu_share", "temperature_c", "throttled"),
}
"""What each prediction gets as `hardware.<fact>` of the process, host and GPUs that it ran on, at its time."""

RAN_ON = {"process": "recorder.process", "host": "hardware.host", "gpu": "hardware.host"}
"""By subject: the field of a prediction that names the one that it ran on."""

NUMBERS = {
    "pid": "of a process",
    "cpu_share": "host: share of its processors that worked; process: processors that it kept busy",
    "cpu_user_share": "share of the processors' time in programs",
    "cpu_system_share": "… in the kernel",
    "cpu_iowait_share": "… idle, with a disk to wait for",
    "cpu_steal_share": "… taken by other virtual machines",
    "load_1": "threads that ran or wanted to, averaged over a minute",
    "load_5": "… five minutes",
    "load_15": "… fifteen minutes",
    "runnable": "threads that run or want to, now",
    "blocked": "threads that wait for a disk, now",
    "memory_bytes": "memory in use: host, process (resident) or GPU",
    "memory_available_bytes": "host: memory that programs can still have",
    "memory_total_bytes": "of a GPU",
    "swap_bytes": "swap in use",
    "major_faults_per_s": "pages that had to be read from disk",
    "pressure_cpu_some": "share of the last ten seconds in which a thread waited for a processor",
    "pressure_cpu_full": "… all did",
    "pressure_memory_some": "… a thread waited for memory",
    "pressure_memory_full": "… all did",
    "pressure_io_some": "… a thread waited for a disk",
    "pressure_io_full": "… all did",
    "disk_free_bytes": "free on the log's disk",
    "threads": "of a process",
    "open_files": "of a process",
    "run_wait_share": "process: time that its threads were ready and had no processor; the sum over threads",
    "cpu_quota": "processors that the control group may use",
    "memory_limit_bytes": "memory that the control group may use",
    "cgroup_memory_bytes": "memory that the control group uses",
    "throttled_share": "time that the control group was kept from running, quota spent; the sum over threads",
    "throttled_periods_share": "share of the quota's periods that ended so",
    "oom_kills": "processes of the control group that were killed for memory",
    "gpu_share": "share of the time in which a kernel ran",
    "gpu_memory_busy_share": "share of the time in which its memory was read or written",
    "clock_mhz": "of a GPU's processors, now",
    "clock_max_mhz": "… at most",
    "memory_clock_mhz": "of a GPU's memory",
    "power_w": "of a GPU",
    "power_limit_w": "… at most",
    "energy_j": "of a GPU since its driver was loaded",
    "temperature_c": "of a GPU",
    "throttled": "1 where a GPU's clock is held down by heat, power or a fault",
    "ecc_corrected": "memory errors corrected since the driver was loaded",
    "ecc_uncorrected": "… not corrected",
}
"""Columns that are numbers, with what they mean."""
