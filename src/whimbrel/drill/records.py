"""What becomes of served requests: their labels, when those are known, and what the recorder loses.

In: requests and an app. Out: records as columns, as the log would hold them. Only this room may call.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np

from whimbrel.drill.columns import Columns, length, take
from whimbrel.drill.world import Served

LABELS = ("label", "label_ts")


def served(app: Served, requests: Columns) -> Columns:
    """The records with the labels that will come; what is never judged has none."""
    records = app.serve(requests)
    label = records.get("label", requests["truth.label"])
    when = np.where(np.isnan(label), np.nan, requests["truth.label_ts"])
    return {path: column for path, column in records.items() if path != "label"} | {"label": label, "label_ts": when}


def known_by(records: Columns, now: datetime) -> Columns:
    """The records as they look at that moment: labels that come later are not there yet."""
    later = ~(records["label_ts"] <= now.timestamp())
    return records | {name: np.where(later, np.nan, records[name]) for name in LABELS}


def drop(records: Columns) -> Columns:
    """Leave out what the recorder dropped, and count it per host."""
    lost = records.get("truth.dropped")
    counted = np.zeros(length(records))
    if lost is None:
        return records | {"recorder.dropped": counted}
    lost = np.nan_to_num(lost) > 0
    for host in np.unique(records["hardware.host"].astype(str)):
        rows = records["hardware.host"] == host
        counted[rows] = np.cumsum(lost[rows])
    return take({k: v for k, v in records.items() if k != "truth.dropped"} | {"recorder.dropped": counted}, ~lost)
