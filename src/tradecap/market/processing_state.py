"""How the state of `process` is written down, and read again: keys and values of a compacted topic.

Rules: a value replaces the one before with its key, and None removes it. Each has a bounded size, below 256 kB: ids are
kept in blocks of 2^20, as intervals or, where those are many, as a bitmap; trades of a minute in chunks of at most 1
000. A change of these forms raises VERSION. Nothing here knows a clock, a file or a broker.
"""

import base64
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from tradecap.market.candles import Candle
from tradecap.market.records import Trade
from tradecap.market.trade_ids import TradeIds

VERSION: Final = 1
BLOCK_BITS: Final = 20
BLOCK: Final = 1 << BLOCK_BITS
INTERVALS: Final = 8_000
"""More than these in a block are written as a bitmap of 128 KiB."""
CHUNK: Final = 1_000
SeriesKey = tuple[str, str, str]
Delta = tuple[bytes, bytes | None]
"""A key of the state, and its new value; None: it is gone."""

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder().decode


class Times(msgspec.Struct, frozen=True, array_like=True):
    """What a series keeps besides ids and trades: its two greatest trade times, and the two newest minutes whose trades
    are forgotten."""

    newest_us: int
    second_us: int
    edges: list[list[int | float | bool]]


class Key(NamedTuple):
    """A key, taken apart. kind: `times`, `ids` (number: the block) or `trades` (number: the minute)."""

    series: SeriesKey
    kind: str
    number: int
    chunk: int


def key_of(series: SeriesKey, kind: str, number: int = 0, chunk: int = 0) -> bytes:
    """The text of a key. JSON, as a name may hold any sign."""
    return _encode((*series, kind, number, chunk))


def read_key(key: bytes) -> Key:
    """What `key_of` gave."""
    venue, symbol, channel, kind, number, chunk = _decode(key)
    return Key((venue, symbol, channel), kind, number, chunk)


def ids_value(ids: TradeIds, block: int) -> bytes:
    """The ids of a block, counted from its beginning."""
    begin = block << BLOCK_BITS
    intervals = [(first - begin, last - begin) for first, last in ids.within(begin, begin + BLOCK - 1)]
    if len(intervals) <= INTERVALS:
        return _encode(intervals)
    return _encode(base64.b64encode(_bits(intervals)).decode())


def read_ids(value: bytes, block: int) -> Iterable[tuple[int, int]]:
    """The intervals in what `ids_value` gave, ascending."""
    begin = block << BLOCK_BITS
    found = _decode(value)
    if isinstance(found, str):
        found = _intervals(base64.b64decode(found))
    return ((begin + first, begin + last) for first, last in found)


def _bits(intervals: Iterable[tuple[int, int]]) -> bytes:
    parts, at = [], 0
    for first, last in intervals:
        parts.append("0" * (first - at) + "1" * (last - first + 1))
        at = last + 1
    return int("".join(parts)[::-1], 2).to_bytes(BLOCK // 8, "little")


def _intervals(bits: bytes) -> Iterable[tuple[int, int]]:
    text = "".join(f"{byte:08b}"[::-1] for byte in bits)
    at = text.find("1")
    while at >= 0:
        end = text.find("0", at)
        end = len(text) if end < 0 else end
        yield at, end - 1
        at = text.find("1", end)


def times_value(newest_us: int, second_us: int, edges: Iterable[Candle]) -> bytes:
    """The times and edges of a series."""
    return _encode(Times(newest_us, second_us, [list(msgspec.structs.astuple(edge)) for edge in edges]))


def read_times(value: bytes) -> tuple[int, int, list[Candle]]:
    """What was given to `times_value`."""
    times = _times(value)
    return (
        times.newest_us,
        times.second_us,
        [msgspec.convert(dict(zip(_CANDLE, edge, strict=True)), Candle) for edge in times.edges],
    )


_times: Final = msgspec.json.Decoder(Times).decode
_CANDLE: Final = Candle.__struct_fields__


def chunk_value(trades: Iterable[Trade], at_s: int) -> bytes:
    """Trades of one minute, in the order in which they came."""
    at_us = at_s * 1_000_000
    return _encode(
        [
            (
                t.id,
                t.id - t.first_id,
                t.last_id - t.id,
                t.price,
                t.qty,
                t.trade_time_us - at_us,
                2 * t.order_book + t.is_buyer_maker,
            )
            for t in trades
        ]
    )


def read_chunk(value: bytes, series: SeriesKey, at_s: int) -> list[Trade]:
    """What was given to `chunk_value`. Times of events aren't kept."""
    at_us = at_s * 1_000_000
    return [
        Trade(
            *series,
            number,
            number - before,
            number + behind,
            price,
            qty,
            at_us + us,
            0,
            bool(flags & 1),
            bool(flags & 2),
        )
        for number, before, behind, price, qty, us, flags in _rows(value)
    ]


_rows: Final = msgspec.json.Decoder(list[tuple[int, int, int, int, int, int, int]]).decode
