"""Odd times. In a file and a store of its own: a thousand partitions take their time to go."""

from tests.builders import NOON_S
from tests.store.builders import at, fill, minutes, one, run_of
from tests.store.test_sweep import MONTH_S, agree
from tradecap.market.candles import every_interval
from tradecap.store.clickhouse.store import ClickHouseStore


def test_a_thousand_records_in_a_thousand_months(store: ClickHouseStore) -> None:
    """A limit on partitions would let a recording of odd times stop a feed forever."""
    # 31 days apart: no two in one month, from 2010 to 2094
    stream = [at(n, 1_262_350_000 - NOON_S + n * MONTH_S) for n in range(1000)]
    fill(store, *run_of(stream))
    assert one(store.rows("SELECT uniqExact(toYYYYMM(trade_time)) AS months, count() AS trades FROM v_trades")) == {
        "months": 1000,
        "trades": 1000,
    }
    assert store.sweep_candles() == 1000
    agree(list(minutes(store, "BTCUSDT")), every_interval(stream))
