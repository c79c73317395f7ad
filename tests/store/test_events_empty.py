"""A table of events without any event."""

from __future__ import annotations

import pandas as pd

from whimbrel.store import events_of


def test_an_empty_table_of_events_is_no_events() -> None:
    """A pandas table without rows has no types either, and is still read."""
    assert events_of(pd.DataFrame({"ts": [], "kind": [], "what": []})) == ()
