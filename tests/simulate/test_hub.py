"""Streams and their subscribers."""

from tests.builders import a_trade
from tradecap.simulate.hub import Hub
from tradecap.simulate.subscriptions import Session
from tradecap.venues.binance.synthetic import message

STREAM = "btcusdt@trade"


class Listening:
    """A socket that keeps what is put."""

    def __init__(self, *streams: str, is_combined: bool = False, is_micro: bool = False) -> None:
        self.session = Session(is_combined, is_micro, dict.fromkeys(streams))
        self.frames: list[bytes] = []

    def put(self, frame: bytes) -> None:
        self.frames.append(frame[2:] if frame[1] < 126 else frame[4:])


def test_each_listener_gets_the_form_it_wants() -> None:
    """A client would get a wrapper or a unit of time that it didn't ask for."""
    hub, trade = Hub(), a_trade()
    plain, combined, micro = Listening(STREAM), Listening(STREAM, is_combined=True), Listening(STREAM, is_micro=True)
    for listener in (plain, combined, micro, Listening("ethusdt@trade")):
        hub.update(listener)
    assert hub.send(STREAM, message(trade), trade) == 3
    assert plain.frames == [message(trade)]
    assert combined.frames == [b'{"stream":"btcusdt@trade","data":%b}' % message(trade)]
    assert b'"T":%d,' % trade.trade_time_us in micro.frames[0]


def test_a_changed_session_changes_what_comes() -> None:
    """An unsubscribed stream would go on, or a new one would stay silent."""
    hub, listener = Hub(), Listening(STREAM)
    hub.update(listener)
    listener.session.streams = {"ethusdt@trade": None}
    hub.update(listener)
    assert [*hub.streams()] == ["ethusdt@trade"]
    assert hub.send(STREAM, b"{}") == 0
    assert hub.send("ethusdt@trade", b"{}") == 1


def test_a_stream_without_listeners_is_forgotten() -> None:
    """Streams of clients that have left would fill the memory, and their messages would still be made."""
    hub, listener = Hub(), Listening(STREAM)
    hub.update(listener)
    hub.remove(listener)
    assert (hub.count(), hub.has_listeners(STREAM)) == (0, False)
    hub.remove(listener)


def test_a_made_message_is_made_in_each_wanted_unit() -> None:
    """A client that wants microseconds would get a kline in milliseconds."""
    hub, milli, micro = Hub(), Listening(STREAM), Listening(STREAM, is_micro=True)
    hub.update(milli)
    hub.update(micro)
    hub.send_made(STREAM, lambda is_micro: b"micro" if is_micro else b"milli")
    assert (milli.frames, micro.frames) == ([b"milli"], [b"micro"])
