"""The kline streams with subscribers, sent at the venue's pace.

Rules (docs/binance.md §4): an update every two seconds of the exchange's time (for 1s: every second), also without a
trade. Every interval is closed by a message soon after its end, even if the exchange runs so fast that no update fell
into it.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from tradecap.simulate.hub import Hub
from tradecap.simulate.klines import INTERVALS, SECOND, ServedKline, klines, opening
from tradecap.simulate.market_data import Market

UTC_8: Final = "@+08:00"
EVERY_SECOND: Final = f"@kline_{SECOND}"


class KlineStream:
    """Sends klines into the hub. Call `pulse` as often as you like."""

    def __init__(self, market: Market, hub: Hub, now_us: Callable[[], int], every_s: float) -> None:
        self._market, self._hub, self._now_us = market, hub, now_us
        self._every_us = int(every_s * 1_000_000)
        self._next_us = self._turn = 0
        self._opened: dict[str, int] = {}
        """The open time of the interval each stream is in."""

    def pulse(self) -> None:
        """Send the klines that are due."""
        now_us = self._now_us()
        if now_us < self._next_us:
            return
        half_us = self._every_us // 2
        self._next_us = now_us - now_us % half_us + half_us
        before, self._turn = self._turn, now_us // self._every_us
        subscribed = [stream for stream in self._hub.streams() if "@kline_" in stream]
        for stream in self._opened.keys() - subscribed:
            del self._opened[stream]
        for stream in subscribed:
            if self._turn != before or EVERY_SECOND in stream:
                self._send(stream, now_us)

    def _send(self, stream: str, now_us: int) -> None:
        name, _, rest = stream.partition("@kline_")
        interval, at, zone = rest.partition("@")
        offset_s = 8 * 3600 if at + zone == UTC_8 else 0
        symbol = name.upper()
        if (
            interval not in INTERVALS
            or (at and not offset_s)
            or name != name.lower()
            or not self._market.minutes(symbol)
        ):
            return
        now_s = now_us // 1_000_000
        since_s = self._opened.get(stream, opening(interval, now_s, offset_s))
        current = opening(interval, now_s, offset_s)
        parts = self._market.parts(symbol, interval, since_s, now_s, now_s - since_s + 1)
        for kline in klines(parts, interval, now_s, since_s=since_s, offset_s=offset_s):
            is_closed = kline.open_s < current
            self._hub.send_made(stream, _message(kline, symbol, now_us, is_closed))
        self._opened[stream] = current


def _message(kline: ServedKline, symbol: str, now_us: int, is_closed: bool) -> Callable[[bool], bytes]:
    return lambda micro: msgspec.json.encode(kline.message(symbol, now_us, micro, is_closed))
