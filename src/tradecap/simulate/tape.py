"""The tape: what the exchange sends, in order. Each entry is a message of one stream, as the venue writes it.

Rules: within a series ids only rise; a trade in several recordings is sent once. In a loop the times and ids of each
round move on and never come again. A moved message differs from the recorded one only in the digits of its ids and
times. Memory is constant. Nothing here sleeps or reads a clock.
"""

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Final, NamedTuple, Protocol

import msgspec

from tradecap.errors import TradecapError
from tradecap.market.records import Trade
from tradecap.venues.binance.shift import moved as times_moved
from tradecap.venues.binance.synthetic import message

ROUND_GAP_US: Final = 1_000_000
"""From the last trade of a round to the first of the next. E - T is shorter (0.22 s observed, docs/binance.md §9)."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One message: its stream as the venue names it (btcusdt@trade), its text, its trade (None: a quote).

    payload is empty if it isn't written yet (an aggregate that was made): see `text`. time_ns is when it was recorded:
    the receive time, else E, else T, else 0.
    """

    stream: str
    payload: bytes
    trade: Trade | None
    time_ns: int

    @property
    def text(self) -> bytes:
        """The message without a wrapper."""
        return self.payload or (message(self.trade) if self.trade else b"")


@lru_cache(maxsize=8192)
def stream_name(symbol: str, channel: str) -> str:
    """The name of a symbol's stream."""
    return f"{symbol.lower()}@{channel}"


class TradeSource(Protocol):
    """Where trades come from: `Recording` or `Generated`."""

    symbols: list[str]
    samples: dict[str, list[Trade]]
    """Some trades of each symbol, to see its tick and lot."""
    first_time_us: int
    names: str
    left_out: Counter[str]
    problems: list[TradecapError]

    def entries(self) -> Iterator[Entry]:
        """One pass."""


Round = Callable[[], Iterator[Entry]]
"""Returns the entries of one pass over the source. May be called again."""


def in_order(entries: Iterable[Entry], window: int) -> Iterator[Entry]:
    """The entries with late ones moved to their place by id, if it is at most `window` entries back.

    A log holds a repair after what it repairs. Nothing else changes its place. A late entry is due together with the
    entry that it is put before.
    """
    ahead: deque[Entry] = deque()
    newest: dict[str, int] = {}
    for entry in entries:
        trade = entry.trade
        if trade is not None and trade.id < newest.get(entry.stream, -1):
            _put_in_place(ahead, entry, trade.id)
            continue
        if trade is not None:
            newest[entry.stream] = trade.id
        ahead.append(entry)
        if len(ahead) > window:
            yield ahead.popleft()
    yield from ahead


def _put_in_place(ahead: deque[Entry], late: Entry, trade_id: int) -> None:
    place = next(
        at
        for at, each in enumerate([*ahead, late])
        if each is late or (each.stream == late.stream and each.trade and each.trade.id >= trade_id)
    )
    if place < len(ahead):
        late = msgspec.structs.replace(late, time_ns=ahead[place].time_ns)
    ahead.insert(place, late)


def rising(entries: Iterable[Entry], dropped: Counter[str]) -> Iterator[Entry]:
    """Each id of a series once and in order. An entry that comes again or too late is left out and counted."""
    newest: dict[str, int] = {}
    for entry in entries:
        trade = entry.trade
        if trade is not None:
            if trade.id <= newest.get(entry.stream, -1):
                dropped["repeated"] += 1
                continue
            newest[entry.stream] = trade.id
        yield entry


def endless(rounds: Round) -> Iterator[Entry]:
    """Round after round, each moved to follow the one before. A round without a trade ends the loop."""
    extent = _RoundSpan()
    for entry in rounds():
        extent.add(entry)
        yield entry
    step = extent.step()
    shift = step
    while step.ids:
        for entry in rounds():
            yield moved(entry, shift)
        shift = shift.again(step)


class TapeShift(NamedTuple):
    """How far to move a message.

    time_us: whole milliseconds. ids: by stream. all_ids: for every id in addition.
    """

    time_us: int
    ids: dict[str, int] = {}  # noqa: RUF012 -- never written to
    all_ids: int = 0

    def again(self, step: "TapeShift") -> "TapeShift":
        """This shift and `step` after it."""
        ids = {stream: by + step.ids.get(stream, 0) for stream, by in self.ids.items()}
        return TapeShift(self.time_us + step.time_us, ids, self.all_ids + step.all_ids)


_IDS: Final = re.compile(rb'"(t|a|f|l|u)":(\d{1,19})(?=[,}])')
_ID_MEMBERS: Final = {b"trade": (b"t",), b"aggTrade": (b"a",), b"bookTicker": (b"u",)}


def moved(entry: Entry, shift: TapeShift) -> Entry:
    """The entry at another time and with other ids."""
    trade, stream = entry.trade, entry.stream
    ids_by = shift.ids.get(stream, 0) + shift.all_ids
    symbol, _, channel = stream.partition("@")
    own = _ID_MEMBERS.get(channel.encode(), ())
    fills_by = shift.ids.get(f"{symbol}@trade", 0) + shift.all_ids

    def member(match: re.Match[bytes]) -> bytes:
        name, value = match[1], int(match[2])
        if name in own:
            value += ids_by
        elif name in (b"f", b"l"):
            value += fills_by
        return b'"%b":%d' % (name, value)

    payload = entry.payload and _IDS.sub(member, times_moved(entry.payload, channel, shift.time_us))
    moved_trade = trade and _moved_trade(trade, shift.time_us, ids_by, fills_by)
    return Entry(stream, payload, moved_trade, entry.time_ns and entry.time_ns + shift.time_us * 1000)


def _moved_trade(trade: Trade, time_us: int, ids_by: int, fills_by: int) -> Trade:
    return msgspec.structs.replace(
        trade,
        id=trade.id + ids_by,
        first_id=trade.first_id + fills_by,
        last_id=trade.last_id + fills_by,
        trade_time_us=trade.trade_time_us + time_us,
        event_time_us=trade.event_time_us + time_us if trade.event_time_us else 0,
    )


_UPDATE: Final = re.compile(rb'"u":(\d{1,19})')


class _RoundSpan:
    """The first and last ids and times of a round."""

    def __init__(self) -> None:
        self._ids: dict[str, tuple[int, int]] = {}
        self._times: tuple[int, int] | None = None

    def add(self, entry: Entry) -> None:
        trade, stream = entry.trade, entry.stream
        if trade is None:
            update = _UPDATE.search(entry.payload)
            if update:
                self._ids_of(stream, int(update[1]), int(update[1]))
            return
        self._ids_of(stream, trade.id, trade.id)
        if trade.channel == "aggTrade":
            self._ids_of(f"{stream.partition('@')[0]}@trade", trade.first_id, trade.last_id)
        first, last = self._times or (trade.trade_time_us, trade.trade_time_us)
        self._times = min(first, trade.trade_time_us), max(last, trade.trade_time_us)

    def _ids_of(self, stream: str, low: int, high: int) -> None:
        first, last = self._ids.get(stream, (low, high))
        self._ids[stream] = min(first, low), max(last, high)

    def step(self) -> TapeShift:
        if self._times is None:
            return TapeShift(0, {})
        time_us = (self._times[1] - self._times[0] + ROUND_GAP_US) // 1000 * 1000
        return TapeShift(time_us, {stream: last - first + 1 for stream, (first, last) in self._ids.items()})
