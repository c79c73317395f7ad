"""Apps about bodies and machines: medical triage, turbine sensors, an image classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from .app import NOTHING, App, Span, Units
from .ops import Op, clip, impute, num, ordinal, scale
from .world import Array, Cols, World, by, holes, sigmoid


class Triage(App):
    """Emergency triage: vital signs with many gaps, free text, four urgency levels, admission as label within hours."""

    name = "triage"
    profile, weekend, per_day = "flat", 1.15, (600, 1800)
    golden_days, window_hours = (10, 28), (24, 48, 72)
    kind, rate, decisions = "trees", 0.12, ("immediate", "urgent", "standard", "waiting")
    version, older, newer, model_name, digest = "1.9.0", "1.8.2", "1.10.0", "esi-net", True
    label_hours, label_values = (5.0, 0.5), ("home", "admitted")
    dims = ("context.hospital", "context.arrival")
    mixes: ClassVar[Mapping[str, str]] = {"hospital": "context.hospital", "arrival": "context.arrival"}
    units: ClassVar[Units] = {
        "inputs.temperature": ((1.8, 32.0),),
        "inputs.spo2": ((0.01, 0.0),),
        "inputs.weight": ((2.205, 0.0),),
        "inputs.glucose": ((18.0, 0.0),),
    }
    natures = frozenset({"season", "storm"})
    features = (
        "steps.fill.heart_rate",
        "steps.fill.spo2",
        "steps.fill.temperature",
        "steps.fill.systolic",
        "steps.shock.index",
        "steps.band.age",
        "steps.text.alarm_words",
        "steps.code.arrival",
        "steps.clip.glucose",
    )
    MILD = ("cough", "sore throat", "ankle pain", "rash", "small cut", "back pain", "earache", "headache")
    GRAVE = ("chest pain", "short of breath", "fainted", "confused", "severe bleeding", "stroke symptoms")

    def draw(self, w: World) -> Cols:
        hospital = w.cat("hospital", {"St. Anna": 34, "Mitte": 30, "Nord": 22, "Seeklinik": 14})
        arrival = w.cat(
            "arrival", {"walk-in": 58, "ambulance": 26, "referral": 12, "helicopter": 4}, day={"ambulance": -0.3}
        )
        flu = np.clip(0.15 - 0.12 * w.season() + 0.25 * w.storm(hospital), 0, 0.8)
        sick = w.choose("flu", flu)
        grave = w.choose(
            "grave", by(arrival, {"walk-in": 0.12, "ambulance": 0.45, "referral": 0.3, "helicopter": 0.9}, 0.25)
        )
        age = np.clip(np.round(47 + 23 * w.normal("age") + 8 * grave), 0, 101)
        rate = 84 + 12 * w.normal("rate") + 14 * grave + 8 * sick
        spo2 = np.minimum(100, 97.3 + 1.3 * w.normal("spo2") - 4 * grave * np.abs(w.normal("spo2 g")) - 1 * sick)
        temp = 36.8 + 0.4 * w.normal("temp") + 1.2 * sick
        systolic = 131 + 17 * w.normal("systolic") - 16 * grave * w.choose("shock", 0.4)
        glucose = np.exp(1.75 + 0.22 * w.normal("glucose") + 0.2 * grave)
        first = w.rng("mild").integers(0, 8, w.n)
        second = w.rng("grave word").integers(0, 6, w.n)
        days = w.rng("days").integers(1, 9, w.n)
        note = [
            f"{self.GRAVE[j] if g else self.MILD[i]} since {d} {'hours' if g else 'days'}{', fever' if s else ''}"
            for i, j, g, d, s in zip(first, second, grave, days, sick, strict=True)
        ]
        odds = (
            -2.6
            + 1.9 * grave
            + 0.02 * (age - 47)
            + 0.03 * (rate - 84)
            - 0.28 * (spo2 - 97)
            - 0.012 * (systolic - 130)
            + 0.3 * (temp - 37)
            + 0.5 * (arrival == "ambulance")
        )
        return {
            "context.hospital": hospital,
            "context.arrival": arrival,
            "inputs.age": age,
            "inputs.sex": holes(w.cat("sex", {"f": 51, "m": 48, "d": 1}), w.choose("no sex", 0.01)),
            "inputs.heart_rate": holes(np.round(rate), w.choose("no rate", 0.05)),
            "inputs.spo2": holes(np.round(spo2), w.choose("no spo2", 0.1)),
            "inputs.temperature": holes(np.round(temp, 1), w.choose("no temp", 0.12)),
            "inputs.systolic": holes(np.round(systolic), w.choose("no bp", 0.08)),
            "inputs.glucose": holes(np.round(glucose, 1), w.choose("no glucose", 0.45)),
            "inputs.weight": holes(np.round(76 + 15 * w.normal("weight")), w.choose("no weight", 0.5)),
            "inputs.complaint": np.asarray(note, dtype=object),
            "inputs.arrival": arrival.copy(),
            "inputs.nurse": w.many("nurse", 60, "N{:06d}", 0.2),
            "_y": (w.uniform("y") < sigmoid(odds)).astype(float),
        }

    def steps(self) -> Sequence[Op]:
        return (
            impute("steps.fill.heart_rate", "inputs.heart_rate", 86.0),
            impute("steps.fill.spo2", "inputs.spo2", 97.0),
            impute("steps.fill.temperature", "inputs.temperature", 36.9),
            impute("steps.fill.systolic", "inputs.systolic", 130.0),
            impute("steps.fill.glucose", "inputs.glucose", 5.7),
            Op("steps.shock.index", "ratio", ("steps.fill.heart_rate", "steps.fill.systolic"), {"floor": 1.0}),
            Op("steps.band.age", "bucket", ("inputs.age",), {"edges": [2, 12, 18, 40, 65, 80]}),
            Op(
                "steps.text.alarm_words",
                "words",
                ("inputs.complaint",),
                {"words": {"chest", "breath", "fainted", "confused", "severe", "bleeding", "stroke"}},
            ),
            ordinal("steps.code.arrival", "inputs.arrival", ["ambulance", "helicopter", "referral", "walk-in"]),
            clip("steps.clip.glucose", "steps.fill.glucose", 3.0, 12.0),
        )


class Turbine(App):
    """Wind turbine sensors: many correlated channels that follow wind and load, edge devices, alarms, never a label."""

    name = "turbine_watch"
    profile, weekend, per_day = "flat", 1.0, (2000, 6000)
    golden_days, window_hours = (4, 14), (6, 12, 24, 48)
    kind, rate, decisions, decision_path = "linear", 0.1, ("alarm", "ok"), "decision"
    version, older, newer, model_name, digest = "ae-5", "ae-4", "ae-6", "", True
    hosts = ("edge-alpha", "edge-bravo", "edge-charlie", "edge-delta", "edge-echo")
    spans = (Span("read_bus", 12, 0.3), Span("fft", 7, 0.15, cpu=True), Span("infer", 4, 0.15, cpu=True))
    sequence, ts_form = True, "ms"
    dims = ("context.park", "context.turbine_type", "hardware.host")
    mixes: ClassVar[Mapping[str, str]] = {"park": "context.park", "type": "context.turbine_type"}
    units: ClassVar[Units] = {
        "inputs.oil_temp": ((1.8, 32.0), (1.0, 273.15)),
        "inputs.rotor_rpm": ((0.10472, 0.0),),
        "inputs.wind_ms": ((1.944, 0.0), (3.6, 0.0)),
        "inputs.hydraulic_bar": ((14.5, 0.0), (0.1, 0.0)),
    }
    natures = frozenset({"season", "storm"})
    features = (
        "steps.z.oil_over_ambient",
        "steps.z.vib_per_rpm",
        "steps.z.power_residual",
        "steps.z.hydraulic",
        "steps.z.gear_temp",
        "steps.z.pitch_spread",
    )

    def draw(self, w: World) -> Cols:
        park = w.cat("park", {"Borkum": 35, "Helga": 30, "Thor": 20, "Ostwall": 15})
        kind = w.cat("type", {"V90": 50, "E82": 30, "N117": 20})
        wind = np.abs(8 + 3.2 * w.walk("gusts", by=park, rho=0.95) + 0.8 * w.normal("wind") + 9 * w.storm(park))
        ambient = 9 + 8 * w.season() + 2.5 * w.daylight + 1.5 * w.walk("ambient", by=park)
        rpm = np.clip(4 + 1.15 * wind + 0.4 * w.normal("rpm"), 0, 18) * by(kind, {"N117": 0.85}, 1.0)
        power = np.clip(9.5 * wind**2.2, 0, 2300) * by(kind, {"N117": 1.1}, 1.0) * np.exp(0.04 * w.normal("power"))
        worn = np.abs(w.walk("worn", by=w.many("unit", 40, "T{:06d}", 0.1), rho=0.995)) * 0.9
        oil = ambient + 28 + 0.009 * power + 3 * worn + 1.2 * w.normal("oil")
        gear = oil + 6 + 2 * worn + 1 * w.normal("gear")
        vib = 0.12 * rpm * np.exp(0.12 * w.normal("vib") + 0.22 * worn)
        hydraulic = 162 + 3 * w.normal("hyd") - 2.5 * worn
        pitch = np.clip(0.9 * np.maximum(wind - 11, 0), 0, 25)
        odds = -3.9 + 1.6 * worn + 0.3 * w.normal("odds")
        c: Cols = {
            "context.park": park,
            "context.turbine_type": kind,
            "inputs.turbine": w.many("unit", 40, "T{:06d}", 0.1),
            "inputs.wind_ms": np.round(wind, 2),
            "inputs.ambient_temp": np.round(ambient, 1),
            "inputs.rotor_rpm": np.round(rpm, 2),
            "inputs.power_kw": np.round(power, 1),
            "inputs.oil_temp": np.round(oil, 1),
            "inputs.gear_temp": holes(np.round(gear, 1), w.choose("no gear", 0.01)),
            "inputs.vibration_mm_s": np.round(vib, 3),
            "inputs.hydraulic_bar": np.round(hydraulic, 1),
            "_y": (w.uniform("y") < sigmoid(odds)).astype(float),
        }
        for i in range(3):
            c[f"inputs.pitch_{'abc'[i]}"] = np.round(
                pitch + 0.15 * w.normal(f"pitch{i}") * (1 + 0.6 * worn * (i == 1)), 2
            )
        for i in range(6):
            c[f"inputs.phase_{i}"] = np.round(power / 2.1 + 10 * w.normal(f"phase{i}"), 1)
        c["inputs.yaw_deg"] = np.round((180 + 60 * w.walk("yaw", by=park)) % 360, 1)
        c["inputs.status"] = w.cat("status", {"RUN": 93, "IDLE": 5, "TEST": 2})
        c["hardware.clock_mhz"] = np.round(1500 + 15 * w.normal("clock"))
        c["hardware.temperature_c"] = np.round(48 + 0.3 * ambient + 2 * w.normal("cpu temp"))
        return c

    def steps(self) -> Sequence[Op]:
        return (
            impute("steps.fill.gear", "inputs.gear_temp", 56.0),
            Op("steps.diff.oil", "diff", ("inputs.oil_temp", "inputs.ambient_temp")),
            Op(
                "steps.ratio.vib",
                "ratio",
                ("inputs.vibration_mm_s", "inputs.rotor_rpm"),
                {"floor": 0.5, "default": 0.12},
            ),
            Op("steps.curve.expected", "curve", ("inputs.wind_ms",)),
            Op("steps.diff.power", "diff", ("inputs.power_kw", "steps.curve.expected")),
            Op("steps.diff.gear", "diff", ("steps.fill.gear", "inputs.oil_temp")),
            Op("steps.diff.pitch", "spread", ("inputs.pitch_a", "inputs.pitch_b", "inputs.pitch_c")),
            scale("steps.z.oil_over_ambient", "steps.diff.oil", 37.0, 8.0),
            scale("steps.z.vib_per_rpm", "steps.ratio.vib", 0.14, 0.03),
            scale("steps.z.power_residual", "steps.diff.power", 0.0, 90.0),
            scale("steps.z.hydraulic", "inputs.hydraulic_bar", 160.5, 3.6),
            scale("steps.z.gear_temp", "steps.diff.gear", 7.5, 1.6),
            scale("steps.z.pitch_spread", "steps.diff.pitch", 0.27, 0.15),
        )


class Vision(App):
    """Crop photos: an embedding as a list, probabilities as a list, a text label, GPUs, a precision column."""

    name = "leafscan"
    profile, weekend, per_day = "office", 0.9, (900, 3000)
    golden_days, window_hours = (5, 14), (12, 24, 48)
    kind, rate, decisions = "rule", 0.75, ("auto", "expert")
    version, older, newer, model_name = "r50-v3", "r50-v2", "r50-v4", "leaf-r50"
    hosts = ("gpu-0", "gpu-1", "gpu-2")
    spans = (
        Span("queue", 4, 0.6, queue=True),
        Span("decode", 14, 0.25, cpu=True),
        Span("fetch_image", 40, 0.5),
        Span("forward", 22, 0.1, cpu=True),
    )
    errors: ClassVar[Mapping[str, float]] = {"DecodeError": 0.003, "CUDA out of memory": 0.0006}
    label_hours, label_values, fingerprints = (7.0, 0.6), ("", ""), True
    dims = ("context.region", "context.phone", "hardware.host")
    mixes: ClassVar[Mapping[str, str]] = {"region": "context.region", "phone": "context.phone"}
    units: ClassVar[Units] = {"inputs.brightness": ((1 / 255, 0.0),), "inputs.contrast": ((1 / 255, 0.0),)}
    natures = frozenset({"season"})
    features = ("steps.normalize.brightness", "steps.normalize.contrast", "steps.embed.vector")
    NAMES = ("healthy", "rust", "blight", "mildew", "mosaic")
    K, D = 5, 12

    def draw(self, w: World) -> Cols:
        region = w.cat("region", {"Kenya": 34, "Uganda": 24, "India": 30, "Peru": 12})
        phone = w.cat("phone", {"tecno": 38, "samsung": 30, "xiaomi": 22, "itel": 10})
        names = w.cat(
            "disease",
            dict(zip(self.NAMES, (45, 20, 14, 12, 9), strict=True)),
            tilt={"rust": 0.5 * w.season(), "mildew": -0.4 * w.season()},
        )
        y = np.asarray([self.NAMES.index(v) for v in names])
        centers = np.random.default_rng(7).normal(0, 1.0, (self.K, self.D))
        z = centers[y] + 0.85 * w.rng("z").standard_normal((w.n, self.D))
        bright = np.clip(118 + 25 * w.normal("bright") + 18 * w.daylight + by(phone, {"itel": -15}, 0.0), 5, 250)
        contrast = np.clip(52 + 9 * w.normal("contrast"), 8, 120)
        width = by(phone, {"tecno": 1600, "samsung": 4000, "xiaomi": 3264}, 1280.0)
        return {
            "context.region": region,
            "context.phone": phone,
            "inputs.brightness": np.round(bright, 1),
            "inputs.contrast": np.round(contrast, 1),
            "inputs.width": width,
            "inputs.height": width * 0.75,
            "inputs.crop": w.cat("crop", {"maize": 50, "cassava": 30, "bean": 20}),
            "inputs.bytes": np.round(width**2 * 0.12 * np.exp(0.3 * w.normal("bytes"))),
            "hardware.gpu_util": np.round(np.clip(55 + 12 * w.normal("util"), 5, 100)),
            "hardware.clock_mhz": np.round(1410 - 20 * np.abs(w.normal("clock"))),
            "_z": z,
            "_y": y.astype(float),
        }

    def steps(self) -> Sequence[Op]:
        return (
            scale("steps.normalize.brightness", "inputs.brightness", 118.0, 33.0),
            scale("steps.normalize.contrast", "inputs.contrast", 52.0, 9.0),
            Op("steps.embed.vector", "embed", ("steps.normalize.brightness", "steps.normalize.contrast")),
        )

    def rule(self, c: Cols, which: str) -> Array:
        centers = np.random.default_rng(7).normal(0, 1.0, (self.K, self.D))
        wobble = {"current": 0.0, "older": 0.35, "newer": 0.05}.get(which, 0.5)
        centers = centers + wobble * np.random.default_rng(8).normal(0, 1, centers.shape)
        x = np.asarray([v if v is not None else [0.0] * self.D for v in c["steps.embed.vector"]], dtype=float)
        logits = x @ centers.T - 0.5 * (centers**2).sum(1) + np.log([0.45, 0.2, 0.14, 0.12, 0.09])
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        mine = c["_model"] == which
        if "_p" not in c or len(c["_p"]) != len(p):
            c["_p"] = p.copy()
        c["_p"][mine] = p[mine]
        return np.asarray(p.max(1))

    def outputs(self, c: Cols) -> None:
        p = c["_p"]
        c["model.precision"] = c.get("model.precision", np.full(len(p), "fp16", dtype=object))
        c[self.score_path] = np.clip(c[self.score_path], 0, 1)
        out = np.empty(len(p), dtype=object)
        for i, row in enumerate(np.round(p, 5).tolist()):
            out[i] = row
        c["outputs.probabilities"] = out
        c["outputs.label"] = np.asarray(self.NAMES, dtype=object)[p.argmax(1)]

    def decide(self, c: Cols) -> None:
        """Sure enough goes out at once, the rest to an expert."""
        cut = 0.9 - np.minimum(c.get("_threshold", np.zeros(len(c["ts"]))), 0.6)
        c["decision"] = np.where(c[self.score_path] >= cut, "auto", "expert").astype(object)

    def learn(self, c: Cols, hook: object = None) -> None:
        super().learn(c, hook)  # type: ignore[arg-type]
        known = c["label_ts"] != np.iinfo(np.int64).min
        value = np.nan_to_num(c["_label"], nan=0.0).astype(int) % self.K
        c["label"] = np.where(known, np.asarray(self.NAMES, dtype=object)[value], NOTHING)

    def matrix(self, c: Cols) -> Array:
        return np.column_stack([num(c[p]) for p in self.features[:2]])
