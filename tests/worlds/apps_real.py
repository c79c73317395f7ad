"""Apps over real rows, where their files are at hand: their correlations, tails and gaps are nobody's invention.

`WHIMBREL_WORLDS_DATA` names the folder that holds `chicago_taxi_tfx/` and `nannyml_car_loan/`; without it there are no such apps.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from .app import App, Span, Units
from .ops import Op, impute, log, onehot, ordinal
from .world import Array, Cols, World


def folder() -> Path | None:
    """Where the real files lie, or None."""
    name = os.environ.get("WHIMBREL_WORLDS_DATA")
    return Path(name) if name and Path(name).is_dir() else None


def text(x: pd.Series) -> Array:
    """A column of texts, None where null."""
    return np.asarray([None if pd.isna(v) else str(v) for v in x], dtype=object)


@cache
def taxi_rows() -> pd.DataFrame:
    """Trips of Chicago, in an order of their own."""
    at = folder()
    assert at is not None
    table = pd.read_csv(at / "chicago_taxi_tfx" / "chicago_taxi_big_tipper.csv.gz")
    return table.sample(frac=1.0, random_state=1).reset_index(drop=True)


@cache
def loan_rows() -> pd.DataFrame:
    """Car loans, in an order of their own."""
    at = folder()
    assert at is not None
    table = pd.read_parquet(at / "nannyml_car_loan" / "synthetic_car_loan_reference.parquet")
    return table.sample(frac=1.0, random_state=1).reset_index(drop=True)


class Taxi(App):
    """Which fare will tip well: trips as the city published them, drawn by the hour of day at which they started."""

    name = "big_tipper"
    profile, weekend, per_day = "commute", 1.1, (700, 1500)
    golden_days, window_hours = (5, 8), (24, 48, 72)
    kind, rate, decisions, decision_path = "trees", 0.3, ("offer", "none"), "decisions.upsell"
    version, older, newer, digest = "tips:12", "tips:11", "tips:13", False
    hosts = ("tf-0", "tf-1", "tf-2")
    spans = (Span("geo", 9, 0.4), Span("infer", 6, 0.15, cpu=True))
    label_hours, label_values = (1.0, 0.4), (0, 1)
    dims = ("context.payment", "context.company", "hardware.host")
    units: ClassVar[Units] = {
        "inputs.trip_miles": ((1.609, 0.0), (1000.0, 0.0)),
        "inputs.trip_seconds": ((1 / 60, 0.0), (1000.0, 0.0)),
        "inputs.fare": ((100.0, 0.0),),
    }
    features = (
        "steps.log.fare", "steps.log.miles", "steps.fill.seconds", "steps.pay.payment_type_Credit Card", "steps.pay.payment_type_Cash",
        "steps.rate.per_mile", "steps.clock.sin", "steps.fill.area",
    )  # fmt: skip

    def draw(self, w: World) -> Cols:
        t = taxi_rows()
        pick = np.zeros(w.n, dtype=int)
        for hour in range(24):
            mine, there = np.flatnonzero(w.hour == hour), np.flatnonzero(t["trip_start_hour"] == hour)
            order = w.rng(f"trips {hour}").permutation(there)
            pick[mine] = order[np.arange(len(mine)) % len(order)]
        t = t.iloc[pick]
        company = text(t["company"])
        known = dict(zip(*np.unique([v for v in company if v], return_counts=True), strict=True))
        big = {v for v, n in known.items() if n > 0.03 * w.n}
        return {
            "context.payment": text(t["payment_type"]),
            "context.company": np.asarray([v if v in big else "other" for v in company], dtype=object),
            "inputs.fare": t["fare"].to_numpy(float),
            "inputs.trip_miles": t["trip_miles"].to_numpy(float),
            "inputs.trip_seconds": t["trip_seconds"].to_numpy(float),
            "inputs.pickup_latitude": t["pickup_latitude"].to_numpy(float),
            "inputs.pickup_longitude": t["pickup_longitude"].to_numpy(float),
            "inputs.dropoff_latitude": t["dropoff_latitude"].to_numpy(float),
            "inputs.pickup_community_area": t["pickup_community_area"].to_numpy(float),
            "inputs.payment_type": text(t["payment_type"]),
            "inputs.company": company,
            "inputs.hour": w.hour.astype(float),
            "_y": t["big_tipper"].to_numpy(float),
        }

    def steps(self) -> Sequence[Op]:
        return (
            impute("steps.fill.seconds", "inputs.trip_seconds", 540.0),
            impute("steps.fill.area", "inputs.pickup_community_area", 8.0),
            impute("steps.fill.fare", "inputs.fare", 7.8),
            log("steps.log.fare", "steps.fill.fare"),
            log("steps.log.miles", "inputs.trip_miles"),
            Op("steps.rate.per_mile", "ratio", ("steps.fill.fare", "inputs.trip_miles"), {"floor": 0.1}),
            *onehot("pay", "inputs.payment_type", ["Credit Card", "Cash"]),
            Op("steps.clock.sin", "sin", ("inputs.hour",), {"period": 24.0}),
        )


class CarLoan(App):
    """NannyML's car loans: the table that every tutorial of the field uses, with a model of our own on top."""

    name = "car_loan"
    profile, weekend, per_day = "flat", 1.0, (1000, 2600)
    golden_days, window_hours = (7, 14), (24, 48)
    kind, rate, decisions, decision_path = "forest", 0.5, ("1", "0"), "decision"
    version, fingerprints = "", False
    label_hours, label_values = (6.0, 0.4), (0, 1)
    dims = ("context.salary_range",)
    mixes: ClassVar[Mapping[str, str]] = {}
    units: ClassVar[Units] = {"inputs.car_value": ((0.001, 0.0), (1.1, 0.0)), "inputs.driver_tenure": ((12.0, 0.0),)}
    features = (
        "inputs.car_value", "inputs.debt_to_income_ratio", "inputs.loan_length", "inputs.repaid_loan_on_prev_car", "inputs.driver_tenure",
        "steps.codes.down", "steps.codes.salary",
    )  # fmt: skip

    def draw(self, w: World) -> Cols:
        t = loan_rows().iloc[w.rng("loans").permutation(50_000)[np.arange(w.n) % 50_000]]
        return {
            "context.salary_range": text(t["salary_range"]),
            "inputs.car_value": t["car_value"].to_numpy(float),
            "inputs.salary_range": text(t["salary_range"]),
            "inputs.debt_to_income_ratio": t["debt_to_income_ratio"].to_numpy(float),
            "inputs.loan_length": t["loan_length"].to_numpy(float),
            "inputs.repaid_loan_on_prev_car": t["repaid_loan_on_prev_car"].to_numpy(bool),
            "inputs.size_of_downpayment": text(t["size_of_downpayment"]),
            "inputs.driver_tenure": t["driver_tenure"].to_numpy(float),
            "_y": t["repaid"].to_numpy(float),
        }

    def steps(self) -> Sequence[Op]:
        pay = [f"{p}%" for p in range(0, 100, 10)] + ["100%"]
        return (
            ordinal("steps.codes.down", "inputs.size_of_downpayment", pay),
            ordinal("steps.codes.salary", "inputs.salary_range", ["0 - 20K €", "20K - 40K €", "40K - 60K €", "60K+ €"]),
        )
