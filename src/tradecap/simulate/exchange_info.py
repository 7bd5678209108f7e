"""/exchangeInfo: the symbols served, with filters that their trades keep.

Rules: base and quote come from the symbol's name, tick and lot from its first trades: the step is the greatest power of
ten that divides all of them. The shape is the venue's (rest-api.md, enums.md, filters.md). Pure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tradecap.market.records import Trade
from tradecap.simulate.limits import Rules
from tradecap.simulate.messages import decimal
from tradecap.venues.binance.synthetic import SPOT

QUOTES: Final = (
    *("FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USDP", "BIDR", "IDRT", "BVND", "BKRW"),
    *("BTC", "ETH", "BNB", "TRX", "XRP", "DOGE", "DOT", "SOL", "EUR", "GBP", "AUD", "BRL", "TRY"),
    *("RUB", "UAH", "NGN", "ZAR", "PLN", "RON", "ARS", "MXN", "JPY", "CZK", "COP", "DAI", "USD"),
)
ORDER_TYPES: Final = (
    "LIMIT",
    "LIMIT_MAKER",
    "MARKET",
    "STOP_LOSS",
    "STOP_LOSS_LIMIT",
    "TAKE_PROFIT",
    "TAKE_PROFIT_LIMIT",
)
SELF_TRADE_MODES: Final = ("EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT")


@dataclass(frozen=True, kw_only=True)
class ListedSymbol:
    """A symbol of the exchange. tick and lot in units of 10^-8."""

    symbol: str
    base: str
    quote: str
    tick: int
    lot: int


def listing(symbol: str, trades: Iterable[Trade]) -> ListedSymbol:
    """A symbol, as far as its name and its first trades show it."""
    quote = next((each for each in QUOTES if symbol.endswith(each) and len(symbol) > len(each)), symbol[-3:])
    base = symbol.removesuffix(quote) or symbol
    known = SPOT.get(symbol)
    if known:
        return ListedSymbol(symbol=symbol, base=base, quote=quote, tick=known.tick, lot=known.lot)
    seen = list(trades)
    tick, lot = _step(trade.price for trade in seen), _step(trade.qty for trade in seen)
    return ListedSymbol(symbol=symbol, base=base, quote=quote, tick=tick, lot=lot)


def _step(units: Iterable[int]) -> int:
    """The greatest power of ten, at most 10^8, that divides all of them. Without numbers: 1."""
    step, numbers = 10**8, list(units)
    while step > 1 and (not numbers or any(number % step for number in numbers)):
        step //= 10
    return step


def exchange_info(listings: Sequence[ListedSymbol], server_time: int, rules: Rules) -> dict[str, object]:
    """The answer for these symbols."""
    limits = [
        ("REQUEST_WEIGHT", "MINUTE", 1, rules.weight_per_minute or 6_000),
        ("ORDERS", "SECOND", 10, 100),
        ("ORDERS", "DAY", 1, 200_000),
    ]
    limits.append(("RAW_REQUESTS", "MINUTE", 5, rules.requests_per_5_minutes or 300_000))
    names = ("rateLimitType", "interval", "intervalNum", "limit")
    return {
        "timezone": "UTC",
        "serverTime": server_time,
        "rateLimits": [dict(zip(names, limit, strict=True)) for limit in limits],
        "exchangeFilters": [],
        "symbols": [_symbol(each) for each in listings],
    }


def _symbol(each: ListedSymbol) -> dict[str, object]:
    return {
        "symbol": each.symbol,
        "status": "TRADING",
        "baseAsset": each.base,
        "baseAssetPrecision": 8,
        "quoteAsset": each.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ORDER_TYPES,
        "icebergAllowed": True,
        "ocoAllowed": True,
        "otoAllowed": True,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": _filters(each),
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": SELF_TRADE_MODES,
    }


def _filters(each: ListedSymbol) -> list[dict[str, object]]:
    tick, lot = decimal(each.tick), decimal(each.lot)
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": decimal(each.tick * 10**8), "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": lot, "maxQty": decimal(each.lot * 10**9), "stepSize": lot},
        {"filterType": "ICEBERG_PARTS", "limit": 10},
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": "0.00000000",
            "maxQty": decimal(each.lot * 10**7),
            "stepSize": "0.00000000",
        },
        {"filterType": "TRAILING_DELTA", "minTrailingAboveDelta": 10, "maxTrailingAboveDelta": 2000}
        | {"minTrailingBelowDelta": 10, "maxTrailingBelowDelta": 2000},
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": "5",
            "bidMultiplierDown": "0.2",
            "askMultiplierUp": "5",
        }
        | {"askMultiplierDown": "0.2", "avgPriceMins": 5},
        {
            "filterType": "NOTIONAL",
            "minNotional": "5.00000000",
            "applyMinToMarket": True,
            "maxNotional": "9000000.00000000",
        }
        | {"applyMaxToMarket": False, "avgPriceMins": 5},
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
    ]
