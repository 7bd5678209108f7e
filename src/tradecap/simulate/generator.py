"""Trades without a recording: `venues.binance.synthetic` at any rate, without end.

Rules: the same symbols, rate, seed and beginning give the same bytes. The first id is the beginning in microseconds,
above any id of a recording: a generator that starts later never repeats an id, up to a million trades a second. The
difficulties of real streams stay at every rate (docs/binance.md §9): orders with a hundred fills or more in one
millisecond, both sides in one millisecond, event times that lag in bursts, dust, and a silence of 3.8 s once in five
minutes. Only the pauses between orders become shorter or longer.
"""

import heapq
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

import msgspec

from tradecap.errors import TradecapError
from tradecap.market.records import Trade
from tradecap.simulate.aggregates import with_aggregates
from tradecap.simulate.tape import Entry, stream_name
from tradecap.venues.binance.synthetic import LONGEST_SILENCE_MS, PERIOD_MS, SPOT, Instrument, message, trades

NEVER_MS: Final = 4_000_000_000_000
BEYOND_RECORDINGS: Final = 10**10
"""Above every id in the sample and of the venue's spot symbols (3.7 * 10^9 in 2024)."""
SILENT_SHARE: Final = LONGEST_SILENCE_MS / PERIOD_MS
SILENCE_AT_MS: Final = PERIOD_MS * 7 // 10


class Generated:
    """Trades of symbols at `rate` trades a second each (None: as lively as the instrument is)."""

    def __init__(self, symbols: Sequence[str], *, begin_ms: int, rate: float | None = None, seed: int = 1) -> None:
        self.symbols = sorted(set(symbols))
        self.first_time_us = begin_ms * 1000
        self.left_out: Counter[str] = Counter()
        self.problems: list[TradecapError] = []
        self.names = "the generator"
        self._begin_ms, self._rate, self._seed = begin_ms, rate, seed
        self.samples = {symbol: list(islice(self._trades(instrument(symbol)), 300)) for symbol in self.symbols}

    def entries(self) -> Iterator[Entry]:
        """The entries, without end."""
        streams = [map(_entry, self._trades(instrument(symbol))) for symbol in self.symbols]
        merged = streams[0] if len(streams) == 1 else heapq.merge(*streams, key=lambda entry: entry.time_ns)
        return with_aggregates(merged, lambda _: True)

    def _trades(self, traded: Instrument) -> Iterator[Trade]:
        plain = trades(replace(traded, first_id=first_id(self._begin_ms)), self._seed, self._begin_ms, NEVER_MS)
        return plain if self._rate is None else at_rate(plain, self._rate / natural_rate(traded), self._begin_ms)


def first_id(begin_ms: int) -> int:
    """The id that a generator beginning at this time begins with."""
    return BEYOND_RECORDINGS + begin_ms * 1000


def instrument(symbol: str) -> Instrument:
    """The instrument of a symbol. A symbol that isn't in the table trades like ETHUSDT, at a price of its own."""
    if symbol in SPOT:
        return SPOT[symbol]
    number = zlib.crc32(symbol.encode())
    model = SPOT["ETHUSDT"]
    price = (number % 90_000 + 1_000) * model.tick
    return replace(model, symbol=symbol, price=price, burst=(60, 20, 900_000))


def natural_rate(traded: Instrument) -> float:
    """Trades a second outside the long silence, at the instrument's own pace. Measured on the instrument itself."""
    within = sum(1 for _ in trades(traded, 1, 0, 4 * PERIOD_MS))
    return within * 1000 / (4 * (PERIOD_MS - LONGEST_SILENCE_MS))


def at_rate(plain: Iterator[Trade], faster: float, begin_ms: int) -> Iterator[Trade]:
    """The same trades with pauses divided by `faster`.

    The natural silences are replaced by one of full length in each period.
    """
    faster /= 1 - SILENT_SHARE
    before_us = begin_ms * 1000
    at, event_us = float(before_us), 0
    silence_us = before_us + SILENCE_AT_MS * 1000
    for trade in plain:
        gap_us = trade.trade_time_us - before_us
        before_us = trade.trade_time_us
        if gap_us:
            at += (gap_us if gap_us < LONGEST_SILENCE_MS * 1000 else 0) / faster
            if at >= silence_us:
                at += LONGEST_SILENCE_MS * 1000
                silence_us += PERIOD_MS * 1000
        time_us = int(at) // 1000 * 1000
        event_us = max(event_us, time_us + trade.event_time_us - trade.trade_time_us)
        yield msgspec.structs.replace(trade, trade_time_us=time_us, event_time_us=event_us)


def _entry(trade: Trade) -> Entry:
    return Entry(stream_name(trade.symbol, "trade"), message(trade), trade, trade.event_time_us * 1000)
