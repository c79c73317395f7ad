"""The form of ids: what is cut, padded or prefixed is seen; the next number, a new tenant and plain words are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from whimbrel.diagnose.case import Case, build
from whimbrel.diagnose.ids import channel_of_forms
from whimbrel.model.fields import Kind, Schema
from whimbrel.model.rows import Categories, Rows

N, M = 4_000, 800
SCHEMA = Schema.from_pairs([("context.tenant", Kind.TEXT), ("inputs.user", Kind.TEXT)])


def _case(before: np.ndarray, after: np.ndarray, tenant: str = "a") -> Case:
    columns = {}
    tenants = np.where(np.arange(N + M) < N, "a", tenant)
    for path, values in (("context.tenant", tenants), ("inputs.user", np.append(before, after))):
        vocabulary, codes = np.unique(values, return_inverse=True)
        columns[path] = Categories(codes.astype(np.int64), tuple(map(str, vocabulary)))
    every = Rows(tuple(map(str, range(N + M))), np.arange(N + M, dtype=np.int64) * 60_000_000, columns, N + M)
    return build(every.take(np.arange(N + M) < N), every.take(np.arange(N + M) >= N), SCHEMA)


def _share(case: Case) -> float:
    """The share of the window whose form is unknown."""
    found = channel_of_forms(case, case.variables["inputs.user"], "data")
    return float(np.nanmean(found[0].values[case.window])) if found else 0.0


@pytest.mark.parametrize(
    "broken", [lambda u: u[:-1], lambda u: f"id-{u}", str.lower, lambda u: u[0] + str(int(u[1:])), lambda u: f"{u} "]
)
def test_ids_of_another_form_are_seen(broken: Callable[[str], str]) -> None:
    rng = np.random.default_rng(1)
    ids = np.array([f"U{i:06d}" for i in rng.integers(0, 90_000, N + M)])
    assert _share(_case(ids[:N], ids[N:])) == 0
    changed = np.where(np.arange(M) < M // 2, [broken(u) for u in ids[N:]], ids[N:])
    assert _share(_case(ids[:N], changed)) == 0.5


def test_the_next_number_and_a_new_tenant_s_ids_are_the_world_s() -> None:
    rng = np.random.default_rng(2)
    before = np.array([f"u{i}" for i in rng.integers(10_000, 100_000, N)])
    assert _share(_case(before, np.array([f"u{i}" for i in range(100_000, 100_000 + M)]))) == 0
    others = np.array([f"B-{i}" for i in range(M)])
    assert _share(_case(before, others)) > 0.9
    assert _share(_case(before, others, tenant="b")) == 0


def test_words_have_no_form() -> None:
    rng = np.random.default_rng(3)
    letters = np.array(list("abcdefghij"))
    words = np.array(["".join(rng.choice(letters, rng.integers(2, 30))) for _ in range(120)])
    assert (
        _share(_case(rng.choice(words, N), np.append(rng.choice(words, M - 200), ["a new kind of thing"] * 200))) == 0
    )


def test_a_padded_number_is_no_longer_number() -> None:
    rng = np.random.default_rng(4)
    ids = np.array([f"{i}" for i in rng.integers(10_000, 100_000, N + M)])
    assert _share(_case(ids[:N], np.char.add("0", ids[N:]))) == 1


def test_addresses_of_other_networks_have_no_other_form() -> None:
    """Of numbers between dots some are short; a client that comes by names instead has another form."""
    rng = np.random.default_rng(5)
    low, high = (rng.integers(first, last, (n, 4)) for first, last, n in ((100, 256, N), (0, 100, M)))
    before, after = (np.array([".".join(map(str, one)) for one in parts]) for parts in (low, high))
    assert _share(_case(before, after)) == 0
    assert _share(_case(before, np.array([f"host-{one}" for one in after]))) == 1
    assert _share(_case(before, np.array([".".join(one.split(".")[:3]) for one in after]))) == 1


def test_an_id_that_loses_its_zeros_has_another_form() -> None:
    rng = np.random.default_rng(6)
    ids = np.array([f"AB-{i:05d}" for i in rng.integers(0, 1_000, N + M)])
    assert _share(_case(ids[:N], ids[N:])) == 0
    assert _share(_case(ids[:N], np.array([f"AB-{int(one[3:])}" for one in ids[N:]]))) == 1
