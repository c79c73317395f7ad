"""What predictions ran on, second by second: counters of the host, of the processes that record, of the GPUs.

In: the kernel's own files and NVML, looked at from a process of its own beside the apps (`whimbrel sidecar`): no thread runs in
an app. Out: rows in segment files under `<home>/counters/`, which `store/hardware.py` takes into the log's table
`hardware`. A counter that a machine lacks is absent, and `absent` says why. `cli/sidecar.py` calls.

A prediction's `recorder.process` is the `process` of its process's rows and the `id` of its row in `processes`, whose `host`
and `boot` are those of the host's and the GPUs' rows.
"""
