"""The candles of one series, of any interval, from the store."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from tradecap.errors import TradecapError
from tradecap.store.api import CandleRow, Series, Store

FOREVER_S = 4_133_980_800
"""2101-01-01 UTC: no trade is later."""


@dataclass(frozen=True)
class Candle:
    """One bar. Prices and volumes are exact, in their decimal texts; vwap and volatility are floats (docs/clickhouse.md)."""

    open_time: datetime
    open: str
    high: str
    low: str
    close: str
    volume: str
    quote_volume: str
    trades: int
    taker_buy_volume: str
    taker_buy_quote_volume: str
    vwap: float
    volatility: float
    first_id: int
    last_id: int
    complete: bool


@dataclass(frozen=True)
class Candles:
    """The bars of a series, oldest first."""

    venue: str
    symbol: str
    channel: str
    candles: list[Candle]


@dataclass(frozen=True)
class Bars:
    """Which bars: of a symbol (venue and channel '' = the only one, or trade before aggTrade), in seconds, to_s exclusive, at most so many."""

    symbol: str
    seconds: int = 60
    venue: str = ""
    channel: str = ""
    from_s: int | None = None
    to_s: int | None = None
    limit: int | None = None


def candles(store: Store, bars: Bars) -> Candles:
    """The bars. With a limit and no from_s the newest ones. Raises TradecapError for a symbol that the store doesn't have."""
    series = _chosen(store.candle_series(), bars)
    since_s, until_s = bars.from_s or 0, FOREVER_S if bars.to_s is None else bars.to_s
    if bars.limit is not None and bars.from_s is None:
        rows = store.newest_candles(series, bars.seconds, since_s, until_s, bars.limit)[::-1]
    else:
        rows = store.first_candles(series, bars.seconds, since_s, until_s, 2**63 if bars.limit is None else bars.limit)
    return Candles(*series, [_candle(row) for row in rows])


def _chosen(named: list[Series], bars: Bars) -> Series:
    fitting = [s for s in named if s[1].upper() == bars.symbol.upper() and bars.venue in ("", s[0]) and bars.channel in ("", s[2])]
    if not fitting:
        others = [f"{s[0]} {s[2]}" for s in named if s[1].upper() == bars.symbol.upper()]
        none = "there are no candles at all: tradecap load makes them."
        hint = f"of {bars.symbol} there is: {', '.join(others)}" if others else which_symbol(bars.symbol, (symbol for _, symbol, _ in named), none)
        raise TradecapError(f"The store has no candles of {_wanted(bars)}.", hint)
    venues = sorted({venue for venue, _, _ in fitting})
    if len(venues) > 1:
        raise TradecapError(f"{bars.symbol} is there from {' and '.join(venues)}.", f"say which: --venue {venues[0]}")
    return max(fitting, key=lambda s: s[2] == "trade")


def _wanted(bars: Bars) -> str:
    return " ".join(part for part in (bars.venue, bars.symbol, bars.channel) if part)


def which_symbol(symbol: str, known: Iterable[str], none: str) -> str:
    """The hint for a symbol that isn't there; `none` where nothing is."""
    names = sorted(name for name in set(known) if name)
    if not names:
        return none
    alike = difflib.get_close_matches(symbol.upper(), names, n=1)
    return f"did you mean {alike[0]}?" if alike else f"there are: {', '.join(names[:10])}"


def _candle(row: CandleRow) -> Candle:
    exact = {name: plain(value) for name, value in vars(row).items() if isinstance(value, Decimal)}
    opened = {"open_time": datetime.fromtimestamp(row.open_time_s, UTC)}
    return Candle(**{name: value for name, value in (vars(row) | exact | opened).items() if name != "open_time_s"})


def plain(value: Decimal) -> str:
    """All its digits, without trailing zeros and never with an exponent."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
