"""W3C Trace Context: which trace a prediction belongs to, read from a request and carried on to the next service.

In and out: the `traceparent` header, <https://www.w3.org/TR/trace-context/>. The other doors call, and apps call `outgoing`.
"""

from __future__ import annotations

from contextvars import ContextVar

from xxhash import xxh3_64_hexdigest, xxh3_128_hexdigest

from whimbrel.record.prediction import Prediction, current

INCOMING: ContextVar[str | None] = ContextVar("whimbrel.traceparent", default=None)
"""The header that the request which is being served came with."""


def outgoing() -> dict[str, str]:
    """The header for a request that the current prediction makes: its own trace, or the one it came with.

    Where it came with none the prediction's id is the trace's. Outside a prediction nothing: `{}`.
    """
    scope = current()
    if scope is None or scope.prediction is None:
        return {}
    return {"traceparent": traceparent(scope.prediction, INCOMING.get())}


def traceparent(prediction: Prediction, incoming: str | None = None) -> str:
    """The header that makes a prediction the parent of what is asked for next."""
    trace, flags = parsed(incoming) or (_hex(prediction.id, 32), "01")
    return f"00-{trace}-{_hex(prediction.id, 16)}-{flags}"


def parsed(header: str | None) -> tuple[str, str] | None:
    """A header's trace id and flags; None where it is none that version 00 or a later one knows."""
    parts = (header or "").strip().split("-")
    if len(parts) < 4 or parts[0] == "ff" or [len(part) for part in parts[:4]] != [2, 32, 16, 2]:
        return None
    if any(set(part) - set("0123456789abcdef") for part in parts[:4]) or (parts[0] == "00" and len(parts) > 4):
        return None
    if set(parts[1]) == {"0"} or set(parts[2]) == {"0"}:
        return None
    return parts[1], parts[3]


def _hex(name: str, digits: int) -> str:
    """An id as so many hexadecimal digits, not all 0: the last ones of a UUID, of another its hash."""
    plain = name.replace("-", "").lower()
    if len(plain) == 32 and not set(plain) - set("0123456789abcdef") and set(plain[-digits:]) != {"0"}:
        return plain[-digits:]
    return (xxh3_128_hexdigest if digits == 32 else xxh3_64_hexdigest)(name.encode())
