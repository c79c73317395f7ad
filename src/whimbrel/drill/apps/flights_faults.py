"""What can break in the flights app: a list of values, to be read like one. A new fault is a new value."""

from __future__ import annotations

import numpy as np

from whimbrel.drill import values
from whimbrel.drill.faults import Fault
from whimbrel.drill.kinds import (
    EVERYWHERE, FLIPPED, GAINS, MODEL, NOISY, OLDER, SHARES, arrives, calibration, compensating, decisions, encoded,
    exchanged, filled, misplaced, retried, scaled, skipped, slower, stale, step, swapped, timed_out,
)  # fmt: skip

PLANE = ("plane_year", "seats", "maker", "engine", "tailnum")
DATA: tuple[Fault, ...] = (
    arrives("D02/distance", "distance arrives in kilometres, not miles", values.times, (1.609344,)),
    arrives("D02/airport_delay", "the airport's delay arrives in hours, not minutes", values.times, (1 / 60,)),
    arrives("D02/sched_hour", "the hour of departure arrives in minutes since midnight", values.times, (60.0,)),
    arrives("D03/airport_delay", "-999 stands for an unknown delay", values.constant(-999.0), SHARES, rare=True),
    arrives("D03/distance", "0 stands for an unknown distance", values.constant(0.0), SHARES, rare=True),
    arrives("D03/seats", "9999 stands for unknown seats", values.constant(9999.0), SHARES, rare=True),
    arrives("D05/airport_delay", "the airport's delay is lost", values.null, SHARES, rare=True),
    arrives("D05/carrier", "the carrier is lost", values.null, SHARES, rare=True),
    arrives("D05/plane", "all that is known of the plane is lost at once", values.null, SHARES, names=PLANE, rare=True),
    arrives(
        "D07/airport_delay", "the airport's feed is off and repeats one value", values.constant(), (-3, -1, 0, 5, 10, 20, 40)
    ),
    arrives("D07/weekday", "the weekday is stuck", values.constant(), (5.0, 2.0, 3.0)),
    arrives("D14/sched_hour", "the hour of departure lost its fraction", lambda values, _: np.floor(values)),
    arrives("D14/distance", "distance arrives as text", values.as_text, whole=True),
    arrives("D14/airport_delay", "the airport's delay arrives as text", values.as_text, whole=True),
    arrives("D16/carrier", "carriers arrive in lower case from one feed", values.texts(str.lower)),
    arrives("D16/dest", "destinations arrive padded with a blank from one feed", values.texts(lambda v: f"{v} ")),
    arrives("D16/origin", "airports arrive in lower case from one feed", values.texts(str.lower)),
    arrives("D17/weekday", "weekdays are counted from another day", values.renumbered, (1, 2, 3)),
    arrives("D17/maker", "the code book of aircraft makers was renumbered", values.renumbered, (1, 3, 5)),
    arrives("D17/carrier", "the code book of carriers was dealt out anew", values.renumbered, (1, 3, 5)),
    arrives("D06/airport_delay", "the airport's feed stutters", values.held, (5, 10, 20, 50, 100, 200)),
    arrives("D08/distance", "distances are rounded upstream", values.rounded, (50, 100, 200, 400, 800, 1600)),
    arrives("D09/airport_delay", "the airport's delay arrives with the other sign", values.negated),
    arrives("D11/airport_delay", "a field upstream is too short for large delays", values.capped(1.0), SHARES),
    arrives("D12/sched_hour", "the hour of departure is in another zone", values.turned(24.0), (1, 2, 3, 5, -5, 8)),
    arrives("D13/airport_delay", "some delays arrive a thousand times too large", lambda v, _: v * 1000, SHARES, rare=True),
    arrives("D15/airport_delay", "the airport's delay drifts off by a gain", values.times, GAINS),
    arrives("D18/airport_delay", "the airport's delay is noisy", values.noisy, (0.1, 0.2, 0.35, 0.5, 0.8, 1.2, 2.0)),
    arrives("D19/airport_delay", "the airport's delay has an offset", values.plus, (1, 2, 4, 7, 12, 20, 35)),
    arrives("D20/origin", "two airports arrive as one", values.merged, (2, 1)),
    arrives("D21/plane_year", "planes are joined by a wrong key", values.shuffled),
    arrives("D21/airport_delay", "the airport's delay is joined by a wrong key", values.shuffled),
    arrives("Z01/flight", "the flight's number arrives with an offset that nothing reads", values.plus, (10000.0,), harmless=True),
    swapped("plane_year", "seats", "the plane's year and its seats change places"),
)
FEATURES: tuple[Fault, ...] = (
    filled("pressure", 0.0, "a missing pressure becomes 0, not the median"),
    filled("plane_year", 0.0, "a missing year becomes 0, not the median"),
    filled("carrier_delay", 60.0, "a missing delay becomes an hour, not the median", "F05"),
    encoded("F03", "carrier", "the map of carriers has another order"),
    encoded("F03", "dest", "the map of destinations has another order"),
    encoded("F03", "origin", "the map of airports has another order"),
    encoded("F07", "dest", "the map of destinations was cut short"),
    encoded("F10", "carrier", "the map of carriers is off by one"),
    exchanged("airport_delay", "carrier_delay"),
    scaled(
        "F06/airport_delay", "delays are clipped far too low", lambda by: {"high": 90.0 - by},
        (30, 45, 55, 62, 68, 73, 77, 81, 85, 90, 95),
    ),
    scaled("F06/distance", "the logarithm is taken to base 10", lambda _: {"base": 10.0}),
    scaled("F08/airport_delay", "the airport's delay is not scaled at all", lambda _: {"center": 0.0, "spread": 1.0}),
    scaled("F15/carrier_delay", "the scaled delay is rounded to whole numbers", lambda _: {"digits": 0.0}),
    stale("history", "history.carrier_delay", "the feature store stands still"),
    misplaced("weather", "weather", "the weather is that of another airport"),
    step(
        "F14", "history.carrier_delay", "the history is taken over another stretch",
        lambda app, hours, _: app.given("history", hours=hours), (2.0, 1.5, 1.0, 6.0, 0.5, 12.0, 24.0),
    ),
    OLDER,
)  # fmt: skip
FAULTS = (
    *DATA, *FEATURES, *MODEL, *calibration(), *decisions(), compensating(), FLIPPED, NOISY, *EVERYWHERE,
    timed_out("weather", "weather look-ups time out and answer with the default"),
    slower("weather", "the weather service got slower"),
    slower("history", "the feature store got slower"),
    skipped("weather", "an early return skips the weather"),
    retried("weather"),
)
