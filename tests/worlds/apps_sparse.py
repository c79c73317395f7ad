"""Apps whose rows are few, or come in bunches: a forecast an hour and zone, a shelf of products for each visit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from .app import App, Span, Units
from .ops import Op, impute, log, scale
from .world import Cols, World, by, holes


class Water(App):
    """How much water a town will need: a few rows an hour over weeks, so that all of them share weather and calendar."""

    name = "waterworks"
    profile, weekend, per_day = "flat", 1.0, (90, 160)
    golden_days, window_hours = (42, 70), (168, 240, 336)
    kind, decisions, score_path, score_digits = "boost", ("pump", "hold"), "outputs.m3", 1
    rate = 0.25
    version, older, newer, digest, fingerprints = "9", "8", "10", False, True
    label_hours, label_values = (1.5, 0.2), None
    dims = ("context.zone",)
    mixes: ClassVar[Mapping[str, str]] = {"zone": "context.zone"}
    units: ClassVar[Units] = {
        "inputs.temperature": ((1.8, 32.0), (1.0, 273.15)),
        "inputs.pressure_bar": ((100.0, 0.0), (14.5, 0.0)),
        "inputs.rain_mm": ((0.0394, 0.0),),
    }
    natures = frozenset({"season", "storm"})
    features = (
        "steps.norm.temperature",
        "steps.norm.pressure",
        "steps.log.rain",
        "steps.cyc.hour",
        "steps.cyc.hour_c",
        "inputs.holiday",
        "steps.lag.yesterday",
    )

    def draw(self, w: World) -> Cols:
        zone = w.cat("zone", {"hill": 26, "harbour": 25, "old town": 25, "mills": 24})
        storm = w.storm()
        warm = w.walk("warm", rho=0.985)
        temperature = 12 + 9 * w.season() + 3.5 * w.daylight + 3.0 * warm - 4 * storm
        wet = w.walk("wet", rho=0.95) + 2.5 * storm
        rain = np.where(wet > 1.1, 2.2 * (wet - 1.1), 0.0)
        pressure = 4.2 + 0.25 * w.walk("pressure", by=zone, rho=0.98) + by(zone, {"hill": -1.1, "harbour": 0.4}, 0.0)
        daily = 1 + 0.4 * np.sin(2 * np.pi * (w.hour - 9) / 24) + 0.2 * np.sin(4 * np.pi * (w.hour - 6) / 24)
        mean = by(zone, {"hill": 60.0, "harbour": 140.0, "old town": 95.0, "mills": 120.0}, 90.0) * (
            daily * (1 - 0.15 * w.weekend) + 0.02 * np.maximum(temperature - 18, 0) - 0.01 * np.minimum(rain, 10)
        )
        load = np.maximum(mean * np.exp(0.06 * w.walk("town", rho=0.9) + 0.05 * w.normal("load")), 1.0)
        ago = np.maximum(mean * np.exp(0.1 * w.normal("ago")), 1.0)
        return {
            "context.zone": zone,
            "inputs.temperature": np.round(temperature, 1),
            "inputs.rain_mm": np.round(rain, 1),
            "inputs.humidity": np.round(np.clip(0.66 + 0.12 * wet, 0.15, 1.0), 2),
            "inputs.pressure_bar": holes(np.round(pressure, 2), w.choose("no pressure", 0.02)),
            "inputs.hour": w.hour.astype(float),
            "inputs.holiday": w.weekend > 0,
            "inputs.season": np.asarray(["winter", "spring", "summer", "autumn"], dtype=object)[
                ((w.ts / 8.64e10 % 365.25 + 10) // 91.32).astype(int) % 4
            ],
            "_store.yesterday": np.round(ago, 1),
            "_stale.yesterday": np.round(ago * np.exp(0.3 * w.normal("stale")), 1),
            "age.yesterday": np.round(86_400 * (1 + 0.02 * np.abs(w.normal("age")))),
            "_y": load,
        }

    def steps(self) -> Sequence[Op]:
        return (
            impute("steps.fill.pressure", "inputs.pressure_bar", 4.2),
            scale("steps.norm.temperature", "inputs.temperature", 12.0, 8.0),
            scale("steps.norm.pressure", "steps.fill.pressure", 4.2, 0.6),
            log("steps.log.rain", "inputs.rain_mm"),
            Op("steps.cyc.hour", "sin", ("inputs.hour",), {"period": 24.0}),
            Op("steps.cyc.hour_c", "sin", ("inputs.hour",), {"period": 24.0, "phase": -6.0}),
            Op("steps.lag.yesterday", "store", ("context.zone",), {"column": "_store.yesterday", "default": 0.0}),
        )


class Shelf(App):
    """What to show first in a shop: eight to twenty products a visit, which share the visitor and all that is known of him."""

    name = "shelf"
    profile, weekend, per_day = "evening", 1.2, (3000, 9000)
    golden_days = (6, 16)
    kind, decisions, rate = "trees", ("show", "skip"), 0.15
    version, older, newer = "r31", "r30", "r32"
    hosts = ("s-1", "s-2", "s-3", "s-4")
    spans = (Span("visitor", 6, 0.4), Span("stock", 9, 0.45), Span("score", 2.5, 0.2, cpu=True))
    timeout_ms = 120.0
    label_hours = (1.0, 0.6)
    dims = ("context.shop", "context.page", "hardware.host")
    mixes: ClassVar[Mapping[str, str]] = {"kind": "inputs.kind"}
    units: ClassVar[Units] = {"inputs.price": ((100.0, 0.0), (0.85, 0.0)), "inputs.visit_s": ((1000.0, 0.0),)}
    natures = frozenset({"inflation", "promo", "heavy"})
    features = (
        "steps.log.price",
        "steps.taste.affinity",
        "steps.log.visit",
        "inputs.stars",
        "inputs.in_basket",
        "steps.stock.left",
    )

    def draw(self, w: World) -> Cols:
        visit = np.cumsum(w.rng("visit").random(w.n) < 1 / 12)
        each = w.rng("visitor").permutation(int(visit.max(initial=0)) + 1)[visit]

        def of_visit(name: str) -> np.ndarray:
            return w.rng(name).standard_normal(int(each.max(initial=0)) + 1)[each]

        shop = np.asarray(["no", "dk", "se", "fi"], dtype=object)[np.digitize(of_visit("shop"), [-0.3, 0.3, 0.9])]
        page = np.asarray(["home", "search", "basket"], dtype=object)[np.digitize(of_visit("page"), [0.0, 1.0])]
        kind = w.cat("kind", {"shoes": 30, "coats": 22, "bags": 18, "toys": 16, "lamps": 14})
        typical = by(kind, {"shoes": 80.0, "coats": 140.0, "bags": 60.0, "toys": 25.0, "lamps": 45.0}, 60.0)
        price = typical * w.heavy("price", 0.3) * w.prices() * np.where(w.promo(), 0.75, 1)
        taste = np.clip(0.5 + 0.2 * of_visit("taste") + 0.12 * w.normal("taste"), 0, 1)
        stars = np.clip(np.round(4.1 + 0.6 * w.normal("stars"), 1), 1, 5)
        seconds = np.exp(4.0 + 0.9 * of_visit("seconds"))
        basket = np.round(np.exp(0.5 * of_visit("basket")))
        left = np.round(np.exp(3.0 + 0.8 * w.normal("left")))
        logit = -3.2 + 2.4 * taste - 0.5 * np.log(price / typical) + 0.3 * (stars - 4) + 0.2 * basket - 0.3 * (left < 4)
        return {
            "context.shop": shop,
            "context.page": page,
            "inputs.visit_id": np.asarray([f"v{i:07d}" for i in visit], dtype=object),
            "inputs.product": w.many("product", 3000, "p{:06d}", 0.7),
            "inputs.kind": kind,
            "inputs.price": np.round(price, 2),
            "inputs.stars": stars,
            "inputs.visit_s": np.round(seconds, 1),
            "inputs.in_basket": basket,
            "_store.affinity": np.round(taste, 3),
            "_stale.affinity": np.round(np.clip(taste + 0.2 * w.normal("stale"), 0, 1), 3),
            "_store.left": left,
            "_stale.left": np.round(left * np.exp(0.4 * w.normal("stale left"))),
            "_y": (w.uniform("y") < 1 / (1 + np.exp(-logit))).astype(float),
        }

    def steps(self) -> Sequence[Op]:
        return (
            log("steps.log.price", "inputs.price"),
            log("steps.log.visit", "inputs.visit_s"),
            Op(
                "steps.taste.affinity",
                "store",
                ("inputs.visit_id",),
                {"column": "_store.affinity", "default": 0.5, "span": "visitor"},
            ),
            Op(
                "steps.stock.left",
                "store",
                ("inputs.product",),
                {"column": "_store.left", "default": 0.0, "span": "stock"},
            ),
        )
