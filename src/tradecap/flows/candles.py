"""The candles of one series, of any interval, from the store."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from decimal import Decimal

from tradecap.errors import TradecapError
from tradecap.market import candles as market
from tradecap.market.enrichment import decimal_text
from tradecap.store.api import CandleRow, Series, Store
from tradecap.times import parse_duration, time_text

FOREVER_S = 4_133_980_800
"""2101-01-01 UTC: no trade is later."""


@dataclass(frozen=True, kw_only=True)
class ShownCandle:
    """One bar. Prices and volumes are exact, in their decimal texts; vwap and volatility are floats
    (docs/clickhouse.md)."""

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


_NAMES = [field.name for field in fields(ShownCandle)]


@dataclass(frozen=True)
class Candles:
    """The bars of a series, oldest first."""

    venue: str
    symbol: str
    channel: str
    candles: list[ShownCandle]


@dataclass(frozen=True, kw_only=True)
class BarsQuery:
    """Which bars: of a symbol (venue and channel '' = the only one, or trade before aggTrade), in seconds, to_s
    exclusive, at most `limit`."""

    symbol: str
    seconds: int = 60
    venue: str = ""
    channel: str = ""
    from_s: int | None = None
    to_s: int | None = None
    limit: int | None = None


class UnknownSymbolError(TradecapError):
    """Nothing is known of a symbol (or of it at this venue and channel)."""


class SeveralVenuesError(TradecapError):
    """A symbol exists at several venues, and none was named."""

    def __init__(self, symbol: str, venues: list[str]) -> None:
        super().__init__(f"{symbol} exists at several venues: {', '.join(venues)}.", f"add --venue {venues[0]}")
        self.venues = venues


def parse_interval(text: str) -> int:
    """Seconds in `1m`, `5m`, `1h`, `1d`. Raises ValueError with a sentence."""
    seconds = parse_duration(text)
    if seconds < 60 or seconds % 60 or market.DAY_S % seconds:
        raise ValueError(
            f"{text!r} isn't an interval; it must be a multiple of a minute that divides a day, like 1m, 5m, 1h or 1d."
        )
    return int(seconds)


def interval_text(seconds: int) -> str:
    """1m, 5m, 1h, 1d."""
    for unit, size in (("d", market.DAY_S), ("h", 3600)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds // 60}m"


def open_time_text(candle: ShownCandle) -> str:
    """When it begins, RFC 3339."""
    return time_text(int(candle.open_time.timestamp()) * 10**9)


def as_json(found: Candles, seconds: int) -> dict[str, object]:
    """The object that `tradecap candles --json` prints, and that REST answers."""
    rows = [row_of(candle) for candle in found.candles]
    return {
        "venue": found.venue,
        "symbol": found.symbol,
        "channel": found.channel,
        "interval": interval_text(seconds),
        "candles": rows,
    }


def row_of(candle: ShownCandle) -> dict[str, object]:
    """A bar as it is in that object."""
    return {name: getattr(candle, name) for name in _NAMES} | {"open_time": open_time_text(candle)}


def candles(store: Store, bars: BarsQuery) -> Candles:
    """The bars. With a limit and no from_s the newest ones. Raises TradecapError for a symbol that the store doesn't
    have."""
    series = chosen(store.candle_series(), bars)
    since_s, until_s = bars.from_s or 0, FOREVER_S if bars.to_s is None else bars.to_s
    if bars.limit is not None and bars.from_s is None:
        rows = store.newest_candles(series, bars.seconds, since_s, until_s, bars.limit)[::-1]
    else:
        rows = store.first_candles(series, bars.seconds, since_s, until_s, 2**63 if bars.limit is None else bars.limit)
    return Candles(*series, [candle_of(row) for row in rows])


def chosen(named: list[Series], bars: BarsQuery) -> Series:
    """The series that is meant. Raises UnknownSymbolError or SeveralVenuesError."""
    fitting = [
        s
        for s in named
        if s[1].upper() == bars.symbol.upper() and bars.venue in ("", s[0]) and bars.channel in ("", s[2])
    ]
    if not fitting:
        others = [f"{s[0]} {s[2]}" for s in named if s[1].upper() == bars.symbol.upper()]
        none = "there are no candles at all: tradecap load makes them."
        hint = (
            (f"of {bars.symbol} there is: {', '.join(others)}")
            if others
            else which_symbol(bars.symbol, (symbol for _, symbol, _ in named), none)
        )
        raise UnknownSymbolError(f"The store has no candles of {_wanted(bars)}.", hint)
    venues = sorted({venue for venue, _, _ in fitting})
    if len(venues) > 1:
        raise SeveralVenuesError(bars.symbol, venues)
    return max(fitting, key=lambda s: s[2] == "trade")


def _wanted(bars: BarsQuery) -> str:
    return " ".join(part for part in (bars.venue, bars.symbol, bars.channel) if part)


def which_symbol(symbol: str, known: Iterable[str], none: str) -> str:
    """The hint for a symbol that isn't there; `none` where nothing is."""
    names = sorted(name for name in set(known) if name)
    if not names:
        return none
    alike = difflib.get_close_matches(symbol.upper(), names, n=1)
    return f"did you mean {alike[0]}?" if alike else f"there are: {', '.join(names[:10])}"


def candle_of(row: CandleRow) -> ShownCandle:
    """A stored bar, as `shown` gives it."""
    exact = {name: plain(value) for name, value in vars(row).items() if isinstance(value, Decimal)}
    (quote, per_quote), (volume, per_volume) = row.quote_volume.as_integer_ratio(), row.volume.as_integer_ratio()
    # in integers: the quotient of two rounded floats may differ in its last digit from that of a bar that wasn't stored
    made = {
        "open_time": datetime.fromtimestamp(row.open_time_s, UTC),
        "vwap": quote * per_volume / (per_quote * volume),
    }
    return ShownCandle(**{name: value for name, value in (vars(row) | exact | made).items() if name != "open_time_s"})


def shown(bar: market.Candle) -> ShownCandle:
    """A bar as people and programs see it."""
    return ShownCandle(
        open_time=datetime.fromtimestamp(bar.open_time_s, UTC),
        open=units_text(bar.open),
        high=units_text(bar.high),
        low=units_text(bar.low),
        close=units_text(bar.close),
        volume=units_text(bar.volume),
        quote_volume=units_text(bar.quote_volume, 16),
        trades=bar.trades,
        taker_buy_volume=units_text(bar.taker_buy_volume),
        taker_buy_quote_volume=units_text(bar.taker_buy_quote_volume, 16),
        vwap=bar.vwap,
        volatility=bar.volatility,
        first_id=bar.first_id,
        last_id=bar.last_id,
        complete=bar.complete,
    )


units_text = decimal_text


def plain(value: Decimal) -> str:
    """All its digits, without trailing zeros and never with an exponent."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
