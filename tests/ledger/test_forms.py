"""The form of a prediction's entry: a bundle looked at all together says what its entries, read one by one, say."""

from __future__ import annotations

import base64
import os

import pytest

from whimbrel.ledger.entries import Predictions
from whimbrel.ledger.forms import ENTRY, even, place_of, places_of
from whimbrel.ledger.merkle.tiles import bundle, parse_bundle
from whimbrel.ledger.merkle.tree import ProofError
from whimbrel.ledger.verdicts import entry_fields

UUID = "0a1fefbf-e617-7aae-8296-e50866692000"
TIME = "2026-11-21T16:41:30.115329Z"


def made(ident: str, number: int, producer: str = "import/fares", moment: str = TIME) -> bytes:
    digest = base64.b64encode(os.urandom(32)).decode()
    return (ENTRY % (ident, moment, producer, number, digest)).encode()


@pytest.mark.parametrize("ident", [UUID, "h-" + "7" * 32])
def test_a_bundle_of_one_length(ident: str) -> None:
    """Producers and numbers are those of the entries."""
    entries = [made(ident, 10 + i, producer) for i, producer in enumerate(["import/a", "import/b", "import/a"])]
    found = even(bundle(entries))
    assert found == (2 + len(entries[0]), {b"import/a": [10, 12], b"import/b": [11]})
    assert places_of(entries) == found[1]
    assert place_of(entries[1]) == ("import/b", 11)
    one = even(bundle(entries[:1] * 5))
    assert one is not None
    assert one[1] == {b"import/a": [10] * 5}


def test_bundles_of_which_nothing_is_said() -> None:
    """Other lengths, other kinds, and what was cut are read one by one."""
    fine, longer = made(UUID, 9), made(UUID, 10)
    assert even(bundle([fine, longer])) is None
    assert places_of([fine, longer]) == {b"import/fares": [9, 10]}
    beat = b'{"v":1,"k":"heartbeat","p":"x"}'
    for data in (bundle([beat]), bundle([fine, beat]), bundle([fine, fine])[:-1], b"", b"\x00"):
        assert even(data) is None
    assert places_of([fine, beat]) is None
    assert place_of(beat) is None


def test_no_byte_is_passed_over() -> None:
    """Whatever byte of the second entry becomes whatever else: what is said of all together holds for each."""
    entries = [made(UUID, 100 + i) for i in range(3)]
    data, step = bundle(entries), 2 + len(entries[0])
    passed = 0
    for at in range(step, 2 * step):
        for other in (0, 10, 32, 34, 43, 45, 48, 57, 61, 90, 92, 97, 102, 103, 104, 122, 200, 255):
            changed = data[:at] + bytes([other]) + data[at + 1 :]
            found = even(changed)
            if found is not None:
                assert places_of(parse_bundle(changed)) == found[1]
                passed += 1
            else:
                with pytest.raises((AssertionError, ProofError)):
                    assert places_of(parse_bundle(changed)) is not None
    assert passed > 100


def test_an_id_of_two_lines_does_not_pass_for_two() -> None:
    """An id that looks like two, beside one that names somebody: neither stands in its entry."""
    maker = Predictions("fares", ("id", "ts"))
    idents = (f"{UUID}\n{UUID}", "ann@example.org")
    for data in maker.make([idents, (TIME, TIME)], bytes(64), ["p", "p"], [1, 2]):
        assert entry_fields(data)["id"].startswith("h-")
