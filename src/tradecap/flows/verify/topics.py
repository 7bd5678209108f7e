"""The topics of `process` against the store: ids and minutes.

Rules: the store is asked before and after the topics are read, so both may grow meanwhile: what it had before must be
in the topics, and what they hold must be in it afterwards. What differs is looked at again for as long as the caller
waits. An open minute isn't compared while the log grows. Memory grows with series, holes and minutes, not with trades.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isclose
from typing import TYPE_CHECKING, Final

import msgspec

from tradecap.errors import TradecapError
from tradecap.flows.verify.klines import Window
from tradecap.log import topic_of
from tradecap.log.api import Log
from tradecap.market.candles import MINUTE_S
from tradecap.market.enrichment import Enriched, Minute, decimal_text, minute_message, open_time_text
from tradecap.market.records import Trade
from tradecap.market.trade_ids import TradeIds
from tradecap.proof.checks import Check
from tradecap.proof.topics import TopicsFound, topics_equal
from tradecap.store.api import Series, Store
from tradecap.times import parse_time

if TYPE_CHECKING:
    from tradecap.log.kafka.outputs import Outputs

AGAIN_S: Final = 1.0
FOREVER_S: Final = 4_133_980_800
A_PORTION: Final = 10_000
Place = tuple[Series, int]
"""A minute: its series, and when it begins."""
_trade: Final = msgspec.json.Decoder(Enriched).decode
_minute: Final = msgspec.json.Decoder(Minute).decode
_COMPARED: Final = (
    *("open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume"),
    *("vwap", "first_id", "last_id", "revision"),
)
"""Exactly. `complete` isn't compared: it leans on minutes that may have had trades too late."""


@dataclass
class _Topics:
    """What the topics hold."""

    ids: dict[Series, TradeIds] = field(default_factory=dict)
    repeated: list[str] = field(default_factory=list)
    late: set[Place] = field(default_factory=set)
    minutes: dict[Place, Minute] = field(default_factory=dict)


def compare_topics(log: Log, store: Store, chosen: Mapping[str, str], window: Window, wait_s: float) -> Check:
    """The check `topics.equal`. chosen: the names of topics that differ from the defaults."""
    outputs = topic_of(log).outputs(chosen)
    until_s = time.monotonic() + wait_s
    while (
        not (found := _compared(log, store, outputs, window)).is_equal
        and time.monotonic() < until_s
        and not found.problem
    ):
        time.sleep(AGAIN_S)
    return topics_equal(found)


def _compared(log: Log, store: Store, outputs: "Outputs", window: Window) -> TopicsFound:
    if store.other_runs(log.id):
        return TopicsFound(
            problem="the store holds runs of other logs too, so it can't be compared with the topics of this one"
        )
    ends, before = log.behind({}), _held(store, window)
    try:
        topics = _read(outputs, window)
    except TradecapError as error:
        return TopicsFound(problem=error.message.rstrip("."))
    found = TopicsFound(trades=sum(map(len, topics.ids.values())), repeated=topics.repeated)
    after = _held(store, window)
    _compare_ids(before, topics.ids, found.missing)
    _compare_ids(topics.ids, after, found.extra)
    if outputs.is_shortened("enriched"):
        found.expired, found.missing = found.expired + len(found.missing), []
    _compare_minutes(store, outputs, topics, found, after, window, is_growing=log.behind({}) != ends)
    return found


def _held(store: Store, window: Window) -> dict[Series, TradeIds]:
    series = [span.series for span in store.series_spans() if window.symbol in ("", span.series[1])]
    return {each: TradeIds((span.first_id, span.last_id) for span in store.held_ids(each)) for each in series}


def _compare_ids(wanted: Mapping[Series, TradeIds], there: Mapping[Series, TradeIds], missing: list[str]) -> None:
    for series, ids in wanted.items():
        held = there.get(series, TradeIds())
        for first, last in ids:
            missing += [
                f"{' '.join(series)} ids {a}-{b}" if a < b else f"{' '.join(series)} id {a}"
                for a, b in held.gaps_within(first, last)
            ]


def _read(outputs: "Outputs", window: Window) -> _Topics:
    topics = _Topics()
    for trade in _trades(outputs):
        series = trade.venue, trade.symbol, trade.channel
        if window.symbol in ("", trade.symbol):
            if not topics.ids.setdefault(series, TradeIds()).add(trade.trade_id):
                topics.repeated.append(f"{' '.join(series)} id {trade.trade_id}")
            if trade.too_late:
                topics.late.add((series, trade.trade_time // 60_000 * MINUTE_S))
    partitions: dict[Place, int] = {}
    for partition, value in outputs.values("candles"):
        minute = _minute(value)
        if window.symbol in ("", minute.symbol):
            place = (minute.venue, minute.symbol, minute.channel), parse_time(minute.open_time, 0) // 10**9
            topics.minutes[place] = minute
            if partitions.setdefault(place, partition) != partition:
                topics.repeated.append(f"{_text(place)} in two partitions")
    return topics


def _trades(outputs: "Outputs") -> Iterator[Enriched]:
    return (_trade(value) for _, value in outputs.values("enriched"))


def _compare_minutes(
    store: Store,
    outputs: "Outputs",
    topics: _Topics,
    found: TopicsFound,
    held: Iterable[Series],
    window: Window,
    *,
    is_growing: bool,
) -> None:
    stored: dict[Place, Minute] = {}
    for series in held:
        bars = [bar for bar in store.minutes(series, 0, FOREVER_S) if bar.trades]
        stored |= {(series, bar.open_time_s): minute_message(series, bar, closed=True) for bar in bars}
    differing = []
    for place in sorted(stored.keys() | topics.minutes.keys()):
        if not _is_inside(place[1], window):
            continue
        mine, theirs = topics.minutes.get(place), stored.get(place)
        if mine and theirs and _is_equal(mine, theirs):
            found.minutes += 1
        elif place in topics.late:
            found.late.append(_text(place))
        elif mine is None and outputs.is_shortened("candles"):
            found.expired += 1
        elif is_growing and (mine is None or not mine.closed):
            found.open += 1
        else:
            differing.append(place)
    conflicting = _conflicting(store, outputs, differing, topics.minutes, stored) if differing else set()
    found.conflicts = [_text(place) for place in differing if place in conflicting]
    found.differing = [_text(place) for place in differing if place not in conflicting]


def _is_inside(open_time_s: int, window: Window) -> bool:
    us = open_time_s * 1_000_000
    return (window.from_us is None or us >= window.from_us) and (window.to_us is None or us < window.to_us)


def _is_equal(mine: Minute, theirs: Minute) -> bool:
    is_exact = all(getattr(mine, name) == getattr(theirs, name) for name in _COMPARED)
    return is_exact and isclose(mine.volatility, theirs.volatility, rel_tol=1e-9, abs_tol=1e-12)


def _text(place: Place) -> str:
    return f"{' '.join(place[0])} {open_time_text(place[1])}"


def _conflicting(
    store: Store,
    outputs: "Outputs",
    differing: list[Place],
    mine: Mapping[Place, Minute],
    theirs: Mapping[Place, Minute],
) -> set[Place]:
    """Minutes that hold a trade, here or there, which the other side has with other content. Reads the trades once
    more."""
    wanted: dict[Series, TradeIds] = {}
    for place in differing:
        for each in filter(None, (mine.get(place), theirs.get(place))):
            wanted.setdefault(place[0], TradeIds()).add_range(each.first_id, each.last_id)
    produced: dict[Series, dict[int, Enriched]] = {}
    for trade in _trades(outputs):
        series = trade.venue, trade.symbol, trade.channel
        if series in wanted and trade.trade_id in wanted[series]:
            produced.setdefault(series, {})[trade.trade_id] = trade
    found: set[Place] = set()
    for series, ids in wanted.items():
        for stored in _stored(store, series, ids):
            other = produced.get(series, {}).get(stored.id)
            if other is not None and not _is_same(other, stored):
                found |= {
                    (series, other.trade_time // 60_000 * MINUTE_S),
                    (series, stored.trade_time_us // 60_000_000 * MINUTE_S),
                }
    return found


def _is_same(trade: Enriched, stored: Trade) -> bool:
    is_equal = trade.price == decimal_text(stored.price) and trade.qty == decimal_text(stored.qty)
    return (
        is_equal and trade.trade_time == stored.trade_time_us // 1000 and trade.is_buyer_maker == stored.is_buyer_maker
    )


def _stored(store: Store, series: Series, ids: TradeIds) -> Iterator[Trade]:
    for first, last in ids:
        at = first
        while portion := [each.trade for each in store.trades_from(series, at, 0, A_PORTION) if each.trade.id <= last]:
            yield from portion
            at = portion[-1].id + 1
