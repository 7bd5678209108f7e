"""What a store is asked, each by its statement in queries/. Rows become typed answers here and nowhere else.

Times leave a query as integers: the client converts a DateTime by the zone of the server or of this machine.
"""

from collections.abc import Sequence
from datetime import date
from typing import Final

from tradecap.market.candles import Candle
from tradecap.market.records import Trade
from tradecap.store.api import (
    AT_MOST,
    BarRow,
    BlockKey,
    BlockSum,
    CandleDay,
    CandleDifference,
    CandleRow,
    CandleSpan,
    CutBlock,
    CutRange,
    Difference,
    IdSpan,
    LedgerRow,
    QuarantineCounts,
    RecordDifference,
    Repeats,
    RunPart,
    SeqKey,
    SeqRange,
    Series,
    SeriesSpan,
    StoredTrade,
    TradeBlock,
    TradeDifference,
    WinnerRow,
)
from tradecap.store.clickhouse.connection import Connection, Row

ID_BLOCK_BITS: Final = 20
"""As in the statements: ids of a block differ in the lowest 20 bits."""


class Questions:
    """The questions of `Store`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    # ---- records against the log -------------------------------------------------------------------------------------

    def outcomes(self) -> dict[str, int]:
        """See `Store.outcomes`."""
        return {row["outcome"]: row["records"] for row in self._ask("outcomes")}

    def redelivered(self) -> int:
        """See `Store.redelivered`."""
        return int(self._ask("redelivered")[0]["redelivered"])

    def fed_runs(self, log_id: str) -> frozenset[str]:
        """See `Store.fed_runs`."""
        return frozenset(row["run"] for row in self._ask("fed_runs", log=log_id))

    def other_runs(self, log_id: str) -> frozenset[str]:
        """See `Store.other_runs`."""
        return frozenset(row["run"] for row in self._ask("other_runs", log=log_id))

    def losses(self, log_id: str) -> dict[str, str]:
        """See `Store.losses`."""
        return {row["place"]: row["detail"] for row in self._ask("losses", log=log_id)}

    def ledger_blocks(self, runs: Sequence[str]) -> dict[BlockKey, BlockSum]:
        """See `Store.ledger_blocks`."""
        rows = self._ask("ledger_blocks", runs=runs)
        return {BlockKey(row["run"], row["block"]): BlockSum(row["records"], row["fingerprint"]) for row in rows}

    def ledger_cut(self, ranges: Sequence[CutRange]) -> dict[BlockKey, CutBlock]:
        """See `Store.ledger_cut`."""
        rows = self._ask("ledger_cut", **_ranges(ranges)) if ranges else []
        return {
            BlockKey(row["run"], row["block"]): CutBlock(row["records"], row["fingerprint"], row["below"], row["above"])
            for row in rows
        }

    def ledger_rows(self, key: BlockKey) -> dict[int, LedgerRow]:
        """See `Store.ledger_rows`."""
        return {
            row["seq"]: LedgerRow(row["part"], row["fingerprint"])
            for row in self._ask("ledger_rows", run=key.run, block=key.block)
        }

    def ledger_parts(self, runs: Sequence[str]) -> list[RunPart]:
        """See `Store.ledger_parts`."""
        return [RunPart(**row) for row in self._ask("ledger_parts", runs=runs)] if runs else []

    def unknown_records(self, runs: Sequence[str]) -> list[SeqRange]:
        """See `Store.unknown_records`."""
        return [SeqRange(**row) for row in self._ask("unknown_records", runs=runs)]

    # ---- trades and quarantine against the ledger --------------------------------------------------------------------

    def trade_blocks(self) -> list[TradeBlock]:
        """See `Store.trade_blocks`."""
        return [
            TradeBlock(_series(row), row["block"], row["trades"], row["records"], bool(row["agree"]))
            for row in self._ask("trade_blocks")
        ]

    def winner_blocks(self, runs: Sequence[str]) -> dict[BlockKey, BlockSum]:
        """See `Store.winner_blocks`."""
        rows = self._ask("winner_blocks", runs=runs)
        return {BlockKey(row["run"], row["block"]): BlockSum(row["trades"], row["fingerprint"]) for row in rows}

    def winner_rows(self, keys: Sequence[BlockKey]) -> dict[SeqKey, WinnerRow]:
        """See `Store.winner_rows`."""
        rows = self._ask("winner_rows", runs=[key.run for key in keys], blocks=[key.block for key in keys])
        return {SeqKey(row["run"], row["seq"]): WinnerRow(row["trade_id"], row["fingerprint"]) for row in rows}

    def trade_differences(
        self, series: Series, blocks: Sequence[int], ids: Sequence[int] = ()
    ) -> list[TradeDifference]:
        """See `Store.trade_differences`."""
        rows = self._ask_blocks("trade_differences", series, blocks, ids=list(ids), at_most=AT_MOST)
        return [TradeDifference(row["trade_id"], Difference(row["difference"])) for row in rows]

    def quarantine_counts(self) -> QuarantineCounts:
        """See `Store.quarantine_counts`."""
        return QuarantineCounts(**self._ask("quarantine_counts")[0])

    def quarantine_differences(self, runs: Sequence[str] = ()) -> list[RecordDifference]:
        """See `Store.quarantine_differences`."""
        rows = self._ask("quarantine_differences", runs=list(runs), at_most=AT_MOST)
        return [RecordDifference(row["run"], row["seq"], Difference(row["difference"])) for row in rows]

    # ---- ids ---------------------------------------------------------------------------------------------------------

    def repeats(
        self, runs: Sequence[str], series: Series, blocks: Sequence[int], ranges: Sequence[CutRange] = ()
    ) -> list[Repeats]:
        """See `Store.repeats`."""
        return [Repeats(**row) for row in self._ask_blocks("repeats", series, blocks, every=runs, **_ranges(ranges))]

    def shared_blocks(self, runs: Sequence[str]) -> dict[Series, list[int]]:
        """See `Store.shared_blocks`."""
        shared: dict[Series, list[int]] = {}
        for row in self._ask("shared_blocks", runs=runs):
            shared.setdefault(_series(row), []).append(row["block"])
        return shared

    def foreign_conflicts(self, runs: Sequence[str], series: Series, blocks: Sequence[int]) -> list[int]:
        """See `Store.foreign_conflicts`."""
        return [row["trade_id"] for row in self._ask_blocks("foreign_conflicts", series, blocks, runs=runs)]

    def id_span(self, series: Series, since_us: int, until_us: int) -> IdSpan | None:
        """See `Store.id_span`."""
        row = self._ask_series("id_span", series, since=since_us, until=until_us)[0]
        return IdSpan(row["first_id"], row["last_id"]) if row["trades"] else None

    # ---- candles -----------------------------------------------------------------------------------------------------

    def candle_count(self, span: CandleSpan) -> int:
        """See `Store.candle_count`."""
        return int(self._ask("candle_count", **_span(span))[0]["candles"])

    def candle_days(self, span: CandleSpan) -> list[CandleDay]:
        """See `Store.candle_days`."""
        return [CandleDay(**row) for row in self._ask("candle_days", **_span(span))]

    def candle_differences(self, first: date, last: date, span: CandleSpan) -> list[CandleDifference]:
        """See `Store.candle_differences`."""
        rows = self._ask("candle_differences", first=first, last=last, at_most=AT_MOST, **_span(span))
        return [
            CandleDifference(_series(row), row["open_time_s"], row["difference"], row["made_of"], row["fresh_of"])
            for row in rows
        ]

    def candle_series(self) -> list[Series]:
        """See `Store.candle_series`."""
        return [_series(row) for row in self._ask("candle_series")]

    def first_candles(self, series: Series, seconds: int, since_s: int, until_s: int, at_most: int) -> list[CandleRow]:
        """See `Store.first_candles`."""
        rows = self._ask_series("first_candles", series, seconds=seconds, since=since_s, until=until_s, at_most=at_most)
        return [_candle(row) for row in rows]

    def newest_candles(self, series: Series, seconds: int, since_s: int, until_s: int, at_most: int) -> list[CandleRow]:
        """See `Store.newest_candles`."""
        rows = self._ask_series(
            "newest_candles", series, seconds=seconds, since=since_s, until=until_s, at_most=at_most
        )
        return [_candle(row) for row in rows]

    def kline_bars(self, series: Series, seconds: int, since_s: int, until_s: int) -> list[BarRow]:
        """See `Store.kline_bars`."""
        return [
            BarRow(**row)
            for row in self._ask_series("kline_bars", series, seconds=seconds, since=since_s, until=until_s)
        ]

    def newest_sweep(self) -> int:
        """See `Store.newest_sweep`."""
        return int(self._ask("newest_sweep")[0]["sweep"])

    def minutes(self, series: Series, since_s: int, until_s: int) -> list[Candle]:
        """See `Store.minutes`."""
        rows = self._ask_series("minutes", series, since=since_s, until=until_s)
        return [Candle(interval_s=60, complete=False, **row) for row in rows]

    # ---- trades as they are ------------------------------------------------------------------------------------------

    def series_spans(self) -> list[SeriesSpan]:
        """See `Store.series_spans`."""
        return [
            SeriesSpan(_series(row), row["first_id"], row["last_id"], row["first_time_us"], row["last_time_us"])
            for row in self._ask("series_spans")
        ]

    def held_ids(self, series: Series) -> list[IdSpan]:
        """See `Store.held_ids`."""
        return [IdSpan(row["first_id"], row["last_id"]) for row in self._ask_series("held_ids", series)]

    def trades_from(self, series: Series, from_id: int, since_us: int, at_most: int) -> list[StoredTrade]:
        """See `Store.trades_from`."""
        return [
            _trade(series, row)
            for row in self._ask_series("trades_from", series, from_id=from_id, since=since_us, at_most=at_most)
        ]

    # ---- asking ------------------------------------------------------------------------------------------------------

    def _ask(self, name: str, **parameters: object) -> list[Row]:
        return self._connection.ask(name, **parameters)

    def _ask_series(self, name: str, series: Series, **parameters: object) -> list[Row]:
        return self._ask(name, venue=series[0], symbol=series[1], channel=series[2], **parameters)

    def _ask_blocks(self, name: str, series: Series, blocks: Sequence[int], **parameters: object) -> list[Row]:
        """Over some blocks of ids, ascending; the bounds let the index skip."""
        until = min((blocks[-1] + 1) << ID_BLOCK_BITS, 2**64 - 1)
        return self._ask_series(
            name, series, blocks=blocks, first=blocks[0] << ID_BLOCK_BITS, until=until, **parameters
        )


def _series(row: Row) -> Series:
    return row["venue"], row["symbol"], row["channel"]


def _trade(series: Series, row: Row) -> StoredTrade:
    trade = Trade(
        *series,
        row["trade_id"],
        row["first_id"],
        row["last_id"],
        row["price"],
        row["qty"],
        row["trade_time_us"],
        row["event_time_us"],
        bool(row["is_buyer_maker"]),
        bool(row["order_book"]),
    )
    return StoredTrade(trade, row["run"], row["seq"])


def _ranges(ranges: Sequence[CutRange]) -> dict[str, object]:
    """Ranges as columns."""
    return {
        "runs": [each.run for each in ranges],
        "parts": [each.part for each in ranges],
        "lows": [each.low for each in ranges],
        "highs": [each.high for each in ranges],
    }


def _span(span: CandleSpan) -> dict[str, object]:
    return {"symbol": span.symbol, "since": span.since_us, "until": span.until_us}


def _candle(row: Row) -> CandleRow:
    return CandleRow(**row | {"complete": bool(row["complete"])})
