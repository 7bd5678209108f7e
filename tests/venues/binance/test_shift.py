"""Moving the times of a message, and nothing else."""

import pytest

from tradecap.venues.binance.shift import moved


@pytest.mark.parametrize(
    ("payload", "channel", "expected"),
    [
        (b'{"E":1723204860001,"t":1723204860000,"T":1723204860000}', "trade", b'{"E":1723204860006,"t":1723204860000,"T":1723204860005}'),
        (b'{"T":1723204860000123,"m":true}', "trade", b'{"T":1723204860005123,"m":true}'),
        (b' {"T":1723204860000}', "trade", b' {"T":1723204860005}'),
        (b'{"id":1,"time":1723204860000}', "trade", b'{"id":1,"time":1723204860005}'),
        (b"1,2.0,3.0,6.0,1723204860000,true,true", "trade", b"1,2.0,3.0,6.0,1723204860005,true,true"),
        (b"1,2.0,3.0,4,5,1723204860000,true,true", "aggTrade", b"1,2.0,3.0,4,5,1723204860005,true,true"),
    ],
)
def test_every_time_moves_and_nothing_else_does(payload: bytes, channel: str, expected: bytes) -> None:
    """A moved recording would keep an old time, or get ids and prices that the venue never sent."""
    assert moved(payload, channel, 5_000) == expected
