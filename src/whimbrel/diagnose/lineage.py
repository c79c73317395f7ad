"""From a change of model to the data that both models came from.

In: a cause that is about another model, and `Trained`, which knows what models were trained on. Out: one more piece of evidence:
both data versions, and what differs between them. What is not known is said; nothing here can make a finding or unmake one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from whimbrel.diagnose.case import Case
from whimbrel.diagnose.causes import Cause
from whimbrel.errors import WhimbrelError
from whimbrel.model.fields import Role, role_of
from whimbrel.model.report import Evidence, Finding
from whimbrel.model.rows import Bools

if TYPE_CHECKING:
    from whimbrel.store import Log

MOST_ROWS = 5_000_000
"""Rows of both versions past which a diagnosis does not wait for their comparison."""


@dataclass(frozen=True, slots=True)
class Model:
    """Which model answered, as recorded; empty where it was not. `data` is the version that it came from."""

    name: str = ""
    version: str = ""
    data: str = ""


Trained = Callable[[Model, Model], Evidence | None]
"""What is known of the data of golden's model and of the new one."""


def followed(case: Case, cause: Cause, finding: Finding, trained: Trained) -> Finding:
    """The finding, with what the models were trained on where it is about a change of model."""
    change = next(
        (s for s in (*cause.witnesses, cause.suspect) if _is_model(s.hit.channel.signature, s.component)), None
    )
    if change is None:
        return finding
    new = np.nan_to_num(change.hit.channel.values) == 1
    before, after = _model(case, case.golden & ~new), _model(case, case.window & new)
    said = trained(before, after)
    return finding if said is None else replace(finding, evidence=(*finding.evidence, said))


def _is_model(signature: str, component: str) -> bool:
    return signature == "identity" and role_of(component) is Role.MODEL


def _model(case: Case, rows: Bools) -> Model:
    """The most frequent model of some rows."""
    held = []
    for part in Model.__slots__:
        variable = case.variables.get(f"model.{part}")
        if variable is None or variable.codes is None:
            held.append(np.full(int(rows.sum()), "", dtype=object))
        else:
            held.append(np.array([*variable.vocabulary, ""], dtype=object)[variable.codes[rows]])
    known: dict[tuple[str, ...], int] = {}
    for parts in zip(*held, strict=True):
        known[parts] = known.get(parts, 0) + 1
    return Model(*max(known, key=lambda parts: known[parts])) if known else Model()


def told_by(log: Log, app: str) -> Trained:
    """What a log knows: the data version that the recorder named, else the one that `whimbrel data link` noted."""

    def trained(before: Model, after: Model) -> Evidence | None:
        try:
            datas = [model.data or log.data.linked(_spec(model, app)) or "" for model in (before, after)]
            if not any(datas):
                return None
            return Evidence(
                "identity", _says(log, app, (before, after), datas), {"before": datas[0], "after": datas[1]}
            )
        except WhimbrelError as error:  # a damaged note must not cost the diagnosis
            return Evidence("identity", f"what the models were trained on cannot be compared: {error.what}", {})

    return trained


def _says(log: Log, app: str, models: tuple[Model, Model], datas: list[str]) -> str:
    from whimbrel.compare.datasets import told_between

    names = [_spec(model, app) for model in models]
    for name, data, other in zip(names, datas, reversed(list(zip(names, datas, strict=True))), strict=True):
        if not data:
            return f"{other[0]} was trained on {other[1]}; what {name} was trained on is not noted: whimbrel data link {name} NAME@VERSION"
    said = f"{names[1]} was trained on {datas[1]}, {names[0]} on {datas[0]}"
    if datas[0] == datas[1]:
        return f"both models were trained on {datas[0]}"
    try:
        versions = [log.data.version(data) for data in datas]
    except WhimbrelError as error:
        return f"{said}; they cannot be compared: {error.what}"
    if sum(version.rows for version in versions) > MOST_ROWS:
        return f"{said}; what differs: whimbrel data diff {datas[0]} {datas[1]}"
    return f"{said}: {told_between(log, *datas)}"


def _spec(model: Model, app: str) -> str:
    """The model's name and version; the app's name stands in where the model has none."""
    return f"{model.name or app}@{model.version}"
