"""The mix is taken off before anything is compared: who asks, as golden knew them, and not the hours in which it met them."""

from __future__ import annotations

import numpy as np

from whimbrel.diagnose.case import Case, build
from whimbrel.diagnose.scan import Channel, Scan
from whimbrel.model.rows import Floats

from .shop import HOUR_US, SCHEMA, START, Cells, cells, rows, serve

CLEAN = np.zeros(12_000, dtype=bool)


def asked(golden: Cells, window: Cells) -> Case:
    return build(rows(serve(golden, CLEAN), "g"), rows(serve(window, CLEAN[:3_000]), "w"), SCHEMA)


def excess(case: Case, values: Floats) -> Floats:
    """What is left of a channel in the window."""
    (left,) = Scan(case).excess([Channel("inputs.price", "data", "level", "marginal", values)]).T
    out: Floats = left[case.window]
    return out


def test_a_shift_of_the_mix_moves_nothing() -> None:
    golden, window = cells(12_000, 1, hours=240, start_hour=0), cells(3_000, 2, hours=24, start_hour=240)
    window["context.country"] = np.where(window["noise"][2] < 0.5, "JP", window["context.country"])
    case = asked(golden, window)
    values = np.concatenate([side["context.country"] == "JP" for side in (golden, window)]).astype(float)
    assert abs(excess(case, values).mean()) < 0.02


def test_what_golden_had_for_some_hours_only_teaches_nothing_of_who_asks() -> None:
    """A customer who came in golden's last hours, when all was dear, is no dear customer the day after."""
    golden, window = cells(12_000, 1, hours=240, start_hour=0), cells(3_000, 2, hours=24, start_hour=240)
    last = golden["ts"] >= START + 234 * HOUR_US
    golden["context.country"] = np.where(last, "NZ", golden["context.country"])
    window["context.country"] = np.full(3_000, "NZ")
    values = np.concatenate([np.where(last, 1.0, 0.0), np.zeros(3_000)])
    assert abs(excess(asked(golden, window), values).mean()) < 0.1


def test_a_saturday_s_first_hours_teach_nothing_of_weekends() -> None:
    """Golden ends on a Saturday at three, after two dear hours; the rest of the day is no cheap one for being what golden's other days were."""
    golden, window = cells(12_000, 1, hours=77, start_hour=0), cells(3_000, 2, hours=24, start_hour=77)
    dear = golden["ts"] >= START + 74 * HOUR_US
    assert (asked(golden, window).weekday[: len(dear)][dear] >= 5).all()
    assert abs(excess(asked(golden, window), np.concatenate([np.where(dear, 1.0, 0.0), np.zeros(3_000)])).mean()) < 0.1
