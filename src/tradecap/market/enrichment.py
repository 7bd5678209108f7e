"""The messages that `process` produces: a trade enriched, a minute, a rejected record. docs/processing.md names their
schemas.

Rules: prices, quantities and volumes are decimal texts, exact. Times that programs compute with are milliseconds since
1970 UTC; what the message of the venue or the record doesn't hold is null. A payload is cut after 64 KiB, and its size
and hash are those of the whole. Nothing here knows a clock, a file, a broker or a venue.
"""

import base64
import hashlib
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec

from tradecap.market.candles import Candle
from tradecap.market.records import KEPT_OF_OVERSIZE, Envelope, Rejected, Trade, valid_text

QUOTES: Final = (
    "FDUSD",
    "USDT",
    "USDC",
    "BUSD",
    "TUSD",
    "USDP",
    "USD1",
    "EURI",
    "BIDR",
    "IDRT",
    "BTC",
    "ETH",
    "BNB",
    "EUR",
    "TRY",
    "BRL",
    "GBP",
    "AUD",
    "JPY",
    "UAH",
    "RUB",
    "NGN",
    "ZAR",
    "PLN",
    "RON",
    "ARS",
    "MXN",
    "COP",
    "CZK",
    "IDR",
    "DAI",
    "PAX",
    "TRX",
    "XRP",
    "DOT",
    "SOL",
    "USD",
    "VAI",
    "U",
)
"""Assets that symbols end with, a longer one before a shorter one that it ends with."""
LONGEST_NAME: Final = 200
"""Characters of a name in a rejected record that are kept: a broken envelope may hold any text."""
SESSIONS: Final = ("Asia", "Europe", "US")


class Enriched(msgspec.Struct, frozen=True, gc=False):
    """A trade as it is in `trades.enriched`. source: the venue, under the name that other projects give it."""

    event_time: int | None
    symbol: str
    price: str
    qty: str
    trade_id: int
    is_buyer_maker: bool
    source: str
    ingest_ts: int | None
    venue: str
    channel: str
    trade_time: int
    base: str
    quote: str
    notional: str
    session: str
    lateness_ms: int | None
    run: str
    seq: int
    too_late: bool


class Minute(msgspec.Struct, frozen=True, gc=False):
    """A candle as it is in `candles.1m`. revision counts the distinct trades in it; closed: two trades of later minutes
    have been seen."""

    venue: str
    symbol: str
    channel: str
    interval: str
    open_time: str
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
    revision: int
    closed: bool


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Where a rejected record is in the log."""

    run: str
    seq: int
    partition: int
    offset: int


class Quarantined(msgspec.Struct, frozen=True, gc=False):
    """A rejected record as it is in `trades.quarantine`. b64 holds the first 64 KiB of the payload; size and sha256 are
    of all of it."""

    reason: str
    field: str
    source: Origin
    venue: str
    symbol: str
    channel: str
    via: str
    ingest_ts: int | None
    size: int
    sha256: str
    b64: str


def enriched(trade: Trade, envelope: Envelope, *, too_late: bool) -> Enriched:
    """A trade with what follows from it and from its record."""
    trade_ms = trade.trade_time_us // 1000
    ingest_ms = None if envelope.recv is None else envelope.recv // 1_000_000
    base, quote = base_and_quote(trade.symbol)
    return Enriched(
        trade.event_time_us // 1000 if trade.event_time_us else None,
        trade.symbol,
        decimal_text(trade.price),
        decimal_text(trade.qty),
        trade.id,
        trade.is_buyer_maker,
        trade.venue,
        ingest_ms,
        trade.venue,
        trade.channel,
        trade_ms,
        base,
        quote,
        decimal_text(trade.price * trade.qty, 16),
        SESSIONS[trade_ms // 28_800_000 % 3],
        None if ingest_ms is None else ingest_ms - trade_ms,
        envelope.run,
        envelope.seq,
        too_late,
    )


def minute_message(series: tuple[str, str, str], bar: Candle, *, closed: bool) -> Minute:
    """A minute of a series. bar.trades must not be 0."""
    return Minute(
        *series,
        "1m",
        open_time_text(bar.open_time_s),
        decimal_text(bar.open),
        decimal_text(bar.high),
        decimal_text(bar.low),
        decimal_text(bar.close),
        decimal_text(bar.volume),
        decimal_text(bar.quote_volume, 16),
        bar.trades,
        decimal_text(bar.taker_buy_volume),
        decimal_text(bar.taker_buy_quote_volume, 16),
        bar.vwap,
        bar.volatility,
        bar.first_id,
        bar.last_id,
        bar.complete,
        bar.ids,
        closed,
    )


def quarantined(rejected: Rejected, envelope: Envelope, raw: bytes, partition: int, offset: int) -> Quarantined:
    """A rejected record. raw: the value as it is in the log, which is the payload where it isn't a whole record."""
    is_record = bool(envelope.data) or envelope.text is not None or envelope.b64 is not None
    payload = envelope.payload if is_record else raw
    venue, symbol, channel, via = (
        valid_text(name)[:LONGEST_NAME] for name in (envelope.venue, envelope.symbol, envelope.channel, envelope.via)
    )
    return Quarantined(
        rejected.reason,
        rejected.field,
        Origin(envelope.run, envelope.seq, partition, offset),
        venue,
        symbol,
        channel,
        via,
        None if envelope.recv is None else envelope.recv // 1_000_000,
        len(payload) if envelope.size is None else envelope.size,
        envelope.sha256 if envelope.size is not None else hashlib.sha256(payload).hexdigest(),
        base64.b64encode(payload[:KEPT_OF_OVERSIZE]).decode(),
    )


@lru_cache(maxsize=4096)
def base_and_quote(symbol: str) -> tuple[str, str]:
    """BTC and USDT of BTCUSDT; '' and '' where the symbol doesn't end with a known quote asset."""
    pair = symbol.partition("_")[0]  # BTCUSDT_240927 is a future of BTCUSDT
    quote = next((each for each in QUOTES if pair.endswith(each) and len(pair) > len(each)), "")
    return (pair.removesuffix(quote), quote) if quote else ("", "")


@lru_cache(maxsize=4096)
def open_time_text(open_time_s: int) -> str:
    """The beginning of a minute, RFC 3339."""
    return f"{datetime.fromtimestamp(open_time_s, UTC):%Y-%m-%dT%H:%M:%SZ}"


def minute_key(series: tuple[str, str, str], open_time_s: int) -> bytes:
    """The key of a minute's messages: venue|symbol|channel|minute."""
    return "|".join((*series, open_time_text(open_time_s))).encode()


def decimal_text(units: int, decimals: int = 8) -> str:
    """A number given in its smallest units, with all its digits and without trailing zeros."""
    whole, rest = divmod(units, 10**decimals)
    return f"{whole}.{rest:0{decimals}d}".rstrip("0") if rest else str(whole)
