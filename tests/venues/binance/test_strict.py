"""Messages looked at closely: any order of members, and the first thing wrong with them."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import AGG, CASES, COMBINED, TRADE, Case
from tradecap.market.records import Rejected, Trade
from tradecap.venues.binance.plain import decode
from tradecap.venues.binance.strict import REQUIRED, read_strictly


def read(payload: bytes) -> object:
    return read_strictly(payload, "binance", "", "")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_it_reads_each_case_as_the_fast_ways_do(case: Case) -> None:
    """Which of two readings a message gets depends on how it is written; they must not differ in what it is."""
    assert read_strictly(case.payload, case.venue, case.symbol, case.channel) == decode(
        case.payload, case.venue, case.symbol, case.channel
    )


@given(st.sampled_from([TRADE, AGG]), st.randoms(use_true_random=False))
def test_the_order_of_members_means_nothing(payload: bytes, rng: random.Random) -> None:
    """A venue that writes its members in another order would have all its trades in quarantine."""
    members = list(json.loads(payload).items())
    rng.shuffle(members)
    assert read(json.dumps(dict(members)).encode()) == read(payload)


@pytest.mark.parametrize(("payload", "channel"), [(TRADE, "trade"), (AGG, "aggTrade")])
def test_each_required_member_is_missed_and_refused_as_null(payload: bytes, channel: str) -> None:
    """A trade without a price would be stored with some other one."""
    message = json.loads(payload)
    for name in REQUIRED[channel]:
        assert read(json.dumps({key: value for key, value in message.items() if key != name}).encode()) == Rejected(
            "missing_field", name
        )
        assert read(json.dumps(message | {name: None}).encode()) == Rejected("null_field", name)


def test_the_smallest_of_several_repeated_members_is_named() -> None:
    """The SQL names the smallest: another choice here would show as a difference between log and store."""
    assert read(b'{"q":1,"z":1,"p":2,"z":2,"p":1,"q":1}') == Rejected("duplicate_key", "p")
    inner = TRADE.replace(b'"m":true', b'"m":true,"m":true')
    assert read(b'{"stream":"x","data":' + inner + b"}") == Rejected("duplicate_key", "m")
    assert read(b'{"stream":"x","data":5}') == Rejected("not_an_object", "data")
    assert isinstance(read(COMBINED), Trade)


def test_a_number_of_any_length_is_out_of_range() -> None:
    """Python refuses to read an integer of more than 4 300 digits: the exception would end a capture."""
    assert read(TRADE.replace(b'"t":1520538925', b'"t":' + b"9" * 4000)) == Rejected("out_of_range", "t")
    assert read(TRADE.replace(b'"t":1520538925', b'"t":' + b"9" * 5000)) == Rejected("malformed_json")
