"""Apps of the web: ad clicks, search ranking, and one that logs inputs and a score only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from .app import App, Span, Units
from .ops import Op, clip, impute, log, onehot, ordinal, scale
from .world import Array, Cols, World, by, holes, sigmoid


class Ads(App):
    """Click-through of ads: huge traffic, high-cardinality keys, a look-up table, labels within the hour."""

    name = "adrank"
    profile, weekend, per_day = "evening", 1.2, (4000, 14000)
    golden_days, window_hours = (3, 8), (6, 12, 24, 48)
    kind, rate, decisions = "linear", 0.3, ("bid", "pass")
    version, older, newer, model_name, raw_path = "ctr-118", "ctr-117", "ctr-119", "ctr", "outputs.logit"
    hosts = tuple(f"bidder-{i:02d}" for i in range(1, 9))
    spans = (Span("user_profile", 2.2, 0.5), Span("features", 0.7, 0.2, cpu=True), Span("infer", 1.1, 0.2, cpu=True))
    timeout_ms = 25.0
    errors: ClassVar[Mapping[str, float]] = {"deadline exceeded": 0.002}
    label_hours, label_values, ts_form, sequence = (0.4, 0.6), (False, True), "us", True
    dims = ("context.exchange", "context.device", "context.geo", "hardware.host")
    mixes: ClassVar[Mapping[str, str]] = {
        "exchange": "context.exchange",
        "device": "context.device",
        "geo": "context.geo",
        "format": "inputs.ad_format",
    }
    units: ClassVar[Units] = {
        "inputs.floor_price": ((1000.0, 0.0), (0.01, 0.0)),
        "inputs.seconds_on_site": ((1000.0, 0.0), (1 / 60, 0.0)),
    }
    natures = frozenset({"promo", "inflation", "heavy"})
    features = (
        "steps.table.site_ctr",
        "steps.norm.floor",
        "steps.norm.dwell",
        "steps.bin.age",
        "steps.hot.ad_format_video",
        "steps.hot.ad_format_native",
        "steps.hot.device_mobile",
        "steps.profile.clicks_7d",
        "inputs.above_fold",
        "steps.cap.frequency",
    )
    SITES = tuple(f"site{i:02d}.example" for i in range(30))

    def draw(self, w: World) -> Cols:
        device = w.cat(
            "device", {"mobile": 61, "desktop": 30, "tablet": 9}, day={"desktop": 0.6}, weekend={"desktop": -0.5}
        )
        geo = w.cat("geo", {"US": 40, "GB": 15, "IN": 14, "BR": 10, "DE": 9, "JP": 7, "MX": 5}, day={"IN": -0.3})
        exchange = w.cat("exchange", {"adx": 45, "rubi": 25, "oprt": 18, "idx": 12})
        form = w.cat("format", {"banner": 55, "native": 25, "video": 20})
        rank = w.rng("site").choice(30, w.n, p=(1 / np.arange(1, 31)) / (1 / np.arange(1, 31)).sum())
        site = np.asarray(self.SITES, dtype=object)[rank]
        quality = np.sin(rank * 1.7) * 0.7
        floor = 0.9 * w.heavy("floor", 0.5, 5) * by(geo, {"US": 1.5, "IN": 0.5, "BR": 0.6}, 1.0) * w.prices()
        dwell = np.exp(3.1 + 0.9 * w.normal("dwell") + 0.2 * (device == "desktop"))
        age = np.clip(np.round(38 + 14 * w.normal("age")), 13, 95)
        seen = w.rng("seen").geometric(0.3, w.n).astype(float) + 1.0 * w.promo()
        clicks = w.rng("clicks").negative_binomial(1, 0.35, w.n).astype(float)
        fold = w.choose("fold", 0.55)
        odds = (
            -3.2
            + quality
            + 0.5 * (form == "video")
            + 0.3 * (form == "native")
            + 0.35 * (device == "mobile")
            + 0.16 * clicks
            + 0.5 * fold
        )
        odds += 0.25 * (np.log(dwell) - 3) - 0.12 * np.minimum(seen, 8) + 0.3 * w.promo() + 0.3 * np.log(floor)
        return {
            "context.exchange": exchange,
            "context.device": device,
            "context.geo": geo,
            "inputs.site": site,
            "inputs.user_key": w.many("user", 20000, "u{:06d}", 0.3),
            "inputs.ad_format": form,
            "inputs.device": device.copy(),
            "inputs.floor_price": np.round(floor, 3),
            "inputs.seconds_on_site": holes(np.round(dwell, 1), w.choose("no dwell", 0.08)),
            "inputs.age": holes(age, w.choose("no age", 0.3 + 0.1 * (geo == "DE"))),
            "inputs.impressions_today": seen,
            "inputs.above_fold": fold,
            "inputs.creative": w.many("creative", 300, "cr-{:06d}", 0.9),
            "inputs.sdk": w.cat("sdk", {"5.2": 40, "5.1": 30, "4.9": 20, "4.8": 10}),
            "_store.clicks_7d": clicks,
            "_stale.clicks_7d": np.maximum(
                clicks + w.rng("stale").poisson(0.6, w.n) - w.rng("stale2").poisson(0.6, w.n), 0
            ),
            "age.clicks_7d": np.round(300 + 200 * np.abs(w.normal("age clicks"))),
            "_y": (w.uniform("y") < sigmoid(odds)).astype(float),
        }

    def steps(self) -> Sequence[Op]:
        return (
            Op(
                "steps.table.site_ctr",
                "lookup",
                ("inputs.site",),
                {
                    "table": {
                        s: float(np.round(0.06 * np.exp(np.sin(i * 1.7) * 0.7), 5)) for i, s in enumerate(self.SITES)
                    },
                    "default": 0.05,
                },
            ),
            impute("steps.fill.dwell", "inputs.seconds_on_site", 22.0),
            impute("steps.fill.age", "inputs.age", 38.0),
            log("steps.log.floor", "inputs.floor_price", 0.01),
            log("steps.log.dwell", "steps.fill.dwell"),
            scale("steps.norm.floor", "steps.log.floor", -0.1, 0.8),
            scale("steps.norm.dwell", "steps.log.dwell", 3.2, 0.9),
            Op("steps.bin.age", "bucket", ("steps.fill.age",), {"edges": [18, 25, 35, 45, 55, 65]}),
            *onehot("hot", "inputs.ad_format", ["video", "native"]),
            *onehot("hot", "inputs.device", ["mobile"]),
            Op(
                "steps.profile.clicks_7d",
                "store",
                ("inputs.user_key",),
                {"column": "_store.clicks_7d", "default": 0.0, "span": "user_profile"},
            ),
            clip("steps.cap.frequency", "inputs.impressions_today", 0.0, 10.0),
        )


class Search(App):
    """Search results: query text, an experiment column, click labels, a latency budget, no step fingerprints."""

    name = "shopsearch"
    profile, weekend, per_day = "evening", 1.15, (3000, 10000)
    golden_days, window_hours = (4, 12), (6, 12, 24, 48)
    kind, rate, decisions, decision_path = "trees", 0.18, ("top", "page1", "hidden"), "decisions.placement"
    version, older, newer, digest, canary, route_path = "ltr_2.8", "ltr_2.7", "ltr_2.9", False, 0.05, "model.variant"
    fingerprints = False
    hosts = ("s1", "s2", "s3", "s4")
    spans = (
        Span("queue", 1.0, 0.6, queue=True),
        Span("parse_query", 1.5, 0.2, cpu=True),
        Span("index", 18, 0.45),
        Span("user_vector", 5, 0.5),
        Span("rank", 8, 0.2, cpu=True),
    )
    timeout_ms = 80.0
    errors: ClassVar[Mapping[str, float]] = {"index shard down": 0.001, "empty query": 0.002}
    label_hours, label_values = (0.2, 0.5), (0, 1)
    dims = ("context.locale", "context.platform", "hardware.host", "model.variant")
    mixes: ClassVar[Mapping[str, str]] = {
        "locale": "context.locale",
        "platform": "context.platform",
        "category": "inputs.category",
    }
    units: ClassVar[Units] = {"inputs.price": ((100.0, 0.0), (1.09, 0.0)), "inputs.delivery_days": ((24.0, 0.0),)}
    natures = frozenset({"promo", "inflation", "season", "heavy"})
    features = (
        "steps.match.bm25",
        "steps.price.relative",
        "steps.query.length",
        "steps.user.affinity",
        "steps.enc.category",
        "steps.fill.rating",
        "steps.fresh.value",
        "inputs.in_stock",
    )
    WORDS = (
        "red",
        "shoes",
        "women",
        "running",
        "lamp",
        "desk",
        "oak",
        "usb",
        "cable",
        "4k",
        "monitor",
        "kids",
        "rain",
        "jacket",
        "tea",
        "pot",
        "steel",
        "garden",
        "hose",
        "light",
    )

    def draw(self, w: World) -> Cols:
        locale = w.cat("locale", {"en-US": 45, "en-GB": 17, "de-DE": 18, "fr-FR": 12, "sv-SE": 8})
        platform = w.cat("platform", {"ios": 34, "android": 30, "web": 36}, day={"web": 0.4}, weekend={"web": -0.3})
        category = w.cat(
            "category",
            {"fashion": 30, "home": 25, "electronics": 22, "garden": 10, "toys": 8, "books": 5},
            weekend={"garden": 0.3},
        )
        n_words = np.minimum(1 + w.rng("words").poisson(1.3, w.n), 6)
        pick = w.rng("query").integers(0, len(self.WORDS), (w.n, 6))
        query = np.asarray(
            [" ".join(self.WORDS[j] for j in row[:k]) for row, k in zip(pick, n_words, strict=True)], dtype=object
        )
        price = (
            by(category, {"fashion": 45, "home": 60, "electronics": 180, "garden": 40, "toys": 25, "books": 14}, 35)
            * w.heavy("price", 0.4)
            * w.prices()
            * np.where(w.promo(), 0.75, 1)
        )
        typical = by(
            category, {"fashion": 45, "home": 60, "electronics": 180, "garden": 40, "toys": 25, "books": 14}, 35
        )
        rating = np.clip(4.1 + 0.5 * w.normal("rating"), 1, 5)
        bm25 = np.maximum(0, 9 + 1.2 * n_words + 3 * w.normal("bm25"))
        affinity = np.clip(0.3 + 0.22 * w.normal("affinity"), 0, 1)
        old = np.exp(3 + 1.0 * w.normal("old"))
        stock = w.choose("stock", 0.93 - 0.05 * w.festive)
        odds = (
            -4.2
            + 0.16 * bm25
            - 0.9 * np.log(price / typical)
            + 2.2 * affinity
            + 0.6 * (rating - 4.1)
            - 0.15 * np.log(old)
            + 0.8 * stock
            + 0.3 * (category == "fashion")
        )
        return {
            "context.locale": locale,
            "context.platform": platform,
            "inputs.query": query,
            "inputs.item": w.many("item", 6000, "it{:06d}", 0.8),
            "inputs.category": category,
            "inputs.price": np.round(price, 2),
            "inputs.category_price": typical,
            "inputs.rating": holes(np.round(rating, 1), w.choose("no rating", 0.12)),
            "inputs.days_listed": np.round(old),
            "inputs.delivery_days": 1.0 + w.rng("delivery").poisson(2, w.n),
            "inputs.in_stock": stock,
            "inputs.session": w.many("session", 30000, "{:06d}", 0.1),
            "_store.affinity": np.round(affinity, 4),
            "_stale.affinity": np.round(np.clip(affinity + 0.15 * w.normal("stale"), 0, 1), 4),
            "_store.bm25": np.round(bm25, 3),
            "_y": (w.uniform("y") < sigmoid(odds)).astype(float),
        }

    def steps(self) -> Sequence[Op]:
        return (
            Op("steps.query.length", "length", ("inputs.query",)),
            Op(
                "steps.match.bm25",
                "store",
                ("inputs.query",),
                {"column": "_store.bm25", "default": 0.0, "span": "index"},
            ),
            Op("steps.price.relative", "ratio", ("inputs.price", "inputs.category_price"), {"floor": 0.01}),
            Op(
                "steps.user.affinity",
                "store",
                ("inputs.session",),
                {"column": "_store.affinity", "default": 0.0, "span": "user_vector"},
            ),
            ordinal(
                "steps.enc.category", "inputs.category", ["books", "electronics", "fashion", "garden", "home", "toys"]
            ),
            impute("steps.fill.rating", "inputs.rating", 4.2),
            log("steps.fresh.value", "inputs.days_listed"),
        )


class ScoreOnly(App):
    """Inputs and a score: no steps, labels, decisions, spans, hosts or dimensions."""

    name = "propensity"
    profile, weekend, per_day = "commute", 0.8, (1000, 4000)
    kind, decisions, version, fingerprints, ts_form = "trees", (), "", False, "ms"
    units: ClassVar[Units] = {
        "inputs.basket_eur": ((100.0, 0.0),),
        "inputs.minutes_since_visit": ((60.0, 0.0), (1 / 60, 0.0)),
    }
    natures = frozenset({"season", "heavy", "inflation", "promo"})
    mixes: ClassVar[Mapping[str, str]] = {"source": "inputs.source", "os": "inputs.os"}
    features = ("inputs.basket_eur", "inputs.minutes_since_visit", "_source", "inputs.pages", "inputs.returning")

    def draw(self, w: World) -> Cols:
        source = w.cat("source", {"organic": 40, "email": 22, "paid": 25, "affiliate": 13}, weekend={"email": -0.5})
        basket = 38 * w.heavy("basket", 0.5) * w.prices() * (1 + 0.15 * w.season()) * np.where(w.promo(), 0.8, 1)
        since = np.exp(5 + 1.6 * w.normal("since"))
        pages = 1.0 + w.rng("pages").negative_binomial(2, 0.35, w.n)
        back = w.choose("back", by(source, {"email": 0.8, "organic": 0.5}, 0.25))
        odds = (
            -1.8
            + 0.5 * np.log(basket / 38)
            - 0.25 * (np.log(since) - 5)
            + 0.15 * np.minimum(pages, 12)
            + 0.8 * back
            + 0.6 * (source == "email")
            - 0.4 * (source == "paid")
        )
        return {
            "inputs.basket_eur": np.round(basket, 2),
            "inputs.minutes_since_visit": holes(np.round(since), ~back & w.choose("no visit", 0.7)),
            "inputs.source": source,
            "inputs.pages": pages,
            "inputs.returning": back,
            "inputs.os": w.cat("os", {"ios": 35, "android": 40, "windows": 18, "macos": 7}),
            "_y": (w.uniform("y") < sigmoid(odds)).astype(float),
        }

    def matrix(self, c: Cols) -> Array:
        from .ops import num

        source = by(c["inputs.source"], {"organic": 0, "email": 1, "paid": 2, "affiliate": 3}, -1)
        return np.column_stack([num(c[p]) if p != "_source" else source for p in self.features])
