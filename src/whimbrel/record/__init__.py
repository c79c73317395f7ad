"""The recorder: it lives in the app's process and writes every prediction down before, while and after it is made.

In: what the app says. Out: segment files (`docs/format.md`) that survive `kill -9`, and their reader. Apps call
`Recorder` and `fingerprint`, readers of encrypted fields `decrypt`; `store/ingest.py` calls the reader; nobody else.

    from whimbrel.record import Recorder

    recorder = Recorder("fares", model="fares@7")

    @recorder.step                                   # its value, time and code are recorded
    def normalize(ride): return {"fare": ride["fare"] / 100, "km": ride["metres"] / 1000}

    @recorder.predict                                # each call is a prediction
    def quote(ride): return model(recorder.step("encode", encode(normalize(ride))))

    with recorder.prediction(ride, country="US", channel="ios") as p:
        x = recorder.step("encode", encode(normalize(ride)))
        p.output(score := model(x))
        p.decision("accept" if score > 0.5 else "refuse")
    recorder.label(p.id, True)                       # days later, from any process
"""

from typing import TYPE_CHECKING, Any

from whimbrel.record.prediction import Prediction
from whimbrel.record.recorder import Recorder

if TYPE_CHECKING:
    from whimbrel.record.encrypt import decrypt as decrypt
    from whimbrel.record.fingerprints import fingerprint as fingerprint

__all__ = ["Prediction", "Recorder", "decrypt", "fingerprint"]
_LATER = {"decrypt": "whimbrel.record.encrypt", "fingerprint": "whimbrel.record.fingerprints"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_LATER[name]), name)
    globals()[name] = value
    return value
