"""The order of columns tells which steps come after the model, where it tells anything."""

import numpy as np
import pytest

from whimbrel.diagnose.boundaries import _told_where_it_matters, upstream
from whimbrel.diagnose.case import Case, Variable, build, in_between
from whimbrel.diagnose.relations import Relation, Split
from whimbrel.diagnose.suspects import order_of
from whimbrel.model.fields import Field, Kind, Schema
from whimbrel.model.rows import Numbers, Rows

ASKED = (
    "inputs.amount",
    "steps.prompt.tokens",
    "outputs.chance",
    "steps.parse.total",
    "steps.check.flags",
    "outputs.score",
)


@pytest.mark.parametrize(
    ("paths", "told"),
    [
        (ASKED, ("outputs.chance", "steps.parse", "steps.check", "outputs.score")),
        (("steps.a.x", "steps.b.x", "outputs.raw", "outputs.score"), ()),
        (("outputs.raw", "outputs.score", "steps.a.x", "steps.b.x"), ()),
        (("steps.a.x", "outputs.score", "steps.late.x"), ()),
        (("steps.a.x", "outputs.raw", "steps.a.y", "outputs.score"), ()),
    ],
)
def test_a_step_between_two_outputs_reads_one_and_leads_to_the_other(
    paths: tuple[str, ...], told: tuple[str, ...]
) -> None:
    """Where outputs stand together nothing is told; a step stands where its first column does."""
    assert in_between(Schema.from_pairs((path, Kind.NUMBER) for path in paths)) == told


def asked() -> Case:
    schema = Schema.from_pairs((path, Kind.NUMBER) for path in ASKED)
    rng = np.random.default_rng(0)

    def side(start: int) -> Rows:
        columns = {path: Numbers(rng.normal(size=300)) for path in ASKED}
        return Rows(tuple(f"{start}-{i}" for i in range(300)), (start + np.arange(300)) * 10**9, columns, 300)

    return build(side(0), side(1_000), schema)


def test_what_stands_between_is_made_of_what_stands_before_it() -> None:
    """A flag is not made of the score that it takes something off, and the score is."""
    case = asked()
    made_of = {
        path: [v.path for v in upstream(case, case.variables[path].field)] for path in ASKED if "inputs" not in path
    }
    assert "outputs.chance" in made_of["steps.check.flags"]
    assert "outputs.score" not in made_of["steps.check.flags"]
    assert {"steps.check.flags", "steps.parse.total"} <= set(made_of["outputs.score"])
    assert not {"steps.check.flags", "steps.parse.total"} & set(made_of["outputs.chance"])
    assert sorted(ASKED, key=lambda path: order_of(case, path)) == list(ASKED)


@pytest.mark.parametrize(("missed", "holds"), [(0, True), (30, False)])
def test_a_flag_that_is_mostly_up_where_scores_are_low_is_not_made_of_them(missed: int, holds: bool) -> None:
    """One in ten of the raised flags is not where the score tells it: the many that are down prove nothing."""
    values = np.zeros(4_000)
    values[:300] = 1.0
    surprise = np.zeros(4_000)
    surprise[:missed] = 1.0
    flags = Variable("steps.check.flags", Field("steps.check.flags", Kind.NUMBER), numbers=values)
    found = Relation("steps.check.flags", ("outputs.score",), "function", True, 0.99, values, surprise)
    rows = np.arange(4_000)
    assert _told_where_it_matters(Split(rows[:0], rows), flags, found) is holds
