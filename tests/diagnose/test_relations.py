"""What golden teaches: each form of relation is found, holds where it should, and is silent where it knows nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from whimbrel.diagnose import boundaries, rules
from whimbrel.diagnose.case import Case, Variable, build
from whimbrel.diagnose.cuts import cut
from whimbrel.diagnose.learning import exact, learn
from whimbrel.diagnose.relations import Relation, split
from whimbrel.diagnose.rules import _errs_often
from whimbrel.diagnose.support import Design
from whimbrel.model.fields import Field, Kind, Schema
from whimbrel.model.rows import Categories, Column, Numbers, Rows

N, M = 6_000, 1_000


def _case(target: np.ndarray, **fields: np.ndarray) -> Case:
    columns: dict[str, Column] = {}
    pairs = []
    for name, values in {**{f"inputs.{k}": v for k, v in fields.items()}, "steps.made.value": target}.items():
        if values.dtype.kind in "fi":
            columns[name] = Numbers(values.astype(float))
            pairs.append((name, Kind.NUMBER))
        else:
            vocabulary, codes = np.unique(values, return_inverse=True)
            columns[name] = Categories(codes.astype(np.int64), tuple(map(str, vocabulary)))
            pairs.append((name, Kind.TEXT))
    n = len(target)
    every = Rows(tuple(map(str, range(n))), np.arange(n, dtype=np.int64) * 60_000_000, columns, n)
    return build(every.take(np.arange(n) < N), every.take(np.arange(n) >= N), Schema.from_pairs(pairs))


def _learn(case: Case, *, trees: bool = False):  # type: ignore[no-untyped-def]
    parents = [v for name, v in case.variables.items() if name.startswith("inputs.")]
    return (learn if trees else exact)(case, split(case), case.variables["steps.made.value"], parents)


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).gamma(3, 4, N + M)


def test_how_many_fields_are_null_is_a_tally(x: np.ndarray) -> None:
    """Of three that may be null two are counted; the third, and how large they are, says nothing."""
    rng = np.random.default_rng(3)
    fields = {
        name: np.where(rng.random(x.size) < 0.05, np.nan, x + rng.normal(0, 1, x.size)) for name in ("a", "b", "c")
    }
    filled = np.isnan(fields["a"]).astype(float) + np.isnan(fields["b"])
    filled[-200:] = 0.0  # nobody counts any more
    relation = _learn(_case(filled, **fields, whole=x))
    assert (relation.form, relation.parents) == ("tally", ("inputs.a", "inputs.b"))
    broken = relation.surprise == 1
    assert not broken[:-200].any()
    assert np.array_equal(broken[-200:], (np.isnan(fields["a"]) | np.isnan(fields["b"]))[-200:])


def test_exact_forms_are_found(x: np.ndarray) -> None:
    """A copy, a scaling, a logarithm, a clip, a sum, a ratio, a table and a rule by segment are all exact."""
    rng = np.random.default_rng(1)
    other = rng.normal(5, 1, x.size)
    word = rng.choice(["a", "b", "c"], x.size)
    table = np.select([word == "a", word == "b"], [1.5, 4.0], 9.0)
    cases = {
        "copy": (x, {"x": x}),
        "affine": ((x - 12) / 7, {"x": x}),
        "function": (np.log1p(x), {"x": x}),
        "linear": (x + 2 * other - 3, {"x": x, "other": other}),
        "gated": (np.where(rng.random(x.size) < 0.4, 2 * x, 0.0), {"x": x}),
        "product": (x / other**2, {"x": x, "other": np.abs(other) + 1e-9}),
        "rule": (np.where(x > np.where(word == "a", 9, 14), "yes", "no"), {"x": x, "word": word}),
    }
    for form, (target, fields) in cases.items():
        found = _learn(_case(target, **fields))
        assert found is not None, form
        assert (found.form, found.exact) == (form, True)
        assert np.nanmean(found.surprise) < 0.01, form
    assert _learn(_case(np.clip(x, 2, 20), x=x)).exact
    assert _learn(_case(table, word=word)).form == "function"


@pytest.mark.parametrize(
    ("form", "made"),
    [
        ("product", lambda a, b, c: np.minimum(a / np.maximum(b, 0.4), 30.0)),
        ("product", lambda a, b, c: 3 * a * np.clip(b, 0.5, 2.5)),
        ("linear", lambda a, b, c: np.maximum(2 * a - 10 * b, 0.0)),
        ("linear", lambda a, b, c: np.minimum(a, 22.0) + 4 * np.maximum(c, -1.0)),
    ],
)
def test_what_is_cut_off_at_ends_is_exact(
    x: np.ndarray, form: str, made: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
) -> None:
    """A ratio with a least denominator, a sum that is never negative: golden cuts them off, and so does the relation."""
    rng = np.random.default_rng(3)
    b, c = rng.gamma(2, 0.7, x.size), rng.normal(0, 1, x.size)
    b[::90] = 0.0
    fields = {"a": x, "b": b, "c": c, "other": rng.normal(5, 1, x.size)}
    found = _learn(_case(made(x, b, c), **fields))
    assert found is not None
    assert (found.form, found.exact) == (form, True)
    assert "inputs.other" not in found.parents
    assert np.nanmean(found.surprise) < 0.01
    assert np.isfinite(found.surprise).mean() > 0.95
    wrong = made(x, b, c)
    wrong[N:] = made(x * 1.02, b, c)[N:]
    broken = _learn(_case(wrong, **fields))
    assert np.nanmean(broken.surprise[N:]) > 0.5


def test_a_product_is_of_what_it_is_made_of_and_not_of_whatever_grows_with_time() -> None:
    """A rate by the day is told by clocks and counters as well, until golden ends; and then the rate moves on."""
    rng = np.random.default_rng(6)
    clock = np.arange(N + M, dtype=float)
    day = np.floor(clock / 500)
    rate = np.exp(np.cumsum(rng.normal(0, 0.004, 20)))[day.astype(int)]
    amount = rng.lognormal(3, 1, N + M).round(2)
    fields = {"amount": amount, "rate": rate.round(4), "no": clock + 9_000, "at": clock * 40 + 1e6, "day": day + 1}
    found = _learn(_case(amount * rate, **fields))
    assert found is not None
    assert set(found.parents) == {"inputs.amount", "inputs.rate"}
    assert np.nanmean(found.surprise) < 0.002


def test_a_price_less_a_percentage_by_the_usual_one_is_a_product() -> None:
    """Most have nothing off, of which there is no logarithm; the usual price of each article is not recorded."""
    rng = np.random.default_rng(7)
    article, off = rng.integers(0, 9, N + M), rng.choice([0.0, 10.0, 20.0, 30.0], N + M, p=[0.8, 0.1, 0.05, 0.05])
    usual = rng.lognormal(1, 0.5, 9)
    price = (usual[article] * rng.choice([0.95, 1.0, 1.1], N + M)).round(2)
    fields = {
        "price": price,
        "off": off,
        "article": np.array([f"a{one}" for one in article]),
        "heat": rng.normal(15, 5, N + M),
    }
    found = _learn(_case((price * (1 - off / 100) / usual[article]).round(3), **fields))
    assert found is not None
    assert set(found.parents) == {"inputs.price", "inputs.off", "inputs.article"}
    assert np.nanmean(found.surprise) < 0.01


def test_a_length_that_differs_by_a_letter_or_two_is_no_exact_sum() -> None:
    """A text that ends openly loses one or two of its letters, and nobody knows which: a count is not rounded, it is another one."""
    rng = np.random.default_rng(9)
    length, ending = rng.integers(36, 95, N + M).astype(float), rng.choice(["open", "closed", "question"], N + M)
    kept = length - np.where(ending == "open", rng.integers(1, 3, N + M), 0)
    assert _learn(_case(kept, length=length, ending=ending)) is None


def test_of_what_is_nearly_a_sum_trees_learn_what_is_left() -> None:
    """A linear model with a little of two fields together: trees alone approach its slopes in steps."""
    rng = np.random.default_rng(8)
    a, b, c = rng.normal(size=(3, N + M))
    found = _learn(_case(a + 0.7 * b - 0.4 * c + 0.05 * a * b, a=a, b=b, c=c), trees=True)
    assert not found.exact
    assert found.strength > 0.9995


@pytest.mark.parametrize("fill", [-1.0, 0.0])
def test_what_stands_where_a_part_is_null_is_part_of_the_relation(x: np.ndarray, fill: float) -> None:
    """A ratio to what was ordered, and one fixed value without an order; what else is null now and then takes nothing from it."""
    rng = np.random.default_rng(8)
    ordered = np.where(rng.random(x.size) < 0.45, np.nan, rng.gamma(5, 2, x.size))
    days = np.where(rng.random(x.size) < 0.3, np.nan, rng.integers(1, 60, x.size))
    ratio = np.where(np.isnan(ordered), fill, x / ordered)
    found = _learn(_case(ratio, x=x, ordered=ordered, days=days))
    assert found is not None
    assert (found.exact, set(found.parents)) == (True, {"inputs.x", "inputs.ordered"})
    assert np.isfinite(found.surprise).mean() > 0.95
    wrong = ratio.copy()
    wrong[N:] = np.where(np.isnan(ordered[N:]), 1.0, ratio[N:])
    assert _learn(_case(wrong, x=x, ordered=ordered, days=days)).surprise[N:].mean() == pytest.approx(
        np.isnan(ordered[N:]).mean(), abs=0.02
    )


def test_beyond_golden_a_product_holds_where_it_says_just_what_came(x: np.ndarray) -> None:
    """A thousandth of all amounts leaves golden's range, and what is made of them is what it should be; what is made otherwise is not known there."""
    rate = np.random.default_rng(9).uniform(0.5, 2, x.size)
    amount = np.where(np.arange(x.size) >= N, x / 1000, x)
    found = _learn(_case(amount * rate, amount=amount, rate=rate))
    assert found is not None
    assert (found.form, float(np.nanmax(found.surprise[N:])), bool(np.isfinite(found.surprise[N:]).all())) == (
        "product",
        0.0,
        True,
    )
    made = np.where(np.arange(x.size) >= N, 3 * amount, amount * rate)
    assert np.isnan(_learn(_case(made, amount=amount, rate=rate)).surprise[N:]).mean() > 0.9


def test_what_a_step_records_may_be_made_of_what_it_recorded_before() -> None:
    """An amount in euros of the amount and the rate that the same step looked up for the day."""
    rng = np.random.default_rng(10)
    n = N + M
    net, day = rng.lognormal(3, 1, n).round(2), np.arange(n) // 300
    rate = (0.9 + 0.02 * rng.random(day.max() + 1)).round(4)[day]
    pairs = [("inputs.net", Kind.NUMBER), ("steps.fx.rate", Kind.NUMBER), ("steps.fx.net", Kind.NUMBER)]
    columns: dict[str, Column] = {
        "inputs.net": Numbers(net),
        "steps.fx.rate": Numbers(rate),
        "steps.fx.net": Numbers((net * rate).round(2)),
    }
    every = Rows(tuple(map(str, range(n))), np.arange(n, dtype=np.int64) * 60_000_000, columns, n)
    case = build(every.take(np.arange(n) < N), every.take(np.arange(n) >= N), Schema.from_pairs(pairs))
    found = boundaries.learn_all(case, boundaries.foresee(case)).relations["steps.fx.net"]
    assert (found.form, set(found.parents)) == ("product", {"inputs.net", "steps.fx.rate"})


def test_what_mostly_is_a_sum_and_else_anything_is_no_relation(x: np.ndarray) -> None:
    """One row in eight bears another value, and no end says which."""
    rng = np.random.default_rng(4)
    other = rng.normal(5, 1, x.size)
    target = np.where(rng.random(x.size) < 0.125, rng.normal(0, 9, x.size), x + 2 * other)
    assert _learn(_case(target, x=x, other=other)) is None


def test_a_rounded_sum_that_is_mostly_near_nought_is_exact() -> None:
    """A score of four decimals: rounding takes more than a thousandth of what most scores differ by."""
    rng = np.random.default_rng(12)
    raw = np.where(rng.random(N + M) < 0.02, rng.random(N + M), 0.02 * rng.beta(2, 3, N + M))
    hits = np.where(rng.random(N + M) < 0.02, 1.0, 0.0)
    target = np.round(0.8 * raw + 0.12 * hits, 4)
    target[-100:] += 0.004
    found = _learn(_case(target, raw=raw, hits=hits))
    assert found is not None
    assert (found.form, found.exact) == ("linear", True)
    assert np.nanmean(found.surprise[:-100]) < 0.01
    assert np.nanmean(found.surprise[-100:]) > 0.99
    assert _learn(_case(np.round(0.01 * raw + 0.003 * rng.normal(0, 1, N + M), 4), raw=raw, hits=hits)) is None


def test_where_golden_only_happens_to_end_a_product_is_not_cut_off(x: np.ndarray) -> None:
    """The cap is at a hundred and golden never came near it: ten times the amount is ten times the ratio, and the code's no fault."""
    rng = np.random.default_rng(7)
    b = rng.uniform(0.9, 4.0, x.size)
    b[::150] = 0.2
    amount = np.where(np.arange(x.size) >= N, 10.0, 1.0) * x
    found = _learn(_case(np.minimum(amount / np.maximum(b, 0.5), 100.0), a=amount, b=b, other=rng.normal(5, 1, x.size)))
    assert found is not None
    assert np.nanmean(found.surprise[N:]) < 0.02


@pytest.mark.parametrize("seed", range(64, 80))
def test_what_mostly_is_one_value_is_no_sum(seed: int) -> None:
    """A count that is nearly always one: the sum that holds for most rows is that one, and no column may be cut off to explain the rest."""
    rng = np.random.default_rng(seed)
    tries = rng.choice([0.0, 1.0, 2.0], N + M, p=[0.03, 0.94, 0.03])
    fields = {"asked": rng.integers(0, 6, N + M).astype(float), "found": rng.poisson(0.3, N + M).astype(float)}
    assert _learn(_case(tries, **fields)) is None


def test_noise_is_no_relation(x: np.ndarray) -> None:
    """A target that has nothing to do with its parents teaches nothing, with or without trees."""
    noise = np.random.default_rng(2).normal(0, 1, x.size)
    assert _learn(_case(noise, x=x), trees=True) is None


def test_a_break_is_seen_row_by_row(x: np.ndarray) -> None:
    """Exactly the window rows that were changed are surprising."""
    target = 3 * x + 1
    changed = np.zeros(x.size, dtype=bool)
    changed[N + 100 : N + 200] = True
    found = _learn(_case(np.where(changed, target * 1.05, target), x=x))
    assert found is not None
    assert np.array_equal(found.surprise == 1, changed)


def test_an_amount_where_there_is_one_is_held_against_what_it_is_a_multiple_of(x: np.ndarray) -> None:
    """Who is paid is not known, but how much: what is neither nothing nor the amount breaks it."""
    paid = np.random.default_rng(3).random(x.size) < 0.4
    cents = paid & (np.arange(x.size) > N + 500)
    found = _learn(_case(np.where(paid, x, 0.0) * np.where(cents, 100, 1), x=x))
    assert (found.form, found.exact) == ("gated", True)
    assert np.array_equal(found.surprise == 1, cents)


@pytest.mark.parametrize("strike", [True, False])
def test_a_rule_is_silent_where_golden_tried_it_on_few_of_another_kind(strike: bool) -> None:
    """Late ones of unknown language were Dutch in golden, and there were few; a strike brings many, and they are English."""
    rng = np.random.default_rng(4)
    n, window = N + M, np.arange(N + M) >= N
    spoken = rng.choice(["en", "nl"], n)
    late = np.where(rng.random(n) < 0.015, 4.0, rng.integers(0, 3, n))
    unknown = (late > 3) | (rng.random(n) < 0.02)
    if strike:
        late = np.where(window & (rng.random(n) < 0.3), 4.0, late)
        unknown = unknown | (window & (late > 3))
    spoken = np.where(unknown, np.where((late > 3) & ~(strike & window), "nl", "en"), spoken)
    said = np.where(~strike & window & (spoken == "nl"), "en", spoken)  # with no strike, Dutch is answered in English
    found = _learn(_case(said, told=np.where(unknown, "?", spoken), late=late))
    assert found is not None
    assert found.exact
    broken = float(np.nanmean(found.surprise[window]))
    assert (broken < 0.01) if strike else (broken > 0.4)


def test_an_imputed_default_is_part_of_the_relation(x: np.ndarray) -> None:
    """Where the input is null golden always gave one value: another default is a break, the right one is not."""
    rng = np.random.default_rng(3)
    raw = np.where(rng.random(x.size) < 0.1, np.nan, x)
    filled = np.where(np.isnan(raw), 11.0, raw)
    late = np.arange(x.size) >= N + 500
    found = _learn(_case(np.where(np.isnan(raw) & late, 0.0, filled), raw=raw))
    assert found is not None
    assert np.array_equal(np.flatnonzero(found.surprise == 1), np.flatnonzero(np.isnan(raw) & late))


def test_a_bystander_is_no_witness_against_the_target(x: np.ndarray) -> None:
    """Two inputs determine the target; one of them breaks: the target still follows from the other."""
    twin = np.where(np.arange(x.size) >= N, x * 50, x * 2)
    found = _learn(_case(x + 1, x=x, twin=twin))
    assert found is not None
    assert np.nansum(found.surprise) == 0


def test_outside_golden_nothing_is_judged(x: np.ndarray) -> None:
    """A function known only by its points says nothing beyond them."""
    far = np.where(np.arange(x.size) >= N, x + 1_000, x)
    found = _learn(_case(np.sqrt(far), far=far))
    assert found is not None
    assert np.isnan(found.surprise[N:]).all()


def test_a_rule_does_not_learn_what_failed_by_chance() -> None:
    """A threshold, and a fallback that answers "no" in one of 200: no row is expected to fail for where it lies."""
    rng = np.random.default_rng(3)
    score, other = rng.uniform(0, 1, N + M), rng.normal(size=N + M)
    said = np.where((score > 0.6) & (rng.random(N + M) > 0.005), "yes", "no")
    found = _learn(_case(said, score=score, other=other))
    assert (found.form, found.parents) == ("rule", ("inputs.score",))
    clear = np.abs(score - 0.6) > 0.01
    assert len(np.unique(found.expected[clear & (score > 0.6)])) == 1


def test_a_copy_is_heard_before_a_table() -> None:
    """Docks are copied from what came in, which is a function of the zone: where the two part, the copy is right."""
    rng = np.random.default_rng(4)
    zone = rng.integers(0, 8, N + M)
    docks = 10.0 + 3 * zone
    docks[N:] = rng.permutation(docks[N:])
    found = _learn(_case(docks.copy(), zone=np.array(list("abcdefgh"))[zone], docks=docks))
    assert found.form == "copy"
    assert np.nansum(found.surprise[N:]) == 0


def test_a_field_that_golden_never_varied_is_foretold_by_nothing() -> None:
    """Rain in the blocks that learn and none in those that check: there is no skill to be seen."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=N + M)
    case = _case(np.zeros(N + M), x=x)
    parts = split(case)
    rain = np.zeros(N + M)
    rain[parts.train] = np.maximum(x[parts.train] - 1, 0)
    assert _learn(_case(rain, x=x), trees=True) is None


def test_what_a_screen_of_neighbours_must_let_pass() -> None:
    """A look-up by number, a curve with many steps, a wave, a function of what is mostly one value, and one that is seldom broken."""
    rng = np.random.default_rng(9)
    ids, u = rng.integers(0, 400, N + M).astype(float), rng.random(N + M)
    prices = rng.gamma(2, 30, 400)
    mostly = np.where(u < 0.9, 0.0, rng.random(N + M))
    broken = np.where(rng.random(N + M) < 0.01, 99.0, 3 * u)
    for target, parent in (
        (prices[ids.astype(int)], ids),
        (np.floor(u * 20) ** 2, u),
        (np.sin(12 * u), u),
        (np.exp(mostly), mostly),
        (broken, u),
    ):
        relation = _learn(_case(target, x=parent, noise=rng.random(N + M)))
        assert relation is not None
        assert relation.parents == ("inputs.x",)


@pytest.mark.parametrize(
    ("form", "read"), [("function", {"outputs.score"}), ("trees", {"outputs.raw", "outputs.score"})]
)
def test_a_decision_is_read_off_the_last_word(form: str, read: set[str]) -> None:
    """Where a score is always made of another, golden cannot say which of them the decision goes by."""
    made = Relation("outputs.score", ("outputs.raw",), form, form == "function", 1.0, np.zeros(1), np.zeros(1))
    raw, score, decision = (
        Variable(path, Field(path, Kind.NUMBER), numbers=np.zeros(1))
        for path in ("outputs.raw", "outputs.score", "decision")
    )
    found = boundaries._last_words([raw, score], decision, {"outputs.score": made})
    assert {v.name for v in found} == read
    assert boundaries._last_words([raw, score], score, {"outputs.score": made}) == [raw, score]


@pytest.mark.parametrize("sign", ["/", "-"])
def test_a_decision_may_read_two_numbers_as_one(sign: str) -> None:
    """A price by its estimate, or what is left of a budget: neither alone decides, and golden's rule holds for all sizes."""
    rng = np.random.default_rng(9)
    price = np.exp(rng.normal(9, 0.8, N + M))
    estimate = price * np.exp(rng.normal(0, 0.2, N + M))
    good = price / estimate < 0.9 if sign == "/" else price - estimate < -2_000
    columns: dict[str, Column] = {
        "inputs.price": Numbers(price), "outputs.estimate": Numbers(estimate),
        "decision": Categories(good.astype(np.int64), ("fair", "good")),
    }  # fmt: skip
    every = Rows(tuple(map(str, range(N + M))), np.arange(N + M, dtype=np.int64) * 60_000_000, columns, N + M)
    schema = Schema.from_pairs(
        [("inputs.price", Kind.NUMBER), ("outputs.estimate", Kind.NUMBER), ("decision", Kind.TEXT)]
    )
    case = build(every.take(np.arange(N + M) < N), every.take(np.arange(N + M) >= N), schema)
    parents = [case.variables["outputs.estimate"], case.variables["inputs.price"]]
    found = exact(case, split(case), case.variables["decision"], parents)
    assert found is not None
    assert (found.form, set(found.parents)) == ("rule", {"inputs.price", "outputs.estimate"})
    assert np.nanmean(found.surprise) < 0.01
    assert np.isfinite(found.surprise[case.window]).mean() > 0.9


def test_a_rule_says_nothing_of_numbers_between_the_two_that_it_parts() -> None:
    """Golden's answers were sure or refused: where between them the threshold lies it cannot say."""
    x = np.concatenate([np.linspace(0.1, 0.4, 200), np.linspace(0.7, 0.9, 600), [0.39, 0.55, 0.69, 0.75]])
    y = (x > 0.5).astype(np.int64)
    design, train = Design(x[:, None], ("score",), np.array([False])), np.arange(800)
    tree = DecisionTreeClassifier(max_depth=1, random_state=0).fit(design.x[train], y[train])
    plain = cut(design.x[train], y[train])
    for rule in (tree, plain):
        found = rules._between(rule, design, train)
        assert not found[:800].any()
        assert found[800:].tolist() == [False, True, True, False]


def test_a_rule_says_nothing_of_numbers_that_golden_never_had_together() -> None:
    """Late above 20 minutes, and tight above 24 with what is added; nobody ever added nothing."""
    rng = np.random.default_rng(12)
    minutes = rng.gamma(6, 2, N + M)
    upper = minutes * rng.uniform(1.3, 1.8, N + M)
    upper[N:] = minutes[N:]
    made = np.where(minutes > 20, "late", np.where(upper > 24, "tight", "soon"))
    found = _learn(_case(made, minutes=minutes, upper=upper))
    assert found is not None
    assert np.nansum(found.surprise[N:][minutes[N:] > 20]) == 0
    assert np.isfinite(found.surprise[N:][minutes[N:] < 12]).mean() > 0.9


def test_a_count_is_rounded_as_well(x: np.ndarray) -> None:
    """Tokens are the characters by four and a fixed part, to the nearest whole one: that is exact."""
    characters = np.round(x * 300)
    found = _learn(
        _case(np.floor(characters / 4) + 380 + 95 * (x > 12), characters=characters, examples=(x > 12) * 1.0)
    )
    assert found is not None
    assert found.exact


@pytest.mark.parametrize(("wrong", "often"), [(3, False), (40, True)])
def test_a_rule_is_not_exact_of_what_it_often_says_wrongly(wrong: int, often: bool) -> None:
    """Forty of three hundred tickets it should not have said, and all else right: it is silent about tickets alone."""
    said = np.append(np.zeros(9_700, dtype=np.int64), np.ones(300, dtype=np.int64))
    right = np.arange(10_000) < 10_000 - wrong
    assert _errs_often(said, right, 2).tolist() == [False, often]
