"""Aggregated trades, made for recordings without them.

Rules: the venue aggregates the fills of one taker order at one price and one time (docs/binance.md §4). A trade doesn't
name its order, so neighbours in one series with the same time, price and side count as one order. The aggregate follows
its last fill directly, with that fill's event time. Only the next trade shows which fill was the last, so entries are
held back until it comes: at most HELD of them, and HELD_NS of recorded time (E - T was 0.22 s at most). Pure.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from tradecap.market.records import Trade
from tradecap.simulate.tape import Entry, stream_name

HELD: Final = 2_000
HELD_NS: Final = 500_000_000


class _OrderFills:
    """The fills of one aggregate so far. held: how many of them are held back."""

    __slots__ = ("first", "held", "is_open", "last", "number", "qty")

    def __init__(self, first: Trade, number: int) -> None:
        self.first = self.last = first
        self.number = number
        self.qty = first.qty
        self.held = 1
        self.is_open = True


def with_aggregates(entries: Iterable[Entry], wanted: Callable[[str], bool]) -> Iterator[Entry]:
    """The entries, with an aggTrade after the last fill of each order, for the symbols that are `wanted`."""
    held: deque[tuple[Entry, _OrderFills | None]] = deque()
    groups: dict[str, _OrderFills] = {}
    are_wanted: dict[str, bool] = {}
    for entry in entries:
        trade = entry.trade
        group = None
        if trade is not None and trade.channel == "trade":
            symbol = trade.symbol
            is_wanted = are_wanted.get(symbol)
            if is_wanted is None:
                is_wanted = are_wanted[symbol] = wanted(symbol)
            if is_wanted:
                group = _group_of(trade, groups)
        if group is None and not held:
            yield entry
            continue
        held.append((entry, group))
        while held:
            oldest, its_group = held[0]
            if its_group is not None and its_group.is_open:
                if len(held) <= HELD and entry.time_ns - oldest.time_ns <= HELD_NS:
                    break
                its_group.is_open = False
            held.popleft()
            yield from _handed_out(oldest, its_group)
    for oldest, its_group in held:
        yield from _handed_out(oldest, its_group)


def _group_of(trade: Trade, groups: dict[str, _OrderFills]) -> _OrderFills:
    """The aggregate that a fill belongs to: the current one, or a new one, which ends the current one."""
    group = groups.get(trade.symbol)
    if group is None:
        group = groups[trade.symbol] = _OrderFills(trade, trade.id // 2)
        return group
    first = group.first
    is_same = (
        trade.trade_time_us == first.trade_time_us
        and trade.price == first.price
        and trade.is_buyer_maker == first.is_buyer_maker
    )
    if is_same and group.is_open:
        group.last = trade
        group.qty += trade.qty
        group.held += 1
        return group
    group.is_open = False
    group = groups[trade.symbol] = _OrderFills(trade, group.number + 1)
    return group


def _handed_out(entry: Entry, group: _OrderFills | None) -> Iterator[Entry]:
    yield entry
    if group is not None:
        group.held -= 1
        if not group.held:
            yield _made(group, entry)


def _made(group: _OrderFills, last: Entry) -> Entry:
    """An entry without a payload: the message is written when it is sent, and often it has no subscriber."""
    first, final = group.first, group.last
    trade = Trade(
        venue=first.venue,
        symbol=first.symbol,
        channel="aggTrade",
        id=group.number,
        first_id=first.id,
        last_id=final.id,
        price=first.price,
        qty=group.qty,
        trade_time_us=first.trade_time_us,
        event_time_us=final.event_time_us or final.trade_time_us,
        is_buyer_maker=first.is_buyer_maker,
        order_book=True,
    )
    return Entry(stream_name(first.symbol, "aggTrade"), b"", trade, last.time_ns)
