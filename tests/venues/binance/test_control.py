"""Subscriptions, their answers, and the announcement of an end."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import COMBINED, TRADE
from tradecap.venues.binance.control import (
    CONTROL,
    STREAMS_A_REQUEST,
    is_shutdown,
    read_reply,
    stream_name,
    subscriptions,
)
from tradecap.venues.sites import Reply


def test_a_stream_has_the_symbol_in_small_letters_alone() -> None:
    """The venue answers a subscription to `btcusdt@aggtrade` and then sends nothing."""
    assert stream_name("BTCUSDT", "aggTrade") == "btcusdt@aggTrade"
    with pytest.raises(ValueError, match="'candle'"):
        stream_name("BTCUSDT", "candle")


@given(st.integers(0, 3 * STREAMS_A_REQUEST))
def test_the_requests_ask_for_each_stream_once(count: int) -> None:
    """A stream left out between two requests would be missing from the capture without a word."""
    streams = [f"s{n}@trade" for n in range(count)]
    requests = subscriptions(streams)
    messages = [json.loads(request) for _, request in requests]
    assert [name for message in messages for name in message["params"]] == streams
    assert (
        [number for number, _ in requests] == [message["id"] for message in messages] == [*range(1, len(requests) + 1)]
    )
    assert all(
        message["method"] == "SUBSCRIBE" and 0 < len(message["params"]) <= STREAMS_A_REQUEST for message in messages
    )


@pytest.mark.parametrize(
    ("payload", "reply"),
    [
        (b'{"result":null,"id":3}', Reply(3, "")),
        (b'{"id":3,"result":null}', Reply(3, "")),
        (b'{"error":{"code":2,"msg":"Invalid request"},"id":3}', Reply(3, "2: Invalid request")),
        (b'{"error":{"code":3,"msg":"Invalid JSON"}}', Reply(None, "3: Invalid JSON")),
        (b'{"code":2,"msg":"Invalid request"}', Reply(None, "2: Invalid request")),
        (b'{"error":"no","id":"x"}', Reply(None, "no")),
        (b'{"result":null,"id":true}', Reply(None, "")),
    ],
)
def test_each_form_of_an_answer_is_read(payload: bytes, reply: Reply) -> None:
    """A refused subscription would be taken for an open one, which then brings nothing."""
    assert read_reply(payload) == reply


@pytest.mark.parametrize(
    "payload",
    [
        TRADE,
        COMBINED,
        b"",
        b'{"id":3}',
        b'{"result":',
        b'{"result":null,"e":"trade"}',
        b'{"e":"trade","result":1}',
        b'{"stream":"btcusdt@trade","data":{}}',
        b'{"code":2}',
        b'{"id":\xff}',
        b"[]",
    ],
)
def test_other_messages_are_not_answers(payload: bytes) -> None:
    """A trade that is taken for an answer would be dropped."""
    assert read_reply(payload) is None


@given(st.binary(max_size=60), st.sampled_from([b"", b'{"result"', b'{"error"', b'{"id"', b'{"code"']))
def test_no_bytes_make_it_raise(payload: bytes, start: bytes) -> None:
    """One odd message would end the connection."""
    reply = read_reply(start + payload)
    assert reply is None or isinstance(reply, Reply)


def test_the_announcement_of_an_end_is_known_in_both_forms() -> None:
    """The connection would be lost before the next one is up."""
    combined, bare = b'{"stream":"!serverShutdown","data":{"e":"serverShutdown"}}', b'{"e":"serverShutdown","E":1}'
    assert [is_shutdown(payload) for payload in (combined, bare, TRADE, COMBINED)] == [True, True, False, False]
    assert [bool(CONTROL.is_market(payload)) for payload in (COMBINED, combined, bare)] == [True, False, False]
