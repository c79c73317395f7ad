"""A small shop whose traffic has days and weeks, for tests: flat tables of predictions, healthy unless told otherwise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
DAYS = 21


def shop(days: int = DAYS, *, since: int = 0, per_day: int = 400, seed: int = 0, **mix: Any) -> pd.DataFrame:
    """`days` days of predictions from day `since` on.

    Nights are quiet, and cheaper; weekends sell more on the web. `mix` may set `us`, the share of the country US (0.6), where
    fares are higher, and `hours`, the hours of the day that have traffic.
    """
    draw = np.random.default_rng((seed, since, days))
    hours = np.asarray(mix.get("hours", range(24)))
    weight = np.where((hours >= 8) & (hours < 22), 3.0, 1.0)
    n = per_day * days
    day = np.repeat(np.arange(days), per_day) + since
    hour = draw.choice(hours, n, p=weight / weight.sum())
    weekend = day % 7 >= 5
    web = draw.random(n) < np.where(weekend, 0.7, 0.4)
    us = draw.random(n) < mix.get("us", 0.6)
    night = (hour < 8) | (hour >= 22)
    fare = draw.lognormal(np.where(us, 3.4, 2.6) - 0.8 * night, 0.4)
    score = 1 / (1 + np.exp(-(fare - 20) / 10))
    seconds = (day * 24.0 + hour) * 3600 + draw.integers(0, 3600, n)
    frame = pd.DataFrame(
        {
            "id": [f"{seed}-{since}-{i}" for i in range(n)],
            "ts": [START + timedelta(seconds=float(s)) for s in seconds],
            "inputs.fare": fare,
            "inputs.seats": draw.choice([1.0, 2.0, 4.0], n, p=[0.7, 0.2, 0.1]),
            "inputs.carrier": draw.choice(["ios", "android", "desk"], n, p=[0.3, 0.5, 0.2]),
            "inputs.noise": draw.normal(0, 1, n),
            "outputs.score": score,
            "context.country": np.where(us, "US", "DE"),
            "context.channel": np.where(web, "web", "shop"),
            "label": (draw.random(n) < score / 2).astype(float),
        }
    )
    frame.loc[draw.random(n) < 0.02, "inputs.fare"] = np.nan
    return frame.sort_values("ts", ignore_index=True)
