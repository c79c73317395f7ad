"""The quick way of flattening a prediction says what the slow way says, in the same order."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from whimbrel.record import flat
from whimbrel.record.plans import Plans
from whimbrel.record.reader import Array

SESSION = bytes.fromhex("0199a0b1c2d37e4f8011223344556677")
names = st.sampled_from(["a", "b", "a.b", "", "c"])
plain = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=3)
odd = st.lists(plain, max_size=3) | st.dictionaries(names, plain, max_size=2) | st.just(Array((2,), [1, 2]))
value = plain | plain | odd
fields = st.dictionaries(names, value, max_size=3)
own = st.integers(0, 10**9)
entry = st.one_of(
    st.tuples(st.just("step"), names, value | fields, own).map(list),
    st.tuples(st.just("step"), names, fields, own, st.sampled_from([None, "f1-0"])).map(list),
    st.tuples(st.sampled_from(["span", "failed"]), names, own).map(list),
    st.tuples(st.sampled_from(["output", "hardware"]), fields).map(list), st.tuples(st.just("begun"), names).map(list),
    st.tuples(st.just("decision"), value).map(list),
    st.tuples(st.sampled_from(["usage", "model", "decisions", "context"]), fields).map(list), st.just(["lost", "a", "why"]),
    st.just(["error", "no"]), st.just(["later", 1]),
    st.lists(st.sampled_from(["step", "output", "span", "end", "a", 5, 2.5, None, True, ("a",)]), max_size=5),
    st.sampled_from([None, 7, "step", {"step": 1}]),
)  # fmt: skip
bodies = st.tuples(st.lists(entry, max_size=4), st.booleans())


@st.composite
def predictions(draw: st.DrawFn) -> tuple[dict[str, Any], list[Any]]:
    begin: dict[str, Any] = {"ts": draw(st.integers(0, 2**50)), "inputs": draw(fields | value)}
    for name in ("context", "model"):
        if draw(st.booleans()):
            begin[name] = draw(st.dictionaries(names, st.text(max_size=2) | value, max_size=2))
    if draw(st.booleans()):
        begin["id"] = "order-17"
    if draw(st.booleans()):
        begin["trace"] = draw(st.sampled_from([f"00-{'a' * 32}-{'b' * 16}-01", "none"]))
    entries, whole = draw(bodies)
    return begin, [*entries, ["end", draw(own), begin["ts"]]] if whole else entries


@given(predictions(), predictions())
def test_a_plan_says_what_the_slow_way_says(one: tuple[Any, Any], other: tuple[Any, Any]) -> None:
    plans = Plans()
    for seq, (begin, end) in enumerate((one, other, one, other), 1):
        slow = flat.prediction(begin, end, SESSION, seq)
        quick = plans.prediction(begin, end, SESSION, seq)
        assert quick == slow
        assert list(quick) == list(slow)
        assert list(map(type, quick.values())) == list(map(type, slow.values()))


def test_predictions_of_one_structure_share_a_plan() -> None:
    plans = Plans()
    for n in range(5):
        begin = {"ts": n, "model": {"name": "m"}, "context": {"c": "US"}, "inputs": {"a": n, "b": "x"}}
        end = [["step", "s", {"x": n * 0.5}, 10, "f1-0"], ["output", {"score": n}], ["decision", "yes"], ["end", 99, n]]
        assert plans.prediction(begin, end, SESSION, n)["steps.s.x"] == n * 0.5
    (known,) = plans.names.values()
    assert known is not None
    assert known[:3] == ("inputs.a", "inputs.b", "code.s")
