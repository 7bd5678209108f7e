"""Which symbols belong to the markets that are read here, and which neighbouring markets aren't read.

Rules: pure. A symbol is taken by an allow-list of shapes, never because nothing speaks against it: capitals, digits and
letters beyond ASCII; quarterly USD-M futures add `_` and a date behind the coin they are margined in. Any other symbol
is another market's. The SQL in store/clickhouse/schema/0003_binance.sql keeps the same shapes.

Sources: exchangeInfo of spot and USD-M (1000SATSUSDT, 币安人生USDT, BTCUSDT_210625); COIN-M names BTCUSD_PERP and
BTCUSD_210625, options BTC-251230-100000-C, and the hosts of each, as in the venue's derivatives documents.
"""

import re
from functools import lru_cache
from typing import Final

from tradecap.venues.binance.limits import MAX_SYMBOL
from tradecap.venues.venue import Unsupported

_SHAPE: Final = re.compile(r"(?:[A-Z0-9]|[^\x00-\x7f])+(?:(?<=USDT|USDC|BUSD)_[0-9]{6})?")
_NO_NAME: Final = re.compile(
    r"[\x00-\x20a-z\x7f-\xa0\u00df-\u00ff\u03ac-\u03ce\u0430-\u045f\u2000-\u206f\ufeff\uff41-\uff5a]|^-?[0-9]{19,}$"
)
"""Control and format characters, blanks, lower case, and what ClickHouse can't tell from an integer beyond 64 bits."""


@lru_cache(maxsize=1 << 14)
def symbol_fault(symbol: str) -> str:
    """'' for a symbol that a market read here may have, else the reason for quarantine."""
    if not 0 < len(symbol.encode(errors="replace")) <= MAX_SYMBOL or _NO_NAME.search(symbol):
        return "out_of_range"
    return "" if _SHAPE.fullmatch(symbol) else "unknown_message"


@lru_cache(maxsize=1 << 14)
def is_plain_symbol(symbol: str) -> bool:
    """Whether a symbol is as most are: valid, and no longer than the fast ways take."""
    return len(symbol) <= 16 and not symbol_fault(symbol)


UNSUPPORTED: Final = (
    Unsupported(
        "coin-margined futures are not supported: quantities are contracts",
        hosts=re.compile(
            r"(?:dstream|dapi)\.binance\.com|dstream\.binancefuture\.com|binance_(?:delivery|coinm|coin_m)"
        ),
        symbols=re.compile(r"[A-Z0-9]+USD_(?:PERP|[0-9]{6})", re.IGNORECASE),
    ),
    Unsupported(
        "options are not supported: each symbol is a contract with a strike price and an expiry",
        hosts=re.compile(r"(?:nbstream|vstream|eapi)\.binance\.com|binance_(?:european_)?options"),
        symbols=re.compile(r"[A-Z0-9]+-[0-9]{6}-[0-9.]+-[CP]", re.IGNORECASE),
    ),
)

_DOLLARS: Final = "USDT|USDC|FDUSD|BUSD|TUSD|USDP|USD1|TRY|EUR|BRL|JPY"
_OTHERS: Final = (
    "USDS|PAX|DAI|UST|IDRT|BIDR|BVND|BKRW|NGN|RUB|GBP|AUD|UAH|ZAR|PLN|RON|ARS|MXN|CZK|COP|VAI|AEUR|EURI|USDE"
    "|BTC|ETH|BNB|XRP|TRX|DOGE|SOL|DOT|USD"
)
_WORD: Final = r"(?:[A-Z0-9]|[^\x00-\x7f])"
IN_NAMES: Final = re.compile(rf"{_WORD}+(?:{_DOLLARS})(?:(?<=USDT|USDC|BUSD)_[0-9]{{6}})?|{_WORD}{{3,}}(?:{_OTHERS})")
"""A pair of a coin and what it is quoted in, as exchangeInfo names them (binance, binance-us, binance-usdm). WBTC,
STETH, DATA are none."""
