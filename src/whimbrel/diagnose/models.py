"""scikit-learn, which takes a second to load: it does so on a thread of its own, beside reading and what needs no model.

In: nothing. Out: nothing; after `ready` it is there. `doors` says when to begin, `verdict` when it is needed.
"""

from __future__ import annotations

import sys
from importlib import import_module
from threading import Thread

_MODELS = "sklearn.ensemble"


def begin() -> None:
    """Start to load, and return at once."""
    if _MODELS not in sys.modules:
        Thread(target=import_module, args=(_MODELS,), name="whimbrel-models").start()


def ready() -> None:
    """Return when it is loaded, whoever began to."""
    import_module(_MODELS)
