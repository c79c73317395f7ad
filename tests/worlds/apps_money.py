"""Apps about money: card fraud, loans, a bare scoring function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from .app import App, Span, Units
from .ops import Op, clip, impute, log, onehot, ordinal, scale
from .world import Array, Cols, World, by, holes, sigmoid


class Fraud(App):
    """Card payments: heavy-tailed amounts, a feature store of card history, hosts, a canary, labels after a day."""

    name = "cardguard"
    profile, weekend, per_day = "evening", 1.1, (2500, 7000)
    golden_days = (5, 12)
    kind, rate, decisions = "trees", 0.16, ("block", "review", "allow")
    version, older, newer, model_name = "2026.41", "2026.37", "2026.44", "fraud-gbm"
    canary, route_path = 0.04, "decisions.route"
    hosts = ("pay-a1", "pay-a2", "pay-b1", "pay-b2", "pay-c1")
    spans = (
        Span("queue", 1.5, 0.5, queue=True),
        Span("parse", 0.6, cpu=True),
        Span("card_store", 6.0, 0.45),
        Span("geo_lookup", 3.0, 0.4),
        Span("model", 4.0, 0.2, cpu=True),
    )
    timeout_ms = 120.0
    errors: ClassVar[Mapping[str, float]] = {"ModelUnavailable": 0.0015, "BadRequest: currency": 0.001}
    label_hours, label_values = (20.0, 0.7), (0, 1)
    dims = ("context.country", "context.channel", "context.issuer", "hardware.host", "model.version")
    mixes: ClassVar[Mapping[str, str]] = {
        "country": "context.country",
        "channel": "context.channel",
        "mcc": "inputs.mcc",
        "issuer": "context.issuer",
    }
    units: ClassVar[Units] = {
        "inputs.amount": ((100.0, 0.0), (0.01, 0.0)),
        "inputs.distance_km": ((0.621, 0.0), (1000.0, 0.0)),
        "inputs.account_age_days": ((24.0, 0.0), (1 / 30.4, 0.0)),
    }
    natures = frozenset({"inflation", "promo", "heavy", "season"})
    features = (
        "steps.log.amount",
        "steps.ratio.amount_to_usual",
        "steps.encode.mcc",
        "steps.history.tx_1h",
        "steps.impute.distance_km",
        "steps.night.flag",
        "inputs.card_present",
        "steps.impute.account_age_days",
    )

    def draw(self, w: World) -> Cols:
        country = w.cat(
            "country", {"DE": 38, "FR": 22, "ES": 14, "IT": 12, "NL": 8, "AT": 4, "PT": 2}, weekend={"ES": 0.2}
        )
        channel = w.cat(
            "channel", {"pos": 50, "web": 28, "app": 17, "atm": 5}, day={"pos": 0.5, "web": -0.2}, weekend={"web": 0.3}
        )
        issuer = w.cat("issuer", {"visa": 50, "mc": 38, "amex": 7, "maestro": 5})
        groups = {
            "grocery": 34,
            "fuel": 12,
            "travel": 7,
            "electronics": 9,
            "restaurant": 20,
            "gaming": 5,
            "jewelry": 2,
            "other": 11,
        }
        mcc = w.cat("mcc", groups, weekend={"restaurant": 0.5, "travel": 0.3}, day={"gaming": -0.9})
        level = by(
            mcc,
            {
                "grocery": 3.3,
                "fuel": 3.8,
                "travel": 5.3,
                "electronics": 4.8,
                "restaurant": 3.4,
                "gaming": 2.9,
                "jewelry": 5.4,
            },
            3.5,
        )
        usual = np.exp(3.4 + 0.5 * w.normal("usual"))
        amount = (
            np.exp(0.7 * level + 0.3 * np.log(usual)) * w.heavy("amount", 0.45) * w.prices() * (1 + 0.15 * w.season())
        )
        amount *= np.where(w.promo(), 0.7, 1.0) * np.where(channel == "atm", 1.3, 1.0)
        present = (channel == "pos") | (channel == "atm")
        age = np.round(np.exp(6.2 + 0.9 * w.normal("age")))
        fresh = w.rng("tx").poisson(0.8 + 0.5 * (channel == "app") + 0.3 * w.weekend).astype(float)
        odds = (
            -5.0
            + 0.5 * (np.log(amount) - 3.8)
            + 0.55 * fresh
            + 1.2 * (mcc == "gaming")
            + 1.0 * (mcc == "electronics")
            - 0.4 * present
        )
        distance = np.exp(1.2 + 1.2 * w.normal("distance")) * np.where(present, 1, 2.0)
        odds += (
            0.35 * np.log1p(distance)
            + 0.9 * ((w.hour < 5) | (w.hour > 22))
            - 0.35 * (np.log(age) - 6)
            + 0.3 * w.normal("odds")
        )
        lag = w.rng("tx yesterday").poisson(0.8 + 0.5 * (channel == "app") + 0.3 * w.weekend).astype(float)
        return {
            "context.country": country,
            "context.channel": channel,
            "context.issuer": issuer,
            "inputs.amount": np.round(amount, 2),
            "inputs.mcc": mcc,
            "inputs.merchant_id": w.many("merchant", 4000, "m{:06d}"),
            "inputs.card_present": present,
            "inputs.distance_km": holes(np.round(distance, 1), w.choose("no gps", 0.06 + 0.06 * ~present)),
            "inputs.account_age_days": holes(age, w.choose("no age", 0.02)),
            "inputs.hour": w.hour.astype(float),
            "inputs.usual_amount": np.round(usual, 2),
            "inputs.terminal_fw": w.cat("fw", {"4.1": 55, "4.2": 30, "3.9": 15}),
            "_store.tx_1h": fresh,
            "_stale.tx_1h": lag,
            "age.tx_1h": np.round(20 + 15 * np.abs(w.normal("age tx")), 1),
            "_y": (w.uniform("y") < sigmoid(odds)).astype(float),
        }

    def steps(self) -> Sequence[Op]:
        mcc = ["electronics", "fuel", "gaming", "grocery", "jewelry", "other", "restaurant", "travel"]
        return (
            impute("steps.impute.distance_km", "inputs.distance_km", 4.5),
            impute("steps.impute.account_age_days", "inputs.account_age_days", 490.0),
            ordinal("steps.encode.mcc", "inputs.mcc", mcc),
            Op(
                "steps.history.tx_1h",
                "store",
                ("inputs.merchant_id",),
                {"column": "_store.tx_1h", "default": 0.0, "span": "card_store"},
            ),
            Op("steps.ratio.amount_to_usual", "ratio", ("inputs.amount", "inputs.usual_amount"), {"floor": 0.01}),
            log("steps.log.amount", "inputs.amount"),
            Op("steps.night.flag", "bucket", ("inputs.hour",), {"edges": [5, 22]}),
        )


class Loans(App):
    """Loan applications: thresholds by product, few hosts and no spans, labels far in the future and so never there."""

    name = "loanbook"
    profile, weekend, per_day = "office", 0.35, (700, 2600)
    golden_days = (12, 30)
    window_hours = (24, 48, 72)
    kind, rate, decisions, segment = "linear", 0.3, ("reject", "refer", "accept"), "context.product"
    version, older, newer, digest = "pd-12", "pd-11", "pd-13", True
    dims = ("context.product", "context.broker", "context.region")
    mixes: ClassVar[Mapping[str, str]] = {
        "product": "context.product",
        "broker": "context.broker",
        "purpose": "inputs.purpose",
        "region": "context.region",
    }
    units: ClassVar[Units] = {
        "inputs.income": ((1 / 12, 0.0), (12.0, 0.0), (100.0, 0.0)),
        "inputs.requested": ((100.0, 0.0), (0.001, 0.0)),
        "inputs.debt_ratio": ((100.0, 0.0),),
        "inputs.employed_months": ((1 / 12, 0.0),),
    }
    natures = frozenset({"inflation", "promo", "heavy", "season"})
    features = (
        "steps.scale.income",
        "steps.scale.requested",
        "steps.clean.debt_ratio",
        "steps.scale.burden",
        "steps.dummies.purpose_car",
        "steps.dummies.purpose_home",
        "steps.dummies.purpose_debt",
        "steps.dummies.housing_rent",
        "steps.dummies.housing_own",
        "steps.clip.employed",
        "inputs.previous_defaults",
    )

    def draw(self, w: World) -> Cols:
        product = w.cat("product", {"personal": 52, "auto": 27, "home_improvement": 13, "student": 8})
        broker = w.cat(
            "broker", {"direct": 45, "comparer": 30, "bank_partner": 15, "dealer": 10}, weekend={"comparer": 0.5}
        )
        region = w.cat("region", {f"R{i:02d}": 14 - i for i in range(1, 12)})
        purpose = w.cat(
            "purpose", {"car": 30, "debt": 28, "home": 18, "travel": 12, "other": 12}, weekend={"travel": 0.3}
        )
        housing = w.cat("housing", {"rent": 45, "own": 38, "family": 17})
        income = (
            np.exp(10.4 + 0.25 * (housing == "own") - 0.5 * (product == "student"))
            * w.heavy("income", 0.32)
            * w.prices()
        )
        requested = (
            income * 0.3 * np.exp(0.6 * w.normal("requested") + 0.2 * (product == "auto")) * np.where(w.promo(), 0.8, 1)
        )
        requested *= 1 + 0.1 * w.season()
        debt = np.clip(
            0.28 + 0.14 * w.normal("debt") + 0.06 * (purpose == "debt") + 0.04 * (broker == "comparer"), 0, 1.4
        )
        employed = np.floor(np.exp(3.6 + 0.8 * w.normal("employed")))
        defaults = w.rng("defaults").poisson(0.12 + 0.1 * (broker == "comparer")).astype(float)
        odds = (
            -2.0
            - 0.9 * (np.log(income) - 10.4)
            + 2.4 * (debt - 0.28)
            + 0.9 * (np.log(requested / income) + 1.2)
            + 0.9 * defaults
        )
        odds += 0.4 * (purpose == "debt") - 0.5 * (housing == "own") - 0.012 * np.minimum(employed, 120) + 0.4
        return {
            "context.product": product,
            "context.broker": broker,
            "context.region": region,
            "inputs.income": holes(np.round(income, -1), w.choose("no income", 0.04)),
            "inputs.requested": np.round(requested, -2),
            "inputs.debt_ratio": holes(np.round(debt, 3), w.choose("no debt", 0.03)),
            "inputs.employed_months": employed,
            "inputs.purpose": purpose,
            "inputs.housing": housing,
            "inputs.previous_defaults": defaults,
            "inputs.postcode": w.many("postcode", 900, "{:05d}", 0.6),
            "inputs.birth_year": np.round(1983 - 11 * w.normal("birth")),
            "inputs.phone_verified": w.choose("phone", 0.88),
            "_y": (w.uniform("y") < sigmoid(odds)).astype(float),
        }

    def steps(self) -> Sequence[Op]:
        return (
            impute("steps.clean.income", "inputs.income", 33000.0),
            impute("steps.clean.debt_ratio", "inputs.debt_ratio", 0.28),
            Op("steps.burden.value", "ratio", ("inputs.requested", "steps.clean.income"), {"floor": 1.0}),
            log("steps.log.income", "steps.clean.income"),
            log("steps.log.requested", "inputs.requested"),
            scale("steps.scale.income", "steps.log.income", 10.45, 0.46),
            scale("steps.scale.requested", "steps.log.requested", 9.2, 0.75),
            scale("steps.scale.burden", "steps.burden.value", 0.36, 0.25),
            *onehot("dummies", "inputs.purpose", ["car", "home", "debt"]),
            *onehot("dummies", "inputs.housing", ["rent", "own"]),
            clip("steps.clip.employed", "inputs.employed_months", 0.0, 120.0),
        )


class Bare(App):
    """Two inputs, a score, a decision, a time: all that some teams ever log."""

    name = "leadscore"
    profile, weekend, per_day = "office", 0.5, (700, 3000)
    kind, rate, decisions = "linear", 0.25, ("call", "skip")
    version, fingerprints, has_id, ts_form = "", False, False, "s"
    units: ClassVar[Units] = {"inputs.budget": ((0.001, 0.0), (100.0, 0.0)), "inputs.visits": ((10.0, 0.0),)}
    natures = frozenset({"season", "inflation", "heavy", "promo"})
    features = ("_log_budget", "inputs.visits")

    def draw(self, w: World) -> Cols:
        visits = w.rng("visits").negative_binomial(2, 0.3, w.n) + 1.0 * w.promo()
        budget = (
            800 * w.heavy("budget", 0.6) * np.exp(0.06 * np.minimum(visits, 12)) * w.prices() * (1 + 0.1 * w.season())
        )
        odds = -3.3 + 0.9 * (np.log(budget) - 6.7) + 0.22 * np.minimum(visits, 15) + 0.3 * w.normal("odds")
        return {
            "inputs.budget": holes(np.round(budget), w.choose("no budget", 0.05)),
            "inputs.visits": visits.astype(float),
            "_y": (w.uniform("y") < sigmoid(odds)).astype(float),
        }

    def matrix(self, c: Cols) -> Array:
        from .ops import num

        return np.column_stack(
            [np.log1p(np.nan_to_num(num(c["inputs.budget"]), nan=800.0).clip(0)), num(c["inputs.visits"])]
        )
