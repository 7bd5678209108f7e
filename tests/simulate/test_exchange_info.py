"""/exchangeInfo: what is known of a symbol."""

from tests.simulate.builders import some_entries
from tradecap.simulate.exchange_info import listing


def test_an_unknown_symbols_filters_come_from_its_trades() -> None:
    """Orders sized by the filters would have steps that the trades don't keep."""
    trades = [entry.trade for entry in some_entries(3, symbol="NKNEUR", qty=125_000) if entry.trade]
    known = listing("NKNEUR", trades)
    assert (known.base, known.quote, known.tick, known.lot) == ("NKN", "EUR", 10**8, 1_000)


def test_a_known_symbol_keeps_the_venues_steps() -> None:
    """A recording with round prices only would make BTCUSDT look like a symbol with a tick of 1."""
    trades = [entry.trade for entry in some_entries(3) if entry.trade]
    known = listing("BTCUSDT", trades)
    assert (known.base, known.quote, known.tick) == ("BTC", "USDT", 10**6)


def test_a_symbol_without_trades_has_the_smallest_step() -> None:
    """A client would be refused orders that the venue takes."""
    known = listing("NEWUSDT", [])
    assert (known.tick, known.lot) == (1, 1)
