"""The store's views under flat names, against what `process` makes of the same records."""

import msgspec

from tests.builders import NOON_S, a_trade
from tests.flows.builders import load
from tests.log.builders import begin
from tradecap.flows.records import read_lines
from tradecap.log.folder.log import FileLog
from tradecap.market.enrichment import QUOTES, Enriched, enriched
from tradecap.market.records import RunWriter, Trade, frame, series_head
from tradecap.store.clickhouse.store import ClickHouseStore
from tradecap.venues.binance.synthetic import message

SYMBOLS = [*(f"ABC{quote}" for quote in QUOTES), "BTCUSDT_240927", "USDT", "NONSENSE", "BTCFDUSD", "USDTTRY", "BTCTUSD"]


def written(log: FileLog) -> None:
    """A trade of each symbol, at another time each, with and without a receive time."""
    with begin(log) as writer:
        run = RunWriter(writer.run)
        for number, symbol in enumerate(SYMBOLS):
            time_us = (NOON_S + number * 1700) * 10**6
            amounts = {"price": 10**8 + number, "qty": 3 * 10**7 + number}
            trade = a_trade(id=number, symbol=symbol, trade_time_us=time_us, event_time_us=time_us + 3000, **amounts)
            recv = None if number % 5 == 0 else time_us * 1000 + (number - 9) * 1_500_000
            writer.append(run.record(recv, series_head("binance", symbol, "trade", "ws"), frame(message(trade))), trade)


def test_both_ways_of_enriching_give_the_same(log: FileLog, store: ClickHouseStore) -> None:
    """A query on the store and a consumer of the topic would disagree about a trade."""
    written(log)
    load(log, store)
    answer = store.answer("SELECT * FROM trades_enriched ORDER BY trade_id", 1000)
    rows = [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]
    made = [
        enriched(trade, envelope, too_late=False) for envelope, trade, _ in read_lines(log) if isinstance(trade, Trade)
    ]
    expected = [
        {name: value for name, value in msgspec.structs.asdict(each).items() if name != "too_late"} for each in made
    ]
    assert rows == expected
    assert [*answer.columns] == [name for name in Enriched.__struct_fields__ if name != "too_late"]
    assert len({row["session"] for row in rows}) == 3


def test_raw_trades_have_the_first_of_these_names(log: FileLog, store: ClickHouseStore) -> None:
    """Queries of other projects would have to be rewritten."""
    written(log)
    load(log, store)
    answer = store.answer("SELECT * FROM raw_trades ORDER BY trade_id", 1000)
    assert [*answer.columns] == [*Enriched.__struct_fields__[:8]]
    again = store.answer(f"SELECT {', '.join(answer.columns)} FROM trades_enriched ORDER BY trade_id", 1000)
    assert answer.rows == again.rows
