"""Skews written after the mechanism had been mended on `table`, to see what parity finds of what no one tuned for.

docs/replay.md has the score of their first run, and what that run led to.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.replay.skews.loans import Cast
from tests.replay.skews.worlds import Honest, Skew

_QUEUES = ("x0", "x1", "x2", "x3")
_SESSION = "SESSION = session(matrix=MATRIX, bias=BIAS)"


def scaler_of_a_region(model: Any) -> None:
    """Fitted on one region: mean and spread of two columns."""
    model["scale"].mean_[[1, 2]] += (0.1, -0.2)
    model["scale"].scale_[[1, 2]] *= (0.97, 1.04)


def imputed_old_median(model: Any) -> None:
    """The median age of an older training set; one row in a hundred has no age."""
    model["prepare"].named_transformers_["numbers"].statistics_[2] = 41.0


def rare_merged(model: Any) -> None:
    """Two branches fall into one column of one-hot: a null column stays."""
    hot = model["prepare"].named_transformers_["branch"]
    hot.categories_ = [np.array(["Basel", "Bern", "Chur?", "Genève", "Luzern", "Zürich"], dtype=object)]
    hot.set_params(handle_unknown="ignore")


def log_of_ten(model: Any) -> None:
    """Logarithms to another base."""
    plain = model["squash"].transform
    model["squash"].transform = lambda rows: np.column_stack([plain(rows)[:, :2] / np.log(10), plain(rows)[:, 2:]])


def int_scaled(model: Any) -> None:
    """Scaled values are cut to whole numbers."""
    model.steps[3] = ("scale", Cast(model["scale"], "int64"))


def intercept(model: Any) -> None:
    """Trained on resampled classes: another intercept."""
    model["model"].intercept_ = model["model"].intercept_ + 0.4


def threads(model: Any) -> None:
    """Nothing is changed."""


SKEWS = [
    Skew("scaler of one region", "loans", "steps.scale", ("x1", "x2"), "other statistics", scaler_of_a_region),
    Skew("old median of rare nulls", "loans", "steps.prepare", ("numbers__age",), "41 where the code makes", imputed_old_median),
    Skew("a category gone", "loans", "steps.prepare", ("branch__branch_Chur", "branch__branch_Chur?"), "another name", rare_merged),
    Skew("logarithm of base ten", "loans", "steps.squash", ("x0", "x1"), "times smaller", log_of_ten, "host"),
    Skew("cut to whole numbers", "loans", "steps.scale", tuple(f"x{i}" for i in range(11)), "cut to whole", int_scaled),
    Skew("other intercept", "loans", "outputs", ("score",), "log odds", intercept, "host"),
    Skew("half-hour zone", "parcels", "steps.clock", ("hour", "weekday", "month", "slot"), "", [("hours=2", "hours=5, minutes=30"),
         ("sent.astimezone(UTC)\n    return", "sent.astimezone(LOCAL)\n    return")]),
    Skew("bounded volume in one percent", "parcels", "steps.size", ("litres",), "clipped", [("min(litres, 250.0)", "min(litres, 2.0)")], "1%"),
    Skew("inches", "parcels", "steps.size", ("length", "width"), "2.54", [('"length": length_cm, "width": width_cm',
         '"length": length_cm / 2.54, "width": width_cm / 2.54')], "host"),
    Skew("look-up with a default", "parcels", "steps.load", ("waiting", "change"), "",
         [("name = depot.strip()", "name = depot if depot in DEPOTS else DEPOTS[0]")]),
    Skew("week before", "parcels", "steps.load", ("change",), "", [("QUEUES[name, day - 7]}", "QUEUES[name, day - 6]}")]),
    Skew("services in another order", "parcels", "steps.code", ("service",), "another order",
         [("SERVICES.index(service)", "sorted(SERVICES).index(service)")]),
    Skew("decision at the limit reversed", "parcels", "decision", ("decision",), "",
         [('"warn" if score >= 0.5 else "quiet"', '"quiet" if score >= 0.5 else "warn"')], "host"),
    Skew("cut from the left", "tickets", "steps.tokens", ("value",), "", [("found[:LENGTH]", "found[-LENGTH:]")]),
    Skew("no case folding", "tickets", "steps.clean", ("value",), "another case",
         [('unicodedata.normalize("NFKC", text).casefold()', 'unicodedata.normalize("NFKC", text)')], "host"),
    Skew("waited in minutes", "tickets", "steps.features", ("waited",), "", [("np.log1p(waited_h)", "np.log1p(60 * waited_h)")]),
    Skew("temperature", "tickets", "outputs", _QUEUES, "", [(_SESSION, "SESSION = session(matrix=MATRIX / 1.1, bias=BIAS / 1.1)")], "1%"),
]  # fmt: skip

HONEST = [
    Honest("batches of 31", "loans", threads, batch=31),
    Honest("four threads", "tickets", [(_SESSION, "SESSION = session(matrix=MATRIX, bias=BIAS, threads=4)")]),
    Honest("volume in single precision", "parcels",
         [("litres = length_cm", 'litres = float(__import__("numpy").float32(length_cm))')]),
]  # fmt: skip
