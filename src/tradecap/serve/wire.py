"""Bars as protobuf messages.

An update is made once, whoever gets it: what differs between subscribers (sequence, skipped) is put in front as two
fields, since protobuf reads concatenated encodings of a message as one.
"""

from tradecap.flows.candles import ShownCandle, interval_text, shown
from tradecap.flows.joined import KnownSeries
from tradecap.flows.ticks import Tick
from tradecap.flows.watching import Past
from tradecap.serve.proto import market_pb2 as pb
from tradecap.store.api import Series

US: int = 10**6


def bar_of(series: Series, candle: ShownCandle, seconds: int) -> pb.Bar:
    """A bar."""
    bar = pb.Bar(
        venue=series[0],
        symbol=series[1],
        channel=series[2],
        interval=interval_text(seconds),
        open=candle.open,
        high=candle.high,
        low=candle.low,
        close=candle.close,
        volume=candle.volume,
        quote_volume=candle.quote_volume,
        trades=candle.trades,
        taker_buy_volume=candle.taker_buy_volume,
        taker_buy_quote_volume=candle.taker_buy_quote_volume,
        vwap=candle.vwap,
        volatility=candle.volatility,
        first_id=candle.first_id,
        last_id=candle.last_id,
        complete=candle.complete,
    )
    bar.open_time.seconds = int(candle.open_time.timestamp())
    return bar


def past_message(past: Past, seconds: int) -> bytes:
    """A bar that was there when the stream began, without its sequence."""
    bar = bar_of(past.series, past.candle, seconds)
    return pb.StreamBarsResponse(
        history=True, closed=past.is_closed, revision=past.revision, bar=bar
    ).SerializeToString()


def tick_message(tick: Tick) -> bytes:
    """A change, without its sequence."""
    if not tick.message:
        bar = bar_of(tick.series, shown(tick.bar), tick.bar.interval_s)
        tick.message = pb.StreamBarsResponse(closed=tick.is_closed, revision=tick.bar.ids, bar=bar).SerializeToString()
    return tick.message


def numbered(message: bytes, sequence: int, skipped: int) -> bytes:
    """An update with its place in the stream."""
    return b"\x08" + _varint(sequence) + (b"\x10" + _varint(skipped) if skipped else b"") + message


def series_of(known: KnownSeries) -> pb.Series:
    """A series."""
    venue, symbol, channel = known.series
    first, last = known.ids.first or 0, known.ids.last or 0
    found = pb.Series(
        venue=venue, symbol=symbol, channel=channel, first_id=first, last_id=last, gaps=max(known.ids.pieces - 1, 0)
    )
    found.missing = last - first + 1 - len(known.ids) if known.ids.pieces else 0
    found.first_time.FromMicroseconds(known.first_time_us)
    found.last_time.FromMicroseconds(known.last_time_us)
    return found


def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
