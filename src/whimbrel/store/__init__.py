"""The log: predictions, labels and events in Delta tables under one folder.

In: files (Parquet, CSV, JSON Lines), tables in memory, records from `record/`'s segments. Out: a `Source` that an engine
reads, `Event`s, golden windows, and `Added`, which says what became of every row. `compare/`, `diagnose/`, `drill/` and `cli/` may call.

The way of a row: `files` or `tables` make it `raw` → `columns` names it → `times` and `batch` give it time, id, app and shape,
`kinds` its types → `intake` drops what the log has → `delta` commits. What cannot be read goes to `quarantine`.
The way of what was recorded: `backlog` joins the halves → `plans` and `bodies` make columns of them, `arrays` Arrow's → `straight` writes
what is plain, and `ingest` keeps how far it came; what is not plain goes on with `tables`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whimbrel.store.events import events_of as events_of
    from whimbrel.store.find import Found as Found
    from whimbrel.store.log import Log as Log
    from whimbrel.store.log import open_log as open_log
    from whimbrel.store.log import source_of as source_of
    from whimbrel.store.values import Added as Added
    from whimbrel.store.values import AppStatus as AppStatus
    from whimbrel.store.values import Golden as Golden
    from whimbrel.store.values import Status as Status

__all__ = ["Added", "AppStatus", "Found", "Golden", "Log", "Status", "events_of", "open_log", "source_of"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'whimbrel.store' has no attribute {name!r}")
    from importlib import import_module

    room = {"events_of": "events", "Found": "find", "Log": "log", "open_log": "log", "source_of": "log"}.get(
        name, "values"
    )
    value = getattr(import_module(f"whimbrel.store.{room}"), name)
    globals()[name] = value
    return value
