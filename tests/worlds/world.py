"""The stretch of time an app lives through: arrivals, seasons, weather, mixes, and what nature does to the newest part.

All chance comes from `World.rng(name)`, so that two runs of one seed differ only where a fault was planted.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
Cols: TypeAlias = dict[str, Array]
"""Columns by their contract name, all of one length; names that start with `_` are hidden from the tables."""

HOUR = 3_600_000_000
"""Microseconds in an hour."""

PROFILES: dict[str, Sequence[float]] = {
    "office": [1, 1, 1, 1, 1, 2, 4, 8, 13, 16, 17, 16, 14, 15, 16, 15, 13, 9, 6, 4, 3, 2, 2, 1],
    "evening": [5, 3, 2, 1, 1, 1, 2, 4, 5, 6, 7, 8, 9, 9, 8, 8, 9, 11, 13, 16, 18, 18, 14, 9],
    "commute": [2, 1, 1, 1, 1, 3, 8, 15, 17, 9, 7, 7, 9, 9, 9, 10, 14, 18, 15, 10, 7, 6, 5, 3],
    "flat": [10, 10, 9, 9, 9, 9, 10, 10, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 10, 10],
    "batch": [0, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
}
"""How much of a day's traffic arrives in each hour, up to a factor."""


@dataclass(frozen=True)
class Nature:
    """What the world itself does in the window; none of it is a fault. Neutral by default."""

    kind: str = "calm"
    volume: float = 1.0
    season: float = 0.0
    inflation: float = 0.0
    storm: float = 0.0
    storm_share: tuple[float, float] = (0.2, 0.7)
    holiday: float = 0.0
    promo: float = 0.0
    heavy: float = 0.0
    tilt: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    launch: tuple[str, str, float] | None = None
    retire: tuple[str, str] | None = None
    hosts: int = 0
    replaced: int = 0
    """Hosts that are swapped for ones with other names."""
    promoted: float = 0.0
    """Where in golden the current model took over from an older one, as a share of golden."""
    concept: float = 0.0
    """Share of labels that the world itself turns true by the end, slowly."""
    label_delay: float = 1.0
    release: str = ""
    recode: str = ""
    trial: str = ""
    start: float = 0.0
    """Where in the window it starts, as a share of the window."""


class World:
    """Arrivals between `start` and `golden_end`, and between `cut` and `end` (µs since 1970), with their calendars."""

    def __init__(
        self,
        seed: int,
        start: int,
        golden_end: int,
        cut: int,
        end: int,
        per_day: float,
        profile: str,
        weekend: float,
        nature: Nature | None = None,
    ) -> None:
        self.seed, self.start, self.golden_end, self.cut, self.end = seed, start, golden_end, cut, end
        self.nature = nature or Nature()
        self.onset = int(cut + self.nature.start * (end - cut))
        self.ts = self._arrivals(per_day, profile, weekend)
        self.n = len(self.ts)
        self.hours = (self.ts - start) / HOUR
        self.hour_index = ((self.ts - start) // HOUR).astype(np.int64)
        self.day_index = ((self.ts - start) // (24 * HOUR)).astype(np.int64)
        self.hour = (self.ts // HOUR % 24).astype(np.int64)
        self.dow = ((self.ts // (24 * HOUR) + 3) % 7).astype(np.int64)
        self.late = self.ts >= self.onset
        self.window = self.ts >= cut
        self.festive = self.nature.holiday * self.late
        self.weekend = ((self.dow >= 5) | (self.festive > 0)).astype(float)
        self.daylight = np.cos((self.ts / HOUR % 24 - 14) / 24 * 2 * np.pi)

    def rng(self, name: str) -> np.random.Generator:
        """Chance of its own for each name: drawing more for one column leaves every other as it was."""
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])

    def _arrivals(self, per_day: float, profile: str, weekend: float) -> Array:
        rng = self.rng("arrivals")
        hours = np.arange(self.start // HOUR, self.end // HOUR + 1)
        shape = np.asarray(PROFILES[profile], dtype=float)
        rate = per_day * (shape / shape.sum())[hours % 24]
        late = hours * HOUR >= self.onset
        off = ((hours // 24 + 3) % 7 >= 5) | (late & (self.nature.holiday > 0))
        rate = rate * np.where(off, weekend, 1.0) * np.where(late, self.nature.volume, 1.0)
        days = hours // 24 - hours[0] // 24
        rate = rate * np.exp(rng.normal(0, 0.06, days.max() + 1))[days] * np.exp(rng.normal(0, 0.05, len(hours)))
        counts = rng.poisson(rate)
        ts = np.repeat(hours * HOUR, counts) + rng.integers(0, HOUR, counts.sum())
        keep = ((ts >= self.start) & (ts < self.golden_end)) | ((ts >= self.cut) & (ts < self.end))
        return np.sort(ts[keep]).astype(np.int64)

    # -- noise ---------------------------------------------------------------------------------------------------
    def normal(self, name: str) -> Array:
        """Independent standard normal values, one a row."""
        return self.rng(name).standard_normal(self.n)

    def uniform(self, name: str) -> Array:
        """Independent uniform values, one a row."""
        return self.rng(name).random(self.n)

    def choose(self, name: str, share: float | Array) -> Array:
        """True with the given probability."""
        return np.asarray(self.uniform(name) < share)

    # -- what rows share -----------------------------------------------------------------------------------------
    def walk(self, name: str, *, by: Array | None = None, rho: float = 0.97, daily: bool = False) -> Array:
        """A stationary AR(1) value a group and hour (or day), sd 1, shared by every row of it: weather, load."""
        index = self.day_index if daily else self.hour_index
        steps = int((self.end - self.start) // (HOUR * (24 if daily else 1))) + 2
        groups, code = np.unique(by if by is not None else np.zeros(self.n, dtype=int), return_inverse=True)
        rng = self.rng(f"walk {name}")
        shocks = rng.standard_normal((steps, len(groups))) * np.sqrt(1 - rho**2)
        path = np.empty_like(shocks)
        path[0] = rng.standard_normal(len(groups))
        for i in range(1, steps):
            path[i] = rho * path[i - 1] + shocks[i]
        return np.asarray(path[index, code])

    def season(self) -> Array:
        """The season, about -1 to 1 over the year, with slow weather of its own and nature's shift in the window."""
        year = (self.ts / (24 * HOUR)) % 365.25
        slow = 0.15 * self.walk("season", rho=0.9, daily=True)
        return np.asarray(-np.cos((year - 15) / 365.25 * 2 * np.pi) + slow + self.nature.season * self.late)

    def storm(self, by: Array | None = None) -> Array:
        """How hard a storm blows, 0 outside one; with `by`, over about half of the groups."""
        lo, hi = self.nature.storm_share
        span = self.end - self.cut
        when = (self.ts >= self.cut + lo * span) & (self.ts < self.cut + hi * span)
        if by is not None and self.nature.storm:
            groups = np.unique(by)
            hit = self.rng("storm").permutation(groups)[: max(1, (len(groups) + 1) // 2)]
            when &= np.isin(by, hit)
        return np.asarray(self.nature.storm * when)

    def prices(self) -> Array:
        """The price level: creeps up 2% a year, and nature's inflation over the golden window's end and the window."""
        creep = 0.02 * self.hours / 24 / 365
        ramp = np.clip((self.ts - self.golden_end) / max(self.end - self.golden_end, 1), 0, 1)
        return np.asarray(np.exp(creep + self.nature.inflation * (0.6 * self.late + 0.4 * ramp)))

    def heavy(self, name: str, sigma: float, df: float = 4.0) -> Array:
        """A heavy-tailed positive factor with median 1; on an outlier day the tail is heavier."""
        t = self.rng(name).standard_t(df, self.n)
        extreme = self.choose(f"{name} outlier", self.nature.heavy) & self.late
        return np.asarray(np.exp(sigma * t + extreme * (1.5 + 1.5 * self.uniform(f"{name} size"))))

    def promo(self, name: str = "promo") -> Array:
        """Rows that a campaign brought in the window."""
        return self.choose(name, self.nature.promo) & self.late

    # -- mixes ---------------------------------------------------------------------------------------------------
    def cat(
        self,
        name: str,
        weights: Mapping[str, float],
        *,
        day: Mapping[str, float] | None = None,
        weekend: Mapping[str, float] | None = None,
        tilt: Mapping[str, Array] | None = None,
    ) -> Array:
        """A category a row. Shares wobble from day to day and follow the clock and weekend; nature may tilt them."""
        values = list(weights)
        launch = self.nature.launch
        if launch and launch[0] == name:
            values.append(launch[1])
        logit = np.empty((self.n, len(values)))
        wobble = self.rng(f"wobble {name}").normal(0, 0.05, (int(self.day_index.max(initial=0)) + 1, len(values)))
        total = sum(weights.values())
        for j, value in enumerate(values):
            if value not in weights:
                assert launch is not None
                share = np.where(self.late, launch[2] * total, 0.0)
            else:
                share = np.full(self.n, float(weights[value]))
                share = np.where(self.late, share * self.nature.tilt.get(name, {}).get(value, 1.0), share)
                if self.nature.retire == (name, value):
                    share = np.where(self.late, 0.0, share)
            with np.errstate(divide="ignore"):
                logit[:, j] = np.log(share) + wobble[self.day_index, j]
            logit[:, j] += (day or {}).get(value, 0.0) * self.daylight + (weekend or {}).get(value, 0.0) * self.weekend
            if tilt and value in tilt:
                logit[:, j] += tilt[value]
        pick = np.argmax(logit + self.rng(f"cat {name}").gumbel(size=logit.shape), axis=1)
        return np.asarray(np.asarray(values, dtype=object)[pick])

    def many(self, name: str, count: int, form: str, power: float = 1.1) -> Array:
        """One of very many values, the first ones common and the last ones rare (Zipf): merchants, postcodes."""
        weight = 1.0 / np.arange(1, count + 1) ** power
        rank = self.rng(f"many {name}").choice(count, self.n, p=weight / weight.sum())
        label = np.asarray([form.format(zlib.crc32(f"{name}{i}".encode()) % 10**6) for i in range(count)], dtype=object)
        return np.asarray(label[rank])

    def hosts(self, names: Sequence[str]) -> Array:
        """The host a row ran on, evenly; autoscaling adds new ones in the window."""
        pick = self.rng("hosts").integers(0, len(names), self.n)
        out = np.asarray(names, dtype=object)[pick]
        if self.nature.replaced:
            out = np.where(self.late & (out == names[0]), f"{names[0]}-r2", out)
        if self.nature.hosts:
            extra = [f"{names[0]}x{i}" for i in range(self.nature.hosts)]
            share = len(extra) / (len(extra) + len(names))
            fresh = np.asarray(extra, dtype=object)[self.rng("new hosts").integers(0, len(extra), self.n)]
            out = np.where(self.late & self.choose("scaled", share), fresh, out)
        return out


def by(values: Array, table: Mapping[str, float], default: float = 0.0) -> Array:
    """A number for each category, `default` for one that nobody foresaw."""
    return np.asarray([table.get(v, default) for v in values], dtype=float)


def holes(x: Array, where: Array) -> Array:
    """The column with nulls at some rows: NaN in a float column, None in any other."""
    if x.dtype.kind == "f":
        return np.where(where, np.nan, x)
    out = x.astype(object)
    out[where] = None
    return out


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x))."""
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -60, 60))))
