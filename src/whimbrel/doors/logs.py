"""Log records that bear the id of the prediction during which they were written, so that each leads to the other.

    handler.addFilter(PredictionId())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s [%(prediction_id)s] %(message)s"))

In: log records, by way of the standard library's own filters. Out: the same records with `prediction_id` and `trace_id`
(empty outside a prediction). structlog's processors can call `ids()`.
"""

from __future__ import annotations

import logging

from whimbrel.doors.trace import INCOMING, parsed
from whimbrel.record.prediction import current


def ids() -> dict[str, str]:
    """The current prediction's id, and that of the trace which it came with; empty where there is none."""
    scope = current()
    prediction = scope.prediction if scope is not None else None
    found = parsed(INCOMING.get())
    return {"prediction_id": prediction.id if prediction is not None else "", "trace_id": found[0] if found else ""}


class PredictionId(logging.Filter):
    """Lets every record pass, with the prediction's id on it. Add it to a handler: a logger's filters see only its own records."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Put the ids on the record."""
        for name, value in ids().items():
            setattr(record, name, value)
        return True
