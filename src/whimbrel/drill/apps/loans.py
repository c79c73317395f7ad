"""Loans: will this car loan be repaid, and shall it be granted? Whether it was is known weeks later.

A request passes through: bureau (look-up by salary range), ratios, impute, encode, scale, then a logistic regression,
calibrate, decide. Applications are drawn from a pool: the public car-loan set's where it is at hand (see `tabular.DATA`),
else made with its schema. A campaign, a change of interest rates and the months' ends are in the traffic.
"""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from whimbrel.drill import values
from whimbrel.drill.apps.tabular import (
    DAY,
    HOUR,
    Plan,
    aged,
    arrivals,
    built,
    epoch,
    gaps,
    parquet,
    real,
    wandering,
)  # fmt: skip
from whimbrel.drill.columns import Columns, Request, number, plain, take
from whimbrel.drill.faults import Fault
from whimbrel.drill.kinds import (
    EVERYWHERE,
    FLIPPED,
    GAINS,
    MODEL,
    NOISY,
    OLDER,
    SHARES,
    arrives,
    calibration,
    compensating,
    decisions,
    encoded,
    exchanged,
    filled,
    misplaced,
    retried,
    scaled,
    skipped,
    slower,
    stale,
    step,
    swapped,
    timed_out,
)  # fmt: skip
from whimbrel.drill.natural import CHANGES
from whimbrel.drill.steps import Shared, look_up
from whimbrel.drill.world import Subject, World, chosen

START, DAYS, PER_DAY = date(2018, 1, 1), 260, 1000
RANGES = {"0 - 20K €": 0.2, "20K - 40K €": 0.25, "40K - 60K €": 0.3, "60K+ €": 0.25}
DOWN = {"0%": 0.1, "10%": 0.2, "20%": 0.2, "30%": 0.15, "40%": 0.15, "50%": 0.1, "60%": 0.1}
BRANCHES = {"north": 0.3, "south": 0.25, "east": 0.2, "west": 0.15, "online": 0.1}
PRODUCTS = {"new": 0.55, "used": 0.37, "van": 0.08}
CHANGE = date(2018, 7, 2)
"""Interest rates rise: people with more debt apply."""
CAMPAIGN = (date(2018, 6, 11), date(2018, 6, 25))
MS = {
    "queue": 4.0, "bureau": 40.0, "ratios": 0.2, "impute": 0.4, "encode": 0.3, "scale": 0.3, "score": 1.5,
    "calibrate": 0.05, "decide": 0.1,
}  # fmt: skip
USUAL = {"arrears": 0.05, "rate": 4.0}


def ratios(request: Request, *, months: float) -> dict[str, Any]:
    """The monthly burden (value over length) and the debt that weighs on it."""
    value, length = number(request["inputs.car_value"]), number(request["inputs.loan_length"])
    monthly = value / np.maximum(length * months / 12, 1)
    return plain({"monthly": monthly, "burden": number(request["inputs.debt_to_income"]) * np.log1p(monthly)})


def _pool(rng: np.random.Generator) -> Columns:
    folder = real("nannyml_car_loan")
    if folder is not None:
        texts = ("salary_range", "size_of_downpayment")
        numbers = (
            "car_value",
            "debt_to_income_ratio",
            "loan_length",
            "repaid_loan_on_prev_car",
            "driver_tenure",
            "repaid",
        )
        rows = parquet(folder / "synthetic_car_loan_reference.parquet", (*texts, *numbers))
        return {name: rows[name].astype(object if name in texts else float) for name in (*texts, *numbers)}
    n = 20_000
    value = np.round(np.exp(rng.normal(10.2, 0.55, n)))
    debt = np.round(rng.beta(2.2, 2.0, n), 4)
    length = np.round(rng.normal(18, 2.5, n))
    before = (rng.random(n) < 0.5).astype(float)
    tenure = np.round(rng.gamma(2.2, 2.1, n), 2)
    salary, down = chosen(rng, RANGES, n), chosen(rng, DOWN, n)
    rank = {name: float(i) for i, name in enumerate(RANGES)}
    z = 0.8 + 1.5 * (before - 0.5) - 3.2 * (debt - 0.5) + 0.5 * (np.array([rank[v] for v in salary]) - 1.6)
    z = z - 0.6 * (np.log(value) - 10.2) + 0.08 * (tenure - 4.5) + 0.02 * np.array([float(v[:-1]) for v in down])
    return {"car_value": value, "salary_range": salary, "debt_to_income_ratio": debt, "loan_length": length,
            "repaid_loan_on_prev_car": before, "size_of_downpayment": down, "driver_tenure": tenure,
            "repaid": (rng.random(n) < 1 / (1 + np.exp(-z))).astype(float)}  # fmt: skip


@lru_cache(maxsize=2)
def world(seed: int = 0, cache: Path | None = None) -> World:
    """Nine months of applications; labels come after ten to forty days."""
    rng = np.random.default_rng(99)
    pool = _pool(rng)
    profile = np.array([2, 1, 1, 1, 1, 2, 4, 8, 14, 20, 22, 22, 18, 18, 20, 22, 22, 20, 16, 12, 9, 7, 5, 3.0])
    ts = arrivals(rng, START, DAYS, PER_DAY, profile, 0.35, (date(2018, 4, 2), date(2018, 5, 1), date(2018, 5, 21)))
    requests = _requests(rng, ts, pool)
    hours = DAYS * 24
    arrears = np.asarray(np.exp(-3 + 0.1 * wandering(rng, hours, len(RANGES), 0.995)).round(4), dtype=np.float64)
    risen = 0.5 * (np.arange(hours) >= (CHANGE - START).days * 24)
    rate = np.asarray((4 + 0.2 * wandering(rng, hours, 1, 0.999) + risen).round(2), dtype=np.float64)
    known = list(dict.fromkeys(v for v in pool["salary_range"].tolist() if v is not None))
    bureau = Shared(
        {"arrears": arrears[: len(known)], "rate": rate.repeat(len(known), 0)},
        {name: i for i, name in enumerate(known)},
        "inputs.salary_range",
        int(epoch(START) // 3600),
    )
    plan = Plan(
        "loans", (("bureau", partial(look_up, default=USUAL)), ("ratios", partial(ratios, months=12.0))), {"bureau": bureau},
        {**{name: f"inputs.{name}" for name in
            ("car_value", "debt_to_income", "loan_length", "repaid_before", "tenure")},
         **{name: f"steps.bureau.{name}" for name in USUAL}, **{name: f"steps.ratios.{name}" for name in ("monthly", "burden")}},
        ("salary_range", "down_payment"),
        {"car_value": {"low": 0.0, "base": float(np.e)}, "debt_to_income": {"low": 0.0, "high": 1.0}, "loan_length": {},
         "tenure": {"low": 0.0, "high": 15.0}, "monthly": {"low": 0.0, "base": float(np.e)}, "burden": {}, "arrears": {}, "rate": {}},
        ("scale.debt_to_income", "scale.car_value", "impute.repaid_before", "encode.salary_range", "encode.down_payment",
         "scale.tenure", "scale.loan_length", "scale.burden", "scale.monthly", "scale.arrears", "scale.rate"),
        "odds", "grant", "refuse", 0.6, MS, epoch(START + timedelta(days=50)),
        partial(aged, every_s=6 * 3600.0, step="bureau"),
    )  # fmt: skip
    return built(plan, requests, seed, cache)


def _requests(rng: np.random.Generator, ts: Any, pool: Columns) -> Columns:
    n, m = len(ts), len(pool["car_value"])
    row = rng.integers(0, m, n)
    # after the change of rates, two draws, and the one with more debt applies
    again = rng.integers(0, m, n)
    debt = pool["debt_to_income_ratio"]
    later = (ts >= epoch(CHANGE)) & (rng.random(n) < 0.3)
    row = np.where(later & (debt[again] > debt[row]), again, row)
    campaign = (ts >= epoch(CAMPAIGN[0])) & (ts < epoch(CAMPAIGN[1])) & (rng.random(n) < 0.25)
    one = take(pool, row)
    branch = np.where(campaign, "online", chosen(rng, BRANCHES, n)).astype(object)
    return {
        "ts": ts,
        "inputs.car_value": one["car_value"],
        "inputs.salary_range": one["salary_range"],
        "inputs.debt_to_income": gaps(rng, np.round(one["debt_to_income_ratio"], 4), 0.02),
        "inputs.loan_length": one["loan_length"],
        "inputs.repaid_before": one["repaid_loan_on_prev_car"],
        "inputs.down_payment": one["size_of_downpayment"],
        "inputs.tenure": gaps(rng, np.round(one["driver_tenure"], 2), 0.04),
        "inputs.form": chosen(rng, {"A": 0.6, "B": 0.4}, n),
        "context.branch": branch,
        "context.product": chosen(rng, PRODUCTS, n),
        "truth.label": one["repaid"],
        "truth.label_ts": ts + 10 * DAY + 6 * DAY * rng.gamma(1.5, 1.0, n) + HOUR * rng.random(n),
    }


FAULTS: tuple[Fault, ...] = (
    arrives("D02/car_value", "the car's value arrives in thousands", values.times, (0.001,)),
    arrives("D02/debt_to_income", "the ratio arrives in percent", values.times, (100.0,)),
    arrives("D02/loan_length", "the length arrives in years", values.times, (1 / 12,)),
    arrives("D03/tenure", "-1 stands for an unknown tenure", values.constant(-1.0), SHARES, rare=True),
    arrives("D03/car_value", "0 stands for an unknown value", values.constant(0.0), SHARES, rare=True),
    arrives("D05/debt_to_income", "the ratio is lost", values.null, SHARES, rare=True),
    arrives("D05/person", "all that is known of the person is lost at once", values.null, SHARES,
            names=("salary_range", "debt_to_income", "tenure"), rare=True),
    arrives("D06/debt_to_income", "the source stutters", values.held, (2, 3, 5, 10, 20, 50)),
    arrives("D07/debt_to_income", "the source is off and repeats one value", values.constant(), (0.5, 0.4, 0.3, 0.7, 0.0, 1.0)),
    arrives("D07/repaid_before", "everybody seems to have repaid before", values.constant(1.0)),
    arrives("D08/debt_to_income", "the ratio is rounded upstream", values.rounded, (0.1, 0.2, 0.25, 0.5, 1.0)),
    arrives("D09/debt_to_income", "the ratio arrives with the other sign", values.negated),
    arrives("D10/salary_range", "salary ranges are cut to three letters", values.texts(lambda v: v[:3])),
    arrives("D11/car_value", "a field upstream is too short for dear cars", values.capped(1.0), SHARES),
    arrives("D13/car_value", "some values arrive a hundred times too large", lambda v, _: v * 100, SHARES, rare=True),
    arrives("D14/debt_to_income", "the ratio arrives as text", values.as_text, whole=True),
    arrives("D14/car_value", "the car's value arrives as text", values.as_text, whole=True),
    arrives("D15/debt_to_income", "the ratio drifts off by a gain", values.times, GAINS),
    arrives("D16/salary_range", "salary ranges lose their blanks in one feed", values.texts(lambda v: v.replace(" ", ""))),
    arrives("D16/down_payment", "payments arrive with a blank before the sign", values.texts(lambda v: v.replace("%", " %"))),
    arrives("D17/salary_range", "the code book of salaries was renumbered", values.renumbered, (1, 2, 3)),
    arrives("D17/down_payment", "the code book of payments was renumbered", values.renumbered, (1, 2, 3)),
    arrives("D18/debt_to_income", "the ratio is noisy", values.noisy, (0.1, 0.2, 0.35, 0.5, 0.8, 1.2)),
    arrives("D19/debt_to_income", "the ratio has an offset", values.plus, (0.01, 0.02, 0.04, 0.07, 0.12, 0.2, 0.3)),
    arrives("D20/salary_range", "two ranges arrive as one", values.merged, (1, 2, 3)),
    arrives("D21/debt_to_income", "ratios are joined by a wrong key", values.shuffled),
    arrives("D22/debt_to_income", "0.5 is read as 5: another decimal sign", values.comma_lost),
    arrives("Z01/form", "forms are spelled in lower case, which nothing reads", values.texts(str.lower), harmless=True),
    swapped("tenure", "loan_length", "tenure and length change places"),
    filled("debt_to_income", 0.0, "a missing ratio becomes 0, not the median"),
    filled("tenure", 40.0, "a missing tenure becomes forty years", "F05"),
    encoded("F03", "salary_range", "the map of salaries has another order"),
    encoded("F03", "down_payment", "the map of payments has another order"),
    encoded("F07", "down_payment", "the map of payments was cut short"),
    encoded("F10", "salary_range", "the map of salaries is off by one"),
    exchanged("debt_to_income", "tenure"),
    scaled("F06/debt_to_income", "ratios are clipped far too low", lambda by: {"high": by}, (0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.3)),
    scaled("F06/car_value", "the logarithm is taken to base 10", lambda _: {"base": 10.0}),
    scaled("F08/tenure", "the tenure is not scaled at all", lambda _: {"center": 0.0, "spread": 1.0}),
    scaled("F15/debt_to_income", "the scaled ratio is rounded to whole numbers", lambda _: {"digits": 0.0}),
    step("F16", "ratios.monthly ratios.burden", "the burden is computed for another number of months",
         lambda app, by, _: app.given("ratios", months=by), (11.0, 10.0, 8.0, 5.0, 1.0)),
    stale("bureau", "bureau", "what the bureau knows lags behind", (24, 72, 168, 336, 720)),
    misplaced("bureau", "bureau", "the bureau answers for another range"),
    OLDER, *MODEL, *calibration(), *decisions(), compensating(), FLIPPED, NOISY, *EVERYWHERE,
    timed_out("bureau", "look-ups at the bureau time out and answer with the default"),
    slower("bureau", "the bureau got slower"), skipped("bureau", "an early return skips the bureau"), retried("bureau"),
)  # fmt: skip
LOANS = Subject(
    "loans", "classification with labels weeks late: which car loans to grant", world, FAULTS, CHANGES,
    ("context.branch", "context.product", "context.channel", "context.tenant", "context.client"),
    START + timedelta(days=85), START + timedelta(days=250),
    (("none", CAMPAIGN[0], 4), ("none", CHANGE, 5), ("none", date(2018, 4, 28), 4), ("none", date(2018, 5, 19), 3)),
    golden_days=28, labelled_days=22.0,
)  # fmt: skip
