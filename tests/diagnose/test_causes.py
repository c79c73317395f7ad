"""Which of several departures is the cause, and what is left of one that upstream explains."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from whimbrel.diagnose import causes, contracts, crossing, followers, ground, sources, straight
from whimbrel.diagnose.case import Variable
from whimbrel.diagnose.followers import nothing_to_do
from whimbrel.diagnose.scan import Channel, Hit
from whimbrel.diagnose.suspects import Proof, Suspect
from whimbrel.model.fields import Field, Kind, Schema
from whimbrel.model.window import Condition

ROWS = np.ones(200, dtype=bool)


@dataclass
class Reads:
    """A relation, as far as it is asked here."""

    parents: tuple[str, ...]
    surprise: Any = None
    expected: Any = None
    exact: bool = False
    strength: float = 0.95
    form: str = "linear"


def suspect(
    component: str,
    signature: str,
    shift: float,
    *,
    kind: Any = "residual",
    score: float = 20.0,
    proof: Proof = Proof.FIRM,
) -> Suspect:
    """One that departs on all rows."""
    excess = np.full(ROWS.size, shift)
    layer = "data" if component.startswith("inputs.") else "features"
    channel = Channel(component, layer, signature, kind, np.ones(ROWS.size))
    hit = Hit(channel, (), score, 6.3, shift, 0.0, 1.0, ROWS.size, excess, ROWS)
    return Suspect(component, layer, hit, (hit,), proof, (), ROWS, ROWS, 0, True, shift, 0.3, 0.3 + shift)


def test_what_upstream_explains_leaves_what_it_does_not() -> None:
    """One value where upstream makes nearly that is upstream's; that elsewhere the model makes something else stays."""
    score, other = np.full(ROWS.size, 0.5), ROWS.copy()
    other[:50] = False
    torn = suspect("outputs.score", "spread", 2.0)
    torn = replace(torn, affected=other)
    atom = replace(suspect("outputs.score", "repeated", 1.0, kind="invariant"), affected=~other, own=torn)
    relation = Reads((), surprise=np.where(other, 4.0, 0.1), expected=score)
    case = SimpleNamespace(golden=ROWS)
    left = followers.inherited(cast("Any", case), atom, [atom], cast("Any", {"outputs.score": relation}))
    assert (left.hit.channel.signature, left.proof) == ("spread", Proof.FIRM)
    alone = followers.inherited(
        cast("Any", case), replace(atom, own=None), [atom], cast("Any", {"outputs.score": relation})
    )
    assert alone.proof is Proof.SOFT


@pytest.mark.parametrize("swapped", ["inputs.used", "inputs.before"])
def test_of_two_inputs_that_foretell_each_other_the_one_that_went_further_is_blamed(swapped: str) -> None:
    """A value of another row leaves its own relation by more than it spoils the other's."""
    both = [suspect(name, "spread", 1.5 if name == swapped else 0.8) for name in ("inputs.used", "inputs.before")]
    relations = {"inputs.used": Reads(("inputs.before",)), "inputs.before": Reads(("inputs.used",))}
    assert crossing._torn_most(both[0], both, cast("Any", relations)) == swapped


def test_an_input_that_is_not_read_by_the_other_is_another_matter() -> None:
    """Without a relation both ways there is nothing to choose between."""
    both = [suspect("inputs.used", "spread", 0.8), suspect("inputs.before", "spread", 1.5)]
    relations = {"inputs.used": Reads(("inputs.before",)), "inputs.before": Reads(("inputs.age",))}
    assert crossing._torn_most(both[0], both, cast("Any", relations)) == "inputs.used"


@pytest.mark.parametrize(
    ("code", "score", "proof"), [("code.prompt", 20.0, Proof.FIRM), ("code.prompt", 8.0, Proof.SOFT), ("code.other", 20.0, Proof.SOFT)]
)  # fmt: skip
def test_a_rough_relation_that_breaks_with_its_own_code_is_that_code_s_doing(
    code: str, score: float, proof: Proof
) -> None:
    """A field that upstream foretells only roughly may move with the world; not clearly, and with its step's new fingerprint."""
    moved = suspect("steps.prompt.tokens", "residual", 1.4, score=score, proof=Proof.SOFT)
    new = suspect(code, "identity", 1.0, kind="identity", proof=Proof.SOFT)
    assert causes._promote(cast("Any", None), moved, [new], [moved]).proof is proof


def test_code_that_is_new_in_a_slice_alone_has_the_rest_for_a_control() -> None:
    """A departure in just the slice that new code reaches need not be so clear: the rest of the traffic did not move."""
    moved = suspect("steps.prompt.tokens", "residual", 1.4, score=8.0, proof=Proof.SOFT)
    new = suspect("code.prompt", "identity", 1.0, kind="identity", proof=Proof.SOFT)
    there = [replace(s, where=(Condition("context.language", "de"),)) for s in (moved, new)]
    assert causes._promote(cast("Any", None), there[0], [there[1]], there).proof is Proof.FIRM
    assert causes._promote(cast("Any", None), there[0], [new], there).proof is Proof.SOFT


@pytest.mark.parametrize(("component", "read", "where", "proof"), [
    ("inputs.used", "inputs.used", (), Proof.SOFT), ("inputs.other", "inputs.used", (), Proof.FIRM),
    ("inputs.used", "inputs.used", (Condition("context.channel", "web"),), Proof.FIRM),
])  # fmt: skip
def test_what_was_looked_up_of_last_month_is_taken_along_by_this_one(
    component: str, read: str, where: tuple[Condition, ...], proof: Proof
) -> None:
    """In all traffic, where an input that the fitted model reads left what other inputs tell of it."""
    moved = suspect(component, "residual", 0.3, proof=Proof.SOFT)
    step = replace(suspect("steps.lookup.before", "residual", -0.7), where=where)
    channel = replace(step.hit.channel, detail={"relation": Reads((read,))})
    step = replace(step, hit=replace(step.hit, channel=channel))
    assert followers.taken_along(step, [moved, step]).proof is proof


@pytest.mark.parametrize(("signature", "blamed"), [("given score", "model.version"), ("lost", "label")])
def test_labels_that_no_longer_go_by_another_model_s_scores_are_its_doing(signature: str, blamed: str) -> None:
    """Labels that do not come are not."""
    off = replace(suspect("label", signature, 0.7, kind="invariant"), layer="labels")
    new = suspect("model.version", "identity", 1.0, kind="identity", proof=Proof.SOFT)
    assert causes._name(cast("Any", None), off, [new], [], [], {}).component == blamed


@pytest.mark.parametrize(
    ("model", "age", "blamed"),
    [("", False, ["hardware.host"]), ("there", False, []), ("everywhere", False, ["hardware.host"]), ("", True, [])],
)
def test_one_slow_span_on_one_host_is_the_host_s(model: str, age: bool, blamed: list[str]) -> None:
    """Whoever asks it waits, and nobody who asks another; unless another model answers there alone, or what answers is elsewhere, and has an age."""
    host = (Condition("hardware.host", "gpu-3"),)
    slow = replace(suspect("spans.infer", "slower", 0.7, kind="marginal"), where=host, layer="serving")
    other = suspect("model.version", "identity", 1.0, kind="identity", proof=Proof.SOFT)
    other = replace(other, where=host) if model == "there" else other
    spans = [SimpleNamespace(path=f"spans.{name}") for name in ("fetch", "infer", "total")]
    case = SimpleNamespace(of=lambda *_: spans, reads=frozenset(), variables={"age.infer": 0} if age else {})
    found = causes._host_slow(cast("Any", case), [slow], [], [other] if model else [])
    assert [cause.component for cause in found] == blamed


@pytest.mark.parametrize(
    ("strength", "broken", "its"), [(0.995, 0.023, True), (0.995, 0.2, False), (1.0, 0.023, False)]
)
def test_a_rule_that_is_only_roughly_known_fails_a_little_oftener_of_a_new_model(
    strength: float, broken: float, its: bool
) -> None:
    rule = replace(suspect("decision", "broken", broken), after=broken)
    relation = SimpleNamespace(form="rule", strength=strength)
    rule = replace(rule, hit=replace(rule.hit, channel=replace(rule.hit.channel, detail={"relation": relation})))
    assert followers.new_to_it(rule, "model.version") is its
    assert not followers.new_to_it(rule, "inputs.price")


@pytest.mark.parametrize("catalogue", [True, False])
def test_nulls_of_ids_that_never_had_a_value_are_no_more_nulls(catalogue: bool) -> None:
    """Everybody watches a film of which nobody knows how long it is; where nulls come and go they are told by nobody."""
    rng = np.random.default_rng(6)
    film = rng.integers(0, 100, 4_000)
    film[3_000:] = np.where(rng.random(1_000) < 0.3, 7, film[3_000:])
    missing = film % 25 == 7 if catalogue else rng.random(4_000) < 0.04
    case = SimpleNamespace(golden=np.arange(4_000) < 3_000, many={"inputs.film": film})
    given = contracts._of_ids(cast("Any", case), missing)
    assert (given is not None) is catalogue
    if given is not None:
        assert np.abs(given - missing).max() < 0.01


@pytest.mark.parametrize(
    ("rate", "inside", "score", "unknown"),
    [
        ("new with it", "all", 20.0, True), ("new before", "all", 20.0, False), ("new before", "all", 8.0, True),
        ("known", "all", 20.0, False), ("new with it", "some", 20.0, False), ("new with it", "some", 8.0, True), ("seen once", "all", 20.0, True),
        ("new there", "some", 20.0, True), ("always there", "some", 20.0, False), ("each row's own", "some", 20.0, False),
    ],
)  # fmt: skip
def test_a_fitted_model_left_on_ground_that_is_new_proves_nothing(
    rate: str, inside: str, score: float, unknown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the hour on in which a rate is one that golden hardly ever had; but not if this is clear and it was new before, or others with it
    do not depart; the slice always had it, or it is no weather, but what each row has of its own."""
    monkeypatch.setattr(ground, "_lasting", lambda *_: rate != "each row's own")
    ts = np.arange(400) * 1_000_000
    golden, late = np.arange(400) < 200, np.arange(400) >= 300
    values = np.where(golden, 1.0 + np.arange(400) % 3, 2.0)
    values[late if rate == "new with it" else ~golden if rate == "new before" else np.zeros(400, bool)] = 4.5
    if rate == "seen once":
        values[late], values[7] = 4.5, 4.5
    rows = np.ones(400, bool) if inside == "all" else np.arange(400) % 2 == 0
    if rate in ("new there", "each row's own"):
        values[late & rows] = 4.5
    if rate == "always there":  # a rare town has its own
        rows = np.isin(np.arange(400), (7, 350, 360, 370))
        values[rows] = 9.0
    parent = Variable("inputs.rate", Field("inputs.rate", Kind.NUMBER), numbers=values)
    case = SimpleNamespace(ts=ts, golden=golden, window=~golden, variables={"inputs.rate": parent})
    moved = suspect("outputs.margin", "residual", 0.7, score=score)
    channel = replace(moved.hit.channel, detail={"relation": Reads(("inputs.rate",))})
    moved = replace(
        moved, hit=replace(moved.hit, channel=channel, excess=np.where(late, 0.7, 0.0)), inside=rows,
        affected=rows & late, since_us=int(ts[300]), from_start=False,
    )  # fmt: skip
    assert ground.unknown_ground(cast("Any", case), moved) is unknown


@pytest.mark.parametrize(
    ("first", "second", "leads"),
    [("steps.count.day", 40.0, True), ("steps.count.day", 10.0, False), ("steps.other.value", 40.0, False)],
)
def test_a_model_that_is_left_where_what_it_reads_moved_follows(first: str, second: float, leads: bool) -> None:
    """A counter leaps in one slice, and the score is no longer what golden foretells of it: the counter led."""
    order = SimpleNamespace(schema=SimpleNamespace(steps=("count", "other")), after=set(), answers=())
    where = (Condition("context.country", "GB"),)
    counter = replace(suspect(first, "level", 1.2, kind="marginal", score=second, proof=Proof.SOFT), where=where)
    score = replace(suspect("outputs.score", "spread", 2.0), where=where)
    channel = replace(score.hit.channel, detail={"relation": Reads(("steps.count.day",))})
    score = replace(score, hit=replace(score.hit, channel=channel))
    proofs = [s.proof for s in followers.led(cast("Any", order), [counter, score])]
    assert proofs == [Proof.FIRM if leads else Proof.SOFT, Proof.FIRM]


@pytest.mark.parametrize(("signature", "proof"), [("whole", Proof.FIRM), ("range", Proof.SOFT)])
def test_a_rough_relation_does_not_speak_for_lost_digits(signature: str, proof: Proof) -> None:
    """It foretells a place to a kilometre: that it is high is upstream's, that its digits are gone is its own."""
    lost = suspect("inputs.lat", signature, 1.0, kind="invariant")
    relation = Reads(("inputs.lon",), surprise=np.full(ROWS.size, 0.2), expected=np.arange(ROWS.size, dtype=float))
    latitude = SimpleNamespace(numbers=relation.expected + np.where(ROWS.cumsum() % 2, 5.0, -5.0))
    case = SimpleNamespace(golden=ROWS, variables={"inputs.lat": latitude})
    left = followers.inherited(cast("Any", case), lost, [lost], cast("Any", {"inputs.lat": relation}))
    assert left.proof is proof


@pytest.mark.parametrize(("signature", "score", "proof"), [("range", 20.0, Proof.FIRM), ("range", 8.0, Proof.SOFT)])
def test_a_host_whose_answers_alone_left_golden_s_is_a_trial_with_its_control(
    signature: str, score: float, proof: Proof
) -> None:
    moved = suspect("outputs.score", signature, 0.1, kind="invariant", score=score, proof=Proof.SOFT)
    moved = replace(moved, where=(Condition("hardware.host", "h3"),))
    case = SimpleNamespace(ts=np.arange(ROWS.size), window=ROWS, golden=~ROWS)
    assert causes._promote(cast("Any", case), moved, [], []).proof is proof


@pytest.mark.parametrize(("known", "proof"), [(False, Proof.FIRM), (True, Proof.SOFT)])
def test_scores_that_repeat_under_another_model_are_that_models(known: bool, proof: Proof) -> None:
    """An int8 copy says the same few things to many; that the world's rows repeat proves nothing."""
    repeats = suspect("outputs.score", "atom", 0.1, kind="invariant", proof=Proof.SOFT)
    identity = suspect("model.precision", "identity", 1.0, kind="identity", proof=Proof.SOFT)
    case = SimpleNamespace(
        ts=np.arange(ROWS.size), window=ROWS, golden=~ROWS, variables={}, answers=(), schema=Schema()
    )
    found = causes._promote(cast("Any", case), repeats, [] if known else [identity], [])
    assert found.proof is proof


@pytest.mark.parametrize(
    ("path", "score", "strength", "moved", "proof"),
    [
        ("context.locale", 20.0, 0.9, False, Proof.FIRM), ("context.locale", 8.0, 0.9, False, Proof.SOFT),
        ("context.locale", 20.0, 0.7, False, Proof.SOFT), ("context.locale", 20.0, 0.9, True, Proof.SOFT),
        ("model.version", 20.0, 0.9, False, Proof.SOFT),
    ],
)  # fmt: skip
def test_who_is_answered_otherwise_in_one_slice_has_the_rest_for_a_control(
    path: str, score: float, strength: float, moved: bool, proof: Proof
) -> None:
    """Clearly, by a model that is good enough, where nothing before the output moved; which model answers is another matter."""
    where = (Condition(path, "de"),)
    answers = replace(suspect("outputs.score", "spread", 1.3, score=score, proof=Proof.SOFT), where=where)
    channel = replace(answers.hit.channel, detail={"relation": Reads(("inputs.price",), strength=strength)})
    answers = replace(answers, hit=replace(answers.hit, channel=channel))
    price = suspect("inputs.price", "level", 1.0, kind="marginal", proof=Proof.SOFT)
    case = SimpleNamespace(variables={}, answers=(), of=lambda *_: [], schema=SimpleNamespace(of=lambda *_: []))
    assert causes._promote(cast("Any", case), answers, [], [price, answers] if moved else [answers]).proof is proof


@pytest.mark.parametrize(("strengths", "named"), [((0.9, 0.3), "steps.jam.index"), ((0.2, 0.3), "steps.route.km")])
def test_a_source_of_another_name_feeds_what_the_rest_of_the_row_foretells_least(
    strengths: tuple[float, float], named: str
) -> None:
    paths = ("steps.route.km", "steps.jam.index")
    fields = [Field(path, Kind.NUMBER) for path in paths]
    relations = {path: Reads((), strength=s) for path, s in zip(paths, strengths, strict=True)}
    stale = suspect("age.feed", "stale", 1.0, kind="invariant")
    assert sources.served(cast("Any", SimpleNamespace(schema=fields)), stale, [], cast("Any", relations)) == named


@pytest.mark.parametrize(
    ("score", "rows", "where", "misled"),
    [(15.0, 200, True, True), (400.0, 200, True, False), (15.0, 50, True, False), (15.0, 200, False, False)],
)
def test_a_rule_follows_from_what_broke_more_clearly_on_its_rows(
    score: float, rows: int, where: bool, misled: bool
) -> None:
    """No rule was learned for values that golden never had; one that broke more plainly, elsewhere, or where all is slow, was changed."""
    unit = suspect("inputs.share", "unit", 3.0, kind="invariant", score=300.0, proof=Proof.HARD)
    unit = replace(unit, affected=np.arange(ROWS.size) < rows, where=(Condition("context.depot", "north"),) * where)
    broken = suspect("decision", "broken", 0.03, score=score, proof=Proof.HARD)
    rule = replace(broken.hit.channel, detail={"relation": SimpleNamespace(form="rule")})
    assert followers.misled(replace(broken, hit=replace(broken.hit, channel=rule)), unit) is misled


@pytest.mark.parametrize(("halted", "first"), [(1.4, "spans.market"), (0.3, "steps.market.rate")])
def test_a_dependency_that_halts_is_heard_before_what_falls_back_on_some_of_its_calls(
    halted: float, first: str
) -> None:
    """All calls wait, and a few time out and fall back."""
    slow = suspect("spans.market", "slower", halted, kind="marginal")
    hit = replace(slow.hit, channel=replace(slow.hit.channel, binary=False))
    slow = replace(slow, hit=hit, hits=(hit,))
    wrong = suspect("steps.market.rate", "atom", 0.3, kind="invariant", proof=Proof.HARD)
    wrong = replace(wrong, affected=np.arange(ROWS.size) < 60)
    case = SimpleNamespace(
        answers=(), after=set(), variables={},
        schema=Schema.from_pairs([("spans.market", Kind.NUMBER), ("steps.market.rate", Kind.NUMBER)]),
    )  # fmt: skip
    heard = sorted([wrong, slow], key=lambda s: causes._turn(cast("Any", case), s, [wrong, slow]))
    assert heard[0].component == first


@pytest.mark.parametrize("moves", [False, True])
def test_of_several_fields_of_its_name_a_source_feeds_the_one_that_moved(moves: bool) -> None:
    """A kitchen's capacity stays what it is when its queue is no longer read."""
    fields = [Field(path, Kind.NUMBER) for path in ("inputs.kitchen_queue", "steps.join.kitchen_cap")]
    stale = suspect("age.kitchen", "stale", 1.0, kind="invariant")
    queue = suspect("inputs.kitchen_queue", "level", -0.8, kind="marginal", proof=Proof.SOFT)
    named = sources.served(cast("Any", SimpleNamespace(schema=fields)), stale, [queue] if moves else [], {})
    assert named == ("inputs.kitchen_queue" if moves else "steps.join.kitchen_cap")


@pytest.mark.parametrize(("wrong", "form", "explained"), [
    ("a part", "logistic", True), ("the whole", "logistic", False), ("a part", "product", True), ("the whole", "product", False),
])  # fmt: skip
def test_a_whole_of_parts_that_follow_from_each_other_is_wrong_in_step_with_one(
    wrong: str, form: str, explained: bool
) -> None:
    """Golden cannot tell 2·z from 2·(oil − air), nor load from rate·meters: when one part breaks, what was learned of the whole breaks with it."""
    rng = np.random.default_rng(1)
    part, other = rng.uniform(1, 9, ROWS.size), rng.normal(size=ROWS.size)
    broke = np.round(part)
    if form == "product":
        right = {"steps.z.value": part, "outputs.score": np.exp(other)}
        factor = part / broke if wrong == "a part" else 1 + 0.3 * rng.random(ROWS.size)
        fields = {"steps.z.value": broke, "outputs.score": np.exp(other) * factor}
    else:
        gap = broke - part if wrong == "a part" else other
        right = {"steps.z.value": part, "outputs.score": 1 / (1 + np.exp(-other))}
        fields = {"steps.z.value": broke, "outputs.score": 1 / (1 + np.exp(-(other + 2 * gap)))}
    variables = {n: Variable(n, Field(n, Kind.NUMBER), numbers=v) for n, v in fields.items()}
    pair = []
    for name, learned in (("steps.z.value", "affine"), ("outputs.score", form)):
        one = suspect(name, "broken", 1.0, proof=Proof.HARD)
        relation = SimpleNamespace(
            parents=("steps.z.value", "steps.oil.value"), expected=right[name], exact=True, form=learned
        )
        pair.append(replace(one, hit=replace(one.hit, channel=replace(one.hit.channel, detail={"relation": relation}))))
    case = SimpleNamespace(variables=variables)
    assert followers.in_step(cast("Any", case), pair[1], pair[0]) is explained


def test_what_broke_on_the_same_rows_and_was_not_known_to_be_read_explains() -> None:
    """An answer that is broken JSON, and the intent that is parsed of it, which golden's confidence told as well."""
    few = ROWS.copy()
    few[40:] = False
    case = cast(
        "Any",
        SimpleNamespace(
            after={"parse"}, answers=(), schema=SimpleNamespace(steps=("parse",), of=lambda _: ()), variables={}
        ),
    )
    answer = replace(suspect("outputs.text", "form", 1.0, proof=Proof.HARD), affected=few)
    intent = replace(suspect("steps.parse.intent", "broken", 1.0, proof=Proof.HARD), affected=few)

    def reading(parent: str) -> Suspect:
        channel = replace(intent.hit.channel, detail={"relation": Reads((parent,), exact=True)})
        return replace(intent, hit=replace(intent.hit, channel=channel))

    assert followers.unread(case, reading("outputs.confidence"), answer)
    assert not followers.unread(case, reading("outputs.text#format"), answer)  # on what it received it is wrong itself
    assert not followers.unread(case, replace(reading("outputs.confidence"), affected=ROWS), answer)
    assert not followers.unread(case, reading("outputs.confidence"), replace(answer, proof=Proof.SOFT))


def test_a_written_answer_is_made_of_every_input_and_a_number_is_not() -> None:
    """What golden could tell of its language by the passage alone, an input that is stuck changed as well, on the rows that show it."""
    few, shown = ROWS.copy(), ROWS.copy()
    few[40:], shown[50:] = False, False
    written = {"outputs.text#characters": None}
    case = SimpleNamespace(after=(), answers=(), schema=SimpleNamespace(steps=(), of=lambda _: ()), variables=written)
    stuck = replace(suspect("inputs.tongue", "constant", 1.0, proof=Proof.HARD), affected=shown)
    answer = replace(suspect("outputs.text", "broken", 1.0, proof=Proof.HARD), affected=few)
    relation = Reads(("steps.fetch.passage#language",), exact=True)
    answer = replace(
        answer, hit=replace(answer.hit, channel=replace(answer.hit.channel, detail={"relation": relation}))
    )
    assert followers.unread(cast("Any", case), answer, stuck)
    assert not followers.unread(cast("Any", case), replace(answer, affected=ROWS), stuck)
    bare = SimpleNamespace(after=(), answers=(), schema=SimpleNamespace(steps=(), of=lambda _: ()), variables={})
    assert not followers.unread(cast("Any", bare), answer, stuck)


@pytest.mark.parametrize(("hit", "since"), [(0.3, 120), (0.01, 40)])
def test_a_witness_that_was_there_long_before_does_not_say_when_it_began(hit: float, since: int) -> None:
    """A rate that nobody had seen before, for days; then three values in ten are one. Of one in a hundred it may still tell."""
    ts = np.arange(400)
    window, shows = ts >= 200, np.zeros(400, dtype=bool)
    shows[320 :: round(1 / hit)] = True
    case = SimpleNamespace(ts=ts, golden=~window, window=window)
    lead = replace(
        suspect("inputs.ratio", "atom", 1.0, kind="invariant"), since_us=320, inside=np.ones(400, dtype=bool)
    )
    lead = replace(lead, affected=ts >= 320, shift=float(shows[320:].mean()), hit=replace(lead.hit, excess=shows * 1.0))
    rate = replace(
        suspect("steps.bureau.rate", "range", 1.0, score=900.0), proof=Proof.SOFT, since_us=240, affected=ts >= 240
    )
    cause = causes.Cause(lead, lead.component, "data", ("steps.bureau.rate",))
    schema = SimpleNamespace(steps=("bureau",), of=lambda _: ())
    case = SimpleNamespace(**vars(case), answers=(), after=(), schema=schema, variables={})
    assert causes._located(cast("Any", case), cause, [rate]).suspect.since_us == 200 + since


def test_what_is_stale_was_stale_in_what_a_step_copies() -> None:
    """A step that merely rounds an input bears the source's name; the input is what it feeds."""
    fields = [Field(path, Kind.NUMBER) for path in ("inputs.temp_c", "steps.weather.temp")]
    stale = suspect("age.weather", "stale", 1.0, kind="invariant")
    moved = [
        suspect(path, "atom", 1.0, kind="marginal", proof=Proof.SOFT)
        for path in ("inputs.temp_c", "steps.weather.temp")
    ]
    values = {f.path: Variable(f.path, f, numbers=np.zeros(ROWS.size)) for f in fields}
    case = cast("Any", SimpleNamespace(schema=fields, variables=values))
    made = cast(
        "Any",
        {"steps.weather.temp": SimpleNamespace(parents=("inputs.temp_c",), exact=True, form="copy", strength=1.0)},
    )
    assert sources.served(case, stale, moved, made) == "inputs.temp_c"
    assert sources.served(case, stale, moved, {}) == "steps.weather.temp"


@pytest.mark.parametrize(("path", "nothing"), [("inputs.user", True), ("steps.profile.rate", False)])
def test_work_is_skipped_where_an_input_that_it_is_looked_up_by_is_missing(path: str, nothing: bool) -> None:
    skipped = suspect("spans.profile", "skipped", 0.5, kind="invariant")
    assert nothing_to_do(skipped, suspect(path, "null", 0.5, kind="invariant")) is nothing


@pytest.mark.parametrize(("how", "another"), [("weights", True), ("noise", False), ("scale", False)])
def test_answers_that_depart_by_what_the_inputs_are_come_of_other_weights(how: str, another: bool) -> None:
    """A machine that computes wrongly does so by chance, or to all answers alike."""
    rng = np.random.default_rng(3)
    n = 1_000
    a, b = rng.normal(size=(2, n))
    expected = a + b
    made = {"weights": 0.6 * a + 1.2 * b, "noise": expected + rng.normal(0, 0.5, n), "scale": 0.7 * expected}[how]
    names = {"inputs.a": a, "inputs.b": b, "outputs.score": made}
    variables = {path: Variable(path, Field(path, Kind.NUMBER), numbers=values) for path, values in names.items()}
    case = SimpleNamespace(
        variables=variables,
        growing=frozenset(),
        hour=np.zeros(n),
        weekday=np.zeros(n),
        ts=np.arange(n),
        golden=np.ones(n, dtype=bool),
    )
    relation = Reads(("inputs.a", "inputs.b"), expected=expected)
    found = SimpleNamespace(
        component="outputs.score",
        affected=np.ones(n, dtype=bool),
        hit=SimpleNamespace(channel=SimpleNamespace(detail={"relation": relation})),
    )
    assert straight.of_other_weights(cast("Any", case), cast("Any", found), cast("Any", relation)) is another


def test_a_record_that_mixed_up_two_requests_explains_whatever_broke_there() -> None:
    """What was looked up is the next one's, and so what came in no longer goes with anything; a slow span does not come of it."""
    mixed = suspect("steps.impute.days", "displaced", 1.0, proof=Proof.HARD)
    cause = causes.Cause(mixed, "recorder.record", "recorder")
    case = cast(
        "Any", SimpleNamespace(schema=Schema.from_pairs([("inputs.net", Kind.NUMBER)]), answers=(), after=set())
    )
    for path in ("inputs.net", "steps.fx.net", "outputs.score"):
        assert causes._explains(case, cause, suspect(path, "broken", 1.0))
    assert not causes._explains(case, cause, suspect("spans.score", "slower", 1.0))
