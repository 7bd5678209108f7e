"""Small things tests of the exchange are made of."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from tests.builders import NOON_S, a_trade
from tradecap.errors import TradecapError
from tradecap.market.records import Trade
from tradecap.simulate.tape import Entry
from tradecap.venues.binance.synthetic import message

NOON_US = NOON_S * 1_000_000


def an_entry(trade: Trade | None = None, **overrides: Any) -> Entry:
    """The message of a trade (of `a_trade`, unless one is given), recorded at its event time."""
    trade = trade or a_trade(**overrides)
    return Entry(f"{trade.symbol.lower()}@{trade.channel}", message(trade), trade, trade.event_time_us * 1000)


def some_entries(count: int, first_id: int = 1, every_ms: int = 1, **overrides: Any) -> list[Entry]:
    """Trades with ids one after the other, `every_ms` apart, at rising prices, each its own order."""
    entries = []
    for n in range(count):
        time_us = NOON_US + n * every_ms * 1000
        fields = {"id": first_id + n, "price": (100 + n) * 10**8, "trade_time_us": time_us, "event_time_us": time_us}
        entries.append(an_entry(**(fields | overrides)))
    return entries


class Scripted:
    """A source of these entries."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries = list(entries)
        trades = [entry.trade for entry in self._entries if entry.trade]
        self.symbols = sorted({trade.symbol for trade in trades})
        self.samples = {symbol: [trade for trade in trades if trade.symbol == symbol] for symbol in self.symbols}
        self.first_time_us = min(trade.trade_time_us for trade in trades)
        self.names = "a script"
        self.left_out: Counter[str] = Counter()
        self.problems: list[TradecapError] = []

    def entries(self) -> Iterator[Entry]:
        return iter(self._entries)
