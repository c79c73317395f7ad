"""Preprocessing that the tabular apps share: look up, fill, encode, scale. Each step takes one request or many.

In: what was seen of a request so far, by path; parameters bound by the app. Out: the step's values by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.drill.columns import Request, codes, number, plain


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """A service that knows hourly values for each of some places: weather, prices, load. A feed, as an app sees it.

    `values[name]` has shape (places, hours since `first_hour`); `by` is the path that names the place.
    """

    values: Mapping[str, NDArray[np.float64]]
    places: Mapping[Any, int]
    by: str
    first_hour: int
    timeouts: float = 0.0
    """Share of look-ups that fail by taking too long."""
    stale_s: float = 0.0
    """How far what it serves lags behind."""

    def late(self, request: Request) -> Any:
        """Whether the look-up is given up."""
        return request["luck.timeout"] < self.timeouts

    def of(self, request: Request) -> dict[str, Any]:
        """Every value as last observed; missing where it was not."""
        place = codes(self.places, request[self.by])
        hour = np.asarray((request["ts"] - self.stale_s) // 3600, dtype=np.int64) - self.first_hour
        width = next(iter(self.values.values())).shape[1]
        found = (np.asarray(place) >= 0) & (hour >= 0) & (hour < width)
        at = np.where(found, place, 0).astype(np.int64), np.where(found, hour, 0)
        return {name: np.where(found, values[at], np.nan) for name, values in self.values.items()}


def look_up(
    request: Request, source: Any, *, default: Mapping[str, float], skipped: float = 0.0
) -> dict[str, Any]:  # fmt: skip
    """What the service knows; `default` where it takes too long.

    `skipped` is the share of requests for which an early return leaves the look-up out.
    """
    late, left_out = source.late(request), request["luck.skip"] < skipped
    found = source.of(request)
    return plain(
        {name: np.where(left_out, np.nan, np.where(late, instead, found[name])) for name, instead in default.items()}
    )


def fill_missing(request: Request, *, fill: Mapping[str, float], reads: Mapping[str, str]) -> dict[str, Any]:
    """Every number that the model uses, with golden's median where it is missing; `reads` says where each lies."""
    out = {}
    for name, median in fill.items():
        value = number(request[reads[name]])
        out[name] = np.where(np.isnan(value), median, value)
    return plain(out)


def rank_names(request: Request, *, ranks: Mapping[str, Mapping[Any, float]]) -> dict[str, Any]:
    """Names as places in the order of what was seen of them in training; unknown ones are -1."""
    return {name: codes(book, request[f"inputs.{name}"]) for name, book in ranks.items()}


def scale_numbers(request: Request, *, scalers: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Each number clipped (`low`, `high`), its logarithm taken to `base` where there is one, centred, divided; `digits` rounds it."""
    out = {}
    for name, scaler in scalers.items():
        value = np.clip(request[f"steps.impute.{name}"], scaler.get("low", -np.inf), scaler.get("high", np.inf))
        if "base" in scaler:
            value = np.log1p(value) / np.log(scaler["base"])
        value = (value - scaler["center"]) / scaler["spread"]
        out[name] = np.round(value, int(scaler["digits"])) if "digits" in scaler else value
    return plain(out)
