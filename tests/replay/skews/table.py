"""The skews that are planted, and the honest replays beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.preprocessing import KBinsDiscretizer

from tests.replay.skews.loans import Cast, frame
from tests.replay.skews.worlds import Honest, Skew


def _numbers(model: Any) -> Any:
    return model["prepare"].named_transformers_["numbers"]


def _edges(model: Any) -> Any:
    return model["bucket"].named_transformers_["age"].bin_edges_


def scaler_mean(model: Any) -> None:
    """Fitted on another month: one column's mean."""
    model["scale"].mean_[1] += 0.03


def scaler_width(model: Any) -> None:
    """Fitted before nulls were filled: one column's spread, by half a percent."""
    model["scale"].scale_[2] *= 1.005


def impute_mean(model: Any) -> None:
    """The mean in place of the median."""
    _numbers(model).statistics_[0] = float(frame(3000, 0)["income"].mean())


def impute_zero(model: Any) -> None:
    """A default of zero."""
    _numbers(model).statistics_[1] = 0.0


def category_order(model: Any) -> None:
    """Categories in order of appearance, not sorted."""
    order = model["prepare"].named_transformers_["purpose"]["order"]
    order.categories_ = [order.categories_[0][[2, 0, 1, 3, 4, 5, 6]]]


def clip(model: Any) -> None:
    """A bound that few incomes reach."""
    model["squash"].most = 120_000.0


def columns_swapped(model: Any) -> None:
    """The feature matrix is put together by hand, two columns the other way round."""
    model["squash"].order = (0, 1, 2, 4, 3, *range(5, 11))


def edges_open(model: Any) -> None:
    """Buckets are open on the right, not on the left."""
    _edges(model)[0] = np.nextafter(_edges(model)[0], 99)


def float16(model: Any) -> None:
    """Scaled in half precision."""
    model.steps[3] = ("scale", Cast(model["scale"], "float16"))


def library_version(model: Any) -> None:
    """Quantiles of a subsample, as another release's default takes them."""
    rows = model[:2].transform(frame(3000, 0))[:, [2]]
    fewer = {"subsample": 150, "random_state": 0, "quantile_method": "averaged_inverted_cdf"}
    _edges(model)[0] = KBinsDiscretizer(8, encode="ordinal", **fewer).fit(rows).bin_edges_[0]


def weights(model: Any) -> None:
    """The model of last week."""
    model["model"].coef_ = model["model"].coef_ * np.where(np.arange(11) == 3, 1.05, 1.0)


def turned(model: Any) -> None:
    """The probability of the other class."""
    model["model"].turned = True


def calibrator(model: Any) -> None:
    """Another calibration."""
    model["model"].slope, model["model"].start = 0.9, 0.2


def float32_rows(model: Any) -> None:
    """Served from a table of single precision."""
    model.served_kind = "float32"


def float32_scale(model: Any) -> None:
    """Scaled in single precision."""
    model.steps[3] = ("scale", Cast(model["scale"], "float32"))


_QUEUES = ("x0", "x1", "x2", "x3")

SKEWS = [
    Skew("scaler mean", "loans", "steps.scale", ("x1",), "too low", scaler_mean),
    Skew("scaler width", "loans", "steps.scale", ("x2",), "times smaller", scaler_width),
    Skew("imputed mean", "loans", "steps.prepare", ("numbers__income",), "where the code makes", impute_mean),
    Skew("imputed zero on one host", "loans", "steps.prepare", ("numbers__debt",), "0 where the code makes", impute_zero, "host"),
    Skew("category order", "loans", "steps.prepare", ("purpose__purpose",), "another order of categories", category_order),
    Skew("clip", "loans", "steps.squash", ("x0", "x1"), "clipped from above", clip),
    Skew("swapped columns", "loans", "steps.squash", ("x3", "x4"), "swapped with", columns_swapped),
    Skew("bucket edges open", "loans", "steps.bucket", ("age__x2",), "off by one", edges_open),
    Skew("float16 in one percent", "loans", "steps.scale", tuple(f"x{i}" for i in range(11)), "float16", float16, "1%"),
    Skew("library version", "loans", "steps.bucket", ("age__x2",), "off by one", library_version),
    Skew("last week's model", "loans", "outputs", ("score",), "", weights),
    Skew("class order", "loans", "outputs", ("score",), "one minus", turned),
    Skew("calibrator", "loans", "outputs", ("score",), "log odds", calibrator),
    Skew("time zone", "parcels", "steps.clock", ("hour", "weekday", "month"), "turned by 2 of 24",
         [("sent.astimezone(UTC)\n    return", "sent.astimezone(LOCAL)\n    return")]),
    Skew("weekday origin", "parcels", "steps.clock", ("weekday",), "1 too high",
         [("when.weekday()", "when.isoweekday()")]),
    Skew("hash seed on one host", "parcels", "steps.code", ("depot",), "other values",
         [("SEED = 17", "SEED = 23")], "host"),
    Skew("stale look-up", "parcels", "steps.load", ("waiting", "change"), "stale",
         [('QUEUES[name, day], "change": QUEUES[name, day] -', 'QUEUES[name, day - 1], "change": QUEUES[name, day - 1] -')]),
    Skew("wrong key", "parcels", "steps.load", ("waiting", "change"), "another key",
         [("name = depot.strip()", "name = DEPOTS[(DEPOTS.index(depot.strip()) + 3) % 10]")]),
    Skew("grams for kilograms on one host", "parcels", "steps.size", ("kg", "density"), "1000 times larger",
         [('"kg": grams / 1000', '"kg": grams')], "host"),
    Skew("imputed default", "parcels", "steps.size", ("kg", "density"), "0.5 where the code makes 0.75",
         [("750.0 if", "500.0 if")]),
    Skew("sides swapped in one percent", "parcels", "steps.size", ("length", "width"), "swapped with",
         [('"length": length_cm, "width": width_cm', '"length": width_cm, "width": length_cm')], "1%"),
    Skew("off-by-one bucket", "parcels", "steps.bins", ("weight",), "off by one",
         [('"weight": bisect_right(GRAMS', '"weight": __import__("bisect").bisect_left(GRAMS')]),
    Skew("int8 overflow", "parcels", "steps.code", ("items",), "wrapped around at 8 bits",
         [('"items": items}', '"items": (items + 128) % 256 - 128}')]),
    Skew("rounded half up", "parcels", "steps.bins", ("value",), "off by one",
         [("float(round(value_cents / 1000))", "float(int(value_cents / 1000 + 0.5))")]),
    Skew("null made zero", "parcels", "steps.bins", ("value",), "0.0 where the code leaves null",
         [("value = None if value_cents is None", "value = 0.0 if value_cents is None")]),
    Skew("threshold", "parcels", "decision", ("decision",), "quiet where the code makes warn",
         [("score >= 0.5", "score >= 0.58")]),
    Skew("calibration line", "parcels", "steps.calibrate", ("value",), "log odds",
         [("1.1 * raw - 0.05", "1.0 * raw - 0.05")]),
    Skew("tokenizer", "tickets", "steps.tokens", ("value",), "",
         [('for piece in re.findall(r"\\w+", text)]', "for piece in re.findall(r\"[\\w'’]+\", text)]")]),
    Skew("vocabulary shifted", "tickets", "steps.tokens", ("value",), "too high",
         [("VOCABULARY.get(piece, 1) for", "VOCABULARY.get(piece, 0) + 1 for")]),
    Skew("unicode form in one percent", "tickets", "steps.clean", ("value",), "",
         [('unicodedata.normalize("NFKC", text)', 'unicodedata.normalize("NFD", text)')], "1%"),
    Skew("default priority", "tickets", "steps.features", ("priority",), "1 where the code makes 3",
         [("3.0 if priority is None", "1.0 if priority is None")]),
    Skew("one-hot order", "tickets", "steps.features", ("channel_mail", "channel_chat"), "swapped with",
         [("float(channel == name)", 'float(channel == {"mail": "chat", "chat": "mail"}.get(name, name))')]),
    Skew("half precision model", "tickets", "outputs", _QUEUES, "",
         [("SESSION = session(matrix=MATRIX, bias=BIAS)", "SESSION = session(matrix=MATRIX.astype(np.float16), bias=BIAS)")]),
    Skew("int8 model overflows", "tickets", "outputs", _QUEUES, "",
         [("SESSION = session(matrix=MATRIX", "SESSION = session(matrix=(MATRIX * 100).astype(np.int8) / 100")]),
    Skew("queues in another order", "tickets", "outputs", _QUEUES, "swapped with",
         [("SESSION = session(matrix=MATRIX, bias=BIAS)", "SESSION = session(matrix=MATRIX[:, [1, 0, 2, 3]], bias=BIAS[[1, 0, 2, 3]])")], "host"),
]  # fmt: skip

HONEST = [
    Honest("batches of 7", "loans", batch=7),
    Honest("one row at a time", "loans", batch=1, n=300),
    Honest("rows in single precision", "loans", float32_rows),
    Honest("scaler in single precision", "loans", float32_scale),
    Honest("scaler in single precision, as golden", "loans", float32_scale, alike=True),
    Honest("the same code", "parcels"),
    Honest("sums in another order", "parcels",
         [('raw += 0.04 * parts["hour"] - 0.1 * parts["weekday"] - 0.4', 'raw = -0.1 * parts["weekday"] + raw + 0.04 * parts["hour"] - 0.4')]),
    Honest("sides in single precision", "parcels",
         [('"length": length_cm, "width": width_cm',
         "\"length\": __import__('numpy').float32(length_cm), \"width\": float(__import__('numpy').float32(width_cm))")]),
    Honest("two threads", "tickets",
         [("SESSION = session(matrix=MATRIX, bias=BIAS)", "SESSION = session(matrix=MATRIX, bias=BIAS, threads=2)")]),
    Honest("model in double precision", "tickets",
         [("SESSION = session(matrix=MATRIX, bias=BIAS)",
         "SESSION = session(matrix=MATRIX, bias=BIAS, kind=np.float64)"), ("list(row.values())], np.float32)", "list(row.values())], np.float64)")]),
]  # fmt: skip
