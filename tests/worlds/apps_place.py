"""Apps about places, weather and demand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from .app import App, Span, Units
from .ops import Op, impute, onehot, scale
from .world import Cols, World, by, holes


class Grid(App):
    """Electricity load by feeder and quarter hour: one weather value shared by many meters, quick labels."""

    name = "gridload"
    profile, weekend, per_day = "flat", 1.0, (1500, 5000)
    kind, decisions = "boost", ("shed", "normal")
    rate = 0.12
    version, older, newer, digest = "m-2026-10-02", "m-2026-07-15", "m-2026-11-01", False
    hosts = ("edge-1", "edge-2", "edge-3")
    spans = (Span("fetch_weather", 22, 0.4), Span("fetch_history", 15, 0.4), Span("infer", 9, 0.15, cpu=True))
    timeout_ms = 400.0
    label_hours, label_values = (2.0, 0.3), None
    ts_form = "ms"
    dims = ("context.utility", "context.zone", "hardware.host")
    mixes: ClassVar[Mapping[str, str]] = {"utility": "context.utility", "tariff": "inputs.tariff"}
    units: ClassVar[Units] = {
        "inputs.temperature": ((1.8, 32.0), (1.0, 273.15)),
        "inputs.wind": ((3.6, 0.0), (0.51, 0.0)),
        "inputs.floor_area": ((10.76, 0.0),),
        "inputs.pressure": ((0.1, 0.0), (0.75, 0.0)),
    }
    natures = frozenset({"season", "storm"})
    features = (
        "steps.norm.temperature",
        "steps.norm.wind",
        "steps.norm.area",
        "steps.clock.sin",
        "steps.clock.cos",
        "steps.lags.load_24h",
        "steps.tariff.tariff_night",
        "steps.tariff.tariff_industrial",
        "inputs.weekend",
    )

    def draw(self, w: World) -> Cols:
        zone = w.cat("zone", {f"Z{i}": 10 for i in range(1, 9)})
        utility = w.cat("utility", {"north": 40, "coast": 30, "metro": 18, "valley": 12})
        tariff = w.cat("tariff", {"flat": 55, "night": 25, "industrial": 12, "green": 8})
        storm = w.storm(zone)
        wet = w.walk("temperature", by=zone)
        temperature = 9 + 11 * w.season() + 4 * w.daylight + 2.5 * wet - 4 * storm
        wind = np.abs(4.5 + 2.2 * w.walk("wind", by=zone, rho=0.9) + 13 * storm)
        pressure = 1014 + 7 * w.walk("pressure", by=zone, rho=0.98) - 22 * storm
        area = np.exp(4.6 + 0.5 * w.normal("area"))
        clock = w.ts / 3.6e9 % 24
        base = np.exp(0.8 * np.log(area / 100)) * by(tariff, {"industrial": 4.0, "night": 1.2}, 1.0)
        daily = 1 + 0.35 * np.sin(2 * np.pi * (clock - 9) / 24) + 0.2 * np.sin(4 * np.pi * (clock - 7) / 24)
        heat = 0.035 * np.maximum(16 - temperature, 0) + 0.05 * np.maximum(temperature - 23, 0) + 0.012 * wind
        own = np.exp(0.18 * w.normal("meter"))
        load = base * own * (daily * (1 - 0.12 * w.weekend) + heat) * np.exp(0.08 * w.normal("load"))
        ago = base * own * (daily + 0.9 * heat) * np.exp(0.12 * w.normal("load ago"))
        stale = ago * np.exp(0.25 * w.normal("load stale"))
        return {
            "context.utility": utility,
            "context.zone": zone,
            "inputs.temperature": holes(np.round(temperature, 1), w.choose("no temp", 0.015)),
            "inputs.wind": np.round(wind, 1),
            "inputs.pressure": np.round(pressure, 1),
            "inputs.humidity": np.round(np.clip(70 - 12 * wet + 8 * w.walk("humidity", by=zone), 5, 100)),
            "inputs.floor_area": np.round(area),
            "inputs.tariff": tariff,
            "inputs.clock": np.round(clock, 2),
            "inputs.weekend": w.weekend > 0,
            "inputs.meter_id": w.many("meter", 700, "MT-{:06d}", 0.2),
            "_store.load_24h": np.round(ago, 3),
            "_stale.load_24h": np.round(stale, 3),
            "age.load_24h": np.round(900 + 300 * np.abs(w.normal("age"))),
            "_y": load,
        }

    def steps(self) -> Sequence[Op]:
        return (
            impute("steps.clean.temperature", "inputs.temperature", 10.0),
            scale("steps.norm.temperature", "steps.clean.temperature", 10.0, 9.0),
            scale("steps.norm.wind", "inputs.wind", 4.7, 2.2),
            scale("steps.norm.area", "inputs.floor_area", 112.0, 60.0),
            Op("steps.clock.sin", "sin", ("inputs.clock",), {"period": 24.0}),
            Op("steps.clock.cos", "sin", ("inputs.clock",), {"period": 24.0, "phase": -6.0}),
            Op(
                "steps.lags.load_24h",
                "store",
                ("inputs.meter_id",),
                {"column": "_store.load_24h", "default": 1.0, "span": "fetch_history"},
            ),
            *onehot("tariff", "inputs.tariff", ["night", "industrial"]),
        )


class Bikes(App):
    """Bike demand by station and hour: no decision at all, weather as text, labels an hour later, times as text."""

    name = "docks"
    profile, weekend, per_day = "commute", 1.05, (1200, 4000)
    kind, decisions, score_path, score_digits = "boost", (), "outputs.demand", 2
    version, older, newer, digest, fingerprints, ts_form = "3", "2", "4", False, True, "text"
    label_hours, label_values = (1.1, 0.1), None
    dims = ("context.city", "context.zone_type")
    mixes: ClassVar[Mapping[str, str]] = {"city": "context.city", "zone_type": "context.zone_type"}
    units: ClassVar[Units] = {
        "inputs.temp_c": ((1.8, 32.0), (0.1, 0.0)),
        "inputs.windspeed": ((3.6, 0.0), (0.54, 0.0)),
        "inputs.humidity": ((0.01, 0.0),),
    }
    natures = frozenset({"season", "storm", "promo"})
    features = (
        "steps.norm.temp",
        "steps.norm.wind",
        "inputs.humidity",
        "steps.code.weather",
        "steps.cyc.hour",
        "steps.cyc.hour_c",
        "inputs.workingday",
        "steps.lag.last_week",
        "steps.is.zone_type_leisure",
    )

    def draw(self, w: World) -> Cols:
        city = w.cat("city", {"Lyon": 35, "Ghent": 25, "Turin": 22, "Malmo": 18})
        zone = w.cat(
            "zone_type",
            {"centre": 40, "campus": 20, "leisure": 22, "suburb": 18},
            weekend={"leisure": 0.5, "campus": -0.4},
        )
        storm = w.storm(city)
        temp = 13 + 9 * w.season() + 3 * w.daylight + 2 * w.walk("temp", by=city) - 3 * storm
        wet = w.walk("wet", by=city, rho=0.93) + 2.0 * storm
        wind = np.abs(11 + 5 * w.walk("wind", by=city, rho=0.92) + 22 * storm)
        hum = np.clip(62 + 12 * wet, 12, 100)
        weather = np.select([wet > 1.9, wet > 1.0, wet > 0.1], ["heavy rain", "light rain", "cloudy"], "clear").astype(
            object
        )
        rush = np.exp(-((w.hour - 8) ** 2) / 5) + 1.2 * np.exp(-((w.hour - 17.5) ** 2) / 8)
        level = by(zone, {"centre": 2.1, "campus": 1.7, "leisure": 1.5, "suburb": 1.0}, 1.4) + 0.1 * w.promo()
        mean = np.exp(
            level
            + 0.5 * rush * (1 - w.weekend)
            + 0.4 * w.weekend * np.exp(-((w.hour - 14) ** 2) / 20)
            + 0.03 * (temp - 13)
            - 0.35 * (wet > 1)
            - 0.01 * wind
        )
        own = np.exp(0.3 * w.normal("own"))
        week = np.round(mean * own * np.exp(0.3 * w.normal("week")), 1)
        return {
            "context.city": city,
            "context.zone_type": zone,
            "inputs.station": w.many("station", 160, "ST{:06d}", 0.1),
            "inputs.temp_c": np.round(temp, 1),
            "inputs.windspeed": holes(np.round(wind, 1), w.choose("no wind", 0.03)),
            "inputs.humidity": np.round(hum),
            "inputs.weather": weather,
            "inputs.local_hour": w.hour.astype(float),
            "inputs.workingday": w.weekend == 0,
            "inputs.zone_type": zone.copy(),
            "inputs.capacity": np.round(np.exp(3 + 0.3 * w.normal("capacity"))),
            "_store.last_week": week,
            "_stale.last_week": np.round(week * np.exp(0.45 * w.normal("stale")), 1),
            "age.last_week": np.round(3600 * (1 + 0.1 * np.abs(w.normal("age")))),
            "_y": w.rng("y").poisson(mean * own).astype(float),
        }

    def steps(self) -> Sequence[Op]:
        return (
            impute("steps.fill.wind", "inputs.windspeed", 11.0),
            scale("steps.norm.temp", "inputs.temp_c", 13.0, 8.0),
            scale("steps.norm.wind", "steps.fill.wind", 11.5, 5.0),
            Op(
                "steps.code.weather",
                "ordinal",
                ("inputs.weather",),
                {"map": {"clear": 0, "cloudy": 1, "light rain": 2, "heavy rain": 3}},
            ),
            Op("steps.cyc.hour", "sin", ("inputs.local_hour",), {"period": 24.0}),
            Op("steps.cyc.hour_c", "sin", ("inputs.local_hour",), {"period": 24.0, "phase": -6.0}),
            Op("steps.lag.last_week", "store", ("inputs.station",), {"column": "_store.last_week", "default": 0.0}),
            *onehot("is", "inputs.zone_type", ["leisure"]),
        )


class Parcel(App):
    """Arrival times of parcels: a route service that may time out, a promise by minutes, labels the same day."""

    name = "parcel_eta"
    profile, weekend, per_day = "office", 0.5, (1500, 5000)
    kind, rate, decisions = "boost", 0.3, ("tomorrow", "today")
    score_path = "outputs.eta_min"
    version, older, newer, model_name = "eta@41", "eta@40", "eta@42", "eta"
    hosts = ("k8s-n4", "k8s-n7", "k8s-n9", "k8s-n12")
    spans = (Span("route_service", 60, 0.4), Span("traffic_api", 30, 0.5), Span("predict", 5, 0.15, cpu=True))
    timeout_ms = 900.0
    errors: ClassVar[Mapping[str, float]] = {"RouteServiceError 503": 0.002, "ValueError: negative weight": 0.0005}
    label_hours, label_values, sequence = (4.0, 0.3), None, True
    dims = ("context.depot", "context.vehicle", "hardware.host")
    mixes: ClassVar[Mapping[str, str]] = {
        "depot": "context.depot",
        "vehicle": "context.vehicle",
        "size": "inputs.size_class",
    }
    units: ClassVar[Units] = {
        "inputs.weight_kg": ((1000.0, 0.0), (2.205, 0.0)),
        "inputs.air_km": ((0.621, 0.0), (1000.0, 0.0)),
        "inputs.temperature": ((1.8, 32.0),),
    }
    natures = frozenset({"season", "storm", "promo", "heavy"})
    features = (
        "steps.route.km",
        "steps.traffic.index",
        "steps.stops.value",
        "steps.code.vehicle",
        "steps.rush.sin",
        "steps.log.weight",
        "inputs.floor",
        "steps.detour.value",
    )

    def draw(self, w: World) -> Cols:
        depot = w.cat("depot", {"HAM1": 30, "HAM2": 18, "BRE1": 20, "KIE1": 12, "LUB1": 12, "FLE1": 8})
        vehicle = w.cat("vehicle", {"van": 62, "bike": 20, "ebike_cargo": 12, "truck": 6}, weekend={"truck": -1.0})
        storm = w.storm(depot)
        air = np.exp(1.5 + 0.7 * w.normal("air")) * by(vehicle, {"bike": 0.4, "ebike_cargo": 0.5, "truck": 2.0}, 1.0)
        km = air * (1.25 + 0.12 * np.abs(w.normal("detour")))
        jam = np.clip(
            1 + 0.25 * w.daylight * (1 - w.weekend) + 0.12 * w.walk("jam", by=depot, rho=0.85) + 0.25 * storm, 0.6, 3
        )
        before = 1.0 + w.rng("stops").poisson(6 + 4 * w.festive + 2 * w.promo())
        floor = w.rng("floor").integers(0, 7, w.n).astype(float)
        kg = 2.2 * w.heavy("kg", 0.5)
        speed = by(vehicle, {"van": 26.0, "bike": 15.0, "ebike_cargo": 17.0, "truck": 24.0}, 20.0)
        minutes = 8 + km / speed * 60 * jam + before * (4.5 + 0.3 * np.log1p(kg)) + 0.6 * floor
        return {
            "context.depot": depot,
            "context.vehicle": vehicle,
            "inputs.weight_kg": np.round(kg, 2),
            "inputs.size_class": w.cat("size", {"S": 45, "M": 35, "L": 15, "XXL": 5}),
            "inputs.air_km": np.round(air, 2),
            "inputs.vehicle": vehicle.copy(),
            "inputs.stops_before": before,
            "inputs.floor": floor,
            "inputs.local_hour": w.hour.astype(float),
            "inputs.temperature": np.round(9 + 8 * w.season() + 3 * w.daylight - 2 * storm, 1),
            "inputs.recipient": w.many("recipient", 15000, "{:06d}", 0.1),
            "inputs.fragile": w.choose("fragile", 0.1),
            "_store.km": np.round(km, 2),
            "_store.jam": np.round(jam, 3),
            "_stale.jam": np.round(np.roll(jam, 97), 3),
            "age.jam": np.round(60 + 40 * np.abs(w.normal("age jam"))),
            "_y": minutes * np.exp(0.12 * w.normal("y")),
        }

    def steps(self) -> Sequence[Op]:
        return (
            Op(
                "steps.route.km",
                "store",
                ("inputs.recipient",),
                {"column": "_store.km", "default": 6.0, "span": "route_service"},
            ),
            Op(
                "steps.traffic.index",
                "store",
                ("inputs.recipient",),
                {"column": "_store.jam", "default": 1.0, "span": "traffic_api"},
            ),
            Op("steps.detour.value", "ratio", ("steps.route.km", "inputs.air_km"), {"floor": 0.05, "default": 1.3}),
            Op("steps.stops.value", "copy", ("inputs.stops_before",)),
            Op(
                "steps.code.vehicle",
                "ordinal",
                ("inputs.vehicle",),
                {"map": {"bike": 0, "ebike_cargo": 1, "truck": 2, "van": 3}},
            ),
            Op("steps.rush.sin", "sin", ("inputs.local_hour",), {"period": 24.0, "phase": 8.0}),
            Op("steps.log.weight", "log", ("inputs.weight_kg",)),
        )
