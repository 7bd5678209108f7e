"""A small exchange day from a seed: trades as the venue writes them, with the oddities met in real recordings
(docs/binance.md §9, items 1-7).

Rules: the same arguments give the same bytes on every Python, so all arithmetic is of integers (prices and quantities
in units of 10^-8, as in `Trade`) and of `random.Random` only getrandbits is used. Ids of a series go up by one, T and E
never go back inside it; between streams no order is promised. Everything is an iterator: a day costs the memory of one
order.
"""

import heapq
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from random import Random
from typing import Final

from tradecap.market.records import Trade

CLOCK_BEHIND_NS: Final = 1_270_000_000
"""The recorder's clock runs this far behind the exchange (item 5)."""
LONGEST_SILENCE_MS: Final = 3_800
BURST_BEFORE_MINUTE_END_MS: Final = 60
"""The big order comes this close to a minute's end, so that its E lies in the next minute: candles made by E are
wrong."""
PERIOD_MS: Final = 300_000
"""One big order and one long silence in each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """A symbol of a venue and how it trades. Price, tick, lot in units of 10^-8; decimals are those the venue writes
    (price, quantity)."""

    venue: str
    symbol: str
    price: int
    tick: int
    lot: int
    decimals: tuple[int, int]
    lot_bits: tuple[int, int]
    """A quantity is up to 2^bits lots, bits drawn from this range: many small ones, few large ones."""
    moves: tuple[int, int]
    """The price moves between two orders with this chance in percent, by this many ticks at most."""
    mean_gap_ms: int
    burst: tuple[int, int, int]
    """The big order: fills, price levels, lots in all."""
    first_id: int

    @property
    def is_usdm(self) -> bool:
        return self.venue == "binance-usdm"


SPOT: Final = {
    each.symbol: each
    for each in (
        Instrument(
            venue="binance",
            symbol="BTCUSDT",
            price=6_100_000_000_000,
            tick=1_000_000,
            lot=1_000,
            decimals=(8, 8),
            lot_bits=(1, 17),
            moves=(33, 150),
            mean_gap_ms=360,
            burst=(96, 31, 4_150_000),
            first_id=3_722_410_118,
        ),
        Instrument(
            venue="binance",
            symbol="ETHUSDT",
            price=268_000_000_000,
            tick=1_000_000,
            lot=10_000,
            decimals=(8, 8),
            lot_bits=(2, 17),
            moves=(33, 20),
            mean_gap_ms=390,
            burst=(219, 110, 5_000_000),
            first_id=1_520_560_733,
        ),
        Instrument(
            venue="binance",
            symbol="PEPEUSDT",
            price=741,
            tick=1,
            lot=100_000_000,
            decimals=(8, 8),
            lot_bits=(14, 29),
            moves=(6, 1),
            mean_gap_ms=720,
            burst=(41, 4, 21_000_000_000),
            first_id=187_905_002,
        ),
    )
}
USDM: Final = {
    "BTCUSDT": Instrument(
        venue="binance-usdm",
        symbol="BTCUSDT",
        price=6_099_000_000_000,
        tick=10_000_000,
        lot=100_000,
        decimals=(2, 3),
        lot_bits=(1, 13),
        moves=(33, 40),
        mean_gap_ms=100,
        burst=(348, 60, 180_000),
        first_id=5_266_583_935,
    ),
}


# ---- trades ----


def trades(instrument: Instrument, seed: int, start_ms: int, end_ms: int) -> Iterator[Trade]:
    """All trades of [start_ms, end_ms), ids without a hole. In the big order E is late: by 100-220 ms, as on spot;
    USD-M by 2 ms at most."""
    rng = _chance(instrument, seed, "trades")
    number, event_ms = instrument.first_id, start_ms
    for order in _orders(instrument, rng, start_ms, end_ms):
        for place, (price, qty) in enumerate(order.fills):
            late = (
                100 + 120 * place // len(order.fills) if order.is_burst and not instrument.is_usdm else _below(rng, 2)
            )
            event_ms = max(event_ms, order.time_ms + late)
            yield _trade(instrument, number, price, qty, order, event_ms)
            number += 1


def aggregate(fills: Iterable[Trade], first_id: int = 0) -> Iterator[Trade]:
    """The aggTrades of trades in order: one for neighbours of one time, price and side. Trades outside the book are
    left out.

    The venue aggregates the fills of one taker order, which a trade doesn't name: two orders of one millisecond, price
    and side become one here.
    """
    number = first_id
    for (order_book, *_), group in groupby(
        fills, key=lambda t: (t.order_book, t.trade_time_us, t.price, t.is_buyer_maker)
    ):
        together = list(group)
        if order_book:
            yield _aggregate(together, number)
            number += 1


def _aggregate(fills: Sequence[Trade], number: int) -> Trade:
    first, last = fills[0], fills[-1]
    return Trade(
        venue=first.venue,
        symbol=first.symbol,
        channel="aggTrade",
        id=number,
        first_id=first.id,
        last_id=last.id,
        price=first.price,
        qty=sum(fill.qty for fill in fills),
        trade_time_us=first.trade_time_us,
        event_time_us=last.event_time_us,
        is_buyer_maker=first.is_buyer_maker,
        order_book=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """A taker order: its fills are (price, quantity), all of one millisecond."""

    time_ms: int
    is_buy: bool
    fills: list[tuple[int, int]]
    is_burst: bool = False
    is_on_book: bool = True


def _orders(instrument: Instrument, rng: Random, start_ms: int, end_ms: int) -> Iterator[_Order]:
    bid = instrument.price // instrument.tick
    burst_ms = (start_ms // 60_000 + 3) * 60_000 - BURST_BEFORE_MINUTE_END_MS
    silence_ms = start_ms + PERIOD_MS * 7 // 10
    time_ms = start_ms + _below(rng, instrument.mean_gap_ms)
    while time_ms < end_ms:
        is_buy = _below(rng, 2) == 1
        best = bid + is_buy
        if time_ms >= burst_ms:
            time_ms, burst_ms = burst_ms, burst_ms + PERIOD_MS
            yield _Order(time_ms=time_ms, is_buy=is_buy, fills=_big_fills(instrument, rng, best, is_buy), is_burst=True)
        elif instrument.is_usdm and _below(rng, 25) == 0:
            yield _Order(
                time_ms=time_ms, is_buy=is_buy, fills=[_off_book_fill(instrument, rng, best)], is_on_book=False
            )
        else:
            yield _Order(time_ms=time_ms, is_buy=is_buy, fills=_fills(instrument, rng, best, is_buy))
        bid = _next_bid(instrument, rng, bid)
        if time_ms >= silence_ms:
            time_ms, silence_ms = time_ms + LONGEST_SILENCE_MS, silence_ms + PERIOD_MS
        else:
            time_ms += _gap_ms(rng, instrument.mean_gap_ms)


def _gap_ms(rng: Random, mean_ms: int) -> int:
    """Often short, now and then long, and sometimes none: two orders, of any side, in one millisecond (item 4)."""
    kind = _below(rng, 40)
    if kind == 0:
        return 0
    if kind < 16:
        return 1 + _below(rng, mean_ms // 4)
    if kind < 34:
        return 1 + _below(rng, mean_ms * 2)
    return min(LONGEST_SILENCE_MS - 1, 1 + _below(rng, mean_ms * 6))


def _fills(instrument: Instrument, rng: Random, best: int, is_buy: bool) -> list[tuple[int, int]]:
    """Most orders meet one resting order, some walk through the book: about four trades of five share their
    millisecond."""
    kind = _below(rng, 100)
    count = (
        1
        if kind < 62
        else 2 + _below(rng, 2)
        if kind < 76
        else 4 + _below(rng, 4)
        if kind < 90
        else 8 + _below(rng, 16)
    )
    price, away = best, 1 if is_buy else -1
    fills = []
    for _ in range(count):
        fills.append((price * instrument.tick, _lots(instrument, rng) * instrument.lot))
        if _below(rng, 3) == 0:
            price = max(1, price + away * (1 + _below(rng, 1 + instrument.moves[1] // 4)))
    return fills


def _lots(instrument: Instrument, rng: Random) -> int:
    """A quantity in lots; one of a hundred is dust, the smallest there is (item 6)."""
    if _below(rng, 100) == 0:
        return 1
    fewest, most = instrument.lot_bits
    return 1 + rng.getrandbits(fewest + _below(rng, most - fewest + 1))


def _big_fills(instrument: Instrument, rng: Random, best: int, is_buy: bool) -> list[tuple[int, int]]:
    """The one order that takes many levels: exactly the fills, levels and lots the instrument names."""
    count, levels, total = instrument.burst
    lots = [total // count] * count
    for left in range(0, count - 1, 2):
        shift = _below(rng, lots[left])
        lots[left], lots[left + 1] = lots[left] + shift, lots[left + 1] - shift
    lots[-1] += total - sum(lots)
    away = 1 if is_buy else -1
    return [
        ((best + away * (place * levels // count)) * instrument.tick, each * instrument.lot)
        for place, each in enumerate(lots)
    ]


def _off_book_fill(instrument: Instrument, rng: Random, best: int) -> tuple[int, int]:
    """A fill of the insurance fund, with a price; or NA, whose price and quantity are 0 (docs/binance.md §7)."""
    return (best * instrument.tick, _lots(instrument, rng) * instrument.lot) if _below(rng, 2) else (0, 0)


def _next_bid(instrument: Instrument, rng: Random, bid: int) -> int:
    """A random walk that rests most of the time and never leaves the neighbourhood of where it began."""
    chance, ticks = instrument.moves
    if _below(rng, 100) >= chance:
        return bid
    home = instrument.price // instrument.tick
    step = 1 + _below(rng, ticks)
    rises = _below(rng, 2) == 1 if abs(bid - home) < home // 10 else bid < home
    return bid + step if rises else bid - step


def _trade(instrument: Instrument, number: int, price: int, qty: int, order: _Order, event_ms: int) -> Trade:
    return Trade(
        venue=instrument.venue,
        symbol=instrument.symbol,
        channel="trade",
        id=number,
        first_id=number,
        last_id=number,
        price=price,
        qty=qty,
        trade_time_us=order.time_ms * 1000,
        event_time_us=event_ms * 1000,
        is_buyer_maker=not order.is_buy,
        order_book=order.is_on_book,
    )


# ---- messages ----


def message(trade: Trade, decimals: tuple[int, int] = (8, 8)) -> bytes:
    """The bare message of a trade or aggTrade, in the venue's key order (docs/binance.md §4 and §7). decimals: of price
    and of quantity."""
    usdm = trade.venue == "binance-usdm"
    event_ms, time_ms, symbol = trade.event_time_us // 1000, trade.trade_time_us // 1000, trade.symbol.encode()
    price, qty = (written(units, places) for units, places in zip((trade.price, trade.qty), decimals, strict=True))
    maker = b"true" if trade.is_buyer_maker else b"false"
    if trade.channel == "aggTrade":
        return b'{"e":"aggTrade","E":%d,"s":"%b","a":%d,"p":"%b","q":"%b","f":%d,"l":%d,"T":%d,"m":%b%b}' % (
            *(event_ms, symbol, trade.id, price, qty, trade.first_id, trade.last_id, time_ms, maker),
            b"" if usdm else b',"M":true',
        )
    if usdm:
        kind = b"MARKET" if trade.order_book else b"INSURANCE_FUND" if trade.price else b"NA"
        fields = (
            event_ms,
            time_ms,
            symbol,
            trade.id,
            price if trade.price else b"0",
            qty if trade.qty else b"0",
            kind,
            maker,
        )
        return b'{"e":"trade","E":%d,"T":%d,"s":"%b","t":%d,"p":"%b","q":"%b","X":"%b","m":%b}' % fields
    return b'{"e":"trade","E":%d,"s":"%b","t":%d,"p":"%b","q":"%b","T":%d,"m":%b,"M":true}' % (
        *(event_ms, symbol, trade.id, price, qty, time_ms, maker),
    )


def combined(stream: bytes, payload: bytes) -> bytes:
    """A message as a combined-stream connection wraps it; stream is for example b'btcusdt@trade'."""
    return b'{"stream":"%b","data":%b}' % (stream, payload)


def written(units: int, decimals: int) -> bytes:
    """units of 10^-8 with exactly this many decimals (1 to 8; finer digits are cut)."""
    return b"%d.%0*d" % (units // 10**8, decimals, units % 10**8 // 10 ** (8 - decimals))


def messages(
    instruments: Sequence[Instrument], seed: int, start_ms: int, end_ms: int, aggregated: Sequence[str] = ()
) -> Iterator[tuple[int, bytes]]:
    """What a recorder of a combined stream wrote: (receive time in ns by its wrong clock, message), in order of
    arrival.

    Trades of each instrument, aggTrades of the symbols in `aggregated`, and between them bookTicker, depthUpdate and
    one snapshot each (item 7).
    """
    streams = [_trade_lines(each, trades(each, seed, start_ms, end_ms), seed, "trade") for each in instruments]
    streams += [_other_lines(each, trades(each, seed, start_ms, end_ms), seed) for each in instruments]
    streams += [
        _trade_lines(each, aggregate(trades(each, seed, start_ms, end_ms), each.first_id // 2), seed, "aggTrade")
        for each in instruments
        if each.symbol in aggregated
    ]
    for arrived_ns, payload in heapq.merge(*streams, key=lambda line: line[0]):
        yield arrived_ns - CLOCK_BEHIND_NS, payload


def f1_line(recv_ns: int, payload: bytes) -> bytes:
    """A line of a recording with the receive time in front."""
    return b"%d %b\n" % (recv_ns, payload)


def _trade_lines(
    instrument: Instrument, fills: Iterable[Trade], seed: int, channel: str
) -> Iterator[tuple[int, bytes]]:
    """Messages of one event time arrive about 2 µs apart: up to a hundred within one local millisecond (item 1)."""
    rng, stream = _chance(instrument, seed, channel), f"{instrument.symbol.lower()}@{channel}".encode()
    arrived_ns = 0
    for fill in fills:
        sent_ns = fill.event_time_us * 1000 + 100_000
        arrived_ns = max(
            arrived_ns + 1_500 + _below(rng, 1_200), sent_ns + _below(rng, 300_000) if sent_ns > arrived_ns else 0
        )
        yield arrived_ns, combined(stream, message(fill, instrument.decimals))


def _other_lines(instrument: Instrument, fills: Iterable[Trade], seed: int) -> Iterator[tuple[int, bytes]]:
    """Quotes around the trades' prices: each eighth trade brings one, each eightieth a depth update, the first of all a
    snapshot."""
    rng, name = _chance(instrument, seed, "quotes"), instrument.symbol.lower().encode()
    update, arrived_ns = instrument.first_id * 23, 0
    depth_until = update
    for place, fill in enumerate(fill for fill in fills if fill.order_book):
        if place and place % 8:
            continue
        update += 1 + _below(rng, 9)
        arrived_ns = max(arrived_ns, fill.event_time_us * 1000) + 1_000 + _below(rng, 2_000_000)
        if place == 0:
            yield (
                arrived_ns,
                b'{"lastUpdateId":%d,"bids":[%b],"asks":[%b]}' % (update, *_levels(instrument, rng, fill.price, 5)),
            )
        elif place % 80:
            yield arrived_ns, combined(name + b"@bookTicker", _book_ticker(instrument, rng, fill, update))
            continue
        else:
            yield (
                arrived_ns,
                combined(name + b"@depth@100ms", _depth_update(instrument, rng, fill, depth_until + 1, update)),
            )
        depth_until = update


def _depth_update(instrument: Instrument, rng: Random, fill: Trade, first: int, last: int) -> bytes:
    event_ms, symbol = fill.event_time_us // 1000, instrument.symbol.encode()
    bids, asks = _levels(instrument, rng, fill.price, 1 + _below(rng, 3))
    traded = b'"T":%d,' % (fill.trade_time_us // 1000) if instrument.is_usdm else b""
    before = b',"pu":%d' % (first - 1) if instrument.is_usdm else b""
    fields = (event_ms, traded, symbol, first, last, before, bids, asks)
    return b'{"e":"depthUpdate","E":%d,%b"s":"%b","U":%d,"u":%d%b,"b":[%b],"a":[%b]}' % fields


def _book_ticker(instrument: Instrument, rng: Random, fill: Trade, update: int) -> bytes:
    """On spot without a name and a time, on USD-M with both."""
    price, qty = instrument.decimals
    bid, ask = written(fill.price, price), written(fill.price + instrument.tick, price)
    bid_qty, ask_qty = (written(_lots(instrument, rng) * instrument.lot, qty) for _ in range(2))
    quote = b'"u":%d,"s":"%b","b":"%b","B":"%b","a":"%b","A":"%b"' % (
        update,
        instrument.symbol.encode(),
        bid,
        bid_qty,
        ask,
        ask_qty,
    )
    if instrument.is_usdm:
        return b'{"e":"bookTicker",%b,"T":%d,"E":%d}' % (quote, fill.trade_time_us // 1000, fill.event_time_us // 1000)
    return b"{%b}" % quote


def _levels(instrument: Instrument, rng: Random, price: int, count: int) -> tuple[bytes, bytes]:
    """Bids below and asks above a price, best first, as the inside of JSON arrays."""
    sides = [
        b",".join(
            b'["%b","%b"]'
            % (
                written(price + away * (step + 1) * instrument.tick, instrument.decimals[0]),
                written(_lots(instrument, rng) * instrument.lot, instrument.decimals[1]),
            )
            for step in range(count)
        )
        for away in (-1, 1)
    ]
    return sides[0], sides[1]


# ---- chance ----


def _chance(instrument: Instrument, seed: int, purpose: str) -> Random:
    """A stream of chance of its own for each series and purpose, so that leaving one out changes no other."""
    return Random(seed << 32 | zlib.crc32(f"{instrument.venue}/{instrument.symbol}/{purpose}".encode()))


def _below(rng: Random, limit: int) -> int:
    """0 <= n < limit, drawn so that every Python draws the same."""
    return rng.getrandbits(64) % limit
