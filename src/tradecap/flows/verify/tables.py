"""Trades and quarantine against the ledger, candles against trades: what the tables of a store say of each other.

Rules: one insert isn't one step for several tables, and candles follow later. So what differs is looked at again, and
just that, until the feed has passed everything that was in the log when it was found. A minute has to wait for a sweep
besides. One that receives trades meanwhile, or whose candle is made again, is swept once more: it is left to the next
proof.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Final, TypeVar

from tradecap.flows.verify.ahead import Ahead
from tradecap.flows.verify.cut import LOOKED_INTO, Cut, LookingAgain
from tradecap.market.records import Trade
from tradecap.proof import checks
from tradecap.proof.checks import Check, Fixes
from tradecap.proof.klines import time_text
from tradecap.proof.tally import ID_BLOCK_BITS, SeqBlock, Series, rest_fingerprint
from tradecap.store.api import (
    AT_MOST,
    CandleDay,
    CandleDifference,
    CandleSpan,
    Difference,
    RecordDifference,
    SeqKey,
    Store,
    TradeDifference,
)

ID_BLOCKS: Final = 4
"""Blocks (of 1 048 576 ids) that one query groups by id."""
ASKED_AT_ONCE: Final = 500
"""Ids that one question names."""
TRADES_A_PORTION: Final = 4_000_000
"""Candles are computed afresh for about this many trades at a time."""
MINUTE_US: Final = 60_000_000
MINUTE_S: Final = 60
REST: Final = "event_time, recv_ns, microseconds or order_book"
OfTrade = tuple[Series, TradeDifference]
Found = TypeVar("Found")


class Settling:
    """Looks at what differs until it is gone, or counts."""

    def __init__(self, cut: Cut, store: Store, patience: LookingAgain) -> None:
        self._cut, self._store, self._patience = cut, store, patience

    def settled(
        self,
        whole: Callable[[], list[Found]],
        again: Callable[[list[Found]], list[Found]],
        is_final: Callable[[list[Found]], bool] | None = None,
    ) -> list[Found]:
        """The differences left once the feed has passed them (with is_final: once it is true), or when the time is
        over.

        An answer that is full may name only a part of what differs: then all is looked at again.
        """
        found = whole()
        while len(found) >= AT_MOST and self._patience.again():
            found = whole()
        if not self._patience.seconds or not found:
            return found
        mark = self._cut.log.snapshot()
        while found:
            has_passed = is_final is None and self._cut.has_passed(mark, self._store)
            found = again(found)
            if has_passed or (is_final and is_final(found)) or not self._patience.again():
                break
        return found


def portions(blocks: list[Found], size: int) -> Iterator[list[Found]]:
    """Some at a time."""
    for at in range(0, len(blocks), size):
        yield blocks[at : at + size]


# ---- trades and quarantine -------------------------------------------------------------------------------------------


def all_trades(store: Store) -> tuple[int, list[OfTrade]]:
    """How many trades there are, and those that differ.

    Blocks without a repeated id agree at once; in the others the winners are found among the ledger's rows.
    """
    held = store.trade_blocks()
    doubtful: dict[Series, list[int]] = {}
    for block in held:
        if not block.is_equal:
            doubtful.setdefault(block.series, []).append(block.block)
    different = [
        (key, each)
        for key, blocks in doubtful.items()
        for portion in portions(blocks, ID_BLOCKS)
        for each in store.trade_differences(key, portion)
    ]
    return sum(block.trades for block in held), different


def trades_accounted(cut: Cut, store: Store, ask: Ahead, settling: Settling, fix: str) -> Check:
    """Trades against the ledger's rows. Trades without a ledger row are compared with the log."""
    trades = 0

    def whole() -> list[OfTrade]:
        nonlocal trades
        trades, different = ask(all_trades, store)
        return different

    def again(found: list[OfTrade]) -> list[OfTrade]:
        ids: dict[Series, list[int]] = {}
        for key, each in found:
            ids.setdefault(key, []).append(each.trade_id)
        return [
            (key, each)
            for key, numbers in ids.items()
            for some in portions(numbers, ASKED_AT_ONCE)
            for each in store.trade_differences(key, sorted({number >> ID_BLOCK_BITS for number in some}), some)
        ]

    different = settling.settled(whole, again)
    balance = sum({Difference.MISSING: 1, Difference.EXTRA: -1}.get(each.difference, 0) for _, each in different)
    places = [f"{' '.join(key)} id {each.trade_id}: {each.difference}" for key, each in different]
    named = {(key, each.trade_id) for key, each in different}
    places += [
        f"{' '.join(key)} id {trade_id}: {REST} changed"
        for key, trade_id in rest_differences(cut, store)
        if (key, trade_id) not in named
    ]
    return checks.rows_accounted("trades.accounted", trades + balance, trades, places, fix)


def rest_differences(cut: Cut, store: Store) -> list[tuple[Series, int]]:
    """Trades whose event time, receive time, microseconds or order_book aren't those of their record, by id.

    A block whose trades all won, or all but those whose id had come before, agrees at once. The others are looked into
    record by record: a row that is of no record of the cut is left to the comparison of the tables.
    """
    doubtful = []
    for key, held in sorted(store.winner_blocks(sorted(cut.tally.runs)).items()):
        block = cut.tally.runs[key.run].blocks.get(key.block)
        if block and (held.records, held.fingerprint) not in _sums(block):
            doubtful.append(key)
    found = []
    for keys in portions(doubtful, LOOKED_INTO):
        rows = store.winner_rows(keys)
        for envelope, reading, _ in cut.lines_of(keys):
            row = rows.pop(SeqKey(envelope.run, envelope.seq), None)
            if row is None or type(reading) is not Trade or row.trade_id != reading.id:
                continue
            if row.fingerprint != rest_fingerprint(envelope.seq, reading, envelope.recv or 0):
                found.append(((reading.venue, reading.symbol, reading.channel), reading.id))
    return found


def _sums(block: SeqBlock) -> list[tuple[int, int]]:
    return [
        (block.trades, block.rest % 2**64),
        (block.trades - block.repeats, (block.rest - block.rest_of_repeats) % 2**64),
    ]


def quarantine_accounted(store: Store, ask: Ahead, settling: Settling, fix: str) -> Check:
    """Counts taken while records come in differ; where no record does, the tables are equal."""

    def again(found: list[RecordDifference]) -> list[RecordDifference]:
        before = {(each.run, each.seq) for each in found}
        now = store.quarantine_differences(sorted({run for run, _ in before}))
        return found if len(now) >= AT_MOST else [each for each in now if (each.run, each.seq) in before]

    different = settling.settled(lambda: ask(store.quarantine_differences), again)
    counts = ask(store.quarantine_counts)
    places = [f"run {each.run} seq {each.seq}: {each.difference}" for each in different]
    of_ledger = counts.of_ledger if different else counts.of_table
    return checks.rows_accounted("quarantine.accounted", of_ledger, counts.of_table, places, fix)


# ---- candles ---------------------------------------------------------------------------------------------------------


def all_candles(store: Store, span: CandleSpan) -> list[CandleDifference]:
    """The stored minutes that differ from a fresh computation."""
    days = _days(store.candle_days(span))
    return [each for first, last in days for each in store.candle_differences(first, last, span)]


def candles_exact(store: Store, ask: Ahead, settling: Settling, candles: int, span: CandleSpan, fixes: Fixes) -> Check:
    """Stored minutes against a fresh computation, once a sweep has had the time to make them."""

    def again(found: list[CandleDifference]) -> list[CandleDifference]:
        """Those that differ still, though neither the candle was made again nor a trade came: a live minute is left to
        the next proof."""
        before = {(each.series, each.open_time_s): each for each in found}
        now = [
            each
            for first, last, narrow in _minutes_of(found, span)
            for each in store.candle_differences(first, last, narrow)
        ]
        if len(now) >= AT_MOST:
            return found
        return [
            each
            for each in now
            if (known := before.get((each.series, each.open_time_s)))
            and (known.made_of, known.trades) == (each.made_of, each.trades)
        ]

    def is_final(found: list[CandleDifference]) -> bool:
        """No sweep makes a minute again whose trades are those it was made from."""
        return all(each.made_of == each.trades for each in found)

    different = settling.settled(lambda: ask(all_candles, store, span), again, is_final)
    places = [f"{' '.join(each.series)} {time_text(each.open_time_s)}: {each.differing}" for each in different]
    return checks.candles_exact(candles, places, fixes, is_stale=all(each.made_of != each.trades for each in different))


def _minutes_of(found: list[CandleDifference], span: CandleSpan) -> Iterator[tuple[date, date, CandleSpan]]:
    """By day, the days and minutes that hold what was found."""
    days: dict[date, list[int]] = {}
    for each in found:
        days.setdefault(datetime.fromtimestamp(each.open_time_s, UTC).date(), []).append(each.open_time_s)
    for day, minutes in days.items():
        yield day, day, CandleSpan(span.symbol, min(minutes) * 10**6, (max(minutes) + MINUTE_S) * 10**6)


def _days(days: list[CandleDay]) -> Iterator[tuple[date, date]]:
    first: date | None = None
    trades = 0
    for day in days:
        first = first or day.day
        trades += day.trades
        if trades >= TRADES_A_PORTION:
            yield first, day.day
            first, trades = None, 0
    if first is not None:
        yield first, days[-1].day
