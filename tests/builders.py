"""Small things tests are made of. A builder gives one valid thing; a test names only what it is about."""

from typing import Any

from tradecap.market.records import Trade

NOON_S = 1_723_204_800
"""2024-08-09 12:00:00 UTC."""


def a_trade(**overrides: Any) -> Trade:
    """Trade 7 of BTCUSDT: 1 BTC at 100 USDT, at noon, the taker bought. first_id and last_id follow id."""
    trade_id = overrides.get("id", 7)
    fields = {
        "venue": "binance",
        "symbol": "BTCUSDT",
        "channel": "trade",
        "id": trade_id,
        "first_id": trade_id,
        "last_id": trade_id,
        "price": 100 * 10**8,
        "qty": 10**8,
        "trade_time_us": NOON_S * 10**6,
        "event_time_us": NOON_S * 10**6,
        "is_buyer_maker": False,
        "order_book": True,
    }
    return Trade(**(fields | overrides))
