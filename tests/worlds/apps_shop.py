"""Apps about customers and contracts: churn, car insurance, and a wide anonymous table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from .app import App, Span, Units
from .ops import Op, clip, impute, log, ordinal
from .world import Array, Cols, World, by, holes, sigmoid


class Churn(App):
    """A nightly batch that scores subscribers: no spans, no hosts, no labels, all rows at two in the morning."""

    name = "keepers"
    profile, weekend, per_day = "batch", 1.0, (800, 3000)
    golden_days, window_hours = (8, 24), (24, 24, 48)
    kind, rate, decisions = "forest", 0.22, ("offer", "leave")
    version, older, newer, digest = "rf-2026w40", "rf-2026w30", "rf-2026w44", False
    fingerprints = False
    dims = ("context.plan", "context.region", "context.cohort")
    mixes: ClassVar[Mapping[str, str]] = {
        "plan": "context.plan",
        "region": "context.region",
        "pay": "inputs.pay_method",
    }
    units: ClassVar[Units] = {
        "inputs.data_used_gb": ((1024.0, 0.0), (0.001, 0.0)),
        "inputs.tenure_months": ((30.4, 0.0), (1 / 12, 0.0)),
        "inputs.monthly_fee": ((100.0, 0.0),),
    }
    natures = frozenset({"season", "inflation", "promo", "heavy"})
    features = (
        "steps.fill.tenure",
        "steps.usage.per_fee",
        "steps.code.pay_method",
        "steps.fill.calls",
        "steps.cut.tickets",
        "steps.trend.value",
        "inputs.autopay",
    )

    def draw(self, w: World) -> Cols:
        plan = w.cat("plan", {"S": 40, "M": 35, "L": 18, "XL": 7})
        region = w.cat("region", {"nord": 30, "ost": 22, "sued": 28, "west": 20})
        cohort = w.cat("cohort", {"2021": 15, "2022": 20, "2023": 25, "2024": 25, "2025": 15})
        pay = w.cat("pay", {"sepa": 55, "card": 30, "invoice": 12, "wallet": 3})
        tenure = np.maximum(1, np.round(np.exp(3.0 + 0.8 * w.normal("tenure"))))
        fee = (
            by(plan, {"S": 9.99, "M": 19.99, "L": 34.99, "XL": 59.99}, 24.99)
            * np.round(w.prices(), 3)
            * np.where(w.promo(), 0.5, 1)
        )
        used = (
            by(plan, {"S": 2.0, "M": 7.0, "L": 18.0, "XL": 60.0}, 10.0) * w.heavy("used", 0.5) * (1 + 0.12 * w.season())
        )
        before = used * np.exp(0.25 * w.normal("before"))
        calls = w.rng("calls").poisson(14, w.n).astype(float)
        tickets = w.rng("tickets").negative_binomial(1, 0.6, w.n).astype(float)
        auto = w.choose("auto", by(pay, {"sepa": 0.8, "card": 0.7}, 0.2))
        odds = (
            -1.6
            - 0.45 * (np.log(tenure) - 3)
            + 0.5 * tickets
            - 0.8 * auto
            - 1.5 * np.log(used / before)
            - 0.02 * (calls - 14)
            + 0.5 * (pay == "invoice")
        )
        return {
            "context.plan": plan,
            "context.region": region,
            "context.cohort": cohort,
            "inputs.customer": w.many("customer", 9000, "C{:06d}", 0.05),
            "inputs.tenure_months": holes(tenure, w.choose("no tenure", 0.02)),
            "inputs.monthly_fee": np.round(fee, 2),
            "inputs.data_used_gb": np.round(used, 2),
            "inputs.data_before_gb": np.round(before, 2),
            "inputs.calls": holes(calls, w.choose("no calls", 0.05)),
            "inputs.tickets_90d": tickets,
            "inputs.pay_method": pay,
            "inputs.autopay": auto,
            "inputs.birth_year": np.round(1980 + 12 * w.normal("birth")),
            "inputs.newsletter": w.choose("news", 0.4),
            "_y": (w.uniform("y") < sigmoid(odds)).astype(float),
        }

    def steps(self) -> Sequence[Op]:
        return (
            impute("steps.fill.tenure", "inputs.tenure_months", 20.0),
            impute("steps.fill.calls", "inputs.calls", 14.0),
            Op("steps.usage.per_fee", "ratio", ("inputs.data_used_gb", "inputs.monthly_fee"), {"floor": 0.01}),
            ordinal("steps.code.pay_method", "inputs.pay_method", ["card", "invoice", "sepa", "wallet"]),
            clip("steps.cut.tickets", "inputs.tickets_90d", 0.0, 6.0),
            Op(
                "steps.trend.value",
                "ratio",
                ("inputs.data_used_gb", "inputs.data_before_gb"),
                {"floor": 0.01, "default": 1.0},
            ),
        )


class Insurance(App):
    """Car insurance quotes: a tariff of look-up factors, a premium instead of a score, referral by region."""

    name = "carcover"
    profile, weekend, per_day = "office", 0.6, (900, 3500)
    golden_days, window_hours = (10, 28), (24, 48, 72)
    kind, rate, decisions, segment = "rule", 0.16, ("refer", "quote"), "context.partner"
    score_path, score_digits = "outputs.premium", 2
    version, older, newer, model_name, digest = "tariff-9.3", "tariff-9.2", "tariff-9.4", "motor", True
    spans = (Span("vehicle_db", 35, 0.35), Span("claims_db", 50, 0.5), Span("rate", 2, 0.1, cpu=True))
    timeout_ms = 600.0
    errors: ClassVar[Mapping[str, float]] = {"VehicleNotFound": 0.004}
    dims = ("context.partner", "context.federal_state")
    mixes: ClassVar[Mapping[str, str]] = {
        "partner": "context.partner",
        "state": "context.federal_state",
        "fuel": "inputs.fuel",
    }
    units: ClassVar[Units] = {
        "inputs.power_kw": ((1.36, 0.0),),
        "inputs.km_per_year": ((0.621, 0.0), (1000.0, 0.0)),
        "inputs.vehicle_value": ((100.0, 0.0), (0.01, 0.0)),
    }
    natures = frozenset({"inflation", "heavy", "promo"})
    features = (
        "steps.factor.type_class",
        "steps.factor.region_class",
        "steps.band.age",
        "steps.band.km",
        "steps.log.value",
        "steps.history.claims",
        "steps.fill.power",
    )
    CLASSES = tuple(f"TK{i}" for i in range(10, 34))
    STATES = ("BW", "BY", "BE", "HH", "HE", "NI", "NW", "SN", "SH", "TH")

    def draw(self, w: World) -> Cols:
        partner = w.cat("partner", {"portal24": 40, "direct": 30, "dealer": 18, "bank": 12}, weekend={"portal24": 0.4})
        state = w.cat("state", {s: 16 - i for i, s in enumerate(self.STATES)})
        fuel = w.cat("fuel", {"petrol": 52, "diesel": 26, "electric": 14, "hybrid": 8})
        k = np.clip(np.round(11 + 5 * w.normal("class") + 2 * (fuel == "diesel")), 0, 23).astype(int)
        age = np.clip(np.round(46 + 15 * w.normal("age") - 4 * (partner == "portal24")), 18, 92)
        km = np.round(np.exp(9.35 + 0.45 * w.normal("km")), -3) + 1000 * w.promo()
        value = 21000 * w.heavy("value", 0.4) * w.prices() * np.where(fuel == "electric", 1.5, 1)
        power = np.round(np.exp(4.5 + 0.3 * w.normal("power")) * np.where(fuel == "electric", 1.3, 1))
        claims = w.rng("claims").poisson(0.22, w.n).astype(float)
        return {
            "context.partner": partner,
            "context.federal_state": state,
            "inputs.type_class": np.asarray(self.CLASSES, dtype=object)[k],
            "inputs.state": state.copy(),
            "inputs.fuel": fuel,
            "inputs.driver_age": age,
            "inputs.km_per_year": holes(km, w.choose("no km", 0.03)),
            "inputs.vehicle_value": np.round(value, -2),
            "inputs.power_kw": holes(power, w.choose("no power", 0.05)),
            "inputs.plate": w.many("plate", 5000, "K-XY {:06d}", 0.1),
            "inputs.garage": w.choose("garage", 0.45),
            "inputs.colour": w.cat("colour", {"grey": 30, "black": 28, "white": 20, "blue": 12, "red": 10}),
            "_store.claims": claims,
            "_y": claims,
        }

    def steps(self) -> Sequence[Op]:
        return (
            Op(
                "steps.factor.type_class",
                "lookup",
                ("inputs.type_class",),
                {"table": {c: round(0.7 + 0.035 * i, 3) for i, c in enumerate(self.CLASSES)}, "default": 1.0},
            ),
            Op(
                "steps.factor.region_class",
                "lookup",
                ("inputs.state",),
                {
                    "table": {s: round(0.85 + 0.045 * ((i * 7) % 10), 3) for i, s in enumerate(self.STATES)},
                    "default": 1.0,
                },
            ),
            Op("steps.band.age", "bucket", ("inputs.driver_age",), {"edges": [21, 25, 30, 65, 75]}),
            impute("steps.fill.km", "inputs.km_per_year", 12000.0),
            Op("steps.band.km", "bucket", ("steps.fill.km",), {"edges": [6000, 9000, 12000, 15000, 20000, 30000]}),
            impute("steps.fill.power", "inputs.power_kw", 90.0),
            log("steps.log.value", "inputs.vehicle_value", 0.0),
            Op(
                "steps.history.claims",
                "store",
                ("inputs.plate",),
                {"column": "_store.claims", "default": 0.0, "span": "claims_db"},
            ),
        )

    def rule(self, c: Cols, which: str) -> Array:
        from .ops import num

        tilt = {"current": 0.0, "older": 0.22, "newer": -0.02}.get(which, 0.3)
        young = np.asarray([1.9, 1.5, 1.15, 1.0, 1.1, 1.35])[np.clip(num(c["steps.band.age"]), 0, 5).astype(int)]
        base = (
            240
            * num(c["steps.factor.type_class"])
            * num(c["steps.factor.region_class"])
            * young
            * (0.88 + (0.05 + 0.08 * tilt) * num(c["steps.band.km"]))
        )
        x = (
            base
            * (1 + (0.3 - tilt) * num(c["steps.history.claims"]))
            * np.exp((0.25 + tilt) * (num(c["steps.log.value"]) - 9.95))
            * (1 + 0.002 * (num(c["steps.fill.power"]) - 90))
        )
        return np.asarray(np.nan_to_num(x, nan=300.0))


class Wide(App):
    """Sixty anonymous columns, of which the model reads a dozen; half of the names say nothing."""

    name = "wide60"
    profile, weekend, per_day = "flat", 0.9, (900, 3000)
    kind, rate, decisions = "trees", 0.25, ("B", "A")
    version, fingerprints, digest = "", False, False
    label_hours, label_values = (5.0, 0.3), ("no", "yes")
    dims = ("context.seg1", "context.seg2")
    mixes: ClassVar[Mapping[str, str]] = {
        "seg1": "context.seg1",
        "seg2": "context.seg2",
        "k03": "inputs.k03",
        "k05": "inputs.k05",
    }
    units: ClassVar[Units] = {
        "inputs.f04": ((100.0, 0.0), (0.1, 0.0)),
        "inputs.f11": ((1.8, 32.0),),
        "inputs.f20": ((1000.0, 0.0),),
    }
    natures = frozenset({"season", "heavy"})
    features = (
        "inputs.f00",
        "inputs.f04",
        "inputs.f11",
        "inputs.f17",
        "inputs.f20",
        "inputs.f23",
        "inputs.f31",
        "inputs.f38",
        "steps.t1.k03",
        "steps.t1.k05",
        "steps.t2.f29",
        "inputs.flag2",
    )

    def draw(self, w: World) -> Cols:
        c: Cols = {
            "context.seg1": w.cat("seg1", {"p": 45, "q": 30, "r": 15, "s": 10}),
            "context.seg2": w.cat("seg2", {f"g{i}": 20 - 2 * i for i in range(8)}),
        }
        common = w.normal("common")
        season = w.season()
        shapes = w.rng("shapes")
        for i in range(44):
            z = (
                0.4 * common
                + 0.9 * w.normal(f"f{i}")
                + (0.5 * season if i % 9 == 2 else 0)
                + 0.3 * (c["context.seg1"] == "q") * (i % 5 == 0)
            )
            kind = shapes.integers(4) if i not in (4, 11, 20) else [1, 0, 1][(4, 11, 20).index(i)]
            x = [
                20 + 6 * z,
                np.exp(3 + 0.7 * z) * (w.heavy(f"h{i}", 0.1) if i == 4 else 1),
                np.floor(np.exp(1 + 0.6 * z)),
                np.round(z, 2),
            ][int(kind)]
            c[f"inputs.f{i:02d}"] = holes(
                np.round(x, 3), w.choose(f"no {i}", [0, 0, 0.01, 0.05, 0.2][i % 5] if i % 2 else 0.0)
            )
            c[f"_z{i}"] = z
        for i in range(9):
            values = {f"{'abcdefghij'[i]}{j}": 12.0 - j for j in range(3 + i)}
            c[f"inputs.k{i:02d}"] = w.cat(f"k{i:02d}", values)
        for i in range(4):
            c[f"inputs.flag{i}"] = w.choose(f"flag{i}", 0.2 + 0.2 * i)
        c["inputs.key"] = w.many("key", 8000, "{:06d}", 0.2)
        hot = by(c["inputs.k03"], {"d0": 0.6, "d1": -0.5, "d2": 0.9}, 0.0) + by(
            c["inputs.k05"], {"f0": -0.5, "f3": 0.7}, 0.0
        )
        odds = (
            -1.2
            + 0.8 * c["_z0"]
            + 0.8 * c["_z4"]
            - 0.7 * c["_z11"]
            + 0.6 * c["_z17"]
            + 0.6 * c["_z20"]
            + 0.5 * c["_z23"]
            - 0.5 * c["_z31"]
            + 0.4 * c["_z38"]
            + 0.5 * c["_z29"]
        )
        c["_y"] = (w.uniform("y") < sigmoid(odds + hot + 0.7 * c["inputs.flag2"])).astype(float)
        return c

    def steps(self) -> Sequence[Op]:
        return (
            ordinal("steps.t1.k03", "inputs.k03", [f"d{j}" for j in range(6)]),
            ordinal("steps.t1.k05", "inputs.k05", [f"f{j}" for j in range(8)]),
            impute("steps.t2.f29", "inputs.f29", 1.0),
        )
