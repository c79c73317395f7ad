"""Will a parcel be late? Hand-written steps under `recorder.step`; a skew is this file with one line changed."""

from __future__ import annotations

import math
import random
import zlib
from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import whimbrel

HOME: str | None = None
recorder = whimbrel.Recorder("parcels", home=HOME)

LOCAL = timezone(timedelta(hours=2))
SEED = 17
DEPOTS = ["Zürich", "Genève", "東京", "São Paulo", "Kraków", "Łódź", "Malmö", "Αθήνα", "Köln", "İzmir"]
SERVICES = ["economy", "priority", "express", "same day"]
GRAMS = [100, 250, 500, 1000, 2000, 5000, 10000]
FIRST = date(2025, 1, 1)


def _queues() -> dict[tuple[str, int], float]:
    """Parcels that wait at each depot on each day: a random walk."""
    rng, out = random.Random(5), {}
    for depot in DEPOTS:
        waiting = rng.lognormvariate(6, 0.8)
        for day in range(-8, 400):
            waiting = max(5.0, waiting * rng.lognormvariate(0, 0.1))
            out[depot, day] = round(waiting, 1)
    return out


QUEUES = _queues()


@recorder.step
def clock(sent: datetime) -> dict[str, int]:
    """Parts of the time, in UTC."""
    when = sent.astimezone(UTC)
    return {"hour": when.hour, "weekday": when.weekday(), "month": when.month, "slot": when.minute // 15}


@recorder.step
def size(weight_g: float | None, length_cm: float, width_cm: float, height_cm: float) -> dict[str, float]:
    """Kilograms, litres and sides; parcels that were not weighed are taken for 750 g."""
    grams = 750.0 if weight_g is None else float(weight_g)
    litres = length_cm * width_cm * height_cm / 1000
    return {
        "kg": grams / 1000, "litres": min(litres, 250.0), "length": length_cm, "width": width_cm,
        "density": grams / (1000 * max(litres, 0.05)),
    }  # fmt: skip


@recorder.step
def load(depot: str, sent: datetime) -> dict[str, float]:
    """How much waits at the depot on that day."""
    name = depot.strip()
    day = (sent.astimezone(UTC).date() - FIRST).days
    return {"waiting": QUEUES[name, day], "change": QUEUES[name, day] - QUEUES[name, day - 7]}


@recorder.step
def code(depot: str, service: str, items: int) -> dict[str, int]:
    """Categories as numbers."""
    key = f"{SEED}:{depot.strip()}".encode()
    return {"depot": zlib.crc32(key) % 64, "service": SERVICES.index(service), "items": items}


@recorder.step
def bins(sizes: dict[str, float], value_cents: float | None) -> dict[str, float | None]:
    """Weight classes and the declared value in tens, where there is one."""
    value = None if value_cents is None else float(round(value_cents / 1000))
    return {"weight": bisect_right(GRAMS, round(sizes["kg"] * 1000)), "value": value}


@recorder.step
def rate(parts: dict[str, float]) -> float:
    """The model's raw score."""
    raw = 0.3 * math.log1p(parts["waiting"]) + 0.002 * parts["litres"] - 0.05 * parts["weight"] + 0.03 * parts["items"]
    raw += 0.04 * parts["hour"] - 0.1 * parts["weekday"] - 0.4 * parts["service"] + 0.01 * parts["depot"]
    return raw + 0.0001 * parts["value"] + 0.001 * parts["change"] - 1.4


@recorder.step
def calibrate(raw: float) -> float:
    """A probability."""
    return 1 / (1 + math.exp(-(1.1 * raw - 0.05)))


def predict(
    sent: datetime, weight_g: float | None, length_cm: float, width_cm: float, height_cm: float, depot: str, service: str,
    items: int, value_cents: float | None,
) -> float:  # fmt: skip
    """The whole of it."""
    times, sizes = clock(sent), size(weight_g, length_cm, width_cm, height_cm)
    waits, codes = load(depot, sent), code(depot, service, items)
    binned = bins(sizes, value_cents)
    score = calibrate(rate({**times, **sizes, **waits, **codes, **{k: v or 0.0 for k, v in binned.items()}}))
    p = recorder.current
    if p is not None:
        p.output(score)
        p.decision("warn" if score >= 0.5 else "quiet")
    return score


def inputs(rng: random.Random, i: int) -> dict[str, Any]:
    """The `i`-th parcel, as messy as they come; they are sent over two weeks."""
    weight = None if rng.random() < 0.06 else 50 * round(rng.lognormvariate(3.0, 1.1))
    value = None if rng.random() < 0.2 else 500 * round(rng.lognormvariate(2.2, 1.3))
    depot = DEPOTS[min(int(rng.expovariate(0.35)), len(DEPOTS) - 1)]
    return {
        "sent": datetime(2025, 3, 24, tzinfo=UTC) + timedelta(minutes=10 * (i % 2000) + rng.randrange(30)),
        "weight_g": weight, "length_cm": round(rng.lognormvariate(3.4, 0.5), 1),
        "width_cm": round(rng.lognormvariate(3.0, 0.5), 1), "height_cm": round(rng.lognormvariate(2.5, 0.6), 1),
        "depot": depot + " " * (rng.random() < 0.1), "service": rng.choices(SERVICES, (60, 25, 12, 3))[0],
        "items": 1 + int(rng.expovariate(0.02)) if rng.random() < 0.3 else 1, "value_cents": value,
    }  # fmt: skip
