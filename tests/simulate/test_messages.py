"""Messages as they are written to a client."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from tests.builders import a_trade
from tests.simulate.builders import NOON_US
from tradecap.market.records import Trade
from tradecap.simulate.messages import in_unit, is_in_micro, server_shutdown, text_frame
from tradecap.venues.binance.synthetic import message


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_frame_is_that_of_the_rfc(size: int) -> None:
    """A client would read the wrong length and end the connection."""
    assert text_frame(b"x" * size) == Frame(Opcode.TEXT, b"x" * size).serialize(mask=False)


def a_trade_at(time_us: int) -> Trade:
    return a_trade(trade_time_us=time_us, event_time_us=time_us)


@settings(deadline=None)
@given(st.integers(NOON_US, NOON_US + 10**9))
def test_microseconds_come_from_the_trade(time_us: int) -> None:
    """A client that asks for microseconds would get zeros for the last three digits."""
    trade = a_trade_at(time_us)
    micro = in_unit(message(trade), trade, True)
    assert b'"T":%d,' % time_us in micro
    assert is_in_micro(micro)
    assert in_unit(micro, trade, False) == message(trade)


def test_a_message_in_its_own_unit_stays_as_it_is() -> None:
    """A stream would no longer be what the venue sent, byte for byte."""
    trade = a_trade_at(NOON_US)
    assert in_unit(message(trade), trade, False) == message(trade)
    assert not is_in_micro(message(trade))


def test_the_announcement_of_a_shutdown_has_the_clients_unit() -> None:
    """A client would read a time in the year 56000."""
    assert server_shutdown(NOON_US, False) == b'{"e":"serverShutdown","E":%d}' % (NOON_US // 1000)
    assert server_shutdown(NOON_US, True) == b'{"e":"serverShutdown","E":%d}' % NOON_US
