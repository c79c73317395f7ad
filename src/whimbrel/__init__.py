"""Whimbrel: a flight recorder and fault finder for production ML and AI apps.

    recorder = whimbrel.Recorder("fares")          # in the app: record every prediction
    log = whimbrel.open("./.whimbrel")             # anywhere: the log that recorders and imports fill
    report = whimbrel.diagnose(golden, window)     # two tables, no log: which layer broke, where, since when

Importing this does nothing: names are loaded when they are first used.
"""

from typing import TYPE_CHECKING, Any

from whimbrel.version import __version__

if TYPE_CHECKING:
    from whimbrel.compare import compare as compare
    from whimbrel.diagnose import diagnose as diagnose
    from whimbrel.record import Recorder as Recorder
    from whimbrel.record import decrypt as decrypt
    from whimbrel.show import show as show
    from whimbrel.slices import slices as slices
    from whimbrel.store import Log as Log
    from whimbrel.store import open_log as open  # noqa: A004

_HOMES = {
    "Recorder": ("whimbrel.record", "Recorder"),
    "Log": ("whimbrel.store", "Log"),
    "decrypt": ("whimbrel.record", "decrypt"),
    "open": ("whimbrel.store", "open_log"),
    "compare": ("whimbrel.compare", ""),
    "diagnose": ("whimbrel.diagnose", ""),
    "show": ("whimbrel.show", ""),
    "slices": ("whimbrel.slices", ""),
}
"""Where each name lives; `compare`, `diagnose`, `show` and `slices` are rooms that can be called."""

__all__ = ["Log", "Recorder", "__version__", "compare", "decrypt", "diagnose", "open", "show", "slices"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'whimbrel' has no attribute {name!r}")
    from importlib import import_module

    room, attribute = _HOMES[name]
    value = getattr(import_module(room), attribute) if attribute else import_module(room)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
